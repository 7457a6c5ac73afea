"""Records that are not in coordinate order: refused by either reader, or counted to the same bits."""

from __future__ import annotations

import importlib.util
import itertools
import random
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pysam
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from copyfold.cnv.counting import SampleCounts, bins_of, count_bam, count_cram, hts
from copyfold.errors import InputError


def load(name: str) -> ModuleType:
    """A module beside this one."""
    spec = importlib.util.spec_from_file_location(f"{name}_shared", Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


READS, SOURCES = load("test_counting"), load("test_counting_sources")
BINS = bins_of(READS.LENGTHS)


def walked(path: Path, **options: object) -> SampleCounts:
    return count_bam(path, BINS, **SOURCES.RULES, **options)


def through_htslib(path: Path, **options: object) -> SampleCounts:
    return count_cram(path, None, BINS, **SOURCES.RULES, **options)


READERS = [walked, through_htslib]


def first_out_of_order(reads: list[dict]) -> int | None:
    """Number of the first read that lies before the one it follows, by a plain loop; 1-based."""
    for number, (left, right) in enumerate(itertools.pairwise(reads), start=2):
        if right["contig"] == -1:
            continue
        if left["contig"] == -1 or (right["contig"], right["pos"]) < (left["contig"], left["pos"]):
            return number
    return None


def in_small_blocks(path: Path, size: int = 199) -> Path:
    """The same file in many blocks, so that it takes many calls of the walk."""
    content = SOURCES.unpacked(path)
    blocks = (SOURCES.block(content[at : at + size]) for at in range(0, len(content), size))
    path.write_bytes(b"".join(blocks) + SOURCES.END_MARKER)
    return path


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(swaps=st.lists(st.tuples(st.integers(0, 299), st.integers(0, 299)), max_size=3), seed=st.integers(0, 3))
def test_a_record_out_of_order_is_refused_by_its_number_or_counted_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, swaps: list[tuple[int, int]], seed: int
) -> None:
    monkeypatch.setattr(hts, "_BATCH", 7)
    reads = READS.random_reads(np.random.default_rng(seed), 300)
    reads.sort(key=lambda read: (read["contig"] < 0, read["contig"], read["pos"]))
    expected = walked(READS.write_bam(tmp_path / "sorted.bam", reads))
    for one, other in swaps:
        reads[one], reads[other] = reads[other], reads[one]
    path = in_small_blocks(READS.write_bam(tmp_path / "swapped.bam", reads, as_given=True))
    number = first_out_of_order(reads)
    for reader in READERS:
        SOURCES.assert_same(reader(path, unsorted=True), expected)
        if number is None:
            SOURCES.assert_same(reader(path), expected)
        else:
            with pytest.raises(InputError, match=f"not sorted by coordinate: record {number} "):
                reader(path)


@pytest.mark.parametrize("reader", READERS)
def test_what_samtools_sorted_is_counted(tmp_path: Path, reader: Callable[..., SampleCounts]) -> None:
    reads = READS.random_reads(np.random.default_rng(3), 2_000)
    shuffled = READS.write_bam(tmp_path / "a.bam", reads, as_given=True)
    with pytest.raises(InputError, match="not sorted by coordinate"):
        reader(shuffled)
    pysam.sort("-o", str(tmp_path / "b.bam"), str(shuffled))
    SOURCES.assert_same(reader(tmp_path / "b.bam"), reader(shuffled, unsorted=True))


def placed(contig: int, pos: int, flag: int = 0) -> dict:
    mapped = {"mapq": 60, "cigar": None if flag & 4 else "100M", "bases": 100}
    return {"name": "r", "contig": contig, "pos": pos, "flag": flag} | mapped


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    ("reads", "message"),
    [
        ([(0, 9), (0, 9), (1, 0), (2, 5)], None),
        ([(0, -1, 4), (0, 0), (0, 7, 4), (0, 7), (-1, -1, 4), (-1, -1, 4)], None),
        ([(-1, -1, 4)], None),
        ([(0, 100), (0, 99)], r"record 2 \(chr:100\) comes after chr:101; run `samtools sort -o sorted.bam "),
        ([(1, 5), (0, 900)], r"record 2 \(chr:901\) comes after pA:6"),
        ([(0, 5), (-1, -1, 4), (2, 9)], r"record 3 \(pB:10\) comes after one without a contig"),
        ([(0, 0), (0, -1, 4)], r"record 2 \(chr:0\) comes after chr:1;"),
    ],
)
def test_what_counts_as_sorted(
    tmp_path: Path, reader: Callable[..., SampleCounts], reads: list[tuple], message: str | None
) -> None:
    path = READS.write_bam(tmp_path / "a.bam", [placed(*read) for read in reads], as_given=True)
    if message is None:
        assert reader(path).totals.records.sum() == len(reads)
    else:
        with pytest.raises(InputError, match=message) as refused:
            reader(path)
        assert "\n" not in str(refused.value)
        assert "--unsorted" in str(refused.value)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("claim", ["coordinate", "unsorted", "queryname"])
def test_the_records_decide_not_the_header(tmp_path: Path, reader: Callable[..., SampleCounts], claim: str) -> None:
    for name, reads in (("good", [placed(0, 5), placed(0, 6)]), ("bad", [placed(0, 6), placed(0, 5)])):
        plain = READS.write_bam(tmp_path / "plain.bam", reads, as_given=True)
        with pysam.AlignmentFile(str(plain)) as source:
            header = source.header.to_dict() | {"HD": {"VN": "1.6", "SO": claim}}
            with pysam.AlignmentFile(str(tmp_path / f"{name}.bam"), "wb", header=header) as target:
                for record in source:
                    target.write(record)
    assert reader(tmp_path / "good.bam").n_reads == 2
    with pytest.raises(InputError, match="not sorted by coordinate"):
        reader(tmp_path / "bad.bam")


def test_a_cram_out_of_order_is_refused_or_counted_all_the_same(tmp_path: Path) -> None:
    reads = [placed(contig, pos) for contig, length in enumerate((23_000, 3_800, 600)) for pos in range(0, length, 100)]
    expected = walked(READS.write_bam(tmp_path / "a.bam", reads))
    random.Random(1).shuffle(reads)
    shuffled = READS.write_bam(tmp_path / "b.bam", reads, as_given=True)
    cram = tmp_path / "b.cram"
    with (
        pysam.AlignmentFile(str(shuffled)) as source,
        pysam.AlignmentFile(str(cram), "wc", template=source, format_options=[b"no_ref=1"]) as target,
    ):
        for record in source:
            target.write(record)
    with pytest.raises(InputError, match=rf"record {first_out_of_order(reads)} .*`samtools sort -o sorted\.cram "):
        through_htslib(cram)
    SOURCES.assert_same(through_htslib(cram, unsorted=True), expected)
