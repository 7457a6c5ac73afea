"""Several processes that train one model together, each on its share of the rows of every batch.

Every process holds all rows and draws the same shuffle. Of each batch it takes its share, and what is summed over
rows (gradients, sums of losses) is added up over the processes. So a step is that of one process on the whole batch,
but for the order in which floating-point numbers are added.
"""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch import distributed as dist

from copyfold.core.torchrun import Place
from copyfold.engine.determinism import pick_device
from copyfold.errors import ConfigError, RunError

PATIENCE = timedelta(minutes=30)
"""The first process may read and check large inputs, or write to a slow disk, while the others wait."""


class RanksLostError(RunError):
    """Another process has ended or no longer answers."""


class Share(NamedTuple):
    """The rows of a batch that one process computes.

    Attributes
    ----------
    first, stop : int
        Its rows are ``first:stop`` of the batch; none where the batch has fewer rows than there are processes.
    n_rows : int
        Rows of the whole batch.
    """

    first: int
    stop: int
    n_rows: int

    @property
    def n_own(self) -> int:
        return self.stop - self.first

    def of(self, rows: Tensor) -> Tensor:
        """The share of (n_rows, …), never empty: a process without rows computes one in vain, to keep in step."""
        return rows[self.first : max(self.stop, self.first + 1)]


@dataclass(frozen=True)
class Ranks:
    """The processes of one training as one of them sees them; by default it is alone, and nothing here does anything.

    Attributes
    ----------
    rank, size : int
        This is the `rank`-th (from 0) of `size` processes. The first one writes files and speaks.
    device : torch.device
        What is exchanged lies there.
    """

    rank: int = 0
    size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def first(self) -> bool:
        return self.rank == 0

    @property
    def alone(self) -> bool:
        return self.size == 1

    def share(self, n_rows: int) -> Share:
        """This process's share of a batch; shares differ by one row at most."""
        return Share(self.rank * n_rows // self.size, (self.rank + 1) * n_rows // self.size, n_rows)

    @contextmanager
    def sharing(self, share: Share) -> Iterator[None]:
        """`draw_rows` and `gather_rows` then know of which batch the rows at hand are a part."""
        if self.alone:
            yield
            return
        token = _SHARE.set(share)
        try:
            yield
        finally:
            _SHARE.reset(token)

    def add_up(self, values: Tensor) -> Tensor:
        """The sum of the processes' `values`, in place; every process gets the same bits."""
        return values if self.alone else _reduce(values)

    def add_up_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Replace each gradient by its sum over the processes, in one exchange."""
        if self.alone:
            return
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        flat = _reduce(torch.cat([gradient.reshape(-1) for gradient in gradients]))
        parts = torch.split(flat, [gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))

    def largest(self, *numbers: int) -> list[int]:
        """The largest of each number over the processes."""
        if self.alone:
            return list(numbers)
        held = torch.tensor(numbers, dtype=torch.int64, device=self.device)
        return [int(number) for number in _reduce(held, dist.ReduceOp.MAX).tolist()]

    def check_same(self, what: str, *numbers: int) -> None:
        """Refuse to go on where processes hold different numbers, since their files differ.

        Raises
        ------
        RunError
            In every process.
        """
        largest = self.largest(*numbers, *(-number for number in numbers))
        if largest[: len(numbers)] != [-number for number in largest[len(numbers) :]]:
            raise RunError(
                f"the processes of this training see different {what}; put out_dir and all inputs where every machine "
                "sees the same files"
            )

    def leave(self) -> None:
        """Part from the others."""
        if not self.alone and dist.is_initialized():
            dist.destroy_process_group()


def rank_device(place: Place, name: str) -> torch.device:
    """The device called `name` of this process: with CUDA each process of a machine has one of its own.

    Raises
    ------
    ConfigError
        A device that cannot be shared, or more processes than devices.
    """
    if place.size == 1:
        return pick_device(name)
    device = pick_device("cuda" if name == "auto" and torch.cuda.is_available() else "cpu" if name == "auto" else name)
    if device.type == "mps" or device.index is not None:
        raise ConfigError(f"--device {name}: torchrun gives every process a device of its own; use auto, cuda or cpu")
    if device.type == "cpu":
        return device
    n_devices = torch.cuda.device_count()
    if max(place.local_size, place.local_rank + 1) > n_devices:
        raise ConfigError(
            f"{place.local_size} processes on a machine with {n_devices} GPUs; use --nproc-per-node {n_devices}, "
            "or --device cpu"
        )
    return torch.device("cuda", place.local_rank)


def join_ranks(place: Place, device: torch.device) -> Ranks:
    """Wait until all processes have come here, and be one of them; on CUDA by NCCL, else by gloo.

    Raises
    ------
    RanksLostError
        Some did not come.
    """
    if place.size == 1:
        return Ranks(device=device)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    try:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
    except RuntimeError as error:  # of which torch's errors of communication are kinds
        raise _lost(error) from error
    return Ranks(place.rank, place.size, device)


@contextmanager
def signals_held(ranks: Ranks) -> Iterator[list[int]]:
    """Yield the signals to stop that have come, to be answered by all processes after the same epoch.

    A process that just ended would leave the others waiting in the middle of a step. One alone stops at once, as ever.
    """
    came: list[int] = []
    if ranks.alone:
        yield came
        return
    earlier = {
        number: signal.signal(number, lambda number, frame: came.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield came
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
    if came:  # after the last epoch that could have answered
        signal.raise_signal(came[0])


def draw_rows(shape: torch.Size, generator: torch.Generator, device: torch.device) -> Tensor:
    """Standard normal noise of `shape`, (batch, …): a row's is the same however many processes share the batch."""
    share = _SHARE.get()
    if share is None:
        return torch.randn(shape, generator=generator, device=device)
    return share.of(torch.randn((share.n_rows, *shape[1:]), generator=generator, device=device))


def gather_rows(rows: Tensor) -> Tensor:
    """The whole batch's rows, of which `rows`, (batch, …), is this process's share; `rows` itself where it is alone.

    For terms of a loss that are no mean over rows, such as an alignment or a contrast. Gradients flow back to the
    processes that the rows are of.
    """
    share = _SHARE.get()
    if share is None:
        return rows
    gathered: Tensor = _Gather.apply(rows, share)  # type: ignore[no-untyped-call]
    return gathered


class _Gather(torch.autograd.Function):
    """Adds up zeros with the own rows filled in, which is exact, and knows unequal shares."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, share: Share) -> Tensor:
        ctx.share = share
        whole = rows.new_zeros((share.n_rows, *rows.shape[1:]))
        whole[share.first : share.stop] = rows[: share.n_own]
        return _reduce(whole)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        share: Share = ctx.share
        own = share.of(_reduce(gradient.clone(memory_format=torch.contiguous_format)))
        return (own if share.n_own else torch.zeros_like(own)), None


def _reduce(values: Tensor, operation: Any = dist.ReduceOp.SUM) -> Tensor:
    try:
        dist.all_reduce(values, operation)
    except RuntimeError as error:
        if "captur" in str(error):  # of a recording that failed, which is mended by stepping without
            raise
        raise _lost(error) from error
    return values


def _lost(error: RuntimeError) -> RanksLostError:
    reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
    return RanksLostError(
        f"another process of this training has ended or does not answer ({reason}); what it said tells why, and the "
        "same command with --resume goes on"
    )


_SHARE: ContextVar[Share | None] = ContextVar("share of the batch", default=None)
"""Of the batch whose loss is being computed. Modules need not know of shares, so no argument carries it."""
