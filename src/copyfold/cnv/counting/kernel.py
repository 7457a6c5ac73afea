"""The compiled walk over BAM records: sizes checked, filters applied, starts and bases added to the tallies.

Record layout: section 4.2 of the SAM specification, https://samtools.github.io/hts-specs/SAMv1.pdf. Nothing is
read before its place was checked against the end of the buffer, and nothing is written before the contig and
position were checked against the layout: the file may be hostile. All kernels sit in this one file because numba's
cache looks only at the file of the outermost function.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
Function = TypeVar("Function", bound=Callable[..., object])

MAX_RECORD = 1 << 26
"""Bytes of one record that are accepted, 64 MiB: a read of 40 Mb."""

# Columns of Tallies.totals.
RECORDS, SECONDARY, SUPPLEMENTARY, MAPPED, DUPLICATES, MALFORMED, BELOW_CHROMOSOME, BELOW_PLASMID = range(8)
N_TOTALS = 8

# Problems of a record, as `walk_records` returns them.
FINE, BAD_SIZE, BAD_REFERENCE, BAD_POSITION, BAD_LAYOUT, BAD_CIGAR = range(6)

_UNMAPPED, _SECONDARY, _DUPLICATE, _SUPPLEMENTARY = 0x4, 0x100, 0x400, 0x800
_FIXED_BYTES = 36


class Layout(NamedTuple):
    """Where reads are counted. References are those of the file, contigs those of the bins.

    Attributes
    ----------
    contig_of_reference : (n_references,), int64
        -1 for a reference without bins.
    contig_length : (n_contigs,), int64
    first_bin : (n_contigs + 1,), int64
    bin_step : (n_contigs,), int64
        Size of the bins where they tile the contig evenly from 0, else 0.
    bin_start, bin_end : (n_bins,), int64
    first_span : (n_contigs + 1,), int64
    span_start, span_end : (n_spans,), int64
        Disjoint, ascending intervals that hold the genes.
    span_offset : (n_spans,), int64
        Where each span begins in the depth array, which has one place more than bases for each span.
    min_mapq : (2,), int64
        Chromosome, plasmid.
    """

    contig_of_reference: Integers
    contig_length: Integers
    first_bin: Integers
    bin_step: Integers
    bin_start: Integers
    bin_end: Integers
    first_span: Integers
    span_start: Integers
    span_end: Integers
    span_offset: Integers
    min_mapq: Integers


class Tallies(NamedTuple):
    """What the walk adds to; the first axis of 2 is the MAPQ rule (chromosome, plasmid).

    Attributes
    ----------
    starts, bases : (2, n_bins), int64
        Reads that start in a bin; aligned bases in it.
    depth_change : (2, n_places), int64
        Differences of depth along the spans.
    totals : (n_contigs + 1, N_TOTALS), int64
        Records of each kind; the last row holds those without a contig.
    """

    starts: Integers
    bases: Integers
    depth_change: Integers
    totals: Integers


def compiled(function: Function) -> Function:
    return cast(Function, numba.njit(cache=True, nogil=True)(function))


@compiled
def _u16(data: npt.NDArray[np.uint8], at: int) -> int:
    return np.int64(data[at]) | np.int64(data[at + 1]) << 8


@compiled
def _i32(data: npt.NDArray[np.uint8], at: int) -> int:
    value = np.uint32(data[at]) | np.uint32(data[at + 1]) << np.uint32(8)
    value |= np.uint32(data[at + 2]) << np.uint32(16) | np.uint32(data[at + 3]) << np.uint32(24)
    return np.int64(np.int32(value))


@compiled
def _first_ending_behind(ends: Integers, low: int, high: int, position: int) -> int:
    """First index in ``[low, high)`` whose end is > position; ``high`` if none. Ends ascend."""
    while low < high:
        middle = (low + high) >> 1
        if ends[middle] > position:
            high = middle
        else:
            low = middle + 1
    return low


@compiled
def _bin_at(layout: Layout, contig: int, position: int) -> int:
    """First bin of the contig that ends behind `position`, or the next contig's first bin."""
    low, high, step = layout.first_bin[contig], layout.first_bin[contig + 1], layout.bin_step[contig]
    if step > 0:
        return min(low + position // step, high)
    return _first_ending_behind(layout.bin_end, low, high, position)


@compiled
def _add_aligned(layout: Layout, tallies: Tallies, contig: int, start: int, end: int, chromosome: bool, plasmid: bool):
    """Add the aligned bases ``[start, end)``, ``0 <= start < end <= contig_length``, to bins and spans."""
    k = _bin_at(layout, contig, start)
    while k < layout.first_bin[contig + 1] and layout.bin_start[k] < end:
        overlap = min(end, layout.bin_end[k]) - max(start, layout.bin_start[k])
        tallies.bases[0, k] += overlap if chromosome else 0
        tallies.bases[1, k] += overlap if plasmid else 0
        k += 1
    s = _first_ending_behind(layout.span_end, layout.first_span[contig], layout.first_span[contig + 1], start)
    while s < layout.first_span[contig + 1] and layout.span_start[s] < end:
        shift = layout.span_offset[s] - layout.span_start[s]
        enter, leave = max(start, layout.span_start[s]) + shift, min(end, layout.span_end[s]) + shift
        if chromosome:
            tallies.depth_change[0, enter] += 1
            tallies.depth_change[0, leave] -= 1
        if plasmid:
            tallies.depth_change[1, enter] += 1
            tallies.depth_change[1, leave] -= 1
        s += 1


@compiled
def _measure_cigar(data: npt.NDArray[np.uint8], cigar: int, n_cigar: int) -> tuple[int, int, bool, bool]:
    """Reference bases, read bases, whether an N stands in it, whether every operation is known."""
    reference, read, skips = 0, 0, False
    for i in range(n_cigar):
        word = _i32(data, cigar + 4 * i) & 0xFFFFFFFF
        length, operation = word >> 4, word & 15
        if operation > 8:
            return 0, 0, False, False
        if operation == 0 or operation == 7 or operation == 8:
            reference += length
            read += length
        elif operation == 2 or operation == 3:
            reference += length
            skips = skips or operation == 3
        elif operation == 1 or operation == 4:
            read += length
    return reference, read, skips, True


@compiled
def walk_records(data: npt.NDArray[np.uint8], layout: Layout, tallies: Tallies) -> tuple[int, int, int, int]:
    """Count every whole record in `data`.

    Returns
    -------
    consumed : int
        Bytes of whole records; the rest belongs in front of the next buffer.
    problem : int
        FINE, or what is wrong with the record at `consumed`.
    n_records : int
        Records counted.
    value : int
        What the file says where `problem` is.
    """
    at, size, n_records = 0, data.size, 0
    n_references, n_contigs = layout.contig_of_reference.size, layout.contig_length.size
    while at + 4 <= size:
        length = _i32(data, at)
        if length < _FIXED_BYTES - 4 or length > MAX_RECORD:
            return at, BAD_SIZE, n_records, length
        if at + 4 + length > size:
            break
        reference, position = _i32(data, at + 4), _i32(data, at + 8)
        name_bytes, mapq = np.int64(data[at + 12]), np.int64(data[at + 13])
        n_cigar, flag, read_bases = _u16(data, at + 16), _u16(data, at + 18), _i32(data, at + 20)
        if reference < -1 or reference >= n_references:
            return at, BAD_REFERENCE, n_records, reference
        if position < -1:
            return at, BAD_POSITION, n_records, position
        if name_bytes < 1 or read_bases < 0:
            return at, BAD_LAYOUT, n_records, read_bases
        cigar = at + _FIXED_BYTES + name_bytes
        if cigar + 4 * n_cigar + (read_bases + 1) // 2 + read_bases > at + 4 + length:
            return at, BAD_LAYOUT, n_records, read_bases
        contig = layout.contig_of_reference[reference] if reference >= 0 else -1
        aligned, cigar_read, skips, known = _measure_cigar(data, cigar, n_cigar)
        if not known:
            return at, BAD_CIGAR, n_records, n_cigar

        row = contig if contig >= 0 else n_contigs
        tallies.totals[row, RECORDS] += 1
        n_records += 1
        at += 4 + length
        mapped = flag & _UNMAPPED == 0 and reference >= 0 and position >= 0
        if flag & _SECONDARY:
            tallies.totals[row, SECONDARY] += 1
        elif flag & _SUPPLEMENTARY:
            tallies.totals[row, SUPPLEMENTARY] += 1
        elif mapped:
            tallies.totals[row, MAPPED] += 1
        if not mapped:
            continue
        if flag & _DUPLICATE:
            tallies.totals[row, DUPLICATES] += 1
            continue
        inside = contig < 0 or position < layout.contig_length[contig]
        if not inside or aligned == 0 or skips or read_bases == 0 or cigar_read != read_bases:
            tallies.totals[row, MALFORMED] += 1
            continue
        chromosome, plasmid = mapq >= layout.min_mapq[0], mapq >= layout.min_mapq[1]
        tallies.totals[row, BELOW_CHROMOSOME] += 0 if chromosome else 1
        tallies.totals[row, BELOW_PLASMID] += 0 if plasmid else 1
        if contig < 0 or not (chromosome or plasmid):
            continue

        k = _bin_at(layout, contig, position)
        if k < layout.first_bin[contig + 1] and layout.bin_start[k] <= position:
            tallies.starts[0, k] += 1 if chromosome else 0
            tallies.starts[1, k] += 1 if plasmid else 0
        start, limit = position, layout.contig_length[contig]
        for i in range(n_cigar):
            word = _i32(data, cigar + 4 * i) & 0xFFFFFFFF
            step, operation = word >> 4, word & 15
            if operation == 0 or operation == 7 or operation == 8:
                end = min(start + step, limit)
                if start < end:
                    _add_aligned(layout, tallies, contig, start, end, chromosome, plasmid)
            if operation == 0 or operation == 2 or operation == 7 or operation == 8:
                start += step
    return at, FINE, n_records, 0
