"""``copyfold cnv export``: results of a run in the formats of other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from copyfold.cli.options import QuietOption, RunArgument


def export(
    run: RunArgument,
    format_: Annotated[
        str, typer.Option("--format", "-f", metavar="FORMAT", help="`vcf`, `seg`, `bed`, `bedgraph` or `multiqc`.")
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            metavar="PATH",
            help="File, compressed if it ends in .gz; for vcf, bed, bedgraph also a folder of one file per sample.",
        ),
    ],
    sample: Annotated[
        list[str], typer.Option("--sample", "-s", metavar="ID", help="This sample only; repeat for more.")
    ] = [],  # noqa: B006 -- typer reads the default, nobody changes it
    min_confidence: Annotated[
        float | None, typer.Option(metavar="X", help="Leave out segments less certain than this, 0 to 1.")
    ] = None,
    reference: Annotated[
        Path | None,
        typer.Option("--reference", "-r", metavar="REF", help="vcf: folder that bases and contig lengths come from."),
    ] = None,
    quiet: QuietOption = False,
) -> None:
    """Write segments (vcf, seg, bed), copy ratios (bedgraph) or calls (multiqc) for other programs.

    Example: `copyfold cnv export my/run --format vcf --out calls.vcf.gz --sample ERR1 --sample ERR2`

    For a cohort, one file per sample: `copyfold cnv export my/run --format vcf --out calls`
    """
    from copyfold.app.exports import ExportOptions, export_run
    from copyfold.core.console import Console

    options = ExportOptions(format_, out, tuple(sample), min_confidence, reference)
    export_run(run, options, Console(quiet=quiet))
    print(out)
