"""A few faults of each kind; benchmarks/faults.py is the long form. Full disks: tests/integration/test_bad_input.py."""

import random
import signal
import sys

import pytest

from copyfold.cnv.simulation import hs11286_geometry, preset, simulate, write_cohort
from copyfold.core.files import read_json
from faults.injection import JUMPING_CLOCK, NO_MEMORY, after, differences, run, stage_of
from faults.jobs import other_jobs, run_jobs

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    out = tmp_path_factory.mktemp("cohort") / "cohort"
    return write_cohort(simulate(preset("easy"), 20, 8, hs11286_geometry(300)), out)


@pytest.fixture(scope="module")
def job(cohort):
    return run_jobs(cohort)[0]


@pytest.fixture(scope="module")
def alone(job, tmp_path_factory):
    """The folder of a run that was left alone, and the seconds it took."""
    out = tmp_path_factory.mktemp("alone") / "run"
    ended = run(job.command(out))
    assert ended.returncode == 0, ended.stderr
    return out, ended.seconds


def test_a_run_killed_at_random_moments_ends_with_the_same_bits(job, alone, tmp_path):
    expected, seconds = alone
    moments = random.Random(1)
    for _ in range(2):
        ended = run(job.command(tmp_path / "run"), stop=after(moments.uniform(0.3, 0.9) * seconds, signal.SIGKILL))
        assert ended.returncode in (0, -signal.SIGKILL)
    assert run(job.command(tmp_path / "run")).returncode == 0
    assert not differences(job, tmp_path / "run", expected), stage_of(tmp_path / "run")


def test_clocks_that_jump_change_nothing(job, alone, tmp_path):
    ended = run(job.command(tmp_path / "run"), prelude=JUMPING_CLOCK)
    assert ended.returncode == 0, ended.stderr
    assert not differences(job, tmp_path / "run", alone[0])


def test_no_memory_is_told_as_such_and_the_run_goes_on(job, alone, tmp_path):
    starved = run(job.command(tmp_path / "run"), prelude=NO_MEMORY)
    assert starved.returncode == 1
    last = starved.stderr.splitlines()[-1]
    assert "Traceback" not in starved.stderr
    assert "out of memory (Unable to allocate 64.0 GiB)" in last
    assert "the same command with --resume goes on" in last
    assert read_json(tmp_path / "run/run.json")["status"] == "failed"
    assert run(job.command(tmp_path / "run")).returncode == 0
    assert not differences(job, tmp_path / "run", alone[0])


def test_counting_and_reporting_killed_leave_nothing_half_written(alone, cohort, tmp_path):
    from hostile.seeds import make_reads_and_reference

    reference = make_reads_and_reference(tmp_path / "reads")
    for each in other_jobs(tmp_path / "reads", reference, alone[0])[::2]:
        name = each.name.replace(" ", "")
        expected, out = tmp_path / f"{name}-alone", tmp_path / name
        for folder in (expected, out):
            folder.mkdir()
        ended = run(each.command(expected))
        assert ended.returncode == 0, ended.stderr
        run(each.command(out), stop=after(0.8 * ended.seconds, signal.SIGKILL))
        again = run(each.command(out))
        assert again.returncode == 0 or "exists already" in again.stderr, again.stderr
        assert not differences(each, out, expected)
