"""Lineages (STs) and what members share: absent islands, duplications, diverged bins, plasmids, batch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from copyfold.cnv.simulation.events import (
    LINEAGE_ABSENCE,
    LINEAGE_DUPLICATION,
    EventList,
    event_list,
    random_interval,
)
from copyfold.cnv.simulation.geometry import REFERENCE_SEED, Geometry
from copyfold.cnv.simulation.settings import Lineages, SimulationSettings

_ISLAND_KEY = 7
FIRST_COMMON_ST = 9_001
FIRST_SINGLETON_ST = 100_001


@dataclass(frozen=True)
class Islands:
    """Accessory islands of the species, shared by all cohorts on one reference.

    Attributes
    ----------
    x0, x1 : numpy.ndarray, (n_islands,), int64
        0-based half-open, bp, contigs laid end to end.
    absence : numpy.ndarray, (n_islands,)
        Share of lineages that lack the island.
    """

    x0: np.ndarray
    x1: np.ndarray
    absence: np.ndarray


@dataclass(frozen=True)
class Lineage:
    """One ST.

    Attributes
    ----------
    name : str
    events : EventList
        Shared absences and duplications.
    divergence : numpy.ndarray, (n_bins,)
        Share of reads that still map, where the lineage's sequence differs from the reference.
    home_batch : int
    plasmid_rates : numpy.ndarray, (n_families,)
        Probability that a member carries each plasmid gene family.
    """

    name: str
    events: EventList
    divergence: np.ndarray
    home_batch: int
    plasmid_rates: np.ndarray


def species_islands(settings: Lineages, geometry: Geometry) -> Islands:
    """Islands of the reference that lineages may lack; they keep clear of the panel genes."""
    rng = np.random.default_rng(np.random.SeedSequence(REFERENCE_SEED, spawn_key=(_ISLAND_KEY,)))
    wanted = round(settings.islands_per_mb * geometry.length / 1e6)
    placed = [random_interval(rng, geometry, settings.island_bp, geometry.panel) for _ in range(wanted)]
    kept = np.array([interval for interval in placed if interval is not None], dtype=np.int64).reshape(-1, 2)
    return Islands(kept[:, 0], kept[:, 1], rng.beta(*settings.island_absence_beta, size=len(kept)))


def draw_lineage(
    name: str, rng: np.random.Generator, settings: SimulationSettings, geometry: Geometry, islands: Islands
) -> Lineage:
    """A lineage from its own generator, independent of every other."""
    shared = settings.lineages
    rows: list[tuple[int, int, float, str]] = []
    for missing in np.flatnonzero(rng.random(len(islands.x0)) < islands.absence):
        rows.append((int(islands.x0[missing]), int(islands.x1[missing]), 0.0, LINEAGE_ABSENCE))
    for mean, bounds, copies, kind in (
        (shared.private_absences, shared.private_absence_bp, 0.0, LINEAGE_ABSENCE),
        (shared.duplications, shared.duplication_bp, 2.0, LINEAGE_DUPLICATION),
    ):
        for _ in range(rng.poisson(mean)):
            interval = random_interval(rng, geometry, bounds, geometry.panel)
            if interval is not None:
                rows.append((*interval, copies, kind))
    concentration = settings.plasmids.lineage_concentration
    rates = [
        rng.beta(concentration * family.prevalence, concentration * (1 - family.prevalence))
        if 0 < family.prevalence < 1
        else family.prevalence
        for family in settings.plasmids.families.values()
    ]
    return Lineage(
        name=name,
        events=event_list(rows),
        divergence=_divergence(rng, len(geometry.contigs), shared),
        home_batch=int(rng.integers(settings.batches.count)),
        plasmid_rates=np.array(rates),
    )


def _divergence(rng: np.random.Generator, n_bins: int, settings: Lineages) -> np.ndarray:
    """Runs of geometric length in which a fixed share of the reads no longer maps."""
    profile = np.ones(n_bins)
    for _ in range(rng.poisson(settings.divergent_bin_share * n_bins / settings.divergent_run_bins)):
        first = int(rng.integers(n_bins))
        run = int(rng.geometric(1 / settings.divergent_run_bins))
        profile[first : first + run] = rng.uniform(*settings.divergent_factor)
    return profile


def zipf_weights(count: int, exponent: float) -> np.ndarray:
    """Sizes of `count` lineages, ∝ rank^−exponent, summing to 1: (count,)."""
    weights = np.arange(1, count + 1, dtype=np.float64) ** -exponent
    return weights / weights.sum()
