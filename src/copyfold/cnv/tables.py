"""Tab-separated tables from elsewhere, read so that a mistake is told with its line."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from copyfold.errors import InputError


@dataclass(frozen=True)
class Table:
    """A table as text.

    Attributes
    ----------
    path : Path
    columns : tuple of str
    records : tuple of (int, tuple of str)
        Line number (1-based) and fields of each row.
    """

    path: Path
    columns: tuple[str, ...]
    records: tuple[tuple[int, tuple[str, ...]], ...]

    def rows(self) -> Iterator[tuple[int, dict[str, str]]]:
        """Line number and fields by column name."""
        for line, fields in self.records:
            yield line, dict(zip(self.columns, fields, strict=True))


def read_text(path: Path) -> str:
    """A text file's contents, unpacked where its name ends in .gz.

    Raises
    ------
    InputError
        Missing, unreadable, damaged, or not UTF-8 text.
    """
    path = Path(path)
    try:
        raw = path.read_bytes()
        text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; check the path") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: byte {error.start} is not UTF-8 text; save the table as UTF-8") from None
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read ({error})") from None
    if "\0" in text:
        raise InputError(f"{path}: holds NUL bytes, so it is not a text table")
    return text


def read_table(path: Path, required: tuple[str, ...] = (), *, comment: str = "#") -> Table:
    """Read a tab-separated table with a header line.

    Empty lines and lines that start with `comment` are passed over.

    Raises
    ------
    InputError
        Unreadable, empty, a required column missing, a column name twice, or a row of another width.
    """
    path = Path(path)
    columns: tuple[str, ...] | None = None
    records: list[tuple[int, tuple[str, ...]]] = []
    reader = csv.reader(io.StringIO(read_text(path), newline=""), delimiter="\t", quoting=csv.QUOTE_NONE)
    try:
        for fields in reader:
            if not any(field.strip() for field in fields) or fields[0].startswith(comment):
                continue
            cleaned = tuple(field.strip().strip('"') for field in fields)
            if columns is None:
                columns = cleaned
            elif len(cleaned) == len(columns):
                records.append((reader.line_num, cleaned))
            else:
                raise InputError(
                    f"{path}, line {reader.line_num}: {len(cleaned)} fields where the header has {len(columns)}; "
                    "columns are separated by single tabs"
                )
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: not a tab-separated table ({error})") from None
    if columns is None:
        raise InputError(f"{path}: is empty; it needs a header line")
    if len(set(columns)) != len(columns):
        repeated = next(name for name in columns if columns.count(name) > 1)
        raise InputError(f"{path}: column '{repeated}' stands twice in the header")
    missing = [name for name in required if name not in columns]
    if missing:
        raise InputError(f"{path}: column '{missing[0]}' is missing; the header has {', '.join(columns[:8])}")
    return Table(path, columns, tuple(records))
