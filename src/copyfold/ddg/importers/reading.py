"""What the readers of published tables share: cells, mutations, and rows that are set aside with their reason."""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, Literal, NamedTuple

import numpy as np
import pandas as pd

from copyfold.core.packed import DAMAGE, open_unpacked, unreadable
from copyfold.ddg.mutations import Mutation, parse_mutation
from copyfold.errors import InputError

ZERO_CELSIUS = 273.15
KCAL_PER_KJ = 1 / 4.184

_UNKNOWN = ("", "-", "NA", "N/A", "NaN", "nan", "NULL", "None", "null")
_LEADING_NUMBER = re.compile(r"^\s*([-+−]?\d*\.?\d+(?:[eE][-+]?\d+)?)")


class Refusal(NamedTuple):
    """A row that is not used.

    Attributes
    ----------
    row : int
        1 for the first record after the header.
    what : str
        Protein and mutation as the source writes them.
    reason : str
    """

    row: int
    what: str
    reason: str


@dataclass(frozen=True, eq=False)
class Reading:
    """Rows of a source, not yet checked against sequence or structure.

    Attributes
    ----------
    rows : pandas.DataFrame
        Indexed by the record's number. `protein`, `chain`, `position` (str, author numbering; "" where the source
        numbers by sequence only), `insertion_code`, `wild_type`, `mutant`, `ddg` (kcal/mol, positive = destabilising)
        or `score`, `ph`, `temperature` (K), `sequence` ("" unknown), `sequence_position` (int, 1-based; 0 unknown).
    refused : list of Refusal
    n_other : int
        Rows that are no measured single substitution (wild types, several mutations, insertions, no value): not
        counted as mistakes.
    sign : str
        What was done about the sign, where it is not what the source says of itself.
    """

    rows: pd.DataFrame
    refused: list[Refusal]
    n_other: int = 0
    sign: str = ""


@dataclass(frozen=True)
class ImportOptions:
    """What the user says beside the file.

    Attributes
    ----------
    positive : str, optional
        What a positive value means in a table of no known source.
    unit : str
        Of such a table.
    folder : Path, optional
        Of the files that a reference table names.
    sequence : str, optional
        Protein that positions count in, where the file does not hold it.
    protein : str, optional
        Its name.
    """

    positive: Literal["destabilising", "stabilising"] | None = None
    unit: Literal["kcal/mol", "kJ/mol"] = "kcal/mol"
    folder: Path | None = None
    sequence: str | None = None
    protein: str | None = None


@dataclass(frozen=True)
class Source:
    """A kind of file that can be imported.

    Attributes
    ----------
    name : str
        As the command line calls it.
    title : str
    quantity : str
        ``ddg`` or ``score``.
    sign : str
        What a positive value means in the file, and what is done about it.
    reference : str
    columns : str
        How the columns were established.
    read : callable
    """

    name: str
    title: str
    quantity: Literal["ddg", "score"]
    sign: str
    reference: str
    columns: str
    read: Callable[[Path, ImportOptions], Reading]


def read_cells(path: Path, needed: Sequence[str] = (), *, also: Sequence[str] = ()) -> pd.DataFrame:
    """Columns of a delimited file as str, "" for empty, indexed by record number from 1.

    Parameters
    ----------
    path : Path
        Comma, tab or semicolon as its header line has it; packed or not. Lines that begin with ``#`` are passed over
        before the header.
    needed, also : sequence of str
        Columns that must be there, and those taken if they are. With neither, all.

    Raises
    ------
    InputError
        Unreadable, without rows, damaged, or a needed column missing (the message lists what is there).
    """
    header_line, separator, columns = _header(path)
    if missing := [name for name in needed if name not in columns]:
        shown = ", ".join(columns[:15]) + (", …" if len(columns) > 15 else "")
        raise InputError(f"{path}: no column '{missing[0]}'; its columns are {shown}; is it a file of another source?")
    wanted = [name for name in dict.fromkeys([*needed, *also] or columns) if name in columns]
    places = [columns.index(name) for name in wanted]
    found: list[list[str]] = []
    with _opened(path) as handle:
        for _ in range(header_line + 1):
            handle.readline()
        # Not pandas, which drops what a row has beyond the header: 1,7 in a comma-separated file would be 1.
        for record in csv.reader(handle, delimiter=separator):
            if not any(record):
                continue
            if len(record) > len(columns):
                raise InputError(
                    f"{path}: row {len(found) + 1}: {len(record)} cells where the header has {len(columns)}; quote "
                    "cells that hold the separator, and write numbers with a decimal point"
                )
            record += [""] * (len(columns) - len(record))
            found.append([record[place].strip() for place in places])
    if not found:
        raise InputError(f"{path}: a header and no rows; the table must hold at least one")
    return pd.DataFrame(found, columns=wanted, index=pd.RangeIndex(1, len(found) + 1), dtype=str)


@contextmanager
def _opened(path: Path) -> Iterator[IO[str]]:
    """The file's text, unpacked if it is packed; what goes wrong while it is read is told as every reader does."""
    try:
        with open_unpacked(path) as unpacked:
            yield io.TextIOWrapper(unpacked, encoding="utf-8-sig", newline="")
    except UnicodeDecodeError:
        raise InputError(f"{path}: not UTF-8 text; save the table as CSV in UTF-8") from None
    except csv.Error as error:
        raise InputError(f"{path}: cannot be read ({error}); check the path and the file") from None
    except DAMAGE as error:
        raise unreadable(path, error) from None


def column_names(path: Path) -> list[str]:
    """Names in a delimited file's header line.

    Raises
    ------
    InputError
        Unreadable or empty.
    """
    return _header(path)[2]


def leading_comments(path: Path) -> list[str]:
    """Lines that begin with ``#`` at the top of a file.

    Raises
    ------
    InputError
        Unreadable.
    """
    with _opened(path) as handle:
        return [line.strip() for line in itertools.takewhile(lambda line: line.startswith("#"), handle)]


def _header(path: Path) -> tuple[int, str, list[str]]:
    """Line number (0-based), separator and names of the header."""
    with _opened(path) as handle:
        for number, line in enumerate(handle):
            if line.strip() and not line.startswith("#"):
                separator = max(",\t;", key=line.count)
                return number, separator, [name.strip() for name in next(csv.reader([line], delimiter=separator))]
    raise InputError(f"{path}: the file is empty; it must begin with a header line of column names")


def leading_numbers(cells: pd.Series) -> np.ndarray:
    """Number at the start of each cell, (n,), float64: ``1.2 (0.1)`` is 1.2; NaN for unknown, ``>5`` and text."""
    taken = cells.where(~cells.isin(_UNKNOWN), "").str.extract(_LEADING_NUMBER, expand=False)
    numbers = pd.to_numeric(taken.str.replace("−", "-"), errors="coerce").to_numpy(dtype=np.float64)
    ranged = cells.str.contains(r"^\s*[-+−]?[\d.]+\s*[-–]\s*\d", regex=True).to_numpy(dtype=bool)
    return np.where(ranged, np.nan, numbers)


def values_of(cells: pd.Series, path: Path) -> np.ndarray:
    """Numbers of a column that must hold numbers; NaN where unknown.

    Raises
    ------
    InputError
        A cell is something else; the message names its row.
    """
    from copyfold.ddg.table import to_numbers

    return to_numbers(cells, path, unknown=_UNKNOWN)


@lru_cache(maxsize=65536)
def _parsed(text: str) -> Mutation | str | None:
    """The substitution; why it is none; None for several."""
    try:
        found = parse_mutation(text)
    except InputError as error:
        return str(error)
    return found[0] if len(found) == 1 else None


def split_mutations(texts: pd.Series, what: pd.Series) -> tuple[pd.DataFrame, list[Refusal], int]:
    """Cells that name mutations, as columns.

    Returns
    -------
    table : pandas.DataFrame
        Of the single substitutions: `number` (int), `insertion_code`, `wild_type`, `mutant`, `named_chain`.
    refused : list of Refusal
        Cells that are no substitution.
    n_several : int
        Rows of several.
    """
    found, refused, several, kept = [], [], 0, []
    for row, text in texts.items():
        one = _parsed(text)
        if one is None:
            several += 1
        elif isinstance(one, str):
            refused.append(Refusal(int(str(row)), f"{what[row]} {text}".strip(), one))
        else:
            found.append((one.position, one.insertion_code, one.wild_type, one.mutant, one.chain or ""))
            kept.append(row)
    columns = ["number", "insertion_code", "wild_type", "mutant", "named_chain"]
    return pd.DataFrame(found, columns=columns, index=pd.Index(kept, dtype=np.int64)), refused, several


def kelvin(celsius: np.ndarray) -> np.ndarray:
    """Temperatures in K; rounded, so that 25 becomes 298.15."""
    return np.round(celsius + ZERO_CELSIUS, 4)
