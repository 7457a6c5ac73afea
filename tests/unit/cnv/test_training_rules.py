"""The documents' rules of training: weights of the loss, the split, the baseline, what the model is given."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from copyfold.cnv.config import CnvConfig
from copyfold.cnv.inputs import CnvInputs
from copyfold.cnv.models.architecture import Depths, FitSession, Inference
from copyfold.cnv.models.conv_vae import PATTERN_WINDOW, ConvVaeArchitecture
from copyfold.cnv.normalise import depth_from_log
from copyfold.cnv.pipeline import Job, infer, train
from copyfold.core.console import Console
from copyfold.core.rundir import RunDirectory
from copyfold.engine import Trainer, TrainingResult
from copyfold.testing import lineage_depths, small_bins, small_config, some_rows


@pytest.fixture
def store_path(tmp_path):
    (tmp_path / "store").mkdir()
    return tmp_path / "store"


@pytest.fixture
def session(tmp_path):
    names = {"checkpoint": "checkpoint.pth", "last": "last.pth", "log": "training_log.tsv"}
    paths = {key: tmp_path / name for key, name in names.items()}
    return FitSession(**paths, device=torch.device("cpu"), resume=False, console=Console(quiet=True))


def test_loss_weights_are_the_documents_by_default(store_path, tmp_path):
    config = CnvConfig(store_path=store_path, out_dir=tmp_path / "out")
    weights = ConvVaeArchitecture(small_bins(), config).loss_weights()
    epochs = (0, 5, 10, 15, 20, 30, 149)
    assert {name: [schedule(epoch) for epoch in epochs] for name, schedule in weights.items()} == {
        "kl": [0.0, 0.25, 0.5, 0.75, 1.0, 1.0, 1.0],
        "cnv_pattern": [0.0, pytest.approx(1 / 6), pytest.approx(1 / 3), 0.5, pytest.approx(2 / 3), 1.0, 1.0],
    }


def test_the_log_shows_the_weights_and_the_loss_they_make(store_path, session):
    config = small_config(
        store_path, epochs=6, warmup_epochs=2, cnv_pattern_warmup=4, max_beta=400.0, cnv_pattern_weight=2.0
    )
    ConvVaeArchitecture(small_bins(), config).fit(some_rows(lineage_depths(), np.arange(24)), session)
    log = pd.read_csv(session.log, sep="\t")
    assert log["weight_kl"].tolist() == [0.0, 200.0, 400.0, 400.0, 400.0, 400.0]
    assert log["weight_cnv_pattern"].tolist() == [0.0, 0.5, 1.0, 1.5, 2.0, 2.0]
    kl, pattern = log["weight_kl"] * log["train_kl"], log["weight_cnv_pattern"] * log["train_cnv_pattern"]
    np.testing.assert_allclose(log["train_loss"], log["train_reconstruction"] + kl + pattern, rtol=2e-5)
    smallest = pd.concat([kl, pattern], axis=1)[1:].min(axis=1)
    assert (smallest > 2e-4 * log["train_loss"][1:]).all(), "each term must be large enough to be missed"


def pattern_loss_by_hand(deviations, latent):
    """1 − CKA as docs/methods/conv-vae.md writes it, in numpy and from the features."""
    beyond = np.sign(deviations) * np.maximum(np.abs(deviations) - 0.25, 0.0)
    windows = [beyond[:, i : i + PATTERN_WINDOW].mean(axis=1) for i in range(0, beyond.shape[1], PATTERN_WINDOW)]
    x, y = latent - latent.mean(axis=0), np.stack(windows, axis=1)
    y = y - y.mean(axis=0)
    return 1 - np.linalg.norm(y.T @ x) ** 2 / (np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y))


def test_patterns_are_deviations_from_the_cohorts_profile(store_path):
    rng = np.random.default_rng(0)
    n_bins = 4 * PATTERN_WINDOW
    baseline = np.linspace(0.1, 1.6, n_bins)
    log_depths = np.maximum(baseline + rng.normal(0, 0.05, (24, n_bins)), 0.0)
    log_depths[::2, 64:] += 0.2  # too little for a gain, but not for a part of the profile
    log_depths[::3, 40:60] += 0.8
    log_depths[1::4, :20] = 0.0
    module = ConvVaeArchitecture(range(n_bins), small_config(store_path)).module
    module.set_baseline(torch.from_numpy(baseline).float())
    batch = torch.from_numpy(log_depths).float()
    with torch.no_grad():
        module.head.weight.mul_(100.0)  # untrained latents hardly differ, and single precision would show
        found = float(module.loss(batch, torch.Generator().manual_seed(0)).auxiliary["cnv_pattern"])
        latent = module.reconstruct(batch)[1].double().numpy()
    assert found == pytest.approx(pattern_loss_by_hand(log_depths - baseline, latent), abs=1e-4)
    assert found != pytest.approx(pattern_loss_by_hand(log_depths, latent), abs=1e-2), "the case must tell them apart"


def test_a_fit_holds_a_tenth_out_and_gives_the_trainer_what_was_configured(store_path, session, monkeypatch):
    seen = SimpleNamespace()

    def spy(trainer, data, train_rows, validation_rows, **_):
        seen.trainer, seen.data, seen.train, seen.validation = trainer, data, train_rows, validation_rows
        return TrainingResult(0, 0.0, [{}])

    monkeypatch.setattr(Trainer, "fit", spy)
    changes = {"epochs": 7, "batch_size": 5, "lr": 3e-3, "weight_decay": 0.02, "patience": 4, "seed": 9}
    depths = Depths(np.random.default_rng(0).poisson(200, (60, len(small_bins()))), np.full(60, 180.0))
    log_depths = depths.log_depths()
    architecture = ConvVaeArchitecture(small_bins(), small_config(store_path, **changes))
    architecture.fit(depths, session)

    assert len(seen.validation) == 6
    assert sorted([*seen.train, *seen.validation]) == list(range(60))
    np.testing.assert_array_equal(seen.data.numpy(), log_depths)
    profile = np.median(log_depths[seen.train], axis=0)
    np.testing.assert_allclose(architecture.module.baseline.numpy(), profile, rtol=1e-6)
    assert {key: getattr(seen.trainer.settings, key) for key in changes} == changes
    assert seen.trainer.settings.gradient_clip == 5.0


class Echo:
    """An architecture that reconstructs its input, and whose latent is the input's first bins."""

    fitted_to = None

    def __init__(self, bins, config):
        self.latent_dim = config.latent_dim

    def fit(self, depths, session):
        Echo.fitted_to = depths.log_depths()
        return SimpleNamespace(best_epoch=1, best_loss=0.0, epochs_run=1)

    def load(self, checkpoint, device):
        pass

    def infer(self, depths):
        log_depths = depths.log_depths()
        return Inference(depth_from_log(log_depths, depths.scale), log_depths[:, : self.latent_dim])


@pytest.mark.parametrize("normalise", [True, False])
def test_the_model_is_given_depths_over_the_median_or_with_normalise_false_counts(
    store_path, tmp_path, monkeypatch, normalise
):
    counts = np.random.default_rng(0).poisson([[50.0], [200.0], [800.0]], (3, 40)).astype(np.float32)
    medians = np.median(counts, axis=1).astype(np.float64)
    store = SimpleNamespace(counts=counts, n_samples=3, n_bins=40, sample_ids=np.array(["a", "b", "c"]))
    inputs = CnvInputs(store, None, medians, None, None, (), (), None)
    config = small_config(store_path, normalise=normalise)
    job = Job(config, inputs, RunDirectory(tmp_path), torch.device("cpu"), Console(quiet=True))
    monkeypatch.setattr(Job, "module", lambda job, kind: Echo)

    train(job, resume=False)
    infer(job)
    expected = np.log2(counts / (medians[:, None] if normalise else 1.0) + 1.0)
    np.testing.assert_allclose(Echo.fitted_to, expected, rtol=1e-5)
    np.testing.assert_allclose(np.load(tmp_path / "latents.npy"), expected[:, :3], rtol=1e-5)
    np.testing.assert_allclose(np.load(tmp_path / "reconstructions.npy"), counts, rtol=1e-4, atol=1e-3)
