"""Training on arrays, loading, data sets, the scale rule, the simulated law, the configuration."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import ValidationError

from copyfold.core.config import build_config
from copyfold.ddg.config import DdgConfig
from copyfold.ddg.datasets import damage_of, joined, mutation_set, on_common_scale, with_structure_terms
from copyfold.ddg.features.sets import FEATURE_SETS
from copyfold.ddg.scales import decide_by_cutoff, fits_common_scale
from copyfold.ddg.simulation import simulate_mutations, simulated_ddg
from copyfold.ddg.specialists import DDG_TARGET, load_refiner, load_specialist, specialist_facts
from copyfold.ddg.training import SpecialistSettings, Split, predict, train_refiner, train_specialist
from copyfold.engine import load_checkpoint, save_checkpoint
from copyfold.errors import ConfigError, InputError

FACTS = specialist_facts("s669", FEATURE_SETS["base14"], DDG_TARGET, simulated=True)


def simulated(n_proteins=12, each=12):
    data = mutation_set(simulate_mutations(n_proteins, each, seed=3))
    rows = np.arange(len(data))
    return data, Split(rows[36:], rows[18:36], rows[:18])


def train(folder, *, resume=False, epochs=20, about=FACTS, **changes):
    data, split = simulated()
    settings = SpecialistSettings.of_variant("s669", epochs=epochs, lr=2e-3, batch_size=32, **changes)
    features = data.features(FEATURE_SETS["base14"])
    folder.mkdir(exist_ok=True)
    return features, data, train_specialist(features, data.target, split, settings, folder, about=about, resume=resume)


def test_training_learns_writes_the_documents_files_and_loads_by_its_snippet(tmp_path):
    features, data, (module, result) = train(tmp_path / "run")
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"best.pt", "final.pt", "training_history.json"}
    history = json.loads((tmp_path / "run/training_history.json").read_text())
    assert history["simulated"] is True
    assert [row["epoch"] for row in history["epochs"]] == list(range(1, len(result.rows) + 1))
    assert {"train_loss", "val_loss", "val_spearman", "val_pearson"} <= set(history["epochs"][0])
    assert result.rows[result.best_epoch]["val_ddg"] == min(row["val_ddg"] for row in result.rows[5:])
    test = slice(0, 18)
    assert np.corrcoef(predict(module, features[test]), data.target[test])[0, 1] > 0.3

    from copyfold import DDGVAE  # the document's snippet

    vae_s669 = DDGVAE.create_s669_variant(use_hyperbolic=False)
    ckpt = torch.load(tmp_path / "run/best.pt")
    vae_s669.load_state_dict(ckpt["model_state_dict"])
    np.testing.assert_array_equal(predict(vae_s669, features), predict(module, features))

    loaded, spec = load_specialist(tmp_path / "run")
    assert (spec.variant, spec.feature_set.name, spec.simulated) == ("s669", "base14", True)
    assert spec.best_epoch == result.best_epoch + 1
    np.testing.assert_array_equal(predict(loaded, features), predict(module, features))


def test_a_resumed_training_gives_the_same_bits(tmp_path):
    *_, (whole, _) = train(tmp_path / "whole", epochs=8)
    train(tmp_path / "halves", epochs=5)
    *_, (resumed, _) = train(tmp_path / "halves", epochs=8, resume=True)
    for left, right in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True):
        assert torch.equal(left, right)


def test_val_loss_is_the_weighted_sum_of_its_terms(tmp_path):
    train(tmp_path / "run", epochs=7)
    for row in json.loads((tmp_path / "run/training_history.json").read_text())["epochs"]:
        expected = row["val_reconstruction"] + row["weight_kl"] * row["val_kl"] + row["weight_ddg"] * row["val_ddg"]
        assert row["val_loss"] == pytest.approx(expected)


def test_a_checkpoint_of_other_features_or_of_another_kind_is_refused(tmp_path):
    train(tmp_path / "run", epochs=1)
    content = load_checkpoint(tmp_path / "run/best.pt")
    older = {**content["feature_set"], "version": 0}
    save_checkpoint(tmp_path / "old.pt", content | {"feature_set": older})
    with pytest.raises(InputError, match=r"old.pt: was trained on features base14 version 0"):
        load_specialist(tmp_path / "old.pt")
    with pytest.raises(InputError, match="holds no refiner"):
        load_refiner(tmp_path / "run")
    save_checkpoint(tmp_path / "wide.pt", content | {"variant": "wide"})
    with pytest.raises(InputError, match=r"wide.pt: its weights do not fit"):
        load_specialist(tmp_path / "wide.pt")


@pytest.mark.parametrize("kind", ["mlp", "transformer"])
def test_a_refiner_trains_on_a_specialist_it_leaves_alone(tmp_path, kind):
    features, data, (module, _) = train(tmp_path / "run", epochs=3)
    before = predict(module, features)
    about = {"kind": "refiner", "refiner": kind, "of": {}, "latent_dim": 16, "simulated": True}
    _, split = simulated()
    refiner, result = train_refiner(kind, module, features, data.target, split, tmp_path, epochs=4, about=about)
    assert len(result.rows) == 4
    np.testing.assert_array_equal(predict(module, features), before)
    loaded, facts = load_refiner(tmp_path)
    assert facts["refiner"] == kind
    for left, right in zip(refiner.state_dict().values(), loaded.state_dict().values(), strict=True):
        assert torch.equal(left, right)


def test_too_few_rows_are_refused(tmp_path):
    few = np.zeros((5, 14), dtype=np.float32)
    split = Split(np.arange(4), np.arange(4, 5), np.arange(0))
    with pytest.raises(InputError, match="5 rows to train and validate on; at least 10"):
        train_specialist(few, few[:, 0], split, SpecialistSettings.of_variant("s669"), tmp_path)


def test_damage_is_minus_the_standardised_score_of_each_assay():
    scores = np.array([1.0, 2.0, 3.0, 100.0, 300.0, 7.0, 7.0])
    assays = np.array(["a", "a", "a", "b", "b", "c", "c"])
    damage = damage_of(scores, assays)
    np.testing.assert_allclose(damage, [1.2247449, 0, -1.2247449, 1, -1, 0, 0], rtol=1e-6)


@pytest.mark.parametrize(
    ("low", "high"),
    [(2.6e6, 1e8), (590, 4e4), (590, 2.7e4), (449, 1.8e4), (0.3, 133), (-87, -1), (-205, -10)],
    ids=["B2L11", "D7PM05", "Q6WV12", "Q8WTC7", "KCNH2", "CCDB", "SCN5A"],
)
def test_the_scale_rule_leaves_out_the_seven_ranges_of_the_document(low, high):
    assert not fits_common_scale(low, high)


@pytest.mark.parametrize(("low", "high"), [(-6.1, 2.5), (0, 2.9), (-0.24, 1.12), (-25, 25)])
def test_the_scale_rule_keeps_logarithms_and_standardised_fitness(low, high):
    assert fits_common_scale(low, high)
    assert not fits_common_scale(low, float("nan"))


def test_a_cutoff_beyond_the_scale_excludes_and_one_within_leaves_it_open():
    assert [decide_by_cutoff(value) for value in (1.6e7, -88.4, 58.9, -19.0, 0.5)] == ["excluded"] * 3 + ["open"] * 2
    assert decide_by_cutoff(float("nan")) == "excluded"


def test_assays_off_the_common_scale_are_left_out_and_named():
    names = {"protein": ["p", "p", "q", "q"], "source": ["lab"] * 4}  # imports name a protein by its assay
    table = pd.DataFrame(names | {"score": [0.0, 1.0, 590.0, 2.0]})
    kept, left_out = on_common_scale(table)
    assert kept["protein"].tolist() == ["p", "p"]
    assert left_out == ["q (lab): left out, its scores run from 2 to 590 and a common scale ends at ±25"]
    with pytest.raises(InputError, match="no assay is left: q"):
        on_common_scale(table[2:])


def test_the_simulated_law_by_hand():
    leucine, alanine, proline, lysine = (np.array([index]) for index in (9, 0, 12, 8))
    buried, exposed = np.array([0.0]), np.array([1.0])
    helix, coil = np.array(["H"]), np.array(["C"])
    assert simulated_ddg(leucine, alanine, helix, buried) == pytest.approx(0.25 * 2.0 + 0.015 * 78.1 - 0.3)
    assert simulated_ddg(leucine, alanine, helix, exposed) == pytest.approx(-0.3)
    assert simulated_ddg(alanine, proline, helix, exposed) == pytest.approx(2.2)
    assert simulated_ddg(alanine, proline, coil, exposed) == pytest.approx(-0.3)
    assert simulated_ddg(alanine, lysine, coil, buried) == pytest.approx(0.25 * 5.7 + 0.015 * 80.0 + 1.5 - 0.3)


def test_simulated_tables_are_labelled_consistent_and_repeatable():
    table = simulate_mutations(3, 15, seed=1)
    assert (table["source"] == "SIMULATED").all()
    assert table["protein"].str.startswith("SIMULATED").all()
    stands = [row.sequence[row.sequence_position - 1] for row in table.itertuples()]
    assert stands == table["wild_type"].tolist()
    assert (table["wild_type"] != table["mutant"]).all()
    assert not table.duplicated(["protein", "position", "mutant"]).any()
    pd.testing.assert_frame_equal(table, simulate_mutations(3, 15, seed=1))
    assert "score" in simulate_mutations(1, 5, seed=1, fitness=True)


def test_sets_of_mutations_are_joined_and_taken_row_by_row():
    first, second = (mutation_set(simulate_mutations(2, 5, seed=seed)) for seed in (1, 2))
    both = joined([first, second])
    assert len(both) == 20
    part = both.take(np.array([12, 0]))
    assert part.rows["mutation"].tolist() == [both.rows["mutation"][12], both.rows["mutation"][0]]
    np.testing.assert_array_equal(
        part.features(FEATURE_SETS["protherm20"])[1], first.features(FEATURE_SETS["protherm20"])[0]
    )


def test_structure_terms_come_from_the_residue_and_contradictions_are_left_out(shared_ddg):
    from copyfold.ddg.structures import read_structure

    structure = read_structure(shared_ddg / "structures/1a43.pdb.gz", "A")
    rows = [("156", "G", "A"), ("159", "E", "D"), ("159", "K", "D"), ("999", "G", "A")]
    table = pd.DataFrame(rows, columns=["position", "wild_type", "mutant"]).assign(
        protein="1a43", chain="A", insertion_code="", ddg=1.0, source="test", sequence="G"
    )
    table = pd.concat([table, table[:1].assign(protein="9xyz")], ignore_index=True)
    kept, left_out = with_structure_terms(table, shared_ddg / "structures")
    assert kept["position"].tolist() == ["156", "159"]
    index = structure.index_of(156)
    assert kept["rsa"][0] == structure.rsa[index]
    assert kept["secondary_structure"][0] == structure.secondary_structure[index]
    assert "2 of 4 rows left out: row 3 (K159 is E there), row 4 (no residue 999)" in left_out[0]
    assert "no structure of 9xyz" in left_out[1]


def test_a_configuration_takes_the_documents_values_for_what_it_leaves_out():
    config = build_config(DdgConfig, {"variant": "protherm"}, "x")
    assert (config.epochs, config.batch_size, config.lr, config.patience) == (200, 16, 5e-5, 30)
    assert (config.split, config.max_rows) == ("cluster", None)
    s669 = build_config(DdgConfig, {"variant": "s669", "epochs": 7}, "x")
    assert (s669.epochs, s669.split, s669.max_rows, s669.val_fraction, s669.test_fraction) == (7, "random", 40, 0.2, 0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"variant": "s670"}, "variant"),
        ({}, "variant"),
        ({"variant": "wide", "epoch": 3}, "did you mean 'epochs'"),
        ({"variant": "wide", "data": "/nowhere/x.csv"}, "no such file or folder"),
        ({"variant": "protherm", "test_proteins": ["a"]}, "both choose the test rows"),
    ],
)
def test_a_wrong_configuration_is_one_clear_line(values, message):
    with pytest.raises(ConfigError, match=message):
        build_config(DdgConfig, values, "x.yaml")
    with pytest.raises(ValidationError):
        DdgConfig.model_validate(values)


def test_assays_of_one_import_are_standardised_by_themselves():
    table = simulate_mutations(2, 8, seed=4, fitness=True)
    second = (table["protein"] == "SIMULATED2").to_numpy()
    table.loc[second, "score"] = table.loc[second, "score"] * 3 + 10
    target = mutation_set(table).target
    for part in (second, ~second):
        np.testing.assert_allclose([target[part].mean(), target[part].std()], [0, 1], atol=1e-5)
