"""``DDGVAE``: a variational autoencoder of mutations whose latent also predicts the change of stability.

Which terms the loss has, and what of them is the documents' and what ours, is in docs/methods/ddg-vae.md.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from copyfold.ddg.models.variants import VARIANTS
from copyfold.engine import LatentNormal, LossTerms, kl_to_standard_normal, sample_latent


def _stack(inputs: int, hidden: int, layers: int, dropout: float) -> nn.Sequential:
    """Dense layers, each with SiLU and dropout."""
    parts: list[nn.Module] = []
    for layer in range(layers):
        parts += [nn.Linear(inputs if layer == 0 else hidden, hidden), nn.SiLU(), nn.Dropout(dropout)]
    return nn.Sequential(*parts)


class DDGVAE(nn.Module):
    """Encoder to a Gaussian latent, decoder back to the features, and a head that predicts ΔΔG.

    Parameters
    ----------
    input_dim, hidden_dim, latent_dim, layers : int
        Features; width and number of dense layers of encoder and decoder; dimensions of the latent.
    dropout : float

    Notes
    -----
    Features and ΔΔG go in and come out in their own units; their means and scales over the training rows are buffers of
    the module (`set_scaling`). A feature that is NaN stands at its mean and is not reconstructed.
    """

    def __init__(self, input_dim: int, hidden_dim: int, latent_dim: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.input_dim, self.latent_dim = input_dim, latent_dim
        self.encoder = _stack(input_dim, hidden_dim, layers, dropout)
        self.head = nn.Linear(hidden_dim, 2 * latent_dim)
        self.decoder = nn.Sequential(_stack(latent_dim, hidden_dim, layers, dropout), nn.Linear(hidden_dim, input_dim))
        self.predictor = nn.Sequential(_stack(latent_dim, hidden_dim, 1, dropout), nn.Linear(hidden_dim, 1))
        self.register_buffer("feature_mean", torch.zeros(input_dim))
        self.register_buffer("feature_scale", torch.ones(input_dim))
        self.register_buffer("ddg_mean", torch.zeros(()))
        self.register_buffer("ddg_scale", torch.ones(()))

    @classmethod
    def create_variant(cls, name: str, use_hyperbolic: bool = False) -> DDGVAE:
        """The network of one of `VARIANTS`, with fresh weights."""
        variant = VARIANTS[name]
        features = len(variant.feature_set(use_hyperbolic=use_hyperbolic).features)
        return cls(features, variant.hidden_dim, variant.latent_dim, variant.layers, variant.dropout)

    @classmethod
    def create_s669_variant(cls, use_hyperbolic: bool = False) -> DDGVAE:
        """14 features (18 with the hyperbolic ones), latent 16, hidden 64, 2 layers, dropout 0.1."""
        return cls.create_variant("s669", use_hyperbolic)

    @classmethod
    def create_protherm_variant(cls, use_hyperbolic: bool = False) -> DDGVAE:
        """20 features (24 with the hyperbolic ones), latent 32, hidden 128, 2 layers, dropout 0.05."""
        return cls.create_variant("protherm", use_hyperbolic)

    @classmethod
    def create_wide_variant(cls, use_hyperbolic: bool = False) -> DDGVAE:
        """14 features (18 with the hyperbolic ones), latent 64, hidden 256, 3 layers, dropout 0.15."""
        return cls.create_variant("wide", use_hyperbolic)

    @torch.no_grad()
    def set_scaling(self, features: Tensor, ddg: Tensor) -> None:
        """Take means and scales from the training rows: features (n, input_dim) with NaN for unknown, ddg (n,)."""
        known = torch.isfinite(features)
        count = known.sum(dim=0).clamp(min=1)
        mean = torch.where(known, features, 0.0).sum(dim=0) / count
        variance = torch.where(known, features - mean, 0.0).square().sum(dim=0) / count
        self.feature_mean.copy_(mean)
        self.feature_scale.copy_(torch.where(variance > 1e-8, variance.sqrt(), 1.0))  # a constant column stays at 0
        self.ddg_mean.copy_(ddg.mean())
        self.ddg_scale.copy_(ddg.std(correction=0).clamp(min=1e-3))

    def encode(self, features: Tensor) -> LatentNormal:
        """Posterior of the latent for (batch, input_dim) features in their own units."""
        return self._encode(self._standardise(features))

    def decode(self, latent: Tensor) -> Tensor:
        """Features (batch, input_dim), in their own units, for (batch, latent_dim) latents."""
        return self.decoder(latent) * self.feature_scale + self.feature_mean

    def predict_from_latent(self, latent: Tensor) -> Tensor:
        """ΔΔG (batch,), in the unit of the training data, for (batch, latent_dim) latents."""
        return self.predictor(latent).squeeze(1) * self.ddg_scale + self.ddg_mean

    def forward(self, features: Tensor) -> Tensor:
        """ΔΔG (batch,) of (batch, input_dim) features, at the posterior's mean; positive = destabilising."""
        return self.predict_from_latent(self.encode(features).mean)

    def loss(self, batch: Tensor, generator: torch.Generator | None) -> LossTerms:
        """Terms of the ELBO of features and ΔΔG together, in nats per feature; see docs/methods/ddg-vae.md.

        Parameters
        ----------
        batch : Tensor, (batch, input_dim + 1)
            Features, and ΔΔG in the last column.
        """
        features, ddg = batch[:, :-1], batch[:, -1]
        standard = self._standardise(features)
        posterior = self._encode(standard)
        latent = sample_latent(posterior, generator)
        missed = torch.where(torch.isfinite(features), self.decoder(latent) - standard, 0.0)
        error = self.predictor(latent).squeeze(1) - (ddg - self.ddg_mean) / self.ddg_scale
        return LossTerms(
            reconstruction=0.5 * missed.square().mean(),
            kl=kl_to_standard_normal(posterior).mean() / self.input_dim,
            auxiliary={"ddg": 0.5 * error.square().mean()},
        )

    def _standardise(self, features: Tensor) -> Tensor:
        return torch.nan_to_num((features - self.feature_mean) / self.feature_scale, nan=0.0)

    def _encode(self, standard: Tensor) -> LatentNormal:
        mean, log_variance = self.head(self.encoder(standard)).chunk(2, dim=1)
        return LatentNormal(mean, log_variance.clamp(-15.0, 15.0))
