"""The report of a benchmark: several predictors of stability on the same mutations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from copyfold.report.drawing import Dots, Drawing, Label, Line, Panel, Shape, axes, shortened
from copyfold.report.page import Figure, Page, Prose, Section, Table

WIDTH = 940.0
OURS = "copyfold"
_METRICS = {"spearman": "Spearman", "pearson": "Pearson", "rmse": "RMSE", "mae": "MAE", "sign_accuracy": "sign right"}


@dataclass(frozen=True)
class BenchmarkResults:
    """A benchmark.json, read.

    Attributes
    ----------
    name : str
        Of the folder.
    content : mapping
        ``benchmark``, ``unit``, ``notes``, ``coverage``, and ``methods`` by name: ``n``, ``direct`` (metrics with 95 %
        intervals over clusters of proteins), ``copyfold_minus_this``.
    """

    name: str
    content: Mapping[str, Any]

    @property
    def ranked(self) -> list[tuple[str, Mapping[str, Any]]]:
        """Methods by Spearman's correlation, the best first; those without one last."""
        methods = self.content["methods"].items()
        return sorted(
            methods, key=lambda item: (_value(item[1], "spearman") is None, -(_value(item[1], "spearman") or 0))
        )


def benchmark_page(results: BenchmarkResults) -> Page:
    """The whole report of a benchmark, or of several assays with a leaderboard each."""
    content = results.content
    title = f"Benchmark: {content.get('benchmark', results.name)}"
    footer = "Rows differ where a method does not predict all; the difference to ours is taken on common rows."
    if "assays" in content:
        sections = tuple(_section(f"assay-{i}", one.name, one) for i, one in enumerate(_assays(content)))
        notes = tuple(Prose(str(note)) for note in content.get("notes", ()))
        return Page(title, "Spearman by assay", (*sections, Section("notes", "Notes", notes)), footer)
    section = _section("leaderboard", "Leaderboard", results)
    return Page(title, str(content.get("unit", "kcal/mol, positive = destabilising")), (section,), footer)


def _assays(content: Mapping[str, Any]) -> list[BenchmarkResults]:
    """A leaderboard for each assay: its methods have but a correlation, all on the same rows."""
    found = []
    for name, assay in content["assays"].items():
        methods = {method: {"n": assay["n"], "direct": one} for method, one in assay["methods"].items()}
        found.append(BenchmarkResults(name, {"methods": methods}))
    return found


def _section(anchor: str, title: str, results: BenchmarkResults) -> Section:
    content = results.content
    blocks: list[Any] = [
        Figure(
            leaderboard(results),
            "Spearman's correlation of predicted and measured values with its 95 % interval.",
        ),
        _table(results),
    ]
    blocks += [Prose(str(note)) for note in content.get("notes", ())]
    coverage = content.get("coverage") or {}
    if {"within_68", "within_95"} <= set(coverage):
        blocks.append(
            Prose(
                f"Our intervals cover {coverage['within_68']:.1%} of the measured values where 68 % are promised, and "
                f"{coverage['within_95']:.1%} where 95 % are."
            )
        )
    return Section(anchor, title, tuple(blocks))


def leaderboard(results: BenchmarkResults) -> Drawing:
    """A line for each method: a dot with its interval, the best on top."""
    ranked = [(name, one) for name, one in results.ranked if _value(one, "spearman") is not None]
    line, left = 22.0, 220.0
    spans = [_interval(one, "spearman") for _, one in ranked]
    known = np.array([value for span in spans for value in span]) if spans else np.array([0.0, 1.0])
    limits = (min(0.0, float(known.min())), max(0.1, 1.05 * float(known.max())))
    panel = Panel(left, 10, WIDTH - left - 120, line * max(1, len(ranked)), limits, (0.0, 1.0))
    shapes: list[Shape] = axes(panel, "Spearman", "", y_ticks=[])
    said = []
    for i, ((name, one), (low, value, high)) in enumerate(zip(ranked, spans, strict=True)):
        y = panel.top + (i + 0.5) * line
        colour = "c1" if name.startswith(OURS) else "c0"
        shapes.append(Label(left - 10, y + 4, shortened(name, 30), "end", "ink", bold=name.startswith(OURS)))
        shapes.append(Line(np.array([[float(panel.x(low)), y], [float(panel.x(high)), y]]), colour, 2.0))
        shapes.append(Dots(np.array([[float(panel.x(value)), y]]), colour, 4.0))
        shapes.append(Label(panel.right + 10, y + 4, f"{value:.2f}, n = {one['n']:,}"))
        said.append(f"{name} {value:.2f} [{low:.2f}, {high:.2f}]")
    return Drawing(WIDTH, panel.bottom + 42, tuple(shapes), "Leaderboard", f"Spearman: {'; '.join(said)}.")


def _table(results: BenchmarkResults) -> Table:
    """Metrics that at least one method has, and differences to ours where they were taken."""
    ranked = results.ranked
    names = [name for name in _METRICS if any(_value(one, name) is not None for _, one in ranked)]
    with_gap = any("copyfold_minus_this" in one for _, one in ranked)
    rows = []
    for method, one in ranked:
        gap = (one.get("copyfold_minus_this") or {}).get("spearman") or {}
        said = "" if gap.get("value") is None else f"{gap['value']:+.2f} [{gap['low']:+.2f}, {gap['high']:+.2f}]"
        rows.append((method, one["n"], *(_shown(one, name) for name in names), *([said] if with_gap else [])))
    last = ["ours minus this, Spearman"] if with_gap else []
    header = ("method", "n", *(_METRICS[name] for name in names), *last)
    return Table("Direct mutations; 95 % intervals in brackets", header, tuple(rows))


def _value(one: Mapping[str, Any], name: str) -> float | None:
    found: float | None = (one["direct"].get(name) or {}).get("value")
    return found


def _interval(one: Mapping[str, Any], name: str) -> tuple[float, float, float]:
    metric = one["direct"][name]
    value = float(metric["value"])
    low, high = (value if metric.get(end) is None else float(metric[end]) for end in ("low", "high"))
    return low, value, high


def _shown(one: Mapping[str, Any], name: str) -> str:
    if _value(one, name) is None:
        return "N/A"
    low, value, high = _interval(one, name)
    return f"{value:.2f} [{low:.2f}, {high:.2f}]"
