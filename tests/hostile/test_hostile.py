"""A bounded number of hostile files through every reader; benchmarks/hostile.py is the long form."""

import os
import pickle
import sys
from collections import Counter
from contextlib import suppress

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from copyfold.core.files import read_npy
from copyfold.engine import load_checkpoint
from copyfold.errors import CopyfoldError
from hostile.attack import attack, spare
from hostile.guard import watch
from hostile.mutations import mutate_bytes
from hostile.seeds import make_seeds, warm_up

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="the guard measures memory by /proc"),
    # Torch and numba warn of forks that follow threads; what is forked here starts no thread before.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
N_FILES = 60


@pytest.fixture(scope="module")
def seeds(tmp_path_factory):
    root = tmp_path_factory.mktemp("seeds")
    torch.set_num_threads(1)
    child = os.fork()  # training starts threads, and a process that has had threads is not forked
    if child == 0:
        try:
            make_seeds(root)
        except BaseException:
            os._exit(1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    warm_up(root)
    return root


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def good(seeds, work):
    return spare(seeds, work)


def test_good_files_are_read(good):
    refused = [(target.kind, outcome) for target, outcome in good.items() if outcome.kind != "read"]
    assert {kind for kind, _ in refused} <= {"CSV, published ΔΔG"}, refused
    for _, outcome in refused:
        assert "neither a sequence nor a structure" in outcome.detail


def test_hostile_files_are_read_or_refused(seeds, work, good):
    attacks = list(attack(seeds, work, N_FILES, 2026, good))
    bad = [(each.target.kind, each.file, each.outcome) for each in attacks if not each.outcome.is_good]
    assert not bad, "\n\n".join(f"{kind}, {file}: {outcome.kind}\n{outcome.detail}" for kind, file, outcome in bad)
    assert Counter(each.outcome.kind for each in attacks)["refused"] > N_FILES / 3


class Bomb:
    """A pickle that makes a folder when it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (self.path,))


def test_the_guard_sees_what_it_must(tmp_path):
    """Code that runs, writes elsewhere, dies, hangs, fails or eats memory."""
    inside, outside = tmp_path / "out", tmp_path / "ran"
    inside.mkdir()
    canary = pickle.dumps(Bomb(str(outside)))
    bad = {
        "escape": [lambda: pickle.loads(canary), lambda: (tmp_path / "x").write_text("x"), lambda: os.system("true")],  # noqa: S301
        "crash": [lambda: os._exit(3)],
        "hang": [lambda: [None for _ in iter(int, 1)].clear()],
        "traceback": [lambda: {}["key"]],
        "memory": [lambda: np.ones(100 << 20, np.uint8).sum()],
    }
    for kind, reads in bad.items():
        for read in reads:
            assert watch(read, inside, 1, 2.0 if kind == "hang" else 10.0, usual=0).kind == kind
    assert watch(lambda: (inside / "x").write_text("x"), inside, 1).kind == "read"


@pytest.mark.parametrize("name", ["best.pt", "last.pth"])
def test_no_code_runs_from_a_checkpoint(tmp_path, name):
    torch.save({"format": "copyfold-checkpoint/1", "x": Bomb(str(tmp_path / "ran"))}, tmp_path / name)
    with pytest.raises(CopyfoldError, match="not a readable checkpoint"):
        load_checkpoint(tmp_path / name)
    (tmp_path / name).write_bytes(pickle.dumps(Bomb(str(tmp_path / "ran"))))
    with pytest.raises(CopyfoldError, match="not a readable checkpoint"):
        load_checkpoint(tmp_path / name)
    assert not (tmp_path / "ran").exists()


@given(st.integers(0, 2**32), st.sampled_from(["<u4", ">i8", "<U3", "O", "f8", "(2,)f4"]))
def test_an_array_is_read_or_refused(tmp_path_factory, seed, dtype):
    path = tmp_path_factory.getbasetemp() / "hypothesis.npy"
    array = np.full((2, 3), "a", dtype=object) if dtype == "O" else np.zeros((2, 3), dtype=dtype)
    np.save(path, array, allow_pickle=True)
    path.write_bytes(mutate_bytes(path.read_bytes(), np.random.default_rng(seed)))
    with suppress(CopyfoldError):
        read_npy(path)
