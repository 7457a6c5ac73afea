"""Time the hidden Markov model against a bare Viterbi and against hmmlearn.

    python benchmarks/hmm_speed.py [--samples 1000] [--bins 5334] [--peer-samples 40] [--full]

Every row takes copy ratios of all samples and finds six states: ours gives posteriors and path; the bare
Viterbi, a plain loop per sample, gives the path alone; hmmlearn gives both, through joblib on two processes.
Median of several repeats, compilation left out.
"""

import argparse
import datetime
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numba
import numpy as np
from hmmlearn.hmm import GaussianHMM
from joblib import Parallel, delayed

from copyfold.hmm import decode_gaussian, transition_matrix

MEANS = np.array([0.0, 0.5, 1.0, 1.5, 2.0, 3.0])
VARIANCE = 0.01
TRANSITION = transition_matrix(6, 1 - 1e-4)
START = np.full(6, 1 / 6)
PEER_JOBS = 2


def simulate(n_samples: int, n_bins: int) -> np.ndarray:
    """Return copy ratios (n, T) of one copy with a deletion and a duplication in each sample."""
    rng = np.random.default_rng(1)
    copies = np.ones((n_samples, n_bins))
    length = max(1, n_bins // 100)
    for row in copies:
        for value in (0.0, 2.0):
            first = rng.integers(0, n_bins - length + 1)
            row[first : first + length] = value
    return copies + rng.normal(0.0, np.sqrt(VARIANCE), copies.shape)


@numba.njit(parallel=True)
def bare_viterbi(observations, means, variance, log_transition, log_start):
    """Return the most probable path (n, T): the textbook loop with back-pointers, samples in parallel."""
    n_samples, n_bins = observations.shape
    n_states = means.size
    paths = np.empty((n_samples, n_bins), np.int8)
    for sample in numba.prange(n_samples):
        pointers = np.empty((n_bins, n_states), np.int8)
        score = log_start - 0.5 * (observations[sample, 0] - means) ** 2 / variance
        following = np.empty(n_states)
        for t in range(1, n_bins):
            for j in range(n_states):
                best, origin = score[0] + log_transition[0, j], 0
                for i in range(1, n_states):
                    candidate = score[i] + log_transition[i, j]
                    if candidate > best:
                        best, origin = candidate, i
                pointers[t, j] = origin
                following[j] = best - 0.5 * (observations[sample, t] - means[j]) ** 2 / variance
            score[:] = following
        state = np.argmax(score)
        for t in range(n_bins - 1, -1, -1):
            paths[sample, t] = state
            state = pointers[t, state]
    return paths


def peer(row: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return hmmlearn's posteriors (T, K) and path (T,) of one sample."""
    model = GaussianHMM(MEANS.size, "diag")
    model.startprob_, model.transmat_ = START, TRANSITION
    model.means_, model.covars_ = MEANS[:, np.newaxis], np.full((MEANS.size, 1), VARIANCE)
    column = row[:, np.newaxis]
    return model.score_samples(column)[1], model.decode(column)[1]


def median_seconds(run: Callable[[], object], repeats: int) -> float:
    run()
    seconds = []
    for _ in range(repeats):
        begin = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds)


def cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--bins", type=int, default=5334)
    parser.add_argument("--peer-samples", type=int, default=40, help="samples that hmmlearn decodes")
    parser.add_argument("--full", action="store_true", help="let hmmlearn decode all samples too")
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    observations = simulate(options.samples, options.bins)
    variances = np.full(options.samples, VARIANCE)
    n_peer = min(options.peer_samples, options.samples)

    def ours():
        return decode_gaussian(observations, MEANS, variances, TRANSITION, START, [0, options.bins])

    def bare():
        return bare_viterbi(observations, MEANS, VARIANCE, np.log(TRANSITION), np.log(START))

    with Parallel(n_jobs=PEER_JOBS) as parallel:

        def peers(n_samples: int):
            return parallel(delayed(peer)(row) for row in observations[:n_samples])

        ours_seconds = median_seconds(ours, options.repeats)
        sampled = median_seconds(lambda: peers(n_peer), 3)
        rows = [
            ("copyfold: posteriors + path", ours_seconds, "measured"),
            ("bare numba Viterbi: path only", median_seconds(bare, options.repeats), "measured"),
            (
                f"hmmlearn, {PEER_JOBS} processes: posteriors + path",
                sampled * options.samples / n_peer,
                f"EXTRAPOLATED from {n_peer} samples in {sampled:.2f} s",
            ),
        ]
        if options.full:
            begin = time.perf_counter()
            peers(options.samples)
            rows.append((rows[-1][0], time.perf_counter() - begin, f"measured once, all {options.samples} samples"))
        reference = peers(n_peer)

    print(f"date     {datetime.date.today().isoformat()}")
    print(f"machine  {cpu_model()}, {os.cpu_count()} cores, numba {numba.__version__}")
    print(f"task     {options.samples} samples x {options.bins} bins, {MEANS.size} states\n")
    print(f"{'method':<46}{'seconds':>9}{'ratio':>8}  note")
    for name, seconds, note in rows:
        print(f"{name:<46}{seconds:>9.3f}{seconds / ours_seconds:>8.1f}  {note}")

    decoding = ours()
    paths = np.array([path for _, path in reference])
    posteriors = np.array([posterior for posterior, _ in reference])
    difference = np.abs(decoding.posteriors[:n_peer] - posteriors).max()
    agreement = (decoding.path[:n_peer] == paths).mean()
    print(f"\ncheck    paths equal to hmmlearn at {agreement:.4%} of positions of {n_peer} samples; ", end="")
    print(f"largest difference of posteriors {difference:.1e}")
    print(f"check    paths equal to the bare Viterbi at {(decoding.path == bare()).mean():.4%} of positions")


if __name__ == "__main__":
    main()
