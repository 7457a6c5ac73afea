"""From reads to counts per bin, depth of genes and a quality record. See docs/methods/counting.md."""

from copyfold.cnv.counting.per_sample import (
    ReadTotals,
    SampleCounts,
    bins_of,
    count_alignments,
    count_bam,
    count_cram,
    local_copies,
)
from copyfold.cnv.counting.quality import OriTer, SampleQuality, fit_ori_ter, sample_quality

__all__ = [
    "OriTer",
    "ReadTotals",
    "SampleCounts",
    "SampleQuality",
    "bins_of",
    "count_alignments",
    "count_bam",
    "count_cram",
    "fit_ori_ter",
    "local_copies",
    "sample_quality",
]
