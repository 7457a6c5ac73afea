"""Whether findings last from one training to the next: latents of two seeds share no axes, so rows are compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.stats import spearmanr
from sklearn.metrics import adjusted_rand_score


@dataclass(frozen=True)
class Agreement:
    """Agreement of a finding between every pair of runs.

    Attributes
    ----------
    mean, lowest : float
        Over the pairs; NaN with a single run.
    chance : float
        What unrelated runs would give.
    n_pairs : int
    """

    mean: float
    lowest: float
    chance: float
    n_pairs: int


def rank_agreement(values: Sequence[np.ndarray]) -> Agreement:
    """Spearman correlation between the runs' values of the same rows, (n,) each."""
    return _over_pairs([float(spearmanr(one, other).statistic) for one, other in combinations(values, 2)], 0.0)


def cluster_agreement(labels: Sequence[np.ndarray]) -> Agreement:
    """Adjusted Rand index (Hubert & Arabie 1985) between the runs' clusters of the same rows, (n,) each."""
    return _over_pairs([float(adjusted_rand_score(one, other)) for one, other in combinations(labels, 2)], 0.0)


def pair_agreement(pairs: Sequence[set[tuple[int, int]]], n_rows: int) -> Agreement:
    """Jaccard index between the runs' sets of pairs of rows; its chance level is that of random sets of their sizes."""
    possible = n_rows * (n_rows - 1) / 2
    found, chance = [], []
    for one, other in combinations(pairs, 2):
        found.append(len(one & other) / max(len(one | other), 1))
        both = len(one) * len(other) / possible
        chance.append(both / max(len(one) + len(other) - both, 1e-12))
    return _over_pairs(found, float(np.mean(chance)) if chance else float("nan"))


def _over_pairs(values: Sequence[float], chance: float) -> Agreement:
    if not values:
        return Agreement(float("nan"), float("nan"), chance, 0)
    return Agreement(float(np.mean(values)), float(np.min(values)), chance, len(values))
