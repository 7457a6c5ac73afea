"""Amino-acid letters and protein sequences as indices."""

from __future__ import annotations

from typing import Final

import numpy as np

AMINO_ACIDS: Final = "ACDEFGHIKLMNPQRSTVWY"
"""The 20 standard residues; the order of every 20-vector of `copyfold.ddg`."""

THREE_TO_ONE: Final = {
    "ALA": "A",
    "CYS": "C",
    "ASP": "D",
    "GLU": "E",
    "PHE": "F",
    "GLY": "G",
    "HIS": "H",
    "ILE": "I",
    "LYS": "K",
    "LEU": "L",
    "MET": "M",
    "ASN": "N",
    "PRO": "P",
    "GLN": "Q",
    "ARG": "R",
    "SER": "S",
    "THR": "T",
    "VAL": "V",
    "TRP": "W",
    "TYR": "Y",
}

_INDEX_OF_BYTE = np.full(256, -1, dtype=np.int8)
_INDEX_OF_BYTE[np.frombuffer(AMINO_ACIDS.encode(), dtype=np.uint8)] = np.arange(20, dtype=np.int8)


def encode_sequence(sequence: str) -> np.ndarray:
    """Indices into `AMINO_ACIDS`.

    Parameters
    ----------
    sequence : str
        One-letter codes in upper case.

    Returns
    -------
    numpy.ndarray, (n,), int8
        −1 where the letter is none of the 20 (X, gaps, lower case, …).
    """
    letters = np.frombuffer(sequence.encode("ascii", "replace"), dtype=np.uint8)
    return _INDEX_OF_BYTE[letters]


def decode_sequence(indices: np.ndarray) -> str:
    """The letters of `indices`; X where an index is −1."""
    letters = np.array(list(AMINO_ACIDS + "X"))
    return "".join(letters[np.asarray(indices, dtype=np.int64)])
