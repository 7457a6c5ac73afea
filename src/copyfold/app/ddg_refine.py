"""Training of a refiner on a trained specialist: its rows, its split, its latent."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from copyfold.app.ddg_results import (
    SIMULATED_NOTE,
    TrainingRows,
    read_predictions,
    run_facts,
    write_metrics,
    write_predictions,
)
from copyfold.app.report import report_stage
from copyfold.core.console import Console, format_seconds
from copyfold.core.files import file_digest, read_npy, write_text
from copyfold.core.rundir import begin_run, own_run, read_run_record, true_status
from copyfold.ddg.models.ddgvae import DDGVAE
from copyfold.ddg.models.refiners import EmbeddingTransformer
from copyfold.ddg.specialists import SpecialistSpec, load_specialist
from copyfold.ddg.training import refiner_inputs, train_refiner
from copyfold.engine import DeterministicConfig
from copyfold.errors import InputError, RunError

FOLDERS = {"mlp": "mlp_refiner", "transformer": "embedding_transformer"}
ARTEFACTS = ["best.pt", "final.pt", "training_history.json", "metrics.json", "predictions.csv", "attention.csv"]


@dataclass(frozen=True, eq=False)
class SpecialistRun:
    """A finished specialist with what it was trained on.

    Attributes
    ----------
    module : DDGVAE
    spec : SpecialistSpec
    rows : TrainingRows
    features : numpy.ndarray, (n, d), float32
    """

    module: DDGVAE
    spec: SpecialistSpec
    rows: TrainingRows
    features: np.ndarray


def read_specialist_run(path: Path) -> SpecialistRun:
    """A run folder of ``copyfold ddg train`` with its rows, features and split.

    Raises
    ------
    CopyfoldError
        Not such a folder, not trained to the end, or its files do not fit each other.
    """
    record = read_run_record(path)
    if record.get("status") != "complete" or record.get("kind") != "specialist":
        raise RunError(f"{path}: holds no finished specialist; `copyfold ddg train … --resume` finishes one")
    module, spec = load_specialist(path)
    rows = read_predictions(path / "predictions.csv", spec.target, simulated=spec.simulated)
    features = read_npy(path / "features.npy", mmap=False)
    if features.dtype != np.float32 or features.shape != (len(rows.values), module.input_dim):
        raise InputError(
            f"{path}: features.npy is {features.shape} {features.dtype}, predictions.csv has {len(rows.values)} rows; "
            "train again"
        )
    return SpecialistRun(module, spec, rows, features)


def refine_specialist(
    kind: str, run_path: Path, out: Path | None, *, epochs: int, seed: int, resume: bool, console: Console
) -> Path:
    """Train the refiner `kind` (``mlp`` or ``transformer``) on a specialist's run; returns the refiner's folder.

    Raises
    ------
    CopyfoldError
        No finished specialist there, or a folder that cannot be used.
    """
    torch.set_num_threads(min(2, torch.get_num_threads()))
    DeterministicConfig(seed).apply()
    source = read_specialist_run(run_path)
    folder = (out or run_path.resolve().parent) / FOLDERS[kind]
    about = {
        "kind": "refiner",
        "refiner": kind,
        "latent_dim": source.module.latent_dim,
        "of": {"variant": source.spec.variant, "checkpoint": file_digest(run_path / "best.pt")},
        "target": source.spec.target,
        "simulated": source.spec.simulated,
    }
    with own_run(folder) as run:
        continued = begin_run(
            run,
            {"refiner": kind, "epochs": epochs, "seed": seed},
            resume=resume,
            artefacts=ARTEFACTS,
            ignore=frozenset(),
            facts={**run_facts(seed), **about, "inputs": {"specialist": about["of"]["checkpoint"]}},
        )
        with true_status(run):
            started = time.perf_counter()
            run.start_stage("train")
            with console.progress(f"{FOLDERS[kind]}, epoch", epochs) as progress:
                refiner, result = train_refiner(
                    kind,
                    source.module,
                    source.features,
                    source.rows.values,
                    source.rows.split,
                    folder,
                    epochs=epochs,
                    seed=seed,
                    about=about,
                    resume=continued,
                    on_epoch=lambda done, row: progress(done, f"validation Spearman {row['val_spearman']:.3f}"),
                )
            inputs = refiner_inputs(source.module, source.features, source.rows.values)
            latent, predicted = inputs[:, :-2], inputs[:, -2]
            with torch.no_grad():
                refined = refiner(latent, predicted).numpy()
            write_predictions(run.file("predictions.csv"), source.rows, refined)
            write_metrics(run.file("metrics.json"), source.rows, refined, FOLDERS[kind], console)
            facts: dict[str, Any] = {"best_epoch": result.best_epoch + 1, "epochs_run": len(result.rows)}
            facts["residual_weight"] = round(float(refiner.residual_weight.detach()), 4)
            if isinstance(refiner, EmbeddingTransformer):
                unseen = latent[source.rows.split.validation]
                _write_attention(run.file("attention.csv"), refiner, unseen, simulated=source.spec.simulated)
                console.say(_most_attended(refiner.attention(unseen)))
            seconds = time.perf_counter() - started
            run.finish_stage("train", seconds=round(seconds, 2), **facts)
            report_stage(run, console)
            run.finish("complete")
            weight = facts["residual_weight"]
            console.say(f"{FOLDERS[kind]}: weight of the correction {weight}; done in {format_seconds(seconds)}")
    return folder


def _write_attention(path: Path, refiner: EmbeddingTransformer, latent: torch.Tensor, *, simulated: bool) -> None:
    """``attention.csv``: mean attention of the readout to each latent dimension, by layer, over the validation rows."""
    weights = refiner.attention(latent).numpy()
    head = "# mean attention of the readout token to each latent dimension, numbered from 0, over the validation rows\n"
    head += f"# {SIMULATED_NOTE}\n" if simulated else ""
    columns = ",".join(["dimension", *(f"layer{layer + 1}" for layer in range(len(weights)))])
    rows = [",".join([str(number), *(f"{value:.6f}" for value in column)]) for number, column in enumerate(weights.T)]
    write_text(path, f"{head}{columns}\n" + "\n".join(rows) + "\n")


def _most_attended(weights: torch.Tensor) -> str:
    shares = weights.mean(dim=0).numpy()
    shares = shares / shares.sum()
    most = ", ".join(f"{number} ({shares[number]:.0%})" for number in np.argsort(-shares)[:5])
    return f"latent dimensions attended to most: {most}; alike, each would have {1 / len(shares):.0%}"
