"""Convolutions as matrix products against torch's own."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from copyfold.cnv.models.strided_conv import StridedConv, StridedConvTranspose

SHAPES = [(1, 5, 16, 8), (3, 4, 8, 4), (4, 2, 3, 1), (2, 3, 4, 4)]


def compare(ours: nn.Module, theirs: nn.Module, length: int, inputs: int) -> None:
    theirs.load_state_dict(ours.state_dict())
    ours, theirs = ours.double(), theirs.double()
    x = torch.randn(3, length, inputs, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    ours_x, theirs_x = x.clone().requires_grad_(), x.clone().requires_grad_()
    ours_y, theirs_y = ours(ours_x), theirs(theirs_x.transpose(1, 2)).transpose(1, 2)
    torch.testing.assert_close(ours_y, theirs_y)
    weights = torch.randn(ours_y.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    (ours_y * weights).sum().backward()
    (theirs_y * weights).sum().backward()
    torch.testing.assert_close(ours_x.grad, theirs_x.grad)
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, other.grad)


@pytest.mark.parametrize(("inputs", "outputs", "kernel", "stride"), SHAPES)
def test_a_strided_convolution_is_that_of_torch(inputs, outputs, kernel, stride):
    theirs = nn.Conv1d(inputs, outputs, kernel, stride, (kernel - stride) // 2)
    compare(StridedConv(inputs, outputs, kernel, stride), theirs, 6 * stride, inputs)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("inputs", "outputs", "kernel", "stride"), SHAPES)
def test_a_transposed_convolution_is_that_of_torch(inputs, outputs, kernel, stride, bias):
    theirs = nn.ConvTranspose1d(inputs, outputs, kernel, stride, (kernel - stride) // 2, bias=bias)
    compare(StridedConvTranspose(inputs, outputs, kernel, stride, bias=bias), theirs, 6, inputs)


def test_kernels_that_are_no_whole_strides_are_refused():
    for kernel, stride in ((5, 2), (2, 1), (7, 3)):
        with pytest.raises(ValueError, match=f"kernel {kernel} must be a multiple"):
            StridedConv(1, 1, kernel, stride)
