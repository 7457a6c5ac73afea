"""Metrics against hand-computed tables, scikit-learn and scipy; N/A, groups and segments."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import matthews_corrcoef

from copyfold.cnv.evaluation import (
    Evaluation,
    KpscEvaluation,
    matthews,
    score,
    wilson_interval,
)
from copyfold.cnv.segment_summary import summarise_segments
from copyfold.cnv.truth import GroundTruth, read_ground_truth
from copyfold.errors import InputError

SHARED = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "cnv"


def truth_of(
    samples: list[str], sources: dict[str, str] | None = None, lineages: list | None = None, **counts: list
) -> GroundTruth:
    index = pd.Index(samples, name="sample_id")
    table = pd.DataFrame({gene: pd.array(values, dtype="Int64") for gene, values in counts.items()}, index=index)
    types = pd.Series(lineages if lineages else [None] * len(samples), index=index, dtype="string")
    return GroundTruth(table, sources or dict.fromkeys(counts, "kleborate"), types)


def calls_of(samples: list[str], ratio: str = "crr", **cn: list) -> pd.DataFrame:
    frame = pd.DataFrame({"sample_id": samples})
    for gene, values in cn.items():
        frame[gene] = values
        frame[f"{ratio}_{gene}"] = np.where(np.array(values) < 0, np.nan, np.array(values, dtype=float))
    return frame


def evaluate(
    genes: pd.DataFrame,
    plasmids: pd.DataFrame | None = None,
    truth: GroundTruth | None = None,
    segments: object = None,
    min_n: int = 10,
) -> Evaluation:
    return KpscEvaluation(SimpleNamespace(eval_min_group_n=min_n)).evaluate(genes, plasmids, truth, segments)


# Nine samples: TP 3, FN 1, FP 1, TN 3 and one that could not be called.
NINE = [f"R{i}" for i in range(9)]
CN = [2, 2, 3, 1, 2, 1, 0, 1, -1]
COPIES = [2, 3, 2, 2, 1, 1, 0, 1, 2]


def test_a_hand_computed_table() -> None:
    row = evaluate(calls_of(NINE, blaSHV=CN), None, truth_of(NINE, blaSHV=COPIES)).overall[0]
    assert (row.gene, row.mode) == ("blaSHV", "amp")
    assert (row.tp, row.fp, row.fn, row.tn, row.n_eval) == (3, 1, 1, 3, 8)
    assert row.mcc.value == pytest.approx((3 * 3 - 1 * 1) / math.sqrt(4 * 4 * 4 * 4))
    assert row.fnr.value == 0.25
    assert row.ppv.value == row.precision.value == 0.75
    assert row.recall.value == 0.75
    assert row.call_rate.value == pytest.approx(8 / 9)
    assert row.recall.low == pytest.approx(1 - row.fnr.high)
    assert row.mcc.low < row.mcc.value < row.mcc.high


def test_presence_counts_one_copy_and_the_same_calls_give_another_table() -> None:
    plasmids = calls_of(NINE, "pcn", blaKPC=CN)
    row = evaluate(calls_of(NINE), plasmids, truth_of(NINE, blaKPC=COPIES)).overall[0]
    assert (row.mode, row.tp, row.fp, row.fn, row.tn) == ("presence", 7, 0, 0, 1)
    assert row.mcc.value == 1.0


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_mcc_is_scikit_learns_where_it_exists(pairs: list[tuple[bool, bool]]) -> None:
    event, predicted = (np.array(values) for values in zip(*pairs, strict=True))
    metric = score("g", "amp", np.where(predicted, 2, 1), np.where(event, 2.0, 1.0)).mcc
    if len(set(event)) < 2 or len(set(predicted)) < 2:
        assert metric.value is None
        assert metric.reason
    else:
        assert metric.value == pytest.approx(matthews_corrcoef(event, predicted), abs=1e-12)


def test_mcc_of_a_large_cohort_does_not_overflow() -> None:
    expected = (806_000 * 5_367_000 - 3_000 * 19_000) / math.sqrt(809_000 * 825_000 * 5_370_000 * 5_386_000)
    assert matthews(806_000, 3_000, 19_000, 5_367_000).value == pytest.approx(expected)


@pytest.mark.parametrize(
    ("tn", "fp", "fn", "tp", "mcc", "ppv"),
    [
        (5367, 3, 19, 846, 0.98, 1.00),
        (2903, 608, 398, 2326, 0.67, 0.79),
        (4901, 471, 4, 859, 0.76, 0.65),
        (4082, 424, 15, 1714, 0.84, 0.80),
    ],
    ids=["blaKPC", "blaCTX-M", "blaNDM", "aac6-Ib-cr"],
)
def test_published_confusion_tables(tn: int, fp: int, fn: int, tp: int, mcc: float, ppv: float) -> None:
    cn, copies = np.repeat([0, 1, 0, 1], [tn, fp, fn, tp]), np.repeat([0.0, 0.0, 1.0, 1.0], [tn, fp, fn, tp])
    row = score("gene", "presence", cn, copies)
    assert round(row.ppv.value, 2) == ppv
    # The published MCC differs a little: it seems to count 26 failed samples that these tables do not hold.
    assert row.mcc.value == pytest.approx(mcc, abs=0.01)


@pytest.mark.parametrize(("k", "n"), [(0, 5), (5, 5), (1, 3), (19, 865), (1, 1)])
def test_wilson_interval_is_scipys(k: int, n: int) -> None:
    oracle = binomtest(k, n).proportion_ci(0.95, method="wilson")
    assert wilson_interval(k, n) == pytest.approx((oracle.low, oracle.high), abs=1e-12)


def test_the_mcc_interval_covers_what_a_bootstrap_over_samples_covers() -> None:
    tp, fp, fn, tn = 60, 10, 15, 115
    event = np.repeat([True, False, True, False], [tp, fp, fn, tn])
    predicted = np.repeat([True, True, False, False], [tp, fp, fn, tn])
    rng = np.random.default_rng(7)
    draws = (rng.integers(0, event.size, event.size) for _ in range(3000))
    oracle = np.percentile([np.corrcoef(event[draw], predicted[draw])[0, 1] for draw in draws], [2.5, 97.5])
    metric = matthews(tp, fp, fn, tn)
    assert (metric.low, metric.high) == pytest.approx(tuple(oracle), abs=0.03)
    assert metric == matthews(tp, fp, fn, tn)


@pytest.mark.parametrize(
    ("cn", "copies", "reasons"),
    [
        ([1, 2], [1, 1], {"mcc": "no positives in the truth", "fnr": "no positives in the truth"}),
        ([1, 2], [2, 2], {"mcc": "no negatives in the truth"}),
        ([1, 1], [1, 2], {"mcc": "no predicted positives", "ppv": "no predicted positives"}),
        ([2, 2], [1, 2], {"mcc": "no predicted negatives"}),
        (
            [-1, -1],
            [1, 2],
            dict.fromkeys(("mcc", "fnr", "ppv"), "no sample with both a call and a truth value"),
        ),
        (
            [1, 2],
            [None, None],
            {
                **dict.fromkeys(("mcc", "fnr", "ppv"), "no sample with both a call and a truth value"),
                "call_rate": "no sample with a truth value",
            },
        ),
    ],
)
def test_a_metric_that_does_not_exist_is_na_with_its_reason(cn: list, copies: list, reasons: dict) -> None:
    row = evaluate(calls_of(["R0", "R1"], g=cn), None, truth_of(["R0", "R1"], g=copies)).overall[0]
    for name in ("mcc", "fnr", "ppv", "call_rate"):
        metric = getattr(row, name)
        assert metric.reason == reasons.get(name)
        assert (metric.value is None) == (name in reasons)


def test_ppv_exists_and_is_zero_when_events_are_called_that_the_truth_does_not_have() -> None:
    row = evaluate(calls_of(["R0", "R1"], g=[2, 1]), None, truth_of(["R0", "R1"], g=[1, 1])).overall[0]
    assert row.ppv.value == 0.0


def test_amplification_cannot_be_judged_by_amrfinder_presence() -> None:
    truth = truth_of(["R0", "R1", "R2"], {"blaSHV": "amrfinder"}, blaSHV=[1, 1, 0])
    row = evaluate(calls_of(["R0", "R1", "R2"], blaSHV=[2, 1, -1]), None, truth).overall[0]
    assert row.n_eval == 0
    assert row.mcc.value is row.fnr.value is row.ppv.value is None
    assert "AMRFinder+ presence (0/1)" in row.mcc.reason
    assert row.call_rate.value == pytest.approx(2 / 3)


def test_amrfinder_counts_above_one_can_judge_amplification() -> None:
    truth = truth_of(["R0", "R1"], {"acrB": "amrfinder"}, acrB=[3, 1])
    assert evaluate(calls_of(["R0", "R1"], acrB=[2, 1]), None, truth).overall[0].mcc.value == 1.0


def test_amrfinder_presence_judges_plasmid_genes() -> None:
    truth = truth_of(["R0", "R1"], {"blaSHV": "amrfinder"}, blaSHV=[1, 0])
    result = evaluate(calls_of(["R0", "R1"], blaSHV=[1, 1]), calls_of(["R0", "R1"], "pcn", blaSHV=[1, 0]), truth)
    assert [(row.mode, row.mcc.value) for row in result.overall] == [("amp", None), ("presence", 1.0)]


def test_alleles_are_compared_with_the_truth_of_their_family() -> None:
    samples = ["R0", "R1", "R2", "R3"]
    plasmids = calls_of(samples, "pcn", **{"blaCTX-M-15": [1, 0, 0, -1], "blaCTX-M-14": [0, 1, 0, 0]})
    row = evaluate(calls_of(samples), plasmids, truth_of(samples, **{"blaCTX-M": [1, 1, 0, 1]})).overall[0]
    assert (row.gene, row.tp, row.tn, row.n_eval) == ("blaCTX-M", 2, 1, 3)
    assert row.call_rate.value == 0.75


def test_genes_of_only_one_side_are_reported() -> None:
    truth = truth_of(["R0"], blaSHV=[1], qnrB=[1])
    result = evaluate(calls_of(["R0"], blaSHV=[1], acrB=[1]), None, truth)
    assert result.truth_not_called == ("qnrB",)
    assert result.overall[1].mcc.reason == "the ground truth has no column for it"


def test_missingness_by_reason() -> None:
    genes = calls_of(["R0", "R1", "R2", "R3", "R4"], g=[1.0, -1.0, np.nan, 2.0, 1.0])
    row = evaluate(genes, None, truth_of(["R0", "R1", "R2", "R3"], g=[1, 1, 2, None])).missingness[0]
    assert (row.n_samples, row.n_without_call, row.n_uncallable, row.n_no_entry) == (5, 2, 1, 1)
    assert (row.n_without_truth, row.n_not_in_truth, row.n_truth_unknown) == (2, 1, 1)


def test_without_a_truth_everything_else_is_there() -> None:
    segments = summarise_segments([segment_table()], ["R0", "R1", "R2"])
    result = evaluate(calls_of(NINE, blaSHV=CN), None, None, segments)
    assert {result.overall[0].mcc.reason, result.overall[0].call_rate.reason} == {"no ground truth given"}
    assert result.by_st_reason == "no ground truth given"
    assert result.n_in_truth is None
    assert result.missingness[0].n_uncallable == 1
    assert [row.n for row in result.percentiles] == [1, 4, 4]
    assert result.segments == segments


def test_no_sample_in_common_is_refused_with_examples() -> None:
    with pytest.raises(InputError) as error:
        evaluate(calls_of(["R0"], g=[1]), None, truth_of(["SAMN1"], g=[1]))
    assert "'R0'" in str(error.value)
    assert "'SAMN1'" in str(error.value)
    assert "run accession" in str(error.value)


def test_a_note_says_what_assembly_counts_cannot_tell() -> None:
    truth = truth_of(["R0"], {"blaSHV": "kleborate", "blaKPC": "amrfinder"}, blaSHV=[1], blaKPC=[1])
    result = evaluate(calls_of(["R0"], blaSHV=[1]), calls_of(["R0"], "pcn", blaKPC=[1]), truth)
    assert len(result.notes) == 1
    assert "blaSHV" in result.notes[0]
    assert "under-counts" in result.notes[0]


def test_by_sequence_type_from_the_smallest_group() -> None:
    samples = [f"R{i}" for i in range(9)]
    types = ["ST11"] * 3 + ["ST258"] * 4 + [None, "ST1"]
    cn = [2, 1, 1, 2, 1, -1, -1, 1, 1]
    result = evaluate(calls_of(samples, g=cn), None, truth_of(samples, None, types, g=[2, 1, 1] * 3), min_n=3)
    assert [(group.st, group.n_samples) for group in result.by_st] == [("ST11", 3)]
    assert result.by_st[0].genes[0].mcc.value == 1.0
    result = evaluate(calls_of(samples, g=cn), None, truth_of(samples, None, types, g=[2, 1, 1] * 3), min_n=2)
    assert [(group.st, group.n_samples) for group in result.by_st] == [("ST258", 4), ("ST11", 3)]
    assert result.by_st[0].genes[0].n_eval == 2
    assert result.by_st[0].genes[0].call_rate.value == 0.5


@pytest.mark.parametrize(
    ("types", "reason"),
    [
        (None, "no sequence types given for the called samples"),
        (["ST1"] * 9, "no sequence type has 10 evaluated samples"),
    ],
)
def test_no_table_by_sequence_type_has_a_reason(types: list | None, reason: str) -> None:
    result = evaluate(calls_of(NINE, g=CN), None, truth_of(NINE, None, types, g=COPIES))
    assert (result.by_st, result.by_st_reason) == ((), reason)


def segment_table() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "sample_id": ["R1", "R0", "R1", "R1"],
            "chrom": "c",
            "x0": [0, 0, 600, 800],
            "x1": [600, 1000, 800, 1000],
            "cn": [1, 1, 2, 1],
            "confidence": [0.9, 0.8, 0.5, np.nan],
        }
    )


def test_segments_are_summarised() -> None:
    summary = summarise_segments([segment_table()], ["R0", "R1", "R2"])
    assert (summary.n_samples, summary.n_segments, summary.n_samples_without_segments) == (3, 4, 1)
    assert summary.segments_per_sample["p50"] == 1.0
    one, two = summary.by_cn
    assert (one.cn, one.n_segments, one.length_share) == (1, 3, 0.9)
    assert one.mean_confidence == pytest.approx(0.85)
    assert (two.cn, two.length_share, two.mean_confidence) == (2, 0.1, 0.5)
    assert summary.most_segmented == (("R1", 3), ("R0", 1))


def test_no_segments_at_all() -> None:
    summary = summarise_segments([segment_table().iloc[:0]], ["R0"])
    assert (summary.n_segments, summary.by_cn, summary.most_segmented) == (0, (), ())


@pytest.mark.parametrize(
    ("segments", "said"),
    [
        (segment_table().drop(columns=["cn", "x1"]), "no column cn, x1; columns are sample_id"),
        (segment_table().assign(sample_id="stranger"), "'stranger' is not in the cohort"),
    ],
)
def test_segments_that_do_not_fit_are_refused(segments: pd.DataFrame, said: str) -> None:
    with pytest.raises(InputError, match=said):
        summarise_segments([segments], ["R0", "R1"])


@st.composite
def cohorts(
    draw: st.DrawFn,
) -> tuple[pd.DataFrame, pd.DataFrame, GroundTruth, pd.DataFrame, list[int], list[int]]:
    n = draw(st.integers(1, 25))
    samples = [f"R{i}" for i in range(n)]
    column = st.lists(st.integers(-1, 4), min_size=n, max_size=n)
    count = st.lists(st.one_of(st.none(), st.integers(0, 3)), min_size=n, max_size=n)
    types = draw(st.lists(st.sampled_from(["ST1", "ST2", None]), min_size=n, max_size=n))
    truth = truth_of(samples, None, types, blaSHV=draw(count), blaKPC=draw(count))
    genes, plasmids = (
        calls_of(samples, blaSHV=draw(column)),
        calls_of(samples, "pcn", **{"blaKPC-2": draw(column)}),
    )
    segments = pd.DataFrame({"sample_id": samples, "chrom": "c", "x0": 0, "x1": 10, "cn": draw(column)})
    segments["confidence"] = draw(st.lists(st.floats(0, 1), min_size=n, max_size=n))
    orders = st.permutations(range(n))
    return genes, plasmids, truth, segments, draw(orders), draw(orders)


@settings(max_examples=40, deadline=None)
@given(cohorts())
def test_the_order_of_samples_does_not_matter_and_the_result_is_json(cohort: tuple) -> None:
    genes, plasmids, truth, segments, first, second = cohort
    samples = list(genes["sample_id"])
    result = evaluate(genes, plasmids, truth, summarise_segments([segments], samples), min_n=3)
    shuffled = GroundTruth(truth.table.iloc[second], truth.sources, truth.lineages.iloc[second])
    again = evaluate(
        genes.iloc[first],
        plasmids.iloc[second],
        shuffled,
        summarise_segments((segments.iloc[[row]] for row in second), [samples[i] for i in first]),
        min_n=3,
    )
    assert result == again
    written = result.as_dict()
    assert written["format"] == "copyfold-metrics/1"
    assert json.loads(json.dumps(written, allow_nan=False)) == written


def test_published_calls() -> None:
    path = SHARED / "published" / "demo" / "exp33_10k_gene_calls.subset.tsv"
    if not path.is_file():
        pytest.skip(f"{path} is not here")
    calls = pd.read_csv(path, sep="\t")
    result = evaluate(calls)
    assert result.missingness[0].n_uncallable == int((calls["blaSHV"] == -1).sum())
    event = next(row for row in result.percentiles if row.label == "pred_event")
    assert event.n == int((calls["blaSHV"] >= 2).sum())
    assert event.percentiles["p50"] == pytest.approx(calls.loc[calls["blaSHV"] >= 2, "crr_blaSHV"].median())


def test_published_calls_and_published_truth_share_no_sample() -> None:
    calls = SHARED / "published" / "demo" / "exp33_10k_gene_calls.subset.tsv"
    truth = SHARED / "published" / "gt" / "amrfinder_gt_training.head.tsv"
    for path in (calls, truth):
        if not path.is_file():
            pytest.skip(f"{path} is not here")
    with pytest.raises(InputError, match=r"calls have 'DRR150325', .* the truth has 'DRR122466'"):
        evaluate(pd.read_csv(calls, sep="\t"), None, read_ground_truth(truth))


def test_real_truth_and_lineages_with_calls_that_agree() -> None:
    gt = SHARED / "published" / "gt" / "amrfinder_gt_training.head.tsv"
    meta = SHARED / "published" / "gt" / "kpsc_sample_metadata.head.tsv"
    for path in (gt, meta):
        if not path.is_file():
            pytest.skip(f"{path} is not here")
    truth = read_ground_truth(gt, None, meta)
    samples = list(truth.table.index)
    alleles = {"blaKPC": "blaKPC-2", "blaOXA-48-like": "blaOXA-181", "qnrB": "qnrB1"}
    plasmids = calls_of(samples, "pcn", **{name: truth.table[gene].tolist() for gene, name in alleles.items()})
    result = evaluate(calls_of(samples, blaSHV=[1] * 149), plasmids, truth)
    assert [row.mcc.value for row in result.overall[1:]] == [1.0, 1.0, 1.0]
    assert "AMRFinder+" in result.overall[0].mcc.reason
    assert [(group.st, group.n_samples) for group in result.by_st] == [("ST258", 12)]
    assert result.truth_not_called == ("blaNDM", "blaCTX-M", "aac6-Ib-cr")
