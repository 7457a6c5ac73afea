"""The four module kinds of a copy-number run and what is built in.

To add an architecture: write a class that passes `copyfold.testing.ArchitectureContract`, then name it in the
configuration as ``package.module:Name``, or publish it under the entry-point group ``copyfold.architectures``.
docs/howto/plugins.md walks through it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from copyfold.core.registry import Registry

REGISTRIES: Mapping[str, Registry] = MappingProxyType(
    {
        "architecture": Registry(
            "architecture",
            "copyfold.architectures",
            {
                "06_conv_vae": "copyfold.cnv.models.conv_vae:ConvVaeArchitecture",
                "pca_baseline": "copyfold.cnv.models.pca_baseline:PcaBaseline",
            },
        ),
        "hmm": Registry("hmm", "copyfold.hmms", {"02_gaussian_hmm": "copyfold.cnv.segmentation:GaussianSegmenter"}),
        "cnv": Registry("cnv", "copyfold.cnv_callers", {"06_gene_cnv_caller": "copyfold.cnv.callers:GeneCnvCaller"}),
        "evaluation": Registry(
            "evaluation",
            "copyfold.evaluations",
            {"04_kpsc_evaluation": "copyfold.cnv.evaluation:KpscEvaluation"},
        ),
    }
)
