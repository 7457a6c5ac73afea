"""``copyfold run``: runs listed, looked at, continued, compared; and what a stopped command says."""

import shutil
import signal

import pytest
import typer

from copyfold.app.runs import flatten
from copyfold.cli.interrupted import is_out_of_memory, way_on
from copyfold.cli.main import app
from copyfold.core.files import write_json
from runs import RESULTS, assert_same_results, read_record


@pytest.fixture
def killed(vae_run, tmp_path):
    """A run whose record says that it is at work, and nobody is."""
    run = shutil.copytree(vae_run.path, tmp_path / "killed")
    record = read_record(run)
    record["stages"] = {"train": record["stages"]["train"], "infer": {"status": "running"}}
    write_json(run / "run.json", record | {"status": "running"})
    return run


def test_runs_are_listed_with_what_is_at_work_killed_and_unreadable(pca_run, killed, copyfold, tmp_path):
    shutil.copytree(pca_run.path, tmp_path / "a/done")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad/run.json").write_text("{")
    lines = copyfold("run", "list", tmp_path).succeeded().stdout.splitlines()
    rows = {line.split()[0].removeprefix(f"{tmp_path}/"): line for line in lines[1:]}
    assert set(rows) == {"a/done", "bad", "killed"}
    assert "complete" in rows["a/done"]
    assert "cnv pca_baseline" in rows["a/done"]
    assert "killed" in rows["killed"].split(maxsplit=1)[1]
    assert "unreadable" in rows["bad"]


def test_a_run_at_work_is_not_called_killed(cohort, started, copyfold, until, tmp_path):
    arguments = ("cnv", "train", cohort / "config.yaml", "--set", f"out_dir={tmp_path / 'run'}", "--device", "cpu")
    with started(*arguments) as process:
        until(lambda: (tmp_path / "run/run.json").exists())
        process.send_signal(signal.SIGSTOP)
        shown = copyfold("run", "status", tmp_path / "run").succeeded().stdout
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert "running" in shown
    assert "killed" in copyfold("run", "status", tmp_path / "run").succeeded().stdout


def test_a_killed_run_is_resumed_from_its_record_to_the_same_bits(killed, vae_run, copyfold):
    shown = copyfold("run", "status", killed).succeeded().stdout
    assert f"`copyfold run resume {killed}` goes on" in shown
    copyfold("run", "resume", killed, "--device", "cpu").succeeded()
    assert_same_results(killed, vae_run.path, RESULTS)
    assert read_record(killed)["status"] == "complete"
    assert "complete already" in copyfold("run", "resume", killed).succeeded().stderr


def test_calls_of_new_isolates_are_resumed_from_their_record(pca_run, cohort, copyfold, tmp_path):
    out = tmp_path / "calls"
    new = ("--store", cohort / "chromosome", "--plasmid-store", cohort / "plasmid", "--out", out)
    changed = ("--set", "cnv_crr_amp_threshold=1.4", "--set", "cnv_crr_gate_threshold=1.4", "--device", "cpu")
    copyfold("cnv", "call", pca_run.path, *new, *changed).succeeded()
    before = (out / "gene_calls.tsv").read_bytes()
    record = read_record(out)
    record["stages"].pop("call")
    write_json(out / "run.json", record | {"status": "interrupted"})
    (out / "gene_calls.tsv").unlink()
    copyfold("run", "resume", out, "--device", "cpu").succeeded()
    assert (out / "gene_calls.tsv").read_bytes() == before


def test_a_specialist_and_its_refiner_are_resumed_from_their_records(copyfold, tmp_path):
    copyfold("ddg", "train", "s669", "--quick", "--out", tmp_path, "--set", "epochs=3", "-q").succeeded()
    run = tmp_path / "vae_s669"
    before = (run / "predictions.csv").read_bytes()
    write_json(run / "run.json", read_record(run) | {"status": "running", "stages": {"train": {"status": "running"}}})
    (run / "predictions.csv").unlink()
    copyfold("run", "resume", run).succeeded()
    assert (run / "predictions.csv").read_bytes() == before
    assert "ddg specialist s669" in copyfold("run", "list", tmp_path).succeeded().stdout


def test_two_runs_are_compared(vae_run, pca_run, copyfold):
    shown = copyfold("run", "compare", vae_run.path, pca_run.path).succeeded().stdout
    row = next(line for line in shown.splitlines() if line.startswith("architecture"))
    assert row.split()[1:] == ["06_conv_vae", "pca_baseline"]
    assert "metric" in shown
    same = copyfold("run", "compare", vae_run.path, vae_run.path).succeeded().stdout
    assert "configuration: no difference" in same
    assert "metric: no difference" in same


def test_what_is_no_run_is_told_in_one_line(copyfold, tmp_path):
    for verb in ("status", "resume"):
        assert "not a copyfold run" in copyfold("run", verb, tmp_path).complaint()
    assert "holds no runs" in copyfold("run", "list", tmp_path).succeeded().stdout
    assert "no such folder" in copyfold("run", "list", tmp_path / "nowhere").complaint()


def test_leaves_are_named_by_their_gene():
    assert flatten({"a": [{"gene": "x", "n": 1}, {"gene": "y", "n": 0.25}], "b": None}) == {
        "a.x.gene": "x", "a.x.n": "1", "a.y.gene": "y", "a.y.n": "0.25", "b": "None"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("cnv train config.yaml", "the same command with --resume goes on"),
        ("ddg train s669", "the same command with --resume goes on"),
        ("cnv call run --store new --out calls", "the same command with --resume goes on"),
        ("cnv call run", "nothing half-written is left, the same command starts again"),
        ("cnv cohort sheet.tsv", "the same command goes on"),
        ("demo", "the same command goes on"),
        ("run resume my/run", "the same command goes on"),
        ("cnv count a.bam --out counts", "nothing half-written is left, the same command starts again"),
        ("cnv reference build", "nothing half-written is left, the same command starts again"),
    ],
)
def test_a_stopped_command_says_what_is_true_of_it(arguments, expected):
    assert way_on(app, arguments.split()) == expected


def test_every_command_has_a_way_on():
    def walk(command, words):
        for name, inner in getattr(command, "commands", {}).items():
            walk(inner, [*words, name])
        if words and not hasattr(command, "commands"):
            takes_resume = any(parameter.name == "resume" for parameter in command.params)
            assert ("--resume" in way_on(app, [*words, "--store"])) == takes_resume, words

    walk(typer.main.get_command(app), [])


def test_no_memory_is_known_by_every_name():
    torch_s = type("OutOfMemoryError", (RuntimeError,), {})
    for error in (MemoryError(), torch_s("CUDA"), RuntimeError("DefaultCPUAllocator: can't allocate memory: x")):
        assert is_out_of_memory(error)
    assert not is_out_of_memory(RuntimeError("other"))
