import numpy as np
import pytest

from copyfold.errors import InputError
from copyfold.hmm import decode_gaussian, decode_log_likelihood, fit_means, transition_matrix

MEANS = np.array([0.0, 0.5, 1.0, 1.5, 2.0, 3.0])
TRANSITION = transition_matrix(6, 0.999)
START = np.full(6, 1 / 6)


def copy_ratios(n_samples: int, n_positions: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(1.0, 0.1, (n_samples, n_positions))


def decode(observations: np.ndarray, chain_starts=None, **arguments):
    offsets = [0, observations.shape[1]] if chain_starts is None else chain_starts
    variances = np.full(len(observations), 0.01)
    return decode_gaussian(observations, MEANS, variances, TRANSITION, START, offsets, **arguments)


def test_transition_matrix():
    np.testing.assert_allclose(transition_matrix(3, 0.8), [[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]])
    np.testing.assert_array_equal(transition_matrix(1, 0.5), [[1.0]])
    with pytest.raises(InputError, match=r"self_transition is 1\.5"):
        transition_matrix(2, 1.5)
    with pytest.raises(InputError, match="n_states is 0"):
        transition_matrix(0, 0.5)


def test_shapes_and_types():
    decoding = decode(copy_ratios(3, 50))
    assert decoding.path.shape == (3, 50)
    assert decoding.path.dtype == np.int8
    assert decoding.posteriors.shape == (3, 50, 6)
    assert decoding.posteriors.dtype == np.float32
    assert decoding.log_likelihood.dtype == np.float64
    assert decoding.path_log_probability.shape == (3,)
    assert (decoding.path_log_probability <= decoding.log_likelihood).all()


def test_deletion_and_amplification_are_found():
    observations = copy_ratios(9, 300)
    observations[:, 40:60] -= 1.0
    observations[:, 200:230] += 1.0
    path = decode(observations).path
    expected = np.full(300, 2)
    expected[40:60], expected[200:230] = 0, 4
    np.testing.assert_array_equal(path, np.tile(expected, (9, 1)))


@pytest.mark.parametrize("transition", [TRANSITION, np.eye(6)], ids=["scaled", "log space"])
def test_extreme_observations_do_not_underflow(transition):
    observations = copy_ratios(2, 100)
    observations[0, 50] = 50.0
    observations[1, 50] = -1e6
    decoding = decode_gaussian(observations, MEANS, np.full(2, 1e-3), transition, START, [0, 100])
    assert np.isfinite(decoding.log_likelihood).all()
    np.testing.assert_allclose(decoding.posteriors.sum(axis=2), 1.0, atol=1e-6)
    # One position cannot move a chain that never changes its state.
    changes = transition is TRANSITION
    assert decoding.path[0, 50] == (5 if changes else decoding.path[0, 0])
    assert decoding.path[1, 50] == (0 if changes else decoding.path[1, 0])


def test_state_far_behind_is_revived_by_later_evidence():
    # Two states that never mix: the second is behind by 5,000 log units, then ahead.
    log_likelihood = np.zeros((1, 100, 2))
    log_likelihood[0, :50, 1] = -100.0
    log_likelihood[0, 50:, 0] = -101.0
    decoding = decode_log_likelihood(log_likelihood, np.eye(2), [0.5, 0.5], [0, 100])
    np.testing.assert_array_equal(decoding.path[0], np.ones(100))
    np.testing.assert_allclose(decoding.posteriors[0, :, 1], 1.0)
    assert decoding.log_likelihood[0] == pytest.approx(-5000.0 + np.log(0.5), abs=1e-9)


def test_start_in_one_state_only():
    observations = copy_ratios(1, 30) + 2.0
    start = [0.0, 0.0, 1.0, 0.0, 0.0, 0.0]
    decoding = decode_gaussian(observations, MEANS, [1e-4], TRANSITION, start, [0, 10, 30])
    np.testing.assert_array_equal(decoding.path[0, [0, 10]], 2)
    np.testing.assert_allclose(decoding.posteriors[0, [0, 10], 2], 1.0)
    np.testing.assert_array_equal(decoding.path[0, [1, 9, 11, 29]], 5)


def test_scaled_and_log_space_agree():
    observations = copy_ratios(9, 400, seed=1)
    observations[:, 100:120] *= 2.0
    almost_zero = TRANSITION.copy()
    almost_zero[0, 5], almost_zero[0, 0] = 1e-40, TRANSITION[0, 0] + TRANSITION[0, 5]
    scaled = decode(observations)
    in_log_space = decode_gaussian(observations, MEANS, np.full(9, 0.01), almost_zero, START, [0, 400])
    np.testing.assert_allclose(scaled.posteriors, in_log_space.posteriors, atol=1e-6)
    np.testing.assert_allclose(scaled.log_likelihood, in_log_space.log_likelihood, atol=1e-8)


def test_chains_do_not_touch():
    observations = copy_ratios(10, 90)
    joint = decode(observations, [0, 0, 40, 40, 41, 90])
    parts = [decode(observations[:, lo:hi]) for lo, hi in [(0, 40), (40, 41), (41, 90)]]
    np.testing.assert_array_equal(joint.path, np.concatenate([part.path for part in parts], axis=1))
    np.testing.assert_array_equal(joint.posteriors, np.concatenate([part.posteriors for part in parts], axis=1))
    np.testing.assert_allclose(joint.log_likelihood, sum(part.log_likelihood for part in parts), rtol=1e-13)


def test_no_evidence_at_all_leaves_the_prior():
    observations = np.full((2, 20), np.nan)
    decoding = decode(observations, evidence=np.zeros((2, 20), bool))
    np.testing.assert_allclose(decoding.posteriors, 1 / 6, atol=1e-6)
    np.testing.assert_allclose(decoding.log_likelihood, 0.0, atol=1e-12)


@pytest.mark.parametrize("shape", [(0, 5), (3, 0), (0, 0)])
def test_empty(shape):
    decoding = decode(np.zeros(shape))
    assert decoding.posteriors.shape == (*shape, 6)
    np.testing.assert_array_equal(decoding.log_likelihood, np.zeros(shape[0]))


def test_inputs_are_left_alone():
    observations, means = copy_ratios(2, 30), np.tile(MEANS, (2, 1))
    before = observations.copy()
    fit_means(observations, means, [0.01, 0.02], TRANSITION, START, [0, 30])
    np.testing.assert_array_equal(observations, before)
    np.testing.assert_array_equal(means, np.tile(MEANS, (2, 1)))


def test_fit_means_moves_only_states_with_weight():
    observations = copy_ratios(3, 500) + np.array([[0.0], [0.08], [-0.06]])
    fitted = fit_means(observations, MEANS, np.full(3, 0.01), TRANSITION, START, [0, 500])
    np.testing.assert_allclose(fitted[:, 2], observations.mean(axis=1), atol=1e-6)
    np.testing.assert_array_equal(np.delete(fitted, 2, axis=1), np.tile(np.delete(MEANS, 2), (3, 1)))


def test_fit_means_without_evidence_keeps_the_means():
    observations = copy_ratios(1, 60) + 0.2
    evidence = np.zeros((1, 60), bool)
    fitted = fit_means(observations, MEANS, [0.01], TRANSITION, START, [0, 60], evidence=evidence)
    np.testing.assert_array_equal(fitted, [MEANS])
    evidence[0, :40] = True
    observations[0, 40:] = np.nan
    fitted = fit_means(observations, MEANS, [0.01], TRANSITION, START, [0, 60], evidence=evidence)
    assert fitted[0, 2] == pytest.approx(observations[0, :40].mean(), abs=1e-3)


def test_fit_means_keeps_the_order_of_states():
    # The first state's variance is so wide that it claims the positions far above the second state's mean.
    observations = np.array([[1.0, 1.01, 0.99, 1.0, 3.0, 3.1, 2.9, 3.0] * 20])
    fitted = fit_means(observations, [0.9, 1.0], [[4.0, 0.001]], transition_matrix(2, 0.5), [0.5, 0.5], [0, 160])
    assert fitted[0, 0] <= fitted[0, 1]
    assert fitted[0, 0] > 1.0


def test_fit_means_of_a_sample_does_not_depend_on_the_batch():
    observations = copy_ratios(12, 200) + np.linspace(0, 0.2, 12)[:, np.newaxis]
    together = fit_means(observations, MEANS, np.full(12, 0.01), TRANSITION, START, [0, 200])
    alone = [fit_means(row[np.newaxis], MEANS, [0.01], TRANSITION, START, [0, 200])[0] for row in observations]
    np.testing.assert_array_equal(together, alone)


GOOD = {
    "observations": np.ones((2, 4)),
    "means": [0.0, 1.0],
    "variances": [0.1, 0.1],
    "transition": [[0.9, 0.1], [0.1, 0.9]],
    "start": [0.5, 0.5],
    "chain_starts": [0, 4],
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"observations": [[1, 1, 1, 1], [1, 1, np.nan, 1]]}, r"observations\[1, 2\] is nan"),
        ({"observations": [[1, 1, 1, np.inf], [1, 1, 1, 1]]}, r"observations\[0, 3\] is inf"),
        ({"observations": [1.0, 1.0, 1.0, 1.0]}, r"observations have shape \(4,\)"),
        ({"observations": np.full((2, 4), 1e200)}, "sample 0 has log likelihood"),
        ({"means": [0.0, 1.0, 2.0]}, r"start has shape \(2,\): the emissions have 3 states"),
        ({"means": np.zeros((3, 2))}, r"means have shape \(3, 2\)"),
        ({"means": 1.0}, r"means have shape \(\)"),
        ({"means": [0.0, np.nan]}, "means hold nan"),
        ({"variances": [0.1, 0.0]}, r"variances\[1\] is 0\.0"),
        ({"variances": [[0.1, 0.1], [0.1, -1.0]]}, r"variances\[1, 1\] is -1\.0"),
        ({"variances": [0.1]}, r"variances have shape \(1,\)"),
        ({"transition": [[0.9, 0.2], [0.1, 0.9]]}, "row 0 of transition"),
        ({"transition": [[1.1, -0.1], [0.1, 0.9]]}, "row 0 of transition"),
        ({"transition": [[1.0]]}, r"transition has shape \(1, 1\)"),
        ({"start": [0.5, np.nan]}, "start is"),
        ({"start": [[0.5, 0.5]]}, "start has shape"),
        ({"chain_starts": [0, 3]}, "chain_starts run from 0 to 3"),
        ({"chain_starts": [0, 3, 2, 4]}, "never decrease"),
        ({"chain_starts": [0.0, 4.0]}, "integer offsets"),
        ({"evidence": np.ones((2, 3), bool)}, "evidence is bool of shape"),
        ({"evidence": np.ones((2, 4))}, "evidence is float64"),
        ({"n_threads": 0}, "n_threads is 0"),
    ],
)
def test_bad_input_is_refused_in_one_line(change, message):
    with pytest.raises(InputError, match=message) as error:
        decode_gaussian(**{**GOOD, **change})
    assert "\n" not in str(error.value)


def test_bad_log_likelihood_is_refused():
    transition, start = GOOD["transition"], GOOD["start"]
    with pytest.raises(InputError, match=r"log_likelihood\[0, 1, 1\] is nan"):
        decode_log_likelihood([[[0.0, 0.0], [0.0, np.nan]]], transition, start, [0, 2])
    with pytest.raises(InputError, match=r"log_likelihood has shape \(2, 2\)"):
        decode_log_likelihood(np.zeros((2, 2)), transition, start, [0, 2])
    with pytest.raises(InputError, match=r"start has shape \(2,\): the emissions have 3 states"):
        decode_log_likelihood(np.zeros((1, 2, 3)), transition, start, [0, 2])
    with pytest.raises(InputError, match="sample 1 has log likelihood"):
        decode_log_likelihood([[[0.0, 0.0]], [[-np.inf, -np.inf]]], transition, start, [0, 1])


def test_means_in_the_wrong_order_are_refused():
    with pytest.raises(InputError, match="order the states"):
        fit_means(**{**GOOD, "means": [1.0, 0.0]})
