"""Training, validation and test rows that share no related proteins; and random ones, for the documents' protocol.

Two proteins are related where their best local alignment is significant, identical enough and covers enough of the
shorter; related proteins, and those related to these in turn, make a cluster. See docs/methods/ddg-data.md.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, NamedTuple

import numpy as np

from copyfold.core.seeding import DEFAULT_SEED, derive_generator
from copyfold.ddg.alignment import GAP_EXTEND, GAP_OPEN, all_local_scores, expected_hits
from copyfold.errors import InputError

IDENTITY: Final = 0.25
COVERAGE: Final = 0.5
MOST_EXPECTED: Final = 1e-3
PARTS: Final = ("train", "validation", "test")


class HomologyPair(NamedTuple):
    """Two sequences whose local alignment is significant, the evidence for or against putting them together.

    Attributes
    ----------
    first, second : int
        Places in the list of sequences, first < second.
    score : int
        BLOSUM62, gap penalties 11 and 1.
    e_value : float
    identity : float
        Identical residues over columns of the alignment, gaps included.
    coverage : float
        Residues of the shorter sequence within the alignment, over its length.
    length : int
        Columns of the alignment.
    linked : bool
        Identity and coverage reach what was asked for.
    """

    first: int
    second: int
    score: int
    e_value: float
    identity: float
    coverage: float
    length: int
    linked: bool


@dataclass(frozen=True, eq=False)
class Homology:
    """Clusters of sequences with their evidence.

    Attributes
    ----------
    clusters : numpy.ndarray, (n,), int64
        Numbered from 0 in the order of their first members.
    pairs : tuple of HomologyPair
        Every aligned pair. Pairs already in one cluster through better pairs are not aligned.
    identity, coverage : float
        What was asked for.
    """

    clusters: np.ndarray
    pairs: tuple[HomologyPair, ...]
    identity: float
    coverage: float


def homology_clusters(sequences: Sequence[str], identity: float = IDENTITY, coverage: float = COVERAGE) -> np.ndarray:
    """Cluster of each sequence: (n,), int64; `find_homology` says why.

    Raises
    ------
    InputError
        As `find_homology`.
    """
    return find_homology(sequences, identity, coverage).clusters


def find_homology(sequences: Sequence[str], identity: float = IDENTITY, coverage: float = COVERAGE) -> Homology:
    """Group related sequences: connected components over pairs that reach `identity` and `coverage`.

    Every pair is scored (Smith–Waterman, BLOSUM62, gaps 11 and 1); those with an E-value of at most `MOST_EXPECTED`
    are aligned, best first, unless better ones have already joined the two.

    Parameters
    ----------
    sequences : sequence of str
        One-letter codes; letters beside the 20 count as X. Equal sequences may stand several times.
    identity, coverage : float
        Of 0 to 1; see `HomologyPair`.

    Returns
    -------
    Homology

    Raises
    ------
    InputError
        An empty sequence, or an option outside 0 to 1.
    """
    _check(sequences, identity, coverage)
    distinct = list(dict.fromkeys(sequences))
    parent = list(range(len(distinct)))
    pairs = []
    for first, second, score, e_value in _significant_pairs(distinct):
        if _root(parent, first) == _root(parent, second):
            continue
        identical, covered, length = _align(distinct[first], distinct[second])
        linked = identical >= identity and covered >= coverage
        pairs.append((first, second, score, e_value, identical, covered, length, linked))
        if linked:
            parent[_root(parent, second)] = _root(parent, first)
    place = {sequence: number for number, sequence in enumerate(distinct)}
    roots = [_root(parent, place[sequence]) for sequence in sequences]
    number_of_root = {root: number for number, root in enumerate(dict.fromkeys(roots))}
    clusters = np.array([number_of_root[root] for root in roots], dtype=np.int64)
    where = [sequences.index(sequence) for sequence in distinct]
    return Homology(
        clusters,
        tuple(HomologyPair(*sorted((where[first], where[second])), *rest) for first, second, *rest in pairs),
        identity,
        coverage,
    )


def related_to(
    sequences: Sequence[str], others: Sequence[str], identity: float = IDENTITY, coverage: float = COVERAGE
) -> np.ndarray:
    """Whether each sequence is related to one of `others` directly, by the rule of `find_homology`: (n,), bool.

    Raises
    ------
    InputError
        As `find_homology`.
    """
    _check(sequences, identity, coverage)
    _check(others, identity, coverage)
    distinct = list(dict.fromkeys([*sequences, *others]))
    asked, given = set(sequences), set(others)
    related = asked & given
    for pair in _significant_pairs(distinct):
        for sequence, other in (
            (distinct[pair[0]], distinct[pair[1]]),
            (distinct[pair[1]], distinct[pair[0]]),
        ):
            if sequence in asked and other in given and sequence not in related:
                identical, covered, _ = _align(sequence, other)
                if identical >= identity and covered >= coverage:
                    related.add(sequence)
    return np.array([sequence in related for sequence in sequences], dtype=bool)


def cluster_split(
    clusters: Sequence[Hashable] | np.ndarray,
    fractions: Sequence[float] = (0.8, 0.1, 0.1),
    *,
    seed: int = DEFAULT_SEED,
) -> np.ndarray:
    """Give every row a part so that no cluster is torn apart.

    Clusters larger than half the smallest part go to the first part, which keeps one big family from making up a
    whole test set; the others, shuffled, go one by one to the part that lacks most rows.

    Parameters
    ----------
    clusters : (n,)
        Cluster of each row.
    fractions : sequence of 2 or 3 floats
        Shares of train, validation and test (two: train and test), made to add up to 1.
    seed : int

    Returns
    -------
    numpy.ndarray, (n,), str
        ``train``, ``validation`` or ``test``.

    Raises
    ------
    InputError
        Impossible fractions, or fewer clusters than parts.
    """
    parts, shares = _parts(fractions)
    names, index, sizes = np.unique(np.asarray(clusters), return_inverse=True, return_counts=True)
    if len(names) < len(parts):
        raise InputError(
            f"{len(names)} clusters cannot fill {len(parts)} parts; give data of more proteins, a higher identity, "
            "or a random split, which leaves the same proteins on both sides"
        )
    order = derive_generator(seed, "cluster split").permutation(len(names))
    big = sizes > min(shares) * sizes.sum() / 2
    lacking = shares * sizes.sum()
    part_of = np.zeros(len(names), dtype=np.int64)
    lacking[0] -= sizes[big].sum()
    for cluster in order[~big[order]]:
        part_of[cluster] = int(np.argmax(lacking))
        lacking[part_of[cluster]] -= sizes[cluster]
    _leave_none_empty(part_of, sizes, len(parts))
    return np.array(parts)[part_of[index]]


def random_split(n: int, fractions: Sequence[float] = (0.8, 0.1, 0.1), *, seed: int = DEFAULT_SEED) -> np.ndarray:
    """Give every row a part at random, the documents' protocol: the same proteins stand on both sides.

    Returns
    -------
    numpy.ndarray, (n,), str

    Raises
    ------
    InputError
        Impossible fractions, or fewer rows than parts.
    """
    parts, shares = _parts(fractions)
    if n < len(parts):
        raise InputError(f"{n} rows cannot fill {len(parts)} parts; give more rows")
    counts = np.maximum(1, np.round(shares * n)).astype(np.int64)
    largest = int(np.argmax(shares))
    counts[largest] += n - counts.sum()
    part_of = np.repeat(np.arange(len(parts)), counts)
    return np.array(parts)[derive_generator(seed, "random split").permutation(part_of)]


def _parts(fractions: Sequence[float]) -> tuple[list[str], np.ndarray]:
    shares = np.asarray(fractions, dtype=np.float64)
    if shares.shape not in ((2,), (3,)) or not np.isfinite(shares).all() or (shares <= 0).any():
        raise InputError(f"fractions {list(fractions)}: give two or three positive numbers, as 0.8, 0.1, 0.1")
    return [PARTS[0], PARTS[2]] if len(shares) == 2 else list(PARTS), shares / shares.sum()


def _leave_none_empty(part_of: np.ndarray, sizes: np.ndarray, n_parts: int) -> None:
    """Move the smallest cluster of a part that has several into each part that has none."""
    for part in range(n_parts):
        if not (part_of == part).any():
            several = np.bincount(part_of, minlength=n_parts)[part_of] > 1
            part_of[np.flatnonzero(several)[np.argmin(sizes[several])]] = part


def _check(sequences: Sequence[str], identity: float, coverage: float) -> None:
    for name, value in (("identity", identity), ("coverage", coverage)):
        if not 0 <= value <= 1:
            raise InputError(f"{name} {value}: must be between 0 and 1, as 0.25 for 25 %")
    if not all(sequences):
        raise InputError("an empty sequence cannot be compared; leave such proteins out or give their sequence")


def _significant_pairs(sequences: Sequence[str]) -> list[tuple[int, int, int, float]]:
    """Pairs of places with score and E-value, best score first."""
    encoded = [_as_biotite(sequence).code.astype(np.int8) for sequence in sequences]
    scores = all_local_scores(encoded, _matrix().score_matrix())
    lengths = np.array([len(sequence) for sequence in sequences], dtype=np.float64)
    e_values = expected_hits(scores, lengths[:, None], lengths[None, :])
    firsts, seconds = np.nonzero(np.triu(e_values <= MOST_EXPECTED, 1))
    order = np.lexsort((seconds, firsts, -scores[firsts, seconds]))
    return [
        (int(first), int(second), int(scores[first, second]), float(e_values[first, second]))
        for first, second in zip(firsts[order], seconds[order], strict=True)
    ]


@cache
def _matrix() -> Any:
    from biotite.sequence.align import SubstitutionMatrix

    return SubstitutionMatrix.std_protein_matrix()  # BLOSUM62


def _as_biotite(sequence: str) -> Any:
    from biotite.sequence import ProteinSequence

    return ProteinSequence("".join(letter if letter in "ACDEFGHIKLMNPQRSTVWY" else "X" for letter in sequence.upper()))


def _align(first: str, second: str) -> tuple[float, float, int]:
    """Identity, coverage of the shorter, and columns of the best local alignment."""
    from biotite.sequence.align import align_optimal

    penalty = (-GAP_OPEN, -GAP_EXTEND)
    sequences = _as_biotite(first), _as_biotite(second)
    best = align_optimal(*sequences, _matrix(), gap_penalty=penalty, local=True, max_number=1)[0]
    both = (best.trace >= 0).all(axis=1)
    codes = [sequence.code[best.trace[both, side]] for side, sequence in enumerate(sequences)]
    shorter = int(len(second) < len(first))
    covered = int(np.sum(best.trace[:, shorter] >= 0))
    return (
        float(np.sum(codes[0] == codes[1]) / len(best.trace)),
        covered / min(len(first), len(second)),
        len(best.trace),
    )


def align_whole(first: str, second: str) -> np.ndarray:
    """Place in `second` of each residue of `first`, −1 for none: (len(first),), int64.

    By the best global alignment with free ends.
    """
    from biotite.sequence.align import align_optimal

    best = align_optimal(
        _as_biotite(first),
        _as_biotite(second),
        _matrix(),
        gap_penalty=(-GAP_OPEN, -GAP_EXTEND),
        terminal_penalty=False,
        max_number=1,
    )[0]
    places = np.full(len(first), -1, dtype=np.int64)
    both = (best.trace >= 0).all(axis=1)
    places[best.trace[both, 0]] = best.trace[both, 1]
    return places


def _root(parent: list[int], member: int) -> int:
    while parent[member] != member:
        parent[member] = parent[parent[member]]
        member = parent[member]
    return member
