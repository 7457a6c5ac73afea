"""Compiled kernels of the decoder: emissions, forward–backward and summaries of bins.

As in `copyfold.hmm.kernels`, isolates are processed in blocks of `LANES`, innermost in the work arrays, so that the
recursions become vector instructions; a lane's result never depends on its neighbours. Kernels release the GIL. All
sit in this file, with the constants that they compile in, because numba's cache looks only at the file of the outermost
function.

Axes: n isolates, B bins, S states, R emissions, L lanes.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numba
import numpy as np

if TYPE_CHECKING:
    from copyfold.cnv.countmodel.states import Emissions, StateChain

LEVEL, END, STRAY, SHARED_END = 0, 1, 2, 3
"""Kinds of emission: a fixed level; a level uniform between two; the stray mixture; the end of an absent run."""

ABSENT, ONE, MIXED, MORE, END_OF_GAIN, END_OF_MIXED = range(6)
"""Classes of state. The first four are also the classes of a bin, over which an end state's weight is shared."""

LANES = 8
"""Isolates per block: one AVX-512 or two AVX2 registers of float64."""

MIN_EXPECTED = 0.02
"""Expected reads below which a bin says nothing about copies."""

REACH = 7.0
"""Standard deviations beyond which an emission is left at the floor."""

NEGLIGIBLE = 1e-5
"""Posterior probability below which a state is left out of a bin's summary."""

SQRT_2PI = 2.5066282746310002

compiled = numba.njit(cache=True, nogil=True, error_model="numpy")


@compiled
def normal_cdf(x):
    """Return the standard normal distribution function, 0 or 1 beyond 7 (where it is so to 1e-12)."""
    if x > 7.0:
        return 1.0
    if x < -7.0:
        return 0.0
    return 0.5 * math.erfc(-0.7071067811865476 * x)


@compiled
def log_relative(reads, expected, size, log_best, level, log_level):
    """Return the negative-binomial log likelihood of a level, less that of the best one (`log_best`)."""
    return reads * log_level - (reads + size) * math.log(1.0 + level * expected / size) - log_best


@compiled
def best_level(reads, expected, dispersion):
    """Return the level that fits best, its standard error and the level-dependent part of its log likelihood."""
    level = (reads + 0.5) / expected
    error = math.sqrt(reads + 1.0 + dispersion * (reads + 0.5) ** 2) / expected
    size = 1.0 / dispersion
    return level, error, log_relative(reads, expected, size, 0.0, level, math.log(level))


@compiled
def within_reach(level, best, error, expected, dispersion):
    """Tell whether a level lies within `REACH` standard errors of the best one."""
    mean = level * expected
    distance, spread = (level - best) * expected, error * expected
    return distance * distance < REACH * REACH * max(spread * spread, mean + 1.0 + dispersion * mean * mean)


@compiled
def emit(reads, expected, dispersion, emissions: Emissions, end_level, end_weight, out):
    """Write the likelihood of a bin's reads in every emission, over its value at the best level, into `out` (R,).

    End states integrate over the level, with the likelihood as a normal curve in the level. The likelihood of the
    `SHARED_END` also has atoms at `end_level` (J,) of weight `end_weight` (J,), where islands of other isolates end.
    """
    if not expected >= MIN_EXPECTED:
        out[:] = 1.0
        return
    size = 1.0 / dispersion
    best, error, log_best = best_level(reads, expected, dispersion)
    floor = emissions.outlier * min(1.0, error * SQRT_2PI / 3.0)
    below_0 = normal_cdf(-best / error)
    below_1 = normal_cdf((1.0 - best) / error)
    for row in range(out.size):
        kind = emissions.kind[row]
        value = 0.0
        if kind == LEVEL:
            level = emissions.level[row]
            if within_reach(level, best, error, expected, dispersion):
                log_level = emissions.log_level[row]
                value = math.exp(log_relative(reads, expected, size, log_best, level, log_level))
        elif kind == STRAY:
            n_levels = emissions.stray_level.size
            highest = emissions.stray_level[n_levels - 1]
            if best < highest or within_reach(highest, best, error, expected, dispersion):
                for j in range(n_levels):
                    level, log_level = emissions.stray_level[j], emissions.stray_log_level[j]
                    exponent = log_relative(reads, expected, size, log_best, level, log_level)
                    value += emissions.stray_weight[j] * math.exp(exponent)
        else:
            low, high = emissions.low[row], emissions.high[row]
            lowest = below_1 if low == 1.0 else (below_0 if low == 0.0 else normal_cdf((low - best) / error))
            highest = below_1 if high == 1.0 else normal_cdf((high - best) / error)
            value = min(error * SQRT_2PI * (highest - lowest) / (high - low), 1.0)
            if kind == SHARED_END and end_weight[0] > 0.0:
                weight, atoms = 0.0, 0.0
                for j in range(end_level.size):
                    if end_weight[j] > 0.0:
                        weight += end_weight[j]
                        atoms += end_weight[j] * math.exp(
                            log_relative(reads, expected, size, log_best, end_level[j], math.log(end_level[j]))
                        )
                value = atoms + (1.0 - weight) * value
        out[row] = value + floor


@compiled
def forward_backward(emission, chain: StateChain, posterior):
    """Scaled forward–backward over a block: P(state | all bins) into `posterior` (B, S, L); log likelihoods (L,).

    `emission` (B, R, L) holds likelihoods. The recursions are those of `copyfold.hmm.kernels` (Rabiner 1989, section
    V.A) with a sparse transition matrix plus the reset, which is of rank one.
    """
    n_bins, n_states = posterior.shape[0], posterior.shape[1]
    log_likelihood = np.zeros(LANES)
    total = np.zeros(LANES)
    value = np.empty(LANES)
    for state in range(n_states):
        row = chain.emission_row[state]
        for lane in range(LANES):
            posterior[0, state, lane] = chain.start[state] * emission[0, row, lane]
            total[lane] += posterior[0, state, lane]
    for b in range(n_bins):
        if b > 0:
            total[:] = 0.0
            before = posterior[b - 1]
            for state in range(n_states):
                row = chain.emission_row[state]
                value[:] = chain.reset * chain.reset_prior[state]
                for k in range(chain.in_pointer[state], chain.in_pointer[state + 1]):
                    source, probability = chain.in_state[k], chain.in_probability[k]
                    for lane in range(LANES):
                        value[lane] += probability * before[source, lane]
                for lane in range(LANES):
                    product = value[lane] * emission[b, row, lane]
                    posterior[b, state, lane] = product
                    total[lane] += product
        for lane in range(LANES):
            log_likelihood[lane] += math.log(total[lane])
            total[lane] = 1.0 / total[lane]
        for state in range(n_states):
            for lane in range(LANES):
                posterior[b, state, lane] *= total[lane]

    backward = np.ones((n_states, LANES))
    future = np.empty((n_states, LANES))
    fresh = np.empty(LANES)
    highest = np.empty(LANES)
    for b in range(n_bins - 2, -1, -1):
        fresh[:] = 0.0
        for state in range(n_states):
            row, weight = chain.emission_row[state], chain.reset * chain.reset_prior[state]
            for lane in range(LANES):
                future[state, lane] = emission[b + 1, row, lane] * backward[state, lane]
                fresh[lane] += weight * future[state, lane]
        highest[:] = 0.0
        for state in range(n_states):
            value[:] = fresh
            for k in range(chain.out_pointer[state], chain.out_pointer[state + 1]):
                target, probability = chain.out_state[k], chain.out_probability[k]
                for lane in range(LANES):
                    value[lane] += probability * future[target, lane]
            for lane in range(LANES):
                backward[state, lane] = value[lane]
                highest[lane] = value[lane] if value[lane] > highest[lane] else highest[lane]
        for lane in range(LANES):
            highest[lane] = 1.0 / highest[lane]
            total[lane] = 0.0
        for state in range(n_states):
            for lane in range(LANES):
                backward[state, lane] *= highest[lane]
                posterior[b, state, lane] *= backward[state, lane]
                total[lane] += posterior[b, state, lane]
        for lane in range(LANES):
            total[lane] = 1.0 / total[lane]
        for state in range(n_states):
            for lane in range(LANES):
                posterior[b, state, lane] *= total[lane]
    return log_likelihood


@compiled
def share_end(probability, best, error, low, high, mixed, classes):
    """Share an end state's probability over bin classes (4,), by the normal posterior of its level in [low, high].

    Returns the mean level. The end of a plain gain is no mixed population: its levels are rounded at 1.5.
    """
    below = normal_cdf((low - best) / error)
    above = normal_cdf((high - best) / error)
    width = above - below
    if width < 1e-9:
        level = min(max(best, low), high)
        if level <= 0.3:
            classes[ABSENT] += probability
        elif mixed and level > 1.3:
            classes[MIXED] += probability
        elif level < 1.5:
            classes[ONE] += probability
        else:
            classes[MORE] += probability
        return level
    at_absent = min(max(normal_cdf((0.3 - best) / error), below), above)
    at_more = min(max(normal_cdf(((1.3 if mixed else 1.5) - best) / error), below), above)
    classes[ABSENT] += probability * (at_absent - below) / width
    classes[ONE] += probability * (at_more - at_absent) / width
    classes[MIXED if mixed else MORE] += probability * (above - at_more) / width
    z_low, z_high = (low - best) / error, (high - best) / error
    level = best + error / SQRT_2PI * (math.exp(-0.5 * z_low * z_low) - math.exp(-0.5 * z_high * z_high)) / width
    return min(max(level, low), high)


@compiled
def summarise(reads, expected, dispersion, state_probability, chain: StateChain, ends, b, classes):
    """Write the class probabilities of a bin into `classes` (4,); return the posterior mean of its copies."""
    copies = 0.0
    classes[:] = 0.0
    expected = max(expected, 1e-3)
    best, error, log_best = best_level(reads, expected, dispersion)
    size = 1.0 / dispersion
    for state in range(state_probability.size):
        probability = state_probability[state]
        if probability < NEGLIGIBLE:
            continue
        row = chain.emission_row[state]
        kind = chain.emissions.kind[row]
        state_class = chain.state_class[state]
        if kind in (LEVEL, STRAY):
            classes[state_class] += probability
            copies += probability * chain.copies[state]
            continue
        low, high = chain.emissions.low[row], chain.emissions.high[row]
        centre = best
        if kind == SHARED_END:
            centre = best - ends.stray
            if ends.weight[b, 0] > 0.0:
                # Does the run end where those of other isolates do, or at a level of its own?
                atoms, atoms_absent, atoms_copies, weight = 0.0, 0.0, 0.0, 0.0
                for j in range(ends.level.shape[1]):
                    if ends.weight[b, j] > 0.0:
                        level = ends.level[b, j]
                        weight += ends.weight[b, j]
                        atom = ends.weight[b, j] * math.exp(
                            log_relative(reads, expected, size, log_best, level, math.log(level))
                        )
                        atoms += atom
                        atoms_absent += atom * ends.absent[b, j]
                        atoms_copies += atom * level
                inside = normal_cdf((1.0 - best) / error) - normal_cdf(-best / error)
                own = (1.0 - weight) * error * SQRT_2PI * max(inside, 1e-9)
                if atoms > 1e-150:
                    shared = probability * atoms / (atoms + own)
                    classes[ABSENT] += shared * atoms_absent / atoms
                    classes[ONE] += shared * (1.0 - atoms_absent / atoms)
                    copies += shared * atoms_copies / atoms
                    probability -= shared
        copies += probability * share_end(probability, centre, error, low, high, state_class == END_OF_MIXED, classes)
    return copies


@compiled
def decode_batch(
    counts,
    dispersion,
    extra,
    chain: StateChain,
    ends,
    offset,
    offset_share,
    gain_odds,
    watched,
    borders,
    expected,
    results,
):
    """Decode a batch of isolates; see `decoder.decode` for the arguments.

    `expected` (n, B) is changed in place where the offset explains the bin.
    """
    n, n_bins = counts.shape
    n_states, n_rows = chain.start.size, chain.emissions.kind.size
    emission = np.empty((n_bins, n_rows, LANES), np.float32)
    posterior = np.empty((n_bins, n_states, LANES))
    row, reduced_row, lane_posterior = np.empty(n_rows), np.empty(n_rows), np.empty(n_states)
    classes = np.empty(4)
    for first in range(0, n, LANES):
        for b in range(n_bins):
            for lane in range(LANES):
                i = min(first + lane, n - 1)
                y, mean, alpha = float(counts[i, b]), float(expected[i, b]), float(dispersion[i] + extra[b])
                emit(y, mean, alpha, chain.emissions, ends.level[b], ends.weight[b], row)
                share = float(offset_share[i, b]) if offset_share.size else 0.0
                if share > 0.0:
                    mean *= math.exp(offset[i, b])
                    emit(y, mean, alpha, chain.emissions, ends.level[b], ends.weight[b], reduced_row)
                    for k in range(n_rows):
                        row[k] += share * (reduced_row[k] - row[k])
                odds = float(gain_odds[i, b]) if gain_odds.size else 1.0
                if odds != 1.0:
                    for k in range(n_rows):
                        if chain.gained[k]:
                            row[k] *= odds
                for k in range(n_rows):
                    emission[b, k, lane] = row[k]
        results.log_likelihood[first : first + LANES] = 0.0
        for contig in range(borders.size - 1):  # each a chain of its own
            begin, stop = borders[contig], borders[contig + 1]
            log_likelihood = forward_backward(emission[begin:stop], chain, posterior[begin:stop])
            results.log_likelihood[first : first + LANES] += log_likelihood[: n - first]
        for b in range(n_bins):  # bins outside: the posteriors of all lanes of a bin share cache lines
            for lane in range(min(LANES, n - first)):
                i = first + lane
                plain = posterior[b, chain.plain, lane]
                certain = plain > 1.0 - NEGLIGIBLE  # no other state counts: spare the bin a closer look
                likeliest = chain.plain
                if not certain:
                    lane_posterior[likeliest] = plain
                    for state in range(n_states):
                        lane_posterior[state] = posterior[b, state, lane]
                        if lane_posterior[state] > lane_posterior[likeliest]:
                            likeliest = state
                y, mean, alpha = float(counts[i, b]), float(expected[i, b]), float(dispersion[i] + extra[b])
                share = float(offset_share[i, b]) if offset_share.size else 0.0
                if share > 0.0:
                    reduced = mean * math.exp(offset[i, b])
                    emit(y, reduced, alpha, chain.emissions, ends.level[b], ends.weight[b], reduced_row)
                    k = chain.emission_row[likeliest]
                    odds = float(gain_odds[i, b]) if gain_odds.size and chain.gained[k] else 1.0
                    if share * odds * reduced_row[k] > 0.5 * emission[b, k, lane]:
                        mean = reduced
                        expected[i, b] = reduced
                if certain:
                    classes[:] = 0.0
                    classes[ONE] = plain
                    results.copies[i, b] = plain
                else:
                    results.copies[i, b] = summarise(y, mean, alpha, lane_posterior, chain, ends, b, classes)
                for k in range(4):
                    results.classes[i, b, k] = classes[k]
                results.plain[i, b] = plain
                results.state[i, b] = likeliest
        for k in range(watched.size):
            for lane in range(min(LANES, n - first)):
                for state in range(n_states):
                    results.watched[first + lane, k, state] = posterior[watched[k], state, lane]
