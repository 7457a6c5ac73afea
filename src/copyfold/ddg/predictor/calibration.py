"""How far a predicted ΔΔG may be off: an error model of errors on proteins that the predicting members never saw.

log σ is linear in a few terms that are known without a measurement, fitted by maximum likelihood of normal errors; then
σ is stretched so that ±σ covers 68 % and ±k·σ 95 % of the same errors, as in split conformal prediction (Vovk et al.
2005; Lei et al. 2018, J. Am. Stat. Assoc. 113:1094).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.optimize import minimize

N_TERMS: Final = 6


@dataclass(frozen=True, eq=False)
class ErrorModel:
    """Errors of predictions.

    Attributes
    ----------
    coefficients : numpy.ndarray, (N_TERMS,), float64
        Of log σ; see `error_terms`.
    factor_95 : float
        Half the width of a 95 % interval, in σ.
    """

    coefficients: np.ndarray
    factor_95: float

    def sigma(self, terms: np.ndarray) -> np.ndarray:
        """Half the width of a 68 % interval, kcal/mol: terms (…, N_TERMS) to (…)."""
        return np.exp(terms @ self.coefficients)


def error_terms(ddg: np.ndarray, site_spread: np.ndarray, n_residues: np.ndarray | int) -> np.ndarray:
    """Terms of log σ, (…, N_TERMS); the arguments broadcast.

    Parameters
    ----------
    ddg : numpy.ndarray
        Predicted, kcal/mol.
    site_spread : numpy.ndarray
        Standard deviation of the site's 20 potentials, kcal/mol.
    n_residues : numpy.ndarray or int
        Of the chain: small domains come from one assay, long chains from many laboratories.
    """
    ddg, site_spread, length = np.broadcast_arrays(ddg, site_spread, np.log(np.asarray(n_residues) / 70.0))
    capped = np.clip(length, -0.7, 1.8)
    return np.stack(
        [np.ones_like(ddg), np.abs(ddg), np.maximum(-ddg, 0.0), site_spread, capped, np.maximum(capped, 0.0)], axis=-1
    )


def fit_error_model(terms: np.ndarray, error: np.ndarray, weight: np.ndarray) -> ErrorModel:
    """Fit to `error` (n,), predicted − measured, kcal/mol, with row weights (n,)."""
    share = weight / weight.sum()

    def negative_log_likelihood(coefficients: np.ndarray) -> tuple[float, np.ndarray]:
        log_sigma = terms @ coefficients
        scaled = np.minimum((error / np.exp(log_sigma)) ** 2, 25.0)  # a gross error is not to set the scale
        gradient = terms.T @ (share * (1.0 - np.where(scaled < 25.0, scaled, 0.0)))
        return float(share @ (log_sigma + scaled / 2)), gradient

    fitted = minimize(negative_log_likelihood, np.zeros(terms.shape[1]), jac=True, method="L-BFGS-B")
    ratio = np.abs(error) / np.exp(terms @ fitted.x)
    q68, q95 = _weighted_quantile(ratio, share, 0.6827), _weighted_quantile(ratio, share, 0.95)
    coefficients = fitted.x.copy()
    coefficients[0] += np.log(q68)
    return ErrorModel(coefficients, q95 / q68)


def _weighted_quantile(values: np.ndarray, share: np.ndarray, level: float) -> float:
    order = np.argsort(values)
    return float(values[order][np.searchsorted(np.cumsum(share[order]), level)])
