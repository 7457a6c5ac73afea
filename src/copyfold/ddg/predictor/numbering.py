"""Which residue of a protein a mutation names: by the structure's numbers, by the sequence, or by Ambler's scheme."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np

from copyfold.ddg.mutations import Mutation
from copyfold.ddg.sequences import AMINO_ACIDS
from copyfold.ddg.structures import Structure
from copyfold.errors import InputError

NUMBERINGS: Final = ("pdb", "sequence", "ambler")

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
_SEQUENCE_FORM = re.compile(r"(^|:)\s*p\.|[A-Za-z]{3}-?\d+[A-Za-z]{3}")


@dataclass(frozen=True)
class Protein:
    """What mutations are placed on.

    Attributes
    ----------
    sequence : str
        Of a structure the residues with coordinates.
    structure : Structure, optional
    """

    sequence: str
    structure: Structure | None = None


def numbering_of(text: str, asked: str | None, protein: Protein) -> str:
    """The numbering as asked; else "sequence" for HGVS and for sequences, "pdb" for structures."""
    if asked is not None:
        return asked
    return "sequence" if protein.structure is None or _SEQUENCE_FORM.search(text) else "pdb"


def residue_index(mutation: Mutation, numbering: str, protein: Protein) -> int:
    """Place (0-based) of the mutated residue in `protein.sequence`.

    Raises
    ------
    InputError
        No such residue, another chain, or another wild type there.
    """
    structure = protein.structure
    if structure is not None and mutation.chain not in (None, structure.chain):
        raise InputError(f"chain {mutation.chain} is not the chain read, {structure.chain or '(blank)'}")
    if numbering == "pdb":
        if structure is None:
            raise InputError("a sequence has no PDB numbers; use --numbering sequence")
        index = structure.index_of(mutation.position, mutation.insertion_code)
    elif mutation.insertion_code:
        raise InputError(f"{mutation.position}{mutation.insertion_code}: insertion codes exist in PDB numbering only")
    else:
        index = _by_sequence(mutation, protein) if numbering == "sequence" else _by_ambler(mutation, protein)
    found = protein.sequence[index]
    if found != mutation.wild_type:
        raise InputError(
            f"the residue there is {found}, not {mutation.wild_type} ({numbering} numbering); check the numbering"
        )
    return index


def _by_sequence(mutation: Mutation, protein: Protein) -> int:
    stated = protein.sequence if protein.structure is None else protein.structure.seqres
    if stated is None:
        raise InputError("the file states no sequence (SEQRES); use --numbering pdb")
    if not 1 <= mutation.position <= len(stated):
        raise InputError(f"position {mutation.position} is outside the sequence, 1 to {len(stated)}")
    if protein.structure is None:
        return mutation.position - 1
    index = int(places_in(stated, protein.sequence)[mutation.position - 1])
    if index < 0:
        raise InputError(f"residue {mutation.position} of the sequence has no coordinates in the structure")
    return index


def _by_ambler(mutation: Mutation, protein: Protein) -> int:
    found = np.flatnonzero(ambler_numbers(protein.sequence) == mutation.position)
    if not len(found):
        raise InputError(f"no residue has Ambler number {mutation.position}")
    return int(found[0])


@cache
def places_in(reference: str, sequence: str) -> np.ndarray:
    """Place in `sequence` of each residue of `reference`, −1 for none: (len(reference),), int64.

    By global alignment without penalty for free ends (BLOSUM62, gaps 11 and 1).
    """
    places = np.full(len(reference), -1, dtype=np.int64)
    trace = _alignment(reference, sequence)
    both = (trace >= 0).all(axis=1)
    places[trace[both, 0]] = trace[both, 1]
    return places


@cache
def ambler_numbers(sequence: str) -> np.ndarray:
    """Standard number of each residue of a class A β-lactamase, −1 where it has none: (n,), int64.

    Numbers are carried over from `TEM1` by alignment; where TEM-1 skips a number, an unknown residue stands in for it,
    so that enzymes which have one there keep in step.

    Raises
    ------
    InputError
        The sequence does not align to TEM-1 as a class A β-lactamase does.
    """
    reference = TEM1
    for skipped in _AMBLER_SKIPS:
        reference = reference[: skipped - _TEM1_FIRST] + "X" + reference[skipped - _TEM1_FIRST :]
    trace = _alignment(reference, sequence, unknown=-3)  # a gap rather goes to a number that is often skipped
    pairs = trace[(trace >= 0).all(axis=1)]
    identical = sum(reference[first] == sequence[second] for first, second in pairs)
    if len(pairs) < _FEWEST_ALIGNED or identical < _LEAST_IDENTITY * len(pairs):
        raise InputError(
            f"not a class A β-lactamase ({identical} of {len(pairs)} aligned residues equal TEM-1's); "
            "use --numbering pdb or sequence"
        )
    numbers = np.full(len(sequence), -1, dtype=np.int64)
    numbers[pairs[:, 1]] = _TEM1_FIRST + pairs[:, 0]
    return numbers


def _alignment(first: str, second: str, unknown: int = -1) -> Any:
    """Columns of the best alignment, (n, 2); −1 for a gap. An unknown residue scores `unknown` against any."""
    from biotite.sequence import ProteinSequence
    from biotite.sequence.align import SubstitutionMatrix, align_optimal

    standard = SubstitutionMatrix.std_protein_matrix()
    alphabet = standard.get_alphabet1()
    scores = standard.score_matrix().copy()
    scores[alphabet.encode("X"), :] = scores[:, alphabet.encode("X")] = unknown
    sequences = [ProteinSequence(re.sub(f"[^{AMINO_ACIDS}]", "X", part)) for part in (first, second)]
    return align_optimal(
        *sequences,
        SubstitutionMatrix(alphabet, alphabet, scores),
        gap_penalty=(-11, -1),
        terminal_penalty=False,
        max_number=1,
    )[0].trace
