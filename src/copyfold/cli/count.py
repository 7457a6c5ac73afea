"""``copyfold cnv count``: reads of one isolate to counts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from copyfold.cli.options import QuietOption


def count(
    reads: Annotated[
        list[Path],
        typer.Argument(metavar="READS [MATES]", help="One BAM or CRAM, or FASTQ (plain or .gz), two files for pairs."),
    ],
    reference: Annotated[
        Path, typer.Option("--reference", "-r", metavar="REF", help="Folder made by `copyfold cnv reference build`.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", help="Where the sample's two files go.")],
    sample: Annotated[
        str | None, typer.Option(metavar="ID", help="Name of the sample; default: the file's, ERR1_1.fastq.gz → ERR1.")
    ] = None,
    threads: Annotated[int, typer.Option("--threads", "-t", min=1, help="Threads that align FASTQ.")] = 2,
    chromosome_mapq: Annotated[int, typer.Option(help="Least mapping quality on chromosomes.")] = 20,
    plasmid_mapq: Annotated[
        int, typer.Option(help="Least mapping quality on plasmids: 0, for alleles share their reads.")
    ] = 0,
    min_mapped: Annotated[float, typer.Option(help="Share of mapped reads below which a sample is flagged.")] = 0.6,
    min_covered: Annotated[
        float, typer.Option(help="Share of chromosome bins with reads below which a sample is flagged.")
    ] = 0.7,
    other_contigs: Annotated[
        bool, typer.Option("--other-contigs", help="Accept a BAM or CRAM with contigs that the reference lacks.")
    ] = False,
    unsorted: Annotated[
        bool,
        typer.Option("--unsorted", help="Count a BAM or CRAM that is not sorted by coordinate; counts are the same."),
    ] = False,
    skip_bad: Annotated[
        bool,
        typer.Option(
            "--skip-bad", help="Write a bad input down in SAMPLE.qc.json and end well, for unattended cohorts."
        ),
    ] = False,
    quiet: QuietOption = False,
) -> None:
    """Count one isolate's reads per bin and the depth of every gene, and judge the sample.

    FASTQ is aligned on the way (minimap2's short-read mode); no BAM is written. Writes SAMPLE.counts.tsv.gz, which
    `copyfold cnv store build` gathers, and SAMPLE.qc.json with the quality record and a first look at copies.

    From reads: `copyfold cnv count ERR1_1.fastq.gz ERR1_2.fastq.gz --reference REF --out counts`

    From a BAM: `copyfold cnv count ERR1.bam --reference REF --out counts`
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # else a thread spins idly beside us
    from copyfold.app.counts import CountOptions, count_sample
    from copyfold.core.console import Console

    options = CountOptions(chromosome_mapq, plasmid_mapq, min_mapped, min_covered, other_contigs, threads, unsorted)
    print(count_sample(reads, reference, out, sample, options, Console(quiet=quiet), skip_bad=skip_bad))
