"""Count and depth tables of other tools → rows of a store; one module per layout of table."""

from __future__ import annotations

from copyfold.cnv.importers.breseq import BreseqImporter, read_breseq_coverage
from copyfold.cnv.importers.columns import gene_depths, gene_weights, select_contigs
from copyfold.cnv.importers.depth import BedcovImporter, MosdepthImporter, read_bedcov, read_mosdepth
from copyfold.cnv.importers.gatk import GATK_COLUMNS, GatkImporter, read_gatk_counts
from copyfold.cnv.importers.sample import Importer, ImportSettings, Source, TableCounts

READERS: dict[str, Importer] = {
    "gatk": GatkImporter(),
    "mosdepth": MosdepthImporter(),
    "bedcov": BedcovImporter(),
    "breseq": BreseqImporter(),
}
"""Importer of each tool's tables, by the name that ``--from`` takes."""

__all__ = [
    "GATK_COLUMNS",
    "READERS",
    "ImportSettings",
    "Importer",
    "Source",
    "TableCounts",
    "gene_depths",
    "gene_weights",
    "read_bedcov",
    "read_breseq_coverage",
    "read_gatk_counts",
    "read_mosdepth",
    "select_contigs",
]
