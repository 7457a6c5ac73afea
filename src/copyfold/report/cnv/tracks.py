"""One isolate along the genome: copy ratio and segments of everything, and reads per bin around a gene."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from copyfold.cnv.coordinates import Gene, find_gene_bins, same_contig
from copyfold.cnv.store import Contigs
from copyfold.errors import ConfigError, InputError
from copyfold.report.cnv.results import Track
from copyfold.report.drawing import Boxes, Dots, Drawing, Label, Line, Panel, Shape, axes, legend, shortened

AROUND_GENE = 60_000
"""bp shown on either side of a gene."""
WIDTH = 940.0
HIGHEST_RATIO = 4.0
LEAST_PIXELS = 2.5
"""Segments of the overview are drawn at least so wide, or short ones would vanish."""
_REGION = re.compile(r"(?P<chrom>.+):(?P<first>[0-9,]+)-(?P<last>[0-9,]+)")


@dataclass(frozen=True)
class Region:
    """Part of a contig, bp, 0-based half-open."""

    chrom: str
    start: int
    end: int


def parse_region(text: str) -> Region:
    """``chrom:from-to``, 1-based inclusive as people and samtools write it.

    Raises
    ------
    ConfigError
        Not of that form, or it ends before it begins.
    """
    found = _REGION.fullmatch(text.strip())
    if found is None:
        raise ConfigError(f"--region {text}: write chrom:from-to, as in NC_016845.1:2500000-2600000")
    first, last = (int(found[part].replace(",", "")) for part in ("first", "last"))
    if first < 1 or last < first:
        raise ConfigError(f"--region {text}: from must be at least 1 and not behind to")
    return Region(found["chrom"], first - 1, last)


def region_around(gene: Gene, padding: int = AROUND_GENE) -> Region:
    """A gene with `padding` bp on either side."""
    return Region(gene.contig, max(0, gene.start - padding), gene.end + padding)


def draw_track(track: Track, region: Region | None, genes: tuple[Gene, ...]) -> Drawing:
    """Two panels: copy ratio over all contigs; reads per bin in `region` with what the model expects of one copy.

    Parameters
    ----------
    track : Track
    region : Region or None
        Without one, the whole of the first contig.
    genes : tuple of Gene
        To be marked, on whatever contig.

    Raises
    ------
    InputError
        The region holds no bin.
    """
    contigs = track.contigs
    region = region or Region(str(contigs.chrom[0]), 0, int(contigs.end[contigs.chrom == contigs.chrom[0]].max()))
    inside = np.flatnonzero(
        np.array([same_contig(region.chrom, name) for name in np.unique(contigs.chrom).tolist()])[
            np.unique(contigs.chrom, return_inverse=True)[1]
        ]
        & (contigs.end > region.start)
        & (contigs.start < region.end)
    )
    if not inside.size:
        listed = ", ".join(dict.fromkeys(contigs.chrom.tolist()))
        raise InputError(
            f"region {region.chrom}:{region.start + 1}-{region.end}: the store has no bin there; its contigs are "
            f"{shortened(listed, 200)}"
        )
    shapes = [*_overview(track, region, inside), *_closeup(track, region, inside, genes)]
    title = f"{track.sample}: depth along the genome"
    return Drawing(WIDTH, 372.0, tuple(shapes), title, _description(track, region, inside, genes))


def _overview(track: Track, region: Region, inside: np.ndarray) -> list[Shape]:
    contigs = track.contigs
    length = contigs.end - contigs.start
    offset = np.concatenate([[0], np.cumsum(length)])
    middle = offset[:-1] + length / 2
    panel = Panel(58, 30, WIDTH - 70, 96, (0.0, float(offset[-1])), (0.0, HIGHEST_RATIO))
    starts = contigs.chain_starts
    names = [(float(middle[first:stop].mean()), str(contigs.chrom[first])) for first, stop in _pairs(starts)]
    shown = [(at, shortened(name, 26)) for at, name in names] if len(names) <= 6 else []
    shapes = axes(panel, "", "copy ratio", x_ticks=shown, y_ticks=[(n, str(n)) for n in range(5)])
    left, right = panel.x(offset[inside[0]]), panel.x(offset[inside[-1] + 1])
    width = max(float(right - left), 2.0)
    shapes.insert(0, Boxes(np.array([[float(left), panel.top, width, panel.height]]), "c4", 0.28))
    for first, _ in _pairs(starts)[1:]:
        at = float(panel.x(offset[first]))
        shapes.append(Line(np.array([[at, panel.top], [at, panel.bottom]]), "pale", 1.0, dashed=True))
    position, ratio = _thinned(middle, np.where(track.masked, np.nan, track.ratio))
    shapes.append(Dots(panel.points(position, ratio), "pale", 1.2))
    segments = track.segments
    for kind, chosen, colour in (
        ("gain", segments["cn"] >= 2, "c1"),
        ("loss", segments["cn"] == 0, "c0"),
        ("one copy", segments["cn"] == 1, "ink"),
    ):
        kept = segments[chosen]
        x0, x1 = (
            _genome_position(contigs, offset, kept["chrom"].to_numpy(), kept[end].to_numpy()) for end in ("x0", "x1")
        )
        points = np.full((3 * len(kept), 2), np.nan)
        points[0::3], points[1::3] = panel.points(x0, kept["ratio"]), panel.points(x1, kept["ratio"])
        points[1::3, 0] = np.maximum(points[1::3, 0], points[0::3, 0] + LEAST_PIXELS)
        if len(kept):
            shapes.append(Line(points, colour, 2.5 if kind != "one copy" else 1.6))
    shapes += legend(58, 18, [("pale", "bins"), ("ink", "segment of one copy"), ("c1", "gain"), ("c0", "loss")])
    shapes.append(Label(WIDTH - 12, 18, "shaded: the part below", "end"))
    return shapes


def _closeup(track: Track, region: Region, inside: np.ndarray, genes: tuple[Gene, ...]) -> list[Shape]:
    contigs = track.contigs
    start, end = contigs.start[inside], contigs.end[inside]
    low, high = max(region.start, int(start.min())), min(region.end, int(end.max()))
    counts, expected = track.counts[inside].astype(np.float64), track.expected[inside].astype(np.float64)
    top = max(1.0, 1.08 * float(np.quantile(counts, 0.995)), 1.25 * float(np.quantile(expected, 0.99)))
    panel = Panel(58, 190, WIDTH - 70, 132, (float(low), float(high)), (0.0, top))
    unit, name = (1e6, "Mb") if high - low > 2e6 else (1e3, "kb")
    ticks = [(value * unit, text) for value, text in _scaled_ticks(low / unit, high / unit)]
    shapes = axes(panel, f"{contigs.chrom[inside[0]]}, {name}", "reads per bin", x_ticks=ticks)
    marked = [gene for gene in genes if same_contig(gene.contig, region.chrom)]
    for gene in (each for each in marked if each.end > low and each.start < high):
        left, right = float(panel.x(max(gene.start, low))), float(panel.x(min(gene.end, high)))
        shapes.insert(0, Boxes(np.array([[left, panel.top - 4, max(right - left, 2.0), panel.height + 4]]), "c2", 0.3))
        shapes.append(Label((left + right) / 2, panel.top - 8, gene.name, "middle", "c2", bold=True))
    middle = (start + end) / 2
    bins, reads = (middle, counts) if len(inside) <= 1500 else _thinned(middle, counts)
    shapes.append(Dots(panel.points(bins, reads), "c0", 2.2 if len(inside) < 400 else 1.3, 0.85))
    bins, reads = (middle, expected) if len(inside) <= 1500 else _thinned(middle, expected)
    shapes.append(Line(panel.points(bins, reads), "ink", 1.3))
    gains = np.full(len(inside), np.nan)
    segments = track.segments[track.segments["chrom"] == contigs.chrom[inside[0]]]
    for segment in segments[(segments["x1"] > low) & (segments["x0"] < high)].itertuples():
        covered = (start < segment.x1) & (end > segment.x0)
        if segment.cn != 1 and np.isfinite(segment.ratio):
            gains[covered] = segment.ratio * expected[covered]
    if np.isfinite(gains).any():
        shapes.append(Line(_steps(panel, start, end, gains), "c1", 2.4))
    entries = [("c0", "reads counted"), ("ink", "expected of one copy")]
    shapes += legend(58, 168, [*entries, ("c1", "segment that is not one copy: expected × its ratio")])
    return shapes


def _description(track: Track, region: Region, inside: np.ndarray, genes: tuple[Gene, ...]) -> str:
    segments = track.segments
    gains, losses = int((segments["cn"] >= 2).sum()), int((segments["cn"] == 0).sum())
    text = (
        f"Isolate {track.sample}: {gains} segments of gain and {losses} of loss over {len(track.contigs)} bins. In "
        f"{region.chrom}:{region.start + 1}-{region.end} the median is {np.median(track.counts[inside]):.0f} reads per "
        f"bin, {np.median(track.expected[inside]):.0f} expected."
    )
    for gene in genes:
        if same_contig(gene.contig, region.chrom) and gene.end > region.start and gene.start < region.end:
            found = find_gene_bins(gene, track.contigs)
            seen, expected = (
                float((values[found.bins] * found.weights).sum() / found.weights.sum())
                for values in (track.counts, track.expected)
            )
            text += f" {gene.name}: {seen:.0f} reads per bin, {expected:.0f} expected of one copy."
    return text


def _thinned(position: np.ndarray, values: np.ndarray, most: int = 900) -> tuple[np.ndarray, np.ndarray]:
    """At most `most` points: the lowest, middle and highest of each stretch, so that short events stay visible."""
    if len(position) <= most:
        return position, values
    stretches = np.array_split(np.arange(len(position)), most // 3)
    kept: list[int] = []
    for stretch in stretches:
        order = stretch[np.argsort(values[stretch], kind="stable")]
        order = order[np.isfinite(values[order])]
        if order.size:
            kept += {int(order[0]), int(order[len(order) // 2]), int(order[-1])}
    chosen = np.sort(np.array(kept, dtype=np.intp))
    return position[chosen], values[chosen]


def _steps(panel: Panel, start: np.ndarray, end: np.ndarray, values: np.ndarray) -> np.ndarray:
    x = np.column_stack([start, end]).ravel()
    return panel.points(x, np.repeat(values, 2))


def _genome_position(contigs: Contigs, offset: np.ndarray, chrom: np.ndarray, position: np.ndarray) -> np.ndarray:
    """Place on the axis of all contigs end to end; `position` must be an edge of a bin."""
    placed = np.empty(len(position), dtype=np.float64)
    for name in np.unique(chrom):
        mine = chrom == name
        columns = np.flatnonzero(contigs.chrom == name)
        edges = np.append(contigs.start[columns], contigs.end[columns[-1]])
        placed[mine] = np.interp(position[mine], edges, offset[columns[0] : columns[-1] + 2])
    return placed


def _pairs(starts: np.ndarray) -> list[tuple[int, int]]:
    return list(zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True))


def _scaled_ticks(low: float, high: float) -> list[tuple[float, str]]:
    step = 10.0 ** np.floor(np.log10((high - low) / 6))
    step *= next(factor for factor in (1, 2, 5, 10) if (high - low) / (step * factor) <= 8)
    values = np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step
    return [(float(value), f"{value:,.10g}") for value in values]
