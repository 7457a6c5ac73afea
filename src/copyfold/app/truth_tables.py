"""Writing ground-truth tables from the results of AMRFinder+ and Kleborate."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from copyfold.cnv.truth import ASSEMBLY_NOTE, KLEBORATE_GENE
from copyfold.cnv.truth_builders import (
    DOCUMENT_FAMILIES,
    TruthTable,
    amrfinder_table,
    join_runs,
    read_amrfinder,
    read_kleborate,
    read_runs,
    read_truth_table,
)
from copyfold.core.console import Console
from copyfold.core.files import write_text
from copyfold.errors import ConfigError, InputError

ALL_FAMILIES = "all"
_TABLE_ENDINGS = (".tsv", ".txt", ".tab", ".tsv.gz", ".txt.gz")


def write_amrfinder_truth(
    inputs: Sequence[Path],
    out: Path,
    runs_path: Path | None,
    families: Sequence[str],
    console: Console,
    *,
    counts: bool = False,
    count_partial: bool = False,
) -> None:
    """AMRFinder+ tables (or folders of them) → one truth table (``kpsc_gt_path``).

    Parameters
    ----------
    inputs : sequence of Path
    out : Path
    runs_path : Path or None
        Table of runs and BioSamples; None takes isolates' names as runs.
    families : sequence of str
        Columns; empty takes `DOCUMENT_FAMILIES`, ``all`` every family found.
    console : Console
    counts, count_partial : bool
        See `amrfinder_table`, `read_amrfinder`.

    Raises
    ------
    CopyfoldError
    """
    files = _find_tables(inputs)
    isolates = read_amrfinder(files, count_partial=count_partial)
    if ALL_FAMILIES in families and len(families) > 1:
        raise ConfigError(f"--family {ALL_FAMILIES}: takes every family; leave the other --family away")
    chosen = None if list(families) == [ALL_FAMILIES] else families or DOCUMENT_FAMILIES
    _write(amrfinder_table(isolates, chosen, counts=counts), [*files, runs_path], out, runs_path, console)


def write_kleborate_truth(path: Path, out: Path, runs_path: Path | None, console: Console) -> None:
    """Kleborate's table → run, BioSample, species, ST, copies of blaSHV (``kpsc_kleborate_gt_path``).

    Raises
    ------
    CopyfoldError
    """
    table = read_kleborate(path)
    _write(table, [path, runs_path], out, runs_path, console)
    console.say(ASSEMBLY_NOTE.format(gene=KLEBORATE_GENE))


def write_joined_truth(path: Path, out: Path, runs_path: Path, console: Console) -> None:
    """Key a truth table by run instead of BioSample.

    Raises
    ------
    CopyfoldError
    """
    _write(read_truth_table(path), [path, runs_path], out, runs_path, console)


def _write(
    table: TruthTable, inputs: Sequence[Path | None], out: Path, runs_path: Path | None, console: Console
) -> None:
    if any(path is not None and path.exists() and out.exists() and path.samefile(out) for path in inputs):
        raise ConfigError(f"--out {out}: is an input, too; choose another name")
    joined = join_runs(table, read_runs(runs_path) if runs_path else None)
    write_text(out, joined.text)
    if joined.unmatched:
        some = ", ".join(joined.unmatched[:5]) + (", …" if len(joined.unmatched) > 5 else "")
        console.warn(f"{len(joined.unmatched)} isolates are not in {runs_path} and are left out: {some}")
    console.say(f"{out}: {joined.n_runs} runs, {len(table.columns)} columns")


def _find_tables(inputs: Sequence[Path]) -> list[Path]:
    files: list[Path] = []
    for path in inputs:
        if path.is_dir():
            found = sorted(item for item in path.iterdir() if item.name.endswith(_TABLE_ENDINGS))
            if not found:
                raise InputError(f"{path}: holds no {', '.join(_TABLE_ENDINGS)} file; name the tables one by one")
            files += found
        else:
            files.append(path)
    return files
