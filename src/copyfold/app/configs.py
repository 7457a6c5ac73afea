"""Configurations for people: the keys explained, a file checked, a preset written out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from pydantic_core import PydanticUndefined

from copyfold.cnv.config import CnvConfig
from copyfold.cnv.pipeline import load_inputs
from copyfold.core.config import load_config
from copyfold.core.files import write_text
from copyfold.errors import ConfigError, CopyfoldError, RunError

PRESETS = ("cnv", "simulate_easy", "simulate_hard")


def describe_config(path: Path, overrides: Sequence[str]) -> str:
    """Every key of a configuration with its value, after checking it and opening its inputs."""
    try:
        config = load_config(CnvConfig, path, overrides)
    except ConfigError as error:
        raise CopyfoldError("\n".join(error.problems)) from None
    inputs = load_inputs(config)
    width = max(map(len, CnvConfig.model_fields))
    lines = [f"{key:<{width}}  {_as_yaml(value)}" for key, value in config]
    lines.append(f"\n{path}: good — {inputs.store.n_samples} samples × {inputs.store.n_bins} bins")
    return "\n".join(lines)


def describe_schema(*, as_json: bool) -> str:
    """Every key with type, default and meaning, as a table or as JSON Schema."""
    if as_json:
        return json.dumps(CnvConfig.model_json_schema(), indent=2)
    properties = CnvConfig.model_json_schema()["properties"]
    rows = [("key", "type", "default", "meaning")]
    for key, field in CnvConfig.model_fields.items():
        default = "required" if field.default is PydanticUndefined else _as_yaml(field.default)
        kinds = [part.get("format", part["type"]) for part in properties[key].get("anyOf", [properties[key]])]
        rows.append((key, " or ".join(kinds), default, field.description or ""))
    widths = [max(len(row[place]) for row in rows) for place in range(3)]
    return "\n".join("  ".join([*map(str.ljust, row, widths), row[3]]) for row in rows)


def _as_yaml(value: object) -> str:
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    return str(value)


def write_preset(name: str, out: Path) -> None:
    """Write a preset's YAML to `out`, which must not exist."""
    if name not in PRESETS:
        raise ConfigError(f"preset '{name}' is unknown; there is {', '.join(PRESETS)}")
    if out.exists():
        raise RunError(f"{out}: exists already; choose another name with --out")
    write_text(out, (files("copyfold") / "presets" / f"{name}.yaml").read_text(encoding="utf-8"))
