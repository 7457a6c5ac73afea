"""What a specialist's latent holds, as drawings and a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from copyfold.ddg.explore.directions import Direction
from copyfold.ddg.explore.findings import PathPair
from copyfold.report.drawing import VIRIDIS, Dots, Drawing, Label, Line, Panel, Shape, axes, legend, padded_range
from copyfold.report.page import BigTable, Block, Column, Figure, Page, Prose, Section, Table, Tiles
from copyfold.report.projection import principal_axes

_WIDTH = 940.0
_COLOURS = ("c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7")
_MOST_ROWS = 5000


def draw_direction(measured: np.ndarray, direction: Direction) -> Drawing:
    """Measured values against those that the direction gives families it was not fitted to."""
    known = np.isfinite(direction.predicted)
    limits = padded_range(np.concatenate([measured, direction.predicted[known]]))
    panel = Panel(60, 20, 300, 300, limits, limits)
    shapes: list[Shape] = axes(panel, "from the direction, its family left out", "measured")
    ends = np.array(limits)
    shapes.append(Line(panel.points(ends, ends), "muted", 1.2, dashed=True))
    shapes.append(Dots(panel.points(direction.predicted[known], measured[known]), "c0", 2.4, 0.6))
    said = f"{direction.explained:.0%} of the variance explained in families left out" if known.any() else "one family"
    return Drawing(420, 364, tuple(shapes), "The direction and what was measured", f"{said}.")


def draw_map(latents: np.ndarray, values: np.ndarray, labels: np.ndarray) -> Drawing:
    """The latent's first two principal axes, coloured by measured value and by cluster."""
    scores, share = principal_axes(latents)
    ranges = padded_range(scores[:, 0]), padded_range(scores[:, 1])
    low, high = np.quantile(values, [0.02, 0.98])
    share_of_range = np.clip((values - low) / ((high - low) or 1.0), 0.0, 1.0)
    steps = np.minimum((share_of_range * len(VIRIDIS)).astype(int), len(VIRIDIS) - 1)
    shapes: list[Shape] = []
    for left, title in ((62.0, "measured, low (purple) to high (yellow)"), (522.0, "cluster")):
        panel = Panel(left, 40, 380, 300, *ranges)
        shapes += axes(
            panel, f"axis 1 ({share[0]:.0%} of variance)", f"axis 2 ({share[1]:.0%})", x_ticks=[], y_ticks=[]
        )
        shapes.append(Label(left, 16, title, colour="ink", bold=True, size=12))
        if left < 100:
            layers = [(colour, steps == step) for step, colour in enumerate(VIRIDIS)]
        else:
            layers = [(_COLOURS[one % len(_COLOURS)], labels == one) for one in range(int(labels.max()) + 1)]
        shapes += [Dots(panel.points(*scores[rows].T), colour, 2.0, 0.8) for colour, rows in layers if rows.any()]
    numbers = range(min(int(labels.max()) + 1, len(_COLOURS)))
    shapes += legend(580, 16, [(_COLOURS[one], str(one + 1)) for one in numbers])
    return Drawing(_WIDTH, 384, tuple(shapes), "Map of the latent", f"{len(latents)} mutations.")


def draw_paths(paths: Sequence[PathPair]) -> Drawing:
    """What is predicted along each pair of paths."""
    values = np.concatenate([pair.predicted.ravel() for pair in paths] or [np.zeros(1)])
    shapes: list[Shape] = []
    side, step = 240.0, 300.0
    for number, pair in enumerate(paths[:3]):
        panel = Panel(60 + number * step, 30, side, 220, (0.0, 1.0), padded_range(values))
        shapes += axes(panel, "share of the way", "predicted" if number == 0 else "")
        shapes.append(Label(panel.left, 16, f"path {number + 1}", colour="ink", bold=True, size=12))
        along = np.linspace(0, 1, pair.predicted.shape[1])
        shapes.append(Line(panel.points(along, pair.predicted[0]), "c0", 2.0, dashed=True))
        shapes.append(Line(panel.points(along, pair.predicted[1]), "c1", 2.0))
    shapes += legend(60, 304, [("c0", "straight (dashed)"), ("c1", "shortest under the decoder's metric")])
    return Drawing(_WIDTH, 314, tuple(shapes), "Paths through the latent", f"{len(paths)} pairs of mutations.")


def explore_page(
    summary: Mapping[str, Any], tables: Mapping[str, pd.DataFrame], drawings: Mapping[str, Drawing]
) -> Page:
    """The page from ``explore.json``, the tables and the drawings."""
    direction, clusters, near = summary["direction"], summary["clusters"], summary["neighbours"]
    several = len(summary["runs"]) > 1
    tiles = Tiles(
        (
            (_share(direction["explained"]), "explained by one direction", "in families left out"),
            (str(clusters["number"]), "clusters", f"p {clusters['p_value']:.3g}"),
            (f"{summary['n_unseen']:,}", "mutations not trained on", f"of {summary['n']:,}"),
        )
    )
    sections = [
        Section("summary", "Summary", (tiles, Prose(f"{summary['note']}."))),
        Section("lasting", "Which findings last", (_lasting(summary, several),)),
        Section(
            "direction",
            "The direction of the change",
            (
                Figure(drawings["direction"], f"In sample it would be {_share(direction['explained_in_sample'])}."),
                _short(
                    tables["direction_features"].head(10), "What the decoder changes along it, in standard deviations"
                ),
            ),
        ),
        Section(
            "clusters",
            "Clusters",
            (
                Figure(drawings["map"], "The two principal axes of the latent."),
                _short(tables["clusters"], "Clusters; deviations from the protein's mean, adjusted for all clusters"),
                _short(tables["cluster_marks"], "What marks them, in standard deviations from the other mutations"),
            ),
            intro=f"{_share(clusters['share'])} of the variance within proteins lies between clusters; "
            f"{_share(clusters['expected'])} by chance.",
        ),
        Section("paths", "Paths", (Figure(drawings["paths"], "; ".join(_path(one) for one in summary["paths"])),)),
        Section(
            "neighbours",
            "Unexpected neighbours",
            (_big(tables["neighbours"], "neighbours", "Nearest of another family with both letters other"),),
            intro=f"Measured values of neighbours differ by {near['difference']:.2f}, of shuffled ones by "
            f"{near['expected']:.2f} (p {near['p_value']:.3g})."
            if near["n"]
            else "",
        ),
        Section(
            "positions", "Most sensitive positions", (_big(tables["positions"], "positions", "All 19 of each site"),)
        ),
    ]
    title = f"Latent of {summary['variant']}"
    subtitle = ("SIMULATED DATA · " if summary["simulated"] else "") + summary["target"]
    return Page(title, subtitle, tuple(sections), f"Made by copyfold from {', '.join(summary['runs'])}.")


def _lasting(summary: Mapping[str, Any], several: bool) -> Block:
    if not several:
        return Prose("A single run was given. Train again with other seeds and name all runs to see what lasts.")
    rows = tuple(
        (name, one["mean"], one["lowest"], one["chance"], one["n_pairs"]) for name, one in summary["lasting"].items()
    )
    caption = (
        "Agreement between runs: rank correlation (direction, paths, positions), adjusted Rand index (clusters), "
        "shared closest pairs (neighbours)"
    )
    return Table(caption, ("finding", "mean", "lowest", "by chance", "pairs of runs"), rows)


def _path(path: Mapping[str, Any]) -> str:
    lengths = f"{path['straight_length']:.2f} straight, {path['geodesic_length']:.2f} shortest"
    return f"{path['start']} to {path['end']}: {lengths}"


def _share(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.1%}"


def _short(table: pd.DataFrame, caption: str) -> Table:
    return Table(caption, tuple(table.columns), tuple(tuple(row) for row in table.itertuples(index=False)))


def _big(table: pd.DataFrame, anchor: str, caption: str) -> BigTable:
    shown = table.head(_MOST_ROWS)
    columns = tuple(Column(str(name), shown[name].to_numpy()) for name in shown.columns)
    return BigTable(anchor, caption, columns, f"{anchor}.tsv")
