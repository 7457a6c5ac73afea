"""``10_count_caller``: copies of chromosomal genes with an interval and a quality, by the count model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from copyfold.cnv.bin_table import BinTable
from copyfold.cnv.callers import GeneCalls, GeneCnvCaller, PlasmidTarget, SegmentedDepths
from copyfold.cnv.config import CnvConfig
from copyfold.cnv.coordinates import Gene, find_gene_bins
from copyfold.cnv.count_segmenter import sample_dispersion
from copyfold.cnv.countmodel import call_genes
from copyfold.cnv.inputs import CnvInputs
from copyfold.cnv.models.count_model import load_count_model
from copyfold.cnv.plasmid_panel import call_panel

PASS = "PASS"


class CountCaller:
    """The registered caller ``10_count_caller``.

    Parameters
    ----------
    bins : BinTable
    config : CnvConfig
        Its ``pcn_*`` keys, for plasmid genes.
    checkpoint : Path
        Of architecture ``10_count_model``.
    """

    def __init__(self, bins: BinTable, config: CnvConfig, checkpoint: Path) -> None:
        self.contigs = bins.contigs
        self.model = load_count_model(checkpoint, len(bins))
        self.plasmids = GeneCnvCaller(bins, config, checkpoint)
        self.config = config

    def call_chromosomal(self, gene: Gene, batch: SegmentedDepths) -> GeneCalls:
        """Call one gene in a batch of samples.

        The ratio is that of reads to reads expected at one copy, over the bins of the gene's event; it needs no flank.

        Raises
        ------
        InputError
            The store lacks the gene's contig or place.
        """
        depths = batch.depths
        found = find_gene_bins(gene, self.contigs)
        genes = call_genes(depths.counts, depths.expected, sample_dispersion(depths), self.model, [found])
        mixed = genes.mixed[:, 0]
        columns = {
            "lower": genes.lower[:, 0],
            "upper": genes.upper[:, 0],
            "copies": genes.copies[:, 0],
            "quality": np.round(genes.quality[:, 0], 1),
            "mixed": mixed.astype(np.int8),
            "filter": np.where(genes.reason[:, 0] == "", PASS, genes.reason[:, 0]),
        }
        return GeneCalls(genes.cn[:, 0].astype(np.int64), genes.depth_ratio[:, 0].astype(np.float64), columns)

    def call_plasmids(
        self,
        inputs: CnvInputs,
        depth: np.ndarray,
        targets: Sequence[PlasmidTarget],
        chromosomal: pd.DataFrame,
        run: Path,
        trained_elsewhere: bool,
    ) -> dict[str, GeneCalls]:
        """Call all plasmid genes and families; see `copyfold.cnv.plasmid_panel.call_panel`."""
        return call_panel(
            inputs,
            depth,
            targets,
            chromosomal,
            run,
            bins_path=self.config.bins_path,
            amplified_from=self.config.pcn_amp_threshold,
            trained_elsewhere=trained_elsewhere,
        )

    def call_plasmid(self, depth: np.ndarray, medians: np.ndarray, absent_threshold: float | None) -> GeneCalls:
        """PCN of one member of a family, as ``06_gene_cnv_caller`` has it."""
        return self.plasmids.call_plasmid(depth, medians, absent_threshold)
