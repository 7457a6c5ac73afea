"""Clouds of points in many dimensions, seen from where they spread most, and drawn once for each colouring."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from copyfold.report.drawing import (
    Dots,
    Drawing,
    Label,
    Line,
    Panel,
    Shape,
    axes,
    legend,
    padded_range,
    shortened,
    text_width,
)

WIDTH = 940.0
SIDE, STEP = 262.0, 308.0
"""Pixels of a map's side, and from one map to the next."""
_MANY = 1500
_LONGEST_NAME = 12


class Layer(NamedTuple):
    """Points of one colour.

    Attributes
    ----------
    colour : str
    name : str
        For the legend; empty for none.
    rows : numpy.ndarray, int
    """

    colour: str
    name: str
    rows: np.ndarray


class Colouring(NamedTuple):
    """One way to colour a map; later layers lie on top.

    Attributes
    ----------
    title : str
    layers : sequence of Layer
    top_first : bool
        Whether the legend begins with what lies on top.
    """

    title: str
    layers: Sequence[Layer]
    top_first: bool = False


def principal_axes(latents: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scores on the first two principal axes, (n_samples, 2), and the share of variance of each, (2,)."""
    centred = latents.astype(np.float64) - latents.mean(axis=0, dtype=np.float64)
    left, singular, _ = np.linalg.svd(centred, full_matrices=False)
    scores = np.zeros((len(latents), 2))
    kept = min(2, len(singular))
    scores[:, :kept] = left[:, :kept] * singular[:kept]
    share = np.zeros(2)
    if (total := float((singular**2).sum())) > 0:
        share[:kept] = singular[:kept] ** 2 / total
    return scores, share


def draw_maps(
    scores: np.ndarray, share: np.ndarray, colourings: Sequence[Colouring], what: str
) -> tuple[Drawing, Panel]:
    """The same map once for each of up to three colourings, from left to right `STEP` apart.

    Parameters
    ----------
    scores, share : numpy.ndarray
        As `principal_axes` gives them.
    colourings : sequence of Colouring
    what : str
        What a point is, in the plural.

    Returns
    -------
    (Drawing, Panel)
        The panel is that of the first map.
    """
    size = 2.4 if len(scores) < _MANY else 1.5
    first = Panel(40, 46, SIDE, SIDE, padded_range(scores[:, 0]), padded_range(scores[:, 1]))
    shapes: list[Shape] = []
    for i, (title, layers, top_first) in enumerate(colourings):
        panel = Panel(first.left + i * STEP, first.top, SIDE, SIDE, first.x_range, first.y_range)
        shapes += axes(panel, f"axis 1 ({share[0]:.0%} of variance)", "", x_ticks=[], y_ticks=[])
        shapes.append(Line(np.array([[panel.left, panel.top], [panel.left, panel.bottom]]), "pale", 1.0))
        shapes.append(Label(panel.left - 8, panel.top + SIDE / 2, f"axis 2 ({share[1]:.0%})", "middle", turned=True))
        shapes.append(Label(panel.left, 14, f"by {title}", colour="ink", bold=True, size=12))
        for layer in layers:
            shapes.append(Dots(panel.points(scores[layer.rows, 0], scores[layer.rows, 1]), layer.colour, size, 0.8))
        shapes += _one_line_legend(panel.left, layers[::-1] if top_first else layers)
    said = (
        f"{len(scores)} {what} on the first two principal axes of the latent, which hold {share[0]:.0%} and "
        f"{share[1]:.0%} of its variance."
    )
    return Drawing(WIDTH, first.bottom + 44, tuple(shapes), "Map of the latent", said), first


def _one_line_legend(left: float, layers: Sequence[Layer]) -> list[Shape]:
    """The names of as many layers as fit beside each other."""
    entries: list[tuple[str, str]] = []
    used = 0.0
    for layer in layers:
        name = shortened(layer.name, _LONGEST_NAME)
        used += 26 + text_width(name) if name else 0.0
        if name and used <= STEP:
            entries.append((layer.colour, name))
    return legend(left, 31, entries)
