"""``06_conv_vae``: the documents' one-dimensional convolutional VAE over log depth.

Three strided convolutions and a dense head to the latent, mirrored by a dense layer and three transposed
convolutions. Input is padded on the right to whole strides, so any number of bins will do. The maths, and the
definition of the CNV-pattern alignment loss, are in docs/methods/conv-vae.md.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from copyfold.cnv.models.architecture import VaeArchitecture
from copyfold.cnv.models.strided_conv import StridedConv, StridedConvTranspose
from copyfold.core.seeding import derive_seed
from copyfold.engine import LatentNormal, LossTerms, gather_rows, kl_to_standard_normal, sample_latent

CHANNELS = (32, 64, 128)
KERNELS = (16, 8, 3)
STRIDES = (8, 4, 1)
TOTAL_STRIDE = 32
PATTERN_WINDOW = 32
"""Bins averaged into one element of a sample's pattern of gains and losses."""
PATTERN_THRESHOLD = 0.25
"""Deviations from the cohort in log2(ratio + 1) below this are noise, GC and replication, not gains or losses:
a lost bin deviates by −1, a doubled one by +0.58."""


class ConvVAE(nn.Module):
    """VAE over profiles of log depth; meets `copyfold.cnv.models.architecture.DepthVAE`.

    Parameters
    ----------
    n_bins : int
        Columns of the store.
    latent_dim : int
    """

    def __init__(self, n_bins: int, latent_dim: int) -> None:
        super().__init__()
        self.n_bins = n_bins
        self.padding = -n_bins % TOTAL_STRIDE
        length = (n_bins + self.padding) // TOTAL_STRIDE
        self.bottleneck = (length, CHANNELS[-1])
        widths = (1, *CHANNELS)
        layers = list(zip(widths[:-1], widths[1:], KERNELS, STRIDES, strict=True))
        encoder: list[nn.Module] = []
        for inputs, outputs, kernel, stride in layers:
            encoder += [StridedConv(inputs, outputs, kernel, stride), nn.SiLU()]
        decoder: list[nn.Module] = []
        for inputs, outputs, kernel, stride in reversed(layers):
            has_bias = inputs > 1  # the last layer's would only repeat bin_bias
            decoder += [nn.SiLU(), StridedConvTranspose(outputs, inputs, kernel, stride, bias=has_bias)]
        self.encoder = nn.Sequential(*encoder, nn.Flatten())
        self.head = nn.Linear(CHANNELS[-1] * length, 2 * latent_dim)
        self.expand = nn.Linear(latent_dim, CHANNELS[-1] * length)
        self.decoder = nn.Sequential(*decoder)
        self.bin_bias = nn.Parameter(torch.zeros(n_bins))
        self.register_buffer("baseline", torch.zeros(n_bins))

    def set_baseline(self, profile: Tensor) -> None:
        """Centre input and output on the cohort's median profile (n_bins,), so that training learns what differs."""
        with torch.no_grad():
            self.bin_bias.copy_(profile)
            self.baseline.copy_(profile)

    def encode(self, log_depths: Tensor) -> LatentNormal:
        """Posterior of the latent for (batch, n_bins) log depths."""
        return self._posterior(self._centred(log_depths))

    def _centred(self, log_depths: Tensor) -> Tensor:
        return functional.pad(log_depths - self.baseline, (0, self.padding))

    def _posterior(self, centred: Tensor) -> LatentNormal:
        mean, log_variance = self.head(self.encoder(centred.unsqueeze(2))).chunk(2, dim=1)
        # clamp, but its gradient is one kernel, not five
        return LatentNormal(mean, functional.hardtanh(log_variance, -15.0, 15.0))

    def decode(self, latent: Tensor) -> Tensor:
        """Log depths (batch, n_bins) for (batch, latent_dim) latents."""
        hidden = self.expand(latent).unflatten(1, self.bottleneck)
        return self.decoder(hidden).squeeze(2)[:, : self.n_bins] + self.bin_bias

    def reconstruct(self, log_depths: Tensor) -> tuple[Tensor, Tensor]:
        """Reconstruction and latent mean, without noise."""
        latent = self.encode(log_depths).mean
        return self.decode(latent), latent

    def loss(self, batch: Tensor, generator: torch.Generator | None) -> LossTerms:
        """ELBO terms in nats per bin, and the alignment of latent means with patterns of gains and losses."""
        centred = self._centred(batch)
        posterior = self._posterior(centred)
        decoded = self.decode(sample_latent(posterior, generator))
        reconstruction = 0.5 * functional.mse_loss(decoded, batch)
        kl = kl_to_standard_normal(posterior).mean() / self.n_bins
        patterns = gain_loss_patterns(centred)  # the padding is where a pattern would be padded
        alignment = linear_cka(gather_rows(posterior.mean), gather_rows(patterns))
        return LossTerms(reconstruction, kl, {"cnv_pattern": 1.0 - alignment})


def gain_loss_patterns(deviations: Tensor) -> Tensor:
    """Each sample's pattern of gains and losses, coarse along the genome.

    Parameters
    ----------
    deviations : Tensor, (batch, n_bins)
        Log depth minus the cohort's median profile.

    Returns
    -------
    Tensor, (batch, ceil(n_bins / PATTERN_WINDOW))
        Window means of the soft-thresholded deviations.
    """
    beyond = functional.softshrink(deviations, PATTERN_THRESHOLD)
    if missing := -beyond.shape[1] % PATTERN_WINDOW:
        beyond = functional.pad(beyond, (0, missing))
    return beyond.unflatten(1, (-1, PATTERN_WINDOW)).mean(dim=2)


def linear_cka(left: Tensor, right: Tensor) -> Tensor:
    """Linear centred kernel alignment of two sets of features of the same samples.

    Parameters
    ----------
    left, right : Tensor, (batch, features)
        Numbers of features may differ.

    Returns
    -------
    Tensor, scalar in [0, 1]
        1 where distances between samples are proportional in both; 0 where either set is constant.

    References
    ----------
    Cortes, Mohri & Rostamizadeh 2012, JMLR 13:795; Kornblith et al. 2019, arXiv:1905.00414.
    """
    alignment: Tensor = _LinearCka.apply(left, right)  # type: ignore[no-untyped-call]
    return alignment


class _LinearCka(torch.autograd.Function):
    """With gradients in closed form: a quarter of the kernels that autograd takes, each of which does next to nothing.

    Of a = ⟨K, M⟩ / √(⟨K, K⟩⟨M, M⟩) with K = XXᵀ the gradient is da/dX = 2 / √(…) · (M − a √(⟨M, M⟩ / ⟨K, K⟩) K) X.
    Features are centred in both, so the gradient by uncentred ones is the same.
    """

    @staticmethod
    def forward(ctx: Any, left: Tensor, right: Tensor) -> Tensor:
        left = left - left.mean(dim=0)
        right = right - right.mean(dim=0)
        left_gram, right_gram = left @ left.T, right @ right.T
        left_square, right_square = left_gram.square().sum(), right_gram.square().sum()
        scale = torch.rsqrt(left_square * right_square + 1e-12)
        alignment = (left_gram * right_gram).sum() * scale
        ctx.save_for_backward(left, right, left_gram, right_gram, left_square, right_square, scale, alignment)
        return alignment

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        left, right, left_gram, right_gram, left_square, right_square, scale, alignment = ctx.saved_tensors
        outer, shrink = 2.0 * gradient * scale, alignment * scale
        of_left = of_right = None
        if ctx.needs_input_grad[0]:
            of_left = torch.addcmul(right_gram, left_gram, shrink * right_square, value=-1.0) @ left * outer
        if ctx.needs_input_grad[1]:
            of_right = torch.addcmul(left_gram, right_gram, shrink * left_square, value=-1.0) @ right * outer
        return of_left, of_right


class ConvVaeArchitecture(VaeArchitecture):
    """The registered architecture ``06_conv_vae``."""

    def build_module(self) -> ConvVAE:
        """A `ConvVAE` with weights drawn from the configured seed."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(self.config.seed, "initial weights"))
            return ConvVAE(self.n_bins, self.config.latent_dim)
