"""``copyfold run``: runs on disk, whatever command made them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from copyfold.cli.options import DeviceOption, QuietOption, RunArgument

app = typer.Typer(no_args_is_help=True, help="Runs on disk: list them, see where one stands, go on, compare two.")


@app.command("list")
def list_runs(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Looked through with all folders below it.")
    ] = Path(),
) -> None:
    """List the runs below a folder: what ran, where it stands, which stages are done.

    Status `killed` means that a run was at work when its process died; it goes on with `copyfold run resume`.

    Example: `copyfold run list results`
    """
    from copyfold.app.runs import describe_runs

    print(describe_runs(folder))


@app.command()
def status(run: RunArgument) -> None:
    """Say what ran, with what versions and inputs, how far it came, and how it goes on.

    Example: `copyfold run status my/run`
    """
    from copyfold.app.runs import describe_run

    print(describe_run(run))


@app.command()
def resume(run: RunArgument, device: DeviceOption = "auto", quiet: QuietOption = False) -> None:
    """Continue a run with the configuration that it was begun with; on a CPU it ends with the same bits.

    Example: `copyfold run resume my/run`
    """
    from copyfold.app.resuming import resume_run
    from copyfold.core.console import Console

    print(resume_run(run, device=device, console=Console(quiet=quiet)))


@app.command()
def compare(
    first: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.")],
    second: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of another.")],
) -> None:
    """Print where two runs differ: keys of the configuration, inputs, versions, metrics.

    Example: `copyfold run compare my/run other/run`
    """
    from copyfold.app.runs import compare_runs

    print(compare_runs(first, second))
