"""Run folders: one owner, no stranger's results, a true record."""

import subprocess
import sys
import textwrap

import pytest

from copyfold.core.rundir import begin_run, own_run, read_run_record, true_status
from copyfold.errors import RunError

NOTHING = {"artefacts": ["latents.npy"], "ignore": frozenset({"out_dir"}), "facts": {"inputs": {"a": 1}}}


def test_a_fresh_folder_starts_and_the_same_configuration_continues(tmp_path):
    with own_run(tmp_path / "run") as run:
        assert not begin_run(run, {"epochs": 1}, resume=True, **NOTHING)
    with own_run(tmp_path / "run") as run:
        assert begin_run(run, {"epochs": 1}, resume=True, **NOTHING)


@pytest.mark.parametrize(
    ("config", "resume", "facts", "message"),
    [
        ({"epochs": 2}, True, {"inputs": {"a": 1}}, r"another run \(epochs was 1, now 2\)"),
        ({"epochs": 1}, False, {"inputs": {"a": 1}}, "add --resume"),
        ({"epochs": 1}, True, {"inputs": {"a": 2}}, "inputs have changed"),
    ],
)
def test_another_run_is_refused_and_its_record_kept(tmp_path, config, resume, facts, message):
    with own_run(tmp_path) as run:
        begin_run(run, {"epochs": 1}, resume=False, **NOTHING)
    before = (tmp_path / "run.json").read_bytes()
    with pytest.raises(RunError, match=message), own_run(tmp_path) as run:
        begin_run(run, config, resume=resume, **(NOTHING | {"facts": facts}))
    assert (tmp_path / "run.json").read_bytes() == before


def test_somebody_elses_results_are_refused(tmp_path):
    (tmp_path / "latents.npy").write_text("theirs")
    with pytest.raises(RunError, match=r"holds latents\.npy but no run\.json"), own_run(tmp_path) as run:
        begin_run(run, {}, resume=True, **NOTHING)
    assert (tmp_path / "latents.npy").read_text() == "theirs"


def test_two_processes_cannot_own_one_folder_and_the_lock_dies_with_its_owner(tmp_path):
    program = textwrap.dedent(f"""
        import sys, time
        from copyfold.core.rundir import own_run
        with own_run({str(tmp_path)!r}):
            print("owned", flush=True)
            time.sleep(60)
    """)
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout.readline() == "owned\n"
        with pytest.raises(RunError, match="another copyfold process"), own_run(tmp_path):
            pass
        owner.kill()
    with own_run(tmp_path):
        pass


def test_stages_are_recorded(tmp_path):
    with own_run(tmp_path) as run:
        begin_run(run, {}, resume=False, **NOTHING)
        run.start_stage("train")
        assert not run.stage_done("train")
        run.finish_stage("train", seconds=1.0)
        assert run.stage_done("train")
        run.forget_stages(["train"])
        run.finish("failed", "why")
    assert read_run_record(tmp_path)["reason"] == "why"
    assert not read_run_record(tmp_path)["stages"]


def test_a_folder_without_a_record_is_no_run(tmp_path):
    with pytest.raises(RunError, match="not a copyfold run"):
        read_run_record(tmp_path)
    (tmp_path / "run.json").write_text('{"format": "other/9"}')
    with pytest.raises(RunError, match="copyfold-run/1"):
        read_run_record(tmp_path)


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (RunError("disk full"), "failed", "disk full"),
        (ValueError(), "failed", "ValueError"),
        (KeyboardInterrupt(), "interrupted", "stopped by a signal"),
        (SystemExit(143), "interrupted", "stopped by a signal"),
    ],
)
def test_however_the_work_ends_the_record_says_so_and_the_error_goes_on(tmp_path, error, status, reason):
    with own_run(tmp_path) as run:
        begin_run(run, {}, resume=False, **NOTHING)
        with pytest.raises(type(error)) as raised, true_status(run):
            raise error
    assert raised.value is error
    assert {key: read_run_record(tmp_path)[key] for key in ("status", "reason")} == {"status": status, "reason": reason}


def test_a_record_that_cannot_be_written_hides_no_error(tmp_path, monkeypatch):
    with own_run(tmp_path) as run:
        begin_run(run, {}, resume=False, **NOTHING)

        def refuse(*_):
            raise RunError("disk full")

        monkeypatch.setattr(run, "save", refuse)
        with pytest.raises(ValueError, match="the cause"), true_status(run):
            raise ValueError("the cause")
