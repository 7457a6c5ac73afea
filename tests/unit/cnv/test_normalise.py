"""Log depth, copy ratios, imputation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from copyfold.cnv.normalise import copy_ratios, depth_from_log, impute_masked, log_depth

COUNTS = hnp.arrays(np.uint32, (3, 12), elements=st.integers(0, 100_000))


@given(counts=COUNTS, medians=hnp.arrays(np.float64, 3, elements=st.floats(1, 10_000)))
def test_depth_and_its_log_are_inverse(counts, medians):
    back = depth_from_log(log_depth(counts, medians), medians)
    np.testing.assert_allclose(back, counts, rtol=1e-4, atol=1e-3 * medians.max())


def test_the_median_bin_is_one_and_an_empty_bin_nothing():
    assert log_depth(np.array([[50, 0, 150]]), np.array([50.0])).tolist() == [[1.0, 0.0, 2.0]]
    assert (depth_from_log(np.array([[-0.5]], dtype=np.float32), np.array([50.0])) == 0).all()


@given(counts=hnp.arrays(np.int64, (2, 20), elements=st.integers(40, 4000)), factor=st.integers(2, 20))
def test_copy_ratios_do_not_depend_on_depth(counts, factor):
    expected = np.full(counts.shape, 400.0)
    once = copy_ratios(counts, expected, 10)
    deeper = copy_ratios(counts * factor, expected * factor, 10)
    np.testing.assert_allclose(deeper.ratio, once.ratio, rtol=1e-5)


def test_copy_ratios_by_hand():
    counts = np.array([[100, 200, 100, 5, 100, 90]])
    reconstructions = np.array([[100, 100, 100, 100, 2, 100]], dtype=np.float32)
    found = copy_ratios(counts, reconstructions, 10)
    assert found.masked.tolist() == [[False, False, False, True, False, False]]
    mean = counts.mean()  # where the reconstruction is under the threshold
    raw = np.array([1.0, 2.0, 1.0, 0.05, 100 / mean, 0.9])
    centre = np.median(raw[[0, 1, 2, 4, 5]])
    np.testing.assert_allclose(found.ratio[0], raw / centre, rtol=1e-6)


def test_a_sample_without_reads_has_ratio_zero_and_no_warning():
    found = copy_ratios(np.zeros((1, 5), dtype=np.uint32), np.zeros((1, 5), dtype=np.float32), 10)
    assert (found.ratio == 0).all()
    assert found.masked.all()


def test_unmasked_ratios_have_median_one():
    rng = np.random.default_rng(0)
    counts = rng.poisson(80, (5, 301))
    found = copy_ratios(counts, np.full((5, 301), 55.0), 10)
    np.testing.assert_allclose(np.median(found.ratio, axis=1), 1.0, rtol=1e-6)


@pytest.mark.parametrize(
    ("masked", "expected"),
    [
        ([0, 1, 1, 0, 0, 0], [0, 1, 2, 3, 8, 9]),
        ([1, 0, 0, 0, 0, 0], [7, 7, 7, 3, 8, 9]),
        ([0, 0, 0, 1, 0, 0], [0, 7, 7, 7, 8, 9]),
        ([0, 0, 0, 0, 1, 0], [0, 7, 7, 3, 9, 9]),
        ([0, 0, 0, 0, 1, 1], [0, 7, 7, 3, 8, 9]),
    ],
)
def test_masked_bins_come_from_neighbours_on_the_same_contig(masked, expected):
    values = np.array([[0, 7, 7, 3, 8, 9]], dtype=np.float32)
    found = impute_masked(values, np.array([masked], dtype=bool), np.array([0, 4, 6]))
    assert found[0].tolist() == expected
    assert values[0].tolist() == [0, 7, 7, 3, 8, 9], "the input stays as it was"
