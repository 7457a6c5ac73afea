"""Bins along contigs, and the share of G and C in each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from copyfold.cnv.store import Contigs

_IS_GC = np.isin(np.arange(256), list(b"GC"))
_IS_BASE = np.isin(np.arange(256), list(b"ACGT"))


def make_bins(names: Sequence[str], lengths: Sequence[int], bin_size: int) -> Contigs:
    """Bins of `bin_size` bp from each contig's first base; the last of a contig is as long as what is left.

    The geometry of GATK PreprocessIntervals ``--bin-length bin_size --padding 0``: no bin crosses a contig's end.

    Parameters
    ----------
    names : sequence of str
    lengths : sequence of int, bp, all ≥ 1
    bin_size : int, bp, ≥ 1

    Returns
    -------
    Contigs
        0-based half-open.
    """
    starts = [np.arange(0, length, bin_size, dtype=np.int64) for length in lengths]
    ends = [np.minimum(start + bin_size, length) for start, length in zip(starts, lengths, strict=True)]
    chrom = np.repeat(np.asarray(names, dtype=np.str_), [len(start) for start in starts])
    return Contigs(chrom, np.concatenate(starts), np.concatenate(ends))


def gc_share(sequence: bytes, starts: np.ndarray) -> np.ndarray:
    """Share of G and C among the A, C, G and T of each bin of one contig.

    Parameters
    ----------
    sequence : bytes
        Upper case. N and the other ambiguous codes count neither way.
    starts : numpy.ndarray, (n_bins,), int64
        First base of each bin, ascending from 0, 0-based; a bin ends where the next begins.

    Returns
    -------
    numpy.ndarray, (n_bins,), float64
        NaN where a bin holds no A, C, G or T.
    """
    codes = np.frombuffer(sequence, dtype=np.uint8)
    gc = np.add.reduceat(_IS_GC[codes], starts, dtype=np.int64)
    bases = np.add.reduceat(_IS_BASE[codes], starts, dtype=np.int64)
    share = np.full(len(starts), np.nan)
    np.divide(gc, bases, out=share, where=bases > 0)
    return share
