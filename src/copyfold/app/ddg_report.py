"""A run of ``copyfold ddg`` read for its report. What is missing or damaged is told, and the rest is read."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import replace
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from copyfold.app.attempts import Attempts
from copyfold.core.files import read_json, read_npy
from copyfold.ddg.structures import read_structure
from copyfold.errors import CopyfoldError, InputError
from copyfold.report.ddg.leaderboard import BenchmarkResults
from copyfold.report.ddg.results import DdgResults, RunScore
from copyfold.report.ddg.scan import ASSAY_PREFIX, ScanResults

SCAN_TABLE = "scan.csv"
BENCHMARK = "benchmark.json"
BENCHMARK_FORMAT = "copyfold-ddg-benchmark/1"
DMS_BENCHMARK_FORMAT = "copyfold-ddg-dms-benchmark/1"
METRICS_FORMAT = "copyfold-ddg-metrics/1"
_COLUMNS = ("protein", "mutation", "source", "cluster", "split", "target", "predicted")
_SCAN_COLUMNS = ("position", "wild_type", "mutant", "ddg_kcal_mol", "sigma_kcal_mol", "in_domain", "reason")


def read_ddg_results(run: Path, record: Mapping[str, Any]) -> DdgResults:
    """Read everything that a report shows of a specialist or refiner.

    Raises
    ------
    CopyfoldError
        The predictions cannot be read. What else is missing is named in ``unread``.
    """
    run = Path(run).resolve()
    attempt = Attempts()

    predictions = _predictions(run / "predictions.csv")
    return DdgResults(
        name="/".join(run.parts[-2:]),
        record=record,
        predictions=predictions,
        history=attempt(lambda: _history(run / "training_history.json")),
        metrics=attempt(lambda: _metrics(run / "metrics.json")),
        latents=attempt(lambda: _latents(run, record, len(predictions))),
        attention=attempt(lambda: _attention(run / "attention.csv")),
        others=_others(run),
        unread=tuple(attempt.failures),
    )


def read_scan(folder: Path, structure: Path | None) -> ScanResults:
    """Read a folder of ``copyfold ddg scan``.

    Parameters
    ----------
    folder : Path
    structure : Path or None
        The file that was scanned; where it is an AlphaFold model its pLDDT is shown.

    Raises
    ------
    CopyfoldError
        The table cannot be read, or the structure is not the one that was scanned.
    """
    folder = Path(folder).resolve()
    path = folder / SCAN_TABLE
    again = "scan again"
    try:
        with path.open(encoding="utf-8") as lines:
            about = tuple(line[1:].strip() for line in takewhile(lambda line: line.startswith("#"), lines))
        text = {"position": str, "wild_type": str, "mutant": str, "reason": str}
        table = pd.read_csv(path, comment="#", keep_default_na=False, na_values=[""], dtype=text)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({str(error).splitlines()[0]}); {again}") from None
    if lacking := set(_SCAN_COLUMNS) - set(table.columns):
        raise InputError(f"{path}: has no column {min(lacking)}; {again}")
    if not len(table):
        raise InputError(f"{path}: a header and no rows; {again}")
    if table[["position", "wild_type", "mutant"]].isna().any(axis=None):
        raise InputError(f"{path}: a row without position, wild_type or mutant; {again}")
    for name in ("ddg_kcal_mol", "sigma_kcal_mol", *(one for one in table if one.startswith(ASSAY_PREFIX))):
        table[name] = pd.to_numeric(table[name], errors="coerce")
    results = ScanResults(folder.name, about[1:], table.assign(reason=table["reason"].fillna("")))
    return results if structure is None else replace(results, plddt=_plddt(structure, results))


def read_benchmark(folder: Path) -> BenchmarkResults:
    """Read a folder of ``copyfold ddg benchmark``.

    Raises
    ------
    InputError
        Its benchmark.json cannot be read or is of another format.
    """
    path = Path(folder).resolve() / BENCHMARK
    content = read_json(path)
    tables = _method_tables(content) if isinstance(content, dict) else []
    if not tables or not all(_is_method(one) for each in tables for one in each):
        raise InputError(
            f"{path}: not of format {BENCHMARK_FORMAT} or {DMS_BENCHMARK_FORMAT}; score the benchmark again"
        )
    return BenchmarkResults(path.parent.name, content)


def _is_method(one: object) -> bool:
    if not isinstance(one, dict) or not isinstance(one.get("n"), int) or not isinstance(one.get("direct"), dict):
        return False
    gap = one.get("copyfold_minus_this") or {}
    return isinstance(gap, dict) and all(_is_metric(value) for part in (one["direct"], gap) for value in part.values())


def _method_tables(content: dict[str, Any]) -> list[list[Any]]:
    """Every method of the benchmark, or of each of its assays; none of another format."""
    if content.get("format") == BENCHMARK_FORMAT:
        methods = content.get("methods")
        return [list(methods.values())] if isinstance(methods, dict) else []
    assays = content.get("assays")
    if content.get("format") != DMS_BENCHMARK_FORMAT or not isinstance(assays, dict):
        return []
    return [
        [{"n": assay.get("n"), "direct": one} for one in assay["methods"].values()]
        for assay in assays.values()
        if isinstance(assay, dict) and isinstance(assay.get("methods"), dict)
    ]


def _plddt(path: Path, results: ScanResults) -> np.ndarray | None:
    """pLDDT of the scanned sites."""
    chain = re.search(r" chain (\S+)$", results.about[-1]) if results.about else None
    structure = read_structure(path, None if chain is None else chain[1])
    numbers = zip(structure.numbers.tolist(), structure.insertion_codes, structure.sequence, strict=True)
    found = {(f"{number}{code}", letter): row for row, (number, code, letter) in enumerate(numbers)}
    sites = list(zip(results.sites["position"], results.sites["wild_type"], strict=True))
    if missing := [site for site in sites if site not in found]:
        position, letter = missing[0]
        raise InputError(f"{path}: has no residue {letter}{position}; give the structure that was scanned")
    return None if structure.plddt is None else structure.plddt[[found[site] for site in sites]]


def _predictions(path: Path) -> pd.DataFrame:
    again = "train again, with --resume"
    try:
        table = pd.read_csv(path, comment="#", keep_default_na=False, dtype={"protein": str, "mutation": str})
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({str(error).splitlines()[0]}); {again}") from None
    if lacking := set(_COLUMNS) - set(table.columns):
        raise InputError(f"{path}: has no column {min(lacking)}; {again}")
    for name in ("target", "predicted"):
        table[name] = pd.to_numeric(table[name], errors="coerce")
    table = table[np.isfinite(table["target"]) & np.isfinite(table["predicted"])].reset_index(drop=True)
    if table.empty:
        raise InputError(f"{path}: holds no prediction; {again}")
    return table


def _history(path: Path) -> pd.DataFrame:
    epochs = _mapping(path).get("epochs")
    if not isinstance(epochs, list) or not all(isinstance(row, dict) and "epoch" in row for row in epochs):
        raise InputError(f"{path}: has no list of epochs; train again")
    return pd.DataFrame(epochs).apply(pd.to_numeric, errors="coerce")


def _metrics(path: Path) -> dict[str, Any]:
    found = _mapping(path)
    if found.get("format") != METRICS_FORMAT:
        raise InputError(f"{path}: not of format {METRICS_FORMAT}; train again")
    if not all(_is_agreement(found[part]) for part in ("validation", "test") if part in found):
        raise InputError(f"{path}: damaged (its agreement is not made of numbers); train again")
    return found


def _is_agreement(part: object) -> bool:
    """Whether a part of metrics.json is what `copyfold.app.ddg_results.write_metrics` writes."""
    names = ("spearman", "pearson", "rmse", "mae", "sign_accuracy")
    return (
        isinstance(part, dict)
        and isinstance(part.get("n"), int)
        and all(name in part and _is_metric(part[name]) for name in names)
    )


def _is_metric(value: object) -> bool:
    """A number, or one with its interval; None stands for what is not defined."""
    if isinstance(value, dict):
        low, high = value.get("low"), value.get("high")
        return (low is None) == (high is None) and all(_is_number(one) for one in (value.get("value"), low, high))
    return _is_number(value)


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and abs(value) < sys.float_info.max)


def _mapping(path: Path) -> dict[str, Any]:
    found = read_json(path)
    if not isinstance(found, dict):
        raise InputError(f"{path}: not an object; train again")
    return found


def _latents(run: Path, record: Mapping[str, Any], n_rows: int) -> np.ndarray | None:
    """Latent means of the rows, by the trained specialist; None for what has none of its own."""
    if record.get("kind") != "specialist":
        return None
    import torch

    from copyfold.ddg.specialists import load_specialist

    module, _ = load_specialist(run)
    features = read_npy(run / "features.npy", mmap=False)
    if features.dtype != np.float32 or features.shape != (n_rows, module.input_dim):
        raise InputError(
            f"{run / 'features.npy'}: is {features.shape} {features.dtype}, for {n_rows} predictions; train again"
        )
    with torch.no_grad():
        latents: np.ndarray = module.encode(torch.from_numpy(features)).mean.numpy()
    return latents


def _attention(path: Path) -> pd.DataFrame | None:
    if not path.exists():
        return None
    try:
        table = pd.read_csv(path, comment="#")
        table = table.assign(**{name: pd.to_numeric(table[name]) for name in table.columns[1:]})
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({str(error).splitlines()[0]}); train again") from None
    if len(table.columns) < 2 or not len(table):
        raise InputError(f"{path}: holds no weights; train again")
    return table


def _others(run: Path) -> tuple[RunScore, ...]:
    """The runs in the folder that this one lies in, itself among them, by name."""
    found = []
    for path in sorted(run.parent.glob("*/metrics.json")):
        try:
            found.append(RunScore(path.parent.name, _metrics(path)))
        except CopyfoldError:
            continue  # what is not a run of ours is none of our business
    return tuple(found)
