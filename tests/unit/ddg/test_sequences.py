"""Residue tables against biotite's."""

from __future__ import annotations

import numpy as np
from biotite.sequence import ProteinSequence

from copyfold.ddg.sequences import AMINO_ACIDS, THREE_TO_ONE, decode_sequence, encode_sequence


def test_three_letter_names_are_biotites() -> None:
    assert sorted(THREE_TO_ONE.values()) == list(AMINO_ACIDS)
    for name, letter in THREE_TO_ONE.items():
        assert ProteinSequence.convert_letter_3to1(name) == letter


def test_a_sequence_becomes_places_in_the_alphabet() -> None:
    encoded = encode_sequence("ACYW-Xaé")
    assert encoded.dtype == np.int8
    assert encoded.tolist() == [0, 1, 19, 18, -1, -1, -1, -1]
    assert decode_sequence(encode_sequence(AMINO_ACIDS + "B")) == AMINO_ACIDS + "X"
    assert encode_sequence("").shape == (0,)
