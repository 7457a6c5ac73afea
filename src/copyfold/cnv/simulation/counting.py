"""From copies to reads: the expected count of each bin, and negative-binomial draws around it."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d

UINT32_MAX = np.iinfo(np.uint32).max


def gc_response(gc: np.ndarray, slope: float, curvature: float, centre: float) -> np.ndarray:
    """log2 depth over GC: slope × (gc − centre) + curvature × (gc − centre)².

    Parameters
    ----------
    gc : numpy.ndarray
        Fraction of 1.
    slope, curvature, centre : float
        log2 per unit GC, log2 per squared unit, fraction of 1.

    References
    ----------
    Benjamini Y, Speed TP. Summarizing and correcting the GC content bias in high-throughput sequencing.
    Nucleic Acids Res 40:e72 (2012).
    """
    shifted = gc - centre
    return slope * shifted + curvature * shifted**2


def smooth_wave(rng: np.random.Generator, n_bins: int, sd: float, width: float) -> np.ndarray:
    """A random circular log2 profile, standard deviation `sd`, smooth over about `width` bins: (n_bins,)."""
    wave = gaussian_filter1d(rng.standard_normal(n_bins), max(width, 1e-6), mode="wrap")
    spread = wave.std()
    return (wave - wave.mean()) * (sd / spread) if spread > 0 else np.zeros(n_bins)


def expected_counts(
    depth: float,
    width_share: np.ndarray,
    mapped: np.ndarray,
    log2_bias: np.ndarray,
    copies: np.ndarray,
    stray: np.ndarray,
) -> np.ndarray:
    """Mean reads per bin: depth × width × mapped share × (2^bias × copies + stray).

    Parameters
    ----------
    depth : float
        Reads per full-width bin at one copy.
    width_share : numpy.ndarray, (n_bins,)
        Bin length over the full width.
    mapped : numpy.ndarray, (n_bins,)
        Share of reads that map, 0 to 1.
    log2_bias : numpy.ndarray, (n_bins,)
        GC, replication, batch and bin effects together.
    copies : numpy.ndarray, (n_bins,)
        Mean true copies.
    stray : numpy.ndarray, (n_bins,)
        Stray reads in units of one copy.

    Returns
    -------
    numpy.ndarray, (n_bins,), float64
    """
    return depth * width_share * mapped * (np.exp2(log2_bias) * copies + stray)


def negative_binomial(rng: np.random.Generator, mean: np.ndarray, dispersion: float) -> np.ndarray:
    """Counts of variance mean + dispersion × mean² (gamma mixture of Poissons): uint32, shape of `mean`."""
    rate = mean * (rng.standard_gamma(1 / dispersion, size=mean.shape) * dispersion)
    return np.minimum(rng.poisson(rate), UINT32_MAX).astype(np.uint32)
