"""Decoding of isolates: copies per bin by the hidden Markov model, given the expected depth at one copy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from copyfold.cnv.countmodel import kernels
from copyfold.cnv.countmodel.ends import SharedEnds
from copyfold.cnv.countmodel.states import StateChain
from copyfold.hmm.gaussian import run_batches


class Decoded(NamedTuple):
    """What decoding says about n isolates of B bins.

    Attributes
    ----------
    classes : numpy.ndarray, (n, B, 4), float32
        Posterior probability of `states.BIN_CLASSES`.
    copies : numpy.ndarray, (n, B), float32
        Posterior mean of the copies; in the end bin of an event the part that it covers counts.
    plain : numpy.ndarray, (n, B), float32
        Posterior probability of plainly one copy: neither divergent nor an event's end.
    state : numpy.ndarray, (n, B), int16
        Most probable state of each bin (index into the chain).
    watched : numpy.ndarray, (n, W, S), float32
        Posterior of all states at the watched bins.
    log_likelihood : numpy.ndarray, (n,), float64
        Log likelihood, relative to each bin's best level.
    """

    classes: np.ndarray
    copies: np.ndarray
    plain: np.ndarray
    state: np.ndarray
    watched: np.ndarray
    log_likelihood: np.ndarray


class DepthOffset(NamedTuple):
    """An alternative to the expected depth, as from relatives; the likelihood is a mixture of both.

    Attributes
    ----------
    log_ratio : numpy.ndarray, (n, B), float32
        Natural logarithm of alternative over expected depth.
    share : numpy.ndarray, (n, B), float32
        Weight of the alternative, in [0, 1).
    """

    log_ratio: np.ndarray
    share: np.ndarray


def decode(
    counts: np.ndarray,
    expected: np.ndarray,
    dispersion: np.ndarray,
    bin_dispersion: np.ndarray,
    chain: StateChain,
    *,
    ends: SharedEnds | None = None,
    offset: DepthOffset | None = None,
    gain_odds: np.ndarray | None = None,
    watched_bins: Sequence[int] = (),
    borders: Sequence[int] | None = None,
    n_threads: int | None = None,
) -> tuple[Decoded, np.ndarray]:
    """Decode isolates by forward–backward.

    Parameters
    ----------
    counts : numpy.ndarray, (n, B), reads
    expected : numpy.ndarray, (n, B), float32, reads
        Expected reads at one copy. Bins below `kernels.MIN_EXPECTED` are uninformative.
    dispersion : numpy.ndarray, (n,), float32
        Negative-binomial dispersion of the isolates: variance = mean + dispersion × mean².
    bin_dispersion : numpy.ndarray, (B,), float32
        What is added to it in a bin.
    chain : StateChain
    ends : SharedEnds, optional
        Where absent runs are known to end.
    offset : DepthOffset, optional
    gain_odds : numpy.ndarray, (n, B), optional
        Odds of at least two copies that something beside the isolate's reads speaks for, bin by bin: a factor of the
        likelihood of all such states.
    watched_bins : sequence of int
        Bins whose full posteriors are wanted.
    borders : sequence of int, optional
        First bins of the contigs and B: each is a chain of its own, and no event runs from one into the next.
    n_threads : int, optional
        Threads; the result does not depend on it. By default numba's number.

    Returns
    -------
    Decoded
    numpy.ndarray, (n, B), float32, reads
        Expected reads at one copy; the offset's where it explains the bin's most probable state better.
    """
    counts = np.ascontiguousarray(counts, np.float32)
    expected = np.array(expected, np.float32, order="C")
    n, n_bins = counts.shape
    watched = np.asarray(watched_bins, np.int64)
    chains = np.asarray((0, n_bins) if borders is None else borders, np.int64)
    if ends is None:
        ends = SharedEnds.none(n_bins)
    if offset is None:
        offset = DepthOffset(np.empty((n, 0), np.float32), np.empty((n, 0), np.float32))
    odds = np.empty((n, 0), np.float32) if gain_odds is None else np.ascontiguousarray(gain_odds, np.float32)
    decoded = Decoded(
        np.empty((n, n_bins, 4), np.float32),
        np.empty((n, n_bins), np.float32),
        np.empty((n, n_bins), np.float32),
        np.empty((n, n_bins), np.int16),
        np.empty((n, len(watched), len(chain.start)), np.float32),
        np.empty(n),
    )
    dispersion, bin_dispersion = np.asarray(dispersion, np.float32), np.asarray(bin_dispersion, np.float32)

    def work(batch: slice) -> None:
        kernels.decode_batch(
            counts[batch],
            dispersion[batch],
            bin_dispersion,
            chain,
            ends,
            offset.log_ratio[batch],
            offset.share[batch],
            odds[batch],
            watched,
            chains,
            expected[batch],
            Decoded(*(part[batch] for part in decoded)),
        )

    run_batches(work, n, n_threads)
    return decoded, expected
