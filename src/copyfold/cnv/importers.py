"""Count tables of other tools → rows of a store."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from copyfold.cnv.coordinates import Gene, find_gene_bins, same_contig
from copyfold.cnv.store import Contigs
from copyfold.cnv.tables import read_bytes, read_table
from copyfold.errors import InputError

GATK_COLUMNS = ("CONTIG", "START", "END", "COUNT")
_LARGEST_COUNT = 2**32 - 1
_SAM_HEADER = r"(?:@[^\n]*\n?)*"


class SampleCounts(NamedTuple):
    """Counts of one sample.

    Attributes
    ----------
    sample_id : str
    contigs : Contigs
    counts : numpy.ndarray, (n_bins,), int64
    """

    sample_id: str
    contigs: Contigs
    counts: np.ndarray


def read_gatk_counts(path: Path) -> SampleCounts:
    """Read a table of GATK CollectReadCounts (format TSV), plain or gzipped.

    Lines that begin with ``@`` are the SAM header; then CONTIG, START, END (1-based inclusive), COUNT. The sample
    is the ``SM`` of the ``@RG`` line, or else the file's name up to ``.counts`` or ``.tsv``.

    Raises
    ------
    InputError
        Names file, line, value and rule.
    """
    path = Path(path)
    text = read_bytes(path).decode("utf-8", errors="replace")
    header = re.match(_SAM_HEADER, text).end()  # type: ignore[union-attr]  # it matches nothing, too
    try:
        table = pd.read_csv(io.StringIO(text[header:]), sep="\t", usecols=list(GATK_COLUMNS), dtype={"CONTIG": str})
        numbers = [table[name].to_numpy() for name in GATK_COLUMNS[1:]]
        if table.empty or any(column.dtype.kind != "i" for column in numbers) or table["CONTIG"].isna().any():
            raise ValueError
    except ValueError:
        raise _gatk_mistake(path) from None
    start, end, counts = (column.astype(np.int64) for column in numbers)
    if (counts < 0).any() or (counts > _LARGEST_COUNT).any() or (start < 1).any() or (end < start).any():
        raise _gatk_mistake(path)
    named = re.search(r"^@RG\t(?:.*\t)?SM:([^\t\r\n]+)", text, flags=re.MULTILINE)
    sample_id = named[1] if named else re.split(r"\.counts\b|\.tsv\b", path.name)[0]
    return SampleCounts(sample_id, Contigs(table["CONTIG"].to_numpy(dtype=np.str_), start - 1, end), counts)


def _gatk_mistake(path: Path) -> InputError:
    """What is wrong with a table that did not read; the slow way, with the line."""
    table = read_table(path, comment="@")
    places = [table.position(name) for name in GATK_COLUMNS]
    for line, cells in table.rows:
        contig, *numbers = (cells[place] for place in places)
        for name, text in zip(GATK_COLUMNS[1:], numbers, strict=True):
            if not (text.isascii() and text.isdigit() and int(text) <= _LARGEST_COUNT):
                return InputError(f"{path}: line {line}: {name} is '{text}'; it must be a whole number of at least 0")
        start, end = int(numbers[0]), int(numbers[1])
        if start < 1 or end < start or not contig:
            return InputError(f"{path}: line {line}: {contig}:{start}-{end} is no bin; bins are 1-based inclusive")
    return InputError(f"{path}: not a table of GATK CollectReadCounts --format TSV")


READERS = {"gatk": read_gatk_counts}
"""Reader of each tool's tables, by the name that ``--from`` takes."""


def select_contigs(contigs: Contigs, names: Sequence[str]) -> np.ndarray:
    """Columns that lie on the named contigs (or their aliases); without names, on the longest: (m,), int64.

    Raises
    ------
    InputError
        A name matches no contig.
    """
    present = list(dict.fromkeys(contigs.chrom.tolist()))
    if not names:
        longest = max(present, key=lambda name: int(contigs.end[contigs.chrom == name].max()))
        return np.flatnonzero(contigs.chrom == longest)
    chosen = []
    for wanted in names:
        matching = [name for name in present if same_contig(name, wanted)]
        if not matching:
            raise InputError(f"--contig {wanted}: the tables have {', '.join(present[:8])}")
        chosen += matching
    return np.flatnonzero(np.isin(contigs.chrom, chosen))


def gene_depths(counts: np.ndarray, gene: Gene, contigs: Contigs) -> np.ndarray:
    """Overlap-weighted depth of a gene, in reads per bin of full length.

    Parameters
    ----------
    counts : numpy.ndarray, (n_samples, n_bins)
    gene : Gene
    contigs : Contigs

    Returns
    -------
    numpy.ndarray, (n_samples,), float64
        Every bin's reads are spread evenly over its length, so that a short last bin counts by its length.

    Raises
    ------
    InputError
        The gene's contig is not among the bins.
    """
    found = find_gene_bins(gene, contigs)
    lengths = (contigs.end - contigs.start)[found.bins]
    bin_size = (contigs.end - contigs.start).max()
    per_base = counts[:, found.bins] / lengths
    return per_base @ found.weights / found.weights.sum() * bin_size
