"""What one copy of a gene would show in each isolate, and how far counts stray: read off the chromosome."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

_TREND_BINS = 30
"""Waves longer than this many bins (replication, above all) are not a gene's: plasmids do not share them."""
_USUAL = 0.5
"""Natural logarithms of depth farther than this from the median are copies or absences, and fit nothing."""
_LEAST_DISPERSION = 1e-3
_MIN_BINS = 50
_FEW = 10


class GeneLevels(NamedTuple):
    """Expected reads and noise of plasmid genes.

    Attributes
    ----------
    level : numpy.ndarray, (n_samples, n_genes), float64
        Reads per bin that one copy per chromosome would show.
    dispersion : numpy.ndarray, (n_samples,), float64
        Variance of such counts beyond the Poisson's, relative to their squared mean.
    """

    level: np.ndarray
    dispersion: np.ndarray


def gene_levels(
    counts: np.ndarray,
    medians: np.ndarray,
    n_genes: int,
    gc: np.ndarray | None = None,
    gene_gc: np.ndarray | None = None,
) -> GeneLevels:
    """Read level and noise of plasmid genes off the chromosomal bins of the same isolates.

    A bin of a plasmid suffers what a bin of the chromosome does: counting noise, over-dispersion, GC, the library's
    and the batch's own ways. What is left in the chromosome's bins after the isolate's GC curve, the bin's own usual
    deviation and waves longer than `_TREND_BINS` is taken for the noise of a gene.

    Parameters
    ----------
    counts : numpy.ndarray, (n_samples, n_bins), reads per bin
        Of the chromosome.
    medians : numpy.ndarray, (n_samples,)
        The samples' medians, at least 1.
    n_genes : int
    gc : numpy.ndarray, (n_bins,), optional
        Share of G and C of the bins, 0..1.
    gene_gc : numpy.ndarray, (n_genes,), optional
        The same of the genes, NaN where unknown. Without either, the median is every gene's level.

    Returns
    -------
    GeneLevels
    """
    medians = np.asarray(medians, np.float64)
    with np.errstate(divide="ignore"):
        relative = np.log(np.asarray(counts, np.float64) / medians[:, None])
    usual = np.abs(relative) < _USUAL
    bias = np.zeros((len(medians), n_genes))
    if gc is not None and gene_gc is not None:
        powers = _gc_powers(gc, gc)
        at_genes = np.nan_to_num(_gc_powers(gene_gc, gc)) * np.isfinite(gene_gc)[:, None]
        for row, (values, keep) in enumerate(zip(relative, usual, strict=True)):
            if keep.sum() >= _MIN_BINS:
                curve = _fit(powers[keep], values[keep])
                relative[row] -= powers @ curve
                bias[row] = at_genes @ curve
    residual = np.where(usual, relative, np.nan)
    seen = np.isfinite(residual).sum(axis=0) >= min(_FEW, len(residual))
    residual = residual[:, seen]
    if len(residual) >= _FEW:  # fewer cannot say how a bin usually deviates: that then counts as noise
        residual = residual - np.nanmedian(residual, axis=0)
    residual = np.nan_to_num(residual)
    residual -= _trend(residual)
    kept = usual[:, seen]
    rows = zip(np.abs(residual), kept, strict=True)
    spread = np.array([np.median(row[keep]) if keep.any() else 0.0 for row, keep in rows])
    dispersion = np.maximum((1.4826 * spread) ** 2 - 1 / medians, _LEAST_DISPERSION)
    return GeneLevels(medians[:, None] * np.exp(bias), dispersion)


def _trend(values: np.ndarray) -> np.ndarray:
    """Medians of pieces of `_TREND_BINS` bins, joined by straight lines: the shape of `values`."""
    n_bins = values.shape[1]
    pieces = np.array_split(np.arange(n_bins), max(n_bins // _TREND_BINS, 1))
    centres = np.array([piece.mean() for piece in pieces])
    medians = np.stack([np.median(values[:, piece], axis=1) for piece in pieces], axis=1)
    return np.stack([np.interp(np.arange(n_bins), centres, row) for row in medians])


def _gc_powers(gc: np.ndarray, bins_gc: np.ndarray) -> np.ndarray:
    """Constant, GC and its square, around the bins' median: (n, 3)."""
    shifted = np.asarray(gc, np.float64) - np.median(bins_gc)
    return np.stack([np.ones_like(shifted), shifted, shifted**2], axis=1)


def _fit(design: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Least squares with three rounds of bisquare weights (Beaton and Tukey 1974): (n_columns,)."""
    weight = np.ones(len(values))
    for _ in range(3):
        curve = np.linalg.lstsq(design * weight[:, None], values * weight, rcond=None)[0]
        residual = values - design @ curve
        span = 4.685 * max(1.4826 * float(np.median(np.abs(residual))), 1e-6)
        weight = np.clip(1 - (residual / span) ** 2, 0, None)  # the square root of the bisquare's weight
    return curve
