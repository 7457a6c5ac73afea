"""What a trained specialist or refiner says of its rows, in files: predictions and agreement."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from copyfold.core.console import Console
from copyfold.core.files import write_json, write_text
from copyfold.core.rundir import python_facts
from copyfold.ddg.evaluation import as_json, cluster_bootstrap, per_protein, regression_metrics
from copyfold.ddg.simulation import LABEL
from copyfold.ddg.training import Split
from copyfold.errors import InputError
from copyfold.version import __version__

METRICS_FORMAT = "copyfold-ddg-metrics/1"
PREDICTIONS_FORMAT = "copyfold-ddg-predictions/1"
PROTEINS_FORMAT = "copyfold-ddg-proteins/1"
SIMULATED_NOTE = f"{LABEL} data, made by a stated law: these numbers say nothing of real proteins"


@dataclass(frozen=True, eq=False)
class TrainingRows:
    """The rows of a training, measured and split.

    Attributes
    ----------
    names : pandas.DataFrame
        Columns `protein`, `mutation`, `source`.
    values : numpy.ndarray, (n,), float32
        Measured.
    clusters : numpy.ndarray, (n,), int64
        Cluster of homologous proteins; with a random split, the protein.
    split : Split
    target : str
        What the values are, with unit and sign.
    simulated : bool
    """

    names: pd.DataFrame
    values: np.ndarray
    clusters: np.ndarray
    split: Split
    target: str
    simulated: bool


def write_predictions(path: Path, rows: TrainingRows, predicted: np.ndarray) -> None:
    """``predictions.csv``: every row with its part of the split, measured and predicted."""
    parts = np.full(len(rows.names), "unused", dtype="<U10")
    for name, members in rows.split._asdict().items():
        parts[members] = name
    table = rows.names[["protein", "mutation", "source"]].assign(
        cluster=rows.clusters, split=parts, target=rows.values, predicted=predicted
    )
    head = f"# {PREDICTIONS_FORMAT}\n# target, predicted: {rows.target}\n"
    head += f"# {SIMULATED_NOTE}\n" if rows.simulated else ""
    write_text(path, head + table.to_csv(index=False, float_format="%.9g", lineterminator="\n"))


def read_predictions(path: Path, target: str, *, simulated: bool) -> TrainingRows:
    """Rows of ``predictions.csv`` as they were split and measured.

    Raises
    ------
    InputError
        Missing, damaged, or of another format.
    """
    with _reading(path, PREDICTIONS_FORMAT, "predictions"):
        table = pd.read_csv(path, comment="#", keep_default_na=False)
        parts = (np.flatnonzero(table["split"] == name) for name in Split._fields)
        clusters, values = table["cluster"].to_numpy(np.int64), table["target"].to_numpy(np.float32)
        names = table[["protein", "mutation", "source"]]
    return TrainingRows(names, values, clusters, Split(*parts), target, simulated)


def write_proteins(path: Path, rows: TrainingRows) -> None:
    """``proteins.csv``: the proteins of `rows`, whose names have a column `sequence`, with their sequences."""
    table = rows.names[["protein", "sequence"]].drop_duplicates()
    head = f"# {PROTEINS_FORMAT}\n" + (f"# {SIMULATED_NOTE}\n" if rows.simulated else "")
    write_text(path, head + table.to_csv(index=False, lineterminator="\n"))


def read_proteins(path: Path) -> pd.DataFrame:
    """Columns `protein` and `sequence` of ``proteins.csv``; a name may have several sequences.

    Raises
    ------
    InputError
        Missing, damaged, or of another format.
    """
    with _reading(path, PROTEINS_FORMAT, "proteins"):
        return pd.read_csv(path, comment="#", keep_default_na=False, dtype=str)[["protein", "sequence"]]


@contextmanager
def _reading(path: Path, form: str, what: str) -> Iterator[None]:
    """Check that the file says it is of `form`, and tell what goes wrong while it is read."""
    try:
        with path.open(encoding="utf-8") as lines:
            if lines.readline().rstrip("\n") != f"# {form}":
                raise InputError(f"{path}: not {what} of format {form}; train again")
        yield
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{path}: cannot be read ({error}); train again") from None


def write_metrics(path: Path, rows: TrainingRows, predicted: np.ndarray, title: str, console: Console) -> None:
    """``metrics.json``: agreement on the validation rows and, with intervals over clusters, on the test rows."""
    measured = rows.values
    metrics: dict[str, Any] = {"format": METRICS_FORMAT, "target": rows.target, "simulated": rows.simulated}
    metrics |= {"note": SIMULATED_NOTE} if rows.simulated else {}
    validation, test = rows.split.validation, rows.split.test
    metrics["validation"] = as_json(regression_metrics(measured[validation], predicted[validation]))
    metrics["validation"]["note"] = "these rows chose the epoch"
    said = f"validation Spearman {_shown(metrics['validation']['spearman'])} (n {len(validation)}, chose the epoch)"
    if len(test):
        intervals = cluster_bootstrap(measured[test], predicted[test], rows.clusters[test])
        proteins = per_protein(measured[test], predicted[test], rows.names["protein"].to_numpy(str)[test])
        metrics["test"] = {"n": len(test), **as_json(intervals), "per_protein": as_json(proteins)}
        spearman = metrics["test"]["spearman"]
        limits = ", ".join(_shown(spearman[limit]) for limit in ("low", "high"))
        said += f"; test Spearman {_shown(spearman['value'])} [{limits}] (n {len(test)})"
    write_json(path, metrics)
    console.say(f"{title}: {said}{f' [{LABEL}]' if rows.simulated else ''}")


def _shown(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.3f}"


def run_facts(seed: int) -> dict[str, Any]:
    """Versions and seed, for ``run.json``."""
    return {
        "copyfold": __version__,
        "versions": {**python_facts(), "torch": torch.__version__, "numpy": np.__version__},
        "seed": seed,
    }
