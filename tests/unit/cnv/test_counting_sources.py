"""The same reads from BAM, through htslib and from CRAM give the same counts; damaged sources give one line."""

from __future__ import annotations

import importlib.util
import itertools
import struct
import zlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pysam
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from copyfold.cnv.counting import SampleCounts, bins_of, count_bam, count_cram, per_sample
from copyfold.cnv.counting.bgzf import END_MARKER
from copyfold.cnv.store import Contigs
from copyfold.errors import InputError


def load(name: str) -> ModuleType:
    """A module beside this one."""
    spec = importlib.util.spec_from_file_location(f"{name}_shared", Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


READS, RAW = load("test_counting"), load("test_counting_damage")
LENGTHS, GENES = READS.LENGTHS, READS.GENES
RULES = {"genes": GENES, "is_plasmid": [False, True, True]}
ARRAYS = (
    *("chromosome_counts", "plasmid_counts", "chromosome_depth", "plasmid_depth"),
    *("chromosome_gene_depth", "plasmid_gene_depth", "plasmid_replicon_depth", "counts", "gene_depth"),
)


def assert_same(left: SampleCounts, right: SampleCounts) -> None:
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(left, name), getattr(right, name), name)
    for name, column in vars(left.totals).items():
        np.testing.assert_array_equal(column, getattr(right.totals, name), name)


def bam_of(tmp_path: Path, seed: int, n: int = 3_000) -> Path:
    return READS.write_bam(tmp_path / "a.bam", READS.random_reads(np.random.default_rng(seed), n))


# BAM through the compiled walk and through htslib


@pytest.mark.parametrize("seed", range(4))
def test_the_walk_and_htslib_agree_on_every_array(tmp_path: Path, seed: int) -> None:
    bam = bam_of(tmp_path, seed)
    walked = count_bam(bam, bins_of(LENGTHS), **RULES)
    assert_same(walked, count_cram(bam, None, bins_of(LENGTHS), **RULES))
    assert walked.counts.sum() > 500


def test_they_agree_on_uneven_bins_with_gaps_and_other_qualities(tmp_path: Path) -> None:
    start = np.array([0, 700, 5_000, 5_003, 10, 0])
    end = np.array([700, 4_500, 5_001, 23_457, 4_000, 777])
    contigs = Contigs(np.array(["chr"] * 4 + ["pA", "pB"]), start, end)
    bam = bam_of(tmp_path, 11)
    for low, high in ((0, 255), (20, 1), (60, 60)):
        rules = RULES | {"chromosome_mapq": high, "plasmid_mapq": low}
        assert_same(count_bam(bam, contigs, **rules), count_cram(bam, None, contigs, **rules))


def test_without_the_compiled_walk_bam_is_read_through_htslib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bam = bam_of(tmp_path, 5)
    walked = count_bam(bam, bins_of(LENGTHS), **RULES)
    monkeypatch.setattr(per_sample, "HAVE_WALK", False)
    monkeypatch.delattr(per_sample, "BamStream")
    assert_same(walked, count_bam(bam, bins_of(LENGTHS), **RULES))


DAMAGES = {
    "empty": lambda whole: b"",
    "text": lambda whole: b"plain text\n",
    "half": lambda whole: whole[: len(whole) // 2],
    "no end marker": lambda whole: whole[:-28],
    "changed byte": lambda whole: whole[:900] + b"\xff" + whole[901:],
}


@pytest.mark.parametrize("damage", list(DAMAGES))
def test_htslib_refuses_a_damaged_bam_in_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], damage: str
) -> None:
    bam = bam_of(tmp_path, 5)
    bam.write_bytes(DAMAGES[damage](bam.read_bytes()))
    one_line(bam, None, capfd)


def test_alignments_over_the_end_of_a_contig_agree(tmp_path: Path) -> None:
    record = {"name": "r", "flag": 0, "mapq": 60, "bases": 100}
    places = [(0, 23_456), (0, 23_400), (1, 3_999), (2, 700), (2, 777), (2, 5_000)]
    reads = [
        record | {"contig": contig, "pos": pos, "cigar": cigar}
        for contig, pos in places
        for cigar in ("100M", "1M900D99M", "60D100M")
    ]
    bam = READS.write_bam(tmp_path / "a.bam", reads)
    walked = count_bam(bam, bins_of(LENGTHS), **RULES)
    assert_same(walked, count_cram(bam, None, bins_of(LENGTHS), **RULES))
    assert walked.totals.malformed.tolist() == [0, 0, 6, 0]


def test_reads_on_other_contigs_have_the_same_totals(tmp_path: Path) -> None:
    bam, bins = bam_of(tmp_path, 0, 500), bins_of({"pA": 4_000})
    assert_same(count_bam(bam, bins, other_contigs=True), count_cram(bam, None, bins, other_contigs=True))


def test_a_read_of_more_cigar_operations_than_bam_holds_is_dropped_either_way(tmp_path: Path) -> None:
    header = {"SQ": [{"SN": "chr", "LN": 100_000}]}
    with pysam.AlignmentFile(str(tmp_path / "a.bam"), "wb", header=header) as out:
        record = pysam.AlignedSegment(out.header)
        record.query_name, record.flag, record.mapping_quality = "long", 0, 60
        record.reference_id, record.reference_start = 0, 500
        record.query_sequence, record.cigarstring = "A" * 70_001, "1M1I" * 35_000 + "1M"
        out.write(record)
    bins = bins_of({"chr": 100_000})
    walked, read = count_bam(tmp_path / "a.bam", bins), count_cram(tmp_path / "a.bam", None, bins)
    assert walked.totals.malformed.sum() == 1
    assert_same(walked, read)


# CRAM


class Cram:
    """A CRAM, the BAM it was made of, and its FASTA."""

    def __init__(self, folder: Path, n: int, seed: int = 3) -> None:
        rng = np.random.default_rng(seed)
        self.folder = folder
        self.sequences = {name: bytes(rng.choice(list(b"ACGT"), n).astype("u1")) for name, n in LENGTHS.items()}
        self.fasta = self.write_fasta("r.fa", self.sequences)
        ends = list(LENGTHS.values())
        reads = [r for r in READS.random_reads(rng, n) if r["pos"] + 200 < ends[r["contig"]]]
        reads.sort(key=lambda read: (read["contig"] if read["contig"] >= 0 else 99, read["pos"]))
        self.bam = READS.write_bam(folder / "a.bam", reads)
        self.path = folder / "a.cram"
        with (
            pysam.AlignmentFile(str(self.bam)) as source,
            pysam.AlignmentFile(str(self.path), "wc", template=source, reference_filename=str(self.fasta)) as target,
        ):
            for record in source:
                target.write(record)

    def write_fasta(self, name: str, sequences: dict[str, bytes]) -> Path:
        (self.folder / name).write_bytes(b"".join(b">%s\n%s\n" % (k.encode(), v) for k, v in sequences.items()))
        return self.folder / name

    def boundaries(self) -> list[int]:
        """Where containers end: section 7 of https://samtools.github.io/hts-specs/CRAMv3.pdf."""
        content, place, found = self.path.read_bytes(), 26, []

        def skip(place: int, most: int) -> int:
            ones = next((bit for bit in range(most) if not content[place] >> (7 - bit) & 1), most)
            return place + 1 + ones

        while place < len(content):
            after = place + 4
            for most in (4, 4, 4, 4, 8, 8, 4):
                after = skip(after, most)
            n_landmarks = content[after] if content[after] < 0x80 else (content[after] & 0x3F) << 8 | content[after + 1]
            after = skip(after, 4)
            for _ in range(n_landmarks):
                after = skip(after, 4)
            place = after + 4 + struct.unpack_from("<i", content, place)[0]
            found.append(place)
        return found


@pytest.fixture(scope="module")
def cram(tmp_path_factory: pytest.TempPathFactory) -> Cram:
    return Cram(tmp_path_factory.mktemp("cram"), 3_000)


def test_a_cram_counts_as_the_bam_it_was_made_of(cram: Cram) -> None:
    counted = count_cram(cram.path, cram.fasta, bins_of(LENGTHS), **RULES)
    assert_same(counted, count_bam(cram.bam, bins_of(LENGTHS), **RULES))
    assert counted.counts.sum() > 500


def one_line(path: Path, fasta: Path | None, capfd: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(InputError) as refused:
        count_cram(path, fasta, bins_of(LENGTHS))
    assert capfd.readouterr() == ("", "")
    assert "\n" not in str(refused.value)
    assert str(refused.value).startswith(f"{path}: ")
    return str(refused.value)


def test_a_cram_of_another_reference_is_refused(cram: Cram, capfd: pytest.CaptureFixture[str]) -> None:
    backwards = cram.write_fasta("other.fa", {name: text[::-1] for name, text in cram.sequences.items()})
    assert "a CRAM of another reference" in one_line(cram.path, backwards, capfd)
    with pytest.raises(InputError, match="was aligned to another reference: pB is not among the bins"):
        count_cram(cram.path, cram.fasta, bins_of({"chr": 23_457, "pA": 4_000}))


def test_a_truncated_cram_is_refused(cram: Cram, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    whole, ends = cram.path.read_bytes(), cram.boundaries()
    assert ends[-1] == len(whole)
    lengths = {0, 3, 4, 30, *range(100, len(whole), len(whole) // 30), len(whole) - 1}
    for length in sorted(lengths - {end + more for end in ends for more in range(36)}):
        (tmp_path / "cut.cram").write_bytes(whole[:length])
        one_line(tmp_path / "cut.cram", cram.fasta, capfd)


@pytest.mark.parametrize("more", [0, 3])
@pytest.mark.parametrize("which", ["header", "records", "end marker"])
def test_a_cram_cut_between_containers_is_refused(
    cram: Cram, tmp_path: Path, capfd: pytest.CaptureFixture[str], which: str, more: int
) -> None:
    ends = cram.boundaries()
    assert len(ends) > 3
    length = {"header": ends[0], "records": ends[1], "end marker": ends[-2]}[which]
    (tmp_path / "cut.cram").write_bytes(cram.path.read_bytes()[: length + more])
    one_line(tmp_path / "cut.cram", cram.fasta, capfd)


def refused_or_the_same(cram: Cram, path: Path, place: int) -> bool:
    """Whether a changed byte is refused; if it is not, it must have changed nothing."""
    changed = bytearray(cram.path.read_bytes())
    changed[place] ^= 0x5A
    path.write_bytes(changed)
    try:
        counted = count_cram(path, cram.fasta, bins_of(LENGTHS))
    except InputError:
        return True
    assert_same(counted, count_bam(cram.bam, bins_of(LENGTHS)))
    return False


def test_a_damaged_cram_is_refused(cram: Cram, tmp_path: Path) -> None:
    ends = cram.boundaries()
    places = np.random.default_rng(0).integers(ends[0], ends[-2], 40)
    places = [place for place in places if not any(end <= place < end + 40 for end in ends)]
    assert sum(refused_or_the_same(cram, tmp_path / "bad.cram", place) for place in places) > 30


def test_a_damaged_container_header_is_refused(cram: Cram, tmp_path: Path) -> None:
    place = cram.boundaries()[1]
    assert all(refused_or_the_same(cram, tmp_path / "bad.cram", place + more) for more in (4, 9, 12))


def test_a_refused_cram_leaves_htslib_as_talkative_as_it_was(cram: Cram, tmp_path: Path) -> None:
    before = pysam.set_verbosity(3)
    try:
        (tmp_path / "bad.cram").write_bytes(b"CRAM\3\0" + bytes(99))
        for path in (tmp_path / "bad.cram", tmp_path / "none.cram", cram.path):
            with pytest.raises(InputError):
                count_cram(path, cram.fasta, bins_of({"chr": 5}))
            assert pysam.get_verbosity() == 3
    finally:
        pysam.set_verbosity(before)


# Blocks


def block(content: bytes) -> bytes:
    deflater = zlib.compressobj(1, zlib.DEFLATED, -15)
    packed = deflater.compress(content) + deflater.flush()
    head = b"\x1f\x8b\x08\x04" + bytes(5) + b"\xff" + struct.pack("<H2sHH", 6, b"BC", 2, len(packed) + 25)
    return head + packed + struct.pack("<II", zlib.crc32(content), len(content))


def unpacked(path: Path) -> bytes:
    with pysam.BGZFile(str(path)) as opened:
        return opened.read()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(0, 9_000), max_size=60), seed=st.integers(0, 3))
def test_where_blocks_end_changes_nothing(tmp_path: Path, cuts: list[int], seed: int) -> None:
    bam = bam_of(tmp_path, seed, 60)
    content = unpacked(bam)
    edges = [0, *sorted(min(cut, len(content)) for cut in cuts), len(content)]
    pieces = [content[a:b] for a, b in itertools.pairwise(edges)]
    (tmp_path / "cut.bam").write_bytes(b"".join(map(block, pieces)) + END_MARKER)
    expected = count_bam(bam, bins_of(LENGTHS), **RULES)
    assert_same(count_bam(tmp_path / "cut.bam", bins_of(LENGTHS), **RULES), expected)


@pytest.mark.parametrize("size", [1, 2, 3, 37, 150, 4_097])
def test_small_blocks_over_many_chunks(tmp_path: Path, size: int) -> None:
    bam = bam_of(tmp_path, 7, 150)
    content = unpacked(bam)
    pieces = [content[place : place + size] for place in range(0, len(content), size)]
    (tmp_path / "small.bam").write_bytes(b"".join(map(block, pieces)) + END_MARKER)
    expected = count_bam(bam, bins_of(LENGTHS), **RULES)
    assert_same(count_bam(tmp_path / "small.bam", bins_of(LENGTHS), **RULES), expected)


def test_an_impossible_size_is_found_where_two_blocks_meet_and_nothing_is_gathered(tmp_path: Path) -> None:
    """The size field stands half at the end of one block, behind the first chunk of blocks."""
    size = struct.pack("<i", 2**31 - 1)
    before = block(RAW.raw_header()) + block(RAW.raw_record() * 900) * 400
    content = before + block(size[:2]) + block(size[2:] + bytes(99)) + block(bytes(65_000)) * 300
    (tmp_path / "a.bam").write_bytes(content + END_MARKER)
    with pytest.raises(InputError, match="record 360001 is damaged: its size is 2147483647"):
        count_bam(tmp_path / "a.bam", bins_of(RAW.LENGTHS))


# The walk by itself


def walk(blocks: object, rest: object = b"", **changed: np.ndarray) -> tuple[tuple, list[np.ndarray]]:
    walk_records = pytest.importorskip("copyfold.cnv.counting._walk").walk_records
    arrays = {
        "order": np.array([0, -1]),
        "contig_of_reference": np.array([0, 1]),
        "contig_length": np.array([5_000, 900]),
        "contig_offset": np.array([0, 5_001]),
        "bin_begin": np.array([0, 1_000]),
        "bin_end": np.array([1_000, 2_000]),
        "min_mapq": np.array([20, 0]),
        "starts": np.zeros((2, 2), np.int64),
        "depth_change": np.zeros((2, 5_902), np.int32),
        "totals": np.zeros((3, 8), np.int64),
    }
    arrays |= changed
    return walk_records(blocks, rest, *arrays.values()), [arrays[name] for name in ("starts", "depth_change", "totals")]


EMPTY = np.zeros(0, np.int64)


@pytest.mark.parametrize(
    "changed",
    [
        {"bin_begin": EMPTY, "bin_end": EMPTY, "starts": np.zeros((2, 0), np.int64)},
        {"bin_end": np.array([1_000])},
        {"order": np.array([1])},
        {"starts": np.zeros((2, 1), np.int64)},
        {"starts": np.zeros((2, 2), np.int32)},
        {"contig_of_reference": np.array([0, 2])},
        {"contig_of_reference": np.array([-2, 1])},
        {"contig_length": np.array([5_000])},
        {"contig_length": np.array([5_000, -1])},
        {"contig_length": np.array([5_001, 901])},
        {"contig_length": np.array([2**63 - 1, 900])},
        {"contig_length": np.array([5_000.0, 900.0])},
        {"contig_offset": np.array([0, 5_002])},
        {"contig_offset": np.array([0, -1])},
        {"contig_offset": np.array([0, 2**63 - 1])},
        {"min_mapq": np.array([20])},
        {"depth_change": np.zeros((2, 5_901), np.int32)},
        {"totals": np.zeros((2, 8), np.int64)},
        {"totals": np.zeros((3, 7), np.int64)},
    ],
)
def test_the_walk_refuses_arrays_that_do_not_fit(changed: dict[str, np.ndarray]) -> None:
    with pytest.raises(ValueError, match="do not fit together"):
        walk([RAW.raw_record()], **changed)


@pytest.mark.parametrize("name", ["order", "starts", "depth_change", "totals"])
def test_the_walk_refuses_outputs_that_it_cannot_write(name: str) -> None:
    shapes = {"order": (2,), "starts": (2, 2), "depth_change": (2, 5_902), "totals": (3, 8)}
    dtype = np.int32 if name == "depth_change" else np.int64
    fixed = np.zeros(shapes[name], dtype)
    fixed.setflags(write=False)
    strided = np.zeros((*shapes[name], 2), dtype)[..., 0]
    for output in (fixed, strided):
        with pytest.raises((TypeError, ValueError, BufferError)):
            walk([RAW.raw_record()], **{name: output})


@pytest.mark.parametrize("blocks", [(b"",), None, ["text"], [None], [b"", 3]])
def test_the_walk_refuses_what_is_no_list_of_buffers(blocks: object) -> None:
    with pytest.raises(TypeError):
        walk(blocks)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), seed=st.integers(0, 3))
def test_where_calls_and_blocks_end_changes_nothing(data: st.DataObject, seed: int) -> None:
    rng = np.random.default_rng(seed)
    content = b"".join(RAW.raw_record(contig=int(i % 2), pos=int(rng.integers(950))) for i in range(20)) + b"\x99\0"
    (rest, problem, n_records, _), whole = walk([content])
    assert (rest, problem, n_records) == (b"\x99\0", 0, 20)
    cuts = data.draw(st.lists(st.integers(0, len(content)), max_size=40))
    pieces = [content[a:b] for a, b in itertools.pairwise([0, *sorted(cuts), len(content)])]
    rest, found, n = b"", [np.zeros_like(array) for array in whole], 0
    outputs = dict(zip(("starts", "depth_change", "totals"), found, strict=True))
    while pieces:
        taken = data.draw(st.integers(1, len(pieces)))
        (rest, problem, walked, _), _ = walk([bytearray(piece) for piece in pieces[:taken]], rest, **outputs)
        assert problem == 0
        pieces, n = pieces[taken:], n + walked
    assert (rest, n) == (b"\x99\0", 20)
    for array, expected in zip(found, whole, strict=True):
        np.testing.assert_array_equal(array, expected)
