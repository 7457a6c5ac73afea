"""GATK CollectReadCounts, ``--format TSV``."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from copyfold.cnv.importers.sample import (
    LARGEST_COUNT,
    ImportSettings,
    Source,
    TableCounts,
    find_tables,
    refuse_columns,
    refuse_read_length,
)
from copyfold.cnv.store import Contigs
from copyfold.cnv.tables import is_whole, read_table
from copyfold.core.packed import read_unpacked
from copyfold.errors import InputError

GATK_COLUMNS = ("CONTIG", "START", "END", "COUNT")
_SAM_HEADER = r"(?:@[^\n]*\n?)*"


def read_gatk_counts(path: Path) -> TableCounts:
    """Read a table of GATK CollectReadCounts (format TSV), plain or gzipped.

    Lines that begin with ``@`` are the SAM header; then CONTIG, START, END (1-based inclusive), COUNT. The sample
    is the ``SM`` of the ``@RG`` line, or else the file's name up to ``.counts`` or ``.tsv``.

    Raises
    ------
    InputError
        Names file, line, value and rule.
    """
    path = Path(path)
    text = read_unpacked(path).decode("utf-8", errors="replace")
    header = re.match(_SAM_HEADER, text).end()  # type: ignore[union-attr]  # it matches nothing, too
    try:
        table = pd.read_csv(io.StringIO(text[header:]), sep="\t", usecols=list(GATK_COLUMNS), dtype={"CONTIG": str})
        numbers = [table[name].to_numpy() for name in GATK_COLUMNS[1:]]
        if table.empty or any(column.dtype.kind != "i" for column in numbers) or table["CONTIG"].isna().any():
            raise ValueError
    except ValueError:
        raise _gatk_mistake(path) from None
    start, end, counts = (column.astype(np.int64) for column in numbers)
    if (counts < 0).any() or (counts > LARGEST_COUNT).any() or (start < 1).any() or (end < start).any():
        raise _gatk_mistake(path)
    named = re.search(r"^@RG\t(?:.*\t)?SM:([^\t\r\n]+)", text, flags=re.MULTILINE)
    sample_id = named[1] if named else re.split(r"\.counts\b|\.tsv\b", path.name)[0]
    return TableCounts(sample_id, Contigs(table["CONTIG"].to_numpy(dtype=np.str_), start - 1, end), counts)


def _gatk_mistake(path: Path) -> InputError:
    """What is wrong with a table that did not read; the slow way, with the line."""
    table = read_table(path, comment="@")
    places = [table.position(name) for name in GATK_COLUMNS]
    for line, cells in table.rows:
        contig, *numbers = (cells[place] for place in places)
        for name, text in zip(GATK_COLUMNS[1:], numbers, strict=True):
            if not (is_whole(text) and int(text) <= LARGEST_COUNT):
                return InputError(
                    f"{path}: line {line}: {name} is '{text}'; it must be a whole number from 0 to 4294967295"
                )
        start, end = int(numbers[0]), int(numbers[1])
        if start < 1 or end < start or not contig:
            return InputError(f"{path}: line {line}: {contig}:{start}-{end} is no bin; bins are 1-based inclusive")
    return InputError(f"{path}: not a table of GATK CollectReadCounts --format TSV")


class GatkImporter:
    """Read starts per bin, as they are."""

    def check(self, settings: ImportSettings) -> None:
        refuse_columns("gatk", settings)
        refuse_read_length("gatk", settings)

    def find(self, inputs: Sequence[Path]) -> list[Source]:
        return find_tables(inputs, (".tsv", ".tsv.gz"))

    def read(self, source: Source, settings: ImportSettings) -> TableCounts:
        return read_gatk_counts(source.files[0])

    def unit(self, settings: ImportSettings) -> str:
        return "read starts per bin"
