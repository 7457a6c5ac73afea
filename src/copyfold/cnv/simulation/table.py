"""`like`: a geometry with the bins and the noise of a real depth table.

Taken from the table: bins, median, replication trend, over-dispersion. Not taken: its local ups and downs,
which may be real copy changes; a cohort that repeated them would teach a caller to call them normal.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from copyfold.cnv.coordinates import Gene
from copyfold.cnv.simulation.geometry import Geometry, Measured, build_geometry, replication_profile
from copyfold.cnv.store import Contigs
from copyfold.cnv.tables import read_table
from copyfold.errors import InputError

_HEADER = ("CONTIG", "START", "END")
_MIN_BINS = 20
_MIN_MEDIAN = 5.0
_MIN_LENGTH = 20_000
_GENE_LENGTH = 1_200
_WINDOWS = 100
_PHASES = 200


@dataclass(frozen=True)
class DepthTable:
    """Bins and one value for each.

    Attributes
    ----------
    contigs : Contigs
        (n_bins,) bins, 0-based half-open.
    values : numpy.ndarray, (n_bins,), float64
        Reads or mean depth per bin.
    """

    contigs: Contigs
    values: np.ndarray


def like(path: Path) -> Geometry:
    """Geometry with the bins, replication trend, median and over-dispersion of a depth table.

    The panel is made up: geneA, geneB, geneC of 1.2 kb at the quarter points of the longest contig. GC,
    mappability and bias stay synthetic, since the table tells neither sequence nor repeats. Contigs shorter
    than half the longest have no replication gradient.

    Parameters
    ----------
    path : Path
        TSV, gzipped or not: CONTIG, START, END (1-based inclusive), one value column; ``@`` lines skipped.

    Raises
    ------
    InputError
        The table is damaged (file and line are named) or too small or shallow to simulate on.
    """
    path = Path(path)
    table = read_depth_table(path)
    contigs = table.contigs
    breaks = contigs.chain_starts
    lengths = contigs.end[breaks[1:] - 1]
    longest = int(lengths.argmax())
    if len(contigs) < _MIN_BINS or lengths[longest] < _MIN_LENGTH:
        raise InputError(
            f"{path}: {len(contigs)} bins, longest contig {lengths[longest]:,} bp; "
            f"at least {_MIN_BINS} bins and a contig of {_MIN_LENGTH:,} bp are needed"
        )
    median = float(np.median(table.values))
    if median < _MIN_MEDIAN:
        raise InputError(
            f"{path}: the median value is {median:g}; "
            f"give reads or depth per bin (median ≥ {_MIN_MEDIAN:g}), not relative depth"
        )
    middle = (contigs.start + contigs.end) / 2
    replication = np.zeros(len(contigs))
    inside = slice(breaks[longest], breaks[longest + 1])
    log2_ori_ter, origin = replication_trend(middle[inside], table.values[inside], float(lengths[longest]))
    for first, last, length in zip(breaks[:-1], breaks[1:], lengths, strict=True):
        if length >= lengths[longest] / 2:
            start = origin * length / lengths[longest]
            replication[first:last] = replication_profile(middle[first:last], length, start, start + length / 2)
    trend = median * np.exp2(log2_ori_ter * replication)
    chrom = str(contigs.chrom[breaks[longest]])
    panel = tuple(
        Gene(name, chrom, int(lengths[longest] * share), int(lengths[longest] * share) + _GENE_LENGTH)
        for name, share in (("geneA", 0.25), ("geneB", 0.5), ("geneC", 0.75))
    )
    covered = [
        ((contigs.chrom == chrom) & (contigs.start < gene.end) & (contigs.end > gene.start)).any() for gene in panel
    ]
    if not all(covered):
        raise InputError(f"{path}: no bins at the quarter points of {chrom}; give a table that covers its contigs")
    return build_geometry(
        source=f"like {path.name}",
        species="unknown",
        contigs=contigs,
        replication=replication,
        panel=panel,
        has_plasmids=False,
        measured=Measured(median, excess_dispersion(table, trend), log2_ori_ter),
    )


def replication_trend(middle: np.ndarray, values: np.ndarray, length: float) -> tuple[float, float]:
    """Height (log2 origin/terminus) and origin (bp) of the triangular trend that fits window medians best.

    Medians over hundredths of the contig hide short copy changes, least absolute deviations the longer ones.
    Of the candidate origins the one with the smallest sum of absolute residuals wins.

    Parameters
    ----------
    middle : numpy.ndarray, (n_bins,)
        Bin centres, bp.
    values : numpy.ndarray, (n_bins,)
    length : float
        bp.
    """
    windows = min(_WINDOWS, len(values) // 10)
    if windows < 8:
        return 0.0, 0.0
    parts = np.array_split(np.arange(len(values)), windows)
    level = np.array([np.median(values[part]) for part in parts])
    centre = np.array([middle[part].mean() for part in parts])
    seen = level > 0.1 * np.median(values)
    level, centre = np.log2(level[seen]), centre[seen]
    if len(level) < 8:
        return 0.0, 0.0
    origins = np.arange(_PHASES) * length / _PHASES
    shapes = np.stack([replication_profile(centre, length, x, (x + length / 2) % length) for x in origins])
    height, misfit = _least_absolute(shapes, level)
    best = int(np.where(height >= 0, misfit, np.inf).argmin())
    return float(max(height[best], 0.0)), float(origins[best])


def _least_absolute(shapes: np.ndarray, level: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Slope and sum of absolute residuals of `level` on each row of `shapes`, by reweighted least squares.

    Parameters
    ----------
    shapes : numpy.ndarray, (n_shapes, n)
    level : numpy.ndarray, (n,)

    Returns
    -------
    slope, misfit : numpy.ndarray, (n_shapes,)
    """
    weight = np.ones_like(shapes)
    for _ in range(30):
        total = weight.sum(axis=1, keepdims=True)
        x = shapes - (weight * shapes).sum(axis=1, keepdims=True) / total
        y = level - (weight * level).sum(axis=1, keepdims=True) / total
        slope = (weight * x * y).sum(axis=1) / (weight * x * x).sum(axis=1)
        residual = np.abs(y - slope[:, None] * x)
        weight = 1 / np.maximum(residual, 1e-4)
    return slope, residual.sum(axis=1)


def excess_dispersion(table: DepthTable, trend: np.ndarray) -> float:
    """Variance beyond Poisson over squared mean, from the median absolute difference of neighbouring bins.

    A column of whole numbers is taken as reads, and its Poisson part is subtracted. A column of mean depths
    has a Poisson part that cannot be known, so nothing is subtracted and the figure is an upper bound.
    """
    ratio = table.values / trend
    pairs = (
        (table.contigs.chrom[1:] == table.contigs.chrom[:-1])
        & (np.minimum(ratio[1:], ratio[:-1]) > 0.25)
        & (np.maximum(ratio[1:], ratio[:-1]) < 4)
    )
    steps = np.diff(ratio)[pairs]
    if len(steps) < 10:
        return 1e-4
    spread = 1.4826 * float(np.median(np.abs(steps - np.median(steps)))) / np.sqrt(2)
    whole = bool((table.values == np.rint(table.values)).all())
    poisson = 1 / float(np.median(table.values)) if whole else 0.0
    return max(float(spread**2) - poisson, 1e-4)


def read_depth_table(path: Path) -> DepthTable:
    """Read a depth table; bins must ascend within a contig and a contig must stand in one piece.

    Raises
    ------
    InputError
        Naming the file and the line.
    """
    table = read_table(path, comment="@")
    if tuple(table.columns[:3]) != _HEADER or len(table.columns) != 4:
        raise InputError(
            f"{path}: columns are {', '.join(table.columns[:6])}; expected CONTIG, START, END (1-based inclusive) "
            "and one value column, separated by tabs"
        )
    chrom: list[str] = []
    start: list[int] = []
    end: list[int] = []
    values: list[float] = []
    finished: set[str] = set()
    for number, cells in table.rows:
        name, x0, x1, value = _row(f"{path}: line {number}", cells)
        if chrom and name != chrom[-1]:
            finished.add(chrom[-1])
        elif chrom and x0 < end[-1]:
            raise InputError(
                f"{path}: line {number}: bin starts at {x0 + 1}, the one before ends at {end[-1]}; "
                "bins must ascend without overlap"
            )
        if name in finished:
            raise InputError(f"{path}: line {number}: contig {name} again; keep each contig in one piece")
        chrom.append(name)
        start.append(x0)
        end.append(x1)
        values.append(value)
    return DepthTable(
        Contigs(np.array(chrom), np.array(start, dtype=np.int64), np.array(end, dtype=np.int64)),
        np.array(values),
    )


def _row(where: str, cells: list[str]) -> tuple[str, int, int, float]:
    if not cells[0]:
        raise InputError(f"{where}: the contig's name is empty; correct the line")
    try:
        start, end, value = int(cells[1]), int(cells[2]), float(cells[3])
    except ValueError:
        raise InputError(
            f"{where}: '{' '.join(cells[1:])}' are not two whole positions and a number; correct the line"
        ) from None
    if not 1 <= start <= end < 2**31:
        raise InputError(f"{where}: bin {start}–{end}; positions are 1-based inclusive with start ≤ end")
    if not 0 <= value < np.inf:
        raise InputError(f"{where}: value is {cells[3]}; depth is a finite number ≥ 0")
    return cells[0], start - 1, end, value
