"""Relatives: isolates that lack the same bins share a lineage, where its sequence diverges and what it has twice.

In a diverged region fewer reads map although the copies are there. One isolate's depth cannot tell a diverged bin from
a half-deleted one, nor a duplicated diverged bin from a plain one; that its relatives show the same reduced depth can.
Groups are the connected components of isolates whose sets of absent bins have a high Jaccard index. The reduced depth
enters decoding as an alternative to the expectation (a mixture), what most of a group have twice as odds; neither is
taken for a fact.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components
from scipy.special import ndtr

from copyfold.cnv.countmodel.decoder import Decoded, DepthOffset
from copyfold.cnv.countmodel.factors import BinEffects
from copyfold.cnv.countmodel.states import ABSENT, ONE, StateChain

PRIOR_SHARE = 0.03
"""Prior probability that a bin of a lineage is divergent."""

LEVEL_RANGE = (0.38, 0.95)
"""Levels of divergent bins: uniform in between."""

LEAST_MEMBERS = 4
"""Members from which a group says what its lineage has twice."""

MOST_ODDS = 20
"""Odds of a gain, per bin, that relatives speak for at most."""

ABSENT_BELOW = 0.25
"""Ratio of reads to expected reads below which a bin is taken for absent without decoding."""

SUNKEN = 1.5
"""Prior standard deviations below its prediction from which a baseline is that of divergent isolates."""

FULL_SHARE = 0.3
"""Prior probability that an isolate is not divergent where the baseline is."""


class Relatives(NamedTuple):
    """Groups of relatives.

    Attributes
    ----------
    bins : numpy.ndarray, (F,), int64
        Bins compared: absent in some isolates.
    absent : numpy.ndarray, (G, F), bool
        What most members of the group lack.
    reads, expected : numpy.ndarray, (G, B), float32
        Sums over members of weighted reads and weighted expected reads, over bins with one copy.
    gain_odds : numpy.ndarray, (G, B), uint8
        `lineage_gain_odds`; 1 where the group says nothing.
    """

    bins: np.ndarray
    absent: np.ndarray
    reads: np.ndarray
    expected: np.ndarray
    gain_odds: np.ndarray


def learn_relatives(
    counts: np.ndarray,
    expected: np.ndarray,
    dispersion: np.ndarray,
    decoded: Decoded,
    chain: StateChain,
    trusted_bins: np.ndarray,
    similarity: float,
    *,
    pool_gains: bool,
) -> Relatives:
    """Group the isolates of a decoded cohort and add up what their one-copy bins show.

    Parameters
    ----------
    counts, expected : numpy.ndarray, (n, B), float32, reads
    dispersion : numpy.ndarray, (n, B), float32
    decoded : Decoded
    chain : StateChain
    trusted_bins : numpy.ndarray, (B,), bool
        Bins in which absence can be told.
    similarity : float
        Jaccard index that links two isolates.
    pool_gains : bool
        Learn `gain_odds`. What GC and replication do must be known for it: relatives are often sequenced together, and
        a GC-rich bin of a batch looks like a gain of its lineage.

    Returns
    -------
    Relatives
    """
    absent = decoded.classes[:, :, ABSENT] > 0.5
    share = absent.mean(axis=0)
    bins = np.flatnonzero((share > max(0.002, 1.5 / len(counts))) & (share < 0.998) & trusted_bins)
    absent = absent[:, bins]
    linked = _jaccard(absent, absent) > similarity
    n_groups, group = connected_components(csr_matrix(linked), directed=False)
    member = np.zeros((n_groups, len(counts)), np.float32)
    member[group, np.arange(len(counts))] = 1
    reads, mean = _one_copy_sums(counts, expected, dispersion, decoded.state, chain)
    most = member @ absent.astype(np.float32) / member.sum(axis=1, keepdims=True) > 0.5
    odds = np.ones((n_groups, counts.shape[1]), np.uint8)
    for number in np.flatnonzero(np.bincount(group) >= LEAST_MEMBERS) if pool_gains else ():
        rows = group == number
        odds[number] = lineage_gain_odds(counts[rows], expected[rows], dispersion[rows])
    return Relatives(bins, most, member @ reads, member @ mean, odds)


def lineage_gain_odds(counts: np.ndarray, expected: np.ndarray, dispersion: np.ndarray) -> np.ndarray:
    """Return the odds, bin by bin, that a member of a group of relatives has at least two copies.

    What a lineage has twice its members have, and shallow ones alone cannot show a short duplication. Reads say for
    each member how much likelier two copies are than one; the share of members that have two maximises the likelihood
    of all (expectation–maximisation of a mixture of the two).

    Parameters
    ----------
    counts, expected : numpy.ndarray, (n, B), float32, reads
    dispersion : numpy.ndarray, (n, B), float32

    Returns
    -------
    numpy.ndarray, (B,), uint8
        The share counted as if one member more had one copy, over its complement: whole, 1 to `MOST_ODDS`.
    """
    size = 1 / np.maximum(dispersion, 1e-6)
    log_ratio = counts * np.log(2) - (counts + size) * np.log((size + 2 * expected) / (size + expected))
    ratio = np.exp(np.clip(log_ratio, -20, 20))
    share = np.full(counts.shape[1], 0.5)
    for _ in range(20):
        share = (share * ratio / (share * ratio + 1 - share)).mean(axis=0)
    share *= len(counts) / (len(counts) + 1)
    return np.clip(np.rint(share / (1 - share)), 1, MOST_ODDS).astype(np.uint8)


def relatives_gain_odds(
    counts: np.ndarray, expected: np.ndarray, relatives: Relatives, similarity: float, bins: slice = slice(None)
) -> np.ndarray:
    """Return the `gain_odds` of each isolate's relatives, (n, width of `bins`), uint8; 1 for isolates without any.

    Parameters
    ----------
    counts, expected : numpy.ndarray, (n, B), float32, reads
        Reads, and what they would be at one copy: bins with less than `ABSENT_BELOW` of it are taken for absent.
    relatives : Relatives
    similarity : float
        As in `learn_relatives`.
    bins : slice
        Bins to return.
    """
    absent = counts[:, relatives.bins] < ABSENT_BELOW * expected[:, relatives.bins]
    group, near = _nearest_group(absent, relatives, similarity)
    return np.where(near[:, None], relatives.gain_odds[group, bins], np.uint8(1))


def relative_offset(
    counts: np.ndarray,
    expected: np.ndarray,
    dispersion: np.ndarray,
    decoded: Decoded,
    chain: StateChain,
    relatives: Relatives,
    trained: np.ndarray,
    similarity: float,
) -> DepthOffset:
    """Return the reduced depths that an isolate's relatives show.

    Parameters
    ----------
    counts, expected, dispersion, decoded, chain, similarity
        As in `learn_relatives`.
    relatives : Relatives
    trained : numpy.ndarray, (n,), bool
        Isolates that took part in the group's sums; their own share is taken out.

    Returns
    -------
    DepthOffset
        Share 0 where relatives show no plain reduction, or the isolate's own depths contradict kinship.
    """
    absent = decoded.classes[:, relatives.bins, ABSENT] > 0.5
    group, near = _nearest_group(absent, relatives, similarity)
    reads, mean = _one_copy_sums(counts, expected, dispersion, decoded.state, chain)
    own = (trained & near).astype(np.float32)[:, None]
    group_mean = np.maximum(relatives.expected[group] - own * mean, 0)
    ratio = np.clip((relatives.reads[group] - own * reads) / np.maximum(group_mean, 1e-3), 0.0, 3.0)
    variance = np.maximum(ratio, 0.02) / np.maximum(group_mean, 1e-3) + 0.03**2  # 3 %: error of the expectation
    error = np.sqrt(variance)
    low, high = LEVEL_RANGE
    inside = (ndtr((high - ratio) / error) - ndtr((low - ratio) / error)) / (high - low)
    log_divergent = np.log(PRIOR_SHARE * inside + 1e-30)
    log_one = np.log(1 - PRIOR_SHARE) - 0.5 * (ratio - 1) ** 2 / variance - np.log(error * np.sqrt(2 * np.pi))
    reduced = (log_divergent > log_one) & (group_mean > 8) & near[:, None] & (ratio < 0.97)
    # Absent bins alone may deceive: the isolate's own one-copy bins must on balance show the reductions, too.
    level = np.clip(ratio, 0.35, 1)
    observed = counts / np.maximum(expected, 1e-3)
    support = np.clip(0.5 * mean * ((observed - 1) ** 2 - (observed - level) ** 2), -10, 10)
    related = (support * reduced).sum(axis=1) > 0
    on = reduced & related[:, None]
    share = 1 / (1 + np.exp(np.clip(log_one - log_divergent, -30, 30)))
    return DepthOffset(
        np.where(on, np.log(level), 0).astype(np.float32), np.where(on, np.clip(share, 0, 0.98), 0).astype(np.float32)
    )


def full_depth_offset(effects: BinEffects, coefficients: np.ndarray, offset: DepthOffset) -> DepthOffset:
    """Add the depth that bins are predicted to have where the cohort's baseline lies far below it.

    Where most isolates of the fit are divergent, so is the baseline, and an isolate that is not seems to have more than
    one copy. Where relatives say something, that holds.

    Parameters
    ----------
    effects : BinEffects
    coefficients : numpy.ndarray, (n, p), float64
    offset : DepthOffset
        What relatives say.

    Returns
    -------
    DepthOffset
    """
    factors = coefficients[:, effects.covariates.shape[1] :]
    shortfall = effects.baseline_prior - effects.baseline - factors @ effects.loadings.T
    free = (shortfall > SUNKEN * effects.baseline_prior_sd) & effects.reliable & (offset.share == 0)
    return DepthOffset(
        np.where(free, shortfall, offset.log_ratio).astype(np.float32),
        np.where(free, FULL_SHARE, offset.share).astype(np.float32),
    )


def _nearest_group(absent: np.ndarray, relatives: Relatives, similarity: float) -> tuple[np.ndarray, np.ndarray]:
    """Return each isolate's most similar group, (n,), and whether it is a relative, (n,) bool, by its absent `bins`."""
    alike = _jaccard(absent, relatives.absent)
    group = alike.argmax(axis=1)
    return group, alike[np.arange(len(alike)), group] > similarity


def _jaccard(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the Jaccard index of every row of `first` (n, F) with every row of `second` (m, F), both bool: (n, m)."""
    a, b = first.astype(np.float32), second.astype(np.float32)
    both = a @ b.T
    return both / np.maximum(a.sum(axis=1)[:, None] + b.sum(axis=1) - both, 1)


def _one_copy_sums(
    counts: np.ndarray, expected: np.ndarray, dispersion: np.ndarray, state: np.ndarray, chain: StateChain
) -> tuple[np.ndarray, np.ndarray]:
    """Return reads and expected reads, weighted by 1 / (1 + dispersion × expected), 0 outside one copy: (n, B) each."""
    weight = (chain.state_class == ONE)[state] / (1 + dispersion * expected)
    return (weight * counts).astype(np.float32), (weight * expected).astype(np.float32)
