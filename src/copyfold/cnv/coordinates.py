"""Genes on contigs: tables of coordinates, contig aliases, and the bins a gene lies in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from copyfold.cnv.store import Contigs
from copyfold.cnv.tables import read_table
from copyfold.errors import InputError

CONTIG_ALIASES = (
    ("NC_016845.1", "CP003200.1"),  # K. pneumoniae HS11286, chromosome
    ("NC_016846.1", "CP003224.1"),  # its plasmid pKPHS2, with blaKPC-2
)
"""Accessions of the same sequence (RefSeq, INSDC)."""

_OPTIONAL = ("absent_threshold", "family", "role", "gc")
_ROLES = ("chromosome", "plasmid")


@dataclass(frozen=True)
class Gene:
    """A gene's place on the reference.

    Attributes
    ----------
    name : str
    contig : str
    start, end : int
        0-based half-open, bp.
    absent_threshold : float or None
        PCN below which a plasmid gene counts as absent; None takes the configuration's.
    family : str or None
        Genes of one family are called together; None takes it from the name (`families.family_of`).
    gc : float or None
        Share of G and C, 0..1.
    """

    name: str
    contig: str
    start: int
    end: int
    absent_threshold: float | None = None
    family: str | None = None
    gc: float | None = None


DEFAULT_CHROMOSOMAL_PANEL = (Gene("blaSHV", "NC_016845.1", 2_549_402, 2_550_263),)
"""blaSHV of HS11286, NC_016845.1:2,549,403–2,550,263 (1-based inclusive)."""


def read_gene_table(path: Path, role: Literal["chromosome", "plasmid"] | None = None) -> tuple[Gene, ...]:
    """Read a coordinates table: gene, contig, start, end (1-based inclusive).

    Published tables call the first column call_id, too. Optional columns are absent_threshold, family, role and gc;
    further ones are ignored. A reference's genes.tsv is such a table.

    Parameters
    ----------
    path : Path
    role : {"chromosome", "plasmid"}, optional
        Leave out genes whose column ``role`` says the other one; without the column, or with other words, keep all.

    Raises
    ------
    InputError
        Names file, line, value and rule: a missing column, a coordinate that is no whole number, an interval that
        ends before it starts, a gene that stands twice, or no gene at all.
    """
    table = read_table(path, comment="#")
    name_column = "gene" if "gene" in table.columns or "call_id" not in table.columns else "call_id"
    places = [table.position(name) for name in (name_column, "contig", "start", "end")]
    optional = {name: table.columns.index(name) for name in _OPTIONAL if name in table.columns}
    genes: dict[str, Gene] = {}
    elsewhere: set[str] = set()
    for line, cells in table.rows:
        where = f"{path}: line {line}"
        name, contig, first, last = (cells[place] for place in places)
        try:
            start, end = int(first), int(last)
        except ValueError:
            raise InputError(
                f"{where}: start '{first}' and end '{last}' must be whole numbers (1-based inclusive)"
            ) from None
        if start < 1 or end < start:
            raise InputError(f"{where}: {start}–{end} is no interval; 1-based inclusive with 1 ≤ start ≤ end")
        if not name or name in genes:
            raise InputError(f"{where}: gene '{name}' is empty or stands twice; each gene needs one name and one line")
        said = {column: cells[place] for column, place in optional.items()}
        absent = _threshold(said.get("absent_threshold", ""), where)
        gc = _share(said.get("gc", ""), where)
        genes[name] = Gene(name, contig, start - 1, end, absent, said.get("family") or None, gc)
        # published tables tell what a gene does in a column of this name
        if role and said.get("role") in _ROLES and said["role"] != role:
            elsewhere.add(name)
    kept = tuple(gene for gene in genes.values() if gene.name not in elsewhere)
    if not kept:
        raise InputError(f"{path}: none of its {len(genes)} genes has the role {role}; give a table that has one")
    return kept


def _share(text: str, where: str) -> float | None:
    """A cell of column gc; published tables leave it empty or have a column of their own of this name."""
    try:
        share = float(text)
    except ValueError:
        return None
    if not 0 <= share <= 1:
        raise InputError(f"{where}: gc '{text}' must be a share from 0 to 1")
    return share


def _threshold(text: str, where: str) -> float | None:
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < np.inf:
        raise InputError(f"{where}: absent_threshold '{text}' must be a number of at least 0")
    return value


def same_contig(left: str, right: str) -> bool:
    """Whether two names are the same sequence, by name or by `CONTIG_ALIASES`."""
    return left == right or any(left in names and right in names for names in CONTIG_ALIASES)


class GeneBins(NamedTuple):
    """The bins a gene lies in.

    Attributes
    ----------
    bins : numpy.ndarray, (k,), int64
        Columns of the store that overlap the gene.
    weights : numpy.ndarray, (k,), float64
        Share of the gene's length in each; sums to 1 where bins cover the whole gene.
    contig_bins : numpy.ndarray, (m,), int64
        Every column of the gene's contig.
    """

    bins: np.ndarray
    weights: np.ndarray
    contig_bins: np.ndarray


def find_gene_bins(gene: Gene, contigs: Contigs) -> GeneBins:
    """Locate a gene among the store's bins.

    Raises
    ------
    InputError
        The store lacks the gene's contig, or the gene lies beyond its bins.
    """
    names = list(dict.fromkeys(contigs.chrom.tolist()))
    matching = [name for name in names if same_contig(name, gene.contig)]
    if not matching:
        listed = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
        raise InputError(
            f"gene {gene.name} lies on contig {gene.contig}, but the store has {listed}; "
            "give the genes of your reference with gene_coords_path"
        )
    contig_bins = np.flatnonzero(contigs.chrom == matching[0])
    overlap = np.minimum(contigs.end[contig_bins], gene.end) - np.maximum(contigs.start[contig_bins], gene.start)
    inside = overlap > 0
    if not inside.any():
        raise InputError(
            f"gene {gene.name} at {gene.start + 1}–{gene.end} lies outside the bins of {matching[0]} "
            f"(up to {contigs.end[contig_bins].max()}); check its coordinates against the reference"
        )
    return GeneBins(contig_bins[inside], overlap[inside] / (gene.end - gene.start), contig_bins)


def flank_bins(gene: Gene, found: GeneBins, contigs: Contigs, padding: int) -> np.ndarray:
    """Columns of the gene's contig that lie farther than `padding` bp from it: (m,), int64.

    Raises
    ------
    InputError
        There is none: the contig is too short for that padding.
    """
    start, end = contigs.start[found.contig_bins], contigs.end[found.contig_bins]
    flank = found.contig_bins[(end <= gene.start - padding) | (start >= gene.end + padding)]
    if not flank.size:
        raise InputError(
            f"gene {gene.name}: no bin of {gene.contig} lies farther than cnv_flank_padding = {padding} bp from it; "
            "lower cnv_flank_padding"
        )
    return flank
