"""Checks of what callers pass in; each failure is one line that says the value, the place and the way out."""

import numpy as np
import numpy.typing as npt

from copyfold.errors import InputError
from copyfold.hmm.model import Chains, Floats, GaussianEmissions

MAX_STATES = 127
"""A path is stored as int8."""

SUM_TOLERANCE = 1e-6
"""How far a row of probabilities may sum from 1: rounding of single precision, not more."""

MIN_SCALED_PROBABILITY = 1e-30
"""Transitions less probable than this send forward–backward to log space (see ``kernels.smooth``)."""


def check_observations(observations: npt.ArrayLike, evidence: npt.ArrayLike | None) -> Floats:
    """Return observations (n, T) as C-contiguous float64, NaN where there is no evidence."""
    values = np.ascontiguousarray(observations, dtype=np.float64)
    if values.ndim != 2:
        raise InputError(f"observations have shape {values.shape}: give (samples, positions)")
    usable = np.isfinite(values)
    if evidence is not None:
        mask = np.asarray(evidence)
        if mask.dtype != np.bool_ or mask.shape != values.shape:
            raise InputError(
                f"evidence is {mask.dtype} of shape {mask.shape}: give bool of shape {values.shape}, "
                "as the observations"
            )
        usable |= ~mask
    if not usable.all():
        sample, position = np.argwhere(~usable)[0]
        raise InputError(
            f"observations[{sample}, {position}] is {values[sample, position]}: observations must be finite; "
            "mend the value or mark the position False in evidence"
        )
    return values if evidence is None else np.where(mask, values, np.nan)


def check_log_likelihood(log_likelihood: npt.ArrayLike) -> Floats:
    """Return log likelihoods (n, T, K) as C-contiguous float64; -inf is allowed."""
    values = np.ascontiguousarray(log_likelihood, dtype=np.float64)
    if values.ndim != 3 or not 1 <= values.shape[2] <= MAX_STATES:
        raise InputError(
            f"log_likelihood has shape {values.shape}: give (samples, positions, 1 to {MAX_STATES} states)"
        )
    usable = values < np.inf
    if not usable.all():
        sample, position, state = np.argwhere(~usable)[0]
        raise InputError(
            f"log_likelihood[{sample}, {position}, {state}] is {values[sample, position, state]}: "
            "give a finite number, or -inf for an impossible state"
        )
    return values


def check_chains(
    transition: npt.ArrayLike,
    start: npt.ArrayLike,
    chain_starts: npt.ArrayLike,
    n_positions: int,
    n_states: int,
) -> Chains:
    """Check the Markov part of the model and return it as the kernels take it."""
    first = np.ascontiguousarray(start, dtype=np.float64)
    if first.shape != (n_states,):
        raise InputError(f"start has shape {first.shape}: the emissions have {n_states} states")
    check_distribution("start", first)
    matrix = np.ascontiguousarray(transition, dtype=np.float64)
    if matrix.shape != (n_states, n_states):
        raise InputError(f"transition has shape {matrix.shape}: the emissions have {n_states} states")
    for state, row in enumerate(matrix):
        check_distribution(f"row {state} of transition", row)

    offsets = np.asarray(chain_starts)
    if offsets.ndim != 1 or offsets.size < 2 or not np.issubdtype(offsets.dtype, np.integer):
        raise InputError(
            f"chain_starts is {offsets.dtype} of shape {offsets.shape}: give integer offsets [0, …, {n_positions}]"
        )
    if offsets[0] != 0 or offsets[-1] != n_positions or np.any(np.diff(offsets) < 0):
        raise InputError(
            f"chain_starts run from {offsets[0]} to {offsets[-1]}: offsets must start at 0, never decrease "
            f"and end at the number of positions, {n_positions}"
        )
    with np.errstate(divide="ignore"):
        return Chains(
            transition=matrix,
            log_transition=np.log(matrix),
            log_start=np.log(first),
            offsets=np.unique(offsets).astype(np.int64),  # once each: that drops the empty chains
            longest=int(np.diff(offsets).max()),
            in_log_space=bool(matrix.min() < MIN_SCALED_PROBABILITY),
        )


def check_distribution(name: str, probabilities: Floats) -> None:
    """Raise unless the probabilities lie in [0, 1] and sum to 1."""
    # Written so that NaN fails too.
    if not (probabilities >= 0).all() or not abs(probabilities.sum() - 1.0) <= SUM_TOLERANCE:
        raise InputError(f"{name} is {probabilities.tolist()}: give numbers from 0 to 1 that sum to 1")


def check_emissions(
    observations: npt.ArrayLike,
    means: npt.ArrayLike,
    variances: npt.ArrayLike,
    evidence: npt.ArrayLike | None,
) -> GaussianEmissions:
    """Check observations, means and variances and return them as the kernels take them."""
    values = check_observations(observations, evidence)
    n_samples = len(values)
    state_means = np.array(means, dtype=np.float64)
    n_states = state_means.shape[-1] if state_means.ndim else 0
    shape = (n_samples, n_states)
    if state_means.shape not in ((n_states,), shape) or not 1 <= n_states <= MAX_STATES:
        raise InputError(
            f"means have shape {state_means.shape}: give (K,) or ({n_samples}, K), with K from 1 to {MAX_STATES}"
        )
    if not np.isfinite(state_means).all():
        raise InputError(f"means hold {state_means[~np.isfinite(state_means)][0]}: every mean must be finite")

    state_variances = np.array(variances, dtype=np.float64)
    if state_variances.shape not in ((n_samples,), shape):
        raise InputError(f"variances have shape {state_variances.shape}: give ({n_samples},) or {shape}")
    usable = np.isfinite(state_variances) & (state_variances > 0)
    if not usable.all():
        where = ", ".join(str(index) for index in np.argwhere(~usable)[0])
        raise InputError(
            f"variances[{where}] is {state_variances[~usable][0]}: every variance must be positive and "
            "finite; leave the sample out or give it a floor"
        )
    if state_variances.ndim == 1:
        state_variances = state_variances[:, np.newaxis]
    return GaussianEmissions(
        observations=values,
        means=np.broadcast_to(state_means, shape).copy(),
        variances=np.broadcast_to(state_variances, shape).copy(),
    )


def check_possible(log_likelihood: Floats) -> None:
    """Raise for the first sample that has no possible state path (or whose emissions overflow)."""
    impossible = np.flatnonzero(~np.isfinite(log_likelihood))
    if impossible.size:
        raise InputError(
            f"sample {impossible[0]} has log likelihood {log_likelihood[impossible[0]]}: no state path "
            "explains it; check its observations for extreme values, and transition and start for zeros"
        )
