"""A cohort from its sample sheet to a summary: Snakemake started, watched, stopped and explained."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from copyfold.app.cohort_folder import CohortFolder, Plan, plan_cohort
from copyfold.core.console import Console, Progress
from copyfold.core.rundir import folder_lock
from copyfold.errors import ConfigError, RunError

PROFILES = ("local", "slurm")
_PROGRESS = re.compile(r"^(\d+) of (\d+) steps \(")
_FAILED = re.compile(r"^Error in rule (\w+)", re.MULTILINE)
_RULE = re.compile(r"^(?:local)?rule (store|train|report):")
_SAYS = {"store": "counted; gathering the counts", "train": "training and calling", "report": "writing the summary"}
_STOPPING = "Terminating processes on user request"
_SECONDS_TO_STOP = 60.0
_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class CohortOptions:
    """How a cohort is run; each is an option of ``copyfold cnv cohort``.

    Attributes
    ----------
    jobs : int or None
        Cores on this machine; on a cluster, jobs in the queue at a time. None takes all cores, or the profile's value.
    profile : str
        ``local``, ``slurm``, or a folder of a Snakemake profile.
    config : Path or None
        YAML with keys of the configuration.
    overrides : sequence of str
        ``key=value``.
    dry_run : bool
        Say what would be done, and do nothing.
    """

    jobs: int | None = None
    profile: str = "local"
    config: Path | None = None
    overrides: Sequence[str] = field(default=())
    dry_run: bool = False


def run_cohort(sheet: Path, reference: Path, out: Path, options: CohortOptions, console: Console) -> Path:
    """Count, gather, train, call and summarise; go on where an earlier call was stopped.

    Returns
    -------
    Path
        ``summary.txt``; the folder after a dry run.

    Raises
    ------
    CopyfoldError
        Bad sheet, reference or configuration, before any work; or a step that failed, and where its log is.
    SystemExit
        130 or 143 after a signal, when everything that was started has ended.
    """
    profile = _profile(options.profile)
    if options.dry_run:
        _plan_only(plan_cohort(sheet, reference, out, options.config, options.overrides, console), profile, console)
        return out
    with _own(out) as lock:
        plan = plan_cohort(sheet, reference, out, options.config, options.overrides, console)
        plan.drop_outdated(console)
        plan.write(out)
        _say_plan(plan, console)
        log = out / "logs" / "snakemake.log"
        log.parent.mkdir(exist_ok=True)
        arguments = [*_arguments(out, profile), *_cores(options, profile)]
        status = _run(arguments, log, lock, console)
    if status:
        raise RunError(_explain(plan.folder, log))
    summary = out / "summary.txt"
    console.say(summary.read_text(encoding="utf-8").rstrip("\n"))
    return summary


def _profile(name: str) -> Path:
    """Folder of a profile, after checking that what it needs is installed."""
    if find_spec("snakemake") is None:
        raise ConfigError("Snakemake is not installed; pip install 'copyfold[workflow]'")
    path = Path(str(files("copyfold") / "workflow" / "profiles" / name)) if name in PROFILES else Path(name)
    if not any((path / file).is_file() for file in ("config.yaml", "profile.yaml")):
        raise ConfigError(f"--profile {name}: neither local nor slurm, nor a folder with a config.yaml; check the path")
    text = "".join((path / file).read_text("utf-8") for file in ("config.yaml",) if (path / file).is_file())
    if re.search(r"^executor: *[\"']?slurm", text, re.MULTILINE):
        if find_spec("snakemake_executor_plugin_slurm") is None:
            raise ConfigError("the SLURM plug-in of Snakemake is not installed; pip install 'copyfold[workflow]'")
        if shutil.which("sbatch") is None:
            raise ConfigError(f"--profile {name}: there is no sbatch on the PATH; start this where you submit jobs")
    return path.resolve()


def _cores(options: CohortOptions, profile: Path) -> list[str]:
    if options.jobs is not None:
        return ["--jobs", str(options.jobs)]
    if options.profile == "local":
        available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return ["--cores", str(available)]
    return []


def _arguments(folder: Path, profile: Path) -> list[str]:
    """What every start of Snakemake has.

    Snakemake's own lock and marks of incomplete files are not used: the folder is locked here, and what exists is
    complete, since every output is renamed into place.
    """
    snakefile = str(files("copyfold") / "workflow" / "Snakefile")
    command = [sys.executable, "-m", "snakemake", "--snakefile", snakefile, "--directory", str(folder.resolve())]
    command += ["--profile", str(profile), "--nolock", "--ignore-incomplete", "--nocolor"]
    return [*command, "--keep-incomplete", "--rerun-triggers", "mtime", "input"]


@contextmanager
def _own(out: Path) -> Iterator[int]:
    """Take the folder's lock. Snakemake inherits it, so that it holds for as long as either of the two is alive."""
    new = not out.exists()
    try:
        with folder_lock(out, "`copyfold cnv cohort`") as handle:
            yield handle
    finally:
        if new and out.exists() and [item.name for item in out.iterdir()] == [".lock"]:  # refused: leave nothing behind
            shutil.rmtree(out)


def _say_plan(plan: Plan, console: Console) -> None:
    samples = plan.sheet.samples
    again = {sample for sample, _ in plan.outdated}
    done = sum(plan.folder.quality(each.sample).exists() and each.sample not in again for each in samples)
    console.say(f"{plan.folder.path}: {len(samples)} samples, {done} done already, {len(samples) - done} to count")
    gone = [each for each in samples if each.missing is not None and not plan.folder.quality(each.sample).exists()]
    for each in gone[:5]:
        console.warn(f"{each.sample}: {each.missing}: no such file; the sample will be left out")
    if len(gone) > 5:
        console.warn(f"{len(gone) - 5} more samples whose files do not exist will be left out")


def _plan_only(plan: Plan, profile: Path, console: Console) -> None:
    _say_plan(plan, console)
    for sample, reason in plan.outdated:
        console.say(f"{sample}: {reason}, would be counted again")
    with TemporaryDirectory() as scratch:
        folder = plan.folder.path if (plan.folder.path / "cohort.json").exists() else Path(scratch)
        arguments = [*_arguments(folder, profile), "--jobs", "1", "--dry-run", "--quiet", "rules"]
        if plan.outdated:
            arguments += ["--forcerun", *(f"counts/{sample}.qc.json" for sample, _ in plan.outdated[:1000])]
        if not plan.is_written():
            plan.write(Path(scratch), unlike=folder)
            if folder != Path(scratch):
                arguments += ["--config", f"prepared={scratch}"]
        done = subprocess.run(arguments, capture_output=True, text=True, env=_environment())
    if done.returncode:
        raise RunError(f"{plan.folder.path}: Snakemake cannot plan this: {_last_line(done.stderr + done.stdout)}")
    jobs = re.findall(r"^(count|store|train|report) +(\d+)$", done.stdout + done.stderr, re.MULTILINE)
    counts = dict(jobs)
    steps = [f"{counts[name]} × {name}" if name == "count" else name for name in ("count", *_SAYS) if name in counts]
    console.say("would do: " + ", ".join(steps) if steps else "nothing is to be done")


def _environment() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if key != "SNAKEMAKE_PROFILE"} | {"PYTHONUNBUFFERED": "1"}


def _run(arguments: list[str], log: Path, lock: int, console: Console) -> int:
    """Run Snakemake to its end; its exit status."""
    with (
        log.open("wb") as written,
        log.open("r", encoding="utf-8", errors="replace") as read,
        subprocess.Popen(
            arguments, stdin=subprocess.DEVNULL, stdout=written, stderr=written, env=_environment(), pass_fds=(lock,)
        ) as process,
        ExitStack() as stack,
    ):
        watch = _Watch(console, stack)
        try:
            while process.poll() is None:
                watch.read(read.read())
                time.sleep(_POLL_SECONDS)
        except (KeyboardInterrupt, SystemExit) as stop:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            _stop(process, log)
            console.warn("stopped; the same command goes on, finished samples are not counted again")
            raise SystemExit(stop.code if isinstance(stop, SystemExit) else 128 + signal.SIGINT) from None
        watch.read(read.read())
        return process.returncode


class _Watch:
    """Tells how far Snakemake is, from what it writes."""

    def __init__(self, console: Console, stack: ExitStack) -> None:
        self.console, self.stack = console, stack
        self.progress: Progress | None = None
        self.rest = ""

    def read(self, text: str) -> None:
        *lines, self.rest = (self.rest + text).split("\n")
        for line in lines:
            if found := _PROGRESS.match(line):
                done, total = int(found[1]), int(found[2])
                if self.progress is None:
                    self.progress = self.stack.enter_context(self.console.progress("cohort, step", total))
                self.progress(done)
            elif found := _RULE.match(line):
                self.console.say(_SAYS[found[1]])


def _stop(process: subprocess.Popen[bytes], log: Path) -> None:
    """End Snakemake and its jobs: it cancels what it has submitted, and jobs on this machine get SIGTERM."""
    import psutil

    try:
        jobs = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        jobs = []
    deadline = time.monotonic() + 1.0
    while process.poll() is None and time.monotonic() < deadline:  # Ctrl-C in a terminal has reached it, too
        if _STOPPING in log.read_text(encoding="utf-8", errors="replace"):
            break
        time.sleep(_POLL_SECONDS)
    else:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGINT)
    for job in jobs:
        with suppress(psutil.NoSuchProcess):
            job.terminate()
    try:
        process.wait(_SECONDS_TO_STOP)
    except subprocess.TimeoutExpired:
        process.kill()
    for job in psutil.wait_procs(jobs, timeout=5)[1]:
        with suppress(psutil.NoSuchProcess):
            job.kill()


def _explain(folder: CohortFolder, log: Path) -> str:
    """One line on what went wrong, and where to read on."""
    said = log.read_text(encoding="utf-8", errors="replace")
    failed = _FAILED.findall(said)
    for step in ("train", "store", "report"):
        if step in failed and (step_log := folder.path / "logs" / f"{step}.log").exists():
            return f"{folder.path}: step {step} failed: {_reason(step_log)}; its log is {step_log}"
    waiting = [each.sample for each in folder.read_sheet().samples if not folder.quality(each.sample).exists()]
    logs = [path for name in waiting if (path := folder.path / "logs" / "count" / f"{name}.log").exists()]
    if waiting and logs:
        return (
            f"{folder.path}: {len(waiting)} samples are not counted, after several attempts, first {logs[0].stem}: "
            f"{_reason(logs[0])}; run the same command again when that is mended; log: {logs[0]}"
        )
    return f"{folder.path}: Snakemake ended early: {_last_line(said)}; its log is {log}"


def _reason(log: Path) -> str:
    text = log.read_text(encoding="utf-8", errors="replace")
    ours = [line.removeprefix("copyfold: ") for line in text.splitlines() if line.startswith("copyfold: ")]
    return ours[-1] if ours else _last_line(text)


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "killed, without a word"
