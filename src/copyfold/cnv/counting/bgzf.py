"""BGZF, the blocked gzip of BAM: blocks are found by their headers and inflated by two threads, in order.

Format: section 4.1 of the SAM specification, https://samtools.github.io/hts-specs/SAMv1.pdf. libdeflate (package
``deflate``) inflates 2.7 times faster than zlib and, like it, without holding the GIL.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, NamedTuple

import deflate

from copyfold.errors import InputError

END_MARKER = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
"""The empty block that ends every whole BGZF file."""

MAX_BLOCK = 1 << 16
"""Bytes of a block, before and after inflation; the format allows no more."""

_READ_BYTES = 1 << 18
"""More than any block takes."""

_BLOCKS = 32
_THREADS = 2
_AHEAD = 24
_KEPT_BYTES = 1 << 24
_FIXED = struct.Struct("<4sIBBH")


class Block(NamedTuple):
    """Place of one block in a buffer: ``[start, end)``, of which ``[first, end - 8)`` is deflated data."""

    start: int
    first: int
    end: int


def inflated_chunks(path: Path) -> Generator[list[bytearray], None, None]:
    """Yield the inflated blocks of a BGZF file, some at a time, in order.

    At most `_AHEAD` times `_BLOCKS` blocks are held, whatever the file claims about itself.

    Raises
    ------
    InputError
        The file is missing, empty, not BGZF, damaged (size or CRC-32 of a block) or truncated.
    """
    _keep_freed_memory()
    try:
        with Path(path).open("rb") as handle, ThreadPoolExecutor(_THREADS) as pool:
            waiting: deque[Future[list[bytearray]]] = deque()
            try:
                for compressed, blocks in _compressed_chunks(path, handle):
                    waiting.append(pool.submit(_inflate, path, compressed, blocks))
                    if len(waiting) == _AHEAD:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for job in waiting:
                    job.cancel()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; check the path") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}); check the file and the disk") from error


def _keep_freed_memory() -> None:
    """Let the C library keep what is freed for the blocks to come.

    glibc hands freed memory back from 128 KiB on and fetches it again, page by page, for the next block: a quarter of
    the processor time of a count. Its limits follow the largest block freed (mallopt(3), M_MMAP_THRESHOLD).
    """
    bytearray(_KEPT_BYTES)


def _compressed_chunks(path: Path, handle: BinaryIO) -> Iterator[tuple[bytes, list[Block]]]:
    """Buffers with up to `_BLOCKS` of the whole blocks in them; checks that the last block is the end marker."""
    last = b""
    position = 0
    while True:
        handle.seek(position)  # the begun block at the end is read again: cheaper than joining it to what follows
        buffer = handle.read(_READ_BYTES)
        blocks = _blocks_in(path, buffer, position)
        if not blocks:
            break
        position += blocks[-1].end
        last = buffer[blocks[-1].start : blocks[-1].end]
        for first in range(0, len(blocks), _BLOCKS):
            yield buffer, blocks[first : first + _BLOCKS]
    if not position and not buffer:
        raise InputError(f"{path}: the file is empty; write it again or leave the sample out")
    if buffer or last != END_MARKER:
        raise InputError(
            f"{path}: truncated ({'ends inside a block' if buffer else 'the BGZF end marker is missing'} after "
            f"{position} bytes); copy it again or write it again with samtools"
        )


def _blocks_in(path: Path, buffer: bytes, position: int) -> list[Block]:
    """The whole blocks of `buffer`, which starts at byte `position` of the file."""
    blocks: list[Block] = []
    start, size = 0, len(buffer)
    while start + 18 <= size:
        magic, _, _, _, extra = _FIXED.unpack_from(buffer, start)
        if magic != b"\x1f\x8b\x08\x04":
            raise _not_bgzf(path, buffer[:4] if not position and not start else b"", position + start)
        first = start + 12 + extra
        if buffer[start + 12 : start + 16] == b"BC\x02\x00":
            end = start + 1 + int.from_bytes(buffer[start + 16 : start + 18], "little")
        elif first > size:
            break
        else:
            end = start + _block_size(path, buffer[start + 12 : first], position + start)
        if end < first + 8:
            raise InputError(
                f"{path}: the block at byte {position + start} claims {end - start} bytes, fewer than its own "
                "header; the file is damaged, copy it again"
            )
        if end > size:
            break
        blocks.append(Block(start, first, end))
        start = end
    return blocks


def _block_size(path: Path, extra: bytes, where: int) -> int:
    """Size of a block from its extra field, where other subfields stand before the BGZF one."""
    place = 0
    while place + 4 <= len(extra):
        length = int.from_bytes(extra[place + 2 : place + 4], "little")
        if extra[place : place + 2] == b"BC" and length == 2 and place + 6 <= len(extra):
            return int.from_bytes(extra[place + 4 : place + 6], "little") + 1
        place += 4 + length
    raise _not_bgzf(path, b"", where)


def _not_bgzf(path: Path, magic: bytes, where: int) -> InputError:
    if magic == b"CRAM":
        return InputError(f"{path}: is CRAM, not BAM; convert it with `samtools view -b`")
    if not where:
        return InputError(f"{path}: is not BAM (no BGZF block at its start); give a BAM file as samtools writes it")
    return InputError(
        f"{path}: no BGZF block where one must begin, at byte {where}; the file is damaged, copy it again"
    )


def _inflate(path: Path, compressed: bytes, blocks: list[Block]) -> list[bytearray]:
    source = memoryview(compressed)
    inflated = []
    for block in blocks:
        size = int.from_bytes(source[block.end - 4 : block.end], "little")
        if size > MAX_BLOCK:
            raise InputError(f"{path}: a block claims {size} bytes, beyond {MAX_BLOCK}; damaged, copy the file again")
        try:
            inflated.append(deflate.gzip_decompress(source[block.start : block.end], size or 1))
        except (deflate.DeflateError, ValueError) as error:
            raise InputError(
                f"{path}: a block does not inflate to its size and CRC-32 ({error}); damaged, copy it again"
            ) from error
    return inflated
