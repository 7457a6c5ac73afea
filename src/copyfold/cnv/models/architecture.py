"""The contract of an architecture, and the half of it that every VAE shares."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch

from copyfold.cnv.bin_table import BinTable
from copyfold.cnv.config import SMALL_COHORT, CnvConfig
from copyfold.cnv.normalise import depth_from_log, log_depth
from copyfold.core.console import Console
from copyfold.core.files import read_rows
from copyfold.engine import (
    VAE,
    LinearWarmup,
    Ranks,
    Schedule,
    Trainer,
    TrainingSettings,
    load_checkpoint,
    split_validation,
)
from copyfold.errors import InputError

LOG_ROWS = 256


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
    ranks : Ranks
        The processes that fit; more than one for a `VaeArchitecture` only.
    """

    checkpoint: Path
    last: Path
    log: Path
    device: torch.device
    resume: bool
    console: Console
    ranks: Ranks = Ranks()  # noqa: RUF009 -- frozen


class FitSummary(NamedTuple):
    """What a fit came to: the epoch (1-based) or iteration that was kept, its loss, and how many there were."""

    best_epoch: int
    best_loss: float
    epochs_run: int


@dataclass(frozen=True)
class Depths:
    """Counts of some samples, as a model of expected depth sees them.

    Attributes
    ----------
    counts : numpy.ndarray, (n_samples, n_bins), reads
        May be mapped from a file: take rows of it, not all at once.
    scale : numpy.ndarray, (n_samples,), reads
        What counts are divided by before the logarithm: the samples' medians, or 1 without ``normalise``.
    """

    counts: np.ndarray
    scale: np.ndarray

    def __len__(self) -> int:
        return len(self.counts)

    def log_depths(self) -> np.ndarray:
        """``log2(count / scale + 1)``: (n_samples, n_bins), float32; 1 at the median depth, 0 without reads."""
        filled = np.empty(self.counts.shape, dtype=np.float32)
        for first in range(0, len(self), LOG_ROWS):
            rows = slice(first, first + LOG_ROWS)
            filled[rows] = log_depth(read_rows(self.counts, rows), self.scale[rows])
        return filled


class Inference(NamedTuple):
    """What a fitted architecture says of some samples.

    Attributes
    ----------
    expected : numpy.ndarray, (n_samples, n_bins), float32, reads
        Reads that each bin would show at one copy; finite, never negative.
    latents : numpy.ndarray, (n_samples, latent_dim), float32
    dispersion : numpy.ndarray or None, (n_samples,), float32
        Variance of a sample's counts beyond Poisson, relative to their squared mean; None from a model that does not
        know it.
    """

    expected: np.ndarray
    latents: np.ndarray
    dispersion: np.ndarray | None = None


class Architecture(Protocol):
    """A model of expected depth. `copyfold.testing.ArchitectureContract` tests all of this.

    Constructed as ``Architecture(bins, config)``. ``fit`` writes ``session.checkpoint`` and ``session.log``; ``load``
    reads the checkpoint into a fresh object; ``infer`` treats every sample by itself, so that results do not depend
    on the batch.
    """

    def __init__(self, bins: BinTable, config: CnvConfig) -> None: ...

    def fit(self, depths: Depths, session: FitSession) -> FitSummary: ...

    def load(self, checkpoint: Path, device: torch.device) -> None: ...

    def infer(self, depths: Depths) -> Inference: ...


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
    bins : BinTable
        Only their number matters.
    config : CnvConfig
    """

    def __init__(self, bins: BinTable, config: CnvConfig) -> None:
        self.n_bins = len(bins)
        self.config = config
        self.module = self.build_module()
        self.device = torch.device("cpu")

    def build_module(self) -> DepthVAE:
        """The untrained module."""
        raise NotImplementedError

    def fit(self, depths: Depths, session: FitSession) -> FitSummary:
        """Train on the samples' log depths; see `Architecture`."""
        config = self.config
        if len(depths) < SMALL_COHORT:
            session.console.warn(
                f"{len(depths)} isolates are too few for {config.architecture} to learn a cohort from (fewer than "
                f"{SMALL_COHORT}); --set architecture=pca_baseline is recommended, or the preset of `config init cnv`"
            )
        self.device = session.device
        train_rows, validation_rows = split_validation(len(depths), config.val_fraction, config.seed)
        data = torch.from_numpy(depths.log_depths()).to(session.device)
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
            ranks=session.ranks,
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
        except (KeyError, TypeError, AttributeError, RuntimeError) as error:
            raise InputError(
                f"{checkpoint}: weights do not fit this architecture and number of bins "
                f"({str(error).splitlines()[0]}); use the run's own store and configuration"
            ) from None
        self.module.to(device)
        self.module.train(False)
        self.device = device

    @torch.no_grad()
    def infer(self, depths: Depths) -> Inference:
        """Reconstruct some samples; see `Architecture`."""
        batch = torch.from_numpy(depths.log_depths()).to(self.device)
        reconstruction, latent = self.module.reconstruct(batch)
        return Inference(depth_from_log(reconstruction.cpu().numpy(), depths.scale), latent.cpu().numpy())


def _column_medians(data: torch.Tensor, rows: np.ndarray) -> torch.Tensor:
    """Median of each column over some rows: (n_columns,). On the device, since sorting is what it is good at."""
    ordered = torch.sort(data[torch.as_tensor(rows, device=data.device)], dim=0).values
    return (ordered[(len(rows) - 1) // 2] + ordered[len(rows) // 2]) / 2
