"""Do 95 % intervals of copies cover the truth? Genes placed in a simulated cohort where its truth is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from common import DesignResult
from copyfold.cnv.callers import SegmentedDepths
from copyfold.cnv.coordinates import Gene
from copyfold.cnv.segmentation import ExpectedDepths
from copyfold.cnv.simulation import SimulatedCohort

GENE_BP = 861
STRATA = ((15, 40), (40, 150), (150, 1000))
"""Reads per bin at one copy."""


def gene_class(copies: float) -> str:
    """How the truth is counted: single, mixed (1.3 to 1.7) or amplified; other levels belong to none."""
    if copies == 1:
        return "single"
    return "mixed" if 1.3 <= copies <= 1.7 else "amplified" if copies > 1.7 else ""


def place_genes(cohort: SimulatedCohort, copies: np.ndarray, n_each: int, rng: np.random.Generator) -> pd.DataFrame:
    """Genes of `GENE_BP` that lie inside one gain, or in three bins of plainly one copy, of sound or noisy libraries.

    Libraries of two strains are left out: their depth is a mixture whose copies are no single number.

    Returns
    -------
    pandas.DataFrame
        row, chrom, start (0-based), copies; up to `n_each` genes in gains, as many elsewhere.
    """
    usable = cohort.samples["kind"].isin(["ok", "noisy"]).to_numpy()
    row_of = {name: row for row, name in enumerate(cohort.sample_ids.tolist())}
    contigs, places = cohort.contigs, []
    events = cohort.events[(cohort.events["copies"] > 1) & (cohort.events["x1"] - cohort.events["x0"] > GENE_BP)]
    for position in rng.permutation(len(events)):
        event = events.iloc[position]
        row = row_of[event["sample_id"]]
        start = int(rng.integers(event["x0"], event["x1"] - GENE_BP))
        others = cohort.events[cohort.events["sample_id"] == event["sample_id"]]
        at = others[(others["x0"] < start + GENE_BP) & (others["x1"] > start)]
        if usable[row] and (at["x0"] <= start).all() and (at["x1"] >= start + GENE_BP).all():
            total = float(at["copies"].prod())  # events inside one another multiply
            if gene_class(total):
                places.append((row, event["chrom"], start, total))
        if len(places) >= n_each:
            break
    while len(places) < 2 * n_each:
        row, column = int(rng.choice(np.flatnonzero(usable))), int(rng.integers(1, len(contigs) - 2))
        if (copies[row, column - 1 : column + 3] == 1).all():
            start = int(contigs.start[column]) + int(rng.integers(0, 1000))
            places.append((row, str(contigs.chrom[column]), start, 1.0))
    return pd.DataFrame(places, columns=["row", "chrom", "start", "copies"])


def measure(cohort: SimulatedCohort, result: DesignResult, genes: pd.DataFrame) -> pd.DataFrame:
    """Each called gene with its class, the isolate's depth, ratio, interval and call."""
    depth = cohort.samples["depth"].to_numpy()
    rows: list[dict[str, Any]] = []
    for row, chrom, start, copies in genes.itertuples(index=False):
        one = slice(row, row + 1)
        depths = ExpectedDepths(*(part[one] for part in result.depths))
        batch = SegmentedDepths(depths, result.ratios.ratio[one], result.segmentation.cn[one], np.ones((1, 1)))
        found = result.caller.call_chromosomal(Gene("gene", chrom, start, start + GENE_BP), batch)
        if found.cn[0] >= 0:
            said = {name: float(found.columns[name][0]) for name in ("lower", "upper", "mixed")}
            head = {"class": gene_class(copies), "depth": depth[row], "copies": copies, "cn": int(found.cn[0])}
            rows.append(head | {"ratio": float(found.ratio[0])} | said)
    return pd.DataFrame(rows)


def coverage(genes: pd.DataFrame) -> list[dict[str, Any]]:
    """Share of intervals that hold the truth, by class and depth."""
    inside = (genes["lower"] <= genes["copies"]) & (genes["copies"] <= genes["upper"])
    width = (genes["upper"] - genes["lower"]) / genes["copies"]
    rows = []
    for name in ("single", "amplified", "mixed"):
        for low, high in STRATA:
            chosen = (genes["class"] == name) & (genes["depth"] >= low) & (genes["depth"] < high)
            if chosen.any():
                cells = {"genes": int(chosen.sum()), "cover": float(inside[chosen].mean())}
                rows.append(
                    {"class": name, "depth": f"{low}–{high}"} | cells | {"width": float(width[chosen].median())}
                )
    return rows
