"""The training loop, from top to bottom.

An epoch's shuffle and noise are drawn from generators seeded by (seed, purpose, epoch), so the loop carries no
hidden random state: what ``last.pth`` holds (weights, optimiser, epoch, best so far, log) is all there is, and a
run killed at any moment continues to the same bits on CPU.
"""

from __future__ import annotations

import csv
import io
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from copyfold.core.files import write_text
from copyfold.core.seeding import derive_generator, derive_seed
from copyfold.engine.checkpoints import load_checkpoint, save_checkpoint
from copyfold.engine.schedules import Schedule
from copyfold.engine.vae import VAE
from copyfold.errors import CopyfoldError

Row = dict[str, float]
OnEpoch = Callable[[int, Row], None]


@dataclass(frozen=True)
class TrainingSettings:
    """How to train, whatever the model.

    Attributes
    ----------
    epochs, batch_size : int
    lr, weight_decay : float
        Of AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101).
    patience : int
        Stop after this many judged epochs without a better validation loss; 0 never stops early.
    gradient_clip : float
        Largest norm of the gradient.
    seed : int
    """

    epochs: int
    batch_size: int
    lr: float
    weight_decay: float
    patience: int
    gradient_clip: float = 5.0
    seed: int = 42


@dataclass(frozen=True)
class TrainingResult:
    """What training came to; the module then holds the best epoch's weights.

    Attributes
    ----------
    best_epoch : int
        0-based epoch whose weights were kept.
    best_loss : float
        Its reconstruction term on the validation rows.
    rows : list of dict
        The log, a row per epoch.
    """

    best_epoch: int
    best_loss: float
    rows: list[Row]


@dataclass
class _State:
    """Where training stands; all of it goes into ``last.pth``."""

    epoch: int = 0
    best_epoch: int = -1
    best_loss: float = math.inf
    rows: list[Row] = field(default_factory=list)


def split_validation(n_rows: int, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Sorted row numbers for training and for validation; at least one of each where both are asked for.

    With ``fraction`` 0 or a single row, the validation rows are the training rows.
    """
    n_validation = min(round(n_rows * fraction) or 1, n_rows - 1) if fraction > 0 else 0
    if n_validation <= 0:
        everything = np.arange(n_rows)
        return everything, everything
    order = derive_generator(seed, "validation split").permutation(n_rows)
    return np.sort(order[n_validation:]), np.sort(order[:n_validation])


class Trainer:
    """Trains a VAE on rows of one tensor and keeps the best epoch.

    Parameters
    ----------
    module : VAE
    settings : TrainingSettings
    weights : mapping of str to Schedule
        Weight of every loss term but the reconstruction; ``"kl"`` is β.
    checkpoint, last, log : Path
        Best epoch; newest epoch (what a resumed run continues from); table of epochs.
    """

    def __init__(
        self,
        module: VAE,
        settings: TrainingSettings,
        weights: Mapping[str, Schedule],
        *,
        checkpoint: Path,
        last: Path,
        log: Path,
    ) -> None:
        self.module = module
        self.settings = settings
        self.weights = dict(weights)
        self.checkpoint, self.last, self.log = checkpoint, last, log
        self.optimizer = torch.optim.AdamW(module.parameters(), lr=settings.lr, weight_decay=settings.weight_decay)

    def fit(
        self,
        data: Tensor,
        train_rows: np.ndarray,
        validation_rows: np.ndarray,
        *,
        resume: bool = False,
        on_epoch: OnEpoch | None = None,
    ) -> TrainingResult:
        """Train, then load the best epoch's weights into the module.

        Parameters
        ----------
        data : Tensor, (n_rows, n_features), float32
            On the device to train on.
        train_rows, validation_rows : numpy.ndarray, int64
        resume : bool
            Continue from ``last`` where it exists.
        on_epoch : callable, optional
            Called with the number of finished epochs and the newest row of the log.

        Raises
        ------
        CopyfoldError
            The loss is no longer finite.
        """
        settings = self.settings
        state = self._load_state(data.device) if resume and self.last.exists() else _State()
        if state.rows:  # a run killed between last.pth and the log lacks the log's last row
            write_text(self.log, _log_table(state.rows))
        training = torch.as_tensor(train_rows, device=data.device)
        validation = torch.as_tensor(validation_rows, device=data.device)
        # An epoch counts only once every weight is final: before that the loss measures a different model.
        first_judged = max((schedule.settled_epoch for schedule in self.weights.values()), default=0)

        while state.epoch < settings.epochs and not self._out_of_patience(state, first_judged):
            started = time.perf_counter()
            weights = {name: schedule(state.epoch) for name, schedule in self.weights.items()}
            train_terms, gradient_norm = self._train_epoch(data, training, weights, state.epoch)
            validation_terms = self._evaluate(data, validation)

            row: Row = {"epoch": state.epoch}
            row |= {f"train_{name}": value for name, value in train_terms.items()}
            row |= {f"val_{name}": value for name, value in validation_terms.items()}
            row |= {f"weight_{name}": value for name, value in weights.items()}
            row |= {"gradient_norm": gradient_norm, "seconds": time.perf_counter() - started}
            state.rows.append(row)
            judged = state.epoch >= first_judged
            if judged and validation_terms["reconstruction"] < state.best_loss:
                state.best_epoch, state.best_loss = state.epoch, validation_terms["reconstruction"]
                self._save(self.checkpoint, state)
            state.epoch += 1
            self._save(self.last, state)
            write_text(self.log, _log_table(state.rows))
            if on_epoch:
                on_epoch(state.epoch, row)

        if state.best_epoch < 0:  # too short to judge any epoch: keep the last
            state.best_epoch, state.best_loss = state.epoch - 1, state.rows[-1]["val_reconstruction"]
            self._save(self.checkpoint, state)
        best = load_checkpoint(self.checkpoint, device=data.device)
        self.module.load_state_dict(best["model_state_dict"])
        self.module.train(False)
        return TrainingResult(state.best_epoch, state.best_loss, state.rows)

    def _train_epoch(
        self, data: Tensor, rows: Tensor, weights: Mapping[str, float], epoch: int
    ) -> tuple[dict[str, float], float]:
        """One pass over the training rows; mean of each loss term and largest gradient norm before clipping."""
        settings = self.settings
        torch.manual_seed(derive_seed(settings.seed, "modules", epoch))  # for dropout inside a plug-in's module
        shuffle = torch.Generator().manual_seed(derive_seed(settings.seed, "shuffle", epoch))
        noise = torch.Generator(data.device).manual_seed(derive_seed(settings.seed, "noise", epoch))
        order = rows[torch.randperm(len(rows), generator=shuffle).to(data.device)]
        self.module.train(True)
        sums: dict[str, Tensor] = {}
        largest_norm = torch.zeros((), device=data.device)
        for batch in torch.split(order, settings.batch_size):
            terms = self.module.loss(data[batch], noise)
            loss = terms.weighted_total(weights)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            norm = torch.nn.utils.clip_grad_norm_(self.module.parameters(), settings.gradient_clip)
            self.optimizer.step()
            largest_norm = torch.maximum(largest_norm, norm)
            for name, term in (("loss", loss), *terms.named()):
                sums[name] = sums.get(name, torch.zeros_like(term)) + term.detach() * len(batch)
        means = {name: float(total) / len(rows) for name, total in sums.items()}
        if not all(math.isfinite(value) for value in means.values()):
            raise CopyfoldError(
                f"training diverged in epoch {epoch + 1} (loss {means['loss']}); "
                f"lower lr (now {settings.lr:g}) and train again"
            )
        return means, float(largest_norm)

    @torch.no_grad()
    def _evaluate(self, data: Tensor, rows: Tensor) -> dict[str, float]:
        """Mean of each loss term over `rows`, with the latent at its posterior mean."""
        self.module.train(False)
        sums: dict[str, float] = {}
        for batch in torch.split(rows, self.settings.batch_size):
            for name, term in self.module.loss(data[batch], None).named():
                sums[name] = sums.get(name, 0.0) + float(term) * len(batch)
        return {name: total / len(rows) for name, total in sums.items()}

    def _out_of_patience(self, state: _State, first_judged: int) -> bool:
        if self.settings.patience == 0 or state.best_epoch < 0:
            return False
        return state.epoch - 1 - max(state.best_epoch, first_judged) >= self.settings.patience

    def _save(self, path: Path, state: _State) -> None:
        content: dict[str, Any] = {
            "epoch": state.epoch,
            "best_epoch": state.best_epoch,
            "best_loss": state.best_loss,
            "rows": state.rows,
            "model_state_dict": self.module.state_dict(),
            "optimizer_state_dict": self.optimizer.state_dict(),
        }
        save_checkpoint(path, content)

    def _load_state(self, device: torch.device) -> _State:
        content = load_checkpoint(self.last, device=device)
        self.module.load_state_dict(content["model_state_dict"])
        self.optimizer.load_state_dict(content["optimizer_state_dict"])
        return _State(content["epoch"], content["best_epoch"], content["best_loss"], content["rows"])


def _log_table(rows: list[Row]) -> str:
    """Tab-separated table with the epochs counted from 1."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter="\t", lineterminator="\n")
    writer.writerow(rows[0])
    for row in rows:
        numbers = [f"{value:.6g}" for name, value in row.items() if name != "epoch"]
        writer.writerow([int(row["epoch"]) + 1, *numbers])
    return text.getvalue()
