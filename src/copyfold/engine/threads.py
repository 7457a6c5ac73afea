"""How many threads torch computes with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute with one thread, then with as many as before; also a decorator.

    For steps so small that a second thread gains little: where other programs want the cores too, threads wait for one
    another spinning, and two take several times as long as one (docs/benchmarks/ddg-production.md, Time). Sums are also
    taken in one order, so that the same machine gives the same bits however many cores it lends.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
