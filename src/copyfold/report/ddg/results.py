"""What a training of `copyfold ddg` left behind, as its report needs it. `copyfold.app.ddg_report` reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class RunScore:
    """A run beside this one: its folder's name and its metrics.json."""

    name: str
    metrics: Mapping[str, Any]


@dataclass(frozen=True)
class DdgResults:
    """A run, read.

    Attributes
    ----------
    name : str
        Of the folder, behind that of the folder it lies in.
    record : mapping
        run.json.
    predictions : pandas.DataFrame
        predictions.csv: protein, mutation, source, cluster, split, target, predicted. ΔΔG in kcal/mol, positive =
        destabilising, unless ``target`` of the record says otherwise; ``sigma`` where a model gives one.
    history : pandas.DataFrame or None
        One row per epoch.
    metrics : mapping or None
        metrics.json.
    latents : numpy.ndarray or None, (n, latent_dim)
        Posterior means, a row for each of `predictions`.
    attention : pandas.DataFrame or None
        Of a transformer: dimension, and a column per layer. Of a fusion: what reads, and a column for what it reads.
    others : tuple of RunScore
        Runs in the same folder, this one among them.
    unread : tuple of str
        What could not be read, and why.
    """

    name: str
    record: Mapping[str, Any]
    predictions: pd.DataFrame
    history: pd.DataFrame | None = None
    metrics: Mapping[str, Any] | None = None
    latents: np.ndarray | None = None
    attention: pd.DataFrame | None = None
    others: tuple[RunScore, ...] = field(default=())
    unread: tuple[str, ...] = field(default=())

    @property
    def target(self) -> str:
        """What was measured and predicted, with unit and sign."""
        return str(self.record.get("target", "ddg in kcal/mol, positive = destabilising"))

    @property
    def quantity(self) -> str:
        """The first words of `target`, for an axis."""
        return "ΔΔG, kcal/mol" if self.target.startswith("ddg") else self.target.partition(":")[0]

    def part(self, name: str) -> pd.DataFrame:
        """The rows of one part of the split."""
        return self.predictions[self.predictions["split"] == name]
