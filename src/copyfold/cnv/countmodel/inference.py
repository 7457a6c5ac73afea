"""Isolates under a fitted count model: their expected depth at one copy, and their copies bin by bin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from copyfold.cnv.countmodel import factors
from copyfold.cnv.countmodel.decoder import decode
from copyfold.cnv.countmodel.fitting import CountModel, checked_counts, plain_weight, row_digests
from copyfold.cnv.countmodel.relatives import full_depth_offset, relative_offset, relatives_gain_odds
from copyfold.cnv.countmodel.states import ABSENT, MIXED, MORE, ONE, StateChain, build_chain
from copyfold.errors import InputError

CHUNK = 256
"""Isolates inferred at a time: bounds the memory."""


class Expectation(NamedTuple):
    """What n isolates would show at one copy.

    Attributes
    ----------
    expected : numpy.ndarray, (n, B), float32, reads
        Expected reads at one copy, reduced where the isolate's relatives are divergent.
    dispersion : numpy.ndarray, (n,), float32
        Negative-binomial dispersion of the isolates; bins add their own.
    coefficients : numpy.ndarray, (n, p), float64
        Coefficients of constant, covariates and factors.
    """

    expected: np.ndarray
    dispersion: np.ndarray
    coefficients: np.ndarray


class IsolateCalls(NamedTuple):
    """Copies of n isolates in B bins.

    Attributes
    ----------
    classes : numpy.ndarray, (n, B, 4), float32
        Posterior probability of `states.BIN_CLASSES`.
    copies : numpy.ndarray, (n, B), float32
        Posterior mean of the copies.
    bin_class : numpy.ndarray, (n, B), int8
        Class called: index into `states.BIN_CLASSES`.
    certainty : numpy.ndarray, (n, B), float32
        Posterior probability of the class called; for "more" that of more than one copy, mixed included.
    state : numpy.ndarray, (n, B), int16
        Most probable state of the chain.
    watched : numpy.ndarray, (n, W, S), float32
        Posterior of all states at the watched bins.
    """

    classes: np.ndarray
    copies: np.ndarray
    bin_class: np.ndarray
    certainty: np.ndarray
    state: np.ndarray
    watched: np.ndarray


def expect_isolates(counts: np.ndarray, model: CountModel, *, n_threads: int | None = None) -> Expectation:
    """Estimate what isolates would show at one copy, with the bins' effects fixed.

    Isolates that the model was fitted to are known by their counts: their own reads are taken out of what their
    relatives show.

    Parameters
    ----------
    counts : numpy.ndarray, (n, B), reads
    model : CountModel
    n_threads : int, optional
        Threads for decoding; the result does not depend on it.

    Returns
    -------
    Expectation
    """
    counts = checked_counts(counts)
    n, n_bins = counts.shape
    if n_bins != len(model.effects.baseline):
        raise InputError(f"counts have {n_bins} bins, the count model has {len(model.effects.baseline)}")
    trained = np.isin(row_digests(counts), model.fitted)
    chain = build_chain(model.settings)
    parts = []
    with threadpool_limits(1, user_api="blas"):
        for first in range(0, max(n, 1), CHUNK):
            rows = slice(first, first + CHUNK)
            parts.append(_expect_chunk(counts[rows], model, chain, trained[rows], n_threads))
    return Expectation(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _expect_chunk(
    counts: np.ndarray, model: CountModel, chain: StateChain, trained: np.ndarray, n_threads: int | None
) -> Expectation:
    """Estimate some isolates; arguments as `expect_isolates`, checked."""
    s, effects = model.settings, model.effects
    coefficients = factors.start_coefficients(counts, effects, s)
    expected = factors.expected_depth(effects, coefficients)
    weight = factors.near_one_copy(counts, expected)
    offset = odds = None
    if model.relatives is not None:
        odds = relatives_gain_odds(counts, expected, model.relatives, s.relative_similarity)
    for left in reversed(range(s.n_decodings)):
        dispersion = factors.isolate_dispersion(counts, expected, weight, effects.dispersion, s.dispersion_floor)
        if not left and offset is None:
            break
        decoded, expected = decode(
            counts,
            expected,
            dispersion,
            effects.doubt,
            chain,
            ends=model.ends,
            offset=offset,
            gain_odds=odds,
            borders=model.borders,
            n_threads=n_threads,
        )
        if left:
            weight = plain_weight(decoded)
            both = factors.total_dispersion(dispersion, effects)
            if model.relatives is not None:
                offset = relative_offset(
                    counts, expected, both, decoded, chain, model.relatives, trained, s.relative_similarity
                )
            coefficients = factors.isolate_step(counts, coefficients, effects, both, weight, s, repeats=2)
            if offset is not None:
                offset = full_depth_offset(effects, coefficients, offset)
            expected = factors.expected_depth(effects, coefficients)
    return Expectation(expected, dispersion, coefficients)


def decode_isolates(
    counts: np.ndarray,
    expected: np.ndarray,
    dispersion: np.ndarray,
    model: CountModel,
    *,
    bins: slice = slice(None),
    watched_bins: Sequence[int] = (),
    n_threads: int | None = None,
) -> IsolateCalls:
    """Call the copies of isolates, given what they would show at one copy.

    Parameters
    ----------
    counts, expected : numpy.ndarray, (n, B), reads
    dispersion : numpy.ndarray, (n,)
    model : CountModel
    bins : slice
        Bins to decode, of one contig where not all: the results have these only. The chain forgets within a few
        dozen bins, so that bins far from the slice's ends come out as in the whole.
    watched_bins : sequence of int
        Bins, counted from the slice's first, whose full posteriors are kept.
    n_threads : int, optional
        Threads; the result does not depend on it.

    Returns
    -------
    IsolateCalls
    """
    chain = build_chain(model.settings)
    ends = model.ends
    if ends is not None:
        ends = ends._replace(level=ends.level[bins], weight=ends.weight[bins], absent=ends.absent[bins])
    odds = None
    if model.relatives is not None:
        odds = relatives_gain_odds(counts, expected, model.relatives, model.settings.relative_similarity, bins)
    decoded, _ = decode(
        checked_counts(counts[:, bins]),
        expected[:, bins],
        dispersion,
        model.effects.doubt[bins],
        chain,
        ends=ends,
        gain_odds=odds,
        watched_bins=watched_bins,
        borders=model.borders if bins == slice(None) else None,
        n_threads=n_threads,
    )
    bin_class, certainty = _call_bins(decoded.classes, model.settings.mixed_certainty)
    return IsolateCalls(decoded.classes, decoded.copies, bin_class, certainty, decoded.state, decoded.watched)


def isolate_depth(expected: np.ndarray, model: CountModel) -> np.ndarray:
    """Reads per full bin at one copy, (n,), float64: the median over reliable bins of expected reads over baseline."""
    reliable = np.flatnonzero(model.effects.reliable)
    return np.median(expected[:, reliable] / np.exp(model.effects.baseline[reliable]), axis=1)


def _call_bins(classes: np.ndarray, mixed_certainty: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the class called in each bin, int8, and its probability, float32; mixed only if certain."""
    more = classes[:, :, MIXED] + classes[:, :, MORE]
    absent, one = classes[:, :, ABSENT], classes[:, :, ONE]
    called = np.where(absent > np.maximum(one, more), ABSENT, np.where(one >= more, ONE, MORE))
    called[(called == MORE) & (classes[:, :, MIXED] > mixed_certainty * more)] = MIXED
    certainty = np.choose(called, [absent, one, classes[:, :, MIXED], more])
    return called.astype(np.int8), np.clip(certainty, 0, 1)
