"""Standard numbers of β-lactamases: Ambler's of class A (ABL), BBL of class B1, DBL of class D.

A standard number is given only where it follows from something published. Class A: from TEM-1, whose numbers are known
throughout, by alignment, but for residues beside a gap. Classes B1 and D: from the catalytic motifs that the schemes
number; between two motifs where the enzyme has as many residues as the scheme has numbers, and nowhere else, since
where the scheme skips or repeats numbers cannot be told from the sequence.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Final

import numpy as np

from copyfold.ddg.alignment import global_alignment
from copyfold.errors import InputError

TEM1: Final = (
    "HPETLVKVKDAEDQLGARVGYIELDLNSGKILESFRPEERFPMMSTFKVLLCGAVLSRIDAGQEQLGRRIHYSQNDLVEYSPVTEKHLTDGMTVRELCSAAITMSDN"
    "TAANLLLTTIGGPKELTAFLHNMGDHVTRLDRWEPELNEAIPNDERDTTMPVAMATTLRKLLTGELLTLASRQQLIDWMEADKVAGPLLRSALPAGWFIADKSGAGE"
    "RGSRGIIAALGPDGKPSRIVVIYTTGSQATMDERNRQIAEIGASLIKHW"
)
"""TEM-1 β-lactamase without its signal peptide (UniProt P62593, residues 24 to 286)."""
_TEM1_FIRST: Final = 26
_AMBLER_SKIPS: Final = (239, 253)  # TEM-1 has no residues of these numbers (Ambler et al. 1991, Biochem. J. 276:269)
_FEWEST_ALIGNED: Final = 150
_LEAST_IDENTITY: Final = 0.25
_CLASS_A: Final = {70: "S", 73: "K", 130: "S", 166: "E", 234: "K"}
_FEWEST_CATALYTIC: Final = 3  # structures are often of a catalytic residue's mutant

_MARGIN: Final = 8
"""Residues to each side of a gap that could as well stand there: what their numbers are is not known."""
_KPC: Final = re.compile(r"NKDDK(?P<n274>.)SEA")
"""KPC-3 is H274Y of KPC-2 (Alba et al. 2005, Antimicrob. Agents Chemother. 49:4760): known, though beside a gap."""
_CLASS_B1: Final = re.compile(
    r"(?P<n116>H.H.D).{40,85}[AG](?P<n196>H[ST].DN).{10,25}GG(?P<n221>C).{30,50}[GS](?P<n263>H)"
)
"""Zinc ligands H116, H118, D120, H196, C221, H263 (Galleni et al. 2001, Antimicrob. Agents Chemother. 45:660; Garau et
al. 2004, 48:2347).
"""
_CLASS_D: Final = re.compile(
    r"(?P<n70>S.[FY]K).{40,52}(?P<n118>S.[IV]).{18,30}(?P<n144>[FY]GN).{50,85}(?P<n216>K[ST]G)"
)
"""S70-x-x-K73, S118-x-V120, Y144-G-N146, K216-T-G218 (Couture et al. 1992, Mol. Microbiol. 6:1693)."""


@dataclass(frozen=True, eq=False)
class StandardNumbers:
    """Numbers of a β-lactamase's residues in the scheme of its class.

    Attributes
    ----------
    scheme : str
        Of `SCHEMES`.
    numbers : numpy.ndarray, (n,), int64
        −1 where none is known.
    """

    scheme: str
    numbers: np.ndarray

    def label(self, index: int) -> str:
        """Number of a residue as text, "" where none is known."""
        return str(self.numbers[index]) if self.numbers[index] >= 0 else ""


@cache
def ambler_numbers(sequence: str) -> np.ndarray:
    """Standard number of each residue of a class A β-lactamase, −1 where it has none: (n,), int64.

    Numbers are carried over from `TEM1` by alignment; where TEM-1 skips a number, an unknown residue stands in for it,
    so that enzymes which have one there keep in step. Beside other gaps no number is known.

    Raises
    ------
    InputError
        The sequence does not align to TEM-1 as a class A β-lactamase does.
    """
    reference = TEM1
    for skipped in _AMBLER_SKIPS:
        reference = reference[: skipped - _TEM1_FIRST] + "X" + reference[skipped - _TEM1_FIRST :]
    trace = global_alignment(reference, sequence, unknown=-3)  # a gap rather goes to a number that is often skipped
    pairs = trace[(trace >= 0).all(axis=1)]
    identical = sum(reference[first] == sequence[second] for first, second in pairs)
    at = {_TEM1_FIRST + first: sequence[second] for first, second in pairs.tolist()}
    n_catalytic = sum(at.get(number) == letter for number, letter in _CLASS_A.items())
    too_few = len(pairs) < _FEWEST_ALIGNED or n_catalytic < _FEWEST_CATALYTIC
    if too_few or identical < _LEAST_IDENTITY * len(pairs):
        raise InputError(
            f"not a class A β-lactamase ({identical} of {len(pairs)} aligned residues equal TEM-1's, "
            f"{n_catalytic} of {len(_CLASS_A)} catalytic ones); "
            "use --numbering pdb or sequence"
        )
    numbers = np.full(len(sequence), -1, dtype=np.int64)
    numbers[pairs[:, 1]] = _TEM1_FIRST + pairs[:, 0]
    _forget_beside_gaps(numbers)
    for match in _KPC.finditer(sequence):
        place = match.start("n274")
        before = int(np.flatnonzero(numbers[:place] >= 0)[-1])
        _number_between(numbers, (before, int(numbers[before])), (place, 274))
        numbers[place] = 274
    return numbers


def _forget_beside_gaps(numbers: np.ndarray) -> None:
    """Put −1 wherever an alignment's gap could as well be; not around numbers that class A is known to skip."""
    placed = np.flatnonzero(numbers >= 0)
    shifts = []
    for one, following in pairwise(placed.tolist()):
        skipped = set(range(int(numbers[one]) + 1, int(numbers[following])))
        shifted = numbers[following] - numbers[one] != following - one
        if shifted and not (following == one + 1 and skipped <= set(_AMBLER_SKIPS)):
            shifts.append((one, following))
    for one, following in shifts:
        numbers[max(0, one + 1 - _MARGIN) : following + _MARGIN] = -1


def _number_between(numbers: np.ndarray, first: tuple[int, int], following: tuple[int, int]) -> None:
    """Number the residues between two (place, number), if there are as many as numbers."""
    (start, low), (until, high) = first, following
    if until - start == high - low:
        numbers[start:until] = low + np.arange(until - start)


def bbl_numbers(sequence: str) -> np.ndarray:
    """Standard number of each residue of a class B1 β-lactamase, −1 where none is known: (n,), int64.

    Raises
    ------
    InputError
        The sequence lacks the zinc-binding motifs.
    """
    return _by_motifs(
        sequence, _CLASS_B1, "a class B1 β-lactamase (motifs of zinc ligands H116-x-H118-x-D120, H196, C221, H263)"
    )


def dbl_numbers(sequence: str) -> np.ndarray:
    """Standard number of each residue of a class D β-lactamase, −1 where none is known: (n,), int64.

    Raises
    ------
    InputError
        The sequence lacks the motifs.
    """
    return _by_motifs(
        sequence, _CLASS_D, "a class D β-lactamase (motifs S70-x-x-K73, S118-x-V120, Y144-G-N146, K216-T-G218)"
    )


def _by_motifs(sequence: str, motifs: re.Pattern[str], what: str) -> np.ndarray:
    found = list(motifs.finditer(sequence))
    if len(found) != 1:
        raise InputError(f"not recognised as {what}; use --numbering pdb or sequence")
    numbers = np.full(len(sequence), -1, dtype=np.int64)
    spans = [(found[0].span(group), int(group[1:])) for group in motifs.groupindex]
    for (start, end), first in spans:
        numbers[start:end] = first + np.arange(end - start)
    for ((start, _), first), ((until, _), following) in pairwise(spans):
        _number_between(numbers, (start, first), (until, following))
    return numbers


SCHEMES: Final[dict[str, Callable[[str], np.ndarray]]] = {
    "ambler": ambler_numbers,
    "bbl": bbl_numbers,
    "dbl": dbl_numbers,
}


def standard_numbers(sequence: str) -> StandardNumbers | None:
    """Numbers in the scheme of the β-lactamase's class; None of other proteins and other classes."""
    for scheme, numbers_of in SCHEMES.items():
        try:
            return StandardNumbers(scheme, numbers_of(sequence))
        except InputError:
            continue
    return None


def standard_index(scheme: str, position: int, sequence: str) -> int:
    """Place (0-based) of the residue with a standard number.

    Raises
    ------
    InputError
        Not an enzyme of that class, or no residue is known to have that number.
    """
    numbers = SCHEMES[scheme](sequence)
    found = np.flatnonzero(numbers == position)
    if not len(found):
        known = _ranges(numbers[numbers >= 0])
        raise InputError(
            f"which residue has {scheme.upper()} number {position} is not known here; known are {known}; "
            "use --numbering pdb or sequence"
        )
    return int(found[0])


def _ranges(numbers: np.ndarray) -> str:
    parts = np.split(numbers, np.flatnonzero(np.diff(numbers) != 1) + 1)
    return ", ".join(f"{part[0]} to {part[-1]}" if len(part) > 1 else str(part[0]) for part in parts)
