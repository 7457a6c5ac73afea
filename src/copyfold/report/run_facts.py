"""The section that every report ends with: what was run, with what, on what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from copyfold.report.page import Section, Table

_COLUMNS = ("status", "seconds", "device", "threads")


def run_facts(record: Mapping[str, Any]) -> Section:
    """Stages, configuration, versions and inputs of a run.json; what is not of that form is left out."""
    stages = tuple(
        (name, *(stage.get(column, "") for column in _COLUMNS))
        for name, stage in _part(record, "stages").items()
        if isinstance(stage, Mapping)
    )
    config = tuple((key, "—" if value is None else str(value)) for key, value in _part(record, "config").items())
    versions = tuple((name, str(value)) for name, value in _part(record, "versions").items())
    inputs = tuple((key, str(digest)) for key, digest in _part(record, "inputs").items())
    blocks = (
        Table("Stages", ("stage", *_COLUMNS), stages),
        Table("Configuration", ("key", "value"), config, folded=True),
        Table("Versions", ("what", "version"), (("copyfold", str(record.get("copyfold"))), *versions), folded=True),
        Table("Inputs", ("key", "digest of its content"), inputs, folded=True),
    )
    return Section("run", "The run", blocks)


def _part(record: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = record.get(name)
    return part if isinstance(part, Mapping) else {}
