"""Go on with a run by what its own record says, whatever command began it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from copyfold.app.runs import read_state
from copyfold.core.console import Console
from copyfold.core.files import file_digest
from copyfold.core.rundir import read_run_record
from copyfold.errors import RunError


def resume_run(path: Path, *, device: str, console: Console) -> Path:
    """Continue a run with the configuration it was begun with; returns its folder.

    Raises
    ------
    RunError
        No run, one that another process holds, or a kind whose record does not tell all that it needs.
    CopyfoldError
        Its inputs are gone or have changed.
    """
    state = read_state(path)
    record = state.record
    if state.status == "complete":
        console.say(f"{path}: complete already")
        return path
    kind = record.get("kind")
    if kind == "specialist":
        from copyfold.app.ddg_train import resume_specialist

        return resume_specialist(path, record, console)
    if kind == "refiner":
        return _resume_refiner(path, record, console)
    if kind is not None:
        raise RunError(f"{path}: a {kind} is continued by its own command with --resume")
    from copyfold.app.cnv_run import call_new, continue_run

    if "trained_in" not in record:
        return continue_run(path, record, device=device, console=console)
    config, place = record["config"], record["trained_in"]
    trained, store = place.get("run") if isinstance(place, dict) else None, config.get("store_path")
    if not isinstance(trained, str) or not isinstance(store, str):
        raise RunError(f"{path}/run.json: damaged (the run that it stands on is not said); restore it from a copy")
    trained_in, plasmids = Path(trained), config.get("plasmid_store_path")
    return call_new(
        trained_in,
        Path(store),
        Path(str(plasmids)) if plasmids else None,
        path,
        _differences(config, read_run_record(trained_in)["config"]),
        resume=True,
        device=device,
        console=console,
    )


def _differences(config: dict[str, Any], trained: dict[str, Any]) -> list[str]:
    """The ``key=value`` that calls were made with, beyond the run that they stand on."""
    own = ("store_path", "plasmid_store_path", "out_dir", "kpsc_gt_path", "kpsc_kleborate_gt_path", "kpsc_meta_path")
    return [
        f"{key}={json.dumps(value)}" for key, value in config.items() if key not in own and value != trained.get(key)
    ]


def _resume_refiner(path: Path, record: dict[str, Any], console: Console) -> Path:
    from copyfold.app.ddg_refine import FOLDERS, refine_specialist
    from copyfold.ddg.models.variants import VARIANTS

    of, config = record.get("of"), record["config"]
    wanted = {"refiner": str, "epochs": int, "seed": int}
    if not isinstance(of, dict) or not all(isinstance(config.get(key), kind) for key, kind in wanted.items()):
        raise RunError(f"{path}/run.json: damaged (what was refined and how is not said); restore it from a copy")
    if of.get("variant") not in VARIANTS or config["refiner"] not in FOLDERS or config["epochs"] < 1:
        raise RunError(f"{path}/run.json: damaged (of no specialist or refiner that is known); restore it from a copy")
    specialist = path.resolve().parent / f"vae_{of['variant']}"
    if not (specialist / "best.pt").exists() or file_digest(specialist / "best.pt") != of.get("checkpoint"):
        raise RunError(
            f"{path}: its specialist is not at {specialist}; `copyfold ddg refine … --resume` with the specialist's "
            "folder goes on"
        )
    return refine_specialist(
        config["refiner"],
        specialist,
        path.resolve().parent,
        epochs=config["epochs"],
        seed=config["seed"],
        resume=True,
        console=console,
    )
