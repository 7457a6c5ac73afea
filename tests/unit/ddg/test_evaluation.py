"""Metrics against scipy, loops written out, hand numbers and the published table of other methods."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from copyfold.ddg.evaluation import (
    METRICS,
    antisymmetry,
    as_json,
    as_text,
    cluster_bootstrap,
    paired_bootstrap,
    per_protein,
    regression_metrics,
)
from copyfold.errors import InputError

TRUE = np.array([1.0, -1.0, 2.0, 0.0, 3.0])
PREDICTED = np.array([0.5, 0.5, 2.0, -1.0, 1.0])


def test_hand_numbers() -> None:
    found = regression_metrics(TRUE, PREDICTED)
    assert found.n == 5
    assert found.mae == pytest.approx((0.5 + 1.5 + 0 + 1 + 2) / 5)
    assert found.rmse == pytest.approx(math.sqrt((0.25 + 2.25 + 0 + 1 + 4) / 5))
    assert found.sign_accuracy == 3 / 4  # the measured 0 has no sign
    assert found.spearman == pytest.approx(scipy.stats.spearmanr(TRUE, PREDICTED).statistic)
    assert found.pearson == pytest.approx(scipy.stats.pearsonr(TRUE, PREDICTED).statistic)


values = st.lists(
    st.tuples(st.integers(-40, 40).map(lambda x: x / 8), st.integers(-40, 40).map(lambda x: x / 8)),
    min_size=3,
    max_size=40,
)


@settings(deadline=None)  # cores are shared
@given(values)
def test_correlations_are_scipys(pairs) -> None:
    true, predicted = np.array(pairs).T
    found = regression_metrics(true, predicted)
    if np.ptp(true) == 0 or np.ptp(predicted) == 0:
        assert math.isnan(found.spearman)
        assert math.isnan(found.pearson)
    else:
        assert found.spearman == pytest.approx(scipy.stats.spearmanr(true, predicted).statistic, abs=1e-12)
        assert found.pearson == pytest.approx(scipy.stats.pearsonr(true, predicted).statistic, abs=1e-12)


@settings(deadline=None)  # cores are shared
@given(values)
def test_turning_both_signs_around_changes_nothing(pairs) -> None:
    true, predicted = np.array(pairs).T
    one, other = regression_metrics(true, predicted), regression_metrics(-true, -predicted)
    for name in METRICS:
        assert getattr(one, name) == pytest.approx(getattr(other, name), nan_ok=True)


def test_what_has_no_spread_has_no_correlation() -> None:
    found = regression_metrics(np.array([1.0, 2.0, 3.0]), np.full(3, 0.1))
    assert math.isnan(found.spearman)
    assert math.isnan(found.pearson)
    assert math.isnan(regression_metrics(np.zeros(2), np.ones(2)).sign_accuracy)
    assert as_json(found)["pearson"] is None
    json.dumps(as_json(found), allow_nan=False)


def test_published_metrics_of_other_methods_come_out(shared_ddg) -> None:
    predictions = pd.read_csv(shared_ddg / "peers/s669_peer_predictions.csv.gz")
    metrics = pd.read_csv(shared_ddg / "peers/s669_peer_metrics.csv.gz", index_col="method")
    compared = 0
    for method, row in metrics.iterrows():
        if f"{method}_dir" not in predictions:
            continue
        known = predictions[f"{method}_dir"].notna()
        direct = regression_metrics(predictions.loc[known, "ddg"], predictions.loc[known, f"{method}_dir"])
        assert direct.n == row["n_dir"]
        shown = {"r_dir": direct.pearson, "rho_dir": direct.spearman, "rmse_dir": direct.rmse, "mae_dir": direct.mae}
        if f"{method}_inv" in predictions and not math.isnan(row["r_inv"]):
            reverse = predictions[predictions[f"{method}_inv"].notna()]
            inverse = regression_metrics(-reverse["ddg"], reverse[f"{method}_inv"])
            pair = reverse[reverse[f"{method}_dir"].notna()]
            both = antisymmetry(pair[f"{method}_dir"], pair[f"{method}_inv"])
            assert both.n == row["n_pairs"]
            shown |= {"r_inv": inverse.pearson, "rho_inv": inverse.spearman, "rmse_inv": inverse.rmse}
            shown |= {"r_dr": both.r, "bias": both.bias}
        for name, value in shown.items():
            if not math.isnan(row[name]):
                assert value == pytest.approx(row[name], abs=6e-4), (method, name)
                compared += 1
    assert compared > 150


def test_antisymmetry_of_a_mirror_is_perfect_and_a_shift_is_bias() -> None:
    perfect = antisymmetry(PREDICTED, -PREDICTED)
    assert (perfect.n, perfect.r, perfect.bias) == (5, pytest.approx(-1), 0)
    assert antisymmetry(PREDICTED + 0.3, -PREDICTED + 0.3).bias == pytest.approx(0.3)


def test_each_protein_counts_once() -> None:
    proteins = ["a"] * 3 + ["b"] * 2
    found = per_protein(TRUE, PREDICTED, proteins, fewest=3)
    assert list(found.proteins) == ["a"]
    assert found.n_left_out == 1
    assert found.means["pearson"] == regression_metrics(TRUE[:3], PREDICTED[:3]).pearson
    both = per_protein(TRUE, PREDICTED, proteins, fewest=2)
    expected = [regression_metrics(TRUE[:3], PREDICTED[:3]).rmse, regression_metrics(TRUE[3:], PREDICTED[3:]).rmse]
    assert both.means["rmse"] == pytest.approx(np.mean(expected))
    nothing = per_protein(TRUE, PREDICTED, proteins, fewest=9)
    assert math.isnan(nothing.means["rmse"])
    assert as_json(nothing)["means"]["rmse"] is None


def noisy(seed: int, n_proteins: int = 12, each: int = 10) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    proteins = np.repeat(np.arange(n_proteins), each)
    true = rng.normal(size=len(proteins))
    return true, true + rng.normal(0, 1, n_proteins)[proteins] + rng.normal(0, 0.3, len(proteins)), proteins


def test_the_bootstrap_draws_whole_proteins() -> None:
    """The same draws made by a loop over rows give the same interval."""
    true, predicted, proteins = noisy(0)
    found = cluster_bootstrap(true, predicted, proteins, replicates=200, seed=5)
    from copyfold.core.seeding import derive_generator

    rng = derive_generator(5, "bootstrap")
    drawn = []
    for _ in range(200):
        chosen = rng.integers(12, size=12)
        rows = [row for protein in chosen for row in range(len(true)) if proteins[row] == protein]
        drawn.append(math.sqrt(sum((predicted[row] - true[row]) ** 2 for row in rows) / len(rows)))
    low, high = np.percentile(drawn, [2.5, 97.5])
    assert (found["rmse"].low, found["rmse"].high) == (pytest.approx(low), pytest.approx(high))
    assert found["rmse"].n_replicates == 200


def test_intervals_by_protein_cover_and_those_by_row_do_not() -> None:
    """Errors shared within proteins: 95 % intervals of the mean squared error's root should hold the true one."""
    expected = math.sqrt(1 + 0.09)
    covered = {"protein": 0, "row": 0}
    for seed in range(50):
        true, predicted, proteins = noisy(seed, n_proteins=30, each=6)
        for kind, clusters in (("protein", proteins), ("row", np.arange(len(true)))):
            interval = cluster_bootstrap(true, predicted, clusters, replicates=60, seed=seed)["rmse"]
            covered[kind] += interval.low <= expected <= interval.high
    assert covered["protein"] >= 40
    assert covered["row"] <= 37


def test_one_protein_has_no_interval() -> None:
    found = cluster_bootstrap(TRUE, PREDICTED, ["a"] * 5)
    assert math.isnan(found["pearson"].low)
    assert found["pearson"].n_replicates == 0
    assert as_json(found)["pearson"]["low"] is None
    assert "[" not in as_text({"model": found})


def test_models_are_compared_on_the_same_draws() -> None:
    true, predicted, proteins = noisy(1)
    same = paired_bootstrap(true, predicted, predicted.copy(), proteins, replicates=50)
    assert same["rmse"].value == same["rmse"].low == same["rmse"].high == 0
    assert same["rmse"].p_value == 1.0
    better = paired_bootstrap(true, true + 0.1 * (predicted - true), predicted, proteins, replicates=200)
    assert better["rmse"].high < 0
    assert better["rmse"].p_value == pytest.approx(2 / 201)
    assert better["pearson"].low > 0
    other_way = paired_bootstrap(true, predicted, true + 0.1 * (predicted - true), proteins, replicates=200)
    assert other_way["rmse"].value == -better["rmse"].value
    assert other_way["rmse"].low == pytest.approx(-better["rmse"].high)


def test_the_same_seed_gives_the_same_bits() -> None:
    true, predicted, proteins = noisy(2)
    assert cluster_bootstrap(true, predicted, proteins, replicates=20) == cluster_bootstrap(
        true, predicted, proteins, replicates=20
    )


def test_the_table_for_people_lines_up() -> None:
    true, predicted, proteins = noisy(3)
    text = as_text({"a model": cluster_bootstrap(true, predicted, proteins, replicates=20)})
    header, row = text.splitlines()
    assert header.split() == list(METRICS)
    assert row.startswith("a model")
    assert row.count("[") == len(METRICS)


@pytest.mark.parametrize(
    ("true", "predicted", "reason"),
    [
        ([1.0], [1.0, 2.0], "one prediction for each measurement"),
        ([], [], "no values to evaluate"),
        ([1.0, 2.0], [1.0, math.nan], "second values: entry 1"),
        ([math.inf, 2.0], [1.0, 2.0], "first values: entry 0"),
    ],
)
def test_values_that_cannot_be_evaluated_are_refused(true, predicted, reason) -> None:
    with pytest.raises(InputError, match=reason):
        regression_metrics(np.array(true), np.array(predicted))


def test_clusters_of_another_length_are_refused() -> None:
    with pytest.raises(InputError, match="give one for each row"):
        cluster_bootstrap(TRUE, PREDICTED, ["a"])
