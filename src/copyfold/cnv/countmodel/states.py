"""The Markov chain over copy states: which states there are, what they emit and how one follows another.

Copies are piecewise constant along a chromosome. An event starts and ends within bins, so between one copy and the
event lies an *end* state whose level is anything between the two. End states are directed (into the event, out of
it): otherwise a lone bin of odd depth could be explained by going halfway in and back, at no cost. *Divergent* states
have one copy (or 2, 3, 4) but fewer reads, because reads of a diverged sequence map less often; without them diverged
islands are called absent and duplications of diverged islands go unnoticed.

The transition matrix is sparse and stored by destination and by source (compressed rows).
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np

from copyfold.cnv.countmodel.kernels import (
    ABSENT,
    END,
    END_OF_GAIN,
    END_OF_MIXED,
    LEVEL,
    MIXED,
    MORE,
    ONE,
    SHARED_END,
    STRAY,
)
from copyfold.cnv.countmodel.settings import CountModelSettings

BIN_CLASSES = ("absent", "one", "mixed", "more")
"""Classes of a bin: copies ≤ 0.3; one; part of the culture has more; at least two."""

N_DIVERGENT_GAINS = 3
"""Gains (2, 3, 4 copies) that have divergent states and may adjoin absent bins."""


class Emissions(NamedTuple):
    """What states emit; states with the same emission share one of the R rows.

    Attributes
    ----------
    kind : numpy.ndarray, (R,), int64
        One of `LEVEL`, `END`, `STRAY`, `SHARED_END`.
    level, low, high : numpy.ndarray, (R,), float64, copies
        Fixed level, or the bounds of a uniform one.
    log_level : numpy.ndarray, (R,), float64
        Natural logarithm of the level; 0 where there is none.
    stray_level, stray_log_level, stray_weight : numpy.ndarray, (n,), float64
        Mixture of levels in absent bins, ascending.
    outlier : float
        Weight of the uniform floor.
    """

    kind: np.ndarray
    level: np.ndarray
    low: np.ndarray
    high: np.ndarray
    log_level: np.ndarray
    stray_level: np.ndarray
    stray_log_level: np.ndarray
    stray_weight: np.ndarray
    outlier: float


class StateChain(NamedTuple):
    """Sparse Markov chain over S states.

    Transitions are ``(1 − reset) A + reset · 1 reset_prior'``; A is stored twice.

    Attributes
    ----------
    emission_row : numpy.ndarray, (S,), int64
        Row of `emissions` that the state emits from.
    state_class : numpy.ndarray, (S,), int64
        One of `ABSENT` … `END_OF_MIXED`.
    copies : numpy.ndarray, (S,), float64
        Copies that the state stands for (divergence undone).
    start : numpy.ndarray, (S,), float64
        Probabilities at the first bin.
    in_pointer, in_state, in_probability : numpy.ndarray, (S + 1,), (T,), (T,)
        Predecessors of state s: entries ``in_pointer[s]`` to ``in_pointer[s + 1]``, half-open; probabilities times
        (1 − reset).
    out_pointer, out_state, out_probability : numpy.ndarray
        Successors, likewise.
    reset_prior : numpy.ndarray, (S,), float64
    reset : float
    plain : int
        The state of plainly one copy.
    absent : int
        The state of plainly no copy.
    gained : numpy.ndarray, (R,), bool
        Emissions of states that stand for at least two copies.
    emissions : Emissions
    """

    emission_row: np.ndarray
    state_class: np.ndarray
    copies: np.ndarray
    start: np.ndarray
    in_pointer: np.ndarray
    in_state: np.ndarray
    in_probability: np.ndarray
    out_pointer: np.ndarray
    out_state: np.ndarray
    out_probability: np.ndarray
    reset_prior: np.ndarray
    reset: float
    plain: int
    absent: int
    gained: np.ndarray
    emissions: Emissions


class _States:
    """States collected one by one."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, float, float, float]] = []
        self.classes: list[int] = []
        self.copies: list[float] = []

    def add(self, state_class: int, copies: float, level: float, kind: int = LEVEL) -> int:
        """Add a state of a fixed level (or of the stray mixture) and return its index."""
        return self._append((kind, level, 0.0, 0.0), state_class, copies)

    def add_end(self, state_class: int, copies: float, low: float, high: float, kind: int = END) -> int:
        """Add a state whose level is uniform between two and return its index."""
        return self._append((kind, 0.0, low, high), state_class, copies)

    def _append(self, row: tuple[int, float, float, float], state_class: int, copies: float) -> int:
        self.rows.append(row)
        self.classes.append(state_class)
        self.copies.append(copies)
        return len(self.rows) - 1


@cache
def build_chain(settings: CountModelSettings) -> StateChain:
    """Build the chain of copy states; made once for the same settings, so that its arrays are not to be changed.

    Parameters
    ----------
    settings : CountModelSettings

    Returns
    -------
    StateChain
        Every row of the transition matrix sums to 1.
    """
    s = settings
    gains, mixed_levels = np.array(s.gain_levels, float), s.mixed_levels
    states = _States()
    absent = states.add(ABSENT, 0.0, 0.0, STRAY)
    residual = [states.add(ABSENT, 0.0, x) for x in s.residual_levels]
    one = states.add(ONE, 1.0, 1.0)
    divergent = [states.add(ONE, 1.0, x) for x in s.divergent_levels]
    mixed = [states.add(MIXED, x, x) for x in mixed_levels]
    gain = [states.add(MORE, x, x) for x in gains]
    diluted = states.add(MORE, 2.0, s.diluted_two)
    divergent_gain = [
        [states.add(MORE, gains[k], gains[k] * x) for x in s.divergent_levels] for k in range(N_DIVERGENT_GAINS)
    ]
    into_absent, out_of_absent = (states.add_end(END_OF_GAIN, 0.0, 0.0, 1.0, SHARED_END) for _ in range(2))
    into_mixed, out_of_mixed = ([states.add_end(END_OF_MIXED, x, 1.0, x) for x in mixed_levels] for _ in range(2))
    into_gain, out_of_gain = ([states.add_end(END_OF_GAIN, x, 1.0, x) for x in gains] for _ in range(2))
    gain_beside_absent = [states.add_end(END_OF_GAIN, gains[k], 0.0, gains[k]) for k in range(N_DIVERGENT_GAINS)]

    n_divergent = len(divergent)
    share = gains**-2.0  # high copy numbers are rare: the square fits the simulator's amplifications
    share /= share.sum()
    A = np.zeros((len(states.rows), len(states.rows)))

    def stay(state: int) -> None:
        """Give the state what its other transitions leave."""
        A[state, state] = 1.0 - A[state].sum()

    A[one, into_absent] = s.absent_start
    A[one, divergent] = s.divergent_start / n_divergent
    A[one, into_mixed] = s.gain_start * s.mixed_share / len(mixed)
    A[one, into_gain] = s.gain_start * (1.0 - s.mixed_share) * share
    stay(one)

    # Absent runs: a dozen bins on average; within them islands of residual reads (repeats, recombination).
    A[absent, out_of_absent] = 1.0 / 12.0
    A[absent, residual] = 2e-3
    A[absent, gain_beside_absent] = s.gain_start * share[:N_DIVERGENT_GAINS]
    stay(absent)
    for state in residual:
        A[state, [state, absent, out_of_absent]] = 0.88, 0.04, 0.08

    # Divergent runs are short (recombination tracts, parts of islands): 2.6 bins on average.
    for state in divergent:
        A[state, [state, into_absent, into_gain[0], into_gain[1]]] = 0.62, 0.004, 1e-4, 5e-5
        A[state, one] = 1.0 - A[state].sum()
    for k, state in enumerate(mixed):
        A[state, [x for x in mixed if x != state]] = 0.005
        A[state, out_of_mixed[k]] = 0.08
        stay(state)
    for k, state in enumerate(gain):
        if k < N_DIVERGENT_GAINS:
            A[state, divergent_gain[k]] = s.divergent_start / n_divergent
            A[state, gain_beside_absent[k]] = 0.006
        A[state, out_of_gain[k]] = 0.07
        stay(state)
    for k in range(N_DIVERGENT_GAINS):
        start = s.gain_start * share[k]
        for reduced, twin in zip(divergent_gain[k], divergent, strict=True):
            # A gain may begin or end within a divergent run, which then keeps its divergence.
            A[reduced, [reduced, out_of_gain[k], twin]] = 0.62, 0.02, 0.05
            A[reduced, gain[k]] = 1.0 - A[reduced].sum()
            A[twin, reduced] = start
            A[twin, one] -= start

    # End states: one bin, then into the event or back out of it.
    A[into_absent, [absent, out_of_absent]] = 0.88, 0.10
    A[into_absent, residual] = 0.02 / len(residual)
    A[out_of_absent, [one, into_absent, into_gain[0]]] = 0.97, 0.005, 1e-4
    A[out_of_absent, divergent] = 0.02 / n_divergent
    for k, state in enumerate(mixed):
        A[into_mixed[k], [state, out_of_mixed[k]]] = 0.85, 0.15
        A[out_of_mixed[k], one] = 1.0
    for k, state in enumerate(gain):
        A[into_gain[k], [state, out_of_gain[k]]] = 0.85, 0.15
        if k < N_DIVERGENT_GAINS:
            A[into_gain[k], state] = 0.83
            A[into_gain[k], divergent_gain[k]] = 0.02 / n_divergent
        A[out_of_gain[k], [one, into_absent]] = 0.985, 0.005
        if k < 2:
            A[out_of_gain[k], divergent] = 0.01 / n_divergent
    A[into_gain[0], [diluted, gain[0]]] = 0.04, 0.79
    A[diluted, [diluted, out_of_gain[0], gain[0]]] = 0.92, 0.07, 0.01
    for k, state in enumerate(gain_beside_absent):
        A[state, [absent, gain[k], state]] = 0.47, 0.47, 0.06
    A /= A.sum(axis=1, keepdims=True)

    reset_prior = np.zeros(len(A))
    reset_prior[one], reset_prior[absent] = 0.8, 0.1
    reset_prior[divergent] = 0.05 / n_divergent
    reset_prior[gain] = 0.05 * share
    first = 1e-3 * reset_prior
    first[one] += 0.94
    first[absent] += 0.05
    return assemble_chain(
        A,
        first / first.sum(),
        states.rows,
        np.array(states.classes),
        np.array(states.copies),
        settings,
        reset_prior=reset_prior,
        plain=one,
        absent=absent,
    )


def assemble_chain(
    transition: np.ndarray,
    start: np.ndarray,
    rows: list[tuple[int, float, float, float]],
    state_class: np.ndarray,
    copies: np.ndarray,
    settings: CountModelSettings,
    *,
    reset_prior: np.ndarray,
    plain: int,
    absent: int,
) -> StateChain:
    """Store a transition matrix sparsely and merge equal emissions.

    Parameters
    ----------
    transition : numpy.ndarray, (S, S), float64
        Row: state left, column: state entered.
    start, reset_prior : numpy.ndarray, (S,), float64
    rows : list of tuple
        Kind, level, low and high of each state's emission.
    state_class, copies, plain, absent
        As in `StateChain`.
    settings : CountModelSettings

    Returns
    -------
    StateChain
    """
    unique = sorted(set(rows), key=rows.index)
    kind, level, low, high = (np.array(column) for column in zip(*unique, strict=True))
    emissions = Emissions(
        kind.astype(np.int64),
        level.astype(float),
        low.astype(float),
        high.astype(float),
        np.log(np.where(level > 0, level, 1.0)),
        np.array(settings.stray_levels, float),
        np.log(settings.stray_levels),
        np.array(settings.stray_weights, float),
        settings.outlier,
    )
    kept = transition * (1.0 - settings.reset)
    emission_row = np.array([unique.index(row) for row in rows])
    gained = np.zeros(len(unique), bool)
    gained[emission_row[np.asarray(copies) >= 2]] = True
    return StateChain(
        emission_row,
        np.asarray(state_class, np.int64),
        np.asarray(copies, float),
        np.asarray(start, float),
        *_compressed(kept.T),
        *_compressed(kept),
        np.asarray(reset_prior, float),
        settings.reset,
        plain,
        absent,
        gained,
        emissions,
    )


def long_run_shares(chain: StateChain) -> np.ndarray:
    """Return the share of bins in each state when nothing is seen, (S,): the chain's stationary distribution."""
    n_states = len(chain.start)
    step = chain.reset * np.tile(chain.reset_prior, (n_states, 1))
    source = np.repeat(np.arange(n_states), np.diff(chain.out_pointer))
    step[source, chain.out_state] += chain.out_probability
    balance = step.T - np.eye(n_states)
    balance[-1] = 1.0  # one of the equations follows from the others; the shares sum to 1 instead
    return np.linalg.solve(balance, np.eye(n_states)[-1])


def _compressed(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the compressed rows of a matrix: pointers, columns, values."""
    row, column = np.nonzero(matrix)
    pointer = np.searchsorted(row, np.arange(len(matrix) + 1)).astype(np.int64)
    return pointer, column.astype(np.int64), matrix[row, column]
