"""A copy-number run from configuration to evaluation, and its stages one by one."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numba
import numpy as np
import torch

from copyfold.app.report import REPORT_STAGE, report_stage
from copyfold.app.training_ranks import TASKS, check_trains_on_ranks, help_to_train
from copyfold.cnv.callers import PLASMID_MODELS
from copyfold.cnv.config import CnvConfig
from copyfold.cnv.inputs import CnvInputs, load_inputs
from copyfold.cnv.pipeline import ARTEFACTS, STAGES, Job, train
from copyfold.cnv.store import Contigs
from copyfold.core.config import build_config, load_config, override_values
from copyfold.core.console import Console, format_seconds
from copyfold.core.files import file_digest, write_bytes, write_npy
from copyfold.core.registry import find_modules_in
from copyfold.core.rundir import RunDirectory, begin_run, own_run, python_facts, read_run_record, true_status
from copyfold.core.torchrun import own_place
from copyfold.engine import DeterministicConfig, Ranks, join_ranks, pick_device, rank_device
from copyfold.errors import ConfigError, InputError, RunError
from copyfold.version import __version__

STAGE_KEYS = {
    "infer": (),
    "segment": ("hmm",),
    "call": ("cnv", "pcn_", "gene_coords_path", "plasmid_"),
    "evaluate": ("evaluation", "eval_", "kpsc_"),
}
"""What the keys begin with that may be changed when a stage is run again: those it is the first to read."""
NOT_CALLERS = ("cnv_pattern_",)
STORES = frozenset({"store_path", "plasmid_store_path"})
"""Paths that may differ when a run goes on: stores may have moved, their digests say that they are the same."""


READ_BY = {
    "store_path": "train",
    "bins_path": "train",
    "plasmid_store_path": "call",
    "gene_coords_path": "call",
    "plasmid_gene_coords_path": "call",
}
"""The stage that reads each input first: a later stage, run by itself, must find it unchanged."""


def train_run(config_path: Path, overrides: Sequence[str], *, resume: bool, device: str, console: Console) -> Path:
    """Do all of the document: train, infer, segment, call, evaluate. Returns the run's folder.

    Of the processes that ``torchrun`` started, the first one does this and the others help it to train.

    Parameters
    ----------
    config_path : Path
        YAML, the documents' schema.
    overrides : sequence of str
        ``key=value`` that replace keys of the file.
    resume : bool
        Continue the run that ``out_dir`` holds; an empty folder just starts.
    device : str
        ``auto``, ``cpu``, ``cuda[:N]`` or ``mps``.

    Raises
    ------
    CopyfoldError
        Bad configuration, bad input, or a folder that cannot be used. Nothing is half-written.
    """
    place = own_place()
    if place.rank > 0:
        return help_to_train(config_path, overrides, place, device)
    find_modules_in(config_path.parent)
    config = load_config(CnvConfig, config_path, overrides)
    if place.size > 1:
        check_trains_on_ranks(config)
    folder = str(config_path.resolve().parent)
    return _run(config, folder, resume=resume, device=device, console=console)


def continue_run(path: Path, record: Mapping[str, Any], *, device: str, console: Console) -> Path:
    """Continue the run of a folder by the configuration in its record; returns the folder.

    Raises
    ------
    CopyfoldError
        The configuration no longer holds, the inputs are gone or have changed, or the folder is in use.
    """
    folder = record.get("config_folder", str(path))
    find_modules_in(Path(folder))
    values: dict[str, Any] = {**record["config"], "out_dir": str(path.resolve())}
    config = build_config(CnvConfig, override_values(CnvConfig, values, ()), str(path / "run.json"))
    return _run(config, folder, resume=True, device=device, console=console)


def _run(config: CnvConfig, config_folder: str, *, resume: bool, device: str, console: Console) -> Path:
    place = own_place()
    torch_device = rank_device(place, device)
    inputs = load_inputs(config)
    with own_run(config.out_dir) as run:
        artefacts = [name for names in ARTEFACTS.values() for name in names]
        continued = begin_run(
            run,
            config.model_dump(mode="json"),
            resume=resume,
            artefacts=artefacts,
            ignore=STORES | {"out_dir"},
            facts={
                **_facts(torch_device),
                "processes": place.size,
                "seed": config.seed,
                "config_folder": config_folder,
                "columns": columns_digest(inputs.store.contigs),
                "inputs": _digests(config),
            },
        )
        with true_status(run):
            store = inputs.store
            console.say(
                f"{store.n_samples} samples × {store.n_bins} bins, {config.architecture} on {torch_device}"
                f"{f' and {place.size - 1} more' if place.size > 1 else ''}{', continuing' if continued else ''}"
            )
            ranks = join_ranks(place, torch_device)
            job = _job(config, inputs, run, torch_device, console, ranks)
            to_train = not (continued and run.stage_done("train"))
            ranks.largest(TASKS.index((to_train, continued)))
            if to_train:
                _do(job, "train", lambda: train(job, resume=continued))
            ranks.leave()
            _do_rest(job, STAGES, continued)
            if not run.stage_done(REPORT_STAGE):
                report_stage(run, console)
            run.finish("complete")
    return config.out_dir


def call_new(
    run_path: Path,
    store: Path,
    plasmid_store: Path | None,
    out: Path,
    overrides: Sequence[str],
    *,
    resume: bool,
    device: str,
    console: Console,
) -> Path:
    """Call isolates that a run was not trained on, with its model and settings; returns `out`.

    Parameters
    ----------
    run_path : Path
        A run whose training is done.
    store : Path
        Count store of the new isolates, of the same bins as the run's.
    plasmid_store : Path or None
        None calls no plasmid genes.
    out : Path
        Folder of the calls: a run of its own, without training and evaluation.
    overrides : sequence of str
        ``key=value`` of segmentation and calling.
    resume : bool
        Continue what `out` holds.

    Raises
    ------
    CopyfoldError
        The run is not trained, the store has other bins, or `out` cannot be used.
    """
    record = read_run_record(run_path)
    if record.get("stages", {}).get("train", {}).get("status") != "done":
        raise RunError(f"{run_path}: is not trained yet; `copyfold cnv train CONFIG --resume` goes on")
    find_modules_in(Path(record.get("config_folder", run_path)))
    nothing_to_compare = dict.fromkeys(("kpsc_gt_path", "kpsc_kleborate_gt_path", "kpsc_meta_path"))
    paths = {"store_path": store, "plasmid_store_path": plasmid_store, "out_dir": out}
    absolute = {key: None if path is None else str(path.resolve()) for key, path in paths.items()}
    earlier: dict[str, Any] = {**record["config"], **nothing_to_compare, **absolute}
    _check_overrides(overrides, "segment")
    config = build_config(CnvConfig, override_values(CnvConfig, earlier, overrides), str(run_path / "run.json"))
    inputs = load_inputs(config, least_samples=1)
    if columns_digest(inputs.store.contigs) != record.get("columns"):
        raise InputError(f"{store}: its bins are not those of {run_path}; count the isolates on the run's reference")
    checkpoint = Path(run_path) / "checkpoint.pth"
    torch_device = pick_device(device)
    with own_run(config.out_dir) as run:
        continued = begin_run(
            run,
            config.model_dump(mode="json"),
            resume=resume,
            artefacts=[name for names in ARTEFACTS.values() for name in names],
            ignore=STORES | {"out_dir"},
            facts={
                **_facts(torch_device),
                "seed": config.seed,
                "config_folder": record.get("config_folder"),
                "columns": record.get("columns"),
                "trained_in": {"run": str(Path(run_path).resolve()), "checkpoint": file_digest(checkpoint)},
                "inputs": _digests(config),
            },
        )
        with true_status(run):
            write_bytes(run.file("checkpoint.pth"), checkpoint.read_bytes())
            models = Path(run_path) / PLASMID_MODELS
            if models.exists():
                write_bytes(run.file(PLASMID_MODELS), models.read_bytes())
            write_npy(run.file("sample_ids.npy"), inputs.store.sample_ids)
            run.start_stage("train")
            run.finish_stage("train", elsewhere=True)
            job = _job(config, inputs, run, torch_device, console)
            _do_rest(job, {name: STAGES[name] for name in ("infer", "segment", "call")}, continued)
            if not run.stage_done(REPORT_STAGE):
                report_stage(run, console)
            run.finish("complete")
    return config.out_dir


def columns_digest(contigs: Contigs) -> str:
    """SHA-256 of a store's columns, to tell whether a model fits another store."""
    rows = zip(contigs.chrom.tolist(), contigs.start.tolist(), contigs.end.tolist(), strict=True)
    text = "".join(f"{chrom}\t{start}\t{end}\n" for chrom, start, end in rows)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _do_rest(job: Job, stages: Mapping[str, Callable[[Job], dict[str, Any]]], continued: bool) -> None:
    for name, stage in stages.items():
        if not (continued and job.run.stage_done(name)):
            _do(job, name, lambda stage=stage: stage(job))


def rerun_stage(run_path: Path, stage: str, overrides: Sequence[str], *, device: str, console: Console) -> None:
    """Run one stage of an existing run again; the stages behind it are then out of date.

    Raises
    ------
    ConfigError
        `overrides` changes a key that an earlier stage has used.
    RunError
        The stages before it are not done.
    """
    read_run_record(run_path)
    with own_run(run_path) as run:
        order = ["train", *STAGES]
        missing = [name for name in order[: order.index(stage)] if not run.stage_done(name)]
        if missing:
            raise RunError(f"{run_path}: stage {missing[0]} is not done; `copyfold cnv train CONFIG --resume` does it")
        find_modules_in(Path(run.record.get("config_folder", run.path)))
        config = _reconfigured(run, stage, overrides)
        inputs = load_inputs(config)
        torch_device = pick_device(device)
        later = order[order.index(stage) + 1 :]
        digests = _digests(config)
        for key, reader in READ_BY.items():
            before = order.index(reader) < order.index(stage)
            if before and digests.get(key) != run.record.get("inputs", {}).get(key):
                raise RunError(f"{key}: its content is no longer what stage {reader} read; run stage {reader} again")
        run.record |= {"config": config.model_dump(mode="json"), "inputs": digests}
        run.forget_stages(later)
        with true_status(run):
            job = _job(config, inputs, run, torch_device, console)
            _do(job, stage, lambda: STAGES[stage](job))
            if not later:
                report_stage(run, console)
            run.finish("incomplete" if later else "complete", f"to do: {', '.join(later)}" if later else "")
    if later:
        console.say(f"out of date now: {', '.join(later)} — run `copyfold cnv {later[0]} {run_path}` next")


def _reconfigured(run: RunDirectory, stage: str, overrides: Sequence[str]) -> CnvConfig:
    """The run's configuration with `overrides`, refusing keys that earlier stages have used."""
    earlier: dict[str, Any] = {**run.record["config"], "out_dir": str(run.path.resolve())}
    _check_overrides(overrides, stage)
    return build_config(CnvConfig, override_values(CnvConfig, earlier, overrides), str(run.file("run.json")))


def _check_overrides(overrides: Sequence[str], stage: str) -> None:
    """Refuse keys that a stage before `stage` has read."""
    order = list(STAGES)
    allowed = tuple(prefix for name in order[order.index(stage) :] for prefix in STAGE_KEYS[name])
    for override in overrides:
        key = override.partition("=")[0].strip()
        if key not in CnvConfig.model_fields or key in STORES:
            continue
        if not key.startswith(allowed) or key.startswith(NOT_CALLERS):
            readers = [name for name in order if key.startswith(STAGE_KEYS[name]) and not key.startswith(NOT_CALLERS)]
            first = readers[0] if readers else "train"
            way_out = f"`copyfold cnv {first}` takes it" if first in STAGES else "train again in another out_dir"
            raise ConfigError(f"--set {override}: '{key}' is read before stage {stage}; {way_out}")


def _job(
    config: CnvConfig,
    inputs: CnvInputs,
    run: RunDirectory,
    device: torch.device,
    console: Console,
    ranks: Ranks = Ranks(),  # noqa: B008 -- frozen
) -> Job:
    DeterministicConfig(config.seed).apply()
    return Job(config, inputs, run, device, console, ranks)


def _do(job: Job, stage: str, work: Any) -> None:
    started = time.perf_counter()
    job.run.forget_stages([REPORT_STAGE])
    job.run.start_stage(stage)
    found = work()
    seconds = time.perf_counter() - started
    job.run.finish_stage(stage, seconds=round(seconds, 2), **_where(job.device), **found)
    job.console.say(f"{stage}: done in {format_seconds(seconds)}")


def _facts(device: torch.device) -> dict[str, Any]:
    return {
        "copyfold": __version__,
        "versions": {
            **python_facts(),
            "torch": torch.__version__,
            "numpy": np.__version__,
            "numba": numba.__version__,
        },
        **_where(device),
    }


def _where(device: torch.device) -> dict[str, Any]:
    return {"device": str(device), "threads": torch.get_num_threads()}


def _digests(config: CnvConfig) -> dict[str, str]:
    return {key: file_digest(path) for key, path in config.input_paths().items()}
