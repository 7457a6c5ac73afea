"""FASTA files, checked: what is wrong is told with its line."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from copyfold.core.packed import read_unpacked
from copyfold.errors import InputError

IUPAC_DNA = b"ACGTNRYSWKMBDHV"
LINE_WIDTH = 60

_KLEBORATE_NAME = re.compile(r"\d+__(?P<group>.+?)__(?P<allele>.+)__\d+")
_BETA_LACTAMASE_GROUP = re.compile(r"_Bla(_|$)")
_COMPLEMENT = bytes.maketrans(b"ACGTRYSWKMBDHVN", b"TGCAYRSWMKVHDBN")


class FastaRecord(NamedTuple):
    """One sequence.

    Attributes
    ----------
    name : str
        First word of the header.
    sequence : bytes
        Upper case, IUPAC codes of DNA.
    """

    name: str
    sequence: bytes


def read_fasta(path: Path) -> list[FastaRecord]:
    """Read a FASTA file, plain, gzipped or packed with xz; line ends of Windows and lower case are accepted.

    Raises
    ------
    InputError
        Not FASTA, no sequence, a record without a name or without a base, a name twice, or a character that is no
        IUPAC code of DNA, with its line.
    """
    return parse_fasta(read_unpacked(path), Path(path))


def parse_fasta(data: bytes, path: Path) -> list[FastaRecord]:
    """Records of a FASTA text; `path` stands in the messages. Raises as `read_fasta` does."""
    text = data.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n")
    body = text.lstrip()
    if not body:
        raise InputError(f"{path}: the file is empty; it must hold at least one FASTA record")
    if not body.startswith(b">"):
        raise InputError(
            f"{path}: begins with '{body[:20].splitlines()[0].decode('utf-8', 'replace')}'; "
            "a FASTA file begins with '>' and a name"
        )
    line = text[: len(text) - len(body)].count(b"\n") + 1
    records: list[FastaRecord] = []
    lines_of: dict[str, int] = {}
    for chunk in body[1:].split(b"\n>"):
        header, _, bases = chunk.partition(b"\n")
        name = (header.decode("utf-8", "replace").split() or [""])[0]
        if not name:
            raise InputError(f"{path}: line {line}: the record has no name; write one directly behind '>'")
        if name in lines_of:
            raise InputError(
                f"{path}: line {line}: '{name}' is also the name in line {lines_of[name]}; names must be unique"
            )
        sequence = bases.translate(None, b" \t\n").upper()
        if not sequence:
            raise InputError(f"{path}: line {line}: '{name}' has no sequence; remove the record or complete the file")
        if sequence.translate(None, IUPAC_DNA):
            raise _not_dna(path, line + 1, bases)
        records.append(FastaRecord(name, sequence))
        lines_of[name] = line
        line += chunk.count(b"\n") + 1
    return records


def _not_dna(path: Path, first_line: int, bases: bytes) -> InputError:
    for line, text in enumerate(bases.split(b"\n"), first_line):
        wrong = text.upper().translate(None, IUPAC_DNA + b" \t")
        if wrong:
            shown = wrong[:1].decode("latin-1")
            hint = "; RNA is written with T here" if shown == "U" else "; proteins are not accepted"
            return InputError(
                f"{path}: line {line}: {shown!r} is no base; allowed are {IUPAC_DNA.decode()} in upper or lower "
                f"case{hint}"
            )
    raise AssertionError("called with a sequence that is DNA")


def format_fasta(records: Iterable[FastaRecord]) -> str:
    """FASTA text with `LINE_WIDTH` columns."""
    parts = []
    for name, sequence in records:
        text = sequence.decode("ascii")
        parts.append(f">{name}\n")
        parts += [f"{text[at : at + LINE_WIDTH]}\n" for at in range(0, len(text), LINE_WIDTH)]
    return "".join(parts)


def reverse_complement(sequence: bytes) -> bytes:
    """The other strand, read 5' to 3'."""
    return sequence.translate(_COMPLEMENT)[::-1]


def gene_name(name: str) -> str:
    """Name of a gene from its FASTA name.

    The form of Kleborate's panels, ``104__KPC_Bla__KPC-2__815``, gives the allele, its third field, without the
    number of a sequence variant (``qnrB1.v2`` → ``qnrB1``) and with ``bla`` before β-lactamases (``blaKPC-2``),
    as the ground truth and the families write them. Any other name stays.
    """
    match = _KLEBORATE_NAME.fullmatch(name)
    if not match:
        return name
    allele = re.sub(r"\.v\d+$", "", match["allele"])
    if _BETA_LACTAMASE_GROUP.search(match["group"]) and not allele.startswith("bla"):
        allele = f"bla{allele}"
    return allele
