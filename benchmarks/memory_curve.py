"""Time and memory of calling new isolates, by their number.

    python benchmarks/memory_curve.py [--sizes 1000 5000 20000 80000] [--set KEY=VALUE] [--folder DIR]

A run is trained on 200 simulated isolates (pca_baseline, unless --set says otherwise). Stores of new isolates repeat
300 others with their counts drawn anew (Poisson around the counts), the chromosome's and the plasmid genes'. Each is
called by `copyfold cnv call RUN --store … --plasmid-store … --out …`, a process of its own, report included; then
evaluated (without a truth: tables of calls and segments are read) and reported again, each in a process of its own.
"resident" is the system's own peak of the process (VmHWM): what it holds itself, libraries, and pages of mapped files.
"anonymous" is the peak of the first of these (RssAnon, looked at 20 times a second). "processor" is what the process
took of one core, which says more than the clock on a busy machine. Linux only.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from common import machine, print_table
from copyfold.cnv.simulation import preset, simulate, write_cohort
from copyfold.cnv.store import open_store, write_store
from copyfold.core.files import create_npy, write_npy

COPYFOLD = str(Path(sys.executable).with_name("copyfold"))
TRAINED, REPEATED = 200, 300


def write_repeated(target: Path, base: Path, n_isolates: int, seed: int) -> None:
    """A store of `n_isolates` rows made of those of `base`, without holding it."""
    store = open_store(base)
    counts = np.asarray(store.counts, np.float64)
    kind = "chromosome" if store.genes is None else "plasmid"
    write_store(target, counts[:2].astype(np.uint32), store.contigs, store.sample_ids[:2], genes=store.genes, kind=kind)
    with create_npy(target / "counts.npy", np.uint32, (n_isolates, counts.shape[1])) as rows:
        for first in range(0, n_isolates, 500):
            stop = min(first + 500, n_isolates)
            rng = np.random.default_rng([seed, first])
            rows[first:stop] = rng.poisson(counts[np.arange(first, stop) % len(counts)])
    write_npy(target / "sample_ids.npy", np.array([f"N{number:06d}" for number in range(n_isolates)]))
    (target / "manifest.json").unlink(missing_ok=True)  # it holds the digests of the two rows
    (target / "medians.npy").unlink(missing_ok=True)


def watched(command: list[str]) -> dict[str, float]:
    """Seconds by the clock and of the processor, and peaks of memory in MiB, of one process."""
    began, before = time.perf_counter(), os.times()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        anonymous = resident = 0
        while process.poll() is None:
            try:
                status = Path(f"/proc/{process.pid}/status").read_text()
            except OSError:
                break
            fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
            if "RssAnon" in fields:
                anonymous = max(anonymous, int(fields["RssAnon"].split()[0]))
                resident = max(resident, int(fields["VmHWM"].split()[0]))
            time.sleep(0.05)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    after = os.times()
    return {
        "seconds": time.perf_counter() - began,
        "processor, s": after.children_user + after.children_system - before.children_user - before.children_system,
        "anonymous, MiB": round(anonymous / 1024),
        "resident, MiB": round(resident / 1024),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 5000, 20000, 80000])
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    documents = ["hmm=02_gaussian_hmm", "cnv=06_gene_cnv_caller", "hmm_low_cov_threshold=10"]
    keys = options.set or ["architecture=pca_baseline", *documents]
    with tempfile.TemporaryDirectory(dir=options.folder) as scratch:
        folder = Path(scratch)
        for name, n_isolates, seed in (("trained", TRAINED, 201), ("others", REPEATED, 202)):
            write_cohort(simulate(preset("easy"), n_isolates, seed), folder / name)
        overrides = [part for key in keys for part in ("--set", key)]
        subprocess.run(
            [COPYFOLD, "cnv", "train", "-q", str(folder / "trained/config.yaml"), *overrides],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        rows = []
        for size in options.sizes:
            for kind in ("chromosome", "plasmid"):
                write_repeated(folder / "new" / kind, folder / "others" / kind, size, 1)
            stores = ["--store", str(folder / "new/chromosome"), "--plasmid-store", str(folder / "new/plasmid")]
            command = [COPYFOLD, "cnv", "call", "-q", str(folder / "trained/run"), *stores]
            calls = str(folder / "calls")
            commands = {
                "call": [*command, "--out", calls],
                "evaluate": [COPYFOLD, "cnv", "evaluate", "-q", calls],
                "report": [COPYFOLD, "report", "-q", calls],
            }
            for name, each in commands.items():
                rows.append({"isolates": size, "command": name, **watched(each)})
                print(rows[-1], file=sys.stderr, flush=True)
            print(f"report.html: {(folder / 'calls/report.html').stat().st_size / 1e6:.2f} MB", file=sys.stderr)
            shutil.rmtree(folder / "new")
            shutil.rmtree(folder / "calls")
    print(machine(torch.device("cpu")))
    print(", ".join(keys), "\n")
    print_table(rows)


if __name__ == "__main__":
    main()
