"""Homology clusters against biotite's alignments and the published comparison; splits that keep clusters whole."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from biotite.sequence import ProteinSequence
from biotite.sequence.align import SubstitutionMatrix, align_optimal
from hypothesis import given, settings
from hypothesis import strategies as st

from copyfold.ddg.alignment import all_local_scores, expected_hits
from copyfold.ddg.sequences import AMINO_ACIDS
from copyfold.ddg.splits import cluster_split, find_homology, homology_clusters, random_split, related_to
from copyfold.errors import InputError

# Per cent of residues in proteins (Robinson and Robinson 1991, PNAS 88:8880).
BACKGROUND = {"A": 7.8, "C": 1.9, "D": 5.4, "E": 6.3, "F": 3.9, "G": 7.4, "H": 2.2, "I": 5.1, "K": 5.7, "L": 9.0}
BACKGROUND |= {"M": 2.2, "N": 4.5, "P": 5.2, "Q": 4.3, "R": 5.1, "S": 7.1, "T": 5.8, "V": 6.4, "W": 1.3, "Y": 3.2}
BLOSUM62 = SubstitutionMatrix.std_protein_matrix()


def random_protein(seed: int, length: int = 120) -> str:
    return "".join(np.random.default_rng(seed).choice(list(AMINO_ACIDS), length))


def mutated(sequence: str, share: float, seed: int) -> str:
    rng = np.random.default_rng(seed)
    return "".join(rng.choice(list(AMINO_ACIDS)) if rng.random() < share else letter for letter in sequence)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(AMINO_ACIDS + "X", min_size=1, max_size=40), min_size=2, max_size=6))
def test_scores_are_biotites(sequences) -> None:
    proteins = [ProteinSequence(sequence) for sequence in sequences]
    scores = all_local_scores([protein.code.astype(np.int8) for protein in proteins], BLOSUM62.score_matrix())
    np.testing.assert_array_equal(scores, scores.T)
    for first in range(len(proteins)):
        for second in range(first, len(proteins)):
            best = align_optimal(proteins[first], proteins[second], BLOSUM62, (-11, -1), local=True, max_number=1)
            assert scores[first, second] == (best[0].score if best else 0)


def test_scores_of_more_sequences_than_a_batch_holds() -> None:
    sequences = [random_protein(seed, 5 + 3 * seed) for seed in range(40)]
    proteins = [ProteinSequence(sequence) for sequence in sequences]
    scores = all_local_scores([protein.code.astype(np.int8) for protein in proteins], BLOSUM62.score_matrix())
    for first, second in [(0, 39), (39, 20), (17, 16), (15, 31), (3, 3)]:
        best = align_optimal(proteins[first], proteins[second], BLOSUM62, (-11, -1), local=True, max_number=1)
        assert scores[first, second] == best[0].score


def test_unrelated_sequences_hardly_ever_look_significant() -> None:
    """The E-value is what it says: of 780 unrelated pairs about 780 E are expected below a pair's E."""
    shares = np.array(list(BACKGROUND.values())) / sum(BACKGROUND.values())
    rng = np.random.default_rng(0)
    proteins = ["".join(rng.choice(list(BACKGROUND), 200, p=shares)) for _ in range(40)]
    encoded = [ProteinSequence(protein).code.astype(np.int8) for protein in proteins]
    scores = all_local_scores(encoded, BLOSUM62.score_matrix())[np.triu_indices(40, 1)]
    expected = expected_hits(scores, np.full(780, 200.0), np.full(780, 200.0))
    assert np.sum(expected <= 1e-3) <= 3
    assert np.sum(expected <= 0.1) <= 156


def test_relatives_share_a_cluster_through_others() -> None:
    first = random_protein(1)
    second, third = mutated(first, 0.45, 2), random_protein(9)
    far = mutated(second, 0.45, 3)
    found = find_homology([third, first, first, far, second])
    assert found.clusters.tolist() == [0, 1, 1, 1, 1]
    assert all(pair.first < pair.second for pair in found.pairs)
    assert homology_clusters([first, second], identity=0.9).tolist() == [0, 1]


def test_evidence_holds_identity_coverage_and_length() -> None:
    sequence = random_protein(4, 80)
    changed = sequence[:50] + ("A" if sequence[50] != "A" else "C") + sequence[51:]
    first, second = sequence + "P" * 40, changed + "W" * 20
    (pair,) = find_homology([first, second]).pairs
    assert (pair.first, pair.second, pair.linked, pair.length) == (0, 1, True, 80)
    assert (pair.identity, pair.coverage) == (79 / 80, 80 / 100)
    assert pair.e_value == pytest.approx(0.041 * 120 * 100 * np.exp(-0.267 * pair.score))
    apart = find_homology([first, second], coverage=0.9)
    assert apart.clusters.tolist() == [0, 1]
    assert not apart.pairs[0].linked


def test_relatives_of_the_test_set_are_found(shared_ddg, published) -> None:
    """Every protein of S2648 that the data call a relative of S669, and few more (they ask for coverage of both)."""
    test, training = published("s669"), published("s2648").drop_duplicates("sequence")
    found = related_to(training["sequence"].tolist(), test["sequence"].unique().tolist())
    stated = (training["s669_homolog_25"] == "1").to_numpy()
    assert stated.sum() == 8
    assert found[stated].all()
    assert found.sum() <= 13


def test_clusters_of_the_test_set_are_much_those_published(shared_ddg, published) -> None:
    from sklearn.metrics import adjusted_rand_score

    test = published("s669").drop_duplicates("sequence")
    found = homology_clusters(test["sequence"].tolist())
    assert adjusted_rand_score(test["cluster25"], found) > 0.8
    same = test.set_index("pdb_id").assign(cluster=found)["cluster"]
    assert same["1div"] == same["2hbb"]  # one protein under two names


@settings(deadline=None)  # cores are shared
@given(
    st.lists(st.integers(0, 12), min_size=30, max_size=200).filter(lambda clusters: len(set(clusters)) >= 3),
    st.integers(0, 5),
)
def test_no_cluster_is_torn_apart(clusters, seed) -> None:
    parts = cluster_split(clusters, seed=seed)
    table = pd.crosstab(np.array(clusters), parts)
    assert ((table > 0).sum(axis=1) == 1).all()
    assert set(parts) == {"train", "validation", "test"}
    np.testing.assert_array_equal(parts, cluster_split(np.array(clusters), seed=seed))


def test_parts_are_about_as_large_as_asked_and_differ_by_seed() -> None:
    clusters = np.repeat(np.arange(200), np.random.default_rng(0).integers(1, 30, 200))
    shares = pd.Series(cluster_split(clusters, (0.7, 0.2, 0.1))).value_counts(normalize=True)
    assert shares["train"] == pytest.approx(0.7, abs=0.02)
    assert shares["test"] == pytest.approx(0.1, abs=0.02)
    assert (cluster_split(clusters, seed=1) != cluster_split(clusters, seed=2)).any()


def test_a_big_family_trains() -> None:
    clusters = ["lysozyme"] * 300 + [f"p{number}" for number in range(100)] * 7
    assert set(cluster_split(clusters, (0.8, 0.2))[:300]) == {"train"}


@settings(deadline=None)  # cores are shared
@given(st.integers(3, 300), st.integers(0, 3))
def test_random_parts_have_the_sizes_asked_for(n, seed) -> None:
    parts = pd.Series(random_split(n, (0.8, 0.1, 0.1), seed=seed)).value_counts()
    assert parts.sum() == n
    assert set(parts.index) == {"train", "validation", "test"}
    assert abs(parts["test"] - 0.1 * n) <= 1


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (lambda: cluster_split([1, 1, 2], (0.8, 0.1, 0.1)), "2 clusters cannot fill 3 parts"),
        (lambda: cluster_split([1, 2, 3], (0.8, -0.1, 0.3)), "two or three positive numbers"),
        (lambda: random_split(5, (1.0,)), "two or three positive numbers"),
        (lambda: random_split(1, (0.5, 0.5)), "1 rows cannot fill 2 parts"),
        (lambda: homology_clusters(["AC", ""]), "an empty sequence"),
        (lambda: homology_clusters(["AC"], identity=25), "identity 25: must be between 0 and 1"),
        (lambda: related_to(["AC"], ["AC"], coverage=-1), "coverage -1"),
    ],
)
def test_impossible_requests_are_refused(call, reason) -> None:
    with pytest.raises(InputError, match=reason):
        call()
