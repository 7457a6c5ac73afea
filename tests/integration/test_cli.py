"""The command line by itself: help, version, configurations, small cohorts and stores."""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import typer.main
import yaml

from copyfold.cli.main import app

SCRIPT = Path(sys.executable).with_name("copyfold")


def _walk(command, path=()):
    yield path, command
    for name, child in getattr(command, "commands", {}).items():
        yield from _walk(child, (*path, name))


COMMANDS = dict(_walk(typer.main.get_command(app)))


def test_help_comes_within_half_a_second():
    def seconds():
        started = time.perf_counter()
        subprocess.run([SCRIPT, "--help"], capture_output=True, check=True)
        return time.perf_counter() - started

    assert min(seconds() for _ in range(5)) <= 0.5


def test_help_imports_nothing_heavy():
    program = (
        "import sys\n"
        "from copyfold.cli.main import app\n"
        "app(['--help'], standalone_mode=False)\n"
        "print(sorted({'torch', 'numba', 'pandas', 'numpy', 'scipy', 'pyarrow', 'pydantic'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_module_runs_as_the_script_does():
    command = [sys.executable, "-m", "copyfold.cli.main", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == subprocess.run([SCRIPT, "--version"], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(copyfold, command):
    done = copyfold(*command, "--help").succeeded()
    assert f"Usage: copyfold {' '.join(command)}".rstrip() in done.stdout
    assert len(done.stdout.splitlines()) > 5
    assert copyfold(*command, "-h").stdout == done.stdout
    assert not done.stderr


def test_the_help_of_every_command_shows_how_it_is_called():
    lacking = [
        path
        for path, command in COMMANDS.items()
        if not hasattr(command, "commands") and not command.hidden and f"copyfold {' '.join(path)}" not in command.help
    ]
    assert not lacking


@pytest.mark.parametrize(
    "command", [(), ("cnv",), ("config",), ("cnv", "store"), ("cnv", "reference"), ("cnv", "truth")], ids=" ".join
)
def test_a_group_without_a_command_shows_its_help(copyfold, command):
    done = copyfold(*command)
    assert "Usage: copyfold" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("cnv", "nonsense"),
        ("cnv", "train"),
        ("cnv", "train", "config.yaml", "--nonsense"),
        ("cnv", "simulate", "out", "-n", "many"),
        ("cnv", "simulate", "out", "-n", "1"),
    ],
    ids=" ".join,
)
def test_a_command_that_does_not_exist_is_a_usage_error(copyfold, arguments, tmp_path):
    done = copyfold(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert "Usage: copyfold" in done.stderr
    assert "Traceback" not in done.stderr
    assert not done.stdout
    assert not list(tmp_path.iterdir())


def test_version(script):
    done = script("--version").succeeded()
    assert done.stdout.split()[0] == "copyfold"
    assert done.stdout.split()[1][0].isdigit()


# Configurations


def test_config_check_prints_every_key_and_opens_the_inputs(copyfold, cohort):
    done = copyfold("config", "check", cohort / "config.yaml", "--set", "epochs=7").succeeded()
    values = dict(line.split(maxsplit=1) for line in done.stdout.splitlines() if line)
    assert values["epochs"] == "7"
    assert values["architecture"] == "06_conv_vae"
    assert values["store_path"] == str(cohort / "chromosome")
    assert "good — 30 samples × 300 bins" in done.stdout.splitlines()[-1]
    assert not (cohort / "run").exists()


def test_config_check_refuses_what_train_would_refuse(copyfold, cohort):
    check = ("config", "check", cohort / "config.yaml", "--set")
    assert "unknown key 'epoch'" in copyfold(*check, "epoch=3").complaint()
    assert "there is 06_conv_vae" in copyfold(*check, "architecture=nothing").complaint()
    assert "blaSHV" in copyfold(*check, "gene_coords_path=null").complaint()


def test_config_schema_explains_every_key(copyfold, cohort):
    lines = copyfold("config", "schema").succeeded().stdout.splitlines()
    described = {line.split()[0]: line for line in lines[1:]}
    schema = json.loads(copyfold("config", "schema", "--json").succeeded().stdout)
    assert set(described) == set(schema["properties"])
    assert all(len(line.split()) > 3 for line in described.values())
    assert schema["required"] == ["store_path", "out_dir"]
    assert schema["properties"]["epochs"]["default"] == 150
    assert set(yaml.safe_load((cohort / "config.yaml").read_text())) <= set(described)


def test_config_init_writes_a_configuration_that_is_ready_once_the_paths_are_right(copyfold, cohort, tmp_path):
    done = copyfold("config", "init", cwd=tmp_path).succeeded()
    assert done.stdout == "config.yaml\n"
    keys = yaml.safe_load((tmp_path / "config.yaml").read_text())
    schema = json.loads(copyfold("config", "schema", "--json").stdout)["properties"]
    assert set(keys) <= set(schema)
    assert (keys["architecture"], keys["hmm"], keys["cnv"]) == ("10_count_model", "10_count_hmm", "10_count_caller")
    paths = ("--set", f"store_path={cohort}/chromosome", "--set", f"gene_coords_path={cohort}/gene_coords.tsv")
    copyfold("config", "check", tmp_path / "config.yaml", *paths).succeeded()


def test_config_init_refuses_an_existing_file_and_an_unknown_preset(copyfold, tmp_path):
    (tmp_path / "config.yaml").write_text("mine")
    assert "exists already" in copyfold("config", "init", cwd=tmp_path).complaint()
    assert (tmp_path / "config.yaml").read_text() == "mine"
    complaint = copyfold("config", "init", "nothing", "-o", "other.yaml", cwd=tmp_path).complaint()
    assert "there is cnv, cnv_documents, ddg, simulate_easy, simulate_hard" in complaint
    assert not (tmp_path / "other.yaml").exists()


def test_a_preset_of_the_simulator_can_be_written_changed_and_used(copyfold, tmp_path):
    copyfold("config", "init", "simulate_hard", "-o", "mine.yaml", cwd=tmp_path).succeeded()
    text = (tmp_path / "mine.yaml").read_text().replace("name: hard", "name: mine")
    (tmp_path / "mine.yaml").write_text(text)
    arguments = ("--settings", "mine.yaml", "--like", write_depth_table(tmp_path))
    copyfold("cnv", "simulate", "cohort", "-n", 2, *arguments, cwd=tmp_path).succeeded()
    assert yaml.safe_load((tmp_path / "cohort/settings.yaml").read_text())["settings"]["name"] == "mine"


# Cohorts and stores


def write_depth_table(folder, n_bins=80):
    depth = np.random.default_rng(0).poisson(150, n_bins)
    rows = "".join(f"chr\t{1000 * row + 1}\t{1000 * row + 1000}\t{value}\n" for row, value in enumerate(depth))
    (folder / "depth.tsv").write_text(f"CONTIG\tSTART\tEND\tCOUNT\n{rows}")
    return folder / "depth.tsv"


def test_a_cohort_like_a_depth_table_has_its_bins_and_depth_and_runs(copyfold, tmp_path):
    table = write_depth_table(tmp_path)
    done = copyfold("cnv", "simulate", "cohort", "-n", 12, "--like", table, "--seed", 3, cwd=tmp_path).succeeded()
    assert done.stdout == "cohort/config.yaml\n"
    counts = np.load(tmp_path / "cohort/chromosome/counts.npy")
    assert counts.shape == (12, 80)
    assert 75 < np.median(counts) < 300
    assert not (tmp_path / "cohort/plasmid").exists()
    arguments = ("--set", "cnv_flank_padding=5000")
    copyfold("cnv", "train", tmp_path / "cohort/config.yaml", *arguments).succeeded()
    header = (tmp_path / "cohort/run/gene_calls.tsv").read_text().splitlines()[0].split("\t")
    assert {"geneA", "crr_geneA", "geneB", "geneC"} <= set(header)


def test_the_same_seed_simulates_the_same_cohort(copyfold, tmp_path):
    table = write_depth_table(tmp_path)
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        copyfold("cnv", "simulate", name, "-n", 3, "--like", table, "--seed", seed, "-q", cwd=tmp_path).succeeded()
    first, again, other = ((tmp_path / name / "chromosome/counts.npy").read_bytes() for name in "abc")
    assert first == again != other


def test_a_store_is_built_from_count_tables_and_described(copyfold, tmp_path):
    (tmp_path / "counts").mkdir()
    for name in ("B", "A"):
        table = write_depth_table(tmp_path, 20).read_text()
        (tmp_path / "counts" / f"{name}.counts.tsv").write_text(f"@HD\tVN:1.6\n@RG\tID:x\tSM:sample{name}\n{table}")
    done = copyfold("cnv", "store", "build", "counts", "-o", "store", cwd=tmp_path).succeeded()
    assert done.stdout == "store\n"
    assert np.load(tmp_path / "store/sample_ids.npy").tolist() == ["sampleA", "sampleB"]
    assert np.load(tmp_path / "store/counts.npy").shape == (2, 20)
    info = copyfold("cnv", "store", "info", tmp_path / "store").succeeded().stdout
    assert "samples    2: sampleA … sampleB" in info
    assert "20 on 1 contig: chr" in info


def test_store_info_checks_the_store(copyfold, tmp_path):
    assert "no such store" in copyfold("cnv", "store", "info", tmp_path / "nowhere").complaint()
    assert "counts.npy" in copyfold("cnv", "store", "info", tmp_path).complaint()


def test_quiet_says_nothing(copyfold, tmp_path):
    arguments = ("--like", write_depth_table(tmp_path), "-q")
    assert not copyfold("cnv", "simulate", "cohort", "-n", 2, *arguments, cwd=tmp_path).succeeded().stderr
    assert not copyfold("cnv", "store", "build", "depth.tsv", "-o", "s", "-q", cwd=tmp_path).succeeded().stderr
