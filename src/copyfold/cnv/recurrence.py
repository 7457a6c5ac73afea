"""Which amplified or deleted segments recur in a cohort: events of isolates, gathered by reciprocal overlap.

An event is a stretch of one isolate's genome called amplified (cn ≥ 2) or deleted (cn 0), whatever its copy number.
Two events are of one segment when each covers at least a share of the other. Segments are stars, not chains: every
event overlaps the representative of its segment by that share, so that a segment cannot creep along the genome.
docs/methods/recurrence.md gives reasons and sources.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from copyfold.cnv.coordinates import Gene, same_contig
from copyfold.errors import ConfigError

KINDS = ("deleted", "amplified")
"""Names of `Events.kind`."""
_LINEAGES_LISTED = 5


@dataclass(frozen=True)
class RecurrenceSettings:
    """When events are of one segment, and when a segment is recurrent.

    Attributes
    ----------
    min_isolates : int
        Fewest isolates with the segment.
    min_frequency : float
        Least share of the isolates that can be called on its contig, 0..1.
    overlap : float
        Share that two events must cover of each other, (0, 1].
    max_gap : int
        bp between two segments of an isolate that still are one event: a bin or two of repeats.
    min_length : int
        bp of the shortest event.
    min_confidence : float
        Least confidence of a segment that counts, 0..1.
    """

    min_isolates: int = 3
    min_frequency: float = 0.0
    overlap: float = 0.5
    max_gap: int = 2_000
    min_length: int = 0
    min_confidence: float = 0.5

    def check(self) -> None:
        """Refuse what cannot be.

        Raises
        ------
        ConfigError
        """
        if self.min_isolates < 1:
            raise ConfigError(f"--min-isolates {self.min_isolates}: must be at least 1; 3 is usual")
        if not 0 < self.overlap <= 1:
            raise ConfigError(f"--overlap {self.overlap:g}: must be a share above 0, up to 1; 0.5 is usual")
        shares = (("--min-frequency", self.min_frequency), ("--min-confidence", self.min_confidence))
        for option, share in shares:
            if not 0 <= share <= 1:
                raise ConfigError(f"{option} {share:g}: must be a share from 0 to 1")
        for option, length in (("--max-gap", self.max_gap), ("--min-length", self.min_length)):
            if length < 0:
                raise ConfigError(f"{option} {length}: must be a number of bp, 0 or more")


class Events(NamedTuple):
    """Events of a cohort, one row each: every array is (n,).

    Attributes
    ----------
    sample : numpy.ndarray, int
        Index of the isolate.
    contig : numpy.ndarray, int
        Index of the contig.
    kind : numpy.ndarray, int8
        1 amplified, 0 deleted.
    start, end : numpy.ndarray, int
        bp, 0-based half-open.
    cn, ratio, confidence : numpy.ndarray, float
        Means over the event's segments, weighted by length.
    """

    sample: np.ndarray
    contig: np.ndarray
    kind: np.ndarray
    start: np.ndarray
    end: np.ndarray
    cn: np.ndarray
    ratio: np.ndarray
    confidence: np.ndarray


def find_events(segments: Events, max_gap: int, min_length: int = 0) -> Events:
    """Join an isolate's segments of one kind that abut or stand at most `max_gap` bp apart.

    Parameters
    ----------
    segments : Events
        Amplified and deleted segments, in any order; those of one isolate do not overlap.
    max_gap : int
    min_length : int
        Shorter events are left out, bp.

    Returns
    -------
    Events
        In order of sample, contig, kind and start.
    """
    if not len(segments.sample):
        return segments
    order = np.lexsort((segments.start, segments.kind, segments.contig, segments.sample))
    sorted_ = Events(*(column[order] for column in segments))
    new = np.ones(len(order), dtype=bool)
    same = [column[1:] == column[:-1] for column in (sorted_.sample, sorted_.contig, sorted_.kind)]
    new[1:] = ~(np.logical_and.reduce(same) & (sorted_.start[1:] - sorted_.end[:-1] <= max_gap))
    first = np.flatnonzero(new)
    last = np.append(first[1:], len(new)) - 1
    length = (sorted_.end - sorted_.start).astype(np.float64)

    def mean(column: np.ndarray) -> np.ndarray:
        known = np.isfinite(column)
        total = np.add.reduceat(np.where(known, length, 0.0), first)
        summed = np.add.reduceat(np.where(known, column, 0.0) * length, first)
        return np.divide(summed, total, out=np.full(len(first), np.nan), where=total > 0)

    means = [mean(column) for column in (sorted_.cn, sorted_.ratio, sorted_.confidence)]
    places = [column[first] for column in (sorted_.sample, sorted_.contig, sorted_.kind, sorted_.start)]
    events = Events(*places, sorted_.end[last], *means)
    return Events(*(column[events.end - events.start >= min_length] for column in events))


def gather_intervals(start: np.ndarray, end: np.ndarray, overlap: float) -> tuple[np.ndarray, np.ndarray]:
    """Gather intervals around representatives that they cover, and that cover them, by at least a share.

    The interval with most others within the share of it becomes the first representative and takes them all; among
    what is left, in the same order, the next one does. On a tie the interval that occurs more often goes first, then
    the longer, then the one further left. The result does not depend on the order of the intervals.

    Parameters
    ----------
    start, end : numpy.ndarray, (n,), int64
        Half-open, none empty, on one contig.
    overlap : float
        (0, 1].

    Returns
    -------
    group : numpy.ndarray, (n,), int64
        Number of each interval's group, in the order in which the groups were made.
    representatives : numpy.ndarray, (n_groups, 2), int64
        Start and end of each group's representative, one of its intervals.
    """
    if not len(start):
        return np.zeros(0, np.int64), np.zeros((0, 2), np.int64)
    # return_inverse needs a flat array in every numpy: its shape changed between versions
    places, inverse, times = np.unique(np.stack([start, end], axis=1), axis=0, return_inverse=True, return_counts=True)
    lefts, rights = places.T.astype(np.int64)
    lengths = rights - lefts

    def near(place: int) -> np.ndarray:
        """Which of the different intervals are within the share of this one."""
        left, right, length = lefts[place], rights[place], lengths[place]
        reach = int(np.ceil(length / overlap)) - length  # how far the start of a longer one lies to the left, at most
        first = np.searchsorted(lefts, left - reach, side="left")
        others = slice(int(first), int(np.searchsorted(lefts, right, side="left")))
        shared = np.minimum(rights[others], right) - np.maximum(lefts[others], left)
        return others.start + np.flatnonzero(shared >= overlap * np.maximum(lengths[others], length))

    followers = np.array([times[near(place)].sum() for place in range(len(places))])
    group = np.full(len(places), -1, np.int64)
    representatives: list[np.ndarray] = []
    for place in np.lexsort((lefts, -lengths, -times, -followers)).tolist():
        if group[place] < 0:
            members = near(place)
            group[members[group[members] < 0]] = len(representatives)
            representatives.append(places[place])
    return group[inverse.reshape(-1)], np.array(representatives)


def recurrent_segments(
    events: Events,
    contigs: Sequence[str],
    n_callable: np.ndarray,
    settings: RecurrenceSettings,
    genes: Sequence[Gene] = (),
    lineages: np.ndarray | None = None,
) -> pd.DataFrame:
    """Segments that recur, most frequent first.

    Parameters
    ----------
    events : Events
        As `find_events` returns them.
    contigs : sequence of str
    n_callable : numpy.ndarray, (n_contigs,), int64
        Isolates that can be called on each contig.
    settings : RecurrenceSettings
    genes : sequence of Gene
        A gene counts as inside when at least half of it is.
    lineages : numpy.ndarray, (n_samples,), object, optional
        Lineage of each isolate, None where unknown.

    Returns
    -------
    pandas.DataFrame
        Columns as docs/formats/run.md says.
    """
    rows: list[dict[str, object]] = []
    for contig, name in enumerate(contigs):
        inside = [gene for gene in genes if same_contig(gene.contig, name)]
        for kind, kind_name in enumerate(KINDS):
            chosen = np.flatnonzero((events.contig == contig) & (events.kind == kind))
            mine = Events(*(column[chosen] for column in events))
            group, representatives = gather_intervals(mine.start, mine.end, settings.overlap)
            n_covering = _isolates_covering(mine, representatives)
            order = np.argsort(group, kind="stable")
            pieces = np.split(order, np.flatnonzero(np.diff(group[order])) + 1) if len(order) else []
            for (start, end), members, covering in zip(representatives.tolist(), pieces, n_covering, strict=True):
                isolates = np.unique(mine.sample[members])
                frequency = len(isolates) / n_callable[contig] if n_callable[contig] else 0.0
                if len(isolates) < settings.min_isolates or frequency < settings.min_frequency:
                    continue
                rows.append(
                    {
                        "chrom": name,
                        "x0": start,
                        "x1": end,
                        "kind": kind_name,
                        "n_isolates": len(isolates),
                        "n_callable": int(n_callable[contig]),
                        "frequency": frequency,
                        "n_covering": covering,
                        "x0_min": int(mine.start[members].min()),
                        "x0_max": int(mine.start[members].max()),
                        "x1_min": int(mine.end[members].min()),
                        "x1_max": int(mine.end[members].max()),
                        "median_cn": float(np.median(mine.cn[members])),
                        "median_ratio": _median_known(mine.ratio[members]),
                        "confidence": float(mine.confidence[members].mean()),
                        **_lineage_cells(lineages, isolates),
                        "genes": ",".join(_genes_inside(inside, start, end)),
                    }
                )
    table = pd.DataFrame(rows, columns=list(RECURRENT_COLUMNS))
    return table.sort_values(
        ["n_isolates", "chrom", "x0", "x1", "kind"], ascending=[False, True, True, True, True], ignore_index=True
    )


RECURRENT_COLUMNS = (
    *("chrom", "x0", "x1", "kind", "n_isolates", "n_callable", "frequency", "n_covering"),
    *("x0_min", "x0_max", "x1_min", "x1_max", "median_cn", "median_ratio", "confidence"),
    *("n_lineages", "lineages", "genes"),
)


def _isolates_covering(events: Events, intervals: np.ndarray) -> list[int]:
    """Number of isolates with an event over at least half of each of some intervals, (n, 2), of the same contig."""
    if not len(events.sample):
        return [0] * len(intervals)
    places = np.stack([events.start, events.end], axis=1).astype(np.int64)
    places, inverse, times = np.unique(places, axis=0, return_inverse=True, return_counts=True)
    by_place = events.sample[np.argsort(inverse.reshape(-1), kind="stable")]
    first = np.cumsum(times) - times
    numbers = []
    seen = np.zeros(int(events.sample.max()) + 1, dtype=bool)
    for start, end in intervals.tolist():
        shared = np.minimum(places[:, 1], end) - np.maximum(places[:, 0], start)
        over = np.flatnonzero(2 * shared >= end - start)
        in_place = np.arange(times[over].sum()) - np.repeat(np.cumsum(times[over]) - times[over], times[over])
        isolates = by_place[np.repeat(first[over], times[over]) + in_place]
        seen[isolates] = True
        numbers.append(int(seen.sum()))
        seen[isolates] = False
    return numbers


def _median_known(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if known.size else float("nan")


def _lineage_cells(lineages: np.ndarray | None, isolates: np.ndarray) -> Mapping[str, object]:
    """How many lineages some isolates are of, and the largest as ``name:isolates``."""
    if lineages is None:
        return {"n_lineages": pd.NA, "lineages": ""}
    counts = pd.Series([name for name in lineages[isolates] if name is not None], dtype=object).value_counts()
    ordered = sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))
    shown = [f"{name}:{number}" for name, number in ordered[:_LINEAGES_LISTED]]
    return {"n_lineages": len(ordered), "lineages": ",".join(shown) + (",…" if len(ordered) > len(shown) else "")}


def _genes_inside(genes: Sequence[Gene], start: int, end: int) -> list[str]:
    return [gene.name for gene in genes if 2 * (min(gene.end, end) - max(gene.start, start)) >= gene.end - gene.start]
