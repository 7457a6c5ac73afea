"""The engine: losses against torch, schedules, the loop, checkpoints, exact resumption."""

import os
import signal
import subprocess
import sys
import textwrap
from contextlib import suppress

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from copyfold.engine import (
    Constant,
    DeterministicConfig,
    LatentNormal,
    LinearWarmup,
    LossTerms,
    Trainer,
    TrainingSettings,
    kl_to_standard_normal,
    load_checkpoint,
    one_thread,
    pick_device,
    sample_latent,
    save_checkpoint,
    split_validation,
)
from copyfold.errors import ConfigError, CopyfoldError, InputError


class TinyVAE(nn.Module):
    """A linear VAE with dropout, so that a forgotten random state would show."""

    def __init__(self, n_features=6):
        super().__init__()
        self.encoder = nn.Linear(n_features, 4)
        self.decoder = nn.Sequential(nn.Dropout(0.2), nn.Linear(2, n_features))

    def loss(self, batch, generator):
        posterior = LatentNormal(*self.encoder(batch).chunk(2, dim=1))
        decoded = self.decoder(sample_latent(posterior, generator))
        return LossTerms((batch - decoded).square().mean(), kl_to_standard_normal(posterior).mean())


class LookingVAE(TinyVAE):
    """Looks at its loss on the host, so that its steps cannot be recorded as a CUDA graph."""

    def loss(self, batch, generator):
        terms = super().loss(batch, generator)
        assert float(terms.reconstruction.detach()) >= 0
        return terms


def make_trainer(folder, *, epochs=6, lr=1e-2, patience=0, weights=None, module=None):
    torch.manual_seed(0)
    settings = TrainingSettings(epochs=epochs, batch_size=8, lr=lr, weight_decay=1e-4, patience=patience)
    weights = weights or {"kl": LinearWarmup(0.1, 2)}
    folder.mkdir(exist_ok=True)
    paths = {"checkpoint": folder / "checkpoint.pth", "last": folder / "last.pth", "log": folder / "log.tsv"}
    return Trainer(TinyVAE() if module is None else module, settings, weights, **paths)


DATA = torch.randn(40, 6, generator=torch.Generator().manual_seed(3))
TRAIN, VALIDATION = split_validation(40, 0.2, 42)


def same_weights(left, right):
    return all(torch.equal(a, b) for a, b in zip(left.state_dict().values(), right.state_dict().values(), strict=True))


def test_kl_is_that_of_torch():
    posterior = LatentNormal(torch.randn(5, 3), torch.randn(5, 3))
    normal = torch.distributions.Normal(posterior.mean, torch.exp(0.5 * posterior.log_variance))
    expected = torch.distributions.kl_divergence(normal, torch.distributions.Normal(0.0, 1.0)).sum(dim=1)
    torch.testing.assert_close(kl_to_standard_normal(posterior), expected)


def test_latent_samples_have_the_posterior_s_moments():
    posterior = LatentNormal(torch.full((20000, 1), 2.0), torch.full((20000, 1), 2 * float(np.log(0.5))))
    drawn = sample_latent(posterior, torch.Generator().manual_seed(0))
    assert abs(float(drawn.mean()) - 2.0) < 0.02
    assert abs(float(drawn.std()) - 0.5) < 0.02
    assert sample_latent(posterior, None) is posterior.mean


@given(maximum=st.floats(0, 10), epochs=st.integers(0, 50), epoch=st.integers(0, 200))
def test_warmup_rises_from_nothing_to_its_maximum(maximum, epochs, epoch):
    schedule = LinearWarmup(maximum, epochs)
    assert schedule(epoch) <= schedule(epoch + 1) <= maximum
    assert schedule(schedule.settled_epoch) == maximum
    if epochs:
        assert schedule(0) == 0


def test_beta_warmup_of_the_document():
    beta = LinearWarmup(1.0, 20)
    assert [beta(0), beta(10), beta(20), beta(149)] == [0.0, 0.5, 1.0, 1.0]


def test_weighted_total():
    terms = LossTerms(torch.tensor(1.0), torch.tensor(2.0), {"extra": torch.tensor(3.0)})
    assert float(terms.weighted_total({"kl": 0.5, "extra": 10.0})) == 32.0


def test_training_lowers_the_loss_and_logs_every_epoch(tmp_path):
    result = make_trainer(tmp_path, epochs=30).fit(DATA, TRAIN, VALIDATION)
    assert result.best_loss < result.rows[0]["val_reconstruction"]
    log = (tmp_path / "log.tsv").read_text().splitlines()
    assert len(log) == 31
    assert log[0].startswith("epoch\ttrain_loss\ttrain_reconstruction\ttrain_kl\tval_reconstruction")
    assert [line.split("\t")[0] for line in log[1:4]] == ["1", "2", "3"]


def test_gradients_are_clipped_at_norm_5_and_logged_as_they_were(tmp_path):
    trainer = make_trainer(tmp_path, epochs=1, weights={"kl": Constant(1000.0)})
    assert trainer.settings.gradient_clip == 5.0
    before, after = {}, {}
    parameters = dict(trainer.module.named_parameters())
    for name, parameter in parameters.items():
        parameter.register_post_accumulate_grad_hook(
            lambda parameter, name=name: before.update({name: parameter.grad.clone()})
        )
    trainer.optimizer.register_step_pre_hook(
        lambda *_: after.update({name: parameter.grad.clone() for name, parameter in parameters.items()})
    )
    (row,) = trainer.fit(DATA, TRAIN[:8], VALIDATION).rows  # one batch, so one step
    norms = [float(torch.cat([gradient.flatten() for gradient in found.values()]).norm()) for found in (before, after)]
    assert row["gradient_norm"] == pytest.approx(norms[0], rel=1e-5)
    assert norms[0] > 100
    assert norms[1] == pytest.approx(5.0, rel=1e-4)
    for name, gradient in before.items():
        torch.testing.assert_close(after[name], gradient * (5.0 / norms[0]), rtol=1e-4, atol=1e-7)


def test_a_gradient_within_the_norm_is_left_alone(tmp_path):
    trainer = make_trainer(tmp_path, epochs=1, weights={"kl": Constant(0.1)})
    norms = []
    trainer.optimizer.register_step_pre_hook(
        lambda *_: norms.append(float(torch.cat([p.grad.flatten() for p in trainer.module.parameters()]).norm()))
    )
    (row,) = trainer.fit(DATA, TRAIN, VALIDATION).rows
    assert len(norms) == len(TRAIN) // 8
    assert row["gradient_norm"] == pytest.approx(max(norms), rel=1e-5)
    assert max(norms) < 5.0


def test_weight_decay_is_decoupled_and_as_set(tmp_path):
    """Where the loss is flat, one step of AdamW shrinks every weight by lr·weight_decay and does nothing else."""

    class Flat(TinyVAE):
        def loss(self, batch, generator):
            nothing = 0.0 * sum(parameter.sum() for parameter in self.parameters())
            return LossTerms(nothing + 1.0, nothing)

    settings = TrainingSettings(epochs=1, batch_size=40, lr=0.1, weight_decay=0.3, patience=0)
    module = Flat()
    paths = {"checkpoint": tmp_path / "checkpoint.pth", "last": tmp_path / "last.pth", "log": tmp_path / "log.tsv"}
    trainer = Trainer(module, settings, {"kl": Constant(1.0)}, **paths)
    assert [(group["lr"], group["weight_decay"]) for group in trainer.optimizer.param_groups] == [(0.1, 0.3)]
    start = [parameter.detach().clone() for parameter in module.parameters()]
    trainer.fit(DATA, TRAIN, VALIDATION)
    for weight, was in zip(module.parameters(), start, strict=True):
        torch.testing.assert_close(weight.detach(), was * (1 - 0.1 * 0.3))


def test_the_best_epoch_is_judged_after_the_warmups_only(tmp_path):
    trainer = make_trainer(tmp_path, epochs=12, weights={"kl": LinearWarmup(50.0, 7)})
    result = trainer.fit(DATA, TRAIN, VALIDATION)
    losses = [row["val_reconstruction"] for row in result.rows]
    assert int(np.argmin(losses)) < 7, "the case needs an early epoch that looks best"
    assert result.best_epoch == 7 + int(np.argmin(losses[7:]))
    kept = load_checkpoint(tmp_path / "checkpoint.pth")
    assert kept["epoch"] == result.best_epoch
    # nothing in it that depends on how many epochs later it happened to be written
    assert kept["rows"] == result.rows[: result.best_epoch + 1]
    assert same_weights(trainer.module, _loaded(tmp_path / "checkpoint.pth"))


def _loaded(path):
    module = TinyVAE()
    module.load_state_dict(load_checkpoint(path)["model_state_dict"])
    return module


def test_a_run_shorter_than_its_warmup_keeps_its_last_epoch(tmp_path):
    result = make_trainer(tmp_path, epochs=3, weights={"kl": LinearWarmup(1.0, 30)}).fit(DATA, TRAIN, VALIDATION)
    assert result.best_epoch == 2


def test_patience_stops_and_counts_from_the_first_judged_epoch(tmp_path):
    trainer = make_trainer(tmp_path, epochs=60, lr=0.0, patience=4, weights={"kl": LinearWarmup(1.0, 5)})
    result = trainer.fit(DATA, TRAIN, VALIDATION)
    assert result.best_epoch == 5
    assert len(result.rows) == 5 + 1 + 4


def test_a_diverging_run_says_what_to_change(tmp_path):
    with pytest.raises(CopyfoldError, match="lower lr"):
        make_trainer(tmp_path, lr=1e30, epochs=20).fit(DATA, TRAIN, VALIDATION)


def test_the_same_seed_gives_the_same_bits(tmp_path):
    DeterministicConfig().apply()
    first, second = make_trainer(tmp_path / "a"), make_trainer(tmp_path / "b")
    first.fit(DATA, TRAIN, VALIDATION)
    torch.rand(17)  # what else draws from the global generator must not matter
    second.fit(DATA, TRAIN, VALIDATION)
    assert same_weights(first.module, second.module)


class _StopError(Exception):
    pass


@pytest.mark.parametrize("stop_after", [1, 3, 5])
def test_a_resumed_run_ends_with_the_same_bits(tmp_path, stop_after):
    whole = make_trainer(tmp_path / "whole")
    whole.fit(DATA, TRAIN, VALIDATION)

    def stop(done, row):
        if done == stop_after:
            raise _StopError

    with pytest.raises(_StopError):
        make_trainer(tmp_path / "cut").fit(DATA, TRAIN, VALIDATION, on_epoch=stop)
    torch.rand(5)
    resumed = make_trainer(tmp_path / "cut")
    result = resumed.fit(DATA, TRAIN, VALIDATION, resume=True)
    assert same_weights(whole.module, resumed.module)
    assert len(result.rows) == 6
    for name in ("checkpoint.pth", "last.pth"):
        assert same_weights(_loaded(tmp_path / "whole" / name), _loaded(tmp_path / "cut" / name))


@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("n_rows", [1, 2, 9, 100])
def test_split(n_rows, fraction):
    train, validation = split_validation(n_rows, fraction, 1)
    assert len(train) >= 1
    assert len(validation) >= 1
    if fraction and n_rows > 1:
        assert sorted([*train, *validation]) == list(range(n_rows))
    else:
        assert train.tolist() == validation.tolist() == list(range(n_rows))


def test_a_checkpoint_with_code_in_it_is_refused(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "code-ran"),))

    torch.save({"format": "copyfold-checkpoint/1", "x": Bomb()}, tmp_path / "c.pth")
    with pytest.raises(InputError, match="not a readable checkpoint"):
        load_checkpoint(tmp_path / "c.pth")
    assert not (tmp_path / "code-ran").exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken", b"text"])
def test_damaged_checkpoints(tmp_path, content):
    (tmp_path / "c.pth").write_bytes(content)
    with pytest.raises(InputError, match=r"c\.pth"):
        load_checkpoint(tmp_path / "c.pth")


def test_a_checkpoint_of_another_program_is_refused(tmp_path):
    torch.save({"weights": torch.zeros(1)}, tmp_path / "c.pth")
    with pytest.raises(InputError, match="copyfold-checkpoint/1"):
        load_checkpoint(tmp_path / "c.pth")
    save_checkpoint(tmp_path / "c.pth", {"weights": torch.zeros(1)})
    assert load_checkpoint(tmp_path / "c.pth")["weights"] == 0


@pytest.mark.parametrize("name", ["gpu", "cuda:99", "meta", ""])
def test_a_device_that_is_not_there(name):
    with pytest.raises(ConfigError, match="--device"):
        pick_device(name)


def test_constant_schedule():
    assert Constant(2.0)(99) == 2.0
    assert Constant(2.0).settled_epoch == 0


def test_a_killed_process_resumes_to_the_same_bits(tmp_path):
    """The real thing: SIGKILL in the middle of an epoch."""
    program = textwrap.dedent(f"""
        import importlib.util, pathlib, sys, time
        spec = importlib.util.spec_from_file_location("t", {__file__!r})
        t = importlib.util.module_from_spec(spec); spec.loader.exec_module(t)
        class Slow(t.TinyVAE):
            def loss(self, batch, generator):
                time.sleep(0.002); return super().loss(batch, generator)
        t.TinyVAE = Slow
        t.make_trainer(pathlib.Path({str(tmp_path / "cut")!r}), epochs=40).fit(
            t.DATA, t.TRAIN, t.VALIDATION, on_epoch=lambda done, row: print(done, flush=True))
    """)
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        while process.stdout.readline().strip() != "5":
            pass
        os.kill(process.pid, signal.SIGKILL)
    whole = make_trainer(tmp_path / "whole", epochs=40)
    whole.fit(DATA, TRAIN, VALIDATION)
    resumed = make_trainer(tmp_path / "cut", epochs=40)
    assert 1 <= load_checkpoint(tmp_path / "cut" / "last.pth")["epoch"] < 40
    resumed.fit(DATA, TRAIN, VALIDATION, resume=True)
    assert same_weights(whole.module, resumed.module)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_recorded_steps_plain_steps_and_resumed_runs_end_with_the_same_weights_on_a_gpu(tmp_path):
    DeterministicConfig().apply()
    rows = (DATA.cuda(), TRAIN, VALIDATION)

    def train(name, kind, stop_after=None):
        def module():
            torch.manual_seed(0)
            return kind().cuda()

        def stop(done, row):
            if done == stop_after:
                raise KeyboardInterrupt

        if stop_after:
            with pytest.raises(KeyboardInterrupt):
                make_trainer(tmp_path / name, epochs=9, module=module()).fit(*rows, on_epoch=stop)
        trained = module()
        make_trainer(tmp_path / name, epochs=9, module=trained).fit(*rows, resume=True)
        return trained

    expected = train("recorded", TinyVAE)
    assert same_weights(train("recorded and resumed", TinyVAE, 4), expected)
    for name, stop_after in (("plain", None), ("plain and resumed", 4)):
        with pytest.warns(UserWarning, match="cannot be recorded as a CUDA graph"):
            assert same_weights(train(name, LookingVAE, stop_after), expected)


def test_one_thread_within_and_as_many_as_before_after():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        counted = []
        with suppress(ZeroDivisionError), one_thread():
            counted.append(torch.get_num_threads())
            raise ZeroDivisionError
        assert [*counted, torch.get_num_threads()] == [1, 2]
    finally:
        torch.set_num_threads(before)
