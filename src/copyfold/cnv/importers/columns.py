"""Which columns of the tables go into a store, and genes as weighted sums of bins."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from copyfold.cnv.coordinates import Gene, find_gene_bins, same_contig
from copyfold.cnv.store import Contigs
from copyfold.errors import InputError


def select_contigs(contigs: Contigs, names: Sequence[str]) -> np.ndarray:
    """Columns that lie on the named contigs (or their aliases); without names, on the longest: (m,), int64.

    Raises
    ------
    InputError
        A name matches no contig.
    """
    present = list(dict.fromkeys(contigs.chrom.tolist()))
    if not names:
        longest = max(present, key=lambda name: int(contigs.end[contigs.chrom == name].max()))
        return np.flatnonzero(contigs.chrom == longest)
    chosen = []
    for wanted in names:
        matching = [name for name in present if same_contig(name, wanted)]
        if not matching:
            raise InputError(f"--contig {wanted}: the tables have {', '.join(present[:8])}")
        chosen += matching
    return np.flatnonzero(np.isin(contigs.chrom, chosen))


def gene_weights(gene: Gene, contigs: Contigs) -> tuple[np.ndarray, np.ndarray]:
    """Bins of a gene and the factors that make its depth of their counts.

    Parameters
    ----------
    gene : Gene
    contigs : Contigs

    Returns
    -------
    bins : numpy.ndarray, (k,), int64
    factors : numpy.ndarray, (k,), float64
        ``counts[bins] @ factors`` is the overlap-weighted depth in reads per bin of full length. Every bin's reads
        are spread evenly over its length, so that a short last bin counts by its length.

    Raises
    ------
    InputError
        The gene's contig is not among the bins.
    """
    found = find_gene_bins(gene, contigs)
    lengths = contigs.end - contigs.start
    return found.bins, found.weights / found.weights.sum() * lengths.max() / lengths[found.bins]


def gene_depths(counts: np.ndarray, gene: Gene, contigs: Contigs) -> np.ndarray:
    """Overlap-weighted depth of a gene in each sample, in reads per bin of full length.

    Parameters
    ----------
    counts : numpy.ndarray, (n_samples, n_bins)
    gene : Gene
    contigs : Contigs

    Returns
    -------
    numpy.ndarray, (n_samples,), float64

    Raises
    ------
    InputError
        The gene's contig is not among the bins.
    """
    bins, factors = gene_weights(gene, contigs)
    depths: np.ndarray = counts[:, bins] @ factors
    return depths
