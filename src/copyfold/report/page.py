"""A report as one HTML file: sections of a few kinds of blocks, and no word to any network.

A kind of run brings its sections (`copyfold.report.cnv`, `copyfold.report.ddg`); this module knows no biology.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, ClassVar, Literal

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup, escape

from copyfold.report.drawing import Drawing
from copyfold.report.pictures import palette_css, svg_of

MOST_NAMES = 1_000
"""Of a `Finding` that the page lists."""


@dataclass(frozen=True)
class Tiles:
    """A few numbers to see first: (number, what it is, a note or "")."""

    kind: ClassVar[str] = "tiles"
    entries: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class Prose:
    """A paragraph."""

    kind: ClassVar[str] = "prose"
    text: str


@dataclass(frozen=True)
class Hover:
    """Points of a figure that name themselves under the mouse; point i is row i of the big table.

    Attributes
    ----------
    table : str
        Anchor of the `BigTable`.
    x, y : numpy.ndarray, (n,)
        Pixels; NaN where a row has no point.
    shifts : tuple of (float, float)
        Where the same points stand again, from the first place.
    """

    table: str
    x: np.ndarray
    y: np.ndarray
    shifts: tuple[tuple[float, float], ...] = ((0.0, 0.0),)

    @property
    def data(self) -> dict[str, Any]:
        return {"table": self.table, "x": _whole(self.x), "y": _whole(self.y), "shifts": self.shifts}


@dataclass(frozen=True)
class Figure:
    """A drawing with its caption; `aside` folds the numbers behind it."""

    kind: ClassVar[str] = "figure"
    drawing: Drawing
    caption: str
    hover: Hover | None = None
    aside: Table | None = None

    @property
    def svg(self) -> Markup:
        return svg_of(self.drawing)


@dataclass(frozen=True)
class Table:
    """A short table, shown whole; numbers are aligned to the right."""

    kind: ClassVar[str] = "table"
    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str | int | float, ...], ...]
    folded: bool = False


@dataclass(frozen=True)
class Column:
    """A column of a `BigTable`.

    Attributes
    ----------
    name : str
        Header, also in the download.
    values : sequence of str, or of numbers
        NaN and None are shown as nothing.
    words : dict of int to str, optional
        What to show of a whole number; the download has the number.
    choose : bool
        Rows may be filtered by one value of this column.
    """

    name: str
    values: Sequence[Any] | np.ndarray
    words: dict[int, str] | None = None
    choose: bool = False


@dataclass(frozen=True)
class BigTable:
    """A table of any length: sorted, filtered, paged and saved by the reader."""

    kind: ClassVar[str] = "big_table"
    anchor: str
    caption: str
    columns: tuple[Column, ...]
    file_name: str

    @property
    def n_rows(self) -> int:
        return len(self.columns[0].values)

    @property
    def choices(self) -> list[str]:
        return [column.name for column in self.columns if column.choose]

    @property
    def data(self) -> dict[str, Any]:
        columns = [
            {"name": column.name, "words": column.words, "choose": column.choose, "values": _plain(column.values)}
            for column in self.columns
        ]
        return {"columns": columns, "file": self.file_name}


@dataclass(frozen=True)
class Finding:
    """Something a reader should know: what it is, how many, which, and what to do.

    Attributes
    ----------
    level : {"problem", "caution", "note"}
    title : str
    what : str
        With the numbers.
    advice : str
    which : tuple of str
        Names, of samples mostly; the page shows the first of them.
    """

    level: Literal["problem", "caution", "note"]
    title: str
    what: str
    advice: str
    which: tuple[str, ...] = ()


@dataclass(frozen=True)
class Findings:
    """Findings, the gravest first; `otherwise` is said where there is none."""

    kind: ClassVar[str] = "findings"
    entries: tuple[Finding, ...]
    otherwise: str


Block = Tiles | Prose | Figure | Table | BigTable | Findings


@dataclass(frozen=True)
class Section:
    """A part of the page with a heading."""

    anchor: str
    title: str
    blocks: tuple[Block, ...]
    intro: str = ""


@dataclass(frozen=True)
class Page:
    """A whole report.

    Attributes
    ----------
    title : str
    subtitle : str
    sections : tuple of Section
    footer : str
    """

    title: str
    subtitle: str
    sections: tuple[Section, ...]
    footer: str


def render_page(page: Page) -> str:
    """The page as HTML. Everything that is not ours is escaped, and the policy in it allows our script alone to run."""
    folder = files("copyfold.report") / "templates"
    script = (folder / "report.js").read_text(encoding="utf-8")
    style = palette_css() + (folder / "report.css").read_text(encoding="utf-8")
    policy = f"default-src 'none'; script-src {_digest(script)}; style-src {_digest(style)}; img-src data:; "
    return _template().render(
        page=page,
        script=Markup(script),
        style=Markup(style),
        most_names=MOST_NAMES,
        policy=policy + "base-uri 'none'; form-action 'none'",
    )


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("copyfold.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"json_data": _json_data, "cell": _cell, "coded": _coded}
    return environment.get_template("page.html")


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _json_data(value: Any) -> Markup:
    """JSON for a script element: nothing in it can end the element or begin a comment."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for mark in "<>&\u2028\u2029":
        text = text.replace(mark, f"\\u{ord(mark):04x}")
    return Markup(text)


def _coded(text: str) -> Markup:
    """Text in which what stands in backticks is code."""
    parts = [escape(part) for part in text.split("`")]
    return Markup("").join(Markup("<code>{}</code>").format(part) if i % 2 else part for i, part in enumerate(parts))


def _cell(value: str | int | float) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int | np.integer):
        return f"{value:,}"
    return "" if not np.isfinite(value) else f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def _plain(values: Sequence[Any] | np.ndarray) -> list[Any]:
    """Values for JSON: numbers with four significant digits, None for what is not finite."""
    plain = values.tolist() if isinstance(values, np.ndarray) else values
    return [_short(value) if isinstance(value, float) else value for value in plain]


def _short(value: float) -> int | float | None:
    rounded = float(f"{value:.4g}")
    if not np.isfinite(rounded):
        return None
    return int(rounded) if rounded.is_integer() else rounded


def _whole(pixels: np.ndarray) -> list[int | None]:
    return [round(value) if np.isfinite(value) else None for value in np.asarray(pixels, dtype=np.float64).tolist()]
