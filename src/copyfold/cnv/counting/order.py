"""Whether records come in coordinate order, which their header may claim in vain."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np

from copyfold.errors import InputError

NO_REFERENCE = np.iinfo(np.int64).max
NOTHING_BEFORE = -1


def sorting_places(reference: np.ndarray, position: np.ndarray) -> np.ndarray:
    """Numbers that ascend in a file as ``samtools sort`` leaves it; `_walk.c` has the same.

    Parameters
    ----------
    reference : numpy.ndarray, (n,), int64
        Rows of the header, -1 for none: those records come last, in any order.
    position : numpy.ndarray, (n,), int64
        0-based, -1 for none.

    Returns
    -------
    numpy.ndarray, (n,), int64
    """
    return np.where(reference < 0, NO_REFERENCE, reference << 32 | (position + 1))


def first_descent(places: np.ndarray, before: int) -> int:
    """Index of the first place below the one before it, -1 for none; `before` stands before the first."""
    below = np.flatnonzero(places < np.concatenate([[before], places[:-1]]))
    return int(below[0]) if below.size else -1


def unsorted_error(path: Path, names: tuple[str, ...], record: int, place: int, before: int) -> InputError:
    """What to say of a file whose record number `record` (1-based) lies before the one it follows."""
    return InputError(
        f"{path}: not sorted by coordinate: record {record} ({_told(place, names)}) comes after "
        f"{_told(before, names)}; run `samtools sort -o sorted{path.suffix} {shlex.quote(str(path))}`, or count "
        "it as it is with --unsorted: counts do not depend on the order"
    )


def _told(place: int, names: tuple[str, ...]) -> str:
    """Name and 1-based position of a sorting place."""
    if place == NO_REFERENCE:
        return "one without a contig"
    return f"{names[place >> 32]}:{place & 0xFFFFFFFF}"
