"""Tab-separated tables from elsewhere, streamed, so that a mistake is told with its line and size does not matter."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from copyfold.core.packed import DAMAGE, open_unpacked, unreadable
from copyfold.errors import InputError

Row = tuple[int, list[str]]
"""Line number (1-based) and cells, stripped of blanks."""

_COLUMNS_SHOWN = 12


class Table(NamedTuple):
    """A table whose rows are read as they are asked for, once.

    Attributes
    ----------
    path : Path
    columns : list of str
    rows : iterator of (int, list of str)
    """

    path: Path
    columns: list[str]
    rows: Iterator[Row]

    def position(self, name: str, alternative: str = "") -> int:
        """Place of a column among the cells.

        Raises
        ------
        InputError
            There is no such column; `alternative` is then said beside its name.
        """
        if name not in self.columns:
            raise InputError(
                f"{self.path}: no column {f'{name} {alternative}'.strip()}; columns are {self.shown_columns()}; "
                "rename the column or check that the table is tab-separated"
            )
        return self.columns.index(name)

    def shown_columns(self) -> str:
        """The first column names, for a message."""
        names = ", ".join(f"'{name}'" for name in self.columns[:_COLUMNS_SHOWN])
        return names if len(self.columns) <= _COLUMNS_SHOWN else f"{names} … ({len(self.columns)} in all)"


def is_whole(text: str) -> bool:
    """Whether a cell is a whole number of at most 18 digits, which any integer of ours holds."""
    return text.isascii() and text.isdigit() and len(text) <= 18


def read_table(path: Path, *, comment: str | None = None, may_be_empty: bool = False) -> Table:
    """Open a tab-separated table with a header line, gzipped or not.

    Parameters
    ----------
    path : Path
    comment : str, optional
        Lines that begin with this are passed over.
    may_be_empty : bool
        Take a header without rows.

    Raises
    ------
    InputError
        Here or while the rows are read: unreadable, not UTF-8, empty, without rows, a column name twice, or a row
        of another width than the header.
    """
    path = Path(path)
    lines = _lines(path, comment)
    number, columns = next(lines, (0, []))
    if not any(columns):
        raise InputError(f"{path}: the file is empty; it must begin with a header line of column names")
    if repeated := {name for name in columns if columns.count(name) > 1}:
        raise InputError(f"{path}: line {number}: column '{min(repeated)}' stands twice; column names must be unique")
    return Table(path, columns, _rows(path, len(columns), lines, may_be_empty))


def _rows(path: Path, width: int, lines: Iterator[Row], may_be_empty: bool) -> Iterator[Row]:
    empty = not may_be_empty
    for line, cells in lines:
        if cells == [""]:
            continue
        if len(cells) != width:
            raise InputError(
                f"{path}: line {line}: {len(cells)} cells where the header has {width}; "
                "separate cells by one tab each and write unknown values as NA"
            )
        empty = False
        yield line, cells
    if empty:
        raise InputError(f"{path}: a header and no rows; the table must hold at least one")


def _lines(path: Path, comment: str | None) -> Iterator[Row]:
    try:
        with open_unpacked(path) as handle:
            for line, raw in enumerate(handle, 1):
                if b"\0" in raw:
                    raise InputError(f"{path}: line {line}: holds a NUL byte; save the table as plain UTF-8 text")
                text = raw.decode("utf-8-sig" if line == 1 else "utf-8").rstrip("\r\n")
                if comment is None or not text.startswith(comment):
                    yield line, [cell.strip() for cell in text.split("\t")]
    except UnicodeDecodeError as error:
        shown = error.object[error.start : error.start + 1].hex()
        raise InputError(f"{path}: line {line}: byte 0x{shown} is not UTF-8; save the table as UTF-8 text") from None
    except DAMAGE as error:
        raise unreadable(path, error) from None
