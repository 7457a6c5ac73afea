"""Same seed, same machine, same bits."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass

import numpy as np
import torch

from copyfold.core.seeding import DEFAULT_SEED
from copyfold.errors import ConfigError


@dataclass(frozen=True)
class DeterministicConfig:
    """Everything that must be set for a run to be repeatable.

    Attributes
    ----------
    seed : int
        Seeds Python, numpy and torch (CPU and every accelerator).
    """

    seed: int = DEFAULT_SEED

    def apply(self) -> None:
        """Seed every generator and forbid algorithms whose result depends on scheduling."""
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is deterministic only with this
        random.seed(self.seed)
        np.random.seed(self.seed % 2**32)  # noqa: NPY002 -- plug-ins may draw from numpy's global generator
        torch.manual_seed(self.seed)
        torch.use_deterministic_algorithms(True)
        # Filling fresh memory helps debugging only, and costs a kernel for every tensor.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        torch.set_float32_matmul_precision("high")  # TF32 where there is such: as deterministic, several times faster
        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.benchmark = False


def pick_device(name: str) -> torch.device:
    """The torch device called `name`: ``auto`` (CUDA, else Apple's MPS, else CPU), ``cpu``, ``cuda[:N]``, ``mps``.

    Raises
    ------
    ConfigError
        Unknown name, or a device this machine lacks.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(f"--device {name}: must be auto, cpu, cuda, cuda:N or mps") from None
    if device.type not in ("cpu", "cuda", "mps"):
        raise ConfigError(f"--device {name}: must be auto, cpu, cuda, cuda:N or mps")
    missing = (device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count()) or (
        device.type == "mps" and not torch.backends.mps.is_available()
    )
    if missing:
        raise ConfigError(f"--device {name}: this machine has none; use --device auto or cpu")
    return device
