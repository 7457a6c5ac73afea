"""The plasmid gene panel and the depth an isolate shows over it.

Contigs, intervals and thresholds are those of the published panel; near-identical alleles of a family share
reads when plasmids are counted at MAPQ ≥ 0, in the fixed pattern below.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from copyfold.cnv.simulation.settings import Plasmids
from copyfold.cnv.store import Contigs
from copyfold.errors import ConfigError

COLUMN_BIN = 1_000


@dataclass(frozen=True)
class PlasmidGene:
    """One column: 0-based half-open interval on its plasmid, the panel's threshold, GC of the allele."""

    name: str
    family: str
    contig: str
    x0: int
    x1: int
    absent_threshold: float
    gc: float


PANEL = (
    PlasmidGene("blaKPC-2", "blaKPC", "NC_016846.1", 20_556, 21_435, 0.20, 0.615),
    PlasmidGene("blaCTX-M-15", "blaCTX-M", "MK552109.1", 119_391, 120_264, 0.50, 0.549),
    PlasmidGene("blaNDM-1", "blaNDM", "MZ606384.2", 90_936, 91_746, 0.20, 0.615),
    PlasmidGene("blaCTX-M-14", "blaCTX-M", "NZ_CP031850.1", 113_508, 114_381, 1.00, 0.605),
    PlasmidGene("blaTEM-1", "blaTEM", "NZ_KX236178.1", 66_789, 67_650, 0.20, 0.491),
    PlasmidGene("qnrB1", "qnrB", "NC_016980.1", 18_420, 19_100, 0.20, 0.471),
    PlasmidGene("aac6-Ib-cr", "aac6-Ib-cr", "CP006662.2", 38_207, 38_689, 0.10, 0.539),
    PlasmidGene("blaOXA-48", "blaOXA-48-like", "JN626286.1", 5_444, 6_242, 0.20, 0.445),
    PlasmidGene("blaNDM-5", "blaNDM", "CP034201.2", 69_697, 70_263, 0.20, 0.615),
    PlasmidGene("blaOXA-181", "blaOXA-48-like", "CP113224.1", 28_839, 29_637, 0.20, 0.454),
    PlasmidGene("blaCTX-M-65", "blaCTX-M", "CP030319.1", 6_226, 7_049, 0.20, 0.605),
    PlasmidGene("blaCTX-M-27", "blaCTX-M", "CP138680.1", 183_200, 184_385, 0.20, 0.606),
)
GENES = tuple(gene.name for gene in PANEL)
FAMILIES = tuple(dict.fromkeys(gene.family for gene in PANEL))

# Where the reads of an allele (outer name) land among the columns (inner names): CTX-M-14, -27 and -65 (group
# 9) differ at a few positions and share nearly evenly, CTX-M-15 (group 1) keeps most; NDM-1 and -5 differ at
# 2 positions; OXA-48 and -181 at about 6 % of them.
READ_SPLIT: dict[str, dict[str, float]] = {
    "blaCTX-M-15": {"blaCTX-M-15": 0.91, "blaCTX-M-14": 0.03, "blaCTX-M-65": 0.03, "blaCTX-M-27": 0.03},
    "blaCTX-M-14": {"blaCTX-M-15": 0.04, "blaCTX-M-14": 0.46, "blaCTX-M-65": 0.23, "blaCTX-M-27": 0.27},
    "blaCTX-M-65": {"blaCTX-M-15": 0.04, "blaCTX-M-14": 0.25, "blaCTX-M-65": 0.46, "blaCTX-M-27": 0.25},
    "blaCTX-M-27": {"blaCTX-M-15": 0.04, "blaCTX-M-14": 0.27, "blaCTX-M-65": 0.23, "blaCTX-M-27": 0.46},
    "blaNDM-1": {"blaNDM-1": 0.60, "blaNDM-5": 0.40},
    "blaNDM-5": {"blaNDM-1": 0.40, "blaNDM-5": 0.60},
    "blaOXA-48": {"blaOXA-48": 0.85, "blaOXA-181": 0.15},
    "blaOXA-181": {"blaOXA-48": 0.15, "blaOXA-181": 0.85},
}
# Columns on which blaSHV reads go astray, as shares of them.
BLEED_SPLIT = {"blaCTX-M-15": 0.40, "blaCTX-M-14": 0.20, "blaCTX-M-65": 0.20, "blaCTX-M-27": 0.20}


def split_matrix(split: dict[str, dict[str, float]]) -> np.ndarray:
    """(n_genes, n_genes) shares: row = allele carried, column = where its reads count; rows sum to 1."""
    matrix = np.zeros((len(GENES), len(GENES)))
    for row, name in enumerate(GENES):
        for column, share in split.get(name, {name: 1.0}).items():
            matrix[row, GENES.index(column)] = share
    return matrix


SPLIT = split_matrix(READ_SPLIT)
FAMILY_GENES = np.array([[gene.family == family for gene in PANEL] for family in FAMILIES])
BLEED = np.array([BLEED_SPLIT.get(name, 0.0) for name in GENES])
GENE_GC = np.array([gene.gc for gene in PANEL])


def plasmid_contigs() -> Contigs:
    """Columns of the plasmid store: the genes' own intervals."""
    return Contigs(
        np.array([gene.contig for gene in PANEL]),
        np.array([gene.x0 for gene in PANEL], dtype=np.int64),
        np.array([gene.x1 for gene in PANEL], dtype=np.int64),
    )


def check_families(settings: Plasmids) -> None:
    """The settings must describe exactly the panel's families, with alleles the panel has.

    Raises
    ------
    ConfigError
    """
    for family in FAMILIES:
        if family not in settings.families:
            raise ConfigError(f"plasmids.families.{family} is missing; every family of the panel needs its numbers")
    for family, numbers in settings.families.items():
        if family not in FAMILIES:
            raise ConfigError(f"plasmids.families.{family} is not in the panel; its families are {', '.join(FAMILIES)}")
        members = [gene.name for gene in PANEL if gene.family == family]
        if not numbers.alleles or not set(numbers.alleles) <= set(members):
            raise ConfigError(
                f"plasmids.families.{family}.alleles is {', '.join(numbers.alleles) or 'empty'}; "
                f"it must name some of {', '.join(members)}"
            )


def draw_carriage(rng: np.random.Generator, settings: Plasmids, rates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which alleles an isolate carries and at what copy number.

    Parameters
    ----------
    rates : numpy.ndarray, (n_families,)
        Probability of each family, in the settings' order.

    Returns
    -------
    family_copies : numpy.ndarray, (n_families of the panel,)
        True copies per chromosome, 0 where absent.
    gene_copies : numpy.ndarray, (n_genes,)
        The same, standing at the allele carried.
    """
    family_copies, gene_copies = np.zeros(len(FAMILIES)), np.zeros(len(GENES))
    for rate, (family, numbers) in zip(rates, settings.families.items(), strict=True):
        present = rng.random() < rate
        copies = numbers.copies_median * np.exp(numbers.copies_log_sd * rng.standard_normal())
        copies = float(np.clip(copies, *settings.copies_range))
        names, weights = list(numbers.alleles), np.array(list(numbers.alleles.values()))
        allele = names[int(rng.choice(len(names), p=weights / weights.sum()))]
        if present:
            family_copies[FAMILIES.index(family)] = copies
            gene_copies[GENES.index(allele)] = copies
    return family_copies, gene_copies


def column_copies(
    rng: np.random.Generator, settings: Plasmids, gene_copies: np.ndarray, shv_copies: float
) -> np.ndarray:
    """Depth over each column in units of one chromosome copy: own reads, stray ones, and those of blaSHV.

    Parameters
    ----------
    gene_copies : numpy.ndarray, (n_genes,)
        Copies at the allele carried.
    shv_copies : float
        True copies of chromosomal blaSHV.

    Returns
    -------
    numpy.ndarray, (n_genes,)
    """
    stray = rng.uniform(*settings.stray_copies, size=len(FAMILIES))
    bleeds = rng.random() < settings.shv_bleed_rate
    bleed = rng.uniform(*settings.shv_bleed_share) * shv_copies * bleeds
    members = FAMILY_GENES / FAMILY_GENES.sum(axis=1, keepdims=True)
    return gene_copies @ SPLIT + stray @ members + bleed * BLEED


def column_weights() -> tuple[np.ndarray, np.ndarray]:
    """How each column is averaged over 1 kb bins of its plasmid.

    Returns
    -------
    gene : numpy.ndarray, (n_overlaps,), int64
        Column of each overlap.
    weight : numpy.ndarray, (n_overlaps,)
        Share of the gene that lies in the bin; they sum to 1 per gene.
    """
    genes, weights = [], []
    for column, gene in enumerate(PANEL):
        for bin_index in range(gene.x0 // COLUMN_BIN, (gene.x1 - 1) // COLUMN_BIN + 1):
            overlap = min(gene.x1, (bin_index + 1) * COLUMN_BIN) - max(gene.x0, bin_index * COLUMN_BIN)
            genes.append(column)
            weights.append(overlap / (gene.x1 - gene.x0))
    return np.array(genes, dtype=np.int64), np.array(weights)
