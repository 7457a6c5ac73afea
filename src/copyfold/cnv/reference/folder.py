"""The reference folder: what is in it, written once and read back with its digests checked.

The contract is docs/formats/reference.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from copyfold.cnv.coordinates import Gene
from copyfold.cnv.store import Contigs
from copyfold.cnv.tables import Table, read_table
from copyfold.core.files import file_digest, read_json, write_json, write_text
from copyfold.errors import InputError

REFERENCE_FORMAT = "copyfold-reference/1"
FASTA_NAME = "reference.fa"
TABLES = ("contigs.tsv", "bins.tsv", "genes.tsv", "families.tsv")
_COLUMNS = {
    "contigs.tsv": ("contig", "length", "kind", "md5", "aliases"),
    "bins.tsv": ("contig", "start", "end", "gc", "mappability", "kind"),
    "genes.tsv": (
        *("gene", "contig", "start", "end", "strand"),
        *("identity", "coverage", "family", "role", "absent_threshold"),
    ),
}


class ReferenceContig(NamedTuple):
    """A sequence of the reference.

    Attributes
    ----------
    name : str
    length : int
        bp.
    kind : str
        ``chromosome`` or ``plasmid``.
    md5 : str
        Of the upper-case sequence, as M5 in SAM and CRAM headers.
    aliases : tuple of str
    """

    name: str
    length: int
    kind: str
    md5: str
    aliases: tuple[str, ...]


class ReferenceGene(NamedTuple):
    """A gene's place on the reference, and how it was found.

    Attributes
    ----------
    name : str
        Unique in the reference.
    contig : str
    start, end : int
        0-based half-open, bp.
    strand : str
        ``+``, ``-``, or ``.`` where it is not known.
    identity, coverage : float
        0..1; NaN where coordinates were given.
    family : str
    role : str
        ``chromosome`` or ``plasmid``: what its contig is.
    absent_threshold : float or None
        PCN below which a plasmid gene counts as absent; None takes the configuration's.
    """

    name: str
    contig: str
    start: int
    end: int
    strand: str
    identity: float
    coverage: float
    family: str
    role: str
    absent_threshold: float | None

    @property
    def gene(self) -> Gene:
        """The place alone, as counting and calling take it."""
        return Gene(self.name, self.contig, self.start, self.end, self.absent_threshold, self.family)


@dataclass(frozen=True, eq=False)
class Reference:
    """A reference, opened.

    Attributes
    ----------
    path : Path
    contigs : tuple of ReferenceContig
        Chromosomes first.
    bins : Contigs
        0-based half-open, in the order of `contigs`.
    gc : numpy.ndarray, (n_bins,), float64
        Share of G and C, 0..1; NaN where a bin holds no A, C, G or T.
    mappability : numpy.ndarray, (n_bins,), float64
        0..1.
    kinds : numpy.ndarray, (n_bins,), str
        ``chromosome`` or ``plasmid``.
    genes : tuple of ReferenceGene
    bin_size : int
        bp.
    parameters : dict
        What the reference was built with.
    """

    path: Path
    contigs: tuple[ReferenceContig, ...]
    bins: Contigs
    gc: np.ndarray
    mappability: np.ndarray
    kinds: np.ndarray
    genes: tuple[ReferenceGene, ...]
    bin_size: int
    parameters: dict[str, Any]

    @property
    def fasta(self) -> Path:
        """The sequences, upper case, contigs in the order of `contigs`."""
        return self.path / FASTA_NAME

    @property
    def digest(self) -> str:
        """SHA-256 of ``reference.json``, which holds those of all tables: equal for equal references."""
        return file_digest(self.path / "reference.json")

    @property
    def families(self) -> dict[str, tuple[str, ...]]:
        """Names of the genes of each family, in the order of `genes`."""
        return group_families(self.genes)

    def find_contig(self, name: str) -> ReferenceContig | None:
        """The contig of this name or alias, if there is one."""
        return find_contig(name, self.contigs)


def find_contig(name: str, contigs: Sequence[ReferenceContig]) -> ReferenceContig | None:
    """The contig of this name or alias, or of this accession without its version; None if there is none."""
    for contig in contigs:
        if name == contig.name or name in contig.aliases:
            return contig
    if "." not in name:
        same = [c for c in contigs if name in (known.rpartition(".")[0] for known in (c.name, *c.aliases))]
        return same[0] if len(same) == 1 else None
    return None


def group_families(genes: Sequence[ReferenceGene]) -> dict[str, tuple[str, ...]]:
    """Names of the genes of each family, both in the order of `genes`."""
    families: dict[str, tuple[str, ...]] = {}
    for gene in genes:
        families[gene.family] = (*families.get(gene.family, ()), gene.name)
    return families


def write_tables(
    folder: Path,
    contigs: Sequence[ReferenceContig],
    bins: Contigs,
    gc: np.ndarray,
    mappability: np.ndarray,
    genes: Sequence[ReferenceGene],
    manifest: dict[str, Any],
) -> None:
    """Write everything but ``reference.fa``, which is there already, and ``reference.json`` last.

    Parameters
    ----------
    folder : Path
        Holds ``reference.fa``; an atomic folder in the making.
    contigs, bins, gc, mappability, genes
        As in `Reference`.
    manifest : dict
        Keys that stand in ``reference.json`` beside the format and the digests.
    """
    kinds = {contig.name: contig.kind for contig in contigs}
    rows: dict[str, list[tuple[object, ...]]] = {
        "contigs.tsv": [(*contig[:4], ",".join(contig.aliases)) for contig in contigs],
        "bins.tsv": [
            (chrom, start + 1, end, _share(gc_value), _share(unique), kinds[chrom])
            for chrom, start, end, gc_value, unique in zip(
                bins.chrom.tolist(), bins.start.tolist(), bins.end.tolist(), gc, mappability, strict=True
            )
        ],
        "genes.tsv": [_gene_row(gene) for gene in genes],
    }
    for name, columns in _COLUMNS.items():
        write_text(folder / name, _table_text(columns, rows[name]))
    members = [(family, ",".join(names)) for family, names in group_families(genes).items()]
    write_text(folder / "families.tsv", _table_text(("family", "members"), members))
    digests = {name: file_digest(folder / name) for name in (FASTA_NAME, *TABLES)}
    write_json(folder / "reference.json", {"format": REFERENCE_FORMAT, **manifest, "digests": digests})


def _gene_row(gene: ReferenceGene) -> tuple[object, ...]:
    threshold = "" if gene.absent_threshold is None else f"{gene.absent_threshold:g}"
    shares = (_share(gene.identity), _share(gene.coverage))
    return (gene.name, gene.contig, gene.start + 1, gene.end, gene.strand, *shares, gene.family, gene.role, threshold)


def _share(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.4f}"


def _table_text(columns: Sequence[str], rows: Sequence[tuple[object, ...]]) -> str:
    return "".join("\t".join(map(str, row)) + "\n" for row in (columns, *rows))


def read_reference(path: Path) -> Reference:
    """Open a reference folder.

    Raises
    ------
    InputError
        Not a reference, of another format, a file is missing or is not as it was written.
    """
    path = Path(path)
    if not (path / "reference.json").is_file():
        raise InputError(f"{path}: no reference.json; make a reference with `copyfold cnv reference build`")
    manifest = read_json(path / "reference.json")
    found = manifest.get("format") if isinstance(manifest, dict) else None
    if found != REFERENCE_FORMAT:
        raise InputError(f"{path}: is of format {found}; this version of copyfold reads {REFERENCE_FORMAT}")
    _check_digests(path, manifest)
    contigs, genes = (_read(path, name) for name in ("contigs.tsv", "genes.tsv"))
    bins = _read_columns(path, "bins.tsv")
    try:
        reference = Reference(
            path,
            tuple(_contig(row) for row in contigs),
            Contigs(
                np.array(bins["contig"]),
                np.array(list(map(int, bins["start"])), np.int64) - 1,
                np.array(list(map(int, bins["end"])), np.int64),
            ),
            _shares(bins["gc"]),
            _shares(bins["mappability"]),
            np.array(bins["kind"]),
            tuple(_gene(row) for row in genes),
            int(manifest["bin_size"]),
            dict(manifest["parameters"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise InputError(f"{path}: a table or reference.json is damaged ({error}); build the reference again") from None
    for gene in reference.genes:
        if reference.find_contig(gene.contig) is None:
            raise InputError(
                f"{path / 'genes.tsv'}: {gene.name} lies on {gene.contig}, which is no contig of the reference; "
                "build the reference again"
            )
    return reference


def _check_digests(path: Path, manifest: dict[str, Any]) -> None:
    digests = manifest.get("digests")
    for name in (FASTA_NAME, *TABLES):
        if not (path / name).is_file():
            raise InputError(f"{path / name}: is missing; build the reference again")
        if not isinstance(digests, dict) or file_digest(path / name) != digests.get(name):
            raise InputError(
                f"{path / name}: is not as it was written; do not edit a reference, build it again "
                "(genes.tsv, edited, may be given as --genes)"
            )


def _open_table(path: Path, name: str) -> Table:
    table = read_table(path / name, may_be_empty=name == "genes.tsv")
    if missing := [column for column in _COLUMNS[name] if column not in table.columns]:
        raise InputError(f"{path / name}: no column {missing[0]}; build the reference again")
    return table


def _read(path: Path, name: str) -> list[dict[str, str]]:
    table = _open_table(path, name)
    return [dict(zip(table.columns, cells, strict=True)) for _, cells in table.rows]


def _read_columns(path: Path, name: str) -> dict[str, tuple[str, ...]]:
    table = _open_table(path, name)
    return dict(zip(table.columns, zip(*(cells for _, cells in table.rows), strict=True), strict=True))


def _shares(cells: Sequence[str]) -> np.ndarray:
    return np.array([float(cell or "nan") for cell in cells])


def _contig(row: Mapping[str, str]) -> ReferenceContig:
    aliases = tuple(alias for alias in row["aliases"].split(",") if alias)
    return ReferenceContig(row["contig"], int(row["length"]), row["kind"], row["md5"], aliases)


def _gene(row: Mapping[str, str]) -> ReferenceGene:
    identity, coverage = float(row["identity"] or "nan"), float(row["coverage"] or "nan")
    threshold = float(row["absent_threshold"]) if row["absent_threshold"] else None
    start, end = int(row["start"]) - 1, int(row["end"])
    place = (row["gene"], row["contig"], start, end, row["strand"])
    return ReferenceGene(*place, identity, coverage, row["family"], row["role"], threshold)
