"""What the engine asks of a variational autoencoder, and the pieces every one of them shares."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from copyfold.engine.ranks import draw_rows


class LatentNormal(NamedTuple):
    """Diagonal Gaussian posterior of the latent.

    Attributes
    ----------
    mean, log_variance : Tensor, (batch, latent_dim), float32
    """

    mean: Tensor
    log_variance: Tensor


@dataclass(frozen=True)
class LossTerms:
    """The parts of a loss, each a scalar tensor averaged over the batch, not yet weighted.

    Attributes
    ----------
    reconstruction : Tensor
        Negative log likelihood of the input, up to a constant; its weight is always 1. Of a module that predicts and
        reconstructs nothing, that of what it predicts.
    kl : Tensor or None
        Kullback–Leibler divergence from the posterior to the prior, in the unit of `reconstruction`; None where there
        is no latent.
    auxiliary : mapping of str to Tensor
        Any further term by name; the name is also the key of its weight.
    """

    reconstruction: Tensor
    kl: Tensor | None = None
    auxiliary: Mapping[str, Tensor] = field(default_factory=dict)

    def weighted_total(self, weights: Mapping[str, float] | Mapping[str, Tensor]) -> Tensor:
        """``reconstruction + weights["kl"]·kl + Σ weights[name]·auxiliary[name]``."""
        total = self.reconstruction if self.kl is None else self.reconstruction + weights["kl"] * self.kl
        for name, term in self.auxiliary.items():
            total = total + weights[name] * term
        return total

    def named(self) -> Iterator[tuple[str, Tensor]]:
        """Every term with its name."""
        yield "reconstruction", self.reconstruction
        if self.kl is not None:
            yield "kl", self.kl
        yield from self.auxiliary.items()


class VAE(Protocol):
    """A torch module that the `Trainer` can train.

    ``loss`` with a generator draws the latent from the posterior; with None it takes the posterior mean, so that
    a validation loss has no noise of its own. Where several processes train, each computes the loss of its own rows:
    noise comes from `sample_latent`, and a term that is no mean over rows is computed of ``gather_rows(…)``.
    """

    def loss(self, batch: Tensor, generator: torch.Generator | None) -> LossTerms: ...

    def parameters(self, recurse: bool = True) -> Iterator[torch.nn.Parameter]: ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: Mapping[str, Any], /) -> Any: ...

    def train(self, mode: bool = True, /) -> Any: ...


def sample_latent(posterior: LatentNormal, generator: torch.Generator | None) -> Tensor:
    """Draw z = μ + σ·ε (the reparameterisation of Kingma & Welling 2014, arXiv:1312.6114); μ without a generator."""
    if generator is None:
        return posterior.mean
    noise = draw_rows(posterior.mean.shape, generator, posterior.mean.device)
    return posterior.mean + torch.exp(0.5 * posterior.log_variance) * noise


def kl_to_standard_normal(posterior: LatentNormal) -> Tensor:
    """KL(N(μ, σ²) ‖ N(0, I)) of each row, in nats: (batch,)."""
    mean, log_variance = posterior
    return 0.5 * (mean.square() + log_variance.exp() - 1.0 - log_variance).sum(dim=1)
