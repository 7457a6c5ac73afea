"""A small simulated cohort, a finished run of it, and the command line as a user meets it.

`copyfold` and `started` run ``copyfold.cli.main.main`` in processes of their own. Those of `copyfold` are forks of one
process that has imported everything already, because importing torch takes longer than a run of this cohort; what a
real start does besides is tested through `script`.
"""

import gzip
import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pysam
import pytest
import yaml

from copyfold.cnv.simulation import hs11286_geometry, preset, simulate, write_cohort

N_BINS, N_ISOLATES, COHORT_SEED = 300, 30, 8
SHORT = ("--set", "epochs=3", "--device", "cpu")
BASELINE = ("--set", "architecture=pca_baseline", "--device", "cpu")
SCRIPT = Path(sys.executable).with_name("copyfold")
# Threads that wait for one another spin by default, which on shared cores takes ten times as long as sleeping does.
ENVIRONMENT = os.environ | {"OMP_WAIT_POLICY": "PASSIVE", "COPYFOLD_PLUGINS": "my_models"}

FORKING = """
import gc, json, os, sys, traceback
import torch._inductor.config  # what torch loads when it is told to be deterministic
import copyfold.app.cnv_run, copyfold.app.configs, copyfold.app.simulate, copyfold.app.stores
import copyfold.cnv.models.conv_vae, copyfold.cnv.models.pca_baseline
import copyfold.cnv.models.count_model, copyfold.cnv.count_segmenter, copyfold.cnv.count_caller
from copyfold.cli.main import main

gc.freeze()
print("ready", flush=True)
while line := sys.stdin.readline():
    order = json.loads(line)
    child = os.fork()
    if child == 0:
        os.chdir(order["cwd"])
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for number, name in ((1, "stdout"), (2, "stderr")):
            os.dup2(os.open(order[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
        sys.argv = ["copyfold", *order["arguments"]]
        try:
            main()
        except SystemExit as end:
            returncode = end.code
        except BaseException:
            traceback.print_exc()
            returncode = 1
        sys.stdout.flush()
        os._exit(returncode)  # taking the interpreter down costs a second in a fork
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Finished(NamedTuple):
    """A command that has ended."""

    returncode: int
    stdout: str
    stderr: str

    @property
    def warnings(self) -> list[str]:
        return [line for line in self.stderr.splitlines() if line.startswith("warning: ")]

    def succeeded(self) -> "Finished":
        assert self.returncode == 0, self.stderr
        assert "Traceback" not in self.stderr
        assert "Warning:" not in self.stderr, self.stderr  # Python's; ours begin with "warning: "
        return self

    def complaint(self) -> str:
        """The one line that a refused command leaves, besides warnings."""
        lines = [line for line in self.stderr.splitlines() if not line.startswith("warning: ")]
        assert self.returncode == 2, self.stderr
        assert len(lines) == 1, self.stderr
        assert lines[0].startswith("copyfold: "), self.stderr
        return lines[0]


class Commands:
    """Runs commands one after another; `start` and `wait` are the two halves of a call."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-c", FORKING],
            cwd=folder,
            env=ENVIRONMENT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout.readline() == "ready\n"

    def start(self, *arguments: object, cwd: Path | None = None) -> int:
        """Process number of the command, which runs now."""
        order = {
            "arguments": [str(argument) for argument in arguments],
            "cwd": str(cwd or self.folder),
            "stdout": str(self.folder / "stdout"),
            "stderr": str(self.folder / "stderr"),
        }
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def wait(self) -> Finished:
        returncode = int(self.process.stdout.readline())
        return Finished(returncode, (self.folder / "stdout").read_text(), (self.folder / "stderr").read_text())

    def __call__(self, *arguments: object, cwd: Path | None = None) -> Finished:
        self.start(*arguments, cwd=cwd)
        return self.wait()

    def close(self) -> None:
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(timeout=60)


@pytest.fixture(scope="session")
def copyfold(tmp_path_factory):
    """``copyfold("cnv", "train", …)`` → `Finished`."""
    commands = Commands(tmp_path_factory.mktemp("commands"))
    yield commands
    commands.close()


@pytest.fixture(scope="session")
def script(tmp_path_factory):
    """As `copyfold`, but starting the installed script."""
    folder = tmp_path_factory.mktemp("script")

    def run(*arguments, cwd=folder):
        command = [SCRIPT, *map(str, arguments)]
        done = subprocess.run(command, cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True)
        return Finished(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def started(tmp_path):
    """``with started("cnv", "train", …) as process``: ``python -m copyfold.cli.main`` at work, to be signalled."""

    @contextmanager
    def start(*arguments):
        command = [sys.executable, "-m", "copyfold.cli.main", *map(str, arguments)]
        with subprocess.Popen(command, cwd=tmp_path, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True) as process:
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.kill()

    return start


@pytest.fixture(scope="session")
def cohort(tmp_path_factory):
    """A cohort on disk, its config.yaml of the documents' design; tests that change it take `own_cohort`."""
    out = tmp_path_factory.mktemp("cohort") / "cohort"
    write_cohort(simulate(preset("easy"), N_ISOLATES, COHORT_SEED, hs11286_geometry(N_BINS)), out)
    config = yaml.safe_load((out / "config.yaml").read_text())
    for key in ("architecture", "hmm", "cnv", "hmm_low_cov_threshold", "bins_path"):
        del config[key]
    (out / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    return out


@pytest.fixture
def own_cohort(cohort, tmp_path):
    """A copy of the cohort to damage; its run would be ``own_cohort / "run"``."""
    return Path(shutil.copytree(cohort, tmp_path / "cohort"))


class Run(NamedTuple):
    path: Path
    command: Finished


@pytest.fixture(scope="session")
def vae_run(cohort, script, tmp_path_factory):
    """A finished run of 06_conv_vae; tests that change it take a copy."""
    out = tmp_path_factory.mktemp("vae") / "run"
    return Run(out, script("cnv", "train", cohort / "config.yaml", *SHORT, "--set", f"out_dir={out}").succeeded())


@pytest.fixture(scope="session")
def pca_run(cohort, copyfold, tmp_path_factory):
    """A finished run of pca_baseline."""
    out = tmp_path_factory.mktemp("pca") / "run"
    return Run(out, copyfold("cnv", "train", cohort / "config.yaml", *BASELINE, "--set", f"out_dir={out}").succeeded())


@pytest.fixture
def own_run(vae_run, tmp_path):
    """A copy of the finished run of 06_conv_vae."""
    return Path(shutil.copytree(vae_run.path, tmp_path / "run"))


@pytest.fixture
def mount_tmpfs(tmp_path):
    """``mount_tmpfs("size=64k")`` → a folder on a file system of its own; skips where mounting is not allowed."""
    place = tmp_path / "disk"

    def mount(options):
        place.mkdir()
        tool = shutil.which("mount")
        if tool is None or subprocess.run([tool, "-t", "tmpfs", "-o", options, "none", place]).returncode:
            place.rmdir()
            pytest.skip("mounting a tmpfs is not allowed here")
        return place

    yield mount
    if place.is_mount():
        subprocess.run(["umount", place], check=True)


@pytest.fixture(scope="session")
def until():
    """``until(condition)`` waits, and fails after a minute."""

    def wait(condition):
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline, "waited a minute in vain"
            time.sleep(0.002)

    return wait


@pytest.fixture(scope="session")
def write_inputs():
    """``write_inputs(folder)``: what the commands of the README and of docs/howto take for granted."""
    return _write_inputs


def _write_inputs(folder):
    """A small genome with a plasmid, its genes, reads of one isolate as FASTQ and of another as BAM."""
    rng = np.random.default_rng(7)
    bases = {"chr1": 260_000, "p1": 8_000}
    genome = {name: "".join(rng.choice(list("ACGT"), length)) for name, length in bases.items()}
    (folder / "chromosome.fa").write_text(f">chr1\n{genome['chr1']}\n")
    (folder / "plasmids.fa").write_text(f">p1\n{genome['p1']}\n")
    genes = {"blaSHV-11": genome["chr1"][130_200:131_061], "blaKPC-2": genome["p1"][3_000:3_882]}
    (folder / "genes.fa").write_text("".join(f">{name}\n{sequence}\n" for name, sequence in genes.items()))
    pairs = []
    for name, sequence in genome.items():
        for start in rng.integers(0, len(sequence) - 300, len(sequence) // 20).tolist():
            pairs.append((name, start, sequence[start : start + 150], sequence[start + 150 : start + 300]))
    for mate in (1, 2):
        reads = (pair[2] if mate == 1 else _reverse_complement(pair[3]) for pair in pairs)
        text = "".join(f"@r{i}/{mate}\n{read}\n+\n{'I' * 150}\n" for i, read in enumerate(reads))
        (folder / f"ERR1_{mate}.fastq.gz").write_bytes(gzip.compress(text.encode(), mtime=0))
    header = {"HD": {"VN": "1.6"}, "SQ": [{"SN": name, "LN": length} for name, length in bases.items()]}
    with pysam.AlignmentFile(str(folder / "ERR2.bam"), "wb", header=header) as out:
        for i, (name, start, first, _) in enumerate(sorted(pairs)):
            record = pysam.AlignedSegment(out.header)
            record.query_name, record.query_sequence, record.cigarstring = f"r{i}", first, "150M"
            record.reference_name, record.reference_start, record.mapping_quality = name, start, 60
            out.write(record)


def _reverse_complement(sequence):
    return sequence[::-1].translate(str.maketrans("ACGT", "TGCA"))
