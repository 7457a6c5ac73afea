"""Per-base coverage of breseq, gathered into bins; CNery reads the same tables.

Two layouts, told apart by nothing but their column names: ``breseq bam2cov --format TSV`` (position first, ref_base,
a footer of ``#`` lines, perhaps further columns per read group) and ``08_mutation_identification/*.coverage.tab`` of
a breseq run (position last, e_value). Both have the four columns that are read here.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from copyfold.cnv.importers.sample import (
    ImportSettings,
    Source,
    TableCounts,
    reads_from_bases,
    refuse_columns,
    require_read_length,
)
from copyfold.cnv.store import Contigs
from copyfold.cnv.tables import is_whole, read_table
from copyfold.core.packed import read_unpacked
from copyfold.errors import InputError

_ENDING = re.compile(r"\.?coverage\.(?:tab|tsv)(?:\.gz)?$")
_RUN_FOLDER = "08_mutation_identification"
_COVERAGES = ("unique_top_cov", "unique_bot_cov", "redundant_top_cov", "redundant_bot_cov")
_LONGEST_CONTIG = 2**31


def read_breseq_coverage(path: Path, bin_size: int) -> tuple[Contigs, np.ndarray]:
    """Read one contig's table and sum its depth over bins.

    Parameters
    ----------
    path : Path
        ``<contig>.coverage.tab`` or ``.coverage.tsv``, gzipped or not; `position` is 1-based.
    bin_size : int
        bp; the last bin is as long as positions are left.

    Returns
    -------
    contigs : Contigs
    bases : numpy.ndarray, (n_bins,), float64
        Sum of depth; the depth of a position is unique plus redundant coverage of both strands (breseq gives each
        of a read's n equal places 1/n of it). A position without a line has no coverage.

    Raises
    ------
    InputError
        Names file, line, value and rule; a table of sampled positions (``--resolution`` not 0) is refused.
    """
    path = Path(path)
    text = read_unpacked(path).decode("utf-8", errors="replace")
    wanted = ["position", *_COVERAGES]
    try:
        table = pd.read_csv(io.StringIO(text), sep="\t", comment="#", usecols=wanted)
        if table.empty or any(table[name].dtype.kind not in "if" for name in wanted):
            raise ValueError
    except ValueError:
        raise _breseq_mistake(path) from None
    position = table["position"].to_numpy()
    depth = table[list(_COVERAGES)].to_numpy(dtype=np.float64)
    steps = np.diff(position)
    if position.dtype.kind != "i" or position[0] < 1 or (steps < 1).any() or position[-1] > _LONGEST_CONTIG:
        raise _breseq_mistake(path)
    if not (np.isfinite(depth) & (depth >= 0)).all():
        raise _breseq_mistake(path)
    if steps.size and np.median(steps) > 1:
        raise InputError(
            f"{path}: holds every {np.median(steps):g}th position or so; write all of them with "
            "`breseq bam2cov --format TSV --resolution 0`"
        )
    per_base = np.zeros(int(position[-1]))
    per_base[position - 1] = depth.sum(axis=1)
    starts = np.arange(0, len(per_base), bin_size)
    ends = np.minimum(starts + bin_size, len(per_base))
    name = _ENDING.sub("", path.name)
    return Contigs(np.full(len(starts), name), starts, ends), np.add.reduceat(per_base, starts)


def _breseq_mistake(path: Path) -> InputError:
    """What is wrong with a table that did not read; the slow way, with the line."""
    table = read_table(path, comment="#")
    names = ("position", *_COVERAGES)
    places = [table.position(name) for name in names]
    before = 0
    for line, cells in table.rows:
        position, *coverages = (cells[place] for place in places)
        if not (is_whole(position) and before < int(position) <= _LONGEST_CONTIG):
            return InputError(
                f"{path}: line {line}: position is '{position}' behind {before}; positions are whole, 1-based "
                "and ascending"
            )
        before = int(position)
        for name, cell in zip(_COVERAGES, coverages, strict=True):
            if not re.fullmatch(r"\d+(\.\d*)?([eE][-+]?\d+)?", cell):
                return InputError(f"{path}: line {line}: {name} is '{cell}'; it must be a number of at least 0")
    return InputError(f"{path}: not a coverage table of breseq")


class BreseqImporter:
    """Depth per base → reads per bin. One folder is one sample, one file in it one contig."""

    def check(self, settings: ImportSettings) -> None:
        refuse_columns("breseq", settings)
        require_read_length("breseq", settings)

    def find(self, inputs: Sequence[Path]) -> list[Source]:
        """Tables by the folder they are in; of a folder without tables, those of each breseq run below it."""
        by_folder: dict[Path, list[Path]] = {}
        for path in inputs:
            for table in _tables_below(path) if path.is_dir() else [path]:
                by_folder.setdefault(table.parent, []).append(table)
        return [Source(_sample_folder(folder), tuple(sorted(set(files)))) for folder, files in by_folder.items()]

    def read(self, source: Source, settings: ImportSettings) -> TableCounts:
        read_length = require_read_length("breseq", settings)
        parts = [read_breseq_coverage(path, settings.bin_size) for path in source.files]
        contigs = Contigs(
            np.concatenate([part.chrom for part, _ in parts]),
            np.concatenate([part.start for part, _ in parts]),
            np.concatenate([part.end for part, _ in parts]),
        )
        counts = reads_from_bases(source.name, np.concatenate([bases for _, bases in parts]), read_length)
        return TableCounts(source.name.resolve().name, contigs, counts)

    def unit(self, settings: ImportSettings) -> str:
        return "reads per bin (bases / read length)"


def _tables_in(folder: Path) -> list[Path]:
    return sorted(item for item in folder.iterdir() if _ENDING.search(item.name))


def _tables_below(folder: Path) -> list[Path]:
    runs = [folder, folder / _RUN_FOLDER]
    for run in runs:
        if run.is_dir() and (found := _tables_in(run)):
            return found
    samples = sorted(item for item in folder.iterdir() if item.is_dir())
    found = []
    for sample in samples:
        inner = sample / _RUN_FOLDER
        found += _tables_in(sample) or (_tables_in(inner) if inner.is_dir() else [])
    if not found:
        raise InputError(f"{folder}: holds no *.coverage.tab or *.coverage.tsv file, nor do the folders in it")
    return found


def _sample_folder(folder: Path) -> Path:
    return folder.parent if folder.name == _RUN_FOLDER else folder
