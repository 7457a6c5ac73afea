"""Clusters of mutations in the latent: how many, what marks them, and whether ΔΔG differs between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_score

from copyfold.core.seeding import DEFAULT_SEED, derive_generator
from copyfold.ddg.explore.active import active_dimensions
from copyfold.errors import InputError

MOST_CLUSTERS: Final = 10
PERMUTATIONS: Final = 2000


@dataclass(frozen=True, eq=False)
class Clustering:
    """Clusters of rows.

    Attributes
    ----------
    labels : numpy.ndarray, (n,), int64
        Numbered from 0, the largest first.
    silhouettes : dict of int to float
        Mean silhouette (Rousseeuw 1987) for each number of clusters that was tried.
    """

    labels: np.ndarray
    silhouettes: dict[int, float]


@dataclass(frozen=True, eq=False)
class PermutationTest:
    """Whether values differ between clusters more than by chance.

    Attributes
    ----------
    share : float
        Variance of the values (within groups) that lies between the clusters, as a share: η².
    expected : float
        Its mean under permutation.
    p_value : float
        Share of permutations, the observed one counted, with as large a share.
    means : numpy.ndarray, (n_clusters,)
        Mean of each cluster's values from their groups' means.
    adjusted_p : numpy.ndarray, (n_clusters,)
        Of each mean not being 0, adjusted for all clusters by the largest statistic of each permutation (Westfall &
        Young 1993).
    n_permutations : int
    """

    share: float
    expected: float
    p_value: float
    means: np.ndarray
    adjusted_p: np.ndarray
    n_permutations: int


def cluster_latents(latents: np.ndarray, *, most: int = MOST_CLUSTERS, seed: int = DEFAULT_SEED) -> Clustering:
    """k-means on standardised latents, with the number of clusters (2 to `most`) of the highest mean silhouette.

    Parameters
    ----------
    latents : numpy.ndarray, (n, latent_dim)
        Dimensions that are not active are left out of account.

    Raises
    ------
    InputError
        Fewer than three different points.
    """
    used = latents[:, active_dimensions(latents)]
    spread = used.std(axis=0)
    standard = (used - used.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    distinct = len(np.unique(standard.round(9), axis=0))
    if distinct < 3:
        raise InputError(f"{distinct} different mutations in the latent; clusters need at least three")
    found: dict[int, np.ndarray] = {}
    silhouettes: dict[int, float] = {}
    for number in range(2, min(most, distinct - 1) + 1):
        found[number] = KMeans(number, n_init=5, random_state=seed).fit_predict(standard)
        silhouettes[number] = float(
            silhouette_score(standard, found[number], sample_size=min(len(standard), 2000), random_state=seed)
        )
    labels = found[max(silhouettes, key=lambda number: silhouettes[number])]
    by_size = np.argsort(-np.bincount(labels), kind="stable")
    return Clustering(np.argsort(by_size)[labels].astype(np.int64), silhouettes)


def permutation_test(
    values: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray,
    *,
    permutations: int = PERMUTATIONS,
    seed: int = DEFAULT_SEED,
) -> PermutationTest:
    """Test values against cluster labels by exchanging values within groups.

    Mutations of one protein share its level of ΔΔG, and a cluster may hold mostly one protein's: values are therefore
    taken from their group's mean, and exchanged within the group alone.

    Parameters
    ----------
    values : numpy.ndarray, (n,)
    labels : numpy.ndarray, (n,), int
        Clusters, numbered from 0.
    groups : numpy.ndarray, (n,)
        Proteins.
    permutations : int

    Raises
    ------
    InputError
        No group holds two different values.
    """
    order = np.argsort(groups, kind="stable")
    _, group = np.unique(np.asarray(groups)[order], return_inverse=True)
    label = np.asarray(labels)[order]
    raw = np.asarray(values, dtype=np.float64)[order]
    centred = raw - (np.bincount(group, raw) / np.bincount(group))[group]
    if not centred.any():
        raise InputError("no protein has two mutations with different values; there is nothing to exchange")
    n_clusters = int(label.max()) + 1
    rng = derive_generator(seed, "permutations")
    observed = _share_and_scores(centred, label, n_clusters)
    shares, largest = np.empty(permutations), np.empty(permutations)
    for number in range(permutations):
        shuffled = centred[np.lexsort((rng.random(len(centred)), group))]
        shares[number], scores = _share_and_scores(shuffled, label, n_clusters)
        largest[number] = scores.max()
    sizes = np.bincount(label, minlength=n_clusters)
    beaten = np.sum(largest[:, None] >= observed[1][None, :] - 1e-12, axis=0)
    return PermutationTest(
        share=observed[0],
        expected=float(shares.mean()),
        p_value=float((1 + np.sum(shares >= observed[0] - 1e-12)) / (permutations + 1)),
        means=np.bincount(label, centred, n_clusters) / np.maximum(sizes, 1),
        adjusted_p=(1 + beaten) / (permutations + 1),
        n_permutations=permutations,
    )


def _share_and_scores(values: np.ndarray, labels: np.ndarray, n_clusters: int) -> tuple[float, np.ndarray]:
    """Share of the variance between clusters, and |sum| / √size of each cluster."""
    sums, sizes = np.bincount(labels, values, n_clusters), np.maximum(np.bincount(labels, minlength=n_clusters), 1)
    scores = np.abs(sums) / np.sqrt(sizes)
    return float(np.sum(scores**2) / np.sum(values**2)), scores


def marks_of_clusters(labels: np.ndarray, features: np.ndarray, names: Sequence[str], *, most: int = 5) -> pd.DataFrame:
    """The features in which each cluster differs most from the rest.

    Parameters
    ----------
    labels : numpy.ndarray, (n,), int
    features : numpy.ndarray, (n, d)
        NaN where unknown.
    names : sequence of str

    Returns
    -------
    pandas.DataFrame
        `cluster`, `feature`, `mean`, `mean_elsewhere`, `difference` (in standard deviations over all rows), sorted by
        its size within each cluster.
    """
    spread = np.nanstd(features, axis=0)
    records = []
    for cluster in range(int(labels.max()) + 1):
        inside = labels == cluster
        here, elsewhere = np.nanmean(features[inside], axis=0), np.nanmean(features[~inside], axis=0)
        difference = np.divide(here - elsewhere, spread, out=np.zeros_like(spread), where=spread > 0)
        for place in np.argsort(-np.abs(difference), kind="stable")[:most]:
            records.append((cluster, names[place], here[place], elsewhere[place], difference[place]))
    return pd.DataFrame(records, columns=["cluster", "feature", "mean", "mean_elsewhere", "difference"])
