"""Strided convolutions along the genome as one matrix product each.

A convolution gathers patches of its input and multiplies them with the kernel; a transposed one multiplies and adds
overlapping patches up. Where the kernel is a whole number of strides, both are a few slices. On the documents' layers
(few channels, long strides) this takes fewer and simpler steps on a GPU than the libraries' convolutions, and is
deterministic there. Channels come last: (batch, length, channels).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class StridedConv(nn.Module):
    """`torch.nn.Conv1d` with padding ``(kernel − stride) / 2``: length is divided by the stride.

    Parameters
    ----------
    inputs, outputs : int
        Channels.
    kernel, stride : int
        The kernel is a multiple of the stride; their difference is even.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.kernel, self.stride = _checked(kernel, stride)
        drawn = nn.Conv1d(inputs, outputs, kernel, stride)  # for weights as torch draws them
        self.weight, self.bias = drawn.weight, drawn.bias

    def forward(self, x: Tensor) -> Tensor:
        """(batch, n · stride, inputs) → (batch, n, outputs)."""
        patches = _Patches.apply(x, self.kernel, self.stride)
        whole: Tensor = _Linear.apply(patches, self.weight.transpose(1, 2).flatten(1), self.bias)
        return whole


class StridedConvTranspose(nn.Module):
    """`torch.nn.ConvTranspose1d` with the same padding: length is multiplied by the stride.

    Parameters
    ----------
    inputs, outputs, kernel, stride : int
        As in `StridedConv`.
    bias : bool
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, *, bias: bool = True) -> None:
        super().__init__()
        self.kernel, self.stride = _checked(kernel, stride)
        drawn = nn.ConvTranspose1d(inputs, outputs, kernel, stride, bias=bias)
        self.weight, self.bias = drawn.weight, drawn.bias

    def forward(self, x: Tensor) -> Tensor:
        """(batch, n, inputs) → (batch, n · stride, outputs)."""
        patches = functional.linear(x, self.weight.permute(2, 1, 0).flatten(0, 1))
        whole: Tensor = _Overlaps.apply(patches, self.kernel, self.stride)
        # a bias for every place: its gradient is then summed over the batch and over places one after the other
        return whole if self.bias is None else whole + self.bias.to(whole.dtype).expand(whole.shape[1:])


def gather_patches(x: Tensor, kernel: int, stride: int) -> Tensor:
    """(batch, n · stride, channels) → (batch, n, kernel · channels): each output's piece of the padded input."""
    edge = (kernel - stride) // 2
    batch, length, channels = x.shape
    padded = functional.pad(x, (0, 0, edge, edge))
    shape = (batch, length // stride, kernel * channels)
    return padded.as_strided(shape, (padded.stride(0), stride * channels, 1)).contiguous()


def add_overlaps(patches: Tensor, kernel: int, stride: int) -> Tensor:
    """The transpose of `gather_patches`: (batch, n, kernel · channels) → (batch, n · stride, channels)."""
    batch, n, width = patches.shape
    channels = width // kernel
    edge = (kernel - stride) // 2
    by_base = patches.unflatten(2, (kernel, channels))
    # a patch's middle is its own piece of the result; what lies to either side falls on neighbours' pieces
    whole = by_base[:, :, edge : edge + stride].contiguous()
    for shift in range(1, -(-edge // stride) + 1):
        left, right = edge - shift * stride, edge + shift * stride
        onto, taken = max(0, -left), max(0, left)
        whole[:, :-shift, onto:] += by_base[:, shift:, taken : left + stride]
        length = min(right + stride, kernel) - right
        whole[:, shift:, :length] += by_base[:, :-shift, right : right + length]
    return whole.reshape(batch, n * stride, channels)


class _Patches(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: int, stride: int) -> Tensor:
        ctx.shape = (kernel, stride)
        return gather_patches(x, kernel, stride)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, None, None]:
        return (add_overlaps(gradient, *ctx.shape) if ctx.needs_input_grad[0] else None), None, None


class _Linear(torch.autograd.Function):
    """`torch.nn.functional.linear` of (batch, length, inputs), with a gradient of the bias in two sums.

    On a GPU a sum over batch and length at once, for few channels, takes several times as long as one over the batch,
    which runs along memory, followed by one over the length.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return functional.linear(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        of_x = gradient @ weight if ctx.needs_input_grad[0] else None
        of_weight = gradient.flatten(0, 1).T @ x.flatten(0, 1)
        return of_x, of_weight, gradient.sum(dim=0).sum(dim=0)


class _Overlaps(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, patches: Tensor, kernel: int, stride: int) -> Tensor:
        ctx.shape = (kernel, stride)
        return add_overlaps(patches, kernel, stride)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return gather_patches(gradient, *ctx.shape), None, None


def _checked(kernel: int, stride: int) -> tuple[int, int]:
    if kernel % stride or (kernel - stride) % 2:
        raise ValueError(
            f"kernel {kernel} must be a multiple of the stride {stride} and differ from it by an even number"
        )
    return kernel, stride
