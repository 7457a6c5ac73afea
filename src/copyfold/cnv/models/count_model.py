"""``10_count_model``: expected depth at one copy by the count model, `copyfold.cnv.countmodel`.

Its checkpoint holds all that the cohort taught, and ``10_count_hmm`` and ``10_count_caller`` read it too.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from copyfold.cnv.bin_table import BinTable
from copyfold.cnv.config import CnvConfig
from copyfold.cnv.countmodel import CountModel, CountModelSettings, bin_covariates, expect_isolates, fit_count_model
from copyfold.cnv.countmodel.ends import SharedEnds
from copyfold.cnv.countmodel.factors import BinEffects
from copyfold.cnv.countmodel.fitting import n_fit_steps
from copyfold.cnv.countmodel.relatives import Relatives
from copyfold.cnv.models.architecture import Depths, FitSession, FitSummary, Inference
from copyfold.core.files import write_text
from copyfold.core.seeding import derive_generator
from copyfold.engine import load_checkpoint, save_checkpoint
from copyfold.errors import InputError

FIT_ISOLATES = 5000
"""Isolates that the model is fitted to at most, drawn by the seed: a fit holds all of them in memory."""

SMALL_COHORT = 5
"""Below this many isolates there are no factors, and what all isolates share cannot be told from the baseline."""

LOG_COLUMNS = ("epoch", "log_likelihood_per_bin", "one_copy_share", "median_dispersion")


class CountModelArchitecture:
    """The registered architecture ``10_count_model``.

    Parameters
    ----------
    bins : BinTable
        GC, mappability and phase of replication are used where they are known.
    config : CnvConfig
        ``latent_dim`` is the number of factors at most; ``seed`` draws the isolates of a fit of more than
        `FIT_ISOLATES`.
    """

    def __init__(self, bins: BinTable, config: CnvConfig) -> None:
        self.bins = bins
        self.config = config
        self.model: CountModel | None = None

    def fit(self, depths: Depths, session: FitSession) -> FitSummary:
        """Fit to the samples' counts; see `Architecture`."""
        self._advise(len(depths), session)
        settings = CountModelSettings(n_factors=self.config.latent_dim)
        rows = slice(None)
        if len(depths) > FIT_ISOLATES:
            drawn = derive_generator(self.config.seed, "isolates of the fit").permutation(len(depths))
            rows = np.sort(drawn[:FIT_ISOLATES])
            session.console.say(f"the model is fitted to {FIT_ISOLATES} of the {len(depths)} isolates")
        with session.console.progress("fitting, step", n_fit_steps(settings)) as progress:
            self.model = fit_count_model(
                depths.counts[rows],
                covariates(self.bins),
                self.bins.mappability,
                self.bins.widths,
                settings,
                progress,
                borders=self.bins.contigs.chain_starts,
            )
        save_checkpoint(session.checkpoint, {"model_state_dict": pack_model(self.model)})
        history = self.model.history
        lines = ["\t".join(LOG_COLUMNS)]
        lines += [
            "\t".join([str(number + 1), *(f"{value:.6g}" for value in row)]) for number, row in enumerate(history)
        ]
        write_text(session.log, "\n".join(lines) + "\n")
        return FitSummary(len(history), -float(history[-1, 0]), len(history))

    def _advise(self, n_isolates: int, session: FitSession) -> None:
        if n_isolates < SMALL_COHORT:
            session.console.warn(
                f"{n_isolates} isolates teach no baseline: expected depth rests on what is known of the bins, and what "
                "the isolates have in common is taken for it; add isolates of other lineages"
            )
        if self.bins.mappability is None:
            session.console.warn(
                "bins_path is not set: a bin to which no reads map looks absent in every isolate; "
                "give the reference that the isolates were counted on"
            )

    def load(self, checkpoint: Path, device: torch.device) -> None:
        """Load the model; the device does not matter, the arithmetic is numpy's and numba's."""
        self.model = load_count_model(checkpoint, len(self.bins))

    def infer(self, depths: Depths) -> Inference:
        """Expected depth of some samples; see `Architecture`. Latents are the factors, 0 beyond those fitted."""
        assert self.model is not None
        found = expect_isolates(depths.counts, self.model)
        factors = found.coefficients[:, self.model.effects.covariates.shape[1] :]
        latents = np.zeros((len(depths), self.config.latent_dim), dtype=np.float32)
        latents[:, : factors.shape[1]] = factors
        return Inference(found.expected, latents, found.dispersion)


def covariates(bins: BinTable) -> np.ndarray | None:
    """Covariates of the bins, (n_bins, q), as far as they are known; None without any."""
    if bins.gc is None:
        return None
    phase = np.zeros(len(bins)) if bins.replication is None else bins.replication
    return bin_covariates(bins.gc, phase)


def pack_model(model: CountModel) -> dict[str, Any]:
    """The model as tensors and plain values."""
    packed: dict[str, Any] = {"settings": asdict(model.settings)}
    for name in ("excess", "borders", "fitted", "history"):
        packed[name] = _tensor(getattr(model, name))
    for name in ("effects", "ends", "relatives"):
        part = getattr(model, name)
        packed[name] = None if part is None else {key: _tensor(value) for key, value in part._asdict().items()}
    return packed


def load_count_model(checkpoint: Path, n_bins: int) -> CountModel:
    """Read the count model of a run.

    Raises
    ------
    InputError
        The checkpoint is another architecture's, or for another number of bins.
    """
    state = load_checkpoint(checkpoint)["model_state_dict"]
    try:
        ends, relatives = state["ends"], state["relatives"]
        model = CountModel(
            BinEffects(**_arrays(state["effects"])),
            None if ends is None else SharedEnds(**_arrays(ends)),
            None if relatives is None else Relatives(**_arrays(relatives)),
            *(state[name].numpy() for name in ("excess", "borders", "fitted", "history")),
            CountModelSettings(**state["settings"]),
        )
    except (KeyError, TypeError, AttributeError):
        raise InputError(
            f"{checkpoint}: is not of architecture 10_count_model, which 10_count_hmm and 10_count_caller read; "
            "name all three, or none of them"
        ) from None
    if len(model.effects.baseline) != n_bins:
        raise InputError(
            f"{checkpoint}: is for {len(model.effects.baseline)} bins and the store has {n_bins}: its values do not "
            "fit this architecture; use the run's own store"
        )
    return model


def _tensor(value: Any) -> Any:
    return torch.from_numpy(np.array(value)) if isinstance(value, np.ndarray) else value


def _arrays(state: dict[str, Any]) -> dict[str, Any]:
    return {key: value.numpy() if isinstance(value, torch.Tensor) else value for key, value in state.items()}
