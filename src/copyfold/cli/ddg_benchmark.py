"""``copyfold ddg benchmark``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from copyfold.cli.options import QuietOption


class BenchmarkSet(StrEnum):
    """What to score on."""

    s669 = "s669"
    s461 = "s461"
    ssym = "ssym"
    megascale = "megascale"
    proteingym = "proteingym"


def benchmark(
    name: Annotated[BenchmarkSet, typer.Argument(help="Published set to score on.")],
    data: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Holds sets/, structures/, peers/, proteingym/ and msas/.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", help="New folder for the results.")],
    encodings: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Keep encodings of structures here for the next time.")
    ] = None,
    quiet: QuietOption = False,
) -> None:
    """Score the shipped model and published ones on the same rows: correlations, errors, antisymmetry, differences.

    Every protein is predicted by the members of the ensemble that never saw a relative of it. Writes benchmark.txt,
    benchmark.json, benchmark.svg, benchmark.png and predictions.csv.

    Example: `copyfold ddg benchmark s669 --data ../shared/data/ddg --out s669`
    """
    from tempfile import TemporaryDirectory

    from copyfold.app.ddg_benchmark import run_benchmark
    from copyfold.app.ddg_dms import run_dms_benchmark
    from copyfold.core.console import Console

    console = Console(quiet=quiet)
    with TemporaryDirectory() as nowhere:
        kept = encodings or Path(nowhere)
        if name is BenchmarkSet.proteingym:
            text = run_dms_benchmark(data, out, kept, console)
        else:
            text = run_benchmark(name.value, data, out, kept, console)
    print(text, end="")
