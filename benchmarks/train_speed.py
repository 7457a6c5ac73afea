"""Time of training the documents' architecture, against a plain loop over a DataLoader.

    python benchmarks/train_speed.py [--isolates 5000] [--epochs 150] [--device cuda]

Both train experiment 32's network (32/64/128 channels, batch 128) with the same data, split, schedules and AdamW. The
plain loop is what the architecture would be without our engine: a DataLoader of rows in host memory, one kernel launch
after another, no checkpoints. Ours includes its checkpoints and its log. Losses are on the same validation rows.

    torchrun --nproc-per-node 2 benchmarks/train_speed.py …

compares one process with all of them instead: each time first one alone, then all together.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, TensorDataset

from common import configuration, machine, print_table
from copyfold.cnv.bin_table import BinTable
from copyfold.cnv.models.architecture import Depths, FitSession
from copyfold.cnv.models.conv_vae import ConvVaeArchitecture
from copyfold.cnv.simulation import preset, simulate
from copyfold.cnv.store import Contigs
from copyfold.core.console import Silence
from copyfold.core.torchrun import own_place
from copyfold.engine import DeterministicConfig, Ranks, join_ranks, load_checkpoint, rank_device, split_validation


def synchronise(device: torch.device) -> None:
    """Wait for the device, so that a clock read next means something."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def anonymous_bins(n_bins: int) -> BinTable:
    """Bins of which only the number is known."""
    start = np.arange(n_bins) * 1000
    return BinTable(Contigs(np.full(n_bins, "chromosome"), start, start + 1000))


def plain_loop(depths: Depths, epochs: int, device: torch.device) -> tuple[float, float]:
    """Seconds and last validation loss of a loop without our engine."""
    log_depths = depths.log_depths()
    architecture = ConvVaeArchitecture(anonymous_bins(log_depths.shape[1]), configuration(epochs=epochs))
    train, validation = split_validation(len(log_depths), 0.1, 42)
    module = architecture.build_module().to(device)
    module.set_baseline(torch.from_numpy(np.median(log_depths[train], axis=0)).to(device))
    weights = architecture.loss_weights()
    optimizer = torch.optim.AdamW(
        module.parameters(), lr=architecture.config.lr, weight_decay=architecture.config.weight_decay
    )
    loader = DataLoader(TensorDataset(torch.from_numpy(log_depths[train])), batch_size=128, shuffle=True)
    noise = torch.Generator(device).manual_seed(42)
    held_out = torch.from_numpy(log_depths[validation]).to(device)
    began = time.perf_counter()
    for epoch in range(epochs):
        for (batch,) in loader:
            terms = module.loss(batch.to(device), noise)
            loss = terms.weighted_total({name: schedule(epoch) for name, schedule in weights.items()})
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(module.parameters(), 5.0)
            optimizer.step()
        with torch.no_grad():
            best = float(module.loss(held_out, None).reconstruction)
    synchronise(device)
    return time.perf_counter() - began, best


def engine(depths: Depths, epochs: int, device: torch.device, ranks: Ranks) -> tuple[float, float]:
    """Seconds and last validation loss of `ConvVaeArchitecture.fit`; the loss only in the first process."""
    architecture = ConvVaeArchitecture(anonymous_bins(depths.counts.shape[1]), configuration(epochs=epochs))
    with tempfile.TemporaryDirectory() as folder:
        names = {"checkpoint": "c.pth", "last": "l.pth", "log": "log.tsv"}
        paths = {key: Path(folder) / name for key, name in names.items()}
        session = FitSession(**paths, device=device, resume=False, console=Silence(), ranks=ranks)
        began = time.perf_counter()
        architecture.fit(depths, session)
        synchronise(device)
        seconds = time.perf_counter() - began
        return seconds, load_checkpoint(paths["last"])["rows"][-1]["val_reconstruction"] if ranks.first else np.nan


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--isolates", type=int, default=5000)
    parser.add_argument("--epochs", type=int, default=150)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--repeats", type=int, default=2)
    options = parser.parse_args()
    ranks = join_ranks(place := own_place(), rank_device(place, options.device))
    device = ranks.device
    cohort = simulate(preset("easy"), options.isolates, 1)
    medians = np.median(cohort.counts, axis=1)
    depths = Depths(cohort.counts[medians >= 1], medians[medians >= 1])
    DeterministicConfig().apply()
    if device.type == "cuda":
        torch.zeros(1, device=device)  # the driver's start is not training

    def alone() -> tuple[float, float]:
        """The others wait for the first process."""
        found = engine(depths, options.epochs, device, Ranks(device=device)) if ranks.first else (np.nan, np.nan)
        ranks.largest(0)
        return found

    def together() -> tuple[float, float]:
        return engine(depths, options.epochs, device, ranks)

    jobs = {"copyfold, 1 process": alone, f"copyfold, {ranks.size} processes": together}
    if ranks.alone:
        jobs = {"plain loop": lambda: plain_loop(depths, options.epochs, device), "copyfold": together}
    turns = [{name: job() for name, job in jobs.items()} for _ in range(options.repeats)]
    ranks.leave()
    if not ranks.first:
        return
    best = {name: min(turn[name][0] for turn in turns) for name in jobs}
    rows = [
        {
            "loop": name,
            "seconds": seconds,
            "last validation loss": f"{turns[0][name][1]:.7f}",
            "ratio": seconds / next(iter(best.values())),
        }
        for name, seconds in best.items()
    ]
    print(machine(device))
    n_isolates, n_bins = depths.counts.shape
    print(f"{n_isolates} isolates × {n_bins} bins, {options.epochs} epochs, best of {options.repeats}\n")
    print_table(rows)


if __name__ == "__main__":
    main()
