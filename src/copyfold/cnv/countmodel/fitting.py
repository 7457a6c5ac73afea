"""Fitting the count model to a cohort.

Fitting alternates between decoding (what copies each isolate has, given the expected depth at one copy) and regression
(the expected depth, given which bins plainly have one copy): expectation–maximisation with the expected depth's own
maximisation replaced by a few Fisher scoring steps.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from copyfold.cnv.countmodel import factors
from copyfold.cnv.countmodel.baseline import start_baseline, start_effects
from copyfold.cnv.countmodel.decoder import Decoded, decode
from copyfold.cnv.countmodel.ends import SharedEnds, learn_ends
from copyfold.cnv.countmodel.factors import BinEffects
from copyfold.cnv.countmodel.relatives import Relatives, learn_relatives, relatives_gain_odds
from copyfold.cnv.countmodel.settings import CountModelSettings
from copyfold.cnv.countmodel.states import build_chain
from copyfold.cnv.countmodel.windows import window_excess
from copyfold.errors import InputError

Progress = Callable[[int, str], None]
"""Told the number of steps done, of `n_fit_steps`, and the one that begins."""


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
    excess : numpy.ndarray, (len(WINDOWS),), float64
        `window_excess` of the cohort.
    borders : numpy.ndarray, (n_contigs + 1,), int64
        First bins of the contigs, and B.
    fitted : numpy.ndarray, (n,), int64
        `row_digests` of the isolates that the model was fitted to.
    history : numpy.ndarray, (n_rounds, 3), float64
        Of each round: log likelihood per bin (relative to each bin's best level), share of bins with plainly one copy,
        median dispersion of the isolates.
    settings : CountModelSettings
    """

    effects: BinEffects
    ends: SharedEnds | None
    relatives: Relatives | None
    excess: np.ndarray
    borders: np.ndarray
    fitted: np.ndarray
    history: np.ndarray
    settings: CountModelSettings


def fit_count_model(
    counts: np.ndarray,
    covariates: np.ndarray | None,
    mappability: np.ndarray | None,
    width: np.ndarray,
    settings: CountModelSettings,
    progress: Progress | None = None,
    *,
    borders: np.ndarray | None = None,
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
        Called before every step and at the end.
    borders : numpy.ndarray, (n_contigs + 1,), int64, optional
        First bins of the contigs, and B; by default all bins are one contig's.
    n_threads : int, optional
        Threads for decoding; the result does not depend on it.

    Returns
    -------
    CountModel
    """
    counts = checked_counts(counts)
    width = np.asarray(width, float)
    _check_bins(counts, covariates, mappability, width, settings)
    chains = np.array([0, counts.shape[1]]) if borders is None else np.asarray(borders, np.int64)
    with threadpool_limits(1, user_api="blas"):  # the order of sums depends on BLAS's number of threads
        return _fit(counts, covariates, mappability, width, settings, chains, progress or _silent, n_threads)


def _fit(
    counts: np.ndarray,
    covariates: np.ndarray | None,
    mappability: np.ndarray | None,
    width: np.ndarray,
    s: CountModelSettings,
    borders: np.ndarray,
    progress: Progress,
    n_threads: int | None,
) -> CountModel:
    """Fit to checked input."""
    chain = build_chain(s)
    progress(0, "a first baseline")
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
    ends = relatives = odds = None
    known = covariates is not None  # else it is the factors that follow GC, to ratios of two and more
    history = np.empty((s.n_rounds, 3))
    for fit_round in range(s.n_rounds):
        progress(2 * fit_round + 1, "decoding")
        dispersion = factors.isolate_dispersion(counts, expected, weight, effects.dispersion, s.dispersion_floor)
        decoded, expected = decode(
            counts,
            expected,
            dispersion,
            effects.dispersion,
            chain,
            gain_odds=odds,
            borders=borders,
            n_threads=n_threads,
        )
        weight = plain_weight(decoded)
        history[fit_round] = decoded.log_likelihood.mean() / counts.shape[1], weight.mean(), np.median(dispersion)
        both = factors.total_dispersion(dispersion, effects)
        last = fit_round + 1 == s.n_rounds
        if s.relatives and (last or known):
            relatives = learn_relatives(
                counts,
                expected,
                both,
                decoded,
                chain,
                trusted,
                s.relative_similarity,
                pool_gains=known,
            )
            odds = None if last else relatives_gain_odds(counts, expected, relatives, s.relative_similarity)
        if s.shared_ends and last:
            ends = learn_ends(counts, expected, dispersion, effects.dispersion, decoded.state, chain)
        progress(2 * fit_round + 2, "expected depth")
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
        if known:
            effects = factors.drop_copies(counts, coefficients, effects)
        expected = factors.expected_depth(effects, coefficients)
        dispersion = factors.isolate_dispersion(counts, expected, weight, effects.dispersion, s.dispersion_floor)
        effects = effects._replace(dispersion=factors.dispersion_of_bins(counts, expected, weight, dispersion))
    progress(n_fit_steps(s), "")
    excess = window_excess(counts, expected, dispersion, decoded.state, effects, chain)
    return CountModel(effects, ends, relatives, excess, borders, row_digests(counts), history, s)


def plain_weight(decoded: Decoded) -> np.ndarray:
    """Return the weight of bins in the regression: P(plainly one copy), 0 below a half."""
    return np.where(decoded.plain < 0.5, np.float32(0), decoded.plain)


def row_digests(counts: np.ndarray) -> np.ndarray:
    """Return a digest of each isolate's counts, (n,), int64, by which an isolate of the fit is known again."""
    rows = np.ascontiguousarray(counts, np.float32)
    digests = [hashlib.blake2b(row.tobytes(), digest_size=8).digest() for row in rows]
    return np.frombuffer(b"".join(digests), dtype=np.int64)


def n_fit_steps(settings: CountModelSettings) -> int:
    """Return the number of steps that `fit_count_model` reports."""
    return 2 * settings.n_rounds + 1


def _silent(_: int, __: str) -> None:
    """Report nothing."""


def checked_counts(counts: np.ndarray) -> np.ndarray:
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
