"""Features of an exchange: against published tables and biotite, and under a swap of wild type and mutant."""

import numpy as np
import pytest
from biotite.sequence import ProteinSequence
from hypothesis import given
from hypothesis import strategies as st

from copyfold.ddg.features.aminoacids import AROMATIC, CHARGE, CHARGED, HYDROPATHY, HYDROPHOBIC, MASS, PROPERTIES
from copyfold.ddg.features.base import BASE14, N_CHANGES, base14
from copyfold.ddg.features.poincare import HYPERBOLIC4, embedding, hyperbolic4, poincare_distances
from copyfold.ddg.features.poincare_embedding import dissimilarities, embed
from copyfold.ddg.features.protherm import PROTHERM20, protherm20
from copyfold.ddg.features.sets import FEATURE_SETS, FeatureSet, check_feature_set
from copyfold.ddg.sequences import AMINO_ACIDS, encode_sequence
from copyfold.errors import InputError

letters = st.lists(st.integers(0, 19), min_size=1, max_size=30)


def one(wild_type, mutant):
    return encode_sequence(wild_type), encode_sequence(mutant)


def test_masses_are_those_of_biotite():
    computed = [ProteinSequence(letter).get_molecular_weight() for letter in AMINO_ACIDS]
    np.testing.assert_allclose(MASS.values, computed, atol=0.03)


def test_hydropathy_orders_the_amino_acids_as_kyte_and_doolittle_do():
    published = "IVLFCMAGTSWYPHEQDNKR"  # their Table 2, from most hydrophobic
    values = [HYDROPATHY.values[AMINO_ACIDS.index(letter)] for letter in published]
    assert values == sorted(values, reverse=True)
    assert (values[0], values[-1]) == (4.5, -4.5)


def test_every_property_names_its_source_and_varies():
    for item in PROPERTIES:
        assert any(character.isdigit() for character in item.source)
        assert item.values.shape == (20,)
        assert np.ptp(item.values) > 0


def test_classes_of_amino_acids():
    of = {
        name: "".join(np.array(list(AMINO_ACIDS))[flags])
        for name, flags in (("charged", CHARGED), ("aromatic", AROMATIC), ("hydrophobic", HYDROPHOBIC))
    }
    assert of == {"charged": "DEKR", "aromatic": "FWY", "hydrophobic": "ACFILMVW"}
    np.testing.assert_array_equal(CHARGED, CHARGE.values != 0)


def test_base14_of_an_exchange_worked_out_by_hand():
    row = dict(zip(BASE14, base14(*one("W", "A"))[0].tolist(), strict=True))
    assert row["delta_hydropathy"] == pytest.approx(1.8 + 0.9)
    assert row["delta_volume"] == pytest.approx(88.6 - 227.8, abs=1e-4)
    assert row["delta_mass"] == pytest.approx(89.09 - 204.24, abs=1e-4)
    flags = {name: value for name, value in row.items() if not name.startswith("delta")}
    assert {name for name, value in flags.items() if value} == {
        "wild_type_aromatic",
        "wild_type_hydrophobic",
        "mutant_hydrophobic",
        "to_alanine",
    }
    assert base14(*one("PKG", "AGD"))[:, -3:].tolist() == [[1, 0, 1], [0, 1, 0], [0, 1, 0]]


@given(letters, st.data())
def test_swapping_wild_type_and_mutant_negates_changes_and_swaps_flags(wild_type, data):
    wild_type = np.array(wild_type, dtype=np.int8)
    mutant = np.array(data.draw(st.lists(st.integers(0, 19), min_size=len(wild_type), max_size=len(wild_type))))
    there, back = base14(wild_type, mutant), base14(mutant, wild_type)
    np.testing.assert_array_equal(there[:, :N_CHANGES], -back[:, :N_CHANGES])
    pairs = there[:, N_CHANGES:-3].reshape(-1, 3, 2), back[:, N_CHANGES:-3].reshape(-1, 3, 2)
    np.testing.assert_array_equal(pairs[0], pairs[1][:, :, ::-1])
    np.testing.assert_array_equal(there[:, -3:-1], back[:, -3:-1])  # proline and glycine do not mind the direction
    there, back = hyperbolic4(wild_type, mutant), hyperbolic4(mutant, wild_type)
    np.testing.assert_array_equal(there[:, 0], back[:, 0])
    np.testing.assert_array_equal(there[:, [1, 2]], back[:, [2, 1]])
    np.testing.assert_array_equal(there[:, 3], -back[:, 3])


def test_letters_that_are_no_amino_acid_are_refused_with_their_row():
    with pytest.raises(InputError, match="row 2: the mutant is not one of the 20"):
        base14(*one("AA", "GX"))
    with pytest.raises(InputError, match="two lists of one length"):
        base14(*one("AA", "G"))


def test_protherm20_adds_structure_and_keeps_the_unknown_apart():
    pair = one("LLL", "AAA")
    found = protherm20(*pair, np.array(["H", "E", ""]), np.array([0.1, 0.6, np.nan]))
    assert found.shape == (3, 20)
    np.testing.assert_array_equal(found[:, :14], base14(*pair))
    np.testing.assert_allclose(found[0, 14:], [1, 0, 0, 0.1, 1, 0], rtol=1e-6)
    np.testing.assert_allclose(found[1, 14:], [0, 1, 0, 0.6, 0, 1], rtol=1e-6)
    assert np.isnan(found[2, 14:]).all()


@pytest.mark.parametrize(("state", "rsa", "message"), [("X", 0.1, "structure 'X'"), ("H", 93.1, "RSA 93.1 must be")])
def test_impossible_structure_terms_are_refused(state, rsa, message):
    with pytest.raises(InputError, match=message):
        protherm20(*one("L", "A"), np.array([state]), np.array([rsa]))


def test_the_committed_embedding_is_what_its_script_computes():
    points = embed(dissimilarities())
    np.testing.assert_allclose(poincare_distances(points), poincare_distances(embedding()), atol=2e-3)
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), np.linalg.norm(embedding(), axis=1), atol=1e-3)


def test_the_embedding_keeps_the_matrix_s_distances():
    wanted, found = dissimilarities(), poincare_distances(embedding())
    upper = np.triu_indices(20, 1)
    assert np.corrcoef(wanted[upper], found[upper])[0, 1] > 0.9
    assert np.linalg.norm(embedding(), axis=1).max() < 1
    near = found + np.eye(20) * 99
    assert AMINO_ACIDS[near[AMINO_ACIDS.index("I")].argmin()] in "VLM"
    assert AMINO_ACIDS[near[AMINO_ACIDS.index("D")].argmin()] in "EN"


def test_poincare_distance_from_the_centre_is_twice_the_artanh():
    points = np.array([[0.0, 0.0], [0.6, 0.0], [0.0, -0.3]])
    distances = poincare_distances(points)
    np.testing.assert_allclose(distances[0, 1:], 2 * np.arctanh([0.6, 0.3]))
    np.testing.assert_allclose(distances, distances.T)


def test_feature_sets_have_the_documents_numbers_of_features():
    sizes = {name: len(item.features) for name, item in FEATURE_SETS.items()}
    assert sizes == {"base14": 14, "protherm20": 20, "base14+hyperbolic4": 18, "protherm20+hyperbolic4": 24}
    assert PROTHERM20[:14] == BASE14
    assert len(HYPERBOLIC4) == 4


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"name": "protherm20"}, "features protherm20 version 1, not base14 version 1"),
        ({"version": 0}, "version 0, not base14 version 1"),
        ({"features": [*BASE14[:-1], "mood"]}, "2 names differ"),
        ({"features": [BASE14[1], BASE14[0], *BASE14[2:]]}, "their order differs"),
        (None, "does not say which features"),
    ],
)
def test_a_checkpoint_of_other_features_is_refused(changed, message):
    expected = FEATURE_SETS["base14"]
    record = None if changed is None else expected.as_record() | changed
    with pytest.raises(InputError, match=message):
        check_feature_set(record, expected, "best.pt")
    check_feature_set(expected.as_record(), FeatureSet(*expected), "best.pt")
