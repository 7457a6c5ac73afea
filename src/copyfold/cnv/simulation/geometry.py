"""The reference a cohort is simulated on: bins, GC, mappability, replication, gene panel.

A geometry stands for a species and its reference sequence, so it does not depend on a cohort's seed: two
cohorts share GC, repeats, per-bin biases and (given equal settings) accessory islands, as two real ones do.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.signal import lfilter

from copyfold.cnv.coordinates import Gene
from copyfold.cnv.store import Contigs
from copyfold.errors import ConfigError

REFERENCE_SEED = 16845
"""Seed of everything that belongs to the reference rather than to a cohort."""

HS11286_CONTIG = "NC_016845.1"
HS11286_LENGTH = 5_333_942
HS11286_BINS = 5_334
_ORIGIN_SHARE = 844 / HS11286_LENGTH
_TERMINUS_SHARE = 2_667_722 / HS11286_LENGTH
_SHV_START, _SHV_LENGTH = 2_549_402, 861

# Quantiles (1, 5, 25, 50, 75, 95, 99 %) of GC per kb of HS11286, and the normal deviates they stand at.
_GC_QUANTILES = np.array([0.392, 0.476, 0.546, 0.583, 0.611, 0.650, 0.673])
_GC_DEVIATES = np.array([-2.326, -1.645, -0.674, 0.0, 0.674, 1.645, 2.326])
GC_CENTRE = 0.583

_LOW_SHARE, _ZERO_SHARE = 67 / 5_334, 11 / 5_334
_DIM_SHARE, _PALE_SHARE = 29 / 5_334, 120 / 5_334
_PANEL_CLEARANCE_BINS = 5


@dataclass(frozen=True)
class Measured:
    """What `like` takes from a depth table.

    Attributes
    ----------
    median_depth : float
        Of the bins, in the table's unit.
    dispersion : float
        Variance beyond Poisson over squared mean, from differences of neighbouring bins.
    log2_ori_ter : float
        Height of the replication trend, log2.
    """

    median_depth: float
    dispersion: float
    log2_ori_ter: float


@dataclass(frozen=True)
class Geometry:
    """Bins of the reference with everything about them that isolates have in common.

    Attributes
    ----------
    source, species : str
    contigs : Contigs
        (n_bins,) bins, 0-based half-open.
    gc : numpy.ndarray, (n_bins,)
        GC as a fraction of 1; synthetic.
    mappability : numpy.ndarray, (n_bins,)
        Share of a bin's reads that map uniquely (MAPQ ≥ 20).
    bias : numpy.ndarray, (n_bins,)
        Standard-normal deviates of the per-bin bias common to all libraries.
    stray : numpy.ndarray, (n_bins,)
        Profile of stray mapping, mean 1.
    replication : numpy.ndarray, (n_bins,)
        +0.5 at the origin, −0.5 at the terminus, linear in between on the circle.
    panel : tuple of Gene
    has_plasmids : bool
    measured : Measured or None
    """

    source: str
    species: str
    contigs: Contigs
    gc: np.ndarray
    mappability: np.ndarray
    bias: np.ndarray
    stray: np.ndarray
    replication: np.ndarray
    panel: tuple[Gene, ...]
    has_plasmids: bool
    measured: Measured | None = None

    @cached_property
    def bin_width(self) -> float:
        """Most frequent bin length in bp; depth is counted per bin of this width."""
        widths, seen = np.unique(self.contigs.end - self.contigs.start, return_counts=True)
        return float(widths[seen.argmax()])

    @cached_property
    def contig_names(self) -> np.ndarray:
        """(n_contigs,), str, in the order of the bins."""
        return self.contigs.chrom[self.contigs.chain_starts[:-1]]

    @cached_property
    def contig_lengths(self) -> np.ndarray:
        """(n_contigs,), int64, bp: where each contig's last bin ends."""
        return self.contigs.end[self.contigs.chain_starts[1:] - 1]

    @cached_property
    def contig_offsets(self) -> np.ndarray:
        """(n_contigs,), int64, bp: contigs laid end to end, where each begins."""
        return np.concatenate([[0], np.cumsum(self.contig_lengths)[:-1]]).astype(np.int64)

    @cached_property
    def length(self) -> int:
        """Sum of the contigs' lengths in bp."""
        return int(self.contig_lengths.sum())

    @cached_property
    def linear_bins(self) -> tuple[np.ndarray, np.ndarray]:
        """Start and end of each bin with the contigs laid end to end, (n_bins,), int64."""
        shift = np.repeat(self.contig_offsets, np.diff(self.contigs.chain_starts))
        return self.contigs.start + shift, self.contigs.end + shift

    def linear(self, chrom: np.ndarray | list[str], x: np.ndarray) -> np.ndarray:
        """Positions `x` on contigs `chrom` with the contigs laid end to end."""
        order = np.argsort(self.contig_names)
        contig = order[np.searchsorted(self.contig_names, np.asarray(chrom, dtype=np.str_), sorter=order)]
        return self.contig_offsets[contig] + np.asarray(x, dtype=np.int64)


def hs11286_geometry(n_bins: int = HS11286_BINS, bin_size: int = 1_000) -> Geometry:
    """A chromosome like that of *K. pneumoniae* HS11286 with blaSHV; a shorter one keeps its proportions.

    Parameters
    ----------
    n_bins, bin_size : int
        5,334 bins of 1,000 bp are the real ones (the last has 942).

    Raises
    ------
    ConfigError
        The chromosome would be too short to hold the gene and its flanks.
    """
    if n_bins * bin_size < 20_000 or n_bins < 20:
        raise ConfigError(f"{n_bins} bins of {bin_size} bp are too few; simulate at least 20 bins and 20,000 bp")
    start = np.arange(n_bins, dtype=np.int64) * bin_size
    length = n_bins * bin_size - round(0.058 * bin_size)
    end = np.minimum(start + bin_size, length)
    gene_start = round(_SHV_START * length / HS11286_LENGTH)
    gene = Gene("blaSHV", HS11286_CONTIG, gene_start, gene_start + _SHV_LENGTH)
    contigs = Contigs(np.full(n_bins, HS11286_CONTIG), start, end)
    replication = replication_profile((start + end) / 2, length, _ORIGIN_SHARE * length, _TERMINUS_SHARE * length)
    return build_geometry(
        source="HS11286-like chromosome",
        species="Klebsiella pneumoniae",
        contigs=contigs,
        replication=replication,
        panel=(gene,),
        has_plasmids=True,
    )


def build_geometry(
    *,
    source: str,
    species: str,
    contigs: Contigs,
    replication: np.ndarray,
    panel: tuple[Gene, ...],
    has_plasmids: bool,
    measured: Measured | None = None,
) -> Geometry:
    """Add synthetic GC, mappability, bias and stray profiles to bins; panel genes stay clear of repeats."""
    n_bins = len(contigs)
    streams = np.random.SeedSequence(REFERENCE_SEED).spawn(4)
    gc_rng, mappability_rng, bias_rng, stray_rng = (np.random.default_rng(stream) for stream in streams)
    clear = np.zeros(n_bins, dtype=bool)
    for gene in panel:
        inside = np.flatnonzero(
            (contigs.chrom == gene.contig) & (contigs.end > gene.start) & (contigs.start < gene.end)
        )
        first, last = inside[0] - _PANEL_CLEARANCE_BINS, inside[-1] + _PANEL_CLEARANCE_BINS
        clear[max(0, first) : last + 1] = True
    return Geometry(
        source=source,
        species=species,
        contigs=contigs,
        gc=gc_profile(n_bins, gc_rng),
        mappability=mappability_profile(clear, mappability_rng),
        bias=bias_rng.standard_normal(n_bins),
        stray=stray_rng.gamma(0.5, 2.0, n_bins),
        replication=replication,
        panel=panel,
        has_plasmids=has_plasmids,
        measured=measured,
    )


def replication_profile(position: np.ndarray, length: float, origin: float, terminus: float) -> np.ndarray:
    """Linear fall from +0.5 at the origin to −0.5 at the terminus along both arms of a circle.

    Parameters
    ----------
    position : numpy.ndarray, (n_bins,)
        bp, 0-based.
    length, origin, terminus : float
        bp, 0-based.

    References
    ----------
    Korem T et al. Growth dynamics of gut microbiota in health and disease inferred from single metagenomic
    samples. Science 349:1101 (2015).
    """
    right = (terminus - origin) % length
    downstream = (np.asarray(position) - origin) % length
    share = np.where(downstream <= right, downstream / right, (length - downstream) / (length - right))
    return 0.5 - share


def gc_profile(n_bins: int, rng: np.random.Generator) -> np.ndarray:
    """GC per bin: an autocorrelated normal process mapped onto the GC quantiles of HS11286.

    Two first-order autoregressions (0.95 and 0.60 per bin) and white noise in shares 0.25, 0.47, 0.28 follow
    the autocorrelation measured: 0.55, 0.38, 0.30, 0.23, 0.15, 0.07 at lags 1, 2, 3, 5, 10, 20 kb.
    """
    process = np.sqrt(0.28) * rng.standard_normal(n_bins)
    for share, memory in ((0.25, 0.95), (0.47, 0.60)):
        shocks = np.sqrt(1 - memory**2) * rng.standard_normal(n_bins)
        shocks[0] = rng.standard_normal()
        process += np.sqrt(share) * lfilter([1.0], [1.0, -memory], shocks)
    slopes = np.diff(_GC_QUANTILES)[[0, -1]] / np.diff(_GC_DEVIATES)[[0, -1]]
    below = np.minimum(process - _GC_DEVIATES[0], 0) * slopes[0]
    above = np.maximum(process - _GC_DEVIATES[-1], 0) * slopes[1]
    return np.clip(np.interp(process, _GC_DEVIATES, _GC_QUANTILES) + below + above, 0.28, 0.72)


def mappability_profile(clear: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Share of reads that map uniquely, with runs of repeat bins in the proportions measured on HS11286.

    Flat simulated reads at MAPQ ≥ 20 leave 67 of 5,334 bins below half depth, 11 of them at zero, in runs of
    1 to 5 bins (rRNA operons, insertion sequences), 29 between 0.5 and 0.8 and 120 between 0.8 and 0.9.

    Parameters
    ----------
    clear : numpy.ndarray, (n_bins,), bool
        Bins that stay fully mappable.
    """
    n_bins = len(clear)
    profile = np.ones(n_bins)
    n_low = round(_LOW_SHARE * n_bins)
    low: list[int] = []
    while len(low) < n_low:
        run = int(rng.choice([1, 2, 4, 5], p=[0.56, 0.19, 0.09, 0.16]))
        first = int(rng.integers(0, max(1, n_bins - run)))
        bins = range(first, first + run)
        if not (clear[first : first + run].any() or set(bins) & set(low)):
            low += bins
    low = low[:n_low]
    profile[low] = rng.uniform(0.01, 0.5, n_low)
    profile[rng.permutation(np.array(low, dtype=np.int64))[: round(_ZERO_SHARE * n_bins)]] = 0.0
    free = rng.permutation(np.flatnonzero((profile == 1) & ~clear))
    n_dim, n_pale = round(_DIM_SHARE * n_bins), round(_PALE_SHARE * n_bins)
    profile[free[:n_dim]] = rng.uniform(0.5, 0.8, min(n_dim, len(free)))
    pale = free[n_dim : n_dim + n_pale]
    profile[pale] = rng.uniform(0.8, 0.9, len(pale))
    return profile
