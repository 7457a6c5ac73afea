"""Rows against sequence and structure, repeats, and values that are no ΔΔG."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from copyfold.ddg.importers.checks import check_rows, find_repeats, residues_of, scale_problem
from copyfold.ddg.importers.reading import Reading, Refusal
from copyfold.ddg.structures import Structure

PROTEIN = "MKVLAAGIVG"


def structure(sequence: str = PROTEIN, first: int = 11) -> Structure:
    n = len(sequence)
    return Structure(
        "1abc",
        "A",
        np.arange(first, first + n, dtype=np.int32),
        ("",) * n,
        sequence,
        np.zeros((n, 4, 3), np.float32),
        np.zeros(n, np.float32),
        "C" * n,
        np.zeros(n, np.float32),
        None,
    )


def rows(*changes: dict[str, object]) -> Reading:
    usual = {"protein": "1abc", "chain": "A", "position": "13", "insertion_code": "", "wild_type": "V", "mutant": "A"}
    usual |= {"ddg": 1.0, "ph": 7.0, "temperature": 298.15, "sequence": PROTEIN, "sequence_position": 3}
    return Reading(pd.DataFrame([usual | change for change in changes], index=range(1, len(changes) + 1)), [])


def test_sequence_and_structure_must_both_hold_the_wild_type() -> None:
    reading = rows(
        {},
        {"wild_type": "L"},
        {"position": "14"},
        {"position": "99"},
        {"sequence_position": 11},
        {"sequence": "", "sequence_position": 0},
        {"protein": "other"},
        {"protein": "other", "sequence": ""},
        {"wild_type": "B"},
        {"mutant": "V"},
        {"ddg": np.nan},
        {"protein": "broken"},
        {"chain": ""},
    )
    checked = check_rows(
        reading,
        "S",
        {("1abc", "A"): structure(), ("1abc", ""): structure(), ("broken", "A"): "x.pdb: no protein chain 'A'"},
    )
    assert checked.table.index.tolist() == [1, 6, 7, 13]
    assert checked.n_by_structure == 3
    assert checked.table["sequence"].tolist() == [PROTEIN] * 4
    assert checked.table["sequence_position"].tolist() == [3, 3, 3, 3]  # of row 6 by the structure
    assert checked.table["chain"].tolist() == ["A"] * 4
    reasons = {refusal.row: refusal.reason for refusal in checked.refused}
    assert "the sequence has V at 3, not L" in reasons[2]
    assert "the structure has L at 14, not V" in reasons[3]
    assert "no residue 99" in reasons[4]
    assert "outside the sequence of 10" in reasons[5]
    assert "neither a sequence nor a structure" in reasons[8]
    assert "none of the 20" in reasons[9]
    assert "the same" in reasons[10]
    assert "no value" in reasons[11]
    assert "no protein chain 'A'" in reasons[12]
    assert set(reasons) | {1, 6, 7, 13} == set(range(1, 14))


def test_places_in_a_sequence_are_found_in_the_structure() -> None:
    """The structure begins later, lacks a loop, and has one other residue; beside these nothing is claimed."""
    sequence = "MSHHHHHHGSKVFGRCELAAAMKRHGLDNYRGYSLGNWVCAAKFESNFNTQATNRNTDGSTDYG"
    observed = sequence[10:30] + sequence[35:50] + "W" + sequence[51:]
    places = residues_of(sequence, observed)
    expected = {place: place - 10 for place in range(11, 29)} | {place: place - 15 for place in range(36, 49)}
    expected |= {place: place - 15 for place in range(52, 64)}
    assert {place: int(index) for place, index in enumerate(places) if index >= 0} == expected
    assert (residues_of(sequence, sequence[::-1]) == -1).all()

    numbered = structure(observed, first=101)
    usual = {"position": "", "sequence": sequence, "wild_type": "K", "sequence_position": 43, "mutant": "A"}
    reading = rows(usual, usual | {"wild_type": "M", "sequence_position": 1}, usual | {"wild_type": "A"})
    checked = check_rows(reading, "S", {("1abc", "A"): numbered})
    assert checked.table["position"].tolist() == ["128", ""]
    assert checked.n_by_structure == 1
    assert checked.table["sequence_position"].tolist() == [43, 1]
    assert [refusal.row for refusal in checked.refused] == [3]


def test_what_the_reader_refused_stays_refused() -> None:
    reading = Reading(rows({}).rows, [Refusal(7, "x", "impossible")])
    assert check_rows(reading, "S").refused == (Refusal(7, "x", "impossible"),)


def test_repeats_are_told_apart() -> None:
    reading = rows(
        {"ddg": 1.0},
        {"ddg": 1.2},
        {"mutant": "G", "ddg": 0.5},
        {"mutant": "G", "ddg": 1.4, "ph": 3.0},
        {"mutant": "L", "ddg": 0.5},
        {"mutant": "L", "ddg": 1.6, "ph": 3.0},
        {"mutant": "F", "ddg": -0.1},
        {"mutant": "F", "ddg": 0.1},
        {"mutant": "W"},
        {"chain": "B"},
        {"mutant": "Y", "ph": np.nan},
        {"mutant": "Y", "ph": np.nan},
    )
    found = find_repeats(check_rows(reading, "S").table)
    assert [(one.rows, one.kind) for one in found] == [
        ((1, 2), "duplicate"),
        ((3, 4), "repeat"),
        ((5, 6), "conflict"),
        ((7, 8), "conflict"),
        ((11, 12), "duplicate"),
    ]
    assert found[2].values == (0.5, 1.6)
    assert found[2].what == "1abc A V13L"


@pytest.mark.parametrize("name", ["s669", "s2648", "q3421", "fireprotdb", "varibench1423", "megascale"])
def test_measured_sets_are_plausible(published, name: str) -> None:
    table = published(name)
    assert scale_problem(table["ddg"].to_numpy(dtype=float)) is None
    if name != "megascale":
        return
    for _, protein in table.groupby("protein_id"):
        assert scale_problem(protein["ddg"].to_numpy(dtype=float)) is None


@pytest.mark.parametrize("name", ["s669", "s2648", "megascale"])
def test_measured_sets_with_the_other_sign_or_unit_are_not(published, name: str) -> None:
    values = published(name)["ddg"].to_numpy(dtype=float)
    assert "the other way round" in scale_problem(-values)
    assert "kJ/mol" in scale_problem(4.184 * values)


def test_fitness_is_no_stability_in_any_scan_we_have(shared_ddg: Path) -> None:
    compared = 0
    for path in sorted((shared_ddg / "proteingym").glob("**/*.csv.gz")):
        table = pd.read_csv(path, nrows=20000)
        if "DMS_score" in table:
            assert scale_problem(table["DMS_score"].to_numpy()) is not None, path.name
            compared += 1
    assert compared >= 45


def test_few_values_are_not_judged_but_for_impossible_ones() -> None:
    assert scale_problem(np.full(29, -1.0)) is None
    assert scale_problem(np.array([])) is None
    assert scale_problem(np.array([1.0, 400.0])) is not None
