"""The parts of a reference, put together: contigs, names, places of genes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np

from copyfold.cnv.coordinates import CONTIG_ALIASES, Gene
from copyfold.cnv.families import family_of
from copyfold.cnv.reference.annotation import Feature
from copyfold.cnv.reference.bins import gc_share
from copyfold.cnv.reference.fasta import FastaRecord
from copyfold.cnv.reference.folder import ReferenceContig, ReferenceGene, find_contig
from copyfold.cnv.reference.gene_search import GeneHit
from copyfold.cnv.store import Contigs
from copyfold.errors import InputError

_SAM_NAME = re.compile(r"[0-9A-Za-z!#$%&+./:;?@^_|~-][0-9A-Za-z!#$%&*+./:;=?@^_|~-]*")


def aliases_of(name: str) -> tuple[str, ...]:
    """Other names of a contig: the same sequence's accession elsewhere, and the accession inside NCBI's long form.

    ``gi|87159884|ref|NC_007793.1|`` has the alias ``NC_007793.1``.
    """
    fields = name.split("|")
    inside = [field for database, field in pairwise(fields) if database in ("ref", "gb", "emb")]
    known = [name, *inside]
    elsewhere = [other for pair in CONTIG_ALIASES for other in pair if set(pair) & set(known)]
    return tuple(dict.fromkeys(other for other in (*inside, *elsewhere) if other and other != name))


def describe_contig(record: FastaRecord, kind: str) -> ReferenceContig:
    """A contig's line: its MD5 is that of the upper-case sequence, the M5 of SAM and CRAM headers.

    Raises
    ------
    InputError
        SAM does not allow the name.
    """
    if not _SAM_NAME.fullmatch(record.name):
        raise InputError(
            f"contig '{record.name}': SAM does not allow this name; use letters, digits and _ . : | -, no brackets, "
            "quotes or commas"
        )
    digest = hashlib.md5(record.sequence, usedforsecurity=False).hexdigest()
    return ReferenceContig(record.name, len(record.sequence), kind, digest, aliases_of(record.name))


def order_contigs(
    chromosome_file: Sequence[FastaRecord], plasmids: Iterable[FastaRecord], chromosome_contigs: Sequence[str]
) -> tuple[list[FastaRecord], list[ReferenceContig]]:
    """Contigs of a reference: chromosomes first, then the other records as they come.

    Parameters
    ----------
    chromosome_file : sequence of FastaRecord
        The longest is the chromosome, unless `chromosome_contigs` names others; what is left are plasmids.
    plasmids : iterable of FastaRecord
    chromosome_contigs : sequence of str
        Names or aliases of records of `chromosome_file`.

    Raises
    ------
    InputError
        A name matches no record, two contigs have one name, alias or sequence, or a name that SAM does not allow.
    """
    chosen = [max(chromosome_file, key=lambda record: len(record.sequence)).name]
    if chromosome_contigs:
        known = [describe_contig(record, "chromosome") for record in chromosome_file]
        chosen = []
        for wanted in chromosome_contigs:
            found = find_contig(wanted, known)
            if found is None:
                listed = ", ".join(record.name for record in chromosome_file[:8])
                raise InputError(f"--chromosome-contig {wanted}: the file has {listed}; name one of them")
            chosen.append(found.name)
    chromosomes = [record for record in chromosome_file if record.name in chosen]
    others = [record for record in chromosome_file if record.name not in chosen]
    records = [*chromosomes, *others, *plasmids]
    contigs = [
        describe_contig(record, "chromosome" if number < len(chromosomes) else "plasmid")
        for number, record in enumerate(records)
    ]
    names: dict[str, str] = {}
    digests: dict[str, str] = {}
    for contig in contigs:
        for name in (contig.name, *contig.aliases):
            if name in names:
                raise InputError(
                    f"contigs {names[name]} and {contig.name} are the same by name ({name}); give each sequence once"
                )
        for name in (contig.name, *contig.aliases):
            names[name] = contig.name
        if contig.md5 in digests:
            raise InputError(
                f"contigs {digests[contig.md5]} and {contig.name} have the same sequence, so no read could be placed "
                "on either; give it once"
            )
        digests[contig.md5] = contig.name
    return records, contigs


def gc_of_bins(records: Sequence[FastaRecord], bins: Contigs) -> np.ndarray:
    """GC share of every bin, (n_bins,), float64; NaN where a bin holds no A, C, G or T."""
    edges = bins.chain_starts
    return np.concatenate(
        [
            gc_share(record.sequence, bins.start[first:last])
            for record, first, last in zip(records, edges[:-1], edges[1:], strict=True)
        ]
    )


def unique_names(names: Sequence[str]) -> list[str]:
    """Names with ``_2``, ``_3``, … behind those that stood before; the first keeps the plain name.

    A number whose name is taken by another gene is passed over.
    """
    plain = set(names)
    given: set[str] = set()
    counts: dict[str, int] = {}
    unique = []
    for name in names:
        number = counts.get(name, 0) + 1
        candidate = name if number == 1 else f"{name}_{number}"
        while candidate in given or (number > 1 and candidate in plain):
            number += 1
            candidate = f"{name}_{number}"
        counts[name] = number
        given.add(candidate)
        unique.append(candidate)
    return unique


def genes_from_hits(hits: Sequence[GeneHit], contigs: Sequence[ReferenceContig]) -> list[ReferenceGene]:
    """Genes of a search, in its order, under unique names."""
    kinds = {contig.name: contig.kind for contig in contigs}
    return [
        ReferenceGene(
            name,
            hit.contig,
            hit.start,
            hit.end,
            hit.strand,
            hit.identity,
            hit.coverage,
            family_of(hit.gene),
            kinds[hit.contig],
            None,
        )
        for name, hit in zip(unique_names([hit.gene for hit in hits]), hits, strict=True)
    ]


def place_table(genes: Sequence[Gene], contigs: Sequence[ReferenceContig]) -> tuple[list[ReferenceGene], list[str]]:
    """Genes of a table of coordinates, and those whose contig the reference lacks, in words.

    Parameters
    ----------
    genes : sequence of Gene
        Where a gene's family is not said, `family_of` says it.
    contigs : sequence of ReferenceContig

    Raises
    ------
    InputError
        A gene ends behind its contig, or no gene's contig is in the reference.
    """
    features = [Feature(gene.name, (gene.contig,), gene.start, gene.end, ".") for gene in genes]
    placed, notes = place_features(features, contigs, circular=False)
    said = {gene.name: gene for gene in genes}
    return [
        gene._replace(absent_threshold=said[gene.name].absent_threshold, family=said[gene.name].family or gene.family)
        for gene in placed
    ], notes


def place_features(
    features: Sequence[Feature], contigs: Sequence[ReferenceContig], *, circular: bool = True
) -> tuple[list[ReferenceGene], list[str]]:
    """Genes of an annotation on the reference's contigs, under unique names; and what was left out, in words.

    Parameters
    ----------
    features : sequence of Feature
    contigs : sequence of ReferenceContig
    circular : bool
        A gene that begins before its contig's end and ends behind it crosses the origin, as GFF3 writes it, and is
        left out; otherwise it is a mistake.

    Raises
    ------
    InputError
        A gene lies behind its contig's end, or no gene's contig is in the reference.
    """
    order = {contig.name: number for number, contig in enumerate(contigs)}
    places: list[tuple[Feature, ReferenceContig]] = []
    notes: list[str] = []
    elsewhere: list[tuple[str, str]] = []
    for feature in features:
        contig = next((found for name in feature.contigs if (found := find_contig(name, contigs))), None)
        if contig is None:
            elsewhere.append((feature.gene, feature.contigs[0]))
        elif feature.end > contig.length and circular and feature.start < contig.length:
            notes.append(f"{feature.gene} crosses the origin of {contig.name}; left out")
        elif feature.end > contig.length:
            raise InputError(
                f"gene {feature.gene} ends at {feature.end}, but {contig.name} is {contig.length} bp long; "
                "give genes of this very sequence, or their sequences as FASTA"
            )
        else:
            places.append((feature, contig))
    if elsewhere and not places:
        theirs = _some(dict.fromkeys(contig for _, contig in elsewhere))
        raise InputError(
            f"no gene lies on this reference: the genes' contigs are {theirs}, the reference has {_some(order)}; "
            "rename the contigs, or give the genes' sequences as FASTA"
        )
    if elsewhere:
        listed = _some(f"{gene} ({contig})" for gene, contig in elsewhere)
        notes.append(f"left out, for their contigs are not in the reference: {listed}")
    places.sort(key=lambda place: (order[place[1].name], place[0].start, place[0].end))
    names = unique_names([feature.gene for feature, _ in places])
    genes = [
        ReferenceGene(
            name,
            contig.name,
            feature.start,
            feature.end,
            feature.strand,
            np.nan,
            np.nan,
            family_of(feature.gene),
            contig.kind,
            None,
        )
        for name, (feature, contig) in zip(names, places, strict=True)
    ]
    return genes, notes


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:8]) + (f", … ({len(listed)} in all)" if len(listed) > 8 else "")
