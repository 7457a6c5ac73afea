"""Which residue a mutation names."""

import numpy as np
import pytest

from copyfold.ddg.mutations import parse_mutation
from copyfold.ddg.predictor.numbering import TEM1, Protein, ambler_numbers, numbering_of, places_in, residue_index
from copyfold.ddg.structures import read_structure
from copyfold.errors import InputError

from .chains import helix

CHAIN = helix("AEKLLAW", first=10, insertion_codes=("", "", "a", "", "", "", ""), seqres="MGAEKLLAWSS")
CHAIN.numbers[:] = [10, 11, 11, 12, 13, 14, 15]


def place(text, numbering=None, protein=None):
    protein = protein or Protein(CHAIN.sequence, CHAIN)
    (mutation,) = parse_mutation(text)
    return residue_index(mutation, numbering_of(text, numbering, protein), protein)


@pytest.mark.parametrize(
    ("text", "numbering", "expected"),
    [
        ("A10V", None, 0),
        ("A:E11V", None, 1),
        ("K11aV", None, 2),
        ("p.Ala3Val", None, 0),
        ("p.Trp9Ala", None, 6),
        ("Trp9Ala", None, 6),
        ("A3V", "sequence", 0),
        ("W15A", "pdb", 6),
    ],
)
def test_numbers_of_a_structure(text, numbering, expected):
    assert place(text, numbering) == expected


@pytest.mark.parametrize(
    ("text", "numbering", "message"),
    [
        ("B:A10V", None, "chain B is not the chain read"),
        ("L10V", None, "the residue there is A, not L"),
        ("A99V", None, "no residue 99"),
        ("p.Met1Val", None, "no coordinates"),
        ("p.Ser12Val", None, "outside the sequence"),
        ("K11aV", "sequence", "insertion codes"),
        ("A10V", "ambler", "not a class A"),
    ],
)
def test_what_cannot_be_placed_says_why(text, numbering, message):
    with pytest.raises(InputError, match=message):
        place(text, numbering)


def test_a_sequence_is_numbered_from_1_and_has_no_pdb_numbers():
    protein = Protein("MGAEK")
    assert place("A3V", None, protein) == 2
    with pytest.raises(InputError, match="no PDB numbers"):
        place("A3V", "pdb", protein)


def test_a_file_without_seqres_has_no_sequence_numbering():
    chain = helix("AEKLLAW")
    with pytest.raises(InputError, match="SEQRES"):
        place("p.Ala1Val", None, Protein(chain.sequence, chain))


def test_places_skip_what_a_structure_lacks():
    assert places_in("MKTAYIAKQRQISFVKSHFSRQ", "AYIAKQRSFVKSHF").tolist() == [
        *(-1, -1, -1, 0, 1, 2, 3, 4, 5, 6, -1, -1),
        *(7, 8, 9, 10, 11, 12, 13, -1, -1, -1),
    ]


def test_catalytic_residues_of_tem1_have_their_standard_numbers():
    numbers = ambler_numbers(TEM1).tolist()
    named = {
        number: TEM1[numbers.index(number)] for number in (26, 70, 73, 104, 130, 166, 182, 234, 238, 240, 276, 290)
    }
    assert "".join(named.values()) == "HSKESEMKGENW"
    assert 239 not in numbers
    assert 253 not in numbers
    precursor = ambler_numbers("MSIQHFRVALIPFFAAFCLPVFA" + TEM1)
    assert precursor[23:].tolist() == numbers


def test_kpc2_has_the_residue_that_tem1_lacks():
    """Around the C69–C238 bridge: KTG CGV (KPC-2, UniProt Q9F663) against KSG AGE of TEM-1."""
    like = TEM1.replace("WFIADKSGAGERGSRGIIAALGPDGKP", "WVVGDKTGTCGVYGTANDYAVVWPTGRAP")
    numbers = ambler_numbers(like).tolist()
    assert "".join(like[numbers.index(number)] for number in (234, 235, 236, 237, 238, 239, 240)) == "KTGTCGV"


@pytest.mark.parametrize(("name", "least"), [("1zg4", 1.0), ("1axb", 1.0), ("4blm", 0.85)])
def test_class_a_structures_are_numbered_as_their_authors_did(shared_ddg, name, least):
    chain = read_structure(shared_ddg / f"structures/{name}.pdb.gz")
    assert np.mean(ambler_numbers(chain.sequence) == chain.numbers) >= least
