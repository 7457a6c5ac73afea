"""Chain, emissions and forward–backward, each against an independent slow computation."""

import itertools

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import nbinom

from copyfold.cnv.countmodel import CountModelSettings, kernels
from copyfold.cnv.countmodel.decoder import DepthOffset, decode
from copyfold.cnv.countmodel.ends import SharedEnds, fit_atoms
from copyfold.cnv.countmodel.states import (
    END,
    LEVEL,
    MORE,
    ONE,
    SHARED_END,
    STRAY,
    assemble_chain,
    build_chain,
)
from copyfold.hmm import decode_log_likelihood

SETTINGS = CountModelSettings()
CHAIN = build_chain(SETTINGS)


def dense(chain):
    """The whole transition matrix, reset included, from the successors."""
    n = len(chain.start)
    matrix = np.tile(chain.reset * chain.reset_prior, (n, 1))
    for state in range(n):
        entries = slice(chain.out_pointer[state], chain.out_pointer[state + 1])
        matrix[state, chain.out_state[entries]] += chain.out_probability[entries]
    return matrix


def small_chain(rng, n_states):
    transition = rng.random((n_states, n_states)) * (rng.random((n_states, n_states)) > 0.3) + 0.1 * np.eye(n_states)
    rows = [(LEVEL, 1.0, 0.0, 0.0)] + [(LEVEL, float(level), 0.0, 0.0) for level in rng.uniform(0.4, 2.5, n_states - 1)]
    return assemble_chain(
        transition / transition.sum(axis=1, keepdims=True),
        rng.dirichlet(np.ones(n_states)),
        rows,
        np.r_[ONE, np.full(n_states - 1, MORE)],
        np.array([row[1] for row in rows]),
        CountModelSettings(reset=0.01),
        reset_prior=rng.dirichlet(np.ones(n_states)),
        plain=0,
        absent=0,
    )


def relative_likelihood(reads, expected, dispersion, level):
    """NB likelihood of a level over that of the best level, by scipy."""
    size = 1 / dispersion

    def log_pmf(x):
        return nbinom.logpmf(reads, size, size / (size + x * expected))

    return np.exp(log_pmf(level) - log_pmf((reads + 0.5) / expected))


def emit(reads, expected, dispersion, ends=None, b=0):
    ends = SharedEnds.none(1) if ends is None else ends
    out = np.empty(len(CHAIN.emissions.kind))
    kernels.emit(float(reads), float(expected), dispersion, CHAIN.emissions, ends.level[b], ends.weight[b], out)
    return out


class TestChain:
    def test_rows_sum_to_one(self):
        matrix = dense(CHAIN)
        assert (matrix >= 0).all()
        np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-12)
        assert CHAIN.start.sum() == pytest.approx(1)
        assert CHAIN.reset_prior.sum() == pytest.approx(1)

    def test_predecessors_are_the_successors_transposed(self):
        by_target = np.zeros((len(CHAIN.start),) * 2)
        for state in range(len(CHAIN.start)):
            entries = slice(CHAIN.in_pointer[state], CHAIN.in_pointer[state + 1])
            by_target[CHAIN.in_state[entries], state] = CHAIN.in_probability[entries]
        np.testing.assert_array_equal(by_target + CHAIN.reset * CHAIN.reset_prior, dense(CHAIN))

    def test_every_state_is_reached_and_left(self):
        matrix = dense(CHAIN._replace(reset=0.0))
        reached = np.linalg.matrix_power((matrix > 0).astype(float) + np.eye(len(matrix)), 6) > 0
        assert reached[CHAIN.plain].all()
        assert reached[:, CHAIN.plain].all()

    def test_plain_states(self):
        level = CHAIN.emissions.level[CHAIN.emission_row]
        assert level[CHAIN.plain] == 1
        assert set(SETTINGS.gain_levels) <= set(level[CHAIN.state_class == MORE])
        assert CHAIN.emissions.kind[CHAIN.emission_row[CHAIN.absent]] == STRAY


class TestEmissions:
    @pytest.mark.parametrize(("reads", "expected", "dispersion"), [(95, 100, 0.01), (0, 40, 0.002), (230, 110, 0.03)])
    def test_levels_against_scipy(self, reads, expected, dispersion):
        found = emit(reads, expected, dispersion)
        best = (reads + 0.5) / expected
        error = np.sqrt(reads + 1 + dispersion * (reads + 0.5) ** 2) / expected
        floor = SETTINGS.outlier * min(1, error * np.sqrt(2 * np.pi) / 3)
        for kind, level, value in zip(CHAIN.emissions.kind, CHAIN.emissions.level, found, strict=True):
            if kind == LEVEL:
                exact = relative_likelihood(reads, expected, dispersion, level)
                assert value == pytest.approx(exact + floor, rel=1e-9, abs=1e-9), (level, best)
            if kind == STRAY:
                mixture = sum(
                    w * relative_likelihood(reads, expected, dispersion, x)
                    for x, w in zip(SETTINGS.stray_levels, SETTINGS.stray_weights, strict=True)
                )
                assert value == pytest.approx(mixture + floor, rel=1e-9, abs=1e-9)

    def test_ends_integrate_over_the_level(self):
        reads, expected, dispersion = 900, 600, 0.0005
        found = emit(reads, expected, dispersion)
        for row in np.flatnonzero(np.isin(CHAIN.emissions.kind, (END, SHARED_END))):
            low, high = CHAIN.emissions.low[row], CHAIN.emissions.high[row]
            points = np.linspace(low, min(high, 4), 9)[1:-1]
            exact = quad(
                lambda x: relative_likelihood(reads, expected, dispersion, x), max(low, 1e-6), high, points=points
            )
            assert found[row] == pytest.approx(exact[0] / (high - low), rel=0.1, abs=1e-3)

    def test_shared_end_is_an_atom(self):
        ends = SharedEnds(np.array([[0.5]]), np.array([[0.9]]), np.array([[0.0]]), 0.0)
        row = int(np.flatnonzero(CHAIN.emissions.kind == SHARED_END)[0])
        at, off = emit(50, 100, 0.002, ends)[row], emit(80, 100, 0.002, ends)[row]
        assert at > 0.9
        assert off < 0.1

    @pytest.mark.parametrize("expected", [0.0, 0.01, np.nan])
    def test_unmapped_bin_says_nothing(self, expected):
        assert (emit(7, expected, 0.01) == 1).all()


class TestForwardBackward:
    @pytest.mark.parametrize(("n_states", "n_bins"), [(1, 5), (2, 7), (3, 6), (4, 5)])
    def test_against_all_paths(self, n_states, n_bins):
        rng = np.random.default_rng(n_states)
        chain = small_chain(rng, n_states)
        n_rows = len(chain.emissions.kind)
        emission = rng.random((n_bins, n_rows, kernels.LANES)).astype(np.float32)
        posterior = np.empty((n_bins, n_states, kernels.LANES))
        log_likelihood = kernels.forward_backward(emission, chain, posterior)
        transition = dense(chain)
        for lane in range(kernels.LANES):
            exact = np.zeros((n_bins, n_states))
            for path in itertools.product(range(n_states), repeat=n_bins):
                weight = chain.start[path[0]]
                for b, state in enumerate(path):
                    weight *= emission[b, chain.emission_row[state], lane]
                    weight *= transition[path[b - 1], state] if b else 1
                for b, state in enumerate(path):
                    exact[b, state] += weight
            assert log_likelihood[lane] == pytest.approx(np.log(exact[0].sum()), abs=1e-10)
            np.testing.assert_allclose(posterior[:, :, lane], exact / exact.sum(axis=1, keepdims=True), atol=1e-12)

    def test_against_the_dense_decoder(self):
        rng = np.random.default_rng(1)
        emission = rng.uniform(1e-4, 1, (60, len(CHAIN.emissions.kind), kernels.LANES)).astype(np.float32)
        posterior = np.empty((60, len(CHAIN.start), kernels.LANES))
        log_likelihood = kernels.forward_backward(emission, CHAIN, posterior)
        by_state = np.log(emission[:, CHAIN.emission_row].astype(float)).transpose(2, 0, 1)
        other = decode_log_likelihood(by_state, dense(CHAIN), CHAIN.start, [0, 60])
        np.testing.assert_allclose(log_likelihood, other.log_likelihood, rtol=1e-9)
        np.testing.assert_allclose(posterior.transpose(2, 0, 1), other.posteriors, atol=1e-6)


class TestDecode:
    def simulate(self, n=11, n_bins=120):
        rng = np.random.default_rng(3)
        expected = rng.uniform(50, 150, (n, n_bins)).astype(np.float32)
        copies = np.ones((n, n_bins))
        copies[4, 30:50], copies[6, 60:70] = 2, 0
        size = 1 / 0.005
        counts = rng.negative_binomial(size, size / (size + expected * copies))
        return counts, expected, np.full(n, 0.005, np.float32), np.zeros(n_bins, np.float32)

    def test_threads_and_neighbours_change_nothing(self):
        counts, expected, dispersion, extra = self.simulate(n=70)
        one, _ = decode(counts, expected, dispersion, extra, CHAIN, watched_bins=(35,), n_threads=1)
        three, _ = decode(counts, expected, dispersion, extra, CHAIN, watched_bins=(35,), n_threads=3)
        alone, _ = decode(counts[4:5], expected[4:5], dispersion[4:5], extra, CHAIN, watched_bins=(35,))
        for a, b, c in zip(one, three, alone, strict=True):
            np.testing.assert_array_equal(a, b)
            np.testing.assert_array_equal(a[4:5], c)

    def test_planted_events(self):
        decoded, _ = decode(*self.simulate(), CHAIN)
        assert (decoded.classes[4, 31:49, MORE] > 0.99).all()
        assert (decoded.classes[6, 61:69, 0] > 0.99).all()
        np.testing.assert_allclose(decoded.copies[4, 31:49], 2, atol=0.05)
        np.testing.assert_allclose(decoded.classes.sum(axis=2), 1, atol=2e-3)
        assert (decoded.plain[0] > 0.9).mean() > 0.95

    def test_offset_explains_reduced_depth(self):
        counts, expected, dispersion, extra = self.simulate()
        counts[0, 80:90] = np.round(0.25 * expected[0, 80:90])
        offset = DepthOffset(np.zeros(expected.shape, np.float32), np.zeros(expected.shape, np.float32))
        offset.log_ratio[0, 80:90], offset.share[0, 80:90] = np.log(0.25), 0.95
        decoded, changed = decode(counts, expected, dispersion, extra, CHAIN, offset=offset)
        assert (decoded.classes[0, 80:90, ONE] > 0.95).all()
        np.testing.assert_allclose(changed[0, 80:90], 0.25 * expected[0, 80:90], rtol=1e-5)
        np.testing.assert_array_equal(changed[1:], expected[1:])

    def test_odds_of_a_gain_multiply_its_likelihood(self):
        counts, expected, dispersion, extra = self.simulate()
        counts[0, 80:83] = np.round(1.45 * expected[0, 80:83])
        plain, _ = decode(counts, expected, dispersion, extra, CHAIN)
        odds = np.ones(counts.shape)
        same, _ = decode(counts, expected, dispersion, extra, CHAIN, gain_odds=odds)
        for before, after in zip(plain, same, strict=True):
            np.testing.assert_array_equal(before, after)
        odds[0, 80:83] = 20
        found, _ = decode(counts, expected, dispersion, extra, CHAIN, gain_odds=odds)
        more, before = (part.classes[0, 81, MORE].astype(float) for part in (found, plain))
        assert more > before
        np.testing.assert_array_equal(found.classes[1:], plain.classes[1:])

    def test_odds_do_not_hide_that_the_offset_explains_a_gain(self):
        counts, expected, dispersion, extra = self.simulate()
        expected[0, 80:90] = 200
        counts[0, 80:90] = 160  # twice the reduced depth, as its relatives have it
        offset = DepthOffset(np.zeros(expected.shape, np.float32), np.zeros(expected.shape, np.float32))
        offset.log_ratio[0, 80:90], offset.share[0, 80:90] = np.log(0.4), 0.95
        odds = np.ones(counts.shape)
        odds[0, 80:90] = 20
        decoded, changed = decode(counts, expected, dispersion, extra, CHAIN, offset=offset, gain_odds=odds)
        assert (decoded.classes[0, 82:88, MORE] > 0.95).all()
        np.testing.assert_allclose(changed[0, 82:88], 0.4 * expected[0, 82:88], rtol=1e-5)

    def test_odds_concern_states_of_two_copies_and_more_only(self):
        np.testing.assert_array_equal(CHAIN.gained[CHAIN.emission_row], CHAIN.copies >= 2)
        assert 0 < CHAIN.gained.sum() < len(CHAIN.gained)


def test_atoms_are_found():
    rng = np.random.default_rng(0)
    ratio = np.concatenate([rng.normal(0.25, 0.03, 40), rng.normal(0.7, 0.03, 20)])
    level, weight = np.array([0.3, 0.6]), np.array([0.5, 0.5])
    fit_atoms(ratio, np.full(60, 0.03**2), level, weight, 25)
    np.testing.assert_allclose(level, [0.25, 0.7], atol=0.02)
    np.testing.assert_allclose(weight, [2 / 3, 1 / 3], atol=0.02)
