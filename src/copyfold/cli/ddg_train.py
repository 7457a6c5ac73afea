"""``copyfold ddg train`` and ``copyfold ddg refine``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from copyfold.cli.options import QuietOption, SetOption

ResumeOption = Annotated[
    bool, typer.Option("--resume", help="Continue what the folder holds; an empty one just starts.")
]


class Specialist(StrEnum):
    """What can be trained."""

    s669 = "s669"
    protherm = "protherm"
    wide = "wide"
    all = "all"


class Refiner(StrEnum):
    """What can correct a specialist."""

    mlp = "mlp"
    transformer = "transformer"


def train(
    specialist: Annotated[Specialist, typer.Argument(help="Which specialist to train.")],
    data: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="Tidy table, or folder with s669, protherm and wide tables."),
    ] = None,
    structures: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="PDB or mmCIF files named by protein; default: `structures` with the data."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="DIR", help="Where vae_<specialist> goes; default `outputs`.")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="YAML", help="Configuration (`config init ddg` writes one), or a folder with one of each."
        ),
    ] = None,
    set_: SetOption = [],  # noqa: B006 -- typer reads the default, nobody changes it
    quick: Annotated[
        bool, typer.Option("--quick", help="Few epochs and rows; without --data, on a small SIMULATED set.")
    ] = False,
    skip_wide: Annotated[bool, typer.Option("--skip-wide", help="With `all`: leave the wide specialist out.")] = False,
    resume: ResumeOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train specialist VAEs of stability: S669, ProTherm, wide, or all three.

    Writes `vae_s669`, `vae_protherm`, `vae_wide` in DIR, each with best.pt, final.pt, training_history.json, and
    metrics.json, predictions.csv, features.npy, run.json beside them.

    Try it: `copyfold ddg train all --quick --skip-wide --out /tmp/try`

    On data: `copyfold ddg train protherm --data tables/ --structures pdb/ --out outputs`
    """
    from copyfold.app.ddg_train import train_specialists
    from copyfold.core.console import Console
    from copyfold.errors import ConfigError

    if skip_wide and specialist is not Specialist.all:
        raise ConfigError(f"--skip-wide goes with `all`, not with `{specialist}`")
    names = [name for name in ("s669", "protherm", "wide") if not (skip_wide and name == "wide")]
    folders = train_specialists(
        names if specialist is Specialist.all else [specialist.value],
        config,
        set_,
        data=data,
        structures=structures,
        out=out,
        quick=quick,
        resume=resume,
        console=Console(quiet=quiet),
    )
    for folder in folders:
        print(folder)


def refine(
    refiner: Annotated[Refiner, typer.Argument(help="Residual MLP, or transformer over the latent's dimensions.")],
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a trained specialist, such as vae_protherm.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="DIR", help="Where the refiner's folder goes; default: beside RUN."),
    ] = None,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the specialist's training rows.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Seed of everything random.")] = 42,
    resume: ResumeOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train a refiner: a correction of a specialist's prediction from the mean of its latent.

    Takes the specialist's own rows and split. Writes `mlp_refiner` or `embedding_transformer` in DIR: best.pt,
    final.pt, training_history.json, metrics.json, predictions.csv, run.json; the transformer also attention.csv.

    Example: `copyfold ddg refine mlp outputs/vae_protherm`
    """
    from copyfold.app.ddg_refine import refine_specialist
    from copyfold.core.console import Console

    print(
        refine_specialist(
            refiner.value, run, out, epochs=epochs, seed=seed, resume=resume, console=Console(quiet=quiet)
        )
    )
