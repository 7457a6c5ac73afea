"""The contract of an architecture, and the half of it that every VAE shares."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch

from copyfold.cnv.config import CnvConfig
from copyfold.core.console import Console
from copyfold.engine import (
    VAE,
    LinearWarmup,
    Schedule,
    Trainer,
    TrainingSettings,
    load_checkpoint,
    split_validation,
)
from copyfold.errors import InputError


@dataclass(frozen=True)
class FitSession:
    """Where and how an architecture trains.

    Attributes
    ----------
    checkpoint, last, log : Path
        ``checkpoint.pth`` (the fitted model), ``last.pth`` (what a resumed fit continues from, where the
        architecture has epochs), ``training_log.tsv``.
    device : torch.device
    resume : bool
    console : Console
    """

    checkpoint: Path
    last: Path
    log: Path
    device: torch.device
    resume: bool
    console: Console


class FitSummary(NamedTuple):
    """What a fit came to: the epoch (1-based) or iteration that was kept, its loss, and how many there were."""

    best_epoch: int
    best_loss: float
    epochs_run: int


class Inference(NamedTuple):
    """What a fitted architecture says of some samples.

    Attributes
    ----------
    log_depth : numpy.ndarray, (n_samples, n_bins), float32
        Reconstruction, in the unit of the input: ``log2(depth / median + 1)``.
    latents : numpy.ndarray, (n_samples, latent_dim), float32
    """

    log_depth: np.ndarray
    latents: np.ndarray


class Architecture(Protocol):
    """A model of expected depth. `copyfold.testing.ArchitectureContract` tests all of this.

    Constructed as ``Architecture(n_bins, config)``. ``fit`` writes ``session.checkpoint`` and ``session.log``;
    ``load`` reads the checkpoint into a fresh object; ``infer`` treats every sample by itself, so that results do
    not depend on the batch.
    """

    def __init__(self, n_bins: int, config: CnvConfig) -> None: ...

    def fit(self, log_depths: np.ndarray, session: FitSession) -> FitSummary: ...

    def load(self, checkpoint: Path, device: torch.device) -> None: ...

    def infer(self, log_depths: np.ndarray) -> Inference: ...


class DepthVAE(VAE, Protocol):
    """A VAE module over log depths, with what `VaeArchitecture` needs besides the engine's protocol."""

    def set_baseline(self, profile: torch.Tensor) -> None:
        """Start the decoder from the cohort's median profile (n_bins,)."""
        ...

    def reconstruct(self, log_depths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Reconstruction (batch, n_bins) and latent mean (batch, latent_dim), without noise."""
        ...

    def to(self, device: torch.device, /) -> object: ...


class VaeArchitecture:
    """An architecture whose model is a VAE module trained by the engine; subclasses say which module.

    Parameters
    ----------
    n_bins : int
    config : CnvConfig
    """

    def __init__(self, n_bins: int, config: CnvConfig) -> None:
        self.n_bins = n_bins
        self.config = config
        self.module = self.build_module()
        self.device = torch.device("cpu")

    def build_module(self) -> DepthVAE:
        """The untrained module."""
        raise NotImplementedError

    def fit(self, log_depths: np.ndarray, session: FitSession) -> FitSummary:
        """Train on ``log_depths`` (n_samples, n_bins), float32; see `Architecture`."""
        config = self.config
        self.device = session.device
        train_rows, validation_rows = split_validation(len(log_depths), config.val_fraction, config.seed)
        data = torch.from_numpy(np.ascontiguousarray(log_depths, dtype=np.float32)).to(session.device)
        self.module.to(session.device)
        self.module.set_baseline(_column_medians(data, train_rows))
        settings = TrainingSettings(
            epochs=config.epochs,
            batch_size=config.batch_size,
            lr=config.lr,
            weight_decay=config.weight_decay,
            patience=config.patience,
            seed=config.seed,
        )
        weights = self.loss_weights()
        settled = max(schedule.settled_epoch for schedule in weights.values())
        if config.epochs <= settled:
            session.console.warn(
                f"{config.epochs} epochs end before the warm-ups do ({settled}): none can be judged, the last is kept"
            )
        trainer = Trainer(
            self.module,
            settings,
            weights,
            checkpoint=session.checkpoint,
            last=session.last,
            log=session.log,
        )
        with session.console.progress("training, epoch", config.epochs) as progress:
            result = trainer.fit(
                data,
                train_rows,
                validation_rows,
                resume=session.resume,
                on_epoch=lambda done, row: progress(done, f"validation loss {row['val_reconstruction']:.5f}"),
            )
        return FitSummary(result.best_epoch + 1, result.best_loss, len(result.rows))

    def loss_weights(self) -> dict[str, Schedule]:
        """Weights of the loss terms, by the configuration: β and the alignment, each with its warm-up."""
        config = self.config
        return {
            "kl": LinearWarmup(config.max_beta, config.warmup_epochs),
            "cnv_pattern": LinearWarmup(config.cnv_pattern_weight, config.cnv_pattern_warmup),
        }

    def load(self, checkpoint: Path, device: torch.device) -> None:
        """Load the weights of ``checkpoint.pth``."""
        content = load_checkpoint(checkpoint, device=device)
        try:
            self.module.load_state_dict(content["model_state_dict"])
        except (KeyError, RuntimeError) as error:
            raise InputError(
                f"{checkpoint}: weights do not fit this architecture and number of bins "
                f"({str(error).splitlines()[0]}); use the run's own store and configuration"
            ) from None
        self.module.to(device)
        self.module.train(False)
        self.device = device

    @torch.no_grad()
    def infer(self, log_depths: np.ndarray) -> Inference:
        """Reconstruct some samples; see `Architecture`."""
        batch = torch.from_numpy(np.ascontiguousarray(log_depths, dtype=np.float32)).to(self.device)
        reconstruction, latent = self.module.reconstruct(batch)
        return Inference(reconstruction.cpu().numpy(), latent.cpu().numpy())


def _column_medians(data: torch.Tensor, rows: np.ndarray) -> torch.Tensor:
    """Median of each column over some rows: (n_columns,). On the device, since sorting is what it is good at."""
    ordered = torch.sort(data[torch.as_tensor(rows, device=data.device)], dim=0).values
    return (ordered[(len(rows) - 1) // 2] + ordered[len(rows) // 2]) / 2
