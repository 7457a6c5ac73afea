"""How far means over neighbouring bins stray from their expectation, measured on a cohort's own one-copy bins.

What the expected depth misses (waves, unnoticed divergence, errors of the baseline) is correlated between neighbouring
bins and does not average out within an event.
"""

from __future__ import annotations

import numpy as np

from copyfold.cnv.countmodel.factors import BinEffects, total_dispersion
from copyfold.cnv.countmodel.states import StateChain

WINDOWS = (1, 2, 4, 8, 16, 32)
"""Lengths, in bins, at which the excess variance of window means is measured."""

MIN_EXPECTED = 5.0
"""Expected reads of the bins that it is measured on."""


def window_excess(
    counts: np.ndarray,
    expected: np.ndarray,
    dispersion: np.ndarray,
    state: np.ndarray,
    effects: BinEffects,
    chain: StateChain,
) -> np.ndarray:
    """Relative variance of window means of one-copy bins beyond what counts explain, for each of `WINDOWS`.

    Parameters
    ----------
    counts, expected : numpy.ndarray, (n, B), float32, reads
    dispersion : numpy.ndarray, (n,), float32
    state : numpy.ndarray, (n, B), int
        Most probable states.
    effects : BinEffects
    chain : StateChain

    Returns
    -------
    numpy.ndarray, (len(WINDOWS),), float64
    """
    one = (state == chain.plain) & (expected > MIN_EXPECTED)
    variance = expected + total_dispersion(dispersion, effects) * expected * expected
    excess = np.zeros(len(WINDOWS))
    for k, length in enumerate(WINDOWS):
        one_sum, mean_sum, reads_sum, variance_sum = (
            _window_sums(x, length) for x in (one.astype(np.float32), expected, counts, variance)
        )
        whole = one_sum == length
        if not whole.any():
            break
        total = mean_sum[whole].astype(float)
        expected_variance = variance_sum[whole] / total**2
        deviation = reads_sum[whole] / total - 1
        beyond = (deviation**2 - expected_variance) / expected_variance
        excess[k] = max(beyond.sum() / (1 / expected_variance).sum(), 0.0)
    return excess


def _window_sums(values: np.ndarray, length: int) -> np.ndarray:
    """Return the sums over adjacent windows of bins, (n, B // length)."""
    n_windows = values.shape[1] // length
    return values[:, : n_windows * length].reshape(len(values), n_windows, length).sum(axis=2)
