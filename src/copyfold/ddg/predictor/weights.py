"""The production model's weights, as shipped: what `torch.load(…, weights_only=True)` reads, and nothing that runs."""

from __future__ import annotations

import pickle
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from copyfold.core.files import atomic_path
from copyfold.ddg.predictor.calibration import ErrorModel
from copyfold.ddg.predictor.inputs import Standardisation
from copyfold.ddg.predictor.model import SiteModelConfig, SiteVAE
from copyfold.engine import one_thread
from copyfold.errors import InputError

WEIGHTS_FORMAT: Final = "copyfold-ddg-sites/1"
FOLDER: Final = Path(__file__).parent / "weights"


@dataclass(frozen=True, eq=False)
class SitePredictor:
    """An ensemble with all that turns features of sites into ΔΔG and its error.

    Attributes
    ----------
    model : SiteVAE
    standardise : Standardisation
    profile_scale : float
        nats; what log-odds are divided by.
    errors : ErrorModel
    largest_distance : float
        Mean square of the inputs below which lie 99 % of the training sites.
    chain_lengths : tuple of int
        Shortest and longest chain trained on.
    """

    model: SiteVAE
    standardise: Standardisation
    profile_scale: float
    errors: ErrorModel
    largest_distance: float
    chain_lengths: tuple[int, int]

    def potentials(self, features: np.ndarray, profiles: np.ndarray, members: np.ndarray | None = None) -> np.ndarray:
        """Stabilities that each amino acid would bring to each site, mean over members: (n, 20), float64, kcal/mol.

        Parameters
        ----------
        features : numpy.ndarray, (n, n_features), float32
        profiles : numpy.ndarray, (n, n_profiles, 20), float32
            nats.
        members : numpy.ndarray of int, optional
            Those to ask; by default all.
        """
        each = self.member_potentials(features, profiles)
        return each[slice(None) if members is None else members].mean(axis=0)

    @one_thread()
    def member_potentials(self, features: np.ndarray, profiles: np.ndarray) -> np.ndarray:
        """As `potentials`, of each member: (members, n, 20), float64; each site's mean is 0."""
        inputs = torch.from_numpy(self.standardise(features))
        stacked = torch.from_numpy((profiles.reshape(len(features), -1) / self.profile_scale).astype(np.float32))
        with torch.no_grad():
            found: np.ndarray = self.model(inputs, stacked).double().numpy()
        return found - found.mean(axis=2, keepdims=True)

    def distances(self, features: np.ndarray) -> np.ndarray:
        """How unlike the training sites each site is: mean square of its standardised inputs, (n,)."""
        return np.mean(self.standardise(features) ** 2, axis=1)


def save_weights(path: Path, predictor: SitePredictor) -> None:
    """Write a predictor, in half precision; what the decoder needs for training only is left out."""
    tensors = {
        "centre": torch.from_numpy(predictor.standardise.centre).float(),
        "scale": torch.from_numpy(predictor.standardise.scale).float(),
        "coefficients": torch.from_numpy(predictor.errors.coefficients),
    }
    state = {
        name: value.half() for name, value in predictor.model.state_dict().items() if not name.startswith("profile.")
    }
    content = {
        "format": WEIGHTS_FORMAT,
        "config": asdict(predictor.model.config),
        "tensors": tensors,
        "model_state_dict": state,
        "profile_scale": predictor.profile_scale,
        "factor_95": predictor.errors.factor_95,
        "largest_distance": predictor.largest_distance,
        "chain_lengths": list(predictor.chain_lengths),
    }
    with atomic_path(path) as partial:
        torch.save(content, partial)


def load_weights(path: Path) -> SitePredictor:
    """Read a predictor.

    Raises
    ------
    InputError
        Missing, damaged, or not written by `save_weights`.
    """
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
        if stored["format"] != WEIGHTS_FORMAT:
            raise ValueError(f"format {stored['format']!r}, not {WEIGHTS_FORMAT!r}")
        return _restore(stored)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path}: not usable weights ({reason}); `make weights` writes them again") from None


def _restore(stored: dict[str, Any]) -> SitePredictor:
    tensors = {
        name: value.numpy().astype(np.float64 if name == "coefficients" else np.float32)
        for name, value in stored["tensors"].items()
    }
    model = SiteVAE(SiteModelConfig(**stored["config"]), torch.Generator().manual_seed(0))
    model.profile = None
    model.load_state_dict({name: value.float() for name, value in stored["model_state_dict"].items()})
    return SitePredictor(
        model=model.eval().requires_grad_(False),
        standardise=Standardisation(tensors["centre"], tensors["scale"]),
        profile_scale=stored["profile_scale"],
        errors=ErrorModel(tensors["coefficients"], stored["factor_95"]),
        largest_distance=stored["largest_distance"],
        chain_lengths=tuple(stored["chain_lengths"]),
    )
