"""Ground truth for gene calls: AMRFinder+ presence or counts, Kleborate counts of blaSHV, sequence types.

Tables are tab-separated with one header line; docs/formats/truth.md holds the contract. The key is the run
accession (``sample_id``); where a cell holds a comma-separated list of runs the first one counts.

What a count from an assembly can tell: short-read assemblers collapse identical tandem copies into one, so a
Kleborate count of 1 does not exclude an array. "Event = two or more" is then an under-count of amplification,
and calls by depth that disagree with it (false positives) may be true. A count of 2 is two *distinguishable*
copies, usually one on the chromosome and another on a plasmid.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
import pandas as pd

from copyfold.cnv.families import family_of
from copyfold.cnv.tables import Table, read_table
from copyfold.errors import InputError

KLEBORATE_GENE = "blaSHV"
KLEBORATE_V3_PREFIX = "klebsiella_pneumo_complex__amr__"
KLEBORATE_BLA_COLUMNS = (
    "Bla_chr",
    "Bla_acquired",
    "Bla_inhR_acquired",
    "Bla_ESBL_acquired",
    "Bla_ESBL_inhR_acquired",
    "Bla_Carb_acquired",
)

ASSEMBLY_NOTE = (
    "the truth of {gene} counts copies in assemblies (Kleborate), where identical tandem copies collapse "
    "into one: it under-counts amplification, and calls by depth that count as false positives here may be "
    "true."
)

_NOT_GENES = {"sample_id", "biosample", "sample_accession", "Species", "ST"}
_UNKNOWN_COUNT = {"", "NA"}
_UNKNOWN_ST = {"", "NA", "-"}
_WHOLE_NUMBER = re.compile(r"[0-9]{1,6}(\.0+)?")
_SHV_ALLELE = re.compile(r"(bla)?SHV-[0-9]")

Value = TypeVar("Value")


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """What is known about the genes of a cohort.

    Attributes
    ----------
    table : pandas.DataFrame, index sample_id (run accession, str), one Int64 column per gene family
        Copies or presence (0/1); ``<NA>`` where unknown.
    sources : mapping of str to {"amrfinder", "kleborate"}
        Where each column of `table` comes from.
    lineages : pandas.Series, index as `table`, string
        Sequence type; missing where unknown.
    """

    table: pd.DataFrame
    sources: Mapping[str, Literal["amrfinder", "kleborate"]]
    lineages: pd.Series

    def counts(self, family: str, sample_ids: np.ndarray) -> np.ndarray:
        """Counts of one family for `sample_ids`, float64, NaN where unknown or not in the table."""
        return self.table[family].reindex(sample_ids).to_numpy(dtype=np.float64, na_value=np.nan)

    def is_presence_only(self, family: str) -> bool:
        """Whether the column holds AMRFinder+ presence (0/1) and so cannot say how many copies there are."""
        return self.sources[family] == "amrfinder" and not bool((self.table[family] > 1).any())

    def check_shared(self, sample_ids: Iterable[str]) -> None:
        """Refuse a truth that has none of the called samples.

        Raises
        ------
        InputError
            Names examples of both sides.
        """
        called = list(sample_ids)
        if not self.table.index.isin(called).any():
            ours, theirs = (", ".join(f"'{name}'" for name in some[:3]) for some in (called, self.table.index))
            raise InputError(
                f"no called sample is in the ground truth: calls have {ours or 'no sample'}, the truth has "
                f"{theirs or 'no sample'}; they are joined on run accession, so give the truth a column "
                "sample_id with the calls' names"
            )


def read_ground_truth(
    gt_path: Path | str, kleborate_path: Path | str | None = None, meta_path: Path | str | None = None
) -> GroundTruth:
    """Read the truth tables and join them on run accession.

    Kleborate's counts replace the AMRFinder+ column blaSHV; a sample that Kleborate's table lacks has an
    unknown count then, because presence does not say how many. Samples of either table are kept.

    Parameters
    ----------
    gt_path : Path
        AMRFinder+ table: sample_id, biosample, one column per gene family with 0/1 or counts.
    kleborate_path : Path, optional
        A table with whole counts in a column ``blaSHV``, or Kleborate's own output (version 2 or 3).
    meta_path : Path, optional
        Metadata: sample_id, ST.

    Raises
    ------
    InputError
        A table cannot be read or breaks a rule of its format, or two tables share no sample.
    """
    genes, counts = _read_amrfinder(Path(gt_path))
    table = pd.DataFrame.from_dict(counts, orient="index", columns=genes).astype("Int64")
    sources: dict[str, Literal["amrfinder", "kleborate"]] = dict.fromkeys(genes, "amrfinder")
    if kleborate_path is not None:
        shv = _read_kleborate(Path(kleborate_path))
        _check_shared(Path(kleborate_path), shv, Path(gt_path), counts)
        table = table.reindex([*counts, *(sample for sample in shv if sample not in counts)])
        table[KLEBORATE_GENE] = pd.Series(shv, dtype="Int64").reindex(table.index)
        sources[KLEBORATE_GENE] = "kleborate"
    table.index = pd.Index(table.index.astype(str), name="sample_id")
    lineages = pd.Series(pd.NA, index=table.index, dtype="string", name="ST")
    if meta_path is not None:
        known = read_sequence_types(Path(meta_path))
        _check_shared(Path(meta_path), known, Path(gt_path), counts)
        lineages = pd.Series(known, dtype="string", name="ST").reindex(table.index)
    return GroundTruth(table, sources, lineages)


def _read_amrfinder(path: Path) -> tuple[list[str], dict[str, tuple[int | None, ...]]]:
    table = read_table(path)
    header, key = table.columns, table.position("sample_id")
    columns = [position for position, name in enumerate(header) if name not in _NOT_GENES]
    if not columns:
        raise InputError(f"{path}: no gene column; columns are {table.shown_columns()}; add one column per gene family")
    genes = [family_of(header[position]) for position in columns]
    for position, gene in zip(columns, genes, strict=True):
        if genes.count(gene) > 1:
            raise InputError(
                f"{path}: line 1: column '{header[position]}' and another are both of family {gene}; "
                f"keep one column per family, named {gene}"
            )

    def values(line: int, fields: list[str]) -> tuple[int | None, ...]:
        return tuple(_count(path, line, header[position], fields[position]) for position in columns)

    return genes, _by_sample(table, key, values)


def _read_kleborate(path: Path) -> dict[str, int | None]:
    """Copies of blaSHV by sample: the column blaSHV, else the SHV entries of Kleborate's columns."""
    table = read_table(path)
    header = table.columns
    key = table.position("sample_id") if "sample_id" in header else table.position("strain", "or sample_id")
    if KLEBORATE_GENE in header:
        column = header.index(KLEBORATE_GENE)
        return _by_sample(table, key, lambda line, fields: _count(path, line, KLEBORATE_GENE, fields[column]))
    prefix = KLEBORATE_V3_PREFIX if KLEBORATE_V3_PREFIX + KLEBORATE_BLA_COLUMNS[0] in header else ""
    absent = [name for name in KLEBORATE_BLA_COLUMNS if prefix + name not in header]
    if absent:
        raise InputError(
            f"{path}: neither a column {KLEBORATE_GENE} nor Kleborate's (2 or 3) {', '.join(absent)}; "
            f"columns are {table.shown_columns()}; give Kleborate's whole output or sample_id, {KLEBORATE_GENE}"
        )
    columns = [header.index(prefix + name) for name in KLEBORATE_BLA_COLUMNS]
    return _by_sample(table, key, lambda _, fields: count_shv([fields[column] for column in columns]))


def count_shv(cells: Sequence[str]) -> int | None:
    """SHV alleles in one isolate's β-lactamase cells of Kleborate.

    Parameters
    ----------
    cells : sequence of str
        Alleles separated by ``;`` with Kleborate's marks (``SHV-11^``, ``SHV-2A*``), ``-`` for none.

    Returns
    -------
    int or None
        None where a cell is empty: Kleborate's resistance module did not run. Hits that Kleborate sets apart
        as truncated or spurious stand in other columns and are not counted.
    """
    if any(cell in _UNKNOWN_COUNT for cell in cells):
        return None
    return sum(bool(_SHV_ALLELE.match(entry.strip())) for cell in cells for entry in cell.split(";"))


def read_sequence_types(path: Path) -> dict[str, str | None]:
    """Sequence type of each sample of a metadata table (columns sample_id, ST); None where it says unknown.

    Raises
    ------
    InputError
        The table cannot be read or lacks a column, or a sample stands twice with different types.
    """
    table = read_table(path)
    key, column = table.position("sample_id"), table.position("ST")
    return _by_sample(table, key, lambda _, fields: None if fields[column] in _UNKNOWN_ST else fields[column])


def _by_sample(table: Table, key: int, value_of: Callable[[int, list[str]], Value]) -> dict[str, Value]:
    """Value of each sample; rows that repeat a sample must agree."""
    path = table.path
    values: dict[str, Value] = {}
    first_lines: dict[str, int] = {}
    for line, fields in table.rows:
        sample = fields[key].split(",")[0].strip()
        if not sample:
            raise InputError(f"{path}: line {line}: the sample id '{fields[key]}' is empty; give a run accession")
        value = value_of(line, fields)
        if sample in values and values[sample] != value:
            raise InputError(
                f"{path}: lines {first_lines[sample]} and {line}: sample '{sample}' stands twice with "
                "different values; keep the right row"
            )
        values[sample] = value
        first_lines.setdefault(sample, line)
    return values


def _count(path: Path, line: int, column: str, cell: str) -> int | None:
    if cell in _UNKNOWN_COUNT:
        return None
    if not _WHOLE_NUMBER.fullmatch(cell):
        raise InputError(
            f"{path}: line {line}: column '{column}' is '{cell}'; a count is a whole number from 0 to "
            "999999, or NA where it is unknown"
        )
    return int(cell.split(".")[0])


def _check_shared(path: Path, samples: Mapping[str, object], gt_path: Path, truth: Mapping[str, object]) -> None:
    if not any(sample in truth for sample in samples):
        raise InputError(
            f"{path}: no sample in common with {gt_path} ('{next(iter(samples))}' here, "
            f"'{next(iter(truth))}' there); tables are joined on run accession, in column sample_id of each"
        )
