"""``06_gene_cnv_caller``: each rule of the documents, by hand-made cases."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from copyfold.cnv.bin_table import BinTable
from copyfold.cnv.callers import GeneCnvCaller, SegmentedDepths, copy_ratio_ratio, plasmid_targets, spread_segments
from copyfold.cnv.coordinates import Gene
from copyfold.cnv.normalise import CopyRatios
from copyfold.cnv.segmentation import ExpectedDepths, Segmentation, segment_table
from copyfold.cnv.store import Contigs
from copyfold.errors import InputError

N_BINS = 400
CONTIGS = Contigs(np.full(N_BINS, "c"), np.arange(N_BINS) * 1000, np.arange(1, N_BINS + 1) * 1000)
SHORT = Gene("short", "c", 200_402, 201_263)
"""Two bins, 598 and 263 bp, as blaSHV."""
LONG = Gene("long", "c", 200_000, 204_000)
CONFIG = SimpleNamespace(
    cnv_min_cn1_proportion=0.55,
    cnv_min_confidence=0.5,
    cnv_flank_padding=100_000,
    cnv_crr_amp_threshold=1.75,
    cnv_crr_gate_threshold=1.75,
    cnv_crr_min_bins_fallback=3,
    cnv_min_gene_coverage_fraction=0.5,
    pcn_absent_threshold=0.2,
    pcn_amp_threshold=1.5,
)


def caller(contigs):
    return GeneCnvCaller(BinTable(contigs), CONFIG, Path("no checkpoint is read"))


def call(gene, *, segment_cn=1, copies=1.0, confidence=0.9, where=slice(198, 206), normal_share=1.0):
    """One sample: `copies` and `segment_cn` over `where`, cn 1 over `normal_share` of the rest."""
    ratio = np.ones((1, N_BINS))
    ratio[0, where] = copies
    cn = np.ones((1, N_BINS), dtype=int)
    cn[0, : round((1 - normal_share) * N_BINS)] = 0
    cn[0, where] = segment_cn
    certainty = np.full((1, N_BINS), 0.9)
    certainty[0, where] = confidence
    batch = SegmentedDepths(ExpectedDepths(None, None), ratio, cn, certainty)
    found = caller(CONTIGS).call_chromosomal(gene, batch)
    return int(found.cn[0]), float(found.ratio[0])


@pytest.mark.parametrize(
    ("segment_cn", "copies", "expected"),
    [
        (1, 1.0, 1),
        (1, 1.74, 1),
        (1, 1.75, 2),
        (-1, 3.0, 2),
        (-1, 1.0, -1),
        (0, 0.0, 0),
        (0, 3.0, 0),
        (2, 1.6, 2),
        (3, 8.0, 3),
    ],
)
def test_a_short_gene_takes_its_segment_and_becomes_2_by_crr(segment_cn, copies, expected):
    assert call(SHORT, segment_cn=segment_cn, copies=copies) == (expected, pytest.approx(copies))


def test_a_short_gene_takes_the_segment_that_holds_most_of_it():
    assert call(SHORT, segment_cn=2, copies=2.0, where=slice(200, 201))[0] == 2  # 598 of 861 bp
    assert call(SHORT, segment_cn=2, copies=2.0, where=slice(201, 202))[0] == 1  # 263 of 861 bp


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"segment_cn": 2, "copies": 2.0}, 2),
        ({"segment_cn": 3, "copies": 5.0}, 2),
        ({"segment_cn": 2, "copies": 1.7}, 1),
        ({"segment_cn": 1, "copies": 3.0}, 1),
        ({"segment_cn": 2, "copies": 3.0, "confidence": 0.49}, 1),
        ({"segment_cn": 2, "copies": 4.0, "where": slice(200, 202)}, 2),
        ({"segment_cn": 2, "copies": 9.0, "where": slice(200, 201)}, 1),
        ({"segment_cn": 0, "copies": 0.0}, 0),
    ],
)
def test_a_longer_gene_needs_confident_segments_and_crr(change, expected):
    assert call(LONG, **change)[0] == expected


@pytest.mark.parametrize(("share", "expected"), [(0.6, 1), (0.54, -1)])
def test_a_sample_with_too_few_normal_bins_is_not_called(share, expected):
    assert call(SHORT, normal_share=share, where=slice(0, 0))[0] == expected


def test_unconfident_bins_do_not_make_a_sample_callable():
    assert call(SHORT, confidence=0.2, where=slice(0, 300))[0] == -1


def test_crr_by_hand_and_by_scaling():
    rng = np.random.default_rng(0)
    ratio = rng.uniform(0.5, 2.0, (3, 10))
    gene, weights, flank = np.array([4, 5]), np.array([0.7, 0.3]), np.array([0, 1, 9])
    expected = [(0.7 * row[4] + 0.3 * row[5]) / row[[0, 1, 9]].mean() for row in ratio]
    np.testing.assert_allclose(copy_ratio_ratio(ratio, gene, weights, flank), expected)
    np.testing.assert_allclose(copy_ratio_ratio(7 * ratio, gene, weights, flank), expected)
    assert np.isnan(copy_ratio_ratio(np.zeros((1, 10)), gene, weights, flank)[0])


def test_a_contig_too_short_for_its_flank_says_what_to_change():
    contigs = Contigs(np.full(5, "c"), np.arange(5) * 1000, np.arange(1, 6) * 1000)
    ones = np.ones((1, 5))
    with pytest.raises(InputError, match="lower cnv_flank_padding"):
        caller(contigs).call_chromosomal(
            Gene("g", "c", 0, 900), SegmentedDepths(ExpectedDepths(None, None), ones, ones.astype(int), ones)
        )


@pytest.mark.parametrize(
    ("depth", "median", "threshold", "expected"),
    [
        (19.9, 100, None, 0),
        (20.0, 100, None, 1),
        (149.0, 100, None, 1),
        (150.0, 100, None, 2),
        (40.0, 100, 0.5, 0),
        (0.0, 100, 0.0, 1),
        (np.nan, 100, None, -1),
        (50.0, 0, None, -1),
    ],
)
def test_plasmid_copy_number(depth, median, threshold, expected):
    found = caller(CONTIGS).call_plasmid(np.array([depth]), np.array([float(median)]), threshold)
    assert found.cn[0] == expected
    if expected >= 0:
        assert found.ratio[0] == pytest.approx(depth / median)


def test_members_of_a_family_are_summed_and_others_keep_their_names():
    genes = np.array(["blaKPC-2", "blaNDM-1", "blaNDM-5", "sul1"])
    table = (
        Gene("blaKPC-2", "c", 0, 1, 0.3),
        Gene("blaNDM-1", "c", 0, 1, 0.5),
        Gene("blaNDM-5", "c", 0, 1, 0.2),
    )
    targets, members = plasmid_targets(genes, table)
    assert [tuple(target) for target in targets] == [
        ("blaKPC-2", [0], 0.3),
        ("blaNDM", [1, 2], 0.2),
        ("sul1", [3], None),
    ]
    assert [tuple(member) for member in members] == [("blaNDM-1", [1], 0.5), ("blaNDM-5", [2], 0.2)]
    own_line = (*table, Gene("blaNDM", "c", 0, 1, 0.0))
    assert plasmid_targets(genes, own_line)[0][1].absent_threshold == 0.0


def test_segments_spread_back_to_bins():
    rng = np.random.default_rng(4)
    contigs = Contigs(np.repeat(["a", "b"], [7, 5]), np.r_[np.arange(7), np.arange(5)] * 1000, np.zeros(12, int))
    contigs = Contigs(contigs.chrom, contigs.start, contigs.start + 1000)
    state = rng.integers(0, 3, (4, 12)).astype(np.int8)
    ids = np.array(["s1", "s2", "s3", "s4"])
    segmentation = Segmentation(state, state, np.full((4, 12), 0.7, dtype=np.float32))
    ratios = CopyRatios(np.ones((4, 12), dtype=np.float32), np.zeros((4, 12), dtype=bool))
    table = segment_table(ids, segmentation, ratios, contigs)
    cn, confidence = spread_segments(table.sample(frac=1, random_state=0), ids, contigs)
    np.testing.assert_array_equal(cn, state)
    np.testing.assert_allclose(confidence, 0.7, rtol=1e-6)
    partly, _ = spread_segments(table[table["chrom"] == "a"], ids, contigs)
    assert (partly[:, 7:] == -1).all()
    with pytest.raises(InputError, match="not in the store"):
        spread_segments(table.assign(chrom="other"), ids, contigs)
