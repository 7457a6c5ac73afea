"""What the accuracy benchmarks share: a machine line, a design run in memory, tables."""

from __future__ import annotations

import datetime
import os
import platform
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from copyfold.cnv.callers import GeneCalls, GeneCnvCaller, plasmid_targets
from copyfold.cnv.config import CnvConfig
from copyfold.cnv.coordinates import Gene
from copyfold.cnv.models.architecture import FitSession
from copyfold.cnv.normalise import CopyRatios, depth_from_log, log_depth
from copyfold.cnv.plugins import REGISTRIES
from copyfold.cnv.segmentation import Segmentation
from copyfold.cnv.store import Contigs
from copyfold.core.console import Console
from copyfold.engine import DeterministicConfig, load_checkpoint


def machine(device: torch.device) -> str:
    """Date and machine, for the head of a table."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        named = [line.split(":")[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = named[0] if named else model
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else "no GPU"
    return f"{datetime.date.today().isoformat()}, {os.cpu_count()} × {model}, {where}, torch {torch.__version__}"


def print_table(rows: list[dict[str, Any]]) -> None:
    """Rows as a Markdown table; floats to three decimals."""
    columns = list(rows[0])
    cells = [[_cell(row[name]) for name in columns] for row in rows]
    widths = [max(len(name), *(len(line[place]) for line in cells)) for place, name in enumerate(columns)]
    print("| " + " | ".join(name.ljust(width) for name, width in zip(columns, widths, strict=True)) + " |")
    print("|" + "|".join("-" * (width + 2) for width in widths) + "|")
    for line in cells:
        print("| " + " | ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) + " |")


def _cell(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


@dataclass(frozen=True)
class DesignResult:
    """What a design makes of a cohort.

    Attributes
    ----------
    latents : numpy.ndarray, (n_samples, latent_dim)
    ratios : CopyRatios
    segmentation : Segmentation
    best_loss : float
        Reconstruction loss of the kept epoch on the validation rows.
    kl : float
        Its KL term on those rows, nats per isolate; NaN for an architecture without one.
    """

    latents: np.ndarray
    ratios: CopyRatios
    segmentation: Segmentation
    best_loss: float
    kl: float


def configuration(**changes: Any) -> CnvConfig:
    """The documents' configuration with `changes`; paths stand for nothing, all is in memory."""
    folder = Path(tempfile.gettempdir())
    return CnvConfig(store_path=folder, out_dir=folder.parent / "nowhere", **changes)


def run_design(
    counts: np.ndarray, contigs: Contigs, training_rows: np.ndarray, config: CnvConfig, device: torch.device
) -> DesignResult:
    """Train on some rows, reconstruct and segment all: what ``copyfold cnv train`` does, in memory."""
    DeterministicConfig(config.seed).apply()
    medians = np.median(counts, axis=1)
    log_depths = log_depth(counts, medians)
    usable = training_rows[medians[training_rows] >= 1]
    architecture = REGISTRIES["architecture"].resolve(config.architecture)(counts.shape[1], config)
    with tempfile.TemporaryDirectory() as folder:
        paths = {"checkpoint": Path(folder) / "c.pth", "last": Path(folder) / "l.pth", "log": Path(folder) / "log.tsv"}
        session = FitSession(**paths, device=device, resume=False, console=Console(quiet=True))
        summary = architecture.fit(log_depths[usable], session)
        rows = load_checkpoint(paths["checkpoint"]).get("rows", [])
    kl = rows[summary.best_epoch - 1]["val_kl"] * counts.shape[1] if rows else float("nan")
    segmenter = REGISTRIES["hmm"].resolve(config.hmm)(config)
    latents, ratios, segments = [], [], []
    for first in range(0, len(counts), 256):
        batch = slice(first, first + 256)
        inferred = architecture.infer(log_depths[batch])
        latents.append(inferred.latents)
        ratios.append(segmenter.copy_ratios(counts[batch], depth_from_log(inferred.log_depth, medians[batch])))
        segments.append(segmenter.segment(ratios[-1], contigs))
    return DesignResult(
        np.concatenate(latents),
        CopyRatios(*(np.concatenate(part) for part in zip(*ratios, strict=True))),
        Segmentation(*(np.concatenate(part) for part in zip(*segments, strict=True))),
        summary.best_loss,
        kl,
    )


def call_chromosomal(result: DesignResult, gene: Gene, contigs: Contigs, config: CnvConfig) -> GeneCalls:
    """Calls of one gene from a result, by the documents' caller."""
    found = result.segmentation
    return GeneCnvCaller(config).call_chromosomal(gene, result.ratios.ratio, found.cn, found.confidence, contigs)


def call_plasmids(
    depths: np.ndarray, genes: np.ndarray, medians: np.ndarray, coordinates: tuple[Gene, ...], config: CnvConfig
) -> dict[str, GeneCalls]:
    """Calls of every plasmid gene or family, by the documents' caller."""
    caller = GeneCnvCaller(config)
    return {
        target.name: caller.call_plasmid(
            depths[:, target.columns].sum(axis=1).astype(float), medians, target.absent_threshold
        )
        for target in plasmid_targets(genes, coordinates)[0]
    }
