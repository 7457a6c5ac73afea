"""Configurations for people: the keys explained, a file checked, a preset written out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from pydantic_core import PydanticUndefined

from copyfold.cnv.config import CnvConfig
from copyfold.cnv.inputs import load_inputs
from copyfold.core.config import FlatConfig, load_config, read_yaml_mapping
from copyfold.core.files import write_text
from copyfold.ddg.config import DdgConfig
from copyfold.errors import ConfigError, CopyfoldError, RunError

PRESETS = ("cnv", "cnv_documents", "ddg", "simulate_easy", "simulate_hard")
MODELS: dict[str, type[FlatConfig]] = {"cnv": CnvConfig, "ddg": DdgConfig}


def describe_config(path: Path, overrides: Sequence[str]) -> str:
    """Every key of a configuration with its value, after checking it; of a copy-number run its inputs are opened, too.

    A configuration with the key ``variant`` is of a stability specialist.
    """
    model = DdgConfig if "variant" in read_yaml_mapping(path) else CnvConfig
    try:
        config = load_config(model, path, overrides)
    except ConfigError as error:
        raise CopyfoldError("\n".join(error.problems)) from None
    width = max(map(len, model.model_fields))
    lines = [f"{key:<{width}}  {_as_yaml(value)}" for key, value in config]
    found = f"specialist {config.variant}" if isinstance(config, DdgConfig) else ""
    if isinstance(config, CnvConfig):
        inputs = load_inputs(config)
        found = f"{inputs.store.n_samples} samples × {inputs.store.n_bins} bins"
    lines.append(f"\n{path}: good — {found}")
    return "\n".join(lines)


def describe_schema(name: str, *, as_json: bool) -> str:
    """Every key of ``cnv`` or ``ddg`` with type, default and meaning, as a table or as JSON Schema."""
    if name not in MODELS:
        raise ConfigError(f"'{name}' is no kind of configuration; there is {' and '.join(MODELS)}")
    model = MODELS[name]
    if as_json:
        return json.dumps(model.model_json_schema(), indent=2)
    properties = model.model_json_schema()["properties"]
    missing = "by variant" if name == "ddg" else "required"
    rows = [("key", "type", "default", "meaning")]
    for key, field in model.model_fields.items():
        default = missing if field.default is PydanticUndefined else _as_yaml(field.default)
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
