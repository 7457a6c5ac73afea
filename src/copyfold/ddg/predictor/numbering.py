"""Which residue of a protein a mutation names: by the structure's numbers, the sequence or a β-lactamase scheme."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np

from copyfold.ddg.alignment import global_alignment
from copyfold.ddg.mutations import Mutation
from copyfold.ddg.predictor.lactamases import SCHEMES, standard_index
from copyfold.ddg.structures import Structure
from copyfold.errors import InputError

NUMBERINGS: Final = ("pdb", "sequence", *SCHEMES)

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
    elif numbering == "sequence":
        index = _by_sequence(mutation, protein)
    else:
        index = standard_index(numbering, mutation.position, protein.sequence)
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


@cache
def places_in(reference: str, sequence: str) -> np.ndarray:
    """Place in `sequence` of each residue of `reference`, −1 for none: (len(reference),), int64.

    By global alignment without penalty for free ends (BLOSUM62, gaps 11 and 1).
    """
    places = np.full(len(reference), -1, dtype=np.int64)
    trace = global_alignment(reference, sequence)
    both = (trace >= 0).all(axis=1)
    places[trace[both, 0]] = trace[both, 1]
    return places
