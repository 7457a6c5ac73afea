"""Hostile files made of good ones: bytes, cells and values changed at random, by a generator that is given."""

from __future__ import annotations

import copy
import gzip
import io
import json
import re
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

Random = np.random.Generator

HOSTILE_CELLS = (
    "", " ", "../../x", "/etc/passwd", "..", ".", "~root", "a\0b", "x" * 5000, "-1", "0", "1e999", "-inf", "nan", "NaN",
    "1.5", "99999999999999999999", "9" * 5000, "4294967296", "2147483648", "-2147483649", "0x10", "1_0", "١٢", "true",
    "null", "NA", "<script>alert(1)</script>", "{{7*7}}", "%s%n", "$(touch x)", "`touch x`", "; rm -rf x", "=1+1", "#",
    ">", "@", "\r", "\ufeff", "\u202e", "é", "😀", "'", '"', "!!python/object/apply:os.mkdir [ran]", "&a [*a]",
    "[" * 2000, "{" * 2000, "a=b;c=d", "gene_1,gene_2", "1..", "join(1..2,", "complement(", "%00", "%zz",
)  # fmt: skip
HOSTILE_VALUES: tuple[Any, ...] = (
    None, True, False, [], {}, "", "../../x", "/etc/passwd", "a\0b", "a\nb", "x" * 5000, -1, 0, 1.5, 1e308, 2**63,
    10**400, float("nan"), float("inf"), [[]], [None], {"": {}}, {"a": {"b": [1]}}, "<script>", "\ud800", "done",
    "copyfold-run/1",
)  # fmt: skip
_INTERESTING = (0, 1, 2, 31, 127, 128, 255, 256, 32767, 65535, 2**31 - 1, 2**31, 2**32 - 1)
_SEPARATORS = re.compile(r"([\t\n,;:=\" |]+)")


def mutate(name: str, content: bytes, random: Random) -> bytes:
    """A hostile version of the file `name`; half of the time its form is kept and what it says is changed."""
    if random.random() < 0.5:
        for ending, change in _BY_FORM.items():
            if name.endswith(ending):
                return change(content, random)
    return mutate_bytes(content, random)


def mutate_bytes(content: bytes, random: Random) -> bytes:
    """One to four random changes of bytes."""
    changed = bytearray(content)
    for _ in range(random.integers(1, 5)):
        _BYTE_CHANGES[random.integers(len(_BYTE_CHANGES))](changed, random)
    return bytes(changed)


def _place(content: bytearray, random: Random) -> int:
    """Half of the time near the start, where headers are."""
    if not content:
        return 0
    return int(random.integers(min(len(content), 256) if random.random() < 0.5 else len(content)))


def _flip(content: bytearray, random: Random) -> None:
    if content:
        content[_place(content, random)] ^= 1 << int(random.integers(8))


def _overwrite(content: bytearray, random: Random) -> None:
    at = _place(content, random)
    number = _INTERESTING[random.integers(len(_INTERESTING))]
    packed = struct.pack(("<" if random.random() < 0.7 else ">") + "BHIQ"[(size := int(random.integers(4)))],
                         number % 2 ** (8 << size))  # fmt: skip
    content[at : at + len(packed)] = packed


def _delete(content: bytearray, random: Random) -> None:
    at = _place(content, random)
    del content[at : at + int(random.integers(1, 65))]


def _truncate(content: bytearray, random: Random) -> None:
    del content[_place(content, random) :]


def _repeat(content: bytearray, random: Random) -> None:
    at = _place(content, random)
    content[at:at] = content[at : at + int(random.integers(1, 129))] * int(random.integers(1, 20))


def _insert(content: bytearray, random: Random) -> None:
    at = _place(content, random)
    content[at:at] = random.bytes(int(random.integers(1, 33)))


_BYTE_CHANGES: tuple[Callable[[bytearray, Random], None], ...] = (
    _flip, _flip, _overwrite, _overwrite, _delete, _truncate, _repeat, _insert
)  # fmt: skip


def mutate_text(content: bytes, random: Random) -> bytes:
    """Cells replaced by hostile ones; lines dropped, doubled or swapped."""
    text = content.decode("utf-8", "surrogateescape")
    for _ in range(random.integers(1, 4)):
        text = _change_line(text, random) if random.random() < 0.3 else _change_cell(text, random)
    return text.encode("utf-8", "surrogateescape" if "\ud800" not in text else "replace")


def _change_cell(text: str, random: Random) -> str:
    cells = _SEPARATORS.split(text)
    near = min(len(cells), 60) if random.random() < 0.5 else len(cells)
    cells[int(random.integers(near))] = HOSTILE_CELLS[random.integers(len(HOSTILE_CELLS))]
    return "".join(cells)


def _change_line(text: str, random: Random) -> str:
    lines = text.split("\n")
    at, other = (int(place) for place in random.integers(len(lines), size=2))
    match random.integers(4):
        case 0:
            del lines[at]
        case 1:
            lines.insert(other, lines[at])
        case 2:
            lines[at], lines[other] = lines[other], lines[at]
        case _:
            lines[at] = "".join(lines[at : at + 2])
    return "\n".join(lines)


def mutate_value(value: Any, random: Random) -> Any:
    """A JSON-like value with one to three of its parts replaced, dropped or added."""
    changed = copy.deepcopy(value)
    for _ in range(random.integers(1, 4)):
        changed = _change_part(changed, random)
    return changed


def _change_part(value: Any, random: Random) -> Any:
    hostile = copy.deepcopy(HOSTILE_VALUES[random.integers(len(HOSTILE_VALUES))])
    if not isinstance(value, dict | list) or not value or random.random() < 0.1:
        return hostile
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    key = keys[random.integers(len(keys))]
    if isinstance(value[key], dict | list) and value[key] and random.random() < 0.7:
        value[key] = _change_part(value[key], random)
    elif random.random() < 0.25:
        del value[key]
    else:
        value[key] = hostile
    return value


def _mutate_json(content: bytes, random: Random) -> bytes:
    if random.random() < 0.3:
        return mutate_text(content, random)
    return json.dumps(mutate_value(json.loads(content), random)).encode()


def _mutate_gzip(content: bytes, random: Random) -> bytes:
    return gzip.compress(mutate_text(gzip.decompress(content), random), compresslevel=1, mtime=0)


def _mutate_bgzf(content: bytes, random: Random) -> bytes:
    """Bytes of the records changed, the blocks sound."""
    changed = mutate_bytes(gzip.decompress(content), random)
    blocks = [changed[at : at + 0xFF00] for at in range(0, len(changed), 0xFF00)] + [b""]
    return b"".join(_bgzf_block(block) for block in blocks)


def _bgzf_block(content: bytes) -> bytes:
    packer = zlib.compressobj(1, zlib.DEFLATED, -15)
    packed = packer.compress(content) + packer.flush()
    head = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x06\0BC\x02\0" + struct.pack("<H", len(packed) + 25)
    return head + packed + struct.pack("<II", zlib.crc32(content), len(content))


def _mutate_zip(content: bytes, random: Random) -> bytes:
    """One member of an archive changed, or its name a way out of the folder."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = [(item.filename, archive.read(item)) for item in archive.infolist()]
    at = int(random.integers(len(members)))
    if random.random() < 0.6:
        at = next((place for place, (name, _) in enumerate(members) if name.endswith("data.pkl")), at)
    name, inner = members[at]
    if random.random() < 0.2:
        name = "../" * 3 + "x"
    else:
        inner = mutate_bytes(inner, random)
    members[at] = (name, inner)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for each, inside in members:
            archive.writestr(each, inside)
    return packed.getvalue()


def _mutate_npy(content: bytes, random: Random) -> bytes:
    """The array saved with another dtype, shape or value, or its header's text changed."""
    if random.random() < 0.3:
        head = mutate_text(content[10:128], random)
        return content[:8] + struct.pack("<H", len(head) % 65536) + head + content[128:]
    array = np.load(io.BytesIO(content))
    if random.random() < 0.5:
        flat = array.reshape(-1)
        array = _NPY_CHANGES[random.integers(len(_NPY_CHANGES))](flat, array.shape)
    elif array.dtype.names is None and array.dtype.kind in "iuf":
        extremes = (0, np.iinfo(np.int64).max, np.iinfo(np.int64).min, -1, 10**6)
        array = array.astype(np.int64)
        array.flat[random.integers(array.size)] = extremes[random.integers(len(extremes))]
    elif array.dtype.kind == "U":
        array = array.astype(object)
        array.flat[random.integers(array.size)] = HOSTILE_CELLS[random.integers(len(HOSTILE_CELLS))]
        array = array.astype(np.str_)
    else:
        array = array[::-1]
    packed = io.BytesIO()
    np.save(packed, array, allow_pickle=True)
    return packed.getvalue()


_NPY_CHANGES: tuple[Callable[[np.ndarray, tuple[int, ...]], np.ndarray], ...] = (
    lambda flat, shape: flat,
    lambda flat, shape: flat[:0],
    lambda flat, shape: flat[:0].reshape(0, *shape[1:]),
    lambda flat, shape: flat[: flat.size // 2],
    lambda flat, shape: flat.reshape(1, *shape),
    lambda flat, shape: flat.astype(object).reshape(shape),
    lambda flat, shape: flat.astype("S8").reshape(shape) if flat.dtype.names is None else flat,
    lambda flat, shape: flat[0],
    lambda flat, shape: np.full(shape, np.nan),
    lambda flat, shape: np.zeros(shape, "M8[s]"),
    lambda flat, shape: np.zeros(shape, np.complex64),
    lambda flat, shape: np.asfortranarray(flat.reshape(shape)),
    lambda flat, shape: flat.reshape(shape).astype(flat.dtype.newbyteorder(">")),
)

_BY_FORM: dict[str, Callable[[bytes, Random], bytes]] = {
    ".json": _mutate_json,
    ".gz": _mutate_gzip,
    ".bam": _mutate_bgzf,
    ".npy": _mutate_npy,
    ".pth": _mutate_zip,
    ".pt": _mutate_zip,
    **dict.fromkeys(
        (".yaml", ".tsv", ".csv", ".txt", ".fa", ".fastq", ".gff", ".gbk", ".bed", ".tab", ".pdb", ".cif", ".sheet"),
        mutate_text,
    ),
}
