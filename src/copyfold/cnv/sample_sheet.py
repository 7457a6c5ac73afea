"""The sample sheet of a cohort: which isolates there are and where their reads lie. docs/formats/sample-sheet.md."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from copyfold.cnv.counting.sample_file import name_problem
from copyfold.cnv.tables import Row, Table, read_table
from copyfold.core.packed import read_unpacked
from copyfold.errors import InputError

COLUMNS = ("sample", "reads1", "reads2", "bam", "cram", "lineage")
_ALIASES = {"reads": "reads1", "st": "lineage", "sample_id": "sample"}
_ALIGNED = ("bam", "cram")
_NOTHING = frozenset({"", "NA", "."})


@dataclass(frozen=True)
class SheetSample:
    """One line of a sheet.

    Attributes
    ----------
    sample : str
    reads : tuple of Path
        One BAM, CRAM or FASTQ, or two mates' FASTQ. They need not exist.
    lineage : str
        Empty where none is given.
    line : int
        1-based, in the sheet.
    """

    sample: str
    reads: tuple[Path, ...]
    lineage: str
    line: int

    @property
    def is_aligned(self) -> bool:
        """Whether its reads are a BAM or CRAM, by the file's name."""
        return self.reads[0].suffix.lower() in (".bam", ".cram")

    @property
    def missing(self) -> Path | None:
        """The first of its files that is not there."""
        return next((path for path in self.reads if not path.is_file()), None)


@dataclass(frozen=True)
class SampleSheet:
    """A checked sheet.

    Attributes
    ----------
    path : Path
    samples : tuple of SheetSample
    ignored : tuple of str
        Columns that mean nothing here.
    """

    path: Path
    samples: tuple[SheetSample, ...]
    ignored: tuple[str, ...] = ()


def read_sample_sheet(path: Path) -> SampleSheet:
    """Read a sheet, tab- or comma-separated; relative paths are taken from its folder.

    Raises
    ------
    InputError
        Names line, value and rule. A file of reads that does not exist is no error of the sheet.
    """
    path = Path(path)
    table = _open(path)
    place: dict[str, int] = {}
    for position, written in enumerate(table.columns):
        name = _ALIASES.get(written.lower(), written.lower())
        if name in place:
            raise InputError(f"{path}: columns '{table.columns[place[name]]}' and '{written}' are the same; keep one")
        place[name] = position
    if "sample" not in place:
        raise InputError(f"{path}: no column sample; columns are {table.shown_columns()}; {_separation(table)}")
    if not {"reads1", *_ALIGNED} & set(place):
        raise InputError(
            f"{path}: no column of reads; columns are {table.shown_columns()}; add reads1 (and reads2), bam or cram"
        )
    samples: dict[str, SheetSample] = {}
    owners: dict[Path, int] = {}
    for line, cells in table.rows:
        values = {name: cells[place[name]] for name in COLUMNS if name in place}
        sample = _sample(values, f"{path}: line {line}", path.resolve().parent, line)
        if sample.sample in samples:
            raise InputError(
                f"{path}: line {line}: sample '{sample.sample}' stands in line {samples[sample.sample].line}, too; "
                "each sample has one line and one name"
            )
        for reads in sample.reads:
            if reads in owners:
                raise InputError(
                    f"{path}: line {line}: {reads} stands in line {owners[reads]}, too; reads belong to one sample"
                )
            owners[reads] = line
        samples[sample.sample] = sample
    return SampleSheet(
        path, tuple(samples.values()), tuple(table.columns[at] for name, at in place.items() if name not in COLUMNS)
    )


def format_sample_sheet(sheet: SampleSheet) -> str:
    """The sheet as a tab-separated table of absolute paths; reading it gives the same samples."""
    rows = [("sample", "reads1", "reads2", "lineage")]
    rows += [
        (each.sample, *map(str, each.reads), *[""] * (2 - len(each.reads)), each.lineage) for each in sheet.samples
    ]
    return "".join("\t".join(row) + "\n" for row in rows)


def _sample(values: Mapping[str, str], where: str, folder: Path, line: int) -> SheetSample:
    name = values["sample"]
    if problem := name_problem(name):
        raise InputError(f"{where}: {problem}")
    given = {column: values[column] for column in COLUMNS[1:5] if values.get(column, "") not in _NOTHING}
    aligned = [column for column in _ALIGNED if column in given]
    if len(aligned) + ("reads1" in given or "reads2" in given) > 1:
        raise InputError(
            f"{where}: sample {name!r} has {' and '.join(given)}; give its reads in one form, bam, cram or reads1"
        )
    if "reads2" in given and "reads1" not in given:
        raise InputError(f"{where}: sample {name!r} has reads2 without reads1; put a single file into reads1")
    if not given:
        raise InputError(
            f"{where}: sample {name!r} has no reads; give reads1 (and reads2), bam or cram, or drop the line"
        )
    if bad := [text for text in (*given.values(), values.get("lineage", "")) if set("\t\n\r\0") & set(text)]:
        raise InputError(f"{where}: {bad[0]!r} holds a tab, a line break or a NUL; rename it")
    paths = [Path(text).expanduser() for text in given.values()]
    reads = tuple(path if path.is_absolute() else folder / path for path in paths)
    if len(set(reads)) < len(reads):
        raise InputError(f"{where}: sample {name!r} has the same file as reads1 and reads2; give both mates")
    lineage = values.get("lineage", "")
    return SheetSample(name, reads, "" if lineage in _NOTHING else lineage, line)


def _open(path: Path) -> Table:
    """The sheet as a table: tab-separated if its header holds a tab, else comma-separated."""
    if not path.is_file():
        raise InputError(f"{path}: no such file; give a table with the columns sample and reads1, bam or cram")
    lines = read_unpacked(path).splitlines()
    header = next((line for line in lines if line.strip() and not line.startswith((b"#", b"\xef\xbb\xbf#"))), b"")
    if b"\t" in header:
        return read_table(path, comment="#")
    rows = _csv_rows(path)
    number, columns = next(rows, (0, []))
    if not any(columns):
        raise InputError(f"{path}: the file is empty; it must begin with a header line: sample, reads1, reads2")
    if "" in columns:
        raise InputError(f"{path}: line {number}: a column has no name; remove empty columns")
    return Table(path, columns, _full_rows(path, len(columns), rows))


def _csv_rows(path: Path) -> Iterator[Row]:
    try:
        text = read_unpacked(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: byte 0x{error.object[error.start]:02x} is not UTF-8; save it as UTF-8 text"
        ) from None
    # comment lines become empty ones, so that line numbers stay; the reader passes empty lines over
    lines = ["" if line.startswith("#") else line for line in text.splitlines()]
    reader = csv.reader(lines, strict=True)
    try:
        for cells in reader:
            if any(cells):
                yield reader.line_num, [cell.strip() for cell in cells]
    except csv.Error as error:
        raise InputError(f"{path}: line {reader.line_num}: not comma-separated ({error}); check quotes") from None


def _full_rows(path: Path, width: int, rows: Iterator[Row]) -> Iterator[Row]:
    line = 0
    for line, cells in rows:
        if len(cells) != width:
            raise InputError(
                f"{path}: line {line}: {len(cells)} cells where the header has {width}; leave unknown ones empty, but "
                "keep their commas"
            )
        yield line, cells
    if not line:
        raise InputError(f"{path}: a header and no rows; the sheet must hold at least one sample")


def _separation(table: Table) -> str:
    if any(";" in name for name in table.columns):
        return "cells are separated by semicolons; save it with tabs or commas"
    return "the first line must name the columns"
