"""Drawings as SVG, by hand and small, and as PNG, by matplotlib."""

from __future__ import annotations

import io

import numpy as np
from markupsafe import Markup, escape

from copyfold.report.drawing import PALETTE, Boxes, Dots, Drawing, Label, Line, Shape

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"


def svg_of(drawing: Drawing, *, alone: bool = False) -> Markup:
    """A drawing as SVG.

    Parameters
    ----------
    drawing : Drawing
    alone : bool
        For a file of its own: with light colours and a ground. Otherwise for the report, whose style sheet gives the
        colours by class.

    Returns
    -------
    markupsafe.Markup
        Every text in it is escaped.
    """
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {drawing.width:g} {drawing.height:g}" '
        f'width="{drawing.width:g}" height="{drawing.height:g}" font-family="{FONT}">',
        f"<title>{escape(drawing.title)}</title><desc>{escape(drawing.description)}</desc>",
    ]
    if alone:
        parts.append(f'<rect width="100%" height="100%" fill="{PALETTE["paper"].light}"/>')
    parts += [_shape(shape, alone) for shape in drawing.shapes]
    return Markup("".join(parts) + "</svg>")


def _shape(shape: Shape, alone: bool) -> str:
    paint = _paint(shape.colour, "fill" if isinstance(shape, Boxes | Label) else "stroke", alone)
    match shape:
        case Line():
            dash = ' stroke-dasharray="5 4"' if shape.dashed else ""
            return f'<path d="{_path(shape.points)}" fill="none" {paint} stroke-width="{shape.width:g}"{dash}/>'
        case Dots():
            known = shape.points[np.isfinite(shape.points).all(axis=1)]
            marks = "".join(f"M{x:.1f} {y:.1f}h0" for x, y in known.tolist())
            see_through = f' opacity="{shape.opacity:g}"' if shape.opacity < 1 else ""
            size = f'stroke-width="{2 * shape.radius:g}" stroke-linecap="round"'
            return f'<path d="{marks}" {paint} {size}{see_through}/>' if marks else ""
        case Boxes():
            boxes = "".join(f"M{x:.1f} {y:.1f}h{w:.1f}v{h:.1f}h{-w:.1f}z" for x, y, w, h in shape.rectangles.tolist())
            see_through = f' opacity="{shape.opacity:g}"' if shape.opacity < 1 else ""
            return f'<path d="{boxes}" {paint}{see_through}/>' if boxes else ""
        case Label():
            turn = f' transform="rotate(-90 {shape.x:.1f} {shape.y:.1f})"' if shape.turned else ""
            anchor = f' text-anchor="{shape.anchor}"' if shape.anchor != "start" else ""
            weight = ' font-weight="600"' if shape.bold else ""
            place = f'x="{shape.x:.1f}" y="{shape.y:.1f}" font-size="{shape.size:g}"'
            return f"<text {place}{anchor}{weight}{turn} {paint}>{escape(shape.text)}</text>"


def _paint(colour: str, attribute: str, alone: bool) -> str:
    if colour not in PALETTE:
        return f'{attribute}="{colour}"'
    return f'{attribute}="{PALETTE[colour].light}"' if alone else f'class="{attribute[0]}-{colour}"'


def _path(points: np.ndarray) -> str:
    known = np.isfinite(points).all(axis=1)
    text, pen_up = [], True
    for (x, y), drawn in zip(points.tolist(), known.tolist(), strict=True):
        if drawn:
            text.append(f"{'M' if pen_up else 'L'}{x:.1f} {y:.1f}")
        pen_up = not drawn
    return "".join(text)


def palette_css() -> str:
    """The classes that `svg_of` uses, with their colours on light, dark and paper."""
    light = "".join(f"--{name}:{shades.light};" for name, shades in PALETTE.items())
    dark = "".join(f"--{name}:{shades.dark};" for name, shades in PALETTE.items())
    classes = "".join(f".f-{name}{{fill:var(--{name})}}.s-{name}{{stroke:var(--{name})}}" for name in PALETTE)
    return f":root{{{light}}}@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}{classes}"


def png_of(drawing: Drawing, scale: float = 2.0) -> bytes:
    """A drawing as PNG, `scale` times as many pixels as it has."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.collections import PolyCollection
    from matplotlib.figure import Figure

    dots_per_inch = 100.0
    figure = Figure((drawing.width / dots_per_inch, drawing.height / dots_per_inch), dpi=dots_per_inch * scale)
    canvas = FigureCanvasAgg(figure)
    plot = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    plot.set_axis_off()
    plot.set_xlim(0, drawing.width)
    plot.set_ylim(drawing.height, 0)
    points_per_pixel = 72.0 / dots_per_inch
    for order, shape in enumerate(drawing.shapes):
        colour = PALETTE[shape.colour].light if shape.colour in PALETTE else shape.colour
        match shape:
            case Line():
                style = (0, (5, 4)) if shape.dashed else "solid"
                width = shape.width * points_per_pixel
                plot.plot(*shape.points.T, color=colour, linewidth=width, linestyle=style, zorder=order)
            case Dots():
                size = (2 * shape.radius * points_per_pixel) ** 2
                options = {"linewidths": 0, "alpha": shape.opacity, "zorder": order}
                plot.scatter(*shape.points.T, s=size, color=colour, **options)
            case Boxes():
                left, top, width, height = shape.rectangles.T
                corners = np.stack([left, top, left + width, top, left + width, top + height, left, top + height], 1)
                boxes = PolyCollection(
                    corners.reshape(-1, 4, 2), facecolor=colour, edgecolor="none", alpha=shape.opacity, zorder=order
                )
                plot.add_collection(boxes, autolim=False)
            case Label():
                plot.text(
                    shape.x,
                    shape.y,
                    shape.text.replace("$", r"\$"),
                    color=colour,
                    fontsize=shape.size * points_per_pixel,
                    ha={"start": "left", "middle": "center", "end": "right"}[shape.anchor],
                    va="baseline",
                    rotation=90 if shape.turned else 0,
                    rotation_mode="anchor",
                    fontweight="bold" if shape.bold else "normal",
                    zorder=order,
                )
    buffer = io.BytesIO()
    canvas.print_png(buffer)
    return buffer.getvalue()
