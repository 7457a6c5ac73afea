"""evaluation.txt: an `Evaluation` as aligned plain text; docs/formats/evaluation.md holds the layout."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

from copyfold.cnv.evaluation import Evaluation, GeneMetrics, Metric
from copyfold.cnv.families import PERCENTILES
from copyfold.cnv.segment_summary import SegmentSummary

_WIDTH = 100
_METRICS_HEADER = ("Gene", "Mode", "MCC", "FNR", "PPV", "call_rate", "n_eval")


def format_evaluation(evaluation: Evaluation) -> str:
    """The whole evaluation as text, ending in a newline."""
    n_in_truth = evaluation.n_in_truth
    in_truth = "no ground truth given" if n_in_truth is None else f"in the ground truth: {n_in_truth}"
    cohort = f"Samples called: {evaluation.n_samples}; {in_truth}."
    sources = ", ".join(f"{gene} {source}" for gene, source in evaluation.truth_sources.items())
    blocks = [
        [f"Evaluation of gene calls ({evaluation.module})", cohort],
        _paragraph(f"Truth by gene: {sources}.") if sources else [],
        *[_paragraph(f"Note: {note}") for note in evaluation.notes],
        ["== Overall =="],
        _paragraph(
            "Event of mode amp: 2 or more copies; of mode presence: 1 or more. FNR = FN / (TP + FN), "
            "PPV = TP / (TP + FP). call_rate: share of the samples with a truth value that could be called. "
            "n_eval: samples with both."
        ),
        _table(_METRICS_HEADER, [_metrics_row(row) for row in evaluation.overall], text_columns=2),
        _reasons([("", row) for row in evaluation.overall]),
        _paragraph(
            "Counts and 95 % intervals. MCC: bootstrap over samples, N/A where it exists in fewer than half "
            "of the replicates. FNR, PPV: Wilson."
        ),
        _table(
            ("Gene", "Mode", "TP", "FP", "FN", "TN", "MCC", "FNR", "PPV"),
            [_counts_row(row) for row in evaluation.overall],
            text_columns=2,
        ),
        *_missingness_blocks(evaluation),
        *_percentile_blocks(evaluation),
        *_lineage_blocks(evaluation),
        ["== Segments =="],
        *_segment_blocks(evaluation.segments, evaluation.segments_reason),
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def _missingness_blocks(evaluation: Evaluation) -> list[list[str]]:
    parts = ("no_call", "uncallable", "no_entry", "no_truth", "unlisted", "truth_NA")
    rows = []
    for row in evaluation.missingness:
        calls = (row.n_samples, row.n_without_call, row.n_uncallable, row.n_no_entry)
        truth = (row.n_without_truth, row.n_not_in_truth, row.n_truth_unknown)
        rows.append((row.gene, row.mode, *map(str, calls + truth)))
    unusable = [f"  {row.gene}: {row.truth_reason}" for row in evaluation.missingness if row.truth_reason]
    not_called = ", ".join(evaluation.truth_not_called)
    return [
        ["== Missingness =="],
        _paragraph(
            "no_call: samples without a call, either uncallable (cn −1) or with no entry in the call table. "
            "no_truth: samples without a truth value, either unlisted in the truth table or NA there."
        ),
        _table(("Gene", "Mode", "samples", *parts), rows, text_columns=2),
        ["Truth not used:", *unusable] if unusable else [],
        _paragraph(f"In the truth but not called: {not_called}.") if not_called else [],
    ]


def _percentile_blocks(evaluation: Evaluation) -> list[list[str]]:
    names = [f"p{p}" for p in PERCENTILES]
    rows = [
        (
            row.gene,
            row.ratio,
            row.label,
            str(row.n),
            *(_number(row.percentiles[name]) if row.percentiles else "N/A" for name in names),
        )
        for row in evaluation.percentiles
    ]
    without_ratio = [row for row in evaluation.percentiles if row.n and not row.n_values]
    unwritten = ", ".join(f"{row.gene} {row.label}" for row in without_ratio)
    return [
        ["== CRR and PCN by predicted label =="],
        _paragraph(
            "Percentiles of the copy-ratio ratio (chromosomal genes) or plasmid copy number over the n "
            "samples with that label; failed: uncallable. N/A: no sample has the label, or none has a ratio."
        ),
        _table(("Gene", "Ratio", "Label", "n", *names), rows, text_columns=3),
        _paragraph(f"Samples but no ratio: {unwritten}.") if unwritten else [],
    ]


def _lineage_blocks(evaluation: Evaluation) -> list[list[str]]:
    heading = ["== By sequence type =="]
    if evaluation.by_st_reason:
        return [heading, [f"N/A: {evaluation.by_st_reason}."]]
    found = [(group, row) for group in evaluation.by_st for row in group.genes]
    rows = [(group.st, str(group.n_samples), *_metrics_row(row)) for group, row in found]
    return [
        heading,
        _paragraph(
            f"The overall table within each sequence type, where at least {evaluation.by_st_min_n} samples "
            "of it were evaluated; samples: called samples of that type."
        ),
        _table(("ST", "samples", *_METRICS_HEADER), rows, text_columns=1, text_after=(2, 3)),
        _reasons([(group.st, row) for group, row in found]),
    ]


def _segment_blocks(segments: SegmentSummary | None, reason: str | None) -> list[list[str]]:
    if segments is None:
        return [[f"N/A: {reason}."]]
    spread = "  ".join(f"{name} {value:.1f}" for name, value in segments.segments_per_sample.items())
    rows = [
        (
            str(row.cn),
            str(row.n_segments),
            f"{row.length_share:.4f}",
            "N/A" if row.mean_confidence is None else _number(row.mean_confidence),
        )
        for row in segments.by_cn
    ]
    return [
        [
            f"Segments: {segments.n_segments}; samples: {segments.n_samples}, "
            f"without a segment: {segments.n_samples_without_segments}.",
            f"Segments per sample: {spread}",
        ],
        _table(("CN", "segments", "length_share", "mean_confidence"), rows, text_columns=0) if rows else [],
        _table(
            ("Most segments", "n"),
            [(sample, str(n)) for sample, n in segments.most_segmented],
            text_columns=1,
        )
        if segments.most_segmented
        else [],
    ]


def _metrics_row(row: GeneMetrics) -> tuple[str, ...]:
    metrics = (row.mcc, row.fnr, row.ppv, row.call_rate)
    return (row.gene, row.mode, *(_metric(metric) for metric in metrics), str(row.n_eval))


def _counts_row(row: GeneMetrics) -> tuple[str, ...]:
    counts = (str(count) for count in (row.tp, row.fp, row.fn, row.tn))
    return (row.gene, row.mode, *counts, *(_interval(metric) for metric in (row.mcc, row.fnr, row.ppv)))


def _metric(metric: Metric) -> str:
    return "N/A" if metric.value is None else _number(metric.value)


def _interval(metric: Metric) -> str:
    if metric.low is None or metric.high is None:
        return "N/A"
    return f"[{_number(metric.low)}, {_number(metric.high)}]"


def _number(value: float) -> str:
    return f"{round(value, 2) + 0.0:.2f}"  # + 0.0 turns −0.0 into 0.0


def _reasons(rows: Iterable[tuple[str, GeneMetrics]]) -> list[str]:
    """Why metrics are N/A: one line per gene, metrics and reason, with the groups it holds for."""
    by_reason: dict[tuple[str, str], dict[str, list[str]]] = {}
    for group, row in rows:
        named = {"MCC": row.mcc, "FNR": row.fnr, "PPV": row.ppv, "call_rate": row.call_rate}
        for name, metric in named.items():
            if metric.reason is not None:
                by_reason.setdefault((f"{row.gene} ({row.mode})", metric.reason), {}).setdefault(name, []).append(group)
    lines: list[str] = []
    for (gene, reason), metrics in by_reason.items():
        by_groups: dict[tuple[str, ...], list[str]] = {}
        for name, groups in metrics.items():
            by_groups.setdefault(tuple(groups), []).append(name)
        for members, names in by_groups.items():
            where = f" in {', '.join(members)}" if members[0] else ""
            lines += _paragraph(f"  {gene} {', '.join(names)}{where}: {reason}", indent="    ")
    return ["Reasons for N/A:", *lines] if lines else []


def _paragraph(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(text, _WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _table(
    header: Sequence[str], rows: Sequence[Sequence[str]], *, text_columns: int, text_after: Sequence[int] = ()
) -> list[str]:
    """Aligned columns: the first `text_columns` and those at `text_after` left, numbers right."""
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    left = {*range(text_columns), *text_after}
    return [
        "  ".join(
            cell.ljust(width) if column in left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (header, *rows)
    ]
