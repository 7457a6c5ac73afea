"""What must not change the calls of a cohort: the order of its samples, and their depth."""

from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from copyfold.cnv.bin_table import BinTable
from copyfold.cnv.callers import GeneCnvCaller, SegmentedDepths, spread_segments
from copyfold.cnv.config import CnvConfig
from copyfold.cnv.models.architecture import Depths, FitSession
from copyfold.cnv.models.pca_baseline import PcaBaseline
from copyfold.cnv.segmentation import ExpectedDepths, GaussianSegmenter, segment_table
from copyfold.cnv.simulation import hs11286_geometry, preset, simulate
from copyfold.core.console import Console

N_SAMPLES = 20
FEW = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Calls(NamedTuple):
    cn: np.ndarray
    crr: np.ndarray
    plasmid_cn: np.ndarray
    pcn: np.ndarray
    ratio: np.ndarray
    bin_cn: np.ndarray
    bin_confidence: np.ndarray


class Pipeline:
    """A fitted baseline and everything behind it, on arrays."""

    def __init__(self, folder):
        (folder / "store").mkdir()
        self.config = CnvConfig(store_path=folder / "store", out_dir=folder / "run", architecture="pca_baseline")
        self.cohort = simulate(preset("easy"), N_SAMPLES, 2, hs11286_geometry(260))
        counts = self.cohort.counts
        self.bins = BinTable(self.cohort.contigs)
        self.architecture = PcaBaseline(self.bins, self.config)
        session = FitSession(
            checkpoint=folder / "checkpoint.pth",
            last=folder / "last.pth",
            log=folder / "training_log.tsv",
            device=torch.device("cpu"),
            resume=False,
            console=Console(quiet=True),
        )
        self.architecture.fit(Depths(counts, np.median(counts, axis=1)), session)
        self.checkpoint = session.checkpoint
        self.caller = GeneCnvCaller(self.bins, self.config, session.checkpoint)

    def call(self, counts, plasmid_counts, low_coverage=10):
        config = self.config.model_copy(update={"hmm_low_cov_threshold": low_coverage})
        segmenter = GaussianSegmenter(self.bins, config, self.checkpoint)
        contigs, (gene,) = self.cohort.contigs, self.cohort.geometry.panel
        medians = np.median(counts, axis=1)
        depths = ExpectedDepths(counts, self.architecture.infer(Depths(counts, medians)).expected)
        ratios = segmenter.copy_ratios(depths)
        names = np.array([f"S{row}" for row in range(len(counts))])
        segments = segment_table(names, segmenter.segment(depths, ratios), ratios, contigs)
        bin_cn, bin_confidence = spread_segments(segments, names, contigs)
        calls = self.caller.call_chromosomal(gene, SegmentedDepths(depths, ratios.ratio, bin_cn, bin_confidence))
        plasmids = [self.caller.call_plasmid(depth, medians, None) for depth in plasmid_counts.T.astype(np.float64)]
        return Calls(
            calls.cn,
            calls.ratio,
            np.stack([found.cn for found in plasmids], axis=1),
            np.stack([found.ratio for found in plasmids], axis=1),
            ratios.ratio,
            bin_cn,
            bin_confidence,
        )

    @property
    def counts(self):
        return self.cohort.counts, self.cohort.plasmid_counts


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    return Pipeline(tmp_path_factory.mktemp("pipeline"))


@pytest.fixture(scope="module")
def calls(pipeline):
    return pipeline.call(*pipeline.counts)


def test_the_cohort_holds_what_the_properties_are_about(calls):
    assert {1, 2} <= set(calls.cn.tolist())
    assert {0, 1, 2} <= set(calls.plasmid_cn.ravel().tolist())
    assert {0, 1, 2} <= set(calls.bin_cn.ravel().tolist())


@FEW
@given(order=st.permutations(range(N_SAMPLES)))
def test_permuting_the_samples_permutes_the_calls(pipeline, calls, order):
    permuted = pipeline.call(*(counts[order] for counts in pipeline.counts))
    for name, expected, found in zip(Calls._fields, calls, permuted, strict=True):
        np.testing.assert_array_equal(found, expected[order], err_msg=name)


@FEW
@given(rows=st.lists(st.integers(0, N_SAMPLES - 1), min_size=1, max_size=N_SAMPLES, unique=True))
def test_a_sample_is_called_the_same_in_any_company(pipeline, calls, rows):
    some = pipeline.call(*(counts[rows] for counts in pipeline.counts))
    for name, expected, found in zip(Calls._fields, calls, some, strict=True):
        np.testing.assert_array_equal(found, expected[rows], err_msg=name)


@FEW
@given(factor=st.integers(2, 64))
def test_more_depth_with_thresholds_to_match_leaves_ratios_as_they_are(pipeline, calls, factor):
    counts, plasmid_counts = (counts * np.uint32(factor) for counts in pipeline.counts)
    deeper = pipeline.call(counts, plasmid_counts, low_coverage=10 * factor)
    for name in ("ratio", "crr", "pcn"):
        np.testing.assert_allclose(getattr(deeper, name), getattr(calls, name), rtol=1e-3, atol=1e-3, err_msg=name)
    np.testing.assert_array_equal(deeper.plasmid_cn, calls.plasmid_cn)
    np.testing.assert_array_equal(deeper.cn, calls.cn)


def test_twice_the_depth_leaves_ratios_nearly_as_they_are(pipeline, calls):
    deeper = pipeline.call(*(counts * np.uint32(2) for counts in pipeline.counts))
    np.testing.assert_array_equal(deeper.pcn, calls.pcn)
    np.testing.assert_array_equal(deeper.plasmid_cn, calls.plasmid_cn)
    # Fewer than 10 reads are masked whatever the depth, so a few bins change sides.
    np.testing.assert_allclose(deeper.crr, calls.crr, rtol=0.03)
    seen = pipeline.cohort.counts >= 20
    assert np.mean(np.isclose(deeper.ratio[seen], calls.ratio[seen], rtol=0.02)) > 0.99


@FEW
@given(sample=st.integers(0, N_SAMPLES - 1), copies=st.sampled_from([3, 5, 8]))
def test_more_copies_of_the_gene_are_called_as_such_and_touch_no_other_sample(pipeline, calls, sample, copies):
    counts, plasmid_counts = pipeline.counts
    (gene,) = pipeline.cohort.geometry.panel
    contigs = pipeline.cohort.contigs
    changed = counts.copy()
    changed[sample, (contigs.start < gene.end) & (contigs.end > gene.start)] *= copies
    found = pipeline.call(changed, plasmid_counts)
    assert found.cn[sample] >= 2
    assert found.crr[sample] > 1.5 * calls.crr[sample]
    others = np.arange(N_SAMPLES) != sample
    np.testing.assert_array_equal(found.cn[others], calls.cn[others])
    np.testing.assert_array_equal(found.crr[others], calls.crr[others])
