"""Mutations that lie side by side in the latent although neither their proteins nor their letters are alike."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from sklearn.neighbors import NearestNeighbors

from copyfold.core.seeding import DEFAULT_SEED, derive_generator

_LOOKED_AT: Final = 200
"""Nearest rows among which one of another family with other letters is looked for."""


class NeighbourAgreement(NamedTuple):
    """Whether neighbours of other families have similar ΔΔG.

    Attributes
    ----------
    difference : float
        Mean |ΔΔG − ΔΔG of the neighbour|, kcal/mol.
    expected : float
        The same with ΔΔG shuffled over all rows.
    p_value : float
        Share of shuffles, the observed order counted, with as small a difference.
    n : int
        Rows that have such a neighbour.
    """

    difference: float
    expected: float
    p_value: float
    n: int


def unexpected_neighbours(
    latents: np.ndarray, families: np.ndarray, wild_type: np.ndarray, mutant: np.ndarray
) -> pd.DataFrame:
    """For each row its nearest row of another family where both letters are others.

    Parameters
    ----------
    latents : numpy.ndarray, (n, latent_dim)
    families : numpy.ndarray, (n,)
    wild_type, mutant : numpy.ndarray, (n,), int8

    Returns
    -------
    pandas.DataFrame
        `row`, `neighbour` (row numbers), `distance` (in the latent's units), `closeness` (share of all rows that lie
        nearer to `row`), nearest pairs first; a pair stands once. Rows without one among their 200 nearest are left
        out.
    """
    n = len(latents)
    looked_at = min(_LOOKED_AT, n - 1)
    if looked_at < 1:
        return pd.DataFrame({"row": [], "neighbour": [], "distance": [], "closeness": []})
    distances, places = NearestNeighbors(n_neighbors=looked_at + 1).fit(latents).kneighbors(latents)
    rows = np.arange(n)[:, None]
    other = (
        (places != rows)
        & (families[places] != families[rows])
        & (wild_type[places] != wild_type[rows])
        & (mutant[places] != mutant[rows])
    )
    first = other.argmax(axis=1)
    having = np.flatnonzero(other.any(axis=1))
    rank = first[having]
    table = pd.DataFrame(
        {
            "row": having,
            "neighbour": places[having, rank],
            "distance": distances[having, rank],
            "closeness": rank / max(n - 1, 1),
        }
    )
    pair = np.sort(table[["row", "neighbour"]].to_numpy(), axis=1)
    once = ~pd.DataFrame(pair).duplicated().to_numpy()
    return table[once].sort_values(["distance", "row"], kind="stable").reset_index(drop=True)


def neighbour_agreement(
    ddg: np.ndarray, pairs: pd.DataFrame, *, permutations: int = 2000, seed: int = DEFAULT_SEED
) -> NeighbourAgreement:
    """Mean difference in ΔΔG between neighbours, against ΔΔG shuffled over the rows."""
    ddg = np.asarray(ddg, dtype=np.float64)
    one, other = pairs["row"].to_numpy(np.int64), pairs["neighbour"].to_numpy(np.int64)
    if not len(one):
        return NeighbourAgreement(float("nan"), float("nan"), float("nan"), 0)
    observed = float(np.mean(np.abs(ddg[one] - ddg[other])))
    rng = derive_generator(seed, "neighbours")
    found = np.empty(permutations)
    for number in range(permutations):
        shuffled = rng.permutation(ddg)
        found[number] = np.mean(np.abs(shuffled[one] - shuffled[other]))
    p_value = (1 + np.sum(found <= observed + 1e-12)) / (permutations + 1)
    return NeighbourAgreement(observed, float(found.mean()), float(p_value), len(one))
