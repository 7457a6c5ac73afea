"""How many records a CRAM says it holds, told by its container headers.

htslib takes a file that is cut between containers, or whose container header is damaged, for one that ends there, and
says nothing. Format: section 7 of https://samtools.github.io/hts-specs/CRAMv3.pdf.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import BinaryIO

from copyfold.errors import InputError

_DEFINITION_BYTES = 26
_MOST_HEADER_BYTES = 1 << 16
_END_START = 4_542_278
"""Start position that marks the empty container at the end: "EOF" in its bytes."""


def is_cram(path: Path) -> bool:
    """Whether a file begins as a CRAM does.

    Raises
    ------
    InputError
        Missing or unreadable.
    """
    try:
        with Path(path).open("rb") as handle:
            return handle.read(4) == b"CRAM"
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; check the path") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}); check the file and the disk") from None


def count_cram_records(path: Path) -> int:
    """Sum of the containers' record counts; only their headers are read.

    Raises
    ------
    InputError
        The end marker is missing, or a header is damaged: the file is truncated or damaged.
    """
    with Path(path).open("rb") as handle:
        definition = handle.read(_DEFINITION_BYTES)
        major = definition[4] if len(definition) == _DEFINITION_BYTES else 0
        if major not in (2, 3):
            raise InputError(f"{path}: is CRAM {major}, or cut within its first bytes; versions 2 and 3 can be read")
        n_records = 0
        while True:
            place = handle.tell()
            try:
                length, start, records = _read_header(handle, major)
            except (IndexError, ValueError):
                raise InputError(
                    f"{path}: truncated or damaged at byte {place}: no CRAM container begins there; copy it again"
                ) from None
            n_records += records
            handle.seek(length, 1)
            if start == _END_START and records == 0:
                return n_records


def _read_header(handle: BinaryIO, major: int) -> tuple[int, int, int]:
    """Bytes behind the header, start position and number of records of the container at the handle."""
    place = handle.tell()
    header = handle.read(_MOST_HEADER_BYTES)
    length = int.from_bytes(header[:4], "little", signed=True)
    numbers, at = [], 4
    for most in (4, 4, 4, 4, 8 if major >= 3 else 4, 8, 4, 4):  # reference, start, span, records, counter, bases, …
        value, at = _variable_integer(header, at, most)
        numbers.append(value)
    for _ in range(numbers[-1]):  # landmarks
        _, at = _variable_integer(header, at, 4)
    if major >= 3:
        if zlib.crc32(header[:at]) != int.from_bytes(header[at : at + 4], "little") or len(header) < at + 4:
            raise ValueError("checksum")
        at += 4
    if length < 0 or numbers[3] < 0:
        raise ValueError("negative size")
    handle.seek(place + at)
    return length, numbers[1], numbers[3]


def _variable_integer(data: bytes, at: int, most: int) -> tuple[int, int]:
    """An ITF8 (`most` 4) or LTF8 (`most` 8) integer and where it ends; leading ones tell how many bytes follow."""
    first = data[at]
    more = next((bit for bit in range(most) if not first >> (7 - bit) & 1), most)
    if at + more >= len(data):
        raise IndexError(at)
    if most == 4 and more == 4:  # the last byte of five gives four bits only
        value = (first & 0x0F) << 28 | int.from_bytes(data[at + 1 : at + 4]) << 4 | data[at + 4] & 0x0F
    else:
        value = (first & (0x7F >> more)) << 8 * more | int.from_bytes(data[at + 1 : at + 1 + more])
    return (value - (1 << 32) if most == 4 and value >= 1 << 31 else value), at + 1 + more
