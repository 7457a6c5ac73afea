"""Plots of stability: agreement with measurements, the latent, scans of a protein."""

from __future__ import annotations

import numpy as np
import pandas as pd

from copyfold.ddg.sequences import AMINO_ACIDS
from copyfold.report.ddg.results import PARTS, DdgResults
from copyfold.report.drawing import (
    DIVERGING,
    Boxes,
    Dots,
    Drawing,
    Label,
    Line,
    Panel,
    Shape,
    axes,
    legend,
    padded_range,
)
from copyfold.report.projection import Colouring, Layer, draw_maps

WIDTH = 940.0
_PART_COLOURS = {"train": "pale", "validation": "c4", "test": "c1"}
_PROTEIN_COLOURS = ("c0", "c1", "c2", "c3", "c4", "c5", "c6")
_STEPS = 8
SITES_A_ROW = 150


def measured_against_predicted(results: DdgResults) -> tuple[Drawing, tuple[Panel, ...]]:
    """A panel for each part of the split: dots, the line of agreement, and where 90 % of the measured values lie."""
    parts = [name for name in PARTS if len(results.part(name))]
    values = results.predictions[["target", "predicted"]].to_numpy(dtype=np.float64)
    limits = padded_range(np.quantile(values, [0.002, 0.998]))
    side, step = 262.0, 308.0
    shapes: list[Shape] = []
    panels, said = [], []
    for i, name in enumerate(parts):
        rows = results.part(name)
        panel = Panel(52 + i * step, 26, side, side, limits, limits)
        panels.append(panel)
        shapes += axes(panel, f"predicted {results.quantity}", "measured" if i == 0 else "")
        shapes.append(Label(panel.left, 14, f"{name}, n = {len(rows):,}", colour="ink", bold=True, size=12))
        ends = np.array(limits)
        shapes.append(Line(panel.points(ends, ends), "muted", 1.2, dashed=True))
        size = 2.4 if len(rows) < 1500 else 1.3
        target, predicted = rows["target"].to_numpy(np.float64), rows["predicted"].to_numpy(np.float64)
        if "sigma" in rows.columns:
            shapes.append(_error_bars(panel, target, predicted, rows["sigma"].to_numpy(np.float64)))
        inside = np.clip(predicted, *limits)
        shapes.append(Dots(panel.points(inside, target), "c0", size, 0.55))
        band = running_band(predicted, target)
        for column in (1, 3):
            shapes.append(Line(panel.points(np.clip(band[:, 0], *limits), band[:, column]), "c1", 1.2))
        shapes.append(Line(panel.points(np.clip(band[:, 0], *limits), band[:, 2]), "c1", 2.4))
        said.append(
            f"{name}: {len(rows)} mutations, root mean square error {np.sqrt(np.mean((target - predicted) ** 2)):.2f}"
        )
    shapes += legend(52, 344, [("c0", "a mutation"), ("c1", "measured, median and 90 % of those predicted alike")])
    shapes += [Label(470, 344, "dashed: agreement")]
    title = "Measured against predicted"
    return Drawing(WIDTH, 354, tuple(shapes), title, f"{'; '.join(said)}."), tuple(panels)


def _error_bars(panel: Panel, target: np.ndarray, predicted: np.ndarray, sigma: np.ndarray) -> Line:
    """95 % of a normal error of the predictions, as horizontal lines."""
    points = np.full((3 * len(target), 2), np.nan)
    low, high = (np.clip(predicted + sign * 1.96 * sigma, *panel.x_range) for sign in (-1, 1))
    points[0::3], points[1::3] = panel.points(low, target), panel.points(high, target)
    return Line(points, "grid", 1.0)


def running_band(predicted: np.ndarray, measured: np.ndarray, steps: int = _STEPS) -> np.ndarray:
    """Quantiles of what was measured, by prediction.

    Returns
    -------
    numpy.ndarray, (k, 4)
        Median prediction of a group of neighbours, and the 5 %, 50 % and 95 % quantile of their measurements. Groups
        are of equal size, at least 20 mutations (all, where there are fewer), at most `steps`.
    """
    order = np.argsort(predicted, kind="stable")
    groups = [group for group in np.array_split(order, max(1, min(steps, len(order) // 20))) if group.size]
    return np.array(
        [[np.median(predicted[group]), *np.quantile(measured[group], [0.05, 0.5, 0.95])] for group in groups]
    )


def latent_map(results: DdgResults, scores: np.ndarray, share: np.ndarray) -> Drawing:
    """The latent's first two principal axes, coloured by measured value, protein and part of the split."""
    colourings = (
        Colouring("measured", _by_value(results)),
        Colouring("protein", _by_protein(results), top_first=True),
        Colouring("part", _by_part(results), top_first=True),
    )
    drawing, _ = draw_maps(scores, share, colourings, "mutations")
    return drawing


def _by_value(results: DdgResults) -> list[Layer]:
    """From stabilising (blue) to destabilising (red), grey at 0."""
    values = results.predictions["target"].to_numpy(np.float64)
    colours = [colour if i != len(DIVERGING) // 2 else "pale" for i, colour in enumerate(DIVERGING)]
    step = diverging_step(values, largest_usual(values))
    layers = []
    for number in np.unique(step).tolist():
        rows = np.flatnonzero(step == number)
        layers.append(Layer(colours[number], f"{np.median(values[rows]):.1f}", rows))
    # every other step is named, and the two ends
    return [layer._replace(name="") if i % 2 and 0 < i < len(layers) - 1 else layer for i, layer in enumerate(layers)]


def _by_protein(results: DdgResults) -> list[Layer]:
    proteins = results.predictions["protein"].astype(str)
    largest = proteins.value_counts().sort_index().sort_values(ascending=False, kind="stable").index.tolist()
    largest = largest[: len(_PROTEIN_COLOURS)]
    named = [
        Layer(colour, name, np.flatnonzero(proteins == name))
        for colour, name in zip(_PROTEIN_COLOURS, largest, strict=False)
    ]
    others = np.flatnonzero(~proteins.isin(largest))
    return ([Layer("pale", "others", others)] if others.size else []) + named


def _by_part(results: DdgResults) -> list[Layer]:
    split = results.predictions["split"].to_numpy()
    return [
        Layer(colour, part, np.flatnonzero(split == part))
        for part, colour in _PART_COLOURS.items()
        if (split == part).any()
    ]


def largest_usual(values: np.ndarray) -> float:
    """The 98 % quantile of absolute values, at least 0.5: what the ends of a diverging scale stand for."""
    known = np.abs(values[np.isfinite(values)])
    return max(0.5, float(np.quantile(known, 0.98))) if known.size else 1.0


def diverging_step(values: np.ndarray, largest: float) -> np.ndarray:
    """Step of `DIVERGING` for each value: the middle one around 0, the last from `largest` on."""
    n = len(DIVERGING)
    return np.clip(np.floor((values / largest + 1) / 2 * n), 0, n - 1).astype(int)


def attention_bars(attention: pd.DataFrame) -> Drawing:
    """Mean attention of the readout to each latent dimension, by layer."""
    layers = [name for name in attention.columns if name != "dimension"]
    values = attention[layers].to_numpy(dtype=np.float64)
    n = len(values)
    panel = Panel(58, 26, WIDTH - 70, 120, (-0.5, n - 0.5), (0.0, 1.08 * float(values.max())))
    shapes = axes(panel, "latent dimension", "attention", x_ticks=[(float(i), str(i)) for i in range(n)])
    wide = panel.width / n * 0.8 / len(layers)
    for j in range(len(layers)):
        tops = panel.y(values[:, j])
        left = panel.x(np.arange(n)) - 0.4 * panel.width / n + j * wide
        shapes.append(Boxes(np.column_stack([left, tops, np.full(n, wide), panel.bottom - tops]), f"c{j % 7}"))
    level = float(panel.y(1 / n))
    shapes.append(Line(np.array([[panel.left, level], [panel.right, level]]), "muted", 1.0, dashed=True))
    shapes += legend(58, 16, [(f"c{j % 7}", name) for j, name in enumerate(layers)])
    most = np.argsort(-values.mean(axis=1))[:5]
    said = f"Most attended: {', '.join(str(i) for i in most)}; dashed: what each would have if all were alike."
    return Drawing(WIDTH, 186, tuple(shapes), "Attention to latent dimensions", said)


def scan_heatmap(positions: list[str], wild_type: str, ddg: np.ndarray, plddt: np.ndarray | None) -> Drawing:
    """Predicted ΔΔG of every substitution: positions from left to right, mutants by `AMINO_ACIDS` downwards.

    Parameters
    ----------
    positions : list of str, (n,)
        Numbers as the structure has them.
    wild_type : str
        n letters.
    ddg : numpy.ndarray, (n, 20)
        kcal/mol, positive = destabilising; NaN for what was not predicted.
    plddt : numpy.ndarray or None, (n,)
        0–100, of an AlphaFold model; None for an experimental structure.
    """
    n = len(positions)
    per_row = -(-n // max(1, -(-n // SITES_A_ROW)))
    largest = largest_usual(ddg)
    cell_width, cell_height = (WIDTH - 66) / per_row, 11.0
    block = 20 * cell_height + (66 if plddt is not None else 48)
    shapes: list[Shape] = []
    left, at = 46.0, 46.0
    ends = [
        (DIVERGING[0], f"≤ −{largest:.1f} stabilising"),
        ("grid", "0"),
        (DIVERGING[-1], f"≥ {largest:.1f} destabilising"),
    ]
    shapes += legend(left, 16, [*ends, ("ink", "wild type")])
    for first in range(0, n, per_row):
        columns = np.arange(first, min(first + per_row, n))
        step = diverging_step(np.nan_to_num(ddg[columns]), largest)
        top = at + (18.0 if plddt is not None else 0.0)
        if plddt is not None:
            shapes += _plddt_strip(plddt[columns], left, at, cell_width)
        for number, colour in enumerate(DIVERGING):
            rows, mutants = np.nonzero((step == number) & np.isfinite(ddg[columns]))
            boxes = np.column_stack(
                [
                    left + rows * cell_width,
                    top + mutants * cell_height,
                    np.full(len(rows), cell_width * 0.97),
                    np.full(len(rows), cell_height * 0.95),
                ]
            )
            shapes.append(Boxes(boxes, colour if number != len(DIVERGING) // 2 else "grid"))
        known = np.array([AMINO_ACIDS.find(wild_type[i]) for i in columns])
        marks = np.column_stack(
            [left + (np.arange(len(columns)) + 0.5) * cell_width, top + (known + 0.5) * cell_height]
        )
        shapes.append(Dots(marks[known >= 0], "ink", 1.7))
        for number, letter in enumerate(AMINO_ACIDS):
            shapes.append(Label(left - 8, top + (number + 0.82) * cell_height, letter, "end", size=9))
        every = max(1, int(np.ceil(per_row / 15)))
        for i in range(0, len(columns), every):
            x = left + (i + 0.5) * cell_width
            shapes.append(Label(x, top + 20 * cell_height + 12, positions[columns[i]], "middle", size=9))
        at += block
    mean = site_means(ddg)
    worst = np.argsort(-np.nan_to_num(mean, nan=-np.inf))[:5]
    sensitive = ", ".join(f"{wild_type[i]}{positions[i]} ({mean[i]:.1f})" for i in worst)
    said = (
        f"Predicted ΔΔG of {int(np.isfinite(ddg).sum())} substitutions at {n} positions, kcal/mol, positive = "
        f"destabilising. Most sensitive on average: {sensitive}."
    )
    if plddt is not None:
        said += f" pLDDT below 70 at {int((plddt < 70).sum())} positions."
    return Drawing(WIDTH, at - 6, tuple(shapes), "Scan of every substitution", said)


def assay_beside_scan(positions: list[str], ddg: np.ndarray, scores: np.ndarray, name: str) -> Drawing:
    """An assay beside predictions: score against ΔΔG, and along the chain the means of both over what was measured.

    Parameters
    ----------
    positions : list of str, (n,)
    ddg : numpy.ndarray, (n, 20)
        kcal/mol, positive = destabilising.
    scores : numpy.ndarray, (n, 20)
        Higher = fitter; NaN where not measured.
    name : str
    """
    both = np.isfinite(ddg) & np.isfinite(scores)
    side = Panel(62, 34, 250, 250, padded_range(ddg[both]), padded_range(scores[both]))
    shapes: list[Shape] = [Label(62, 16, name, colour="ink", bold=True, size=12)]
    shapes += axes(side, "predicted ΔΔG, kcal/mol", "score (higher = fitter)")
    shapes.append(Dots(side.points(ddg[both], scores[both]), "c0", 2.4 if both.sum() < 1500 else 1.3, 0.4))
    places = np.arange(len(positions))
    ticks = [(float(place), positions[place]) for place in places[:: max(1, len(places) // 10)]]
    for top, values, colour, label in ((34, ddg, "c1", "mean ΔΔG"), (169, scores, "c0", "mean score")):
        means = np.where(both.any(axis=1), site_means(np.where(both, values, np.nan)), np.nan)
        panel = Panel(390, top, WIDTH - 400, 115, padded_range(places), padded_range(means))
        shapes += axes(panel, "residue" if top > 34 else "", label, x_ticks=ticks)
        shapes.append(Line(panel.points(places, means), colour, 1.3))
    title = f"Assay beside the scan: {name}"
    said = f"{int(both.sum())} substitutions measured and predicted, at {int(both.any(axis=1).sum())} residues."
    return Drawing(WIDTH, 330, tuple(shapes), title, said)


def site_means(ddg: np.ndarray) -> np.ndarray:
    """Mean over each site's substitutions, (n,); NaN where nothing was predicted."""
    counted = np.isfinite(ddg).sum(axis=1)
    return np.divide(np.nansum(ddg, axis=1), counted, out=np.full(len(ddg), np.nan), where=counted > 0)


def _plddt_strip(plddt: np.ndarray, left: float, top: float, cell_width: float) -> list[Shape]:
    """AlphaFold's confidence above the heatmap, in the four classes of its database."""
    shapes: list[Shape] = [Label(left - 8, top + 9, "pLDDT", "end", size=8)]
    for low, high, colour in ((90, 101, "c0"), (70, 90, "c5"), (50, 70, "c4"), (-1, 50, "c1")):
        columns = np.flatnonzero((plddt >= low) & (plddt < high))
        boxes = np.column_stack([left + columns * cell_width, np.full(len(columns), top)])
        sizes = np.tile([cell_width, 10.0], (len(columns), 1))
        shapes.append(Boxes(np.hstack([boxes, sizes]), colour))
    return shapes
