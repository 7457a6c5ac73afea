"""evaluation.txt: the text of a small cohort, and its alignment."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd

from copyfold.cnv.evaluation import Evaluation, KpscEvaluation
from copyfold.cnv.evaluation_text import format_evaluation
from copyfold.cnv.segment_summary import summarise_segments
from copyfold.cnv.truth import GroundTruth

SAMPLES = [f"R{i}" for i in range(6)]

GOLDEN = """\
Evaluation of gene calls (04_kpsc_evaluation)
Samples called: 6; in the ground truth: 5.

Truth by gene: blaSHV kleborate, blaKPC amrfinder, qnrB amrfinder, blaNDM amrfinder.

Note: the truth of blaSHV counts copies in assemblies (Kleborate), where identical tandem copies
collapse into one: it under-counts amplification, and calls by depth that count as false positives
here may be true.

== Overall ==

Event of mode amp: 2 or more copies; of mode presence: 1 or more. FNR = FN / (TP + FN), PPV = TP /
(TP + FP). call_rate: share of the samples with a truth value that could be called. n_eval: samples
with both.

Gene    Mode       MCC   FNR   PPV  call_rate  n_eval
blaSHV  amp       0.58  0.00  0.50       0.80       4
blaKPC  presence  0.50  0.50  1.00       0.75       3
qnrB    presence   N/A   N/A  0.00       0.80       4
sul1    presence   N/A   N/A   N/A        N/A       0

Reasons for N/A:
  qnrB (presence) MCC, FNR: no positives in the truth
  sul1 (presence) MCC, FNR, PPV, call_rate: the ground truth has no column for it

Counts and 95 % intervals. MCC: bootstrap over samples, N/A where it exists in fewer than half of
the replicates. FNR, PPV: Wilson.

Gene    Mode      TP  FP  FN  TN           MCC           FNR           PPV
blaSHV  amp        1   1   0   2  [0.33, 1.00]  [0.00, 0.79]  [0.09, 0.91]
blaKPC  presence   1   0   1   1           N/A  [0.09, 0.91]  [0.21, 1.00]
qnrB    presence   0   1   0   3           N/A           N/A  [0.00, 0.79]
sul1    presence   0   0   0   0           N/A           N/A           N/A

== Missingness ==

no_call: samples without a call, either uncallable (cn −1) or with no entry in the call table.
no_truth: samples without a truth value, either unlisted in the truth table or NA there.

Gene    Mode      samples  no_call  uncallable  no_entry  no_truth  unlisted  truth_NA
blaSHV  amp             6        1           1         0         1         1         0
blaKPC  presence        6        1           1         0         2         1         1
qnrB    presence        6        1           1         0         1         1         0
sul1    presence        6        1           1         0         6         1         5

Truth not used:
  sul1: the ground truth has no column for it

In the truth but not called: blaNDM.

== CRR and PCN by predicted label ==

Percentiles of the copy-ratio ratio (chromosomal genes) or plasmid copy number over the n samples
with that label; failed: uncallable. N/A: no sample has the label, or none has a ratio.

Gene    Ratio  Label         n   p10   p25   p50   p75   p90
blaSHV  CRR    failed        1  0.50  0.50  0.50  0.50  0.50
blaSHV  CRR    pred_normal   3  0.97  0.98  1.00  1.02  1.03
blaSHV  CRR    pred_event    2  1.92  1.95  2.00  2.05  2.08
blaKPC  PCN    failed        1   N/A   N/A   N/A   N/A   N/A
blaKPC  PCN    pred_absent   3  0.00  0.00  0.00  0.05  0.08
blaKPC  PCN    pred_present  2  1.13  1.18  1.25  1.32  1.37
qnrB    PCN    failed        1   N/A   N/A   N/A   N/A   N/A
qnrB    PCN    pred_absent   4  0.00  0.00  0.00  0.03  0.07
qnrB    PCN    pred_present  1  0.40  0.40  0.40  0.40  0.40
sul1    PCN    failed        1   N/A   N/A   N/A   N/A   N/A
sul1    PCN    pred_absent   0   N/A   N/A   N/A   N/A   N/A
sul1    PCN    pred_present  5  1.00  1.00  1.00  1.00  1.00

Samples but no ratio: blaKPC failed, qnrB failed, sul1 failed.

== By sequence type ==

The overall table within each sequence type, where at least 3 samples of it were evaluated; samples:
called samples of that type.

ST     samples  Gene    Mode       MCC   FNR   PPV  call_rate  n_eval
ST258        3  blaSHV  amp       0.50  0.00  0.50       1.00       3
ST258        3  blaKPC  presence  0.50  0.50  1.00       1.00       3
ST258        3  qnrB    presence   N/A   N/A  0.00       1.00       3

Reasons for N/A:
  qnrB (presence) MCC, FNR in ST258: no positives in the truth

== Segments ==

Segments: 4; samples: 6, without a segment: 4.
Segments per sample: p10 0.0  p25 0.0  p50 0.0  p75 0.8  p90 2.0

CN  segments  length_share  mean_confidence
 1         3        0.9500             0.97
 2         1        0.0500             0.80

Most segments  n
R1             3
R0             1
"""


def small_evaluation() -> Evaluation:
    index = pd.Index(SAMPLES[:5], name="sample_id")
    table = pd.DataFrame(
        {
            "blaSHV": pd.array([1, 2, 1, 1, 2], dtype="Int64"),
            "blaKPC": pd.array([1, 1, 0, None, 0], dtype="Int64"),
            "qnrB": pd.array([0, 0, 0, 0, 0], dtype="Int64"),
            "blaNDM": pd.array([0, 0, 0, 0, 0], dtype="Int64"),
        },
        index=index,
    )
    sources = {"blaSHV": "kleborate", "blaKPC": "amrfinder", "qnrB": "amrfinder", "blaNDM": "amrfinder"}
    lineages = pd.Series(["ST258", "ST258", "ST258", "ST11", None], index=index, dtype="string")
    genes = pd.DataFrame(
        {"sample_id": SAMPLES, "blaSHV": [1, 2, 2, 1, -1, 1], "crr_blaSHV": [0.96, 2.1, 1.9, 1.0, 0.5, 1.04]}
    )
    plasmids = pd.DataFrame(
        {
            "sample_id": SAMPLES,
            "blaKPC-2": [1, 0, 0, 1, -1, 0],
            "pcn_blaKPC-2": [1.4, 0.1, 0.0, 1.1, np.nan, 0.0],
            "qnrB1": [0, 0, 1, 0, -1, 0],
            "pcn_qnrB1": [0.0, 0.1, 0.4, 0.0, np.nan, 0.0],
            "sul1": [1, 1, 1, 1, -1, 1],
            "pcn_sul1": [1.0, 1.0, 1.0, 1.0, np.nan, 1.0],
        }
    )
    segments = pd.DataFrame(
        {
            "sample_id": ["R0", "R1", "R1", "R1"],
            "chrom": "c",
            "x0": [0, 0, 400, 500],
            "x1": [1000, 400, 500, 1000],
            "cn": [1, 1, 2, 1],
            "confidence": [0.99, 0.97, 0.8, 0.95],
        }
    )
    return KpscEvaluation(SimpleNamespace(eval_min_group_n=3)).evaluate(
        genes, plasmids, GroundTruth(table, sources, lineages), summarise_segments([segments], SAMPLES)
    )


def test_the_text_of_a_small_cohort() -> None:
    assert format_evaluation(small_evaluation()) == GOLDEN


def test_lines_are_short_and_carry_no_trailing_blanks() -> None:
    for line in format_evaluation(small_evaluation()).splitlines():
        assert line == line.rstrip()
        assert len(line) <= 100


def test_without_truth_or_segments_the_reasons_stand_in_their_place() -> None:
    calls = pd.DataFrame({"sample_id": ["R0"], "blaSHV": [1], "crr_blaSHV": [1.0]})
    evaluation = KpscEvaluation(SimpleNamespace(eval_min_group_n=3)).evaluate(calls, None, None, None)
    text = format_evaluation(evaluation)
    assert "Samples called: 1; no ground truth given." in text
    assert "blaSHV (amp) MCC, FNR, PPV, call_rate: no ground truth given" in text
    assert "== By sequence type ==\n\nN/A: no ground truth given." in text
    assert text.endswith("== Segments ==\n\nN/A: no segments given.\n")


def test_a_negative_mcc_that_rounds_to_zero_has_no_sign() -> None:
    index = pd.Index([f"R{i}" for i in range(2004)], name="sample_id")
    cn = np.repeat([2, 2, 1, 1], [500, 501, 502, 501])
    copies = np.repeat([2, 1, 2, 1], [500, 501, 502, 501])
    truth = GroundTruth(
        pd.DataFrame({"g": pd.array(copies, dtype="Int64")}, index=index),
        {"g": "kleborate"},
        pd.Series(pd.NA, index=index, dtype="string"),
    )
    calls = pd.DataFrame({"sample_id": index, "g": cn, "crr_g": 1.0})
    evaluation = KpscEvaluation(SimpleNamespace(eval_min_group_n=3)).evaluate(calls, None, truth, None)
    assert -0.005 < evaluation.overall[0].mcc.value < 0
    row = format_evaluation(evaluation).split("== Overall ==")[1].split("\ng  ")[1]
    assert row.split()[:2] == ["amp", "0.00"]
