"""Which deep mutational scans can be learned from together: a rule about the scale of their scores.

Scores that are logarithms of ratios, or fitness with wild type and null at fixed values, lie near zero. A fluorescence
in arbitrary units, a dissociation constant or a percentage does not, and one such assay outweighs all the others in a
squared error. Reasons and the rule's decision on every assay: docs/benchmarks/ddg-document.md.
"""

from __future__ import annotations

import math

LARGEST_SCORE = 25.0
"""In base-2 logarithms 25 is a 3 · 10⁷-fold change, more than a selection resolves; standardised fitness stays far
below."""


def fits_common_scale(lowest: float, highest: float) -> bool:
    """Whether an assay's scores, from `lowest` to `highest`, can stand beside others': all lie within
    ±`LARGEST_SCORE`."""
    return math.isfinite(lowest) and math.isfinite(highest) and max(abs(lowest), abs(highest)) <= LARGEST_SCORE


def decide_by_cutoff(cutoff: float) -> str:
    """What ProteinGym's reference table alone says of an assay, by the cutoff that halves its scores.

    Parameters
    ----------
    cutoff : float
        ``DMS_binarization_cutoff``: a value between the assay's lowest and highest score.

    Returns
    -------
    str
        ``excluded`` where the cutoff lies outside ±`LARGEST_SCORE`, so that a score must, too; else ``open``: the
        scores themselves decide.
    """
    return "excluded" if not abs(cutoff) <= LARGEST_SCORE else "open"
