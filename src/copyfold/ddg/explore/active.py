"""Which dimensions of a latent are in use."""

from __future__ import annotations

from typing import Final

import numpy as np

LEAST_VARIANCE: Final = 0.01
"""Of a dimension's posterior means; its prior has variance 1 (Burda, Grosse & Salakhutdinov 2016, arXiv:1509.00519)."""


def active_dimensions(latents: np.ndarray) -> np.ndarray:
    """Dimensions whose posterior means vary: (latent_dim,), bool; all of them where none reaches the limit.

    The others have collapsed to the prior: the decoder ignores them, and giving their remnants weight fits noise.
    """
    active = latents.var(axis=0) > LEAST_VARIANCE
    return active if active.any() else np.ones_like(active)
