"""Amino-acid substitutions as people write them."""

from __future__ import annotations

import re
from typing import NamedTuple

from copyfold.ddg.sequences import AMINO_ACIDS, THREE_TO_ONE
from copyfold.errors import InputError

_FORMS = (
    "write it as A42V, A:A42V (chain A), A42bV (insertion code b), p.Ala42Val, or several joined by ':' (A42V:L50P)"
)
_SHORT = re.compile(r"(?P<wild_type>[A-Za-z*])(?P<position>-?\d+)(?P<code>[A-Za-z]?)(?P<mutant>[A-Za-z*=?])")
_LONG = re.compile(
    r"(?P<wild_type>[A-Za-z]{3})(?P<position>-?\d+)(?P<mutant>[A-Za-z]{3}|\*|=|\?|fs.*|del.*|ins.*|dup.*)"
)
_CHAIN = re.compile(r"[A-Za-z0-9]{1,4}")
_SEPARATOR = re.compile(r"[:;,/\s]+")


class Mutation(NamedTuple):
    """One substitution of one residue.

    Attributes
    ----------
    wild_type, mutant : str
        Letters of `AMINO_ACIDS`; they differ.
    position : int
        As numbered by the source: of a structure its author numbering, of a sequence 1-based.
    insertion_code : str
        Of the author numbering; "" for none.
    chain : str, optional
        None where the text names none.
    """

    wild_type: str
    position: int
    mutant: str
    insertion_code: str = ""
    chain: str | None = None

    def __str__(self) -> str:
        prefix = f"{self.chain}:" if self.chain else ""
        return f"{prefix}{self.wild_type}{self.position}{self.insertion_code}{self.mutant}"


def parse_mutation(text: str) -> tuple[Mutation, ...]:
    """Substitutions named by `text`.

    Parameters
    ----------
    text : str
        ``A42V``; ``A:A42V``, where a chain holds until another is named; ``A42bV`` with an insertion code;
        ``p.Ala42Val``, ``p.(Ala42Val)`` and ``p.[Ala42Val;Leu50Pro]`` of HGVS; several joined by ``:`` ``;`` ``,``
        ``/`` or blanks.

    Returns
    -------
    tuple of Mutation
        At least one, in the order of the text.

    Raises
    ------
    InputError
        Not a substitution of one standard residue by another (stop, synonymous, frame shift, deletion, X, a wild type
        that equals the mutant), or one residue substituted twice.
    """
    found: list[Mutation] = []
    chain: str | None = None
    parts = [part for part in _SEPARATOR.split(_without_hgvs_marks(text)) if part]
    for index, part in enumerate(parts):
        matched = _LONG.fullmatch(part) or _SHORT.fullmatch(part)
        if matched is None and _CHAIN.fullmatch(part) and ":" in text and index + 1 < len(parts):
            chain = part
        elif matched is None:
            raise InputError(f"mutation '{text}': '{part}' is not a substitution; {_FORMS}")
        else:
            found.append(_mutation(matched.groupdict(), chain, text))
    if not found:
        raise InputError(f"mutation '{text}': names no substitution; {_FORMS}")
    places = [(one.chain, one.position, one.insertion_code) for one in found]
    if len(set(places)) < len(places):
        raise InputError(f"mutation '{text}': one residue is substituted twice; name each residue once")
    return tuple(found)


def _without_hgvs_marks(text: str) -> str:
    """The substitutions of an HGVS protein variant, without its prefix and brackets."""
    bare = text.strip().rsplit(":p.", 1)[-1].removeprefix("p.")
    return re.sub(r"[()\[\]]", "", bare).replace(";p.", ";")


def _mutation(parts: dict[str, str], chain: str | None, text: str) -> Mutation:
    wild_type, mutant = _letter(parts["wild_type"], text), _letter(parts["mutant"], text)
    if wild_type == mutant:
        raise InputError(f"mutation '{text}': wild type and mutant are both {wild_type}; nothing is substituted")
    return Mutation(wild_type, int(parts["position"]), mutant, parts.get("code", ""), chain)


_NOT_A_SUBSTITUTION = {
    "*": "a stop codon",
    "TER": "a stop codon",
    "=": "synonymous",
    "?": "unknown",
}


def _letter(code: str, text: str) -> str:
    upper = code.upper()
    letter = THREE_TO_ONE.get(upper, "") if len(code) == 3 else upper
    if len(letter) == 1 and letter in AMINO_ACIDS:
        return letter
    what = _NOT_A_SUBSTITUTION.get(upper, "not one of the 20 standard residues")
    raise InputError(f"mutation '{text}': '{code}' is {what}; give a substitution of one standard residue by another")
