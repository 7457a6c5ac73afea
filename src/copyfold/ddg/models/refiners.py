"""Refiners: small networks that correct a trained `DDGVAE` from the mean of its latent.

Both learn a correction ``delta`` and a weight: final = VAE's prediction + weight × delta. Methods:
docs/methods/ddg-refiners.md.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from copyfold.engine import LossTerms


class Refiner(nn.Module):
    """A correction of a prediction from the latent it was made from; subclasses say how `delta` is computed.

    Parameters
    ----------
    latent_dim : int

    Notes
    -----
    The delta is in units of ``ddg_scale``, the spread of ΔΔG over the training rows; ``latent_mean`` and
    ``latent_scale`` standardise the latent. All three are buffers, set by `set_scaling`.
    """

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.residual_weight = nn.Parameter(torch.tensor(0.5))
        self.register_buffer("latent_mean", torch.zeros(latent_dim))
        self.register_buffer("latent_scale", torch.ones(latent_dim))
        self.register_buffer("ddg_scale", torch.ones(()))

    def delta(self, latent: Tensor) -> Tensor:
        """Correction (batch,), in units of ``ddg_scale``, for standardised latents (batch, latent_dim)."""
        raise NotImplementedError

    @torch.no_grad()
    def set_scaling(self, latent: Tensor, ddg: Tensor) -> None:
        """Take scales from the training rows: latent means (n, latent_dim), ddg (n,)."""
        scale = latent.std(dim=0, correction=0)
        self.latent_mean.copy_(latent.mean(dim=0))
        self.latent_scale.copy_(torch.where(scale > 1e-4, scale, 1.0))  # an unused dimension stays at 0
        self.ddg_scale.copy_(ddg.std(correction=0).clamp(min=1e-3))

    def standardise(self, latent: Tensor) -> Tensor:
        """Latent means with mean 0 and scale 1 over the training rows."""
        return (latent - self.latent_mean) / self.latent_scale

    def forward(self, latent: Tensor, predicted: Tensor) -> Tensor:
        """Refined ΔΔG (batch,) from latent means (batch, latent_dim) and the VAE's prediction (batch,)."""
        return predicted + self.residual_weight * self.ddg_scale * self.delta(self.standardise(latent))

    def loss(self, batch: Tensor, generator: torch.Generator | None) -> LossTerms:
        """Half the squared error in units of ``ddg_scale``.

        Parameters
        ----------
        batch : Tensor, (batch, latent_dim + 2)
            Latent means, the VAE's prediction, and ΔΔG.
        generator : ignored
            Nothing is drawn but dropout, which torch's own generator draws.
        """
        error = (self(batch[:, :-2], batch[:, -2]) - batch[:, -1]) / self.ddg_scale
        return LossTerms(reconstruction=0.5 * error.square().mean())


class _ResidualBlock(nn.Module):
    """Dense layer added to what it is given, projected where the width changes."""

    def __init__(self, inputs: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.dense = nn.Sequential(nn.LayerNorm(inputs), nn.Linear(inputs, outputs), nn.SiLU(), nn.Dropout(dropout))
        self.skip = nn.Identity() if inputs == outputs else nn.Linear(inputs, outputs, bias=False)

    def forward(self, hidden: Tensor) -> Tensor:
        return self.skip(hidden) + self.dense(hidden)


class MLPRefiner(Refiner):
    """Residual dense layers of width 64, 64 and 32 over the latent mean."""

    HIDDEN = (64, 64, 32)

    def __init__(self, latent_dim: int = 32, dropout: float = 0.1) -> None:
        super().__init__(latent_dim)
        widths = (latent_dim, *self.HIDDEN)
        blocks = [_ResidualBlock(*pair, dropout) for pair in pairwise(widths)]
        self.network = nn.Sequential(*blocks, nn.Linear(widths[-1], 1))

    def delta(self, latent: Tensor) -> Tensor:
        """See `Refiner.delta`."""
        return self.network(latent).squeeze(1)


class EmbeddingTransformer(Refiner):
    """Attention over the latent's dimensions as a pseudo-sequence: one token per dimension.

    A token is the dimension's value times a learned vector plus the dimension's own learned vector. A query token, as
    BERT's, reads the others; its attention says which dimensions the correction is made from.
    """

    D_MODEL, HEADS, LAYERS = 32, 4, 2

    def __init__(self, latent_dim: int = 32, dropout: float = 0.1) -> None:
        super().__init__(latent_dim)
        scale = self.D_MODEL**-0.5
        self.value = nn.Parameter(torch.randn(latent_dim, self.D_MODEL) * scale)
        self.dimension = nn.Parameter(torch.randn(latent_dim, self.D_MODEL) * scale)
        self.query = nn.Parameter(torch.randn(1, self.D_MODEL) * scale)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                self.D_MODEL, self.HEADS, 2 * self.D_MODEL, dropout, "gelu", batch_first=True, norm_first=True
            )
            for _ in range(self.LAYERS)
        )
        self.readout = nn.Sequential(nn.LayerNorm(self.D_MODEL), nn.Linear(self.D_MODEL, 1))

    def delta(self, latent: Tensor) -> Tensor:
        """See `Refiner.delta`."""
        tokens = self._tokens(latent)
        for layer in self.layers:
            tokens = layer(tokens)
        return self.readout(tokens[:, 0]).squeeze(1)

    @torch.no_grad()
    def attention(self, latent: Tensor) -> Tensor:
        """Mean weight that the query gives each dimension in each layer: (layers, latent_dim); the rest goes to itself.

        Parameters
        ----------
        latent : Tensor, (batch, latent_dim)
            Latent means, in the VAE's own units.
        """
        tokens = self._tokens(self.standardise(latent))
        weights = []
        for layer in self.layers:
            normed = layer.norm1(tokens)
            weights.append(layer.self_attn(normed, normed, normed, need_weights=True)[1][:, 0, 1:].mean(dim=0))
            tokens = layer(tokens)
        return torch.stack(weights)

    def _tokens(self, latent: Tensor) -> Tensor:
        tokens = latent.unsqueeze(2) * self.value + self.dimension
        return torch.cat([self.query.expand(len(latent), 1, -1), tokens], dim=1)


REFINERS: dict[str, type[MLPRefiner] | type[EmbeddingTransformer]] = {
    "mlp": MLPRefiner,
    "transformer": EmbeddingTransformer,
}
