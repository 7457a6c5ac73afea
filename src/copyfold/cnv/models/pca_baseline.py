"""``pca_baseline``: robust low-rank model of the log depths; the yardstick, and the choice for small cohorts.

A cohort's log depths are a median profile plus few components (lineages, GC response, replication) plus sparse
copy changes. Residuals are clipped between rounds of a truncated SVD, so that a rare amplification cannot become
a component (the M-estimator of De la Torre & Black 2003, doi:10.1023/A:1023709501986, with Huber's weights).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from sklearn.utils.extmath import randomized_svd, svd_flip

from copyfold.cnv.bin_table import BinTable
from copyfold.cnv.config import CnvConfig
from copyfold.cnv.models.architecture import Depths, FitSession, FitSummary, Inference
from copyfold.cnv.normalise import depth_from_log
from copyfold.core.files import write_text
from copyfold.core.seeding import derive_seed
from copyfold.engine import load_checkpoint, save_checkpoint
from copyfold.errors import InputError

SAMPLES_PER_COMPONENT = 8
"""Fewer samples than this to a component, and components begin to describe single samples' events."""
CLIP = 3.0
"""Residuals beyond this many robust standard deviations of their sample are clipped."""
FIT_ROUNDS = 8
PROJECTION_ROUNDS = 15


class PcaBaseline:
    """The registered architecture ``pca_baseline``.

    Parameters
    ----------
    bins : BinTable
        Only their number matters.
    config : CnvConfig
        ``latent_dim`` is the largest rank; the rank is also at most one component for 8 isolates.
    """

    def __init__(self, bins: BinTable, config: CnvConfig) -> None:
        n_bins = len(bins)
        self.config = config
        self.centre = np.zeros(n_bins, dtype=np.float32)
        self.components = np.zeros((config.latent_dim, n_bins), dtype=np.float32)

    def fit(self, depths: Depths, session: FitSession) -> FitSummary:
        """Fit on the samples' log depths; see `Architecture`."""
        log_depths = depths.log_depths()
        rank = min(self.config.latent_dim, max(1, len(log_depths) // SAMPLES_PER_COMPONENT))
        self.centre = np.median(log_depths, axis=0).astype(np.float32)
        deviations = log_depths - self.centre
        low_rank = np.zeros_like(deviations)
        components = np.zeros((rank, deviations.shape[1]), dtype=np.float32)
        seed = derive_seed(self.config.seed, "svd") % 2**32
        rows = ["epoch\tchange\tresidual"]
        residual_size = 0.0
        with session.console.progress("fitting components, round", FIT_ROUNDS) as progress:
            for fit_round in range(FIT_ROUNDS):
                target = low_rank + clip_residuals(deviations - low_rank)
                u, s, vt = randomized_svd(target, rank, n_iter=4, random_state=seed)
                u, vt = svd_flip(u, vt)
                updated = ((u * s) @ vt).astype(np.float32)
                change = float(np.abs(updated - low_rank).mean())
                low_rank, components = updated, vt.astype(np.float32)
                residual_size = float(np.abs(deviations - low_rank).mean())
                rows.append(f"{fit_round + 1}\t{change:.6g}\t{residual_size:.6g}")
                progress(fit_round + 1, f"mean residual {residual_size:.5f}")
        self.components[:] = 0.0
        self.components[:rank] = components
        save_checkpoint(
            session.checkpoint,
            {
                "model_state_dict": {
                    "centre": torch.from_numpy(self.centre),
                    "components": torch.from_numpy(self.components),
                }
            },
        )
        write_text(session.log, "\n".join(rows) + "\n")
        return FitSummary(FIT_ROUNDS, residual_size, FIT_ROUNDS)

    def load(self, checkpoint: Path, device: torch.device) -> None:
        """Load centre and components; the device does not matter, the arithmetic is numpy's."""
        state = load_checkpoint(checkpoint).get("model_state_dict")
        found = [state.get(name) if isinstance(state, dict) else None for name in ("centre", "components")]
        wanted = (self.centre.shape, self.components.shape)
        if any(not torch.is_tensor(each) or each.shape != shape for each, shape in zip(found, wanted, strict=True)):
            raise InputError(
                f"{checkpoint}: components do not fit this architecture, latent_dim and number of bins; "
                "use the run's own store and configuration"
            )
        self.centre, self.components = (each.numpy().astype(np.float32) for each in found)

    def infer(self, depths: Depths) -> Inference:
        """Project each sample with clipped residuals; see `Architecture`.

        Latents are the scores, (n_samples, latent_dim), zero beyond the fitted rank.
        """
        deviations = depths.log_depths() - self.centre
        latents = np.zeros((len(depths), len(self.components)), dtype=np.float32)
        fitted = np.zeros_like(deviations)
        for row, deviation in enumerate(deviations):  # one at a time: the same bits in any batch
            for _ in range(PROJECTION_ROUNDS):
                target = fitted[row] + clip_residuals((deviation - fitted[row])[None])[0]
                latents[row] = self.components @ target
                fitted[row] = latents[row] @ self.components
        return Inference(depth_from_log(fitted + self.centre, depths.scale), latents)


def clip_residuals(residuals: np.ndarray) -> np.ndarray:
    """Clip each sample's residuals to `CLIP` robust standard deviations (1.4826 × median absolute value).

    Parameters
    ----------
    residuals : numpy.ndarray, (n_samples, n_bins)

    Returns
    -------
    numpy.ndarray, (n_samples, n_bins), float32
    """
    bound = CLIP * 1.4826 * np.median(np.abs(residuals), axis=1, keepdims=True)
    return np.clip(residuals, -bound, bound).astype(np.float32)
