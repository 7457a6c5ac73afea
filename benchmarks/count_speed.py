"""Time counting reads of a 100× BAM against mosdepth and against a pass with pysam.

    python benchmarks/count_speed.py [--bam FILE] [--genome FASTA[.xz]] [--reads 3800000] [--repeats 3]

Without --bam, pairs of 150 bp are drawn from the genome (default: ../shared/data/cnv/genomes, K. pneumoniae
HS11286) and written as a sorted, indexed BAM with their true alignments, so that no aligner is needed: errors
0.2 %, qualities in the four bins of current Illumina machines, 3 % of pairs at MAPQ 0, 1 % duplicates.

Ours runs as a whole process (start of Python included), as mosdepth does, and again inside a warm process. The jobs
take turns; a ratio is the median over the turns, for single figures follow what else the machine does.
Counts are compared bin for bin with those of the pysam pass, and those of `samtools view` with -q and -F.
"""

from __future__ import annotations

import argparse
import datetime
import lzma
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pysam

from copyfold.cnv.counting import SampleCounts, bins_of, count_bam

GENOME = Path(__file__).resolve().parents[2] / "shared/data/cnv/genomes/Klebs_HS11286.fna.xz"
READ_LENGTH = 150
BIN = 1000
MAPQ = 20
GATK_SKIPPED = 0x404
MOSDEPTH = "mosdepth -n -x -t 2 --by 1000"
_CODES = np.zeros(256, np.uint8)
for _letter, _code in zip(b"ACGTN", (1, 2, 4, 8, 15), strict=True):
    _CODES[_letter] = _CODES[_letter | 32] = _code


def read_genome(path: Path) -> dict[str, np.ndarray]:
    """Contigs as 4-bit BAM codes, one per base."""
    records = _unpacked(path).decode().split(">")[1:]
    return {
        record.split(None, 1)[0]: _CODES[np.frombuffer("".join(record.split("\n")[1:]).encode(), np.uint8)]
        for record in records
    }


def _unpacked(path: Path) -> bytes:
    raw = path.read_bytes()
    return lzma.decompress(raw) if path.suffix == ".xz" else raw


def simulate_bam(path: Path, genome: dict[str, np.ndarray], n_reads: int, seed: int = 1) -> None:
    """Write a sorted and indexed BAM of pairs laid evenly over the genome's contigs."""
    rng = np.random.default_rng(seed)
    names, lengths = list(genome), [len(sequence) for sequence in genome.values()]
    text = "@HD\tVN:1.6\tSO:coordinate\n" + "".join(
        f"@SQ\tSN:{name}\tLN:{length}\n" for name, length in zip(names, lengths, strict=True)
    )
    header = b"BAM\1" + len(text).to_bytes(4, "little") + text.encode() + len(names).to_bytes(4, "little")
    for name, length in zip(names, lengths, strict=True):
        header += (len(name) + 1).to_bytes(4, "little") + name.encode() + b"\0" + length.to_bytes(4, "little")
    with pysam.BGZFile(str(path), "wb") as out:
        out.write(header)
        first = 0
        for contig, sequence in enumerate(genome.values()):
            n_pairs = round(n_reads / 2 * lengths[contig] / sum(lengths))
            records = _placed_pairs(rng, contig, lengths[contig], n_pairs, first)
            first += n_pairs
            for start in range(0, len(records), 100_000):
                out.write(_with_bases(rng, records[start : start + 100_000], sequence).tobytes())
    pysam.index(str(path))


_RECORD = np.dtype(
    [
        ("block_size", "<i4"), ("contig", "<i4"), ("pos", "<i4"), ("name_length", "u1"), ("mapq", "u1"),
        ("index_bin", "<u2"), ("n_cigar", "<u2"), ("flag", "<u2"), ("bases", "<i4"), ("mate_contig", "<i4"),
        ("mate_pos", "<i4"), ("insert", "<i4"), ("name", "S20"), ("cigar", "<u4"),
        ("seq", "u1", READ_LENGTH // 2), ("qual", "u1", READ_LENGTH), ("tags", "S15"),
    ]
)  # fmt: skip


def _placed_pairs(rng: np.random.Generator, contig: int, length: int, n_pairs: int, first: int) -> np.ndarray:
    insert = np.clip(rng.normal(400, 60, n_pairs).astype(np.int64), READ_LENGTH, length)
    left = (rng.random(n_pairs) * (length - insert + 1)).astype(np.int64)
    swapped = rng.random(n_pairs) < 0.5
    mapq = np.where(rng.random(n_pairs) < 0.03, 0, 60)
    duplicate = np.where(rng.random(n_pairs) < 0.01, 0x400, 0)
    names = np.char.mod("run1:1:1101:%07d", first + np.arange(n_pairs)).astype("S20")
    records = np.zeros(2 * n_pairs, _RECORD)
    for half, (flags, pos, mate, sign) in enumerate(
        [((99, 163), left, left + insert - READ_LENGTH, 1), ((147, 83), left + insert - READ_LENGTH, left, -1)]
    ):
        part = records[half * n_pairs : (half + 1) * n_pairs]
        part["pos"], part["mate_pos"], part["insert"] = pos, mate, sign * insert
        part["flag"] = np.where(swapped, flags[1], flags[0]) | duplicate
        part["mapq"], part["name"] = mapq, names
    records["block_size"], records["name_length"] = _RECORD.itemsize - 4, 20
    records["contig"] = records["mate_contig"] = contig
    records["n_cigar"], records["cigar"], records["bases"] = 1, READ_LENGTH << 4, READ_LENGTH
    records["tags"] = b"NMC\0ASC\x96XSC\0RGZ1"  # the zero byte behind it is numpy's padding
    return records[np.argsort(records["pos"], kind="stable")]


def _with_bases(rng: np.random.Generator, records: np.ndarray, sequence: np.ndarray) -> np.ndarray:
    bases = sequence[records["pos"][:, None] + np.arange(READ_LENGTH)]
    wrong = rng.random(bases.shape, dtype=np.float32) < 0.002
    bases[wrong] = rng.choice(np.array([1, 2, 4, 8], np.uint8), int(wrong.sum()))
    records["seq"] = bases[:, ::2] << 4 | bases[:, 1::2]
    quality = np.full(bases.shape, 37, np.uint8)
    drops = rng.random(bases.shape, dtype=np.float32)
    quality[drops < 0.03] = 25
    quality[drops < 0.01] = 11
    quality[wrong] = 2
    records["qual"] = quality
    return records


def pysam_counts(path: Path, lengths: dict[str, int], mapq: int) -> np.ndarray:
    """Read starts per bin by a plain loop: the yardstick."""
    counts = {name: [0] * (-(-length // BIN)) for name, length in lengths.items()}
    with pysam.AlignmentFile(str(path)) as bam:
        for read in bam.fetch(until_eof=True):
            if not read.flag & GATK_SKIPPED and read.mapping_quality >= mapq:
                counts[read.reference_name][read.reference_start // BIN] += 1
    return np.concatenate([np.array(row) for row in counts.values()])


def samtools_counts(path: Path, lengths: dict[str, int], mapq: int) -> np.ndarray:
    """The same from the text of `samtools view`."""
    command = f"samtools view -@ 1 -q {mapq} -F {GATK_SKIPPED} '{path}' | cut -f 3,4"
    offsets = dict(zip(lengths, np.cumsum([0] + [-(-length // BIN) for length in lengths.values()]), strict=False))
    counts = np.zeros(sum(-(-length // BIN) for length in lengths.values()), np.int64)
    with subprocess.Popen(["bash", "-c", command], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            name, position = line.split("\t")
            counts[offsets[name] + (int(position) - 1) // BIN] += 1
    return counts


class Seconds(NamedTuple):
    """Of one job: wall time, and processor time of this process and its children."""

    wall: float
    processor: float


def seconds_of(job: Callable[[], object]) -> Seconds:
    """Run a job once."""

    def processor() -> float:
        return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))

    began, used = time.perf_counter(), processor()
    job()
    return Seconds(time.perf_counter() - began, processor() - used)


def mosdepth_job(bam: Path, folder: str) -> Callable[[], object] | None:
    """A call of mosdepth, or None where it is missing or does not run."""
    libraries = [*Path("/usr/lib").glob("*/libhts.so*"), *Path("/usr/lib").glob("libhts.so*")]
    environment = dict(os.environ)
    if libraries:  # Debian's mosdepth opens libhts.so, which only the -dev package puts there
        link = Path(folder) / "libhts.so"
        link.symlink_to(sorted(libraries)[-1])
        environment["LD_LIBRARY_PATH"] = folder
    command = ["mosdepth", "-n", "-x", "-t", "2", "--by", str(BIN), str(Path(folder) / "mosdepth"), str(bam)]
    if shutil.which("mosdepth") is None or subprocess.run(command, env=environment, capture_output=True).returncode:
        return None
    return lambda: subprocess.run(command, env=environment, check=True, capture_output=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bam", type=Path)
    parser.add_argument("--genome", type=Path, default=GENOME)
    parser.add_argument("--reads", type=int, default=3_800_000)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bam = options.bam or Path(folder) / "simulated.bam"
        if not bam.exists():
            simulate_bam(bam, read_genome(options.genome), options.reads)
        with pysam.AlignmentFile(str(bam)) as opened:
            lengths = dict(zip(opened.references, opened.lengths, strict=True))
        bins = bins_of(lengths, BIN)
        counted: SampleCounts = count_bam(bam, bins, chromosome_mapq=MAPQ)
        for mapq, ours in ((MAPQ, counted.chromosome_counts), (0, counted.plasmid_counts)):
            for name, oracle in (("pysam", pysam_counts), ("samtools", samtools_counts)):
                if name == "samtools" and shutil.which("samtools") is None:
                    continue
                same = np.array_equal(ours, oracle(bam, lengths, mapq))
                print(f"MAPQ ≥ {mapq}: {len(bins)} bins {'equal' if same else 'DIFFER FROM'} {name}'s")
        genome = Path(folder) / "genome.fa"
        genome.write_bytes(_unpacked(options.genome))
        reference = Path(folder) / "REF"
        copyfold = str(Path(sys.executable).with_name("copyfold"))
        environment = dict(os.environ)
        environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package is compiled once, not at every start
        subprocess.run(
            [copyfold, "cnv", "reference", "build", "-q", "--chromosome", str(genome), "--out", str(reference)],
            check=True,
            env=environment,
        )

        def count() -> None:
            out = Path(tempfile.mkdtemp(dir=folder))
            command = [copyfold, "cnv", "count", "-q", str(bam), "--reference", str(reference), "--out", str(out)]
            subprocess.run(command, check=True, capture_output=True, env=environment)

        jobs: dict[str, Callable[[], object] | None] = {
            "copyfold cnv count": count,
            "copyfold, counting alone": lambda: count_bam(bam, bins, chromosome_mapq=MAPQ),
            MOSDEPTH: mosdepth_job(bam, folder),
            "pysam, one pass over read starts": lambda: pysam_counts(bam, lengths, MAPQ),
        }
        print(
            f"\n{datetime.date.today().isoformat()}, {os.cpu_count()} × {platform.processor() or platform.machine()}, "
            f"Python {platform.python_version()}; {counted.n_reads:,} reads, "
            f"{bam.stat().st_size / 1e6:.0f} MB; median of {options.repeats} turns\n"
        )
        present = {name: job for name, job in jobs.items() if job is not None}
        turns = []
        for turn in range(options.repeats):
            names = list(present) if turn % 2 else list(reversed(present))
            turns.append({name: seconds_of(present[name]) for name in names})
        print("| tool                             | wall, s | CPU, s | wall / mosdepth | CPU / mosdepth |")
        print("|----------------------------------|---------|--------|-----------------|----------------|")
        for name in present:
            cells = [f"{statistics.median(turn[name][k] for turn in turns):.2f}" for k in range(2)]
            for k in range(2):
                ratios = [turn[name][k] / turn[MOSDEPTH][k] for turn in turns if MOSDEPTH in turn]
                cells.append(f"{statistics.median(ratios):.2f}" if ratios else "absent")
            print(f"| {name:<32} | {cells[0]:>7} | {cells[1]:>6} | {cells[2]:>15} | {cells[3]:>14} |")


if __name__ == "__main__":
    main()
