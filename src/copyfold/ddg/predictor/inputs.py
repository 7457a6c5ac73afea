"""From features of sites to the standardised inputs of the site ensemble."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from copyfold.ddg.sequences import encode_sequence

WINDOW: Final = 10
_BREADTHS: Final = (3.0, 10.0)
N_SEQUENCE_FEATURES: Final = 2 * WINDOW * 21 + (len(_BREADTHS) + 1) * 20 + 3


@dataclass(frozen=True, eq=False)
class Standardisation:
    """Features to mean 0 and variance 1 over the training sites.

    Attributes
    ----------
    centre, scale : numpy.ndarray, (n_features,), float32
    """

    centre: np.ndarray
    scale: np.ndarray

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Inputs of sites, (n, n_features), float32."""
        return ((features - self.centre) / self.scale).astype(np.float32)


def fit_standardisation(features: np.ndarray) -> Standardisation:
    """Standardisation by training sites' features (n, n_features)."""
    return Standardisation(features.mean(axis=0), features.std(axis=0) + 1e-6)


def sequence_features(sequence: str) -> np.ndarray:
    """The surroundings of each residue in its sequence, never the residue itself: (n, N_SEQUENCE_FEATURES), float32.

    The letters of `WINDOW` places on each side (20 amino acids, "none or unknown"), composition near by (Gaussian of 3
    and 10 residues) and of the whole, length, distances to both ends.
    """
    letters = encode_sequence(sequence).astype(np.int64)
    n = len(letters)
    padded = np.full(n + 2 * WINDOW, 20)
    padded[WINDOW : WINDOW + n] = np.where(letters < 0, 20, letters)
    offsets = [offset for offset in range(2 * WINDOW + 1) if offset != WINDOW]
    window = np.eye(21, dtype=np.float32)[np.stack([padded[offset : offset + n] for offset in offsets], axis=1)]
    known = np.eye(21, dtype=np.float32)[padded[WINDOW : WINDOW + n], :20]
    apart = np.abs(np.arange(n)[:, None] - np.arange(n)[None])
    compositions = []
    for breadth in _BREADTHS:
        nearness = np.where(apart == 0, 0.0, np.exp(-((apart / breadth) ** 2) / 2))
        compositions.append(nearness @ known / breadth)
    whole = np.broadcast_to(known.sum(axis=0), (n, 20)) - known
    place = np.arange(n)
    ends = np.stack([np.full(n, np.log(n / 100)), np.minimum(place, 20) / 10, np.minimum(n - 1 - place, 20) / 10], 1)
    parts = [window.reshape(n, -1), *compositions, whole / max(n - 1, 1) * 10, ends]
    return np.concatenate(parts, axis=1).astype(np.float32)
