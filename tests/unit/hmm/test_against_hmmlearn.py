"""Yardstick: hmmlearn's GaussianHMM with the same parameters, on long chains."""

import numpy as np
import pytest
from hmmlearn.hmm import GaussianHMM

from copyfold.hmm import decode_gaussian, fit_means, transition_matrix

MEANS = np.array([0.0, 0.5, 1.0, 1.5, 2.0, 3.0])
LENGTHS = [900, 1, 350, 60]
CHAIN_STARTS = np.concatenate([[0], np.cumsum(LENGTHS)])
START = np.array([0.05, 0.1, 0.6, 0.1, 0.1, 0.05])
TRANSITION = transition_matrix(6, 0.99)


def simulate(n_samples: int, spread: float) -> np.ndarray:
    rng = np.random.default_rng(11)
    copies = np.ones((n_samples, CHAIN_STARTS[-1]))
    for row in copies:
        for value in MEANS:
            first = rng.integers(0, copies.shape[1] - 80)
            row[first : first + rng.integers(30, 80)] = value
    return copies * 1.04 + rng.normal(0.0, spread, copies.shape)


def reference_model(variance: float, **arguments) -> GaussianHMM:
    model = GaussianHMM(6, "diag", init_params="", **arguments)
    model.startprob_, model.transmat_ = START, TRANSITION
    model.means_, model.covars_ = MEANS[:, np.newaxis].copy(), np.full((6, 1), variance)
    model.n_features = 1
    return model


def test_decoding():
    observations = simulate(10, spread=0.3)
    decoding = decode_gaussian(observations, MEANS, np.full(10, 0.09), TRANSITION, START, CHAIN_STARTS)
    model = reference_model(0.09)
    for sample, row in enumerate(observations):
        log_likelihood, posteriors = model.score_samples(row[:, np.newaxis], LENGTHS)
        path_log_probability, path = model.decode(row[:, np.newaxis], LENGTHS)
        assert decoding.log_likelihood[sample] == pytest.approx(log_likelihood, abs=1e-6)
        assert decoding.path_log_probability[sample] == pytest.approx(path_log_probability, abs=1e-6)
        np.testing.assert_array_equal(decoding.path[sample], path)
        np.testing.assert_allclose(decoding.posteriors[sample], posteriors, atol=1e-5)


@pytest.mark.parametrize("n_iterations", [1, 5])
def test_fit_means(n_iterations):
    observations = simulate(3, spread=0.1)
    fitted = fit_means(
        observations,
        MEANS,
        np.full(3, 0.01),
        TRANSITION,
        START,
        CHAIN_STARTS,
        n_iterations=n_iterations,
        tolerance=0.0,
    )
    for sample, row in enumerate(observations):
        model = reference_model(0.01, params="m", n_iter=n_iterations, tol=-np.inf)
        model.fit(row[:, np.newaxis], LENGTHS)
        np.testing.assert_allclose(fitted[sample], model.means_[:, 0], atol=1e-8)
