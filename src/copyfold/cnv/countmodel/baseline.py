"""What is known of a bin's depth before any decoding: covariates, baseline prior, and a first baseline.

The first baseline must not be a median: where most isolates lack or have duplicated a bin, the median is not one copy.
It is the shift at which a fixed mixture (no copy, fewer reads, one copy, gains) best fits the log ratios of all
isolates, near the physical prediction.
"""

from __future__ import annotations

import numpy as np

from copyfold.cnv.countmodel.factors import BinEffects, expected_depth
from copyfold.cnv.countmodel.settings import CountModelSettings

MIN_MAPPABILITY = 0.003
RELIABLE_MAPPABILITY = 0.75
POOR_MAPPABILITY = 0.4

LOG_RATIOS = np.arange(-2.5, 1.51, 0.05)
"""Centres of the histogram of log ratios."""

SHIFTS = np.arange(-1.2, 0.61, 0.05)
"""Baseline shifts tried."""

TEMPLATE = (  # log ratio, weight and width of what isolates show in a bin
    (0.0, 0.70, 0.15),
    (-0.35, 0.15, 0.3),
    (np.log(1.5), 0.01, 0.2),
    (np.log(2.0), 0.04, 0.15),
    (np.log(3.0), 0.01, 0.2),
    (np.log(6.0), 0.01, 0.5),
)
TEMPLATE_ABSENT = 0.10
"""Weight of no copy: uniform below exp(−1.2) of one copy."""


def bin_covariates(gc: np.ndarray, replication: np.ndarray) -> np.ndarray:
    """Covariates of bins: GC share, its square (both around the mean) and the replication triangle.

    Parameters
    ----------
    gc : numpy.ndarray, (B,), float
        Share of G and C, 0 to 1.
    replication : numpy.ndarray, (B,), float
        1 at the origin of replication, falling linearly to 0 (or −1) at the terminus.

    Returns
    -------
    numpy.ndarray, (B, 3), float64
    """
    centred = gc - gc.mean()
    return np.stack([centred, centred**2, replication], axis=1)


def start_effects(
    counts: np.ndarray,
    covariates: np.ndarray | None,
    mappability: np.ndarray | None,
    width: np.ndarray,
    settings: CountModelSettings,
) -> BinEffects:
    """Return the effects of bins before fitting: baseline priors and no factors.

    With mappabilities the baseline's prior is log(mappability × width), wide for poorly mapped bins. Without, it is
    the trimmed median over isolates of reads relative to the isolate's median, wide throughout.

    Parameters
    ----------
    counts : numpy.ndarray, (n, B), float32, reads
    covariates : numpy.ndarray, (B, q − 1), optional
    mappability : numpy.ndarray, (B,), optional
        Share of reads from the bin that map there, 0 to 1.
    width : numpy.ndarray, (B,)
        Width of the bins, in units of a full bin.
    settings : CountModelSettings

    Returns
    -------
    BinEffects
    """
    n_bins = len(width)
    if mappability is None:
        prior, reliable = _cohort_prior(counts, width, settings)
        prior_sd = np.where(reliable, settings.free_baseline_sd, 2 * settings.free_baseline_sd)
    else:
        prior = np.log(np.clip(mappability, MIN_MAPPABILITY, 1) * width)
        reliable = mappability > RELIABLE_MAPPABILITY
        poor = np.where(mappability >= POOR_MAPPABILITY, 2.0, 4.0)
        prior_sd = np.where(mappability >= RELIABLE_MAPPABILITY, 1.0, poor) * settings.baseline_sd
    if not reliable.any():
        reliable = np.ones(n_bins, bool)
    known = np.empty((n_bins, 0)) if covariates is None else np.asarray(covariates, float)
    return BinEffects(
        covariates=np.concatenate([np.ones((n_bins, 1)), known], axis=1),
        baseline_prior=prior,
        baseline_prior_sd=prior_sd,
        baseline=prior,
        baseline_variance=prior_sd**2,
        loadings=np.zeros((n_bins, 0)),
        loading_variance=np.zeros(0),
        dispersion=np.zeros(n_bins, np.float32),
        reliable=reliable,
    )


def _cohort_prior(counts: np.ndarray, width: np.ndarray, settings: CountModelSettings) -> tuple[np.ndarray, np.ndarray]:
    """Return the log trimmed median depth of bins over isolates, and in which bins enough isolates have reads."""
    density = counts / width
    level = np.median(density, axis=1)
    deep = level > settings.min_depth
    ratio = density[deep] / level[deep, None]
    # Ratios near one copy count if there are any: most isolates may lack the bin, or a part of it. Only where there are
    # none may the bin be one of which few reads map.
    near = (ratio > 0.6) & (ratio < 1.6)
    enough = near.sum(axis=0) >= np.maximum(0.05 * len(ratio), min(5, 0.5 * len(ratio)))
    inside = np.where(enough, near, (ratio > 0.1) & (ratio < 1.6))
    reliable = inside.sum(axis=0) >= np.where(enough, 1, 0.25 * max(len(ratio), 1))
    reliable &= inside.any(axis=0)
    prior = np.log(width)
    for b in np.flatnonzero(reliable):
        prior[b] += np.log(np.median(ratio[inside[:, b], b]))
    return prior, reliable


def start_baseline(counts: np.ndarray, coefficients: np.ndarray, effects: BinEffects) -> BinEffects:
    """Shift every baseline to where the template fits the isolates' log ratios best, within 3 prior sd.

    Parameters
    ----------
    counts : numpy.ndarray, (n, B), float32, reads
    coefficients : numpy.ndarray, (n, p), float64
    effects : BinEffects

    Returns
    -------
    BinEffects
    """
    n_bins, n_ratios = counts.shape[1], len(LOG_RATIOS)
    log_ratio = np.log((counts + 0.5) / (expected_depth(effects, coefficients) + 0.5))
    cell = np.clip(np.rint((log_ratio - LOG_RATIOS[0]) / 0.05), 0, n_ratios - 1).astype(np.int64)
    cell += n_ratios * np.arange(n_bins)
    histogram = np.bincount(cell.ravel(), minlength=n_bins * n_ratios).reshape(n_bins, n_ratios)
    score = np.stack([histogram @ np.log(_template(shift)) for shift in SHIFTS], axis=1)
    reach = 3 * np.maximum(effects.baseline_prior_sd, 0.05)
    score = np.where(np.abs(SHIFTS) > reach[:, None], -np.inf, score)
    return effects._replace(baseline=effects.baseline + SHIFTS[score.argmax(axis=1)])


def _template(shift: float) -> np.ndarray:
    """Return the probabilities of the histogram's cells if one copy lies at `shift`."""
    density = np.full(len(LOG_RATIOS), 1e-3)
    for centre, weight, width in TEMPLATE:
        z = (LOG_RATIOS - shift - centre) / width
        density += weight * 0.05 / (width * np.sqrt(2 * np.pi)) * np.exp(-0.5 * z * z)
    low = shift - 1.2 > LOG_RATIOS
    density[low] += TEMPLATE_ABSENT / max(low.sum(), 1)
    return density
