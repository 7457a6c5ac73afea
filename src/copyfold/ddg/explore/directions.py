"""The direction of the latent along which ΔΔG changes, and how much of ΔΔG it explains in proteins it has not seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import GroupKFold

from copyfold.ddg.explore.active import active_dimensions
from copyfold.errors import InputError

FOLDS: Final = 5
_PENALTIES: Final = np.logspace(-2, 4, 13)
_FEWEST_ROWS: Final = 20


@dataclass(frozen=True, eq=False)
class Direction:
    """A direction of the latent.

    Attributes
    ----------
    vector : numpy.ndarray, (latent_dim,), float64
        Unit length, in the latent's own units: where the latent goes when the predicted ΔΔG rises.
    slope : float
        Change of ΔΔG per unit along it, kcal/mol.
    explained : float
        Share of the variance of ΔΔG, on families that were left out when the direction was fitted: 1 − squared error /
        squared deviation from the mean of the fitted families. Can be negative. NaN with a single family.
    explained_in_sample : float
        The same on the rows it was fitted to: too good, for comparison.
    latent_share : float
        Share of the latent's variance that lies along it; 1 / latent_dim where all directions are alike.
    folds_cosine : float
        Smallest cosine between the directions of two folds; 1 where all folds agree. NaN with a single family.
    predicted : numpy.ndarray, (n,), float64
        ΔΔG of each row from the folds that its family is not in, kcal/mol; NaN with a single family.
    """

    vector: np.ndarray
    slope: float
    explained: float
    explained_in_sample: float
    latent_share: float
    folds_cosine: float
    predicted: np.ndarray


def ddg_direction(latents: np.ndarray, ddg: np.ndarray, families: np.ndarray, *, folds: int = FOLDS) -> Direction:
    """Ridge regression of ΔΔG on the latent's active dimensions, judged by leaving out whole families.

    The penalty is chosen inside each fold by generalised cross-validation (Golub, Heath & Wahba 1979, Technometrics
    21:215), so the family that is left out has no part in it.

    Parameters
    ----------
    latents : numpy.ndarray, (n, latent_dim)
        Of rows whose ΔΔG the encoder was not trained on; otherwise `explained` says nothing of new proteins.
    ddg : numpy.ndarray, (n,)
        kcal/mol, positive = destabilising.
    families : numpy.ndarray, (n,)
        Cluster of homologous proteins.
    folds : int
        At most as many as there are families.

    Raises
    ------
    InputError
        Fewer than 20 rows, or ΔΔG without spread.
    """
    latents, ddg = np.asarray(latents, dtype=np.float64), np.asarray(ddg, dtype=np.float64)
    if len(ddg) < _FEWEST_ROWS or np.ptp(ddg) == 0:
        raise InputError(
            f"{len(ddg)} rows, ΔΔG from {ddg.min(initial=0):g} to {ddg.max(initial=0):g}: a direction needs at least "
            f"{_FEWEST_ROWS} rows with different values"
        )
    active = active_dimensions(latents)
    used = latents[:, active]
    whole = RidgeCV(_PENALTIES).fit(used, ddg)
    n_folds = min(folds, len(np.unique(families)))
    predicted, expected, vectors = np.full(len(ddg), np.nan), np.full(len(ddg), np.nan), []
    for fitted, left_out in GroupKFold(n_folds).split(used, ddg, families) if n_folds > 1 else ():
        model = RidgeCV(_PENALTIES).fit(used[fitted], ddg[fitted])
        predicted[left_out], expected[left_out] = model.predict(used[left_out]), ddg[fitted].mean()
        vectors.append(_pattern(used[fitted], model.coef_))
    vector = np.zeros(latents.shape[1])
    vector[active] = _pattern(used, whole.coef_)
    variances = latents.var(axis=0).sum()
    return Direction(
        vector=vector,
        slope=float(whole.coef_ @ vector[active]),
        explained=_explained(ddg, predicted, expected),
        explained_in_sample=_explained(ddg, whole.predict(used), np.full(len(ddg), ddg.mean())),
        latent_share=float((latents @ vector).var() / variances) if variances > 0 else 0.0,
        folds_cosine=float(np.min(np.array(vectors) @ np.array(vectors).T)) if vectors else float("nan"),
        predicted=predicted,
    )


def _pattern(latents: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    """Where the latent goes when the prediction rises: covariance times coefficients, to unit length.

    Coefficients themselves also cancel what is unrelated, and may lie where no mutation does (Haufe et al. 2014,
    NeuroImage 87:96).
    """
    vector = np.cov(latents, rowvar=False, bias=True).reshape(len(coefficients), -1) @ coefficients
    length = np.linalg.norm(vector)
    return vector / length if length > 0 else vector


def _explained(true: np.ndarray, predicted: np.ndarray, expected: np.ndarray) -> float:
    return float(1 - np.sum((true - predicted) ** 2) / np.sum((true - expected) ** 2))
