"""``06_gene_cnv_caller``: copy number of chromosomal genes by segments and CRR, of plasmid genes by PCN.

The documents' rules, completed as docs/methods/copy-number.md says. cn is −1 uncallable, 0 absent, 1 normal,
≥ 2 amplified.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

import numpy as np
import pandas as pd

from copyfold.cnv.bin_table import BinTable
from copyfold.cnv.config import CnvConfig
from copyfold.cnv.coordinates import Gene, find_gene_bins, flank_bins
from copyfold.cnv.families import family_of
from copyfold.cnv.segmentation import ExpectedDepths
from copyfold.cnv.store import Contigs
from copyfold.errors import InputError

if TYPE_CHECKING:
    from copyfold.cnv.inputs import CnvInputs

PLASMID_MODELS = "plasmid_models.json"
"""What a caller learnt of plasmid genes, in a run's folder; goes with the run to new isolates."""


class GeneCalls(NamedTuple):
    """Calls of one gene in some samples.

    Attributes
    ----------
    cn : numpy.ndarray, (n_samples,), int64
    ratio : numpy.ndarray, (n_samples,), float64
        CRR of a chromosomal gene, PCN of a plasmid gene; NaN where it cannot be measured.
    columns : mapping of str to numpy.ndarray, (n_samples,)
        What else the caller has to say: column ``<name>_<gene>`` of the table of calls.
    """

    cn: np.ndarray
    ratio: np.ndarray
    columns: Mapping[str, np.ndarray] = MappingProxyType({})


class SegmentedDepths(NamedTuple):
    """A batch of samples as a caller of chromosomal genes sees it.

    Attributes
    ----------
    depths : ExpectedDepths
    ratio : numpy.ndarray, (n_samples, n_bins), float32
        Copy ratios, masked bins included as they are.
    cn : numpy.ndarray, (n_samples, n_bins), int
        Copy number of the segment each bin lies in; −1 unknown.
    confidence : numpy.ndarray, (n_samples, n_bins), float32
        Confidence of that segment.
    """

    depths: ExpectedDepths
    ratio: np.ndarray
    cn: np.ndarray
    confidence: np.ndarray


class GeneCaller(Protocol):
    """The contract of a ``cnv`` module, constructed as a `copyfold.cnv.segmentation.Segmenter` is."""

    def __init__(self, bins: BinTable, config: CnvConfig, checkpoint: Path) -> None: ...

    def call_chromosomal(self, gene: Gene, batch: SegmentedDepths) -> GeneCalls: ...

    def call_plasmid(self, depth: np.ndarray, medians: np.ndarray, absent_threshold: float | None) -> GeneCalls: ...


@runtime_checkable
class CohortPlasmidCaller(Protocol):
    """What a ``cnv`` module may have besides: calls of plasmid genes that look at all isolates together."""

    def call_plasmids(
        self,
        inputs: CnvInputs,
        depth: np.ndarray,
        targets: Sequence[PlasmidTarget],
        chromosomal: pd.DataFrame,
        run: Path,
        trained_elsewhere: bool,
    ) -> dict[str, GeneCalls]: ...


class GeneCnvCaller:
    """The registered caller ``06_gene_cnv_caller``.

    Parameters
    ----------
    bins : BinTable
    config : CnvConfig
        Its ``cnv_*`` and ``pcn_*`` keys.
    checkpoint : Path
        Not read.
    """

    def __init__(self, bins: BinTable, config: CnvConfig, checkpoint: Path) -> None:
        self.contigs = bins.contigs
        self.config = config

    def call_chromosomal(self, gene: Gene, batch: SegmentedDepths) -> GeneCalls:
        """Call one gene in a batch of samples, by segments and copy ratios.

        Raises
        ------
        InputError
            The store lacks the gene's contig, or it is too short to leave any flank.
        """
        config, contigs = self.config, self.contigs
        _, ratio, cn, confidence = batch
        found = find_gene_bins(gene, contigs)
        flank = flank_bins(gene, found, contigs, config.cnv_flank_padding)
        crr = copy_ratio_ratio(ratio, found.bins, found.weights, flank)
        confident = confidence >= config.cnv_min_confidence
        normal = (cn == 1) & confident
        callable_ = normal[:, found.contig_bins].mean(axis=1) >= config.cnv_min_cn1_proportion
        measured = np.nan_to_num(crr, nan=-np.inf)

        if len(found.bins) < config.cnv_crr_min_bins_fallback:
            called = cn[:, found.bins[np.argmax(found.weights)]].astype(np.int64)
            called[np.isin(called, (-1, 1)) & (measured >= config.cnv_crr_amp_threshold)] = 2
        else:
            least = config.cnv_min_gene_coverage_fraction
            gained = ((cn[:, found.bins] >= 2) & confident[:, found.bins]).mean(axis=1) >= least
            lost = ((cn[:, found.bins] == 0) & confident[:, found.bins]).mean(axis=1) >= least
            called = np.where(lost, 0, 1)
            called[gained & (measured >= config.cnv_crr_gate_threshold)] = 2
        return GeneCalls(np.where(callable_, called, -1), crr)

    def call_plasmid(self, depth: np.ndarray, medians: np.ndarray, absent_threshold: float | None) -> GeneCalls:
        """Call one plasmid gene or family.

        Parameters
        ----------
        depth : numpy.ndarray, (n_samples,), reads per bin
            Mean depth over the gene's bins; NaN for a sample the plasmid store lacks.
        medians : numpy.ndarray, (n_samples,), reads per bin
            The samples' chromosomal medians; below 1 there is nothing to compare with.
        absent_threshold : float or None
            PCN below which the gene is absent; None takes ``pcn_absent_threshold``.
        """
        threshold = self.config.pcn_absent_threshold if absent_threshold is None else absent_threshold
        pcn = np.divide(depth, medians, out=np.full(len(depth), np.nan), where=medians >= 1)
        cn = np.where(pcn < threshold, 0, np.where(pcn >= self.config.pcn_amp_threshold, 2, 1))
        return GeneCalls(np.where(np.isnan(pcn), -1, cn), pcn)


def copy_ratio_ratio(ratio: np.ndarray, bins: np.ndarray, weights: np.ndarray, flank: np.ndarray) -> np.ndarray:
    """CRR: overlap-weighted mean copy ratio of the gene's bins over the mean of its flank.

    Parameters
    ----------
    ratio : numpy.ndarray, (n_samples, n_bins)
    bins, weights : numpy.ndarray, (k,)
        The gene's bins and the share of the gene in each.
    flank : numpy.ndarray, (m,)
        Bins to compare with.

    Returns
    -------
    numpy.ndarray, (n_samples,), float64
        NaN where the flank has no reads.
    """
    gene = (ratio[:, bins].astype(np.float64) * weights).sum(axis=1) / weights.sum()
    around = ratio[:, flank].mean(axis=1, dtype=np.float64)
    return np.divide(gene, around, out=np.full(len(gene), np.nan), where=around > 0)


def spread_segments(segments: pd.DataFrame, sample_ids: np.ndarray, contigs: Contigs) -> tuple[np.ndarray, np.ndarray]:
    """cn and confidence of every bin, from a table of segments.

    Parameters
    ----------
    segments : pandas.DataFrame
        As `copyfold.cnv.segmentation.segment_table` makes it, for these samples.
    sample_ids : numpy.ndarray, (n_samples,), str
    contigs : Contigs

    Returns
    -------
    cn : numpy.ndarray, (n_samples, n_bins), int16
        −1 where no segment lies.
    confidence : numpy.ndarray, (n_samples, n_bins), float32
        0 where no segment lies.

    Raises
    ------
    InputError
        A segment lies on a contig that the store lacks.
    """
    cn = np.full((len(sample_ids), len(contigs)), -1, dtype=np.int16)
    confidence = np.zeros(cn.shape, dtype=np.float32)
    row_of = {name: row for row, name in enumerate(sample_ids.tolist())}
    for chrom, group in segments.groupby("chrom", sort=False):
        columns = np.flatnonzero(contigs.chrom == chrom)
        if not columns.size:
            raise InputError(f"segments.parquet: contig {chrom} is not in the store; segment again (cnv segment RUN)")
        starts = contigs.start[columns]
        first = columns[0] + np.searchsorted(starts, group["x0"].to_numpy())
        stop = columns[0] + np.searchsorted(starts, group["x1"].to_numpy())
        values = zip(group["sample_id"], first, stop, group["cn"], group["confidence"], strict=True)
        for sample, begin, end, value, certainty in values:
            row = row_of[sample]
            cn[row, begin:end] = value
            confidence[row, begin:end] = certainty
    return cn, confidence


class PlasmidTarget(NamedTuple):
    """One column of the plasmid table.

    Attributes
    ----------
    name : str
        Gene, or family where the store holds several of its members.
    columns : list of int
        Columns of the plasmid store whose depths are summed.
    absent_threshold : float or None
    """

    name: str
    columns: list[int]
    absent_threshold: float | None


def plasmid_targets(
    genes: np.ndarray, coordinates: tuple[Gene, ...]
) -> tuple[list[PlasmidTarget], list[PlasmidTarget]]:
    """What to call from a plasmid store's columns.

    Reads of near-identical alleles map to any of them, so members of one family are summed and called together
    under the family's name; a gene without relatives in the store keeps its own. Families are those that the
    coordinates state, else those of `families.family_of`. A family's absent threshold is that
    of its own line in the coordinates; without one, the least of its members' (the larger ones guard an allele
    against reads of its relatives, which are no mistake in the sum).

    Returns
    -------
    targets : list of PlasmidTarget
        To be called.
    members : list of PlasmidTarget
        Members of summed families, reported by PCN only: their split is arbitrary.
    """
    threshold = {gene.name: gene.absent_threshold for gene in coordinates}
    stated = {gene.name: gene.family for gene in coordinates if gene.family}
    families: dict[str, list[int]] = {}
    for column, gene in enumerate(genes.tolist()):
        families.setdefault(stated.get(gene) or family_of(gene), []).append(column)
    targets, members = [], []
    for family, columns in families.items():
        names = [str(genes[column]) for column in columns]
        known = [value for name in names if (value := threshold.get(name)) is not None]
        least = min(known, default=None)
        own = threshold.get(family)
        name = names[0] if len(columns) == 1 else family
        targets.append(PlasmidTarget(name, columns, least if own is None else own))
        if len(columns) > 1:
            members += [
                PlasmidTarget(member, [column], threshold.get(member))
                for member, column in zip(names, columns, strict=True)
                if member != family
            ]
    return targets, members
