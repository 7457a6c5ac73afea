"""A small cohort with planted events, drawn from negative binomials."""

from typing import NamedTuple

import numpy as np
import pytest

from copyfold.cnv.countmodel import (
    CountModelSettings,
    Expectation,
    IsolateCalls,
    bin_covariates,
    decode_isolates,
    expect_isolates,
    fit_count_model,
)

N_ISOLATES, N_BINS = 60, 500
DUPLICATION, LINEAGE_DUPLICATION, AMPLIFICATION = (3, 100, 120), (range(10, 28), 200, 215), (8, 440, 452)
DELETION, MIXED, UNMAPPED = (5, 300, 320), (7, 380, 420), slice(470, 476)


class Cohort(NamedTuple):
    counts: np.ndarray
    copies: np.ndarray
    covariates: np.ndarray
    mappability: np.ndarray
    width: np.ndarray


def draw(rng, mean, dispersion):
    """Negative-binomial counts; 0 where the mean is 0."""
    size = 1 / dispersion
    return rng.negative_binomial(size, size / (size + mean))


@pytest.fixture(scope="session")
def cohort():
    rng = np.random.default_rng(7)
    gc = 0.55 + 0.04 * np.sin(np.arange(N_BINS) / 11) + rng.normal(0, 0.02, N_BINS)
    replication = np.abs(np.linspace(1, -1, N_BINS))
    mappability = np.clip(1 - rng.exponential(0.02, N_BINS), 0.5, 1)
    mappability[UNMAPPED] = 0.0
    covariates = bin_covariates(gc, replication)
    width = np.ones(N_BINS)
    width[-1] = 0.6
    depth = rng.uniform(60, 250, N_ISOLATES)
    wave = 0.08 * np.sin(np.arange(N_BINS) / 25)
    slopes = rng.normal(0, [1.0, 5.0, 0.2], (N_ISOLATES, 3))
    log_mean = np.log(depth)[:, None] + slopes @ covariates.T + rng.normal(0, 1, (N_ISOLATES, 1)) * wave
    copies = np.ones((N_ISOLATES, N_BINS))
    for isolate, first, last, level in (
        (*DUPLICATION, 2),
        (*LINEAGE_DUPLICATION, 2),
        (*AMPLIFICATION, 6),
        (*DELETION, 0),
        (*MIXED, 1.5),
        (range(40, 55), 30, 45, 0),
    ):
        copies[np.ix_(np.atleast_1d(isolate), np.arange(first, last))] = level
    mean = np.exp(log_mean) * width * mappability * copies
    return Cohort(draw(rng, mean, 0.004), copies, covariates, mappability, width)


@pytest.fixture(scope="session")
def fitted(cohort):
    return fit_count_model(
        cohort.counts, cohort.covariates, cohort.mappability, cohort.width, CountModelSettings(), n_threads=2
    )


class Inferred(NamedTuple):
    expectation: Expectation
    calls: IsolateCalls


@pytest.fixture(scope="session")
def infer():
    """``infer(counts, model)``: what a model expects of isolates, and the calls in them."""

    def infer_isolates(counts, model, n_threads=None):
        expectation = expect_isolates(counts, model, n_threads=n_threads)
        calls = decode_isolates(counts, expectation.expected, expectation.dispersion, model, n_threads=n_threads)
        return Inferred(expectation, calls)

    return infer_isolates


@pytest.fixture(scope="session")
def inferred(cohort, fitted, infer):
    return infer(cohort.counts, fitted, n_threads=2)
