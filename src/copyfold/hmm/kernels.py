"""Compiled kernels of the hidden Markov model.

Samples are independent, so they are processed in blocks of ``LANES``, with the samples of a block on the
innermost axis of every work array: the compiler turns each step into vector instructions over the samples.
Every lane runs the same operations in the same order, and the last block repeats its last sample to fill its
lanes. A sample's result is therefore the same bits whatever its neighbours, its place in the batch and the
number of threads. Kernels release the GIL; the caller spreads samples over threads.

Axes in the docstrings: n samples, T positions of a sample, t positions of one chain, K states, L lanes.
All kernels sit in this one file because numba's cache looks only at the file of the outermost function:
helpers in another file could change without being recompiled.
"""

import math
from collections.abc import Callable
from typing import TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt

from copyfold.hmm.model import Chains, Decoding, Floats, GaussianEmissions

LANES = 8
"""Samples per block: one AVX-512 or two AVX2 registers of float64."""

LOG_INTERVAL = 8
"""Positions between logarithms of scaling factors: each lies in [1e-30, 1], so eight cannot underflow."""

Samples = npt.NDArray[np.int64]  # (L,), the sample in each lane
Function = TypeVar("Function", bound=Callable[..., object])


def compiled(function: Function) -> Function:
    """Compile a kernel; IEEE arithmetic (no fastmath), because -inf and NaN carry meaning here."""
    return cast(Function, numba.njit(cache=True, nogil=True, error_model="numpy")(function))


@compiled
def load_gaussian(
    emissions: GaussianEmissions, samples: Samples, start: int, log_emission: Floats, log_offset: Floats
) -> None:
    """Write the Gaussian log densities of one chain into ``log_emission`` (t, K, L), less their row maximum.

    The chain begins at position ``start`` of the observations (n, T), where NaN means no evidence. The row
    maxima are added to ``log_offset`` (L,): with them taken out, no observation underflows, however far off.
    """
    n_positions, n_states = log_emission.shape[:2]
    mean = np.empty((n_states, LANES))
    precision = np.empty((n_states, LANES))
    constant = np.empty((n_states, LANES))
    for k in range(n_states):
        for lane in range(LANES):
            variance = emissions.variances[samples[lane], k]
            mean[k, lane] = emissions.means[samples[lane], k]
            precision[k, lane] = 0.5 / variance
            constant[k, lane] = -0.5 * math.log(2.0 * math.pi * variance)
    value = np.empty(LANES)
    highest = np.empty(LANES)
    for t in range(n_positions):
        for lane in range(LANES):
            value[lane] = emissions.observations[samples[lane], start + t]
            highest[lane] = -np.inf
        for k in range(n_states):
            for lane in range(LANES):
                difference = value[lane] - mean[k, lane]
                density = constant[k, lane] - difference * difference * precision[k, lane]
                log_emission[t, k, lane] = density
                highest[lane] = density if density > highest[lane] else highest[lane]
        for k in range(n_states):
            for lane in range(LANES):
                relative = log_emission[t, k, lane] - highest[lane]
                log_emission[t, k, lane] = 0.0 if np.isnan(value[lane]) else relative
        for lane in range(LANES):
            log_offset[lane] += 0.0 if np.isnan(value[lane]) else highest[lane]


@compiled
def load_log_likelihood(rows: Floats, samples: Samples, start: int, log_emission: Floats, log_offset: Floats) -> None:
    """Do for given log likelihoods ``rows`` (n, T, K) what ``load_gaussian`` does for observations."""
    n_positions, n_states = log_emission.shape[:2]
    for t in range(n_positions):
        for lane in range(LANES):
            highest = -np.inf
            for k in range(n_states):
                highest = max(highest, rows[samples[lane], start + t, k])
            for k in range(n_states):
                log_emission[t, k, lane] = rows[samples[lane], start + t, k] - highest
            log_offset[lane] += highest


@compiled
def most_probable_path(
    log_emission: Floats,
    log_transition: Floats,
    log_start: Floats,
    score: Floats,
    path: npt.NDArray[np.int8],
    log_probability: Floats,
) -> None:
    """Viterbi decoding of one chain; ties go to the lower state.

    Writes ``path`` (t, L), adds to ``log_probability`` (L,); ``score`` (t, K, L) is work space. Without
    back-pointers the forward sweep is a plain maximum; the way back finds the argmax from the very same sums.
    """
    n_positions, n_states = log_emission.shape[:2]
    best = np.empty(LANES)
    state = np.zeros(LANES, np.int64)
    for k in range(n_states):
        for lane in range(LANES):
            score[0, k, lane] = log_start[k] + log_emission[0, k, lane]
    for t in range(1, n_positions):
        for j in range(n_states):
            for lane in range(LANES):
                best[lane] = score[t - 1, 0, lane] + log_transition[0, j]
            for i in range(1, n_states):
                step = log_transition[i, j]
                for lane in range(LANES):
                    candidate = score[t - 1, i, lane] + step
                    best[lane] = candidate if candidate > best[lane] else best[lane]
            for lane in range(LANES):
                score[t, j, lane] = best[lane] + log_emission[t, j, lane]

    for lane in range(LANES):
        for k in range(1, n_states):
            if score[n_positions - 1, k, lane] > score[n_positions - 1, state[lane], lane]:
                state[lane] = k
        path[n_positions - 1, lane] = state[lane]
        log_probability[lane] += score[n_positions - 1, state[lane], lane]
    for t in range(n_positions - 2, -1, -1):
        for lane in range(LANES):
            following = state[lane]
            origin = 0
            highest = score[t, 0, lane] + log_transition[0, following]
            for i in range(1, n_states):
                candidate = score[t, i, lane] + log_transition[i, following]
                origin = i if candidate > highest else origin
                highest = candidate if candidate > highest else highest
            state[lane] = origin
            path[t, lane] = origin


@compiled
def multiply(matrix: Floats, vectors: Floats, product: Floats) -> None:
    """Write ``matrix`` (K, K) times each lane of ``vectors`` (K, L) into ``product`` (K, L)."""
    for i in range(matrix.shape[0]):
        for lane in range(LANES):
            product[i, lane] = 0.0
        for j in range(matrix.shape[1]):
            factor = matrix[i, j]
            for lane in range(LANES):
                product[i, lane] += factor * vectors[j, lane]


@compiled
def normalise(weights: Floats, total: Floats) -> None:
    """Divide ``weights`` (K, L) by their sums over the states, which are left in ``total`` (L,)."""
    for lane in range(LANES):
        total[lane] = 0.0
    for k in range(weights.shape[0]):
        for lane in range(LANES):
            total[lane] += weights[k, lane]
    for k in range(weights.shape[0]):
        for lane in range(LANES):
            weights[k, lane] /= total[lane]


@compiled
def forward_scaled(
    emission: Floats, transition: Floats, log_start: Floats, filtered: Floats, log_likelihood: Floats
) -> None:
    """Scaled forward recursion of one chain (Rabiner 1989, section V.A).

    ``emission`` (t, K, L) enters as logarithms and leaves as exponentials; ``filtered`` (t, K, L) becomes
    P(state | observations up to t). The chain's log likelihood is added to ``log_likelihood`` (L,).
    """
    n_positions, n_states = emission.shape[:2]
    into = transition.T.copy()
    total = np.empty(LANES)
    scale = np.ones(LANES)
    # The first position is weighed in log space: the state that fits best may have probability 0.
    for lane in range(LANES):
        highest = -np.inf
        for k in range(n_states):
            highest = max(highest, log_start[k] + emission[0, k, lane])
        for k in range(n_states):
            filtered[0, k, lane] = math.exp(log_start[k] + emission[0, k, lane] - highest)
        log_likelihood[lane] += highest
    normalise(filtered[0], total)
    for lane in range(LANES):
        log_likelihood[lane] += math.log(total[lane])

    for t in range(1, n_positions):
        multiply(into, filtered[t - 1], filtered[t])
        for k in range(n_states):
            for lane in range(LANES):
                emission[t, k, lane] = math.exp(emission[t, k, lane])
                filtered[t, k, lane] *= emission[t, k, lane]
        normalise(filtered[t], total)
        for lane in range(LANES):
            scale[lane] *= total[lane]
        if t % LOG_INTERVAL == 0 or t == n_positions - 1:
            for lane in range(LANES):
                log_likelihood[lane] += math.log(scale[lane])
                scale[lane] = 1.0


@compiled
def backward_scaled(emission: Floats, transition: Floats, filtered: Floats) -> None:
    """Turn ``filtered`` (t, K, L) into P(state | all observations of the chain), in place.

    The backward variable is normalised at each position; its scale cancels when posteriors are normalised.
    """
    n_positions, n_states = emission.shape[:2]
    backward = np.ones((n_states, LANES))
    future = np.empty((n_states, LANES))
    total = np.empty(LANES)
    for t in range(n_positions - 2, -1, -1):
        for k in range(n_states):
            for lane in range(LANES):
                future[k, lane] = emission[t + 1, k, lane] * backward[k, lane]
        multiply(transition, future, backward)
        normalise(backward, total)
        for k in range(n_states):
            for lane in range(LANES):
                filtered[t, k, lane] *= backward[k, lane]
        normalise(filtered[t], total)


@compiled
def normalise_log(weights: Floats) -> float:
    """Subtract log(sum(exp(weights))) from ``weights`` (K,) in place and return it."""
    highest = -np.inf
    for k in range(weights.size):
        highest = max(highest, weights[k])
    if highest == -np.inf:
        return highest
    total = 0.0
    for k in range(weights.size):
        total += math.exp(weights[k] - highest)
    log_total = highest + math.log(total)
    for k in range(weights.size):
        weights[k] -= log_total
    return log_total


@compiled
def forward_backward_log(
    log_emission: Floats, log_transition: Floats, log_start: Floats, posterior: Floats, log_likelihood: Floats
) -> None:
    """Forward–backward of one chain in log space: slower, and right for any transition matrix.

    Writes ``posterior`` (t, K, L) and adds the chain's log likelihood to ``log_likelihood`` (L,).
    """
    n_positions, n_states = log_emission.shape[:2]
    terms = np.empty(n_states)
    weights = np.empty(n_states)
    backward = np.empty(n_states)
    for lane in range(LANES):
        for t in range(n_positions):
            for j in range(n_states):
                if t == 0:
                    weights[j] = log_start[j] + log_emission[t, j, lane]
                    continue
                for i in range(n_states):
                    terms[i] = posterior[t - 1, i, lane] + log_transition[i, j]
                weights[j] = normalise_log(terms) + log_emission[t, j, lane]
            log_likelihood[lane] += normalise_log(weights)
            for k in range(n_states):
                posterior[t, k, lane] = weights[k]

        for k in range(n_states):
            backward[k] = 0.0
        for t in range(n_positions - 1, -1, -1):
            if t < n_positions - 1:
                for i in range(n_states):
                    for j in range(n_states):
                        terms[j] = log_transition[i, j] + log_emission[t + 1, j, lane] + backward[j]
                    weights[i] = normalise_log(terms)
                normalise_log(weights)
                for k in range(n_states):
                    backward[k] = weights[k]
            for k in range(n_states):
                weights[k] = posterior[t, k, lane] + backward[k]
            normalise_log(weights)
            for k in range(n_states):
                posterior[t, k, lane] = math.exp(weights[k])


@compiled
def smooth(log_emission: Floats, chains: Chains, posterior: Floats, log_likelihood: Floats) -> None:
    """Forward–backward of one chain, in the linear domain where that is safe and in log space elsewhere.

    It is safe when no transition probability is less than some floor a. A state whose filtered probability
    underflows (< 1e-308) could then add at most 1e-308 / a to any later result, because a direct step out
    of the leading state explains the same future. With zeros, later evidence can revive such a state.
    """
    if chains.in_log_space:
        forward_backward_log(log_emission, chains.log_transition, chains.log_start, posterior, log_likelihood)
    else:
        forward_scaled(log_emission, chains.transition, chains.log_start, posterior, log_likelihood)
        backward_scaled(log_emission, chains.transition, posterior)


@compiled
def block_samples(block: int, n_samples: int) -> Samples:
    """Return the sample in each lane of a block; the last sample fills the lanes that are left over."""
    samples = np.empty(LANES, np.int64)
    for lane in range(LANES):
        samples[lane] = min(block * LANES + lane, n_samples - 1)
    return samples


@compiled
def decode_block(
    log_emission: Floats,
    log_offset: Floats,
    chains: Chains,
    work: Floats,
    samples: Samples,
    start: int,
    decoding: Decoding,
) -> None:
    """Decode the loaded chain; its results go into ``decoding`` from position ``start`` on."""
    n_positions, n_states = log_emission.shape[:2]
    lane_path = np.empty((n_positions, LANES), np.int8)
    log_likelihood = log_offset.copy()
    path_log_probability = log_offset.copy()
    most_probable_path(log_emission, chains.log_transition, chains.log_start, work, lane_path, path_log_probability)
    smooth(log_emission, chains, work, log_likelihood)
    n_filled = 1 + samples[LANES - 1] - samples[0]
    for lane in range(n_filled):
        decoding.log_likelihood[samples[lane]] += log_likelihood[lane]
        decoding.path_log_probability[samples[lane]] += path_log_probability[lane]
    for t in range(n_positions):
        for lane in range(n_filled):
            decoding.path[samples[lane], start + t] = lane_path[t, lane]
            for k in range(n_states):
                decoding.posteriors[samples[lane], start + t, k] = work[t, k, lane]


@compiled
def decode_gaussian_batch(emissions: GaussianEmissions, chains: Chains, decoding: Decoding) -> None:
    """Decode a batch of samples with Gaussian emissions."""
    n_samples, n_states = emissions.means.shape
    log_emission = np.empty((chains.longest, n_states, LANES))
    work = np.empty((chains.longest, n_states, LANES))
    for block in range((n_samples + LANES - 1) // LANES):
        samples = block_samples(block, n_samples)
        for c in range(chains.offsets.size - 1):
            start, size = chains.offsets[c], chains.offsets[c + 1] - chains.offsets[c]
            log_offset = np.zeros(LANES)
            load_gaussian(emissions, samples, start, log_emission[:size], log_offset)
            decode_block(log_emission[:size], log_offset, chains, work[:size], samples, start, decoding)


@compiled
def decode_log_likelihood_batch(log_likelihood: Floats, chains: Chains, decoding: Decoding) -> None:
    """Decode a batch of samples whose emission log likelihoods (n, T, K) are given."""
    n_samples, _, n_states = log_likelihood.shape
    log_emission = np.empty((chains.longest, n_states, LANES))
    work = np.empty((chains.longest, n_states, LANES))
    for block in range((n_samples + LANES - 1) // LANES):
        samples = block_samples(block, n_samples)
        for c in range(chains.offsets.size - 1):
            start, size = chains.offsets[c], chains.offsets[c + 1] - chains.offsets[c]
            log_offset = np.zeros(LANES)
            load_log_likelihood(log_likelihood, samples, start, log_emission[:size], log_offset)
            decode_block(log_emission[:size], log_offset, chains, work[:size], samples, start, decoding)


@compiled
def moments_batch(emissions: GaussianEmissions, chains: Chains, weight: Floats, weighted_sum: Floats) -> None:
    """E-step of Baum–Welch for the means: add each state's posterior weight and weighted sum of observations.

    ``weight`` and ``weighted_sum`` are (n, K); positions without evidence count in neither.
    """
    n_samples, n_states = emissions.means.shape
    log_emission = np.empty((chains.longest, n_states, LANES))
    work = np.empty((chains.longest, n_states, LANES))
    log_likelihood = np.zeros(LANES)
    for block in range((n_samples + LANES - 1) // LANES):
        samples = block_samples(block, n_samples)
        for c in range(chains.offsets.size - 1):
            start, size = chains.offsets[c], chains.offsets[c + 1] - chains.offsets[c]
            load_gaussian(emissions, samples, start, log_emission[:size], log_likelihood)
            smooth(log_emission[:size], chains, work[:size], log_likelihood)
            for lane in range(1 + samples[LANES - 1] - samples[0]):
                sample = samples[lane]
                for t in range(size):
                    value = emissions.observations[sample, start + t]
                    if not np.isnan(value):
                        for k in range(n_states):
                            weight[sample, k] += work[t, k, lane]
                            weighted_sum[sample, k] += work[t, k, lane] * value
