"""Shared ends: levels at which absent runs end in a bin, learnt over isolates.

An island has its ends at one base in all isolates that lack it, so the fraction of the end bin that is left takes few
values over a cohort. A mixture of atoms of the depth ratios of end bins finds them (number of atoms by BIC, Schwarz
1978); an end then lies at an atom or, uniformly, at a level of the isolate's own. Pooled over isolates an atom's
level is known well enough to say on which side of the limit between absent and present (0.3) it lies.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numba
import numpy as np
from scipy.special import ndtr

from copyfold.cnv.countmodel.states import SHARED_END, StateChain

MAX_ATOMS = 4
MIN_ISOLATES = 3
ABSENT_LIMIT = 0.3


class SharedEnds(NamedTuple):
    """Levels at which absent runs end, J per bin.

    Attributes
    ----------
    level : numpy.ndarray, (B, J), float64, copies
        Levels, stray reads included; the most common first.
    weight : numpy.ndarray, (B, J), float64
        Share of the ends in this bin that lie there, 0 for levels not in use.
    absent : numpy.ndarray, (B, J), float64
        Probability that the level without stray reads is at most 0.3 copies.
    stray : float
        Mean level of reads in plainly absent bins.
    """

    level: np.ndarray
    weight: np.ndarray
    absent: np.ndarray
    stray: float

    @classmethod
    def none(cls, n_bins: int) -> SharedEnds:
        """Return ends for which nothing is known."""
        return cls(np.ones((n_bins, 1)), np.zeros((n_bins, 1)), np.zeros((n_bins, 1)), 0.0)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def fit_atoms(ratio, variance, level, weight, n_steps):
    """EM for a mixture of atoms seen with known normal errors; `level` and `weight` (K,) are changed in place.

    A constant density of 1e-3 takes what no atom explains. Returns the log likelihood.
    """
    n_atoms = level.size
    part = np.empty(n_atoms)
    log_likelihood = 0.0
    for _ in range(n_steps):
        number, precision, weighted = np.zeros(n_atoms), np.zeros(n_atoms), np.zeros(n_atoms)
        log_likelihood = 0.0
        for i in range(ratio.size):
            total = 1e-3
            for k in range(n_atoms):
                squared = (ratio[i] - level[k]) ** 2
                part[k] = weight[k] * math.exp(-0.5 * squared / variance[i]) / math.sqrt(variance[i])
                total += part[k]
            log_likelihood += math.log(total)
            for k in range(n_atoms):
                share = part[k] / total
                number[k] += share
                precision[k] += share / variance[i]
                weighted[k] += share * ratio[i] / variance[i]
        for k in range(n_atoms):
            weight[k] = number[k] / ratio.size
            if precision[k] > 0.0:
                level[k] = weighted[k] / precision[k]
    return log_likelihood


def learn_ends(
    counts: np.ndarray,
    expected: np.ndarray,
    dispersion: np.ndarray,
    bin_dispersion: np.ndarray,
    state: np.ndarray,
    chain: StateChain,
) -> SharedEnds:
    """Learn the shared ends from a decoded cohort.

    Parameters
    ----------
    counts, expected : numpy.ndarray, (n, B), reads
    dispersion : numpy.ndarray, (n,)
    bin_dispersion : numpy.ndarray, (B,)
    state : numpy.ndarray, (n, B), int
        Most probable states.
    chain : StateChain

    Returns
    -------
    SharedEnds
    """
    n_bins = counts.shape[1]
    at_end = (chain.emissions.kind == SHARED_END)[chain.emission_row][state]
    inside = (state == chain.absent) & (expected > 3)
    stray = float(counts[inside].sum(dtype=float) / max(expected[inside].sum(dtype=float), 1.0))
    ends = SharedEnds(*(np.full((n_bins, MAX_ATOMS), x) for x in (1.0, 0.0, 0.0)), stray)
    for b in np.flatnonzero(at_end.sum(axis=0) >= MIN_ISOLATES):
        isolates = np.flatnonzero(at_end[:, b] & (expected[:, b] > 2))
        if len(isolates) < MIN_ISOLATES:
            continue
        reads, mean = counts[isolates, b].astype(float), expected[isolates, b].astype(float)
        ratio = reads / mean
        # Poisson and extra-Poisson variance, and 2 % for the error of the expectation.
        variance = (reads + 0.7 + (dispersion[isolates] + bin_dispersion[b]) * reads**2) / mean**2
        variance += (0.02 * ratio) ** 2
        level, weight = _best_mixture(ratio, variance)
        number = weight * len(isolates)
        keep = np.flatnonzero(number >= 1.5)
        keep = keep[np.argsort(-number[keep], kind="stable")]
        k = len(keep)
        level, number = level[keep], number[keep]
        near = np.abs(ratio - level[:, None]) < 3 * np.sqrt(variance)
        error = np.sqrt(1 / ((near / variance).sum(axis=1) + 1e-9) + (0.01 * level) ** 2)
        ends.level[b, :k] = np.clip(level, 0.002, 1.2)
        ends.weight[b, :k] = number / (len(isolates) + 1.0)
        ends.absent[b, :k] = ndtr((ABSENT_LIMIT - (level - stray)) / error)
    return ends


def _best_mixture(ratio: np.ndarray, variance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return levels and weights of the mixture with the lowest BIC."""
    n = len(ratio)
    best, lowest = (np.empty(0), np.empty(0)), np.inf
    for n_atoms in range(1, min(MAX_ATOMS, n // 2) + 1):
        level = np.quantile(ratio, (np.arange(n_atoms) + 0.5) / n_atoms)
        weight = np.full(n_atoms, 1.0 / n_atoms)
        log_likelihood = fit_atoms(ratio, variance, level, weight, 25)
        criterion = -2.0 * log_likelihood + (2 * n_atoms - 1) * math.log(n)
        if criterion < lowest:
            best, lowest = (level, weight), criterion
    return best
