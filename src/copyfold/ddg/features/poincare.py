"""``hyperbolic4``: the exchange as seen in an embedding of the amino acids in the Poincaré ball.

The embedding is a table made by `copyfold.ddg.features.poincare_embedding`. Near the centre stand the amino acids that
exchange easily with many (S, A), near the rim those that do not (W, C).
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

from copyfold.ddg.features.base import check_pair
from copyfold.ddg.sequences import AMINO_ACIDS

TABLE = Path(__file__).with_name("poincare_blosum62.tsv")
HYPERBOLIC4 = ("poincare_distance", "wild_type_radius", "mutant_radius", "radius_difference")
"""Names of the columns, in order."""


@cache
def embedding() -> np.ndarray:
    """Points of the amino acids: (20, 5), float64, in the order of `AMINO_ACIDS`; read-only."""
    rows = [line.split("\t") for line in TABLE.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    points = {row[0]: [float(x) for x in row[1:]] for row in rows[1:]}
    table = np.array([points[letter] for letter in AMINO_ACIDS])
    table.flags.writeable = False
    return table


def poincare_distances(points: np.ndarray) -> np.ndarray:
    """Hyperbolic distance of all pairs: (n, n), for points (n, d) of the open unit ball (Nickel & Kiela 2017, eq.
    1)."""
    slack = 1 - (points**2).sum(axis=1)
    squared = ((points[:, None] - points[None, :]) ** 2).sum(axis=2)
    return np.arccosh(1 + 2 * squared / np.outer(slack, slack))


@cache
def _distances_and_radii() -> tuple[np.ndarray, np.ndarray]:
    """Distances of the pairs, and from the centre (2 artanh of the norm)."""
    points = embedding()
    return poincare_distances(points), 2 * np.arctanh(np.linalg.norm(points, axis=1))


def hyperbolic4(wild_type: np.ndarray, mutant: np.ndarray) -> np.ndarray:
    """Four hyperbolic features of each mutation.

    Parameters
    ----------
    wild_type, mutant : numpy.ndarray, (n,), int8
        Indices into `AMINO_ACIDS`.

    Returns
    -------
    numpy.ndarray, (n, 4), float32
        Columns as in `HYPERBOLIC4`; radii are hyperbolic distances from the centre, the difference is mutant − wild
        type.
    """
    wild_type, mutant = check_pair(wild_type, mutant)
    distances, radii = _distances_and_radii()
    columns = [distances[wild_type, mutant], radii[wild_type], radii[mutant], radii[mutant] - radii[wild_type]]
    return np.stack(columns, axis=1).astype(np.float32)
