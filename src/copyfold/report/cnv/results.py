"""What a copy-number run left behind, as its report needs it. `copyfold.app.report` reads it; nothing here does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd

from copyfold.cnv.call_tables import called_genes
from copyfold.cnv.coordinates import Gene
from copyfold.cnv.store import Contigs

DETAILS = ("lower", "upper", "copies", "quality", "mixed", "foreign", "filter")
"""Columns ``<detail>_<gene>`` of a table of calls: 95 % interval of the ratio, posterior mean of the copies,
Phred-scaled quality of the call, whether the culture is mixed, copies that reads of another gene add, why there is no
call. docs/formats/run.md."""


@dataclass(frozen=True)
class GeneResult:
    """Calls of one gene.

    Attributes
    ----------
    name : str
    ratio_name : {"CRR", "PCN"}
    cn : numpy.ndarray, (n_samples,), int64
        −1 uncallable, 0 absent, 1 normal, 2 or more amplified.
    ratio : numpy.ndarray, (n_samples,), float64
        NaN where it could not be measured.
    threshold : float
        Ratio from which the configuration calls an amplification; NaN where the caller goes by a posterior instead.
    place : Gene or None
        Where it lies on the chromosome; None for plasmid genes.
    raw_level : float
        The cohort's median of gene depth / isolate's median depth, without a model; NaN for plasmid genes
        and without the store.
    details : mapping of str to numpy.ndarray, (n_samples,)
        What callers say besides, of `DETAILS`, by name.
    """

    name: str
    ratio_name: Literal["CRR", "PCN"]
    cn: np.ndarray
    ratio: np.ndarray
    threshold: float
    place: Gene | None = None
    raw_level: float = float("nan")
    details: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def amplified(self) -> np.ndarray:
        return self.cn >= 2

    @property
    def called(self) -> np.ndarray:
        return self.cn >= 0


@dataclass(frozen=True)
class SegmentCounts:
    """Segments of the cohort, counted.

    Attributes
    ----------
    gains, losses : numpy.ndarray, (n_bins,), int64
        Isolates with a confident segment of cn ≥ 2, or of cn 0, over each bin.
    per_sample : numpy.ndarray, (n_samples,), int64
    """

    gains: np.ndarray
    losses: np.ndarray
    per_sample: np.ndarray


@dataclass(frozen=True)
class CnvResults:
    """A run, read.

    Attributes
    ----------
    name : str
        Of the folder, behind that of the folder it lies in.
    record : mapping
        run.json.
    sample_ids : numpy.ndarray, (n_samples,), str
    lineages : numpy.ndarray, (n_samples,), str
        Empty where unknown.
    medians : numpy.ndarray, (n_samples,), float64
        Reads per bin.
    genes : tuple of GeneResult
        Chromosomal ones first.
    latents : numpy.ndarray or None, (n_samples, latent_dim)
    noise : numpy.ndarray or None, (n_samples,), float64
        Standard deviation of copy ratios from one bin to the next; None without the store.
    contigs : Contigs or None
        Bins; None without the store.
    segments : SegmentCounts or None
    training_log : pandas.DataFrame or None
    metrics : mapping or None
        metrics.json.
    recurrent : pandas.DataFrame or None
        recurrent_segments.tsv.
    unread : tuple of str
        What could not be read, and why: a sentence each.
    """

    name: str
    record: Mapping[str, Any]
    sample_ids: np.ndarray
    lineages: np.ndarray
    medians: np.ndarray
    genes: tuple[GeneResult, ...]
    latents: np.ndarray | None = None
    noise: np.ndarray | None = None
    contigs: Contigs | None = None
    segments: SegmentCounts | None = None
    training_log: pd.DataFrame | None = None
    metrics: Mapping[str, Any] | None = None
    recurrent: pd.DataFrame | None = None
    unread: tuple[str, ...] = field(default=())

    @property
    def config(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.record["config"]
        return found

    @property
    def file_stem(self) -> str:
        """How files begin that are saved from the report."""
        return self.name.rsplit("/", 1)[-1]

    @property
    def n_samples(self) -> int:
        return len(self.sample_ids)

    @property
    def has_depth(self) -> np.ndarray:
        return self.medians >= 1.0

    @property
    def chromosomal(self) -> tuple[GeneResult, ...]:
        return tuple(gene for gene in self.genes if gene.ratio_name == "CRR")

    def largest_lineages(self, number: int) -> list[str]:
        """The known lineages with most isolates, largest first, ties by name."""
        names, sizes = np.unique(self.lineages[self.lineages != ""], return_counts=True)
        return [str(names[i]) for i in np.lexsort((names, -sizes))[:number]]


@dataclass(frozen=True)
class Track:
    """Depth of one isolate along the genome.

    Attributes
    ----------
    sample : str
    contigs : Contigs
        n_bins bins.
    counts, expected : numpy.ndarray, (n_bins,)
        Reads per bin as counted, and as the model expects them of one copy.
    ratio : numpy.ndarray, (n_bins,)
        Copy ratio.
    masked : numpy.ndarray, (n_bins,), bool
    segments : pandas.DataFrame
        chrom, x0, x1 (bp, 0-based half-open), cn, confidence, ratio.
    """

    sample: str
    contigs: Contigs
    counts: np.ndarray
    expected: np.ndarray
    ratio: np.ndarray
    masked: np.ndarray
    segments: pd.DataFrame


def gene_results(
    table: pd.DataFrame, sample_ids: np.ndarray, config: Mapping[str, Any], places: Mapping[str, Gene]
) -> tuple[GeneResult, ...]:
    """The genes of a table of calls, with a row for each of `sample_ids`; those it lacks are called −1."""
    aligned = table.set_index("sample_id").reindex(sample_ids)
    found = []
    for name in called_genes(table):
        chromosomal = f"crr_{name}" in table.columns
        ratio = aligned[f"crr_{name}" if chromosomal else f"pcn_{name}"].to_numpy(dtype=np.float64, na_value=np.nan)
        cn = aligned[name].fillna(-1).to_numpy(dtype=np.int64)
        threshold = float(config["cnv_crr_amp_threshold" if chromosomal else "pcn_amp_threshold"])
        details = {each: aligned[f"{each}_{name}"].to_numpy() for each in DETAILS if f"{each}_{name}" in aligned}
        if chromosomal and "quality" in details:
            threshold = float("nan")
        place = places.get(name) if chromosomal else None
        found.append(GeneResult(name, "CRR" if chromosomal else "PCN", cn, ratio, threshold, place, details=details))
    return tuple(found)


def count_segments(
    cn: np.ndarray, first: np.ndarray, stop: np.ndarray, confident: np.ndarray, n_bins: int
) -> tuple[np.ndarray, np.ndarray]:
    """Segments of cn ≥ 2 and of cn 0 over each bin.

    Parameters
    ----------
    cn, confident : numpy.ndarray, (n_segments,)
    first, stop : numpy.ndarray, (n_segments,), int64
        Half-open ranges of bins.

    Returns
    -------
    gains, losses : numpy.ndarray, (n_bins,), int64
    """
    counted = []
    for kept in (confident & (cn >= 2), confident & (cn == 0)):
        steps = np.bincount(first[kept], minlength=n_bins + 1) - np.bincount(stop[kept], minlength=n_bins + 1)
        counted.append(np.cumsum(steps)[:n_bins].astype(np.int64))
    return counted[0], counted[1]
