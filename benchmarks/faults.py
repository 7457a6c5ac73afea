"""Faults put into commands at work: docs/benchmarks/faults.md.

    python benchmarks/faults.py --kills 20

Each command is killed (SIGKILL) at a random moment between its start and the time that it takes when it is left alone,
given again, and its files compared to the bit with those of the command that was left alone.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import torch

from common import machine, print_table

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from copyfold.cnv.simulation import hs11286_geometry, preset, simulate, write_cohort
from faults.injection import JUMPING_CLOCK, NO_MEMORY, Job, after, differences, run, stage_of
from faults.jobs import other_jobs, run_jobs
from hostile.seeds import make_reads_and_reference


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20, help="of each command")
    parser.add_argument("--seed", type=int, default=42)
    options = parser.parse_args()
    moments = random.Random(options.seed)
    rows = []
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        cohort = write_cohort(simulate(preset("easy"), 30, 8, hs11286_geometry(300)), folder / "cohort")
        reference = make_reads_and_reference(folder / "reads")
        jobs = run_jobs(cohort)
        alone = {job.name: _alone(job, folder) for job in jobs}
        more = other_jobs(folder / "reads", reference, alone[jobs[0].name][0])
        alone |= {job.name: _alone(job, folder) for job in more}
        for job in (*jobs, *more):
            rows.append(_killed(job, *alone[job.name], options.kills, folder, moments))
            print(rows[-1], file=sys.stderr, flush=True)
        expected, seconds = alone[jobs[0].name]
        for number in (signal.SIGINT, signal.SIGTERM):
            rows.append(_stopped(jobs[0], expected, seconds, number, folder, moments))
        for name, prelude, returncode in (("clock jumps", JUMPING_CLOCK, 0), ("no memory", NO_MEMORY, 1)):
            rows.append(_changed(jobs[0], expected, name, prelude, returncode, folder))
    print(f"{machine(torch.device('cpu'))}; seed {options.seed}\n")
    print_table(rows)


def _alone(job: Job, folder: Path) -> tuple[Path, float]:
    out = folder / f"alone-{job.name.replace(' ', '')}"
    out.mkdir()
    ended = run(job.command(out))
    if ended.returncode:
        raise SystemExit(ended.stderr)
    return out, ended.seconds


def _killed(
    job: Job, expected: Path, seconds: float, n_kills: int, folder: Path, moments: random.Random
) -> dict[str, Any]:
    """Kill a command at random moments, each time in a new folder."""
    where: Counter[str] = Counter()
    survived = n_killed = 0
    for number in range(n_kills):
        out = folder / f"killed-{job.name.replace(' ', '')}-{number}"
        out.mkdir()
        ended = run(job.command(out), stop=after(moments.uniform(0, seconds), signal.SIGKILL))
        if ended.returncode == -signal.SIGKILL:
            n_killed += 1
            where[stage_of(out) if job.command(out)[1] == "train" else "at work"] += 1
        else:
            where["done already"] += 1
        again = run(job.command(out))
        done = again.returncode == 0 or "exists already" in again.stderr
        survived += done and not differences(job, out, expected)
    return _row(job.name, "SIGKILL", n_kills, survived, ", ".join(f"{stage} {n}" for stage, n in where.most_common()))


def _stopped(
    job: Job, expected: Path, seconds: float, number: signal.Signals, folder: Path, moments: random.Random
) -> dict[str, Any]:
    out = folder / f"stopped-{number.name}"
    ended = run(job.command(out), stop=after(moments.uniform(0.5, 0.7) * seconds, number))
    stage = stage_of(out)
    good = ended.returncode == 128 + number and "Traceback" not in ended.stderr
    good &= run(job.command(out)).returncode == 0 and not differences(job, out, expected)
    return _row(job.name, number.name, 1, int(good), f"{stage}; exit code {ended.returncode}")


def _changed(job: Job, expected: Path, name: str, prelude: str, returncode: int, folder: Path) -> dict[str, Any]:
    out = folder / name
    ended = run(job.command(out), prelude=prelude)
    good = ended.returncode == returncode and "Traceback" not in ended.stderr
    good &= run(job.command(out)).returncode == 0 and not differences(job, out, expected)
    return _row(job.name, name, 1, int(good), f"exit code {ended.returncode}")


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
