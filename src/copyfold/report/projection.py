"""Clouds of points in many dimensions, seen from where they spread most."""

from __future__ import annotations

import numpy as np


def principal_axes(latents: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scores on the first two principal axes, (n_samples, 2), and the share of variance of each, (2,)."""
    centred = latents.astype(np.float64) - latents.mean(axis=0, dtype=np.float64)
    left, singular, _ = np.linalg.svd(centred, full_matrices=False)
    scores = np.zeros((len(latents), 2))
    kept = min(2, len(singular))
    scores[:, :kept] = left[:, :kept] * singular[:kept]
    share = np.zeros(2)
    if (total := float((singular**2).sum())) > 0:
        share[:kept] = singular[:kept] ** 2 / total
    return scores, share
