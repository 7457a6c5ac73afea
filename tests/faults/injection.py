"""Commands that are killed, stopped, starved or whose clock jumps; given again, and compared with ones left alone."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch

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
_LIMITED_MEMORY = """
import resource
import copyfold.core.rundir as rundir
begin = rundir.RunDirectory.start_stage
def limited(self, stage):
    with open("/proc/self/statm") as size:
        used = int(size.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + ROOM, resource.RLIM_INFINITY))
    begin(self, stage)
rundir.RunDirectory.start_stage = limited
"""


def limited_memory(room: int) -> str:
    """Python by which each stage of a run finds `room` bytes of memory more than what is taken already."""
    return _LIMITED_MEMORY.replace("ROOM", str(room))


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


class Process(Protocol):
    """A command at work, as `subprocess.Popen` shows it."""

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int: ...

    def send_signal(self, sig: int) -> None: ...


Stop = Callable[[Process], None]


def run(arguments: Sequence[object], prelude: str = "", stop: Stop | None = None) -> Ended:
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


def after(seconds: float, number: signal.Signals) -> Stop:
    """Send a signal at a moment, unless the command has ended by then."""

    def stop(process: Process) -> None:
        try:
            process.wait(timeout=seconds)
        except (subprocess.TimeoutExpired, TimeoutError):
            process.send_signal(number)

    return stop


class Work(NamedTuple):
    """A part of a command that is to be struck: the time from a call of a function of ours to the next part.

    Attributes
    ----------
    name : str
    function : str
        ``module:function`` or ``module:Class.function``.
    argument : str, optional
        Only a call that is given this begins the part.
    """

    name: str
    function: str
    argument: str | None = None


class Job(NamedTuple):
    """A command, and the files that are its work.

    Attributes
    ----------
    name : str
    command : callable
        Arguments, for the folder that the work goes to.
    results : tuple of str
    parts : tuple of Work
        In their order.
    again : callable, optional
        What goes on after a kill; None: the same command.
    before : tuple of Path
        Folders that must lie in the folder that the work goes to.
    run : callable
        `run`, or what does the same.
    """

    name: str
    command: Callable[[Path], Sequence[object]]
    results: tuple[str, ...]
    parts: tuple[Work, ...]
    again: Callable[[Path], Sequence[object]] | None = None
    before: tuple[Path, ...] = ()
    run: Callable[..., Ended] = run

    def place(self, out: Path) -> Path:
        """Make the folder that the work goes to."""
        out.mkdir(parents=True)
        for folder in self.before:
            shutil.copytree(folder, out / folder.name)
        return out

    def go_on(self, out: Path) -> Ended:
        """Give the command, or what goes on with it, once more."""
        return self.run((self.again or self.command)(out))


STAGE = "copyfold.core.rundir:RunDirectory.start_stage"


def marking(parts: Sequence[Work], folder: Path) -> str:
    """Python that makes a command leave a file in `folder`, named as the part and holding the time, as each begins."""
    return "".join(
        f"""
def mark(function, argument, place):
    import functools, importlib, os, time
    module, _, path = function.partition(":")
    holder = functools.reduce(getattr, path.split(".")[:-1], importlib.import_module(module))
    whole = getattr(holder, path.split(".")[-1])
    def marked(*arguments, **named):
        if argument is None or argument in arguments:
            with open(place + ".new", "w") as out:
                out.write(str(time.monotonic()))
            os.replace(place + ".new", place)
        return whole(*arguments, **named)
    setattr(holder, path.split(".")[-1], marked)
mark({part.function!r}, {part.argument!r}, {str(folder / part.name)!r})
"""
        for part in parts
    )


def spans(job: Job, out: Path) -> dict[Work, float]:
    """Seconds that each part takes of a command that is left alone; its work stays in `out`."""
    job.place(out)
    with tempfile.TemporaryDirectory() as marks:
        ended = job.run(job.command(out), prelude=marking(job.parts, Path(marks)))
        if ended.returncode:
            raise RuntimeError(f"{job.name}: {ended.stderr}")
        begun = [float((Path(marks) / part.name).read_text()) for part in job.parts]
    ends = [*begun[1:], time.monotonic()]
    return {part: end - begin for part, begin, end in zip(job.parts, begun, ends, strict=True)}


def strike(job: Job, part: Work, seconds: float, number: signal.Signals, out: Path) -> Ended:
    """Give a command and send it a signal some seconds after a part of it has begun, unless it has ended by then."""
    with tempfile.TemporaryDirectory() as marks:

        def stop(process: Process) -> None:
            await_mark(Path(marks) / part.name, process)
            after(seconds, number)(process)

        return job.run(job.command(job.place(out)), prelude=marking([part], Path(marks)), stop=stop)


def await_mark(mark: Path, process: Process) -> None:
    """Wait until a command has made a file, or has ended."""
    while not mark.exists() and process.poll() is None:
        time.sleep(0.001)


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
    if not path.exists():
        return False
    if path.suffix == ".pt":
        return _alike(*(torch.load(each, weights_only=True) for each in (path, other)))
    return path.read_bytes() == other.read_bytes()


def _alike(value: Any, other: Any) -> bool:
    """Contents of checkpoints to the bit, but for the seconds that epochs took."""
    if isinstance(value, torch.Tensor):
        return isinstance(other, torch.Tensor) and value.dtype == other.dtype and torch.equal(value, other)
    if isinstance(value, dict):
        return value.keys() == other.keys() and all(_alike(value[key], other[key]) for key in value if key != "seconds")
    if isinstance(value, list | tuple):
        return len(value) == len(other) and all(map(_alike, value, other))
    return bool(value == other or (value != value and other != other))
