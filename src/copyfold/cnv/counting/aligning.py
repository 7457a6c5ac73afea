"""Reads aligned while they are counted: minimap2's short-read preset, called through mappy, no SAM in between.

mappy lets go of the interpreter while it aligns, nine tenths of the time and more, so plain threads share one index.
Worker processes were no faster on two cores: each would build an index of its own and be sent the reads.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, repeat
from pathlib import Path

import mappy
import numpy as np

from copyfold.cnv.counting.alignments import Alignments
from copyfold.cnv.counting.fastq import ReadChunk, read_chunks
from copyfold.errors import InputError

UNMAPPED = 0x4
REVERSE = 0x10
SUPPLEMENTARY = 0x800

_CHUNKS_PER_THREAD = 2
_NOWHERE = (-1, -1, 0, UNMAPPED)
_ALIGNED = (0, 7, 8)
_ON_REFERENCE = (0, 2, 3, 7, 8)


def aligned_batches(
    reads: Sequence[Path],
    fasta: Path,
    contig_names: Sequence[str],
    *,
    threads: int = 2,
    progress: Callable[[int], None] | None = None,
) -> Iterator[Alignments]:
    """Align one FASTQ file, or the pairs of two, as ``minimap2 -ax sr`` does, and yield the records.

    Every read has one record that is not supplementary; places, mapping qualities and CIGARs are those of the
    minimap2 of mappy's version. Secondary alignments are left out. The primary record of a read with supplementary
    ones is the first that minimap2 reports; minimap2 itself may flag another of them, one that fits the mate's.
    An unmapped read has no place, whereas SAM gives it that of its mate. A read without bases is unmapped.

    Parameters
    ----------
    reads : sequence of Path, 1 or 2
        See `copyfold.cnv.counting.fastq.read_chunks`.
    fasta : Path
        The reference, plain or gzipped.
    contig_names : sequence of str
        First words of its headers; their order gives the indices of contigs.
    threads : int, ≥ 1
        Threads that align. The records and their order do not depend on it; nor do the batches.
    progress : callable, optional
        Told the number of reads done so far.

    Yields
    ------
    Alignments
        Some thousand reads each, in the order of the files; of a pair, first R1's records and then R2's.

    Raises
    ------
    InputError
        The reads are not as `read_chunks` wants them; the reference is missing, is not FASTA or has other contigs
        than `contig_names`; `threads` is below 1.
    """
    if threads < 1:
        raise InputError(f"threads = {threads}; reads are aligned by at least 1 thread")
    chunks = read_chunks(reads)
    aligner = read_aligner(Path(fasta), contig_names)
    index = {name: place for place, name in enumerate(contig_names)}
    done = 0
    for n_reads, batch in _in_order(aligner, index, chunks, threads):
        done += n_reads
        if progress is not None:
            progress(done)
        yield batch


def read_aligner(fasta: Path, contig_names: Sequence[str]) -> mappy.Aligner:
    """The short-read aligner of a reference.

    Raises
    ------
    InputError
        Missing, no FASTA, or other contigs than `contig_names`.
    """
    if not fasta.is_file():
        raise InputError(f"{fasta}: no such file; check the path of the reference")
    aligner = mappy.Aligner(str(fasta), preset="sr")
    names = aligner.seq_names if aligner else []
    if not names:
        raise InputError(f"{fasta}: no sequence in it that minimap2 can read; give FASTA, plain or gzipped")
    if sorted(names) != sorted(contig_names):
        odd = sorted(set(names).symmetric_difference(contig_names)) or ["a name twice"]
        raise InputError(
            f"{fasta}: its contigs are not those of the reference ({', '.join(odd[:3])}); align to the FASTA file that "
            "the reference was built from"
        )
    return aligner


def align_chunk(aligner: mappy.Aligner, index: Mapping[str, int], chunk: ReadChunk) -> Alignments:
    """The records of a chunk of reads.

    Parameters
    ----------
    aligner : mappy.Aligner
    index : mapping of str to int
        Contig to its index.
    chunk : ReadChunk

    Returns
    -------
    Alignments
    """
    records: list[tuple[int, int, int, int]] = []
    blocks: list[tuple[int, int, int]] = []
    align, buffer = aligner.map, mappy.ThreadBuffer()
    firsts = _never_empty(chunk.first)
    mates = repeat(None) if chunk.second is None else _never_empty(chunk.second)
    n_mates = 1 if chunk.second is None else 2
    # The name goes along because minimap2 breaks ties by it.
    for name, first, second in zip(chunk.names, firsts, mates, strict=False):
        reported = 0
        for hit in align(first, second, name, buffer):
            if not hit.is_primary:  # mappy's word for all that is not secondary
                continue
            number, start, cigar = hit.read_num, hit.r_st, hit.cigar
            flag = 0 if hit.strand > 0 else REVERSE
            if number == reported:
                flag |= SUPPLEMENTARY
            elif number > reported + 1:
                records.append(_NOWHERE)
            reported = number
            if len(cigar) == 1:
                blocks.append((len(records), start, hit.r_en))
            else:
                blocks += _stretches(len(records), start, cigar)
            records.append((index[hit.ctg], start, hit.mapq, flag))
        while reported < n_mates:
            records.append(_NOWHERE)
            reported += 1
    return Alignments(*_columns(records, 4), *_columns(blocks, 3))


def _never_empty(sequences: list[bytes]) -> list[bytes]:
    """One N for no bases: where only one mate of a pair is empty, minimap2 fails an assertion and aborts."""
    return [bases or b"N" for bases in sequences] if b"" in sequences else sequences


def _stretches(record: int, start: int, cigar: list[list[int]]) -> Iterator[tuple[int, int, int]]:
    for length, operation in cigar:
        if operation in _ALIGNED:
            yield record, start, start + length
        if operation in _ON_REFERENCE:
            start += length


def _columns(rows: Sequence[tuple[int, ...]], width: int) -> np.ndarray:
    """(width, n), int64; faster than an array made of the tuples."""
    return np.fromiter(chain.from_iterable(rows), np.int64, width * len(rows)).reshape(-1, width).T.copy()


def _in_order(
    aligner: mappy.Aligner, index: Mapping[str, int], chunks: Iterable[ReadChunk], threads: int
) -> Iterator[tuple[int, Alignments]]:
    """Numbers of reads and their records; a few chunks per thread are held, however slow the reader of these is."""
    if threads == 1:
        for chunk in chunks:
            yield chunk.n_reads, align_chunk(aligner, index, chunk)
        return
    waiting: deque[tuple[int, Future[Alignments]]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for chunk in chunks:
                waiting.append((chunk.n_reads, pool.submit(align_chunk, aligner, index, chunk)))
                if len(waiting) > _CHUNKS_PER_THREAD * threads:
                    n_reads, job = waiting.popleft()
                    yield n_reads, job.result()
            while waiting:
                n_reads, job = waiting.popleft()
                yield n_reads, job.result()
        finally:  # an error, an interrupt or a reader that has enough: no chunk is begun any more
            for _, job in waiting:
                job.cancel()
