"""Seeds that depend on what they are for, not on what ran before."""

from __future__ import annotations

import hashlib

import numpy as np

DEFAULT_SEED = 42


def derive_seed(seed: int, *purpose: str | int) -> int:
    """A 63-bit seed for `purpose`, the same in every process.

    An epoch's shuffle drawn from ``derive_seed(seed, "shuffle", epoch)`` needs no generator state in the
    checkpoint: a resumed run draws what the uninterrupted one would have drawn.
    """
    text = "\0".join([str(seed), *(str(part) for part in purpose)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def derive_generator(seed: int, *purpose: str | int) -> np.random.Generator:
    """A numpy generator for `purpose`."""
    return np.random.default_rng(derive_seed(seed, *purpose))
