"""The section that every report ends with: what was run, with what, on what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from copyfold.report.page import Section, Table

_COLUMNS = ("status", "seconds", "device", "threads")


def run_facts(record: Mapping[str, Any]) -> Section:
    """Stages, configuration, versions and inputs of a run.json."""
    stages = tuple(
        (name, *(stage.get(column, "") for column in _COLUMNS)) for name, stage in record.get("stages", {}).items()
    )
    config = tuple((key, "—" if value is None else str(value)) for key, value in record.get("config", {}).items())
    versions = tuple((name, str(value)) for name, value in record.get("versions", {}).items())
    inputs = tuple((key, str(digest)) for key, digest in record.get("inputs", {}).items())
    blocks = (
        Table("Stages", ("stage", *_COLUMNS), stages),
        Table("Configuration", ("key", "value"), config, folded=True),
        Table("Versions", ("what", "version"), (("copyfold", str(record.get("copyfold"))), *versions), folded=True),
        Table("Inputs", ("key", "digest of its content"), inputs, folded=True),
    )
    return Section("run", "The run", blocks)
