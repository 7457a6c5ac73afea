"""A whole simulated cohort, with its truth."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

import numpy as np
import pandas as pd

from copyfold.cnv.simulation.counting import negative_binomial
from copyfold.cnv.simulation.events import EventList, mean_copies
from copyfold.cnv.simulation.geometry import Geometry, hs11286_geometry
from copyfold.cnv.simulation.isolates import Isolate, cohort_background, draw_isolate, lineage_named
from copyfold.cnv.simulation.plasmids import FAMILIES, GENES, column_weights
from copyfold.cnv.simulation.settings import SimulationSettings, changed
from copyfold.cnv.store import Contigs
from copyfold.errors import ConfigError

MAX_ISOLATES = 9_999_999


@dataclass(frozen=True)
class SimulatedCohort:
    """Counts and the truth behind them; rows are sorted by sample id.

    Attributes
    ----------
    settings : SimulationSettings
        As used: with `like`, depth, noise and replication are the table's.
    geometry : Geometry
    seed : int
    counts : numpy.ndarray, (n_samples, n_bins), uint32
        Read starts per bin.
    plasmid_counts : numpy.ndarray or None, (n_samples, n_genes), uint32
        Overlap-weighted reads per 1 kb bin over each plasmid gene.
    sample_ids : numpy.ndarray, (n_samples,), str
    samples : pandas.DataFrame
        sample_id, ST, batch, kind, depth (reads per full bin at one copy), log2_ori_ter, gc_slope,
        gc_curvature, dispersion, contamination.
    events : pandas.DataFrame
        sample_id, chrom, x0, x1 (bp, 0-based half-open), copies, kind.
    genes : pandas.DataFrame
        sample_id, one column per panel gene (mean true copies), ``pcn_<family>`` (true plasmid copies).
    """

    settings: SimulationSettings
    geometry: Geometry
    seed: int
    counts: np.ndarray
    plasmid_counts: np.ndarray | None
    sample_ids: np.ndarray
    samples: pd.DataFrame
    events: pd.DataFrame
    genes: pd.DataFrame

    @property
    def contigs(self) -> Contigs:
        """Bins of `counts`."""
        return self.geometry.contigs

    @property
    def plasmid_genes(self) -> np.ndarray:
        """Genes of `plasmid_counts`, (n_genes,), str; empty without plasmids."""
        return np.array(GENES if self.geometry.has_plasmids else (), dtype=np.str_)

    @property
    def n_samples(self) -> int:
        return len(self.sample_ids)


def simulate(
    settings: SimulationSettings, n_isolates: int, seed: int, geometry: Geometry | None = None
) -> SimulatedCohort:
    """Simulate a cohort; the same arguments give the same bits.

    Parameters
    ----------
    settings : SimulationSettings
    n_isolates : int
    seed : int
        ≥ 0.
    geometry : Geometry, optional
        The HS11286-like chromosome by default.

    Raises
    ------
    ConfigError
        `n_isolates`, `seed` or a plasmid family is impossible.
    """
    if not 1 <= n_isolates <= MAX_ISOLATES:
        raise ConfigError(f"n_isolates is {n_isolates}; it must lie between 1 and {MAX_ISOLATES:,}")
    if seed < 0:
        raise ConfigError(f"seed is {seed}; it must not be negative")
    geometry = hs11286_geometry() if geometry is None else geometry
    settings = fitted_settings(settings, geometry)
    background = cohort_background(settings, geometry, seed)
    sample_ids = np.array([f"SIM{number + 1:07d}" for number in range(n_isolates)])
    counts = np.empty((n_isolates, len(geometry.contigs)), dtype=np.uint32)
    plasmid_counts = np.empty((n_isolates, len(GENES)), dtype=np.uint32) if geometry.has_plasmids else None
    column, weight = column_weights()
    isolates: list[Isolate] = []
    for number in range(n_isolates):
        isolate, rng = draw_isolate(background, number)
        counts[number] = negative_binomial(rng, isolate.mean, isolate.traits.dispersion)
        if plasmid_counts is not None:
            bins = negative_binomial(rng, isolate.plasmid_mean, isolate.traits.dispersion)
            depth = np.bincount(column, weights=weight * bins, minlength=len(GENES))
            plasmid_counts[number] = np.rint(depth).astype(np.uint32)
        isolates.append(replace(isolate, mean=np.zeros(0), plasmid_mean=np.zeros(0)))
    return SimulatedCohort(
        settings=settings,
        geometry=geometry,
        seed=seed,
        counts=counts,
        plasmid_counts=plasmid_counts,
        sample_ids=sample_ids,
        samples=_samples_table(sample_ids, isolates),
        events=_events_table(sample_ids, isolates, geometry),
        genes=_genes_table(sample_ids, isolates, geometry),
    )


def fitted_settings(settings: SimulationSettings, geometry: Geometry) -> SimulationSettings:
    """Settings with what `like` measured: median depth, replication around the table's, over-dispersion.

    Half of the over-dispersion goes to the per-bin bias that all libraries share, half to the isolate's own
    noise: one table cannot tell the two apart.
    """
    measured = geometry.measured
    if measured is None:
        return settings
    half = measured.dispersion / 2
    return changed(
        settings,
        depth={"median": measured.median_depth},
        noise={"dispersion_median": half},
        bias={
            "bin_sd": float(np.sqrt(half) / np.log(2)),
            "log2_ori_ter": (0.5 * measured.log2_ori_ter, 1.5 * measured.log2_ori_ter),
        },
    )


def true_copies(cohort: SimulatedCohort) -> np.ndarray:
    """Mean true copies of every bin, from the events table: (n_samples, n_bins), float32.

    Each base pair of a bin counts alike; overlapping events multiply.
    """
    geometry = cohort.geometry
    start, end = geometry.linear_bins
    copies = np.ones((cohort.n_samples, len(start)), dtype=np.float32)
    events = cohort.events
    chrom = events["chrom"].to_numpy(dtype=np.str_)
    x0 = geometry.linear(chrom, events["x0"].to_numpy())
    x1 = geometry.linear(chrom, events["x1"].to_numpy())
    level = events["copies"].to_numpy(dtype=np.float64)
    owner = np.searchsorted(cohort.sample_ids, events["sample_id"].to_numpy(dtype=np.str_))
    borders = np.searchsorted(owner, np.arange(cohort.n_samples + 1))
    for row in range(cohort.n_samples):
        mine = slice(borders[row], borders[row + 1])
        copies[row] = mean_copies(start, end, x0[mine], x1[mine], level[mine])
    return copies


def mapped_shares(cohort: SimulatedCohort) -> np.ndarray:
    """Share of every bin's reads that still map where the isolate's lineage is diverged, 1 elsewhere.

    Two copies of a bin of share one half show the reads of one.

    Parameters
    ----------
    cohort : SimulatedCohort

    Returns
    -------
    numpy.ndarray, (n_samples, n_bins), float32
    """
    background = cohort_background(cohort.settings, cohort.geometry, cohort.seed)
    names, of_sample = np.unique(cohort.samples["ST"].to_numpy(dtype=np.str_), return_inverse=True)
    shares = np.stack([lineage_named(background, name).divergence for name in names.tolist()])
    return shares.astype(np.float32)[of_sample]


def _samples_table(sample_ids: np.ndarray, isolates: list[Isolate]) -> pd.DataFrame:
    table = pd.DataFrame([asdict(isolate.traits) for isolate in isolates])
    table.insert(0, "sample_id", sample_ids)
    table.insert(1, "ST", [isolate.lineage for isolate in isolates])
    return table[
        [
            "sample_id",
            "ST",
            "batch",
            "kind",
            "depth",
            "log2_ori_ter",
            "gc_slope",
            "gc_curvature",
            "dispersion",
            "contamination",
        ]
    ]


def _events_table(sample_ids: np.ndarray, isolates: list[Isolate], geometry: Geometry) -> pd.DataFrame:
    lists: list[EventList] = [isolate.events for isolate in isolates]
    x0 = np.concatenate([events.x0 for events in lists])
    x1 = np.concatenate([events.x1 for events in lists])
    contig = np.searchsorted(geometry.contig_offsets, x0, side="right") - 1
    shift = geometry.contig_offsets[contig]
    table = pd.DataFrame(
        {
            "sample_id": np.repeat(sample_ids, [len(events) for events in lists]),
            "chrom": geometry.contig_names[contig],
            "x0": x0 - shift,
            "x1": x1 - shift,
            "copies": np.concatenate([events.copies for events in lists]),
            "kind": np.concatenate([events.kind for events in lists]),
            "contig": contig,
        }
    )
    table = table.sort_values(["sample_id", "contig", "x0", "x1", "kind", "copies"], kind="stable")
    return table.drop(columns="contig").reset_index(drop=True)


def _genes_table(sample_ids: np.ndarray, isolates: list[Isolate], geometry: Geometry) -> pd.DataFrame:
    columns: dict[str, np.ndarray] = {"sample_id": sample_ids}
    for position, gene in enumerate(geometry.panel):
        columns[gene.name] = np.array([isolate.gene_copies[position] for isolate in isolates])
    if geometry.has_plasmids:
        for position, family in enumerate(FAMILIES):
            columns[f"pcn_{family}"] = np.array([isolate.family_copies[position] for isolate in isolates])
    return pd.DataFrame(columns)
