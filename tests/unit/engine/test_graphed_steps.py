"""Steps replayed as a CUDA graph against plain steps. Needs a CUDA device."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from copyfold.engine import (
    DeterministicConfig,
    LatentNormal,
    LinearWarmup,
    LossTerms,
    Trainer,
    TrainingSettings,
    kl_to_standard_normal,
    sample_latent,
)

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
DATA = torch.randn(300, 20, generator=torch.Generator().manual_seed(1))


class Module(torch.nn.Module):
    """A linear VAE; one that looks at its loss on the host cannot be recorded as a graph."""

    def __init__(self, looks: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.encoder, self.decoder, self.looks = torch.nn.Linear(20, 4), torch.nn.Linear(2, 20), looks

    def loss(self, batch: torch.Tensor, generator: torch.Generator | None) -> LossTerms:
        mean, log_variance = self.encoder(batch).chunk(2, 1)
        posterior = LatentNormal(mean, log_variance.clamp(-5, 5))
        error = (batch - self.decoder(sample_latent(posterior, generator))).square().mean()
        if self.looks:
            assert float(error.detach()) >= 0
        return LossTerms(error, kl_to_standard_normal(posterior).mean() / 20, {})


def train(folder: Path, looks: bool, stop_after: int | None = None) -> list[torch.Tensor]:
    DeterministicConfig().apply()
    folder.mkdir()

    def trainer(module: Module) -> Trainer:
        paths = {"checkpoint": folder / "c.pth", "last": folder / "l.pth", "log": folder / "log.tsv"}
        return Trainer(module, TrainingSettings(12, 32, 1e-2, 1e-5, 0), {"kl": LinearWarmup(1.0, 3)}, **paths)

    def stop(epochs: int, row: dict[str, float]) -> None:
        if epochs == stop_after:
            raise KeyboardInterrupt

    rows = (DATA.cuda(), np.arange(250), np.arange(250, 300))
    if stop_after:
        with pytest.raises(KeyboardInterrupt):
            trainer(Module(looks).cuda()).fit(*rows, on_epoch=stop)
    module = Module(looks).cuda()
    trainer(module).fit(*rows, resume=True)
    return [parameter.detach().cpu() for parameter in module.parameters()]


def test_graphs_plain_steps_and_resumed_runs_end_with_the_same_weights(tmp_path: Path) -> None:
    expected = train(tmp_path / "plain", looks=True)
    cases = {"graph": (False, None), "graph resumed": (False, 5), "plain resumed": (True, 5)}
    for name, (looks, stop_after) in cases.items():
        for found, weights in zip(train(tmp_path / name, looks, stop_after), expected, strict=True):
            torch.testing.assert_close(found, weights, rtol=0, atol=0, msg=name)
