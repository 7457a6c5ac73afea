"""Files that may be packed, read within bounds: a small file that unpacks to gigabytes is refused, not unpacked."""

from __future__ import annotations

import gzip
import io
import lzma
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from copyfold.errors import InputError

MOST_TIMES = 100
"""Sequences and tables of counts shrink 3 to 30 times; only a file that is made to do harm shrinks more."""
FREE_BYTES = 16 << 20
"""May always be unpacked: short repetitive files do shrink more."""
DAMAGE = (OSError, EOFError, zlib.error, lzma.LZMAError)
"""What reading a damaged file raises."""

_GZIP, _XZ = b"\x1f\x8b", b"\xfd7zXZ\x00"


class _Bounded(io.RawIOBase):
    """The unpacked bytes of a file, up to `most`."""

    def __init__(self, packed: IO[bytes], most: int) -> None:
        self._packed = packed
        self._left = most

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        piece = self._packed.read(len(buffer))
        self._left -= len(piece)
        if self._left < 0:
            raise OSError(f"it unpacks to more than {MOST_TIMES} times its size; unpack it first if that is right")
        buffer[: len(piece)] = piece
        return len(piece)


@contextmanager
def open_unpacked(path: Path) -> Iterator[IO[bytes]]:
    """A file's bytes, unpacked if it begins as gzip or xz files do; reading damaged ones raises one of `DAMAGE`."""
    with Path(path).open("rb") as handle:
        start = handle.read(len(_XZ))
        size = handle.seek(0, io.SEEK_END)
        handle.seek(0)
        most = max(FREE_BYTES, MOST_TIMES * size)
        if start.startswith(_GZIP):
            with gzip.open(handle) as packed:
                yield io.BufferedReader(_Bounded(packed, most), 1 << 16)  # type: ignore[arg-type]
        elif start.startswith(_XZ):
            with lzma.open(handle) as packed:
                yield io.BufferedReader(_Bounded(packed, most), 1 << 16)
        else:
            yield handle


def read_unpacked(path: Path) -> bytes:
    """All of a file's bytes, unpacked.

    Raises
    ------
    InputError
        Missing, unreadable, damaged, or unpacking to more than it may.
    """
    try:
        with open_unpacked(path) as handle:
            return handle.read()
    except (*DAMAGE, ValueError) as error:  # a path with NUL in it is a ValueError
        raise unreadable(path, error) from None


def unreadable(path: Path, error: Exception) -> InputError:
    """The error that a file which raised one of `DAMAGE` is told with."""
    reason = getattr(error, "strerror", None) or error
    return InputError(f"{path}: cannot be read ({reason}); check the path and the file")
