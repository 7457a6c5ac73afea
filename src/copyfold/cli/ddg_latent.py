"""``copyfold ddg fuse`` and ``copyfold ddg explore``: what is made of trained specialists."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from copyfold.cli.ddg_train import ResumeOption
from copyfold.cli.options import QuietOption


def fuse(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="What `ddg train all` wrote: vae_s669, vae_protherm, vae_wide.")
    ],
    refiner: Annotated[
        list[Path],
        typer.Option(metavar="FOLDER", help="A refiner of one of them; repeat for more. Default: those in FOLDER."),
    ] = [],  # noqa: B006 -- typer reads the default, nobody changes it
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="DIR", help="Where `fusion` goes; default: FOLDER.")
    ] = None,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the ProTherm specialist's training rows.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Seed of everything random.")] = 42,
    resume: ResumeOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train a fusion: attention across the specialists' latents that corrects the best single model.

    Takes the ProTherm specialist's rows and split; which model is the best is judged on the validation rows. Rows to
    validate or test whose protein, or a relative of it, trained another specialist are left out. Writes `fusion` in
    DIR: best.pt, final.pt, training_history.json, metrics.json, predictions.csv, attention.csv, run.json.

    Example: `copyfold ddg fuse outputs`

    Try it: `copyfold ddg train all --quick --out /tmp/try`, then `copyfold ddg fuse /tmp/try`
    """
    from copyfold.app.ddg_fuse import fuse_specialists
    from copyfold.core.console import Console

    print(fuse_specialists(folder, refiner, out, epochs=epochs, seed=seed, resume=resume, console=Console(quiet=quiet)))


def explore(
    run: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN...", help="Folder of a specialist; more, trained with other seeds, say what lasts."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", help="New folder for tables, plots and page.")],
    path: Annotated[
        list[str],
        typer.Option(metavar="A,B", help="Two mutations, as 1abc:A42V,1abc:L50P; repeat. Default: contrasting ones."),
    ] = [],  # noqa: B006 -- typer reads the default, nobody changes it
    permutations: Annotated[int, typer.Option(min=99, help="Permutations of each test.")] = 2000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of everything random.")] = 42,
    quiet: QuietOption = False,
) -> None:
    """Explore a specialist's latent: the direction of ΔΔG, paths, clusters, unexpected neighbours, sensitive positions.

    What is claimed is measured on mutations that the specialist was not trained on. Writes explore.html, explore.json,
    tables (TSV) and plots (SVG, PNG).

    Example: `copyfold ddg explore outputs/vae_protherm seed43/vae_protherm --out latent`

    A path of your own: `copyfold ddg explore outputs/vae_protherm --path 1bni:I88V,1bni:L14A --out latent`
    """
    from copyfold.app.ddg_explore import explore_runs
    from copyfold.core.console import Console

    print(explore_runs(run, out, paths=path, permutations=permutations, seed=seed, console=Console(quiet=quiet)))
