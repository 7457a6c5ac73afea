"""Is this sample fit to be called? Reads, coverage, the ori/ter gradient, and signs of another species."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from copyfold.cnv.counting.per_sample import SampleCounts
from copyfold.cnv.counting.tally import median

MIN_MAPPED_SHARE = 0.6
MIN_COVERED_SHARE = 0.7
USUAL_MAPPED_SHARE = 0.85

_WINDOWS = 128
_ORIGINS = 256
_ROUNDS = 10
_BISQUARE = 4.685
_HUBER = 1.345


class OriTer(NamedTuple):
    """Gradient of depth from the replication origin to the terminus.

    Attributes
    ----------
    ratio : float
        Depth at the origin over depth at the terminus, at least 1; NaN where it cannot be fitted.
    origin : float
        bp, the middle of the window the origin was found in; NaN likewise.
    """

    ratio: float
    origin: float


@dataclass(frozen=True)
class SampleQuality:
    """The quality record of one sample.

    Attributes
    ----------
    n_reads : int
        Reads in the file (records that are neither secondary nor supplementary).
    mapped_share : float
        Share of them that is mapped, NaN without reads.
    median_count : float
        Median over the chromosome's bins of read starts, at the chromosome's MAPQ.
    median_depth : float
        Likewise of the mean depth.
    covered_share : float
        Share of the chromosome's bins with at least one read start.
    ori_ter : OriTer
        Of the longest chromosome contig.
    flags : tuple of str
        Reasons not to call the sample, each with value and limit; empty for a sound one.
    hints : tuple of str
        What is odd about a sample that may be called.
    """

    n_reads: int
    mapped_share: float
    median_count: float
    median_depth: float
    covered_share: float
    ori_ter: OriTer
    flags: tuple[str, ...]
    hints: tuple[str, ...] = ()


def sample_quality(
    sample: SampleCounts,
    *,
    min_mapped_share: float = MIN_MAPPED_SHARE,
    min_covered_share: float = MIN_COVERED_SHARE,
) -> SampleQuality:
    """Judge a counted sample; with no contig that is a chromosome, all contigs stand for it."""
    chromosome = ~sample.plasmid_bins if not sample.is_plasmid.all() else np.ones(len(sample.contigs), bool)
    counts = sample.chromosome_counts
    n_reads = sample.totals.n_reads
    mapped_share = sample.totals.n_mapped / n_reads if n_reads else float("nan")
    covered_share = float((counts[chromosome] > 0).mean())
    flags = []
    if not n_reads:
        flags.append("the file holds no reads")
    else:
        if mapped_share < min_mapped_share:
            flags.append(
                f"{mapped_share:.1%} of the reads are mapped, below {min_mapped_share:.0%}: contamination or "
                "another species"
            )
        if covered_share < min_covered_share:
            flags.append(
                f"{covered_share:.1%} of the chromosome's bins hold a read, below {min_covered_share:.0%}: another "
                "species or too few reads"
            )
    hints = []
    if not flags and mapped_share < USUAL_MAPPED_SHARE:
        hints.append(
            f"{1 - mapped_share:.1%} of the reads are not of this reference, which is covered at {covered_share:.1%}: "
            "contamination, or plasmids that the reference lacks"
        )
    breaks = sample.contigs.chain_starts
    candidates = np.flatnonzero(chromosome[breaks[:-1]])
    longest = candidates[np.argmax(sample.contigs.end[breaks[candidates + 1] - 1])]
    piece = slice(int(breaks[longest]), int(breaks[longest + 1]))
    start, end = sample.contigs.start[piece], sample.contigs.end[piece]
    return SampleQuality(
        n_reads,
        mapped_share,
        float(median(counts[chromosome])),
        float(median(sample.chromosome_depth[chromosome])),
        covered_share,
        fit_ori_ter(counts[piece] / (end - start), (start + end) / 2, float(end[-1])),
        tuple(flags),
        tuple(hints),
    )


def fit_ori_ter(depth: np.ndarray, centre: np.ndarray, length: float) -> OriTer:
    """Fit log2 depth around a circular chromosome by a triangular wave with a free origin.

    Bins are gathered into windows of equal length whose median depth is taken, so that neither a short amplification
    nor a bin of repeats carries weight; for every origin on a grid, base and slope are fitted by least squares with
    bisquare weights, and the origin of the least Huber loss is kept.

    Parameters
    ----------
    depth : numpy.ndarray, (n_bins,)
        Depth of each bin, in any unit; bins of 0 are left out.
    centre : numpy.ndarray, (n_bins,)
        Middle of each, bp.
    length : float
        Of the chromosome, bp.

    Returns
    -------
    OriTer

    References
    ----------
    Korem T et al. Growth dynamics of gut microbiota in health and disease inferred from single metagenomic samples.
    Science 349:1101 (2015).
    """
    usable = depth > 0
    n_windows = min(_WINDOWS, int(usable.sum()) // 4)
    if n_windows < 8:
        return OriTer(float("nan"), float("nan"))
    window = np.minimum((centre / length * n_windows).astype(np.int64), n_windows - 1)
    medians = np.array([_median_depth(depth[usable & (window == k)]) for k in range(n_windows)])
    held = np.isfinite(medians)
    if held.sum() < 8:
        return OriTer(float("nan"), float("nan"))
    place = ((np.arange(n_windows) + 0.5) / n_windows)[held]
    signal = np.log2(medians[held])
    scale = max(1.4826 * float(median(np.abs(np.diff(signal)))) / np.sqrt(2), 1e-6)

    origins = (np.arange(_ORIGINS) + 0.5) / _ORIGINS
    distance = np.abs(place[None, :] - origins[:, None])
    wave = 1 - 4 * np.minimum(distance, 1 - distance)  # 1 at the origin, -1 opposite
    weight = np.ones_like(wave)
    for _ in range(_ROUNDS):
        total = weight.sum(axis=1)
        mean_wave, mean_signal = (weight * wave).sum(axis=1) / total, (weight * signal).sum(axis=1) / total
        centred = wave - mean_wave[:, None]
        spread = np.maximum((weight * centred**2).sum(axis=1), 1e-12)
        slope = (weight * centred * (signal - mean_signal[:, None])).sum(axis=1) / spread
        residual = signal - mean_signal[:, None] - slope[:, None] * centred
        spans = np.maximum(1.4826 * median(np.abs(residual), axis=1), scale)[:, None]
        weight = np.clip(1 - (residual / (_BISQUARE * spans)) ** 2, 1e-6, None) ** 2
    far = np.abs(residual) / scale
    loss = np.where(far <= _HUBER, far**2 / 2, _HUBER * (far - _HUBER / 2)).sum(axis=1)
    loss[slope < 0] = np.inf  # the same wave with origin and terminus exchanged
    if not np.isfinite(loss).any():
        return OriTer(1.0, float("nan"))
    best = int(np.argmin(loss))
    return OriTer(float(2 ** (2 * slope[best])), float(origins[best] * length))


def _median_depth(values: np.ndarray) -> float:
    return float(median(values)) if values.size else float("nan")
