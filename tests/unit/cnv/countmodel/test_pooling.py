"""What is learnt over isolates: baselines, shared ends, relatives."""

import numpy as np
import pytest

from copyfold.cnv.countmodel import CountModelSettings, bin_covariates
from copyfold.cnv.countmodel.baseline import start_baseline, start_effects
from copyfold.cnv.countmodel.decoder import Decoded
from copyfold.cnv.countmodel.ends import learn_ends
from copyfold.cnv.countmodel.relatives import learn_relatives, relative_offset
from copyfold.cnv.countmodel.states import ABSENT, ONE, SHARED_END, build_chain

SETTINGS = CountModelSettings()
CHAIN = build_chain(SETTINGS)
DEPTH = 100.0


def test_covariates_are_centred():
    covariates = bin_covariates(np.array([0.4, 0.5, 0.6]), np.array([1.0, 0.0, -1.0]))
    np.testing.assert_allclose(covariates, [[-0.1, 0.01, 1], [0, 0, 0], [0.1, 0.01, -1]], atol=1e-12)


class TestBaseline:
    def counts(self, ratios):
        """Forty isolates of 50 bins at depth 100; bin 7 has the given ratios in its first isolates."""
        mean = np.full((40, 50), DEPTH)
        mean[: len(ratios), 7] *= ratios
        return np.random.default_rng(0).poisson(mean).astype(np.float32)

    def test_majority_without_the_bin_does_not_count(self):
        for level in (0.0, 0.15):
            effects = start_effects(self.counts([level] * 32), None, None, np.ones(50), SETTINGS)
            assert effects.baseline_prior[7] == pytest.approx(0, abs=0.06)
            assert effects.reliable.all()

    def test_bin_in_which_few_reads_map(self):
        effects = start_effects(self.counts([0.25] * 40), None, None, np.ones(50), SETTINGS)
        assert effects.baseline_prior[7] == pytest.approx(np.log(0.25), abs=0.1)

    def test_bin_without_reads_keeps_its_width(self):
        effects = start_effects(self.counts([0.0] * 40), None, None, np.ones(50), SETTINGS)
        assert effects.baseline_prior[7] == 0
        assert not effects.reliable[7]

    def test_first_baseline_is_a_mode(self):
        counts = self.counts([0.0] * 24)
        counts[:, 9] = np.random.default_rng(1).poisson(0.8 * DEPTH, 40)
        effects = start_effects(counts, None, np.ones(50), np.ones(50), SETTINGS)
        shifted = start_baseline(counts, np.full((40, 1), np.log(DEPTH)), effects)
        assert shifted.baseline[7] == pytest.approx(0, abs=0.051)
        assert shifted.baseline[9] == pytest.approx(np.log(0.8), abs=0.06)

    def test_poor_mappability_has_a_wide_prior(self):
        mappability = np.r_[np.ones(48), 0.6, 0.1]
        effects = start_effects(self.counts([]), None, mappability, np.ones(50), SETTINGS)
        np.testing.assert_allclose(effects.baseline_prior_sd[-3:], [0.1, 0.2, 0.4])
        np.testing.assert_array_equal(effects.reliable[-2:], False)


def test_shared_ends_have_their_levels():
    rng = np.random.default_rng(2)
    expected = np.full((60, 10), 200.0, np.float32)
    level = np.repeat([0.2, 0.6], 30)
    counts = expected.copy()
    counts[:, 4] = rng.poisson(200 * level)
    counts[:, 5] = rng.poisson(0.01 * 200, 60)
    state = np.full((60, 10), CHAIN.plain)
    end = int(np.flatnonzero((CHAIN.emissions.kind == SHARED_END)[CHAIN.emission_row])[0])
    state[:, 4], state[:, 5] = end, CHAIN.absent
    ends = learn_ends(counts, expected, np.full(60, 1e-3), np.zeros(10), state, CHAIN)
    used = ends.weight[4] > 0
    np.testing.assert_allclose(np.sort(ends.level[4, used]), [0.2, 0.6], atol=0.02)
    np.testing.assert_allclose(ends.weight[4, used], 0.5, atol=0.05)
    np.testing.assert_allclose(np.sort(ends.absent[4, used]), [0, 1], atol=0.01)
    assert (ends.weight[np.arange(10) != 4] == 0).all()
    assert ends.stray == pytest.approx(0.01, abs=0.003)


class TestRelatives:
    """Two lineages of eight isolates; in bins 60 to 64 the first is diverged and shows 0.6 of the reads."""

    @pytest.fixture
    def cohort(self):
        rng = np.random.default_rng(3)
        expected = np.full((16, 100), DEPTH, np.float32)
        ratio = np.ones((16, 100))
        ratio[:8, 10:30], ratio[8:, 30:50] = 0, 0
        ratio[:8, 60:65] = 0.6
        counts = rng.poisson(expected * ratio).astype(np.float32)
        classes = np.zeros((16, 100, 4), np.float32)
        classes[:, :, ABSENT], classes[:, :, ONE] = ratio == 0, ratio > 0
        state = np.where(ratio == 0, CHAIN.absent, CHAIN.plain)
        empty = np.zeros((16, 100), np.float32)
        decoded = Decoded(classes, empty, empty, state, np.zeros((16, 0, 1)), np.zeros(16))
        return counts, expected, np.full((16, 100), 1e-3, np.float32), decoded

    def learn(self, cohort):
        return learn_relatives(*cohort, CHAIN, np.ones(100, bool), SETTINGS.relative_similarity)

    def test_lineages_are_found(self, cohort):
        relatives = self.learn(cohort)
        np.testing.assert_array_equal(relatives.bins, np.arange(10, 50))
        assert sorted(tuple(np.flatnonzero(x)) for x in relatives.absent) == [
            tuple(range(20)),
            tuple(range(20, 40)),
        ]

    def test_divergence_is_passed_on(self, cohort):
        offset = relative_offset(*cohort, CHAIN, self.learn(cohort), np.ones(16, bool), SETTINGS.relative_similarity)
        assert (offset.share[:8, 60:65] > 0.9).all()
        np.testing.assert_allclose(np.exp(offset.log_ratio[:8, 60:65]), 0.6, atol=0.1)
        elsewhere = np.delete(offset.share, np.arange(60, 65), axis=1)
        assert (elsewhere > 0).mean() < 0.01
        assert (offset.share[8:] > 0).mean() < 0.01

    def test_own_reads_are_left_out(self, cohort):
        cohort[0][0, 80:84] = 0.6 * DEPTH  # in one member only
        offset = relative_offset(*cohort, CHAIN, self.learn(cohort), np.ones(16, bool), SETTINGS.relative_similarity)
        assert (offset.share[0, 80:84] == 0).all()
