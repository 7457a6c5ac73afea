"""The four module kinds of a copy-number run and what is built in.

To add an architecture: write a class that passes `copyfold.testing.ArchitectureContract`, then name it in the
configuration as ``package.module:Name``, or publish it under the entry-point group ``copyfold.architectures``.
docs/howto/plugins.md walks through it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from copyfold.core.registry import Registry

_ARCHITECTURES = {
    "06_conv_vae": "copyfold.cnv.models.conv_vae:ConvVaeArchitecture",
    "10_count_model": "copyfold.cnv.models.count_model:CountModelArchitecture",
    "pca_baseline": "copyfold.cnv.models.pca_baseline:PcaBaseline",
}
_HMMS = {
    "02_gaussian_hmm": "copyfold.cnv.segmentation:GaussianSegmenter",
    "10_count_hmm": "copyfold.cnv.count_segmenter:CountSegmenter",
}
_CALLERS = {
    "06_gene_cnv_caller": "copyfold.cnv.callers:GeneCnvCaller",
    "10_count_caller": "copyfold.cnv.count_caller:CountCaller",
}
_EVALUATIONS = {"04_kpsc_evaluation": "copyfold.cnv.evaluation:KpscEvaluation"}

REGISTRIES: Mapping[str, Registry] = MappingProxyType(
    {
        registry.kind: registry
        for registry in (
            Registry("architecture", "copyfold.architectures", _ARCHITECTURES, ("fit", "load", "infer")),
            Registry("hmm", "copyfold.hmms", _HMMS, ("copy_ratios", "segment")),
            Registry("cnv", "copyfold.cnv_callers", _CALLERS, ("call_chromosomal", "call_plasmid")),
            Registry("evaluation", "copyfold.evaluations", _EVALUATIONS, ("evaluate",)),
        )
    }
)
"""By the configuration key that names a module of that kind."""
