"""The training loop, from top to bottom.

An epoch's shuffle and noise are drawn from generators seeded by (seed, purpose, epoch), so the loop carries no
hidden random state: what ``last.pth`` holds (weights, optimiser, epoch, best so far, log) is all there is, and a
run killed at any moment continues to the same bits on CPU.
"""

from __future__ import annotations

import copy
import csv
import io
import math
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from copyfold.core.files import write_text
from copyfold.core.seeding import derive_generator, derive_seed
from copyfold.engine.checkpoints import load_checkpoint, save_checkpoint
from copyfold.engine.ranks import Ranks, signals_held
from copyfold.engine.schedules import Schedule
from copyfold.engine.steps import Evaluation, GraphedEvaluation, GraphedStep, Step
from copyfold.engine.vae import VAE
from copyfold.errors import CopyfoldError, InputError, PluginError

_VALIDATION_BATCHES = 4
"""Training batches that are validated at once: no gradients are kept, and launches cost more than the arithmetic."""

Row = dict[str, float]
OnEpoch = Callable[[int, Row], None]
Measure = Callable[[], Row]


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
        Its judged term on the validation rows.
    rows : list of dict
        The log, a row per epoch.
    """

    best_epoch: int
    best_loss: float
    rows: list[Row]


@dataclass
class _State:
    """Where training stands: the newest epoch goes into ``last.pth``, the best one into ``checkpoint.pth``."""

    epoch: int = 0
    best_epoch: int = -1
    best_loss: float = math.inf
    rows: list[Row] = field(default_factory=list)
    best: dict[str, Any] = field(default_factory=dict)
    best_is_new: bool = False

    def keep_best(self, module: VAE, optimizer: torch.optim.Optimizer) -> None:
        """Copy weights and optimiser, which the next step changes in place."""
        states = {"model_state_dict": module.state_dict(), "optimizer_state_dict": optimizer.state_dict()}
        kept, new = list(_tensors(self.best)), list(_tensors(states))
        if len(kept) == len(new):  # on a GPU one kernel, where a deep copy takes milliseconds of the host
            torch._foreach_copy_(kept, new)
        else:
            self.best = copy.deepcopy(states)
        self.best_is_new = True


def _tensors(tree: Mapping[Any, Any]) -> Iterator[Tensor]:
    for value in tree.values():
        if isinstance(value, Mapping):
            yield from _tensors(value)
        elif isinstance(value, Tensor):
            yield value


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
    judged_by : str
        Loss term whose mean over the validation rows says which epoch is best.
    measure : callable, optional
        Called after each epoch, with the module in evaluation mode; what it returns joins the epoch's row of the log.
    about : mapping, optional
        Plain values that both checkpoints hold besides, such as the names of the features.
    format_log : callable
        Text of the log file from its rows.
    ranks : Ranks
        The processes that train, all with equal arguments; the first one writes the files.

    Raises
    ------
    PluginError
        Several processes, and batch normalisation, whose statistics would be those of a share.
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
        judged_by: str = "reconstruction",
        measure: Measure | None = None,
        about: Mapping[str, Any] | None = None,
        format_log: Callable[[list[Row]], str] | None = None,
        ranks: Ranks = Ranks(),  # noqa: B008 -- frozen
    ) -> None:
        if not ranks.alone and isinstance(module, torch.nn.Module) and _normalises_batches(module):
            raise PluginError(
                "batch normalisation takes its statistics from a share of the batch where several processes train; "
                "normalise layers or groups, or train without torchrun"
            )
        self.module = module
        self.settings = settings
        self.weights = dict(weights)
        self.checkpoint, self.last, self.log = checkpoint, last, log
        self.judged_by, self.measure, self.about = judged_by, measure, dict(about or {})
        self.format_log = format_log or _log_table
        self.ranks = ranks
        parameters = list(module.parameters())
        self._graphed = bool(parameters) and parameters[0].device.type == "cuda"
        self.optimizer = torch.optim.AdamW(
            parameters,
            lr=settings.lr,
            weight_decay=settings.weight_decay,
            fused=self._graphed or None,
            capturable=self._graphed,
        )

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
        settings, ranks = self.settings, self.ranks
        state = self._load_state(data.device) if resume and self.last.exists() else _State()
        ranks.check_same("runs or cohorts", state.epoch, *data.shape)
        if state.rows and ranks.first:  # a run killed between last.pth and the log lacks the log's last row
            write_text(self.log, self.format_log(state.rows))
        training = torch.as_tensor(train_rows, device=data.device)
        validation = torch.as_tensor(validation_rows, device=data.device)
        # An epoch counts only once every weight is final: before that the loss measures a different model.
        first_judged = max((schedule.settled_epoch for schedule in self.weights.values()), default=0)
        step = (GraphedStep if self._graphed else Step)(
            self.module, self.optimizer, data, settings.gradient_clip, ranks
        )
        evaluate = (GraphedEvaluation if self._graphed else Evaluation)(
            self.module, data, validation, _VALIDATION_BATCHES * settings.batch_size, ranks
        )
        saver = _Saver(self)

        with signals_held(ranks) as came:
            while state.epoch < settings.epochs and not self._out_of_patience(state, first_judged):
                started = time.perf_counter()
                weights = {name: schedule(state.epoch) for name, schedule in self.weights.items()}
                self._train_epoch(step, training, weights, state.epoch)
                evaluate.start()  # before anything of the epoch is waited for, so that a GPU always has work
                train_terms, gradient_norm = self._means(step, len(training), state.epoch)
                validation_terms = evaluate.means()
                judged_loss = validation_terms[self.judged_by]

                row: Row = {"epoch": state.epoch}
                row |= {f"train_{name}": value for name, value in train_terms.items()}
                row |= {f"val_{name}": value for name, value in validation_terms.items()}
                row |= {f"weight_{name}": value for name, value in weights.items()}
                if self.measure:
                    with torch.no_grad():
                        row |= self.measure()
                row |= {"gradient_norm": gradient_norm, "seconds": time.perf_counter() - started}
                state.rows.append(row)
                judged = state.epoch >= first_judged
                if judged and judged_loss < state.best_loss:
                    state.best_epoch, state.best_loss = state.epoch, judged_loss
                    state.keep_best(self.module, self.optimizer)
                state.epoch += 1
                saver.save_if_cheap(state)
                if on_epoch:
                    on_epoch(state.epoch, row)
                (stop,) = ranks.largest(came[0] if came else 0)
                if stop:
                    saver.save(state)
                    raise KeyboardInterrupt if stop == signal.SIGINT else SystemExit(128 + stop)

        if state.best_epoch < 0:  # too short to judge any epoch: keep the last
            state.best_epoch, state.best_loss = state.epoch - 1, state.rows[-1][f"val_{self.judged_by}"]
            state.keep_best(self.module, self.optimizer)
        saver.save(state)
        self.module.load_state_dict(state.best["model_state_dict"])
        self.module.train(False)
        return TrainingResult(state.best_epoch, state.best_loss, state.rows)

    def _train_epoch(self, step: Step, rows: Tensor, weights: Mapping[str, float], epoch: int) -> None:
        """One pass over the training rows."""
        settings = self.settings
        own = () if self.ranks.first else (self.ranks.rank,)  # other rows, other draws
        torch.manual_seed(derive_seed(settings.seed, "modules", epoch, *own))  # for dropout inside a plug-in's module
        shuffle = torch.Generator().manual_seed(derive_seed(settings.seed, "shuffle", epoch))
        order = rows[torch.randperm(len(rows), generator=shuffle).to(rows.device)]
        self.module.train(True)
        step.begin_epoch(weights, derive_seed(settings.seed, "noise", epoch))
        for batch in torch.split(order, settings.batch_size):
            step(batch)

    def _means(self, step: Step, n_rows: int, epoch: int) -> tuple[dict[str, float], float]:
        """Mean of each loss term over the epoch's rows and largest gradient norm before clipping."""
        sums, largest_norm = step.totals()
        means = {name: total / n_rows for name, total in sums.items()}
        if not all(math.isfinite(value) for value in means.values()):
            raise CopyfoldError(
                f"training diverged in epoch {epoch + 1} (loss {means['loss']}); "
                f"lower lr (now {self.settings.lr:g}) and train again"
            )
        return means, largest_norm

    def _out_of_patience(self, state: _State, first_judged: int) -> bool:
        if self.settings.patience == 0 or state.best_epoch < 0:
            return False
        return state.epoch - 1 - max(state.best_epoch, first_judged) >= self.settings.patience

    def save(self, state: _State) -> None:
        """Write the log, the best epoch where it is a new one, and the newest epoch, if this process is the first."""
        if not self.ranks.first:
            return
        facts = {"best_epoch": state.best_epoch, "best_loss": state.best_loss, "rows": state.rows} | self.about
        if state.best_is_new:
            # the log up to that epoch only: how far training has come since is a matter of when a file is written
            rows = {"rows": state.rows[: state.best_epoch + 1]}
            save_checkpoint(self.checkpoint, facts | rows | {"epoch": state.best_epoch} | state.best)
            state.best_is_new = False
        newest = {
            "epoch": state.epoch,
            "model_state_dict": self.module.state_dict(),
            "optimizer_state_dict": self.optimizer.state_dict(),
        }
        save_checkpoint(self.last, facts | newest)
        write_text(self.log, self.format_log(state.rows))

    def _load_state(self, device: torch.device) -> _State:
        try:
            return self._state_of(load_checkpoint(self.last, device=device), device)
        except (KeyError, TypeError, ValueError, RuntimeError, AttributeError, IndexError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise InputError(
                f"{self.last}: does not hold the state of this training ({type(error).__name__}: {reason}); "
                "restore it, or train again in another folder"
            ) from error

    def _state_of(self, content: dict[str, Any], device: torch.device) -> _State:
        self.module.load_state_dict(content["model_state_dict"])
        optimizer_state = content["optimizer_state_dict"]
        for group in optimizer_state["param_groups"]:  # the checkpoint may be of a run on another kind of device
            group |= {"fused": self._graphed or None, "capturable": self._graphed}
        self.optimizer.load_state_dict(optimizer_state)
        state = _State(content["epoch"], content["best_epoch"], content["best_loss"], content["rows"])
        if state.best_epoch >= 0:  # written before last.pth, so it may be of a later epoch, which will come again
            best = load_checkpoint(self.checkpoint, device=device)
            state.best = {name: best[name] for name in ("model_state_dict", "optimizer_state_dict")}
        return state


def _normalises_batches(module: torch.nn.Module) -> bool:
    return any(isinstance(part, torch.nn.modules.batchnorm._BatchNorm) for part in module.modules())


class _Saver:
    """Saves after an epoch unless that would cost more than a thirtieth of the time; a killed run loses little."""

    def __init__(self, trainer: Trainer) -> None:
        self._trainer = trainer
        self._cost = 0.0
        self._saved_at = -math.inf

    def save_if_cheap(self, state: _State) -> None:
        if time.perf_counter() - self._saved_at >= 29 * self._cost:
            self.save(state)

    def save(self, state: _State) -> None:
        began = time.perf_counter()
        self._trainer.save(state)
        self._saved_at = time.perf_counter()
        self._cost = self._saved_at - began


def _log_table(rows: list[Row]) -> str:
    """Tab-separated table with the epochs counted from 1."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter="\t", lineterminator="\n")
    writer.writerow(rows[0])
    for row in rows:
        numbers = [f"{value:.6g}" for name, value in row.items() if name != "epoch"]
        writer.writerow([int(row["epoch"]) + 1, *numbers])
    return text.getvalue()
