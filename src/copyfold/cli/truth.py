"""``copyfold cnv truth``: ground-truth tables from other tools' results."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from copyfold.cli.options import QuietOption

app = typer.Typer(no_args_is_help=True, help="Ground-truth tables from AMRFinder+ and Kleborate.")

OutOption = Annotated[Path, typer.Option("--out", "-o", metavar="OUT.tsv", help="Table to write.")]
_RUNS_HELP = "Table of run accessions and BioSamples: results named by BioSample become one row per run."
RunsOption = Annotated[Path | None, typer.Option("--runs", metavar="RUNS.tsv", help=_RUNS_HELP)]


@app.command()
def amrfinder(
    inputs: Annotated[
        list[Path],
        typer.Argument(metavar="FILE…", help="AMRFinder+ tables, one per isolate or with a Name column; or folders."),
    ],
    out: OutOption,
    runs: RunsOption = None,
    family: Annotated[
        list[str],
        typer.Option(help="Gene families to write, repeated for more; `all`: every one found. Default: the panel."),
    ] = [],  # noqa: B006
    counts: Annotated[bool, typer.Option("--counts", help="Write copies in the assembly instead of 0/1.")] = False,
    partial: Annotated[
        bool, typer.Option("--partial", help="Count partial hits, internal stops and HMM hits, too.")
    ] = False,
    quiet: QuietOption = False,
) -> None:
    """AMRFinder+ results (version 3 or 4) → presence of gene families per run, for `kpsc_gt_path`.

    Example: `copyfold cnv truth amrfinder amr/ --runs runs.tsv -o amrfinder_gt.tsv`
    """
    from copyfold.app.truth_tables import write_amrfinder_truth
    from copyfold.core.console import Console

    console = Console(quiet=quiet)
    write_amrfinder_truth(inputs, out, runs, family, console, counts=counts, count_partial=partial)
    print(out)


@app.command()
def kleborate(
    table: Annotated[Path, typer.Argument(metavar="FILE", help="Kleborate's output, version 2 or 3.")],
    out: OutOption,
    runs: RunsOption = None,
    quiet: QuietOption = False,
) -> None:
    """Kleborate's results → SHV alleles, species and ST per run, for `kpsc_kleborate_gt_path` and `kpsc_meta_path`.

    Counts are of assemblies, where identical tandem copies collapse into one: two or more is an event, one is not
    the absence of one.

    Example: `copyfold cnv truth kleborate kleborate.txt --runs runs.tsv -o kleborate_gt.tsv`
    """
    from copyfold.app.truth_tables import write_kleborate_truth
    from copyfold.core.console import Console

    write_kleborate_truth(table, out, runs, Console(quiet=quiet))
    print(out)


@app.command()
def join(
    table: Annotated[Path, typer.Argument(metavar="TABLE", help="Truth table keyed by BioSample or run.")],
    out: OutOption,
    runs: Annotated[Path, typer.Option("--runs", metavar="RUNS.tsv", help=_RUNS_HELP)],
    quiet: QuietOption = False,
) -> None:
    """Key a truth table by run: one row for each run of a BioSample.

    Example: `copyfold cnv truth join by_biosample.tsv --runs runs.tsv -o by_run.tsv`
    """
    from copyfold.app.truth_tables import write_joined_truth
    from copyfold.core.console import Console

    write_joined_truth(table, out, runs, Console(quiet=quiet))
    print(out)
