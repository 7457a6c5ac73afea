"""Every command that the README shows, run as a newcomer would."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "ddg"))
from chains import helix, pdb_text

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


def stability_inputs(folder):
    """A helix with A42 and L50, calls and alleles of two isolates that carry it."""
    protein = ("GSAEKLLAWFRQVMTNDYPHIAEELLKKAAEALLSKVTEQVA" + "KELGRKLLDEAQKV")[:56]
    assert (protein[41], protein[49]) == ("A", "L")
    (folder / "protein.pdb").write_text(pdb_text(helix(protein, seqres=protein)))
    (folder / "run").mkdir()
    (folder / "run/gene_calls.tsv").write_text("sample_id\tblaSHV\tcrr_blaSHV\nS1\t1\t1.0\nS2\t2\t2.1\n")
    (folder / "kleborate.tsv").write_text("strain\tBla_chr\nS1\tSHV-1^\nS2\tSHV-11^\n")
    other = protein[:41] + "V" + protein[42:]
    (folder / "alleles.fasta").write_text(f">SHV-1\n{protein}\n>SHV-11\n{other}\n")


@pytest.mark.slow
def test_the_stability_block_runs_in_order(tmp_path):
    pytest.importorskip("protein_mpnn_utils", reason="the extra 'structure' is not installed")
    stability_inputs(tmp_path)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    commands = re.search(r"```\n(copyfold ddg scan .*?)```", README, flags=re.DOTALL)[1].splitlines()
    assert [command.split()[1:3] for command in commands] == [
        *(["ddg", "scan"], ["ddg", "predict"], ["ddg", "train"], ["ddg", "explore"], ["join", "run"])
    ]
    for command in commands:
        done = subprocess.run(
            command, shell=True, cwd=tmp_path, env={**os.environ, "PATH": path}, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{command}\n{done.stderr}"
    asked = pd.read_csv(tmp_path / "ddg.csv", comment="#")
    assert asked["ddg_kcal_mol"].notna().all()
    joined = pd.read_csv(tmp_path / "joined/join.tsv", sep="\t", comment="#").set_index("allele")
    assert joined.loc["blaSHV-11", "ddg_kcal_mol"] == pytest.approx(asked["ddg_kcal_mol"][0], abs=1e-3)
    assert joined.loc["blaSHV-1", "ddg_kcal_mol"] == 0
    assert (tmp_path / "latent/explore.html").exists()


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
