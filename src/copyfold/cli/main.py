"""``copyfold``: the entry point, and what every command shares."""

from __future__ import annotations

import gc
import os
import signal
import sys
from types import FrameType
from typing import Annotated

import typer

from copyfold.cli import cnv, config, ddg, demo, join, report, run
from copyfold.cli.interrupted import is_out_of_memory, way_on
from copyfold.core.torchrun import own_place
from copyfold.errors import ConfigError, CopyfoldError

app = typer.Typer(
    name="copyfold",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="""How many copies of a gene does each isolate carry, and what does a mutation do to its protein's stability?

`cnv`: reads per 1 kb bin → expected depth → hidden Markov model → copies of chromosomal and plasmid-borne genes.

`ddg`: structure or sequence and mutations → ΔΔG with its error (kcal/mol, positive = destabilising).

**Start here:** `copyfold demo` simulates a cohort, calls its copies and says which report to open (minutes).

Your reads: `copyfold cnv cohort samples.tsv --reference REF --out OUT`; REF is made by `copyfold cnv reference build`.

Your protein: `copyfold ddg scan --structure protein.pdb --out scan`""",
)
app.add_typer(cnv.app, name="cnv")
app.add_typer(ddg.app, name="ddg")
app.add_typer(config.app, name="config")
app.add_typer(run.app, name="run")
app.command("demo")(demo.demo)
app.command("report")(report.report)
app.command("join")(join.join)


def _print_version(asked: bool) -> None:
    if asked:
        from copyfold.version import __version__

        print(f"copyfold {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None: ...


_INTERRUPTED = 128 + signal.SIGINT


def _stop(signum: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + signum)


def main() -> None:
    """Run the command line; a mistake of the user's is one line on stderr and exit code 2."""
    gc.set_threshold(100_000)  # imports make much and drop little: looking through it again and again costs 20 ms
    if own_place().rank == 0:
        signal.signal(signal.SIGTERM, _stop)
    else:  # the first process tells
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
    # Torch's threads spin while they wait; on shared cores that slows training several times over.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        _check_trains()
        status = app(standalone_mode=False)
        if status == _INTERRUPTED:  # the parser turns Ctrl-C into this
            raise KeyboardInterrupt
        sys.exit(status if isinstance(status, int) else 0)
    except CopyfoldError as error:
        _complain(str(error))
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        _complain(f"stopped; {way_on(app, sys.argv[1:])}")
        sys.exit(_INTERRUPTED)
    except SystemExit as stop:
        if stop.code == 128 + signal.SIGTERM:
            _complain(f"stopped by SIGTERM; {way_on(app, sys.argv[1:])}")
        raise
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader of a pipe has gone: no traceback
        sys.exit(1)
    except Exception as error:
        if is_out_of_memory(error):
            reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
            _complain(
                f"out of memory ({reason}); give the job more of it, then {way_on(app, sys.argv[1:])}. Where there is "
                "a batch_size, a lower one needs less: that is another run, in another folder"
            )
            sys.exit(1)
        show = getattr(error, "show", None)  # usage errors of the parser know how to show themselves
        if show is None:
            raise
        show()
        sys.exit(getattr(error, "exit_code", 2))


def _check_trains() -> None:
    """Refuse to do by many processes what one should do."""
    place = own_place()
    if place.size == 1 or sys.argv[1:3] == ["cnv", "train"]:
        return
    if place.rank > 0:
        sys.exit(0)
    raise ConfigError("torchrun is for `copyfold cnv train` alone; start this command without it")


def _complain(message: str) -> None:
    rank = own_place().rank
    print(f"copyfold: {f'process {rank}: ' if rank else ''}{message}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
