"""``copyfold demo``: the main job on a made cohort."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from copyfold.cli.options import QuietOption


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to make for the cohort and the run.")] = Path("demo"),
    isolates: Annotated[int, typer.Option("--isolates", "-n", min=20, help="Isolates to simulate.")] = 500,
    quiet: QuietOption = False,
) -> None:
    """Simulate a cohort, train, call, evaluate; print calls against truth and what to open.

    Takes two to three minutes on two CPU cores. If `OUT` holds the demo already, it continues where it stopped.

    Example: `copyfold demo --out demo --isolates 500`
    """
    from copyfold.app.demo import run_demo
    from copyfold.core.console import Console

    print(run_demo(out, isolates, Console(quiet=quiet)))
