"""Plots as lists of shapes in pixels, apart from the file they end in: `svg_of` and `png_of` draw the same shapes.

Colours are names of `PALETTE`, so that one drawing serves light, dark and print.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np


class Shades(NamedTuple):
    """One colour on a light and on a dark ground."""

    light: str
    dark: str


PALETTE: dict[str, Shades] = {
    "paper": Shades("#ffffff", "#15191e"),
    "ink": Shades("#1c2430", "#e6e9ee"),
    "muted": Shades("#5b6673", "#a3adb9"),
    "grid": Shades("#e3e7ec", "#2c343d"),
    "pale": Shades("#aab4bf", "#717d89"),
    "c0": Shades("#0072b2", "#56a8dd"),
    "c1": Shades("#d55e00", "#f08a3c"),
    "c2": Shades("#009e73", "#2ec79b"),
    "c3": Shades("#cc79a7", "#e3a0c6"),
    "c4": Shades("#b38600", "#f0c043"),
    "c5": Shades("#56b4e9", "#8fd0f5"),
    "c6": Shades("#6b4fa0", "#b09ae0"),
    "c7": Shades("#7a8794", "#8996a3"),
}
"""By name. c0 to c6 are those of Okabe & Ito (https://jfly.uni-koeln.de/color/), yellow darkened to be seen on white
and purple in place of black; the dark shades are lightened to the same order of contrast."""

VIRIDIS = ("#440154", "#482878", "#3e4989", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#b5de2b", "#fde725")
"""Ten steps of viridis (van der Walt & Smith, matplotlib), for quantities."""
DIVERGING = (
    "#2166ac", "#4393c3", "#92c5de", "#d1e5f0", "#f7f7f7", "#fddbc7", "#f4a582", "#d6604d", "#b2182b",
)  # fmt: skip
"""ColorBrewer RdBu, blue to red: colour-blind-safe (https://colorbrewer2.org)."""


@dataclass(frozen=True)
class Line:
    """A polyline through `points`, (n, 2); NaN breaks it."""

    points: np.ndarray
    colour: str = "ink"
    width: float = 1.5
    dashed: bool = False


@dataclass(frozen=True)
class Dots:
    """Round marks at `points`, (n, 2); those with NaN are left out."""

    points: np.ndarray
    colour: str = "c0"
    radius: float = 2.0
    opacity: float = 1.0


@dataclass(frozen=True)
class Boxes:
    """Filled rectangles, (n, 4): left, top, width, height."""

    rectangles: np.ndarray
    colour: str = "c0"
    opacity: float = 1.0


@dataclass(frozen=True)
class Label:
    """A line of text; `y` is its baseline."""

    x: float
    y: float
    text: str
    anchor: Literal["start", "middle", "end"] = "start"
    colour: str = "muted"
    size: float = 11.0
    turned: bool = False
    bold: bool = False


Shape = Line | Dots | Boxes | Label


@dataclass(frozen=True)
class Drawing:
    """A picture.

    Attributes
    ----------
    width, height : float
        Pixels.
    shapes : tuple of Shape
        Later ones lie above earlier ones.
    title : str
        What it is, in a few words.
    description : str
        What it shows, with the numbers, for those who cannot see it.
    """

    width: float
    height: float
    shapes: tuple[Shape, ...]
    title: str
    description: str


@dataclass(frozen=True)
class Panel:
    """Where data are drawn: a rectangle in pixels and the ranges it stands for.

    Attributes
    ----------
    left, top, width, height : float
    x_range, y_range : (float, float)
        Data at the left and right, and at the bottom and top edge.
    log_y : bool
        Logarithmic in y; values are cut off at the lower end.
    """

    left: float
    top: float
    width: float
    height: float
    x_range: tuple[float, float]
    y_range: tuple[float, float]
    log_y: bool = False

    @property
    def right(self) -> float:
        return self.left + self.width

    @property
    def bottom(self) -> float:
        return self.top + self.height

    def x(self, values: np.ndarray | float) -> np.ndarray:
        """Pixels of data, not cut off."""
        low, high = self.x_range
        return self.left + (np.asarray(values, dtype=np.float64) - low) / ((high - low) or 1.0) * self.width

    def y(self, values: np.ndarray | float) -> np.ndarray:
        """Pixels of data, cut off at the panel's edges."""
        data = np.asarray(values, dtype=np.float64)
        low, high = self.y_range
        if self.log_y:
            data, low, high = np.log(np.maximum(data, low)), np.log(low), np.log(high)
        share = np.clip((data - low) / ((high - low) or 1.0), 0.0, 1.0)
        return self.bottom - share * self.height

    def points(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Pixels of data points, (n, 2)."""
        return np.column_stack([self.x(x), self.y(y)])


def axes(
    panel: Panel,
    x_label: str,
    y_label: str,
    *,
    x_ticks: Sequence[tuple[float, str]] | None = None,
    y_ticks: Sequence[tuple[float, str]] | None = None,
) -> list[Shape]:
    """Grid, ticks and labels of a panel; without `x_ticks` or `y_ticks`, round numbers."""
    shapes: list[Shape] = []
    x_ticks = _ticks(panel.x_range, int(np.clip(panel.width // 45, 2, 10))) if x_ticks is None else x_ticks
    if y_ticks is None:
        y_ticks = _log_ticks(panel.y_range) if panel.log_y else _ticks(panel.y_range, max(2, int(panel.height // 40)))
    for value, text in y_ticks:
        at = float(panel.y(value))
        shapes.append(Line(np.array([[panel.left, at], [panel.right, at]]), "grid", 1.0))
        shapes.append(Label(panel.left - 6, at + 4, text, "end"))
    for value, text in x_ticks:
        at = float(panel.x(value))
        shapes.append(Line(np.array([[at, panel.bottom], [at, panel.bottom + 4]]), "pale", 1.0))
        shapes.append(Label(at, panel.bottom + 16, text, "middle"))
    shapes.append(Line(np.array([[panel.left, panel.bottom], [panel.right, panel.bottom]]), "pale", 1.0))
    if x_label:
        shapes.append(Label(panel.left + panel.width / 2, panel.bottom + 33, x_label, "middle"))
    if y_label:
        shapes.append(Label(panel.left - 44, panel.top + panel.height / 2, y_label, "middle", turned=True))
    return shapes


def legend(left: float, baseline: float, entries: Sequence[tuple[str, str]]) -> list[Shape]:
    """Coloured dots with names, (colour, text), from `left` to the right."""
    shapes: list[Shape] = []
    for colour, text in entries:
        shapes.append(Dots(np.array([[left + 4, baseline - 4]]), colour, 4.0))
        shapes.append(Label(left + 13, baseline, text, colour="ink"))
        left += 26 + text_width(text)
    return shapes


def text_width(text: str, size: float = 11.0) -> float:
    """About how many pixels a text takes."""
    return 0.56 * size * len(text)


def shortened(text: str, longest: int) -> str:
    """`text`, cut to `longest` characters with an ellipsis."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def padded_range(values: np.ndarray, share: float = 0.05) -> tuple[float, float]:
    """Least and largest value with a margin, those beyond 1e100 left out; (0, 1) without any."""
    values = np.asarray(values, np.float64)
    known = values[np.abs(values) < 1e100]  # nor is NaN
    if not known.size:
        return 0.0, 1.0
    low, high = float(known.min()), float(known.max())
    margin = (high - low) * share or max(abs(low), 1.0) * share
    return low - margin, high + margin


def _ticks(limits: tuple[float, float], number: int) -> list[tuple[float, str]]:
    low, high = min(limits), max(limits)
    step = 10.0 ** np.floor(np.log10((high - low) / number))
    step *= next(factor for factor in (1, 2, 2.5, 5, 10) if (high - low) / (step * factor) <= number)
    values = np.arange(np.ceil(low / step - 1e-9), np.floor(high / step + 1e-9) + 1) * step
    return [(float(value), number_text(float(value))) for value in values]


def _log_ticks(limits: tuple[float, float]) -> list[tuple[float, str]]:
    low, high = limits
    exponents = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    steps = (1, 2, 5) if high / low < 120 else (1,)
    values = [float(f"{factor}e{exponent}") for exponent in exponents for factor in steps]
    return [(value, number_text(value)) for value in values if low <= value * (1 + 1e-9) and value <= high * (1 + 1e-9)]


def number_text(value: float) -> str:
    """A number as an axis or a sentence shows it: 12,500 · 3.25 · 0.0004."""
    if value == 0:
        return "0"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) >= 1e-4 else f"{value:.0e}"
