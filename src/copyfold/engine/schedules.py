"""Weights that change from epoch to epoch, such as the β of a β-VAE."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class Schedule(Protocol):
    """A weight as a function of the epoch (0-based)."""

    @property
    def settled_epoch(self) -> int:
        """First epoch at which the weight has its final value."""
        ...

    def __call__(self, epoch: int) -> float: ...


@dataclass(frozen=True)
class Constant:
    """The same weight at every epoch."""

    value: float

    @property
    def settled_epoch(self) -> int:
        return 0

    def __call__(self, epoch: int) -> float:
        return self.value


@dataclass(frozen=True)
class LinearWarmup:
    """From 0 at epoch 0 to `maximum` at epoch `epochs`, and `maximum` ever after.

    For β this is the warm-up of Sønderby et al. 2016 (arXiv:1602.02282): the decoder learns to use the latent
    before the prior pulls on it.
    """

    maximum: float
    epochs: int

    @property
    def settled_epoch(self) -> int:
        return self.epochs

    def __call__(self, epoch: int) -> float:
        if epoch >= self.epochs:
            return self.maximum
        return self.maximum * epoch / self.epochs
