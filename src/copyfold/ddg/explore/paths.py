"""Paths between two points of a latent space: straight, and the shortest by what the decoder makes of the points.

A decoder f pulls the Euclidean metric of its output back to the latent: G(z) = JᵀJ with J the Jacobian of f
(Arvanitidis, Hansen & Hauberg 2018, "Latent space oddity", arXiv:1710.11379). The length of a path under G is the
length of its image under f, so that no Jacobian is needed: neighbours on the path are decoded and their differences
measured.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
import torch
from torch import Tensor

from copyfold.core.seeding import DEFAULT_SEED

Decode = Callable[[Tensor], Tensor]

POINTS: Final = 17
_ITERATIONS: Final = 200
_STARTS: Final = 4


class Path(NamedTuple):
    """A path through the latent.

    Attributes
    ----------
    points : numpy.ndarray, (n, latent_dim), float64
        Both ends included.
    length : float
        Under the pulled-back metric, in units of the decoder's output.
    """

    points: np.ndarray
    length: float


def straight_path(decode: Decode, start: np.ndarray, end: np.ndarray, n_points: int = POINTS) -> Path:
    """The straight line from `start` to `end`, (latent_dim,) each, in equal steps.

    `decode` takes and returns float64 tensors, (n, latent_dim) to (n, m).
    """
    shares = np.linspace(0.0, 1.0, n_points)[:, None]
    points = (1 - shares) * start.astype(np.float64) + shares * end.astype(np.float64)
    return Path(points, path_length(decode, points))


def geodesic_path(
    decode: Decode,
    start: np.ndarray,
    end: np.ndarray,
    n_points: int = POINTS,
    *,
    ridge: float = 1e-3,
    seed: int = DEFAULT_SEED,
) -> Path:
    """The shortest path under the pulled-back metric that is found from a straight line and from bent ones.

    The discrete energy Σ |f(zᵢ₊₁) − f(zᵢ)|² is minimised by L-BFGS; of all paths between two points the one of least
    energy is the shortest, run through at constant speed. Metric surfaces with several valleys have several local
    minima: the bent starts look for them, without a guarantee.

    Parameters
    ----------
    decode : callable
        Differentiable, float64 tensors (n, latent_dim) to (n, m).
    start, end : numpy.ndarray, (latent_dim,)
    n_points : int
    ridge : float
        The metric is JᵀJ + ridge · I, so that directions which the decoder ignores cost a little.
    seed : int
        Of the bent starts.

    Returns
    -------
    Path
        Its length is without the ridge, as `path_length` measures it, and at most the straight one's where the ridge
        plays no part.
    """
    straight = torch.from_numpy(straight_path(decode, start, end, n_points).points)
    rng = np.random.default_rng(seed)
    gap = float(np.linalg.norm(end - start))
    arch = np.sin(np.linspace(0, np.pi, n_points))[1:-1, None]
    found: list[tuple[float, Tensor]] = []
    for number in range(_STARTS):
        bend = number * arch * rng.normal(0, 0.15 * gap / np.sqrt(len(start)), (1, len(start)))
        inner = straight[1:-1] + torch.from_numpy(bend)
        found.append(_least_energy(decode, straight, inner, ridge))
    points = min(found, key=lambda one: one[0])[1].numpy()
    return Path(points, path_length(decode, points))


@torch.no_grad()
def path_length(decode: Decode, points: np.ndarray) -> float:
    """Length of the decoded polyline through `points`, (n, latent_dim)."""
    decoded = decode(torch.from_numpy(np.asarray(points, dtype=np.float64)))
    return float(torch.linalg.vector_norm(decoded[1:] - decoded[:-1], dim=1).sum())


def _least_energy(decode: Decode, straight: Tensor, inner: Tensor, ridge: float) -> tuple[float, Tensor]:
    """Energy and points of the path that descends from `inner`, its ends held."""
    inner.requires_grad_(True)
    optimizer = torch.optim.LBFGS([inner], max_iter=_ITERATIONS, line_search_fn="strong_wolfe", tolerance_grad=1e-9)

    def whole() -> Tensor:
        return torch.cat([straight[:1], inner, straight[-1:]])

    def energy() -> Tensor:
        points = whole()
        decoded = decode(points)
        steps = (decoded[1:] - decoded[:-1]).square().sum() + ridge * (points[1:] - points[:-1]).square().sum()
        return steps * (len(points) - 1)

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = energy()
        value.backward()
        return value

    optimizer.step(closure)
    with torch.no_grad():
        return float(energy()), whole().detach()
