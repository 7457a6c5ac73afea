"""Oracle: enumerate all K^T state paths of short chains."""

import itertools
from typing import NamedTuple

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import norm

from copyfold.hmm import decode_gaussian, decode_log_likelihood

CASES = [  # states, lengths of the chains, share of zero transitions
    (1, [4], 0.0),
    (2, [7], 0.0),
    (2, [3, 0, 4], 0.0),
    (3, [5], 0.0),
    (3, [1, 5], 0.4),
    (4, [4, 2], 0.3),
    (5, [4], 0.5),
]


class Model(NamedTuple):
    observations: np.ndarray
    means: np.ndarray
    variances: np.ndarray
    transition: np.ndarray
    start: np.ndarray
    chain_starts: np.ndarray


def random_model(n_states: int, lengths: list[int], zeros: float, seed: int, n_samples: int = 11) -> Model:
    rng = np.random.default_rng(seed)
    transition = rng.random((n_states, n_states)) * (rng.random((n_states, n_states)) >= zeros)
    transition[np.arange(n_states), rng.permutation(n_states)] += 0.3
    start = rng.random(n_states) * (rng.random(n_states) >= zeros)
    start[rng.integers(n_states)] += 0.2
    return Model(
        observations=rng.normal(1.0, 1.0, (n_samples, sum(lengths))),
        means=np.sort(rng.normal(1.0, 1.0, (n_samples, n_states)), axis=1),
        variances=rng.uniform(0.1, 0.6, (n_samples, n_states)),
        transition=transition / transition.sum(axis=1, keepdims=True),
        start=start / start.sum(),
        chain_starts=np.concatenate([[0], np.cumsum(lengths)]),
    )


def emission_log_likelihood(model: Model) -> np.ndarray:
    return norm.logpdf(
        model.observations[:, :, np.newaxis],
        model.means[:, np.newaxis, :],
        np.sqrt(model.variances)[:, np.newaxis, :],
    )


def enumerate_chain(emission: np.ndarray, transition: np.ndarray, start: np.ndarray):
    """Return log likelihood, posteriors, best path and its log probability of one chain (T, K)."""
    n_positions, n_states = emission.shape
    paths = np.array(list(itertools.product(range(n_states), repeat=n_positions)))
    with np.errstate(divide="ignore"):
        log_transition, log_start = np.log(transition), np.log(start)
    scores = log_start[paths[:, 0]] + emission[np.arange(n_positions), paths].sum(axis=1)
    scores = scores + log_transition[paths[:, :-1], paths[:, 1:]].sum(axis=1)
    log_likelihood = logsumexp(scores)
    weights = np.exp(scores - log_likelihood)
    posteriors = np.array([[weights[paths[:, t] == k].sum() for k in range(n_states)] for t in range(n_positions)])
    return log_likelihood, posteriors, paths[scores.argmax()], scores.max()


def assert_matches_enumeration(decoding, emission: np.ndarray, model: Model) -> None:
    for sample in range(len(emission)):
        log_likelihood = path_log_probability = 0.0
        for lo, hi in itertools.pairwise(model.chain_starts):
            if lo == hi:
                continue
            chain = enumerate_chain(emission[sample, lo:hi], model.transition, model.start)
            log_likelihood += chain[0]
            path_log_probability += chain[3]
            np.testing.assert_allclose(decoding.posteriors[sample, lo:hi], chain[1], atol=1e-6)
            np.testing.assert_array_equal(decoding.path[sample, lo:hi], chain[2])
        assert decoding.log_likelihood[sample] == pytest.approx(log_likelihood, abs=1e-10)
        assert decoding.path_log_probability[sample] == pytest.approx(path_log_probability, abs=1e-10)


@pytest.mark.parametrize(("n_states", "lengths", "zeros"), CASES)
@pytest.mark.parametrize("seed", [0, 1])
def test_decode_gaussian(n_states, lengths, zeros, seed):
    model = random_model(n_states, lengths, zeros, seed)
    assert_matches_enumeration(decode_gaussian(*model), emission_log_likelihood(model), model)


@pytest.mark.parametrize(("n_states", "lengths", "zeros"), CASES)
def test_decode_log_likelihood(n_states, lengths, zeros):
    model = random_model(n_states, lengths, zeros, seed=2)
    emission = emission_log_likelihood(model)
    emission[0, 0, 1:] = -np.inf  # an impossible state
    model.start[:] = 1.0 / n_states
    decoding = decode_log_likelihood(emission, model.transition, model.start, model.chain_starts)
    assert_matches_enumeration(decoding, emission, model)


@pytest.mark.parametrize("zeros", [0.0, 0.4])
def test_positions_without_evidence_are_marginalised(zeros):
    model = random_model(3, [5, 2], zeros, seed=3)
    evidence = np.random.default_rng(4).random(model.observations.shape) < 0.6
    emission = np.where(evidence[:, :, np.newaxis], emission_log_likelihood(model), 0.0)
    observations = np.where(evidence, model.observations, np.nan)
    decoding = decode_gaussian(observations, *model[1:], evidence=evidence)
    assert_matches_enumeration(decoding, emission, model)
    given = decode_log_likelihood(emission, model.transition, model.start, model.chain_starts)
    np.testing.assert_allclose(decoding.log_likelihood, given.log_likelihood, atol=1e-10)
    np.testing.assert_array_equal(decoding.path, given.path)
