"""Ground-truth tables from what AMRFinder+ and Kleborate write, joined on run accession.

The tables made here are those that `copyfold.cnv.truth` reads. Both tools look at assemblies. An assembler of short
reads collapses identical copies into one, above all tandem arrays, so counts are of *distinguishable* copies: two or
more are at least two, one says little about how many there are.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from copyfold.cnv.families import family_of
from copyfold.cnv.tables import Table, read_table
from copyfold.cnv.truth import KLEBORATE_BLA_COLUMNS, KLEBORATE_GENE, KLEBORATE_V3_PREFIX, count_shv
from copyfold.core.packed import read_unpacked
from copyfold.errors import InputError

DOCUMENT_FAMILIES = ("blaSHV", "blaKPC", "blaNDM", "blaCTX-M", "qnrB", "blaOXA-48-like", "aac6-Ib-cr")
"""Gene columns of the published truth tables."""

UNKNOWN = "NA"
_SYMBOL = ("Element symbol", "Gene symbol")
_TYPE = ("Type", "Element type")
_SUBTYPE = ("Subtype", "Element subtype")
_DESCRIPTIONS = ("Element name", "Sequence name", "Closest reference name", "Name of closest sequence")
_WHOLE_METHODS = {"ALLELE", "EXACT", "BLAST"}
_CONTIG_END = "PARTIAL_CONTIG_END"
_METHOD = re.compile(r"(?P<method>[A-Z_]+?)[PXN]?")
_RUN_COLUMNS = ("sample_id", "run_accession", "run", "Run", "runs")
_BIOSAMPLE_COLUMNS = ("biosample", "BioSample", "biosample_accession", "sample_accession")
_KEY_COLUMNS = ("biosample", "BioSample", "sample_id", "strain")
_SPECIES = ("enterobacterales__species__species", "species", "Species")
_ST = ("klebsiella_pneumo_complex__mlst__ST", "ST")
_SAMPLE_ENDING = re.compile(r"(?:[._]amrfinder\w*)?\.(?:tsv|txt|tab|csv)(?:\.gz)?$|\.amrfinder\w*$")


@dataclass(frozen=True)
class TruthTable:
    """A truth table before it is written.

    Attributes
    ----------
    columns : tuple of str
        Behind the key.
    rows : mapping of str to tuple of str
        Cells by isolate, in the order of `columns`.
    """

    columns: tuple[str, ...]
    rows: Mapping[str, tuple[str, ...]]


class JoinedTable(NamedTuple):
    """A truth table keyed by run.

    Attributes
    ----------
    text : str
        The table as it is written: sample_id, biosample, then its columns; one row per run, sorted.
    n_runs : int
    unmatched : tuple of str
        Isolates that the table of runs does not know; they are left out.
    """

    text: str
    n_runs: int
    unmatched: tuple[str, ...]


def family_of_hit(symbol: str, descriptions: Iterable[str] = ()) -> str:
    """Family of an AMRFinder+ hit.

    Parameters
    ----------
    symbol : str
        Gene or element symbol, e.g. ``blaKPC-3``, ``aac(6')-Ib-cr5``.
    descriptions : iterable of str
        Names of the element and of the closest reference. "OXA-48 family" in one makes an OXA of any number, or of
        none, an OXA-48-like.
    """
    if symbol.startswith("blaOXA") and any("OXA-48 family" in text for text in descriptions):
        return "blaOXA-48-like"
    if re.fullmatch(r"aac\(6'\)-Ib-cr\d*", symbol):
        return "aac6-Ib-cr"
    return family_of(symbol)


def read_amrfinder(paths: Sequence[Path], *, count_partial: bool = False) -> dict[str, Counter[str]]:
    """Copies of each gene family in each isolate, by AMRFinder+ (versions 3 and 4).

    Hits of type AMR count, point mutations do not. Whole genes (methods ALLELE, EXACT, BLAST) count one each. Pieces
    at the ends of contigs count one all together, where a family has no whole gene: two of them may be the two ends
    of one gene. Other partial hits, internal stops and HMM hits count with `count_partial` only.

    Parameters
    ----------
    paths : sequence of Path
        Tables; the isolate is the column ``Name`` (``amrfinder --name``), else the file's name without
        ``.tsv``, ``.txt``, ``.amrfinder`` and the like. A table without rows is an isolate without genes.

    Returns
    -------
    dict of str to Counter
        Copies by family; a family without copies is absent.

    Raises
    ------
    InputError
        A table cannot be read, lacks a column, or an isolate stands in two files.
    """
    isolates: dict[str, Counter[str]] = {}
    owners: dict[str, Path] = {}
    for path in map(Path, paths):
        found = _amrfinder_hits(path, count_partial)
        for isolate, hits in found.items():
            if isolate in owners:
                raise InputError(f"{path}: isolate '{isolate}' stands in {owners[isolate]}, too; give it once")
            owners[isolate] = path
            isolates[isolate] = hits
    return isolates


def _amrfinder_hits(path: Path, count_partial: bool) -> dict[str, Counter[str]]:
    table = read_table(path)
    symbol, kind = _first_column(table, _SYMBOL), _first_column(table, _TYPE)
    subtype, method = _first_column(table, _SUBTYPE), table.position("Method")
    name = table.columns.index("Name") if "Name" in table.columns else None
    descriptions = [table.columns.index(column) for column in _DESCRIPTIONS if column in table.columns]
    own_name = _SAMPLE_ENDING.sub("", path.name)
    if not _has_rows(path):
        return {own_name: Counter()}
    whole: dict[str, Counter[str]] = {}
    pieces: dict[str, set[str]] = {}
    for line, cells in table.rows:
        isolate = own_name if name is None else cells[name]
        if not isolate or isolate == UNKNOWN:
            raise InputError(f"{path}: line {line}: Name is '{isolate}'; name the isolate or drop the column")
        hits = whole.setdefault(isolate, Counter())
        if cells[kind] != "AMR" or cells[subtype].startswith("POINT"):
            continue
        family = family_of_hit(cells[symbol], [cells[place] for place in descriptions])
        matched = _METHOD.fullmatch(cells[method])
        how = matched["method"] if matched else cells[method]
        if how in _WHOLE_METHODS or (count_partial and how != _CONTIG_END):
            hits[family] += 1
        elif how == _CONTIG_END:
            pieces.setdefault(isolate, set()).add(family)
    for isolate, families in pieces.items():
        for family in families:
            whole[isolate][family] = max(whole[isolate][family], 1)
    return whole


def _has_rows(path: Path) -> bool:
    return sum(bool(line.strip()) for line in read_unpacked(path).splitlines()) > 1


def _first_column(table: Table, names: Sequence[str]) -> int:
    """Place of the first of several names that a column goes by."""
    for name in names:
        if name in table.columns:
            return table.columns.index(name)
    return table.position(names[0], f"or {' or '.join(names[1:])}")


def amrfinder_table(
    isolates: Mapping[str, Counter[str]], families: Sequence[str] | None = DOCUMENT_FAMILIES, *, counts: bool = False
) -> TruthTable:
    """Presence (0/1) or counts of families.

    Parameters
    ----------
    isolates : mapping
        From `read_amrfinder`.
    families : sequence of str or None
        Columns; alleles are taken as their family, None means every family that some isolate has.
    counts : bool
        Write copies; else 1 where there is any.
    """
    if families is None:
        chosen = tuple(sorted({family for hits in isolates.values() for family in hits}))
    else:
        chosen = tuple(dict.fromkeys(family_of_hit(name) for name in families))
    if not chosen:
        raise InputError("no isolate has a resistance gene, so there is no column to write; name families")
    rows = {
        isolate: tuple(str(hits[family] if counts else min(hits[family], 1)) for family in chosen)
        for isolate, hits in isolates.items()
    }
    return TruthTable(chosen, rows)


def read_kleborate(path: Path) -> TruthTable:
    """Species, ST and number of SHV alleles by Kleborate (versions 2 and 3).

    Columns ``Species``, ``ST`` (``NA`` where the tool's table has none) and ``blaSHV`` (``NA`` where the resistance
    module did not run); the key is ``strain`` or ``sample_id``.

    Raises
    ------
    InputError
        The table cannot be read, lacks a column of β-lactamases, or an isolate stands twice.
    """
    table = read_table(path)
    header = table.columns
    key = _first_column(table, ("strain", "sample_id"))
    prefix = KLEBORATE_V3_PREFIX if KLEBORATE_V3_PREFIX + KLEBORATE_BLA_COLUMNS[0] in header else ""
    places = [table.position(prefix + name, "of Kleborate 2 or 3") for name in KLEBORATE_BLA_COLUMNS]
    labels = [next((header.index(name) for name in names if name in header), None) for names in (_SPECIES, _ST)]

    def cells_of(cells: list[str]) -> tuple[str, ...]:
        copies = count_shv([cells[place] for place in places])
        known = [UNKNOWN if place is None else cells[place] or UNKNOWN for place in labels]
        return (*known, UNKNOWN if copies is None else str(copies))

    return TruthTable(("Species", "ST", KLEBORATE_GENE), _unique_rows(table, lambda cells: cells[key], cells_of))


def read_truth_table(path: Path) -> TruthTable:
    """Any truth table, as it is, keyed by its ``biosample``, or where that is unknown by ``sample_id`` or ``strain``.

    Raises
    ------
    InputError
        The table cannot be read, has no key, or an isolate stands twice with different values.
    """
    table = read_table(path)
    keys = [table.columns.index(name) for name in _KEY_COLUMNS if name in table.columns]
    if not keys:
        table.position(_KEY_COLUMNS[0], f"or {' or '.join(_KEY_COLUMNS[1:])}")
    kept = [place for place in range(len(table.columns)) if place not in keys]

    def isolate_of(cells: list[str]) -> str:
        return next((cells[place] for place in keys if cells[place] not in ("", UNKNOWN, "-")), "")

    columns = tuple(table.columns[place] for place in kept)
    return TruthTable(columns, _unique_rows(table, isolate_of, lambda cells: tuple(cells[place] for place in kept)))


def _unique_rows(
    table: Table, isolate_of: Callable[[list[str]], str], cells_of: Callable[[list[str]], tuple[str, ...]]
) -> dict[str, tuple[str, ...]]:
    rows: dict[str, tuple[str, ...]] = {}
    for line, cells in table.rows:
        isolate = isolate_of(cells).split(",")[0].strip()
        if not isolate:
            raise InputError(f"{table.path}: line {line}: the isolate's name is empty; give one")
        row = cells_of(cells)
        if rows.setdefault(isolate, row) != row:
            raise InputError(f"{table.path}: line {line}: isolate '{isolate}' stands twice with different values")
    return rows


def read_runs(path: Path) -> dict[str, str]:
    """BioSample of each run.

    Parameters
    ----------
    path : Path
        A table with a column of run accessions (``sample_id``, ``run_accession``, ``run``, ``Run``, ``runs``) and
        one of BioSamples (``biosample``, ``BioSample``, ``biosample_accession``, ``sample_accession``). Of a
        comma-separated list of runs the first counts; several lines of one BioSample are several runs of it.

    Raises
    ------
    InputError
        A column is missing, a cell is empty, or a run has two BioSamples.
    """
    table = read_table(path)
    run_place, biosample_place = _first_column(table, _RUN_COLUMNS), _first_column(table, _BIOSAMPLE_COLUMNS)
    runs: dict[str, str] = {}
    for line, cells in table.rows:
        run, biosample = cells[run_place].split(",")[0].strip(), cells[biosample_place]
        if not run or not biosample:
            raise InputError(f"{path}: line {line}: run '{run}' and BioSample '{biosample}' must both be given")
        if runs.setdefault(run, biosample) != biosample:
            raise InputError(f"{path}: line {line}: run '{run}' is of {biosample} and of {runs[run]}; keep one")
    return runs


def join_runs(table: TruthTable, runs: Mapping[str, str] | None) -> JoinedTable:
    """Key a table by run.

    An isolate named by BioSample becomes one row per run of it, one named by run stays one row. Where a run has a
    row of its own, that one is taken and not its BioSample's.

    Parameters
    ----------
    table : TruthTable
    runs : mapping of run to BioSample, or None
        From `read_runs`; None takes the isolates' names as runs.

    Raises
    ------
    InputError
        No isolate is known to the table of runs.
    """
    if runs is None:
        keyed = {isolate: (UNKNOWN, cells) for isolate, cells in table.rows.items()}
        return JoinedTable(_as_text(table.columns, keyed), len(keyed), ())
    keyed = {}
    for run, biosample in runs.items():
        isolate = run if run in table.rows else biosample
        if isolate in table.rows:
            keyed[run] = (biosample, table.rows[isolate])
    biosamples = set(runs.values())
    unmatched = tuple(isolate for isolate in table.rows if isolate not in runs and isolate not in biosamples)
    if not keyed:
        raise InputError(
            f"no isolate ('{next(iter(table.rows), '')}', …) is among the runs ('{next(iter(runs), '')}', …) or their "
            "BioSamples; name isolates by run accession or BioSample"
        )
    return JoinedTable(_as_text(table.columns, keyed), len(keyed), unmatched)


def _as_text(columns: Sequence[str], keyed: Mapping[str, tuple[str, tuple[str, ...]]]) -> str:
    lines = ["\t".join(("sample_id", "biosample", *columns))]
    lines += ["\t".join((run, biosample, *cells)) for run, (biosample, cells) in sorted(keyed.items())]
    return "\n".join(lines) + "\n"
