"""Reports of stability: rules, bands, scans."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from copyfold.ddg.sequences import AMINO_ACIDS
from copyfold.report.ddg import rules
from copyfold.report.ddg.leaderboard import BenchmarkResults, benchmark_page, leaderboard
from copyfold.report.ddg.plots import assay_beside_scan, diverging_step, running_band, scan_heatmap
from copyfold.report.ddg.results import DdgResults, RunScore
from copyfold.report.ddg.scan import ScanResults, find_problems, scan_grid, scan_page
from copyfold.report.ddg.sections import ddg_page
from copyfold.report.drawing import Boxes, Dots, Line
from copyfold.report.page import render_page


@pytest.fixture
def results():
    """20 proteins of 10 mutations, two for validation and twelve for testing, rather well predicted."""
    rng = np.random.default_rng(2)
    proteins = np.repeat([f"p{i}" for i in range(20)], 10)
    measured = rng.normal(1.0, 1.5, 200)
    number = np.repeat(np.arange(20), 10)
    table = pd.DataFrame({"protein": proteins, "mutation": "A1V", "source": "made", "cluster": number})
    table["split"] = np.where(number < 6, "train", np.where(number < 8, "validation", "test"))
    table["target"], table["predicted"] = measured, measured + rng.normal(0, 0.5, 200)
    others = dict.fromkeys(("pearson", "rmse", "mae", "sign_accuracy"))
    metrics = {
        "validation": {"n": 20, "spearman": 0.8, **others},
        "test": {"n": 120, "spearman": {"value": 0.75, "low": 0.6, "high": 0.8}, **others},
    }
    trained = {"status": "done", "best_epoch": 9, "epochs_run": 20}
    record = {"kind": "specialist", "config": {"epochs": 20}, "stages": {"train": trained}, "status": "complete"}
    return DdgResults("out/vae_x", record, table, metrics=metrics)


def only(results, title):
    found = rules.find_problems(results)
    assert [finding.title for finding in found] == [title]
    return found[0]


def test_a_sound_run_has_no_findings(results):
    assert rules.find_problems(results) == ()


def test_simulated_data_are_a_problem(results):
    assert only(replace(results, record={**results.record, "simulated": True}), "Simulated data").level == "problem"


def test_proteins_on_both_sides_are_counted(results):
    table = results.predictions.copy()
    table.loc[table["split"] == "test", "protein"] = ["p0"] * 30 + ["q"] * 90
    finding = only(replace(results, predictions=table), "Proteins on both sides of the test split")
    assert "30 of 120 test mutations (25%)" in finding.what


def test_without_test_rows_the_validation_rows_are_said_to_flatter(results):
    table = results.predictions[results.predictions["split"] != "test"]
    metrics = {"validation": results.metrics["validation"]}
    assert only(replace(results, predictions=table, metrics=metrics), "No test rows")


def test_few_clusters_are_few_however_many_rows(results):
    table = results.predictions.copy()
    table.loc[table["split"] == "test", "cluster"] = 99
    assert "120 test mutations of 1 clusters" in only(replace(results, predictions=table), "Few test rows").what


def test_a_negative_correlation_and_a_loss_on_test_rows_are_told(results):
    metrics = {**results.metrics, "test": {"n": 120, "spearman": {"value": -0.1}}}
    titles = [finding.title for finding in rules.find_problems(replace(results, metrics=metrics))]
    assert titles == ["Negative correlation (test)", "Weaker on test rows"]


def test_a_training_cut_off_and_predictions_that_keep_to_the_mean_are_told(results):
    stages = {"train": {"status": "done", "best_epoch": 20, "epochs_run": 20}}
    assert only(replace(results, record={**results.record, "stages": stages}), "Training stopped early")
    table = results.predictions.assign(predicted=results.predictions["predicted"] * 0.1)
    assert only(replace(results, predictions=table), "Predictions keep to the mean")


def test_the_band_holds_ninety_percent_of_each_group():
    predicted = np.arange(160.0)
    measured = np.tile(np.arange(20.0), 8)
    band = running_band(predicted, measured)
    assert band.shape == (8, 4)
    np.testing.assert_allclose(band[:, 0], np.arange(8) * 20 + 9.5)
    np.testing.assert_allclose(band[:, 1:], np.tile(np.quantile(np.arange(20), [0.05, 0.5, 0.95]), (8, 1)))
    assert running_band(predicted[:7], measured[:7]).shape == (1, 4)


def test_a_diverging_scale_has_its_middle_at_zero():
    steps = diverging_step(np.array([-9.0, -0.01, 0.0, 0.01, 9.0]), 2.0)
    assert steps.tolist() == [0, 4, 4, 4, 8]


def test_a_run_is_shown_beside_the_others_with_the_best_first(results):
    scores = [{"test": {"n": 9, "spearman": {"value": value, "low": 0.1, "high": 0.9}}} for value in (0.3, 0.7)]
    others = (RunScore("vae_x", scores[0]), RunScore("mlp_refiner", scores[1]))
    text = render_page(ddg_page(replace(results, others=others)))
    assert text.index("mlp_refiner") < text.index("vae_x (this run)")
    assert "0.70 [0.10, 0.90]" in text


def test_a_leaderboard_has_the_best_on_top_and_says_what_is_not_known():
    def method(value, n=100):
        names = ("spearman", "pearson", "rmse", "mae", "sign_accuracy")
        one = {
            "value": value,
            "low": None if value is None else value - 0.1,
            "high": None if value is None else value + 0.1,
        }
        return {"n": n, "direct": {name: dict(one) for name in names}}

    methods = {"weak": method(0.2), "copyfold": method(0.5, 90), "none": method(None)}
    methods["weak"]["copyfold_minus_this"] = {"n": 90, "spearman": {"value": 0.3, "low": 0.1, "high": 0.4}}
    results = BenchmarkResults("s669", {"benchmark": "S669", "methods": methods, "notes": ["a note"]})
    assert [name for name, _ in results.ranked] == ["copyfold", "weak", "none"]
    assert leaderboard(results).description == "Spearman: copyfold 0.50 [0.40, 0.60]; weak 0.20 [0.10, 0.30]."
    text = render_page(benchmark_page(results))
    for words in ("+0.30 [+0.10, +0.40]", "N/A", "a note", "Benchmark: S669"):
        assert words in text


@pytest.fixture
def scan():
    rows = []
    for i, (position, wild_type) in enumerate((("1", "M"), ("2", "A"), ("2A", "W"))):
        for mutant in AMINO_ACIDS:
            if mutant != wild_type:
                ddg = np.nan if i == 1 else float(i) + AMINO_ACIDS.index(mutant) / 10
                rows.append((position, wild_type, mutant, ddg, 0.5, i != 2, "refused: no backbone" if i == 1 else ""))
    columns = ["position", "wild_type", "mutant", "ddg_kcal_mol", "sigma_kcal_mol", "in_domain", "reason"]
    return ScanResults("x", ("ddg: kcal/mol, positive = destabilising",), pd.DataFrame(rows, columns=columns))


def test_a_scan_becomes_a_grid_by_site_and_amino_acid(scan):
    grid = scan_grid(scan.table)
    assert grid.shape == (3, 20)
    assert np.isnan(grid[1]).all()
    assert np.isnan(grid[0, AMINO_ACIDS.index("M")])
    assert grid[2, AMINO_ACIDS.index("C")] == 2.1


def test_a_scan_says_what_it_could_not_predict_and_what_it_should_not_be_asked(scan):
    found = {finding.title: finding for finding in find_problems(replace(scan, plddt=np.array([95.0, 80.0, 40.0])))}
    assert found["Sites without a prediction"].which == ("A2",)
    assert found["Out of domain"].which == ("W2A",)
    assert found["Unsure structure"].which == ("W2A",)
    assert "Unsure structure" not in {finding.title for finding in find_problems(scan)}


def test_an_assay_is_drawn_at_its_scores_and_means_over_what_it_measured(scan):
    table = scan.table.assign(dms_mine=np.nan)
    chosen = table["position"].isin(["1", "2A"]) & table["mutant"].isin(["C", "D"])
    table.loc[chosen, "dms_mine"] = [4.0, 3.0, 2.0, 1.0]  # of sites 1 and 2A, C then D
    grid, scores = scan_grid(table), scan_grid(table, "dms_mine")
    assert np.isfinite(scores).sum() == 4
    drawing = assay_beside_scan(["1", "2", "2A"], grid, scores, "mine")
    assert drawing.description == "4 substitutions measured and predicted, at 2 residues."
    (dots,) = [shape for shape in drawing.shapes if isinstance(shape, Dots)]
    order = np.argsort(dots.points[:, 0])  # ΔΔG 0.1, 0.2, 2.1, 2.2 against 4, 3, 2, 1: down the page
    assert (np.diff(dots.points[order, 1]) > 0).all()
    ddg_line, score_line = (one for one in drawing.shapes if isinstance(one, Line) and one.colour in ("c0", "c1"))
    for line in (ddg_line, score_line):
        assert np.isfinite(line.points[:, 1]).tolist() == [True, False, True]
    assert ddg_line.points[2, 1] < ddg_line.points[0, 1]  # larger ΔΔG, higher on the page
    assert score_line.points[2, 1] > score_line.points[0, 1]
    page = scan_page(replace(scan, table=table, about=("dms_mine: Spearman -1.0",)))
    assert [section.title for section in page.sections if section.title.startswith("Measured")]
    assert not [section for section in scan_page(scan).sections if section.title.startswith("Measured")]


def test_sites_of_low_confidence_are_told_once(scan):
    table = scan.table.assign(reason=scan.table["reason"].where(scan.table["position"] != "2A", "pLDDT 40, below 70"))
    titles = {one.title for one in find_problems(replace(scan, table=table, plddt=np.array([95.0, 80.0, 40.0])))}
    assert "Unsure structure" in titles
    assert "Out of domain" not in titles


def test_confidence_is_drawn_where_the_model_has_it(scan):
    grid = scan_grid(scan.table)
    arguments = (["1", "2", "2A"], "MAW", grid)
    with_it = scan_heatmap(*arguments, np.array([95.0, 80.0, 40.0]))
    without = scan_heatmap(*arguments, None)
    assert "pLDDT below 70 at 1 positions" in with_it.description
    assert "pLDDT" not in without.description
    assert with_it.height > without.height
    drawn = sum(len(shape.rectangles) for shape in without.shapes if isinstance(shape, Boxes))
    assert drawn == np.isfinite(grid).sum()


def test_a_scan_has_a_page(scan):
    text = render_page(scan_page(scan))
    assert "W2A" in text
    assert "Most sensitive on average: W2A" in text
