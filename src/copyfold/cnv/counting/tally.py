"""What counting adds up: read starts and changes of depth at every base of the reference, and what became of records.

`_walk.c` applies the same filters to the bytes of a BAM file; the two are held against each other in the tests.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from copyfold.cnv.counting.alignments import Alignments

# Columns of Tallies.totals; the same order stands in _walk.c.
RECORDS, SECONDARY, SUPPLEMENTARY, MAPPED, DUPLICATES, MALFORMED, BELOW_CHROMOSOME, BELOW_PLASMID = range(8)
N_TOTALS = 8

UNMAPPED_FLAG, SECONDARY_FLAG, DUPLICATE_FLAG, SUPPLEMENTARY_FLAG = 0x4, 0x100, 0x400, 0x800


class Layout(NamedTuple):
    """Where reads are counted.

    Attributes
    ----------
    names : tuple of str, (n_contigs,)
    lengths : numpy.ndarray, (n_contigs,), int64
        bp.
    offsets : numpy.ndarray, (n_contigs,), int64
        Place of each contig's first base; one more place than bases takes the ends at the contig's end.
    min_mapq : numpy.ndarray, (2,), int64
        Of the two countings: chromosome, plasmid.
    """

    names: tuple[str, ...]
    lengths: np.ndarray
    offsets: np.ndarray
    min_mapq: np.ndarray

    @property
    def n_places(self) -> int:
        """Bases of all contigs, with the place behind each."""
        return int((self.lengths + 1).sum())


class Tallies(NamedTuple):
    """The sums; the first axis of 2 is the counting (chromosome, plasmid).

    Attributes
    ----------
    starts, depth_change : numpy.ndarray, (2, n_places), int32
        Reads that start at a base; depth there less depth at the base before.
    totals : numpy.ndarray, (n_contigs + 1, N_TOTALS), int64
        Records of each kind; the last row holds those without a contig.
    """

    starts: np.ndarray
    depth_change: np.ndarray
    totals: np.ndarray


def lay_out(names: tuple[str, ...], lengths: np.ndarray, chromosome_mapq: int, plasmid_mapq: int) -> Layout:
    """Places of all contigs one behind the other."""
    offsets = np.concatenate([[0], np.cumsum(lengths + 1)[:-1]]).astype(np.int64)
    return Layout(names, lengths, offsets, np.array([chromosome_mapq, plasmid_mapq], np.int64))


def empty_tallies(layout: Layout) -> Tallies:
    """All zero."""
    return Tallies(
        np.zeros((2, layout.n_places), np.int32),
        np.zeros((2, layout.n_places), np.int32),
        np.zeros((len(layout.names) + 1, N_TOTALS), np.int64),
    )


def add_alignments(layout: Layout, tallies: Tallies, batch: Alignments) -> None:
    """Filter a batch as docs/methods/counting.md says and add it; a mapped record without a block is malformed."""
    row = np.where(batch.contig >= 0, batch.contig, len(layout.names))

    def add_total(column: int, chosen: np.ndarray) -> None:
        tallies.totals[:, column] += np.bincount(row[chosen], minlength=len(layout.names) + 1)

    mapped = (batch.flag & UNMAPPED_FLAG == 0) & (batch.contig >= 0) & (batch.position >= 0)
    secondary = batch.flag & SECONDARY_FLAG != 0
    supplementary = ~secondary & (batch.flag & SUPPLEMENTARY_FLAG != 0)
    duplicate = mapped & (batch.flag & DUPLICATE_FLAG != 0)
    inside = mapped & (batch.position < np.append(layout.lengths, 0)[row])
    well_formed = inside & (np.bincount(batch.block_record, minlength=len(row)) > 0)
    live = mapped & ~duplicate
    add_total(RECORDS, np.ones(len(row), bool))
    add_total(SECONDARY, secondary)
    add_total(SUPPLEMENTARY, supplementary)
    add_total(MAPPED, mapped & ~secondary & ~supplementary)
    add_total(DUPLICATES, duplicate)
    add_total(MALFORMED, live & ~well_formed)
    counted = (live & well_formed)[None, :] & (batch.mapq[None, :] >= layout.min_mapq[:, None])
    add_total(BELOW_CHROMOSOME, live & well_formed & ~counted[0])
    add_total(BELOW_PLASMID, live & well_formed & ~counted[1])
    place = np.append(layout.offsets, 0)[row]
    limit = np.append(layout.lengths, 0)[row][batch.block_record]
    within = batch.block_start < limit
    for rule in range(2):
        np.add.at(tallies.starts[rule], (place + batch.position)[counted[rule]], 1)
        blocks = counted[rule][batch.block_record] & within
        first = place[batch.block_record[blocks]]
        np.add.at(tallies.depth_change[rule], first + batch.block_start[blocks], 1)
        np.add.at(tallies.depth_change[rule], first + np.minimum(batch.block_end, limit)[blocks], -1)


def sums_between(
    layout: Layout, values: np.ndarray, contig: np.ndarray, start: np.ndarray, end: np.ndarray
) -> np.ndarray:
    """Sum of a value per base over intervals.

    Parameters
    ----------
    values : numpy.ndarray, (n_places,)
    contig, start, end : numpy.ndarray, (n,), int64
        Intervals, 0-based half-open on a contig.

    Returns
    -------
    numpy.ndarray, (n,), int64
    """
    if not contig.size:
        return np.zeros(0, np.int64)
    edges = np.stack([layout.offsets[contig] + start, layout.offsets[contig] + end], axis=1)
    return np.add.reduceat(values, edges.ravel(), dtype=np.int64)[::2]  # every other sum lies between intervals


def depth_of(depth_change: np.ndarray) -> np.ndarray:
    """Depth at every place, from its changes: (n_places,), int32. Every contig's changes add up to 0."""
    return np.cumsum(depth_change, dtype=np.int32)
