"""Reads aligned in-process: record by record what the minimap2 program writes."""

from __future__ import annotations

import gzip
import shutil
import subprocess
import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
import pysam
import pytest

from copyfold.cnv.counting import fastq
from copyfold.cnv.counting.aligning import SUPPLEMENTARY, UNMAPPED, aligned_batches
from copyfold.cnv.counting.alignments import Alignments
from copyfold.cnv.reference.fasta import reverse_complement
from copyfold.errors import InputError

CONTIGS = ("chr", "plasmid")
READ = 150
N_PAIRS = 3_000
needs_minimap2 = pytest.mark.skipif(shutil.which("minimap2") is None, reason="minimap2 is not installed")
needs_wgsim = pytest.mark.skipif(shutil.which("wgsim") is None, reason="wgsim is not installed")


def random_bases(rng: np.random.Generator, n: int) -> bytes:
    return rng.choice(np.frombuffer(b"ACGT", np.uint8), n).tobytes()


def mutated(rng: np.random.Generator, bases: bytes, rate: float) -> bytes:
    letters = np.frombuffer(bases, np.uint8).copy()
    wrong = rng.random(len(letters)) < rate
    letters[wrong] = np.frombuffer(random_bases(rng, int(wrong.sum())), np.uint8)
    return letters.tobytes()


@pytest.fixture(scope="module")
def genome() -> dict[str, bytes]:
    """60 kb in two contigs: an exact repeat three times, one of 97 % on the other strand, a tandem of 40 bp."""
    rng = np.random.default_rng(7)
    repeat = random_bases(rng, 1_500)
    chromosome = random_bases(rng, 15_000) + repeat + random_bases(rng, 12_000) + repeat + random_bases(rng, 14_000)
    chromosome += random_bases(rng, 40) * 8 + random_bases(rng, 6_000)
    plasmid = random_bases(rng, 4_000) + repeat + random_bases(rng, 2_000)
    plasmid += reverse_complement(mutated(rng, repeat, 0.04)) + random_bases(rng, 1_000)
    return dict(zip(CONTIGS, (chromosome, plasmid), strict=True))


@pytest.fixture(scope="module")
def reference(genome, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("reference") / "genome.fna"
    path.write_text("".join(f">{name} of a test\n{bases.decode()}\n" for name, bases in genome.items()))
    return path


def sequenced(genome: dict[str, bytes]) -> dict[str, bytes]:
    """What was sequenced: the genome with short gaps, an insertion that the reference lacks and a joined plasmid."""
    rng = np.random.default_rng(8)
    chromosome, plasmid = mutated(rng, genome["chr"], 0.01), genome["plasmid"]
    pieces = [chromosome[at : at + 790 + at // 700 % 20] for at in range(0, len(chromosome), 800)]
    chromosome = b"".join(pieces)  # up to 10 bases lost or repeated
    changed = chromosome[:9_000] + random_bases(rng, 700) + chromosome[9_000:]
    return {"a": changed[:40_000] + plasmid[:3_000] + changed[40_000:], "b": plasmid[2_500:] + plasmid[:2_500]}


def write_fastq(path: Path, reads: Iterable[tuple[str, bytes]]) -> Path:
    text = b"".join(b"@%b\n%b\n+\n%b\n" % (name.encode(), bases, b"I" * len(bases)) for name, bases in reads)
    path.write_bytes(gzip.compress(text, compresslevel=1, mtime=0))
    return path


@pytest.fixture(scope="module")
def pairs(genome, tmp_path_factory) -> tuple[Path, Path]:
    """Pairs: errors, short mates, some foreign, some ending in adapters."""
    rng = np.random.default_rng(9)
    source = list(sequenced(genome).values())
    mates: tuple[list[tuple[str, bytes]], list[tuple[str, bytes]]] = ([], [])
    for number in range(N_PAIRS):
        bases = source[number % 2]
        length = int(rng.integers(120, 600))
        start = int(rng.integers(0, len(bases) - length))
        fragment = mutated(rng, bases[start : start + length], 0.01)
        fragment = reverse_complement(fragment) if rng.random() < 0.5 else fragment
        both = [
            (fragment + random_bases(rng, 99))[:READ],
            (reverse_complement(fragment) + random_bases(rng, 99))[:READ],
        ]
        kind = number % 50
        if kind < 3:  # R1, R2 or both from elsewhere
            both = [random_bases(rng, READ) if kind in (mate, 2) else both[mate] for mate in range(2)]
        elif kind < 6:
            both = [both[0][: (1, 20, 60)[kind - 3]], both[1]]
        for mate in range(2):
            mates[mate].append((f"pair{number}/{mate + 1}", both[mate]))
    folder = tmp_path_factory.mktemp("reads")
    return write_fastq(folder / "R1.fastq.gz", mates[0]), write_fastq(folder / "R2.fastq.gz", mates[1])


def joined(batches: Iterable[Alignments]) -> Alignments:
    """One batch of several."""
    parts = list(batches)
    offsets = np.cumsum([0] + [len(part.flag) for part in parts])
    moved = [
        part._replace(block_record=part.block_record + offset) for part, offset in zip(parts, offsets, strict=False)
    ]
    return Alignments(*(np.concatenate(column) for column in zip(*moved, strict=True)))


Row = tuple[int, int, int, int, tuple[tuple[int, int], ...]]


def rows_of(found: Alignments) -> list[Row]:
    """Contig, position, mapping quality, flag and aligned stretches of each record."""
    stretches: list[list[tuple[int, int]]] = [[] for _ in found.flag]
    for record, start, end in zip(found.block_record, found.block_start, found.block_end, strict=True):
        stretches[record].append((int(start), int(end)))
    columns = (found.contig.tolist(), found.position.tolist(), found.mapq.tolist(), found.flag.tolist())
    return [(*row, tuple(blocks)) for *row, blocks in zip(*columns, stretches, strict=True)]


def reads_of(rows: Sequence[Row]) -> list[list[Row]]:
    """Rows by read: each has one that is not supplementary, and all that are together."""
    reads: list[list[Row]] = []
    for row in rows:
        if not row[3] & SUPPLEMENTARY:
            reads.append([])
        reads[-1].append(row)
    return reads


def minimap2_reads(reference: Path, reads: Sequence[Path]) -> list[list[Row]]:
    """By read, what `minimap2 -ax sr` writes, secondary alignments aside; flags as far as ours have them."""
    command = ["minimap2", "-ax", "sr", "-t", "1", str(reference), *map(str, reads)]
    sam = reference.with_suffix(".sam")
    with sam.open("wb") as out:
        subprocess.run(command, check=True, stdout=out, stderr=subprocess.DEVNULL)
    with pysam.AlignmentFile(str(sam), check_sq=False) as records:
        kept = [(record.query_name, record.is_read2, sam_row(record)) for record in records if not record.is_secondary]
    return [[row for *_, row in group] for _, group in groupby(kept, key=lambda named: named[:2])]


def sam_row(record: pysam.AlignedSegment) -> Row:
    if record.is_unmapped:
        return -1, -1, 0, UNMAPPED, ()
    blocks = tuple(record.get_blocks())
    return record.reference_id, record.reference_start, record.mapping_quality, record.flag & 0x810, blocks


def assert_same_reads(ours: list[list[Row]], theirs: list[list[Row]]) -> None:
    """Equal in place and quality; flags unless a read has several records; gaps but for one record in 200.

    Which of several records is the primary one mappy does not tell. Gaps may lie elsewhere in another version of
    minimap2: Debian's 2.24 and mappy's 2.31 place a few of them differently.
    """
    assert len(ours) == len(theirs)
    for mine, other in zip(ours, theirs, strict=True):
        assert [row[:3] for row in mine] == [row[:3] for row in other]
        if len(other) == 1:
            assert mine[0][3] == other[0][3]
        assert sorted(row[3] & SUPPLEMENTARY for row in mine) == sorted(row[3] & SUPPLEMENTARY for row in other)
    gaps = [
        (row[4], of[4]) for mine, other in zip(ours, theirs, strict=True) for row, of in zip(mine, other, strict=True)
    ]
    assert sum(stretches != theirs for stretches, theirs in gaps) <= len(gaps) / 200


@needs_minimap2
def test_pairs_are_aligned_as_minimap2_does(reference, pairs):
    ours = reads_of(rows_of(joined(aligned_batches(pairs, reference, CONTIGS))))
    theirs = minimap2_reads(reference, pairs)
    assert_same_reads(ours, theirs)
    kinds = Counter(row[3] & (UNMAPPED | SUPPLEMENTARY) for rows in theirs for row in rows)
    assert kinds[SUPPLEMENTARY] > 20, "the reads should test supplementary alignments"
    assert kinds[UNMAPPED] > 200
    assert sum(row[2] < 20 for rows in theirs for row in rows) > 400, "and repeats"
    assert sum(len(row[4]) > 1 for rows in theirs for row in rows) > 20, "and gaps"
    several = [(mine, other) for mine, other in zip(ours, theirs, strict=True) if len(other) > 1]
    assert sum([row[3] for row in mine] == [row[3] for row in other] for mine, other in several) > 0.7 * len(several)


@needs_minimap2
def test_single_reads_are_aligned_as_minimap2_does(reference, pairs):
    ours = reads_of(rows_of(joined(aligned_batches(pairs[:1], reference, CONTIGS))))
    theirs = minimap2_reads(reference, pairs[:1])
    assert_same_reads(ours, theirs)
    flags = [[[row[3] for row in rows] for rows in reads] for reads in (ours, theirs)]
    assert flags[0] == flags[1], "without a mate, the first of several records is always the primary one"


def test_a_mate_without_bases_is_unmapped(reference, genome, tmp_path):
    bases = genome["chr"][1_000:1_150]
    first = write_fastq(tmp_path / "R1.fastq.gz", [("a", bases), ("b", b""), ("c", b"")])
    second = write_fastq(tmp_path / "R2.fastq.gz", [("a", b""), ("b", bases), ("c", b"")])
    found = joined(aligned_batches([first, second], reference, CONTIGS))
    assert found.position.tolist() == [1_000, -1, -1, 1_000, -1, -1]
    assert found.flag.tolist() == [0, UNMAPPED, UNMAPPED, 0, UNMAPPED, UNMAPPED]


@needs_minimap2
@needs_wgsim
def test_pairs_of_wgsim(reference, tmp_path):
    paths = [tmp_path / "R1.fastq", tmp_path / "R2.fastq"]
    options = ["-S", "3", "-N", "2000", "-1", "150", "-2", "100", "-r", "0.01", "-R", "0.5", "-X", "0.6"]
    subprocess.run(["wgsim", *options, str(reference), *map(str, paths)], check=True, capture_output=True)
    ours = reads_of(rows_of(joined(aligned_batches(paths, reference, CONTIGS))))
    assert_same_reads(ours, minimap2_reads(reference, paths))


def test_batches_do_not_depend_on_threads(reference, pairs, monkeypatch):
    monkeypatch.setattr(fastq, "_BLOCK", 1 << 15)
    alone, together = (list(aligned_batches(pairs, reference, CONTIGS, threads=threads)) for threads in (1, 3))
    assert len(alone) == len(together) > 20
    for one, other in zip(alone, together, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_records_are_arrays_by_the_contract(reference, genome, tmp_path):
    chromosome, plasmid = genome["chr"], genome["plasmid"]
    gapped = chromosome[3_000:3_080] + chromosome[3_090:3_160]
    reads = [
        ("forward", chromosome[1_000:1_150]),
        ("foreign", random_bases(np.random.default_rng(3), READ)),
        ("reverse", reverse_complement(plasmid[2_000:2_150])),
        ("gapped", gapped),
        ("empty", b""),
    ]
    found = joined(aligned_batches([write_fastq(tmp_path / "R.fastq.gz", reads)], reference, CONTIGS))
    assert all(column.dtype == np.int64 and column.flags.c_contiguous for column in found)
    assert found.contig.tolist() == [0, -1, 1, 0, -1]
    assert found.position.tolist() == [1_000, -1, 2_000, 3_000, -1]
    assert found.flag.tolist() == [0, UNMAPPED, 0x10, 0, UNMAPPED]
    assert found.mapq.tolist() == [60, 0, 60, 60, 0]
    assert found.block_record.tolist() == [0, 2, 3, 3]
    blocks = list(zip(found.block_start.tolist(), found.block_end.tolist(), strict=True))
    assert blocks[:2] == [(1_000, 1_150), (2_000, 2_150)]
    (first_start, first_end), (second_start, second_end) = blocks[2:]
    assert (first_start, second_end) == (3_000, 3_160)
    assert second_start - first_end == 10


def test_contig_indices_follow_the_names_given_and_progress_counts_reads(reference, pairs):
    told: list[int] = []
    usual = joined(aligned_batches(pairs[:1], reference, CONTIGS))
    batches = list(aligned_batches(pairs[:1], reference, CONTIGS[::-1], progress=told.append))
    turned = joined(batches)
    assert np.array_equal(turned.contig, np.where(usual.contig < 0, -1, 1 - usual.contig))
    assert len(told) == len(batches)
    assert told == sorted(told)
    assert told[-1] == N_PAIRS


@pytest.mark.parametrize("threads", [1, 2])
def test_a_damaged_end_is_told_and_leaves_no_thread(reference, pairs, tmp_path, monkeypatch, threads):
    monkeypatch.setattr(fastq, "_BLOCK", 1 << 15)
    damaged = tmp_path / "damaged.fastq.gz"
    damaged.write_bytes(pairs[1].read_bytes()[:-9])
    before = threading.active_count()
    with pytest.raises(InputError, match=r"damaged\.fastq\.gz: ends inside its gzip data"):
        list(aligned_batches([pairs[0], damaged], reference, CONTIGS, threads=threads))
    assert threading.active_count() == before


def test_a_reader_that_has_enough_leaves_no_thread(reference, pairs, monkeypatch):
    monkeypatch.setattr(fastq, "_BLOCK", 1 << 15)
    before = threading.active_count()
    batches = aligned_batches(pairs, reference, CONTIGS)
    next(batches)
    assert threading.active_count() > before
    batches.close()
    assert threading.active_count() == before


def test_refusals(reference, pairs, tmp_path):
    empty = tmp_path / "empty.fna"
    empty.write_bytes(b"")
    for fasta, names, threads, message in (
        (tmp_path / "none.fna", CONTIGS, 2, "none.fna: no such file"),
        (empty, CONTIGS, 2, "empty.fna: no sequence in it"),
        (reference, ("chr",), 2, r"genome.fna: its contigs are not those of the reference \(plasmid\)"),
        (reference, (*CONTIGS, "other"), 2, r"are not those of the reference \(other\)"),
        (reference, (*CONTIGS, "chr"), 2, r"are not those of the reference \(a name twice\)"),
        (reference, CONTIGS, 0, "threads = 0; reads are aligned by at least 1 thread"),
    ):
        with pytest.raises(InputError, match=message):
            next(aligned_batches(pairs, fasta, names, threads=threads))
