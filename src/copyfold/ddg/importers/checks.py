"""Every row against its sequence and structure; repeats, conflicts, and values that are no ΔΔG."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from copyfold.ddg.importers.reading import Reading, Refusal
from copyfold.ddg.sequences import AMINO_ACIDS
from copyfold.ddg.structures import Structure
from copyfold.ddg.table import FITNESS_REQUIRED, REQUIRED
from copyfold.errors import InputError

CONFLICT = 1.0
"""kcal/mol; values of one mutation that lie farther apart, or have different signs, contradict each other."""

_LEAST_IDENTITY = 0.9
_FEWEST_ROWS = 30
_MANY_ROWS = 100

StructureKey = tuple[str, str]
"""Protein and chain as the table writes them."""


class Repeat(NamedTuple):
    """One mutation measured more than once.

    Attributes
    ----------
    rows : tuple of int
        Record numbers.
    what : str
        Protein and mutation.
    kind : str
        ``duplicate``: same conditions, values in agreement; ``conflict``: values farther apart than `CONFLICT` or of
        opposite sign; ``repeat``: other conditions, values in agreement.
    values : tuple of float
        kcal/mol.
    """

    rows: tuple[int, ...]
    what: str
    kind: str
    values: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Checked:
    """Rows that agree with sequence or structure, as a tidy table, and those that do not.

    Attributes
    ----------
    table : pandas.DataFrame
        See `copyfold.ddg.table`; indexed by record number (one record of Ssym makes two rows).
    refused : tuple of Refusal
        In the order of their rows.
    n_by_structure : int
        Rows that a structure confirms; the others are confirmed by their sequence only.
    """

    table: pd.DataFrame
    refused: tuple[Refusal, ...]
    n_by_structure: int


def structures_wanted(reading: Reading) -> list[StructureKey]:
    """Protein and chain of every row, each once."""
    pairs = reading.rows[["protein", "chain"]].drop_duplicates()
    return list(pairs.itertuples(index=False, name=None))


def check_rows(
    reading: Reading, source: str, structures: Mapping[StructureKey, Structure | str] | None = None
) -> Checked:
    """Confirm every row's wild type, or refuse it with its number.

    Parameters
    ----------
    reading : Reading
    source : str
        For the table's column.
    structures : mapping, optional
        Structure of a protein and chain, or why there is none that can be used. What is not in it has no structure.

    Returns
    -------
    Checked
        A row is used if its sequence and its structure, as far as each is known, hold the wild type at its place, and
        at least one of them is known. Without a sequence or chain of its own it gets the structure's;
        without a position of its own, that of the residue with which its place in the sequence is aligned.
    """
    structures = structures or {}
    rows = reading.rows
    value = "score" if "score" in rows else "ddg"
    refused, kept, numbers, chains, sequences, positions = list(reading.refused), [], [], [], [], []
    n_by_structure = 0
    mapped: dict[tuple[str, StructureKey], np.ndarray] = {}
    for place, row in enumerate(rows.itertuples()):
        key = (row.protein, row.chain)
        structure = structures.get(key)
        if row.position == "" and row.sequence and isinstance(structure, Structure):
            if (row.sequence, key) not in mapped:
                mapped[row.sequence, key] = residues_of(row.sequence, structure.sequence)
            row = _numbered(row, structure, mapped[row.sequence, key])
        reason, sequence, position = _place(row, structure, getattr(row, value))
        if reason:
            text = f"{row.protein} {row.chain} {row.wild_type}{row.position or row.sequence_position}"
            refused.append(Refusal(int(row.Index), f"{text}{row.insertion_code}{row.mutant}", reason))
            continue
        kept.append(place)
        # No structure is asked for fitness; its tables keep the number that the assay goes by.
        numbers.append((row.position or (str(position) if value == "score" else ""), row.insertion_code))
        chains.append(row.chain or (structure.chain if isinstance(structure, Structure) else ""))
        sequences.append(sequence)
        positions.append(position)
        n_by_structure += isinstance(structure, Structure) and row.position != ""
    order = FITNESS_REQUIRED if value == "score" else REQUIRED
    table = rows.iloc[kept].assign(
        position=[number for number, _ in numbers],
        insertion_code=[code for _, code in numbers],
        source=source,
        chain=chains,
        sequence=sequences,
        sequence_position=np.array(positions, dtype=np.int64),
    )
    return Checked(table[list(order)], tuple(sorted(refused)), n_by_structure)


def residues_of(sequence: str, observed: str) -> np.ndarray:
    """Which observed residue of a structure each residue of a sequence is.

    Returns
    -------
    numpy.ndarray, (len(sequence),), int64
        Index into `observed`; −1 where a residue was not observed, differs, or differs from its observed neighbours on
        either side: next to a gap the alignment may be off by one. All −1 if less than 90 % of the pairs are identical.
    """
    from copyfold.ddg.splits import align_whole

    places = align_whole(sequence, observed)
    paired = np.flatnonzero(places >= 0)
    same = np.array([sequence[place] == observed[places[place]] for place in paired], dtype=bool)
    found = np.full(len(sequence), -1, dtype=np.int64)
    if len(paired) and same.mean() >= _LEAST_IDENTITY:
        agrees = np.zeros(len(sequence) + 2, dtype=bool)
        agrees[paired[same] + 1] = True
        agrees[0] = agrees[-1] = True
        inner = agrees[:-2] & agrees[1:-1] & agrees[2:]
        found[inner] = places[inner]
    return found


def _numbered(row, structure: Structure, places: np.ndarray):  # type: ignore[no-untyped-def]
    """The row with the author number of its residue, where the structure has it."""
    place = int(row.sequence_position) - 1
    index = int(places[place]) if 0 <= place < len(places) else -1
    if index < 0:
        return row
    return row._replace(position=str(structure.numbers[index]), insertion_code=structure.insertion_codes[index])


def _place(row, structure: Structure | str | None, value: float) -> tuple[str, str, int]:  # type: ignore[no-untyped-def]
    """Why the row is refused ("" if it is not), and its place: sequence and 1-based position."""
    if row.wild_type not in AMINO_ACIDS or row.mutant not in AMINO_ACIDS or "" in (row.wild_type, row.mutant):
        return "wild type or mutant is none of the 20 standard residues", "", 0
    if row.wild_type == row.mutant:
        return "wild type and mutant are the same", "", 0
    if not np.isfinite(value):
        return "no value", "", 0
    sequence, position = row.sequence, int(row.sequence_position)
    if sequence and position:
        if not 1 <= position <= len(sequence):
            return f"position {position} lies outside the sequence of {len(sequence)} residues", "", 0
        if sequence[position - 1] != row.wild_type:
            return f"the sequence has {sequence[position - 1]} at {position}, not {row.wild_type}", "", 0
    if structure is None or row.position == "":
        known = bool(sequence and position)
        return ("" if known else "neither a sequence nor a structure to check it against"), sequence, position
    if isinstance(structure, str):
        return structure, "", 0
    try:
        index = structure.index_of(int(row.position), row.insertion_code)
    except (InputError, ValueError) as error:
        return str(error), "", 0
    if structure.sequence[index] != row.wild_type:
        return (
            f"the structure has {structure.sequence[index]} at {row.position}{row.insertion_code}, not {row.wild_type}",
            "",
            0,
        )
    return ("", sequence, position) if sequence and position else ("", structure.sequence, index + 1)


def find_repeats(table: pd.DataFrame) -> list[Repeat]:
    """Mutations measured more than once, in the order of the table.

    Parameters
    ----------
    table : pandas.DataFrame
        A tidy table of ΔΔG, indexed by record number.
    """
    keys = ["protein", "chain", "position", "insertion_code", "sequence_position", "mutant"]
    several = table[table.duplicated(keys, keep=False)]
    repeats = []
    for _, group in several.groupby(keys, sort=False):
        values = group["ddg"].to_numpy()
        first = group.iloc[0]
        place = first["position"] or first["sequence_position"]
        what = f"{first['protein']} {first['chain']} {first['wild_type']}{place}{first['mutant']}"
        apart = np.ptp(values) > CONFLICT or (values.min() < 0 < values.max())
        same = not group.duplicated(["ph", "temperature"]).iloc[1:].eq(False).any()
        kind = "conflict" if apart else "duplicate" if same else "repeat"
        repeats.append(Repeat(tuple(int(row) for row in group.index), what, kind, tuple(values.tolist())))
    return repeats


def scale_problem(ddg: np.ndarray) -> str | None:
    """Why these values cannot be ΔΔG in kcal/mol, positive = destabilising; None where nothing speaks against it.

    The bounds separate every curated set and every mega-scale domain we have (spread at least 0.47 kcal/mol, at least
    18 % destabilising in one protein, mean above 0 in every set) from all deep mutational scans we have; see
    docs/methods/ddg-data.md. Fewer than 30 values are not judged, but for impossible ones.
    """
    values = np.asarray(ddg, dtype=np.float64)
    size = np.abs(values)
    if len(values) and (size.max() > 50 or np.mean(size > 15) > 0.01):
        return (
            f"values up to {size.max():.4g} in size are no ΔΔG in kcal/mol (proteins unfold at 5 to 15); "
            "are they in kJ/mol, or scores of an assay?"
        )
    if len(values) < _FEWEST_ROWS:
        return None
    if size.max() <= 3 and np.quantile(size, 0.99) <= 1.5 and values.std() < 0.5:
        return (
            f"99 % of the values lie within ±{np.quantile(size, 0.99):.2f} and spread by {values.std():.2f}: "
            "ΔΔG spread by 1 to 2 kcal/mol; these look like fitness scores"
        )
    share = float(np.mean(values > 0))
    if share < 0.15 or (len(values) >= _MANY_ROWS and values.mean() < 0):
        return (
            f"{share:.0%} of the mutations would destabilise, and the mean is {values.mean():.2f} kcal/mol: in "
            "measured sets most destabilise; the sign is the other way round, or these are fitness scores"
        )
    return None
