"""The plasmid part of ``10_count_caller``: a run's inputs to `copyfold.cnv.plasmids`, and its calls to columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pysam

from copyfold.cnv.callers import PLASMID_MODELS, GeneCalls, PlasmidTarget
from copyfold.cnv.coordinates import Gene
from copyfold.cnv.inputs import CnvInputs
from copyfold.cnv.plasmids import PlasmidCalls, Source
from copyfold.cnv.plasmids.cohort import PlasmidCohort, call_cohort, models_as_json, models_from_json
from copyfold.cnv.reference import read_reference
from copyfold.core.files import read_json, write_json

PASS = "PASS"


def call_panel(
    inputs: CnvInputs,
    depth: np.ndarray,
    targets: Sequence[PlasmidTarget],
    chromosomal: pd.DataFrame,
    run: Path,
    *,
    bins_path: Path | None,
    amplified_from: float,
    trained_elsewhere: bool,
) -> dict[str, GeneCalls]:
    """Calls of every target, in their order; reads or writes the families' models in the run's folder.

    Parameters
    ----------
    inputs : CnvInputs
    depth : numpy.ndarray, (n_samples, n_columns), float64
        Of the plasmid store's columns; NaN for a sample that it lacks.
    targets : sequence of PlasmidTarget
    chromosomal : pandas.DataFrame
        Calls of chromosomal genes, whose reads may land on plasmid genes.
    run : Path
        Folder of the run.
    bins_path : Path, optional
        Where it is a reference's folder, GC of genes is taken from its sequences if their table does not say it.
    amplified_from : float
        Copies from which a gene is amplified.
    trained_elsewhere : bool
        Take the models that stand in the folder instead of learning them from these isolates.
    """
    assert inputs.plasmid_columns is not None
    gc = gene_gc(inputs.plasmid_genes, bins_path)
    cohort = PlasmidCohort(
        depth,
        inputs.medians,
        inputs.store.counts,
        inputs.bins.gc,
        np.array([gc.get(name, np.nan) for name in inputs.plasmid_columns.tolist()]),
        {target.name: target.columns for target in targets},
        tuple(Source(gene.name, chromosomal[f"crr_{gene.name}"].to_numpy(np.float64)) for gene in inputs.genes),
    )
    path = run / PLASMID_MODELS
    known = models_from_json(read_json(path), str(path)) if trained_elsewhere and path.exists() else None
    calls, models = call_cohort(cohort, known, amplified_from)
    if known is None:
        write_json(path, models_as_json(models))
    return {name: _columns(each) for name, each in calls.items()}


def _columns(calls: PlasmidCalls) -> GeneCalls:
    columns: Mapping[str, Any] = {
        "lower": calls.lower,
        "upper": calls.upper,
        "quality": np.round(calls.quality, 1),
        "foreign": calls.foreign,
        "filter": np.where(calls.reason == "", PASS, calls.reason),
    }
    return GeneCalls(calls.cn, calls.copies, columns)


def gene_gc(genes: Sequence[Gene], bins_path: Path | None) -> dict[str, float]:
    """GC of genes by name: as their table states it, else of their place on the reference's sequences."""
    found = {gene.name: gene.gc for gene in genes if gene.gc is not None}
    if bins_path is None or not bins_path.is_dir():
        return found
    reference = read_reference(bins_path)
    with pysam.FastaFile(str(reference.fasta)) as fasta:
        for gene in genes:
            contig = reference.find_contig(gene.contig)
            if gene.name in found or contig is None or gene.end > contig.length:
                continue
            sequence = fasta.fetch(contig.name, gene.start, gene.end)
            known = sum(map(sequence.count, "ACGT"))
            if known:
                found[gene.name] = (sequence.count("G") + sequence.count("C")) / known
    return found
