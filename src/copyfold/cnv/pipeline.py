"""The stages of a copy-number run: train, infer, segment, call, evaluate.

Each stage reads what the one before it wrote, so each can be run again by itself. Samples go through in batches
of fixed size: memory does not grow with the cohort, and the same samples give the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from copyfold.cnv.call_tables import called_genes, count_kinds, read_calls, write_calls
from copyfold.cnv.callers import (
    PLASMID_MODELS,
    CohortPlasmidCaller,
    GeneCaller,
    GeneCalls,
    SegmentedDepths,
    plasmid_targets,
    spread_segments,
)
from copyfold.cnv.config import CnvConfig
from copyfold.cnv.evaluation_text import format_evaluation
from copyfold.cnv.inputs import CnvInputs
from copyfold.cnv.models.architecture import Architecture, Depths, FitSession
from copyfold.cnv.plugins import REGISTRIES
from copyfold.cnv.recurrence import RecurrenceSettings
from copyfold.cnv.recurrent_table import RECURRENT_NAME, scan_segments, write_recurrent
from copyfold.cnv.segment_summary import SUMMARISED_COLUMNS, summarise_segments
from copyfold.cnv.segmentation import ExpectedDepths, Segmenter, segment_table
from copyfold.cnv.segments_file import SegmentsInOrder, segment_parts
from copyfold.cnv.truth import read_sequence_types
from copyfold.core.console import Console
from copyfold.core.files import (
    atomic_path,
    create_npy,
    read_npy,
    read_rows,
    release_pages,
    write_json,
    write_npy,
    write_text,
)
from copyfold.core.rundir import RunDirectory
from copyfold.engine import Ranks
from copyfold.errors import InputError, PluginError, RunError

ARTEFACTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "train": ("checkpoint.pth", "last.pth", "training_log.tsv", "sample_ids.npy"),
        "infer": ("reconstructions.npy", "latents.npy", "dispersions.npy"),
        "segment": ("segments.parquet", RECURRENT_NAME),
        "call": ("gene_calls.tsv", "plasmid_gene_calls.tsv", PLASMID_MODELS),
        "evaluate": ("evaluation.txt", "metrics.json"),
    }
)
"""Files that each stage writes."""
BATCH_ROWS = 256


@dataclass(frozen=True)
class Job:
    """One run at work: what to do, on what, where, whom to tell, and with whom to train."""

    config: CnvConfig
    inputs: CnvInputs
    run: RunDirectory
    device: torch.device
    console: Console
    ranks: Ranks = Ranks()  # noqa: RUF009 -- frozen

    def module(self, kind: str) -> Any:
        """The class that the configuration names for `kind`."""
        return REGISTRIES[kind].resolve(getattr(self.config, kind))

    def batches(self, title: str) -> Iterator[slice]:
        """Row ranges of the store, with progress."""
        n_samples = self.inputs.store.n_samples
        with self.console.progress(title, n_samples) as progress:
            for first in range(0, n_samples, BATCH_ROWS):
                stop = min(first + BATCH_ROWS, n_samples)
                yield slice(first, stop)
                progress(stop)


def train(job: Job, *, resume: bool) -> dict[str, Any]:
    """Fit the architecture to the cohort; writes checkpoint.pth, training_log.tsv and sample_ids.npy.

    Of several processes that train together each calls this, and the first one writes.
    """
    inputs, run = job.inputs, job.run
    without_depth = inputs.store.sample_ids[~inputs.has_depth]
    if without_depth.size:
        names = ", ".join(without_depth[:5].tolist()) + (", …" if len(without_depth) > 5 else "")
        job.console.warn(f"{len(without_depth)} samples have no usable depth and are called −1: {names}")
    if job.ranks.first:
        write_npy(run.file("sample_ids.npy"), inputs.store.sample_ids)
    rows = np.flatnonzero(inputs.has_depth)
    depths = Depths(inputs.store.counts, _scale(job, slice(None)))
    if without_depth.size:
        depths = Depths(inputs.store.counts[rows], depths.scale[rows])
    session = FitSession(
        checkpoint=run.file("checkpoint.pth"),
        last=run.file("last.pth"),
        log=run.file("training_log.tsv"),
        device=job.device,
        resume=resume,
        console=job.console,
        ranks=job.ranks,
    )
    architecture: Architecture = job.module("architecture")(inputs.bins, job.config)
    summary = architecture.fit(depths, session)
    return {
        "n_samples": len(rows),
        "samples_without_depth": without_depth.tolist(),
        "best_epoch": summary.best_epoch,
        "best_loss": summary.best_loss,
        "epochs_run": summary.epochs_run,
    }


def infer(job: Job) -> dict[str, Any]:
    """Reconstruct every sample; writes reconstructions.npy (reads per bin), latents.npy and perhaps dispersions.npy."""
    store, run = job.inputs.store, job.run
    architecture: Architecture = job.module("architecture")(job.inputs.bins, job.config)
    architecture.load(run.file("checkpoint.pth"), job.device)
    shape = (store.n_samples, job.config.latent_dim)
    dispersions: list[np.ndarray] = []
    with (
        create_npy(run.file("reconstructions.npy"), np.float32, store.counts.shape) as reconstructions,
        create_npy(run.file("latents.npy"), np.float32, shape) as latents,
    ):
        for rows in job.batches("reconstructing, sample"):
            inferred = architecture.infer(Depths(read_rows(store.counts, rows), _scale(job, rows)))
            n_rows = rows.stop - rows.start
            _check_output(job, "expected", inferred.expected, (n_rows, store.n_bins))
            _check_output(job, "latents", inferred.latents, (n_rows, job.config.latent_dim))
            reconstructions[rows] = inferred.expected
            latents[rows] = inferred.latents
            release_pages(reconstructions)
            if inferred.dispersion is not None:
                _check_output(job, "dispersion", inferred.dispersion, (n_rows,))
                dispersions.append(inferred.dispersion)
    if dispersions:
        write_npy(run.file("dispersions.npy"), np.concatenate(dispersions))
    else:
        run.file("dispersions.npy").unlink(missing_ok=True)
    return {}


def _check_output(job: Job, name: str, found: np.ndarray, shape: tuple[int, ...]) -> None:
    """Refuse what an architecture must not return; a NaN would otherwise pass for a reconstruction below threshold."""
    if np.shape(found) != shape or not np.isfinite(found).all():
        state = f"shape {np.shape(found)} for {shape}" if np.shape(found) != shape else "values that are not finite"
        raise PluginError(
            f"architecture '{job.config.architecture}': infer returned {name} with {state}; "
            "copyfold.testing.ArchitectureContract tests what it must return"
        )


def _scale(job: Job, rows: slice | np.ndarray) -> np.ndarray:
    """What counts are divided by before the log: the samples' medians, or 1 without ``normalise``."""
    medians = job.inputs.medians[rows]
    return medians if job.config.normalise else np.ones_like(medians)


def segment(job: Job) -> dict[str, Any]:
    """Segment every sample; writes segments.parquet and, of it, recurrent_segments.tsv."""
    store = job.inputs.store
    depths_of = _expected_depths(job)
    segmenter: Segmenter = job.module("hmm")(job.inputs.bins, job.config, job.run.file("checkpoint.pth"))
    n_segments = 0
    with atomic_path(job.run.file("segments.parquet")) as partial:
        writer: pq.ParquetWriter | None = None
        try:
            for rows in job.batches("segmenting, sample"):
                depths = depths_of(rows)
                ratios = segmenter.copy_ratios(depths)
                segmentation = segmenter.segment(depths, ratios)
                segments = segment_table(store.sample_ids[rows], segmentation, ratios, store.contigs)
                n_segments += len(segments)
                table = pa.Table.from_pandas(segments, preserve_index=False)
                writer = writer or pq.ParquetWriter(partial, table.schema, compression="zstd")
                writer.write_table(table)
        finally:
            if writer is not None:
                writer.close()
    settings = RecurrenceSettings(min_confidence=job.config.cnv_min_confidence)
    lineages = None if job.config.kpsc_meta_path is None else read_sequence_types(job.config.kpsc_meta_path)
    found = scan_segments(job.run.path, store.sample_ids, store.contigs, settings, job.inputs.genes, lineages)
    write_recurrent(job.run.file(RECURRENT_NAME), found, settings)
    return {"n_segments": n_segments, "n_recurrent": len(found)}


def _expected_depths(job: Job) -> Callable[[slice], ExpectedDepths]:
    """What reads a batch of counts beside what stage infer made of them."""
    counts = job.inputs.store.counts
    reconstructions, dispersions = read_expected(job.run.path, counts.shape)

    def read(rows: slice) -> ExpectedDepths:
        dispersion = None if dispersions is None else dispersions[rows]
        return ExpectedDepths(read_rows(counts, rows), read_rows(reconstructions, rows), dispersion)

    return read


def read_expected(run: Path, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray | None]:
    """reconstructions.npy of a run, mapped, and dispersions.npy where its architecture makes one.

    Raises
    ------
    InputError
        One of them cannot be read or does not hold numbers.
    RunError
        The reconstructions are not of the counts' `shape`.
    """
    paths = [Path(run) / name for name in ("reconstructions.npy", "dispersions.npy")]
    reconstructions = read_npy(paths[0])
    dispersions = read_npy(paths[1], mmap=False) if paths[1].exists() else None
    for path, array in zip(paths, (reconstructions, dispersions), strict=True):
        if array is not None and (array.dtype.kind != "f" or array.shape[:1] != shape[:1]):
            raise InputError(f"{path}: holds {array.dtype} {array.shape}; `copyfold cnv infer {run}` makes it again")
    if reconstructions.shape != shape:
        raise RunError(
            f"{paths[0]}: has shape {reconstructions.shape}, the store {shape}; `copyfold cnv infer {run}` again"
        )
    return reconstructions, dispersions


def call(job: Job) -> dict[str, Any]:
    """Call every gene; writes gene_calls.tsv and, with a plasmid store, plasmid_gene_calls.tsv."""
    caller: GeneCaller = job.module("cnv")(job.inputs.bins, job.config, job.run.file("checkpoint.pth"))
    chromosomal = _chromosomal_calls(job, caller)
    write_calls(job.run.file("gene_calls.tsv"), chromosomal)
    plasmids = None if job.inputs.plasmid_store is None else _plasmid_calls(job, caller, chromosomal)
    if plasmids is None:
        job.run.file("plasmid_gene_calls.tsv").unlink(missing_ok=True)
    else:
        write_calls(job.run.file("plasmid_gene_calls.tsv"), plasmids)
    counted = _count_calls(chromosomal) | (_count_calls(plasmids) if plasmids is not None else {})
    for gene, calls in counted.items():
        job.console.say(f"{gene}: " + ", ".join(f"{number} {label}" for label, number in calls.items()))
    return {"calls": counted}


def _count_calls(table: pd.DataFrame) -> dict[str, dict[str, int]]:
    """Samples with each kind of call, by gene."""
    return {gene: count_kinds(table[gene]) for gene in called_genes(table)}


def _chromosomal_calls(job: Job, caller: GeneCaller) -> pd.DataFrame:
    store = job.inputs.store
    depths_of = _expected_depths(job)
    segmenter: Segmenter = job.module("hmm")(job.inputs.bins, job.config, job.run.file("checkpoint.pth"))
    segments = SegmentsInOrder(job.run.path, ["sample_id", "chrom", "x0", "x1", "cn", "confidence"])
    columns: dict[str, list[np.ndarray]] = {}
    for rows in job.batches("calling genes, sample"):
        ids = store.sample_ids[rows]
        depths = depths_of(rows)
        ratio = segmenter.copy_ratios(depths).ratio
        batch = SegmentedDepths(depths, ratio, *spread_segments(segments.take(ids), ids, store.contigs))
        for gene in job.inputs.genes:
            calls = caller.call_chromosomal(gene, batch)
            usable = job.inputs.has_depth[rows]
            columns.setdefault(gene.name, []).append(np.where(usable, calls.cn, -1))
            columns.setdefault(f"crr_{gene.name}", []).append(np.where(usable, calls.ratio, np.nan))
            for name, values in calls.columns.items():
                columns.setdefault(f"{name}_{gene.name}", []).append(values)
    table = {"sample_id": store.sample_ids} | {name: np.concatenate(parts) for name, parts in columns.items()}
    table["median_depth"] = job.inputs.medians
    return pd.DataFrame(table)


def _plasmid_calls(job: Job, caller: GeneCaller, chromosomal: pd.DataFrame) -> pd.DataFrame:
    store, plasmid_store = job.inputs.store, job.inputs.plasmid_store
    assert plasmid_store is not None
    assert job.inputs.plasmid_columns is not None
    row_of = {name: row for row, name in enumerate(plasmid_store.sample_ids.tolist())}
    rows = np.array([row_of.get(name, -1) for name in store.sample_ids.tolist()])
    if (rows < 0).any():
        absent = store.sample_ids[rows < 0]
        job.console.warn(
            f"{len(absent)} samples are not in the plasmid store and are called −1 there, first {absent[0]}"
        )
    depth = np.where(rows[:, None] >= 0, plasmid_store.counts[np.maximum(rows, 0)].astype(np.float64), np.nan)
    targets, members = plasmid_targets(job.inputs.plasmid_columns, job.inputs.plasmid_genes)
    table: dict[str, np.ndarray] = {"sample_id": store.sample_ids}
    of_cohort: dict[str, GeneCalls] = {}
    if isinstance(caller, CohortPlasmidCaller):
        elsewhere = "trained_in" in job.run.record
        of_cohort = caller.call_plasmids(job.inputs, depth, targets, chromosomal, job.run.path, elsewhere)
    else:
        job.run.file(PLASMID_MODELS).unlink(missing_ok=True)
    for target in targets:
        calls = of_cohort.get(target.name) or caller.call_plasmid(
            depth[:, target.columns].sum(axis=1), job.inputs.medians, target.absent_threshold
        )
        table[target.name], table[f"pcn_{target.name}"] = calls.cn, calls.ratio
        table |= {f"{name}_{target.name}": values for name, values in calls.columns.items()}
    for member in members:
        calls = caller.call_plasmid(depth[:, member.columns[0]], job.inputs.medians, member.absent_threshold)
        table[f"pcn_{member.name}"] = calls.ratio
    return pd.DataFrame(table)


def evaluate(job: Job) -> dict[str, Any]:
    """Compare calls with the ground truth; writes evaluation.txt and metrics.json."""
    run = job.run
    if job.config.kpsc_meta_path and job.inputs.truth is None:
        job.console.warn("kpsc_meta_path is not used without kpsc_gt_path: there is no truth to report by ST")
    plasmid = run.file("plasmid_gene_calls.tsv")
    summary = summarise_segments(segment_parts(run.path, SUMMARISED_COLUMNS), job.inputs.store.sample_ids)
    evaluation = job.module("evaluation")(job.config).evaluate(
        read_calls(run.file("gene_calls.tsv")),
        read_calls(plasmid) if job.inputs.plasmid_store is not None else None,
        job.inputs.truth,
        summary,
    )
    write_text(run.file("evaluation.txt"), format_evaluation(evaluation))
    write_json(run.file("metrics.json"), evaluation.as_dict())
    return {}


STAGES: Mapping[str, Callable[[Job], dict[str, Any]]] = MappingProxyType(
    {"infer": infer, "segment": segment, "call": call, "evaluate": evaluate}
)
"""The stages behind training, in order."""
