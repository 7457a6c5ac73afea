"""YAML configuration with one clear error per mistake.

A configuration is a flat mapping checked by a strict pydantic model. Relative paths in the file are taken from
the file's own folder; those given on the command line (``--set key=value``) from the working folder.
"""

from __future__ import annotations

import difflib
import re
import reprlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from copyfold.errors import ConfigError


def _as_path(value: object) -> object:
    return Path(value) if isinstance(value, str) else value


ConfigPath = Annotated[Path, BeforeValidator(_as_path)]
"""A path field; `load_config` resolves it against the folder of the file that names it."""


class FlatConfig(BaseModel):
    """Base of every configuration: unknown keys, wrong types and later changes are refused."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


ConfigT = TypeVar("ConfigT", bound=FlatConfig)


class _Loader(yaml.SafeLoader):
    """Safe YAML in which ``1e-4`` is a number and a key that stands twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key_node, _ in node.value:
            key = str(key_node.value)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key '{key}' stands twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(  # YAML 1.2 floats, which PyYAML (YAML 1.1) reads as text
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:\d+\.?\d*|\.\d+)[eE][-+]?\d+$"),
    list("-+.0123456789"),
)


def _parse_yaml(text: str, where: str) -> Any:
    try:
        return yaml.load(text, Loader=_Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise ConfigError(f"{where}{line}: not valid YAML ({problem})") from None


def read_yaml_mapping(path: Path) -> dict[str, Any]:
    """Read a YAML file that holds one mapping.

    Raises
    ------
    ConfigError
        The file is missing, not UTF-8, not YAML, or not a mapping of names to values.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; `copyfold config init` writes one to start from") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as a text file ({error})") from None
    loaded = _parse_yaml(text, str(path))
    if not isinstance(loaded, dict) or not all(isinstance(key, str) for key in loaded):
        raise ConfigError(f"{path}: must hold one mapping, 'key: value' on each line")
    return loaded


def load_config(model: type[ConfigT], path: Path, overrides: Sequence[str] = ()) -> ConfigT:
    """Read and check a configuration.

    Parameters
    ----------
    model : type
        The `FlatConfig` that says which keys there are.
    path : Path
        YAML file.
    overrides : sequence of str
        ``key=value``, value in YAML; they replace keys of the file.

    Raises
    ------
    ConfigError
        Names file, key, value and rule of every key that is wrong.
    """
    path = Path(path)
    path_keys = _path_keys(model)
    values = {
        key: _resolve(value, path.parent) if key in path_keys else value
        for key, value in read_yaml_mapping(path).items()
    }
    return build_config(model, override_values(model, values, overrides), str(path))


def override_values(model: type[FlatConfig], values: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """`values` with ``key=value`` overrides put in; relative paths are taken from the working folder."""
    path_keys = _path_keys(model)
    resolved = dict(values)
    for override in overrides:
        key, separator, text = override.partition("=")
        if not separator or not key.strip():
            raise ConfigError(f"--set {override}: must be key=value, for example --set epochs=20")
        key = key.strip()
        value = _parse_yaml(text, f"--set {override}")
        if key in path_keys and value is not None:
            value = _resolve(str(value), Path.cwd())
        resolved[key] = value
    return resolved


def build_config(model: type[ConfigT], values: Mapping[str, Any], where: str) -> ConfigT:
    """Check `values` against `model`; `where` starts each line of the error."""
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        raise ConfigError(*(f"{where}: {_explain(model, item)}" for item in error.errors())) from None


def _path_keys(model: type[FlatConfig]) -> set[str]:
    """Names of the fields declared as `ConfigPath` or as optional `ConfigPath`."""

    def is_path(annotation: Any) -> bool:
        return annotation is Path or any(is_path(part) for part in get_args(annotation))

    return {name for name, field in model.model_fields.items() if is_path(field.annotation)}


def _resolve(value: Any, folder: Path) -> Any:
    """An absolute path; what can be none raises ConfigError, before somebody asks the system about it."""
    if not isinstance(value, str):
        return value
    try:
        expanded = Path(value).expanduser()
        resolved = Path(expanded if expanded.is_absolute() else folder.resolve() / expanded).resolve()
        resolved.exists()  # as in Python 3.11, this raises where a name is too long
    except (ValueError, OSError, RuntimeError) as error:
        shown = _BRIEFLY.repr(value)
        raise ConfigError(
            f"{shown}: cannot be a path ({getattr(error, 'strerror', None) or error}); correct it"
        ) from None
    return resolved


_BRIEFLY = reprlib.Repr()  # aliases of YAML make values whose full text has no end
_BRIEFLY.maxstring = _BRIEFLY.maxother = 400


def _explain(model: type[FlatConfig], item: ErrorDetails) -> str:
    key = ".".join(str(part) for part in item["loc"]) or "configuration"
    name = str(item["loc"][0]) if item["loc"] else ""
    if item["type"] == "extra_forbidden":
        near = difflib.get_close_matches(name, model.model_fields, n=1)
        hint = f"did you mean '{near[0]}'?" if near else "`copyfold config schema` lists the keys"
        return f"unknown key '{key}'; {hint}"
    if item["type"] == "missing":
        return f"key '{key}' is missing; {model.model_fields[name].description or 'give it a value'}"
    message = item["msg"].removeprefix("Value error, ")
    if not item["loc"]:
        return message
    value = str(item["input"]) if isinstance(item["input"], Path) else item["input"]
    shown = "null" if value is None else _BRIEFLY.repr(value)
    if item["type"] == "is_instance_of":
        message = "must be a path"
    return f"key '{name}' = {shown}: {message[0].lower()}{message[1:]}"
