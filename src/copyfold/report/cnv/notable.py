"""Which isolates a report shows one by one, and why."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from copyfold.report.cnv.results import CnvResults, GeneResult
from copyfold.report.cnv.rules import is_borderline

MOST_SHOWN = 12


class Notable(NamedTuple):
    """An isolate to show.

    Attributes
    ----------
    row : int
    gene : GeneResult or None
        The gene to look at.
    reason : str
    """

    row: int
    gene: GeneResult | None
    reason: str


def notable_isolates(results: CnvResults, most: int = MOST_SHOWN) -> tuple[Notable, ...]:
    """The isolates with most copies, those without the gene, those near the threshold, the worst measured, a usual one.

    Kinds take turns until `most` isolates are chosen, so that no kind crowds out the others; no isolate comes twice.
    """
    queues = [queue for gene in results.chromosomal for queue in _of_gene(gene, results)]
    queues.append([Notable(row, _first(results), "most noise") for row in _largest(results.noise, results.has_depth)])
    per_sample = None if results.segments is None else results.segments.per_sample.astype(np.float64)
    queues.append([Notable(row, _first(results), "most segments") for row in _largest(per_sample, results.has_depth)])
    chosen: dict[int, Notable] = {}
    while any(queues) and len(chosen) < most - 1:
        for queue in queues:
            while queue and queue[0].row in chosen:
                queue.pop(0)
            if queue and len(chosen) < most - 1:
                notable = queue.pop(0)
                chosen[notable.row] = notable
    usual = next((row for row in _usual(results) if row not in chosen), None)
    if usual is not None:
        chosen[usual] = Notable(usual, _first(results), "a usual isolate, to compare")
    return tuple(sorted(chosen.values(), key=lambda each: _rank(each, results)))


def _of_gene(gene: GeneResult, results: CnvResults) -> list[list[Notable]]:
    by_ratio = np.argsort(-np.nan_to_num(gene.ratio, nan=-np.inf), kind="stable")
    amplified = [
        Notable(int(row), gene, f"{gene.name} amplified, CRR {gene.ratio[row]:.2f}")
        for row in by_ratio
        if gene.amplified[row]
    ]
    absent = [Notable(int(row), gene, f"{gene.name} absent") for row in np.flatnonzero(gene.cn == 0)]
    near_what = "called with little certainty" if "quality" in gene.details else "near the threshold"
    near = [
        Notable(int(row), gene, f"{gene.name} {near_what}, CRR {gene.ratio[row]:.2f}")
        for row in by_ratio
        if is_borderline(gene)[row]
    ]
    uncallable = [
        Notable(int(row), gene, f"{gene.name} not callable") for row in np.flatnonzero(results.has_depth & ~gene.called)
    ]
    part = np.flatnonzero(gene.details.get("mixed", np.zeros(len(gene.cn))) == 1)
    mixed = [Notable(int(row), gene, f"{gene.name} mixed, CRR {gene.ratio[row]:.2f}") for row in part]
    return [amplified[:MOST_SHOWN], mixed[:2], near[:2], absent[:2], uncallable[:2]]


def _largest(values: np.ndarray | None, among: np.ndarray) -> list[int]:
    """The row of the largest value."""
    if values is None or not among.any():
        return []
    return [int(np.argmax(np.where(among & np.isfinite(values), values, -np.inf)))]


def _usual(results: CnvResults) -> list[int]:
    """Isolates that are normal throughout, nearest to the median depth first."""
    normal = results.has_depth.copy()
    for gene in results.chromosomal:
        normal &= gene.cn == 1
    rows = np.flatnonzero(normal)
    if not rows.size:
        return []
    distance = np.abs(results.medians[rows] - np.median(results.medians[rows]))
    return [int(row) for row in rows[np.argsort(distance, kind="stable")]]


def _first(results: CnvResults) -> GeneResult | None:
    return results.chromosomal[0] if results.chromosomal else None


def _rank(notable: Notable, results: CnvResults) -> tuple[bool, int, float]:
    """Amplified isolates first, gene by gene, most copies first."""
    gene = notable.gene
    if gene is None:
        return True, 0, 0.0
    place = [each.name for each in results.chromosomal].index(gene.name)
    amplified = bool(gene.amplified[notable.row]) and notable.reason.startswith(gene.name)
    return not amplified, place, -float(np.nan_to_num(gene.ratio[notable.row]))
