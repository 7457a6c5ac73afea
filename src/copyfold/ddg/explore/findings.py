"""Everything that is looked for in one specialist's latent, on arrays."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from copyfold.ddg.explore.clusters import (
    PERMUTATIONS,
    Clustering,
    PermutationTest,
    cluster_latents,
    marks_of_clusters,
    permutation_test,
)
from copyfold.ddg.explore.directions import Direction, ddg_direction
from copyfold.ddg.explore.neighbours import NeighbourAgreement, neighbour_agreement, unexpected_neighbours
from copyfold.ddg.explore.paths import POINTS, Path, geodesic_path, straight_path
from copyfold.ddg.explore.positions import all_substitutions, gradient_length, site_sensitivity
from copyfold.ddg.features.base import BASE14, base14
from copyfold.ddg.features.poincare import hyperbolic4
from copyfold.ddg.features.sets import FeatureSet
from copyfold.ddg.models.ddgvae import DDGVAE
from copyfold.ddg.sequences import AMINO_ACIDS


@dataclass(frozen=True, eq=False)
class Explored:
    """The rows that are explored; the same for every run.

    Attributes
    ----------
    features : numpy.ndarray, (n, d), float32
    target : numpy.ndarray, (n,), float32
    families : numpy.ndarray, (n,)
        Clusters of homologous proteins.
    proteins, sites : numpy.ndarray, (n,), str
        Protein; protein and position.
    wild_type, mutant : numpy.ndarray, (n,), int8
    unseen : numpy.ndarray, (m,), int64
        Rows that the specialist was not trained on.
    feature_set : FeatureSet
    """

    features: np.ndarray
    target: np.ndarray
    families: np.ndarray
    proteins: np.ndarray
    sites: np.ndarray
    wild_type: np.ndarray
    mutant: np.ndarray
    unseen: np.ndarray
    feature_set: FeatureSet


class PathPair(NamedTuple):
    """Straight and shortest path between two rows, with what is predicted along them.

    Attributes
    ----------
    start, end : int
        Rows.
    straight, geodesic : Path
    predicted : numpy.ndarray, (2, n_points)
        Along the straight and along the shortest path.
    nearest : numpy.ndarray, (2, n_points), int64
        Row whose latent is nearest to each point.
    """

    start: int
    end: int
    straight: Path
    geodesic: Path
    predicted: np.ndarray
    nearest: np.ndarray


@dataclass(frozen=True, eq=False)
class Findings:
    """What a latent holds.

    Attributes
    ----------
    latents : numpy.ndarray, (n, latent_dim), float32
    direction : Direction
        Fitted to the unseen rows.
    along : numpy.ndarray, (n,)
        Place of each row on the direction.
    direction_features : pandas.DataFrame
        `feature`, `change`: what the decoder changes per standard deviation along the direction, in standard deviations
        of the feature.
    paths : tuple of PathPair
    clustering : Clustering
        Of all rows.
    cluster_test : PermutationTest
        On the unseen rows.
    marks : pandas.DataFrame
    neighbours : pandas.DataFrame
        Of the unseen rows, as rows of all.
    agreement : NeighbourAgreement
    positions : pandas.DataFrame
        A row for each site, the most sensitive first; `site` beside the columns of `site_sensitivity`.
    """

    latents: np.ndarray
    direction: Direction
    along: np.ndarray
    direction_features: pd.DataFrame
    paths: tuple[PathPair, ...]
    clustering: Clustering
    cluster_test: PermutationTest
    marks: pd.DataFrame
    neighbours: pd.DataFrame
    agreement: NeighbourAgreement
    positions: pd.DataFrame


def explore_latent(
    module: DDGVAE,
    rows: Explored,
    pairs: Sequence[tuple[int, int]],
    *,
    permutations: int = PERMUTATIONS,
    seed: int = 42,
) -> Findings:
    """Look for everything in one specialist's latent.

    Raises
    ------
    InputError
        Too few rows, or rows all alike.
    """
    module.train(False)
    with torch.no_grad():
        latents = module.encode(torch.from_numpy(rows.features)).mean.numpy()
    unseen = rows.unseen
    direction = ddg_direction(latents[unseen], rows.target[unseen], rows.families[unseen])
    clustering = cluster_latents(latents, seed=seed)
    found = unexpected_neighbours(latents[unseen], rows.families[unseen], rows.wild_type[unseen], rows.mutant[unseen])
    agreement = neighbour_agreement(rows.target[unseen], found, permutations=permutations, seed=seed)
    neighbours = found.assign(row=unseen[found["row"].astype(int)], neighbour=unseen[found["neighbour"].astype(int)])
    return Findings(
        latents=latents,
        direction=direction,
        along=latents @ direction.vector,
        direction_features=_direction_features(module, latents, direction, rows.feature_set),
        paths=tuple(_paths(module, latents, start, end, seed) for start, end in pairs),
        clustering=clustering,
        cluster_test=permutation_test(
            rows.target[unseen], clustering.labels[unseen], rows.proteins[unseen], permutations=permutations, seed=seed
        ),
        marks=marks_of_clusters(clustering.labels, rows.features, rows.feature_set.features),
        neighbours=neighbours,
        agreement=agreement,
        positions=_positions(module, rows),
    )


def contrasting_pairs(rows: Explored, number: int) -> list[tuple[int, int]]:
    """Least and most destabilising unseen mutation of the proteins with most unseen rows."""
    names, counts = np.unique(rows.proteins[rows.unseen], return_counts=True)
    pairs = []
    for name in names[np.argsort(-counts, kind="stable")][:number]:
        own = rows.unseen[rows.proteins[rows.unseen] == name]
        start, end = own[rows.target[own].argmin()], own[rows.target[own].argmax()]
        if start != end:
            pairs.append((int(start), int(end)))
    return pairs


@torch.no_grad()
def _direction_features(
    module: DDGVAE, latents: np.ndarray, direction: Direction, feature_set: FeatureSet
) -> pd.DataFrame:
    step = (latents @ direction.vector).std() * direction.vector
    centre = latents.mean(axis=0)
    ends = torch.from_numpy(np.stack([centre - step / 2, centre + step / 2]).astype(np.float32))
    decoded = module.decoder(ends).numpy()  # standardised: in the spreads of the features
    table = pd.DataFrame({"feature": feature_set.features, "change": decoded[1] - decoded[0]})
    return table.sort_values("change", key=lambda column: -column.abs(), kind="stable").reset_index(drop=True)


def _paths(module: DDGVAE, latents: np.ndarray, start: int, end: int, seed: int) -> PathPair:
    decoder = copy.deepcopy(module.decoder).double()
    for parameter in decoder.parameters():
        parameter.requires_grad_(False)
    ends = latents[start], latents[end]
    straight = straight_path(decoder, *ends, POINTS)
    geodesic = geodesic_path(decoder, *ends, POINTS, seed=seed)
    predicted, nearest = [], []
    for path in (straight, geodesic):
        points = path.points.astype(np.float32)
        with torch.no_grad():
            predicted.append(module.predict_from_latent(torch.from_numpy(points)).numpy())
        nearest.append(np.linalg.norm(points[:, None] - latents[None], axis=2).argmin(axis=1))
    return PathPair(start, end, straight, geodesic, np.stack(predicted), np.stack(nearest))


def _positions(module: DDGVAE, rows: Explored) -> pd.DataFrame:
    """The 19 substitutions of every site that a row stands at."""
    sites, first, counts = np.unique(rows.sites, return_index=True, return_counts=True)
    site, wild_type, mutant = all_substitutions(rows.wild_type[first])
    parts = [base14(wild_type, mutant)]
    if rows.feature_set.needs_structure:
        parts.append(rows.features[first][site, len(BASE14) : len(BASE14) + 6])
    if rows.feature_set.hyperbolic:
        parts.append(hyperbolic4(wild_type, mutant))
    features = torch.from_numpy(np.concatenate(parts, axis=1).astype(np.float32))
    with torch.no_grad():
        latents = module.encode(features).mean
        predicted = module.predict_from_latent(latents).numpy()
    gradient = gradient_length(module.predict_from_latent, latents.numpy())
    letters = np.array(list(AMINO_ACIDS))[mutant]
    table = site_sensitivity(predicted.reshape(-1, 19), gradient.reshape(-1, 19), letters.reshape(-1, 19))
    measured = pd.Series(rows.target).groupby(rows.sites).mean()
    table = table.assign(site=sites, n_measured=counts, mean_measured=measured.loc[sites].to_numpy())
    return table.sort_values("mean_ddg", ascending=False, kind="stable").reset_index(drop=True)
