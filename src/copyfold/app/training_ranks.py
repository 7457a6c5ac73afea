"""What the processes of ``torchrun`` beside the first do: help it to train, write nothing, say nothing."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from copyfold.cnv.config import CnvConfig
from copyfold.cnv.inputs import load_inputs
from copyfold.cnv.models.architecture import VaeArchitecture
from copyfold.cnv.pipeline import Job, train
from copyfold.cnv.plugins import REGISTRIES
from copyfold.core.config import load_config
from copyfold.core.console import Silence
from copyfold.core.registry import find_modules_in
from copyfold.core.rundir import RunDirectory
from copyfold.core.torchrun import Place
from copyfold.engine import DeterministicConfig, join_ranks, rank_device
from copyfold.errors import ConfigError, CopyfoldError

TASKS = ((False, False), (False, True), (True, False), (True, True))
"""What the first process tells the others, by its place here: whether to train, and whether the run continues."""


def check_trains_on_ranks(config: CnvConfig) -> None:
    """Refuse an architecture that several processes cannot train together.

    Raises
    ------
    ConfigError
        It is not trained by the engine on batches of rows.
    """
    architecture = REGISTRIES["architecture"].resolve(config.architecture)
    if not (isinstance(architecture, type) and issubclass(architecture, VaeArchitecture)):
        raise ConfigError(
            f"architecture: {config.architecture} is not trained on batches, so more processes do not help it; "
            "run `copyfold cnv train` without torchrun"
        )


def help_to_train(config_path: Path, overrides: Sequence[str], place: Place, device: str) -> Path:
    """Train with the first process, as one of the others; returns the run's folder.

    Nothing is read before the first process has found configuration, inputs and folder in order and has begun the run,
    so that it alone complains of them. What all processes meet alike (a loss that diverges, a signal) it tells, too.

    Raises
    ------
    CopyfoldError
        This process, and not every one, cannot go on.
    """
    warnings.simplefilter("ignore")
    ranks = join_ranks(place, rank_device(place, device))
    (task,) = ranks.largest(0)
    to_train, continued = TASKS[task]
    find_modules_in(config_path.parent)
    config = load_config(CnvConfig, config_path, overrides)
    if to_train:
        inputs = load_inputs(config)
        DeterministicConfig(config.seed).apply()
        job = Job(config, inputs, RunDirectory(config.out_dir), ranks.device, Silence(), ranks)
        with suppress(CopyfoldError, KeyboardInterrupt, SystemExit):
            train(job, resume=continued)
    ranks.leave()
    return config.out_dir
