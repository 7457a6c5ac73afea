"""Time aligning reads in-process (mappy) against the minimap2 program with its output thrown away.

    python benchmarks/align_speed.py [--genome FASTA[.xz]] [--pairs 400000] [--threads 2] [--repeats 5]

Pairs of 150 bp are drawn from the genome with wgsim (default: ../shared/data/cnv/genomes, K. pneumoniae HS11286) and
gzipped. Both sides run as whole processes, index included, in turns and each first in every other turn: on a busy
machine only the ratios within a turn mean something. CPU seconds are given, too, since they suffer less.
"""

from __future__ import annotations

import argparse
import datetime
import gzip
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
from pathlib import Path

import mappy

GENOME = Path(__file__).resolve().parents[2] / "shared/data/cnv/genomes/Klebs_HS11286.fna.xz"
OURS = """
import sys
from pathlib import Path
from copyfold.cnv.counting.aligning import aligned_batches
fasta, first, second = map(Path, sys.argv[1:4])
names = [line[1:].split()[0] for line in fasta.read_text().splitlines() if line.startswith(">")]
for _ in aligned_batches([first, second], fasta, names, threads=int(sys.argv[4])):
    pass
"""


def simulate(folder: Path, genome: Path, n_pairs: int) -> tuple[Path, Path, Path]:
    """Write the genome and gzipped pairs drawn from it: paths of FASTA, R1 and R2."""
    raw = genome.read_bytes()
    fasta, first, second = folder / "genome.fna", folder / "R1.fastq", folder / "R2.fastq"
    fasta.write_bytes(lzma.decompress(raw) if genome.suffix == ".xz" else raw)
    options = ["-S", "1", "-N", str(n_pairs), "-1", "150", "-2", "150", "-d", "400", "-s", "60", "-e", "0.002"]
    command = ["wgsim", *options, str(fasta), str(first), str(second)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    packed = []
    for path in (first, second):
        packed.append(path.with_suffix(".fastq.gz"))
        with path.open("rb") as source, gzip.open(packed[-1], "wb", compresslevel=6) as target:
            shutil.copyfileobj(source, target, 1 << 20)
        path.unlink()
    return fasta, packed[0], packed[1]


def seconds_of(command: list[str]) -> tuple[float, float]:
    """Wall time and CPU time of one run."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--genome", type=Path, default=GENOME)
    parser.add_argument("--pairs", type=int, default=400_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    threads = str(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        files = [str(path) for path in simulate(Path(folder), options.genome, options.pairs)]
        version = subprocess.run(["minimap2", "--version"], check=True, capture_output=True, text=True).stdout.strip()
        commands = {
            f"copyfold, mappy {mappy.__version__}": [sys.executable, "-c", OURS, *files, threads],
            f"minimap2 {version} -ax sr -t {threads}": ["minimap2", "-ax", "sr", "-t", threads, *files],
        }
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
        for turn in range(options.repeats):
            for name in list(commands)[:: 1 if turn % 2 else -1]:
                times[name].append(seconds_of(commands[name]))
                print(
                    f"turn {turn + 1}, {name}: {times[name][-1][0]:.2f} s, CPU {times[name][-1][1]:.2f} s",
                    file=sys.stderr,
                    flush=True,
                )
    ours, theirs = times.values()
    print(
        f"{datetime.date.today().isoformat()}, {os.cpu_count()} × {platform.processor() or platform.machine()}, "
        f"Python {platform.python_version()}; {2 * options.pairs:,} reads, median of {options.repeats}\n"
    )
    print(
        "| tool                            | wall, s | CPU, s |\n|---------------------------------|---------|--------|"
    )
    for name, runs in times.items():
        wall, cpu = (statistics.median(column) for column in zip(*runs, strict=True))
        print(f"| {name:<31} | {wall:7.2f} | {cpu:6.2f} |")
    wall, cpu = (
        statistics.median(one[place] / other[place] for one, other in zip(ours, theirs, strict=True))
        for place in (0, 1)
    )
    print(f"| {'ratio, median over the turns':<31} | {wall:7.2f} | {cpu:6.2f} |")


if __name__ == "__main__":
    main()
