"""From counts to model input and back, and from reconstructions to copy ratios."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np


def log_depth(counts: np.ndarray, medians: np.ndarray) -> np.ndarray:
    """Model input ``log2(count / median + 1)``.

    Parameters
    ----------
    counts : numpy.ndarray, (n_samples, n_bins), reads
    medians : numpy.ndarray, (n_samples,), reads
        The samples' medians; values below 1 are taken as 1.

    Returns
    -------
    numpy.ndarray, (n_samples, n_bins), float32
        1 at the sample's median depth, 0 without reads.
    """
    scale = np.maximum(medians, 1.0).astype(np.float32)[:, None]
    return np.log2(np.asarray(counts, dtype=np.float32) / scale + np.float32(1.0))


def depth_from_log(log_depths: np.ndarray, medians: np.ndarray) -> np.ndarray:
    """Inverse of `log_depth`, in reads; never negative. (n_samples, n_bins), float32."""
    scale = np.maximum(medians, 1.0).astype(np.float32)[:, None]
    return np.maximum(np.exp2(log_depths, dtype=np.float32) - np.float32(1.0), np.float32(0.0)) * scale


class CopyRatios(NamedTuple):
    """Copy ratios of a batch of samples.

    Attributes
    ----------
    ratio : numpy.ndarray, (n_samples, n_bins), float32
        Count over expected count, 1 at one copy; all 0 for a sample without reads.
    masked : numpy.ndarray, (n_samples, n_bins), bool
        Bins whose observed count is below the threshold.
    """

    ratio: np.ndarray
    masked: np.ndarray


def copy_ratios(counts: np.ndarray, reconstructions: np.ndarray, low_coverage: float) -> CopyRatios:
    """Copy ratio of each bin, by the documents' rules.

    The expected count is the reconstruction, or the sample's mean count where the reconstruction is below
    `low_coverage` reads. Ratios are then divided by their median over the sample's unmasked bins.

    Parameters
    ----------
    counts, reconstructions : numpy.ndarray, (n_samples, n_bins), reads
    low_coverage : float
        Reads below which a bin is masked (by its *observed* count: docs/methods/copy-number.md says what that
        costs) and a reconstruction is not divided by.
    """
    counts = np.asarray(counts, dtype=np.float32)
    masked = counts < low_coverage
    sample_mean = counts.mean(axis=1, dtype=np.float64).astype(np.float32)[:, None]
    usable_bin = (reconstructions >= low_coverage) & (reconstructions > 0)
    expected = np.where(usable_bin, reconstructions, np.maximum(sample_mean, 1e-6))
    ratio = counts / expected.astype(np.float32)
    centre = np.array(
        [np.median(row[~hidden]) if (~hidden).any() else 0.0 for row, hidden in zip(ratio, masked, strict=True)]
    )
    usable = centre > 0
    ratio[usable] /= centre[usable, None].astype(np.float32)
    return CopyRatios(ratio, masked)


def impute_masked(values: np.ndarray, masked: np.ndarray, chain_starts: np.ndarray) -> np.ndarray:
    """Replace masked bins by linear interpolation between their nearest unmasked neighbours on the same contig.

    Ends take the nearest unmasked value; a contig with no unmasked bin keeps its values.

    Parameters
    ----------
    values : numpy.ndarray, (n_samples, n_bins), float32
    masked : numpy.ndarray, (n_samples, n_bins), bool
    chain_starts : numpy.ndarray, (n_contigs + 1,), int64
        Offsets of the contigs, ending with n_bins.

    Returns
    -------
    numpy.ndarray, (n_samples, n_bins), float32
        A copy.
    """
    imputed = np.array(values, dtype=np.float32)
    for start, stop in pairwise(chain_starts.tolist()):
        positions = np.arange(start, stop)
        for row in np.flatnonzero(masked[:, start:stop].any(axis=1)):
            hidden = masked[row, start:stop]
            if not hidden.all():
                known = positions[~hidden]
                imputed[row, positions[hidden]] = np.interp(positions[hidden], known, values[row, known])
    return imputed
