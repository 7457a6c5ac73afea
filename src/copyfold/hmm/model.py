"""What goes into the kernels and what comes out of them."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


class Chains(NamedTuple):
    """What all samples share: the Markov chain over K states and the C chains, none of them empty."""

    transition: Floats  # (K, K), row: state left, column: state entered
    log_transition: Floats  # (K, K), log 0 = -inf
    log_start: Floats  # (K,)
    offsets: npt.NDArray[np.int64]  # (C + 1,), chain c covers positions offsets[c] to offsets[c + 1], half-open
    longest: int  # positions of the longest chain
    in_log_space: bool  # which forward–backward recursion is safe, see ``kernels.smooth``


class GaussianEmissions(NamedTuple):
    """Observations of n samples at T positions and the Gaussians that K states emit."""

    observations: Floats  # (n, T), NaN where there is no evidence
    means: Floats  # (n, K)
    variances: Floats  # (n, K)


class Decoding(NamedTuple):
    """State paths and probabilities of n samples of T positions; logarithms are natural."""

    path: npt.NDArray[np.int8]  # (n, T), most probable state path (Viterbi)
    posteriors: npt.NDArray[np.float32]  # (n, T, K), P(state | all observations)
    log_likelihood: Floats  # (n,), log p(observations), summed over chains
    path_log_probability: Floats  # (n,), log p(path, observations), summed over chains
