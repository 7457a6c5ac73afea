"""Intervals of copies: classes at even odds, levels that are not excluded, stray reads."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from copyfold.cnv.countmodel import BIN_CLASSES, CountModelSettings
from copyfold.cnv.countmodel.gene_calls import _without_stray
from copyfold.cnv.countmodel.intervals import NOT_EXCLUDED, copies_interval, copy_classes, even_odds
from copyfold.cnv.countmodel.states import build_chain, long_run_shares

ABSENT, ONE, MIXED, MORE = range(4)
CHAIN = build_chain(CountModelSettings())
COPIES = np.array([0.0, 1.0, 1.5, 2.0, 3.0])
CLASSES = np.array([COPIES == 0, COPIES == 1, COPIES == 1.5, COPIES >= 2])
SHARES = np.array([0.05, 0.9479, 0.0003, 0.0018])


def dense(chain):
    """The transition matrix of the chain, resets included."""
    matrix = chain.reset * np.tile(chain.reset_prior, (len(chain.start), 1))
    for state in range(len(chain.start)):
        for k in range(chain.out_pointer[state], chain.out_pointer[state + 1]):
            matrix[state, chain.out_state[k]] += chain.out_probability[k]
    return matrix


def interval(posterior, called=ONE, ratio=1.0, half=0.1, level=1.0):
    posterior = np.array(posterior, float)
    return copies_interval(ratio, half, level, called, posterior, CLASSES, SHARES, COPIES)


def at_odds(**weights):
    """Posterior of the five states whose weights at even odds are those given, one copy having the rest."""
    weight = np.zeros(5)
    for name, value in weights.items():
        weight[["absent", "one", "mixed", "two", "three"].index(name)] = value
    weight[1] = 1 - weight.sum()
    shares = SHARES[[ABSENT, ONE, MIXED, MORE, MORE]].copy()
    shares[0] = SHARES[ONE]  # absence keeps its prior
    return weight * shares / (weight * shares).sum()


def test_long_run_is_what_many_steps_lead_to():
    shares = long_run_shares(CHAIN)
    after = np.linalg.matrix_power(dense(CHAIN), 2**14)
    np.testing.assert_allclose(shares, after[CHAIN.absent], rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(shares, after[CHAIN.plain], rtol=1e-6, atol=1e-12)


def test_every_state_has_one_class():
    classes = copy_classes(CHAIN)
    assert len(classes) == len(BIN_CLASSES)
    assert (classes.sum(axis=0) == 1).all()
    assert (CHAIN.copies[classes[MORE]] >= 2).all()
    assert ((CHAIN.copies[classes[MIXED]] > 1) & (CHAIN.copies[classes[MIXED]] < 2)).all()


def test_even_odds_undo_the_prior():
    likelihood = np.array([0.0, 0.2, 0.5, 0.3])
    np.testing.assert_allclose(even_odds(SHARES * likelihood, SHARES), likelihood)


class TestInterval:
    @pytest.mark.parametrize(
        ("posterior", "expected"),
        [
            (at_odds(), (0.9, 1.1)),
            (at_odds(mixed=0.5 * NOT_EXCLUDED, two=0.5 * NOT_EXCLUDED), (0.9, 1.1)),
            (at_odds(mixed=2 * NOT_EXCLUDED), (0.9, 1.575)),
            (at_odds(two=2 * NOT_EXCLUDED), (0.9, 2.0)),
            (at_odds(two=0.02, three=0.02), (0.9, 3.0)),
            (at_odds(absent=2 * NOT_EXCLUDED), (0.0, 1.1)),
        ],
    )
    def test_classes_that_are_not_excluded_belong_to_it(self, posterior, expected):
        assert interval(posterior) == pytest.approx(expected)

    def test_levels_of_one_class(self):
        low, high = interval([0, 0, 0, 0.9, 0.1], MORE, ratio=2.0, level=2.0)
        assert (low, high) == pytest.approx((1.9, 3.0))
        low, high = interval([0, 0, 0, 0.99, 0.01], MORE, ratio=2.0, level=2.0)
        assert (low, high) == pytest.approx((1.9, 2.1))

    def test_without_whole_bins_the_states_speak(self):
        low, high = interval([0, 0, 0, 0.5, 0.5], MORE, ratio=2.5, level=None)
        assert (low, high) == pytest.approx((2.0, 3.0))

    @given(
        st.lists(st.floats(1e-9, 1), min_size=5, max_size=5),
        st.sampled_from([ONE, MIXED, MORE]),
        st.floats(0, 4),
        st.floats(0.01, 1),
        st.booleans(),
    )
    def test_it_holds_what_was_measured_and_stays_within_reach(self, weights, called, ratio, half, whole):
        posterior = np.array(weights) / sum(weights)
        level = COPIES[CLASSES[called]][0] if whole else None
        low, high = interval(posterior, called, ratio, half, level)
        assert 0 <= low <= max(ratio - half, 0)
        assert ratio + half <= high <= max(ratio + 1.2 * half, 3.0)  # the outermost of forty points lies at 1.14


@given(st.floats(1, 60), st.floats(0, 0.08))
def test_stray_reads_are_taken_off(copies, stray):
    seen = copies * (1 - stray) + stray
    ratio, half = _without_stray(seen, 0.1, stray)
    assert ratio == pytest.approx(copies)
    assert half == pytest.approx(0.1 / (1 - stray) if seen > 1 else 0.1)


def test_stray_reads_change_nothing_up_to_one_copy():
    assert _without_stray(1.0, 0.1, 0.05) == (1.0, 0.1)
    assert _without_stray(0.02, 0.1, 0.05) == (0.02, 0.1)
