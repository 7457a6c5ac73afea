"""Segments: their edges, their copy number, their noise."""

import numpy as np
import pytest

from copyfold.cnv.bin_table import BinTable
from copyfold.cnv.normalise import CopyRatios
from copyfold.cnv.segmentation import (
    LEAST_SD,
    ExpectedDepths,
    GaussianSegmenter,
    Segmentation,
    neighbour_variance,
    segment_table,
)
from copyfold.cnv.store import Contigs
from copyfold.testing import small_config


@pytest.fixture
def segment(tmp_path):
    """``segment(ratios, contigs, **keys)``; the segmenter looks at nothing but copy ratios."""
    (tmp_path / "store").mkdir()

    def segment_ratios(ratios, contigs, **changes):
        config = small_config(tmp_path / "store", **changes)
        return GaussianSegmenter(BinTable(contigs), config, tmp_path / "none").segment(
            ExpectedDepths(None, None), ratios
        )

    return segment_ratios


def contigs_of(*lengths, size=1000):
    start = np.concatenate([np.arange(length) * size for length in lengths])
    chrom = np.repeat([f"c{number}" for number in range(len(lengths))], lengths)
    return Contigs(chrom, start, start + size)


def test_states_of_the_document_and_their_copy_numbers(segment, tmp_path):
    segmenter = GaussianSegmenter(BinTable(contigs_of(3)), small_config(tmp_path / "store"), tmp_path / "none")
    assert segmenter.means.tolist() == [0, 0.5, 1, 1.5, 2, 3]
    np.testing.assert_allclose(np.diag(segmenter.transition), 0.8)
    levels = np.array([0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 8.0])
    ratio = np.repeat(levels, 40)[None].astype(np.float32)
    masked = np.zeros(ratio.shape, dtype=bool)
    found = segment(CopyRatios(ratio, masked), contigs_of(ratio.shape[1]))
    middle = found.cn[0, 20::40]
    assert middle.tolist() == [0, 1, 1, 2, 2, 3, 3]


def test_segments_tile_every_contig_and_never_cross(segment):
    rng = np.random.default_rng(0)
    contigs = contigs_of(50, 30, 1)
    ratio = np.where(rng.random((6, 81)) < 0.1, 3.0, 1.0).astype(np.float32)
    ratios = CopyRatios(ratio, rng.random((6, 81)) < 0.1)
    ids = np.array([f"s{number}" for number in range(6)])
    table = segment_table(ids, segment(ratios, contigs), ratios, contigs)
    for _, sample in table.groupby("sample_id"):
        for chrom, part in sample.groupby("chrom"):
            length = {"c0": 50_000, "c1": 30_000, "c2": 1000}[chrom]
            assert part["x0"].iloc[0] == 0
            assert part["x1"].iloc[-1] == length
            assert (part["x0"].to_numpy()[1:] == part["x1"].to_numpy()[:-1]).all()
    assert (table["n_bins"].groupby(table["sample_id"]).sum() == 81).all()
    assert (table["n_masked"].groupby(table["sample_id"]).sum().to_numpy() == ratios.masked.sum(axis=1)).all()


def test_table_by_hand():
    state = np.array([[2, 2, 4, 4, 4]], dtype=np.int8)
    segmentation = Segmentation(state, np.array([[1, 1, 2, 2, 2]]), np.array([[1, 0.5, 1, 1, 0.7]], dtype=np.float32))
    ratios = CopyRatios(np.array([[1, 1.2, 2, 9, 2.2]], dtype=np.float32), np.array([[0, 0, 0, 1, 0]], dtype=bool))
    table = segment_table(np.array(["s"]), segmentation, ratios, contigs_of(4, 1))
    assert table["chrom"].tolist() == ["c0", "c0", "c1"]
    assert table[["x0", "x1"]].to_numpy().tolist() == [[0, 2000], [2000, 4000], [0, 1000]]
    assert table["cn"].tolist() == [1, 2, 2]
    np.testing.assert_allclose(table["confidence"], [0.75, 1.0, 0.7], rtol=1e-6)
    np.testing.assert_allclose(table["ratio"], [1.1, 2.0, 2.2], rtol=1e-6)


def test_masked_bins_are_imputed_and_a_contig_without_reads_is_unknown(segment):
    ratio = np.ones((1, 60), dtype=np.float32)
    ratio[0, 20:25] = 0.0
    ratio[0, 40:] = 0.0
    masked = ratio == 0.0
    found = segment(CopyRatios(ratio, masked), contigs_of(40, 20))
    assert (found.cn[0, :40] == 1).all()
    assert (found.cn[0, 40:] == -1).all()
    assert (found.confidence[0, 40:] == 0).all()


def test_variance_is_the_sample_s_own_and_blind_to_steps():
    rng = np.random.default_rng(1)
    ratio = 1 + rng.normal(0, [[0.1], [0.3]], (2, 4000))
    ratio[:, 1000:2000] += 2.0
    ratios = CopyRatios(ratio.astype(np.float32), np.zeros(ratio.shape, dtype=bool))
    np.testing.assert_allclose(np.sqrt(neighbour_variance(ratios, np.array([0, 4000]))), [0.1, 0.3], rtol=0.08)
    flat = CopyRatios(np.ones((1, 50), dtype=np.float32), np.zeros((1, 50), dtype=bool))
    assert neighbour_variance(flat, np.array([0, 50]))[0] == pytest.approx(LEAST_SD**2)


def test_every_contig_starts_afresh(segment):
    """A bin of ratio 2.4 is nearest to 2; as a fourth bin after three copies it would be worth no change of state."""
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.3, (1, 301))
    ratio = (np.r_[np.ones(200), np.full(100, 3.0), 2.4][None] + noise).astype(np.float32)
    ratio[0, -1] = 2.4
    ratios = CopyRatios(ratio, np.zeros(ratio.shape, dtype=bool))
    assert segment(ratios, contigs_of(200, 101)).cn[0, -2:].tolist() == [3, 3]
    assert segment(ratios, contigs_of(200, 100, 1)).cn[0, -2:].tolist() == [3, 2]


def test_one_bin_at_two_copies_is_a_gain_in_a_quiet_sample_and_noise_in_a_noisy_one(segment):
    rng = np.random.default_rng(0)
    ratio = 1 + rng.normal(0, [[0.05], [0.4]], (2, 400))
    ratio[:, 190:211] = 1.0
    ratio[:, 200] = 2.0
    ratios = CopyRatios(ratio.astype(np.float32), np.zeros(ratio.shape, dtype=bool))
    cn = segment(ratios, contigs_of(400)).cn[:, 198:203]
    assert cn.tolist() == [[1, 1, 2, 1, 1], [1, 1, 1, 1, 1]]


def test_learnt_means_follow_a_shifted_sample(segment):
    rng = np.random.default_rng(2)
    ratio = np.ones((1, 600), dtype=np.float32)
    ratio[0, 200:400] = 2.6
    ratio += rng.normal(0, 0.1, ratio.shape).astype(np.float32)
    ratios = CopyRatios(ratio, np.zeros(ratio.shape, dtype=bool))
    fixed = segment(ratios, contigs_of(600))
    learnt = segment(ratios, contigs_of(600), hmm_learn_means=True)
    assert (learnt.cn[0, 210:390] == 3).all()
    assert learnt.confidence[0, 210:390].mean() >= fixed.confidence[0, 210:390].mean() - 1e-3


def test_a_huge_copy_ratio_does_not_wrap_around(segment):
    ratio = np.ones((1, 400), dtype=np.float32)
    ratio[0, 200:220] = 300.0
    ratios = CopyRatios(ratio, np.zeros(ratio.shape, dtype=bool))
    found = segment(ratios, contigs_of(400), hmm_learn_means=True)
    assert (found.cn[0, 200:220] == 300).all()
