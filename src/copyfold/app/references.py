"""Building a reference from FASTA files and genes in any of their forms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import mappy
import pysam

from copyfold.cnv.coordinates import read_gene_table
from copyfold.cnv.reference.annotation import gene_format, parse_annotation
from copyfold.cnv.reference.bins import make_bins
from copyfold.cnv.reference.build import gc_of_bins, genes_from_hits, order_contigs, place_features, place_table
from copyfold.cnv.reference.fasta import FastaRecord, format_fasta, parse_fasta, read_fasta
from copyfold.cnv.reference.folder import FASTA_NAME, ReferenceContig, ReferenceGene, write_tables
from copyfold.cnv.reference.gene_search import GeneSearch, gene_aligner, search_genes
from copyfold.cnv.reference.mappability import MappabilitySettings, count_reads, mappability
from copyfold.core.console import Console
from copyfold.core.files import atomic_folder, check_vacant, file_digest, write_text
from copyfold.core.packed import read_unpacked
from copyfold.errors import ConfigError, InputError
from copyfold.version import __version__

_SHORTEST_BIN = 50


@dataclass(frozen=True)
class BuildOptions:
    """How a reference is built; each is an option of ``copyfold cnv reference build``.

    Attributes
    ----------
    bin_size : int
        bp.
    chromosome_contigs : tuple of str
        Chromosomes by name or alias; none takes the longest record of the chromosome's file.
    only_genes : tuple of str
        Genes to keep; none keeps all.
    min_identity, min_coverage : float
        Thresholds of the gene search, 0..1.
    read_length, step, min_mapq : int
        Of the reads that mappability is measured with.
    """

    bin_size: int = 1000
    chromosome_contigs: tuple[str, ...] = ()
    only_genes: tuple[str, ...] = ()
    min_identity: float = 0.9
    min_coverage: float = 0.9
    read_length: int = 150
    step: int = 50
    min_mapq: int = 20

    def check(self) -> None:
        """Refuse what makes no reference.

        Raises
        ------
        ConfigError
            Names the option, its value and the rule.
        """
        if self.bin_size < _SHORTEST_BIN:
            raise ConfigError(f"--bin-size {self.bin_size}: must be at least {_SHORTEST_BIN} bp; 1000 is usual")
        for option, share in (("--min-identity", self.min_identity), ("--min-coverage", self.min_coverage)):
            if not 0 < share <= 1:
                raise ConfigError(f"{option} {share:g}: must be a share above 0 and up to 1; 0.9 is usual")
        if self.read_length < 30:
            raise ConfigError(f"--read-length {self.read_length}: must be at least 30 bp; give that of your reads")
        if not 1 <= self.step <= self.bin_size:
            raise ConfigError(f"--step {self.step}: must be from 1 to the bin size, {self.bin_size}")
        if not 0 <= self.min_mapq <= 60:
            raise ConfigError(f"--min-mapq {self.min_mapq}: must be from 0 to 60; 20 is usual")


def build_reference(
    chromosome: Path,
    plasmids: Sequence[Path],
    genes: Path | None,
    out: Path,
    options: BuildOptions,
    console: Console,
    *,
    threads: int = 2,
) -> None:
    """Make a reference folder.

    Parameters
    ----------
    chromosome : Path
        FASTA; may hold a whole assembly.
    plasmids : sequence of Path
        FASTA.
    genes : Path, optional
        Sequences (FASTA), an annotation (GFF3, GenBank) or a table of coordinates.
    out : Path
        Folder to make; must not hold anything.
    options : BuildOptions
    console : Console
    threads : int

    Raises
    ------
    CopyfoldError
        An input is damaged or does not fit the others, or `out` is not vacant. Nothing is then left behind.
    """
    options.check()
    check_vacant(out)
    chromosome_records = read_fasta(chromosome)
    plasmid_records = [record for path in plasmids for record in read_fasta(path)]
    records, contigs = order_contigs(chromosome_records, plasmid_records, options.chromosome_contigs)
    bins = make_bins([contig.name for contig in contigs], [contig.length for contig in contigs], options.bin_size)
    _warn_of_long_plasmids(contigs, console)
    with atomic_folder(out) as partial:
        write_text(partial / FASTA_NAME, format_fasta(records))
        pysam.faidx(str(partial / FASTA_NAME))  # reading CRAM needs the index, perhaps from a folder it cannot write to
        placed = [] if genes is None else _find_genes(genes, partial / FASTA_NAME, records, contigs, options, console)
        placed = _select(placed, options.only_genes)
        settings = MappabilitySettings(options.read_length, options.step, options.min_mapq)
        n_reads = count_reads([contig.length for contig in contigs], options.bin_size, settings)
        with console.progress("mappability, read", n_reads) as progress:
            aligner = mappy.Aligner(str(partial / FASTA_NAME), preset="sr")
            unique = mappability(
                aligner, records, options.bin_size, settings, threads=threads, progress=lambda done: progress(done)
            )
        inputs = [chromosome, *plasmids, *([] if genes is None else [genes])]
        manifest = {
            "copyfold_version": __version__,
            "bin_size": options.bin_size,
            "parameters": asdict(options),
            "inputs": [{"name": path.name, "digest": file_digest(path)} for path in inputs],
            "n_contigs": len(contigs),
            "n_bins": len(bins),
            "n_genes": len(placed),
        }
        write_tables(partial, contigs, bins, gc_of_bins(records, bins), unique, placed, manifest)
    for contig in contigs:
        n_bins = int((bins.chrom == contig.name).sum())
        console.say(f"{contig.kind:<10} {contig.name}: {contig.length} bp, {n_bins} bins")
    console.say(f"{out}: {len(bins)} bins, {int((unique < 0.5).sum())} with mappability below 0.5; {len(placed)} genes")


def _warn_of_long_plasmids(contigs: Sequence[ReferenceContig], console: Console) -> None:
    longest = max(contig.length for contig in contigs if contig.kind == "chromosome")
    for contig in contigs:
        if contig.kind == "plasmid" and contig.length > longest / 2:
            console.warn(
                f"{contig.name} is taken for a plasmid at {contig.length} bp; if it is a chromosome, put it into the "
                "--chromosome file and name the chromosomes with --chromosome-contig"
            )


def _find_genes(
    path: Path,
    fasta: Path,
    records: Sequence[FastaRecord],
    contigs: Sequence[ReferenceContig],
    options: BuildOptions,
    console: Console,
) -> list[ReferenceGene]:
    data = read_unpacked(path)
    form = gene_format(data)
    if form == "fasta":
        found = search_genes(
            gene_aligner(str(fasta)), parse_fasta(data, path), records, options.min_identity, options.min_coverage
        )
        _tell_search(found, console)
        return genes_from_hits(found.hits, contigs)
    if form == "table":
        placed, notes = place_table(read_gene_table(path), contigs)
    else:
        annotation = parse_annotation(data, form, path)
        if not annotation.features:
            raise InputError(f"{path}: holds no gene or CDS feature with a name; give genes as FASTA or as a table")
        placed, notes = place_features(annotation.features, contigs)
        notes = [*annotation.notes, *notes]
    for note in notes:
        console.warn(f"{path.name}: {note}")
    return placed


def _tell_search(found: GeneSearch, console: Console) -> None:
    for gene, winner in found.outdone.items():
        console.say(f"gene {gene}: {winner} fits better at each of its places")
    for gene, best in found.missing.items():
        nearest = "no similar place"
        if best is not None:
            nearest = (
                f"best {best.contig}:{best.start + 1}-{best.end} with identity {best.identity:.3f}, "
                f"coverage {best.coverage:.3f}"
            )
        console.say(f"gene {gene}: not on this reference ({nearest})")


def _select(genes: list[ReferenceGene], wanted: Sequence[str]) -> list[ReferenceGene]:
    """Genes whose name or family is wanted; all without a wish."""
    for name in wanted:
        if not any(name in (gene.name, gene.family) for gene in genes):
            raise InputError(f"--only {name}: no gene or family of this name was found; check the spelling")
    return [gene for gene in genes if not wanted or gene.name in wanted or gene.family in wanted]
