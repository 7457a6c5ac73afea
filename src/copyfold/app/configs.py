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
    lines = [f"{key:<{width}}  {'null' if value is None else value}" for key, value in config]
    lines.append(f"\n{path}: good — {inputs.store.n_samples} samples × {inputs.store.n_bins} bins")
    return "\n".join(lines)


def describe_schema(*, as_json: bool) -> str:
    """Every key with type, default and meaning, as a table or as JSON Schema."""
    if as_json:
        return json.dumps(CnvConfig.model_json_schema(), indent=2)
    rows = []
    for key, field in CnvConfig.model_fields.items():
        default = "required" if field.default is PydanticUndefined else str(field.default).replace("None", "null")
        rows.append((key, default, field.description or ""))
    key_width = max(len(row[0]) for row in rows)
    default_width = max(len(row[1]) for row in rows)
    lines = [f"{'key':<{key_width}}  {'default':<{default_width}}  meaning"]
    lines += [f"{key:<{key_width}}  {default:<{default_width}}  {meaning}" for key, default, meaning in rows]
    return "\n".join(lines)


def write_preset(name: str, out: Path) -> None:
    """Write a preset's YAML to `out`, which must not exist."""
    if name not in PRESETS:
        raise ConfigError(f"preset '{name}' is unknown; there is {', '.join(PRESETS)}")
    if out.exists():
        raise RunError(f"{out}: exists already; choose another name with --out")
    write_text(out, (files("copyfold") / "presets" / f"{name}.yaml").read_text(encoding="utf-8"))
