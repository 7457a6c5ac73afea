"""``sequence``: substitution matrices, neighbours along the chain, and the profile of an alignment if one is given."""

from __future__ import annotations

from functools import cache
from io import StringIO
from pathlib import Path
from typing import NamedTuple

import numpy as np

from copyfold.core.packed import read_unpacked
from copyfold.ddg.features.aminoacids import PROPERTIES
from copyfold.ddg.features.base import check_pair
from copyfold.ddg.sequences import AMINO_ACIDS, encode_sequence
from copyfold.errors import InputError

MATRICES = ("BLOSUM62", "PAM250", "GONNET")
HALF_WIDTHS = (2, 7)
"""Residues on either side over which neighbours are averaged."""
PSEUDOCOUNTS = 1.0
"""Weight of the background in a profile, against the mean number of kinds of residue in a column; PSI-BLAST too takes
that for the number of independent observations (Altschul et al. 1997, NAR 25:3389). A lone sequence counts half.
"""

SEQUENCE = (
    *(f"score_{name.lower()}" for name in MATRICES),
    *(f"window{2 * half + 1}_{item.name}" for half in HALF_WIDTHS for item in PROPERTIES),
    "log_end_distance",
    "profile_log_wild_type",
    "profile_log_mutant",
    "profile_log_odds",
    "profile_entropy",
    "profile_gaps",
    "profile_log_depth",
)
"""Names of the columns, in order."""


class Profile(NamedTuple):
    """What an alignment says of each position of its first sequence.

    Attributes
    ----------
    frequencies : numpy.ndarray, (length, 20), float64
        Weighted, with pseudocounts; rows sum to 1.
    gaps : numpy.ndarray, (length,), float64
        Weighted share of sequences with a gap.
    effective_sequences : float
        exp of the mean entropy of the columns (as HH-suite's Neff): 1 for identical sequences, 20 at most.
    sequence : str
        The first sequence.
    """

    frequencies: np.ndarray
    gaps: np.ndarray
    effective_sequences: float
    sequence: str


def sequence_features(
    wild_type: np.ndarray,
    mutant: np.ndarray,
    sequence: np.ndarray,
    position: np.ndarray,
    profile: Profile | None = None,
) -> np.ndarray:
    """Features of mutations of one protein from its sequence.

    Parameters
    ----------
    wild_type, mutant : numpy.ndarray, (n,), int8
        Indices into `AMINO_ACIDS`.
    sequence : numpy.ndarray, (length,), int8
        The protein, as `encode_sequence` gives it.
    position : numpy.ndarray, (n,), int
        0-based places in `sequence`.
    profile : Profile, optional
        Of the same length; without it the profile's columns are NaN.

    Returns
    -------
    numpy.ndarray, (n, 19), float32
        Columns as in `SEQUENCE`.

    Raises
    ------
    InputError
        A position outside the sequence, a wild type that is not what stands there, or a profile of another length.
    """
    wild_type, mutant = check_pair(wild_type, mutant)
    position = np.asarray(position, dtype=np.intp)
    length = len(sequence)
    outside = np.flatnonzero((position < 0) | (position >= length))
    if outside.size:
        row = int(outside[0])
        raise InputError(f"row {row + 1}: position {position[row] + 1} lies outside the sequence of {length} residues")
    differs = np.flatnonzero(sequence[position] != wild_type)
    if differs.size:
        row = int(differs[0])
        found = sequence[position[row]]
        stands = AMINO_ACIDS[found] if found >= 0 else "X"
        raise InputError(
            f"row {row + 1}: wild type {AMINO_ACIDS[wild_type[row]]} at position {position[row] + 1}, where the "
            f"sequence has {stands}; correct the mutation or the sequence"
        )
    scores = np.stack([substitution_scores(name)[wild_type, mutant] for name in MATRICES], axis=1)
    windows = [window_means(sequence, half)[position] for half in HALF_WIDTHS]
    ends = np.log1p(np.minimum(position, length - 1 - position))[:, None]
    if profile is None:
        aligned = np.full((len(position), 6), np.nan)
    else:
        aligned = _profile_columns(profile, wild_type, mutant, position, length)
    return np.concatenate([scores, *windows, ends, aligned], axis=1).astype(np.float32)


@cache
def substitution_scores(matrix: str) -> np.ndarray:
    """Scores of a matrix that biotite knows: (20, 20), float32, wild type by mutant, in the order of `AMINO_ACIDS`."""
    from biotite.sequence import LetterAlphabet
    from biotite.sequence.align import SubstitutionMatrix

    alphabet = LetterAlphabet(AMINO_ACIDS)
    scores: np.ndarray = SubstitutionMatrix(alphabet, alphabet, matrix).score_matrix()
    return scores.astype(np.float32)


def window_means(sequence: np.ndarray, half_width: int) -> np.ndarray:
    """Mean property of each residue's neighbours along the chain, itself left out.

    Parameters
    ----------
    sequence : numpy.ndarray, (length,), int8
        Unknown residues (−1) do not count.

    Returns
    -------
    numpy.ndarray, (length, 5), float64
        Of `PROPERTIES`; the mean over the twenty amino acids where no neighbour is known.
    """
    values = np.stack([item.values for item in PROPERTIES], axis=1).astype(float)
    known = sequence >= 0
    own = np.where(known[:, None], values[sequence], 0.0)
    kernel = np.ones(2 * half_width + 1)
    kernel[half_width] = 0
    count = _slide(known.astype(float), kernel)
    total = np.stack([_slide(column, kernel) for column in own.T], axis=1)
    return np.where(count[:, None] > 0, total / np.maximum(count, 1)[:, None], values.mean(axis=0))


def _slide(column: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    half = len(kernel) // 2
    return np.convolve(column, kernel)[half : half + len(column)]


def read_alignment(path: Path) -> tuple[str, np.ndarray]:
    """Read an alignment in FASTA or A2M, gzipped or not.

    Lower-case letters and dots are insertions against the first sequence and are left out.

    Returns
    -------
    (str, numpy.ndarray (n_sequences, length), int8)
        The first sequence; all sequences as indices into `AMINO_ACIDS`, −1 for gaps and other letters.

    Raises
    ------
    InputError
        Unreadable, empty, or rows of different length.
    """
    from biotite import InvalidFileError
    from biotite.sequence.io.fasta import FastaFile

    path = Path(path)
    try:
        text = read_unpacked(path).decode("ascii")
        records = list(FastaFile.read(StringIO(text)).values())
    except (ValueError, InvalidFileError) as error:
        raise InputError(f"{path}: cannot be read as an alignment ({error}); give FASTA or A2M") from None
    rows = ["".join(letter for letter in record if letter.isupper() or letter == "-") for record in records]
    if not rows or not rows[0]:
        raise InputError(f"{path}: holds no sequence; give an alignment in FASTA or A2M")
    for number, row in enumerate(rows, start=1):
        if len(row) != len(rows[0]):
            raise InputError(
                f"{path}: sequence {number} has {len(row)} aligned letters, the first {len(rows[0])}; "
                "all rows of an alignment are of one length"
            )
    if "-" in rows[0]:
        raise InputError(f"{path}: the first sequence, the protein itself, has gaps; write insertions in lower case")
    return rows[0], encode_sequence("".join(rows)).reshape(len(rows), len(rows[0]))


def profile_of(sequence: str, alignment: np.ndarray) -> Profile:
    """Profile of an alignment, its sequences weighted by position (Henikoff & Henikoff 1994, J. Mol. Biol. 243:574).

    Parameters
    ----------
    sequence : str
        The first row.
    alignment : numpy.ndarray, (n_sequences, length), int8
    """
    one_hot_counts = np.stack([(alignment == letter).sum(axis=0) for letter in range(20)], axis=1).astype(float)
    kinds = np.maximum((one_hot_counts > 0).sum(axis=1), 1)
    columns = np.arange(alignment.shape[1])
    share = np.where(
        alignment >= 0, 1 / (kinds * np.maximum(one_hot_counts[columns, np.maximum(alignment, 0)], 1)), 0.0
    )
    weights = share.sum(axis=1)
    weights = weights / weights.sum()
    weighted = np.stack([((alignment == letter) * weights[:, None]).sum(axis=0) for letter in range(20)], axis=1)
    present = weighted.sum(axis=1)
    observed = weighted / np.maximum(present, 1e-12)[:, None]
    entropy = -(observed * np.log(np.maximum(observed, 1e-12))).sum(axis=1)
    effective = float(np.exp(entropy.mean()))
    background = one_hot_counts.sum(axis=0) + 1
    background = background / background.sum()
    strength = kinds.mean() * present[:, None]
    frequencies = (strength * observed + PSEUDOCOUNTS * background) / (strength + PSEUDOCOUNTS)
    return Profile(frequencies, 1 - present, effective, sequence)


def _profile_columns(
    profile: Profile, wild_type: np.ndarray, mutant: np.ndarray, position: np.ndarray, length: int
) -> np.ndarray:
    if len(profile.frequencies) != length:
        raise InputError(
            f"the alignment describes {len(profile.frequencies)} residues, the sequence has {length}; "
            "align to the sequence that the mutations are numbered on"
        )
    rows = profile.frequencies[position]
    everyone = np.arange(len(position))
    log_wild, log_mutant = np.log(rows[everyone, wild_type]), np.log(rows[everyone, mutant])
    entropy = -(rows * np.log(rows)).sum(axis=1)
    depth = np.full(len(position), np.log(profile.effective_sequences))
    return np.stack([log_wild, log_mutant, log_wild - log_mutant, entropy, profile.gaps[position], depth], axis=1)
