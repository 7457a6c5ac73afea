"""``copyfold report`` and ``copyfold cnv plot``: what a run found, to look at."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from copyfold.cli.options import QuietOption, RunArgument


def report(
    run: RunArgument,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="HTML", help="Write here and leave RUN as it is.")
    ] = None,
    lineages: Annotated[
        Path | None,
        typer.Option(metavar="TSV", help="Lineages: columns sample_id and ST. Default: those the run knows."),
    ] = None,
    structure: Annotated[
        Path | None,
        typer.Option(
            metavar="PDB", help="Of a folder of `ddg scan`: what was scanned; an AlphaFold model's pLDDT is shown."
        ),
    ] = None,
    quiet: QuietOption = False,
) -> None:
    """Make the report of a run again: one HTML file, RUN/report.html, that opens anywhere and needs no network.

    Every run makes it at its end; do it again after `copyfold cnv call`, or with lineages that came later. RUN may be a
    run of `copyfold cnv` or `copyfold ddg`, or a folder of `copyfold ddg scan`
    or `copyfold ddg benchmark`.

    Example: `copyfold report my/run --lineages st.tsv`
    """
    from copyfold.app.report import report_run
    from copyfold.core.console import Console

    print(report_run(run, out, Console(quiet=quiet), lineages=lineages, structure=structure))


def plot(
    run: RunArgument,
    sample: Annotated[str, typer.Argument(metavar="SAMPLE", help="Isolate, as in gene_calls.tsv.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="PICTURE", help="A name that ends in .svg or .png.")],
    gene: Annotated[
        str | None, typer.Option(metavar="GENE", help="Chromosomal gene to show; default the first of the run.")
    ] = None,
    region: Annotated[str | None, typer.Option(metavar="CHROM:FROM-TO", help="Or a region, 1-based inclusive.")] = None,
) -> None:
    """Draw one isolate: copy ratio and segments of the whole genome, reads per bin and expected depth at a gene.

    Example: `copyfold cnv plot my/run ERR123456 --gene blaSHV --out ERR123456.svg`

    A region: `copyfold cnv plot my/run ERR123456 --region NC_016845.1:2500000-2600000 --out part.png`
    """
    from copyfold.app.report import plot_sample

    plot_sample(run, sample, gene, region, out)
    print(out)
