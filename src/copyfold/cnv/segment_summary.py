"""How a cohort was cut into segments, in numbers: a diagnosis that needs no truth."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import pandas as pd

from copyfold.cnv.families import percentiles
from copyfold.errors import InputError

SUMMARISED_COLUMNS = ("sample_id", "x0", "x1", "cn", "confidence")
"""Columns of segments.parquet that `summarise_segments` reads."""
_MOST_SEGMENTED_SHOWN = 10


@dataclass(frozen=True)
class CopyNumberSegments:
    """All segments of one copy number; `length_share` is of the bases in all segments."""

    cn: int
    n_segments: int
    length_share: float
    mean_confidence: float | None


@dataclass(frozen=True)
class SegmentSummary:
    """How a cohort was cut into segments; percentiles count samples without segments as 0."""

    n_samples: int
    n_segments: int
    n_samples_without_segments: int
    segments_per_sample: dict[str, float]
    by_cn: tuple[CopyNumberSegments, ...]
    most_segmented: tuple[tuple[str, int], ...]


def summarise_segments(parts: Iterable[pd.DataFrame], sample_ids: Sequence[str]) -> SegmentSummary:
    """Segment diagnostics of a cohort.

    Parameters
    ----------
    parts : iterable of pandas.DataFrame
        The table of segments in one part or many, of which one at a time is held. Columns sample_id, x0, x1 (bp,
        0-based half-open), cn, confidence, as in segments.parquet.
    sample_ids : sequence of str, at least one
        The cohort, so that samples without a segment are counted.

    Raises
    ------
    InputError
        A column is missing, or a segment belongs to a sample outside the cohort.
    """
    per_sample = dict.fromkeys(map(str, sample_ids), 0)
    numbers: Counter[int] = Counter()
    lengths: Counter[int] = Counter()
    confidences: dict[int, list[np.ndarray]] = {}
    for part in parts:
        if absent := set(SUMMARISED_COLUMNS) - set(part.columns):
            raise InputError(f"segments: no column {', '.join(sorted(absent))}; columns are {', '.join(part.columns)}")
        counts = part["sample_id"].astype(str).value_counts()
        if strangers := sorted(set(counts.index) - set(per_sample)):
            raise InputError(f"segments: sample '{strangers[0]}' is not in the cohort; segment the cohort again")
        for sample, n in counts.items():
            per_sample[str(sample)] += int(n)
        length = (part["x1"] - part["x0"]).to_numpy(dtype=np.int64)
        confidence = part["confidence"].to_numpy(dtype=np.float64, na_value=np.nan)
        for cn, members in part.groupby("cn").indices.items():
            numbers[int(cn)] += len(members)
            lengths[int(cn)] += int(length[members].sum())
            confidences.setdefault(int(cn), []).append(confidence[members][np.isfinite(confidence[members])])
    by_cn = []
    for cn, known in sorted(confidences.items()):
        n_known = sum(map(len, known))
        mean = math.fsum(chain.from_iterable(known)) / n_known if n_known else None
        by_cn.append(CopyNumberSegments(cn, numbers[cn], lengths[cn] / lengths.total(), mean))
    cut = ((sample, n) for sample, n in per_sample.items() if n)
    most = sorted(cut, key=lambda item: (-item[1], item[0]))[:_MOST_SEGMENTED_SHOWN]
    each = np.array(list(per_sample.values()))
    return SegmentSummary(
        n_samples=len(each),
        n_segments=int(each.sum()),
        n_samples_without_segments=int((each == 0).sum()),
        segments_per_sample=percentiles(each),
        by_cn=tuple(by_cn),
        most_segmented=tuple(most),
    )
