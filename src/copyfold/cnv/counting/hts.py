"""Alignment files that htslib reads for us, as batches of arrays: CRAM, and BAM where the compiled walk is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import numpy as np
import pysam

from copyfold.cnv.counting.alignments import Alignments
from copyfold.cnv.counting.bam import References
from copyfold.cnv.counting.cram import count_cram_records, is_cram
from copyfold.cnv.counting.order import NOTHING_BEFORE, first_descent, sorting_places, unsorted_error
from copyfold.cnv.counting.tally import UNMAPPED_FLAG
from copyfold.errors import InputError

_BATCH = 50_000
_MOST_OPERATIONS = 65_535
"""What a BAM record has room for; the CIGAR of longer ones stands elsewhere, and GATK drops such reads."""
_DELETION, _SKIP = 2, 3
_ALIGNED = (0, 7, 8)
_READ_BASES = (0, 1, 4, 7, 8)


class AlignmentFile:
    """An opened CRAM or BAM: its references, then its records, once.

    Parameters
    ----------
    path : Path
    fasta : Path, optional
        Sequences that a CRAM was written against.

    Raises
    ------
    InputError
        Missing, damaged, truncated, or neither CRAM nor BAM.
    """

    def __init__(self, path: Path, fasta: Path | None = None) -> None:
        self.path = Path(path)
        self._n_records = count_cram_records(self.path) if is_cram(self.path) else None
        self._verbosity = pysam.set_verbosity(0)  # htslib's own lines on stderr; we say one of ours
        try:
            self._file = pysam.AlignmentFile(
                str(path), threads=2, check_sq=False, reference_filename=None if fasta is None else str(fasta)
            )
        except (OSError, ValueError) as error:
            pysam.set_verbosity(self._verbosity)
            raise self._damaged(error) from None
        self.references = References(tuple(self._file.references), np.array(self._file.lengths, np.int64))

    def __enter__(self) -> AlignmentFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with suppress(OSError):  # of a damaged file, which has been told
            self._file.close()
        pysam.set_verbosity(self._verbosity)

    def batches(self, contig_of_reference: np.ndarray, *, unsorted: bool = False) -> Iterator[Alignments]:
        """All records, in batches.

        Parameters
        ----------
        contig_of_reference : numpy.ndarray, (n_references,), int64
            Contig of each reference of the header, -1 for none.
        unsorted : bool
            Accept records in any order.

        Raises
        ------
        InputError
            A record cannot be read, or lies before the one it follows.
        """
        contig_of = np.append(contig_of_reference, -1)  # a record without a reference has index -1
        n_read, last = 0, NOTHING_BEFORE
        for records, blocks in self._raw_batches():
            reference, position, mapq, flag = records
            places = sorting_places(reference, position)
            if not unsorted and (row := first_descent(places, last)) >= 0:
                before = int(places[row - 1]) if row else last
                raise unsorted_error(self.path, self.references.names, n_read + row + 1, int(places[row]), before)
            n_read, last = n_read + len(places), int(places[-1])
            flag = np.where((reference < 0) | (position < 0), flag | UNMAPPED_FLAG, flag)
            yield Alignments(contig_of[reference], position, mapq, flag, *blocks)
        if self._n_records is not None and n_read != self._n_records:
            raise self._damaged(ValueError(f"{n_read} of {self._n_records} records"))

    def _raw_batches(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Reference, position, mapping quality and flag of records (4, n); row, start and end of stretches (3, m)."""
        records: list[tuple[int, int, int, int]] = []
        blocks: list[tuple[int, int, int]] = []
        try:
            for read in self._file.fetch(until_eof=True):
                _add_blocks(read, len(records), blocks)
                records.append((read.reference_id, read.reference_start, read.mapping_quality, read.flag))
                if len(records) == _BATCH:
                    yield _as_arrays(records, blocks)
                    records, blocks = [], []
        except (OSError, ValueError) as error:
            raise self._damaged(error) from None
        if records:
            yield _as_arrays(records, blocks)

    def _damaged(self, error: Exception) -> InputError:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        return InputError(
            f"{self.path}: cannot be read to its end ({reason}): truncated, damaged, or a CRAM of another reference; "
            "copy it again or give the reference it was written with"
        )


def _add_blocks(read: pysam.AlignedSegment, row: int, blocks: list[tuple[int, int, int]]) -> None:
    """Append the aligned stretches of a record; none for one that is malformed."""
    cigar = read.cigartuples
    if not cigar or read.is_unmapped or len(cigar) > _MOST_OPERATIONS:
        return
    bases = read.query_length
    place = start = read.reference_start
    counted, found = 0, []
    for operation, length in cigar:
        if operation == _SKIP or operation > 8:
            return
        if operation in _READ_BASES:
            counted += length
        if operation in _ALIGNED:
            found.append((row, place, place + length))
        if operation in _ALIGNED or operation == _DELETION:
            place += length
    if place > start and bases and counted == bases:
        # a deletion alone gives a start and covers nothing: an empty stretch keeps it well-formed
        blocks += found or [(row, start, start)]


def _as_arrays(
    records: list[tuple[int, int, int, int]], blocks: list[tuple[int, int, int]]
) -> tuple[np.ndarray, np.ndarray]:
    return np.array(records, np.int64).T, np.array(blocks, np.int64).reshape(-1, 3).T
