"""Local alignment scores of many protein pairs; the global alignment of one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import numba as nb
import numpy as np

from copyfold.ddg.sequences import AMINO_ACIDS

GAP_OPEN: Final = 11
GAP_EXTEND: Final = 1
# Of gapped alignments by BLOSUM62 with the penalties above (Altschul et al. 1997, Nucleic Acids Res. 25:3389).
KARLIN_LAMBDA: Final = 0.267
KARLIN_K: Final = 0.041


_LANES = 16
_NEVER = -1e6


@nb.njit(inline="always")
def _larger(first, second):  # type: ignore[no-untyped-def]
    return first if first > second else second


def expected_hits(scores: np.ndarray, first_lengths: np.ndarray, second_lengths: np.ndarray) -> np.ndarray:
    """E-values of local alignment scores between sequences of these lengths, without edge correction; broadcasts."""
    return KARLIN_K * first_lengths * second_lengths * np.exp(-KARLIN_LAMBDA * scores.astype(np.float64))


def all_local_scores(sequences: Sequence[np.ndarray], matrix: np.ndarray) -> np.ndarray:
    """Best local alignment score of every pair (Smith and Waterman 1981; affine gaps as of Gotoh 1982).

    Parameters
    ----------
    sequences : sequence of numpy.ndarray, (length,), int8
        Indices into `matrix`.
    matrix : numpy.ndarray, (k, k), int
        Substitution scores. A gap of n residues costs ``GAP_OPEN + (n − 1) × GAP_EXTEND``.

    Returns
    -------
    numpy.ndarray, (n, n), float32
        Symmetric; the diagonal holds each sequence's score against itself.
    """
    n = len(sequences)
    order = np.argsort([len(sequence) for sequence in sequences], kind="stable")
    ordered = [sequences[place] for place in order]
    joined = np.concatenate([*ordered, np.empty(0, dtype=np.int8)]).astype(np.int64)
    ends = np.cumsum([len(sequence) for sequence in ordered], dtype=np.int64)
    sorted_scores = np.zeros((n, n), dtype=np.float32)
    for first in range(0, n, _LANES):
        batch = ordered[first : first + _LANES]
        found = _scores(joined, ends[: first + len(batch)], _profile(batch, matrix))
        sorted_scores[: len(found), first : first + len(batch)] = found[:, : len(batch)]
    scores = np.empty_like(sorted_scores)
    scores[np.ix_(order, order)] = np.maximum(sorted_scores, sorted_scores.T)
    return scores


def _profile(batch: Sequence[np.ndarray], matrix: np.ndarray) -> np.ndarray:
    """Score of every residue against every place of each sequence: (k, longest, lanes), float32."""
    longest = max(len(sequence) for sequence in batch)
    profile = np.full((len(matrix), longest, _LANES), _NEVER, dtype=np.float32)
    for lane, sequence in enumerate(batch):
        profile[:, : len(sequence), lane] = matrix[:, sequence]
    return profile


@nb.njit(cache=True, nogil=True)
def _scores(joined, ends, profile):  # type: ignore[no-untyped-def]
    """One sequence after the other against a batch, all lanes of the batch at once.

    Single precision holds the scores exactly, and its arithmetic stays in single precision, so that the inner loop
    becomes vector instructions.
    """
    opened, extended = np.float32(GAP_OPEN), np.float32(GAP_EXTEND)
    zero, never = np.float32(0), np.float32(_NEVER)
    longest, lanes = profile.shape[1], _LANES
    scores = np.zeros((len(ends), lanes), dtype=np.float32)
    row = np.empty((longest, lanes), dtype=np.float32)  # best score of alignments that end at (i − 1, j)
    vertical = np.empty((longest, lanes), dtype=np.float32)  # … that end with a gap in the batch's sequence
    horizontal = np.empty(lanes, dtype=np.float32)
    diagonal = np.empty(lanes, dtype=np.float32)
    left = np.empty(lanes, dtype=np.float32)
    best = np.empty(lanes, dtype=np.float32)
    start = 0
    for query in range(len(ends)):
        row[:] = zero
        vertical[:] = never
        best[:] = zero
        for place in range(start, ends[query]):
            residue = joined[place]
            horizontal[:] = never
            diagonal[:] = zero
            left[:] = zero
            for j in range(longest):
                for lane in range(_LANES):
                    above = row[j, lane]
                    down = vertical[j, lane] - extended
                    down = _larger(down, above - opened)
                    across = _larger(horizontal[lane] - extended, left[lane] - opened)
                    value = _larger(diagonal[lane] + profile[residue, j, lane], zero)
                    value = _larger(value, _larger(down, across))
                    vertical[j, lane] = down
                    horizontal[lane] = across
                    diagonal[lane] = above
                    left[lane] = value
                    row[j, lane] = value
                    best[lane] = _larger(best[lane], value)
        scores[query] = best
        start = ends[query]
    return scores


def global_alignment(first: str, second: str, unknown: int = -1) -> np.ndarray:
    """Columns of the best alignment (BLOSUM62, gaps 11 and 1, free ends), (n, 2), int64; −1 for a gap.

    Letters beside the 20 count as unknown; an unknown residue scores `unknown` against any.
    """
    from biotite.sequence import ProteinSequence
    from biotite.sequence.align import SubstitutionMatrix, align_optimal

    standard = SubstitutionMatrix.std_protein_matrix()
    alphabet = standard.get_alphabet1()
    scores = standard.score_matrix().copy()
    scores[alphabet.encode("X"), :] = scores[:, alphabet.encode("X")] = unknown
    trace: np.ndarray = align_optimal(
        *(ProteinSequence(re.sub(f"[^{AMINO_ACIDS}]", "X", part)) for part in (first, second)),
        SubstitutionMatrix(alphabet, alphabet, scores),
        gap_penalty=(-GAP_OPEN, -GAP_EXTEND),
        terminal_penalty=False,
        max_number=1,
    )[0].trace
    return trace
