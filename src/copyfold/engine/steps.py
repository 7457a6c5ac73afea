"""One optimisation step, as plain calls or replayed as a CUDA graph."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

from copyfold.engine.ranks import Ranks
from copyfold.engine.vae import VAE

_WARM_UP_CALLS = 2


class Step:
    """Loss, gradient, clipping and update for one batch of rows; sums up every loss term as it goes.

    Parameters
    ----------
    module : VAE
    optimizer : torch.optim.Optimizer
        On CUDA it must be ``capturable``.
    data : Tensor, (n_rows, n_features)
    gradient_clip : float
        Largest norm of the gradient.
    ranks : Ranks
        Who takes the step; each process computes its share of the rows.
    """

    def __init__(
        self, module: VAE, optimizer: torch.optim.Optimizer, data: Tensor, gradient_clip: float, ranks: Ranks
    ) -> None:
        self._module, self._optimizer, self._data, self._ranks = module, optimizer, data, ranks
        self._parameters = list(module.parameters())  # walking the module again costs a small one 5 % of its step
        self._noise = torch.Generator(data.device)
        self._gradient_clip = gradient_clip
        self._weights: dict[str, Tensor] = {}
        self._names: list[str] = []
        self._sums = torch.zeros(0, device=data.device)
        self._largest_norm = torch.zeros((), device=data.device)

    def begin_epoch(self, weights: Mapping[str, float], noise_seed: int) -> None:
        """Set the weights of the loss terms, seed the latent's noise and empty the sums."""
        self._noise.manual_seed(noise_seed)
        for name, weight in weights.items():
            self._weights.setdefault(name, torch.zeros((), device=self._data.device)).fill_(weight)
        for total in (self._sums, self._largest_norm):
            total.zero_()

    def __call__(self, rows: Tensor) -> None:
        """Do the step for these rows of the data: (batch,), int64, on its device."""
        share = self._ranks.share(len(rows))
        with self._ranks.sharing(share):
            terms = self._module.loss(self._data[share.of(rows)], self._noise)
        loss = terms.weighted_total(self._weights)
        self._optimizer.zero_grad(set_to_none=True)
        weighted = loss if self._ranks.alone else loss * (share.n_own / share.n_rows)
        weighted.backward()  # type: ignore[no-untyped-call]
        self._ranks.add_up_gradients(self._parameters)
        norm = torch.nn.utils.clip_grad_norm_(self._parameters, self._gradient_clip)
        self._optimizer.step()
        torch.maximum(self._largest_norm, norm, out=self._largest_norm)
        names, values = zip(("loss", loss.detach()), *terms.named(), strict=True)
        if not self._names:
            self._names = list(names)
            self._sums = torch.zeros(len(names), device=loss.device, dtype=loss.dtype)
        self._sums.add_(torch.stack(values).detach(), alpha=share.n_own)

    def totals(self) -> tuple[dict[str, float], float]:
        """Sum over the epoch's rows of each loss term, and the largest gradient norm before clipping."""
        sums = self._ranks.add_up(self._sums)
        values = torch.cat([sums, self._largest_norm[None]]).tolist()
        return dict(zip(self._names, values[:-1], strict=True)), values[-1]


@contextmanager
def _waiting_is_an_error() -> Iterator[None]:
    mode = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings(action="ignore"):  # torch calls this a prototype, once
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode(mode)


def _warm_up(work: Callable[[], None]) -> None:
    """Do what is to be recorded, on a side stream.

    What waits for the device cannot be recorded. It must be found out before: a recording that fails leaves torch's own
    generator, of which dropout draws, in a state that no call leads out of.
    """
    side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(_WARM_UP_CALLS):
            work()
        with _waiting_is_an_error():
            work()
    torch.cuda.current_stream().wait_stream(side)


def _recording(graph: torch.cuda.CUDAGraph, ranks: Ranks) -> torch.cuda.graph:
    # NCCL's watchdog, a thread of its own, asks the device how far it is, which a recording else forbids everywhere.
    return torch.cuda.graph(graph, capture_error_mode="global" if ranks.alone else "thread_local")


class Evaluation:
    """Mean of each loss term over some rows, with the latent at its posterior mean.

    Parameters
    ----------
    module : VAE
    data : Tensor, (n_rows, n_features)
    rows : Tensor, (n,), int64
        On the data's device; always the same ones.
    batch_size : int
    ranks : Ranks
        Who evaluates; each process computes its share of every batch.
    """

    def __init__(self, module: VAE, data: Tensor, rows: Tensor, batch_size: int, ranks: Ranks) -> None:
        self._module, self._data, self._n_rows, self._ranks = module, data, len(rows), ranks
        self._batches = torch.split(rows, batch_size)
        self._names: list[str] = []
        self._sums = torch.zeros(0, device=data.device)

    def start(self) -> None:
        """Put the module in evaluation mode and compute; on a GPU without waiting for the end."""
        self._module.train(False)
        self._run()

    def means(self) -> dict[str, float]:
        """What was computed, by name."""
        sums = self._ranks.add_up(self._sums).tolist()
        return {name: total / self._n_rows for name, total in zip(self._names, sums, strict=True)}

    @torch.no_grad()
    def _run(self) -> None:
        total: Tensor | None = None
        for batch in self._batches:
            share = self._ranks.share(len(batch))
            with self._ranks.sharing(share):
                terms = self._module.loss(self._data[share.of(batch)], None)
            names, values = zip(*terms.named(), strict=True)
            part = torch.stack(values) * share.n_own
            total = part if total is None else total + part
            self._names = list(names)
        assert total is not None
        if len(self._sums) != len(total):
            self._sums = torch.zeros_like(total)
        self._sums.copy_(total)


class GraphedEvaluation(Evaluation):
    """An evaluation whose kernels are recorded once and replayed; a module that cannot be recorded is run by calls."""

    def __init__(self, module: VAE, data: Tensor, rows: Tensor, batch_size: int, ranks: Ranks) -> None:
        super().__init__(module, data, rows, batch_size, ranks)
        self._graph: torch.cuda.CUDAGraph | None = None
        self._recordable = True

    def _run(self) -> None:
        if self._graph is None and self._recordable:
            try:
                _warm_up(super()._run)
                graph = torch.cuda.CUDAGraph()
                with _recording(graph, self._ranks):
                    super()._run()
                self._graph = graph
            except torch.OutOfMemoryError:
                raise
            except RuntimeError:  # the step, which is recorded first, has said so
                self._recordable = False
        if self._graph is None:
            super()._run()
        else:
            self._graph.replay()


class GraphedStep(Step):
    """A step whose kernels are recorded once per batch size and replayed: hundreds of launches become one.

    Small networks are bound by the launches. The first call of a batch size warms up on a side stream and records;
    both leave weights, optimiser and sums as they were. A module that cannot be recorded, for it looks at values on the
    host, is stepped by plain calls.
    """

    def __init__(
        self, module: VAE, optimizer: torch.optim.Optimizer, data: Tensor, gradient_clip: float, ranks: Ranks
    ) -> None:
        super().__init__(module, optimizer, data, gradient_clip, ranks)
        self._graphs: dict[int, tuple[torch.cuda.CUDAGraph, Tensor]] = {}
        self._recordable = True

    def __call__(self, rows: Tensor) -> None:
        if self._recordable and len(rows) not in self._graphs:
            state = self._noise.get_state()
            try:
                with self._unchanged(), torch.random.fork_rng(devices=[self._data.device]):  # for dropout in the module
                    self._graphs[len(rows)] = self._record(super().__call__, rows)
            except torch.OutOfMemoryError:
                raise
            except RuntimeError as error:
                reason = str(error).splitlines()[0]
                warnings.warn(
                    f"this module cannot be recorded as a CUDA graph ({reason}); training launches every kernel by "
                    "itself, which is slower: do not look at tensors' values on the host in loss()",
                    stacklevel=2,
                )
                self._recordable = False
                self._graphs.clear()
                self._noise = torch.Generator(self._data.device)  # the other one waits for a recording to end
            self._noise.set_state(state)
        if not self._recordable:
            super().__call__(rows)
            return
        graph, held_rows = self._graphs[len(rows)]
        held_rows.copy_(rows)
        graph.replay()

    def _record(self, step: Callable[[Tensor], None], rows: Tensor) -> tuple[torch.cuda.CUDAGraph, Tensor]:
        held_rows = rows.clone()
        _warm_up(lambda: step(held_rows))
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self._noise)
        self._optimizer.zero_grad(set_to_none=True)
        with _recording(graph, self._ranks):
            step(held_rows)
        return graph, held_rows

    @contextmanager
    def _unchanged(self) -> Iterator[None]:
        """Undo what the steps of the warm-up do, in place, for the graph holds the tensors' addresses."""
        tensors = [parameter.detach() for parameter in self._module.parameters()]
        tensors += [self._sums, self._largest_norm]
        kept = [tensor.clone() for tensor in tensors]
        moments = {id(t): t.clone() for t in self._optimizer_tensors()}
        try:
            yield
        finally:
            for tensor, before in zip(tensors, kept, strict=True):
                tensor.copy_(before)
            for tensor in self._optimizer_tensors():
                if id(tensor) in moments:
                    tensor.copy_(moments[id(tensor)])
                else:  # made by the first step: AdamW's moments and count begin at 0
                    tensor.zero_()
            if all(self._sums is not tensor for tensor in tensors):  # made by the first step, too
                self._sums.zero_()

    def _optimizer_tensors(self) -> Iterator[Tensor]:
        for state in self._optimizer.state.values():
            yield from (value for value in state.values() if isinstance(value, Tensor))
