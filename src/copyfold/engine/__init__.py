"""Training of variational autoencoders: losses, schedules, the loop, checkpoints. No biology."""

from copyfold.engine.checkpoints import CHECKPOINT_FORMAT, load_checkpoint, save_checkpoint
from copyfold.engine.determinism import DeterministicConfig, pick_device
from copyfold.engine.ranks import Ranks, gather_rows, join_ranks, rank_device
from copyfold.engine.schedules import Constant, LinearWarmup, Schedule
from copyfold.engine.threads import one_thread
from copyfold.engine.trainer import Trainer, TrainingResult, TrainingSettings, split_validation
from copyfold.engine.vae import VAE, LatentNormal, LossTerms, kl_to_standard_normal, sample_latent

__all__ = [
    "CHECKPOINT_FORMAT",
    "VAE",
    "Constant",
    "DeterministicConfig",
    "LatentNormal",
    "LinearWarmup",
    "LossTerms",
    "Ranks",
    "Schedule",
    "Trainer",
    "TrainingResult",
    "TrainingSettings",
    "gather_rows",
    "join_ranks",
    "kl_to_standard_normal",
    "load_checkpoint",
    "one_thread",
    "pick_device",
    "rank_device",
    "sample_latent",
    "save_checkpoint",
    "split_validation",
]
