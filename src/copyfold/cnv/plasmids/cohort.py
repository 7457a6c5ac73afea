"""A cohort's plasmid genes by the count model: from the two stores' counts to calls of every family."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from copyfold.cnv.plasmids.calls import PlasmidCalls, call_family
from copyfold.cnv.plasmids.families import ANYWHERE, FamilyModel, Source, fit_family, floor_of
from copyfold.cnv.plasmids.levels import GeneLevels, gene_levels
from copyfold.core.files import read_rows
from copyfold.errors import InputError

MIN_COHORT = 50
"""Isolates with depth below which there is no cohort to learn a family from."""
MIN_LEVEL = 5.0
_ROWS = 256


class PlasmidCohort(NamedTuple):
    """What plasmid genes are called from.

    Attributes
    ----------
    depth : numpy.ndarray, (n_samples, n_columns), float64, reads per bin
        Of the plasmid store's columns; NaN for a sample that it lacks.
    medians : numpy.ndarray, (n_samples,), float64
        Median reads per bin of the chromosome.
    counts : numpy.ndarray, (n_samples, n_bins)
        Of the chromosome; may be mapped, is read in batches.
    gc : numpy.ndarray or None, (n_bins,)
    column_gc : numpy.ndarray, (n_columns,)
        GC of each column's gene, NaN where unknown.
    families : mapping of str to list of int
        Columns of each family.
    sources : tuple of Source
        Chromosomal genes with their copies.
    """

    depth: np.ndarray
    medians: np.ndarray
    counts: np.ndarray
    gc: np.ndarray | None
    column_gc: np.ndarray
    families: Mapping[str, list[int]]
    sources: tuple[Source, ...] = ()


def call_cohort(
    cohort: PlasmidCohort, models: Mapping[str, FamilyModel] | None, amplified_from: float
) -> tuple[dict[str, PlasmidCalls], dict[str, FamilyModel]]:
    """Call every family.

    Parameters
    ----------
    cohort : PlasmidCohort
    models : mapping of str to FamilyModel, optional
        Learnt from another cohort; families that are not in it, and all without it, are learnt from this one, or
        taken as `usual_family` holds them where it is too small.
    amplified_from : float
        Copies from which a family counts as amplified.

    Returns
    -------
    calls, models : dict by family
    """
    levels = _levels(cohort)
    copies = cohort.depth / levels.level
    fit_rows = np.flatnonzero((cohort.medians >= MIN_LEVEL) & np.isfinite(cohort.depth).all(axis=1))
    totals = tuple(Source(name, copies[:, columns].sum(axis=1)) for name, columns in cohort.families.items())
    sources = (*cohort.sources, *totals)
    floor = floor_of(levels.level[fit_rows])
    copies_of = {source.name: source.copies for source in sources} | {ANYWHERE: np.ones(len(copies))}
    used: dict[str, FamilyModel] = {}
    calls: dict[str, PlasmidCalls] = {}
    for name, columns in cohort.families.items():
        others = [Source(each.name, each.copies[fit_rows]) for each in sources if each.name != name]
        known = (models or {}).get(name)
        if known is not None and len(known.share_columns) == len(columns):
            used[name] = known
        elif len(fit_rows) >= MIN_COHORT:
            used[name] = fit_family(copies[fit_rows][:, columns], others, floor)
        else:
            used[name] = usual_family(len(columns))
        model = used[name]
        source_copies = None if model.source is None else copies_of.get(model.source, copies_of[ANYWHERE])
        calls[name] = call_family(
            cohort.depth[:, columns],
            levels.level[:, columns],
            levels.dispersion,
            model,
            source_copies,
            amplified_from=amplified_from,
            min_level=MIN_LEVEL,
        )
    return calls, used


def _levels(cohort: PlasmidCohort) -> GeneLevels:
    parts = [
        gene_levels(
            read_rows(cohort.counts, rows),
            np.maximum(cohort.medians[rows], 1.0),
            cohort.depth.shape[1],
            cohort.gc,
            cohort.column_gc,
        )
        for rows in _batches(len(cohort.medians))
    ]
    return GeneLevels(np.concatenate([p.level for p in parts]), np.concatenate([p.dispersion for p in parts]))


def _batches(n_rows: int) -> Iterator[slice]:
    """Slices of about `_ROWS` rows of nearly equal size: none is so small that its bins' ways cannot be told."""
    n_batches = max(round(n_rows / _ROWS), 1)
    edges = np.linspace(0, n_rows, n_batches + 1).astype(int).tolist()
    return (slice(first, stop) for first, stop in pairwise(edges))


def usual_family(n_columns: int) -> FamilyModel:
    """What is held for usual where no cohort says better: carried by a third, at about one copy, no foreign reads."""
    shares = np.full((n_columns, n_columns), 0.1 / max(n_columns - 1, 1))
    np.fill_diagonal(shares, 0.9 if n_columns > 1 else 1.0)
    even = np.full(n_columns, 1 / n_columns)
    return FamilyModel(0.015, 0.6, 0.3, 0.3, 0.7, shares, even, None, 0.0, 0.0, 0.0, even, 0.0)


def models_as_json(models: Mapping[str, FamilyModel]) -> dict[str, Any]:
    """Plain values of some models, by family."""
    return {
        name: {
            key: value.tolist() if isinstance(value, np.ndarray) else value for key, value in model._asdict().items()
        }
        for name, model in models.items()
    }


def models_from_json(content: Any, where: str) -> dict[str, FamilyModel]:
    """The models that `models_as_json` made plain.

    Raises
    ------
    InputError
        The content is something else.
    """
    try:
        return {name: FamilyModel(**_arrays(values)) for name, values in content.items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise InputError(f"{where}: holds no models of plasmid families ({error}); call the run again") from None


def _arrays(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: np.array(value, float) if isinstance(value, list) else value for key, value in values.items()}
