"""The whole model on a small cohort with planted events."""

from dataclasses import replace

import numpy as np
import pytest

from copyfold.cnv.coordinates import GeneBins
from copyfold.cnv.countmodel import (
    BIN_CLASSES,
    CountModelSettings,
    call_genes,
    decode_isolates,
    expect_isolates,
    fit_count_model,
)
from copyfold.cnv.countmodel.gene_calls import LOW_DEPTH, UNMAPPED
from copyfold.errors import InputError

ABSENT, ONE, MIXED, MORE = range(4)
SETTINGS = CountModelSettings()


def gene_at(bins, weights):
    return GeneBins(np.array(bins), np.array(weights), np.arange(0))


GENES = (
    gene_at((105, 106), (600.0, 300.0)),
    gene_at((205,), (1.0,)),
    gene_at((310,), (1.0,)),
    gene_at((400,), (1.0,)),
    gene_at((445,), (1.0,)),
    gene_at((472,), (1.0,)),
)
LINEAGE = slice(10, 28)


@pytest.fixture(scope="module")
def genes(cohort, fitted, inferred):
    return call_genes(cohort.counts, inferred.expectation.expected, inferred.expectation.dispersion, fitted, GENES)


def depth_of(inferred):
    return np.exp(inferred.expectation.coefficients[:, 0])


def mapped(cohort):
    return cohort.mappability > 0


class TestBins:
    def test_planted_events_are_found(self, inferred):
        called = inferred.calls.bin_class
        assert (called[3, 101:119] == MORE).all()
        assert (called[LINEAGE, 201:214] == MORE).mean() > 0.99
        assert (called[5, 301:319] == ABSENT).all()
        assert (called[8, 441:451] == MORE).all()
        assert np.isin(called[7, 382:418], (MIXED, MORE)).all()
        assert (called[7, 382:418] == MIXED).mean() > 0.9
        assert (called[40:55, 31:44] == ABSENT).all()
        np.testing.assert_allclose(inferred.calls.copies[8, 441:451], 6, atol=0.6)

    def test_nothing_else_is_called(self, cohort, inferred):
        plain = (cohort.copies == 1) & mapped(cohort)
        assert (inferred.calls.bin_class[plain] == ONE).mean() > 0.998

    def test_expected_depth_is_that_of_one_copy(self, cohort, inferred):
        events = (cohort.copies >= 2) & mapped(cohort)
        ratio = cohort.counts[events].sum() / (inferred.expectation.expected * cohort.copies)[events].sum()
        assert ratio == pytest.approx(1, abs=0.03)
        assert inferred.expectation.expected.dtype == np.float32

    def test_posteriors_are_probabilities(self, inferred):
        assert inferred.calls.classes.shape[2] == len(BIN_CLASSES)
        np.testing.assert_allclose(inferred.calls.classes.sum(axis=2), 1, atol=3e-3)
        assert ((inferred.calls.certainty >= 0) & (inferred.calls.certainty <= 1)).all()

    def test_copies_in_unmapped_bins_follow_neighbours(self, inferred):
        # In the middle of six bins without reads and without expectation nothing tells for or against an event.
        assert (inferred.calls.copies[:, 472] > 0.5).all()
        assert (inferred.calls.bin_class[:, 472] == ONE).all()


class TestSymmetries:
    def test_threads_change_nothing(self, infer, cohort, fitted, inferred):
        again = fit_count_model(
            cohort.counts, cohort.covariates, cohort.mappability, cohort.width, SETTINGS, n_threads=1
        )
        for one, other in zip(fitted.effects, again.effects, strict=True):
            np.testing.assert_array_equal(one, other)
        single = infer(cohort.counts, again, n_threads=1)
        for one, other in zip(
            [*inferred.expectation, *inferred.calls], [*single.expectation, *single.calls], strict=True
        ):
            np.testing.assert_array_equal(one, other)

    def test_permuting_isolates_permutes_calls(self, infer, cohort, inferred):
        order = np.random.default_rng(0).permutation(60)
        counts = cohort.counts[order]
        model = fit_count_model(counts, cohort.covariates, cohort.mappability, cohort.width, SETTINGS)
        calls = infer(counts, model)
        assert (calls.calls.bin_class == inferred.calls.bin_class[order]).mean() > 0.9999
        np.testing.assert_allclose(depth_of(calls), depth_of(inferred)[order], rtol=1e-3)

    def test_depth_hardly_matters(self, infer, cohort, fitted, inferred):
        calls = infer(3 * cohort.counts[:12], fitted)
        np.testing.assert_allclose(depth_of(calls), 3 * depth_of(inferred)[:12], rtol=0.02)
        difference = np.abs(calls.calls.copies - inferred.calls.copies[:12])[:, mapped(cohort)]
        assert np.quantile(difference, 0.99) < 0.1
        events = np.abs(cohort.copies[:12] - 1) > 0.1
        assert (calls.calls.bin_class == inferred.calls.bin_class[:12])[events].mean() > 0.97

    def test_isolates_outside_the_fit(self, infer, cohort, inferred):
        model = fit_count_model(
            cohort.counts[9:], cohort.covariates, cohort.mappability, cohort.width, SETTINGS, n_threads=2
        )
        calls = infer(cohort.counts[:9], model)
        assert (calls.calls.bin_class == inferred.calls.bin_class[:9])[:, mapped(cohort)].mean() > 0.995
        assert (calls.calls.bin_class[3, 101:119] == MORE).all()


class TestWithoutReference:
    def test_baseline_and_factors_take_its_place(self, infer, cohort):
        model = fit_count_model(cohort.counts, None, None, cohort.width, SETTINGS)
        calls = infer(cohort.counts, model)
        assert (calls.calls.bin_class[3, 101:119] == MORE).all()
        assert (calls.calls.bin_class[LINEAGE, 201:214] == MORE).mean() > 0.98
        assert (calls.calls.bin_class[5, 301:319] == ABSENT).all()
        assert (calls.calls.bin_class[8, 441:451] == MORE).all()
        plain = (cohort.copies == 1) & mapped(cohort)
        assert (calls.calls.bin_class[plain] == ONE).mean() > 0.995


class TestGenes:
    def test_copy_numbers(self, genes):
        assert genes.cn[3, 0] == 2
        assert (genes.cn[LINEAGE, 1] == 2).all()
        assert genes.cn[5, 2] == 0
        assert genes.cn[7, 3] == 1
        assert genes.mixed[7, 3]
        assert genes.mixed.sum() == 1
        assert genes.cn[8, 4] == 6
        assert (np.delete(genes.cn[:, 0], 3) == 1).all()
        assert genes.copies[7, 3] == pytest.approx(1.5, abs=0.16)

    def test_unmapped_gene_has_a_reason(self, genes):
        assert (genes.cn[:, 5] == -1).all()
        assert (genes.reason[:, 5] == UNMAPPED).all()
        assert (genes.reason[:, :5] == "").all()
        assert np.isnan(genes.copies[:, 5]).all()
        assert (genes.quality[:, 5] == 0).all()

    def test_intervals_cover(self, cohort, genes):
        true = cohort.copies[:, [105, 205, 310, 400, 445]]
        inside = (genes.lower[:, :5] <= true) & (true <= genes.upper[:, :5])
        assert inside.mean() > 0.88
        width = (genes.upper - genes.lower)[:, :5]
        assert (width > 0).all()
        assert np.median(width[true == 1]) < 0.3

    def test_quality_is_phred(self, genes):
        assert ((genes.quality >= 0) & (genes.quality <= 99)).all()
        assert genes.quality[3, 0] > 20
        assert np.median(genes.quality[:, 0]) > 20

    def test_shallow_isolate_is_not_called(self, cohort, fitted):
        shallow = np.random.default_rng(1).binomial(cohort.counts[:2], 0.005)
        expected, dispersion, _ = expect_isolates(shallow, fitted)
        found = call_genes(shallow, expected, dispersion, fitted, GENES[:1])
        assert (found.cn == -1).all()
        assert (found.reason == LOW_DEPTH).all()

    def test_only_bins_around_a_gene_matter(self, cohort, fitted, inferred, genes):
        far = cohort.counts.copy()
        far[:, :250] = 0  # more than 150 bins from bin 445
        expected, dispersion, _ = inferred.expectation
        found = call_genes(far, expected, dispersion, fitted, GENES[4:5])
        np.testing.assert_array_equal(found.copies[:, 0], genes.copies[:, 4])

    def test_bins_need_weights(self, cohort, fitted, inferred):
        expected, dispersion, _ = inferred.expectation
        with pytest.raises(InputError, match="weight"):
            call_genes(cohort.counts, expected, dispersion, fitted, [gene_at((105,), (0.0,))])


class TestContigs:
    def test_no_event_runs_across_a_joint(self, cohort, infer):
        """Bin 108 begins a second contig: the duplication of bins 100 to 120 ends and begins there at full height."""
        model = fit_count_model(
            cohort.counts,
            cohort.covariates,
            cohort.mappability,
            cohort.width,
            SETTINGS,
            borders=np.array([0, 108, 500]),
        )
        counts = cohort.counts.copy()
        counts[3, 108:120] //= 2  # now duplicated on the first contig only
        calls = infer(counts, model).calls
        assert (calls.bin_class[3, 101:108] == MORE).all()
        assert (calls.bin_class[3, 108:] == ONE).mean() > 0.99
        assert calls.bin_class[3, 108] == ONE

    def test_contigs_are_decoded_as_if_alone(self, cohort, fitted, inferred):
        expected, dispersion, _ = inferred.expectation
        joined = replace(fitted, borders=np.array([0, 250, 500]))
        both = decode_isolates(cohort.counts, expected, dispersion, joined)
        for bins in (slice(0, 250), slice(250, 500)):
            alone = decode_isolates(cohort.counts, expected, dispersion, fitted, bins=bins)
            np.testing.assert_array_equal(alone.copies, both.copies[:, bins])
            np.testing.assert_array_equal(alone.state, both.state[:, bins])


class TestInput:
    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"counts": np.zeros(5)}, "dimensions"),
            ({"counts": np.full((4, 5), -1)}, "negative"),
            ({"width": np.zeros(5)}, "width"),
            ({"mappability": np.ones(4)}, "mappability"),
            ({"covariates": np.ones((4, 2))}, "covariates"),
            ({}, "no isolate"),
        ],
    )
    def test_bad_input_is_refused(self, change, message):
        given = {"counts": np.ones((4, 5)), "covariates": None, "mappability": None, "width": np.ones(5)} | change
        with pytest.raises(InputError, match=message):
            fit_count_model(*given.values(), SETTINGS)

    def test_bins_must_match(self, cohort, fitted):
        with pytest.raises(InputError, match="bins"):
            expect_isolates(cohort.counts[:, :-1], fitted)

    def test_progress_is_told(self, cohort):
        told = []
        fit_count_model(
            cohort.counts[:5], None, None, cohort.width, CountModelSettings(n_rounds=1), lambda *step: told.append(step)
        )
        assert [done for done, _ in told] == [0, 1, 2, 3]


def test_factors_follow_gc_where_no_reference_says_it():
    """Twenty libraries of sixty have more reads of GC-rich bins, up to 2.4 times; nobody has more than one copy."""
    rng = np.random.default_rng(8)
    excess = np.zeros(400)
    excess[rng.choice(400, 40, replace=False)] = rng.uniform(0.4, 0.9, 40)
    slope = np.where(np.arange(60) < 20, rng.normal(1, 0.1, 60), rng.normal(0, 0.1, 60))
    mean = rng.uniform(60, 150, (60, 1)) * np.exp(slope[:, None] * excess)
    counts = rng.poisson(mean).astype(np.float32)
    model = fit_count_model(counts, None, None, np.ones(400), CountModelSettings())
    found = expect_isolates(counts, model)
    calls = decode_isolates(counts, found.expected, found.dispersion, model)
    assert (calls.bin_class == MORE).mean() < 1e-3
