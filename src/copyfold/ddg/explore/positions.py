"""Sites at which a specialist predicts the largest changes, over all substitutions there."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
from torch import Tensor


def all_substitutions(wild_type: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The 19 substitutions of each site.

    Parameters
    ----------
    wild_type : numpy.ndarray, (n_sites,), int8

    Returns
    -------
    (site, wild_type, mutant)
        (19 n_sites,) each: int64 index of the site, int8 letters.
    """
    site = np.repeat(np.arange(len(wild_type)), 20)
    mutant = np.tile(np.arange(20, dtype=np.int8), len(wild_type))
    wild = np.asarray(wild_type, dtype=np.int8)[site]
    other = mutant != wild
    return site[other], wild[other], mutant[other]


def site_sensitivity(predicted: np.ndarray, gradient: np.ndarray, letters: np.ndarray) -> pd.DataFrame:
    """Summary of each site's 19 predictions.

    Parameters
    ----------
    predicted : numpy.ndarray, (n_sites, 19)
        kcal/mol, positive = destabilising.
    gradient : numpy.ndarray, (n_sites, 19)
        Length of the gradient of ΔΔG in the latent at each of them.
    letters : numpy.ndarray, (n_sites, 19), str
        The mutants.

    Returns
    -------
    pandas.DataFrame
        `mean_ddg`, `largest_ddg`, `worst` (its mutant), `spread` (standard deviation), `mean_gradient`; a row for each
        site, in order.
    """
    worst = predicted.argmax(axis=1)
    site = np.arange(len(predicted))
    return pd.DataFrame(
        {
            "mean_ddg": predicted.mean(axis=1),
            "largest_ddg": predicted[site, worst],
            "worst": letters[site, worst],
            "spread": predicted.std(axis=1),
            "mean_gradient": gradient.mean(axis=1),
        }
    )


def gradient_length(predict: Callable[[Tensor], Tensor], latents: np.ndarray) -> np.ndarray:
    """Length of the gradient of a prediction (n,) at each latent (n, latent_dim): (n,), float32."""
    points = torch.from_numpy(np.ascontiguousarray(latents)).requires_grad_(True)
    (gradient,) = torch.autograd.grad(predict(points).sum(), points)
    return torch.linalg.vector_norm(gradient, dim=1).numpy()
