"""A BAM file as its header and a stream of records."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np

from copyfold.cnv.counting.bgzf import inflated_chunks
from copyfold.cnv.counting.order import NOTHING_BEFORE, unsorted_error
from copyfold.cnv.counting.tally import Layout, Tallies
from copyfold.errors import InputError

try:
    from copyfold.cnv.counting._walk import walk_records

    HAVE_WALK = True
except ImportError:  # installed without a C compiler; `hts` then reads BAM, several times slower
    HAVE_WALK = False

_MAX_HEADER = 1 << 26
_LARGEST_RECORD = 1 << 26
_FINE, _UNSORTED = 0, 6
_RULES = {
    1: f"its size is {{value}} bytes, outside 32 to {_LARGEST_RECORD}",
    2: "it lies on reference number {value}, which the header does not have",
    3: "its position is {value}, which lies before the contig",
    4: "name, CIGAR and {value} bases do not fit into it",
    5: "one of its {value} CIGAR operations does not exist",
}
"""What `walk_records` finds wrong, by the number it gives."""


class References(NamedTuple):
    """The contigs that a BAM header lists, in its order.

    Attributes
    ----------
    names : tuple of str
    lengths : numpy.ndarray, (n,), int64
        bp.
    """

    names: tuple[str, ...]
    lengths: np.ndarray


class BamStream:
    """An opened BAM: its references, then its records, once.

    Raises
    ------
    InputError
        Not BAM, damaged, truncated, or a header beyond 64 MiB.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._chunks = inflated_chunks(self.path)
        self.references, self._rest = self._read_header()

    def __enter__(self) -> BamStream:
        return self

    def __exit__(self, *_: object) -> None:
        self._chunks.close()

    def count_into(
        self, contig_of_reference: np.ndarray, layout: Layout, tallies: Tallies, *, unsorted: bool = False
    ) -> int:
        """Walk all records and add them to `tallies`; returns how many there were.

        Parameters
        ----------
        contig_of_reference : numpy.ndarray, (n_references,), int64
            The layout's contig of each reference of the header, -1 for none.
        layout : Layout
        tallies : Tallies
        unsorted : bool
            Accept records in any order.

        Raises
        ------
        InputError
            A record breaks the format, or lies before the one it follows; the message names it.
        """
        order = np.array([not unsorted, NOTHING_BEFORE], np.int64)
        arrays = (order, contig_of_reference, *layout[1:], *tallies)
        n_records = 0
        rest = b""
        for blocks in chain([[self._rest]], self._chunks):
            rest, problem, walked, value = walk_records(blocks, rest, *arrays)
            n_records += walked
            if problem == _UNSORTED:
                raise unsorted_error(self.path, self.references.names, n_records + 1, value, int(order[1]))
            if problem != _FINE:
                rule = _RULES[problem].format(value=value)
                raise InputError(
                    f"{self.path}: record {n_records + 1} is damaged: {rule}; copy the file again or write it again"
                )
        if rest:
            raise InputError(
                f"{self.path}: truncated: record {n_records + 1} ends behind the end of the file; copy it again"
            )
        return n_records

    def _read_header(self) -> tuple[References, bytearray]:
        head = bytearray()
        needed, ended = 12, False
        while not ended:
            while len(head) < needed and not ended:
                chunk = next(self._chunks, None)
                ended = chunk is None
                head += b"".join(chunk or ())
            parsed = self._parse_header(head)
            if not isinstance(parsed, int):
                return parsed
            # twice as much at least, so that a long header is not parsed once for every chunk of it
            needed = max(parsed, min(2 * len(head), _MAX_HEADER))
            if needed > _MAX_HEADER:
                raise self._damaged(f"a header of {needed} bytes or more, beyond {_MAX_HEADER}")
        raise self._damaged("it ends inside its header")

    def _parse_header(self, head: bytearray) -> tuple[References, bytearray] | int:
        """Return the references and what follows the header, or how many bytes it takes at least."""
        if len(head) < 8:
            return 8
        if head[:4] != b"BAM\1":
            raise InputError(f"{self.path}: is not BAM (its first bytes are {bytes(head[:4])!r}); give a BAM file")
        place = 8 + self._size(head, 4, "text")
        if len(head) < place + 4:
            return place + 4
        n_references = self._size(head, place, "list of contigs")
        place += 4
        if len(head) < place + 9 * n_references:
            return place + 9 * n_references
        names, lengths = [], np.empty(n_references, np.int64)
        for row in range(n_references):
            if len(head) < place + 4:
                return place + 4
            length = self._size(head, place, "contig name")
            end = place + 4 + length
            if length < 1:
                raise self._damaged(f"a contig name of {length} bytes in its header")
            if len(head) < end + 4:
                return end + 4
            names.append(head[place + 4 : end - 1].decode("utf-8", "replace"))
            lengths[row] = self._size(head, end, "contig length")
            place = end + 4
        return References(tuple(names), lengths), head[place:]

    def _size(self, head: bytearray, place: int, what: str) -> int:
        value = int.from_bytes(head[place : place + 4], "little", signed=True)
        if value < 0:
            raise self._damaged(f"a {what} of size {value} in its header")
        return value

    def _damaged(self, what: str) -> InputError:
        return InputError(f"{self.path}: damaged BAM: {what}; copy the file again or write it again with samtools")
