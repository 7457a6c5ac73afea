"""Training of the specialists of stability, from configuration to evaluation: one run folder each."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from copyfold.app.ddg_inputs import Prepared, prepare
from copyfold.app.ddg_results import SIMULATED_NOTE, run_facts, write_metrics, write_predictions, write_proteins
from copyfold.app.report import report_stage
from copyfold.core.config import build_config, load_config, override_values
from copyfold.core.console import Console, format_seconds
from copyfold.core.files import write_npy
from copyfold.core.rundir import RunDirectory, begin_run, own_run, true_status
from copyfold.ddg.config import DdgConfig
from copyfold.ddg.models.variants import VARIANTS
from copyfold.ddg.simulation import LABEL
from copyfold.ddg.specialists import specialist_facts
from copyfold.ddg.training import SpecialistSettings, predict, train_specialist
from copyfold.engine import DeterministicConfig
from copyfold.errors import ConfigError, RunError

ARTEFACTS = [
    "best.pt",
    "final.pt",
    "training_history.json",
    "metrics.json",
    "predictions.csv",
    "features.npy",
    "proteins.csv",
]
QUICK_EPOCHS = 20
QUICK_ROWS = 2000


def train_specialists(
    names: Sequence[str],
    config: Path | None,
    overrides: Sequence[str],
    *,
    data: Path | None,
    structures: Path | None,
    out: Path | None,
    quick: bool,
    resume: bool,
    console: Console,
) -> list[Path]:
    """Train specialists one after another; returns their run folders, ``<out>/vae_<name>``.

    Parameters
    ----------
    names : sequence of str
        Of `VARIANTS`.
    config : Path or None
        YAML of one specialist, or a folder that holds ``<name>.yaml`` of each; None takes the documents' values.
    overrides : sequence of str
        ``key=value`` that replace keys of the file.
    data, structures, out : Path or None
        Replace keys ``data``, ``structures`` and ``out_dir``.
    quick : bool
        At most 20 epochs on 2,000 rows; without data, on a small simulated set.
    resume : bool
        Continue what the folders hold; an empty one just starts.

    Raises
    ------
    CopyfoldError
        Bad configuration, bad input, or a folder that cannot be used. Nothing is half-written.
    """
    configs = {}
    for name in names:
        configs[name] = _configured(name, config, overrides, data=data, structures=structures, out=out, quick=quick)
    return [_train(configs[name], resume=resume, quick=quick, console=console) for name in names]


def resume_specialist(path: Path, record: Mapping[str, Any], console: Console) -> Path:
    """Continue a specialist's run by the configuration in its record; returns the run's folder.

    Raises
    ------
    CopyfoldError
        The configuration no longer holds, the inputs are gone or have changed, or the folder is in use.
    """
    path = path.resolve()
    values = {**record["config"], "out_dir": str(path.parent)}
    config = build_config(DdgConfig, override_values(DdgConfig, values, ()), str(path / "run.json"))
    if path.name != f"vae_{config.variant}":
        raise RunError(f"{path}: was vae_{config.variant} when it was begun; name it so again")
    return _train(config, resume=True, quick=bool(record.get("quick")), console=console)


def _configured(
    name: str, path: Path | None, overrides: Sequence[str], *, quick: bool, **paths: Path | None
) -> DdgConfig:
    keys = {"data": "data", "structures": "structures", "out": "out_dir"}
    given = [f"{keys[option]}={json.dumps(str(value))}" for option, value in paths.items() if value is not None]
    changes = [*overrides, *given]
    if path is None:
        config = build_config(DdgConfig, override_values(DdgConfig, {"variant": name}, changes), f"ddg train {name}")
    else:
        file = path / f"{name}.yaml" if path.is_dir() else path
        config = load_config(DdgConfig, file, changes)
        if config.variant != name:
            raise ConfigError(
                f"{file}: is for variant {config.variant}, not {name}; for several specialists give --config a folder "
                "with s669.yaml, protherm.yaml and wide.yaml"
            )
    if config.data is None and not quick:
        raise ConfigError(
            f"{name}: no data; give --data (a table or folder from `copyfold ddg data import`), or try it out with "
            f"--quick, which trains on a small {LABEL} set"
        )
    if quick:
        rows = QUICK_ROWS if config.max_rows is None else min(config.max_rows, QUICK_ROWS)
        config = config.model_copy(update={"epochs": min(config.epochs, QUICK_EPOCHS), "max_rows": rows})
    return config


def _train(config: DdgConfig, *, resume: bool, quick: bool, console: Console) -> Path:
    torch.set_num_threads(min(2, torch.get_num_threads()))  # more threads only contend for steps this small
    DeterministicConfig(config.seed).apply()
    prepared = prepare(config, console)
    folder = config.out_dir / f"vae_{config.variant}"
    feature_set = VARIANTS[config.variant].feature_set(use_hyperbolic=config.use_hyperbolic)
    about = specialist_facts(config.variant, feature_set, prepared.rows.target, simulated=prepared.rows.simulated)
    with own_run(folder) as run:
        continued = begin_run(
            run,
            config.model_dump(mode="json"),
            resume=resume,
            artefacts=ARTEFACTS,
            ignore=frozenset({"out_dir", "data", "structures", "held_out"}),
            facts={**run_facts(config.seed), **about, "quick": quick, "inputs": prepared.inputs}
            | {"left_out": prepared.left_out},
        )
        with true_status(run):
            sizes = [len(part) for part in prepared.rows.split]
            console.say(
                f"vae_{config.variant}: {sizes[0]} mutations to train, {sizes[1]} to validate, {sizes[2]} to test; "
                f"{len(np.unique(prepared.rows.clusters))} {'clusters' if config.split == 'cluster' else 'proteins'}"
                f"{f' [{SIMULATED_NOTE}]' if prepared.rows.simulated else ''}{', continuing' if continued else ''}"
            )
            started = time.perf_counter()
            run.start_stage("train")
            found = _fit(config, prepared, run, about, resume=continued, console=console)
            seconds = time.perf_counter() - started
            run.finish_stage("train", seconds=round(seconds, 2), threads=torch.get_num_threads(), **found)
            report_stage(run, console)
            run.finish("complete")
            console.say(f"vae_{config.variant}: done in {format_seconds(seconds)}")
    return folder


def _fit(
    config: DdgConfig, prepared: Prepared, run: RunDirectory, about: dict[str, Any], *, resume: bool, console: Console
) -> dict[str, Any]:
    features = prepared.data.features(VARIANTS[config.variant].feature_set(use_hyperbolic=config.use_hyperbolic))
    names = SpecialistSettings.__dataclass_fields__
    settings = SpecialistSettings(**{name: getattr(config, name) for name in names})
    with console.progress(f"vae_{config.variant}, epoch", config.epochs) as progress:
        module, result = train_specialist(
            features,
            prepared.rows.values,
            prepared.rows.split,
            settings,
            run.path,
            about=about,
            resume=resume,
            on_epoch=lambda done, row: progress(done, f"validation Spearman {row['val_spearman']:.3f}"),
        )
    predicted = predict(module, features)
    write_npy(run.file("features.npy"), features)
    write_predictions(run.file("predictions.csv"), prepared.rows, predicted)
    write_proteins(run.file("proteins.csv"), prepared.rows)
    write_metrics(run.file("metrics.json"), prepared.rows, predicted, f"vae_{config.variant}", console)
    return {"best_epoch": result.best_epoch + 1, "epochs_run": len(result.rows)}
