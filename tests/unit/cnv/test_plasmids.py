"""Plasmid genes by the count model: against scipy's distributions, planted cohorts, and rules that always hold."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats
from sklearn.metrics import matthews_corrcoef

from copyfold.cnv.plasmids import FamilyModel, Source, call_family, fit_family, gene_levels
from copyfold.cnv.plasmids.calls import LOW_DEPTH, NOT_COUNTED
from copyfold.cnv.plasmids.cohort import PlasmidCohort, call_cohort, models_as_json, models_from_json
from copyfold.cnv.plasmids.families import floor_of
from copyfold.errors import InputError

OWN = np.array([[0.85, 0.15], [0.2, 0.8]])
FOREIGN = np.array([0.5, 0.5])


def negative_binomial(rng, mean, dispersion):
    return rng.poisson(mean * rng.gamma(1 / dispersion, dispersion, size=np.shape(mean))).astype(float)


def planted(n, seed, share=0.0, rate=0.3, depth=80.0, dispersion=0.01):
    """Depth, level, true copies, and copies of a chromosomal gene whose reads land on a family of two columns."""
    rng = np.random.default_rng(seed)
    copies = np.where(rng.random(n) < 0.4, np.exp(rng.normal(0.3, 0.5, n)).clip(0.6), 0.0)
    other = np.where(rng.random(n) < 0.1, rng.integers(2, 9, n), 1).astype(float)
    level = np.repeat(depth * np.exp(rng.normal(0, 0.4, n))[:, None], 2, axis=1)
    allele = OWN[rng.integers(0, 2, n)]
    bleeds = rng.random(n) < rate
    stray = rng.uniform(0.005, 0.02, n)[:, None] / 2
    mean = level * (copies[:, None] * allele + stray + (share * other * bleeds)[:, None] * FOREIGN)
    return negative_binomial(rng, mean, dispersion), level, copies, other


def called(depth, level, other, dispersion=0.01):
    model = fit_family(depth / level, [Source("blaSHV", other)])
    return model, call_family(depth, level, np.full(len(depth), dispersion), model, other)


def simple_model(**changed):
    values = {
        "background": 0.01,
        "background_spread": 0.3,
        "carried": 0.4,
        "log_copies": 0.3,
        "log_copies_spread": 0.6,
        "signatures": np.ones((1, 1)),
        "alleles": np.ones(1),
        "source": None,
        "share": 0.0,
        "share_rate": 0.0,
        "share_spread": 0.0,
        "share_columns": np.ones(1),
        "evidence": 0.0,
    }
    return FamilyModel(**(values | changed))


# Against scipy


@pytest.mark.parametrize("count", [0.0, 12.0, 40.0, 75.0, 400.0])
def test_posterior_equals_integration_with_scipys_distributions(count):
    level, dispersion, model = 60.0, 0.02, simple_model()

    def likelihood(copies):
        mean = level * (copies + model.background)
        variance = mean + dispersion * mean**2 + (model.background_spread * model.background * level) ** 2
        size = mean**2 / (variance - mean)
        return stats.nbinom.pmf(count, size, size / (size + mean))

    def prior(log_copies):
        off = log_copies - model.log_copies
        return np.exp(-((off / (1.5 if off > 0 else 0.6)) ** 2) / 2)

    low, high = np.log(0.2), np.log(200)
    points = {"points": [model.log_copies, np.log(max(count / level, 0.21))], "limit": 200}
    scale = integrate.quad(prior, low, high, **points)[0]
    evidence = integrate.quad(lambda x: prior(x) * likelihood(np.exp(x)), low, high, **points)[0] / scale
    first = integrate.quad(lambda x: np.exp(x) * prior(x) * likelihood(np.exp(x)), low, high, **points)[0] / scale
    some, none = model.carried * evidence, (1 - model.carried) * likelihood(0.0)
    found = call_family(np.array([[count]]), np.array([[level]]), np.array([dispersion]), model)
    assert found.present[0] == pytest.approx(some / (some + none), rel=0.02, abs=1e-9)
    assert found.copies[0] == pytest.approx(model.carried * first / (some + none), rel=0.02, abs=1e-9)

    def cumulative(x):
        below = integrate.quad(lambda y: prior(y) * likelihood(np.exp(y)), low, x, **points)[0] / scale
        return (none + model.carried * below) / (some + none)

    for edge, probability in ((found.lower[0], 0.025), (found.upper[0], 0.975)):
        if edge == 0:
            assert none / (some + none) >= probability - 0.01
        elif edge > 0.25:  # not where the fewest copies that a carrier has cut the interval
            assert cumulative(np.log(edge)) == pytest.approx(probability, abs=0.02)


# Planted cohorts


def test_foreign_reads_are_found_named_and_taken_off():
    depth, level, truth, other = planted(1500, seed=1, share=0.12)
    model, calls = called(depth, level, other)
    assert model.source == "blaSHV"
    assert model.share == pytest.approx(0.12, abs=0.02)
    assert model.share_rate == pytest.approx(0.3, abs=0.09)
    np.testing.assert_allclose(model.share_columns, FOREIGN, atol=0.1)
    np.testing.assert_allclose(model.signatures, OWN, atol=0.06)
    judged = calls.cn >= 0
    assert judged.mean() > 0.98
    assert matthews_corrcoef(truth[judged] > 0, calls.cn[judged] > 0) >= 0.995
    fixed_threshold = (depth / level).sum(axis=1) >= 0.2
    assert matthews_corrcoef(truth > 0, fixed_threshold) < 0.97  # which it is better than


@pytest.mark.parametrize("seed", range(6))
def test_shallow_isolates_with_a_stray_read_are_no_carriers(seed):
    depth, level, copies, other = planted(300, seed, share=0.12, depth=20.0)
    model = fit_family(depth / level, [Source("blaSHV", other)], floor_of(level))
    assert model.carried == pytest.approx((copies > 0).mean(), abs=0.03)


def test_without_foreign_reads_none_are_claimed():
    depth, level, truth, other = planted(1500, seed=2)
    model, calls = called(depth, level, other)
    assert model.source is None
    assert not calls.foreign.any()
    assert matthews_corrcoef(truth > 0, calls.cn > 0) >= 0.995


def test_a_gene_that_has_nothing_to_do_with_it_is_no_source():
    depth, level, _, _ = planted(1000, seed=3, share=0.12)
    unrelated = np.random.default_rng(3).permutation(planted(1000, seed=4)[3])
    model, calls = called(depth, level, unrelated)
    assert model.source == "unknown"  # reads that some isolates have, and no known gene explains
    assert np.isfinite(calls.copies).all()


@pytest.mark.parametrize("depth_of_one", [25.0, 80.0, 400.0])
def test_intervals_hold_the_truth_as_often_as_they_say(depth_of_one):
    depth, level, truth, other = planted(3000, seed=5, share=0.12, depth=depth_of_one)
    _, calls = called(depth, level, other)
    inside = (calls.lower <= truth) & (truth <= calls.upper)
    for chosen in ((truth > 0) & (truth < 1.5), truth >= 1.5):
        assert 0.92 <= inside[chosen].mean() <= 0.985
    assert np.all(calls.lower <= calls.upper)


def test_quality_is_the_share_of_wrong_classes():
    depth, level, truth, other = planted(3000, seed=6, share=0.12, depth=25.0)
    _, calls = called(depth, level, other)
    kind = np.where(truth == 0, 0, np.where(truth >= 1.5, 2, 1))
    doubtful = (calls.cn >= 0) & (calls.quality < 10)
    wrong = 10 ** (-calls.quality / 10)
    assert doubtful.sum() > 100
    assert (calls.cn != kind)[doubtful].mean() == pytest.approx(wrong[doubtful].mean(), abs=0.08)


# Rules


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2000), st.floats(10, 500), st.floats(0.001, 0.1))
def test_more_reads_never_mean_fewer_copies(count, level, dispersion):
    counts = np.array([[count], [count + 5.0]])
    found = call_family(counts, np.full((2, 1), level), np.full(2, dispersion), simple_model())
    assert found.copies[0] <= found.copies[1] + 1e-9
    assert found.present[0] <= found.present[1] + 1e-9
    assert (found.lower <= found.upper).all()
    assert ((found.quality >= 0) & (found.quality <= 99)).all()


def test_samples_that_cannot_be_called_say_why():
    depth = np.array([[np.nan], [50.0], [50.0]])
    level = np.array([[50.0], [2.0], [50.0]])
    found = call_family(depth, level, np.full(3, 0.01), simple_model())
    assert found.reason.tolist() == [NOT_COUNTED, LOW_DEPTH, ""]
    assert found.cn.tolist() == [-1, -1, 1]
    assert np.isnan(found.copies[:2]).all()
    assert found.quality[:2].tolist() == [0, 0]


# Levels


def test_level_follows_the_isolates_gc_curve_and_noise_is_measured():
    rng = np.random.default_rng(7)
    gc = rng.normal(0.57, 0.05, 3000).clip(0.3, 0.7)
    slope = rng.normal(0, 1.5, 40)
    curve = np.exp(slope[:, None] * (gc - 0.57) - 6 * (gc - 0.57) ** 2)
    counts = negative_binomial(rng, 200 * curve, 0.006)
    counts[:, :150] *= 3  # an amplified stretch is none of it
    genes = np.array([0.48, 0.62, np.nan])
    found = gene_levels(counts, np.median(counts, axis=1), 3, gc, genes)
    expected = 200 * np.exp(slope[:, None] * (genes[:2] - 0.57) - 6 * (genes[:2] - 0.57) ** 2)
    np.testing.assert_allclose(found.level[:, :2] / expected, 1, atol=0.06)
    np.testing.assert_allclose(found.level[:, 2], np.median(counts, axis=1))
    assert np.median(found.dispersion) == pytest.approx(0.006, rel=0.35)


def test_without_gc_the_level_is_the_median():
    counts = np.random.default_rng(8).poisson(100, (12, 400))
    found = gene_levels(counts, np.median(counts, axis=1), 2)
    np.testing.assert_array_equal(found.level, np.median(counts, axis=1)[:, None] * np.ones(2))
    assert (found.dispersion < 0.003).all()


# A cohort


def planted_cohort(n, seed):
    depth, level, truth, other = planted(n, seed, share=0.12)
    rng = np.random.default_rng(seed)
    counts = negative_binomial(rng, np.repeat(level[:, :1], 300, axis=1), 0.01)
    sources = (Source("blaSHV", other),)
    families = {"blaCTX-M": [0, 1]}
    return PlasmidCohort(depth, level[:, 0], counts, None, np.full(2, np.nan), families, sources), truth


def test_new_isolates_are_called_with_what_a_cohort_taught():
    cohort, _ = planted_cohort(1200, seed=9)
    _, models = call_cohort(cohort, None, 1.5)
    read_back = models_from_json(json.loads(json.dumps(models_as_json(models))), "models")
    assert read_back["blaCTX-M"].source == models["blaCTX-M"].source == "blaSHV"
    few, truth = planted_cohort(40, seed=10)
    calls, used = call_cohort(few, read_back, 1.5)
    assert used["blaCTX-M"] is read_back["blaCTX-M"]
    judged = calls["blaCTX-M"].cn >= 0
    assert ((calls["blaCTX-M"].cn > 0) == (truth > 0))[judged].all()


def test_few_isolates_without_a_cohort_are_called_by_what_is_usual():
    cohort, truth = planted_cohort(12, seed=11)
    calls, used = call_cohort(cohort, None, 1.5)
    assert used["blaCTX-M"].source is None
    assert ((calls["blaCTX-M"].cn > 0) == (truth > 0))[calls["blaCTX-M"].cn >= 0].mean() > 0.8


@pytest.mark.parametrize("content", [[], {"blaCTX-M": {}}, {"blaCTX-M": 3}])
def test_models_that_are_none_are_refused(content):
    with pytest.raises(InputError, match="models of plasmid families"):
        models_from_json(content, "run/plasmid_models.json")
