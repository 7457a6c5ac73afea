"""Files that were made to do harm, one for each way that a reader of `ddg` or a job on it once fell for."""

import gzip
import json

import numpy as np
import pytest
import torch

from copyfold.app.ddg_predict import ProteinSource, predict_mutations
from copyfold.app.ddg_report import read_benchmark, read_ddg_results, read_scan
from copyfold.app.resuming import resume_run
from copyfold.app.runs import compare_runs, describe_run, describe_runs
from copyfold.core.console import Console
from copyfold.core.packed import FREE_BYTES
from copyfold.core.rundir import RUN_FORMAT
from copyfold.ddg.features.protherm import PROTHERM20
from copyfold.ddg.features.sequence import read_alignment
from copyfold.ddg.importers.reading import read_cells
from copyfold.ddg.models.ddgvae import DDGVAE
from copyfold.ddg.models.refiners import REFINERS
from copyfold.ddg.specialists import load_refiner, load_specialist
from copyfold.engine import save_checkpoint
from copyfold.errors import CopyfoldError, InputError

QUIET = Console(quiet=True)
SPECIALIST = {
    "kind": "specialist",
    "variant": "protherm",
    "feature_set": {"name": "protherm20", "version": 1, "features": list(PROTHERM20)},
    "target": "ddg",
    "simulated": True,
    "epoch": 0,
}
REFINER = {"kind": "refiner", "refiner": "mlp", "of": {}, "latent_dim": 4, "simulated": True}
WRONG = (None, 3.5, [[]], {"a": [1]}, "x" * 50)


@pytest.mark.parametrize("read", [lambda path: read_cells(path, ("a",)), read_alignment])
def test_a_small_table_that_unpacks_to_a_large_one_is_refused(tmp_path, read):
    (tmp_path / "x.gz").write_bytes(gzip.compress(b"a,b\n" + b"x" * FREE_BYTES))
    with pytest.raises(InputError, match="unpacks to more than 100 times its size"):
        read(tmp_path / "x.gz")


@pytest.mark.parametrize("part", sorted(set(SPECIALIST) - {"target"}))
def test_a_specialist_with_another_part_is_refused(tmp_path, part):
    module = DDGVAE.create_variant("protherm", False)
    whole = SPECIALIST | {"model_state_dict": module.state_dict()}
    save_checkpoint(tmp_path / "best.pt", whole)
    assert load_specialist(tmp_path)[1].variant == "protherm"
    for value in WRONG:
        save_checkpoint(tmp_path / "best.pt", whole | {part: value})
        with pytest.raises(InputError):
            load_specialist(tmp_path)


@pytest.mark.parametrize("weights", [*WRONG, {"encoder.0.weight": "text"}, {1: torch.zeros(1)}], ids=str)
def test_weights_that_are_none_are_refused(tmp_path, weights):
    save_checkpoint(tmp_path / "best.pt", SPECIALIST | {"model_state_dict": weights})
    with pytest.raises(InputError, match="its weights do not fit"):
        load_specialist(tmp_path)


@pytest.mark.parametrize("part", sorted(set(REFINER) - {"of"}))
def test_a_refiner_with_another_part_is_refused(tmp_path, part):
    whole = REFINER | {"model_state_dict": REFINERS["mlp"](4).state_dict()}
    save_checkpoint(tmp_path / "best.pt", whole)
    assert load_refiner(tmp_path)[1]["refiner"] == "mlp"
    for value in (*WRONG, -1, 10**9):
        save_checkpoint(tmp_path / "best.pt", whole | {part: value})
        with pytest.raises(InputError):
            load_refiner(tmp_path)


def write_run(folder, **changes):
    folder.mkdir()
    record = {"format": RUN_FORMAT, "config": {}, "stages": {}, "inputs": {}, "status": "failed"}
    (folder / "run.json").write_text(json.dumps({**record, **changes}))
    return folder


@pytest.mark.parametrize(
    "record",
    [
        {"kind": "refiner"},
        {"kind": "refiner", "of": {"variant": "../../x", "checkpoint": "x"}, "config": {"refiner": "mlp", "epochs": 1}},
        {"kind": "refiner", "of": {"variant": "wide"}, "config": {"refiner": "../x", "epochs": 1, "seed": 1}},
        {"kind": "specialist", "config": {"variant": ["x"], "data": "a\0b"}},
        {"trained_in": None},
        {"trained_in": {"run": "x"}, "config": {"store_path": 3}},
        {"config": {"architecture": "strangers_module:Name"}},
    ],
    ids=str,
)
def test_a_record_that_does_not_say_what_was_run_is_not_resumed(tmp_path, record):
    run = write_run(tmp_path / "run", **record)
    with pytest.raises(CopyfoldError):
        resume_run(run, device="cpu", console=QUIET)


def test_what_a_record_says_moves_no_cursor(tmp_path):
    evil = "\x1b[2J\r\n\u202e" + "x" * 5000
    said = {"reason": evil, "config": {evil: evil, "store_path": "x" * 5000}, "seed": evil, "versions": {evil: evil}}
    run = write_run(tmp_path / "run", inputs={"store_path": evil}, stages={evil: {"status": evil}}, **said)
    good = write_run(tmp_path / "good")
    for text in (describe_runs(tmp_path), describe_run(run), compare_runs(run, good)):
        assert not set(text) & set("\x1b\r\u202e")


METRIC = {"value": 0.5, "low": 0.4, "high": 0.6}
AGREEMENT = {"n": 3} | dict.fromkeys(("spearman", "pearson", "rmse", "mae", "sign_accuracy"), METRIC)


@pytest.mark.parametrize(
    "part",
    [3, {}, AGREEMENT | {"n": "3"}, AGREEMENT | {"rmse": []}, AGREEMENT | {"rmse": METRIC | {"low": "x"}},
     AGREEMENT | {"mae": METRIC | {"high": None}}, AGREEMENT | {"mae": 10**400}],
    ids=lambda part: str(part)[:40],
)  # fmt: skip
def test_agreement_that_is_no_number_is_left_out_of_a_report(tmp_path, part):
    (tmp_path / "predictions.csv").write_text(
        "protein,mutation,source,cluster,split,target,predicted\np,A1G,x,0,test,1,1\n"
    )
    for test, is_read in ((AGREEMENT, True), (part, False)):
        (tmp_path / "metrics.json").write_text(json.dumps({"format": "copyfold-ddg-metrics/1", "test": test}))
        results = read_ddg_results(tmp_path, {"kind": "refiner"})
        assert (results.metrics is not None) == is_read
        assert any("agreement is not made of numbers" in text for text in results.unread) != is_read


@pytest.mark.parametrize("method", [3, {}, {"n": 3, "direct": []}, {"n": 3, "direct": {"spearman": [1]}}], ids=str)
def test_a_benchmark_that_is_no_number_is_refused(tmp_path, method):
    content = {"format": "copyfold-ddg-benchmark/1", "methods": {"x": method}}
    (tmp_path / "benchmark.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="not of format"):
        read_benchmark(tmp_path)


def test_a_scan_without_residues_is_refused(tmp_path):
    (tmp_path / "scan.csv").write_text(
        "# x\nposition,wild_type,mutant,ddg_kcal_mol,sigma_kcal_mol,in_domain,reason\n1,A,G,1,1,True,\n2,,G,1,1,True,\n"
    )
    with pytest.raises(InputError, match="without position, wild_type or mutant"):
        read_scan(tmp_path, None)


@pytest.mark.parametrize("text", ["a\0b.csv", "x" * 5000, "../" * 2000 + "x.csv", ""])
def test_mutations_that_are_no_path_are_refused(tmp_path, text):
    with pytest.raises(InputError):
        predict_mutations(ProteinSource(sequence="ACDEF"), text, tmp_path / "x.csv", QUIET, strict=True)
    assert not list(tmp_path.iterdir())


def test_features_of_another_kind_are_refused(tmp_path):
    module = DDGVAE.create_variant("protherm", False)
    save_checkpoint(tmp_path / "best.pt", SPECIALIST | {"model_state_dict": module.state_dict()})
    (tmp_path / "predictions.csv").write_text(
        "protein,mutation,source,cluster,split,target,predicted\np,A1G,x,0,test,1,1\n"
    )
    np.save(tmp_path / "features.npy", np.array([[b"x"] * len(PROTHERM20)]))
    results = read_ddg_results(tmp_path, {"kind": "specialist"})
    assert results.latents is None
    assert any("features.npy" in text for text in results.unread)
