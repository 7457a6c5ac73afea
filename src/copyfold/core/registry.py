"""Modules by name: built in, from an installed plug-in, or a user's own ``package.module:Name``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from copyfold.errors import PluginError


def find_modules_in(folder: Path) -> None:
    """Let Python import a user's own modules from `folder`: the working folder, and that of the configuration."""
    if (path := str(folder.resolve())) not in sys.path:
        sys.path.append(path)


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
    """

    kind: str
    group: str
    built_in: Mapping[str, str]

    def names(self) -> dict[str, str]:
        """Every known name with its ``package.module:Name``; a plug-in cannot take the name of a built-in."""
        plugins = {entry.name: entry.value for entry in entry_points(group=self.group)}
        return {**plugins, **self.built_in}

    def resolve(self, name: str) -> Any:
        """The object called `name`.

        Raises
        ------
        PluginError
            Nothing is called that, or importing it failed. The message lists the known names.
        """
        known = self.names()
        target = known.get(name, name)
        module_name, separator, attribute = target.partition(":")
        if not separator or not module_name or not attribute:
            raise PluginError(
                f"{self.kind}: '{name}' is unknown; there is {', '.join(sorted(known))}, "
                "or your own as package.module:Name"
            )
        find_modules_in(Path.cwd())
        try:
            found: Any = import_module(module_name)
            for part in attribute.split("."):
                found = getattr(found, part)
        except (ImportError, AttributeError) as error:
            raise PluginError(
                f"{self.kind}: '{name}' cannot be imported ({error}); install the package that holds it or run "
                f"where it can be found; built in are {', '.join(sorted(self.built_in))}"
            ) from error
        return found
