"""Several processes that train together: the same result as one, the same end for all."""

import os
import socket
import subprocess
import sys

import pytest
import torch
from torch import distributed as dist

import ranks_at_work
from copyfold.core.torchrun import Place, own_place
from copyfold.engine import Ranks, gather_rows, load_checkpoint, rank_device
from copyfold.engine.ranks import draw_rows
from copyfold.errors import ConfigError
from ranks_at_work import LOST, STOPPED_AFTER, train

SIZE = 3
needs_gloo = pytest.mark.skipif(
    not (dist.is_available() and dist.is_gloo_available()),
    reason="this torch cannot exchange tensors between processes",
)


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """What each of three processes found, and the folder they worked in."""
    folder = tmp_path_factory.mktemp("ranks")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"TORCHELASTIC_RUN_ID": "test", "WORLD_SIZE": SIZE, "LOCAL_WORLD_SIZE": SIZE, "OMP_NUM_THREADS": 1}
    shared |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    processes = []
    for rank in range(SIZE):
        own = {name: str(value) for name, value in (shared | {"RANK": rank, "LOCAL_RANK": rank}).items()}
        command = [sys.executable, ranks_at_work.__file__, folder]
        processes.append(subprocess.Popen(command, env=os.environ | own, stderr=subprocess.PIPE, text=True))
    ends = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, LOST], ends
    return folder, [torch.load(folder / f"process{rank}" / "found.pt") for rank in range(SIZE)]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    return train(tmp_path_factory.mktemp("alone") / "whole", Ranks())


def assert_same_training(found, expected):
    """Equal but for the order of additions: rounding is 1e-16, and AdamW's division by small moments enlarges it."""
    weights, rows = found
    expected_weights, expected_rows = expected
    for row, expected_row in zip(rows, expected_rows, strict=True):
        for name in row.keys() - {"seconds"}:
            assert row[name] == pytest.approx(expected_row[name], rel=1e-9), (row["epoch"], name)
    for name, tensor in expected_weights.items():
        torch.testing.assert_close(weights[name], tensor, rtol=0, atol=1e-7)


@needs_gloo
def test_three_processes_train_as_one_does(together, alone):
    """With a last batch of two rows, and with gradients that are clipped."""
    found = together[1]
    assert_same_training(found[0]["whole"], alone)
    norms = [row["gradient_norm"] for row in alone[1]]
    assert max(norms) > 0.2


@needs_gloo
def test_all_processes_hold_the_same_bits(together):
    (weights, rows), *others = (found["whole"] for found in together[1])
    for other_weights, other_rows in others:
        assert [row["gradient_norm"] for row in rows] == [row["gradient_norm"] for row in other_rows]
        assert all(torch.equal(weights[name], other_weights[name]) for name in weights)


@needs_gloo
def test_only_the_first_process_writes(together):
    assert [found["files"] for found in together[1]] == [["checkpoint.pth", "last.pth", "log.tsv"], [], []]


@needs_gloo
def test_a_signal_to_one_process_stops_all_after_the_epoch_and_one_alone_goes_on(together, alone):
    folder, found = together
    assert [each["stopped"] for each in found] == ["exit 143"] * SIZE
    assert load_checkpoint(folder / "stopped" / "last.pth")["epoch"] == STOPPED_AFTER
    assert_same_training(train(folder / "stopped", Ranks(), resume=True), alone)


@needs_gloo
def test_processes_that_see_different_cohorts_all_refuse(together):
    for found in together[1]:
        assert "RunError: the processes of this training see different runs or cohorts" in found["other cohort"]


@needs_gloo
def test_batch_normalisation_is_refused(together):
    assert all("PluginError: batch normalisation" in found["batch normalisation"] for found in together[1])


@needs_gloo
def test_where_one_process_dies_the_others_say_that_it_is_gone(together):
    folder, _ = together
    for rank in (0, 1):
        end = torch.load(folder / f"process{rank}" / "found.pt")["lost"]
        assert "RanksLostError: another process of this training has ended" in end


@pytest.mark.parametrize("n_rows", [1, 2, 3, 8, 128])
def test_shares_are_even_and_hold_each_row_once(n_rows):
    shares = [Ranks(rank, SIZE).share(n_rows) for rank in range(SIZE)]
    assert [row for share in shares for row in range(share.first, share.stop)] == list(range(n_rows))
    assert max(share.n_own for share in shares) - min(share.n_own for share in shares) <= 1
    assert all(len(share.of(torch.arange(n_rows))) == max(share.n_own, 1) for share in shares)


def test_noise_of_a_row_does_not_depend_on_the_number_of_processes():
    def generator():
        return torch.Generator().manual_seed(1)

    whole = draw_rows(torch.Size([8, 5]), generator(), torch.device("cpu"))
    for rank in range(SIZE):
        ranks = Ranks(rank, SIZE)
        share = ranks.share(8)
        with ranks.sharing(share):
            part = draw_rows(torch.Size([share.n_own, 5]), generator(), torch.device("cpu"))
        assert torch.equal(part, whole[share.first : share.stop])


def test_alone_rows_are_gathered_already():
    rows = torch.randn(3, 2)
    assert gather_rows(rows) is rows


def test_only_torchrun_makes_ranks():
    others = {"RANK": "1", "WORLD_SIZE": "4"}
    assert own_place(others) == Place()
    local = {"LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2", "TORCHELASTIC_RUN_ID": "none"}
    assert own_place(others | local) == Place(1, 4, 1, 2)


@pytest.mark.parametrize("name", ["cuda:0", "mps", "nonsense"])
def test_a_device_that_processes_cannot_share_is_refused(name, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    with pytest.raises(ConfigError, match=f"--device {name}"):
        rank_device(Place(0, 2, 0, 2), name)


def test_each_process_of_a_machine_has_its_own_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert rank_device(Place(3, 4, 1, 2), "cuda") == torch.device("cuda", 1)
    with pytest.raises(ConfigError, match="4 processes on a machine with 2 GPUs"):
        rank_device(Place(0, 4, 0, 4), "cuda")
