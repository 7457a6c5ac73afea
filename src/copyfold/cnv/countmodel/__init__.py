"""Count model of bacterial isolates: expected depth by masked factorisation, copies by a hidden Markov model.

Pure functions on arrays. See ``docs/methods/count-model.md`` for the model.
"""

from copyfold.cnv.countmodel.baseline import bin_covariates
from copyfold.cnv.countmodel.fitting import CountModel, fit_count_model
from copyfold.cnv.countmodel.gene_calls import GeneCopies, call_genes
from copyfold.cnv.countmodel.inference import Expectation, IsolateCalls, decode_isolates, expect_isolates
from copyfold.cnv.countmodel.settings import CountModelSettings
from copyfold.cnv.countmodel.states import BIN_CLASSES

__all__ = [
    "BIN_CLASSES",
    "CountModel",
    "CountModelSettings",
    "Expectation",
    "GeneCopies",
    "IsolateCalls",
    "bin_covariates",
    "call_genes",
    "decode_isolates",
    "expect_isolates",
    "fit_count_model",
]
