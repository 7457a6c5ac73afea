"""Fusion of specialists: what it starts as, what it reads, what it learns, what it refuses."""

import dataclasses
import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch

from copyfold.app import ddg_fuse
from copyfold.app.ddg_fuse import fuse_specialists
from copyfold.app.ddg_refine import refine_specialist
from copyfold.app.ddg_train import train_specialists
from copyfold.core.console import Console
from copyfold.ddg.fusing import FusionInputs, Member, best_single, fuse, fusion_inputs, load_fusion, train_fusion
from copyfold.ddg.models.ddgvae import DDGVAE
from copyfold.ddg.models.fusion import Fusion
from copyfold.ddg.models.refiners import MLPRefiner
from copyfold.ddg.training import Split
from copyfold.errors import ConfigError, InputError, RunError

QUIET = Console(quiet=True)


def crossed(n=900, seed=0):
    """Rows whose ΔΔG is a single model's prediction and a product of two specialists' latents, which no single one
    has."""
    rng = np.random.default_rng(seed)
    first, second, third = (rng.normal(size=(n, width)).astype(np.float32) for width in (3, 4, 2))
    single = (2 * first[:, 0]).astype(np.float32)
    weak = (first[:, 0] + 3 * rng.normal(size=n)).astype(np.float32)
    ddg = single + 1.5 * first[:, 1] * second[:, 2]
    values = np.concatenate([first, second, third, weak[:, None], single[:, None], ddg[:, None]], axis=1)
    inputs = FusionInputs(
        values.astype(np.float32), (3, 4, 2), ("one", "one+mlp", "three"), (0, 0, 2), (True, True, False)
    )
    rows = np.arange(n)
    return inputs, ddg.astype(np.float32), Split(rows[300:], rows[150:300], rows[:150])


def test_before_training_it_is_the_single_model_it_corrects():
    inputs, _, _ = crossed(50)
    module = Fusion(inputs.latent_dims, inputs.owners, base=1)
    np.testing.assert_array_equal(fuse(module, inputs), inputs.predicted(1))


def test_a_specialist_reads_the_others_and_not_itself():
    inputs, ddg, _ = crossed(50)
    module = Fusion(inputs.latent_dims, inputs.owners, base=1).train(False)
    values = torch.from_numpy(inputs.values)
    module.set_scaling(values, torch.from_numpy(ddg))
    weights = module.attention(values).numpy()
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, rtol=1e-5)
    np.testing.assert_array_equal(np.diag(weights), 0.0)
    layer = module.layers[0]
    tokens = layer.norm1(module._tokens(values))  # the same by hand, of the first specialist's first token
    query, key = (
        (tokens @ layer.self_attn.in_proj_weight[part].T + layer.self_attn.in_proj_bias[part]).reshape(50, 12, 4, 8)
        for part in (slice(0, 32), slice(32, 64))
    )
    scores = torch.einsum("bhd,bkhd->bhk", query[:, 0], key) / 8**0.5
    scores[:, :, :4] = -torch.inf
    by_hand = scores.softmax(dim=2).mean(dim=(0, 1))
    whole = layer.self_attn(tokens, tokens, tokens, attn_mask=module.own)[1].mean(dim=0)[0]
    torch.testing.assert_close(whole, by_hand, rtol=1e-4, atol=1e-5)


def test_it_learns_what_only_two_specialists_together_know(tmp_path):
    inputs, ddg, split = crossed()
    base = best_single(inputs, ddg, split.validation)
    module, result = train_fusion(inputs, ddg, base, split, tmp_path, epochs=40)
    error = {
        "fused": np.mean((fuse(module, inputs) - ddg)[split.test] ** 2),
        "single": np.mean((inputs.predicted(base) - ddg)[split.test] ** 2),
    }
    assert error["fused"] < 0.5 * error["single"]
    assert len(result.rows) == 40
    loaded, facts = load_fusion(tmp_path)
    np.testing.assert_array_equal(fuse(loaded, inputs), fuse(module, inputs))
    assert facts["predictions"] == ["one", "one+mlp", "three"]


def test_the_same_seed_gives_the_same_bits(tmp_path):
    inputs, ddg, split = crossed(350)
    one, other = (train_fusion(inputs, ddg, 1, split, tmp_path, epochs=2)[0] for _ in range(2))
    np.testing.assert_array_equal(fuse(one, inputs), fuse(other, inputs))


def test_the_best_single_model_is_chosen_on_validation_rows_among_those_in_kcal():
    inputs, ddg, split = crossed()
    assert best_single(inputs, ddg, split.validation) == 1
    values = inputs.values.copy()
    values[split.test, -2] = 0  # worthless where it is tested: that must not be looked at
    values[:, -1] = ddg  # perfect, but no ΔΔG
    changed = FusionInputs(values, inputs.latent_dims, inputs.predictions, inputs.owners, inputs.in_kcal)
    assert best_single(changed, ddg, split.validation) == 1
    none = FusionInputs(values, inputs.latent_dims, inputs.predictions, inputs.owners, (False,) * 3)
    with pytest.raises(InputError, match="none of the specialists predicts"):
        best_single(none, ddg, split.validation)


def test_inputs_are_latents_then_predictions_of_specialists_and_refiners():
    torch.manual_seed(0)
    one, other = DDGVAE.create_s669_variant(), DDGVAE.create_wide_variant()
    refiner = MLPRefiner(16)
    features = np.random.default_rng(0).normal(size=(5, 14)).astype(np.float32)
    inputs = fusion_inputs([Member("s669", one, {"mlp": refiner}), Member("wide", other, {}, False)], [features] * 2)
    assert inputs.predictions == ("s669", "s669+mlp", "wide")
    assert (inputs.owners, inputs.in_kcal) == ((0, 0, 1), (True, True, False))
    given = torch.from_numpy(features)
    with torch.no_grad():
        latent, own = one.train(False).encode(given).mean, one(given)
        np.testing.assert_allclose(inputs.values[:, :16], latent, rtol=1e-5)
        np.testing.assert_allclose(inputs.predicted(0), own, rtol=1e-5)
        np.testing.assert_allclose(inputs.predicted(1), refiner.train(False)(latent, own), rtol=1e-4)
        np.testing.assert_allclose(inputs.predicted(2), other.train(False)(given), rtol=1e-5)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    for name in ("s669", "protherm", "wide"):
        train_specialists(
            [name], None, ["epochs=2"], data=None, structures=None, out=folder, quick=True, resume=False, console=QUIET
        )
    refine_specialist("mlp", folder / "vae_protherm", None, epochs=2, seed=42, resume=False, console=QUIET)
    return folder


def fuse_folder(folder, out, refiners=(), **options):
    return fuse_specialists(
        folder, refiners, out, **({"epochs": 2, "seed": 42, "resume": False, "console": QUIET} | options)
    )


def test_a_folder_of_specialists_is_fused_on_the_rows_of_protherm(trained, tmp_path):
    home = fuse_folder(trained, tmp_path)
    written = {path.name for path in home.iterdir()} - {".lock"}
    assert written == {
        "best.pt", "final.pt", "training_history.json", "metrics.json", "predictions.csv", "attention.csv", "run.json",
        "report.html",
    }  # fmt: skip
    record = json.loads((home / "run.json").read_text())
    assert record["status"] == "complete"
    assert record["simulated"] is True
    assert record["config"]["predictions"] == ["s669", "protherm", "protherm+mlp", "wide"]
    assert "gain_on_test" in record["stages"]["train"]
    assert "SIMULATED" in (home / "attention.csv").read_text()
    one, other = (pd.read_csv(path / "predictions.csv", comment="#") for path in (home, trained / "vae_protherm"))
    pd.testing.assert_frame_equal(one.drop(columns="predicted"), other.drop(columns="predicted"))
    assert set(torch.load(home / "best.pt", weights_only=True)) >= {"model_state_dict", "specialists", "predictions"}


def test_a_refiner_of_another_specialist_is_refused(trained, tmp_path):
    train_specialists(
        ["protherm"], None, ["epochs=2", "seed=7"], data=None, structures=None, out=tmp_path, quick=True, resume=False,
        console=QUIET,
    )  # fmt: skip
    other = refine_specialist("mlp", tmp_path / "vae_protherm", None, epochs=1, seed=42, resume=False, console=QUIET)
    with pytest.raises(ConfigError, match="corrects another protherm specialist"):
        fuse_folder(trained, tmp_path / "out", [other])
    assert not (tmp_path / "out").exists()


def test_a_folder_without_all_three_is_refused(tmp_path):
    with pytest.raises(RunError, match=r"no vae_s669, vae_protherm, vae_wide; .*ddg train all"):
        fuse_folder(tmp_path, None)


@pytest.fixture
def as_real(monkeypatch):
    """Simulated runs pass for real ones."""
    read = ddg_fuse.read_specialist_run

    def reading(path):
        found = read(path)
        return dataclasses.replace(found, spec=dataclasses.replace(found.spec, simulated=False))

    monkeypatch.setattr(ddg_fuse, "read_specialist_run", reading)


@pytest.mark.usefixtures("as_real")
def test_a_specialist_that_knows_all_test_rows_is_refused(trained, tmp_path):
    with pytest.raises(RunError, match="judged on what it knows"):  # the three simulated sets share proteins' names
        fuse_folder(trained, tmp_path)


def renamed(run, prefix, rng):
    """Give a run's proteins names and sequences of their own."""
    for name in ("predictions.csv", "proteins.csv"):
        head = "".join(line for line in (run / name).read_text().splitlines(keepends=True) if line.startswith("#"))
        table = pd.read_csv(run / name, comment="#", keep_default_na=False)
        table["protein"] = prefix + table["protein"]
        if name == "proteins.csv":
            table["sequence"] = ["".join(rng.choice(list("ACDEFGHIKLMNPQRSTVWY"), 90)) for _ in table.index]
        (run / name).write_text(head + table.to_csv(index=False))


@pytest.mark.usefixtures("as_real")
def test_rows_of_a_relative_under_another_name_do_not_judge_the_fusion(trained, tmp_path, capsys):
    folder = shutil.copytree(trained, tmp_path / "trained")
    rng = np.random.default_rng(1)
    for name in ("s669", "wide"):
        renamed(folder / f"vae_{name}", name, rng)
    mine = pd.read_csv(folder / "vae_protherm/predictions.csv", comment="#")
    tested = mine.loc[mine["split"] == "test", "protein"].iloc[0]
    sequence = pd.read_csv(folder / "vae_protherm/proteins.csv", comment="#").set_index("protein")["sequence"][tested]
    relative = "".join("A" if place % 3 == 0 else letter for place, letter in enumerate(sequence))  # 2 of 3 the same
    known = (folder / "vae_wide/proteins.csv").read_text().splitlines()
    known[-1] = f"{known[-1].partition(',')[0]},{relative}"
    (folder / "vae_wide/proteins.csv").write_text("\n".join(known) + "\n")
    home = fuse_folder(folder, tmp_path / "out", console=Console())
    said = capsys.readouterr().err
    n_tested, n_own = (mine["split"] == "test").sum(), (mine["protein"] == tested).sum()
    assert (
        f"vae_wide was trained on proteins or relatives of {n_own} test rows of vae_protherm: left out of the fusion's "
        f"test, {n_tested - n_own} are left"
    ) in said
    fused = pd.read_csv(home / "predictions.csv", comment="#")
    assert set(fused.loc[fused["protein"] == tested, "split"]) == {"unused"}
    assert (fused["split"] == "test").sum() == n_tested - n_own
    assert json.loads((home / "metrics.json").read_text())["test"]["n"] == n_tested - n_own
    (folder / "vae_wide/proteins.csv").unlink()
    with pytest.raises(InputError, match=r"proteins\.csv: cannot be read .*train again"):
        fuse_folder(folder, tmp_path / "again")
