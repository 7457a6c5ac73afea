"""Modules by name: built in, from an installed plug-in, or a user's own ``package.module:Name``.

A configuration or a run may come from a stranger, with a module beside it. So files alone never start code: a user's
own module is imported if it is installed or on ``PYTHONPATH``, and from the folder of the configuration or the working
folder only where the environment variable `ALLOWED` names it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.machinery import PathFinder
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from copyfold.errors import PluginError

ALLOWED = "COPYFOLD_PLUGINS"
"""Environment variable: modules that may be imported from beside a file, by their top name, separated by commas."""

_BESIDE_FILES: set[str] = set()
"""Folders that `find_modules_in` put on Python's path."""


def _allowed_modules() -> set[str]:
    return {name.strip() for name in os.environ.get(ALLOWED, "").split(",") if name.strip()}


def find_modules_in(folder: Path) -> None:
    """Let Python import a user's own modules from `folder`: the working folder, and that of the configuration.

    Nothing is done where the user has allowed none: else what Python tries to import and does not find could lie there.
    """
    if not _allowed_modules():
        return
    if (path := str(folder.resolve())) not in sys.path:
        sys.path.append(path)
        _BESIDE_FILES.add(path)


def _is_users(module: str) -> bool:
    """Whether the user's Python has a module, the folders left out that a file or ``python -m`` led to."""
    led_to = {"", str(Path.cwd()), *_BESIDE_FILES}
    named = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    return PathFinder.find_spec(module, [*(path for path in sys.path if path not in led_to), *named]) is not None


@dataclass(frozen=True)
class Registry:
    """The implementations of one kind of module.

    Attributes
    ----------
    kind : str
        The configuration key that names the module, such as ``architecture``.
    group : str
        Entry-point group that other packages register theirs under.
    built_in : mapping of str to str
        Name to ``package.module:Name``; nothing is imported before it is asked for.
    methods : tuple of str
        What a class of this kind must have.
    """

    kind: str
    group: str
    built_in: Mapping[str, str]
    methods: tuple[str, ...] = ()

    def names(self) -> dict[str, str]:
        """Every known name with its ``package.module:Name``; a plug-in cannot take the name of a built-in."""
        plugins = {entry.name: entry.value for entry in entry_points(group=self.group)}
        return {**plugins, **self.built_in}

    def resolve(self, name: str) -> Any:
        """The object called `name`.

        Raises
        ------
        PluginError
            Nothing is called that, it lies beside a file and the user has not allowed it, importing it failed, or it
            is no class with the methods of its kind.
        """
        known = self.names()
        target = known.get(name, name)
        module_name, separator, attribute = target.partition(":")
        if not separator or not module_name or not attribute:
            raise PluginError(
                f"{self.kind}: '{name}' is unknown; there is {', '.join(sorted(known))}, "
                "or your own as package.module:Name"
            )
        top = module_name.partition(".")[0]
        if name not in known and top not in _allowed_modules() and not _is_users(top):
            raise PluginError(
                f"{self.kind}: '{name}' is neither installed nor on PYTHONPATH; code beside a file is not started by "
                f"itself: if you wrote or trust it, allow it with `export {ALLOWED}={top}`"
            )
        find_modules_in(Path.cwd())
        try:
            found: Any = import_module(module_name)
            for part in attribute.split("."):
                found = getattr(found, part)
        except Exception as error:  # a user's file may fail in any way while it is imported
            reason = f"{type(error).__name__}: {error}"
            raise PluginError(
                f"{self.kind}: '{name}' cannot be imported ({reason}); install the package that holds it or run "
                f"where it can be found; built in are {', '.join(sorted(self.built_in))}"
            ) from error
        missing = [method for method in self.methods if not callable(getattr(found, method, None))]
        if not isinstance(found, type) or missing:
            lacks = f"lacks {', '.join(missing)}" if missing else "is no class"
            raise PluginError(
                f"{self.kind}: '{name}' {lacks}; it must be a class with the methods {', '.join(self.methods)}"
            )
        return found
