"""Copy-changing events in base pairs, their random placement, and the copies they leave in each bin.

Overlapping events multiply: a duplication inside an absent region stays absent, a twofold array inside a
threefold one makes six copies.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from copyfold.cnv.coordinates import Gene
from copyfold.cnv.simulation.geometry import Geometry
from copyfold.cnv.simulation.settings import Events as EventSettings
from copyfold.cnv.simulation.settings import Gene as GeneSettings

AMPLIFICATION, DELETION, MIXED = "amplification", "deletion", "mixed"
LINEAGE_ABSENCE, LINEAGE_DUPLICATION = "lineage_absence", "lineage_duplication"


@dataclass(frozen=True)
class EventList:
    """Events on contigs laid end to end (see `Geometry.linear`).

    Attributes
    ----------
    x0, x1 : numpy.ndarray, (n_events,), int64
        0-based half-open, bp.
    copies : numpy.ndarray, (n_events,), float64
        Copies per cell, averaged over the population.
    kind : numpy.ndarray, (n_events,), str
    """

    x0: np.ndarray
    x1: np.ndarray
    copies: np.ndarray
    kind: np.ndarray

    def __len__(self) -> int:
        return len(self.x0)


def event_list(rows: list[tuple[int, int, float, str]]) -> EventList:
    """Events from (x0, x1, copies, kind) rows, sorted."""
    rows = sorted(rows)
    return EventList(
        np.array([row[0] for row in rows], dtype=np.int64),
        np.array([row[1] for row in rows], dtype=np.int64),
        np.array([row[2] for row in rows], dtype=np.float64),
        np.array([row[3] for row in rows], dtype=np.str_),
    )


def joined(first: EventList, second: EventList) -> EventList:
    """Both lists as one."""
    return EventList(
        np.concatenate([first.x0, second.x0]),
        np.concatenate([first.x1, second.x1]),
        np.concatenate([first.copies, second.copies]),
        np.concatenate([first.kind, second.kind]),
    )


def mean_copies(start: np.ndarray, end: np.ndarray, x0: np.ndarray, x1: np.ndarray, copies: np.ndarray) -> np.ndarray:
    """Mean copies over each interval, every base pair counted alike; exact.

    The product of the events is constant between their ends, so its integral is linear there and one
    interpolation gives it at the interval borders.

    Parameters
    ----------
    start, end : numpy.ndarray, (n,), int
        Intervals, 0-based half-open, bp, on the same axis as the events.
    x0, x1 : numpy.ndarray, (n_events,), int
        Events, 0-based half-open, bp.
    copies : numpy.ndarray, (n_events,)

    Returns
    -------
    numpy.ndarray, (n,), float64
        1 where no event lies.
    """
    if len(x0) == 0:
        return np.ones(len(start))
    knots = np.unique(np.concatenate([x0, x1, [start.min(), end.max()]])).astype(np.float64)
    left = knots[:-1, None]
    level = np.where((x0 <= left) & (left < x1), copies, 1.0).prod(axis=1)
    integral = np.concatenate([[0.0], np.cumsum(level * np.diff(knots))])
    return (np.interp(end, knots, integral) - np.interp(start, knots, integral)) / (end - start)


def log_uniform(rng: np.random.Generator, bounds: tuple[float, float]) -> float:
    """A number whose logarithm is uniform between the bounds."""
    return float(np.exp(rng.uniform(np.log(bounds[0]), np.log(bounds[1]))))


def power_law_copies(rng: np.random.Generator, bounds: tuple[int, int], exponent: float) -> float:
    """A whole copy number c in the bounds (inclusive) with probability ∝ c^−exponent."""
    choices = np.arange(bounds[0], bounds[1] + 1)
    weights = choices.astype(np.float64) ** -exponent
    return float(rng.choice(choices, p=weights / weights.sum()))


def random_interval(
    rng: np.random.Generator,
    geometry: Geometry,
    bounds: tuple[float, float],
    keep_clear: tuple[Gene, ...] = (),
    clearance: int = 10_000,
) -> tuple[int, int] | None:
    """An interval of log-uniform length anywhere on one contig; None where it falls too near a gene to spare.

    A length above a quarter of the contig is cut to that. Positions are uniform over the whole reference.
    """
    wanted = round(log_uniform(rng, bounds))
    ends = geometry.contig_offsets + geometry.contig_lengths
    position = int(rng.integers(geometry.length))
    contig = int(np.searchsorted(ends, position, side="right"))
    contig_length = int(geometry.contig_lengths[contig])
    length = max(1, min(wanted, contig_length // 4))
    offset = int(geometry.contig_offsets[contig])
    x0 = offset + int(rng.integers(contig_length - length + 1))
    for gene in keep_clear:
        gene_x0, gene_x1 = gene_interval(geometry, gene)
        spared = min(clearance, contig_length // 20)
        if x0 < gene_x1 + spared and x0 + length > gene_x0 - spared:
            return None
    return x0, x0 + length


def gene_interval(geometry: Geometry, gene: Gene) -> tuple[int, int]:
    """A panel gene's interval with the contigs laid end to end, 0-based half-open."""
    x0, x1 = geometry.linear([gene.contig, gene.contig], np.array([gene.start, gene.end]))
    return int(x0), int(x1)


def isolate_events(
    rng: np.random.Generator, geometry: Geometry, events: EventSettings, gene_settings: GeneSettings
) -> EventList:
    """Copy changes of one isolate beside those of its lineage: random ones, and those of the panel genes."""
    rows: list[tuple[int, int, float, str]] = []
    for _ in range(rng.poisson(events.amplifications)):
        copies = power_law_copies(rng, events.copies, events.copies_exponent)
        kind = AMPLIFICATION
        if rng.random() < events.mixed_share:
            copies, kind = float(rng.uniform(*events.mixed_copies)), MIXED
        interval = random_interval(rng, geometry, events.bp)
        if interval is not None:
            rows.append((*interval, copies, kind))
    for _ in range(rng.poisson(events.deletions)):
        interval = random_interval(rng, geometry, events.bp, geometry.panel, clearance=0)
        if interval is not None:
            rows.append((*interval, 0.0, DELETION))
    for gene in geometry.panel:
        rows += _gene_event(rng, geometry, gene, events, gene_settings)
    return event_list(rows)


def _gene_event(
    rng: np.random.Generator, geometry: Geometry, gene: Gene, events: EventSettings, settings: GeneSettings
) -> list[tuple[int, int, float, str]]:
    draw = rng.random()
    copies = power_law_copies(rng, settings.copies, settings.copies_exponent)
    mixed_copies = float(rng.uniform(*events.mixed_copies))
    x0, x1 = _around(rng, geometry, gene, settings.array_bp)
    if draw < settings.amplification_rate:
        return [(x0, x1, copies, f"{gene.name}_{AMPLIFICATION}")]
    if draw < settings.amplification_rate + settings.mixed_rate:
        return [(x0, x1, mixed_copies, f"{gene.name}_{MIXED}")]
    if draw < settings.amplification_rate + settings.mixed_rate + settings.deletion_rate:
        return [(x0, x1, 0.0, f"{gene.name}_{DELETION}")]
    return []


def _around(rng: np.random.Generator, geometry: Geometry, gene: Gene, bounds: tuple[float, float]) -> tuple[int, int]:
    """An interval of log-uniform length that holds the whole gene, anywhere around it, within its contig."""
    gene_x0, gene_x1 = gene_interval(geometry, gene)
    contig = int(np.flatnonzero(geometry.contig_names == gene.contig)[0])
    lowest = int(geometry.contig_offsets[contig])
    contig_length = int(geometry.contig_lengths[contig])
    length = min(round(log_uniform(rng, bounds)), contig_length // 4)
    length = max(length, gene_x1 - gene_x0)
    x0 = gene_x1 - length + int(rng.integers(length - (gene_x1 - gene_x0) + 1))
    x0 = min(max(x0, lowest), lowest + contig_length - length)
    return x0, x0 + length
