"""Genes of an annotation: GFF3 and GenBank flat files, as far as names and places go."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple
from urllib.parse import unquote

from copyfold.cnv.tables import is_whole
from copyfold.errors import InputError

_GENBANK_FEATURE = re.compile(r"^ {5}(\S+) +(\S.*)$")
_GENBANK_QUALIFIER = re.compile(r'^ {21}/(\w+)="?([^"]*)')
_RANGE = re.compile(r"[<>]?(\d+)(?:(?:\.\.|\.|\^)[<>]?(\d+))?")


class Feature(NamedTuple):
    """A gene of an annotation.

    Attributes
    ----------
    gene : str
    contigs : tuple of str
        Names that the annotation has for the sequence, best first.
    start, end : int
        0-based half-open, bp; a joined feature's from its first to its last base.
    strand : str
        ``+``, ``-`` or ``.``.
    """

    gene: str
    contigs: tuple[str, ...]
    start: int
    end: int
    strand: str


class Annotation(NamedTuple):
    """Genes, and what was passed over, in words."""

    features: tuple[Feature, ...]
    notes: tuple[str, ...]


GeneFormat = Literal["fasta", "gff", "genbank", "table"]


def gene_format(data: bytes) -> GeneFormat:
    """Which of the four forms of gene files a text is; a table of coordinates if it is none of the others."""
    head = data.removeprefix(b"\xef\xbb\xbf").lstrip()[:4000]
    if head.startswith(b">"):
        return "fasta"
    if head.startswith(b"LOCUS "):
        return "genbank"
    if head.lower().startswith(b"##gff"):
        return "gff"
    rows = [line.split(b"\t") for line in head.splitlines() if line and not line.startswith(b"#")]
    if rows and len(rows[0]) == 9 and is_whole(rows[0][3]) and is_whole(rows[0][4]):
        return "gff"
    return "table"


def parse_annotation(data: bytes, form: Literal["gff", "genbank"], path: Path) -> Annotation:
    """Genes of an annotation's bytes, in one of the forms that `gene_format` tells.

    Raises
    ------
    InputError
        Not UTF-8, or not of this form; the message names `path`.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: byte 0x{data[error.start]:02x} is not UTF-8; save the file as UTF-8") from None
    return parse_gff3(text, path) if form == "gff" else parse_genbank(text, path)


class _Row(NamedTuple):
    kind: str
    feature: Feature
    id: str
    parent: str
    locus_tag: str


def parse_gff3(text: str, path: Path) -> Annotation:
    """Genes of a GFF3 text.

    ``gene`` and ``pseudogene`` features are taken, and those ``CDS`` features that belong to none of them (by
    ``Parent``, by ``locus_tag`` or by the same place). The name is the first that is there of ``gene``, ``Name``,
    ``locus_tag``, ``ID``; for CDS, whose Name is often a protein's, ``locus_tag`` comes before ``Name``. CDS lines
    of one ID are joined.

    Raises
    ------
    InputError
        With the line: not nine columns, or places that are none.
    """
    rows: list[_Row] = []
    genes: set[str] = set()
    unnamed = 0
    for line, raw in enumerate(text.splitlines(), 1):
        if raw.startswith("##FASTA") or raw.startswith(">"):
            break
        if not raw.strip() or raw.startswith("#"):
            continue
        cells = raw.split("\t")
        if len(cells) != 9:
            raise InputError(f"{path}: line {line}: {len(cells)} columns; GFF3 has 9, separated by tabs")
        contig, _, kind, first, last, _, strand, _, written = cells
        if not (is_whole(first) and is_whole(last) and 1 <= int(first) <= int(last)):
            raise InputError(f"{path}: line {line}: {first}–{last} is no interval; 1-based with 1 ≤ start ≤ end")
        attributes = _gff_attributes(written)
        own_id, parent = attributes.get("ID", ""), attributes.get("Parent", "")
        if kind in ("gene", "pseudogene") or genes.intersection(parent.split(",")):
            genes.add(own_id)
        if kind not in ("gene", "pseudogene", "CDS"):
            continue
        keys = ("gene", "locus_tag", "Name", "ID") if kind == "CDS" else ("gene", "Name", "locus_tag", "ID")
        name = next((attributes[key] for key in keys if attributes.get(key)), "")
        unnamed += not name
        feature = Feature(name, (unquote(contig),), int(first) - 1, int(last), strand if strand in "+-" else ".")
        rows.append(_Row("CDS" if kind == "CDS" else "gene", feature, own_id, parent, attributes.get("locus_tag", "")))
    genes.discard("")
    features = _one_per_gene(_join_cds(rows), genes)
    return Annotation(tuple(features), _unnamed_note(unnamed))


def _gff_attributes(written: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in written.split(";"))
    return {key.strip(): " ".join(unquote(value).split()) for key, _, value in pairs if value}


def _join_cds(rows: Iterable[_Row]) -> list[_Row]:
    """Rows with the CDS lines of one ID made one."""
    joined: dict[object, _Row] = {}
    for number, row in enumerate(rows):
        key: object = (row.feature.contigs, row.id) if row.kind == "CDS" and row.id else number
        if key in joined:
            known = joined[key].feature
            start, end = min(known.start, row.feature.start), max(known.end, row.feature.end)
            joined[key] = row._replace(feature=known._replace(start=start, end=end))
        else:
            joined[key] = row
    return list(joined.values())


def _one_per_gene(rows: list[_Row], gene_ids: set[str]) -> Iterator[Feature]:
    """Gene features, then in their order the CDS that belong to no gene feature; unnamed ones fall out."""
    places = {row.feature[1:] for row in rows if row.kind == "gene"}
    tags = {(row.feature.contigs, row.locus_tag) for row in rows if row.kind == "gene" and row.locus_tag}
    for row in rows:
        if not row.feature.gene:
            continue
        if row.kind == "CDS":
            has_gene = gene_ids.intersection(row.parent.split(",")) or row.feature[1:] in places
            if has_gene or (row.feature.contigs, row.locus_tag) in tags:
                continue
        yield row.feature


def parse_genbank(text: str, path: Path) -> Annotation:
    """Genes of a GenBank text of one or several records; the sequence may be missing.

    ``gene`` features are taken, and ``CDS`` features that share neither place nor locus tag with one. The name is
    ``/gene``, or else ``/locus_tag``. ``join`` and ``order`` reach from the first to the last base; one that crosses
    the origin of a circular sequence, or lies in part on another record, is passed over and noted.

    Raises
    ------
    InputError
        With the line: a record without LOCUS, or a location without a number.
    """
    features: list[Feature] = []
    notes: list[str] = []
    unnamed = 0
    for record in _genbank_records(text, path):
        rows: list[_Row] = []
        for line, kind, location, qualifiers in record.features:
            tag = qualifiers.get("locus_tag", "")
            name = qualifiers.get("gene") or tag
            unnamed += not name
            place = _genbank_place("".join(location), record.length, f"{path}: line {line}")
            if isinstance(place, str):
                notes.append(f"{name or kind} {place}")
            else:
                rows.append(_Row(kind, Feature(name, record.contigs, *place), "", "", tag))
        features += _one_per_gene(rows, set())
    return Annotation(tuple(features), (*dict.fromkeys(notes), *_unnamed_note(unnamed)))


class _GenBankFeature(NamedTuple):
    line: int
    kind: str
    location: list[str]
    qualifiers: dict[str, str]


class _GenBankRecord(NamedTuple):
    names: dict[str, str]
    length: int
    features: list[_GenBankFeature]

    @property
    def contigs(self) -> tuple[str, ...]:
        names = [self.names.get(key, "") for key in ("VERSION", "ACCESSION", "LOCUS")]
        return tuple(dict.fromkeys(filter(None, names))) or ("?",)


def _genbank_records(text: str, path: Path) -> list[_GenBankRecord]:
    """Records with their gene and CDS features; of a qualifier the first line is kept."""
    records: list[_GenBankRecord] = []
    in_features = ended = False
    for line, raw in enumerate(text.splitlines(), 1):
        key, _, value = raw.partition(" ")
        if key == "LOCUS":
            length = re.search(r" (\d+) bp", raw)
            records.append(_GenBankRecord({"LOCUS": (value.split() or [""])[0]}, int(length[1]) if length else 0, []))
            in_features = ended = False
        elif key and (not records or (ended and key.isupper())):
            raise InputError(f"{path}: line {line}: {key} without LOCUS; a GenBank record begins with LOCUS")
        elif key:
            in_features, ended = key == "FEATURES", key == "//"
            if key in ("ACCESSION", "VERSION"):
                records[-1].names[key] = (value.split() or [""])[0]
        elif in_features:
            _add_genbank_line(records[-1].features, line, raw)
    return [
        record._replace(features=[feature for feature in record.features if feature.kind in ("gene", "CDS")])
        for record in records
    ]


def _add_genbank_line(features: list[_GenBankFeature], line: int, raw: str) -> None:
    """A line below FEATURES: a new feature, a qualifier of the last one, or more of its location."""
    if match := _GENBANK_FEATURE.match(raw):
        features.append(_GenBankFeature(line, match[1], [match[2].strip()], {}))
    elif features and (match := _GENBANK_QUALIFIER.match(raw)):
        features[-1].qualifiers.setdefault(match[1], " ".join(match[2].split()))
    elif features and not features[-1].qualifiers:
        features[-1].location.append(raw.strip())


def _genbank_place(location: str, length: int, where: str) -> tuple[int, int, str] | str:
    """Start, end (0-based half-open) and strand of a location; or why it has none."""
    if ":" in location:
        return "lies in part on another record; left out"
    numbers = [(first, last or first) for first, last in _RANGE.findall(location)]
    parts = [(int(first), int(last)) for first, last in numbers if is_whole(first) and is_whole(last)]
    if not parts or len(parts) < len(numbers):
        raise InputError(f"{where}: location '{location}' holds no place; write it as GenBank does, 1..900")
    start, end = min(first for first, _ in parts), max(last for _, last in parts)
    if start < 1 or any(last < first for first, last in parts):
        raise InputError(f"{where}: location '{location}' is no interval; 1-based with 1 ≤ start ≤ end")
    if len(parts) > 1 and start == 1 and end == length:
        return "crosses the origin; left out"
    return start - 1, end, "-" if "complement" in location else "+"


def _unnamed_note(unnamed: int) -> tuple[str, ...]:
    return (f"{unnamed} gene or CDS features without a name left out",) if unnamed else ()
