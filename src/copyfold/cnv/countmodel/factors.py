"""Expected depth at one copy: a masked low-rank negative-binomial regression.

    log mean_ib = covariates_b · g_i + baseline_b + loadings_b · u_i,        reads_ib ~ NB(mean_ib, dispersion)

over the bins b where isolate i plainly has one copy (weights in [0, 1]). Priors are normal: coefficients g with given
standard deviations, factors u with variance 1, baselines around a physical prediction, loadings with a variance learnt
per factor. Isolates and bins are refitted in turn, each by a penalised Fisher scoring step (iteratively reweighted
least squares; McCullagh & Nelder 1989, chapter 2), so that a masked fit costs a few matrix products.

Axes: n isolates, B bins, q covariates (the first constant), K factors, p = q + K.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from copyfold.cnv.countmodel.settings import CountModelSettings

MAX_BASELINE_SHIFT = 3.5
"""Prior standard deviations beyond which a baseline cannot move: a bin that most isolates have twice stays put."""

FACTOR_SHIFTS = (0.15, 0.25, 0.35)
"""Log depths (ratios of 1.16, 1.28, 1.42) from which on what factors add to a bin of several isolates is looked at."""

LEAST_TWO = 1.65
"""Reads over those expected without factors from which they are of two copies, or of two diverged ones."""

MIN_NEIGHBOUR_DEPTH = 20.0
"""Expected reads per bin from which neighbouring bins tell an isolate's dispersion."""

CHI_SQUARE_MEDIAN = 0.4549364
"""Median of a χ² variable with one degree of freedom."""


class BinEffects(NamedTuple):
    """What the expected depth of a bin depends on; logarithms are natural.

    Attributes
    ----------
    covariates : numpy.ndarray, (B, q), float64
        Known covariates, the first constant 1.
    baseline_prior, baseline_prior_sd : numpy.ndarray, (B,), float64
        Prior of the baseline.
    baseline : numpy.ndarray, (B,), float64
        Log depth of the bin relative to the isolate's level.
    baseline_variance : numpy.ndarray, (B,), float64
        Its approximate posterior variance.
    loadings : numpy.ndarray, (B, K), float64
    loading_variance : numpy.ndarray, (K,), float64
        Prior variance of the loadings.
    dispersion : numpy.ndarray, (B,), float32
        Negative-binomial dispersion that the bin adds to the isolate's.
    reliable : numpy.ndarray, (B,), bool
        Bins whose baseline prior can be trusted at the start.
    """

    covariates: np.ndarray
    baseline_prior: np.ndarray
    baseline_prior_sd: np.ndarray
    baseline: np.ndarray
    baseline_variance: np.ndarray
    loadings: np.ndarray
    loading_variance: np.ndarray
    dispersion: np.ndarray
    reliable: np.ndarray

    @property
    def doubt(self) -> np.ndarray:
        """Dispersion of the bins' counts and of what is not known of their baseline, (B,), float32."""
        return self.dispersion + self.baseline_variance.astype(np.float32)

    @property
    def design(self) -> np.ndarray:
        """Covariates and loadings, (B, p), float32."""
        return np.concatenate([self.covariates, self.loadings], axis=1).astype(np.float32)


def expected_depth(effects: BinEffects, coefficients: np.ndarray) -> np.ndarray:
    """Return the expected reads at one copy, (n, B), float32, for coefficients (n, p)."""
    log_depth = coefficients.astype(np.float32) @ effects.design.T
    log_depth += effects.baseline.astype(np.float32)
    return np.exp(log_depth, out=log_depth)


def total_dispersion(dispersion: np.ndarray, effects: BinEffects) -> np.ndarray:
    """Return the dispersion of every count, (n, B), float32, for those of the isolates (n,)."""
    return (dispersion[:, None] + effects.dispersion).astype(np.float32)


def coefficient_precision(effects: BinEffects, settings: CountModelSettings) -> np.ndarray:
    """Return the prior precision of an isolate's coefficients, (p,); its level is all but free."""
    known = 1.0 / np.array(settings.covariate_sd[: effects.covariates.shape[1] - 1]) ** 2
    return np.concatenate([[1e-6], known, np.ones(effects.loadings.shape[1])])


def working_fit(
    counts: np.ndarray, expected: np.ndarray, dispersion: np.ndarray | float, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return working weights and working residuals, both (n, B), of the log-linear NB model.

    Residuals, relative to the expectation, are cut at −1 and 1.5 so that a stray high count cannot drag a step.
    """
    working = weight * (expected / (1 + dispersion * expected))
    residual = np.clip((counts - expected) / np.maximum(expected, 1e-6), -1, 1.5)
    return working, residual


def isolate_step(
    counts: np.ndarray,
    coefficients: np.ndarray,
    effects: BinEffects,
    dispersion: np.ndarray | float,
    weight: np.ndarray,
    settings: CountModelSettings,
    repeats: int = 1,
) -> np.ndarray:
    """Refit the coefficients of every isolate, given the effects of the bins.

    Parameters
    ----------
    counts : numpy.ndarray, (n, B), float32, reads
    coefficients : numpy.ndarray, (n, p), float64
    effects : BinEffects
    dispersion : numpy.ndarray, (n, B), or float
    weight : numpy.ndarray, (n, B), float32
        How far each bin counts, 0 to 1.
    settings : CountModelSettings
    repeats : int
        Fisher scoring steps.

    Returns
    -------
    numpy.ndarray, (n, p), float64
    """
    design, precision = effects.design, coefficient_precision(effects, settings)
    for _ in range(repeats):
        working, residual = working_fit(counts, expected_depth(effects, coefficients), dispersion, weight)
        normal = _packed_gram(working, design) + np.diag(precision)
        slope = (working * residual) @ design - precision * coefficients
        coefficients = coefficients + np.linalg.solve(normal, slope[..., None])[..., 0]
    return coefficients


def bin_step(
    counts: np.ndarray,
    coefficients: np.ndarray,
    effects: BinEffects,
    dispersion: np.ndarray,
    weight: np.ndarray,
) -> BinEffects:
    """Refit baseline and loadings of every bin by one Fisher scoring step, given the isolates' coefficients.

    Arguments are those of `isolate_step`.
    """
    q, k = effects.covariates.shape[1], effects.loadings.shape[1]
    factors = np.concatenate([np.ones((len(coefficients), 1)), coefficients[:, q:]], axis=1).astype(np.float32)
    prior = np.broadcast_to(1 / effects.loading_variance, (len(effects.baseline), k))
    precision = np.concatenate([(1 / effects.baseline_prior_sd**2)[:, None], prior], axis=1)
    working, residual = working_fit(counts, expected_depth(effects, coefficients), dispersion, weight)
    normal = _packed_gram(working.T, factors)
    normal[:, np.arange(k + 1), np.arange(k + 1)] += precision
    gap = np.concatenate([(effects.baseline - effects.baseline_prior)[:, None], effects.loadings], axis=1)
    step = np.linalg.solve(normal, ((working * residual).T @ factors - precision * gap)[..., None])[..., 0]
    limit = MAX_BASELINE_SHIFT * effects.baseline_prior_sd
    return effects._replace(
        baseline=effects.baseline_prior + np.clip(gap[:, 0] + step[:, 0], -limit, limit),
        baseline_variance=1 / normal[:, 0, 0],
        loadings=effects.loadings + step[:, 1:],
    )


def drop_copies(counts: np.ndarray, coefficients: np.ndarray, effects: BinEffects) -> BinEffects:
    """Take the loadings from bins where they stand for copies.

    A large lineage is a factor of its own. Where all its members have a short duplication, the shallow ones among them,
    which pass for one copy, pull the loadings up until the duplication is expected of all.

    Parameters
    ----------
    counts : numpy.ndarray, (n, B), float32, reads
    coefficients : numpy.ndarray, (n, p), float64
    effects : BinEffects
    """
    q = effects.covariates.shape[1]
    if coefficients.shape[1] == q:
        return effects
    shift = coefficients[:, q:].astype(np.float32) @ effects.loadings.T.astype(np.float32)
    several = max(3, round(0.002 * len(coefficients)))
    found = np.flatnonzero((shift > min(FACTOR_SHIFTS)).sum(axis=0) >= several)
    shift, counts = shift[:, found], counts[:, found]
    plain = expected_depth(select_bins(effects, found), coefficients) * np.exp(-shift)
    copies = np.zeros(len(found), bool)
    for least in FACTOR_SHIFTS:
        shifted = shift > least
        reads, usual = (counts * shifted).sum(axis=0), (plain * shifted).sum(axis=0)
        copies |= (shifted.sum(axis=0) >= several) & (reads > LEAST_TWO * usual)
    loadings = effects.loadings.copy()
    loadings[found[copies]] = 0
    return effects._replace(loadings=loadings)


def _packed_gram(weight: np.ndarray, design: np.ndarray) -> np.ndarray:
    """Return ``Σ_b weight_ib x_b x_b'`` for every row of `weight`, (n, p, p), by one matrix product."""
    p = design.shape[1]
    upper = np.triu_indices(p)
    packed = weight @ (design[:, upper[0]] * design[:, upper[1]])
    gram = np.empty((len(weight), p, p))
    gram[:, upper[0], upper[1]] = packed
    gram[:, upper[1], upper[0]] = packed
    return gram


def start_coefficients(counts: np.ndarray, effects: BinEffects, settings: CountModelSettings) -> np.ndarray:
    """Coefficients to start from, before any decoding: a regression over bins near one copy.

    The level is the trimmed mean ratio of the reliable bins around their median; six steps then refit all
    coefficients over the bins whose log ratio lies within a narrowing band.

    Parameters
    ----------
    counts : numpy.ndarray, (n, B), float32, reads
    effects : BinEffects
    settings : CountModelSettings

    Returns
    -------
    numpy.ndarray, (n, p), float64
    """
    usable = np.flatnonzero(effects.reliable)
    ratio = counts[:, usable] / np.exp(effects.baseline[usable])
    level = np.median(ratio, axis=1)
    for _ in range(3):
        inside = (ratio > 0.5 * level[:, None]) & (ratio < 1.6 * level[:, None])
        level = np.where(inside, ratio, 0).sum(axis=1) / np.maximum(inside.sum(axis=1), 1)
    start = np.zeros((len(counts), effects.design.shape[1]))
    start[:, 0] = np.log(np.maximum(level, 1e-2))
    part = select_bins(effects, usable)
    counts = counts[:, usable]
    for width in (0.45, 0.40, 0.35, 0.35, 0.35, 0.35):
        weight = near_one_copy(counts, expected_depth(part, start), width)
        start = isolate_step(counts, start, part, 0.02, weight, settings)
    return start


def select_bins(effects: BinEffects, bins: np.ndarray) -> BinEffects:
    """Return the effects of some bins."""
    return BinEffects(
        *(getattr(effects, x) if x == "loading_variance" else getattr(effects, x)[bins] for x in effects._fields)
    )


def near_one_copy(counts: np.ndarray, expected: np.ndarray, width: float = 0.35) -> np.ndarray:
    """Return 1 where the log ratio is within `width` and two standard errors of 0, else 0: (n, B), float32."""
    distance = np.abs(np.log((counts + 0.5) / (expected + 0.5)))
    return (distance < width + 2 / np.sqrt(expected + 1)).astype(np.float32)


def isolate_dispersion(
    counts: np.ndarray, expected: np.ndarray, weight: np.ndarray, bin_dispersion: np.ndarray, floor: float
) -> np.ndarray:
    """Moment estimate of the isolates' dispersion, (n,), float32; residuals beyond 4 sd are left out.

    Parameters
    ----------
    counts, expected, weight : numpy.ndarray, (n, B)
    bin_dispersion : numpy.ndarray, (B,)
        What the bins add, taken off.
    floor : float
        Least dispersion.

    Never less than `neighbour_dispersion`: of a noisy library few bins pass for plainly one copy, the quiet ones.
    """
    squared = (counts - expected) ** 2
    mean_squared = expected * expected
    numerator = weight * (squared - expected - bin_dispersion * mean_squared)
    denominator = weight * mean_squared
    dispersion = np.full(len(counts), 0.01, np.float32)
    for _ in range(4):
        keep = squared < 16 * (expected + dispersion[:, None] * mean_squared)
        estimate = (numerator * keep).sum(axis=1) / np.maximum((denominator * keep).sum(axis=1), 1e-9)
        dispersion = np.clip(estimate, floor, 0.5).astype(np.float32)
    return np.maximum(dispersion, neighbour_dispersion(counts, expected, bin_dispersion))


def neighbour_dispersion(counts: np.ndarray, expected: np.ndarray, bin_dispersion: np.ndarray) -> np.ndarray:
    """Dispersion of the isolates from differences between neighbouring bins, (n,), float32, at most 0.5.

    Copies are alike in neighbouring bins but at the few ends of events, so that no decoding is needed. With ratios r of
    reads to expected reads and their mean l, a squared difference is (v + 2αl²) times a χ² variable, v its Poisson
    variance; α is then the median of (d²/0.455 − v) / 2l², 0.455 being the median of χ². 0 for isolates so shallow that
    the steps between whole reads would show.

    Parameters
    ----------
    counts, expected : numpy.ndarray, (n, B), float32, reads
    bin_dispersion : numpy.ndarray, (B,)
        What the bins add, taken off.
    """
    deep = np.flatnonzero(np.median(expected, axis=1) >= MIN_NEIGHBOUR_DEPTH)
    found = np.zeros(len(counts), np.float32)
    added = (bin_dispersion[1:] + bin_dispersion[:-1]) / 2
    for i in deep:
        ratio, error = counts[i] / np.maximum(expected[i], 1e-3), 1 / np.maximum(expected[i], 1e-3)
        level = (ratio[1:] + ratio[:-1]) / 2
        present = (ratio[1:] > 0.3) & (ratio[:-1] > 0.3) & (error[1:] < 0.2) & (error[:-1] < 0.2)
        if present.sum() < 100:
            continue
        squared = (ratio[1:] - ratio[:-1])[present] ** 2
        level, poisson = level[present], (level * (error[1:] + error[:-1]))[present]
        found[i] = np.median((squared / CHI_SQUARE_MEDIAN - poisson) / (2 * level**2) - added[present])
    return np.clip(found, 0, 0.5).astype(np.float32)


def dispersion_of_bins(
    counts: np.ndarray, expected: np.ndarray, weight: np.ndarray, dispersion: np.ndarray
) -> np.ndarray:
    """Dispersion that bins add to the isolates', (B,), float32: moments, shrunk to 0 as by 30 isolates without it.

    Arguments are those of `isolate_dispersion`, with the isolates' dispersion (n,).
    """
    inflation = 1 + dispersion[:, None] * expected
    variance = expected * inflation
    squared = (counts - expected) ** 2
    keep = weight * (squared < 25 * variance)
    precision = keep * (expected / inflation) ** 2
    excess = precision * ((squared - variance) / np.maximum(expected * expected, 1e-9))
    number = keep.sum(axis=0)
    estimate = excess.sum(axis=0) / (precision.sum(axis=0) + 1e-9) * number / (number + 30)
    return np.clip(estimate, 0, 0.1).astype(np.float32)


def start_factors(
    counts: np.ndarray,
    coefficients: np.ndarray,
    effects: BinEffects,
    dispersion: np.ndarray,
    weight: np.ndarray,
    n_factors: int,
    loading_sd: float,
) -> tuple[BinEffects, np.ndarray]:
    """Start loadings from a randomised singular value decomposition of the masked residuals.

    Halko, Martinsson & Tropp 2011, doi:10.1137/090771806, two power steps, fixed seed. Arguments are those of
    `isolate_step`. Returns the effects with loadings and the coefficients with factors of 0.
    """
    expected = expected_depth(effects, coefficients)
    working, residual = working_fit(counts, expected, dispersion, weight)
    precision = np.minimum(expected / (1 + dispersion * expected), 1e4) / 100
    scaled = weight * np.clip(residual, -0.6, 0.6) * np.sqrt(precision)
    probes = np.random.default_rng(0).standard_normal((scaled.shape[1], n_factors + 6)).astype(np.float32)
    basis, _ = np.linalg.qr(scaled.T @ (scaled @ probes))
    basis, _ = np.linalg.qr(scaled.T @ (scaled @ basis))
    _, size, directions = np.linalg.svd(scaled @ basis, full_matrices=False)
    loadings = (basis @ directions.T)[:, :n_factors].astype(float) * (size[:n_factors] / np.sqrt(len(counts)))
    typical = float(np.median(working[weight > 0])) / 100
    effects = effects._replace(loadings=loadings / np.sqrt(typical), loading_variance=np.full(n_factors, loading_sd**2))
    return effects, np.concatenate([coefficients, np.zeros((len(coefficients), n_factors))], axis=1)


def standardise_factors(coefficients: np.ndarray, effects: BinEffects) -> tuple[np.ndarray, BinEffects]:
    """Give the factors mean 0 and covariance 1 over the isolates, along the loadings' principal axes.

    The model has these freedoms; the priors do not. The expected depths stay the same.
    """
    q = effects.covariates.shape[1]
    factors = coefficients[:, q:]
    if not factors.shape[1]:
        return coefficients, effects
    mean = factors.mean(axis=0)
    factors = factors - mean
    covariance = factors.T @ factors / max(len(factors) - 1, 1) + 1e-9 * np.eye(factors.shape[1])
    root = np.linalg.cholesky(covariance)
    axes, size, rotation = np.linalg.svd(effects.loadings @ root, full_matrices=False)
    rotated = np.linalg.solve(root, factors.T).T @ rotation.T
    effects = effects._replace(baseline=effects.baseline + effects.loadings @ mean, loadings=axes * size)
    return np.concatenate([coefficients[:, :q], rotated], axis=1), effects


def learn_loading_variance(effects: BinEffects, information: np.ndarray, largest_sd: float) -> BinEffects:
    """Set each factor's prior loading variance by MacKay's fixed point (1992, doi:10.1162/neco.1992.4.3.415).

    Parameters
    ----------
    effects : BinEffects
    information : numpy.ndarray, (B,)
        Sum of the bins' working weights over isolates.
    largest_sd : float
        Bound of the prior standard deviation.
    """
    if not effects.loadings.shape[1]:
        return effects
    informed = information > 0.2 * np.median(information)
    left = 1 / (1 + effects.loading_variance * information[informed, None])  # share of the prior variance that is left
    variance = (effects.loadings[informed] ** 2).mean(axis=0) / np.maximum(1 - left.mean(axis=0), 1e-3)
    return effects._replace(loading_variance=np.clip(variance, 1e-8, largest_sd**2))
