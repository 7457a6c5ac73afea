"""A variational autoencoder of protein sites whose decoder gives 20 stabilities: several members side by side.

A site's surroundings are encoded as z ~ N(μ, σ²); from z are decoded e, the free energy of folding that each of the 20
amino acids would bring to the site, up to a constant of the site, and the log-odds that ProteinMPNN gives it. Then
ΔΔG = e[mutant] − e[wild type]: antisymmetric and transitive whatever the weights.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from copyfold.engine.vae import LatentNormal, sample_latent


@dataclass(frozen=True)
class SiteModelConfig:
    """Shape of the ensemble and how it is trained.

    Attributes
    ----------
    n_inputs : int
        Width of the features.
    n_profiles : int
        20-vectors of log-odds of a site; 0 for none.
    n_folds, n_repeats : int
        Members are n_folds × n_repeats; member m never sees the proteins of fold m modulo n_folds.
    hidden, latent, dropout : int, int, float
    input_noise : float
        Standard deviation of noise on the standardised inputs in training.
    learning_rate, weight_decay, batch_size, epochs
        AdamW under a one-cycle schedule.
    beta, beta_warmup : float, int
        Weight of the KL term and the epochs over which it is reached; with 0 the posterior's mean is decoded (no VAE).
    profile_weight : float
        Weight of the decoded log-odds' squared error.
    huber : float
        kcal/mol at which the loss of a ΔΔG turns from squared to absolute.
    """

    n_inputs: int
    n_profiles: int
    n_folds: int = 5
    n_repeats: int = 1
    hidden: int = 128
    latent: int = 16
    dropout: float = 0.4
    input_noise: float = 0.3
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    batch_size: int = 256
    epochs: int = 25
    beta: float = 1e-3
    beta_warmup: int = 8
    profile_weight: float = 0.05
    huber: float = 1.5

    @property
    def n_members(self) -> int:
        return self.n_folds * self.n_repeats


class DecodedSites(NamedTuple):
    """What the decoder gives for each member's batch.

    Attributes
    ----------
    potentials : Tensor, (members, batch, 20)
        kcal/mol, positive = destabilising.
    profiles : Tensor, (members, batch, n_profiles × 20)
        Reconstructed log-odds, standardised.
    """

    potentials: Tensor
    profiles: Tensor


class MemberLinear(nn.Module):
    """One linear map for each member: (members, batch, n_in) to (members, batch, n_out)."""

    def __init__(self, n_members: int, n_in: int, n_out: int, generator: torch.Generator) -> None:
        super().__init__()
        bound = 1 / math.sqrt(n_in)
        self.weight = nn.Parameter(bound * (2 * torch.rand(n_members, n_in, n_out, generator=generator) - 1))
        self.bias = nn.Parameter(bound * (2 * torch.rand(n_members, 1, n_out, generator=generator) - 1))

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.baddbmm(self.bias, inputs, self.weight)


class SiteVAE(nn.Module):
    """The ensemble.

    Parameters
    ----------
    config : SiteModelConfig
    generator : torch.Generator
        Draws the first weights.
    """

    def __init__(self, config: SiteModelConfig, generator: torch.Generator) -> None:
        super().__init__()
        self.config = config
        members, hidden = config.n_members, config.hidden

        def linear(n_in: int, n_out: int) -> MemberLinear:
            return MemberLinear(members, n_in, n_out, generator)

        self.first = linear(config.n_inputs, hidden)
        self.second = linear(hidden, hidden)
        self.mean = linear(hidden, config.latent)
        self.log_variance = linear(hidden, config.latent)
        self.decoder = linear(config.latent, hidden)
        self.potential = linear(hidden, 20)
        self.profile: MemberLinear | None = linear(hidden, 20 * config.n_profiles) if config.n_profiles else None
        self.profile_share = nn.Parameter(torch.zeros(members, 1, config.n_profiles, 1))

    def encode(self, inputs: Tensor, generator: torch.Generator | None = None) -> LatentNormal:
        """Posterior of standardised inputs (members, batch, n_inputs); a generator switches dropout on."""
        hidden = self._drop(functional.silu(self.first(inputs)), generator)
        hidden = self._drop(functional.silu(self.second(hidden)), generator)
        return LatentNormal(self.mean(hidden), self.log_variance(hidden).clamp(-8.0, 4.0))

    def decode(self, latent: Tensor, profiles: Tensor, generator: torch.Generator | None = None) -> DecodedSites:
        """Potentials from the latent, plus a learned share of each standardised profile (batch or members first)."""
        hidden = self._drop(functional.silu(self.decoder(latent)), generator)
        potentials = self.potential(hidden)
        if self.config.n_profiles:
            stacked = profiles.unflatten(-1, (self.config.n_profiles, 20))
            potentials = potentials - (self.profile_share * stacked).sum(dim=-2)
        decoded = latent.new_zeros(*latent.shape[:2], 0) if self.profile is None else self.profile(hidden)
        return DecodedSites(potentials, decoded)

    def forward(self, inputs: Tensor, profiles: Tensor) -> Tensor:
        """Potentials at the posterior's mean, (members, batch, 20); both inputs (batch, …)."""
        n_members = self.config.n_members
        posterior = self.encode(inputs.expand(n_members, *inputs.shape))
        latent = sample_latent(posterior, None)
        return self.decode(latent, profiles.expand(n_members, *profiles.shape)).potentials

    def _drop(self, values: Tensor, generator: torch.Generator | None) -> Tensor:
        if generator is None:
            return values
        kept = torch.rand(values.shape, generator=generator) >= self.config.dropout
        return values * kept / (1 - self.config.dropout)
