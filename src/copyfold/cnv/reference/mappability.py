"""Mappability: can reads of a bin be placed by their sequence alone?

Reads that MAPQ ≥ 20 takes away are missing from repeats of every sample alike. How many is asked of the aligner
itself: read-length pieces of the reference are aligned back to the whole reference. Counting exact k-mers is as
fast, but a k-mer with one difference to its other copy is unique by count and doubtful to the aligner, or the
reverse; what takes reads away is the aligner's MAPQ.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import mappy
import numpy as np

from copyfold.cnv.reference.fasta import FastaRecord

_READS_PER_TASK = 2000


class MappabilitySettings(NamedTuple):
    """What is aligned back.

    Attributes
    ----------
    read_length : int
        bp.
    step : int
        Distance between the starts of neighbouring reads, bp.
    min_mapq : int
        A read counts as placed from this mapping quality on.
    """

    read_length: int = 150
    step: int = 50
    min_mapq: int = 20


def mappability(
    aligner: mappy.Aligner,
    records: Sequence[FastaRecord],
    bin_size: int,
    settings: MappabilitySettings,
    *,
    threads: int = 2,
    progress: Callable[[int], None] = lambda done: None,
) -> np.ndarray:
    """Share of each bin's reads that align back to where they come from, and nowhere else as well.

    Parameters
    ----------
    aligner : mappy.Aligner
        Index over all `records`, preset ``sr``, as the reads of samples are aligned.
    records : sequence of FastaRecord
        Contigs in the order of the bins.
    bin_size : int
        bp; bins as `make_bins` lays them.
    settings : MappabilitySettings
    threads : int
        The result does not depend on it.
    progress : callable
        Told the number of reads done.

    Returns
    -------
    numpy.ndarray, (n_bins,), float64
        0..1. A read belongs to the bin it starts in, as in counting; reads that would pass a contig's end are
        moved back to end there, so that short last bins have a value, too. Contigs are taken as linear.
    """
    shares = []
    done = 0
    with ThreadPoolExecutor(max(1, threads)) as pool:
        for record in records:
            starts = np.arange(0, len(record.sequence), min(settings.step, bin_size), dtype=np.int64)
            moved = np.minimum(starts, max(0, len(record.sequence) - settings.read_length))
            tasks = [moved[at : at + _READS_PER_TASK] for at in range(0, len(moved), _READS_PER_TASK)]
            text = record.sequence.decode("ascii")
            placed = []
            for part in pool.map(lambda task, r=record.name, t=text: _placed(aligner, r, t, task, settings), tasks):
                placed.append(part)
                done += len(part)
                progress(done)
            bins = starts // bin_size
            shares.append(np.bincount(bins, np.concatenate(placed)) / np.bincount(bins))
    return np.concatenate(shares)


def count_reads(lengths: Sequence[int], bin_size: int, settings: MappabilitySettings) -> int:
    """Number of reads that `mappability` aligns for contigs of these lengths."""
    step = min(settings.step, bin_size)
    return sum(-(-length // step) for length in lengths)


def _placed(
    aligner: mappy.Aligner, contig: str, text: str, starts: np.ndarray, settings: MappabilitySettings
) -> np.ndarray:
    """Which of the reads from these starts are placed: (n,), bool."""
    buffer = mappy.ThreadBuffer()
    placed = np.zeros(len(starts), dtype=bool)
    for row, start in enumerate(starts.tolist()):
        end = start + settings.read_length
        hit = next(iter(aligner.map(text[start:end], buf=buffer)), None)
        if hit is not None:
            at_home = hit.ctg == contig and hit.r_st < end and hit.r_en > start
            placed[row] = at_home and hit.mapq >= settings.min_mapq
    return placed
