"""Copies of a plasmid gene family in each isolate: presence, copies with an interval, and a quality."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import gammaln

from copyfold.cnv.plasmids.families import FamilyModel

MAX_QUALITY = 99.0
LOW_DEPTH, NOT_COUNTED, UNCERTAIN = "low depth", "not counted", "uncertain"
"""Reasons for a copy number of −1."""
_GRID = np.exp(np.linspace(np.log(0.2), np.log(200.0), 200))
"""Copies that a carrier may have; a plasmid in fewer than a fifth of the cells is not carried by the isolate."""
_SPREAD_ABOVE = 1.5
"""Carriers' copies above the usual are held for known no better than this (natural logarithm): plasmids of many copies
are rare, and their intervals must hold, too."""
_BLOCK = 256


class PlasmidCalls(NamedTuple):
    """Calls of one family; every array is (n_samples,).

    Attributes
    ----------
    cn : numpy.ndarray, int64
        0 absent, 1 present, 2 amplified (`amplified_from` copies or more), −1 with a reason.
    copies : numpy.ndarray, float64
        Posterior mean of the family's own copies per chromosome; NaN without reads or depth.
    lower, upper : numpy.ndarray, float64
        95 % interval of them; 0 to 0 where absence is as certain as that.
    present : numpy.ndarray, float64
        Posterior probability that the isolate carries the family.
    quality : numpy.ndarray, float64
        Phred-scaled probability that the class called (absent, present, amplified) is wrong, at most 99.
    foreign : numpy.ndarray, float64
        Copies that reads of the family's `FamilyModel.source` add: expected under the posterior, and taken off.
    reason : numpy.ndarray, str
        Why cn is −1: `LOW_DEPTH`, `NOT_COUNTED`, `UNCERTAIN`; else empty.
    """

    cn: np.ndarray
    copies: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    present: np.ndarray
    quality: np.ndarray
    foreign: np.ndarray
    reason: np.ndarray


def call_family(
    depth: np.ndarray,
    level: np.ndarray,
    dispersion: np.ndarray,
    model: FamilyModel,
    source_copies: np.ndarray | None = None,
    *,
    amplified_from: float = 1.5,
    min_level: float = 5.0,
    min_certainty: float = 0.8,
) -> PlasmidCalls:
    """Call one family in some isolates.

    Every isolate either lacks the family or carries one of its alleles at some number of copies, and either has
    foreign reads on it or has none; the posterior of all of these follows from negative binomial likelihoods of the
    columns and from what the cohort's model holds for usual.

    Parameters
    ----------
    depth : numpy.ndarray, (n_samples, C), reads per bin
        Over each column of the family; NaN for a sample that was not counted.
    level : numpy.ndarray, (n_samples, C), reads per bin
        Of one copy per chromosome.
    dispersion : numpy.ndarray, (n_samples,)
    model : FamilyModel
    source_copies : numpy.ndarray, (n_samples,), optional
        Copies of the model's source; needed where it has one. NaN counts as one copy.
    amplified_from : float
        Copies from which the family counts as amplified.
    min_level : float
        Least level at which a sample is called.
    min_certainty : float
        Least posterior probability of presence or of absence.

    Returns
    -------
    PlasmidCalls
    """
    n = len(depth)
    counted = np.isfinite(depth).all(axis=1)
    deep = (np.asarray(level).min(axis=1) >= min_level) & counted
    columns = [np.full(n, np.nan) for _ in range(6)]
    amplified = np.full(n, np.nan)
    foreign: np.ndarray = np.zeros(n)
    if model.source is not None:
        copies = np.ones(n) if source_copies is None else source_copies
        foreign = model.share * np.where(np.isnan(copies), 1.0, copies)
    rows = np.flatnonzero(deep)
    for first in range(0, len(rows), _BLOCK):
        block = rows[first : first + _BLOCK]
        found = _posterior(depth[block], level[block], dispersion[block], model, foreign[block], amplified_from)
        for column, values in zip((*columns[:5], amplified), found, strict=True):
            column[block] = values
    mean, lower, upper, present, added = columns[:5]
    unsure = deep & (np.maximum(present, 1 - present) < min_certainty)
    cn = np.where(present < 0.5, 0, np.where(amplified > 0.5 * present, 2, 1))
    probability = np.where(cn == 0, 1 - present, np.where(cn == 2, amplified, present - amplified))
    quality = np.minimum(-10 * np.log10(np.clip(1 - probability, 1e-10, 1)), MAX_QUALITY)
    reason = np.select([~counted, ~deep, unsure], [NOT_COUNTED, LOW_DEPTH, UNCERTAIN], default="")
    return PlasmidCalls(
        np.where(reason == "", cn, -1).astype(np.int64),
        mean,
        lower,
        upper,
        present,
        np.where(deep, quality, 0.0),
        np.where(deep, added, np.nan),
        reason,
    )


def _posterior(
    depth: np.ndarray,
    level: np.ndarray,
    dispersion: np.ndarray,
    model: FamilyModel,
    foreign: np.ndarray,
    amplified_from: float,
) -> tuple[np.ndarray, ...]:
    """Mean copies, interval, probability of presence, expected foreign copies, probability of amplification."""
    stray = model.background * level / level.shape[1]
    borrowed = foreign[:, None] * level * model.share_columns
    rate = model.share_rate if model.source is not None else 0.0
    kinds = [(0.0, 1 - rate)] + ([(1.0, rate)] if rate > 0 else [])
    off = np.log(_GRID) - model.log_copies
    log_prior = (
        -((off / np.where(off > 0, max(model.log_copies_spread, _SPREAD_ABOVE), model.log_copies_spread)) ** 2) / 2
    )
    log_prior -= np.log(np.exp(log_prior).sum())
    absent, carried = [], []
    spread = dispersion[:, None]
    for with_foreign, probability in kinds:
        extra = stray + with_foreign * borrowed
        # what is not the family's own varies more than counts of a gene do
        loose = (model.background_spread * stray) ** 2 + (model.share_spread * with_foreign * borrowed) ** 2
        beyond = spread + loose / np.maximum(extra, 1e-9) ** 2
        absent.append(_log_likelihood(depth, extra, beyond).sum(axis=1) + np.log((1 - model.carried) * probability))
        alleles = []
        for signature, often in zip(model.signatures, model.alleles, strict=True):
            own = _GRID[None, :, None] * (level * signature)[:, None, :]
            mean = own + extra[:, None, :]
            beyond = (spread[:, None] * mean**2 + loose[:, None, :]) / mean**2
            likelihood = _log_likelihood(depth[:, None, :], mean, beyond).sum(axis=2)
            alleles.append(likelihood + log_prior + np.log(model.carried * probability * often))
        carried.append(np.logaddexp.reduce(alleles, axis=0))
    none, some = np.stack(absent, axis=1), np.stack(carried, axis=1)  # (n, kinds), (n, kinds, grid)
    highest = np.maximum(none.max(axis=1), some.max(axis=(1, 2)))
    none, some = np.exp(none - highest[:, None]), np.exp(some - highest[:, None, None])
    total = none.sum(axis=1) + some.sum(axis=(1, 2))
    grid = some.sum(axis=1) / total[:, None]
    absence = none.sum(axis=1) / total
    cumulative = absence[:, None] + np.cumsum(grid, axis=1)
    bleeds = (none[:, -1] + some[:, -1].sum(axis=1)) / total if len(kinds) == 2 else np.zeros(len(depth))
    return (
        grid @ _GRID,
        _quantile(cumulative, absence, 0.025),
        _quantile(cumulative, absence, 0.975),
        grid.sum(axis=1),
        bleeds * foreign,
        grid[:, amplified_from <= _GRID].sum(axis=1),
    )


def _quantile(cumulative: np.ndarray, absence: np.ndarray, probability: float) -> np.ndarray:
    """Quantile of a distribution with an atom at 0 and masses on the grid, interpolated in logarithms."""
    place = (cumulative < probability).sum(axis=1).clip(1, len(_GRID) - 1)
    rows = np.arange(len(cumulative))
    before, after = cumulative[rows, place - 1], cumulative[rows, place]
    part = np.clip((probability - before) / np.maximum(after - before, 1e-12), 0, 1)
    logs = np.log(_GRID)
    value = np.exp(logs[place - 1] + part * (logs[place] - logs[place - 1]))
    return np.where(absence >= probability, 0.0, value)


def _log_likelihood(counts: np.ndarray, mean: np.ndarray, dispersion: np.ndarray) -> np.ndarray:
    """Log probability of counts under the negative binomial of variance mean + dispersion × mean²."""
    mean = np.maximum(mean, 1e-6)
    size = 1 / np.maximum(dispersion, 1e-6)
    logs: np.ndarray = (
        gammaln(counts + size)
        - gammaln(size)
        - gammaln(counts + 1)
        + size * np.log(size / (size + mean))
        + counts * np.log(mean / (size + mean))
    )
    return logs
