"""Masked negative-binomial regression against the likelihood it maximises."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import nbinom

from copyfold.cnv.countmodel import CountModelSettings, factors
from copyfold.cnv.countmodel.factors import BinEffects

SETTINGS = CountModelSettings(covariate_sd=(3.0, 1.0))
DISPERSION = 0.01


@pytest.fixture
def problem():
    """Effects of 80 bins, true coefficients of 30 isolates, counts and a mask."""
    rng = np.random.default_rng(5)
    n, n_bins, k = 30, 80, 2
    covariates = np.concatenate([np.ones((n_bins, 1)), rng.normal(0, 0.1, (n_bins, 2))], axis=1)
    effects = BinEffects(
        covariates=covariates,
        baseline_prior=np.zeros(n_bins),
        baseline_prior_sd=np.full(n_bins, 0.1),
        baseline=rng.normal(0, 0.05, n_bins),
        baseline_variance=np.full(n_bins, 0.01),
        loadings=rng.normal(0, 0.08, (n_bins, k)),
        loading_variance=np.full(k, 0.08**2),
        dispersion=np.zeros(n_bins, np.float32),
        reliable=np.ones(n_bins, bool),
    )
    coefficients = np.concatenate([np.log(rng.uniform(80, 200, (n, 1))), rng.normal(0, 1, (n, 4))], axis=1)
    size = 1 / DISPERSION
    counts = rng.negative_binomial(size, size / (size + factors.expected_depth(effects, coefficients)))
    weight = (rng.random((n, n_bins)) < 0.8).astype(np.float32)
    return effects, coefficients, counts.astype(np.float32), weight


def log_likelihood(counts, log_mean):
    size = 1 / DISPERSION
    return nbinom.logpmf(counts, size, size / (size + np.exp(log_mean)))


def test_isolate_step_maximises_the_penalised_likelihood(problem):
    effects, coefficients, counts, weight = problem
    start = np.zeros_like(coefficients)
    start[:, 0] = np.log(120)
    fitted = factors.isolate_step(counts, start, effects, DISPERSION, weight, SETTINGS, repeats=15)
    design = np.concatenate([effects.covariates, effects.loadings], axis=1)
    precision = factors.coefficient_precision(effects, SETTINGS)
    for i in range(3):

        def loss(c, i=i):
            fit = log_likelihood(counts[i], design @ c + effects.baseline)
            return -(weight[i] * fit).sum() + 0.5 * (precision * c**2).sum()

        h = 1e-4
        gradient = [(loss(fitted[i] + h * e) - loss(fitted[i] - h * e)) / (2 * h) for e in np.eye(5)]
        assert np.abs(gradient).max() < 0.05  # against curvatures of about 10 to 4000
        best = minimize(loss, start[i], method="BFGS")
        np.testing.assert_allclose(fitted[i], best.x, atol=3e-3)


def test_bin_step_maximises_the_penalised_likelihood(problem):
    effects, coefficients, counts, weight = problem
    fitted = effects._replace(baseline=np.zeros(80), loadings=np.zeros((80, 2)))
    for _ in range(15):
        fitted = factors.bin_step(counts, coefficients, fitted, np.float32(DISPERSION), weight)
    design = np.concatenate([np.ones((30, 1)), coefficients[:, 3:]], axis=1)
    fixed = coefficients[:, :3] @ effects.covariates.T
    precision = np.concatenate([[1 / 0.1**2], 1 / effects.loading_variance])
    for b in range(3):

        def loss(theta, b=b):
            fit = log_likelihood(counts[:, b], fixed[:, b] + design @ theta)
            return -(weight[:, b] * fit).sum() + 0.5 * (precision * theta**2).sum()

        best = minimize(loss, np.zeros(3), method="BFGS")
        np.testing.assert_allclose([fitted.baseline[b], *fitted.loadings[b]], best.x, atol=1e-3)


def test_masked_bins_do_not_matter(problem):
    effects, coefficients, counts, weight = problem
    spoiled = np.where(weight > 0, counts, 1e5).astype(np.float32)
    one, other = (
        factors.isolate_step(y, coefficients, effects, DISPERSION, weight, SETTINGS, repeats=3)
        for y in (counts, spoiled)
    )
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("copies", "expected", "stays"), [(2.0, 1.5, False), (1.45, 1.5, True), (2.0, 1.25, False)])
def test_what_a_lineage_has_twice_is_no_property_of_its_libraries(problem, copies, expected, stays):
    """A factor that is the lineage's own has come to expect part of what its first ten isolates show in three bins."""
    effects, coefficients, _, _ = problem
    lineage = np.where(np.arange(30) < 10, 1.4, -0.7)
    coefficients[:, 3:] = np.stack([lineage, np.zeros(30)], axis=1)
    plain = factors.expected_depth(effects, coefficients)
    plain[:10, 20:23] *= copies
    effects.loadings[20:23, 0] = np.log(expected) / 1.4
    fitted = factors.drop_copies(plain, coefficients, effects)
    assert (fitted.loadings[20:23, 0] > 0).all() == stays
    others = np.setdiff1d(np.arange(80), [20, 21, 22])
    np.testing.assert_array_equal(fitted.loadings[others], effects.loadings[others])


def test_standardising_changes_no_expectation(problem):
    effects, coefficients, _, _ = problem
    moved = coefficients + np.array([0, 0, 0, 0.7, -0.3])
    standard, changed = factors.standardise_factors(moved, effects)
    np.testing.assert_allclose(
        factors.expected_depth(changed, standard), factors.expected_depth(effects, moved), rtol=1e-4
    )
    np.testing.assert_allclose(standard[:, 3:].mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(np.cov(standard[:, 3:].T), np.eye(2), atol=1e-6)
    overlap = changed.loadings.T @ changed.loadings
    assert overlap[0, 1] == pytest.approx(0, abs=1e-9)


def test_dispersion_is_recovered():
    rng = np.random.default_rng(2)
    truth = np.array([0.002, 0.01, 0.05])
    expected = rng.uniform(80, 300, (3, 20000)).astype(np.float32)
    size = 1 / truth[:, None]
    counts = rng.negative_binomial(size, size / (size + expected)).astype(np.float32)
    ones = np.ones_like(counts)
    found = factors.isolate_dispersion(counts, expected, ones, np.zeros(20000), 3e-4)
    np.testing.assert_allclose(found, truth, rtol=0.12)
    assert (factors.isolate_dispersion(expected, expected, ones, np.zeros(20000), 3e-4) == np.float32(3e-4)).all()


def test_bin_dispersion_is_found_where_it_is():
    rng = np.random.default_rng(3)
    extra = np.zeros(40)
    extra[:5] = 0.04
    expected = np.full((400, 40), 200.0, np.float32)
    size = 1 / (0.005 + extra)
    counts = rng.negative_binomial(size, size / (size + expected)).astype(np.float32)
    found = factors.dispersion_of_bins(counts, expected, np.ones_like(counts), np.full(400, 0.005, np.float32))
    # Shrinkage and the cut at 5 sd of the isolates' own dispersion make the estimate cautious.
    assert ((found[:5] > 0.02) & (found[:5] < 0.05)).all()
    assert found[5:].max() < 0.005


def test_weak_factors_are_switched_off():
    rng = np.random.default_rng(4)
    information = np.full(2000, 5000.0)
    noise = rng.normal(0, 1 / np.sqrt(5000), (2000, 2))
    loadings = noise + np.stack([rng.normal(0, 0.05, 2000), np.zeros(2000)], axis=1)
    effects = BinEffects(*(np.zeros(2000),) * 5, loadings, np.full(2, 0.01), np.zeros(2000), np.zeros(2000))
    for _ in range(30):
        # The loadings shrink by the prior that has been learnt.
        keep = effects.loading_variance / (effects.loading_variance + 1 / 5000)
        effects = factors.learn_loading_variance(effects._replace(loadings=loadings * keep), information, 0.1)
    assert np.sqrt(effects.loading_variance[0]) == pytest.approx(0.05, rel=0.1)
    assert np.sqrt(effects.loading_variance[1]) < 0.005


class TestNeighbourDispersion:
    def test_known_dispersion_beside_steps(self):
        """Negative binomials of known dispersion; a third of the bins have three copies, which nobody says."""
        rng = np.random.default_rng(0)
        true = np.array([0.0, 0.005, 0.02, 0.09])
        copies = np.where(np.arange(6000) // 500 % 3 == 1, 3.0, 1.0)
        expected = (100 * np.exp(rng.normal(0, 0.1, 6000))).astype(np.float32)
        mean = copies * expected
        counts = np.stack(
            [rng.poisson(mean) if a == 0 else rng.negative_binomial(1 / a, 1 / (1 + a * mean)) for a in true]
        ).astype(np.float32)
        found = factors.neighbour_dispersion(counts, np.tile(expected, (4, 1)), np.zeros(6000, np.float32))
        np.testing.assert_allclose(found, true, rtol=0.12, atol=1.5e-3)

    def test_what_bins_add_is_taken_off_and_shallow_isolates_are_left_alone(self):
        rng = np.random.default_rng(1)
        expected = np.full((2, 4000), 200.0, np.float32)
        expected[1] = 10.0
        counts = rng.negative_binomial(1 / 0.03, 1 / (1 + 0.03 * expected)).astype(np.float32)
        deep, shallow = factors.neighbour_dispersion(counts, expected, np.full(4000, 0.02, np.float32))
        assert deep == pytest.approx(0.01, abs=3e-3)
        assert shallow == 0
