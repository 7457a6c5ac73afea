"""The quality record: the ori/ter fit against planted waves, and the flags."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pysam
import pytest

from copyfold.cnv.counting import bins_of, count_bam, fit_ori_ter, sample_quality
from copyfold.cnv.counting.tally import median

LENGTH = 5_000_000.0
CENTRE = np.arange(500.0, LENGTH, 1_000)


def planted_depth(ratio: float, origin: float, depth: float, seed: int) -> np.ndarray:
    distance = np.abs(CENTRE - origin) / LENGTH
    wave = 1 - 4 * np.minimum(distance, 1 - distance)
    return np.random.default_rng(seed).poisson(depth * 2 ** (wave * np.log2(ratio) / 2)).astype(float)


@pytest.mark.parametrize(("ratio", "origin"), [(1.2, 0.1e6), (1.6, 2.4e6), (3.0, 4.9e6)])
@pytest.mark.parametrize("depth", [30.0, 600.0])
def test_a_planted_gradient_is_found(ratio: float, origin: float, depth: float) -> None:
    fit = fit_ori_ter(planted_depth(ratio, origin, depth, 1), CENTRE, LENGTH)
    assert fit.ratio == pytest.approx(ratio, rel=0.03)
    off = abs(fit.origin - origin)
    assert min(off, LENGTH - off) < 150_000


def test_amplified_and_deleted_regions_do_not_bend_it() -> None:
    depth = planted_depth(1.5, 1e6, 200, 2)
    depth[2_000:2_300] *= 4
    depth[3_500:3_700] = 0
    depth[100:160] *= 10
    fit = fit_ori_ter(depth, CENTRE, LENGTH)
    assert fit.ratio == pytest.approx(1.5, rel=0.04)


def test_flat_depth_has_a_ratio_of_one() -> None:
    assert fit_ori_ter(planted_depth(1.0, 0, 600, 3), CENTRE, LENGTH).ratio < 1.02


@pytest.mark.parametrize("depth", [np.zeros(5_000), np.r_[np.ones(20), np.zeros(4_980)]])
def test_too_little_depth_gives_no_ratio(depth: np.ndarray) -> None:
    assert np.isnan(fit_ori_ter(depth, CENTRE, LENGTH).ratio)


def starts_bam(path: Path, starts: list[int], n_unmapped: int) -> Path:
    header = {"SQ": [{"SN": "chr", "LN": 10_000}, {"SN": "p", "LN": 1_000}]}
    with pysam.AlignmentFile(str(path), "wb", header=header) as out:
        for start in starts + [-1] * n_unmapped:
            record = pysam.AlignedSegment(out.header)
            record.query_name, record.query_sequence, record.mapping_quality = "r", "A" * 50, 60
            record.flag, record.reference_id, record.reference_start = (4, -1, -1) if start < 0 else (0, 0, start)
            record.cigarstring = None if start < 0 else "50M"
            out.write(record)
    return path


@pytest.mark.parametrize(
    ("starts", "n_unmapped", "reasons"),
    [
        (list(range(0, 9_900, 500)), 3, []),
        (list(range(0, 9_900, 500)), 40, ["33.3% of the reads are mapped"]),
        ([100, 200, 1_300], 0, ["20.0% of the chromosome's bins"]),
        ([], 0, ["no reads"]),
        ([], 5, ["0.0% of the reads are mapped", "0.0% of the chromosome's bins"]),
    ],
)
def test_flags_say_what_is_wrong(tmp_path: Path, starts: list[int], n_unmapped: int, reasons: list[str]) -> None:
    bam = starts_bam(tmp_path / "a.bam", starts, n_unmapped)
    quality = sample_quality(count_bam(bam, bins_of({"chr": 10_000, "p": 1_000}), is_plasmid=[False, True]))
    assert len(quality.flags) == len(reasons)
    assert all(reason in flag for reason, flag in zip(reasons, quality.flags, strict=True))
    assert quality.n_reads == len(starts) + n_unmapped


def test_median_depth_is_of_the_chromosome(tmp_path: Path) -> None:
    bam = starts_bam(tmp_path / "a.bam", list(range(0, 9_950, 10)), 0)
    quality = sample_quality(count_bam(bam, bins_of({"chr": 10_000, "p": 1_000}), is_plasmid=[False, True]))
    assert quality.median_count == 100
    assert quality.median_depth == pytest.approx(5.0)
    assert quality.covered_share == 1


@pytest.mark.parametrize("n", [1, 2, 7, 8])
def test_median_is_numpys(n):
    values = np.random.default_rng(n).normal(size=(5, n))
    np.testing.assert_array_equal(median(values, axis=1), np.median(values, axis=1))
    np.testing.assert_array_equal(median(values[:, 0]), np.median(values[:, 0]))
