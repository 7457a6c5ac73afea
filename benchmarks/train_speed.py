"""Time of training the documents' architecture, against a plain loop over a DataLoader.

    python benchmarks/train_speed.py [--isolates 5000] [--epochs 150] [--device cuda]

Both train experiment 32's network (32/64/128 channels, batch 128) with the same data, split, schedules and AdamW. The
plain loop is what the architecture would be without our engine: a DataLoader of rows in host memory, one kernel launch
after another, no checkpoints. Ours includes its checkpoints and its log. Losses are on the same validation rows.
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
from copyfold.cnv.models.architecture import FitSession
from copyfold.cnv.models.conv_vae import ConvVaeArchitecture
from copyfold.cnv.normalise import log_depth
from copyfold.cnv.simulation import preset, simulate
from copyfold.core.console import Console
from copyfold.engine import DeterministicConfig, load_checkpoint, split_validation


def synchronise(device: torch.device) -> None:
    """Wait for the device, so that a clock read next means something."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def plain_loop(log_depths: np.ndarray, epochs: int, device: torch.device) -> tuple[float, float]:
    """Seconds and last validation loss of a loop without our engine."""
    architecture = ConvVaeArchitecture(log_depths.shape[1], configuration(epochs=epochs))
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


def engine(log_depths: np.ndarray, epochs: int, device: torch.device) -> tuple[float, float]:
    """Seconds and last validation loss of `ConvVaeArchitecture.fit`."""
    architecture = ConvVaeArchitecture(log_depths.shape[1], configuration(epochs=epochs))
    with tempfile.TemporaryDirectory() as folder:
        names = {"checkpoint": "c.pth", "last": "l.pth", "log": "log.tsv"}
        paths = {key: Path(folder) / name for key, name in names.items()}
        session = FitSession(**paths, device=device, resume=False, console=Console(quiet=True))
        began = time.perf_counter()
        architecture.fit(log_depths, session)
        synchronise(device)
        seconds = time.perf_counter() - began
        return seconds, load_checkpoint(paths["last"])["rows"][-1]["val_reconstruction"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--isolates", type=int, default=5000)
    parser.add_argument("--epochs", type=int, default=150)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--repeats", type=int, default=2)
    options = parser.parse_args()
    device = torch.device(options.device)
    cohort = simulate(preset("easy"), options.isolates, 1)
    medians = np.median(cohort.counts, axis=1)
    log_depths = log_depth(cohort.counts[medians >= 1], medians[medians >= 1])
    DeterministicConfig().apply()
    if device.type == "cuda":
        torch.zeros(1, device=device)  # the driver's start is not training
    rows = []
    for name, job in (("plain loop", plain_loop), ("copyfold", engine)):
        results = [job(log_depths, options.epochs, device) for _ in range(options.repeats)]
        seconds, losses = zip(*results, strict=True)
        rows.append({"loop": name, "seconds": min(seconds), "last validation loss": f"{losses[0]:.6f}"})
    rows[1]["ratio"] = rows[1]["seconds"] / rows[0]["seconds"]
    rows[0]["ratio"] = 1.0
    print(machine(device))
    n_isolates, n_bins = log_depths.shape
    print(f"{n_isolates} isolates × {n_bins} bins, {options.epochs} epochs, best of {options.repeats}\n")
    print_table(rows)


if __name__ == "__main__":
    main()
