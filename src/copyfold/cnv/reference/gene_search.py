"""Where genes lie on a reference, found by aligning their sequences: all places, on both strands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import mappy
import numpy as np

from copyfold.cnv.families import family_of
from copyfold.cnv.reference.fasta import FastaRecord, gene_name, reverse_complement

LONGEST_MENDED_END = 30
"""An unaligned end of a gene up to this length, bp, is aligned base by base: aligners clip a last mismatch."""

_ALL_CHAINS = 0x800000  # MM_F_ALL_CHAINS: keep every place of a gene, however much better another one is
_SAME_FAMILY_OVERLAP = 0.5
_SAME_PLACE_OVERLAP = 0.9


class GeneHit(NamedTuple):
    """One place of one gene.

    Attributes
    ----------
    gene : str
    contig : str
    start, end : int
        0-based half-open, bp, on the forward strand of the contig.
    strand : str
        ``+`` or ``-``.
    identity : float
        Identical bases / columns of the alignment, gaps included; 0..1.
    coverage : float
        Aligned bases of the gene / its length; 0..1.
    """

    gene: str
    contig: str
    start: int
    end: int
    strand: str
    identity: float
    coverage: float


class GeneSearch(NamedTuple):
    """What a search found.

    Attributes
    ----------
    hits : tuple of GeneHit
        Above both thresholds, best allele at each place, in the order of the contigs and of position.
    outdone : dict of str to str
        Genes without a hit of their own because a better one lies at each of their places, and that one's name.
    missing : dict of str to GeneHit or None
        Genes without a hit above the thresholds: the best below, if any.
    """

    hits: tuple[GeneHit, ...]
    outdone: dict[str, str]
    missing: dict[str, GeneHit | None]


def gene_aligner(path: str) -> mappy.Aligner:
    """Index a reference for genes of some hundred to some thousand bp at about 90 % identity and more.

    Seeds of 13 bp, two of which make a chain; a chain bridges at most 300 bp, also when chains are joined
    (``bw_long``), so that neighbours in a tandem array stay apart; every chain is aligned and kept.
    """
    return mappy.Aligner(
        path,
        preset="map-ont",
        k=13,
        w=5,
        min_cnt=2,
        min_chain_score=25,
        bw=300,
        bw_long=300,
        best_n=100_000,
        extra_flags=_ALL_CHAINS,
    )


def search_genes(
    aligner: mappy.Aligner,
    genes: Sequence[FastaRecord],
    reference: Sequence[FastaRecord],
    min_identity: float,
    min_coverage: float,
) -> GeneSearch:
    """Find genes on a reference.

    Parameters
    ----------
    aligner : mappy.Aligner
        From `gene_aligner`, over `reference`.
    genes : sequence of FastaRecord
        Names as `gene_name` understands them. Several sequences of one name are variants of one gene.
    reference : sequence of FastaRecord
    min_identity, min_coverage : float
        0..1, both inclusive.
    """
    sequences = {record.name: record.sequence for record in reference}
    order = {record.name: number for number, record in enumerate(reference)}
    passed: list[GeneHit] = []
    below: dict[str, GeneHit | None] = {}
    for record in genes:
        name = gene_name(record.name)
        below.setdefault(name, None)
        for hit in align_gene(aligner, name, record.sequence, sequences):
            if hit.identity >= min_identity and hit.coverage >= min_coverage:
                passed.append(hit)
            else:
                best = below[name]
                below[name] = hit if best is None else min(best, hit, key=_rank)
    kept, losses = best_at_each_place(passed)
    found = {hit.gene for hit in passed}
    winners = {hit.gene for hit in kept}
    return GeneSearch(
        tuple(sorted(kept, key=lambda hit: (order[hit.contig], hit.start, hit.end, hit.gene))),
        {name: losses[name] for name in below if name in found and name not in winners},
        {name: best for name, best in below.items() if name not in found},
    )


def align_gene(aligner: mappy.Aligner, name: str, gene: bytes, sequences: Mapping[str, bytes]) -> list[GeneHit]:
    """All alignments of one gene, whatever their quality."""
    hits = []
    for found in aligner.map(gene.decode("ascii")):
        forward = found.strand == 1
        query = gene if forward else reverse_complement(gene)
        first = found.q_st if forward else len(gene) - found.q_en
        last = found.q_en if forward else len(gene) - found.q_st
        target, start, end = sequences[found.ctg], found.r_st, found.r_en
        matches, columns = count_matches(query[first:last], target[start:end], found.cigar)
        left, right = first, len(gene) - last
        if left <= min(LONGEST_MENDED_END, start):
            matches += count_equal(query[:left], target[start - left : start])
            columns, start, first = columns + left, start - left, 0
        if right <= min(LONGEST_MENDED_END, len(target) - end):
            matches += count_equal(query[last:], target[end : end + right])
            columns, end, last = columns + right, end + right, len(gene)
        strand = "+" if forward else "-"
        hits.append(GeneHit(name, found.ctg, start, end, strand, matches / columns, (last - first) / len(gene)))
    return hits


def count_equal(left: bytes, right: bytes) -> int:
    """Number of places at which two sequences of one length agree."""
    return int((np.frombuffer(left, dtype=np.uint8) == np.frombuffer(right, dtype=np.uint8)).sum())


def count_matches(query: bytes, target: bytes, cigar: Sequence[Sequence[int]]) -> tuple[int, int]:
    """Identical bases and columns of an alignment.

    Parameters
    ----------
    query, target : bytes
        The aligned parts, both on the target's forward strand.
    cigar : sequence of (length, operation)
        Operations of SAM by number: 0, 7 and 8 pair bases, 1 passes over query, 2 and 3 over target.

    Returns
    -------
    matches, columns : int
        Gaps count one column per base.
    """
    matches = columns = at_query = at_target = 0
    for length, operation in cigar:
        columns += length
        if operation in (0, 7, 8):
            matches += count_equal(query[at_query : at_query + length], target[at_target : at_target + length])
        at_query += length if operation in (0, 1, 7, 8) else 0
        at_target += length if operation in (0, 2, 3, 7, 8) else 0
    return matches, columns


def best_at_each_place(hits: Sequence[GeneHit]) -> tuple[list[GeneHit], dict[str, str]]:
    """Of hits at one place the best: by identity × coverage, then length, then name.

    Two hits are at one place when they share at least half of the shorter one and their genes are of one family,
    or at least nine tenths of the longer one whatever the families.

    Returns
    -------
    kept : list of GeneHit
    losses : dict of str to str
        Gene of each hit that was dropped, and the gene that it lost to.
    """
    kept: list[GeneHit] = []
    losses: dict[str, str] = {}
    longest = max((hit.end - hit.start for hit in hits), default=1)
    near: dict[tuple[str, int], list[GeneHit]] = {}  # stretches as long as the longest hit: rivals are one apart
    for hit in sorted(hits, key=_rank):
        stretch = hit.start // longest
        rivals = (rival for at in (-1, 0, 1) for rival in near.get((hit.contig, stretch + at), ()))
        winner = next((rival for rival in rivals if _same_place(hit, rival)), None)
        if winner is None:
            kept.append(hit)
            near.setdefault((hit.contig, stretch), []).append(hit)
        else:
            losses[hit.gene] = winner.gene
    return kept, losses


def _rank(hit: GeneHit) -> tuple[float, int, str, str, int]:
    """Sorts the better hit first."""
    return (-hit.identity * hit.coverage, hit.start - hit.end, hit.gene, hit.contig, hit.start)


def _same_place(one: GeneHit, other: GeneHit) -> bool:
    shared = min(one.end, other.end) - max(one.start, other.start)
    lengths = (one.end - one.start, other.end - other.start)
    if shared >= _SAME_PLACE_OVERLAP * max(lengths):
        return True
    return shared >= _SAME_FAMILY_OVERLAP * min(lengths) and family_of(one.gene) == family_of(other.gene)
