"""Training of the specialists and their refiners on arrays, by the shared engine."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch

from copyfold.core.seeding import derive_seed
from copyfold.ddg.evaluation import regression_metrics
from copyfold.ddg.models.ddgvae import DDGVAE
from copyfold.ddg.models.refiners import REFINERS, EmbeddingTransformer, MLPRefiner
from copyfold.ddg.models.variants import VARIANTS
from copyfold.engine import Constant, LinearWarmup, Trainer, TrainingResult, TrainingSettings
from copyfold.errors import InputError

HISTORY_FORMAT = "copyfold-ddg-history/1"
DDG_WEIGHT = 1.0
REFINER_EPOCHS = 100
REFINER_LR = 3e-4
REFINER_BATCH = 64
LEAST_ROWS = 10
"""Rows that a training needs: fewer leave nothing to validate on."""

ModuleT = TypeVar("ModuleT", bound=torch.nn.Module)
OnEpoch = Callable[[int, dict[str, float]], None]


class Split(NamedTuple):
    """Row numbers: what trains, what chooses the epoch, what is reported.

    Attributes
    ----------
    train, validation, test : numpy.ndarray, int64
        Disjoint. `test` may be empty.
    """

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


@dataclass(frozen=True)
class SpecialistSettings:
    """How a specialist trains; the documents' table gives the values of each variant.

    Attributes
    ----------
    variant : str
        ``s669``, ``protherm`` or ``wide``.
    use_hyperbolic : bool
    epochs, batch_size, patience : int
    lr, weight_decay : float
    max_beta : float
        Final weight of the KL term.
    warmup_epochs : int
        Epochs over which it rises from 0.
    seed : int
    """

    variant: str
    use_hyperbolic: bool
    epochs: int
    batch_size: int
    patience: int
    lr: float
    weight_decay: float
    max_beta: float
    warmup_epochs: int
    seed: int

    @classmethod
    def of_variant(cls, name: str, **changes: Any) -> SpecialistSettings:
        """The documents' settings of a variant, with `changes`."""
        variant = VARIANTS[name]
        values: dict[str, Any] = {
            "variant": name,
            "use_hyperbolic": False,
            "epochs": variant.epochs,
            "batch_size": variant.batch_size,
            "patience": variant.patience,
            "lr": variant.lr,
            "weight_decay": 1e-5,
            "max_beta": 0.1,
            "warmup_epochs": 5,
            "seed": 42,
        }
        return cls(**values | changes)


def train_specialist(
    features: np.ndarray,
    target: np.ndarray,
    split: Split,
    settings: SpecialistSettings,
    folder: Path,
    *,
    about: Mapping[str, Any] | None = None,
    resume: bool = False,
    on_epoch: OnEpoch | None = None,
) -> tuple[DDGVAE, TrainingResult]:
    """Train one specialist; writes ``best.pt``, ``final.pt`` and ``training_history.json``.

    Parameters
    ----------
    features : numpy.ndarray, (n, d), float32
        In their own units, NaN for unknown.
    target : numpy.ndarray, (n,), float32
        ΔΔG in kcal/mol, positive = destabilising; of DMS assays, minus the standardised score.
    split : Split
        The validation rows choose the epoch; the test rows are not looked at.
    settings : SpecialistSettings
    folder : Path
        Must exist.
    about : mapping, optional
        Plain values for checkpoints and history, such as ``{"simulated": True}``.

    Returns
    -------
    (DDGVAE, TrainingResult)
        The module holds the best epoch's weights.

    Raises
    ------
    InputError
        Too few rows to train on.
    """
    if len(split.train) + len(split.validation) < LEAST_ROWS:
        found = len(split.train) + len(split.validation)
        raise InputError(f"{found} rows to train and validate on; at least {LEAST_ROWS} are needed")
    module = seeded(settings.seed, lambda: DDGVAE.create_variant(settings.variant, settings.use_hyperbolic))
    data = torch.from_numpy(np.concatenate([features, target[:, None]], axis=1).astype(np.float32))
    module.set_scaling(data[split.train, :-1], data[split.train, -1])
    validation = data[split.validation]
    trainer = Trainer(
        module,
        TrainingSettings(
            epochs=settings.epochs,
            batch_size=settings.batch_size,
            lr=settings.lr,
            weight_decay=settings.weight_decay,
            patience=settings.patience,
            seed=settings.seed,
        ),
        {"kl": LinearWarmup(settings.max_beta, settings.warmup_epochs), "ddg": Constant(DDG_WEIGHT)},
        checkpoint=folder / "best.pt",
        last=folder / "final.pt",
        log=folder / "training_history.json",
        judged_by="ddg",
        measure=lambda: agreement(validation[:, -1], module(validation[:, :-1])),
        about=about,
        format_log=lambda rows: history_text(rows, about or {}),
    )
    return module, trainer.fit(data, split.train, split.validation, resume=resume, on_epoch=on_epoch)


def train_refiner(
    kind: str,
    module: DDGVAE,
    features: np.ndarray,
    target: np.ndarray,
    split: Split,
    folder: Path,
    *,
    epochs: int = REFINER_EPOCHS,
    seed: int = 42,
    about: Mapping[str, Any] | None = None,
    resume: bool = False,
    on_epoch: OnEpoch | None = None,
) -> tuple[MLPRefiner | EmbeddingTransformer, TrainingResult]:
    """Train a refiner on the latent means and predictions of a specialist that stays as it is.

    The rows must be split as they were for the specialist, or validation and test are no longer unseen. Files and
    parameters as for `train_specialist`; `kind` is ``mlp`` or ``transformer``.
    """
    data = refiner_inputs(module, features, target)
    refiner = seeded(seed, lambda: REFINERS[kind](module.latent_dim))
    refiner.set_scaling(data[split.train, :-2], data[split.train, -1])
    validation = data[split.validation]
    trainer = Trainer(
        refiner,
        TrainingSettings(epochs, REFINER_BATCH, REFINER_LR, weight_decay=1e-2, patience=0, seed=seed),
        {},
        checkpoint=folder / "best.pt",
        last=folder / "final.pt",
        log=folder / "training_history.json",
        measure=lambda: agreement(validation[:, -1], refiner(validation[:, :-2], validation[:, -2])),
        about=about,
        format_log=lambda rows: history_text(rows, about or {}),
    )
    return refiner, trainer.fit(data, split.train, split.validation, resume=resume, on_epoch=on_epoch)


@torch.no_grad()
def refiner_inputs(module: DDGVAE, features: np.ndarray, target: np.ndarray) -> torch.Tensor:
    """Latent means, predictions and ΔΔG of a trained specialist: (n, latent_dim + 2), float32."""
    module.train(False)
    latent = module.encode(torch.from_numpy(features)).mean
    predicted = module.predict_from_latent(latent)
    return torch.cat([latent, predicted[:, None], torch.from_numpy(target.astype(np.float32))[:, None]], dim=1)


@torch.no_grad()
def predict(module: DDGVAE, features: np.ndarray) -> np.ndarray:
    """ΔΔG (n,), float32, of features (n, d), in the unit of the training data; positive = destabilising."""
    module.train(False)
    return module(torch.from_numpy(np.ascontiguousarray(features, dtype=np.float32))).numpy()


def history_text(rows: list[dict[str, float]], about: Mapping[str, Any]) -> str:
    """``training_history.json``: what `about` says, and a record per epoch, counted from 1; null for what is not
    defined."""
    epochs = []
    for row in rows:
        weights = {name.removeprefix("weight_"): value for name, value in row.items() if name.startswith("weight_")}
        total = row["val_reconstruction"] + sum(weight * row[f"val_{name}"] for name, weight in weights.items())
        values = {name: value for name, value in row.items() if name not in ("epoch", "seconds")}
        values = {name: value if math.isfinite(value) else None for name, value in values.items()}
        epochs.append({"epoch": int(row["epoch"]) + 1, "val_loss": total} | values)
    return json.dumps({"format": HISTORY_FORMAT, **about, "epochs": epochs}, indent=1, allow_nan=False) + "\n"


def seeded(seed: int, build: Callable[[], ModuleT]) -> ModuleT:
    """What `build` makes with initial weights drawn from `seed`; torch's own generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "initial weights"))
        return build()


def agreement(true: torch.Tensor, predicted: torch.Tensor) -> dict[str, float]:
    """Spearman, Pearson and RMSE over the validation rows; NaN where one does not exist."""
    found = regression_metrics(true.numpy(), predicted.numpy())
    return {"val_spearman": found.spearman, "val_pearson": found.pearson, "val_rmse": found.rmse}
