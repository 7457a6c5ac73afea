"""``base14``: what an exchange of one amino acid for another changes, of the two letters alone."""

from __future__ import annotations

import numpy as np

from copyfold.ddg.features.aminoacids import AROMATIC, CHARGED, HYDROPHOBIC, PROPERTIES
from copyfold.ddg.sequences import AMINO_ACIDS
from copyfold.errors import InputError

N_CHANGES = len(PROPERTIES)
"""The first columns are changes: they change sign when wild type and mutant are exchanged."""

BASE14 = (
    *(f"delta_{item.name}" for item in PROPERTIES),
    "wild_type_charged",
    "mutant_charged",
    "wild_type_aromatic",
    "mutant_aromatic",
    "wild_type_hydrophobic",
    "mutant_hydrophobic",
    "proline",
    "glycine",
    "to_alanine",
)
"""Names of the columns, in order."""

_PROLINE, _GLYCINE, _ALANINE = (AMINO_ACIDS.index(letter) for letter in "PGA")


def base14(wild_type: np.ndarray, mutant: np.ndarray) -> np.ndarray:
    """The 14 base features of each mutation.

    Parameters
    ----------
    wild_type, mutant : numpy.ndarray, (n,), int8
        Indices into `AMINO_ACIDS`.

    Returns
    -------
    numpy.ndarray, (n, 14), float32
        Columns as in `BASE14`: five changes (mutant − wild type, in the properties' own units), six class flags, and
        whether either is proline, either is glycine, the mutant is alanine.

    Raises
    ------
    InputError
        An index outside 0–19.
    """
    wild_type, mutant = check_pair(wild_type, mutant)
    changes = [item.values[mutant] - item.values[wild_type] for item in PROPERTIES]
    flags = [group[letters] for group in (CHARGED, AROMATIC, HYDROPHOBIC) for letters in (wild_type, mutant)]
    special = [(wild_type == letter) | (mutant == letter) for letter in (_PROLINE, _GLYCINE)]
    return np.stack([*changes, *flags, *special, mutant == _ALANINE], axis=1).astype(np.float32)


def check_pair(wild_type: np.ndarray, mutant: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both as index arrays, or an `InputError` that names the first row without one of the twenty amino acids."""
    pair = np.asarray(wild_type).astype(np.intp), np.asarray(mutant).astype(np.intp)
    if pair[0].shape != pair[1].shape or pair[0].ndim != 1:
        raise InputError(f"wild types {pair[0].shape} and mutants {pair[1].shape} must be two lists of one length")
    for what, letters in zip(("wild type", "mutant"), pair, strict=True):
        outside = np.flatnonzero((letters < 0) | (letters >= len(AMINO_ACIDS)))
        if outside.size:
            raise InputError(f"row {outside[0] + 1}: the {what} is not one of the 20 amino acids; leave the row out")
    return pair
