"""Files that are never half-written and arrays that never run code.

Every writer here writes beside its target, flushes to disk and renames, so that a reader sees the old file or
the new one. Every reader refuses pickled objects; the one exception, arrays of strings that other tools saved
with ``dtype=object``, goes through `copyfold.core.string_pickles`, which builds nothing but strings and integers.
"""

from __future__ import annotations

import hashlib
import json
import math
import mmap
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy_format

from copyfold.core.string_pickles import read_string_records
from copyfold.errors import InputError, RunError


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yield a path beside `target` to write to; rename it over `target` when the block ends well.

    Raises
    ------
    RunError
        The folder cannot be written or the disk is full. `target` is then as it was before.
    """
    target = Path(target)
    partial = target.with_name(f".{target.name}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        with partial.open("rb") as written:
            os.fsync(written.fileno())
        partial.replace(target)
    except OSError as error:
        raise _cannot_write(target, error) from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def check_vacant(folder: Path) -> None:
    """Refuse a folder that is to be made and holds something already.

    Raises
    ------
    RunError
        It exists and is not an empty folder.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RunError(f"{folder}: exists already and is not an empty folder; choose another name or delete it")


@contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """Yield a folder beside `target` to fill; rename it to `target` when the block ends well.

    Raises
    ------
    RunError
        `target` is not vacant, or cannot be written. No half-filled folder stays behind.
    """
    target = Path(target)
    check_vacant(target)
    partial = target.with_name(f".{target.name}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        yield partial
        if target.exists():
            target.rmdir()
        partial.rename(target)
    except OSError as error:
        raise _cannot_write(target, error) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _cannot_write(target: Path, error: OSError) -> RunError:
    return RunError(
        f"{target}: cannot be written ({error.strerror or error}); free some space or choose a folder you may write to"
    )


def write_text(target: Path, text: str) -> None:
    """Write `text` as UTF-8, atomically."""
    with atomic_path(target) as partial:
        partial.write_text(text, encoding="utf-8")


def write_bytes(target: Path, content: bytes) -> None:
    """Write `content`, atomically."""
    with atomic_path(target) as partial:
        partial.write_bytes(content)


def write_json(target: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically; NaN is not allowed."""
    write_text(target, json.dumps(value, indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises
    ------
    InputError
        The file is missing, unreadable or not JSON.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        value = json.loads(text, parse_constant=_refuse_constant)
        if "\\ud" in text.lower():  # half of a surrogate pair, which cannot be written or be in a path
            json.dumps(value, ensure_ascii=False).encode()
        return value
    except (OSError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read as JSON ({error}); restore or delete it") from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def write_npy(target: Path, array: np.ndarray) -> None:
    """Write `array` as .npy, atomically; object arrays are refused."""
    with atomic_path(target) as partial, partial.open("wb") as handle:
        np.save(handle, array, allow_pickle=False)


@contextmanager
def create_npy(target: Path, dtype: np.dtype | type, shape: tuple[int, ...]) -> Iterator[np.memmap]:
    """Yield a writable memory map that becomes `target` when the block ends well.

    Lets a cohort be written in batches without holding it in memory.
    """
    with atomic_path(target) as partial:
        mapped = npy_format.open_memmap(partial, mode="w+", dtype=np.dtype(dtype), shape=shape)
        with partial.open("r+b") as handle:  # a full disk must be an error here, not a SIGBUS at the first store
            _reserve(handle, os.fstat(handle.fileno()).st_size)
        yield mapped
        mapped.flush()
        del mapped


def _reserve(handle: IO[bytes], size: int) -> None:
    """Give a sparse file its space on disk."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(handle.fileno(), 0, size)
        return
    handle.seek(min(size, 4096))  # macOS has no such call; behind the header, which is shorter, all is zeros anyway
    while (left := size - handle.tell()) > 0:
        handle.write(bytes(min(left, 2**20)))


def read_npy(path: Path, *, mmap: bool = True) -> np.ndarray:
    """Read a .npy array without ever running a pickle.

    Parameters
    ----------
    path : Path
    mmap : bool
        Map numeric arrays read-only instead of loading them.

    Returns
    -------
    numpy.ndarray
        Numeric and fixed-width arrays as stored. Object arrays of strings, and structured arrays whose object
        fields hold strings, come back with fixed-width unicode (``<U``) in place of object.

    Raises
    ------
    InputError
        Missing, truncated, not .npy, or an object array that holds anything but strings.
    """
    path = Path(path)
    try:
        with path.open("rb") as handle:
            shape, dtype = _read_header(handle)
            if dtype.hasobject:
                return _object_array(read_string_records(handle), shape, dtype)
            there = os.fstat(handle.fileno()).st_size - handle.tell()
        if there < dtype.itemsize * math.prod(shape):
            raise ValueError(f"{there} bytes of data for shape {shape} of {dtype}; the file is cut short")
        in_place = mmap and dtype.itemsize and math.prod(shape)
        array: np.ndarray = np.load(path, mmap_mode="r" if in_place else None, allow_pickle=False)
        _check_text(array)
        return array
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; check the path") from None
    except (OSError, ValueError, EOFError, TypeError, MemoryError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path}: not a readable .npy array ({reason}); write it again with numpy.save") from error


def read_rows(array: np.ndarray, rows: slice | np.ndarray) -> np.ndarray:
    """Some rows of an array in memory of their own; of a mapped file, its pages are given back.

    The way through a mapped file in batches: pages that were read once count as the process's memory until it ends or
    gives them back, and a job that is allotted less memory than its files are long is killed for them.
    """
    taken = np.array(array[rows], subok=False)
    release_pages(array)
    return taken


def release_pages(array: np.ndarray) -> None:
    """Give back the memory pages of a mapped file; nothing is lost, they are read again where needed.

    What was written to the array is the system's to bring to disk from then on. Does nothing to other arrays, nor where
    the system has no such call (Windows).
    """
    owner: object = array
    while isinstance(owner, np.ndarray):
        owner = owner.base
    if isinstance(owner, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        owner.madvise(mmap.MADV_DONTNEED)


def _read_header(handle: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and dtype; the handle is left where the data begin."""
    version = npy_format.read_magic(handle)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f".npy version {version} is not supported")
    read = npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
    try:
        shape, _, dtype = read(handle)
    except Exception as error:  # a header is a Python literal, and a damaged one fails in nearly any way
        raise ValueError(str(error).splitlines()[0] if str(error) else "damaged header") from error
    if any(length < 0 for length in shape):
        raise ValueError(f"its shape is {shape}")
    return shape, dtype


def _check_text(array: np.ndarray) -> None:
    """Refuse fixed-width text of numbers that are no characters, which Python cannot make strings of."""
    for name in array.dtype.names or ():
        _check_text(array[name])
    if array.dtype.kind == "U" and array.size and array.dtype.itemsize:
        codes = np.ascontiguousarray(array).view(np.dtype(np.uint32).newbyteorder(array.dtype.byteorder))
        if ((codes > 0x10FFFF) | ((codes >= 0xD800) & (codes <= 0xDFFF))).any():
            raise ValueError("it holds text that is no Unicode")


def _object_array(records: list[Any], shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Array of `shape` from plain records, with ``<U`` fields in place of object fields."""
    if len(records) != int(np.prod(shape)):
        raise ValueError(f"{len(records)} elements for shape {shape}")
    if dtype.names is None:
        if not all(isinstance(record, str) for record in records):
            raise ValueError("an object array may hold strings only")
        return np.array(records, dtype=np.str_).reshape(shape)
    if not all(isinstance(record, tuple) and len(record) == len(dtype.names) for record in records):
        raise ValueError("a structured array with object fields must hold one tuple per row")
    fields: list[tuple[str, Any]] = []
    for position, name in enumerate(dtype.names):
        field = dtype[name]
        if field.hasobject:
            column = [record[position] for record in records]
            if not all(isinstance(value, str) for value in column):
                raise ValueError(f"object field '{name}' may hold strings only")
            fields.append((name, f"<U{max((len(value) for value in column), default=1) or 1}"))
        else:
            fields.append((name, field))
    return np.array(records, dtype=fields).reshape(shape)


def file_digest(path: Path) -> str:
    """SHA-256 of a file, as ``sha256:<hex>``; a folder's is taken over its files' names and digests."""
    path = Path(path)
    if path.is_dir():
        total = hashlib.sha256()
        for member in sorted(item for item in path.rglob("*") if item.is_file()):
            total.update(f"{member.relative_to(path).as_posix()}\0{file_digest(member)}\n".encode())
        return f"sha256:{total.hexdigest()}"
    with path.open("rb") as handle:
        return f"sha256:{hashlib.file_digest(handle, 'sha256').hexdigest()}"
