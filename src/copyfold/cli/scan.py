"""``copyfold cnv scan``: what recurs in a cohort, all over the genome."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from copyfold.cli.options import QuietOption, RunArgument


def scan(
    run: RunArgument,
    min_isolates: Annotated[int, typer.Option(help="Fewest isolates that have the segment.")] = 3,
    min_frequency: Annotated[float, typer.Option(help="Least share of the isolates, 0 to 1.")] = 0.0,
    overlap: Annotated[float, typer.Option(help="Share that two events must cover of each other to be one.")] = 0.5,
    max_gap: Annotated[int, typer.Option(help="Pieces of one isolate closer than this, bp, are one event.")] = 2000,
    min_length: Annotated[int, typer.Option(help="Leave out events shorter than this, bp.")] = 0,
    min_confidence: Annotated[float, typer.Option(help="Leave out segments less certain than this.")] = 0.5,
    genes: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Genes to name: GFF3, GenBank or a table; default: the run's panel."),
    ] = None,
    lineages: Annotated[
        Path | None, typer.Option(metavar="TABLE", help="sample_id and ST; default: the run's kpsc_meta_path.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="Default: RUN/recurrent_segments.tsv.")
    ] = None,
    quiet: QuietOption = False,
) -> None:
    """List segments amplified or deleted in several isolates, with frequency, lineages and the genes inside.

    `train` and `segment` write the list with the values shown here; this makes it again with others.

    Example: `copyfold cnv scan my/run --min-frequency 0.01 --genes chromosome.gff3 --out common.tsv`
    """
    from copyfold.app.scan import scan_run
    from copyfold.cnv.recurrence import RecurrenceSettings
    from copyfold.core.console import Console

    settings = RecurrenceSettings(min_isolates, min_frequency, overlap, max_gap, min_length, min_confidence)
    print(scan_run(run, settings, Console(quiet=quiet), genes=genes, lineages=lineages, out=out))
