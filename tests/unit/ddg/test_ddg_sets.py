"""Sets on their structures, and what a benchmark makes of predictions."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from copyfold.app import ddg_benchmark
from copyfold.app.ddg_benchmark import OURS, ZERO_SHOT, Benchmark, evaluate
from copyfold.app.ddg_dms import family_log_frequencies
from copyfold.app.ddg_sets import EncodedProtein, place_rows, read_set
from copyfold.ddg.features.proteinmpnn import SiteEncodings
from copyfold.errors import InputError


def protein(sequence, first=1, incomplete=()):
    complete = np.array([place not in incomplete for place in range(len(sequence))])
    places = {str(first + place): place for place in range(len(sequence))}
    return EncodedProtein(sequence, places, SiteEncodings(np.zeros((len(sequence), 0)), np.zeros(0), complete))


def table(*rows, numbered=True):
    names = ("structure", "position", "wild_type", "sequence", "seq_position")
    return pd.DataFrame(rows, columns=names).assign(numbered=numbered)


def test_rows_are_placed_by_number_then_by_sequence_and_only_on_their_own_wild_type():
    proteins = {"x": protein("AEKLLAWFRQVMTNDYPHIC", first=10, incomplete=(4,))}
    whole = "MGS" + proteins["x"].sequence
    rows = table(
        ("x", "10", "A", whole, 4),
        ("x", "11", "A", whole, 4),  # the number holds E: found by the sequence
        ("x", "11", "W", whole, 5),  # neither
        ("x", "14", "L", whole, 8),  # incomplete
        ("absent", "10", "A", whole, 4),
    )
    assert place_rows(rows, proteins).tolist() == [0, 0, -1, -1, -1]
    assert place_rows(rows[:1].assign(numbered=False), proteins).tolist() == [0]


def made(n=120, seed=0):
    rng = np.random.default_rng(seed)
    true = rng.normal(size=n)
    rows = pd.DataFrame({"ddg": true, "protein": np.arange(n) // 10, "cluster": np.arange(n) // 20})
    direct = {OURS: true + 0.5 * rng.normal(size=n), "worse": true + 2 * rng.normal(size=n), ZERO_SHOT: 9 * true}
    direct["few"] = np.where(np.arange(n) < 20, true, np.nan)
    reverse = {OURS: -direct[OURS], "worse": direct["worse"]}
    return Benchmark("made", rows, direct, reverse, np.full(n, 0.5), 1.96, ("a note",))


def test_a_benchmark_ranks_mirrors_and_counts_coverage():
    result, text = evaluate(made())
    methods = result["methods"]
    assert set(methods) == {OURS, "worse", ZERO_SHOT}  # too few rows for a number
    assert methods[ZERO_SHOT]["direct"]["pearson"]["value"] == pytest.approx(1.0)
    assert methods[OURS]["antisymmetry"] == {"n": 120, "r": pytest.approx(-1.0), "bias": pytest.approx(0.0)}
    assert methods["worse"]["antisymmetry"]["r"] == pytest.approx(1.0)
    assert methods["worse"]["copyfold_minus_this"]["rmse"]["value"] < 0
    assert methods["worse"]["copyfold_minus_this"]["pearson"]["low"] > 0
    assert "copyfold_minus_this" not in methods[OURS]
    assert result["coverage"]["within_68"] == pytest.approx(0.68, abs=0.08)
    assert result["coverage"]["within_95"] == pytest.approx(0.95, abs=0.05)
    assert "note: a note" in text
    assert "few" not in text


def test_a_folder_that_is_no_data_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"s669.csv.gz: no such file; --data names"):
        read_set(tmp_path, "s669")
    with pytest.raises(InputError, match="must be one of"):
        read_set(tmp_path, "s700")


def test_frequencies_of_a_family_stand_at_the_residues_of_its_columns(shared_ddg):
    from copyfold.ddg.predictor.lactamases import TEM1, ambler_numbers

    found = family_log_frequencies(shared_ddg / "msas/beta_lactamase_PF13354", TEM1)
    assert found.shape == (len(TEM1), 20)
    numbers = ambler_numbers(TEM1).tolist()
    for number, letter in ((70, "S"), (73, "K"), (130, "S"), (166, "E")):  # the active site of the family
        row = found[numbers.index(number)]
        assert "ACDEFGHIKLMNPQRSTVWY"[int(np.argmax(row))] == letter
        assert np.exp(row.max()) > 0.4  # chance is 0.05; E166 has 0.47
    known = np.isfinite(found).all(axis=1)
    assert np.exp(found[known]).sum(axis=1) == pytest.approx(1.0)


def test_every_row_of_the_sets_is_one_substitution_in_our_sign(shared_ddg):
    for name, n in (("s669", 669), ("s2648", 2648), ("ssym", 684)):
        rows = read_set(shared_ddg, name)
        assert len(rows) == n
        assert rows["ddg"].notna().all()
    assert read_set(shared_ddg, "s669")["ddg"].mean() > 0  # most mutations destabilise


def test_s461_counts_its_own_rows_without_a_structure(monkeypatch):
    whole = made()
    rows = whole.rows.assign(in_s461=(np.arange(120) < 60).astype(int), ddg_s461_corrected=whole.rows["ddg"])
    direct = {**whole.direct, OURS: np.where(np.arange(120) % 50 == 10, np.nan, whole.direct[OURS])}  # 10, 60 and 110
    changed = dataclasses.replace(whole, rows=rows, direct=direct, notes=("3 of 120 rows",))
    monkeypatch.setattr(ddg_benchmark, "_s669", lambda _: changed)
    part = ddg_benchmark.BENCHMARKS["s461"](None)
    assert part.notes[0] == "1 of 60 rows have no residue in a structure of the data folder"
    assert not any(note.startswith("3 of 120") for note in part.notes)
