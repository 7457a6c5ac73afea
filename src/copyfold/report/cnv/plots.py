"""Plots of a cohort. Each takes arrays and gives a drawing whose description holds its numbers."""

from __future__ import annotations

import numpy as np

from copyfold.cnv.call_tables import CALL_KINDS
from copyfold.cnv.coordinates import find_gene_bins
from copyfold.cnv.store import Contigs
from copyfold.report.cnv.results import CnvResults, GeneResult
from copyfold.report.cnv.shown import Shown
from copyfold.report.drawing import (
    VIRIDIS,
    Boxes,
    Dots,
    Drawing,
    Label,
    Line,
    Panel,
    Shape,
    axes,
    legend,
    number_text,
    shortened,
)
from copyfold.report.projection import Colouring, Layer, draw_maps

WIDTH = 940.0
LINEAGES_SHOWN = 12
KIND_COLOURS = {"amplified": "c1", "normal": "pale", "absent": "c0", "uncallable": "c4"}
_LINEAGE_COLOURS = ("c0", "c1", "c2", "c3", "c4", "c5", "c6")


def calls_by_gene(genes: tuple[GeneResult, ...], counts: dict[str, dict[str, int]]) -> Drawing:
    """Bars of the share of isolates with each kind of call, a gene a line."""
    line, left, width = 22.0, 190.0, WIDTH - 260
    shapes: list[Shape] = []
    shapes += legend(left, 16, [(KIND_COLOURS[kind], kind) for kind in CALL_KINDS])
    said = []
    for i, gene in enumerate(genes):
        top = 30 + i * line
        numbers = counts[gene.name]
        total = max(1, sum(numbers.values()))
        shapes.append(Label(left - 8, top + 13, shortened(gene.name, 26), "end", "ink"))
        at = left
        for kind, colour in KIND_COLOURS.items():
            wide = numbers[kind] / total * width
            if wide:
                shapes.append(Boxes(np.array([[at, top, wide, line - 5]]), colour))
            at += wide
        shapes.append(Label(left + width + 8, top + 13, f"{numbers['amplified']:,}", colour="c1", bold=True))
        said.append(f"{gene.name}: " + ", ".join(f"{number} {kind}" for kind, number in numbers.items()))
    height = 36 + len(genes) * line
    return Drawing(WIDTH, height, tuple(shapes), "Calls by gene", "; ".join(said) + ".")


def depth_histogram(medians: np.ndarray, low: float) -> Drawing:
    """Isolates by median depth, on a logarithmic axis, with the limit below which they count as shallow."""
    usable = medians[medians >= 1]
    edges = np.geomspace(max(1.0, float(usable.min())), max(2.0, float(usable.max()) * 1.001), 41)
    numbers, _ = np.histogram(usable, edges)
    at = np.log10(edges)
    panel = Panel(58, 20, WIDTH - 70, 130, (float(at[0]), float(at[-1])), (0.0, max(1.0, 1.1 * float(numbers.max()))))
    steps = [n * 10**e for e in range(6) for n in (1, 2, 5)]
    ticks = [(float(np.log10(n)), f"{n:,}") for n in steps if edges[0] <= n <= edges[-1]]
    shapes = axes(panel, "median reads per bin", "isolates", x_ticks=ticks)
    tops = panel.y(numbers)
    left = panel.x(at[:-1])
    boxes = np.column_stack([left, tops, np.diff(panel.x(at)) - 0.7, panel.bottom - tops])
    shapes.append(Boxes(boxes, "c0"))
    if edges[0] < low < edges[-1]:
        x = float(panel.x(np.log10(low)))
        shapes.append(Line(np.array([[x, panel.top], [x, panel.bottom]]), "c1", 1.5, dashed=True))
        shapes.append(Label(x + 5, panel.top + 10, f"{low:g}: shallow", colour="c1"))
    quartiles = np.percentile(usable, [0, 25, 50, 75, 100])
    said = ", ".join(number_text(value) for value in quartiles)
    told = f"Median reads per bin, least, quartiles and most: {said}."
    return Drawing(WIDTH, 192, tuple(shapes), "Depth of the isolates", told)


def ratio_by_lineage(gene: GeneResult, results: CnvResults, shown: Shown) -> Drawing:
    """Ratios of the isolates that are shown, with the median of all, by lineage, coloured by call; logarithmic."""
    groups = lineage_groups(results)
    ratio = np.where(np.isfinite(gene.ratio), gene.ratio, np.nan)
    floor = 0.02 if gene.ratio_name == "PCN" else 0.1
    top = max(4.0, 1.2 * float(np.nanmax(ratio, initial=1.0)))
    panel = Panel(58, 30, WIDTH - 70, 190, (0.0, float(len(groups))), (floor, top), log_y=True)
    names = [
        (i + 0.5, shortened(name, max(6, int(panel.width / len(groups) / 6.5)))) for i, (name, _) in enumerate(groups)
    ]
    shapes = axes(panel, "", gene.ratio_name, x_ticks=names)
    threshold = ""
    if np.isfinite(gene.threshold):
        level = float(panel.y(gene.threshold))
        shapes.append(Line(np.array([[panel.left, level], [panel.right, level]]), "c1", 1.2, dashed=True))
        threshold = f" · dashed: amplified from {gene.threshold:g}"
    spread = np.random.default_rng(0).uniform(-0.34, 0.34, results.n_samples)
    centre = np.full(results.n_samples, np.nan)
    for i, (_, rows) in enumerate(groups):
        centre[rows] = i + 0.5
    size = 2.2 if len(shown.rows) < 1500 else 1.4
    is_shown = shown.mask(results.n_samples)
    # normal calls first, so that rare ones lie on top
    for kind in ("normal", "absent", "uncallable", "amplified"):
        low, high = CALL_KINDS[kind]
        chosen = is_shown & (gene.cn >= low) & (gene.cn <= high)
        if chosen.any():
            points = panel.points(centre[chosen] + spread[chosen], ratio[chosen])
            shapes.append(Dots(points, KIND_COLOURS[kind], size, 0.85))
    carried = np.where(gene.cn == 0, np.nan, ratio)
    for i, (_, rows) in enumerate(groups):
        if np.isfinite(carried[rows]).any():
            y = float(panel.y(np.nanmedian(carried[rows])))
            shapes.append(Line(np.array([[panel.x(i + 0.18), y], [panel.x(i + 0.82), y]], dtype=float), "ink", 2.0))
        shapes.append(Label(float(panel.x(i + 0.5)), panel.bottom + 31, f"n = {len(rows):,}", "middle", size=10))
    shapes += legend(58, 16, [(colour, kind) for kind, colour in KIND_COLOURS.items()])
    shapes.append(Label(panel.right, 16, f"line: median of those that have it{threshold}", "end"))
    said = "; ".join(
        f"{name}: {int(gene.amplified[rows].sum())} of {len(rows)} amplified, median of those "
        f"that have it {np.nanmedian(carried[rows]):.2f}"
        for name, rows in groups
        if np.isfinite(carried[rows]).any()
    )
    return Drawing(WIDTH, 262, tuple(shapes), f"{gene.ratio_name} of {gene.name} by lineage", f"{said}.")


def lineage_groups(results: CnvResults, most: int = LINEAGES_SHOWN) -> list[tuple[str, np.ndarray]]:
    """The largest lineages with their rows, then the other ones together; one group where no lineage is known."""
    if not (results.lineages != "").any():
        return [("all isolates", np.arange(results.n_samples))]
    largest = results.largest_lineages(most)
    groups = [(name, np.flatnonzero(results.lineages == name)) for name in largest]
    others = np.flatnonzero(~np.isin(results.lineages, [*largest, ""]))
    unknown = np.flatnonzero(results.lineages == "")
    return groups + [(name, rows) for name, rows in (("others", others), ("unknown", unknown)) if rows.size]


def latent_map(results: CnvResults, scores: np.ndarray, share: np.ndarray, shown: Shown) -> tuple[Drawing, Panel]:
    """The same map three times, coloured by lineage, depth and call; also its first panel."""
    is_shown = shown.mask(results.n_samples)

    def drawn(layers: list[Layer]) -> list[Layer]:
        return [layer._replace(rows=layer.rows[is_shown[layer.rows]]) for layer in layers]

    colourings = (
        Colouring("lineage", drawn(_by_lineage(results)), top_first=True),
        Colouring("depth", drawn(_by_depth(results))),
        Colouring("call", drawn(_by_call(results)), top_first=True),
    )
    return draw_maps(scores, share, colourings, "isolates")


def _by_lineage(results: CnvResults) -> list[Layer]:
    largest = results.largest_lineages(len(_LINEAGE_COLOURS))[::-1]
    others = np.flatnonzero(~np.isin(results.lineages, largest))
    layers = [Layer("pale", "others" if largest else "lineage unknown", others)] if others.size else []
    named = zip(_LINEAGE_COLOURS[: len(largest)][::-1], largest, strict=True)
    return layers + [Layer(colour, name, np.flatnonzero(results.lineages == name)) for colour, name in named]


def _by_depth(results: CnvResults) -> list[Layer]:
    levels = np.log(np.maximum(results.medians, 1.0))
    edges = np.quantile(levels, np.linspace(0, 1, len(VIRIDIS) + 1)[1:-1])
    step = np.digitize(levels, edges)
    layers = []
    for number, colour in enumerate(VIRIDIS):
        rows = np.flatnonzero(step == number)
        ends = (0, len(VIRIDIS) // 2, len(VIRIDIS) - 1)
        name = f"{np.median(results.medians[rows]):.0f}" if rows.size and number in ends else ""
        layers.append(Layer(colour, name and f"{name} reads", rows))
    return [layer for layer in layers if layer.rows.size]


def _by_call(results: CnvResults) -> list[Layer]:
    chromosomal = results.chromosomal or results.genes
    if not chromosomal:
        return []
    amplified = np.any([gene.amplified for gene in chromosomal], axis=0)
    uncallable = np.all([~gene.called for gene in chromosomal], axis=0)
    absent = np.any([gene.cn == 0 for gene in chromosomal], axis=0) & ~amplified
    rest = ~(amplified | uncallable | absent)
    kinds = (("normal", rest), ("absent", absent), ("uncallable", uncallable & ~amplified), ("amplified", amplified))
    return [Layer(KIND_COLOURS[kind], kind, np.flatnonzero(chosen)) for kind, chosen in kinds if chosen.any()]


def genome_frequency(results: CnvResults) -> Drawing:
    """Share of isolates with a gain (up) and a loss (down) over every bin of the reference."""
    contigs, segments = results.contigs, results.segments
    assert contigs is not None
    assert segments is not None
    edges = np.concatenate([[0], np.cumsum(contigs.end - contigs.start)]).astype(np.float64)
    gains, losses = segments.gains / results.n_samples, segments.losses / results.n_samples
    top = max(0.02, 1.1 * float(max(gains.max(), losses.max())))
    panel = Panel(58, 26, WIDTH - 70, 170, (0.0, edges[-1]), (-top, top))
    starts = contigs.chain_starts[:-1]
    if len(starts) == 1:
        ticks = None
    else:
        ticks = [(edges[first], shortened(str(contigs.chrom[first]), 18)) for first in starts.tolist()][:8]
    from_zero = [(-top / 1.1, f"{top / 1.1:.0%}"), (0.0, "0"), (top / 1.1, f"{top / 1.1:.0%}")]
    x_ticks = ticks or [(mb * 1e6, f"{mb:g}") for mb in np.arange(0, edges[-1] / 1e6, 0.5).tolist()]
    label = "place on the reference" if ticks else f"{contigs.chrom[0]}, Mb"
    shapes = axes(panel, label, "isolates", x_ticks=x_ticks, y_ticks=from_zero)
    columns = np.array_split(np.arange(len(contigs)), min(len(contigs), int(panel.width)))
    firsts = np.array([column[0] for column in columns])
    zero = float(panel.y(0.0))
    left, right = panel.x(edges[firsts]), panel.x(edges[np.append(firsts[1:], len(contigs))])
    for values, colour, up in ((gains, "c1", True), (losses, "c0", False)):
        highest = np.maximum.reduceat(values, firsts)
        ends = panel.y(highest if up else -highest)
        boxes = np.column_stack([left, np.minimum(ends, zero), np.maximum(right - left, 0.8), np.abs(ends - zero)])
        shapes.append(Boxes(boxes[highest > 0], colour))
    for gene in results.chromosomal:
        if gene.place is not None:
            at = float(panel.x(edges[find_gene_bins(gene.place, contigs).bins[0]]))
            shapes.append(Line(np.array([[at, panel.top], [at, panel.bottom]]), "c2", 1.2, dashed=True))
            shapes.append(Label(at + 4, panel.top + 8, gene.name, colour="c2", bold=True))
    shapes += legend(58, 16, [("c1", "gain, cn ≥ 2"), ("c0", "loss, cn 0")])
    said = (
        f"Most frequent gain: {gains.max():.1%} of isolates at {_where(contigs, int(gains.argmax()))}; most frequent "
        f"loss: {losses.max():.1%} at {_where(contigs, int(losses.argmax()))}."
    )
    return Drawing(WIDTH, 236, tuple(shapes), "Gains and losses along the reference", said)


def _where(contigs: Contigs, column: int) -> str:
    return f"{contigs.chrom[column]}:{contigs.start[column] + 1:,}"
