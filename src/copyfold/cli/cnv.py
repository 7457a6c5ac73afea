"""``copyfold cnv``: copy number from read depth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from copyfold.cli import cohort, count, export, reference, report, scan, store, truth
from copyfold.cli.options import DeviceOption, QuietOption, RunArgument, SetOption

app = typer.Typer(
    no_args_is_help=True,
    help="""Copy number of genes from short-read depth.

**All at once**: `copyfold cnv cohort samples.tsv --reference REF --out OUT`

**Step by step**: `reference build`, `count` each isolate, `store build`, `train` (which infers, segments, calls and
evaluates, too). Afterwards `call`, `plot`, `scan`, `export`; `truth` makes tables to evaluate against.

Without data: `copyfold cnv simulate cohort -n 60`, then `copyfold cnv train cohort/config.yaml`""",
)
app.command("cohort")(cohort.cohort)
app.command("summary")(cohort.summary)
app.command("cohort-step", hidden=True)(cohort.cohort_step)
app.command("count")(count.count)
app.command("export")(export.export)
app.command("plot")(report.plot)
app.command("scan")(scan.scan)
app.add_typer(reference.app, name="reference")
app.add_typer(store.app, name="store")
app.add_typer(truth.app, name="truth")


@app.command()
def train(
    config: Annotated[Path, typer.Argument(metavar="CONFIG.yaml", help="Configuration; `config init cnv` writes one.")],
    set_: SetOption = [],  # noqa: B006 -- typer reads the default, nobody changes it
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the run in out_dir; an empty out_dir just starts.")
    ] = False,
    device: DeviceOption = "auto",
    quiet: QuietOption = False,
) -> None:
    """Train on a cohort, then infer, segment, call genes and evaluate: the whole run.

    Writes into `out_dir`: checkpoint.pth, training_log.tsv, reconstructions.npy, latents.npy, segments.parquet,
    gene_calls.tsv, plasmid_gene_calls.tsv, evaluation.txt, and run.json, metrics.json, sample_ids.npy beside them.

    Example: `copyfold cnv train experiments/32/config.yaml --set store_path=my/store --set out_dir=my/run`

    Several GPUs: `torchrun --nproc-per-node 4 -m copyfold cnv train …` (the VAE architectures)
    """
    from copyfold.app.cnv_run import train_run
    from copyfold.core.console import Console
    from copyfold.core.torchrun import own_place

    out_dir = train_run(config, set_, resume=resume, device=device, console=Console(quiet=quiet))
    if own_place().rank == 0:
        print(out_dir / "evaluation.txt")


def _rerun(stage: str, run: Path, set_: list[str], device: str, quiet: bool) -> None:
    from copyfold.app.cnv_run import rerun_stage
    from copyfold.core.console import Console

    rerun_stage(run, stage, set_, device=device, console=Console(quiet=quiet))


@app.command()
def infer(run: RunArgument, device: DeviceOption = "auto", quiet: QuietOption = False) -> None:
    """Reconstruct every sample again with the run's trained model (reconstructions.npy, latents.npy).

    Example: `copyfold cnv infer my/run`
    """
    _rerun("infer", run, [], device, quiet)


@app.command()
def segment(run: RunArgument, set_: SetOption = [], quiet: QuietOption = False) -> None:  # noqa: B006
    """Segment again, perhaps with other `hmm_*` keys (segments.parquet).

    Example: `copyfold cnv segment my/run --set hmm_self_transition=0.95`
    """
    _rerun("segment", run, set_, "cpu", quiet)


@app.command()
def call(
    run: RunArgument,
    store: Annotated[
        Path | None, typer.Option(metavar="STORE", help="Isolates the run was not trained on: call these instead.")
    ] = None,
    plasmid_store: Annotated[
        Path | None, typer.Option(metavar="STORE", help="Their plasmid store; without it no plasmid genes are called.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FOLDER", help="Where the calls of --store go.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="With --store: continue what --out holds.")] = False,
    set_: SetOption = [],  # noqa: B006
    device: DeviceOption = "auto",
    quiet: QuietOption = False,
) -> None:
    """Call genes again, perhaps with other `cnv_*`, `pcn_*` keys or genes; or call new isolates without training.

    Again: `copyfold cnv call my/run --set gene_coords_path=panel.tsv`

    New isolates: `copyfold cnv call my/run --store new/chromosome --plasmid-store new/plasmid --out new/calls`
    """
    from copyfold.errors import ConfigError

    if store is None:
        if plasmid_store or out or resume:
            raise ConfigError("--plasmid-store, --out and --resume go with --store, the isolates to call")
        _rerun("call", run, set_, "cpu", quiet)
        return
    if out is None:
        raise ConfigError(f"--store {store}: needs --out, the folder that the calls go to")
    from copyfold.app.cnv_run import call_new
    from copyfold.core.console import Console

    console = Console(quiet=quiet)
    call_new(run, store, plasmid_store, out, set_, resume=resume, device=device, console=console)
    print(out / "gene_calls.tsv")


@app.command()
def evaluate(run: RunArgument, set_: SetOption = [], quiet: QuietOption = False) -> None:  # noqa: B006
    """Evaluate again, perhaps against another ground truth (evaluation.txt, metrics.json).

    Example: `copyfold cnv evaluate my/run --set kpsc_gt_path=amrfinder.tsv`
    """
    _rerun("evaluate", run, set_, "cpu", quiet)
    print(run / "evaluation.txt")


@app.command()
def simulate(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to make; must not hold anything.")],
    isolates: Annotated[int, typer.Option("--isolates", "-n", min=2, help="Isolates in the cohort.")] = 500,
    settings: Annotated[
        str, typer.Option(help="`easy`, `hard`, or a YAML file of settings (docs/formats/simulation.md).")
    ] = "easy",
    like: Annotated[
        Path | None,
        typer.Option(metavar="TABLE", help="Take bins, replication trend and noise from this real depth table."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same cohort.")] = 42,
    quiet: QuietOption = False,
) -> None:
    """Simulate a cohort whose truth is known: stores, ground-truth tables, true events, a ready config.yaml.

    Example: `copyfold cnv simulate cohort -n 500 && copyfold cnv train cohort/config.yaml`
    """
    from copyfold.app.simulate import simulate_cohort
    from copyfold.core.console import Console

    simulate_cohort(out, isolates, settings, like, seed, Console(quiet=quiet))
    print(out / "config.yaml")
