"""Training of the site ensemble on measured ΔΔG of several sources, every member without one fold of the proteins."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from copyfold.core.console import Progress
from copyfold.ddg.predictor.model import SiteModelConfig, SiteVAE
from copyfold.engine.schedules import LinearWarmup
from copyfold.engine.vae import LatentNormal, kl_to_standard_normal, sample_latent


@dataclass(frozen=True, eq=False)
class TrainingSites:
    """Sites with measured ΔΔG; a site measured by two sources stands twice.

    Attributes
    ----------
    inputs : numpy.ndarray, (n, n_inputs), float32
        Standardised.
    profiles : numpy.ndarray, (n, n_profiles × 20), float32
        Standardised log-odds.
    wild_type : numpy.ndarray, (n,), int64
    ddg : numpy.ndarray, (n, 20), float32
        kcal/mol, positive = destabilising; 0 where not measured.
    measured : numpy.ndarray, (n, 20), bool
    source : numpy.ndarray, (n,), int64
        0 is the source in whose scale predictions are given.
    fold : numpy.ndarray, (n,), int64
    """

    inputs: np.ndarray
    profiles: np.ndarray
    wild_type: np.ndarray
    ddg: np.ndarray
    measured: np.ndarray
    source: np.ndarray
    fold: np.ndarray


def group_by_site(site: np.ndarray, mutant: np.ndarray, ddg: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of a table as one 20-vector for each site; repeated measurements are averaged.

    Parameters
    ----------
    site : numpy.ndarray, (n,), int64
    mutant : numpy.ndarray, (n,), int64
        Indices into `AMINO_ACIDS`.
    ddg : numpy.ndarray, (n,)

    Returns
    -------
    sites : numpy.ndarray, (m,)
        Ascending.
    ddg : numpy.ndarray, (m, 20), float32
    measured : numpy.ndarray, (m, 20), bool
    """
    sites, row = np.unique(site, return_inverse=True)
    total, count = np.zeros((len(sites), 20)), np.zeros((len(sites), 20))
    np.add.at(total, (row, mutant), ddg)
    np.add.at(count, (row, mutant), 1)
    return sites, (total / np.maximum(count, 1)).astype(np.float32), count > 0


def balanced_folds(cluster: np.ndarray, weight: np.ndarray, n_folds: int) -> np.ndarray:
    """Fold of each row so that clusters stay whole and folds carry like weights: (n,), int64."""
    names, index = np.unique(cluster, return_inverse=True)
    sizes = np.bincount(index, weight)
    load, fold = np.zeros(n_folds), np.zeros(len(names), dtype=np.int64)
    for name in np.argsort(-sizes, kind="stable"):
        fold[name] = int(np.argmin(load))
        load[fold[name]] += sizes[name]
    return fold[index]


def train_ensemble(
    sites: TrainingSites, config: SiteModelConfig, source_weights: Sequence[float], seed: int, progress: Progress
) -> tuple[SiteVAE, np.ndarray]:
    """Train every member at once.

    Parameters
    ----------
    sites : TrainingSites
    config : SiteModelConfig
    source_weights : sequence of float
        Weight of a mutation of each source; 0 leaves the source out.
    seed : int
    progress : Progress
        Told the epochs done.

    Returns
    -------
    model : SiteVAE
    scales : numpy.ndarray, (members, n_sources), float64
        What a source's ΔΔG are multiples of: assays saturate, and methods differ.
    """
    generator = torch.Generator().manual_seed(seed)
    model = SiteVAE(config, generator)
    log_scales = torch.nn.Parameter(torch.zeros(config.n_members, len(source_weights)))
    data = _Tensors.of(sites, source_weights)
    members = _training_rows(sites, config, source_weights)
    n_rows = min(map(len, members))
    n_batches = math.ceil(n_rows / config.batch_size)
    parameters = [*model.parameters(), log_scales]
    optimizer = torch.optim.AdamW(parameters, lr=config.learning_rate, weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, config.learning_rate, total_steps=n_batches * config.epochs, pct_start=0.1
    )
    beta = LinearWarmup(config.beta, config.beta_warmup)
    for epoch in range(config.epochs):
        drawn = [rows[torch.randperm(len(rows), generator=generator)[:n_rows]] for rows in members]
        for batch in torch.stack(drawn).split(config.batch_size, dim=1):
            loss = _loss(model, log_scales, data, batch, beta(epoch), generator)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        progress(epoch + 1)
    scales = log_scales.detach().exp()
    model.requires_grad_(False)
    _rescale(model, scales[:, 0])
    return model.eval(), (scales / scales[:, :1]).numpy().astype(float)


def _rescale(model: SiteVAE, factors: Tensor) -> None:
    """Multiply each member's potentials by its factor."""
    for parameter in (model.potential.weight, model.potential.bias):
        parameter *= factors[:, None, None]
    model.profile_share *= factors[:, None, None, None]


@dataclass(frozen=True, eq=False)
class _Tensors:
    inputs: Tensor
    profiles: Tensor
    wild_type: Tensor
    ddg: Tensor
    weight: Tensor  # (n, 20)
    source: Tensor

    @classmethod
    def of(cls, sites: TrainingSites, source_weights: Sequence[float]) -> _Tensors:
        weight = sites.measured * np.asarray(source_weights, dtype=np.float32)[sites.source][:, None]
        return cls(
            torch.from_numpy(sites.inputs),
            torch.from_numpy(sites.profiles),
            torch.from_numpy(sites.wild_type),
            torch.from_numpy(sites.ddg),
            torch.from_numpy(weight.astype(np.float32)),
            torch.from_numpy(sites.source),
        )


def _training_rows(sites: TrainingSites, config: SiteModelConfig, source_weights: Sequence[float]) -> list[Tensor]:
    used = np.asarray(source_weights)[sites.source] > 0
    return [
        torch.from_numpy(np.flatnonzero(used & (sites.fold != member % config.n_folds)))
        for member in range(config.n_members)
    ]


def _loss(
    model: SiteVAE, log_scales: Tensor, data: _Tensors, rows: Tensor, beta: float, generator: torch.Generator
) -> Tensor:
    """Sum over members of each one's mean loss of its batch; `rows` (members, batch)."""
    config = model.config
    inputs, profiles = data.inputs[rows], data.profiles[rows]
    inputs = inputs + config.input_noise * torch.randn(inputs.shape, generator=generator)
    posterior = model.encode(inputs, generator)
    latent = sample_latent(posterior, generator if config.beta else None)
    decoded = model.decode(latent, profiles, generator)
    predicted = decoded.potentials - decoded.potentials.gather(2, data.wild_type[rows][..., None])
    predicted = predicted * log_scales.exp().gather(1, data.source[rows])[..., None]
    weight = data.weight[rows]
    error = functional.huber_loss(predicted, data.ddg[rows], reduction="none", delta=config.huber)
    loss = ((error * weight).sum(dim=(1, 2)) / weight.sum(dim=(1, 2))).sum()
    flat = LatentNormal(posterior.mean.flatten(0, 1), posterior.log_variance.flatten(0, 1))
    loss = loss + beta * kl_to_standard_normal(flat).view(rows.shape).mean(dim=1).sum()
    if config.n_profiles:
        mismatch = (decoded.profiles - profiles).square().mean(dim=(1, 2)).sum()
        loss = loss + config.profile_weight * mismatch
    return loss
