"""The twenty amino acids in the Poincaré ball, from a substitution matrix; run as a module, it writes the table.

    python -m copyfold.ddg.features.poincare_embedding

Dissimilarity of two amino acids is √(s_ii + s_jj − 2 s_ij) of BLOSUM62 (Henikoff & Henikoff 1992, PNAS 89:10915; the
matrix as biotite carries it), divided by its mean. The points start at the spectral solution of Keller-Ressel & Nargang
2020 (Hydra, J. Complex Networks 8:cnaa002) and then minimise the stress, the squared error of all distances.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize

from copyfold.core.files import write_text
from copyfold.ddg.features.poincare import TABLE
from copyfold.ddg.features.sequence import substitution_scores
from copyfold.ddg.sequences import AMINO_ACIDS

MATRIX = "BLOSUM62"
DIMENSIONS = 5
CURVATURE = 4.0
"""Distances of mean 1 are stretched to mean 2 in the ball of curvature −1. Stress falls with it, from 0.115 at ¼ to
0.080."""


def dissimilarities(matrix: str = MATRIX) -> np.ndarray:
    """√(s_ii + s_jj − 2 s_ij) of a matrix that biotite knows, over its mean: (20, 20), float64."""
    scores = substitution_scores(matrix).astype(float)
    squared = scores.diagonal()[:, None] + scores.diagonal()[None, :] - 2 * scores
    distances = np.sqrt(squared)
    return distances / distances[np.triu_indices(len(distances), 1)].mean()


def embed(distances: np.ndarray, dimensions: int = DIMENSIONS, curvature: float = CURVATURE) -> np.ndarray:
    """Points of the Poincaré ball whose distances are √curvature times the given ones, as nearly as can be.

    Parameters
    ----------
    distances : numpy.ndarray, (n, n), float64
        Symmetric, 0 on the diagonal.

    Returns
    -------
    numpy.ndarray, (n, dimensions), float64
        Of norm below 1.
    """
    target = np.sqrt(curvature) * distances
    n = len(target)
    upper = np.triu_indices(n, 1)

    def stress(flat: np.ndarray) -> float:
        space = flat.reshape(n, dimensions)
        time = np.sqrt(1 + (space**2).sum(axis=1))
        product = np.maximum(np.outer(time, time) - space @ space.T, 1 + 1e-12)  # Minkowski, on the hyperboloid
        return float(((np.arccosh(product[upper]) - target[upper]) ** 2).sum())

    start = _spectral(target, dimensions)
    found = minimize(stress, start.ravel(), method="L-BFGS-B", options={"maxiter": 5000, "maxfun": 1_000_000})
    space = found.x.reshape(n, dimensions)
    return space / (1 + np.sqrt(1 + (space**2).sum(axis=1, keepdims=True)))


def _spectral(distances: np.ndarray, dimensions: int) -> np.ndarray:
    """Space-like hyperboloid coordinates (n, dimensions) of Hydra's solution."""
    values, vectors = np.linalg.eigh(np.cosh(distances))
    space = vectors[:, :dimensions] * np.sqrt(np.maximum(-values[:dimensions], 0))
    return space * np.sign(vectors[:1, :dimensions])  # eigenvectors have no sign of their own


def main() -> None:
    """Write the committed table."""
    points = embed(dissimilarities())
    head = f"# {MATRIX}, Poincaré ball of {DIMENSIONS} dimensions, curvature {CURVATURE:g}; python -m {__spec__.name}\n"
    columns = "amino_acid\t" + "\t".join(f"x{axis + 1}" for axis in range(DIMENSIONS)) + "\n"
    rows = [
        f"{letter}\t" + "\t".join(f"{x:.6f}" for x in point) for letter, point in zip(AMINO_ACIDS, points, strict=True)
    ]
    write_text(TABLE, head + columns + "\n".join(rows) + "\n")
    print(TABLE)


if __name__ == "__main__":
    main()
