"""``Fusion``: attention across the latents of several specialists that corrects the best single model.

final = prediction of the best single model + weight × delta. Methods: docs/methods/ddg-fusion.md.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from copyfold.engine import LossTerms


class Fusion(nn.Module):
    """A correction of one prediction from the latents and predictions of all specialists.

    Each specialist's latent mean, with the predictions made from it, becomes `TOKENS` tokens. In every layer a token
    reads the tokens of the *other* specialists alone; the mean over all tokens gives the correction, which is 0 before
    training.

    Parameters
    ----------
    latent_dims : sequence of int
        Latent dimensions of each specialist; at least two specialists.
    owners : sequence of int
        Index of the specialist whose latent each prediction was made from (its own head's or a refiner's).
    base : int
        Index of the prediction that is corrected; in kcal/mol.
    dropout : float

    Notes
    -----
    Inputs go in as they are: columns of all latents, then of all predictions. Their means and scales over the training
    rows, and the spread of ΔΔG there, are buffers, set by `set_scaling`.
    """

    D_MODEL, HEADS, LAYERS, TOKENS = 32, 4, 2, 4

    def __init__(self, latent_dims: Sequence[int], owners: Sequence[int], base: int, dropout: float = 0.1) -> None:
        super().__init__()
        if len(latent_dims) < 2:
            raise ValueError(f"{len(latent_dims)} specialists; attention across specialists needs at least two")
        self.latent_dims, self.owners, self.base = tuple(latent_dims), tuple(owners), base
        self._columns = [_columns_of(number, self.latent_dims, self.owners) for number in range(len(latent_dims))]
        inputs = sum(latent_dims) + len(owners)
        self.project = nn.ModuleList(nn.Linear(len(own), self.TOKENS * self.D_MODEL) for own in self._columns)
        n_tokens = self.TOKENS * len(latent_dims)
        self.identity = nn.Parameter(torch.randn(n_tokens, self.D_MODEL) * self.D_MODEL**-0.5)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                self.D_MODEL, self.HEADS, 2 * self.D_MODEL, dropout, "gelu", batch_first=True, norm_first=True
            )
            for _ in range(self.LAYERS)
        )
        self.readout = nn.Sequential(nn.LayerNorm(self.D_MODEL), nn.Linear(self.D_MODEL, 1))
        nn.init.zeros_(self.readout[1].weight)
        nn.init.zeros_(self.readout[1].bias)
        self.residual_weight = nn.Parameter(torch.tensor(0.5))
        specialist = torch.arange(n_tokens) // self.TOKENS
        self.register_buffer("own", specialist[:, None] == specialist[None, :], persistent=False)
        self.register_buffer("input_mean", torch.zeros(inputs))
        self.register_buffer("input_scale", torch.ones(inputs))
        self.register_buffer("ddg_scale", torch.ones(()))

    @torch.no_grad()
    def set_scaling(self, inputs: Tensor, ddg: Tensor) -> None:
        """Take means and scales from the training rows: inputs (n, columns), ddg (n,)."""
        scale = inputs.std(dim=0, correction=0)
        self.input_mean.copy_(inputs.mean(dim=0))
        self.input_scale.copy_(torch.where(scale > 1e-4, scale, 1.0))  # an unused dimension stays at 0
        self.ddg_scale.copy_(ddg.std(correction=0).clamp(min=1e-3))

    def forward(self, inputs: Tensor) -> Tensor:
        """ΔΔG (batch,), kcal/mol, positive = destabilising, from latents and predictions (batch, columns)."""
        tokens = self._tokens(inputs)
        for layer in self.layers:
            tokens = layer(tokens, src_mask=self.own)
        delta = self.readout(tokens.mean(dim=1)).squeeze(1)
        return inputs[:, sum(self.latent_dims) + self.base] + self.residual_weight * self.ddg_scale * delta

    def loss(self, batch: Tensor, generator: torch.Generator | None) -> LossTerms:
        """Half the squared error in units of ``ddg_scale``.

        Parameters
        ----------
        batch : Tensor, (batch, columns + 1)
            Inputs as `forward` takes them, and ΔΔG.
        generator : ignored
            Nothing is drawn but dropout, which torch's own generator draws.
        """
        error = (self(batch[:, :-1]) - batch[:, -1]) / self.ddg_scale
        return LossTerms(reconstruction=0.5 * error.square().mean())

    @torch.no_grad()
    def attention(self, inputs: Tensor) -> Tensor:
        """How much each specialist reads of each other one in the first layer: (specialists, specialists).

        Rows add up to 1, the diagonal is 0; means over rows of `inputs`, heads and the specialist's tokens.
        """
        normed = self.layers[0].norm1(self._tokens(inputs))
        weights = self.layers[0].self_attn(normed, normed, normed, attn_mask=self.own, need_weights=True)[1].mean(dim=0)
        n = len(self.latent_dims)
        return weights.reshape(n, self.TOKENS, n, self.TOKENS).sum(dim=3).mean(dim=1)

    def _tokens(self, inputs: Tensor) -> Tensor:
        standard = (inputs - self.input_mean) / self.input_scale
        own = [project(standard[:, columns]) for project, columns in zip(self.project, self._columns, strict=True)]
        return torch.cat(own, dim=1).reshape(len(inputs), -1, self.D_MODEL) + self.identity


def _columns_of(specialist: int, latent_dims: tuple[int, ...], owners: tuple[int, ...]) -> list[int]:
    """Columns of the inputs that belong to one specialist: its latent and the predictions made from it."""
    first = sum(latent_dims[:specialist])
    latent = range(first, first + latent_dims[specialist])
    return [*latent, *(sum(latent_dims) + number for number, owner in enumerate(owners) if owner == specialist)]
