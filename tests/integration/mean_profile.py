"""The smallest architecture there can be, as a user would write one: every isolate looks like the cohort's mean."""

import numpy as np
import torch

from copyfold.cnv.models.architecture import FitSummary, Inference
from copyfold.cnv.normalise import depth_from_log
from copyfold.core.files import write_text
from copyfold.engine import load_checkpoint, save_checkpoint


class MeanProfile:
    def __init__(self, bins, config):
        self.latent_dim = config.latent_dim
        self.profile = np.zeros(len(bins), dtype=np.float32)

    def fit(self, depths, session):
        log_depths = depths.log_depths()
        self.profile = log_depths.mean(axis=0)
        residual = float(np.abs(log_depths - self.profile).mean())
        save_checkpoint(session.checkpoint, {"model_state_dict": {"profile": torch.from_numpy(self.profile)}})
        write_text(session.log, f"epoch\tresidual\n1\t{residual:.6g}\n")
        return FitSummary(best_epoch=1, best_loss=residual, epochs_run=1)

    def load(self, checkpoint, device):
        self.profile = load_checkpoint(checkpoint)["model_state_dict"]["profile"].numpy()

    def infer(self, depths):
        n_samples = len(depths)
        profiles = np.tile(self.profile, (n_samples, 1))
        latents = np.zeros((n_samples, self.latent_dim), dtype=np.float32)
        return Inference(depth_from_log(profiles, depths.scale), latents)
