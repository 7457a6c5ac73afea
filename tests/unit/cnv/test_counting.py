"""Counting a BAM against plain loops over pysam and samtools."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pysam
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from copyfold.cnv.coordinates import Gene
from copyfold.cnv.counting import bins_of, count_bam
from copyfold.cnv.store import Contigs
from copyfold.errors import InputError

LENGTHS = {"chr": 23_457, "pA": 4_000, "pB": 777}
GENES = (
    Gene("g1", "chr", 1_500, 2_361),
    Gene("g2", "chr", 2_300, 2_400),
    Gene("g3", "chr", 23_000, 23_457),
    Gene("g4", "pA", 0, 50),
    Gene("inner", "chr", 1_600, 1_700),
    Gene("elsewhere", "chrX", 0, 50),
)
CIGARS = ["100M", "10S90M", "40M3I57M", "30M25D70M", "5H60=1X39=", "20M2P80M", "50M200N50M", "100S", "50M20D20I30M"]


def random_reads(rng: np.random.Generator, n: int, lengths: dict[str, int] = LENGTHS) -> list[dict]:
    """Reads with every flag and CIGAR the filters look at."""
    reads = []
    for i in range(n):
        contig = int(rng.integers(len(lengths)))
        flag = int(rng.choice([0, 16, 99, 147, 0x100, 0x800, 0x400, 0x4, 0x200, 0x900, 0x500, 0xC00]))
        reads.append(
            {
                "name": f"r{i}" + "x" * int(rng.integers(0, 9)),
                "contig": -1 if flag == 4 and i % 2 else contig,
                "pos": -1 if flag == 4 and i % 2 else int(rng.integers(list(lengths.values())[contig])),
                "flag": flag,
                "mapq": int(rng.choice([0, 1, 19, 20, 60, 255])),
                "cigar": None if flag == 4 else str(rng.choice(CIGARS)),
                "bases": 0 if rng.random() < 0.1 else 100,
            }
        )
    return reads


def write_bam(path: Path, reads: list[dict], lengths: dict[str, int] = LENGTHS, *, as_given: bool = False) -> Path:
    """Sorted by coordinate, unless the reads are to stand as they are given."""
    if not as_given:
        reads = sorted(reads, key=lambda read: (read["contig"] < 0, read["contig"], read["pos"]))
    header = {"HD": {"VN": "1.6"}, "SQ": [{"SN": name, "LN": length} for name, length in lengths.items()]}
    with pysam.AlignmentFile(str(path), "wb", header=header) as out:
        for read in reads:
            record = pysam.AlignedSegment(out.header)
            record.query_name, record.flag, record.mapping_quality = read["name"], read["flag"], read["mapq"]
            record.reference_id, record.reference_start = read["contig"], read["pos"]
            record.query_sequence = "ACGTA" * (read["bases"] // 5) or None
            record.cigarstring = read["cigar"]
            out.write(record)
    return path


def passes(read: pysam.AlignedSegment, mapq: int) -> bool:
    """GATK's filters, as docs/methods/counting.md lists them."""
    return (
        not read.is_unmapped
        and not read.is_duplicate
        and any(operation in (0, 2, 7, 8) for operation, _ in read.cigartuples or ())
        and read.query_sequence is not None
        and read.infer_query_length() == len(read.query_sequence)
        and all(operation != 3 for operation, _ in read.cigartuples)
        and read.mapping_quality >= mapq
    )


def oracle(path: Path, mapq: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Starts per bin, depth per bin, depth per gene by plain loops."""
    depth = {name: np.zeros(length) for name, length in LENGTHS.items()}
    starts = {name: np.zeros(-(-length // 1000), int) for name, length in LENGTHS.items()}
    with pysam.AlignmentFile(str(path), check_sq=False) as bam:
        for read in bam.fetch(until_eof=True):
            if not passes(read, mapq):
                continue
            starts[read.reference_name][read.reference_start // 1000] += 1
            for position in read.get_reference_positions():
                if position < LENGTHS[read.reference_name]:
                    depth[read.reference_name][position] += 1
    bins = [row[first : first + 1000].mean() for row in depth.values() for first in range(0, len(row), 1000)]
    genes = [depth[gene.contig][gene.start : gene.end].mean() for gene in GENES[:-1]]
    return np.concatenate(list(starts.values())), np.array(bins), np.array(genes)


@pytest.mark.parametrize("seed", range(4))
def test_counts_and_depth_equal_a_plain_loop(tmp_path: Path, seed: int) -> None:
    bam = write_bam(tmp_path / "a.bam", random_reads(np.random.default_rng(seed), 2_000))
    counted = count_bam(bam, bins_of(LENGTHS), genes=GENES, is_plasmid=[False, True, True])
    rules = [
        (20, counted.chromosome_counts, counted.chromosome_depth, counted.chromosome_gene_depth),
        (0, counted.plasmid_counts, counted.plasmid_depth, counted.plasmid_gene_depth),
    ]
    for mapq, counts, depth, gene_depth in rules:
        starts, bins, genes = oracle(bam, mapq)
        np.testing.assert_array_equal(counts, starts)
        np.testing.assert_allclose(depth, bins, rtol=1e-12)
        np.testing.assert_allclose(gene_depth[:-1], genes, rtol=1e-12)
        assert np.isnan(gene_depth[-1])
    assert counted.counts[3] == counted.chromosome_counts[3]
    np.testing.assert_array_equal(counted.counts[24:], counted.plasmid_counts[24:])
    assert counted.gene_depth[3] == counted.plasmid_gene_depth[3]


def test_uneven_bins_and_gaps_give_the_same_sums(tmp_path: Path) -> None:
    bam = write_bam(tmp_path / "a.bam", random_reads(np.random.default_rng(5), 1_000))
    start = np.array([0, 700, 5_000, 0, 0])
    end = np.array([700, 4_500, 23_457, 4_000, 777])
    counted = count_bam(bam, Contigs(np.array(["chr"] * 3 + ["pA", "pB"]), start, end))
    fine = count_bam(bam, bins_of(LENGTHS, 1))
    edges = np.array([0, 23_457, 27_457])[[0, 0, 0, 1, 2]]
    expected = [fine.plasmid_counts[edge + a : edge + b].sum() for edge, a, b in zip(edges, start, end, strict=True)]
    np.testing.assert_array_equal(counted.plasmid_counts, expected)
    means = [fine.plasmid_depth[edge + a : edge + b].mean() for edge, a, b in zip(edges, start, end, strict=True)]
    np.testing.assert_allclose(counted.plasmid_depth, means)


@pytest.mark.skipif(shutil.which("samtools") is None, reason="samtools is not installed")
def test_counts_equal_those_of_samtools(tmp_path: Path) -> None:
    reads = [read | {"bases": 100} for read in random_reads(np.random.default_rng(9), 3_000)]
    reads = [read for read in reads if read["cigar"] not in ("100S", "50M200N50M")]
    bam = write_bam(tmp_path / "a.bam", reads)
    counted = count_bam(bam, bins_of(LENGTHS))
    for mapq, counts in ((20, counted.chromosome_counts), (0, counted.plasmid_counts)):
        command = ["samtools", "view", "-q", str(mapq), "-F", "0x404", str(bam)]
        lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
        expected = {name: np.zeros(-(-length // 1000), int) for name, length in LENGTHS.items()}
        for line in lines:
            cells = line.split("\t")
            expected[cells[2]][(int(cells[3]) - 1) // 1000] += 1
        np.testing.assert_array_equal(counts, np.concatenate(list(expected.values())))


def test_totals_name_what_became_of_every_record(tmp_path: Path) -> None:
    bam = write_bam(tmp_path / "a.bam", random_reads(np.random.default_rng(1), 1_500))
    totals = count_bam(bam, bins_of(LENGTHS)).totals
    with pysam.AlignmentFile(str(bam), check_sq=False) as opened:
        reads = list(opened.fetch(until_eof=True))
    primary = [read for read in reads if not read.flag & 0x900]
    assert totals.n_reads == len(primary)
    assert totals.n_mapped == sum(not read.is_unmapped for read in primary)
    assert totals.secondary.sum() == sum(read.is_secondary for read in reads)
    assert totals.supplementary.sum() == sum(read.is_supplementary and not read.is_secondary for read in reads)
    assert totals.duplicates.sum() == sum(read.is_duplicate and not read.is_unmapped for read in reads)
    live = [read for read in reads if not read.is_unmapped and not read.is_duplicate]
    assert totals.malformed.sum() == sum(not passes(read, 0) for read in live)
    assert totals.below_chromosome_mapq.sum() == sum(passes(read, 0) and not passes(read, 20) for read in live)
    assert totals.records[-1] == sum(read.reference_id < 0 for read in reads)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(range(60)), seed=st.integers(0, 5))
def test_order_of_reads_changes_nothing(tmp_path: Path, order: list[int], seed: int) -> None:
    reads = random_reads(np.random.default_rng(seed), 60)
    shuffled = write_bam(tmp_path / "b.bam", [reads[i] for i in order], as_given=True)
    plain = count_bam(write_bam(tmp_path / "a.bam", reads), bins_of(LENGTHS), genes=GENES)
    mixed = count_bam(shuffled, bins_of(LENGTHS), genes=GENES, unsorted=True)
    for name in ("chromosome_counts", "plasmid_counts", "plasmid_depth", "plasmid_gene_depth"):
        np.testing.assert_array_equal(getattr(plain, name), getattr(mixed, name))


def test_records_across_blocks_and_beyond_the_headroom(tmp_path: Path) -> None:
    reads = [read | {"cigar": None, "bases": 0} for read in random_reads(np.random.default_rng(2), 20)]
    reads[3] |= {"flag": 0, "cigar": "90000M", "bases": 90_000, "contig": 0, "pos": 100, "mapq": 60}
    reads[4] |= {"flag": 0, "cigar": "400000M", "bases": 400_000, "contig": 0, "pos": 200, "mapq": 60}
    bam = write_bam(tmp_path / "a.bam", reads)
    with pysam.BGZFile(str(bam)) as source, pysam.BGZFile(str(tmp_path / "b.bam"), "wb") as target:
        target.write(source.read())
    for path in (bam, tmp_path / "b.bam"):
        counted = count_bam(path, bins_of(LENGTHS))
        assert counted.chromosome_counts[0] == 2
        assert counted.chromosome_depth[1] == 2


def test_an_alias_of_a_contig_is_the_contig(tmp_path: Path) -> None:
    read = {"name": "r", "contig": 0, "pos": 5, "flag": 0, "mapq": 60, "cigar": "100M", "bases": 100}
    bam = write_bam(tmp_path / "a.bam", [read], {"NC_016845.1": 5_000})
    assert count_bam(bam, bins_of({"CP003200.1": 5_000})).counts[0] == 1


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        ({"chr": 23_457, "pA": 4_000}, "pB is not among the bins"),
        ({**LENGTHS, "pB": 778}, "pB has 777 bp there and 778 bp in the bins"),
        ({**LENGTHS, "pC": 9}, "pC is not in its header"),
    ],
)
def test_another_reference_is_refused(tmp_path: Path, lengths: dict[str, int], message: str) -> None:
    bam = write_bam(tmp_path / "a.bam", random_reads(np.random.default_rng(0), 5))
    with pytest.raises(InputError, match=message):
        count_bam(bam, bins_of(lengths))


def test_other_contigs_may_be_accepted(tmp_path: Path) -> None:
    bam = write_bam(tmp_path / "a.bam", random_reads(np.random.default_rng(0), 500))
    counted = count_bam(bam, bins_of({"pA": 4_000}), other_contigs=True)
    np.testing.assert_array_equal(counted.plasmid_counts, count_bam(bam, bins_of(LENGTHS)).plasmid_counts[24:28])


def test_a_file_without_reads_counts_nothing(tmp_path: Path) -> None:
    counted = count_bam(write_bam(tmp_path / "a.bam", []), bins_of(LENGTHS), genes=GENES)
    assert counted.n_reads == 0
    assert not counted.counts.any()
    assert counted.gene_depth[0] == 0


@pytest.mark.parametrize("mapq", [-1, 256])
def test_mapping_quality_outside_its_range_is_refused(tmp_path: Path, mapq: int) -> None:
    with pytest.raises(InputError, match="0 to 255"):
        count_bam(tmp_path / "a.bam", bins_of(LENGTHS), plasmid_mapq=mapq)
