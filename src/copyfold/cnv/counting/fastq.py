"""FASTQ files, plain or gzipped, read in pieces of a few thousand reads; what is wrong is told with its record.

The text is taken apart by whole blocks: newlines are found, and lengths and line beginnings checked, as arrays. A
loop over lines would take as long as a tenth of the alignment.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from string import ascii_letters
from typing import BinaryIO, NamedTuple

import numpy as np

from copyfold.errors import InputError

MAX_RECORD = 1 << 20
"""Bytes of a record, all four lines; short reads need less than a thousandth of it."""

_BLOCK = 1 << 21
_READ_BYTES = 1 << 18
_FEW_READS = 512
_INTERLEAVED_WITHIN = 1000
_LETTERS = ascii_letters.encode()
_NEWLINE = 10
_NOT_FASTQ = (
    (b">", "is FASTA, which has no qualities; give the FASTQ files of the sequencer"),
    (b"BAM\x01", "is BAM, not FASTQ; give it as a BAM file, or convert it with `samtools fastq`"),
    (b"CRAM", "is CRAM, not FASTQ; convert it with `samtools fastq`"),
    (b"@HD\t", "is SAM, not FASTQ; convert it with `samtools fastq`"),
    (b"@SQ\t", "is SAM, not FASTQ; convert it with `samtools fastq`"),
    (b"\xfd7zXZ\x00", "is packed with xz; unpack it or pack it with gzip"),
    (b"BZh", "is packed with bzip2; unpack it or pack it with gzip"),
    (b"\x28\xb5\x2f\xfd", "is packed with zstd; unpack it or pack it with gzip"),
    (b"PK\x03\x04", "is a zip archive; unpack it or pack its files with gzip"),
)


class ReadChunk(NamedTuple):
    """Consecutive reads, or pairs of them.

    Attributes
    ----------
    names : list of bytes
        First word of each header, without the ``@``; of a pair the first mate's, with the ``/1`` if it has one.
    first : list of bytes
        Bases as written, letters only; may be empty.
    second : list of bytes or None
        Those of the second mates; None for single reads.
    """

    names: list[bytes]
    first: list[bytes]
    second: list[bytes] | None

    @property
    def n_reads(self) -> int:
        """Reads, both of a pair counted."""
        return len(self.first) + len(self.second or ())


class _Records(NamedTuple):
    names: list[bytes]
    sequences: list[bytes]


def read_chunks(paths: Sequence[Path]) -> Iterator[ReadChunk]:
    """Yield the reads of one FASTQ file, or the pairs of two, in order, a few thousand at a time.

    Plain text or gzip, of any number of members; line ends of Windows and empty lines at the end are accepted. No
    more than a few blocks of `_BLOCK` bytes are held, whatever the files contain.

    Parameters
    ----------
    paths : sequence of Path, 1 or 2

    Raises
    ------
    InputError
        With the file and the record: missing, unreadable, empty, truncated or damaged; another format than FASTQ;
        a record that is not four lines, is longer than `MAX_RECORD` or whose quality is not as long as its
        sequence; a sequence with other characters than letters; a single file of interleaved pairs; mates whose
        names or whose numbers differ; one file given twice, or more than two.
    """
    paths = [Path(path) for path in paths]
    if len(paths) == 1:
        return _single(paths[0])
    if len(paths) == 2:
        return _paired(*paths)
    raise InputError(
        f"{len(paths)} FASTQ files for one sample; give one (single reads) or two (R1 and R2), joined with "
        "`cat` over lanes"
    )


def _single(path: Path) -> Iterator[ReadChunk]:
    for number, records in enumerate(_records(path)):
        if not number:
            _refuse_interleaved(path, records.names[:_INTERLEAVED_WITHIN])
        yield ReadChunk(records.names, records.sequences, None)


def _paired(path: Path, mate_path: Path) -> Iterator[ReadChunk]:
    if path.exists() and mate_path.exists() and path.samefile(mate_path):
        raise InputError(f"{path}: given as R1 and as R2; give the two files of the pairs")
    firsts, seconds = _records(path), _records(mate_path)
    first, second = _Records([], []), _Records([], [])
    done = 0
    while True:
        first, second = _refilled(first, firsts), _refilled(second, seconds)
        n = min(len(first.names), len(second.names))
        if not n:
            break
        _check_mates(path, mate_path, first.names[:n], second.names[:n], done)
        yield ReadChunk(first.names[:n], first.sequences[:n], second.sequences[:n])
        first, second = (_Records(*(part[n:] for part in records)) for records in (first, second))
        done += n
    if first.names or second.names:
        shorter, longer = (mate_path, path) if first.names else (path, mate_path)
        raise InputError(
            f"{shorter}: ends after {done} reads, {longer} has more; R1 and R2 must hold the same pairs: copy the "
            "shorter file again, or keep only complete pairs"
        )


def _refilled(records: _Records, source: Iterator[_Records]) -> _Records:
    """`records` and, if little is left of them, the next block's. Never more than one: what is held stays small."""
    if len(records.names) >= _FEW_READS or sum(map(len, records.names + records.sequences)) >= _BLOCK:
        return records
    more = next(source, None)
    return records if more is None else _Records(records.names + more.names, records.sequences + more.sequences)


def _stems(names: list[bytes]) -> list[bytes]:
    return [name[:-2] if name.endswith((b"/1", b"/2")) else name for name in names]


def _check_mates(path: Path, mate_path: Path, names: list[bytes], mate_names: list[bytes], done: int) -> None:
    if names == mate_names:
        return
    stems, mate_stems = _stems(names), _stems(mate_names)
    # fastq-dump -I names mates x.1 and x.2; without -I a number behind a dot is the read's own
    numbered = all(name[-2:] == b".1" for name in names) and all(name[-2:] == b".2" for name in mate_names)
    if numbered:
        stems, mate_stems = [name[:-2] for name in names], [name[:-2] for name in mate_names]
    if stems != mate_stems:
        at = next(place for place, stem in enumerate(stems) if stem != mate_stems[place])
        raise InputError(
            f"{mate_path}: record {done + at + 1} is named {_shown(mate_names[at])}, that of {path} "
            f"{_shown(names[at])}; R1 and R2 must hold the same pairs in the same order"
        )


def _refuse_interleaved(path: Path, names: list[bytes]) -> None:
    stems = _stems(names)
    for record, (stem, following) in enumerate(pairwise(stems), 1):
        if stem == following:
            raise InputError(
                f"{path}: records {record} and {record + 1} are both named {_shown(stem)}, so the file seems to hold "
                "interleaved pairs; write R1 and R2 to files of their own (`samtools fastq`, `seqtk seq -1` and `-2`) "
                "and give both"
            )


def _records(path: Path) -> Iterator[_Records]:
    """Checked records of one file by blocks, none of them empty."""
    rest = b""
    done = 0
    for text, is_last in _blocks(path):
        text = rest + text
        if not done:
            _refuse_other_formats(path, text)
        if is_last and text and not text.endswith(b"\n"):
            text += b"\n"
        records, rest = _parse(path, text, done)
        done += len(records.names)
        if is_last and rest.strip(b"\r\n"):
            raise InputError(
                f"{path}: record {done + 1}, the last, has fewer than four lines; the file is truncated, copy it again"
            )
        if len(rest) > MAX_RECORD:
            raise _too_long(path, done + 1)
        if records.names:
            yield records
    if not done:
        raise InputError(f"{path}: holds no reads; write it again or leave the sample out")


def _refuse_other_formats(path: Path, text: bytes) -> None:
    for magic, complaint in _NOT_FASTQ:
        if text.startswith(magic):
            raise InputError(f"{path}: {complaint}")
    if text and not text.startswith(b"@"):
        raise InputError(f"{path}: begins with {_shown(text[:60])}; a FASTQ file begins with '@' and a name")


def _parse(path: Path, text: bytes, done: int) -> tuple[_Records, bytes]:
    """The whole records at the start of `text`, and what is behind them; `done` records came before."""
    used = text.rfind(b"\n") + 1
    text, rest = text[:used], text[used:]
    if b"\r" in text:
        text = text.replace(b"\r\n", b"\n")
    letters = np.frombuffer(text, np.uint8)
    newlines = np.flatnonzero(letters == _NEWLINE)
    n = len(newlines) // 4
    starts = np.concatenate([[0], newlines[:-1] + 1])[: 4 * n].reshape(n, 4)
    ends = newlines[: 4 * n].reshape(n, 4)
    # An empty line has its own newline at its start, so that every start can be looked up.
    not_begun = letters[starts[:, 0]] != ord("@")
    if not_begun.any() and not text[starts[not_begun.argmax(), 0] :].strip(b"\n"):
        n = int(not_begun.argmax())  # empty lines, good at the end of the file: what follows decides
    starts, ends = starts[:n], ends[:n]
    lengths = ends - starts
    wrong = not_begun[:n] | (letters[starts[:, 2]] != ord("+")) | (lengths[:, 1] != lengths[:, 3])
    wrong |= ends[:, 3] - starts[:, 0] >= MAX_RECORD
    if wrong.any():
        at = int(wrong.argmax())
        raise _malformed(path, text[starts[at, 0] : ends[at, 3]].split(b"\n"), done + at + 1)
    used = int(ends[-1, 3]) + 1 if n else 0
    lines = text[:used].split(b"\n")
    sequences = lines[1 : 4 * n : 4]
    if b"".join(sequences).translate(None, _LETTERS):
        raise _not_letters(path, sequences, done)
    names = [header.split(None, 1)[0][1:] for header in lines[0 : 4 * n : 4]]
    return _Records(names, sequences), text[used:] + rest


def _malformed(path: Path, lines: list[bytes], record: int) -> InputError:
    header, sequence, separator, quality = lines
    if sum(map(len, lines)) + 4 > MAX_RECORD:
        return _too_long(path, record)
    if not header.startswith(b"@"):
        return InputError(
            f"{path}: record {record} begins with {_shown(header)}, not with '@'; a FASTQ record has four lines: "
            "header, sequence, '+' and quality"
        )
    if not separator.startswith(b"+"):
        return InputError(
            f"{path}: record {record} ({_shown(header[1:])}) has {_shown(separator)} where '+' must stand; a FASTQ "
            "record has four lines: header, sequence, '+' and quality"
        )
    return InputError(
        f"{path}: record {record} ({_shown(header[1:])}) has {len(sequence)} bases and {len(quality)} qualities; the "
        "file is truncated or damaged, copy it again"
    )


def _too_long(path: Path, record: int) -> InputError:
    return InputError(
        f"{path}: record {record} is longer than {MAX_RECORD} bytes; give short reads as FASTQ, four lines a record"
    )


def _not_letters(path: Path, sequences: list[bytes], done: int) -> InputError:
    for record, sequence in enumerate(sequences, done + 1):
        wrong = sequence.translate(None, _LETTERS)
        if wrong:
            return InputError(
                f"{path}: record {record} has {_quoted(wrong[:1])} in its sequence; bases are letters, N where unknown"
            )
    raise AssertionError("called with sequences of letters only")


def _shown(text: bytes) -> str:
    """What a message quotes: the first word, or as much of it as a line can hold."""
    return _quoted((text.split(None, 1) or [b""])[0][:60])


def _quoted(text: bytes) -> str:
    return repr(text).removeprefix("b")


def _blocks(path: Path) -> Iterator[tuple[bytes, bool]]:
    """The unpacked text in blocks of about `_BLOCK` bytes, and whether each is the last."""
    held: list[bytes] = []
    size = 0
    try:
        with path.open("rb") as handle:
            magic = handle.peek(2)[:2]
            if not magic:
                raise InputError(f"{path}: the file is empty; write it again or leave the sample out")
            plain = iter(lambda: handle.read(_BLOCK), b"")
            for piece in _inflated(path, handle) if magic == b"\x1f\x8b" else plain:
                if size >= _BLOCK:
                    yield b"".join(held), False
                    held, size = [], 0
                held.append(piece)
                size += len(piece)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; check the path") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}); check the file and the disk") from error
    yield b"".join(held), True


def _inflated(path: Path, handle: BinaryIO) -> Iterator[bytes]:
    """The content of a gzip file of any number of members, no piece longer than `_BLOCK`."""
    inflater = zlib.decompressobj(wbits=31)
    packed = b""
    begun = False
    try:
        while packed := packed or handle.read(_READ_BYTES):
            if not begun and not (packed := packed.lstrip(b"\0")):  # gzip, too, ignores zeros between members
                continue
            begun = True
            yield inflater.decompress(packed, _BLOCK)
            packed = inflater.unconsumed_tail or inflater.unused_data
            if inflater.eof:
                inflater = zlib.decompressobj(wbits=31)
                begun = False
    except zlib.error as error:
        raise InputError(f"{path}: cannot be unpacked as gzip ({error}); the file is damaged, copy it again") from None
    if begun:
        raise InputError(f"{path}: ends inside its gzip data; the file is truncated, copy it again")
