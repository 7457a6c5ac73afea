"""Training of a fusion on the folders of trained specialists: the rows and the split of the ProTherm specialist."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from copyfold.app.ddg_refine import SpecialistRun, read_specialist_run
from copyfold.app.ddg_results import (
    SIMULATED_NOTE,
    TrainingRows,
    read_proteins,
    run_facts,
    write_metrics,
    write_predictions,
)
from copyfold.app.report import report_stage
from copyfold.core.console import Console, format_seconds
from copyfold.core.files import file_digest, write_text
from copyfold.core.rundir import begin_run, own_run, read_run_record, true_status
from copyfold.ddg.evaluation import as_json, paired_bootstrap
from copyfold.ddg.features.base import base14
from copyfold.ddg.features.poincare import hyperbolic4
from copyfold.ddg.features.protherm import PROTHERM20
from copyfold.ddg.features.sets import FeatureSet
from copyfold.ddg.fusing import Member, best_single, fuse, fusion_inputs, train_fusion
from copyfold.ddg.mutations import parse_mutation
from copyfold.ddg.sequences import encode_sequence
from copyfold.ddg.specialists import DDG_TARGET, load_refiner
from copyfold.ddg.splits import related_to
from copyfold.ddg.training import Split
from copyfold.engine import DeterministicConfig
from copyfold.errors import ConfigError, RunError

ARTEFACTS = ["best.pt", "final.pt", "training_history.json", "metrics.json", "predictions.csv", "attention.csv"]
ANCHOR = "protherm"
"""The specialist whose rows are fused: its features hold what the others need."""
SPECIALISTS = ("s669", ANCHOR, "wide")
REFINER_FOLDERS = ("mlp_refiner", "embedding_transformer")


def fuse_specialists(
    folder: Path, refiners: Sequence[Path], out: Path | None, *, epochs: int, seed: int, resume: bool, console: Console
) -> Path:
    """Train a fusion of the specialists in `folder` (``vae_s669``, ``vae_protherm``, ``vae_wide``); returns its folder.

    Parameters
    ----------
    folder : Path
        What ``copyfold ddg train all`` wrote.
    refiners : sequence of Path
        Folders of refiners; none takes those that lie in `folder`.
    out : Path or None
        Where ``fusion`` goes; None takes `folder`.

    Raises
    ------
    CopyfoldError
        No finished specialists there, a refiner of another one, or a specialist that was trained on everything that the
        fusion would be validated or tested on.
    """
    torch.set_num_threads(min(2, torch.get_num_threads()))
    DeterministicConfig(seed).apply()
    runs = _specialists(folder)
    anchor = runs[ANCHOR]
    split = _judged_fairly(runs, folder, console)
    simulated = any(run.spec.simulated for run in runs.values())
    digests = {name: file_digest(folder / f"vae_{name}" / "best.pt") for name in runs}
    members = _members(
        runs, digests, refiners or [folder / name for name in REFINER_FOLDERS if (folder / name).exists()]
    )
    letters = _letters(anchor.rows)
    features = [_features(run.spec.feature_set, anchor, *letters) for run in runs.values()]
    inputs = fusion_inputs(members, features)
    rows = TrainingRows(anchor.rows.names, anchor.rows.values, anchor.rows.clusters, split, DDG_TARGET, simulated)
    base = best_single(inputs, rows.values, rows.split.validation)
    about = {"specialists": digests, "target": DDG_TARGET, "simulated": simulated}
    home = (out or folder) / "fusion"
    with own_run(home) as run:
        continued = begin_run(
            run,
            {"epochs": epochs, "seed": seed, "predictions": list(inputs.predictions)},
            resume=resume,
            artefacts=ARTEFACTS,
            ignore=frozenset(),
            facts={**run_facts(seed), "kind": "fusion", **about, "inputs": digests},
        )
        with true_status(run):
            started = time.perf_counter()
            run.start_stage("train")
            console.say(
                f"fusion: corrects {inputs.predictions[base]}, the best single model on the validation rows, of "
                f"{', '.join(inputs.predictions)}{f' [{SIMULATED_NOTE}]' if simulated else ''}"
            )
            with console.progress("fusion, epoch", epochs) as progress:
                module, result = train_fusion(
                    inputs,
                    rows.values,
                    base,
                    rows.split,
                    home,
                    epochs=epochs,
                    seed=seed,
                    about=about,
                    resume=continued,
                    on_epoch=lambda done, row: progress(done, f"validation Spearman {row['val_spearman']:.3f}"),
                )
            predicted = fuse(module, inputs)
            write_predictions(run.file("predictions.csv"), rows, predicted)
            write_metrics(run.file("metrics.json"), rows, predicted, "fusion", console)
            unseen = torch.from_numpy(inputs.values[rows.split.validation])
            _write_attention(
                run.file("attention.csv"), list(runs), module.attention(unseen).numpy(), simulated=simulated
            )
            seconds = time.perf_counter() - started
            facts: dict[str, Any] = {"corrects": inputs.predictions[base], "best_epoch": result.best_epoch + 1}
            facts |= {
                "epochs_run": len(result.rows),
                "residual_weight": round(float(module.residual_weight.detach()), 4),
            }
            facts |= _gain(rows, predicted, inputs.predicted(base), console)
            run.finish_stage("train", seconds=round(seconds, 2), **facts)
            report_stage(run, console)
            run.finish("complete")
            console.say(f"fusion: done in {format_seconds(seconds)}")
    return home


def _specialists(folder: Path) -> dict[str, SpecialistRun]:
    missing = [name for name in SPECIALISTS if not (folder / f"vae_{name}" / "run.json").exists()]
    if missing:
        names = ", ".join(f"vae_{name}" for name in missing)
        raise RunError(f"{folder}: no {names}; `copyfold ddg train all --out {folder}` trains all three specialists")
    return {name: read_specialist_run(folder / f"vae_{name}") for name in SPECIALISTS}


def _members(runs: dict[str, SpecialistRun], digests: dict[str, str], refiners: Sequence[Path]) -> list[Member]:
    """Each specialist with the refiners that were trained on it."""
    owned: dict[str, dict[str, Any]] = {name: {} for name in runs}
    for path in refiners:
        module, facts = load_refiner(path)
        owners = [name for name, digest in digests.items() if digest == facts["of"]["checkpoint"]]
        if not owners:
            raise ConfigError(
                f"{path}: corrects another {facts['of']['variant']} specialist than the one given; train it again with "
                f"`copyfold ddg refine {facts['refiner']}`, or name the right ones with --refiner"
            )
        if facts["refiner"] in owned[owners[0]]:
            raise ConfigError(f"{path}: a second {facts['refiner']} refiner of {owners[0]}; give one of them")
        owned[owners[0]][facts["refiner"]] = module
    return [Member(name, run.module, owned[name], run.spec.target == DDG_TARGET) for name, run in runs.items()]


def _judged_fairly(runs: dict[str, SpecialistRun], folder: Path, console: Console) -> Split:
    """The ProTherm specialist's split, without rows to validate or test that another specialist was trained on.

    With a split by clusters these are the rows of its proteins and of their relatives, by the rule of that split; with
    one at random, its mutations. Simulated proteins are left as they are: every simulated set counts from 1.
    """
    anchor = runs[ANCHOR]
    split = anchor.rows.split
    if anchor.spec.simulated:
        return split
    config = read_run_record(folder / f"vae_{ANCHOR}")["config"]
    for name in (one for one in runs if one != ANCHOR):
        if config["split"] == "cluster":
            known, what = (
                _relatives(runs, folder, name, config["identity"], config["coverage"]),
                "proteins or relatives",
            )
        else:
            known, what = _same_mutations(anchor.rows, runs[name].rows), "mutations"
        left = Split(split.train, *(part[~known[part]] for part in (split.validation, split.test)))
        for part, kept in (("validation", left.validation), ("test", left.test)):
            lost = len(getattr(split, part)) - len(kept)
            if not lost:
                continue
            about = f"vae_{name} was trained on {what} of {lost} {part} rows of vae_{ANCHOR}"
            if not len(kept):
                raise RunError(
                    f"{folder}: {about}, and none is left: the fusion would be judged on what it knows; train {name} "
                    "again on data without them"
                )
            console.warn(f"{about}: left out of the fusion's {part}, {len(kept)} are left")
        split = left
    if config["split"] != "cluster":
        console.warn("rows are split at random: the same proteins train and test, which flatters the test's numbers")
    return split


def _relatives(runs: dict[str, SpecialistRun], folder: Path, name: str, identity: float, coverage: float) -> np.ndarray:
    """Rows of the anchor whose protein, or a relative of it, specialist `name` has learnt from: (n,), bool."""
    rows, split = runs[name].rows, runs[name].rows.split
    seen = rows.names["protein"].iloc[np.concatenate([split.train, split.validation])].unique()
    known = read_proteins(folder / f"vae_{name}" / "proteins.csv").query("protein in @seen")
    mine = read_proteins(folder / f"vae_{ANCHOR}" / "proteins.csv")
    related = mine["protein"][related_to(mine["sequence"].tolist(), known["sequence"].tolist(), identity, coverage)]
    names = runs[ANCHOR].rows.names["protein"]
    return (names.isin(related) | names.str.upper().isin([one.upper() for one in seen])).to_numpy()


def _same_mutations(anchor: TrainingRows, other: TrainingRows) -> np.ndarray:
    """Rows of `anchor` that `other` trains or validates with, told by protein and mutation: (n,), bool."""
    seen = np.concatenate([other.split.train, other.split.validation])
    known = set(_identities(other.names.iloc[seen]))
    return np.array([one in known for one in _identities(anchor.names)], dtype=bool)


def _identities(names: pd.DataFrame) -> list[tuple[str, str]]:
    return list(zip(names["protein"].str.upper(), names["mutation"].str.upper(), strict=True))


def _letters(rows: TrainingRows) -> tuple[np.ndarray, np.ndarray]:
    mutations = [parse_mutation(text)[0] for text in rows.names["mutation"]]
    return (
        encode_sequence("".join(one.wild_type for one in mutations)),
        encode_sequence("".join(one.mutant for one in mutations)),
    )


def _features(feature_set: FeatureSet, anchor: SpecialistRun, wild_type: np.ndarray, mutant: np.ndarray) -> np.ndarray:
    """A specialist's features of the fused rows."""
    structured = feature_set.needs_structure
    parts = [anchor.features[:, : len(PROTHERM20)] if structured else base14(wild_type, mutant)]
    if feature_set.hyperbolic:
        parts.append(hyperbolic4(wild_type, mutant))
    return np.ascontiguousarray(np.concatenate(parts, axis=1), dtype=np.float32)


def _write_attention(path: Path, names: list[str], weights: np.ndarray, *, simulated: bool) -> None:
    """``attention.csv``: what share of its attention each specialist gives each other one."""
    head = "# first layer: share of a specialist's attention that each other one gets, mean over the validation rows\n"
    head += f"# {SIMULATED_NOTE}\n" if simulated else ""
    lines = [",".join([name, *(f"{value:.6f}" for value in row)]) for name, row in zip(names, weights, strict=True)]
    write_text(path, head + "\n".join([",".join(["reads", *names]), *lines]) + "\n")


def _gain(rows: TrainingRows, fused: np.ndarray, single: np.ndarray, console: Console) -> dict[str, Any]:
    """Fused minus best single model on the test rows, where there are any."""
    test = rows.split.test
    if not len(test):
        return {}
    found = paired_bootstrap(rows.values[test], fused[test], single[test], rows.clusters[test])
    gain = found["spearman"]
    console.say(
        f"fusion: test Spearman {gain.value:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}] against the model it corrects"
    )
    return {"gain_on_test": as_json({"spearman": gain, "rmse": found["rmse"]})}
