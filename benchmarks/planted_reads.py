"""Isolates with planted copy numbers as paired reads, drawn by wgsim from real Klebsiella genomes.

    python benchmarks/planted_reads.py make --out DIR [--plain 24] [--only PATTERN] [--jobs 1]

36 isolates are 12 designs at 15×, 30× and 100×: a tandem array of blaSHV (unit 1.5, 5 or 20 kb; 2, 3 or 6 copies in
all, or none) and pKPHS2 with blaKPC-2 at 0 to 20 copies per chromosome, in MGH78578, NTUH-K2044 and HS11286 (the
reference itself, as control). `--plain` isolates of the same genomes, 15–30×, have neither and stand for a cohort's
normal background. `truth60x` is HS11286 with the events that other tools were given (cnv/simulated, cnv/peers).

Reads: pairs of 150 bp, insert 400 ± 60, errors 0.5 %, no mutations beyond those of the genomes, no GC bias.

Depth: every replicon is a circle. wgsim draws from the circle opened, repeated (small ones) and prolonged by 1 kb, and
a pair is kept if it starts before the prolongation; so reads span the joint and depth is even around the circle. The
replication gradient is made by thinning: wgsim's read names hold the start of each fragment, and on the chromosome a
pair is kept with probability r(x) / max r, where log r falls in a straight line along both arms from the origin
(minimum of the cumulative GC skew) to the terminus (its maximum) and r(ori) / r(ter) = ori_ter. Extra copies lie
at their locus and get the r of the place they were copied from. `depth` is the mean over the chromosome with each base
once, before planting; a plasmid's depth is its copy number times that mean, in expectation exactly; the number of pairs
of each replicon is Poisson.

planted_truth.tsv lists all planned isolates, also those `--only` leaves out; R1 and R2 are relative to its folder.
`blaSHV_dosage` = copies in the chromosome + copies of each plasmid times its blaSHV genes (MGH78578: SHV-12 on pKPN4),
per mean chromosome; `locus_gradient` is r at blaSHV over the mean r. Depth over the chromosome's mean is `copies` ×
`locus_gradient` + those on plasmids; over that of its neighbours, `copies` + those on plasmids / `locus_gradient`.
HS11286 has pKPHS2 of its own: there it is at `kpc_pcn` copies, 0 being a cured strain; the plain ones keep it as they
keep their other plasmids.
"""

from __future__ import annotations

import argparse
import csv
import fnmatch
import functools
import gzip
import lzma
import random
import shutil
import subprocess
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import mappy
import numpy as np

DATA = Path(__file__).resolve().parents[2] / "shared/data/cnv"
FILES = {"MGH78578": "MGH78578.fna.xz", "NTUH-K2044": "NTUH-K2044.fna.xz", "HS11286": "Klebs_HS11286.fna.xz"}
SHV = ("CP003200.1", 2_549_402, 2_550_263)
KPC = ("CP003224.1", 20_556, 21_435)
READ, INSERT, INSERT_SD, ERRORS = 150, 400, 60, 0.005
PROLONGED = 1000
"""Bases of the circle's start repeated at its end: ten standard deviations over the mean insert."""
SMALL_CIRCLE = 50_000
"""Circles are repeated up to this length, so that the prolongation wastes few pairs."""
BLOCK = 1000
"""The gradient is constant over so many bases."""
DEPTHS = (15, 30, 100)
DESIGNS = (  # genome, bp of the unit, copies in all, copies of pKPHS2
    ("MGH78578", 0, 1, 5),
    ("MGH78578", 1500, 2, 0),
    ("MGH78578", 20000, 3, 20),
    ("MGH78578", 5000, 6, 1),
    ("NTUH-K2044", 0, 1, 0),
    ("NTUH-K2044", 5000, 2, 20),
    ("NTUH-K2044", 1500, 3, 2),
    ("NTUH-K2044", 20000, 6, 5),
    ("HS11286", 0, 1, 1),
    ("HS11286", 20000, 2, 2),
    ("HS11286", 5000, 3, 0),
    ("HS11286", 1500, 6, 20),
)
"""Units × copies (2, 3, 6) is complete, the genomes in a Latin square; each genome also has one without an array."""


@dataclass(frozen=True)
class Genome:
    """A source genome.

    Attributes
    ----------
    chromosome : str
        Name of the longest replicon.
    own : tuple of str
        Names of its plasmids.
    replicons : dict of str to str
        Sequences of all these and of pKPHS2.
    shv, kpc : dict of str to int
        Number of these genes on each replicon.
    locus : tuple of int
        Start and end of the chromosomal blaSHV, 0-based, end exclusive.
    origin, terminus : int
        Extremes of the cumulative GC skew.
    """

    chromosome: str
    own: tuple[str, ...]
    replicons: dict[str, str]
    shv: dict[str, int]
    kpc: dict[str, int]
    locus: tuple[int, int]
    origin: int
    terminus: int


@dataclass(frozen=True)
class Isolate:
    """What is planted: `events` are (start, end, copies in all) on the chromosome, `unit` the one with blaSHV."""

    sample: str
    kind: str
    genome: str
    depth: float
    ori_ter: float
    pcn: dict[str, float]
    seed: int
    unit: tuple[int, int] | None = None
    copies: int = 1
    events: tuple[tuple[int, int, int], ...] = ()


def read_records(path: Path) -> dict[str, str]:
    """Sequences of a FASTA packed by xz, in upper case."""
    records = lzma.decompress(path.read_bytes()).decode().split(">")[1:]
    return {record.split(None, 1)[0]: "".join(record.split("\n")[1:]).upper() for record in records}


def gene_hits(sequence: str, gene: str) -> list[tuple[int, int]]:
    """Places on a circle with ≥ 80 % identity to the gene over ≥ 80 % of its length."""
    circle = sequence + sequence[: len(gene)]
    aligner = mappy.Aligner(seq=circle, k=13, w=5, best_n=100, min_chain_score=30, scoring=(2, 3, 5, 2))
    return sorted(
        (hit.r_st, hit.r_en)
        for hit in aligner.map(gene)
        if hit.r_st < len(sequence) and hit.mlen >= 0.8 * hit.blen and hit.q_en - hit.q_st >= 0.8 * len(gene)
    )


@functools.cache
def load_genome(name: str, data: Path) -> Genome:
    """Read a genome and find its blaSHV, blaKPC-2, origin and terminus."""
    reference = read_records(data / "genomes" / FILES["HS11286"])
    replicons = read_records(data / "genomes" / FILES[name])
    chromosome = max(replicons, key=lambda contig: len(replicons[contig]))
    own = tuple(contig for contig in replicons if contig != chromosome)
    replicons.setdefault(KPC[0], reference[KPC[0]])
    shv, kpc = (
        {contig: gene_hits(bases, reference[gene[0]][gene[1] : gene[2]]) for contig, bases in replicons.items()}
        for gene in (SHV, KPC)
    )
    if len(shv[chromosome]) != 1 or [contig for contig, hits in kpc.items() if hits] != [KPC[0]]:
        raise SystemExit(f"{name}: expected one blaSHV in the chromosome and blaKPC-2 on {KPC[0]} alone")
    codes = np.frombuffer(replicons[chromosome].encode(), np.uint8)
    skew = np.cumsum((codes == ord("G")).astype(np.int32) - (codes == ord("C")))
    n_shv, n_kpc = ({contig: len(hits) for contig, hits in gene.items()} for gene in (shv, kpc))
    return Genome(chromosome, own, replicons, n_shv, n_kpc, shv[chromosome][0], int(skew.argmin()), int(skew.argmax()))


def gradient(genome: Genome, ori_ter: float, positions: np.ndarray) -> np.ndarray:
    """Copies of chromosome positions relative to their mean over the chromosome."""
    length = len(genome.replicons[genome.chromosome])
    arm = (genome.terminus - genome.origin) % length

    def raw(places: np.ndarray) -> np.ndarray:
        way = (places - genome.origin) % length
        return np.exp(-np.log(ori_ter) * np.where(way < arm, way / arm, (length - way) / (length - arm)))

    return raw(positions) / raw(np.arange(0, length, BLOCK)).mean()


def pieces_of(length: int, events: Iterable[tuple[int, int, int]]) -> list[tuple[int, int]]:
    """The planted chromosome as pieces (start, end) of the original; copies of a unit follow each other."""
    pieces, at = [], 0
    for start, end, copies in sorted(events):
        if start < at or end > length:
            raise ValueError("events overlap or leave the chromosome")
        pieces += [(at, start), *[(start, end)] * copies]
        at = end
    return [piece for piece in (*pieces, (at, length)) if piece[1] > piece[0]]


def block_origins(pieces: list[tuple[int, int]]) -> np.ndarray:
    """Original position of the middle of each block of the planted chromosome."""
    bounds = np.concatenate([[0], np.cumsum([end - start for start, end in pieces])])
    middles = np.minimum(np.arange(0, bounds[-1], BLOCK) + BLOCK // 2, bounds[-1] - 1)
    piece = np.searchsorted(bounds, middles, side="right") - 1
    return np.array([start for start, _ in pieces])[piece] + middles - bounds[piece]


def plan(data: Path, n_plain: int, seed: int) -> list[Isolate]:
    """All isolates, shallow ones first; an isolate's draws depend on the seed and its own number alone."""
    isolates = [_truth60x(data, seed)]
    ratios = np.random.default_rng([seed, 0]).permutation(np.linspace(1.0, 1.6, len(DESIGNS))).round(3).tolist()
    for number, (name, unit_bp, copies, kpc_pcn) in enumerate(DESIGNS, 1):
        genome, rng = load_genome(name, data), np.random.default_rng([seed, 1, number])
        pcn = {contig: 1.0 if len(genome.replicons[contig]) > 20_000 else 10.0 for contig in genome.own}
        start, end = genome.locus
        left = start - int((unit_bp - (end - start)) * rng.uniform(0.2, 0.8))
        unit = (left, left + unit_bp) if unit_bp else None
        isolate = Isolate("", "design", name, 0, ratios[number - 1], pcn | {KPC[0]: float(kpc_pcn)}, 0, unit, copies)
        isolate = replace(isolate, events=((*unit, copies),) if unit else ())
        for depth in DEPTHS:
            named = f"design{number:02d}_{depth}x"
            isolates.append(replace(isolate, sample=named, depth=depth, seed=int(rng.integers(2**31))))
    for number in range(1, n_plain + 1):
        name, rng = list(FILES)[number % 3], np.random.default_rng([seed, 2, number])
        genome = load_genome(name, data)
        depth, ori_ter = round(rng.uniform(15, 30), 1), round(rng.uniform(1.0, 1.6), 3)
        pcn = {KPC[0]: 0.0}
        for contig in genome.own:  # one in ten is lost
            low, high = (0.8, 2.0) if len(genome.replicons[contig]) > 20_000 else (5, 25)
            pcn[contig] = round(rng.uniform(low, high), 2) * bool(rng.random() > 0.1)
        sample = f"plain{number:02d}"
        isolates.append(Isolate(sample, "plain", name, depth, ori_ter, pcn, int(rng.integers(2**31))))
    return sorted(isolates, key=lambda isolate: (isolate.depth > 30, isolate.depth > 60))


def _truth60x(data: Path, seed: int) -> Isolate:
    events = [
        (int(row["start0"]), int(row["end0"]), int(row["copy_number"]))
        for row in _table(data / "simulated/truth_events.tsv")
    ]
    pcn = {row["contig"]: float(row["pcn"]) for row in _table(data / "simulated/truth_pcn.tsv")}
    pcn.pop(SHV[0])
    start, end, copies = next(event for event in events if event[0] <= SHV[1] and event[1] >= SHV[2])
    isolate = Isolate("truth60x", "truth60x", "HS11286", 60, 1.0, pcn, seed, (start, end), copies)
    return replace(isolate, events=tuple(events))


def _table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as lines:
        return list(csv.DictReader(lines, delimiter="\t"))


def truth_row(isolate: Isolate, data: Path) -> dict[str, str]:
    """One line of planted_truth.tsv."""
    genome = load_genome(isolate.genome, data)
    start, end = isolate.unit or (0, 0)
    events = ";".join(f"{genome.chromosome}:{first}-{last}x{copies}" for first, last, copies in isolate.events)
    dosage = isolate.copies + sum(copies * genome.shv[contig] for contig, copies in isolate.pcn.items())
    kpc = sum(copies * genome.kpc[contig] for contig, copies in isolate.pcn.items())
    here = gradient(genome, isolate.ori_ter, np.array([sum(genome.locus) / 2]))[0]
    return {
        "sample": isolate.sample,
        "kind": isolate.kind,
        "genome": isolate.genome,
        "depth": f"{isolate.depth:g}",
        "array_bp": str(end - start),
        "copies": str(isolate.copies),
        "blaSHV_dosage": f"{dosage:g}",
        "kpc_pcn": f"{kpc:g}",
        "plasmid_pcn": ";".join(f"{contig}={copies:g}" for contig, copies in isolate.pcn.items()),
        "ori_ter": f"{isolate.ori_ter:g}",
        "locus_gradient": f"{here:.4f}",
        "events": events,  # 0-based, on the source genome's chromosome
        "R1": f"{isolate.sample}_R1.fastq.gz",
        "R2": f"{isolate.sample}_R2.fastq.gz",
    }


def write_truth(isolates: list[Isolate], data: Path, out: Path) -> None:
    """Write the table; refuse if reads made from other plans lie in the folder."""
    path = out / "planted_truth.tsv"
    rows = [truth_row(isolate, data) for isolate in isolates]
    before = {row["sample"]: row for row in _table(path)} if path.exists() else {}
    for row in rows:
        if (out / row["R1"]).exists() and before.get(row["sample"], row) != row:
            raise SystemExit(f"{path}: {row['sample']} was made from another plan; use another --out, or remove it")
    with path.with_suffix(".part").open("w", newline="") as lines:
        writer = csv.DictWriter(lines, list(rows[0]), delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    path.with_suffix(".part").replace(path)


def draw_pairs(
    folder: Path, contig: str, bases: str, density: float, rng: np.random.Generator
) -> tuple[Path, Path, int, int]:
    """Run wgsim on a circle, to have `density` fragments per base of it.

    Returns
    -------
    tuple
        Both FASTQ files, the number of pairs in them, and the position from which fragments are to be left out.
    """
    repeats = max(1, SMALL_CIRCLE // len(bases))
    end = repeats * len(bases)
    opened = (bases * (repeats + PROLONGED // len(bases) + 1))[: end + PROLONGED]
    n_pairs = int(rng.poisson(density / repeats * (len(opened) - INSERT + 1)))
    fasta, first, second = (folder / f"{contig}{suffix}" for suffix in (".fa", "_1.fq", "_2.fq"))
    fasta.write_text(f">{contig}\n{opened}\n")
    command = f"wgsim -e {ERRORS} -r 0 -R 0 -X 0 -d {INSERT} -s {INSERT_SD} -1 {READ} -2 {READ} -N {n_pairs}".split()
    command += ["-S", str(rng.integers(1, 2**31)), str(fasta), str(first), str(second)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return first, second, n_pairs, end


def make_isolate(isolate: Isolate, data: Path, out: Path) -> str:
    """Make both files of an isolate, replicons mixed; a line about it."""
    began = time.perf_counter()
    genome, rng = load_genome(isolate.genome, data), np.random.default_rng(isolate.seed)
    folder = out / f".{isolate.sample}.making"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    original = genome.replicons[genome.chromosome]
    pieces = pieces_of(len(original), isolate.events)
    relative = gradient(genome, isolate.ori_ter, block_origins(pieces))
    density, peak = isolate.depth / (2 * READ), relative.max()
    planted = "".join(original[start:end] for start, end in pieces)
    drawn = [draw_pairs(folder, genome.chromosome, planted, density * peak, rng)]
    kept_shares = [(relative / peak).tolist()]
    for contig, copies in isolate.pcn.items():
        if copies > 0:
            drawn.append(draw_pairs(folder, contig, genome.replicons[contig], density * copies, rng))
            kept_shares.append([1.0] * (drawn[-1][3] // BLOCK + 1))
    order = np.repeat(np.arange(len(drawn), dtype=np.uint8), [n_pairs for _, _, n_pairs, _ in drawn])
    rng.shuffle(order)
    n_kept = _merge(drawn, kept_shares, order.tobytes(), random.Random(isolate.seed), folder)
    for mate in ("R2", "R1"):
        (folder / mate).replace(out / f"{isolate.sample}_{mate}.fastq.gz")
    shutil.rmtree(folder)
    return f"{isolate.sample}: {n_kept:,} pairs, {time.perf_counter() - began:.0f} s"


def _merge(
    drawn: list[tuple[Path, Path, int, int]],
    kept_shares: list[list[float]],
    order: bytes,
    dice: random.Random,
    folder: Path,
) -> int:
    sources = []
    for (first, second, _, end), shares in zip(drawn, kept_shares, strict=True):
        sources.append((first.open("rb"), second.open("rb"), end, shares))
    n_kept = 0
    chunks: tuple[list[bytes], list[bytes]] = ([], [])
    with gzip.open(folder / "R1", "wb", compresslevel=1) as out1, gzip.open(folder / "R2", "wb", 1) as out2:
        for place, source in enumerate(order):
            lines1, lines2, end, shares = sources[source]
            pair = b"".join(islice(lines1, 4)), b"".join(islice(lines2, 4))
            start = int(pair[0][:100].split(b"\n", 1)[0].rsplit(b"_", 5)[1]) - 1
            if start < end and dice.random() < shares[start // BLOCK]:
                chunks[0].append(pair[0])
                chunks[1].append(pair[1])
                n_kept += 1
            if len(chunks[0]) == 4096 or place == len(order) - 1:
                out1.write(b"".join(chunks[0]))
                out2.write(b"".join(chunks[1]))
                chunks[0].clear()
                chunks[1].clear()
    for lines1, lines2, _, _ in sources:
        if lines1.read(1) or lines2.read(1):
            raise RuntimeError(f"{lines1.name}: wgsim wrote more pairs than it was asked for")
        lines1.close()
        lines2.close()
    return n_kept


def make(options: argparse.Namespace) -> None:
    """Plan, write the table, make what is missing."""
    isolates = plan(options.data, options.plain, options.seed)
    options.out.mkdir(parents=True, exist_ok=True)
    write_truth(isolates, options.data, options.out)
    wanted = [isolate for isolate in isolates if fnmatch.fnmatch(isolate.sample, options.only)]
    missing = [
        isolate
        for isolate in wanted
        if not all((options.out / f"{isolate.sample}_{mate}.fastq.gz").exists() for mate in ("R1", "R2"))
    ]
    print(f"{len(wanted)} isolates, {len(wanted) - len(missing)} there already", flush=True)
    with ProcessPoolExecutor(options.jobs) as pool:
        job = functools.partial(make_isolate, data=options.data, out=options.out)
        for number, line in enumerate(pool.map(job, missing), 1):
            print(f"[{number}/{len(missing)}] {line}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    maker = commands.add_parser("make", help="make the reads and planted_truth.tsv")
    maker.add_argument("--out", type=Path, required=True)
    maker.add_argument("--data", type=Path, default=DATA)
    maker.add_argument("--plain", type=int, default=24, help="isolates without amplification (default 24)")
    maker.add_argument("--only", default="*", metavar="PATTERN", help="samples to make, such as '*_15x' or truth60x")
    maker.add_argument("--jobs", type=int, default=1)
    maker.add_argument("--seed", type=int, default=42)
    maker.set_defaults(run=make)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
