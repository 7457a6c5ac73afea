"""Damaged and hostile BAM files: a result or one InputError, never a crash."""

from __future__ import annotations

import contextlib
import gzip
import struct
from pathlib import Path

import numpy as np
import pysam
import pytest

from copyfold.cnv.counting import bins_of, count_bam
from copyfold.errors import InputError

LENGTHS = {"chr": 5_000, "p": 900}


def raw_header() -> bytes:
    text = b"@HD\tVN:1.6\n"
    body = b"BAM\1" + struct.pack("<i", len(text)) + text + struct.pack("<i", len(LENGTHS))
    for name, length in LENGTHS.items():
        body += struct.pack("<i", len(name) + 1) + name.encode() + b"\0" + struct.pack("<i", length)
    return body


def raw_record(
    *, size: int | None = None, contig: int = 0, pos: int = 100, name: int = 2, cigar: tuple[int, ...] = (10 << 4,),
    n_cigar: int | None = None, flag: int = 0, bases: int = 10,
) -> bytes:  # fmt: skip
    body = struct.pack("<iiBBHHHiiii", contig, pos, name, 60, 0, n_cigar or len(cigar), flag, bases, -1, -1, 0)
    body += b"r\0" + struct.pack(f"<{len(cigar)}I", *cigar) + b"\x11" * 5 + b"\x20" * 10
    return struct.pack("<i", len(body) if size is None else size) + body


def bam_of(path: Path, content: bytes) -> Path:
    with pysam.BGZFile(str(path), "wb") as out:
        out.write(content)
    return path


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    places = [(contig, pos) for contig in range(2) for pos in np.sort(rng.integers(800, size=2_000)).tolist()]
    records = b"".join(raw_record(contig=contig, pos=pos) for contig, pos in places)
    return bam_of(tmp_path / "sound.bam", raw_header() + records)


def test_the_sound_file_is_counted(sound: Path) -> None:
    assert count_bam(sound, bins_of(LENGTHS)).counts.tolist() == [2_000, 0, 0, 0, 0, 2_000]


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"size": -5}, "its size is -5"),
        ({"size": 31}, "its size is 31"),
        ({"size": 2**31 - 1}, "its size is 2147483647"),
        ({"size": 60_000}, "truncated: record 1"),
        ({"contig": 2}, "reference number 2"),
        ({"contig": -2}, "reference number -2"),
        ({"pos": -2}, "position is -2"),
        ({"name": 0}, "do not fit"),
        ({"name": 255}, "do not fit"),
        ({"bases": -1}, "do not fit"),
        ({"bases": 2**31 - 1}, "do not fit"),
        ({"n_cigar": 65_535}, "do not fit"),
        ({"cigar": (10 << 4 | 9,)}, "CIGAR operations"),
    ],
)
def test_a_damaged_record_is_named(tmp_path: Path, record: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        count_bam(bam_of(tmp_path / "a.bam", raw_header() + raw_record(**record)), bins_of(LENGTHS))


@pytest.mark.parametrize("record", [{"pos": 5_000}, {"pos": 2**31 - 1}, {"cigar": ()}, {"cigar": (2**32 - 16,)}])
def test_an_impossible_alignment_is_left_out(tmp_path: Path, record: dict) -> None:
    counted = count_bam(bam_of(tmp_path / "a.bam", raw_header() + raw_record(**record)), bins_of(LENGTHS))
    assert not counted.counts.any()
    assert counted.totals.malformed.sum() == 1


def test_an_alignment_over_the_end_is_cut_there(tmp_path: Path) -> None:
    counted = count_bam(bam_of(tmp_path / "a.bam", raw_header() + raw_record(pos=4_995)), bins_of(LENGTHS))
    assert counted.counts[4] == 1
    assert counted.chromosome_depth[4] == 5 / 1000


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"BAM\1", "ends inside its header"),
        (b"BAM\1" + struct.pack("<i", -1), "size -1"),
        (b"BAM\1" + struct.pack("<i", 2**31 - 1), "beyond 67108864"),
        (b"BAM\1" + struct.pack("<ii", 0, 2**31 - 1), "beyond 67108864"),
        (b"BAM\1" + struct.pack("<iii", 0, 1, 0) + b"\0" * 8, "contig name of 0 bytes"),
        (b"BAM\1" + struct.pack("<iii", 0, 1, 2**30) + b"\0" * 8, "beyond 67108864"),
        (raw_header()[:-3], "ends inside its header"),
        (b"@HD\tVN:1.6\n" * 9, "is not BAM"),
    ],
)
def test_a_damaged_header_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        count_bam(bam_of(tmp_path / "a.bam", content), bins_of(LENGTHS))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"x", "truncated"),
        (b"@HD\tVN:1.6\tSO:coordinate\n", "is not BAM"),
        (b"CRAM" + b"\3" * 40, "CRAM"),
        (gzip.compress(b"plain gzip, no BGZF in it" * 9, mtime=0), "is not BAM"),
    ],
)
def test_another_kind_of_file_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.bam").write_bytes(content)
    with pytest.raises(InputError, match=message):
        count_bam(tmp_path / "a.bam", bins_of(LENGTHS))


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        count_bam(tmp_path / "none.bam", bins_of(LENGTHS))
    with pytest.raises(InputError, match="cannot be read"):
        count_bam(tmp_path, bins_of(LENGTHS))


def test_a_truncated_file_is_refused_at_every_length(sound: Path, tmp_path: Path) -> None:
    whole = sound.read_bytes()
    for length in [*range(1, 40), *range(40, len(whole), 101), len(whole) - 28, len(whole) - 1]:
        (tmp_path / "cut.bam").write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"truncated|is not BAM"):
            count_bam(tmp_path / "cut.bam", bins_of(LENGTHS))


def test_a_changed_byte_of_the_compressed_data_is_found(sound: Path, tmp_path: Path) -> None:
    whole = bytearray(sound.read_bytes())
    whole[400] ^= 0x10
    (tmp_path / "a.bam").write_bytes(whole)
    with pytest.raises(InputError, match="damaged"):
        count_bam(tmp_path / "a.bam", bins_of(LENGTHS))


def test_mutated_files_give_a_result_or_an_input_error(sound: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    with pysam.BGZFile(str(sound)) as opened:
        content = opened.read()[:6_000]
    compressed = sound.read_bytes()
    for trial in range(200):
        source = bytearray(compressed if trial % 2 else content)
        for place in rng.integers(len(source), size=int(rng.integers(1, 8))):
            source[place] = int(rng.choice([0, 1, 0x7F, 0x80, 0xFF, rng.integers(256)]))
        if trial % 2:
            (tmp_path / "m.bam").write_bytes(source)
        else:
            bam_of(tmp_path / "m.bam", bytes(source))
        with contextlib.suppress(InputError):
            count_bam(tmp_path / "m.bam", bins_of(LENGTHS), unsorted=trial % 4 < 2)
