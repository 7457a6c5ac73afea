"""Commands that are killed, stopped, starved or whose clock jumps; given again, and compared with ones left alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

ENVIRONMENT = os.environ | {"OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": "1"}
RESULTS = (
    "reconstructions.npy", "latents.npy", "segments.parquet", "recurrent_segments.tsv", "gene_calls.tsv",
    "plasmid_gene_calls.tsv", "evaluation.txt", "metrics.json", "sample_ids.npy",
)  # fmt: skip
MAIN = "from copyfold.cli.main import main\nmain()\n"
JUMPING_CLOCK = """
import datetime, itertools, time
import copyfold.core.rundir as rundir
real, jumps = time.time, itertools.cycle([0.0, 86_400.0, -86_400.0, 3e8, -3e8])
time.time = lambda: real() + next(jumps)
class Jumping(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return super().now(tz) + datetime.timedelta(seconds=next(jumps))
rundir.datetime = Jumping
"""
NO_MEMORY = """
import copyfold.engine.trainer as trainer
fit = trainer.Trainer._train_epoch
def starve(self, step, rows, weights, epoch):
    if epoch == 2:
        raise MemoryError("Unable to allocate 64.0 GiB")
    return fit(self, step, rows, weights, epoch)
trainer.Trainer._train_epoch = starve
"""


class Ended(NamedTuple):
    """A command that has ended.

    Attributes
    ----------
    returncode : int
    stderr : str
    seconds : float
    """

    returncode: int
    stderr: str
    seconds: float


class Job(NamedTuple):
    """A command, and the files that are its work.

    Attributes
    ----------
    name : str
    command : callable
        Arguments, for the folder that the work goes to.
    results : tuple of str
    """

    name: str
    command: Callable[[Path], Sequence[object]]
    results: tuple[str, ...]


def run(
    arguments: Sequence[object], prelude: str = "", stop: Callable[[subprocess.Popen[str]], None] | None = None
) -> Ended:
    """A command in a process of its own; `prelude` is Python that runs before it, `stop` does something to it."""
    began = time.monotonic()
    command = [sys.executable, "-c", prelude + MAIN, *map(str, arguments)]
    with subprocess.Popen(
        command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        if stop is not None:
            stop(process)
        _, stderr = process.communicate(timeout=600)
    return Ended(process.returncode, stderr, time.monotonic() - began)


def after(seconds: float, number: signal.Signals) -> Callable[[subprocess.Popen[str]], None]:
    """Send a signal at a moment, unless the command has ended by then."""

    def stop(process: subprocess.Popen[str]) -> None:
        try:
            process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(number)

    return stop


def stage_of(folder: Path) -> str:
    """What a run was doing when it died."""
    if not (folder / "run.json").exists():
        return "start"
    stages = json.loads((folder / "run.json").read_text())["stages"]
    working = [name for name, stage in stages.items() if stage["status"] == "running"]
    return working[0] if working else "between stages" if stages else "start"


def differences(job: Job, folder: Path, expected: Path) -> list[str]:
    """Results that are not those of the command that was left alone, to the bit; and files that should not be there."""
    wrong = [name for name in job.results if not _same(folder / name, expected / name)]
    return wrong + [path.name for path in folder.rglob(".*.partial")]


def _same(path: Path, other: Path) -> bool:
    return path.exists() and path.read_bytes() == other.read_bytes()
