"""The steps of the cohort workflow behind counting: gathering the counts, and training on them."""

from __future__ import annotations

import shutil
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from copyfold.app.cohort_folder import CohortFolder
from copyfold.app.count_stores import build_from_counts
from copyfold.cnv.counting.sample_file import read_quality
from copyfold.cnv.store import open_store
from copyfold.core.console import Console
from copyfold.core.files import file_digest, read_json, write_json, write_text
from copyfold.errors import InputError, RunError

STEPS = ("store", "train")
STORES = ("chromosome", "plasmid")


def do_step(step: str, out: Path, console: Console) -> None:
    """Do one step of the cohort in `out`.

    Raises
    ------
    CopyfoldError
        The step cannot be done, or its files are not there.
    """
    if step not in STEPS:
        raise RunError(f"step '{step}' is unknown; there is {', '.join(STEPS)}")
    folder = CohortFolder(out.resolve())
    if step == "store":
        build_stores(folder, console)
    else:
        train_cohort(folder, console)


def build_stores(folder: CohortFolder, console: Console) -> None:
    """Gather the counts of the sheet's sound samples into ``chromosome/`` and ``plasmid/``.

    Flagged and refused samples stay out. Stores that would come out the same are left as they are, so that a sample
    that is left out costs no training.
    """
    counted = []
    for each in folder.read_sheet().samples:
        if not (quality := folder.quality(each.sample)).exists():
            raise RunError(f"{quality}: missing; run `copyfold cnv cohort` again")
        if read_quality(quality)["status"] == "counted":
            counted.append(folder.counts(each.sample))
    if len(counted) < 2:
        from copyfold.app.cohort_report import write_summary

        write_summary(folder.path, console)
        raise InputError(
            f"{folder.path}: {len(counted)} samples are fit to be called, and a run needs two; "
            f"{folder.path / 'summary.txt'} says what is wrong with the others"
        )
    names = STORES if folder.settings()["plasmids"] else STORES[:1]
    fresh = {name: folder.path / f".{name}.new" for name in names}
    for path in fresh.values():
        shutil.rmtree(path, ignore_errors=True)
    build_from_counts(counted, fresh["chromosome"], fresh.get("plasmid"), console, skip_bad=True)
    digests = {}
    for name, path in fresh.items():
        digests[name] = file_digest(path)
        kept = folder.path / name
        if kept.is_dir() and file_digest(kept) == digests[name]:
            console.say(f"{kept}: holds the same already")
            shutil.rmtree(path)
        else:
            shutil.rmtree(kept, ignore_errors=True)
            path.rename(kept)
    write_json(folder.step("store"), {"digests": digests, "samples": len(counted)})


def train_cohort(folder: CohortFolder, console: Console) -> None:
    """Write config.yaml and train, or go on with a training of the same configuration on the same stores.

    A run of other data or another configuration gives way: as ``run.previous`` where it was complete.
    """
    from copyfold.app.cnv_run import train_run
    from copyfold.app.report import report_stage
    from copyfold.app.scan import scan_run
    from copyfold.cnv.config import CnvConfig
    from copyfold.cnv.models.count_model import SMALL_COHORT
    from copyfold.cnv.recurrence import RecurrenceSettings
    from copyfold.core.config import load_config, read_yaml_mapping
    from copyfold.core.registry import find_modules_in
    from copyfold.core.rundir import own_run

    settings = folder.settings()
    if settings.get("modules_folder"):
        find_modules_in(Path(settings["modules_folder"]))
    medians = open_store(folder.path / "chromosome").medians()
    n_usable = int((medians >= 1.0).sum())
    values = {**read_yaml_mapping(Path(str(files("copyfold") / "presets" / "cnv.yaml"))), **settings["config"]}
    values |= {"store_path": str(folder.path / "chromosome"), "out_dir": str(folder.run)}
    values["plasmid_store_path"] = str(folder.path / "plasmid") if settings["plasmids"] else None
    note = None
    if n_usable < SMALL_COHORT:
        note = f"{n_usable} samples teach no baseline: what they have in common is taken for one copy"
        console.say(note)
    config_path = folder.path / "config.yaml"
    text = "# Written by `copyfold cnv cohort` from its --config and --set; change those, not this file.\n"
    write_text(config_path, text + yaml.safe_dump(values, sort_keys=False, allow_unicode=True))
    config = load_config(CnvConfig, config_path)
    inputs = {key: file_digest(path) for key, path in config.input_paths().items()}
    _give_way(folder, config.model_dump(mode="json"), inputs, console)
    train_run(config_path, (), resume=True, device="auto", console=console)
    lineages = {each.sample: each.lineage or None for each in folder.read_sheet().samples}
    if any(lineages.values()):
        settings_of_run = RecurrenceSettings(min_confidence=config.cnv_min_confidence)
        scan_run(folder.run, settings_of_run, Console(quiet=True), lineages=lineages)
        with own_run(folder.run) as run:
            report_stage(run, Console(quiet=True))
            run.finish("complete")
    said = {"inputs": inputs, "config": file_digest(config_path), "samples": n_usable, "note": note}
    write_json(folder.step("train"), {**said, "architecture": config.architecture})


def _give_way(folder: CohortFolder, config: dict[str, Any], inputs: dict[str, str], console: Console) -> None:
    """Move a run aside that is not the one that is wanted."""
    from copyfold.app.cnv_run import STORES as MAY_MOVE
    from copyfold.core.rundir import own_run

    record_path = folder.run / "run.json"
    if not record_path.exists():
        if folder.run.is_dir():
            shutil.rmtree(folder.run)  # killed before its first record
        return
    record = read_json(record_path)
    free = MAY_MOVE | {"out_dir"}
    earlier = {key: value for key, value in record.get("config", {}).items() if key not in free}
    wanted = {key: value for key, value in config.items() if key not in free}
    if earlier == wanted and record.get("inputs") == inputs:
        return
    previous = folder.path / "run.previous"
    with own_run(folder.run):  # nobody may be at work in it
        if record.get("status") == "complete":
            shutil.rmtree(previous, ignore_errors=True)
            folder.run.rename(previous)
            console.say(f"{previous}: the run of the samples and settings before")
        else:
            shutil.rmtree(folder.run)
