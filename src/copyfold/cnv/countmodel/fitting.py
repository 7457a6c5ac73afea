"""Fitting the count model to a cohort, and calling isolates with it.

Fitting alternates between decoding (what copies each isolate has, given the expected depth at one copy) and regression
(the expected depth, given which bins plainly have one copy): expectation–maximisation with the expected depth's own
maximisation replaced by a few Fisher scoring steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from copyfold.cnv.countmodel import factors
from copyfold.cnv.countmodel.baseline import start_baseline, start_effects
from copyfold.cnv.countmodel.decoder import Decoded, decode
from copyfold.cnv.countmodel.ends import SharedEnds, learn_ends
from copyfold.cnv.countmodel.factors import BinEffects
from copyfold.cnv.countmodel.relatives import Relatives, learn_relatives, relative_offset
from copyfold.cnv.countmodel.settings import CountModelSettings
from copyfold.cnv.countmodel.states import ABSENT, MIXED, MORE, ONE, StateChain, build_chain
from copyfold.errors import InputError

CHUNK = 256
"""Isolates inferred at a time: bounds the memory."""

Progress = Callable[[str], None]


@dataclass(frozen=True)
class CountModel:
    """What a cohort teaches about the bins.

    Attributes
    ----------
    effects : BinEffects
        Expected depth at one copy.
    ends : SharedEnds or None
        Where absent runs end.
    relatives : Relatives or None
        Groups of relatives and their divergence.
    settings : CountModelSettings
    """

    effects: BinEffects
    ends: SharedEnds | None
    relatives: Relatives | None
    settings: CountModelSettings


class IsolateCalls(NamedTuple):
    """Copies of n isolates in B bins.

    Attributes
    ----------
    expected : numpy.ndarray, (n, B), float32, reads
        Expected reads at one copy.
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
        Posterior of all states at `watched_bins`.
    watched_bins : numpy.ndarray, (W,), int64
    depth : numpy.ndarray, (n,), float64, reads
        Reads per full bin at one copy.
    dispersion : numpy.ndarray, (n,), float32
        Negative-binomial dispersion of the isolate.
    coefficients : numpy.ndarray, (n, p), float64
        Coefficients of constant, covariates and factors.
    """

    expected: np.ndarray
    classes: np.ndarray
    copies: np.ndarray
    bin_class: np.ndarray
    certainty: np.ndarray
    state: np.ndarray
    watched: np.ndarray
    watched_bins: np.ndarray
    depth: np.ndarray
    dispersion: np.ndarray
    coefficients: np.ndarray


def fit_count_model(
    counts: np.ndarray,
    covariates: np.ndarray | None,
    mappability: np.ndarray | None,
    width: np.ndarray,
    settings: CountModelSettings,
    progress: Progress | None = None,
    *,
    n_threads: int | None = None,
) -> CountModel:
    """Fit the count model to a cohort.

    Parameters
    ----------
    counts : numpy.ndarray, (n, B), reads
        Reads per bin; bins in the order of the chromosome.
    covariates : numpy.ndarray, (B, q − 1), float, optional
        Known covariates of the bins, as from `bin_covariates`.
    mappability : numpy.ndarray, (B,), float, optional
        Share of the bin's reads that map there, 0 to 1. Without it the cohort's trimmed median takes its place.
    width : numpy.ndarray, (B,), float
        Width of the bins in units of a full bin, above 0.
    settings : CountModelSettings
    progress : callable, optional
        Called with a line before every step.
    n_threads : int, optional
        Threads for decoding; the result does not depend on it.

    Returns
    -------
    CountModel
    """
    counts = _checked_counts(counts)
    width = np.asarray(width, float)
    _check_bins(counts, covariates, mappability, width, settings)
    with threadpool_limits(1, user_api="blas"):  # the order of sums depends on BLAS's number of threads
        return _fit(counts, covariates, mappability, width, settings, progress or _silent, n_threads)


def _fit(
    counts: np.ndarray,
    covariates: np.ndarray | None,
    mappability: np.ndarray | None,
    width: np.ndarray,
    s: CountModelSettings,
    progress: Progress,
    n_threads: int | None,
) -> CountModel:
    """Fit to checked input."""
    chain = build_chain(s)
    progress("start of the fit")
    effects = start_effects(counts, covariates, mappability, width, s)
    trusted = effects.baseline_prior > -0.5 if mappability is not None else effects.reliable
    coefficients = factors.start_coefficients(counts, effects, s)
    deep = coefficients[:, 0] > np.log(s.min_depth)
    if not deep.any():
        raise InputError(f"no isolate has {s.min_depth:g} reads per bin: the count model cannot be fitted")
    counts = counts[deep]
    effects = start_baseline(counts, coefficients[deep], effects)
    coefficients = factors.start_coefficients(counts, effects, s)
    n_factors = min(s.n_factors, len(counts) // 4)
    expected = factors.expected_depth(effects, coefficients)
    weight = factors.near_one_copy(counts, expected)
    ends = relatives = None
    for fit_round in range(s.n_rounds):
        progress(f"decoding, round {fit_round + 1} of {s.n_rounds}")
        dispersion = factors.isolate_dispersion(counts, expected, weight, effects.dispersion, s.dispersion_floor)
        decoded, expected = decode(counts, expected, dispersion, effects.dispersion, chain, n_threads=n_threads)
        weight = _plain_weight(decoded)
        both = factors.total_dispersion(dispersion, effects)
        if fit_round + 1 == s.n_rounds:
            if s.shared_ends:
                ends = learn_ends(counts, expected, dispersion, effects.dispersion, decoded.state, chain)
            if s.relatives:
                relatives = learn_relatives(counts, expected, both, decoded, chain, trusted, s.relative_similarity)
        progress(f"expected depth, round {fit_round + 1} of {s.n_rounds}")
        if fit_round == 0 and n_factors:
            for _ in range(2):
                effects = factors.bin_step(counts, coefficients, effects, both, weight)
                coefficients = factors.isolate_step(counts, coefficients, effects, both, weight, s)
            effects, coefficients = factors.start_factors(
                counts, coefficients, effects, both, weight, n_factors, s.loading_sd
            )
            coefficients = factors.isolate_step(counts, coefficients, effects, both, weight, s, repeats=2)
        information = factors.working_fit(counts, expected, both, weight)[0].sum(axis=0)
        for _ in range(s.n_sweeps):
            effects = factors.bin_step(counts, coefficients, effects, both, weight)
            coefficients, effects = factors.standardise_factors(coefficients, effects)
            effects = factors.learn_loading_variance(effects, information, s.loading_sd)
            coefficients = factors.isolate_step(counts, coefficients, effects, both, weight, s)
        expected = factors.expected_depth(effects, coefficients)
        dispersion = factors.isolate_dispersion(counts, expected, weight, effects.dispersion, s.dispersion_floor)
        effects = effects._replace(dispersion=factors.dispersion_of_bins(counts, expected, weight, dispersion))
    return CountModel(effects, ends, relatives, s)


def infer_isolates(
    counts: np.ndarray,
    model: CountModel,
    *,
    trained: np.ndarray | None = None,
    watched_bins: Sequence[int] = (),
    n_threads: int | None = None,
    progress: Progress | None = None,
) -> IsolateCalls:
    """Call the copies of isolates, of the fitted cohort or not, with the bins' effects fixed.

    Parameters
    ----------
    counts : numpy.ndarray, (n, B), reads
    model : CountModel
    trained : numpy.ndarray, (n,), bool, optional
        Isolates that the model was fitted to (default: none): their own reads are taken out of what relatives show.
    watched_bins : sequence of int
        Bins whose full posteriors are kept, as `call_genes` needs for the bins of its genes.
    n_threads : int, optional
        Threads for decoding; the result does not depend on it.
    progress : callable, optional
        Called with a line before every chunk of isolates.

    Returns
    -------
    IsolateCalls
    """
    counts = _checked_counts(counts)
    n, n_bins = counts.shape
    if n_bins != len(model.effects.baseline):
        raise InputError(f"counts have {n_bins} bins, the count model has {len(model.effects.baseline)}")
    known = np.zeros(n, bool) if trained is None else np.asarray(trained, bool)
    watched = np.asarray(watched_bins, np.int64)
    chain = build_chain(model.settings)
    parts = []
    with threadpool_limits(1, user_api="blas"):
        for first in range(0, max(n, 1), CHUNK):
            if progress is not None:
                progress(f"calling isolates {first + 1} to {min(first + CHUNK, n)} of {n}")
            rows = slice(first, first + CHUNK)
            parts.append(_infer_chunk(counts[rows], model, chain, known[rows], watched, n_threads))
    joined = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    return IsolateCalls(*joined)._replace(watched_bins=watched)


def _infer_chunk(
    counts: np.ndarray,
    model: CountModel,
    chain: StateChain,
    trained: np.ndarray,
    watched: np.ndarray,
    n_threads: int | None,
) -> IsolateCalls:
    """Call some isolates; arguments as `infer_isolates`, checked."""
    s, effects = model.settings, model.effects
    coefficients = factors.start_coefficients(counts, effects, s)
    expected = factors.expected_depth(effects, coefficients)
    weight = factors.near_one_copy(counts, expected)
    offset = None
    for left in reversed(range(s.n_decodings)):
        dispersion = factors.isolate_dispersion(counts, expected, weight, effects.dispersion, s.dispersion_floor)
        decoded, expected = decode(
            counts,
            expected,
            dispersion,
            effects.dispersion,
            chain,
            ends=model.ends,
            offset=offset,
            watched_bins=() if left else watched,
            n_threads=n_threads,
        )
        if left:
            weight = _plain_weight(decoded)
            both = factors.total_dispersion(dispersion, effects)
            if model.relatives is not None:
                offset = relative_offset(
                    counts, expected, both, decoded, chain, model.relatives, trained, s.relative_similarity
                )
            coefficients = factors.isolate_step(counts, coefficients, effects, both, weight, s, repeats=2)
            expected = factors.expected_depth(effects, coefficients)
    bin_class, certainty = _call_bins(decoded.classes, s.mixed_certainty)
    return IsolateCalls(
        expected=expected,
        classes=decoded.classes,
        copies=decoded.copies,
        bin_class=bin_class,
        certainty=certainty,
        state=decoded.state,
        watched=decoded.watched,
        watched_bins=watched,
        depth=np.exp(coefficients[:, 0]),
        dispersion=dispersion,
        coefficients=coefficients,
    )


def _plain_weight(decoded: Decoded) -> np.ndarray:
    """Return the weight of bins in the regression: P(plainly one copy), 0 below a half."""
    return np.where(decoded.plain < 0.5, np.float32(0), decoded.plain)


def _call_bins(classes: np.ndarray, mixed_certainty: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the class called in each bin, int8, and its probability, float32; mixed only if certain."""
    more = classes[:, :, MIXED] + classes[:, :, MORE]
    absent, one = classes[:, :, ABSENT], classes[:, :, ONE]
    called = np.where(absent > np.maximum(one, more), ABSENT, np.where(one >= more, ONE, MORE))
    called[(called == MORE) & (classes[:, :, MIXED] > mixed_certainty * more)] = MIXED
    certainty = np.choose(called, [absent, one, classes[:, :, MIXED], more])
    return called.astype(np.int8), np.clip(certainty, 0, 1)


def _silent(_: str) -> None:
    """Report nothing."""


def _checked_counts(counts: np.ndarray) -> np.ndarray:
    """Return the counts as float32, or raise."""
    counts = np.asarray(counts)
    if counts.ndim != 2:
        raise InputError(f"counts have {counts.ndim} dimensions: isolates × bins are needed")
    counts = np.ascontiguousarray(counts, np.float32)
    if not (np.isfinite(counts).all() and (counts >= 0).all()):
        raise InputError("counts must be finite and not negative")
    return counts


def _check_bins(
    counts: np.ndarray,
    covariates: np.ndarray | None,
    mappability: np.ndarray | None,
    width: np.ndarray,
    settings: CountModelSettings,
) -> None:
    """Raise unless what is known of the bins fits the counts."""
    n_bins = counts.shape[1]
    if width.shape != (n_bins,) or not (width > 0).all():
        raise InputError(f"width must hold one number above 0 for each of the {n_bins} bins")
    if mappability is not None and np.shape(mappability) != (n_bins,):
        raise InputError(f"mappability must hold one number for each of the {n_bins} bins")
    if covariates is not None:
        shape = np.shape(covariates)
        if len(shape) != 2 or shape[0] != n_bins or shape[1] > len(settings.covariate_sd):
            raise InputError(
                f"covariates have shape {shape}: {n_bins} bins × at most {len(settings.covariate_sd)} are needed"
            )
