"""Counting one sample: from its reads to a counts file and a quality record."""

from __future__ import annotations

import os
import re
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from copyfold.cnv.counting import (
    SampleCounts,
    SampleQuality,
    count_alignments,
    count_bam,
    count_cram,
    local_copies,
    sample_quality,
)
from copyfold.cnv.counting.bam import HAVE_WALK
from copyfold.cnv.counting.sample_file import (
    COUNTS_ENDING,
    QUALITY_ENDING,
    holds_counts_files,
    name_problem,
    write_counts,
    write_quality,
    write_refusal,
)
from copyfold.cnv.reference import Reference, read_reference
from copyfold.core.console import Console, format_seconds
from copyfold.errors import ConfigError, InputError, RunError
from copyfold.version import __version__

_ENDINGS = re.compile(r"\.(bam|cram|fastq|fq)(\.(gz|bgz))?$", re.IGNORECASE)
_MATE = re.compile(r"(_S\d+)?(_L\d{3})?[._]R?[12](_001)?$")
_PROGRESS_READS = 1_000_000


@dataclass(frozen=True)
class CountOptions:
    """How a sample is counted; each is an option of ``copyfold cnv count``.

    Attributes
    ----------
    chromosome_mapq, plasmid_mapq : int
        Least mapping qualities of the two countings.
    min_mapped_share, min_covered_share : float
        A sample below either is flagged as another species, 0..1.
    other_contigs : bool
        Accept alignments to contigs that the reference does not have.
    threads : int
        For alignment.
    unsorted : bool
        Accept alignments that are not in coordinate order.
    """

    chromosome_mapq: int = 20
    plasmid_mapq: int = 0
    min_mapped_share: float = 0.6
    min_covered_share: float = 0.7
    other_contigs: bool = False
    threads: int = 2
    unsorted: bool = False

    def check(self) -> None:
        """Refuse what cannot be.

        Raises
        ------
        ConfigError
        """
        for option, mapq in (("--chromosome-mapq", self.chromosome_mapq), ("--plasmid-mapq", self.plasmid_mapq)):
            if not 0 <= mapq <= 255:
                raise ConfigError(f"{option} {mapq}: a mapping quality lies in 0 to 255; 20 and 0 are usual")
        shares = (("--min-mapped", self.min_mapped_share), ("--min-covered", self.min_covered_share))
        for option, share in shares:
            if not 0 <= share <= 1:
                raise ConfigError(f"{option} {share:g}: must be a share from 0 to 1")


def count_sample(
    reads: Sequence[Path],
    reference_path: Path,
    out: Path,
    sample_id: str | None,
    options: CountOptions,
    console: Console,
    *,
    skip_bad: bool = False,
) -> Path:
    """Count one sample and write ``<sample>.counts.tsv.gz`` and ``<sample>.qc.json`` into a folder.

    Parameters
    ----------
    reads : sequence of Path
        One BAM, CRAM or FASTQ, or two FASTQ files of one paired library.
    reference_path : Path
    out : Path
    sample_id : str or None
        None takes the file's name, less its ending and the mate's number.
    options : CountOptions
    console : Console
    skip_bad : bool
        Write a sample that cannot be read down as refused, instead of raising.

    Returns
    -------
    Path
        The counts file; the quality record where the sample was refused.

    Raises
    ------
    CopyfoldError
        The input is damaged, empty, not sorted, of another reference or no reads at all; a file of this sample
        exists already.
    """
    options.check()
    if not 1 <= len(reads) <= 2:
        raise ConfigError(f"{len(reads)} read files given; a sample is one BAM, CRAM or FASTQ, or two mates' FASTQ")
    sample_id = sample_from(reads[0]) if sample_id is None else sample_id
    if problem := name_problem(sample_id):
        raise ConfigError(f"{problem}; give one with --sample")
    counts_path, quality_path = out / f"{sample_id}{COUNTS_ENDING}", out / f"{sample_id}{QUALITY_ENDING}"
    # The record is written last: counts of ours without it are of a run that was killed, and are replaced.
    strange = counts_path.exists() and not holds_counts_files([counts_path])
    for path, taken in ((counts_path, strange), (quality_path, quality_path.exists())):
        if taken:
            raise RunError(f"{path}: exists already; give another --out or --sample, or delete it")
    _check_writable(out)
    reference = read_reference(reference_path)
    began = time.perf_counter()
    try:
        form, sample = _count(reads, reference, options, console)
        if not sample.n_reads:
            raise InputError(f"{reads[0]}: holds no reads; leave the sample out or fetch it again")
    except InputError as error:
        if not skip_bad:
            raise
        console.warn(f"left out: {error}")
        write_refusal(quality_path, sample_id, str(error))
        return quality_path
    quality = sample_quality(
        sample, min_mapped_share=options.min_mapped_share, min_covered_share=options.min_covered_share
    )
    rules = {"chromosome_mapq": options.chromosome_mapq, "plasmid_mapq": options.plasmid_mapq}
    shared = {"reference": reference.digest, **rules, "copyfold": __version__}
    write_counts(counts_path, sample_id, sample, shared, quality.flags)
    replicons, genes = _replicon_records(sample, quality.median_depth), _gene_records(sample)
    said = {
        "input": form,
        "input_files": [path.name for path in reads],
        "replicons": replicons,
        "genes": genes,
        "records": _records(sample),
        **shared,
    }
    write_quality(quality_path, sample_id, quality, said)  # last: with it the sample is done
    _tell(sample_id, quality, [*replicons.items(), *genes.items()], time.perf_counter() - began, console)
    return counts_path


def _check_writable(out: Path) -> None:
    """Refuse before an hour of alignment what would fail behind it."""
    nearest = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise RunError(f"{out}: cannot be written; choose a folder you may write to")


def sample_from(path: Path) -> str:
    """Sample that a file's name stands for: ``ERR1_1.fastq.gz`` and ``ERR1.bam`` are ERR1."""
    name = _ENDINGS.sub("", path.name)
    return name if path.name.lower().endswith((".bam", ".cram")) else _MATE.sub("", name)


Form = Literal["BAM", "CRAM", "FASTQ"]


def _form_of(path: Path) -> Form:
    """What a file is, by its first bytes."""
    if path.exists() and not path.is_file():
        raise InputError(
            f"{path}: cannot be read as a file: it is a folder or a pipe; give a file, for it is read twice"
        )
    try:
        with path.open("rb") as handle:
            start = handle.read(1 << 16)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; check the path") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}); check the file and the disk") from None
    if not start:
        raise InputError(f"{path}: the file is empty; write it again or leave the sample out")
    if start.startswith(b"CRAM"):
        return "CRAM"
    if start.startswith(b"\x1f\x8b"):
        try:
            start = zlib.decompressobj(31).decompress(start, 4)
        except zlib.error as error:
            raise InputError(f"{path}: cannot be unpacked ({error}); damaged, copy the file again") from None
    if start.startswith((b"@HD\t", b"@SQ\t")):
        raise InputError(f"{path}: is SAM as text; write it as BAM with `samtools view -b`")
    if start.startswith(b"BAM\1"):
        return "BAM"
    if start.startswith(b"@"):
        return "FASTQ"
    raise InputError(f"{path}: is neither BAM, CRAM nor FASTQ; give the reads of one sample in one of these")


def _count(
    reads: Sequence[Path], reference: Reference, options: CountOptions, console: Console
) -> tuple[Form, SampleCounts]:
    form = _form_of(reads[0])
    rules: dict[str, Any] = {
        "chromosome_mapq": options.chromosome_mapq,
        "plasmid_mapq": options.plasmid_mapq,
        "is_plasmid": [contig.kind == "plasmid" for contig in reference.contigs],
        "genes": [gene.gene for gene in reference.genes],
    }
    if form == "BAM" and not HAVE_WALK:
        console.say("copyfold was installed without a C compiler: BAM is read through pysam, several times slower")
    if form != "FASTQ":
        if len(reads) > 1:
            raise ConfigError(f"{reads[1]}: a {form} comes alone; give two files for paired FASTQ only")
        accepted = {"other_contigs": options.other_contigs, "unsorted": options.unsorted}
        if form == "BAM":
            return form, count_bam(reads[0], reference.bins, **accepted, **rules)
        return form, count_cram(reads[0], reference.fasta, reference.bins, **accepted, **rules)
    try:
        from copyfold.cnv.counting.aligning import aligned_batches
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"{error.name} is not installed, and FASTQ needs the extra `align`: pip install 'copyfold[align]', or give "
            "a BAM"
        ) from None
    last_said = 0

    def tell(done: int) -> None:
        nonlocal last_said
        if done - last_said >= _PROGRESS_READS:
            last_said = done
            console.say(f"aligned {done:,} reads")

    names = [contig.name for contig in reference.contigs]
    batches = aligned_batches(reads, reference.fasta, names, threads=options.threads, progress=tell)
    return form, count_alignments(batches, reference.bins, **rules)


def _replicon_records(sample: SampleCounts, chromosome: float) -> dict[str, dict[str, float | None]]:
    """Depth and copies per chromosome of each plasmid."""
    return {
        name: {"depth": round(float(depth), 2), "copies": round(float(depth) / chromosome, 3) if chromosome else None}
        for name, depth in zip(sample.contig_names, sample.plasmid_replicon_depth, strict=True)
        if not np.isnan(depth)
    }


def _gene_records(sample: SampleCounts) -> dict[str, dict[str, float | str | None]]:
    copies = local_copies(sample)
    return {
        gene.name: {
            "contig": gene.contig,
            "family": gene.family,
            "depth": round(float(depth), 2),
            "copies": None if np.isnan(each) else round(float(each), 3),
        }
        for gene, depth, each in zip(sample.genes, sample.gene_depth, copies, strict=True)
    }


def _records(sample: SampleCounts) -> dict[str, int]:
    totals = sample.totals
    names = ("secondary", "supplementary", "mapped", "duplicates", "malformed")
    low = ("below_chromosome_mapq", "below_plasmid_mapq")
    return {name: int(getattr(totals, name).sum()) for name in ("records", *names, *low)}


def _tell(
    sample_id: str,
    quality: SampleQuality,
    found: Sequence[tuple[str, Mapping[str, Any]]],
    seconds: float,
    console: Console,
) -> None:
    """Say what a sample shows; `found` holds depth and copies of its plasmids and genes."""
    console.say(
        f"{sample_id}: {quality.n_reads:,} reads, {quality.mapped_share:.1%} mapped, "
        f"{quality.covered_share:.1%} of the chromosome covered, median depth {quality.median_depth:.1f}, "
        f"ori/ter {quality.ori_ter.ratio:.2f}, in {format_seconds(seconds)}"
    )
    width = max((len(name) for name, _ in found), default=0)
    if found:
        console.say(f"{'plasmid, gene':<{width}}  depth    copies per chromosome, told from this sample alone")
    for name, record in found:
        copies = "-" if record["copies"] is None else record["copies"]
        console.say(f"{name:<{width}}  {record['depth']:<7}  {copies}")
    for hint in quality.hints:
        console.say(f"note: {hint}")
    for flag in quality.flags:
        console.warn(f"{sample_id} is flagged and will not be called: {flag}")
