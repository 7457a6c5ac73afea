"""Every command that the README shows, run as a newcomer would."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
BASH_BLOCKS = re.findall(r"```bash\n(.*?)```", README, flags=re.DOTALL)


@pytest.mark.slow
def test_the_bash_blocks_run_in_order(tmp_path, write_inputs):
    write_inputs(tmp_path)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    commands = [line for block in BASH_BLOCKS for line in block.splitlines() if line.strip()]
    assert len(commands) >= 10
    for command in commands:
        assert command.startswith("copyfold ")
        done = subprocess.run(
            command, shell=True, cwd=tmp_path, env={**os.environ, "PATH": path}, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{command}\n{done.stderr}"
    for run in ("run", "cohort/run"):
        assert (tmp_path / run / "evaluation.txt").exists()
        assert (tmp_path / run / "plasmid_gene_calls.tsv").exists()


def test_the_make_targets_that_the_readme_names_exist_and_do_what_it_says():
    targets = re.search(r"```\n(make .*?)```", README, flags=re.DOTALL)[1].split("\n")
    assert targets[:2] == ["make demo", "make test"]
    for target in ("demo", "test"):
        planned = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        assert {"demo": "copyfold demo", "test": "-m pytest"}[target] in planned
    assert "make demo" in (ROOT / ".ci/run").read_text(), "CI runs the demo for real"


def test_the_commands_of_the_table_resolve():
    for path in re.findall(r"`((?:src|hpc|experiments)/[\w/.]+)`", README):
        assert (ROOT / path).exists(), path
