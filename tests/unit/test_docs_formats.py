"""The documents say what the code does: the table of keys, the links, the example of a plug-in."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic_core import PydanticUndefined

from copyfold.cnv.config import CnvConfig
from copyfold.cnv.plugins import REGISTRIES

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), *ROOT.glob("README.md")])
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```", flags=re.MULTILINE | re.DOTALL)


def _config_table() -> dict[str, dict[str, str]]:
    text = (DOCS / "formats" / "config.md").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.startswith("|")]
    header, rule, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert header == ["key", "type", "default", "allowed", "meaning", "stage"]
    assert all(cell == "---" for cell in rule)
    assert all(len(row) == len(header) for row in rows)
    return {row[0].strip("`"): dict(zip(header, row, strict=True)) for row in rows}


CONFIG_TABLE = _config_table()


def test_config_page_lists_the_keys_in_order() -> None:
    assert list(CONFIG_TABLE) == list(CnvConfig.model_fields)


@pytest.mark.parametrize("key", CnvConfig.model_fields)
def test_config_page_has_the_default(key: str) -> None:
    default = CnvConfig.model_fields[key].default
    stated = CONFIG_TABLE[key]["default"]
    if default is PydanticUndefined:
        assert stated == "required"
    else:
        value = yaml.safe_load(stated.strip("`"))
        assert value == default
        assert isinstance(value, bool) == isinstance(default, bool)


@pytest.mark.parametrize("key", CnvConfig.model_fields)
def test_config_page_has_type_and_bounds(key: str) -> None:
    schema: dict[str, Any] = CnvConfig.model_json_schema()["properties"][key]
    row = CONFIG_TABLE[key]
    if key.endswith(("_path", "out_dir")):
        assert row["type"] == ("path or null" if "anyOf" in schema else "path")
        return
    types = {"string": "text", "integer": "integer", "number": "number", "boolean": "true or false"}
    assert row["type"] == types[schema["type"]]
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    bounds = [f"{sign} {_number(schema[name])}" for name, sign in signs.items() if name in schema]
    if schema["type"] in ("integer", "number"):
        assert row["allowed"] == ", ".join(bounds)


def _number(value: float) -> str:
    return "2^63" if value == 2**63 else f"{value:g}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_resolve(page: Path) -> None:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    broken = []
    for target in LINK.findall(text):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        linked = (page.parent / name).resolve() if name else page
        if not linked.exists() or (anchor and anchor not in _anchors(linked)):
            broken.append(target)
    assert not broken


def _anchors(page: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub makes them."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_format_page_is_in_the_index() -> None:
    index = (DOCS / "formats" / "README.md").read_text(encoding="utf-8")
    linked = {target.partition("#")[0] for target in LINK.findall(index)}
    assert linked == {page.name for page in (DOCS / "formats").glob("*.md")} - {"README.md"}


def test_plugins_page_lists_the_entry_point_groups() -> None:
    text = (DOCS / "howto" / "plugins.md").read_text(encoding="utf-8")
    for kind, registry in REGISTRIES.items():
        assert f"| `{kind}` | `{registry.group}` |" in text


def test_plugin_example_passes_the_contract(tmp_path: Path) -> None:
    text = (DOCS / "howto" / "plugins.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n# (\S+\.py)\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    assert [name for name, _ in blocks] == ["mean_profile.py", "test_mean_profile.py"]
    for name, code in blocks:
        (tmp_path / name).write_text(code, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(tmp_path)],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST")},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "5 passed" in done.stdout
