"""What is learnt over isolates: baselines, shared ends, relatives."""

import numpy as np
import pytest

from copyfold.cnv.countmodel import CountModelSettings, bin_covariates
from copyfold.cnv.countmodel.baseline import start_baseline, start_effects
from copyfold.cnv.countmodel.decoder import Decoded, DepthOffset
from copyfold.cnv.countmodel.ends import learn_ends
from copyfold.cnv.countmodel.relatives import (
    LEAST_MEMBERS,
    MOST_ODDS,
    full_depth_offset,
    learn_relatives,
    lineage_gain_odds,
    relative_offset,
    relatives_gain_odds,
)
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

    def learn(self, cohort, pool_gains=True):
        trusted = np.ones(100, bool)
        return learn_relatives(*cohort, CHAIN, trusted, SETTINGS.relative_similarity, pool_gains=pool_gains)

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

    def test_what_a_lineage_has_twice_speaks_for_its_members_only(self, cohort):
        counts, expected, _, _ = cohort
        counts[:8, 80:84] = np.random.default_rng(4).poisson(2 * expected[:8, 80:84])
        relatives = self.learn(cohort)
        found = relatives_gain_odds(counts, expected, relatives, SETTINGS.relative_similarity)
        assert (found[:8, 80:84] == 8).all()  # eight of eight, and one more that has not
        assert (np.delete(found, np.arange(80, 84), axis=1) == 1).all()
        assert (found[8:] == 1).all()
        assert (self.learn(cohort, pool_gains=False).gain_odds == 1).all()
        stranger = relatives_gain_odds(expected[:1], expected[:1], relatives, SETTINGS.relative_similarity)
        assert (stranger == 1).all()

    def test_few_relatives_say_nothing(self, cohort):
        counts, expected, dispersion, decoded = cohort
        counts[:8, 80:84] = 2 * DEPTH
        kept = np.r_[: LEAST_MEMBERS - 1, 8:16]
        few = counts[kept], expected[kept], dispersion[kept], Decoded(*(part[kept] for part in decoded))
        assert (self.learn(few).gain_odds == 1).all()


class TestLineageGainOdds:
    def odds(self, copies, depth, n):
        expected = np.full((n, len(copies)), depth, np.float32)
        counts = np.random.default_rng(5).poisson(expected * np.asarray(copies)).astype(np.float32)
        return lineage_gain_odds(counts, expected, np.full(expected.shape, 0.01, np.float32))

    def test_shallow_members_speak_together(self):
        np.testing.assert_array_equal(self.odds([1, 2, 2.5, 6, 0, 0.6], 20, 60), [1, 20, 20, 20, 1, 1])

    def test_share_of_members_is_that_of_the_mixture(self):
        copies = np.ones((100, 1))
        copies[:90] = 2
        counts = np.random.default_rng(6).poisson(200 * copies).astype(np.float32)
        found = lineage_gain_odds(counts, np.full((100, 1), 200, np.float32), np.full((100, 1), 1e-3, np.float32))
        assert found[0] == round((90 / 101) / (1 - 90 / 101))

    def test_one_amplified_member_does_not_speak_for_the_others(self):
        counts = np.full((6, 1), DEPTH, np.float32)
        counts[0] = 60 * DEPTH
        expected = np.full((6, 1), DEPTH, np.float32)
        assert lineage_gain_odds(counts, expected, np.full((6, 1), 0.01, np.float32))[0] == 1

    def test_no_reads_expected_say_nothing(self):
        nothing = np.zeros((50, 3), np.float32)
        assert (lineage_gain_odds(nothing, nothing, nothing) == 1).all()
        assert np.iinfo(np.uint8).max >= MOST_ODDS


class TestFullDepth:
    """Fifty bins of mappability 1, the last of 0.6; the baseline of bins 7 and 49 is that of diverged isolates."""

    @pytest.fixture
    def effects(self):
        counts = np.random.default_rng(0).poisson(DEPTH, (40, 50)).astype(np.float32)
        effects = start_effects(counts, None, np.r_[np.ones(49), 0.6], np.ones(50), SETTINGS)
        baseline = effects.baseline.copy()
        baseline[[7, 49]] -= 0.35
        return effects._replace(baseline=baseline, loadings=np.zeros((50, 1)), loading_variance=np.ones(1))

    def offset(self, effects, factor=0.0):
        nothing = np.zeros((2, 50), np.float32)
        nothing[1, 7] = 0.5  # relatives of the second isolate speak about the bin
        return full_depth_offset(effects, np.array([[0.0, factor], [0.0, factor]]), DepthOffset(-nothing, nothing))

    def test_prediction_is_the_alternative_where_the_baseline_has_sunk(self, effects):
        offset = self.offset(effects)
        np.testing.assert_array_equal(np.argwhere(offset.share > 0), [[0, 7], [1, 7]])
        assert offset.log_ratio[0, 7] == pytest.approx(0.35)
        assert offset.log_ratio[1, 7] == -0.5

    def test_factors_that_lower_a_bin_count(self, effects):
        effects.loadings[20] = -0.3
        offset = self.offset(effects, factor=1.0)
        assert offset.log_ratio[0, 20] == pytest.approx(0.3)
        assert (self.offset(effects, factor=-1.0).share[:, 20] == 0).all()
