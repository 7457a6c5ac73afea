"""Fusion of trained specialists on arrays: what goes in, which single model is corrected, training, loading."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from copyfold.ddg.evaluation import regression_metrics
from copyfold.ddg.models.ddgvae import DDGVAE
from copyfold.ddg.models.fusion import Fusion
from copyfold.ddg.models.refiners import EmbeddingTransformer, MLPRefiner
from copyfold.ddg.specialists import check_kind, checkpoint_of, load_weights
from copyfold.ddg.training import OnEpoch, Split, agreement, history_text, seeded
from copyfold.engine import Trainer, TrainingResult, TrainingSettings, load_checkpoint
from copyfold.errors import InputError

FUSION_EPOCHS = 100
FUSION_LR = 3e-4
FUSION_BATCH = 64


@dataclass(frozen=True, eq=False)
class Member:
    """A specialist with its refiners.

    Attributes
    ----------
    name : str
    module : DDGVAE
    refiners : mapping of str to refiner
    predicts_ddg : bool
        Its predictions are in kcal/mol: they can be what the fusion corrects.
    """

    name: str
    module: DDGVAE
    refiners: Mapping[str, MLPRefiner | EmbeddingTransformer]
    predicts_ddg: bool = True


@dataclass(frozen=True, eq=False)
class FusionInputs:
    """Latents and predictions of every specialist for the same rows.

    Attributes
    ----------
    values : numpy.ndarray, (n, columns), float32
        Latent means of every specialist, then every prediction.
    latent_dims : tuple of int
    predictions : tuple of str
        Names, such as ``protherm`` and ``protherm+mlp``.
    owners : tuple of int
        Index of the specialist of each prediction.
    in_kcal : tuple of bool
        Whether each prediction is a ΔΔG in kcal/mol.
    """

    values: np.ndarray
    latent_dims: tuple[int, ...]
    predictions: tuple[str, ...]
    owners: tuple[int, ...]
    in_kcal: tuple[bool, ...]

    def predicted(self, number: int) -> np.ndarray:
        """A single model's predictions: (n,), float32."""
        return self.values[:, sum(self.latent_dims) + number]


@torch.no_grad()
def fusion_inputs(members: Sequence[Member], features: Sequence[np.ndarray]) -> FusionInputs:
    """What a `Fusion` takes, from specialists and each one's features (n, d), float32, of the same rows."""
    latents, predictions, names, owners, in_kcal = [], [], [], [], []
    for number, (member, given) in enumerate(zip(members, features, strict=True)):
        member.module.train(False)
        latent = member.module.encode(torch.from_numpy(given)).mean
        own = member.module.predict_from_latent(latent)
        latents.append(latent)
        found = {member.name: own}
        for name, refiner in member.refiners.items():
            refiner.train(False)
            found[f"{member.name}+{name}"] = refiner(latent, own)
        names += found
        predictions += [value[:, None] for value in found.values()]
        owners += [number] * len(found)
        in_kcal += [member.predicts_ddg] * len(found)
    values = torch.cat([*latents, *predictions], dim=1).numpy()
    dims = tuple(latent.shape[1] for latent in latents)
    return FusionInputs(values, dims, tuple(names), tuple(owners), tuple(in_kcal))


def best_single(inputs: FusionInputs, ddg: np.ndarray, validation: np.ndarray) -> int:
    """Index of the ΔΔG prediction with the highest Spearman correlation over the rows `validation`.

    Raises
    ------
    InputError
        No prediction is a ΔΔG.
    """
    candidates = [number for number, usable in enumerate(inputs.in_kcal) if usable]
    if not candidates:
        raise InputError("none of the specialists predicts ΔΔG; a fusion needs one of s669 or protherm")
    scores = [regression_metrics(ddg[validation], inputs.predicted(one)[validation]).spearman for one in candidates]
    return candidates[int(np.argmax(np.nan_to_num(scores, nan=-2.0)))]


def train_fusion(
    inputs: FusionInputs,
    ddg: np.ndarray,
    base: int,
    split: Split,
    folder: Path,
    *,
    epochs: int = FUSION_EPOCHS,
    seed: int = 42,
    about: Mapping[str, Any] | None = None,
    resume: bool = False,
    on_epoch: OnEpoch | None = None,
) -> tuple[Fusion, TrainingResult]:
    """Train a fusion of specialists that stay as they are; writes best.pt, final.pt, training_history.json.

    Parameters
    ----------
    inputs : FusionInputs
    ddg : numpy.ndarray, (n,)
        kcal/mol, positive = destabilising.
    base : int
        The prediction that is corrected, see `best_single`.
    split : Split
        As the specialists were split, or validation and test are no longer unseen.
    folder : Path
        Must exist.
    """
    data = torch.from_numpy(np.concatenate([inputs.values, ddg[:, None]], axis=1).astype(np.float32))
    module = seeded(seed, lambda: Fusion(inputs.latent_dims, inputs.owners, base))
    module.set_scaling(data[split.train, :-1], data[split.train, -1])
    validation = data[split.validation]
    facts = {**(about or {}), **fusion_facts(inputs, base)}
    trainer = Trainer(
        module,
        TrainingSettings(epochs, FUSION_BATCH, FUSION_LR, weight_decay=1e-2, patience=0, seed=seed),
        {},
        checkpoint=folder / "best.pt",
        last=folder / "final.pt",
        log=folder / "training_history.json",
        measure=lambda: agreement(validation[:, -1], module(validation[:, :-1])),
        about=facts,
        format_log=lambda rows: history_text(rows, facts),
    )
    return module, trainer.fit(data, split.train, split.validation, resume=resume, on_epoch=on_epoch)


@torch.no_grad()
def fuse(module: Fusion, inputs: FusionInputs) -> np.ndarray:
    """ΔΔG (n,), float32, kcal/mol, positive = destabilising."""
    module.train(False)
    return module(torch.from_numpy(inputs.values)).numpy()


def fusion_facts(inputs: FusionInputs, base: int) -> dict[str, Any]:
    """What a checkpoint says of a fusion, for `load_fusion` to read."""
    return {
        "kind": "fusion",
        "latent_dims": list(inputs.latent_dims),
        "predictions": list(inputs.predictions),
        "owners": list(inputs.owners),
        "base": base,
    }


def load_fusion(path: Path) -> tuple[Fusion, dict[str, Any]]:
    """A trained fusion, ready to predict, and what its checkpoint says of it.

    Parameters
    ----------
    path : Path
        Folder of the run (its ``best.pt`` is taken) or a checkpoint.

    Raises
    ------
    InputError
        No such checkpoint, or not a fusion's.
    """
    file = checkpoint_of(path)
    content = load_checkpoint(file)
    check_kind(content, "fusion", file)
    module = Fusion(content["latent_dims"], content["owners"], content["base"])
    load_weights(module, content, file)
    names = ("specialists", "predictions", "owners", "base", "latent_dims", "target", "simulated")
    return module, {name: content[name] for name in names if name in content}
