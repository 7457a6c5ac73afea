"""From a BAM file to counts per bin, depth of genes and a quality record, in one pass. See docs/methods/counting.md."""

from copyfold.cnv.counting.per_sample import ReadTotals, SampleCounts, bins_of, count_bam
from copyfold.cnv.counting.quality import OriTer, SampleQuality, fit_ori_ter, sample_quality

__all__ = [
    "OriTer",
    "ReadTotals",
    "SampleCounts",
    "SampleQuality",
    "bins_of",
    "count_bam",
    "fit_ori_ter",
    "sample_quality",
]
