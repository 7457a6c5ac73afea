"""Gaussian hidden Markov model for many samples at once: decoding and Baum–Welch on the means.

Notation: n samples, T positions, K states, C chains. All logarithms are natural.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
import numpy.typing as npt
from scipy.optimize import isotonic_regression

from copyfold.errors import InputError
from copyfold.hmm import kernels
from copyfold.hmm.checks import (
    check_chains,
    check_emissions,
    check_log_likelihood,
    check_possible,
)
from copyfold.hmm.model import Chains, Decoding, Floats, GaussianEmissions

BATCH_SIZE = 4 * kernels.LANES
"""Samples that a thread takes at a time: few enough to balance the load, enough to share the work arrays."""

MIN_STATE_WEIGHT = 1.0
"""Expected number of positions below which a state has too little weight for its mean to be estimated."""


def transition_matrix(n_states: int, self_transition: float) -> Floats:
    """Return the transition matrix in which all other states share what ``self_transition`` leaves.

    Parameters
    ----------
    n_states : int
        Number of states K, at least 1; a single state always stays.
    self_transition : float
        Probability of staying in a state from one position to the next, in [0, 1].

    Returns
    -------
    numpy.ndarray
        (K, K) float64; rows are the states left, columns the states entered, each row sums to 1.
    """
    if n_states < 1:
        raise InputError(f"n_states is {n_states}: a model needs at least one state")
    if not 0.0 <= self_transition <= 1.0:
        raise InputError(f"self_transition is {self_transition}: a probability between 0 and 1 is needed")
    if n_states == 1:
        return np.ones((1, 1))
    matrix = np.full((n_states, n_states), (1.0 - self_transition) / (n_states - 1))
    np.fill_diagonal(matrix, self_transition)
    return matrix


def decode_gaussian(
    observations: npt.ArrayLike,
    means: npt.ArrayLike,
    variances: npt.ArrayLike,
    transition: npt.ArrayLike,
    start: npt.ArrayLike,
    chain_starts: npt.ArrayLike,
    *,
    evidence: npt.ArrayLike | None = None,
    n_threads: int | None = None,
) -> Decoding:
    """Decode a Gaussian hidden Markov model: posteriors by forward–backward, path by Viterbi.

    Parameters
    ----------
    observations : array_like
        (n, T) float; one row per sample, finite wherever there is evidence.
    means : array_like
        (K,) for all samples or (n, K); in the unit of the observations.
    variances : array_like
        (n,) one per sample, shared by its states, or (n, K); squared unit of the observations, positive.
    transition : array_like
        (K, K) float; ``transition[i, j]`` is P(next state j | state i). Zeros are allowed, but they take the
        slower recursion in log space (as do transitions less probable than 1e-30).
    start : array_like
        (K,) float, state probabilities at the first position of every chain; zeros are allowed.
    chain_starts : array_like
        (C + 1,) int, offsets 0 = o_0 ≤ … ≤ o_C = T; chain c covers positions o_c to o_(c+1), half-open.
    evidence : array_like, optional
        (n, T) bool; a position that is False carries no emission and its observation is not looked at.
    n_threads : int, optional
        Threads to use; by default numba's number (``NUMBA_NUM_THREADS``, else the cores available). The
        result does not depend on it.

    Returns
    -------
    Decoding
        Path (n, T) int8, posteriors (n, T, K) float32, log likelihood and path log probability (n,) float64.

    References
    ----------
    Rabiner 1989, A tutorial on hidden Markov models and selected applications in speech recognition,
    Proceedings of the IEEE 77:257, doi:10.1109/5.18626.
    """
    emissions = check_emissions(observations, means, variances, evidence)
    n_samples, n_positions = emissions.observations.shape
    n_states = emissions.means.shape[1]
    chains = check_chains(transition, start, chain_starts, n_positions, n_states)
    decoding = empty_decoding(n_samples, n_positions, n_states)

    def decode(batch: slice) -> None:
        kernels.decode_gaussian_batch(select_emissions(emissions, batch), chains, select_decoding(decoding, batch))

    run_batches(decode, n_samples, n_threads)
    check_possible(decoding.log_likelihood)
    return decoding


def decode_log_likelihood(
    log_likelihood: npt.ArrayLike,
    transition: npt.ArrayLike,
    start: npt.ArrayLike,
    chain_starts: npt.ArrayLike,
    *,
    n_threads: int | None = None,
) -> Decoding:
    """Decode a hidden Markov model with any emissions, given as log likelihoods.

    Parameters
    ----------
    log_likelihood : array_like
        (n, T, K) float, log p(observation | state); -inf where a state cannot emit what was observed.
    transition, start, chain_starts, n_threads
        As in `decode_gaussian`.

    Returns
    -------
    Decoding
        As from `decode_gaussian`.
    """
    values = check_log_likelihood(log_likelihood)
    n_samples, n_positions, n_states = values.shape
    chains = check_chains(transition, start, chain_starts, n_positions, n_states)
    decoding = empty_decoding(n_samples, n_positions, n_states)

    def decode(batch: slice) -> None:
        kernels.decode_log_likelihood_batch(values[batch], chains, select_decoding(decoding, batch))

    run_batches(decode, n_samples, n_threads)
    check_possible(decoding.log_likelihood)
    return decoding


def fit_means(
    observations: npt.ArrayLike,
    means: npt.ArrayLike,
    variances: npt.ArrayLike,
    transition: npt.ArrayLike,
    start: npt.ArrayLike,
    chain_starts: npt.ArrayLike,
    *,
    n_iterations: int = 20,
    tolerance: float = 1e-4,
    evidence: npt.ArrayLike | None = None,
    n_threads: int | None = None,
) -> Floats:
    """Fit each sample's state means by Baum–Welch, everything else held fixed.

    A state whose posterior weight is less than one position in all keeps its mean. The order of the states is
    kept: the maximum of the M-step under increasing means is the weighted isotonic regression of the free
    means (ties are possible).

    Parameters
    ----------
    observations, variances, transition, start, chain_starts, evidence, n_threads
        As in `decode_gaussian`.
    means : array_like
        (K,) or (n, K), where to start from; increasing along the states.
    n_iterations : int
        Most E- and M-steps to take.
    tolerance : float
        A sample is done when none of its means moved by more than this (unit of the observations).

    Returns
    -------
    numpy.ndarray
        (n, K) float64, the fitted means, non-decreasing along the states.

    References
    ----------
    Baum et al. 1970, doi:10.1214/aoms/1177697196; Barlow et al. 1972, Statistical inference under order
    restrictions (isotonic regression).
    """
    emissions = check_emissions(observations, means, variances, evidence)
    n_samples, n_positions = emissions.observations.shape
    chains = check_chains(transition, start, chain_starts, n_positions, emissions.means.shape[1])
    fitted = emissions.means
    if np.any(np.diff(fitted, axis=1) < 0):
        raise InputError("means decrease from one state to the next: order the states by their mean")

    moving = np.arange(n_samples)
    for _ in range(n_iterations):
        if moving.size == 0:
            break
        current = select_emissions(emissions, moving)
        weight, weighted_sum = posterior_moments(current, chains, n_threads)
        fitted[moving] = maximise_means(current.means, current.variances, weight, weighted_sum)
        moving = moving[np.abs(fitted[moving] - current.means).max(axis=1) > tolerance]
    return fitted


def posterior_moments(emissions: GaussianEmissions, chains: Chains, n_threads: int | None) -> tuple[Floats, Floats]:
    """E-step: return each state's posterior weight and weighted sum of observations, both (n, K)."""
    weight, weighted_sum = np.zeros_like(emissions.means), np.zeros_like(emissions.means)

    def accumulate(batch: slice) -> None:
        kernels.moments_batch(select_emissions(emissions, batch), chains, weight[batch], weighted_sum[batch])

    run_batches(accumulate, len(weight), n_threads)
    check_possible(weight.sum(axis=1))
    return weight, weighted_sum


def maximise_means(means: Floats, variances: Floats, weight: Floats, weighted_sum: Floats) -> Floats:
    """M-step: return the means (n, K) of highest expected log likelihood among non-decreasing ones."""
    estimable = weight >= MIN_STATE_WEIGHT
    free = np.where(estimable, weighted_sum / np.where(estimable, weight, 1.0), means)
    # The expected log likelihood falls as weight / variance times the squared distance from the free mean.
    # A state that only keeps its old mean gets next to no say, so that it yields to its neighbours.
    stiffness = np.where(estimable, weight, 1e-9) / variances
    for sample in np.flatnonzero((np.diff(free, axis=1) < 0).any(axis=1)):
        free[sample] = isotonic_regression(free[sample], weights=stiffness[sample]).x
    return free


def empty_decoding(n_samples: int, n_positions: int, n_states: int) -> Decoding:
    """Allocate the results; log probabilities start at 0 because chains add to them."""
    return Decoding(
        path=np.empty((n_samples, n_positions), np.int8),
        posteriors=np.empty((n_samples, n_positions, n_states), np.float32),
        log_likelihood=np.zeros(n_samples),
        path_log_probability=np.zeros(n_samples),
    )


def select_emissions(emissions: GaussianEmissions, samples: slice | npt.NDArray[np.int64]) -> GaussianEmissions:
    """Return some samples: views for a slice, copies for an array of indices."""
    return GaussianEmissions(emissions.observations[samples], emissions.means[samples], emissions.variances[samples])


def select_decoding(decoding: Decoding, batch: slice) -> Decoding:
    """Return views of a batch of samples."""
    return Decoding(
        decoding.path[batch],
        decoding.posteriors[batch],
        decoding.log_likelihood[batch],
        decoding.path_log_probability[batch],
    )


def run_batches(work: Callable[[slice], None], n_samples: int, n_threads: int | None) -> None:
    """Call ``work`` with every batch of samples, on threads (the kernels release the GIL).

    Plain threads rather than numba's ``prange``: callable from several threads and after a fork, compiled in
    half the time, and no slower since samples are independent.
    """
    if n_threads is not None and n_threads < 1:
        raise InputError(f"n_threads is {n_threads}: at least one thread is needed")
    batches = [slice(first, first + BATCH_SIZE) for first in range(0, n_samples, BATCH_SIZE)]
    default: int = numba.config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]  # set when numba is imported
    n_workers = min(default if n_threads is None else n_threads, len(batches))
    if n_workers <= 1:
        for batch in batches:
            work(batch)
        return
    with ThreadPoolExecutor(n_workers) as pool:
        for _ in pool.map(work, batches):
            pass
