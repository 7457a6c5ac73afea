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

from copyfold.cnv.bin_table import BinTable
from copyfold.cnv.callers import CohortPlasmidCaller, GeneCaller, GeneCalls, SegmentedDepths, plasmid_targets
from copyfold.cnv.config import CnvConfig
from copyfold.cnv.coordinates import Gene
from copyfold.cnv.models.architecture import Depths, FitSession
from copyfold.cnv.normalise import CopyRatios
from copyfold.cnv.plasmids import Source
from copyfold.cnv.plasmids.cohort import PlasmidCohort, call_cohort
from copyfold.cnv.plugins import REGISTRIES
from copyfold.cnv.segmentation import ExpectedDepths, Segmentation
from copyfold.cnv.simulation import SimulatedCohort
from copyfold.cnv.simulation.plasmids import GENE_GC, PANEL
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
    depths : ExpectedDepths
    ratios : CopyRatios
    segmentation : Segmentation
    calls : dict
        Calls of each gene, by name.
    caller : GeneCaller
    best_loss : float
        Reconstruction loss of the kept epoch on the validation rows.
    kl : float
        Its KL term on those rows, nats per isolate; NaN for an architecture without one.
    """

    latents: np.ndarray
    depths: ExpectedDepths
    ratios: CopyRatios
    segmentation: Segmentation
    calls: dict[str, GeneCalls]
    caller: GeneCaller
    best_loss: float
    kl: float


def configuration(**changes: Any) -> CnvConfig:
    """The documents' configuration with `changes`; paths stand for nothing, all is in memory."""
    folder = Path(tempfile.gettempdir())
    return CnvConfig(store_path=folder, out_dir=folder.parent / "nowhere", **changes)


def run_design(
    counts: np.ndarray,
    bins: Contigs | BinTable,
    training_rows: np.ndarray,
    config: CnvConfig,
    device: torch.device,
    genes: tuple[Gene, ...] = (),
) -> DesignResult:
    """Train on some rows, reconstruct, segment and call all: what ``copyfold cnv train`` does, in memory."""
    DeterministicConfig(config.seed).apply()
    medians = np.median(counts, axis=1)
    usable = training_rows[medians[training_rows] >= 1]
    bins = bins if isinstance(bins, BinTable) else BinTable(bins)
    architecture = REGISTRIES["architecture"].resolve(config.architecture)(bins, config)
    with tempfile.TemporaryDirectory() as folder:
        paths = {"checkpoint": Path(folder) / "c.pth", "last": Path(folder) / "l.pth", "log": Path(folder) / "log.tsv"}
        session = FitSession(**paths, device=device, resume=False, console=Console(quiet=True))
        summary = architecture.fit(Depths(counts[usable], medians[usable]), session)
        rows = load_checkpoint(paths["checkpoint"]).get("rows", [])
        segmenter = REGISTRIES["hmm"].resolve(config.hmm)(bins, config, paths["checkpoint"])
        caller = REGISTRIES["cnv"].resolve(config.cnv)(bins, config, paths["checkpoint"])
    kl = rows[summary.best_epoch - 1]["val_kl"] * counts.shape[1] if rows else float("nan")
    latents, ratios, segments, calls, expectations = [], [], [], [], []
    for first in range(0, len(counts), 256):
        batch = slice(first, first + 256)
        inferred = architecture.infer(Depths(counts[batch], medians[batch]))
        latents.append(inferred.latents)
        depths = ExpectedDepths(counts[batch], inferred.expected, inferred.dispersion)
        expectations.append(depths)
        ratios.append(segmenter.copy_ratios(depths))
        found = segmenter.segment(depths, ratios[-1])
        mixed = np.zeros(found.cn.shape, bool) if found.mixed is None else found.mixed
        segments.append(found._replace(mixed=mixed))
        seen = SegmentedDepths(depths, ratios[-1].ratio, found.cn, found.confidence)
        calls.append([caller.call_chromosomal(gene, seen) for gene in genes])
    known = expectations[0].dispersion is not None
    return DesignResult(
        np.concatenate(latents),
        ExpectedDepths(
            counts,
            np.concatenate([depths.expected for depths in expectations]),
            np.concatenate([depths.dispersion for depths in expectations]) if known else None,
        ),
        CopyRatios(*(np.concatenate(part) for part in zip(*ratios, strict=True))),
        Segmentation(*(np.concatenate(part) for part in zip(*segments, strict=True))),
        {gene.name: _joined([batch[place] for batch in calls]) for place, gene in enumerate(genes)},
        caller,
        summary.best_loss,
        kl,
    )


def _joined(parts: list[GeneCalls]) -> GeneCalls:
    columns = {name: np.concatenate([part.columns[name] for part in parts]) for name in parts[0].columns}
    cn, ratio = (np.concatenate([getattr(part, name) for part in parts]) for name in ("cn", "ratio"))
    return GeneCalls(cn, ratio, columns)


def plasmid_copies(
    cohort: SimulatedCohort, result: DesignResult, training_rows: np.ndarray, config: CnvConfig
) -> dict[str, np.ndarray]:
    """cn of every plasmid family by the design's own caller, (n_samples,); what is learnt is learnt of some rows."""
    coordinates = tuple(Gene(item.name, item.contig, item.x0, item.x1, item.absent_threshold) for item in PANEL)
    targets, _ = plasmid_targets(cohort.plasmid_genes, coordinates)
    assert cohort.plasmid_counts is not None
    depth, medians = cohort.plasmid_counts.astype(float), np.median(cohort.counts, axis=1)
    if not isinstance(result.caller, CohortPlasmidCaller):
        return {
            each.name: result.caller.call_plasmid(depth[:, each.columns].sum(axis=1), medians, each.absent_threshold).cn
            for each in targets
        }
    sources = tuple(Source(name, calls.ratio) for name, calls in result.calls.items())
    families = {each.name: each.columns for each in targets}
    everyone = PlasmidCohort(depth, medians, cohort.counts, cohort.geometry.gc, GENE_GC, families, sources)
    some = everyone._replace(
        depth=depth[training_rows],
        medians=medians[training_rows],
        counts=cohort.counts[training_rows],
        sources=tuple(Source(each.name, each.copies[training_rows]) for each in sources),
    )
    _, models = call_cohort(some, None, config.pcn_amp_threshold)
    calls, _ = call_cohort(everyone, models, config.pcn_amp_threshold)
    return {name: each.cn for name, each in calls.items()}
