"""``protherm20``: ``base14`` and where in the structure the residue stands."""

from __future__ import annotations

import numpy as np

from copyfold.ddg.features.base import BASE14, base14
from copyfold.errors import InputError

BURIED_BELOW = 0.25
EXPOSED_ABOVE = 0.5

PROTHERM20 = (*BASE14, "helix", "sheet", "coil", "rsa", "buried", "exposed")
"""Names of the columns, in order."""


def protherm20(
    wild_type: np.ndarray, mutant: np.ndarray, secondary_structure: np.ndarray, rsa: np.ndarray
) -> np.ndarray:
    """The 20 features of each mutation of a protein of known structure.

    Parameters
    ----------
    wild_type, mutant : numpy.ndarray, (n,), int8
        Indices into `AMINO_ACIDS`.
    secondary_structure : numpy.ndarray, (n,), str
        ``H``, ``E`` or ``C`` of the mutated residue; an empty string where it is not known.
    rsa : numpy.ndarray, (n,), float
        Relative solvent accessibility of the residue, a fraction (a little above 1 is possible); NaN where it is not
        known.

    Returns
    -------
    numpy.ndarray, (n, 20), float32
        Columns as in `PROTHERM20`. What is not known is NaN; `DDGVAE` puts the training mean in its place.

    Raises
    ------
    InputError
        Another letter, or an RSA that can be no fraction.
    """
    letters = np.asarray(secondary_structure, dtype=np.str_)
    accessible = np.asarray(rsa, dtype=np.float32)
    unknown = ~np.isin(letters, ("H", "E", "C", ""))
    if unknown.any():
        row = int(np.flatnonzero(unknown)[0])
        raise InputError(f"row {row + 1}: secondary structure '{letters[row]}' must be H, E, C or empty")
    impossible = (accessible < 0) | (accessible > 2)
    if impossible.any():
        row = int(np.flatnonzero(impossible)[0])
        raise InputError(f"row {row + 1}: RSA {accessible[row]:g} must be a fraction; divide percentages by 100")
    structure = np.stack([letters == letter for letter in "HEC"], axis=1).astype(np.float32)
    structure[letters == ""] = np.nan
    burial = np.stack([accessible, accessible < BURIED_BELOW, accessible > EXPOSED_ABOVE], axis=1)
    burial[np.isnan(accessible)] = np.nan
    return np.concatenate([base14(wild_type, mutant), structure, burial], axis=1).astype(np.float32)
