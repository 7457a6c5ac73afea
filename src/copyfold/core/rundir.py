"""The folder of one run: who owns it, what was asked, how far it came.

``run.json`` is the run's record (docs/formats/run.md). The lock is the operating system's (``flock`` on
``.lock``): it ends with the process that holds it, however that ends.
"""

from __future__ import annotations

import fcntl
import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from copyfold.core.files import read_json, write_json
from copyfold.errors import CopyfoldError, RunError

RUN_FORMAT = "copyfold-run/1"
_PARTS: dict[str, type] = {"config": dict, "stages": dict, "inputs": dict, "config_folder": str, "status": str}
_REQUIRED = ("config", "stages")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass
class RunDirectory:
    """A run folder that this process owns.

    Attributes
    ----------
    path : Path
    record : dict
        Contents of ``run.json``; `save` writes it.
    """

    path: Path
    record: dict[str, Any] = field(default_factory=dict)

    def file(self, name: str) -> Path:
        """Path of an artefact."""
        return self.path / name

    def save(self) -> None:
        """Write ``run.json``."""
        write_json(self.file("run.json"), self.record)

    def stage_done(self, stage: str) -> bool:
        """Whether `stage` has been completed."""
        return bool(self.record["stages"].get(stage, {}).get("status") == "done")

    def start_stage(self, stage: str) -> None:
        """Record that `stage` runs now; what stands after it is no longer valid."""
        self.record["stages"][stage] = {"status": "running", "started": _now()}
        self.record["status"] = "running"
        self.save()

    def finish_stage(self, stage: str, **facts: Any) -> None:
        """Record that `stage` is done, with facts about it."""
        self.record["stages"][stage] |= {"status": "done", "finished": _now(), **facts}
        self.save()

    def forget_stages(self, stages: list[str]) -> None:
        """Mark stages as not done, since what they stand on is made anew."""
        for stage in stages:
            self.record["stages"].pop(stage, None)

    def finish(self, status: str, reason: str = "") -> None:
        """Close the record: ``complete``, ``failed`` or ``interrupted``."""
        self.record |= {"status": status, "finished": _now()}
        if reason:
            self.record["reason"] = reason
        else:
            self.record.pop("reason", None)
        self.save()


@contextmanager
def own_run(path: Path) -> Iterator[RunDirectory]:
    """Take the folder's lock and yield it with the record it holds (empty in a fresh folder).

    Raises
    ------
    RunError
        Another process holds the lock, or the folder cannot be written.
    """
    path = Path(path)
    with folder_lock(path, "copyfold process"):
        yield RunDirectory(path, read_run_record(path) if (path / "run.json").exists() else {})


@contextmanager
def true_status(run: RunDirectory) -> Iterator[None]:
    """Leave a true status in run.json however the work ends, short of SIGKILL: failed, or interrupted by a signal."""
    try:
        yield
    except BaseException as error:
        stopped = not isinstance(error, Exception)
        with suppress(CopyfoldError):  # the disk that stopped the run may also refuse its epitaph
            if stopped:
                run.finish("interrupted", "stopped by a signal")
            else:
                run.finish("failed", str(error) or type(error).__name__)
        raise


def is_owned(path: Path) -> bool:
    """Whether a process holds the folder's lock now."""
    try:
        handle = os.open(Path(path) / ".lock", os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False


@contextmanager
def folder_lock(path: Path, owner: str) -> Iterator[int]:
    """Make a folder where there is none and take its lock; yields the handle, which a child may inherit.

    Parameters
    ----------
    path : Path
    owner : str
        Who else may hold it, in words.

    Raises
    ------
    RunError
        Another process holds the lock, or the folder cannot be written.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        handle = os.open(path / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise RunError(
            f"{path}: cannot be used as out_dir ({error.strerror or error}); choose a folder you may write to"
        ) from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RunError(f"{path}: another {owner} is working in it; wait for it or stop it") from error
        except OSError as error:
            raise RunError(
                f"{path}: its file system cannot lock files ({error.strerror or error}); use an out_dir on one that can"
            ) from error
        yield handle
    finally:
        os.close(handle)


def read_run_record(path: Path) -> dict[str, Any]:
    """Contents of a run folder's ``run.json``.

    Raises
    ------
    RunError
        There is none, or it is of a format this version does not know.
    """
    run_json = Path(path) / "run.json"
    if not run_json.exists():
        raise RunError(f"{path}: not a copyfold run (no run.json); `copyfold cnv train CONFIG.yaml` makes one")
    record = read_json(run_json)
    if not isinstance(record, dict) or record.get("format") != RUN_FORMAT:
        raise RunError(f"{run_json}: not a run record of format {RUN_FORMAT}")
    for key, kind in _PARTS.items():
        if not isinstance(record.get(key, kind()), kind) or (key in _REQUIRED and key not in record):
            raise RunError(f"{run_json}: damaged ('{key}' is missing or of the wrong kind); restore it from a copy")
    if not all(isinstance(stage, dict) for stage in record["stages"].values()):
        raise RunError(f"{run_json}: damaged (a stage is no record); restore it from a copy")
    return record


def begin_run(
    run: RunDirectory,
    config: Mapping[str, Any],
    *,
    resume: bool,
    artefacts: list[str],
    ignore: frozenset[str],
    facts: Mapping[str, Any],
) -> bool:
    """Decide whether this run starts or continues, and write its record.

    Parameters
    ----------
    run : RunDirectory
    config : mapping
        Resolved configuration, JSON-ready.
    resume : bool
        Continue what the folder holds; on an empty folder this just starts.
    artefacts : list of str
        File names that a run writes; any of them without a ``run.json`` means somebody else's results.
    ignore : frozenset of str
        Keys that may differ between a run and its continuation.
    facts : mapping
        Further entries of the record: versions, inputs, device.

    Returns
    -------
    bool
        True where the run continues.

    Raises
    ------
    RunError
        The folder holds another run, or foreign results.
    """
    config = dict(config)
    if not run.record:
        foreign = [name for name in artefacts if run.file(name).exists()]
        if foreign:
            raise RunError(
                f"{run.path}: holds {foreign[0]} but no run.json, so it is not ours to write over; "
                "choose another out_dir"
            )
        run.record = {"format": RUN_FORMAT, "config": config, "started": _now(), "stages": {}, **facts}
        run.record["status"] = "running"
        run.save()
        return False
    earlier = run.record.get("config", {})
    changed = sorted(key for key in (set(earlier) | set(config)) - ignore if earlier.get(key) != config.get(key))
    if changed:
        key = changed[0]
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        raise RunError(
            f"{run.path}: holds another run ({key} was {earlier.get(key)!r}, now {config.get(key)!r}{more}); "
            "choose another out_dir, or give the same configuration with --resume"
        )
    if not resume:
        raise RunError(
            f"{run.path}: holds a run already (status: {run.record.get('status')}); "
            "add --resume to continue it, or choose another out_dir"
        )
    old, new = run.record.get("inputs"), facts.get("inputs")
    if old != new:
        raise RunError(f"{run.path}: the inputs have changed since this run began; choose another out_dir")
    run.record |= {"config": config, "status": "running", "resumed": _now(), **facts}
    run.save()
    return True


def python_facts() -> dict[str, str]:
    """Interpreter and machine, for the record."""
    return {"python": platform.python_version(), "platform": platform.platform()}
