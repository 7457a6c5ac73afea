"""Runs that are killed, stopped, resumed, or started twice."""

import json
import math
import os
import shutil
import signal
import time
from contextlib import suppress

import pytest
import torch

from copyfold.core.files import write_json

EPOCHS = 150  # enough that several saves, which take a thirtieth of the time, fall into a training
RESULTS = (
    "reconstructions.npy",
    "latents.npy",
    "segments.parquet",
    "gene_calls.tsv",
    "plasmid_gene_calls.tsv",
    "evaluation.txt",
    "metrics.json",
    "sample_ids.npy",
)


def read_record(run):
    return json.loads((run / "run.json").read_text())


def epochs_done(run):
    """Rows of the training log without the seconds they took, which no two runs share."""
    log = run / "training_log.tsv"
    return [line.rsplit("\t", 1)[0] for line in log.read_text().splitlines()[1:]] if log.exists() else []


def running_stage(run):
    """The stage that the record says is at work."""
    if not (run / "run.json").exists():
        return None
    stages = read_record(run)["stages"]
    return next((name for name, stage in stages.items() if stage["status"] == "running"), None)


def assert_same_run(run, other):
    for name in RESULTS:
        assert (run / name).read_bytes() == (other / name).read_bytes(), name
    weights, expected = (torch.load(folder / "checkpoint.pth", weights_only=True) for folder in (run, other))
    assert weights["epoch"] == expected["epoch"]
    for name, tensor in expected["model_state_dict"].items():
        assert torch.equal(weights["model_state_dict"][name], tensor), name
    assert epochs_done(run) == epochs_done(other)
    assert not list(run.glob("*.partial")) + list(run.glob(".*.partial"))
    assert read_record(run)["status"] == "complete"


@pytest.fixture(scope="module")
def arguments(cohort):
    """Command line of a run whose training takes a moment; ``out_dir`` still to be added."""
    return ("cnv", "train", cohort / "config.yaml", "--set", f"epochs={EPOCHS}", "--device", "cpu")


@pytest.fixture(scope="module")
def uninterrupted(arguments, copyfold, tmp_path_factory):
    run = tmp_path_factory.mktemp("uninterrupted") / "run"
    copyfold(*arguments, "--set", f"out_dir={run}").succeeded()
    return run


@pytest.fixture
def run(tmp_path):
    return tmp_path / "run"


def test_a_run_killed_in_training_resumes_to_the_same_bits(uninterrupted, arguments, run, started, copyfold, until):
    with started(*arguments, "--set", f"out_dir={run}") as process:
        until(lambda: len(epochs_done(run)) >= 2)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    assert 2 <= len(epochs_done(run)) < EPOCHS
    assert running_stage(run) == "train"
    resumed = copyfold(*arguments, "--set", f"out_dir={run}", "--resume").succeeded()
    assert "continuing" in resumed.stderr
    assert_same_run(run, uninterrupted)


def test_a_run_killed_in_training_again_and_again_still_ends_with_the_same_bits(
    uninterrupted, arguments, run, copyfold, until
):
    for _ in range(4):
        done = len(epochs_done(run))
        pid = copyfold.start(*arguments, "--set", f"out_dir={run}", "--resume")
        until(lambda before=done: len(epochs_done(run)) > before)  # saved after its first epoch, whatever a save costs
        os.kill(pid, signal.SIGKILL)
        assert copyfold.wait().returncode == -signal.SIGKILL
        assert len(epochs_done(run)) < EPOCHS
    copyfold(*arguments, "--set", f"out_dir={run}", "--resume").succeeded()
    assert_same_run(run, uninterrupted)


@pytest.mark.parametrize("stage", ["infer", "segment", "call", "evaluate"])
def test_a_run_killed_in_a_later_stage_resumes_to_the_same_bits(uninterrupted, arguments, run, copyfold, until, stage):
    """A stage may end before the signal comes; then the run is prepared anew and killed a moment earlier."""
    finished = read_record(uninterrupted)
    stages = list(finished["stages"])
    earlier = {name: finished["stages"][name] for name in stages[: stages.index(stage)]}
    first_seen = []

    def kill(after_seconds):
        shutil.rmtree(run, ignore_errors=True)
        shutil.copytree(uninterrupted, run)
        write_json(run / "run.json", finished | {"stages": earlier, "status": "running"})
        pid = copyfold.start(*arguments, "--set", f"out_dir={run}", "--resume")
        begun = time.monotonic()
        until(lambda: stage in read_record(run)["stages"] or time.monotonic() - begun > after_seconds)
        with suppress(ProcessLookupError):  # done already
            os.kill(pid, signal.SIGKILL)
        first_seen.append(time.monotonic() - begun)
        return copyfold.wait().returncode

    returncode = kill(math.inf)
    for attempt in range(1, 10):
        if returncode == -signal.SIGKILL:
            break
        assert returncode == 0
        returncode = kill(first_seen[0] * (1 - 0.05 * attempt))
    assert returncode == -signal.SIGKILL
    assert read_record(run)["status"] == "running"
    assert {name: read_record(run)["stages"][name] for name in earlier} == earlier

    copyfold(*arguments, "--set", f"out_dir={run}", "--resume").succeeded()
    assert_same_run(run, uninterrupted)


def test_a_kill_between_the_last_epoch_and_its_line_in_the_log_loses_no_line(uninterrupted, arguments, run, copyfold):
    shutil.copytree(uninterrupted, run)
    log = (run / "training_log.tsv").read_text().splitlines(keepends=True)
    (run / "training_log.tsv").write_text("".join(log[:-1]))
    write_json(run / "run.json", read_record(run) | {"stages": {"train": {"status": "running"}}, "status": "running"})
    copyfold(*arguments, "--set", f"out_dir={run}", "--resume").succeeded()
    assert_same_run(run, uninterrupted)


@pytest.mark.parametrize(("number", "returncode"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_stopped_run_says_so_and_resumes_to_the_same_bits(
    uninterrupted, arguments, run, started, copyfold, until, number, returncode
):
    with started(*arguments, "--set", f"out_dir={run}") as process:
        until(lambda: len(epochs_done(run)) >= 2)
        process.send_signal(number)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == returncode
    assert "Traceback" not in stderr
    record = read_record(run)
    assert record["status"] == "interrupted"
    assert record["reason"]
    assert not list(run.glob(".*.partial"))
    copyfold(*arguments, "--set", f"out_dir={run}", "--resume").succeeded()
    assert_same_run(run, uninterrupted)
    assert "reason" not in read_record(run)


def test_a_run_stopped_by_ctrl_c_names_the_way_on(arguments, run, copyfold, until):
    pid = copyfold.start(*arguments, "--set", f"out_dir={run}", "--quiet")
    until(lambda: len(epochs_done(run)) >= 1)
    os.kill(pid, signal.SIGINT)
    stopped = copyfold.wait()
    assert stopped.returncode == 130
    assert stopped.stderr.splitlines()[-1] == "copyfold: stopped; the same command with --resume goes on"


def test_resume_on_an_empty_folder_just_starts(uninterrupted, arguments, run, copyfold):
    run.mkdir()
    done = copyfold(*arguments, "--set", f"out_dir={run}", "--resume").succeeded()
    assert "continuing" not in done.stderr
    assert_same_run(run, uninterrupted)


def test_resuming_a_complete_run_changes_nothing(uninterrupted, arguments, run, copyfold):
    shutil.copytree(uninterrupted, run)
    before = {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in run.iterdir()}
    record = read_record(run)
    done = copyfold(*arguments, "--set", f"out_dir={run}", "--resume").succeeded()
    assert ": done in" not in done.stderr
    after = {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in run.iterdir()}
    before.pop("run.json")
    after.pop("run.json")
    assert after == before
    again = read_record(run)
    for key in ("stages", "started", "status", "seed", "versions", "inputs"):
        assert again[key] == record[key], key


def test_the_results_do_not_depend_on_the_folder_being_moved_before_it_resumes(
    uninterrupted, arguments, run, copyfold, until, tmp_path
):
    pid = copyfold.start(*arguments, "--set", f"out_dir={run}")
    until(lambda: len(epochs_done(run)) >= 2)
    os.kill(pid, signal.SIGKILL)
    copyfold.wait()
    moved = run.rename(tmp_path / "elsewhere")
    copyfold(*arguments, "--set", f"out_dir={moved}", "--resume").succeeded()
    assert_same_run(moved, uninterrupted)
    assert read_record(moved)["config"]["out_dir"] == str(moved)


def test_a_second_process_is_refused_while_the_first_one_works(uninterrupted, arguments, run, started, copyfold, until):
    with started(*arguments, "--set", f"out_dir={run}") as first:
        until(lambda: len(epochs_done(run)) >= 1)
        first.send_signal(signal.SIGSTOP)  # or it might be done before the second one has looked
        try:
            second = copyfold(*arguments, "--set", f"out_dir={run}", "--resume")
            stage = copyfold("cnv", "infer", run)
        finally:
            first.send_signal(signal.SIGCONT)
        _, stderr = first.communicate(timeout=120)
    assert "another copyfold process is working in it" in second.complaint()
    assert "another copyfold process is working in it" in stage.complaint()
    assert first.returncode == 0, stderr
    assert_same_run(run, uninterrupted)
