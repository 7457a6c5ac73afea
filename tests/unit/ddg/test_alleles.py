"""Alleles against a scanned reference: which residues differ, what is refused."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from copyfold.ddg.alleles import ScannedReference, allele_stability, scanned_reference
from copyfold.ddg.sequences import AMINO_ACIDS
from copyfold.errors import InputError

SEQUENCE = "".join(np.random.default_rng(1).choice(list(AMINO_ACIDS), 80))


def reference(first=1):
    rng = np.random.default_rng(0)
    shape = (len(SEQUENCE), 20)
    numbers = tuple(str(first + place) for place in range(len(SEQUENCE)))
    standard = tuple("" if place < 20 else str(place + 100) for place in range(len(SEQUENCE)))
    return ScannedReference(SEQUENCE, numbers, rng.normal(size=shape), rng.uniform(0.5, 2, shape), standard)


def scan_table(sequence=SEQUENCE):
    rows = [
        (str(place), letter, mutant, 0.1 * place, 1.0)
        for place, letter in enumerate(sequence, 1)
        for mutant in AMINO_ACIDS
        if mutant != letter
    ]
    return pd.DataFrame(rows, columns=["position", "wild_type", "mutant", "ddg_kcal_mol", "sigma_kcal_mol"])


@settings(max_examples=25, deadline=None)
@given(
    st.dictionaries(st.integers(5, 74), st.sampled_from(AMINO_ACIDS), min_size=1, max_size=5),
    st.sampled_from(["", "MKKLLV", "MRYIRLCIISLLATLPLAVHA"]),
)
def test_planted_substitutions_are_found_and_add_up(changes, signal):
    given_reference = reference(first=26)
    letters = list(SEQUENCE)
    for place, mutant in changes.items():
        letters[place] = mutant
    real = {place: mutant for place, mutant in sorted(changes.items()) if SEQUENCE[place] != mutant}
    found = allele_stability(given_reference, signal + "".join(letters))
    assert found.reason == ""
    assert found.mutations == tuple(f"{SEQUENCE[place]}{26 + place}{mutant}" for place, mutant in real.items())
    assert found.standard == tuple(
        f"{SEQUENCE[place]}{100 + place}{mutant}" if place >= 20 else "" for place, mutant in real.items()
    )
    places = [(place, AMINO_ACIDS.index(mutant)) for place, mutant in real.items()]
    assert found.ddg == pytest.approx(sum(given_reference.ddg[one] for one in places))
    assert found.sigma == pytest.approx(np.sqrt(sum(given_reference.sigma[one] ** 2 for one in places)))


def test_the_reference_itself_has_no_mutation():
    found = allele_stability(reference(), SEQUENCE)
    assert (found.mutations, found.ddg, found.sigma, found.reason) == ((), 0.0, 0.0, "")


@pytest.mark.parametrize(
    ("protein", "reason"),
    [
        (SEQUENCE[:30] + "*" + SEQUENCE[31:], "a stop at residue 31 of 80"),
        (SEQUENCE[:40] + SEQUENCE[42:], "2 residues deleted at"),
        (SEQUENCE[:40] + "WW" + SEQUENCE[40:], "2 residues inserted behind"),
        (SEQUENCE[:60], "20 residues at an end"),
        (SEQUENCE[15:], "15 residues at an end"),
        (SEQUENCE[:40] + "X" + SEQUENCE[41:], "no substitution of a standard residue"),
        ("".join(np.random.default_rng(9).choice(list(AMINO_ACIDS), 80)), "not an allele of it"),
        ("", "no sequence under its name"),
    ],
)
def test_what_is_no_substitution_is_refused_with_its_reason(protein, reason):
    found = allele_stability(reference(), protein)
    assert found.reason.startswith("refused: ")
    assert reason in found.reason
    assert np.isnan(found.ddg)


def test_a_residue_without_a_value_is_refused():
    scanned = reference()
    scanned.ddg[40] = np.nan
    other = "A" if SEQUENCE[40] != "A" else "G"
    found = allele_stability(scanned, SEQUENCE[:40] + other + SEQUENCE[41:])
    assert f"no value for {SEQUENCE[40]}41{other}" in found.reason


def test_a_scan_gives_its_protein_back():
    found = scanned_reference(scan_table())
    assert found.sequence == SEQUENCE
    assert found.ddg[9, AMINO_ACIDS.index("A" if SEQUENCE[9] != "A" else "G")] == pytest.approx(1.0)
    assert np.isnan(found.ddg[9, AMINO_ACIDS.index(SEQUENCE[9])])
    with pytest.raises(InputError, match="no column wild_type"):
        scanned_reference(scan_table().drop(columns="wild_type"))
    two = pd.concat([scan_table(), scan_table().assign(wild_type="A").iloc[:19]])
    with pytest.raises(InputError, match="two wild types"):
        scanned_reference(two)
