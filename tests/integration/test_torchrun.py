"""``cnv train`` by two processes that torchrun starts, on CPU."""

import signal
import subprocess
import sys

import numpy as np
import pytest
from torch import distributed as dist

from runs import read_record, read_table

pytestmark = pytest.mark.skipif(
    not (dist.is_available() and dist.is_gloo_available()),
    reason="this torch cannot exchange tensors between processes",
)


@pytest.fixture
def torchrun(tmp_path):
    """``torchrun("cnv", "train", …)``: two processes at work, and torchrun's handle on them."""
    begun = []

    def start(*arguments):
        command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
        command += ["-m", "copyfold", *map(str, arguments)]
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        begun.append(subprocess.Popen(command, cwd=tmp_path, **streams))
        return begun[-1]

    yield start
    for process in begun:
        if process.poll() is None:
            process.terminate()
        process.wait(timeout=60)


def said(stderr):
    """Our own complaints among torchrun's."""
    return [line for line in stderr.splitlines() if line.startswith("copyfold: ")]


def test_two_processes_end_with_the_run_of_one(cohort, vae_run, torchrun, tmp_path):
    """To float32's rounding: 1e-7, which AdamW enlarges where a gradient is nearly 0."""
    out = tmp_path / "run"
    options = ("--set", "epochs=3", "--device", "cpu", "--set", f"out_dir={out}")
    stdout, stderr = (process := torchrun("cnv", "train", cohort / "config.yaml", *options)).communicate(timeout=120)
    assert process.returncode == 0, stderr
    assert stdout.splitlines() == [str(out / "evaluation.txt")]
    assert stderr.count("06_conv_vae on cpu and 1 more") == stderr.count("train: done") == 1
    record = read_record(out)
    assert (record["status"], record["processes"], read_record(vae_run.path)["processes"]) == ("complete", 2, 1)
    log, expected = (read_table(run / "training_log.tsv").drop(columns="seconds") for run in (out, vae_run.path))
    np.testing.assert_allclose(log, expected, rtol=1e-4)
    found, wanted = (np.load(run / "reconstructions.npy") for run in (out, vae_run.path))
    np.testing.assert_allclose(found, wanted, rtol=1e-3)
    assert (out / "gene_calls.tsv").exists()


def test_a_stopped_training_of_two_is_finished_by_one(cohort, torchrun, copyfold, tmp_path, until):
    out = tmp_path / "run"
    arguments = ("cnv", "train", cohort / "config.yaml", "--set", "epochs=200", "--set", f"out_dir={out}")
    process = torchrun(*arguments, "--device", "cpu")
    until(lambda: (out / "training_log.tsv").exists())
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode != 0
    assert said(stderr) == ["copyfold: stopped by SIGTERM; the same command with --resume goes on"]
    assert read_record(out)["status"] == "interrupted"
    done = len(read_table(out / "training_log.tsv"))
    assert 1 <= done < 200
    copyfold(*arguments, "--device", "cpu", "--resume").succeeded()
    assert read_table(out / "training_log.tsv")["epoch"].tolist() == list(range(1, 201))


def test_what_is_not_trained_on_batches_is_refused_once_and_leaves_nothing(cohort, torchrun, tmp_path):
    out = tmp_path / "run"
    options = ("--set", "architecture=10_count_model", "--set", f"out_dir={out}")
    _, stderr = (process := torchrun("cnv", "train", cohort / "config.yaml", *options)).communicate(timeout=60)
    assert process.returncode != 0
    (complaint,) = said(stderr)
    assert "10_count_model is not trained on batches" in complaint
    assert not out.exists()


def test_other_commands_refuse_torchrun(monkeypatch):
    place = {"TORCHELASTIC_RUN_ID": "none", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    command = [sys.executable, "-m", "copyfold", "run", "list"]
    for name, value in place.items():
        monkeypatch.setenv(name, value)
    for rank, returncode, said_so in (("0", 2, True), ("1", 0, False)):
        monkeypatch.setenv("RANK", rank)
        monkeypatch.setenv("LOCAL_RANK", rank)
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == returncode
        assert ("start this command without it" in done.stderr) == said_so
