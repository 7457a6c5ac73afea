"""Published stores (CNVRock): the same folder of arrays, whose plasmid columns may be sums over bins."""

from __future__ import annotations

import numpy as np

from copyfold.cnv.store import Contigs


def overlapped_bins(contigs: Contigs, bin_size: int) -> np.ndarray:
    """Bins that a published plasmid column is a sum over, by the rule it was made with.

    A bin is taken where END > gene start and START < gene end, all 1-based inclusive and bins laid from 1 on. (So a
    gene that begins at a bin's last base does not take that bin.)

    Parameters
    ----------
    contigs : Contigs
        One row per gene.
    bin_size : int
        bp.

    Returns
    -------
    numpy.ndarray, (n_genes,), int64
        At least 1.
    """
    first = (contigs.start + 1) // bin_size
    behind = -(-(contigs.end - 1) // bin_size)
    bins: np.ndarray = np.maximum(behind - first, 1)
    return bins
