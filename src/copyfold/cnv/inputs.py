"""Everything that a copy-number run reads, opened and checked before any work begins."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from copyfold.cnv.bin_table import BinTable, read_bin_table
from copyfold.cnv.config import CnvConfig
from copyfold.cnv.coordinates import DEFAULT_CHROMOSOMAL_PANEL, Gene, find_gene_bins, flank_bins, read_gene_table
from copyfold.cnv.plugins import REGISTRIES
from copyfold.cnv.store import Store, check_ordered, open_store
from copyfold.cnv.truth import GroundTruth, read_ground_truth
from copyfold.errors import InputError


@dataclass(frozen=True)
class CnvInputs:
    """Everything a run reads, opened and checked before any work begins.

    Attributes
    ----------
    store : Store
    bins : BinTable
        Columns of the store, with what ``bins_path`` says of them.
    medians : numpy.ndarray, (n_samples,), float64
        Median reads per bin of each sample.
    plasmid_store : Store or None
    plasmid_columns : numpy.ndarray or None, (n_columns,), str
        Gene or family of each column of the plasmid store.
    genes, plasmid_genes : tuple of Gene
    truth : GroundTruth or None
    """

    store: Store
    bins: BinTable
    medians: np.ndarray
    plasmid_store: Store | None
    plasmid_columns: np.ndarray | None
    genes: tuple[Gene, ...]
    plasmid_genes: tuple[Gene, ...]
    truth: GroundTruth | None

    @property
    def has_depth(self) -> np.ndarray:
        """Samples whose median bin has a read: (n_samples,), bool. The others train nothing and are called −1."""
        return self.medians >= 1.0


def load_inputs(config: CnvConfig, *, least_samples: int = 2) -> CnvInputs:
    """Open and check every input of a run; training needs two samples with depth, calling one.

    Raises
    ------
    InputError
        The first thing that is wrong, with the way out.
    """
    for kind, registry in REGISTRIES.items():
        registry.resolve(getattr(config, kind))
    store = open_store(config.store_path)
    check_ordered(store.contigs, store.path)
    bins = BinTable(store.contigs)
    if config.bins_path:
        bins = read_bin_table(config.bins_path, store.contigs)
    genes = DEFAULT_CHROMOSOMAL_PANEL
    if config.gene_coords_path:
        genes = read_gene_table(config.gene_coords_path, "chromosome")
    for gene in genes:
        flank_bins(gene, find_gene_bins(gene, store.contigs), store.contigs, config.cnv_flank_padding)
    plasmid_store = open_store(config.plasmid_store_path) if config.plasmid_store_path else None
    if plasmid_store is not None and not np.isin(plasmid_store.sample_ids, store.sample_ids).any():
        raise InputError(
            f"{plasmid_store.path}: no sample in common with {store.path} (it has {plasmid_store.sample_ids[0]}, …, "
            f"the other {store.sample_ids[0]}, …); build both stores from the same samples"
        )
    plasmid_genes: tuple[Gene, ...] = ()
    if config.plasmid_gene_coords_path:
        plasmid_genes = read_gene_table(config.plasmid_gene_coords_path, "plasmid")
    truth = None
    if config.kpsc_gt_path:
        truth = read_ground_truth(config.kpsc_gt_path, config.kpsc_kleborate_gt_path, config.kpsc_meta_path)
        truth.check_shared(store.sample_ids.tolist())
    medians = store.medians()
    if (medians >= 1.0).sum() < least_samples:
        raise InputError(
            f"{store.path}: {int((medians >= 1.0).sum())} of {store.n_samples} samples have a median of at least one "
            f"read per bin; {least_samples} are needed — check that the counts are those of the chromosome"
        )
    columns = None if plasmid_store is None else _plasmid_columns(plasmid_store, plasmid_genes)
    return CnvInputs(store, bins, medians, plasmid_store, columns, genes, plasmid_genes, truth)


def _plasmid_columns(store: Store, genes: tuple[Gene, ...]) -> np.ndarray:
    """Gene of each column: genes.npy, or else the coordinates table by place."""
    if store.genes is not None:
        return store.genes
    place = {(gene.contig, gene.start, gene.end): gene.name for gene in genes}
    columns = zip(store.contigs.chrom.tolist(), store.contigs.start.tolist(), store.contigs.end.tolist(), strict=True)
    try:
        return np.array([place[column] for column in columns])
    except KeyError as error:
        chrom, start, end = error.args[0]
        raise InputError(
            f"{store.path}: has no genes.npy, and plasmid_gene_coords_path names no gene at "
            f"{chrom}:{start + 1}–{end}; add genes.npy or the gene's line"
        ) from None
