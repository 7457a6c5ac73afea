"""The tidy table of measured mutations: one substitution a row, ΔΔG in kcal/mol, positive = destabilising."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from copyfold.core.files import write_bytes
from copyfold.core.packed import read_unpacked
from copyfold.errors import InputError

TABLE_FORMAT: Final = "copyfold-ddg-table/1"
REQUIRED: Final = (
    "protein",
    "chain",
    "position",
    "insertion_code",
    "wild_type",
    "mutant",
    "ddg",
    "ph",
    "temperature",
    "source",
    "sequence",
    "sequence_position",
)
FITNESS_REQUIRED: Final = tuple("score" if name == "ddg" else name for name in REQUIRED)

DDG_LINE: Final = "# ddg: kcal/mol, positive = destabilising"
FITNESS_LINE: Final = "# score: fitness, unit and scale differ by assay, higher = fitter; not a ΔΔG"
_NOTES: Final = (
    "# position: number and insertion_code as the source writes them; sequence_position: 1-based in sequence",
    "# temperature: K; an empty cell is unknown",
)
_NUMBERS = ("ddg", "score", "ph", "temperature")


def read_table(path: Path) -> pd.DataFrame:
    """Read a tidy table of ΔΔG; see docs/formats/ddg-table.md.

    Parameters
    ----------
    path : Path
        Comma-separated if its name ends in ``.csv`` or ``.csv.gz``, else tab-separated.

    Returns
    -------
    pandas.DataFrame
        The columns of `REQUIRED` and any others. `ddg` (kcal/mol, positive = destabilising), `ph` and `temperature`
        (K) are float64, NaN where unknown (never `ddg`); `sequence_position` is int64, 1-based; the rest are str.

    Raises
    ------
    InputError
        Unreadable, without rows, a column missing, a cell that is no number, no `# ddg:` line that states unit and
        sign or one that states others, a table of fitness, or a wild type that the sequence contradicts.
    """
    return _read(Path(path), DDG_LINE, REQUIRED)


def read_fitness_table(path: Path) -> pd.DataFrame:
    """Read a tidy table of fitness: as `read_table`, with `score` (higher = fitter) in place of `ddg`.

    Raises
    ------
    InputError
        As `read_table`; also for a table of ΔΔG.
    """
    return _read(Path(path), FITNESS_LINE, FITNESS_REQUIRED)


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a tidy table atomically; `.gz` in its name gzips it.

    Parameters
    ----------
    path : Path
    table : pandas.DataFrame
        The columns of `REQUIRED` (or with `score` in place of `ddg`) come first, others after them.

    Raises
    ------
    InputError
        A required column is missing.
    RunError
        `path` cannot be written.
    """
    path = Path(path)
    statement, required = (FITNESS_LINE, FITNESS_REQUIRED) if "score" in table else (DDG_LINE, REQUIRED)
    if missing := [name for name in required if name not in table]:
        raise InputError(f"{path}: no column {missing[0]} to write; a tidy table has {', '.join(required)}")
    ordered = table[[*required, *(name for name in table.columns if name not in required)]]
    head = "".join(f"{line}\n" for line in (f"# {TABLE_FORMAT}", statement, *_NOTES))
    text = head + ordered.to_csv(index=False, sep=_separator(path), lineterminator="\n")
    content = text.encode()
    # A gzip header without a time: the same table gives the same bytes.
    write_bytes(path, gzip.compress(content, mtime=0) if path.name.endswith(".gz") else content)


def read_comments_and_cells(path: Path) -> tuple[list[str], pd.DataFrame]:
    """A delimited text file as it stands: its leading `#` lines, and every cell as str, "" for empty.

    The index of the frame is each record's number, 1 for the first after the header.

    Raises
    ------
    InputError
        Unreadable, not UTF-8, empty, without records, a column name twice, or a record of another width.
    """
    text = _text(path)
    comments: list[str] = []
    while text.startswith("#"):
        line, _, text = text.partition("\n")
        comments.append(line.strip())
    separator = _sniff(text, _separator(path))
    try:
        records = [record for record in csv.reader(io.StringIO(text), delimiter=separator) if any(record)]
    except csv.Error as error:
        raise InputError(f"{path}: not a readable table ({error}); save it as CSV or TSV") from None
    if not records:
        raise InputError(f"{path}: the file is empty; it must begin with a header line of column names")
    columns = [name.strip() for name in records[0]]
    if repeated := {name for name in columns if name and columns.count(name) > 1}:
        raise InputError(f"{path}: column '{min(repeated)}' stands twice; column names must be unique")
    if len(records) == 1:
        raise InputError(f"{path}: a header and no rows; the table must hold at least one")
    for number, record in enumerate(records[1:], 1):
        if len(record) != len(columns):
            raise InputError(
                f"{path}: row {number}: {len(record)} cells where the header has {len(columns)}; "
                "quote cells that hold the separator"
            )
    cells = pd.DataFrame(records[1:], columns=columns, index=pd.RangeIndex(1, len(records)), dtype=str)
    return comments, cells.apply(lambda column: column.str.strip())


def to_numbers(cells: pd.Series, path: Path, *, unknown: Sequence[str] = ("",)) -> np.ndarray:
    """Cells as float64, (n,); NaN for `unknown` and NA.

    Raises
    ------
    InputError
        A cell is no finite number; the message names its row.
    """
    known = ~cells.isin([*unknown, "NA", "NaN", "nan", "NULL", "None", "-"])
    numbers = pd.to_numeric(cells.where(known), errors="coerce").to_numpy(dtype=np.float64)
    wrong = known.to_numpy() & ~np.isfinite(numbers)
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0])
        shown = " ".join(str(cells.iloc[first]).split())[:40]
        raise InputError(
            f"{path}: row {cells.index[first]}: {cells.name} is '{shown}', not a number; "
            "write numbers with a decimal point and leave unknown cells empty"
        )
    return numbers


def _read(path: Path, statement: str, required: tuple[str, ...]) -> pd.DataFrame:
    comments, cells = read_comments_and_cells(path)
    _check_statement(path, comments, cells, statement)
    if missing := [name for name in required if name not in cells]:
        raise InputError(
            f"{path}: no column {missing[0]}; a tidy table has {', '.join(required)}; "
            "make one with `copyfold ddg data import`"
        )
    table = cells.copy()
    for name in _NUMBERS:
        if name in table:
            table[name] = to_numbers(cells[name], path)
    positions = to_numbers(cells["sequence_position"], path)
    value = "ddg" if "ddg" in required else "score"
    _check_rows(path, table, positions, value)
    table["sequence_position"] = positions.astype(np.int64)
    return table.reset_index(drop=True)


def _check_statement(path: Path, comments: Sequence[str], cells: pd.DataFrame, statement: str) -> None:
    kind = statement[2:].partition(":")[0]
    other = "score" if kind == "ddg" else "ddg"
    if kind not in cells and other in cells:
        what = "fitness (column score), not ΔΔG" if other == "score" else "ΔΔG (column ddg), not fitness"
        raise InputError(f"{path}: holds {what}; the two are different quantities and are not turned into each other")
    stated = [line for line in comments if line.startswith(f"# {kind}:")]
    if statement not in stated:
        says = f"says '{stated[0]}'" if stated else "does not say what unit and sign its values have"
        raise InputError(
            f"{path}: {says}; a tidy table has the line '{statement}'; "
            "`copyfold ddg data import table FILE --positive … --out NEW` writes one from a table of any sign or unit"
        )


def _check_rows(path: Path, table: pd.DataFrame, positions: np.ndarray, value: str) -> None:
    def refuse(wrong: np.ndarray, what: str) -> None:
        if wrong.any():
            rows = table.index[wrong]
            more = f" (and {len(rows) - 1} more rows)" if len(rows) > 1 else ""
            raise InputError(
                f"{path}: row {rows[0]}{more}: {what}; `copyfold ddg data verify {path}` lists every such row"
            )

    refuse(np.isnan(table[value].to_numpy()), f"{value} is empty")
    refuse(np.isnan(positions) | (positions != np.round(positions)), "sequence_position is not a whole number")
    refuse(~agrees(table["sequence"], positions, table["wild_type"]), "the wild type is not what the sequence holds")
    wrong = ~table["mutant"].isin(list("ACDEFGHIKLMNPQRSTVWY")) | (table["mutant"] == table["wild_type"])
    refuse(wrong.to_numpy(), "the mutant is not another standard residue")


def agrees(sequences: pd.Series, positions: np.ndarray, wild_types: pd.Series) -> np.ndarray:
    """Whether the residue at each 1-based position of its sequence is the wild type: (n,), bool."""
    return np.array(
        [
            1 <= position <= len(sequence) and sequence[int(position) - 1] == wild_type
            for sequence, position, wild_type in zip(sequences, positions, wild_types, strict=True)
        ],
        dtype=bool,
    )


def _separator(path: Path) -> str:
    return "," if path.name.removesuffix(".gz").endswith(".csv") else "\t"


def _sniff(text: str, expected: str) -> str:
    """The separator of the header line; `expected` if it is there."""
    header = text.partition("\n")[0]
    return expected if expected in header else max(",\t;", key=header.count)


def _text(path: Path) -> str:
    try:
        return read_unpacked(path).decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text ({error.reason}); save the table as CSV in UTF-8") from None
