"""What a cohort says of a gene family: how often and at how many copies it is carried, and whose reads land on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

FLOOR = 0.003
"""Copies added before logarithms are taken: about a read per bin at the usual depth."""
_CARRIED_FROM = 0.4
"""PCN from which an isolate is first taken for a carrier: a plasmid that some cells have lost."""
_LEAST_SHARE, _MOST_SHARE, _SHARES = 0.05, 0.3, 19
_LEAST_EVIDENCE = 12.0
"""Gain of log likelihood that makes cross-mapping believed: one chance in 10⁵ of a good fit by accident."""
_NAMED_EVIDENCE = 4.6
"""Gain over foreign reads of no known source that makes a source believed: odds of 100 to 1."""
_MOST_ADDED = 0.3
"""Copies that foreign reads usually add at most; more cannot be told from carriers that have lost plasmids."""
_LEAST_ISOLATES = 8
_MEMBERS = 5
_ROUNDS = 60
_LEAST_SPREAD = 0.1


ANYWHERE = "unknown"
"""Name of a source that no known gene explains: the same in every isolate that has it."""


class Source(NamedTuple):
    """A gene whose reads may land on others.

    Attributes
    ----------
    name : str
    copies : numpy.ndarray, (n_samples,), float64
        NaN where unknown.
    """

    name: str
    copies: np.ndarray


class FamilyModel(NamedTuple):
    """What was learnt of one family with C columns.

    Attributes
    ----------
    background : float
        Copies that isolates without the family show: stray reads.
    background_spread : float
        Its relative standard deviation.
    carried : float
        Share of isolates that carry the family.
    log_copies, log_copies_spread : float
        Mean and standard deviation of the natural logarithm of carriers' copies.
    signatures : numpy.ndarray, (n_alleles, C), float64
        Shares of the columns in the reads of each allele; rows sum to 1.
    alleles : numpy.ndarray, (n_alleles,), float64
        How often each is carried; they sum to 1.
    source : str or None
        Gene whose reads land on the family; None: no evidence for any.
    share : float
        Copies that it adds here, per copy of itself; 0 without source.
    share_rate : float
        Share of isolates in which it does.
    share_spread : float
        Relative standard deviation of what it adds.
    share_columns : numpy.ndarray, (C,), float64
        Shares of the columns in it; they sum to 1.
    evidence : float
        Log likelihood gained by the source.
    """

    background: float
    background_spread: float
    carried: float
    log_copies: float
    log_copies_spread: float
    signatures: np.ndarray
    alleles: np.ndarray
    source: str | None
    share: float
    share_rate: float
    share_spread: float
    share_columns: np.ndarray
    evidence: float


class _Mixture(NamedTuple):
    """Three kinds of isolates on the logarithm of a family's copies: without, with reads of a source, carriers."""

    weight: np.ndarray
    mean: np.ndarray
    spread: np.ndarray
    log_likelihood: float
    responsibility: np.ndarray


def floor_of(level: np.ndarray) -> float:
    """Copies to add before logarithms are taken: half a read at the usual level, in reads per bin at one copy.

    With less, isolates of no read would be a class of their own in shallow cohorts, and those of one read carriers.
    """
    return max(FLOOR, 0.5 / float(np.median(level))) if len(level) else FLOOR


def fit_family(copies: np.ndarray, sources: Sequence[Source] = (), floor: float = FLOOR) -> FamilyModel:
    """Learn a family from a cohort.

    Parameters
    ----------
    copies : numpy.ndarray, (n_samples, C), float64
        Depth over level of each column; isolates without usable depth left out.
    sources : sequence of Source
        Genes whose reads might land on the family, with their copies in the same isolates.
    floor : float
        Copies added before logarithms are taken; see `floor_of`.

    Returns
    -------
    FamilyModel
    """
    total = copies.sum(axis=1)
    logs = np.log(total + floor)
    plain = _fit_mixture(logs, None, 0.0)
    everywhere = Source(ANYWHERE, np.ones(len(total)))
    fits = {each.name: (each, *_fit_share(logs, np.nan_to_num(each.copies), plain)) for each in (everywhere, *sources)}
    _, best, share = fits[ANYWHERE]
    chosen: Source | None = everywhere
    named = max((fits[each.name] for each in sources), key=lambda found: found[1].log_likelihood, default=None)
    if named is not None and named[1].log_likelihood - best.log_likelihood > _NAMED_EVIDENCE:
        chosen, best, share = named
    evidence = best.log_likelihood - plain.log_likelihood
    if evidence < _LEAST_EVIDENCE or best.responsibility[:, 1].sum() < _LEAST_ISOLATES:
        best, chosen, share = plain, None, 0.0
    without, with_reads, carriers = best.responsibility.T
    background = _weighted_mean(total, without, float(np.exp(best.mean[0])))
    share_columns = np.full(copies.shape[1], 1 / copies.shape[1])
    if chosen is not None:
        added = (copies * with_reads[:, None]).sum(axis=0) - background * with_reads.sum() * share_columns
        share_columns = np.clip(added, 0, None) / np.clip(added, 0, None).sum()
        source_copies = np.nan_to_num(chosen.copies)
        share = float((with_reads * (total - background)).sum() / (with_reads * source_copies).sum())
    signatures, alleles = _signatures(copies, carriers)
    n_exposed = len(total) if chosen is None else (np.nan_to_num(chosen.copies) > 0).sum()
    not_carriers = without.sum() + with_reads.sum()
    return FamilyModel(
        background=background,
        background_spread=float(np.clip(best.spread[0], 0.3, 1.0)),
        carried=float(np.clip(carriers.mean(), 0.5 / len(total), 1 - 0.5 / len(total))),
        log_copies=float(best.mean[2]),
        log_copies_spread=float(max(best.spread[2], 0.5)),
        signatures=signatures,
        alleles=alleles,
        source=None if chosen is None else chosen.name,
        share=share,
        share_rate=float(with_reads.sum() / max(not_carriers, 1.0)) if chosen is not None and n_exposed else 0.0,
        share_spread=float(min(best.spread[1], 0.5)) if chosen is not None else 0.0,
        share_columns=share_columns,
        evidence=float(evidence) if chosen is not None else 0.0,
    )


def _fit_share(logs: np.ndarray, source_copies: np.ndarray, plain: _Mixture) -> tuple[_Mixture, float]:
    """The best share on a grid; `plain` where what a source would add is not plainly less than what carriers have."""
    best, best_share = plain, 0.0
    for share in np.geomspace(_LEAST_SHARE, _MOST_SHARE, _SHARES).tolist():
        fitted = _fit_mixture(logs, source_copies, share)
        hit = fitted.responsibility[:, 1] > 0.5
        if not hit.any() or np.median(share * source_copies[hit]) > _MOST_ADDED:
            continue
        if fitted.log_likelihood > best.log_likelihood:
            best, best_share = fitted, share
    return best, best_share


def _weighted_mean(values: np.ndarray, weights: np.ndarray, fallback: float) -> float:
    return float((values * weights).sum() / weights.sum()) if weights.sum() > 1 else fallback


def _fit_mixture(logs: np.ndarray, source_copies: np.ndarray | None, share: float) -> _Mixture:
    """Fit by expectation-maximisation; the mean of the second kind is fixed by the source's copies and the share."""
    carrier = logs > np.log(_CARRIED_FROM)
    low = np.median(logs[~carrier]) if (~carrier).any() else np.log(0.01)
    mean = np.array([low, 0.0, np.median(logs[carrier]) if carrier.any() else 0.3])
    spread = np.array([0.5, 0.3, 0.7])
    weight = np.array([0.8, 0.0 if source_copies is None else 0.2, 0.0])
    weight[2] = np.clip(carrier.mean(), 0.01, 0.99)
    weight[:2] *= (1 - weight[2]) / weight[:2].sum()
    exposed = np.zeros(len(logs), bool) if source_copies is None else source_copies > 0
    added = np.full(len(logs), np.nan)
    responsibility = np.zeros((len(logs), 3))
    log_likelihood = -np.inf
    for _ in range(_ROUNDS):
        means = np.stack([np.full(len(logs), mean[0]), added, np.full(len(logs), mean[2])], axis=1)
        if source_copies is not None:
            means[:, 1] = np.log(np.exp(mean[0]) + share * source_copies)
        prior = np.where(exposed[:, None], weight, weight * [1, 0, 1])
        prior /= prior.sum(axis=1, keepdims=True)
        density = np.exp(-(((logs[:, None] - np.nan_to_num(means)) / spread) ** 2) / 2) / (spread * np.sqrt(2 * np.pi))
        joint = prior * density + 1e-300
        now = float(np.log(joint.sum(axis=1)).sum())
        responsibility = joint / joint.sum(axis=1, keepdims=True)
        if now - log_likelihood < 1e-3:
            break
        log_likelihood = now
        size = responsibility.sum(axis=0)
        weight = size + np.array([1, 0.1 if source_copies is not None else 0, 1])
        weight /= weight.sum()
        mean = np.where(size > 2, (responsibility * logs[:, None]).sum(axis=0) / np.maximum(size, 1e-9), mean)
        mean[0] = min(mean[0], np.log(0.1))  # without the family is without: at most a tenth of a copy
        variance = (responsibility * (logs[:, None] - np.nan_to_num(means)) ** 2).sum(axis=0) / np.maximum(size, 1e-9)
        spread = np.where(size > 2, np.sqrt(np.maximum(variance, _LEAST_SPREAD**2)), spread)
        spread[1] = min(spread[1], 0.4)  # wider, it would be carriers
    return _Mixture(weight, mean, spread, log_likelihood, responsibility)


def _signatures(copies: np.ndarray, carriers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Column shares of each allele that enough isolates carry, by the column that most of their reads are on."""
    n_columns = copies.shape[1]
    if n_columns == 1:
        return np.ones((1, 1)), np.ones(1)
    sure = np.flatnonzero(carriers > 0.9)
    strongest = copies[sure].argmax(axis=1)
    rows, sizes = [], []
    for column in range(n_columns):
        mine = copies[sure[strongest == column]]
        if len(mine) >= _MEMBERS:
            shares = np.median(mine / mine.sum(axis=1, keepdims=True), axis=0)
        else:  # too few to learn from: mostly on its own column
            shares = np.full(n_columns, 0.1 / (n_columns - 1))
            shares[column] = 0.9
        rows.append(shares / shares.sum())
        sizes.append(len(mine) + 0.5)
    return np.array(rows), np.array(sizes) / np.sum(sizes)
