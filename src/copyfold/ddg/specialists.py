"""Trained specialists and refiners from their folders, in one call."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from copyfold.ddg.features.sets import FEATURE_SETS, FeatureSet, check_feature_set
from copyfold.ddg.models.ddgvae import DDGVAE
from copyfold.ddg.models.refiners import REFINERS, EmbeddingTransformer, MLPRefiner
from copyfold.ddg.models.variants import VARIANTS
from copyfold.engine import load_checkpoint
from copyfold.errors import InputError

DDG_TARGET = "ddg in kcal/mol, positive = destabilising"
DAMAGE_TARGET = "damage: minus fitness in standard deviations of its assay, higher = more damaging; not a ddg"

_WIDEST_LATENT = 4096


@dataclass(frozen=True)
class SpecialistSpec:
    """What a trained specialist is.

    Attributes
    ----------
    variant : str
        ``s669``, ``protherm`` or ``wide``.
    feature_set : FeatureSet
        What it must be given, in this order.
    target : str
        What it predicts, with unit and sign: `DDG_TARGET` or `DAMAGE_TARGET`.
    simulated : bool
        Trained on simulated data: says nothing of real proteins.
    best_epoch : int
        1-based.
    """

    variant: str
    feature_set: FeatureSet
    target: str
    simulated: bool
    best_epoch: int


def specialist_facts(variant: str, feature_set: FeatureSet, target: str, *, simulated: bool) -> dict[str, Any]:
    """What the checkpoints of a specialist say of it, for `load_specialist` to read."""
    return {
        "kind": "specialist",
        "variant": variant,
        "feature_set": feature_set.as_record(),
        "target": target,
        "simulated": simulated,
    }


def load_specialist(path: Path) -> tuple[DDGVAE, SpecialistSpec]:
    """A trained specialist, ready to predict.

    Parameters
    ----------
    path : Path
        Folder of the run (its ``best.pt`` is taken) or a checkpoint.

    Returns
    -------
    (DDGVAE, SpecialistSpec)
        The module is in evaluation mode; ``module(features)`` predicts, ``module.encode(features).mean`` is the latent.

    Raises
    ------
    InputError
        No such checkpoint, not a specialist's, or one trained on other features than this version computes.
    """
    file = checkpoint_of(path)
    content = load_checkpoint(file)
    check_kind(content, "specialist", file)
    _check_parts(content, {"variant": str, "feature_set": dict, "target": str, "simulated": bool, "epoch": int}, file)
    variant = content["variant"]
    feature_set = FEATURE_SETS.get(str(content["feature_set"].get("name")))
    if variant not in VARIANTS or feature_set is None:
        raise InputError(f"{file}: variant {variant!r} or its features are not known to this version; train it again")
    check_feature_set(content["feature_set"], feature_set, str(file))
    module = DDGVAE.create_variant(variant, feature_set.hyperbolic)
    load_weights(module, content, file)
    spec = SpecialistSpec(variant, feature_set, content["target"], content["simulated"], content["epoch"] + 1)
    return module, spec


def load_refiner(path: Path) -> tuple[MLPRefiner | EmbeddingTransformer, dict[str, Any]]:
    """A trained refiner and what its checkpoint says of it (`refiner`, `of`, `latent_dim`, `simulated`).

    ``refiner(latent, predicted)`` takes the latent means and predictions of the specialist that `of` describes.

    Raises
    ------
    InputError
        No such checkpoint, or not a refiner's.
    """
    file = checkpoint_of(path)
    content = load_checkpoint(file)
    check_kind(content, "refiner", file)
    _check_parts(content, {"refiner": str, "of": dict, "latent_dim": int, "simulated": bool}, file)
    if content["refiner"] not in REFINERS or not 1 <= content["latent_dim"] <= _WIDEST_LATENT:
        raise InputError(f"{file}: its refiner or latent is not known to this version; train it again")
    module = REFINERS[content["refiner"]](content["latent_dim"])
    load_weights(module, content, file)
    return module, {name: content[name] for name in ("refiner", "of", "latent_dim", "simulated")}


def checkpoint_of(path: Path) -> Path:
    """The checkpoint that a run folder, or the path of a checkpoint itself, stands for."""
    path = Path(path)
    return path / "best.pt" if path.is_dir() else path


def check_kind(content: dict[str, Any], kind: str, file: Path) -> None:
    """Refuse a checkpoint of something else than `kind` with an `InputError`."""
    if content.get("kind") != kind:
        raise InputError(f"{file}: holds no {kind} of stability; give a folder that `copyfold ddg` made for one")


def _check_parts(content: dict[str, Any], parts: dict[str, type], file: Path) -> None:
    for name, kind in parts.items():
        if not isinstance(content.get(name), kind):
            raise InputError(f"{file}: damaged ('{name}' is missing or of the wrong kind); train it again")


def load_weights(module: torch.nn.Module, content: dict[str, Any], file: Path) -> None:
    """Put a checkpoint's weights into `module`, ready to predict; an `InputError` where they do not fit."""
    try:
        module.load_state_dict(content["model_state_dict"])
    except (KeyError, RuntimeError, TypeError, AttributeError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{file}: its weights do not fit ({reason}); train it again") from None
    module.train(False)
