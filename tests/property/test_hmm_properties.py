"""Properties that every decoding has, whatever the data."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from copyfold.hmm import decode_gaussian, decode_log_likelihood, transition_matrix

several = settings(deadline=None, max_examples=25)
seeds = st.integers(0, 2**32 - 1)
counts = st.integers(1, 40)
lengths = st.integers(1, 60)
stays = st.floats(0.05, 0.999)


def model(n_states: int, stay: float):
    return transition_matrix(n_states, stay), np.full(n_states, 1 / n_states)


def decode(observations: np.ndarray, stay: float, n_threads: int | None = None):
    transition, start = model(4, stay)
    return decode_gaussian(
        observations,
        [0.0, 1.0, 2.0, 4.0],
        np.full(len(observations), 0.3),
        transition,
        start,
        [0, observations.shape[1] // 2, observations.shape[1]],
        n_threads=n_threads,
    )


def assert_same_bits(one, other):
    for name, left, right in zip(one._fields, one, other, strict=True):
        np.testing.assert_array_equal(left, right, err_msg=name)


@several
@given(seeds, counts, lengths, stays)
def test_order_of_samples_does_not_matter(seed, n_samples, n_positions, stay):
    rng = np.random.default_rng(seed)
    observations = rng.normal(1.0, 1.0, (n_samples, n_positions))
    order = rng.permutation(n_samples)
    permuted = decode(observations[order], stay)
    assert_same_bits(permuted, type(permuted)(*(field[order] for field in decode(observations, stay))))


@several
@given(seeds, counts, lengths, stays)
def test_batch_composition_does_not_matter(seed, n_samples, n_positions, stay):
    rng = np.random.default_rng(seed)
    observations = rng.normal(1.0, 1.0, (n_samples, n_positions))
    chosen = rng.random(n_samples) < 0.5
    part = decode(observations[chosen], stay)
    assert_same_bits(part, type(part)(*(field[chosen] for field in decode(observations, stay))))


@several
@given(seeds, st.integers(60, 120), lengths, stays)
def test_number_of_threads_does_not_matter(seed, n_samples, n_positions, stay):
    observations = np.random.default_rng(seed).normal(1.0, 1.0, (n_samples, n_positions))
    assert_same_bits(decode(observations, stay, n_threads=1), decode(observations, stay, n_threads=3))


@several
@given(seeds, st.integers(1, 6), lengths, stays)
def test_posteriors_sum_to_one(seed, n_states, n_positions, stay):
    transition, start = model(n_states, stay)
    log_likelihood = np.random.default_rng(seed).normal(0.0, 50.0, (3, n_positions, n_states))
    decoding = decode_log_likelihood(log_likelihood, transition, start, [0, n_positions])
    np.testing.assert_allclose(decoding.posteriors.sum(axis=2), 1.0, atol=1e-6)
    assert (decoding.path_log_probability <= decoding.log_likelihood + 1e-9).all()


@several
@given(seeds, st.integers(1, 6), lengths, stays)
def test_time_reversal_mirrors_the_posteriors(seed, n_states, n_positions, stay):
    transition, start = model(n_states, stay)
    log_likelihood = np.random.default_rng(seed).normal(0.0, 3.0, (3, n_positions, n_states))
    forward = decode_log_likelihood(log_likelihood, transition, start, [0, n_positions])
    reverse = decode_log_likelihood(log_likelihood[:, ::-1], transition, start, [0, n_positions])
    np.testing.assert_allclose(forward.posteriors, reverse.posteriors[:, ::-1], atol=1e-6)
    np.testing.assert_allclose(forward.log_likelihood, reverse.log_likelihood, atol=1e-9)


@several
@given(seeds, lengths, stays, st.floats(-1e3, 1e3))
def test_constant_added_to_the_log_likelihood_changes_only_its_sum(seed, n_positions, stay, constant):
    transition, start = model(4, stay)
    log_likelihood = np.random.default_rng(seed).normal(0.0, 3.0, (3, n_positions, 4))
    plain = decode_log_likelihood(log_likelihood, transition, start, [0, n_positions])
    shifted = decode_log_likelihood(log_likelihood + constant, transition, start, [0, n_positions])
    np.testing.assert_array_equal(plain.path, shifted.path)
    np.testing.assert_allclose(plain.posteriors, shifted.posteriors, atol=1e-6)
    np.testing.assert_allclose(
        plain.log_likelihood + n_positions * constant, shifted.log_likelihood, rtol=1e-9, atol=1e-6
    )
