"""Copies of genes, from the posteriors of the bins that they lie in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from copyfold.cnv.coordinates import GeneBins
from copyfold.cnv.countmodel.fitting import CountModel
from copyfold.cnv.countmodel.inference import decode_isolates, isolate_depth
from copyfold.cnv.countmodel.intervals import Z_95, copies_interval, copy_classes
from copyfold.cnv.countmodel.states import (
    ABSENT,
    LEVEL,
    MIXED,
    MORE,
    ONE,
    STRAY,
    StateChain,
    build_chain,
    long_run_shares,
)
from copyfold.cnv.countmodel.windows import WINDOWS
from copyfold.errors import InputError

REACH = 20
"""Bins on either side of a gene that its event's depth ratio is taken from at most."""

CONTEXT = 150
"""Bins on either side of a gene that are decoded with it."""

MIN_EXPECTED = 1.0
"""Expected reads per bin below which a gene cannot be called, nor a bin add to a depth ratio."""

MAX_QUALITY = 99.0

LOW_DEPTH, UNMAPPED = "low depth", "unmapped bins"
"""Reasons for a copy number of −1."""

SAME_EVENT = 1.32
"""Factor by which the copies of bins of one event may differ in their most probable states."""


class GeneCopies(NamedTuple):
    """Copies of G genes in n isolates.

    Attributes
    ----------
    cn : numpy.ndarray, (n, G), int16
        Copy number; −1 where it cannot be called. A mixed gene has 1: most of the culture's cells do.
    copies : numpy.ndarray, (n, G), float32
        Posterior mean copies of the event that covers the gene; NaN where cn is −1.
    depth_ratio, lower, upper : numpy.ndarray, (n, G), float32
        Depth over expected depth of the event's fully covered bins near the gene, stray reads taken off; without such
        bins the posterior mean of the copies. The interval holds what its reads do not exclude, other classes included
        (`intervals`).
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


def call_genes(
    counts: np.ndarray,
    expected: np.ndarray,
    dispersion: np.ndarray,
    model: CountModel,
    genes: Sequence[GeneBins],
    *,
    n_threads: int | None = None,
) -> GeneCopies:
    """Call the copies of genes; only the bins around each are decoded.

    Parameters
    ----------
    counts, expected : numpy.ndarray, (n, B), reads
        Reads, and what they would be at one copy, as `expect_isolates` gives it.
    dispersion : numpy.ndarray, (n,)
    model : CountModel
    genes : sequence of GeneBins
        Bins and weights (any positive unit); the contig's bins are not used.
    n_threads : int, optional
        Threads; the result does not depend on it.

    Returns
    -------
    GeneCopies
    """
    low_depth = isolate_depth(expected, model) < model.settings.min_depth
    parts = [_call_gene(counts, expected, dispersion, low_depth, model, gene, n_threads) for gene in genes]
    if not parts:
        raise InputError("no genes to call")
    return GeneCopies(*(np.stack(columns, axis=1) for columns in zip(*parts, strict=True)))


def _context(bins: np.ndarray, borders: np.ndarray) -> slice:
    """Bins that decide about a gene: those within `CONTEXT` of it on its contig."""
    contig = int(np.searchsorted(borders, bins[0], side="right")) - 1
    return slice(
        max(int(bins.min()) - CONTEXT, int(borders[contig])),
        min(int(bins.max()) + CONTEXT + 1, int(borders[contig + 1])),
    )


def _call_gene(
    counts: np.ndarray,
    expected: np.ndarray,
    dispersion: np.ndarray,
    low_depth: np.ndarray,
    model: CountModel,
    gene: GeneBins,
    n_threads: int | None,
) -> GeneCopies:
    """Call one gene in all isolates; fields are (n,)."""
    settings, chain = model.settings, build_chain(model.settings)
    bins, weights = np.asarray(gene.bins), np.asarray(gene.weights, float)
    if len(bins) == 0 or len(bins) != len(weights) or not (weights > 0).all():
        raise InputError("a gene needs bins and a weight above 0 for each of them")
    weights = weights / weights.sum()
    here = _context(bins, model.borders)
    bins = bins - here.start
    calls = decode_isolates(
        counts, expected, dispersion, model, bins=here, watched_bins=bins.tolist(), n_threads=n_threads
    )
    reads = np.asarray(counts[:, here], float)
    mean = np.asarray(expected[:, here], float)
    posterior = np.einsum("nws,w->ns", calls.watched.astype(float), weights)
    classes = copy_classes(chain)
    shares = classes @ long_run_shares(chain)
    gain, mix = classes[MORE], classes[MIXED]
    p_gain, p_mixed = posterior[:, gain].sum(axis=1), posterior[:, mix].sum(axis=1)
    p_more = p_gain + p_mixed
    p_absent = calls.classes[:, bins, ABSENT].astype(float) @ weights
    event = (posterior * chain.copies)[:, gain | mix].sum(axis=1) / np.maximum(p_more, 1e-9)
    plain = calls.copies[:, bins].astype(float) @ weights

    more = (p_more > 0.5) & (p_absent <= 0.5)
    mixed = more & (p_mixed > settings.mixed_certainty * p_more)
    called = np.select([p_absent > 0.5, mixed, more], [ABSENT, MIXED, MORE], default=ONE)
    cn = np.where(p_absent > 0.5, 0, np.where(more & ~mixed, np.maximum(np.rint(event), 2), 1))
    copies = np.where(more, event, plain)
    probability = np.select(
        [p_absent > 0.5, mixed, more], [p_absent, p_mixed, p_more], default=1 - np.minimum(p_absent + p_more, 1)
    )
    quality = np.minimum(-10 * np.log10(np.clip(1 - probability, 1e-10, 1)), MAX_QUALITY)

    unmapped = ~low_depth & (mean[:, bins] @ weights < MIN_EXPECTED)
    uncalled = low_depth | unmapped
    interval = np.full((len(counts), 3), np.nan)
    anchor = bins[np.argsort(-weights, kind="stable")]
    spread = model.effects.dispersion[here].astype(float), model.effects.baseline_variance[here]
    stray = 0.0 if model.ends is None else model.ends.stray
    for i in np.flatnonzero(~uncalled):
        allowed = gain | mix if called[i] == MORE else classes[called[i]]
        window = _event_window(calls.state[i], anchor, allowed, chain)
        window = window[mean[i, window] > MIN_EXPECTED]
        at = window if len(window) else bins
        error = float(dispersion[i]) + spread[0][at], spread[1][at]
        states = calls.state[i, window] if len(window) else np.full(len(bins), chain.plain)
        ratio, half = _depth_ratio(reads[i, at], mean[i, at], *error, states, chain, model.excess)
        level = None
        if len(window):
            ratio, half = _without_stray(ratio, half, stray)
            level = float(np.median(chain.copies[states]))
        else:
            ratio = float(copies[i])
        doubt = copies_interval(ratio, half, level, int(called[i]), posterior[i], classes, shares, chain.copies)
        interval[i] = ratio, *doubt
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


def _event_window(state: np.ndarray, anchors: np.ndarray, called: np.ndarray, chain: StateChain) -> np.ndarray:
    """Return the bins around a gene's bins (the weightiest first) that lie in one event with one of them.

    Only a bin in a state of the class called will do: a gene may lie on an end of a short event, beside it one copy.

    They have its class and, of gains, about as many copies, so that noise between neighbouring levels does not choose
    which bins count. Ends of events are passed over: how much of such a bin the event covers is not known.
    """
    whole = np.isin(chain.emissions.kind, (LEVEL, STRAY))[chain.emission_row]
    for anchor in anchors:
        at = state[anchor]
        if whole[at] and called[at]:
            first, last = max(anchor - REACH, 0), min(anchor + REACH, len(state) - 1)
            here = state[first : last + 1]
            copies = np.maximum(chain.copies[here], 1)
            ratio = copies / max(chain.copies[at], 1)
            alike = whole[here] & (chain.state_class[here] == chain.state_class[at])
            alike &= (ratio < SAME_EVENT) & (ratio > 1 / SAME_EVENT)
            other = np.flatnonzero(~alike) + first
            before, after = other[other < anchor], other[other > anchor]
            return np.arange(before[-1] + 1 if len(before) else first, after[0] if len(after) else last + 1)
    return np.empty(0, int)


def _depth_ratio(
    reads: np.ndarray,
    expected: np.ndarray,
    dispersion: np.ndarray,
    baseline_variance: np.ndarray,
    states: np.ndarray,
    chain: StateChain,
    excess: np.ndarray,
) -> tuple[float, float]:
    """Return the depth ratio of the bins (w,) of one event and half its 95 % interval, divergence undone.

    Bins that are not divergent are taken where there are any: what divergence takes away is fitted to the bin itself.
    """
    copies = chain.copies[states]
    level = chain.emissions.level[chain.emission_row[states]]
    kept = np.where(copies >= 1, level / np.maximum(copies, 1), 1.0)
    if (kept > 0.9).any() and (kept <= 0.9).any():
        full = kept > 0.9
        reads, expected, dispersion = reads[full], expected[full], dispersion[full]
        baseline_variance, level, kept = baseline_variance[full], level[full], kept[full]
    expected = expected * np.where(kept > 0.9, 1.0, kept)
    # Near inverse-variance weights; the weighted sums keep the ratio unbiased.
    typical = np.median(level)
    weight = 1 / (1 + dispersion * typical * expected)
    total = (weight * expected).sum()
    ratio = (weight * reads).sum() / total
    mean = max(ratio, 0.0) * expected
    # One read more than seen: an absent gene's interval must not shrink to a point.
    variance = weight**2 * (mean + (dispersion + baseline_variance) * mean**2)
    error = (variance.sum() + (ratio == 0)) / total**2
    error += ratio**2 * np.interp(len(reads), WINDOWS, excess)
    return ratio, Z_95 * np.sqrt(error)


def _without_stray(ratio: float, half: float, stray: float) -> tuple[float, float]:
    """Return a depth ratio, and half its interval, less the reads of other loci.

    They are part of the expectation at one copy (`stray` of it) and do not grow with the copies: c copies show
    c (1 − stray) + stray. At one copy and below nothing changes.
    """
    return (1 + (ratio - 1) / (1 - stray), half / (1 - stray)) if ratio > 1 else (ratio, half)
