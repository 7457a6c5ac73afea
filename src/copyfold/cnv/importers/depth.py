"""Depth per BED interval: mosdepth ``regions.bed.gz`` and ``samtools bedcov``. Both are 0-based half-open."""

from __future__ import annotations

import io
import math
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
    reads_from_bases,
    refuse_columns,
    refuse_read_length,
    require_read_length,
)
from copyfold.cnv.store import Contigs
from copyfold.cnv.tables import is_whole
from copyfold.core.packed import read_unpacked
from copyfold.errors import ConfigError, InputError

_COMMENTS = r"(?:#[^\n]*\n?)*"
_MOSDEPTH_WIDTHS = {4: "contig, start, end, mean depth", 5: "contig, start, end, name, mean depth"}
_BEDCOV_WIDTHS = {"sum": {4: "contig, start, end, sum"}, "reads": {5: "contig, start, end, sum, reads"}}


def read_mosdepth(path: Path, read_length: float) -> TableCounts:
    """Read mosdepth's ``PREFIX.regions.bed.gz``: contig, start, end, perhaps a name, mean depth.

    Parameters
    ----------
    path : Path
        The sample is the file's name up to ``.regions.bed``.
    read_length : float
        Mean length of the aligned reads, bp; reads in a bin = mean depth × bin length / read length, rounded.

    Raises
    ------
    InputError
        Names file, line, value and rule.
    """
    path = Path(path)
    contigs, depth = _read_bed(path, "mosdepth --by", _MOSDEPTH_WIDTHS)
    counts = reads_from_bases(path, depth * (contigs.end - contigs.start), read_length)
    return TableCounts(re.split(r"\.regions\b|\.bed\b", path.name)[0], contigs, counts)


def read_bedcov(path: Path, read_length: float | None) -> TableCounts:
    """Read the output of ``samtools bedcov`` for one BAM and a BED of three columns.

    Parameters
    ----------
    path : Path
        The sample is the file's name up to ``.bedcov``, ``.bed``, ``.tsv`` or ``.txt``.
    read_length : float or None
        Mean length of the aligned reads, bp: the sum of bases over it is the count. None: the table is of
        ``bedcov -c`` and its last column, the reads that overlap a bin, is the count.

    Raises
    ------
    InputError
        Names file, line, value and rule.
    """
    path = Path(path)
    columns = "sum" if read_length is not None else "reads"
    tool = "samtools bedcov" if columns == "sum" else "samtools bedcov -c"
    contigs, values = _read_bed(path, tool, _BEDCOV_WIDTHS[columns])
    counts = reads_from_bases(path, values, 1.0 if read_length is None else read_length)
    return TableCounts(re.split(r"\.(?:bedcov|bed|tsv|txt)\b", path.name)[0], contigs, counts)


def _read_bed(path: Path, tool: str, widths: dict[int, str]) -> tuple[Contigs, np.ndarray]:
    """Intervals and the last column of a BED without header, (n_bins,), float64."""
    text = read_unpacked(path).decode("utf-8", errors="replace")
    try:
        body = io.StringIO(text[re.match(_COMMENTS, text).end() :])  # type: ignore[union-attr]  # it matches nothing, too
        table = pd.read_csv(body, sep="\t", header=None, dtype={0: str}, keep_default_na=False)
        start, end, value = (table[column].to_numpy() for column in (1, 2, table.columns[-1]))
        whole = start.dtype.kind == "i" and end.dtype.kind == "i" and value.dtype.kind in "if"
        if len(table.columns) not in widths or not whole or (table[0] == "").any():
            raise ValueError
    except (ValueError, KeyError):  # pandas' own errors of parsing are ValueErrors
        raise _bed_mistake(path, text, tool, widths) from None
    bad = (start < 0) | (end <= start) | ~np.isfinite(value) | (value < 0)
    if bad.any():
        raise _bed_mistake(path, text, tool, widths)
    contigs = Contigs(table[0].to_numpy(dtype=np.str_), start.astype(np.int64), end.astype(np.int64))
    return contigs, value.astype(np.float64)


def _bed_mistake(path: Path, text: str, tool: str, widths: dict[int, str]) -> InputError:
    """What is wrong with a table that did not read; the slow way, with the line."""
    layout = " or ".join(widths.values())
    empty = True
    for line, raw in enumerate(text.splitlines(), 1):
        if not raw or raw.startswith("#"):
            continue
        empty = False
        cells = raw.split("\t")
        if len(cells) not in widths:
            return InputError(
                f"{path}: line {line}: {len(cells)} columns where {tool} writes {layout}; make one table per BAM, "
                "with a BED of three columns"
            )
        contig, start, end = cells[:3]
        if not (contig and is_whole(start) and is_whole(end) and int(start) < int(end)):
            return InputError(f"{path}: line {line}: {contig}:{start}-{end} is no interval; BED is 0-based half-open")
        try:
            value = float(cells[-1])
        except ValueError:
            value = math.nan
        if not 0 <= value <= LARGEST_COUNT * 1000.0:
            return InputError(f"{path}: line {line}: '{cells[-1]}' must be a number of at least 0")
    what = "the file is empty" if empty else "cannot be read as a table"
    return InputError(f"{path}: {what}; it must be what {tool} writes: {layout}")


class MosdepthImporter:
    """Mean depth per window → reads per bin."""

    def check(self, settings: ImportSettings) -> None:
        refuse_columns("mosdepth", settings)
        require_read_length("mosdepth", settings)

    def find(self, inputs: Sequence[Path]) -> list[Source]:
        return find_tables(inputs, (".regions.bed.gz", ".regions.bed"))

    def read(self, source: Source, settings: ImportSettings) -> TableCounts:
        return read_mosdepth(source.files[0], require_read_length("mosdepth", settings))

    def unit(self, settings: ImportSettings) -> str:
        return "reads per bin (bases / read length)"


class BedcovImporter:
    """Sum of bases per bin → reads per bin, or the reads that ``-c`` counts."""

    def check(self, settings: ImportSettings) -> None:
        if settings.columns not in (None, "sum", "reads"):
            raise ConfigError(
                f"--columns {settings.columns}: of bedcov, must be sum (of bases) or reads (table of bedcov -c)"
            )
        if settings.columns == "reads":
            refuse_read_length("bedcov -c", settings)
        else:
            require_read_length("bedcov", settings)

    def find(self, inputs: Sequence[Path]) -> list[Source]:
        names = (".bedcov", ".bed", ".tsv", ".txt")
        return find_tables(inputs, (*names, *(f"{name}.gz" for name in names)))

    def read(self, source: Source, settings: ImportSettings) -> TableCounts:
        return read_bedcov(source.files[0], settings.read_length)

    def unit(self, settings: ImportSettings) -> str:
        if settings.columns == "reads":
            return "reads overlapping each bin"
        return "reads per bin (bases / read length)"
