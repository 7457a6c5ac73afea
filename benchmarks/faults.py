"""Faults put into commands at work: docs/benchmarks/faults.md.

    python benchmarks/faults.py --kills 20

Each command is killed (SIGKILL) at random moments of each of its parts (train, infer, segment, call, …), given again,
and its files compared to the bit with those of the command that was left alone. Commands run in forks of this process,
which has loaded their modules: else most of the time would go into loading them. The table of what is done so far is
printed at the end, and when the benchmark itself is stopped.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from common import machine, print_table

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from copyfold.cnv.simulation import hs11286_geometry, preset, simulate, write_cohort
from faults.forking import load, run_in_fork
from faults.injection import (
    JUMPING_CLOCK,
    NO_MEMORY,
    Ended,
    Job,
    Process,
    Work,
    await_mark,
    differences,
    limited_memory,
    marking,
    spans,
    stage_of,
    strike,
)
from faults.jobs import other_jobs, refiner_jobs, run_jobs, specialist_job
from hostile.seeds import make_reads_and_reference

FULL_AT = (0.02, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95, 0.99)
"""Sizes of the disk, as shares of what the run's results need."""
ROOMS = (0, 1, 2, 3)
"""MiB of memory beyond what a run has taken when a stage begins."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20, help="of each command")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--only", default="", help="rows whose command or fault holds this")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    torch.set_num_threads(1)
    load()
    rows: list[dict[str, Any]] = []
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as made:
        try:
            for row in _rows(Path(made), options.kills, random.Random(options.seed), options.only):
                rows.append(row)
                print(row, file=sys.stderr, flush=True)
        except KeyboardInterrupt:
            print("stopped: the table is not whole", file=sys.stderr)
    minutes = (time.monotonic() - began) / 60
    print(f"{machine(torch.device('cpu'))}; seed {options.seed}; {minutes:.0f} min\n")
    print_table(rows)


def _rows(folder: Path, n_kills: int, moments: random.Random, only: str) -> Iterator[dict[str, Any]]:
    cohort = write_cohort(simulate(preset("easy"), 30, 8, hs11286_geometry(300)), folder / "cohort")
    reference = make_reads_and_reference(folder / "reads")
    jobs = run_jobs(cohort)
    first = folder / "alone" / jobs[0].name
    specialist = specialist_job()
    refiners = refiner_jobs(folder / "alone" / specialist.name / "vae_protherm")
    for job in (*jobs, *other_jobs(folder / "reads", reference, first), specialist, *refiners):
        alone = job._replace(run=run_in_fork)
        if only in job.name:
            yield _killed(alone, n_kills, folder, moments)
        elif job in (jobs[0], specialist):  # others stand on them
            spans(alone, folder / "alone" / job.name)
    job = jobs[0]._replace(run=run_in_fork)
    if only == "limit of memory":
        yield _limited(job, first, folder)
    if only:
        return
    for number in (signal.SIGINT, signal.SIGTERM):
        yield _stopped(job, first, number, folder, moments)
    yield _changed(job, first, "clock jumps", JUMPING_CLOCK, 0, folder)
    yield _changed(job, first, "no memory for an array", NO_MEMORY, 1, folder)
    yield _limited(job, first, folder)
    yield _two_runs(job, first, folder)
    yield _full_disks(job, first, folder)
    yield _read_only(job, folder)


def _killed(job: Job, n_kills: int, folder: Path, moments: random.Random) -> dict[str, Any]:
    """Kill a command in each of its parts in turn, each time in a new folder."""
    expected = folder / "alone" / job.name
    seconds = spans(job, expected)
    where: Counter[str] = Counter()
    survived = n_killed = 0
    for number in range(10 * n_kills):
        part = job.parts[number % len(job.parts)]
        out = folder / "killed" / job.name / str(number)
        ended = strike(job, part, moments.uniform(0, seconds[part]), signal.SIGKILL, out)
        if ended.returncode != -signal.SIGKILL:  # it was done before
            continue
        n_killed += 1
        where[_stage_at_death(job, part, out)] += 1
        again = job.go_on(out)
        done = again.returncode == 0 or "exists already" in again.stderr
        wrong = differences(job, out, expected)
        survived += done and not wrong
        if wrong or not done:
            print(job.name, part.name, wrong, again.stderr[-500:], file=sys.stderr, flush=True)
        if n_killed == n_kills:
            break
    return _row(job.name, "SIGKILL", n_killed, survived, ", ".join(f"{stage} {n}" for stage, n in where.most_common()))


def _stage_at_death(job: Job, part: Work, out: Path) -> str:
    records = [path.parent for path in out.glob("**/run.json") if path.parent.name not in {f.name for f in job.before}]
    return stage_of(records[0]) if records else part.name


def _stopped(job: Job, expected: Path, number: signal.Signals, folder: Path, moments: random.Random) -> dict[str, Any]:
    """Stopped by a signal in each stage of the run."""
    survived, where = 0, []
    for part in job.parts:
        out = folder / f"stopped-{number.name}-{part.name}"
        ended = strike(job, part, moments.uniform(0, 0.02), number, out)
        where.append(f"{stage_of(out)} {ended.returncode}")
        good = ended.returncode == 128 + number and "Traceback" not in ended.stderr
        good &= job.go_on(out).returncode == 0
        survived += good and not differences(job, out, expected)
    return _row(job.name, number.name, len(job.parts), survived, "stage and exit code: " + ", ".join(where))


def _changed(job: Job, expected: Path, name: str, prelude: str, returncode: int, folder: Path) -> dict[str, Any]:
    out = folder / name
    ended = job.run(job.command(out), prelude=prelude)
    good = ended.returncode == returncode and "Traceback" not in ended.stderr
    good &= returncode == 0 or "out of memory" in ended.stderr
    good &= job.go_on(out).returncode == 0 and not differences(job, out, expected)
    return _row(job.name, name, 1, int(good), f"exit code {ended.returncode}")


def _limited(job: Job, expected: Path, folder: Path) -> dict[str, Any]:
    """Each stage has little memory to itself (``ulimit -v``), and libraries below Python are the first to find none."""
    injected, survived, where = 0, 0, []
    for room in ROOMS:
        out = folder / f"limited-{room}"
        ended = job.run(job.command(out), prelude=limited_memory(room << 20))
        where.append(f"{room} MiB {stage_of(out)} {ended.returncode}")
        if ended.returncode == 0:  # that was room enough
            continue
        injected += 1
        good = "Traceback" not in ended.stderr and job.go_on(out).returncode == 0
        survived += good and not differences(job, out, expected)
    return _row(job.name, "limit of memory", injected, survived, "room, stage and exit code: " + ", ".join(where))


def _two_runs(job: Job, expected: Path, folder: Path) -> dict[str, Any]:
    """A second command on the folder of one that works."""
    out = folder / "two"
    refused: list[Ended] = []
    with tempfile.TemporaryDirectory() as marks:

        def stop(process: Process) -> None:
            await_mark(Path(marks) / "train", process)
            process.send_signal(signal.SIGSTOP)  # or it might be done before the second one has looked
            refused.append(job.run(job.command(out)))
            process.send_signal(signal.SIGCONT)

        ended = job.run(job.command(out), prelude=marking(job.parts[:1], Path(marks)), stop=stop)
    good = ended.returncode == 0 and not differences(job, out, expected)
    good &= refused[0].returncode == 2 and "another copyfold process" in refused[0].stderr
    return _row(job.name, "two on one folder", 1, int(good), f"exit code of the second {refused[0].returncode}")


def _full_disks(job: Job, expected: Path, folder: Path) -> dict[str, Any]:
    """Disks of many sizes, each too small; then made larger."""
    page = os.sysconf("SC_PAGE_SIZE")
    # a report that has no room costs a warning, not the run
    needed = sum(-(-path.stat().st_size // page) for path in expected.iterdir() if path.name != "report.html")
    injected = survived = 0
    for number, share in enumerate(FULL_AT):
        disk = folder / f"disk-{number}"
        if not _mounted(disk, f"size={max(1, round(needed * share)) * page}"):
            return _row(job.name, "disk full", 0, 0, "mounting a tmpfs is not allowed here")
        try:
            ended = job.run(job.command(disk / "run"))
            injected += 1
            good = ended.returncode == 2 and "No space left on device" in ended.stderr.splitlines()[-1]
            good &= "Traceback" not in ended.stderr and not list(disk.rglob("*.partial"))
            subprocess.run(["mount", "-o", "remount,size=100m", disk], check=True)
            good &= job.go_on(disk / "run").returncode == 0
            survived += good and not differences(job, disk / "run", expected)
        finally:
            subprocess.run(["umount", disk], check=True)
    shares = ", ".join(f"{share:.0%}" for share in FULL_AT)
    return _row(job.name, "disk full", injected, survived, f"at {shares} of the room that the results need")


def _read_only(job: Job, folder: Path) -> dict[str, Any]:
    disk = folder / "read-only"
    if not _mounted(disk, "size=1m,ro"):
        return _row(job.name, "read-only disk", 0, 0, "mounting a tmpfs is not allowed here")
    try:
        ended = job.run(job.command(disk / "run"))
    finally:
        subprocess.run(["umount", disk], check=True)
    good = ended.returncode == 2 and "Read-only file system" in ended.stderr and "Traceback" not in ended.stderr
    return _row(job.name, "read-only disk", 1, int(good), f"exit code {ended.returncode}")


def _mounted(disk: Path, options: str) -> bool:
    disk.mkdir()
    return subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", disk]).returncode == 0


def _row(command: str, fault: str, injected: int, survived: int, where: str) -> dict[str, Any]:
    return {
        "command": command,
        "fault": fault,
        "injected": injected,
        "survived": survived,
        "lost": injected - survived,
        "when": where,
    }


if __name__ == "__main__":
    main()
