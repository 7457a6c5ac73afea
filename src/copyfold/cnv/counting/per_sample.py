"""One sample: reads per bin, depth of bins and genes at two mapping qualities, and what became of every record."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from copyfold.cnv.coordinates import Gene, same_contig
from copyfold.cnv.counting import tally
from copyfold.cnv.counting.alignments import Alignments
from copyfold.cnv.counting.bam import HAVE_WALK, BamStream
from copyfold.cnv.counting.plan import Plan, make_plan, match_references
from copyfold.cnv.counting.tally import Tallies, add_alignments, depth_of, empty_tallies, median, sums_between
from copyfold.cnv.store import Contigs

JUNCTION = 150
"""bp at either end of a plasmid that its depth leaves out: a read's length."""

_TOTALS = MappingProxyType(
    {
        "records": tally.RECORDS,
        "secondary": tally.SECONDARY,
        "supplementary": tally.SUPPLEMENTARY,
        "mapped": tally.MAPPED,
        "duplicates": tally.DUPLICATES,
        "malformed": tally.MALFORMED,
        "below_chromosome_mapq": tally.BELOW_CHROMOSOME,
        "below_plasmid_mapq": tally.BELOW_PLASMID,
    }
)


@dataclass(frozen=True)
class ReadTotals:
    """What became of the records: every array is (n_contigs + 1,), int64; the last row holds those without a contig.

    Attributes
    ----------
    records : numpy.ndarray
        All of them. ``records - secondary - supplementary`` are the reads.
    secondary, supplementary : numpy.ndarray
        By flag; a record with both is secondary.
    mapped : numpy.ndarray
        Mapped records that are neither.
    duplicates : numpy.ndarray
        Mapped records flagged as duplicates, of any kind.
    malformed : numpy.ndarray
        Mapped, no duplicates, but not well-formed: no bases stored, CIGAR of another length than the bases, without
        a reference base or with an N, start behind the contig's end.
    below_chromosome_mapq, below_plasmid_mapq : numpy.ndarray
        Records that passed all that but not the mapping quality.
    """

    records: np.ndarray
    secondary: np.ndarray
    supplementary: np.ndarray
    mapped: np.ndarray
    duplicates: np.ndarray
    malformed: np.ndarray
    below_chromosome_mapq: np.ndarray
    below_plasmid_mapq: np.ndarray

    @property
    def n_reads(self) -> int:
        return int((self.records - self.secondary - self.supplementary).sum())

    @property
    def n_mapped(self) -> int:
        return int(self.mapped.sum())


@dataclass(frozen=True)
class SampleCounts:
    """Counts of one sample under both rules; `counts` and `gene_depth` take each contig's own.

    Attributes
    ----------
    contigs : Contigs
    contig_names : tuple of str
        In the order of the bins.
    is_plasmid : numpy.ndarray, (n_contigs,), bool
    chromosome_mapq, plasmid_mapq : int
    chromosome_counts, plasmid_counts : numpy.ndarray, (n_bins,), int64
        Reads that start in the bin.
    chromosome_depth, plasmid_depth : numpy.ndarray, (n_bins,), float64
        Mean number of aligned bases on a position of the bin.
    genes : tuple of Gene
    chromosome_gene_depth, plasmid_gene_depth : numpy.ndarray, (n_genes,), float64
        The same over the gene's own interval, exact; NaN for a gene on a contig without bins.
    plasmid_replicon_depth : numpy.ndarray, (n_contigs,), float64
        Of plasmids, the median depth of their bases at the plasmids' mapping quality, without those within
        `JUNCTION` bp of either end: reads across the junction of a circle align in part only. NaN of chromosomes.
    totals : ReadTotals
    """

    contigs: Contigs
    contig_names: tuple[str, ...]
    is_plasmid: np.ndarray
    chromosome_mapq: int
    plasmid_mapq: int
    chromosome_counts: np.ndarray
    plasmid_counts: np.ndarray
    chromosome_depth: np.ndarray
    plasmid_depth: np.ndarray
    genes: tuple[Gene, ...]
    chromosome_gene_depth: np.ndarray
    plasmid_gene_depth: np.ndarray
    plasmid_replicon_depth: np.ndarray
    totals: ReadTotals

    @property
    def n_reads(self) -> int:
        return self.totals.n_reads

    @property
    def bin_contigs(self) -> np.ndarray:
        """Contig of each bin, a row of `contig_names`: (n_bins,), int64."""
        return np.repeat(np.arange(len(self.contig_names)), np.diff(self.contigs.chain_starts))

    @property
    def plasmid_bins(self) -> np.ndarray:
        """Whether each bin lies on a plasmid: (n_bins,), bool."""
        return self.is_plasmid[self.bin_contigs]

    @property
    def counts(self) -> np.ndarray:
        """Read starts per bin, each contig under its own rule: (n_bins,), int64."""
        return np.where(self.plasmid_bins, self.plasmid_counts, self.chromosome_counts)

    @property
    def gene_roles(self) -> tuple[str, ...]:
        """``chromosome`` or ``plasmid`` for each gene, by its contig; empty for a gene on a contig without bins."""
        role = dict(zip(self.contig_names, np.where(self.is_plasmid, "plasmid", "chromosome").tolist(), strict=True))
        return tuple(
            next((role[name] for name in self.contig_names if same_contig(gene.contig, name)), "")
            for gene in self.genes
        )

    @property
    def gene_depth(self) -> np.ndarray:
        """Mean depth of each gene under its contig's rule: (n_genes,), float64."""
        on_plasmid = np.array([role == "plasmid" for role in self.gene_roles], dtype=bool)
        return np.where(on_plasmid, self.plasmid_gene_depth, self.chromosome_gene_depth)


def bins_of(lengths: Mapping[str, int], size: int = 1000) -> Contigs:
    """Bins of `size` bp that tile contigs of the given lengths; the last of each contig is what remains."""
    parts = [(name, np.arange(0, length, size, dtype=np.int64), length) for name, length in lengths.items()]
    return Contigs(
        np.concatenate([np.full(len(start), name) for name, start, _ in parts]),
        np.concatenate([start for _, start, _ in parts]),
        np.concatenate([np.minimum(start + size, length) for _, start, length in parts]),
    )


def count_bam(
    path: Path, contigs: Contigs, *, other_contigs: bool = False, unsorted: bool = False, **rules: Any
) -> SampleCounts:
    """Count a BAM file in one pass, without an index.

    Parameters
    ----------
    path : Path
    contigs : Contigs
    other_contigs : bool
        Accept a file whose header lists contigs beyond those of the bins; reads on them count in the totals only.
    unsorted : bool
        Accept records that are not in coordinate order; the counts do not depend on it.
    **rules
        As in `count_alignments`.

    Returns
    -------
    SampleCounts

    Raises
    ------
    InputError
        The file is missing, empty, truncated, damaged or not sorted, or was aligned to another reference than the
        bins'.
    """
    if not HAVE_WALK:
        return count_cram(path, None, contigs, other_contigs=other_contigs, unsorted=unsorted, **rules)
    plan = make_plan(contigs, **rules)
    with BamStream(path) as stream:
        rows = match_references(stream.path, stream.references, plan.layout.names, plan.layout.lengths, other_contigs)
        tallies = empty_tallies(plan.layout)
        stream.count_into(rows, plan.layout, tallies, unsorted=unsorted)
    return _sample_counts(plan, tallies)


def count_cram(
    path: Path,
    fasta: Path | None,
    contigs: Contigs,
    *,
    other_contigs: bool = False,
    unsorted: bool = False,
    **rules: Any,
) -> SampleCounts:
    """Count a CRAM file, with the sequences it was written against; as `count_bam` otherwise, and slower."""
    from copyfold.cnv.counting.hts import AlignmentFile

    plan = make_plan(contigs, **rules)
    with AlignmentFile(path, fasta) as opened:
        rows = match_references(opened.path, opened.references, plan.layout.names, plan.layout.lengths, other_contigs)
        return _count_batches(plan, opened.batches(rows, unsorted=unsorted))


def local_copies(sample: SampleCounts, reach: int = 200_000) -> np.ndarray:
    """Copies of each gene per copy of the chromosome, told from this sample alone: (n_genes,), float64.

    A plasmid gene's depth is divided by the median depth of the chromosome's bins; that of a chromosomal gene by
    the median over the bins within `reach` bp, which carry the same place on the ori/ter gradient. NaN where that
    median is 0. No cohort, GC or mappability is used: a first look, not a call.
    """
    chromosome = ~sample.plasmid_bins if not sample.is_plasmid.all() else np.ones(len(sample.contigs), bool)
    everywhere = float(median(sample.chromosome_depth[chromosome]))
    copies = np.full(len(sample.genes), np.nan)
    for column, (gene, depth) in enumerate(zip(sample.genes, sample.gene_depth, strict=True)):
        near = (
            chromosome & np.array([same_contig(gene.contig, name) for name in sample.contig_names])[sample.bin_contigs]
        )
        near &= (sample.contigs.end > gene.start - reach) & (sample.contigs.start < gene.end + reach)
        expected = float(median(sample.chromosome_depth[near])) if near.any() else everywhere
        copies[column] = depth / expected if expected > 0 else np.nan
    return copies


def count_alignments(
    batches: Iterable[Alignments],
    contigs: Contigs,
    *,
    chromosome_mapq: int = 20,
    plasmid_mapq: int = 0,
    is_plasmid: Sequence[bool] | np.ndarray | None = None,
    genes: Sequence[Gene] = (),
) -> SampleCounts:
    """Count alignments that come as arrays, in any order.

    Parameters
    ----------
    batches : iterable of Alignments
        Their contigs are those of the bins, in that order.
    contigs : Contigs
        Bins, each contig in one piece, ascending without overlap; the last bin ends where the contig does.
    chromosome_mapq, plasmid_mapq : int
        Least mapping qualities of the two countings.
    is_plasmid : sequence of bool, (n_contigs,), optional
        Which contigs are plasmids, in the order of the bins; none by default.
    genes : sequence of Gene

    Returns
    -------
    SampleCounts

    Raises
    ------
    InputError
        Bins, genes or rules cannot be.
    """
    plan = make_plan(
        contigs, chromosome_mapq=chromosome_mapq, plasmid_mapq=plasmid_mapq, is_plasmid=is_plasmid, genes=genes
    )
    return _count_batches(plan, batches)


def _count_batches(plan: Plan, batches: Iterable[Alignments]) -> SampleCounts:
    tallies = empty_tallies(plan.layout)
    for batch in batches:
        add_alignments(plan.layout, tallies, batch)
    return _sample_counts(plan, tallies)


def _sample_counts(plan: Plan, tallies: Tallies) -> SampleCounts:
    contigs, layout = plan.contigs, plan.layout
    placed = np.array([column for column, contig in enumerate(plan.gene_contigs) if contig >= 0], dtype=np.int64)
    shift = layout.offsets[np.array(plan.gene_contigs, dtype=np.int64)[placed]]
    gene_begin = np.array([gene.start for gene in plan.genes], dtype=np.int64)[placed] + shift
    gene_end = np.array([gene.end for gene in plan.genes], dtype=np.int64)[placed] + shift
    depths, gene_depths = [], []
    for change in tallies.depth_change:
        depth = depth_of(change)
        depths.append(sums_between(depth, layout.bin_begin, layout.bin_end) / (contigs.end - contigs.start))
        gene_depths.append(np.full(len(plan.genes), np.nan))
        gene_depths[-1][placed] = sums_between(depth, gene_begin, gene_end) / (gene_end - gene_begin)
    replicon_depth = np.full(len(layout.names), np.nan)
    for contig in np.flatnonzero(plan.is_plasmid):
        begin, length = layout.offsets[contig], layout.lengths[contig]
        inset = JUNCTION if length > 4 * JUNCTION else 0
        replicon_depth[contig] = median(depth[begin + inset : begin + length - inset])
    return SampleCounts(
        contigs,
        layout.names,
        plan.is_plasmid,
        *layout.min_mapq.tolist(),
        *tallies.starts,
        *depths,
        plan.genes,
        *gene_depths,
        replicon_depth,
        ReadTotals(**{name: tallies.totals[:, column].copy() for name, column in _TOTALS.items()}),
    )
