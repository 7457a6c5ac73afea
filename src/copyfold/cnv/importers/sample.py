"""What an importer takes and gives."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from copyfold.cnv.store import Contigs
from copyfold.errors import ConfigError, InputError

LARGEST_COUNT = 2**32 - 1


class TableCounts(NamedTuple):
    """Counts of one sample as a table of another tool gives them.

    Attributes
    ----------
    sample_id : str
    contigs : Contigs
    counts : numpy.ndarray, (n_bins,), int64
    """

    sample_id: str
    contigs: Contigs
    counts: np.ndarray


@dataclass(frozen=True)
class ImportSettings:
    """What a table does not say about itself.

    Attributes
    ----------
    read_length : float or None
        Mean length of the aligned reads, bp; turns depth into reads.
    columns : {"mean", "sum", "reads"} or None
        What the numbers are, for tools that write either; None takes the importer's usual.
    bin_size : int
        Width of the bins that per-base tables are gathered into, bp.
    """

    read_length: float | None = None
    columns: str | None = None
    bin_size: int = 1000

    def __post_init__(self) -> None:
        if self.read_length is not None and not (math.isfinite(self.read_length) and self.read_length >= 1):
            raise ConfigError(f"--read-length {self.read_length:g}: must be a mean read length in bp, at least 1")
        if self.bin_size < 1:
            raise ConfigError(f"--bin-size {self.bin_size}: must be at least 1 bp")


class Source(NamedTuple):
    """The files of one sample.

    Attributes
    ----------
    name : Path
        What messages call it: the file, or the folder that holds the files.
    files : tuple of Path
    """

    name: Path
    files: tuple[Path, ...]


class Importer(Protocol):
    """One tool's tables."""

    def check(self, settings: ImportSettings) -> None:
        """Refuse settings that this tool's tables cannot be read with.

        Raises
        ------
        ConfigError
        """

    def find(self, inputs: Sequence[Path]) -> list[Source]:
        """The samples among files and folders.

        Raises
        ------
        InputError
            A folder holds no table of this tool.
        """

    def read(self, source: Source, settings: ImportSettings) -> TableCounts:
        """Counts of one sample as a table of another tool gives them.

        Raises
        ------
        InputError
            Names file, line, value and rule.
        """

    def unit(self, settings: ImportSettings) -> str:
        """What one count is, for the manifest."""


def find_tables(inputs: Sequence[Path], endings: tuple[str, ...]) -> list[Source]:
    """One source per file; in folders, the files with one of `endings`, sorted by name."""
    sources = []
    for path in inputs:
        if path.is_dir():
            found = sorted(item for item in path.iterdir() if item.name.endswith(endings))
            if not found:
                raise InputError(f"{path}: holds no {' or '.join(endings)} file; name the tables one by one")
            sources += [Source(item, (item,)) for item in found]
        else:
            sources.append(Source(path, (path,)))
    return sources


def refuse_columns(tool: str, settings: ImportSettings) -> None:
    """Refuse ``--columns`` where the tool's tables have one kind of number."""
    if settings.columns is not None:
        raise ConfigError(f"--columns {settings.columns}: tables of {tool} hold one kind of number; leave it out")


def refuse_read_length(tool: str, settings: ImportSettings) -> None:
    """Refuse ``--read-length`` where the tool counts reads."""
    if settings.read_length is not None:
        raise ConfigError(f"--read-length {settings.read_length:g}: {tool} counts reads already; leave it out")


def require_read_length(tool: str, settings: ImportSettings) -> float:
    """The read length, needed where a tool writes depth.

    Thresholds of the pipeline (`hmm_low_cov_threshold`) are in reads per bin, so depth is not stored
    as it is.
    """
    if settings.read_length is None:
        raise ConfigError(
            f"--read-length is not set: {tool} writes depth and a store holds reads per bin; give the mean read "
            "length, e.g. --read-length 150"
        )
    return settings.read_length


def reads_from_bases(path: Path, bases: np.ndarray, read_length: float) -> np.ndarray:
    """Bases per bin → reads per bin, rounded to whole reads: (n_bins,), int64."""
    reads = np.rint(bases / read_length)
    if reads.size and reads.max() > LARGEST_COUNT:
        raise InputError(f"{path}: {reads.max():g} reads in a bin; a count must be below 2^32; check the table")
    return reads.astype(np.int64)
