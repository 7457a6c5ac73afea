"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

SetOption = Annotated[
    list[str],
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Replace a key of the configuration; repeat for more. Paths are taken from the working folder.",
    ),
]
DeviceOption = Annotated[
    str, typer.Option("--device", help="`auto` (CUDA, else MPS, else CPU), `cpu`, `cuda`, `cuda:N` or `mps`.")
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but warnings and errors.")]
RunArgument = Annotated[
    Path, typer.Argument(metavar="RUN", help="Folder of a run (the `out_dir` of its configuration).")
]
