"""How well predicted ΔΔG agree with measured ones: metrics, intervals by resampling proteins, comparisons of models.

ΔΔG in kcal/mol, positive = destabilising. A metric that does not exist (one value, no spread) is NaN in results and
null in JSON, never 0. Definitions and references: docs/methods/ddg-data.md.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

import numpy as np
from scipy.stats import rankdata

from copyfold.core.seeding import DEFAULT_SEED, derive_generator
from copyfold.errors import InputError

N_REPLICATES: Final = 1000
FEWEST_PER_PROTEIN: Final = 5


@dataclass(frozen=True)
class RegressionMetrics:
    """Agreement of `n` predictions with measurements.

    Attributes
    ----------
    n : int
    spearman, pearson : float
        Of ranks (ties share their mean rank) and of values.
    rmse, mae : float
        kcal/mol.
    sign_accuracy : float
        Share of predictions whose sign (−, 0, +) is that of the measurement, of the measurements that are not 0.
    """

    n: int
    spearman: float
    pearson: float
    rmse: float
    mae: float
    sign_accuracy: float


METRICS: Final = tuple(field.name for field in fields(RegressionMetrics) if field.name != "n")


@dataclass(frozen=True)
class Interval:
    """A value with its 95 % interval over `n_replicates` resamplings in which it exists."""

    value: float
    low: float
    high: float
    n_replicates: int


@dataclass(frozen=True)
class Difference(Interval):
    """First minus second model, with the two-sided bootstrap p of no difference (at least 2 / (replicates + 1))."""

    p_value: float


@dataclass(frozen=True)
class Antisymmetry:
    """How predictions of direct and reverse mutations mirror each other.

    Attributes
    ----------
    n : int
        Pairs.
    r : float
        Pearson of direct and reverse; −1 in a perfect model.
    bias : float
        Mean of (direct + reverse) / 2, kcal/mol; 0 in a perfect model.
    """

    n: int
    r: float
    bias: float


@dataclass(frozen=True)
class ProteinMeans:
    """Metrics of each protein by itself, and their means over the proteins where they exist.

    Attributes
    ----------
    proteins : dict of str to RegressionMetrics
        Those with at least `fewest` mutations.
    means : dict of str to float
        By name of the metric.
    n_left_out : int
        Proteins with fewer mutations.
    fewest : int
    """

    proteins: dict[str, RegressionMetrics]
    means: dict[str, float]
    n_left_out: int
    fewest: int


def regression_metrics(true: np.ndarray, predicted: np.ndarray) -> RegressionMetrics:
    """Metrics of one set of predictions.

    Parameters
    ----------
    true, predicted : numpy.ndarray, (n,)
        Measured and predicted ΔΔG, kcal/mol, finite.

    Raises
    ------
    InputError
        Lengths differ, no values, or values that are not finite.
    """
    true, predicted = _checked(true, predicted)
    error = predicted - true
    signed = true != 0
    return RegressionMetrics(
        n=len(true),
        spearman=correlation(rankdata(true), rankdata(predicted)),
        pearson=correlation(true, predicted),
        rmse=float(np.sqrt(np.mean(error**2))),
        mae=float(np.mean(np.abs(error))),
        sign_accuracy=float(np.mean(np.sign(true[signed]) == np.sign(predicted[signed]))) if signed.any() else math.nan,
    )


def correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Pearson's correlation; NaN where one of the two has no spread."""
    first, second = first - first.mean(), second - second.mean()
    # The scale of the values' own rounding: what is left of equal values after taking the mean away is no spread.
    spread = np.sqrt(np.sum(first**2) * np.sum(second**2))
    if len(first) < 2 or np.ptp(first) == 0 or np.ptp(second) == 0 or spread == 0:
        return math.nan
    return float(np.clip(np.sum(first * second) / spread, -1.0, 1.0))


def cluster_bootstrap(
    true: np.ndarray,
    predicted: np.ndarray,
    clusters: Sequence[Hashable] | np.ndarray,
    *,
    replicates: int = N_REPLICATES,
    seed: int = DEFAULT_SEED,
) -> dict[str, Interval]:
    """95 % percentile intervals of every metric, resampling whole clusters (proteins or homology clusters).

    Mutations of one protein share its errors; resampling rows would make the interval too narrow.

    Parameters
    ----------
    true, predicted : numpy.ndarray, (n,)
    clusters : (n,)
        Cluster of each row.
    replicates : int
    seed : int

    Returns
    -------
    dict of str to Interval
        By name of the metric, in the order of `METRICS`. With one cluster the limits are NaN.

    Raises
    ------
    InputError
        Lengths differ, no values, or values that are not finite.
    """
    true, predicted = _checked(true, predicted)
    observed = regression_metrics(true, predicted)
    drawn = _resampled(clusters, len(true), replicates, seed)
    samples = [regression_metrics(true[rows], predicted[rows]) for rows in drawn]
    return {name: _interval(getattr(observed, name), [getattr(one, name) for one in samples]) for name in METRICS}


def paired_bootstrap(
    true: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    clusters: Sequence[Hashable] | np.ndarray,
    *,
    replicates: int = N_REPLICATES,
    seed: int = DEFAULT_SEED,
) -> dict[str, Difference]:
    """Difference of two models' metrics (first − second) on the same rows, resampling whole clusters.

    Parameters
    ----------
    true, first, second : numpy.ndarray, (n,)
        Measured ΔΔG and the two models' predictions, kcal/mol.
    clusters : (n,)
    replicates : int
    seed : int

    Returns
    -------
    dict of str to Difference
        By name of the metric. Of `rmse` and `mae` a negative difference speaks for the first model.

    Raises
    ------
    InputError
        Lengths differ, no values, or values that are not finite.
    """
    true, first = _checked(true, first)
    _, second = _checked(true, second)
    observed = _differences(true, first, second)
    drawn = _resampled(clusters, len(true), replicates, seed)
    samples = [_differences(true[rows], first[rows], second[rows]) for rows in drawn]
    result = {}
    for name in METRICS:
        values = np.array([one[name] for one in samples])
        interval = _interval(observed[name], values)
        result[name] = Difference(**asdict(interval), p_value=_p_value(values))
    return result


def antisymmetry(direct: np.ndarray, reverse: np.ndarray) -> Antisymmetry:
    """Antisymmetry of predictions: `direct` of wild type → mutant, `reverse` of mutant → wild type, row by row.

    Both are ΔΔG of the substitution named (positive = it destabilises), so that a perfect model gives reverse =
    −direct. Pucci et al. 2018 (Bioinformatics 34:3659) introduced the two numbers.

    Raises
    ------
    InputError
        Lengths differ, no values, or values that are not finite.
    """
    direct, reverse = _checked(direct, reverse)
    return Antisymmetry(len(direct), correlation(direct, reverse), float(np.mean(direct + reverse) / 2))


def per_protein(
    true: np.ndarray,
    predicted: np.ndarray,
    proteins: Sequence[Hashable] | np.ndarray,
    *,
    fewest: int = FEWEST_PER_PROTEIN,
) -> ProteinMeans:
    """Metrics of each protein with at least `fewest` mutations, and their unweighted means.

    Raises
    ------
    InputError
        Lengths differ, no values, or values that are not finite.
    """
    true, predicted = _checked(true, predicted)
    metrics = {}
    left_out = 0
    for name, rows in _rows_by_cluster(proteins, len(true)).items():
        if len(rows) >= fewest:
            metrics[str(name)] = regression_metrics(true[rows], predicted[rows])
        else:
            left_out += 1
    means = {}
    for name in METRICS:
        values = np.array([getattr(one, name) for one in metrics.values()])
        values = values[~np.isnan(values)]
        means[name] = float(values.mean()) if len(values) else math.nan
    return ProteinMeans(metrics, means, left_out, fewest)


def as_json(result: Any) -> Any:
    """A result of this module, or a mapping of them, as values for JSON; NaN becomes null."""
    if isinstance(result, Mapping):
        return {str(key): as_json(value) for key, value in result.items()}
    if hasattr(result, "__dataclass_fields__"):
        return as_json(asdict(result))
    return None if isinstance(result, float) and math.isnan(result) else result


def as_text(intervals: Mapping[str, Mapping[str, Interval]]) -> str:
    """A table for people: a row for each model, a column for each metric, 95 % intervals in brackets."""
    names = list(dict.fromkeys(name for row in intervals.values() for name in row))
    rows = [["", *names]]
    rows += [[title, *(_shown(row[name]) for name in names)] for title, row in intervals.items()]
    widths = [max(len(row[column]) for row in rows) for column in range(len(names) + 1)]
    return "".join("  ".join(map(str.ljust, row, widths)).rstrip() + "\n" for row in rows)


def _shown(interval: Interval) -> str:
    if math.isnan(interval.value):
        return "n/a"
    if math.isnan(interval.low):
        return f"{interval.value:.3f}"
    return f"{interval.value:.3f} [{interval.low:.3f}, {interval.high:.3f}]"


def _checked(true: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    true, predicted = np.asarray(true, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    if true.shape != predicted.shape or true.ndim != 1:
        raise InputError(f"{true.shape} values against {predicted.shape}; give one prediction for each measurement")
    if not len(true):
        raise InputError("no values to evaluate; give at least one prediction")
    for what, values in (("first", true), ("second", predicted)):
        if not np.isfinite(values).all():
            row = int(np.flatnonzero(~np.isfinite(values))[0])
            raise InputError(f"{what} values: entry {row} is not a finite number; leave such rows out and say how many")
    return true, predicted


def _rows_by_cluster(clusters: Sequence[Hashable] | np.ndarray, n: int) -> dict[Hashable, np.ndarray]:
    labels = np.asarray(clusters)
    if labels.shape != (n,):
        raise InputError(f"{labels.shape} clusters for {n} rows; give one for each row")
    names, index = np.unique(labels, return_inverse=True)
    rows = np.split(np.argsort(index, kind="stable"), np.cumsum(np.bincount(index))[:-1])
    return dict(zip(names.tolist(), rows, strict=True))


def _resampled(clusters: Sequence[Hashable] | np.ndarray, n: int, replicates: int, seed: int) -> list[np.ndarray]:
    """Rows of each replicate: as many clusters as there are, drawn with replacement; none with a single cluster."""
    members = list(_rows_by_cluster(clusters, n).values())
    if len(members) < 2:
        return []
    rng = derive_generator(seed, "bootstrap")
    return [
        np.concatenate([members[chosen] for chosen in rng.integers(len(members), size=len(members))])
        for _ in range(replicates)
    ]


def _differences(true: np.ndarray, first: np.ndarray, second: np.ndarray) -> dict[str, float]:
    one, other = regression_metrics(true, first), regression_metrics(true, second)
    return {name: getattr(one, name) - getattr(other, name) for name in METRICS}


def _interval(value: float, samples: Sequence[float] | np.ndarray) -> Interval:
    known = np.asarray(samples, dtype=np.float64)
    known = known[~np.isnan(known)]
    if not len(known):
        return Interval(value, math.nan, math.nan, 0)
    low, high = np.percentile(known, [2.5, 97.5])
    return Interval(value, float(low), float(high), len(known))


def _p_value(differences: np.ndarray) -> float:
    known = differences[~np.isnan(differences)]
    if not len(known):
        return math.nan
    fewer = min(int(np.sum(known <= 0)), int(np.sum(known >= 0)))
    return min(1.0, 2 * (fewer + 1) / (len(known) + 1))
