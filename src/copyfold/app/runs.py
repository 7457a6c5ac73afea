"""Runs on disk, looked at from outside: which there are, how far each has come, in what two of them differ."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from copyfold.core.files import read_json
from copyfold.core.rundir import is_owned, read_run_record
from copyfold.errors import CopyfoldError, RunError

_TEXT_WIDTH = 60


@dataclass(frozen=True)
class RunState:
    """Where a run stands.

    Attributes
    ----------
    path : Path
    record : dict
        Contents of ``run.json``; empty where it cannot be read.
    status : str
        What the record says, but ``killed`` where it says ``running`` and nobody holds the folder's lock, and
        ``unreadable`` where there is no record to be read.
    reason : str
        Why, where that is known.
    """

    path: Path
    record: dict[str, Any]
    status: str
    reason: str

    @property
    def kind(self) -> str:
        """What was run, in a word or two."""
        record = self.record
        if record.get("kind") == "specialist":
            return f"ddg specialist {record.get('config', {}).get('variant', '')}".strip()
        if "kind" in record:
            return f"ddg {record['kind']} {record.get('refiner', '')}".strip()
        if not record:
            return "?"
        return "cnv calls" if "trained_in" in record else f"cnv {record['config'].get('architecture', '')}"

    @property
    def stages(self) -> dict[str, str]:
        """State of each stage that was begun."""
        return {name: str(stage.get("status", "?")) for name, stage in self.record.get("stages", {}).items()}


def read_state(path: Path) -> RunState:
    """Where the run in a folder stands.

    Raises
    ------
    RunError
        There is no run.
    """
    path = Path(path)
    record = read_run_record(path)
    status, reason = str(record.get("status", "?")), str(record.get("reason", ""))
    if status == "running" and not is_owned(path):
        status, reason = "killed", "the process is gone and left no word; its results so far are sound"
    return RunState(path, record, status, reason)


def find_runs(folder: Path) -> Iterator[RunState]:
    """Every run in or below a folder, by path; a record that cannot be read is told, too.

    Raises
    ------
    RunError
        There is no such folder.
    """
    if not folder.is_dir():
        raise RunError(f"{folder}: no such folder; give one that holds runs")
    for place, folders, names in os.walk(folder):
        folders.sort()
        if "run.json" in names:
            path = Path(place)
            try:
                yield read_state(path)
            except CopyfoldError as error:
                yield RunState(path, {}, "unreadable", str(error))


def describe_runs(folder: Path) -> str:
    """A table of the runs below a folder."""
    rows = [("run", "what", "status", "stages done", "started")]
    for state in find_runs(folder):
        done = [name for name, status in state.stages.items() if status == "done"]
        started = str(state.record.get("started", ""))
        rows.append((str(state.path), state.kind, state.status, ", ".join(done) or "-", started))
    if len(rows) == 1:
        return f"{folder}: holds no runs"
    return _columns(rows)


def describe_run(path: Path) -> str:
    """What ran in a folder, with what, how far it came and how it goes on."""
    state = read_state(path)
    record = state.record
    lines = [(key, str(record[key])) for key in ("started", "resumed", "finished") if key in record]
    versions = record.get("versions", {}) if isinstance(record.get("versions"), dict) else {}
    lines += [("copyfold", str(record.get("copyfold", "?"))), *((name, str(each)) for name, each in versions.items())]
    lines += [(key, str(record[key])) for key in ("device", "threads", "seed", "config_folder") if key in record]
    parts = [("run", str(path)), ("what", state.kind), ("status", state.status)]
    parts += [("reason", state.reason)] if state.reason else []
    stages = [("stage", "status", "seconds")]
    stages += [
        (name, str(each.get("status", "?")), str(each.get("seconds", ""))) for name, each in record["stages"].items()
    ]
    inputs = [(key, digest, _changed(record, key)) for key, digest in record.get("inputs", {}).items()]
    text = [_columns([*parts, *lines]), "", _columns(stages)]
    text += ["", _columns([("input", "digest", "now"), *inputs])] if inputs else []
    if state.status not in ("complete", "running"):
        text += ["", f"`copyfold run resume {path}` goes on"]
    return "\n".join(text)


def _changed(record: Mapping[str, Any], key: str) -> str:
    """Whether an input is still where it was; its content is compared when the run goes on."""
    place = record["config"].get(key)
    if not isinstance(place, str):
        return ""
    try:
        return "there" if Path(place).exists() else "gone"
    except OSError:  # no path at all: too long, or below what is no folder
        return "gone"


def compare_runs(first: Path, second: Path) -> str:
    """The configuration keys and metrics in which two runs differ."""
    states = [read_state(path) for path in (first, second)]
    names = [str(state.path) for state in states]
    parts = []
    sides = {
        "configuration": [flatten(state.record["config"]) for state in states],
        "input": [flatten(state.record.get("inputs", {})) for state in states],
        "version": [flatten(state.record.get("versions", {})) for state in states],
        "metric": [_metrics(state.path) for state in states],
    }
    for title, (left, right) in sides.items():
        rows = [
            (key, _short(left.get(key, "-")), _short(right.get(key, "-")))
            for key in dict.fromkeys([*left, *right])
            if left.get(key, "-") != right.get(key, "-") and not (title == "configuration" and key == "out_dir")
        ]
        same = len(set(left) & set(right)) - sum(key in left and key in right for key, *_ in rows)
        parts.append(_columns([(title, *names), *rows]) if rows else f"{title}: no difference")
        parts.append(f"({same} the same)\n")
    return "\n".join(parts)


def _metrics(run: Path) -> dict[str, str]:
    path = run / "metrics.json"
    content = read_json(path) if path.exists() else {}
    return flatten(content) if isinstance(content, dict) else {}


def flatten(value: object, prefix: str = "") -> dict[str, str]:
    """The leaves of a JSON value as text, keyed by their path; elements of lists by their gene, name or place."""
    if isinstance(value, Mapping):
        items = [(str(key), each) for key, each in value.items()]
    elif isinstance(value, list | tuple):
        items = [(_name(each, place), each) for place, each in enumerate(value)]
    else:
        return {prefix: f"{value:.6g}" if isinstance(value, float) else str(value)}
    leaves: dict[str, str] = {}
    for key, each in items:
        leaves |= flatten(each, f"{prefix}.{key}" if prefix else key)
    return leaves


def _name(element: object, place: int) -> str:
    if isinstance(element, Mapping):
        for key in ("gene", "st", "name"):
            if isinstance(element.get(key), str):
                return str(element[key])
    return str(place)


def _short(text: str) -> str:
    return text if len(text) <= _TEXT_WIDTH else f"…{text[1 - _TEXT_WIDTH :]}"


def _columns(rows: list[tuple[str, ...]]) -> str:
    """A table in which no cell ends its line or moves the terminal's cursor, whatever a record says."""
    rows = [
        tuple("".join(letter if letter.isprintable() else "\ufffd" for letter in str(cell)) for cell in row)
        for row in rows
    ]
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
