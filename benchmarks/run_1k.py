"""Experiment 32 on a simulated cohort of 1,000: time of each stage, and what a kill −9 changes (nothing).

    python benchmarks/run_1k.py [--isolates 1000] [--kills 2]

Two runs of `copyfold cnv train experiments/32/config.yaml --set …` on CPU: one uninterrupted, one killed with SIGKILL
at random moments of training and continued with `--resume`. Their latents.npy must be the same to the bit.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from common import machine, print_table

ROOT = Path(__file__).parents[1]
COPYFOLD = [sys.executable, "-m", "copyfold.cli.main"]


def command(cohort: Path, out: Path, *more: str) -> list[str]:
    """Experiment 32 pointed at the cohort."""
    paths = {
        "store_path": "chromosome",
        "plasmid_store_path": "plasmid",
        "kpsc_gt_path": "truth/amrfinder_gt.tsv",
        "kpsc_kleborate_gt_path": "truth/kleborate_gt.tsv",
        "kpsc_meta_path": "truth/metadata.tsv",
        "plasmid_gene_coords_path": "plasmid_gene_coords.tsv",
    }
    sets = [word for key, name in paths.items() for word in ("--set", f"{key}={cohort / name}")]
    config = str(ROOT / "experiments/32/config.yaml")
    return [*COPYFOLD, "cnv", "train", config, *sets, "--set", f"out_dir={out}", "--device", "cpu", "-q", *more]


def kill_in_training(cohort: Path, out: Path, after: float) -> int:
    """Start or continue a run, kill it `after` seconds into training; epochs done by then."""
    log = out / "training_log.tsv"
    before = len(log.read_text().splitlines()) if log.exists() else 0
    with subprocess.Popen(command(cohort, out, "--resume")) as process:
        while process.poll() is None and (len(log.read_text().splitlines()) if log.exists() else 0) <= before:
            time.sleep(0.1)
        time.sleep(after)
        os.kill(process.pid, signal.SIGKILL)
    return len(log.read_text().splitlines()) - 1


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--isolates", type=int, default=1000)
    parser.add_argument("--kills", type=int, default=2)
    arguments = parser.parse_args()
    moments = random.Random(7)
    with tempfile.TemporaryDirectory() as folder:
        cohort, whole, cut = (Path(folder) / name for name in ("cohort", "whole", "cut"))
        size = str(arguments.isolates)
        subprocess.run([*COPYFOLD, "cnv", "simulate", str(cohort), "-n", size, "--seed", "7", "-q"], check=True)
        started = time.perf_counter()
        subprocess.run(command(cohort, whole), check=True)
        total = time.perf_counter() - started
        killed = [kill_in_training(cohort, cut, moments.uniform(0, 20)) for _ in range(arguments.kills)]
        subprocess.run(command(cohort, cut, "--resume"), check=True)
        print(machine(torch.device("cpu")))
        stages = json.loads((whole / "run.json").read_text())["stages"]
        print_table(
            [{"stage": name, "seconds": float(stage["seconds"])} for name, stage in stages.items()]
            + [{"stage": "whole command", "seconds": total}]
        )
        print(f"\n{stages['train']['epochs_run']} epochs, best {stages['train']['best_epoch']}")
        print(f"killed after epochs {', '.join(map(str, killed))}, then resumed:")
        names = ("latents.npy", "reconstructions.npy", "segments.parquet", "gene_calls.tsv")
        print_table(
            [
                {
                    "file": name,
                    "whole": digest(whole / name),
                    "resumed": digest(cut / name),
                    "same": digest(whole / name) == digest(cut / name),
                }
                for name in names
            ]
        )
        print(f"\nfiles: {', '.join(sorted(item.name for item in whole.iterdir() if not item.name.startswith('.')))}")


if __name__ == "__main__":
    main()
