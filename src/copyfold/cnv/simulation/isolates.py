"""One isolate at a time: its traits, its events and the counts expected from them.

Every isolate, lineage and batch draws from a generator of its own, derived from (seed, stream, number), so
that isolate k is the same in a cohort of 100 as in one of 5,000.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from copyfold.cnv.simulation.counting import expected_counts, gc_response, smooth_wave
from copyfold.cnv.simulation.events import EventList, gene_interval, isolate_events, joined, mean_copies
from copyfold.cnv.simulation.geometry import GC_CENTRE, Geometry
from copyfold.cnv.simulation.lineages import (
    FIRST_COMMON_ST,
    FIRST_SINGLETON_ST,
    Islands,
    Lineage,
    draw_lineage,
    species_islands,
    zipf_weights,
)
from copyfold.cnv.simulation.plasmids import (
    GENE_GC,
    GENES,
    check_families,
    column_copies,
    column_weights,
    draw_carriage,
)
from copyfold.cnv.simulation.settings import SimulationSettings

Kind = Literal["ok", "failed", "contaminated", "noisy"]

_BATCH, _LINEAGE, _SINGLETON, _ISOLATE = 1, 2, 3, 4
_BATCH_WAVE_BP = 40_000
_NOISY_WAVE_BP = 10_000


@dataclass(frozen=True)
class Traits:
    """What is drawn for an isolate before any read.

    Attributes
    ----------
    batch : int
    kind : str
        ok, failed, contaminated or noisy.
    depth : float
        Reads per full-width bin at one copy.
    log2_ori_ter : float
    gc_slope, gc_curvature : float
        log2 per unit of GC, per squared unit.
    dispersion : float
    contamination : float
        Share of reads from another lineage.
    """

    batch: int
    kind: Kind
    depth: float
    log2_ori_ter: float
    gc_slope: float
    gc_curvature: float
    dispersion: float
    contamination: float


@dataclass(frozen=True)
class Isolate:
    """One isolate: truth and expectation.

    Attributes
    ----------
    lineage : str
    traits : Traits
    events : EventList
    gene_copies : numpy.ndarray, (n_panel,)
        Mean copies over each chromosomal panel gene.
    family_copies : numpy.ndarray, (n_families,)
        True plasmid copy number of each family.
    mean : numpy.ndarray, (n_bins,)
        Expected reads per bin.
    plasmid_mean : numpy.ndarray, (n_overlaps,)
        Expected reads per 1 kb plasmid bin (see `column_weights`); empty without plasmids.
    """

    lineage: str
    traits: Traits
    events: EventList
    gene_copies: np.ndarray
    family_copies: np.ndarray
    mean: np.ndarray
    plasmid_mean: np.ndarray


@dataclass(frozen=True)
class Background:
    """What the isolates of one cohort have in common.

    Attributes
    ----------
    batch_log2 : numpy.ndarray, (n_batches, n_bins)
        Smooth and per-bin effects of each batch together.
    batch_gene_log2 : numpy.ndarray, (n_batches, n_genes)
        The same for the plasmid columns.
    batch_gc_slope : numpy.ndarray, (n_batches,)
    common : tuple of Lineage
    weights : numpy.ndarray, (n_common,)
    """

    settings: SimulationSettings
    geometry: Geometry
    seed: int
    islands: Islands
    batch_log2: np.ndarray
    batch_gene_log2: np.ndarray
    batch_gc_slope: np.ndarray
    common: tuple[Lineage, ...]
    weights: np.ndarray


def stream(seed: int, kind: int, number: int) -> np.random.Generator:
    """The generator of one batch, lineage or isolate."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(kind, number)))


def cohort_background(settings: SimulationSettings, geometry: Geometry, seed: int) -> Background:
    """Draw batches and common lineages."""
    if geometry.has_plasmids:
        check_families(settings.plasmids)
    batches, n_bins = settings.batches, len(geometry.contigs)
    batch_log2, gene_log2 = np.empty((batches.count, n_bins)), np.empty((batches.count, len(GENES)))
    gc_slope = np.empty(batches.count)
    for number in range(batches.count):
        rng = stream(seed, _BATCH, number)
        batch_log2[number] = smooth_wave(rng, n_bins, batches.smooth_sd, _BATCH_WAVE_BP / geometry.bin_width)
        batch_log2[number] += batches.bin_sd * rng.standard_normal(n_bins)
        gene_log2[number] = batches.bin_sd * rng.standard_normal(len(GENES))
        gc_slope[number] = settings.bias.gc_slope_batch_sd * rng.standard_normal()
    islands = species_islands(settings.lineages, geometry)
    common = tuple(
        draw_lineage(f"ST{FIRST_COMMON_ST + rank}", stream(seed, _LINEAGE, rank), settings, geometry, islands)
        for rank in range(settings.lineages.common)
    )
    weights = zipf_weights(settings.lineages.common, settings.lineages.zipf_exponent)
    return Background(settings, geometry, seed, islands, batch_log2, gene_log2, gc_slope, common, weights)


def draw_isolate(background: Background, number: int) -> tuple[Isolate, np.random.Generator]:
    """Isolate `number` (from 0) and the generator that its reads are to be drawn with."""
    settings, geometry = background.settings, background.geometry
    rng = stream(background.seed, _ISOLATE, number)
    lineage = _draw_lineage_of(background, number, rng)
    traits = draw_traits(rng, background, lineage)
    events = joined(lineage.events, isolate_events(rng, geometry, settings.events, settings.gene))
    start, end = geometry.linear_bins
    copies = mean_copies(start, end, events.x0, events.x1, events.copies)
    mapped = geometry.mappability * lineage.divergence
    if traits.contamination:
        other = background.common[int(rng.choice(len(background.common), p=background.weights))].events
        theirs = mean_copies(start, end, other.x0, other.x1, other.copies)
        copies = (1 - traits.contamination) * copies + traits.contamination * theirs
    strength = 1 + settings.batches.strength_sd * rng.standard_normal()
    log2_bias = (
        gc_response(geometry.gc, traits.gc_slope, traits.gc_curvature, GC_CENTRE)
        + traits.log2_ori_ter * geometry.replication
        + settings.bias.bin_sd * geometry.bias
        + strength * background.batch_log2[traits.batch]
    )
    if traits.kind == "noisy":
        log2_bias += smooth_wave(
            rng, len(log2_bias), settings.quality.noisy_wave_sd, _NOISY_WAVE_BP / geometry.bin_width
        )
    width_share = (geometry.contigs.end - geometry.contigs.start) / geometry.bin_width
    stray = settings.bias.stray_share * geometry.stray
    mean = expected_counts(traits.depth, width_share, mapped, log2_bias, copies, stray)
    gene_copies = panel_copies(geometry, events)
    family_copies, plasmid_mean = np.zeros(0), np.zeros(0)
    if geometry.has_plasmids:
        family_copies, alleles = draw_carriage(rng, settings.plasmids, lineage.plasmid_rates)
        columns = column_copies(rng, settings.plasmids, alleles, float(gene_copies[0]))
        columns *= np.exp2(
            gc_response(GENE_GC, traits.gc_slope, traits.gc_curvature, GC_CENTRE)
            + strength * background.batch_gene_log2[traits.batch]
        )
        plasmid_mean = traits.depth * columns[column_weights()[0]]
    isolate = Isolate(lineage.name, traits, events, gene_copies, family_copies, mean, plasmid_mean)
    return isolate, rng


def panel_copies(geometry: Geometry, events: EventList) -> np.ndarray:
    """Mean true copies over each panel gene, (n_panel,)."""
    intervals = np.array([gene_interval(geometry, gene) for gene in geometry.panel], dtype=np.int64)
    return mean_copies(intervals[:, 0], intervals[:, 1], events.x0, events.x1, events.copies)


def lineage_named(background: Background, name: str) -> Lineage:
    """The lineage of this name: one of the common ones, or the only isolate's own."""
    number = int(name.removeprefix("ST"))
    if number < FIRST_SINGLETON_ST:
        return background.common[number - FIRST_COMMON_ST]
    return draw_lineage(
        name,
        stream(background.seed, _SINGLETON, number - FIRST_SINGLETON_ST),
        background.settings,
        background.geometry,
        background.islands,
    )


def _draw_lineage_of(background: Background, number: int, rng: np.random.Generator) -> Lineage:
    if rng.random() < background.settings.lineages.singleton_rate:
        return lineage_named(background, f"ST{FIRST_SINGLETON_ST + number}")
    return background.common[int(rng.choice(len(background.common), p=background.weights))]


def draw_traits(rng: np.random.Generator, background: Background, lineage: Lineage) -> Traits:
    """Depth, biases and quality of one isolate of `lineage`."""
    settings = background.settings
    bias, quality = settings.bias, settings.quality
    elsewhere = rng.random() >= settings.batches.home_share
    other_batch = int(rng.integers(settings.batches.count))
    batch = other_batch if elsewhere else lineage.home_batch
    depth = settings.depth.median * np.exp(settings.depth.log_sd * rng.standard_normal())
    dispersion = settings.noise.dispersion_median * np.exp(settings.noise.dispersion_log_sd * rng.standard_normal())
    log2_ori_ter = rng.uniform(*bias.log2_ori_ter)
    gc_slope = background.batch_gc_slope[batch] + bias.gc_slope_sd * rng.standard_normal()
    gc_curvature = bias.gc_curvature_mean + bias.gc_curvature_sd * rng.standard_normal()
    draw, factor, share = rng.random(), rng.uniform(*quality.failed_depth_factor), 0.0
    kind: Kind = "ok"
    if draw < quality.failed_rate:
        kind, depth = "failed", depth * factor
    elif draw < quality.failed_rate + quality.contaminated_rate:
        kind, share = "contaminated", float(rng.uniform(*quality.contamination_share))
    elif draw < quality.failed_rate + quality.contaminated_rate + quality.noisy_rate:
        kind, dispersion = "noisy", dispersion * quality.noisy_dispersion_factor
    return Traits(
        batch=batch,
        kind=kind,
        depth=float(depth),
        log2_ori_ter=float(log2_ori_ter),
        gc_slope=float(gc_slope),
        gc_curvature=float(gc_curvature),
        dispersion=float(dispersion),
        contamination=share,
    )
