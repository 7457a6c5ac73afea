"""``copyfold ddg train`` and ``refine`` by hand: the quick run, tables of one's own, resuming, what is refused."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from copyfold.app.ddg_refine import read_specialist_run
from copyfold.ddg.simulation import simulate_mutations
from copyfold.ddg.specialists import load_specialist
from copyfold.ddg.table import write_table

FILES = {
    "best.pt",
    "final.pt",
    "training_history.json",
    "metrics.json",
    "predictions.csv",
    "features.npy",
    "proteins.csv",
}
FILES |= {"run.json", "report.html"}
FEW = ("--set", "epochs=3", "--set", "warmup_epochs=1")


@pytest.fixture(scope="module")
def quick(tmp_path_factory, copyfold):
    """The run of the document: everything but the wide specialist, quickly, without data."""
    out = tmp_path_factory.mktemp("quick")
    done = copyfold("ddg", "train", "all", "--quick", "--skip-wide", "--out", out).succeeded()
    return out, done


def test_the_quick_run_leaves_the_documents_folders(quick):
    out, done = quick
    assert done.stdout.splitlines() == [str(out / "vae_s669"), str(out / "vae_protherm")]
    for name in ("vae_s669", "vae_protherm"):
        assert {path.name for path in (out / name).iterdir()} - {".lock"} == FILES
        assert json.loads((out / name / "run.json").read_text())["status"] == "complete"
    rows = pd.read_csv(out / "vae_s669/predictions.csv", comment="#")
    assert rows["split"].value_counts().to_dict() == {"unused": 80, "train": 32, "validation": 8}


def test_simulated_is_said_in_every_output(quick):
    out, done = quick
    assert done.stderr.count("SIMULATED") >= 4
    for name in ("vae_s669", "vae_protherm"):
        assert "SIMULATED" in (out / name / "predictions.csv").read_text().partition("\nprotein")[0]
        for file in ("training_history.json", "metrics.json", "run.json"):
            assert json.loads((out / name / file).read_text())["simulated"] is True
        for file in ("best.pt", "final.pt"):
            assert torch.load(out / name / file)["simulated"] is True
        assert load_specialist(out / name)[1].simulated


def test_what_a_run_wrote_fits_together(quick):
    out, _ = quick
    run = read_specialist_run(out / "vae_protherm")
    with torch.no_grad():
        predicted = run.module(torch.from_numpy(run.features)).numpy()
    written = pd.read_csv(out / "vae_protherm/predictions.csv", comment="#")["predicted"]
    np.testing.assert_allclose(written, predicted, rtol=1e-5, atol=1e-5)
    assert not set(run.rows.clusters[run.rows.split.train]) & set(run.rows.clusters[run.rows.split.test])
    metrics = json.loads((out / "vae_protherm/metrics.json").read_text())
    test = run.rows.split.test
    assert metrics["test"]["pearson"]["value"] == pytest.approx(
        np.corrcoef(run.rows.values[test], predicted[test])[0, 1], abs=1e-4
    )


def test_refiners_take_a_specialist_s_rows_and_split(quick, copyfold):
    out, _ = quick
    for kind, folder in (("mlp", "mlp_refiner"), ("transformer", "embedding_transformer")):
        done = copyfold("ddg", "refine", kind, out / "vae_protherm", "--epochs", "3").succeeded()
        assert done.stdout.strip() == str(out / folder)
        history = json.loads((out / folder / "training_history.json").read_text())
        assert (len(history["epochs"]), history["simulated"]) == (3, True)
        splits = [
            pd.read_csv(out / name / "predictions.csv", comment="#")["split"] for name in ("vae_protherm", folder)
        ]
        assert splits[0].equals(splits[1])
        assert "SIMULATED" in done.stderr
    attention = pd.read_csv(out / "embedding_transformer/attention.csv", comment="#")
    assert attention.columns.tolist() == ["dimension", "layer1", "layer2"]
    assert len(attention) == 32
    assert "latent dimensions attended to most" in done.stderr
    assert "holds no finished specialist" in copyfold("ddg", "refine", "mlp", out / "mlp_refiner").complaint()


@pytest.fixture
def tables(tmp_path):
    """A folder of tidy tables, as an import would leave it; its values are simulated, but it does not say so."""
    mutations = simulate_mutations(14, 9, seed=5).assign(source="test")
    write_table(tmp_path / "tables/s669.csv", mutations)
    write_table(
        tmp_path / "tables/wide.csv.gz", simulate_mutations(8, 9, seed=6, fitness=True).assign(source="an_assay")
    )
    return tmp_path / "tables"


def test_tables_of_one_s_own_train_and_a_finished_run_is_not_written_over(copyfold, tables, tmp_path):
    train = ("ddg", "train", "s669", "--data", tables, "--out", tmp_path / "out", *FEW, "--set", "use_hyperbolic=true")
    copyfold(*train).succeeded()
    module, spec = load_specialist(tmp_path / "out/vae_s669")
    assert (spec.simulated, spec.feature_set.name, module.input_dim) == (False, "base14+hyperbolic4", 18)
    assert "SIMULATED" not in (tmp_path / "out/vae_s669/predictions.csv").read_text().partition("\nprotein")[0]
    before = (tmp_path / "out/vae_s669/best.pt").read_bytes()
    assert "add --resume to continue it" in copyfold(*train).complaint()
    copyfold(*train, "--resume").succeeded()
    assert (tmp_path / "out/vae_s669/best.pt").read_bytes() == before


def test_wide_leaves_off_scale_assays_out_and_says_so(copyfold, tables, tmp_path):
    fitness = simulate_mutations(8, 9, seed=6, fitness=True).assign(source="an_assay")
    bright = simulate_mutations(2, 9, seed=7, fitness=True).assign(source="brightness")
    write_table(tables / "wide.csv.gz", pd.concat([fitness, bright.assign(score=bright["score"] * 1e4)]))
    done = copyfold("ddg", "train", "wide", "--data", tables, "--out", tmp_path / "out", *FEW).succeeded()
    assert "SIMULATED1 (brightness): left out, its scores run from" in done.stderr
    assert set(pd.read_csv(tmp_path / "out/vae_wide/predictions.csv", comment="#")["source"]) == {"an_assay"}


def test_proteins_named_by_a_pattern_are_the_test(copyfold, tables, tmp_path):
    options = ("--set", "test_proteins=['SIMULATED[12]']")
    copyfold("ddg", "train", "wide", "--data", tables, "--out", tmp_path / "out", *FEW, *options).succeeded()
    rows = pd.read_csv(tmp_path / "out/vae_wide/predictions.csv", comment="#")
    assert set(rows.loc[rows["split"] == "test", "protein"]) == {"SIMULATED1", "SIMULATED2"}
    by_protein = json.loads((tmp_path / "out/vae_wide/metrics.json").read_text())["test"]["per_protein"]
    first = rows[rows["protein"] == "SIMULATED1"]
    expected = first["target"].corr(first["predicted"], method="spearman")
    assert by_protein["proteins"]["SIMULATED1"]["spearman"] == pytest.approx(expected)


def test_held_out_proteins_and_what_resembles_them_do_not_train(copyfold, tables, tmp_path):
    table = simulate_mutations(14, 9, seed=5).assign(source="test")
    write_table(tmp_path / "held.csv", table[table["protein"] == "SIMULATED3"])
    options = ("--set", f"held_out={tmp_path}/held.csv", "--set", "max_rows=126", "--set", "split=cluster")
    done = copyfold("ddg", "train", "s669", "--data", tables, "--out", tmp_path / "out", *FEW, *options).succeeded()
    rows = pd.read_csv(tmp_path / "out/vae_s669/predictions.csv", comment="#")
    assert set(rows.loc[rows["protein"] == "SIMULATED3", "split"]) == {"test", "unused"}
    assert (rows["split"] == "test").sum() == 9
    assert "9 rows left out: their proteins resemble one that is held out" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("all",), "s669: no data; give --data"),
        (("s669", "--quick", "--skip-wide"), "--skip-wide goes with `all`"),
        (("s669", "--data", "{tables}", "--set", "epoch=3"), "did you mean 'epochs'"),
        (("protherm", "--data", "{tables}"), "holds no table for protherm"),
        (("protherm", "--data", "{tables}/s669.csv"), "needs structures"),
        (("s669", "--data", "{tables}/empty.csv"), "the file is empty"),
        (("s669", "--data", "{tables}/columns.csv"), "no column"),
        (("s669", "--data", "{tables}/wide.csv.gz"), "holds fitness"),
        (("wide", "--data", "{tables}/s669.csv"), "not fitness"),
        (("wide", "--data", "{tables}", "--set", "test_proteins=['BLAT*']"), "the data have no protein BLAT*"),
        (("protherm", "--quick", "--config", "{tables}/s669.yaml"), "is for variant s669, not protherm"),
    ],
)
def test_wrong_input_is_one_line_and_leaves_nothing(copyfold, tables, tmp_path, arguments, complaint):
    (tables / "empty.csv").write_text("")
    text = (tables / "s669.csv").read_text()
    (tables / "columns.csv").write_text(text.replace("sequence_position", "place", 1).replace("mutant", "to", 1))
    (tables / "s669.yaml").write_text("variant: s669\n")
    given = [part.format(tables=tables) for part in arguments]
    assert complaint in copyfold("ddg", "train", *given, "--out", tmp_path / "out").complaint()
    assert not (tmp_path / "out").exists()


def test_a_configuration_written_by_init_is_good_and_trains(copyfold, tmp_path):
    copyfold("config", "init", "ddg", "-o", tmp_path / "ddg.yaml").succeeded()
    done = copyfold("config", "check", tmp_path / "ddg.yaml").succeeded()
    assert done.stdout.splitlines()[-1].endswith("good — specialist protherm")
    schema = copyfold("config", "schema", "ddg").succeeded().stdout
    keys = [line.split()[0] for line in schema.splitlines()[1:]]
    assert set(yaml.safe_load((tmp_path / "ddg.yaml").read_text())) == set(keys)
