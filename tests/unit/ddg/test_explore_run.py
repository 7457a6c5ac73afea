"""``copyfold ddg explore`` on runs of two seeds: files, what lasts, what is refused."""

import json

import numpy as np
import pandas as pd
import pytest

from copyfold.app.ddg_explore import explore_runs
from copyfold.app.ddg_train import train_specialists
from copyfold.core.console import Console
from copyfold.ddg.simulation import simulate_mutations
from copyfold.ddg.table import write_table
from copyfold.errors import ConfigError, InputError, RunError

QUIET = Console(quiet=True)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The S669 specialist trained on one table with two seeds, and on another table."""
    folder = tmp_path_factory.mktemp("runs")
    write_table(folder / "1.csv", simulate_mutations(14, 16, seed=3))
    write_table(folder / "2.csv", simulate_mutations(14, 16, seed=4))
    found = []
    for seed, table in ((1, 1), (2, 1), (3, 2)):
        changes = ["epochs=25", "lr=0.002", f"seed={seed}", "max_rows=null", "split=cluster", "val_fraction=0.4"]
        found += train_specialists(
            ["s669"], None, changes, data=folder / f"{table}.csv", structures=None, out=folder / str(seed), quick=False,
            resume=False, console=QUIET,
        )  # fmt: skip
    return found


def explore(runs, out, paths=()):
    return explore_runs(runs, out, paths=paths, permutations=99, seed=42, console=QUIET)


def test_two_seeds_are_explored_and_compared(runs, tmp_path):
    out = explore(runs[:2], tmp_path / "latent")
    tables = {path.stem: pd.read_csv(path, sep="\t", comment="#") for path in out.glob("*.tsv")}
    assert set(tables) == {
        "members", "direction_features", "paths", "clusters", "cluster_marks", "neighbours", "positions",
    }  # fmt: skip
    assert {path.suffix for path in out.glob("map.*")} == {".svg", ".png"}
    summary = json.loads((out / "explore.json").read_text())
    predictions = pd.read_csv(runs[0] / "predictions.csv", comment="#")
    unseen = predictions["split"].isin(["validation", "test"])
    assert summary["n_unseen"] == unseen.sum() == tables["members"]["not_trained_on"].sum()
    np.testing.assert_allclose(tables["members"]["predicted"], predictions["predicted"], atol=1e-4)
    assert set(summary["lasting"]) == {"direction", "paths", "clusters", "neighbours", "positions"}
    assert summary["lasting"]["direction"]["n_pairs"] == 1
    assert summary["lasting"]["direction"]["mean"] > 0.5  # one law made the data: both seeds must find it
    assert tables["clusters"]["size"].sum() == len(predictions)
    near = tables["neighbours"]
    assert (near["protein"] != near["neighbour_protein"]).all()
    assert (near["mutation"].str[0] != near["neighbour_mutation"].str[0]).all()
    ends = tables["paths"].groupby(["path", "kind"])["predicted"].agg(["first", "last"])
    for number in ends.index.levels[0]:  # both ways lead from the same to the same
        np.testing.assert_allclose(ends.loc[(number, "straight")], ends.loc[(number, "geodesic")], atol=1e-4)
    assert tables["positions"]["mean_predicted"].is_monotonic_decreasing
    page = (out / "explore.html").read_text()
    assert "Which findings last" in page
    assert "://" not in page.replace("http://www.w3.org", "")


def test_the_documents_own_specialist_of_40_rows_is_explored_with_several_seeds(tmp_path):
    """By its defaults: 40 rows, drawn by the seed; what is not drawn was not trained on."""
    write_table(tmp_path / "table.csv", simulate_mutations(12, 10, seed=3))
    found = []
    for seed in (42, 43):
        found += train_specialists(
            ["s669"], None, ["epochs=2", f"seed={seed}"], data=tmp_path / "table.csv", structures=None,
            out=tmp_path / str(seed), quick=False, resume=False, console=QUIET,
        )  # fmt: skip
    parts = [pd.read_csv(path / "predictions.csv", comment="#")["split"] for path in found]
    assert [part.value_counts().to_dict() for part in parts] == [{"unused": 80, "train": 32, "validation": 8}] * 2
    assert (parts[0] != parts[1]).any()
    summary = json.loads((explore(found, tmp_path / "latent") / "explore.json").read_text())
    assert (summary["n"], summary["n_unseen"]) == (120, 88)
    assert summary["lasting"]["direction"]["n_pairs"] == 1


def test_a_path_of_ones_own_and_a_single_run(runs, tmp_path):
    names = pd.read_csv(runs[0] / "predictions.csv", comment="#")
    one, other = (f"{row.protein}:{row.mutation}" for row in names.iloc[[3, 40]].itertuples())
    summary = json.loads((explore(runs[:1], tmp_path / "out", [f"{one},{other}"]) / "explore.json").read_text())
    assert len(summary["paths"]) == 1
    assert summary["lasting"]["direction"] == {"mean": None, "lowest": None, "chance": 0.0, "n_pairs": 0}


@pytest.mark.parametrize(
    ("path", "said"),
    [("x", "must be two mutations"), ("a:A1V,b:L2P", "no mutation A1V of a")],
)
def test_paths_that_are_none_are_refused(runs, tmp_path, path, said):
    with pytest.raises((ConfigError, InputError), match=said):
        explore(runs[:1], tmp_path / "out", [path])
    assert not (tmp_path / "out").exists()


def test_runs_on_other_rows_and_folders_in_use_are_refused(runs, tmp_path):
    with pytest.raises(ConfigError, match="has other rows than"):
        explore([runs[0], runs[2]], tmp_path / "out")
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(RunError, match="not an empty folder"):
        explore(runs[:1], tmp_path)
    with pytest.raises(RunError, match="not a copyfold run"):
        explore([tmp_path], tmp_path / "out")
    assert not (tmp_path / "out").exists()
