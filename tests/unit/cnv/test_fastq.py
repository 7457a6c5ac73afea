"""FASTQ files: what is read from them, and one clear refusal for each way in which they can be wrong."""

from __future__ import annotations

import gzip
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from copyfold.cnv.counting import fastq
from copyfold.cnv.counting.fastq import MAX_RECORD, read_chunks
from copyfold.errors import InputError


def record(name: str, bases: str = "ACGT", quality: str | None = None) -> bytes:
    return f"@{name}\n{bases}\n+\n{'I' * len(bases) if quality is None else quality}\n".encode()


def text_of(n: int, mate: str = "", length: int = 4) -> bytes:
    return b"".join(record(f"r{number}{mate}", "ACGTN"[number % 5] * length) for number in range(n))


def packed(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


def file_of(folder: Path, data: bytes, name: str = "R1.fastq") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def all_of(*paths: Path) -> tuple[list[bytes], list[bytes], list[bytes] | None]:
    names: list[bytes] = []
    firsts: list[bytes] = []
    seconds: list[bytes] = []
    for chunk in read_chunks(paths):
        assert chunk.n_reads == len(paths) * len(chunk.names) > 0
        names += chunk.names
        firsts += chunk.first
        seconds += chunk.second or []
    return names, firsts, seconds if len(paths) == 2 else None


WHOLE = text_of(40)
ACCEPTED = {
    "plain": WHOLE,
    "gzip": packed(WHOLE),
    "gzip of two members": packed(WHOLE[:100]) + packed(WHOLE[100:]),
    "gzip with an empty member between": packed(WHOLE[:100]) + packed(b"") + packed(WHOLE[100:]),
    "gzip with zeros behind it": packed(WHOLE) + bytes(600),
    "Windows line ends": WHOLE.replace(b"\n", b"\r\n"),
    "no newline at the end": WHOLE[:-1],
    "empty lines at the end": WHOLE + b"\n" * 9,
    "header repeated behind +": WHOLE.replace(b"\n+\n", b"\n+r\n"),
    "comments": WHOLE.replace(b"\nA", b" 1:N:0:ACGT\nA").replace(b"\nC", b"\tBX:Z:1\nC"),
}


@pytest.mark.parametrize("data", list(ACCEPTED.values()), ids=list(ACCEPTED))
@pytest.mark.parametrize("block", [7, 64, 1 << 21])
def test_forms_of_one_file_read_the_same(tmp_path, monkeypatch, data, block):
    monkeypatch.setattr(fastq, "_BLOCK", block)
    monkeypatch.setattr(fastq, "_READ_BYTES", 50)
    expected = [f"r{number}".encode() for number in range(40)], [b"ACGTN"[n % 5 :][:1] * 4 for n in range(40)], None
    assert all_of(file_of(tmp_path, data)) == expected


@pytest.mark.parametrize("block", [30, 1 << 21])
def test_mates_stay_together_however_their_lengths_differ(tmp_path, monkeypatch, block):
    monkeypatch.setattr(fastq, "_BLOCK", block)
    rng = np.random.default_rng(1)
    lengths = rng.integers(0, 50, (300, 2))
    files = [
        file_of(
            tmp_path,
            packed(b"".join(record(f"r{n}/{mate + 1}", "ACGT"[n % 4] * row[mate]) for n, row in enumerate(lengths))),
            f"R{mate + 1}.fastq.gz",
        )
        for mate in range(2)
    ]
    names, firsts, seconds = all_of(*files)
    assert names == [f"r{number}/1".encode() for number in range(300)]
    assert [*zip(map(len, firsts), map(len, seconds or ()), strict=True)] == [tuple(row) for row in lengths.tolist()]


def test_qualities_may_begin_with_an_at_sign_or_a_plus(tmp_path):
    data = record("a", "ACGT", "@+@+") + record("b", "ACGT", "+@+@")
    assert all_of(file_of(tmp_path, data))[0] == [b"a", b"b"]


def test_reads_without_bases_and_in_lower_case_are_reads(tmp_path):
    data = record("a", "") + record("b", "acgtn") + record("c", "RYKM")
    assert all_of(file_of(tmp_path, data))[1] == [b"", b"acgtn", b"RYKM"]


GOOD = text_of(3)
TALL = record("long", "A" * MAX_RECORD)
REFUSED = {
    "empty": (b"", "the file is empty; write it again"),
    "gzip of nothing": (packed(b""), "holds no reads; write it again"),
    "empty lines": (b"\n\n\n\n\n", "begins with ''; a FASTQ file begins with '@'"),
    "truncated gzip": (packed(GOOD)[:-12], "ends inside its gzip data; the file is truncated, copy it again"),
    "gzip cut in its header": (packed(GOOD)[:5], "ends inside its gzip data"),
    "truncated second member": (packed(GOOD) + packed(GOOD)[:-12], "ends inside its gzip data"),
    "wrong CRC": (packed(GOOD)[:-8] + b"abcd" + packed(GOOD)[-4:], "cannot be unpacked as gzip .* damaged"),
    "damaged gzip": (packed(GOOD)[:12] + b"\xff" * 9 + packed(GOOD)[21:], "cannot be unpacked as gzip .* damaged"),
    "garbage behind gzip": (packed(GOOD) + b"garbage", "cannot be unpacked as gzip .* damaged"),
    "FASTA": (b">a\nACGT\n", "is FASTA, which has no qualities"),
    "BAM": (packed(b"BAM\x01" + bytes(90)), "is BAM, not FASTQ; give it as a BAM file"),
    "CRAM": (b"CRAM\x03\x00" + bytes(90), "is CRAM, not FASTQ; convert it"),
    "SAM": (b"@SQ\tSN:c\tLN:9\n", "is SAM, not FASTQ; convert it"),
    "xz": (b"\xfd7zXZ\x00\x00\x04", "is packed with xz; unpack it"),
    "other text": (b"sample\treads\n", "begins with 'sample'; a FASTQ file begins with '@'"),
    "cut behind a line": (GOOD[:-5], "record 3, the last, has fewer than four lines; the file is truncated"),
    "cut in the header": (GOOD + b"@r", "record 4, the last, has fewer than four lines"),
    "cut in the quality": (GOOD[:-3], r"record 3 \('r2'\) has 4 bases and 2 qualities; the file is truncated"),
    "quality too long": (GOOD + record("a", "ACGT", "IIIII"), r"record 4 \('a'\) has 4 bases and 5 qualities"),
    "two lines of bases": (GOOD + b"@a\nAC\nGT\n+\nIIII\n", r"record 4 \('a'\) has 'GT' where '\+' must stand"),
    "a line too many": (GOOD + b"\n" + GOOD, "record 4 begins with '', not with '@'"),
    "header without @": (GOOD + GOOD[1:], "record 4 begins with 'r0', not with '@'"),
    "dots for N": (GOOD + record("a", "AC.T"), r"record 4 has '\.' in its sequence; bases are letters, N where"),
    "gaps": (GOOD + record("a", "AC-T"), "record 4 has '-' in its sequence"),
    "digits": (GOOD + record("a", "0123"), "record 4 has '0' in its sequence"),
    "NUL": (GOOD + record("a", "AC\0T"), r"record 4 has '\\x00' in its sequence"),
    "spaces": (GOOD + record("a", "AC T"), "record 4 has ' ' in its sequence"),
    "record too long": (GOOD + TALL + GOOD, f"record 4 is longer than {MAX_RECORD} bytes"),
    "last record too long": (GOOD + TALL, f"record 4 is longer than {MAX_RECORD} bytes"),
    "line without an end": (packed(b"@" + b"A" * (1 << 23)), f"record 1 is longer than {MAX_RECORD} bytes"),
    "empty lines without an end": (packed(GOOD + b"\n" * (1 << 23)), "record 4 is longer than"),
    "interleaved": (record("a") + record("a"), "records 1 and 2 are both named 'a', .* interleaved pairs; write R1"),
    "interleaved, numbered": (GOOD + record("a/1") + record("a/2"), "records 4 and 5 are both named 'a'"),
}


@pytest.mark.parametrize(("data", "message"), list(REFUSED.values()), ids=list(REFUSED))
def test_refusals(tmp_path, data, message):
    with pytest.raises(InputError, match=rf"R1\.fastq: {message}"):
        all_of(file_of(tmp_path, data))


def test_the_record_is_counted_over_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(fastq, "_BLOCK", 50)
    with pytest.raises(InputError, match=r"record 41 \('bad'\) has 4 bases and 1 qualities"):
        all_of(file_of(tmp_path, text_of(40) + record("bad", "ACGT", "I") + text_of(40)))


def test_a_line_without_an_end_is_not_read_whole(tmp_path):
    path = file_of(tmp_path, packed(b"@" + b"A" * (1 << 26)))
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match="longer than"):
            all_of(path)
        assert tracemalloc.get_traced_memory()[1] < 1 << 24
    finally:
        tracemalloc.stop()


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(InputError, match="none: no such file; check the path"):
        all_of(tmp_path / "none")
    with pytest.raises(InputError, match="cannot be read"):
        all_of(tmp_path)
    with pytest.raises(InputError, match="none: no such file; check the path"):
        all_of(file_of(tmp_path, GOOD), tmp_path / "none")


PAIRS_REFUSED = {
    "fewer in R2": (text_of(9), text_of(7), "R2.fastq: ends after 7 reads, .*R1.fastq has more"),
    "fewer in R1": (text_of(7), text_of(9), "R1.fastq: ends after 7 reads, .*R2.fastq has more"),
    "a read lost": (
        text_of(9, "/1"),
        text_of(4, "/2") + text_of(9, "/2")[text_of(9, "/2").index(b"@r5/2") :],
        "R2.fastq: record 5 is named 'r5/2', that of .*R1.fastq 'r4/1'; .* same order",
    ),
    "R2 damaged": (GOOD, GOOD[:-3], "R2.fastq: record 3 .* 2 qualities"),
    "R2 empty": (GOOD, b"", "R2.fastq: the file is empty"),
}


@pytest.mark.parametrize(("first", "second", "message"), list(PAIRS_REFUSED.values()), ids=list(PAIRS_REFUSED))
def test_refusals_of_pairs(tmp_path, first, second, message):
    with pytest.raises(InputError, match=message):
        all_of(file_of(tmp_path, first), file_of(tmp_path, second, "R2.fastq"))


def test_names_of_mates_may_differ_behind_a_space_and_in_their_number(tmp_path):
    first = record("a 1:N:0:ACGT") + record("b/1") + record("c/1 x")
    second = record("a 2:N:0:ACGT") + record("b/2") + record("c/2 y")
    names, _, _ = all_of(file_of(tmp_path, first), file_of(tmp_path, second, "R2.fastq"))
    assert names == [b"a", b"b/1", b"c/1"]


def test_mates_may_be_numbered_behind_a_dot(tmp_path):
    first = file_of(tmp_path, record("SRR1.1.1") + record("SRR1.2.1"), "R1.fastq")
    second = file_of(tmp_path, record("SRR1.1.2") + record("SRR1.2.2"), "R2.fastq")
    assert all_of(first, second)[0] == [b"SRR1.1.1", b"SRR1.2.1"]
    third = file_of(tmp_path, record("SRR1.2.2") + record("SRR1.1.2"), "R3.fastq")
    with pytest.raises(InputError, match="same pairs in the same order"):
        all_of(first, third)


def test_one_file_twice_and_three_files_are_refused(tmp_path):
    path = file_of(tmp_path, GOOD)
    with pytest.raises(InputError, match="given as R1 and as R2"):
        all_of(path, path)
    with pytest.raises(InputError, match="3 FASTQ files for one sample"):
        read_chunks([path] * 3)
    with pytest.raises(InputError, match="0 FASTQ files for one sample"):
        read_chunks([])
