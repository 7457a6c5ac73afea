"""Imports inside functions, as many are here, are first tried when a user comes to them; so they are tried here."""

import ast
from importlib import import_module
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src"


def is_there(module: str, name: str) -> bool:
    if hasattr(import_module(module), name):
        return True
    try:
        import_module(f"{module}.{name}")
    except ImportError:
        return False
    return True


@pytest.mark.parametrize("part", ["app", "cli", "cnv", "core", "ddg", "engine", "hmm", "report"])
def test_everything_that_is_imported_from_the_package_exists(part):
    wanted = {
        (node.module, alias.name): file
        for file in (SOURCE / "copyfold" / part).rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("copyfold")
        for alias in node.names
    }
    assert wanted
    missing = {f"{file.name}: {'.'.join(place)}" for place, file in wanted.items() if not is_there(*place)}
    assert not missing
