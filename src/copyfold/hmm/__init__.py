"""Batched Gaussian hidden Markov model on arrays: forward–backward, Viterbi, Baum–Welch on the means.

Pure functions; no files, no biology. See ``docs/methods/hmm.md`` for the mathematics.
"""

from copyfold.hmm.gaussian import decode_gaussian, decode_log_likelihood, fit_means, transition_matrix
from copyfold.hmm.model import Decoding

__all__ = ["Decoding", "decode_gaussian", "decode_log_likelihood", "fit_means", "transition_matrix"]
