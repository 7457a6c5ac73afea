"""``copyfold cnv cohort``: from a sample sheet to the calls of a cohort."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from copyfold.cli.options import QuietOption, SetOption

OutArgument = Annotated[Path, typer.Argument(metavar="OUT", help="Folder of a cohort (`--out` of `cnv cohort`).")]


def cohort(
    sheet: Annotated[
        Path,
        typer.Argument(metavar="SHEET", help="TSV or CSV: sample, reads1 (reads2) or bam or cram, and lineage."),
    ],
    reference: Annotated[
        Path, typer.Option("--reference", "-r", metavar="REF", help="Folder made by `copyfold cnv reference build`.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="OUT", help="Folder to make, or to go on in.")],
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", "-j", min=1, help="Cores here, default all; on a cluster, jobs in the queue at a time."),
    ] = None,
    set_: SetOption = [],  # noqa: B006 -- typer reads the default, nobody changes it
    config: Annotated[
        Path | None,
        typer.Option(metavar="YAML", help="Keys of the configuration that differ from the preset; --set wins."),
    ] = None,
    profile: Annotated[
        str, typer.Option(metavar="NAME", help="`local`, `slurm`, or a folder with a Snakemake profile.")
    ] = "local",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Check everything and say what would be done.")
    ] = False,
    quiet: QuietOption = False,
) -> None:
    """Count every sample of a sheet, train, call, and summarise: the whole way, on one machine or a cluster.

    A sample that cannot be read is reported and left out. Stopped, by whatever, the same command goes on; samples added
    to the sheet later are counted, and what builds on them is done again. Writes OUT/cohort.tsv and OUT/summary.txt;
    OUT/run is the run.

    Example: `copyfold cnv cohort samples.tsv --reference REF --out cohort`

    On SLURM: `copyfold cnv cohort samples.tsv --reference REF --out cohort --profile slurm`
    """
    from copyfold.app.cohort import CohortOptions, run_cohort
    from copyfold.core.console import Console

    options = CohortOptions(jobs, profile, config, set_, dry_run)
    print(run_cohort(sheet, reference, out, options, Console(quiet=quiet)))


def summary(out: OutArgument, quiet: QuietOption = False) -> None:
    """Summarise a cohort again, finished or not: OUT/cohort.tsv and OUT/summary.txt.

    After other thresholds: `copyfold cnv call OUT/run --set cnv_crr_amp_threshold=1.5 && copyfold cnv summary OUT`
    """
    from copyfold.app.cohort_report import write_summary
    from copyfold.core.console import Console

    print(write_summary(out, Console(quiet=quiet)))


def cohort_step(
    step: Annotated[str, typer.Argument(metavar="STEP", help="`store` or `train`.")],
    out: OutArgument,
    quiet: QuietOption = False,
) -> None:
    """Do one step of a cohort; the workflow calls this, people call `cnv cohort`."""
    from copyfold.app.cohort_steps import do_step
    from copyfold.core.console import Console

    do_step(step, out, Console(quiet=quiet))
