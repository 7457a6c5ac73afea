"""Intervals of a gene's copies: every level that its reads do not exclude.

An event over a given gene is rare, so that the posterior swallows one that the reads cannot show plainly: a short or
half event of a shallow isolate is called one copy, and an interval that follows the posterior is that of one copy. An
interval that is to hold the truth whatever it is must not lean on rarity. So the classes one, mixed and more are given
even odds beforehand (the posterior over the chain's long-run shares: a Bayes factor), and the interval is the hull of
the 95 % intervals of the class called and of each class that keeps `NOT_EXCLUDED` of the weight.
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri

from copyfold.cnv.countmodel.states import ABSENT, END_OF_GAIN, END_OF_MIXED, MIXED, MORE, ONE, StateChain

NOT_EXCLUDED = 0.02
"""Weight, at even odds, from which a class that was not called is part of the interval; set on development cohorts."""

SAME_LEVEL = 1.2
"""Factor within which states of the class called stand for the depth measured; others are levels of their own."""

MIXED_SPREAD = np.linspace(-0.075, 0.075, 7)
"""What lies between the grid of mixed levels, in copies."""

Z_95 = 1.959964
NORMAL_QUANTILES = ndtri((np.arange(40) + 0.5) / 40)
"""A standard normal distribution as forty points."""


def copy_classes(chain: StateChain) -> np.ndarray:
    """Return which states belong to each of `states.BIN_CLASSES`, (4, S), bool: each state to one of them."""
    absent = chain.copies == 0
    mixed = np.isin(chain.state_class, (MIXED, END_OF_MIXED))
    more = (chain.state_class == MORE) | ((chain.state_class == END_OF_GAIN) & (chain.copies >= 2))
    classes = np.empty((4, len(chain.copies)), bool)
    classes[ABSENT], classes[ONE], classes[MIXED], classes[MORE] = absent, ~(absent | mixed | more), mixed, more
    return classes


def even_odds(posterior: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Return the weights of the classes had one, mixed and more been equally likely beforehand.

    Absence keeps its prior: it is common, and plain to see.

    Parameters
    ----------
    posterior : numpy.ndarray, (4,)
        Probabilities of `states.BIN_CLASSES` under the chain.
    shares : numpy.ndarray, (4,)
        Their long-run shares in the chain.

    Returns
    -------
    numpy.ndarray, (4,)
        They sum to 1.
    """
    factor = shares[ONE] / shares
    factor[ABSENT] = 1.0
    weight = posterior * factor
    return weight / weight.sum()


def copies_interval(
    ratio: float,
    half: float,
    level: float | None,
    called: int,
    posterior: np.ndarray,
    classes: np.ndarray,
    shares: np.ndarray,
    copies: np.ndarray,
) -> tuple[float, float]:
    """Return the interval of a gene's copies in one isolate.

    Parameters
    ----------
    ratio, half : float
        Depth ratio measured, and half its 95 % interval: always part of the interval.
    level : float or None
        Copies of the bins that it was measured on; None where the event has no whole bin, so that the states of the
        class called have to say what the depth cannot.
    called : int
        Class called: index into `states.BIN_CLASSES`.
    posterior, copies : numpy.ndarray, (S,)
        Posterior of the states at the gene, and their copies.
    classes : numpy.ndarray, (4, S), bool
        As `copy_classes` gives them.
    shares : numpy.ndarray, (4,)
        Long-run shares of the classes.

    Returns
    -------
    tuple of float
        Lower end, not below 0, and upper end.
    """
    low, high = ratio - half, ratio + half
    weights = even_odds(classes @ posterior, shares)
    for k in np.flatnonzero(weights >= NOT_EXCLUDED).tolist():
        if k == called and level is not None:
            measured = np.ones(len(copies), bool)
            if k in (MIXED, MORE):
                measured = (copies < SAME_LEVEL * level) & (copies > level / SAME_LEVEL)
            near, far = classes[k] & measured, classes[k] & ~measured
            if posterior[far].sum() < 0.025 * posterior[classes[k]].sum():
                continue
            share = np.full(len(NORMAL_QUANTILES), posterior[near].sum() / len(NORMAL_QUANTILES))
            values = np.concatenate([ratio + half / Z_95 * NORMAL_QUANTILES, copies[far]])
            ends = _central_95(values, np.concatenate([share, posterior[far]]))
        elif k == MIXED:
            values = copies[classes[k]][:, None] + MIXED_SPREAD
            ends = _central_95(values.ravel(), np.repeat(posterior[classes[k]], len(MIXED_SPREAD)))
        else:
            ends = _central_95(copies[classes[k]], posterior[classes[k]])
        low, high = min(low, ends[0]), max(high, ends[1])
    return max(low, 0.0), high


def _central_95(values: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """Return the 2.5 % and 97.5 % quantiles of weighted values."""
    order = np.argsort(values, kind="stable")
    cumulative = np.cumsum(weights[order])
    first, last = np.searchsorted(cumulative, np.array([0.025, 0.975]) * cumulative[-1])
    return float(values[order[first]]), float(values[order[min(last, len(order) - 1)]])
