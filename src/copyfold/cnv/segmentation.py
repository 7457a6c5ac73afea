"""``02_gaussian_hmm``: from copy ratios to segments of constant copy number."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import pandas as pd

from copyfold.cnv.bin_table import BinTable
from copyfold.cnv.config import CnvConfig
from copyfold.cnv.normalise import CopyRatios, copy_ratios, impute_masked
from copyfold.cnv.store import Contigs
from copyfold.hmm import decode_gaussian, fit_means, transition_matrix

STATE_MEANS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0)
"""Copy ratios the states stand at; a model of k states takes the first k."""
LEAST_SD = 0.05
"""Emission standard deviation is never below this: at great depth the model's error, not counting, is the noise."""


class ExpectedDepths(NamedTuple):
    """Counts of a batch of samples beside what they would be at one copy.

    Attributes
    ----------
    counts : numpy.ndarray, (n_samples, n_bins), reads
    expected : numpy.ndarray, (n_samples, n_bins), float32, reads
        Reconstructions.
    dispersion : numpy.ndarray or None, (n_samples,), float32
        As in `copyfold.cnv.models.architecture.Inference`.
    """

    counts: np.ndarray
    expected: np.ndarray
    dispersion: np.ndarray | None = None


class Segmentation(NamedTuple):
    """Copy number of every bin of a batch.

    Attributes
    ----------
    state : numpy.ndarray, (n_samples, n_bins), int8
        State of the most probable path; a segment is a run of one state on one contig.
    cn : numpy.ndarray, (n_samples, n_bins), int16
        The state's mean with halves rounded up; −1 on a contig where every bin is masked.
    confidence : numpy.ndarray, (n_samples, n_bins), float32
        Posterior probability of that cn (of all states with that cn together).
    mixed : numpy.ndarray or None, (n_samples, n_bins), bool
        Part of the culture has more than one copy, most of it has `cn`; None from a segmenter that cannot tell.
    """

    state: np.ndarray
    cn: np.ndarray
    confidence: np.ndarray
    mixed: np.ndarray | None = None


class Segmenter(Protocol):
    """The contract of an ``hmm`` module, tested by `copyfold.testing.SegmenterContract`.

    Constructed as ``Segmenter(bins, config, checkpoint)``; `checkpoint` is the fitted architecture's.
    """

    def __init__(self, bins: BinTable, config: CnvConfig, checkpoint: Path) -> None: ...

    def copy_ratios(self, depths: ExpectedDepths) -> CopyRatios: ...

    def segment(self, depths: ExpectedDepths, ratios: CopyRatios) -> Segmentation: ...


class GaussianSegmenter:
    """The registered segmenter ``02_gaussian_hmm``.

    Parameters
    ----------
    bins : BinTable
    config : CnvConfig
        Its ``hmm_*`` keys.
    checkpoint : Path
        Not read: the copy ratios are all that is segmented.
    """

    def __init__(self, bins: BinTable, config: CnvConfig, checkpoint: Path) -> None:
        self.contigs = bins.contigs
        self.low_coverage = config.hmm_low_cov_threshold
        self.learn_means = config.hmm_learn_means
        self.means = np.array(STATE_MEANS[: config.hmm_n_states])
        self.transition = transition_matrix(config.hmm_n_states, config.hmm_self_transition)
        self.start = np.full(config.hmm_n_states, 1.0 / config.hmm_n_states)

    def copy_ratios(self, depths: ExpectedDepths) -> CopyRatios:
        """Copy ratios by the documents' rules; see `copyfold.cnv.normalise.copy_ratios`."""
        return copy_ratios(depths.counts, depths.expected, self.low_coverage)

    def segment(self, depths: ExpectedDepths, ratios: CopyRatios) -> Segmentation:
        """Decode a batch of samples by their copy ratios; see `Segmentation`."""
        chains = self.contigs.chain_starts
        observed = impute_masked(ratios.ratio, ratios.masked, chains).astype(np.float64)
        variances = neighbour_variance(ratios, chains)
        means = self.means
        if self.learn_means:
            means = fit_means(observed, self.means, variances, self.transition, self.start, chains)
        decoded = decode_gaussian(observed, means, variances, self.transition, self.start, chains)
        cn_of_state = np.floor(np.broadcast_to(means, (len(observed), len(self.means))) + 0.5)
        cn_of_state = np.minimum(cn_of_state, np.iinfo(np.int16).max).astype(np.int16)
        state = decoded.path
        cn = np.take_along_axis(cn_of_state, state.astype(np.intp), axis=1)
        confidence = np.zeros(cn.shape, dtype=np.float32)
        for number in range(len(self.means)):
            confidence += np.where(cn_of_state[:, number, None] == cn, decoded.posteriors[:, :, number], 0)
        for start, stop in pairwise(chains.tolist()):
            unusable = ratios.masked[:, start:stop].all(axis=1)
            state[unusable, start:stop] = 0
            cn[unusable, start:stop] = -1
            confidence[unusable, start:stop] = 0.0
        return Segmentation(state, cn, np.minimum(confidence, np.float32(1.0)))


def neighbour_variance(ratios: CopyRatios, chain_starts: np.ndarray) -> np.ndarray:
    """Each sample's emission variance, from differences of neighbouring unmasked bins: (n_samples,), float64.

    The median absolute difference, scaled to a standard deviation and divided by √2, is blind to the few steps
    where copy number changes (as DNAcopy and CNVkit estimate noise). At least `LEAST_SD` squared.
    """
    boundary = np.zeros(ratios.ratio.shape[1] - 1, dtype=bool)
    boundary[chain_starts[1:-1] - 1] = True
    usable = ~ratios.masked[:, 1:] & ~ratios.masked[:, :-1] & ~boundary
    differences = np.abs(np.diff(ratios.ratio, axis=1))
    medians = [np.median(row[keep]) if keep.any() else 0.0 for row, keep in zip(differences, usable, strict=True)]
    return np.maximum(1.4826 * np.array(medians, dtype=np.float64) / np.sqrt(2.0), LEAST_SD) ** 2


def segment_table(
    sample_ids: np.ndarray, segmentation: Segmentation, ratios: CopyRatios, contigs: Contigs
) -> pd.DataFrame:
    """Segments of a batch, in order of sample and genome.

    Returns
    -------
    pandas.DataFrame
        sample_id, chrom, x0, x1 (bp, 0-based half-open), cn, confidence (mean posterior of cn), ratio (mean copy
        ratio over the unmasked bins, NaN without any), n_bins, n_masked, mixed.
    """
    n_samples, n_bins = segmentation.state.shape
    new = np.ones((n_samples, n_bins), dtype=bool)
    new[:, 1:] = segmentation.state[:, 1:] != segmentation.state[:, :-1]
    new[:, contigs.chain_starts[:-1]] = True
    first = np.flatnonzero(new)
    last = np.append(first[1:], n_samples * n_bins) - 1
    sizes = last - first + 1
    masked = np.add.reduceat(ratios.masked.ravel().astype(np.int64), first)
    unmasked_ratio = np.where(ratios.masked, np.float32(0), ratios.ratio).ravel().astype(np.float64)
    with np.errstate(invalid="ignore"):
        ratio = np.add.reduceat(unmasked_ratio, first) / np.where(sizes > masked, sizes - masked, np.nan)
    rows, columns = np.divmod(first, n_bins)
    return pd.DataFrame(
        {
            "sample_id": sample_ids[rows],
            "chrom": contigs.chrom[columns],
            "x0": contigs.start[columns],
            "x1": contigs.end[last % n_bins],
            "cn": segmentation.cn.ravel()[first].astype(np.int16),
            "confidence": (np.add.reduceat(segmentation.confidence.ravel().astype(np.float64), first) / sizes),
            "ratio": ratio,
            "n_bins": sizes,
            "n_masked": masked,
            "mixed": False if segmentation.mixed is None else segmentation.mixed.ravel()[first],
        }
    )
