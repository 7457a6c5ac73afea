"""The documents' table of specialists: features, architecture, hyper-parameters. No torch, for configurations read
it."""

from __future__ import annotations

from typing import NamedTuple

from copyfold.ddg.features.sets import FEATURE_SETS, FeatureSet


class Variant(NamedTuple):
    """A row of the documents' table of architectures and hyper-parameters.

    Attributes
    ----------
    features : str
        Name of the feature set without the hyperbolic one.
    hidden_dim, latent_dim, layers : int
    dropout : float
    epochs, batch_size, patience : int
    lr : float
    """

    features: str
    hidden_dim: int
    latent_dim: int
    layers: int
    dropout: float
    epochs: int
    batch_size: int
    patience: int
    lr: float

    def feature_set(self, *, use_hyperbolic: bool) -> FeatureSet:
        """The features that the network takes."""
        return FEATURE_SETS[self.features + ("+hyperbolic4" if use_hyperbolic else "")]


VARIANTS = {
    "s669": Variant("base14", 64, 16, 2, 0.1, epochs=100, batch_size=32, patience=20, lr=1e-4),
    "protherm": Variant("protherm20", 128, 32, 2, 0.05, epochs=200, batch_size=16, patience=30, lr=5e-5),
    "wide": Variant("base14", 256, 64, 3, 0.15, epochs=50, batch_size=128, patience=10, lr=1e-3),
}
