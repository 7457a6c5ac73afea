"""Aligned reads as arrays: what every source but a plain BAM (see `bam`) hands to the tallies."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Alignments(NamedTuple):
    """A batch of SAM records. Reads without a place are in it, too.

    Attributes
    ----------
    contig : numpy.ndarray, (n,), int64
        Index of the reference's contig, -1 for none or for one that is not counted on.
    position : numpy.ndarray, (n,), int64
        Leftmost aligned base, 0-based; -1 for none.
    mapq : numpy.ndarray, (n,), int64
    flag : numpy.ndarray, (n,), int64
        SAM flags, 0x4 for every record without a place; 0x1 and the others that concern pairs need not be set.
    block_record : numpy.ndarray, (m,), int64
        Row of the record that each aligned stretch (CIGAR ``M``, ``=``, ``X``) belongs to, ascending.
    block_start, block_end : numpy.ndarray, (m,), int64
        The stretch on the contig, 0-based half-open.
    """

    contig: np.ndarray
    position: np.ndarray
    mapq: np.ndarray
    flag: np.ndarray
    block_record: np.ndarray
    block_start: np.ndarray
    block_end: np.ndarray
