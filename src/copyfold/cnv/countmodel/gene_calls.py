"""Copies of genes, from the posteriors of the bins that they lie in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from copyfold.cnv.coordinates import GeneBins
from copyfold.cnv.countmodel.factors import total_dispersion
from copyfold.cnv.countmodel.fitting import CountModel, IsolateCalls
from copyfold.cnv.countmodel.states import (
    ABSENT,
    END_OF_GAIN,
    END_OF_MIXED,
    LEVEL,
    MIXED,
    MORE,
    STRAY,
    StateChain,
    build_chain,
)
from copyfold.errors import InputError

REACH = 20
"""Bins on either side of a gene that its event's depth ratio is taken from at most."""

MIN_EXPECTED = 1.0
"""Expected reads per bin below which a gene cannot be called, nor a bin add to a depth ratio."""

MAX_QUALITY = 99.0
Z_95 = 1.959964

LOW_DEPTH, UNMAPPED = "low depth", "unmapped bins"
"""Reasons for a copy number of −1."""

WINDOWS = (1, 2, 4, 8, 16, 32)
"""Lengths, in bins, at which the excess variance of window means is measured."""

CALIBRATION_SD = 0.01
"""Relative error of any depth ratio, however long its event."""


class GeneCopies(NamedTuple):
    """Copies of G genes in n isolates.

    Attributes
    ----------
    cn : numpy.ndarray, (n, G), int16
        Copy number; −1 where it cannot be called. A mixed gene has 1: most of the culture's cells do.
    copies : numpy.ndarray, (n, G), float32
        Posterior mean copies of the event that covers the gene; NaN where cn is −1.
    depth_ratio, lower, upper : numpy.ndarray, (n, G), float32
        Depth over expected depth of the event's fully covered bins near the gene, and its 95 % interval. Without such
        bins: the posterior mean and quantiles of the copies.
    quality : numpy.ndarray, (n, G), float32
        Phred-scaled probability that the class called (absent, one, mixed, more) is wrong, at most 99.
    mixed : numpy.ndarray, (n, G), bool
        Part of the culture has more than one copy.
    reason : numpy.ndarray, (n, G), str
        Why cn is −1: `LOW_DEPTH` or `UNMAPPED`; else empty.
    """

    cn: np.ndarray
    copies: np.ndarray
    depth_ratio: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    quality: np.ndarray
    mixed: np.ndarray
    reason: np.ndarray


def call_genes(counts: np.ndarray, calls: IsolateCalls, model: CountModel, genes: Sequence[GeneBins]) -> GeneCopies:
    """Call the copies of genes.

    Parameters
    ----------
    counts : numpy.ndarray, (n, B), reads
        What `calls` were inferred from.
    calls : IsolateCalls
        Their `watched_bins` must include all bins of the genes.
    model : CountModel
    genes : sequence of GeneBins
        Bins and weights (any positive unit); the contig's bins are not used.

    Returns
    -------
    GeneCopies
    """
    counts = np.asarray(counts, np.float32)
    chain = build_chain(model.settings)
    excess = window_excess(counts, calls, model)
    parts = [_call_gene(counts, calls, model, chain, gene, excess) for gene in genes]
    if not parts:
        raise InputError("no genes to call")
    return GeneCopies(*(np.stack(columns, axis=1) for columns in zip(*parts, strict=True)))


def window_excess(counts: np.ndarray, calls: IsolateCalls, model: CountModel) -> np.ndarray:
    """Relative variance of window means of one-copy bins beyond what counts explain, for each of `WINDOWS`.

    What the expected depth misses (waves, unnoticed divergence, errors of the baseline) is correlated between
    neighbouring bins and does not average out within an event. This measures it on the cohort itself.

    Parameters
    ----------
    counts : numpy.ndarray, (n, B), float32, reads
    calls : IsolateCalls
    model : CountModel

    Returns
    -------
    numpy.ndarray, (len(WINDOWS),), float64
    """
    chain = build_chain(model.settings)
    deep = calls.depth > 2 * model.settings.min_depth
    mean, reads = calls.expected[deep], counts[deep]
    one = (calls.state[deep] == chain.plain) & (mean > 5)
    dispersion = total_dispersion(calls.dispersion[deep], model.effects)
    variance = mean + dispersion * mean * mean
    excess = np.zeros(len(WINDOWS))
    for k, length in enumerate(WINDOWS):
        one_sum, mean_sum, reads_sum, variance_sum = (
            _window_sums(x, length) for x in (one.astype(np.float32), mean, reads, variance)
        )
        whole = one_sum == length
        if not whole.any():
            break
        total = mean_sum[whole].astype(float)
        expected_variance = variance_sum[whole] / total**2
        deviation = reads_sum[whole] / total - 1
        beyond = (deviation**2 - expected_variance) / expected_variance
        excess[k] = max(beyond.sum() / (1 / expected_variance).sum(), 0.0)
    return excess


def _window_sums(values: np.ndarray, length: int) -> np.ndarray:
    """Return the sums over adjacent windows of bins, (n, B // length)."""
    n_windows = values.shape[1] // length
    return values[:, : n_windows * length].reshape(len(values), n_windows, length).sum(axis=2)


def _call_gene(
    counts: np.ndarray,
    calls: IsolateCalls,
    model: CountModel,
    chain: StateChain,
    gene: GeneBins,
    excess: np.ndarray,
) -> GeneCopies:
    """Call one gene in all isolates; fields are (n,)."""
    settings = model.settings
    bins, weights = np.asarray(gene.bins), np.asarray(gene.weights, float)
    place = {int(b): k for k, b in enumerate(calls.watched_bins)}
    if len(bins) == 0 or len(bins) != len(weights) or not (weights > 0).all():
        raise InputError("a gene needs bins and a weight above 0 for each of them")
    if not all(int(b) in place for b in bins):
        raise InputError(f"bins {gene.bins} of a gene are not among the watched bins of the calls")
    weights = weights / weights.sum()
    posterior = np.einsum("nws,w->ns", calls.watched[:, [place[int(b)] for b in bins]].astype(float), weights)
    gain = (chain.state_class == MORE) | ((chain.state_class == END_OF_GAIN) & (chain.copies >= 2))
    mix = np.isin(chain.state_class, (MIXED, END_OF_MIXED))
    p_gain, p_mixed = posterior[:, gain].sum(axis=1), posterior[:, mix].sum(axis=1)
    p_more = p_gain + p_mixed
    p_absent = calls.classes[:, bins, ABSENT].astype(float) @ weights
    event = (posterior * chain.copies)[:, gain | mix].sum(axis=1) / np.maximum(p_more, 1e-9)
    plain = calls.copies[:, bins].astype(float) @ weights

    more = (p_more > 0.5) & (p_absent <= 0.5)
    mixed = more & (p_mixed > settings.mixed_certainty * p_more)
    cn = np.where(p_absent > 0.5, 0, np.where(more & ~mixed, np.maximum(np.rint(event), 2), 1))
    copies = np.where(more, event, plain)
    probability = np.select(
        [p_absent > 0.5, mixed, more], [p_absent, p_mixed, p_more], default=1 - np.minimum(p_absent + p_more, 1)
    )
    quality = np.minimum(-10 * np.log10(np.clip(1 - probability, 1e-10, 1)), MAX_QUALITY)

    low_depth = calls.depth < settings.min_depth
    unmapped = ~low_depth & (calls.expected[:, bins] @ weights < MIN_EXPECTED)
    uncalled = low_depth | unmapped
    interval = np.full((len(counts), 3), np.nan)
    anchor = bins[np.argsort(-weights, kind="stable")]
    for i in np.flatnonzero(~uncalled):
        window = _event_window(calls.state[i], anchor, chain)
        window = window[calls.expected[i, window] > MIN_EXPECTED]
        if len(window):
            interval[i] = _depth_ratio(counts[i], calls, model, chain, i, window, excess)
        else:
            interval[i] = copies[i], *_posterior_interval(posterior[i], chain)
    reason = np.select([low_depth, unmapped], [LOW_DEPTH, UNMAPPED], default="")
    return GeneCopies(
        cn=np.where(uncalled, -1, cn).astype(np.int16),
        copies=np.where(uncalled, np.nan, copies).astype(np.float32),
        depth_ratio=interval[:, 0].astype(np.float32),
        lower=interval[:, 1].astype(np.float32),
        upper=interval[:, 2].astype(np.float32),
        quality=np.where(uncalled, 0, quality).astype(np.float32),
        mixed=mixed & ~uncalled,
        reason=reason,
    )


def _event_window(state: np.ndarray, anchors: np.ndarray, chain: StateChain) -> np.ndarray:
    """Return the bins around a gene's bins (the weightiest first) that share the state of one of them.

    Ends of events are passed over: how much of such a bin the event covers is not known.
    """
    whole = np.isin(chain.emissions.kind, (LEVEL, STRAY))[chain.emission_row]
    for anchor in anchors:
        if whole[state[anchor]]:
            first, last = max(anchor - REACH, 0), min(anchor + REACH, len(state) - 1)
            other = np.flatnonzero(state[first : last + 1] != state[anchor]) + first
            before, after = other[other < anchor], other[other > anchor]
            return np.arange(before[-1] + 1 if len(before) else first, after[0] if len(after) else last + 1)
    return np.empty(0, int)


def _depth_ratio(
    counts: np.ndarray,
    calls: IsolateCalls,
    model: CountModel,
    chain: StateChain,
    isolate: int,
    window: np.ndarray,
    excess: np.ndarray,
) -> tuple[float, float, float]:
    """Return the depth ratio of a window of bins of one state and its 95 % interval, divergence undone."""
    state = int(calls.state[isolate, window[0]])
    copies = chain.copies[state]
    level = chain.emissions.level[chain.emission_row[state]] if copies > 0 else 0.0
    reads = counts[window].astype(float)
    expected = calls.expected[isolate, window].astype(float)
    dispersion = float(calls.dispersion[isolate]) + model.effects.dispersion[window].astype(float)
    # Near inverse-variance weights; the weighted sums keep the ratio unbiased.
    weight = 1 / (1 + dispersion * level * expected)
    total = (weight * expected).sum()
    ratio = (weight * reads).sum() / total
    mean = max(ratio, 0.0) * expected
    # One read more than seen: an absent gene's interval must not shrink to a point.
    variance = weight**2 * (mean + (dispersion + model.effects.baseline_variance[window]) * mean**2)
    error = (variance.sum() + (ratio == 0)) / total**2
    error += ratio**2 * (np.interp(len(window), WINDOWS, excess) + CALIBRATION_SD**2)
    undone = copies / level if copies >= 1 else 1.0
    half = Z_95 * np.sqrt(error)
    return ratio * undone, max(ratio - half, 0.0) * undone, (ratio + half) * undone


def _posterior_interval(posterior: np.ndarray, chain: StateChain) -> tuple[float, float]:
    """Return the 2.5 % and 97.5 % quantiles of the states' copies."""
    order = np.argsort(chain.copies, kind="stable")
    cumulative = np.cumsum(posterior[order])
    low, high = np.searchsorted(cumulative, np.array([0.025, 0.975]) * cumulative[-1])
    return float(chain.copies[order[low]]), float(chain.copies[order[min(high, len(order) - 1)]])
