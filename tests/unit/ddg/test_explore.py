"""Findings in a latent space against planted truths, brute force and surfaces whose geodesics are known."""

import numpy as np
import pytest
import torch
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import dijkstra
from scipy.spatial.distance import cdist
from scipy.stats import f_oneway

from copyfold.ddg.explore.clusters import cluster_latents, marks_of_clusters, permutation_test
from copyfold.ddg.explore.directions import ddg_direction
from copyfold.ddg.explore.lasting import cluster_agreement, pair_agreement, rank_agreement
from copyfold.ddg.explore.neighbours import neighbour_agreement, unexpected_neighbours
from copyfold.ddg.explore.paths import geodesic_path, straight_path
from copyfold.ddg.explore.positions import all_substitutions, gradient_length, site_sensitivity
from copyfold.errors import InputError


def rng(seed=0):
    return np.random.default_rng(seed)


class TestDirection:
    def test_a_planted_direction_is_found_with_its_share_of_the_variance(self):
        latents = rng().normal(size=(600, 8))
        planted = np.zeros(8)
        planted[2] = 1.0
        ddg = 1.5 * latents @ planted + rng(1).normal(size=600)  # signal 2.25, noise 1: 69 % can be explained
        found = ddg_direction(latents, ddg, np.repeat(np.arange(30), 20))
        assert found.vector @ planted > 0.98
        assert found.slope == pytest.approx(1.5, abs=0.1)
        assert found.explained == pytest.approx(2.25 / 3.25, abs=0.06)
        assert found.folds_cosine > 0.96
        assert found.latent_share == pytest.approx(1 / 8, abs=0.02)

    def test_without_a_relation_nothing_is_explained_though_the_sample_fits(self):
        latents = rng(2).normal(size=(60, 32))
        found = ddg_direction(latents, rng(3).normal(size=60), np.repeat(np.arange(12), 5))
        assert found.explained < 0.05
        assert found.explained_in_sample > found.explained

    def test_what_only_tells_families_apart_explains_nothing_of_new_ones(self):
        families = np.repeat(np.arange(10), 30)
        latents = np.eye(10)[families] + 0.01 * rng(4).normal(size=(300, 10))
        found = ddg_direction(latents, rng(5).normal(size=10)[families] + 0.1 * rng(6).normal(size=300), families)
        assert found.explained_in_sample > 0.9
        assert found.explained < 0.0

    def test_it_points_where_mutations_lie_and_not_where_noise_is_cancelled(self):
        signal, noise = rng(9).normal(size=(2, 500))
        latents = np.stack([signal + 3 * noise, noise], axis=1)  # coefficients are 1 and −3
        found = ddg_direction(latents, signal, np.repeat(np.arange(25), 20))
        assert found.explained > 0.99
        assert found.vector[0] > 0.99  # the signal moves the first dimension alone

    def test_collapsed_dimensions_have_no_part_in_it(self):
        latents = rng(7).normal(size=(400, 6)) * [1, 1, 1, 0.01, 0.01, 0.01]
        ddg = latents[:, 0] + rng(8).normal(size=400)
        found = ddg_direction(latents, ddg, np.repeat(np.arange(20), 20))
        np.testing.assert_array_equal(found.vector[3:], 0.0)
        assert found.vector[0] > 0.95
        assert found.explained == pytest.approx(0.5, abs=0.1)

    def test_one_family_cannot_be_left_out(self):
        latents = rng().normal(size=(40, 3))
        found = ddg_direction(latents, latents[:, 0], np.zeros(40))
        assert np.isnan(found.explained)
        assert np.isnan(found.predicted).all()

    def test_too_few_rows_are_refused(self):
        with pytest.raises(InputError, match="19 rows"):
            ddg_direction(np.zeros((19, 2)), np.arange(19.0), np.arange(19))


def sphere(points):
    """Latitude and longitude to the unit sphere."""
    latitude, longitude = points[:, 0], points[:, 1]
    return torch.stack([latitude.cos() * longitude.cos(), latitude.cos() * longitude.sin(), latitude.sin()], dim=1)


def hill(points):
    """A plane with a steep hill in its middle."""
    return torch.cat([points, 3.0 * torch.exp(-2.0 * points.square().sum(dim=1, keepdim=True))], dim=1)


class TestPaths:
    def test_on_a_sphere_the_shortest_path_is_the_great_circle(self):
        start, end = np.array([0.6, -1.0]), np.array([0.6, 1.0])
        found = geodesic_path(sphere, start, end, 33, ridge=0.0)
        ends = sphere(torch.from_numpy(np.stack([start, end])))
        assert found.length == pytest.approx(float(torch.arccos(ends[0] @ ends[1])), rel=2e-3)
        assert straight_path(sphere, start, end, 33).length == pytest.approx(2 * np.cos(0.6), rel=2e-3)
        assert found.points[16, 0] > 0.7  # the great circle runs nearer to the pole

    def test_round_a_hill_it_is_no_longer_than_the_best_path_of_a_grid(self):
        start, end = np.array([-1.5, 0.1]), np.array([1.5, 0.0])
        found = geodesic_path(hill, start, end, 41, ridge=0.0)
        on_grid = grid_distance(hill, start, end)
        assert found.length <= on_grid * 1.002  # a grid's path is a polyline of 16 directions: never shorter
        assert found.length >= on_grid * 0.97
        assert found.length < 0.8 * straight_path(hill, start, end, 41).length

    def test_a_linear_decoder_makes_it_straight(self):
        matrix = torch.from_numpy(rng().normal(size=(3, 5)))
        start, end = rng(1).normal(size=3), rng(2).normal(size=3)
        found = geodesic_path(lambda points: points @ matrix, start, end, 9)
        np.testing.assert_allclose(found.points, straight_path(lambda points: points, start, end, 9).points, atol=1e-4)
        np.testing.assert_array_equal(found.points[[0, -1]], [start, end])

    def test_directions_that_the_decoder_ignores_do_not_run_away(self):
        start, end = np.array([0.0, 0.0, 5.0]), np.array([1.0, 1.0, -5.0])
        found = geodesic_path(lambda points: hill(points[:, :2]), start, end, 9)
        assert np.abs(found.points[:, 2]).max() <= 5.0 + 1e-6


def grid_distance(surface, start, end, half=2.2, step=0.05):
    """Dijkstra's distance between two points over a grid whose nodes see 16 neighbours, on the surface."""
    axis = np.arange(-half, half + step / 2, step)
    points = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    points = np.concatenate([points, [start, end]])
    image = surface(torch.from_numpy(points)).numpy()
    number = np.arange(len(axis) ** 2).reshape(len(axis), len(axis))
    pairs = []
    for down, right in [(0, 1), (1, 0), (1, 1), (1, -1), (1, 2), (2, 1), (1, -2), (2, -1)]:
        first = number[: len(axis) - down, max(-right, 0) : len(axis) - max(right, 0)]
        second = number[down:, max(right, 0) : len(axis) + min(right, 0)]
        pairs.append(np.stack([first.ravel(), second.ravel()]))
    for extra in (len(points) - 2, len(points) - 1):
        near = np.flatnonzero(cdist(points[[extra]], points[:-2])[0] < 2 * step)
        pairs.append(np.stack([np.full(len(near), extra), near]))
    rows, columns = np.concatenate(pairs, axis=1)
    # Long steps are measured through their middle, or they would cut through the surface.
    middle = surface(torch.from_numpy((points[rows] + points[columns]) / 2)).numpy()
    lengths = np.linalg.norm(image[rows] - middle, axis=1) + np.linalg.norm(middle - image[columns], axis=1)
    graph = coo_matrix((lengths, (rows, columns)), shape=(len(points), len(points)))
    return dijkstra(graph.tocsr(), directed=False, indices=len(points) - 2)[len(points) - 1]


class TestClusters:
    def test_planted_clusters_are_counted_and_named_by_size(self):
        sizes = [120, 60, 30]
        centres = np.array([[0, 0, 0], [9, 0, 0], [0, 9, 0]], dtype=float)
        truth = np.repeat(np.arange(3), sizes)
        shuffled = rng().permutation(len(truth))
        found = cluster_latents((centres[truth] + rng(1).normal(size=(210, 3)))[shuffled])
        np.testing.assert_array_equal(found.labels, truth[shuffled])
        assert max(found.silhouettes, key=found.silhouettes.get) == 3

    def test_a_dimension_without_spread_is_no_matter(self):
        latents = np.concatenate([rng().normal(size=(50, 2)), np.full((50, 1), 3.0)], axis=1)
        np.testing.assert_array_equal(cluster_latents(latents).labels, cluster_latents(latents[:, :2]).labels)

    def test_permutations_find_a_planted_cluster_and_no_other(self):
        labels = np.tile(np.arange(3), 60)
        values = rng().normal(size=180) + 1.2 * (labels == 1)
        found = permutation_test(values, labels, np.repeat(np.arange(6), 30), permutations=400)
        assert found.p_value == pytest.approx(1 / 401)
        assert found.adjusted_p[1] < 0.01
        assert found.share > 3 * found.expected

    def test_the_p_value_is_uniform_without_an_effect(self):
        labels = np.tile(np.arange(4), 20)
        p = [
            permutation_test(rng(seed).normal(size=80), labels, np.repeat(np.arange(4), 20), permutations=99).p_value
            for seed in range(200)
        ]
        assert np.mean(np.array(p) <= 0.05) == pytest.approx(0.05, abs=0.04)
        assert np.mean(p) == pytest.approx(0.5, abs=0.07)

    def test_what_differs_between_proteins_alone_is_no_effect(self):
        groups = np.repeat(np.arange(2), 50)
        labels = np.where(rng().random(100) < 0.9, groups, 1 - groups)  # clusters follow the proteins
        values = 5.0 * groups + rng(1).normal(size=100)
        assert f_oneway(values[labels == 0], values[labels == 1]).pvalue < 1e-6
        assert permutation_test(values, labels, groups, permutations=400).p_value > 0.05

    def test_the_share_is_eta_squared(self):
        labels, values = np.repeat(np.arange(3), 10), rng().normal(size=30)
        between = sum(10 * (values[labels == one].mean() - values.mean()) ** 2 for one in range(3))
        found = permutation_test(values, labels, np.zeros(30), permutations=10)
        assert found.share == pytest.approx(between / ((values - values.mean()) ** 2).sum())

    def test_marks_are_the_features_that_differ_most(self):
        features = rng().normal(size=(100, 3))
        labels = (np.arange(100) < 20).astype(int)
        features[labels == 1, 2] += 4.0
        features[0, 1] = np.nan
        found = marks_of_clusters(labels, features, ("a", "b", "c"), most=1)
        assert found["feature"].tolist() == ["c", "c"]
        assert found["difference"].iloc[1] > 1.5
        assert found["difference"].iloc[0] < 0


class TestNeighbours:
    def test_pairs_are_those_of_brute_force(self):
        n = 60
        latents, families = rng().normal(size=(n, 4)), rng(1).integers(0, 6, n)
        wild_type, mutant = rng(2).integers(0, 4, n), rng(3).integers(4, 9, n)
        distance = cdist(latents, latents)
        usable = (families[:, None] != families) & (wild_type[:, None] != wild_type) & (mutant[:, None] != mutant)
        distance[~usable] = np.inf
        expected = {frozenset((row, int(distance[row].argmin()))) for row in range(n)}
        found = unexpected_neighbours(latents, families, wild_type, mutant)
        assert {frozenset(pair) for pair in found[["row", "neighbour"]].to_numpy().tolist()} == expected
        assert found["distance"].is_monotonic_increasing

    def test_neighbours_with_like_values_are_told_from_shuffled_ones(self):
        latents = rng().normal(size=(200, 2))
        pairs = unexpected_neighbours(latents, np.arange(200), np.arange(200), np.arange(200))
        assert neighbour_agreement(latents[:, 0], pairs, permutations=200).p_value < 0.01
        assert neighbour_agreement(rng(5).normal(size=200), pairs, permutations=200).p_value > 0.01


class TestPositions:
    def test_every_other_letter_stands_at_every_site_once(self):
        site, wild_type, mutant = all_substitutions(np.array([0, 7], dtype=np.int8))
        assert np.bincount(site).tolist() == [19, 19]
        assert (wild_type != mutant).all()
        assert sorted(mutant[site == 1].tolist()) == [letter for letter in range(20) if letter != 7]

    def test_sites_are_summed_up(self):
        predicted = rng().normal(size=(3, 19))
        letters = np.broadcast_to(np.array(list("ACDEFGHIKLMNPQRSTVW")), (3, 19))
        found = site_sensitivity(predicted, np.ones((3, 19)), letters)
        np.testing.assert_allclose(found["mean_ddg"], predicted.mean(axis=1))
        assert found["worst"].iloc[2] == letters[2, predicted[2].argmax()]

    def test_the_gradient_is_that_of_finite_differences(self):
        latents = rng().normal(size=(4, 3))

        def predict(points):
            return points.square().sum(dim=1) + points[:, 0]

        expected = np.linalg.norm(2 * latents + [1.0, 0.0, 0.0], axis=1)
        np.testing.assert_allclose(gradient_length(predict, latents), expected)


class TestLasting:
    def test_equal_runs_agree_and_unrelated_ones_do_not(self):
        one, other = rng().normal(size=300), rng(1).normal(size=300)
        assert rank_agreement([one, 2 * one + 1]).mean == pytest.approx(1.0)
        assert abs(rank_agreement([one, other]).mean) < 0.2
        labels = rng(2).integers(0, 4, 300)
        assert cluster_agreement([labels, 3 - labels]).lowest == pytest.approx(1.0)
        assert abs(cluster_agreement([labels, rng(3).integers(0, 4, 300)]).mean) < 0.05

    def test_pairs_of_random_runs_overlap_as_chance_says(self):
        possible = [(i, j) for i in range(40) for j in range(i + 1, 40)]
        drawn = [
            {possible[place] for place in rng(seed).choice(len(possible), 200, replace=False)} for seed in range(20)
        ]
        found = pair_agreement(drawn, 40)
        assert found.mean == pytest.approx(found.chance, abs=0.01)
        assert pair_agreement([drawn[0], drawn[0]], 40).mean == 1.0

    def test_a_single_run_has_no_agreement(self):
        assert rank_agreement([np.arange(5.0)]).n_pairs == 0
        assert np.isnan(rank_agreement([np.arange(5.0)]).mean)
