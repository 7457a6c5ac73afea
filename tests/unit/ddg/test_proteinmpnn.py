"""Encodings by ProteinMPNN against the network's own forward pass, and what they must not depend on."""

import importlib.util

import numpy as np
import pytest
import torch

from copyfold.ddg.features import proteinmpnn
from copyfold.ddg.features.proteinmpnn import (
    FEATURES_PER_WEIGHTS,
    HIDDEN,
    N_FEATURES,
    N_GROUPS,
    WEIGHTS,
    StructureEncoder,
)
from copyfold.ddg.structures import Structure
from copyfold.errors import InputError

from .chains import helix, helix_backbone

pytest.importorskip("protein_mpnn_utils", reason="the extra 'structure' is not installed")
SEQUENCE = "GSAEKLLAWFRQVMTNDYPHIC"


@pytest.fixture(scope="module")
def encoder():
    return StructureEncoder()


def test_decoding_is_the_networks_own_forward_pass_with_one_residue_left_to_the_end(encoder):
    chain = helix(SEQUENCE[:N_GROUPS])  # as many residues as groups: each is decoded last once
    encoded = encoder.encode(chain)
    order = torch.Generator().manual_seed(42)
    n = len(chain)
    network = encoder._networks[0]
    tensors = (
        torch.from_numpy(chain.backbone)[None],
        torch.tensor([["ACDEFGHIKLMNPQRSTVWY".index(letter) for letter in chain.sequence]]),
        torch.ones(1, n),
        torch.ones(1, n),
        torch.arange(n)[None],
        torch.ones(1, n, dtype=torch.long),
    )
    for last in range(n):
        rank = torch.rand(n, generator=order)
        rank[last] = 2.0
        with torch.no_grad():
            found = network(*tensors, None, use_input_decoding_order=True, decoding_order=torch.argsort(rank)[None])
        expected = found[0, last, :20] - found[0, last, :20].mean()
        assert encoded.log_odds[last, 0] == pytest.approx(expected.numpy(), abs=2e-4)
    with torch.no_grad():
        alone = network.unconditional_probs(tensors[0], tensors[2], tensors[4], tensors[5])[0, :, :20]
    assert encoded.log_odds[:, 1] == pytest.approx((alone - alone.mean(dim=1, keepdim=True)).numpy(), abs=2e-4)


def test_encoding_takes_one_thread_and_leaves_the_callers_as_they_were(encoder, monkeypatch):
    counted, own = [], proteinmpnn._encode

    def counting(*arguments):
        counted.append(torch.get_num_threads())
        return own(*arguments)

    monkeypatch.setattr(proteinmpnn, "_encode", counting)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        encoder.encode(helix(SEQUENCE[:N_GROUPS]))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert counted == [1] * len(WEIGHTS)


def test_shapes_and_the_places_of_log_odds(encoder):
    encoded = encoder.encode(helix(SEQUENCE))
    assert encoded.features.shape == (len(SEQUENCE), N_FEATURES)
    assert encoded.features.dtype == encoded.log_odds.dtype == np.float32
    assert encoded.log_odds.shape == (len(SEQUENCE), 2 * len(WEIGHTS), 20)
    second = encoded.features[:, FEATURES_PER_WEIGHTS + 4 * HIDDEN : 2 * FEATURES_PER_WEIGHTS]
    assert np.array_equal(second.reshape(-1, 2, 20), encoded.log_odds[:, 2:4])
    assert encoded.complete.all()


def test_a_residues_own_amino_acid_does_not_reach_its_features(encoder):
    first = encoder.encode(helix(SEQUENCE))
    mutated = SEQUENCE[:9] + "W" + SEQUENCE[10:]
    second = encoder.encode(helix(mutated))
    assert np.array_equal(first.features[9], second.features[9])
    assert not np.array_equal(first.features[8], second.features[8])


def test_a_moved_and_turned_chain_has_the_same_features(encoder):
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    turn *= np.sign(np.linalg.det(turn))
    moved = (helix_backbone(len(SEQUENCE)) @ turn + 17.0).astype(np.float32)
    first, second = encoder.encode(helix(SEQUENCE)), encoder.encode(helix(SEQUENCE, backbone=moved))
    assert second.features == pytest.approx(first.features, abs=2e-2)


def test_a_residue_without_backbone_atoms_is_told_and_the_others_are_encoded(encoder):
    backbone = helix_backbone(len(SEQUENCE))
    backbone[5, 1] = np.nan
    backbone[7, 3] = np.nan  # an oxygen can be placed
    encoded = encoder.encode(helix(SEQUENCE, backbone=backbone))
    assert encoded.complete.tolist() == [place != 5 for place in range(len(SEQUENCE))]
    assert np.isfinite(encoded.features).all()
    assert not encoded.features[5].any()


def test_unknown_residues_are_encoded_too(encoder):
    assert np.isfinite(encoder.encode(helix("GXA" + SEQUENCE)).features).all()


def test_alpha_carbons_alone_are_refused(encoder):
    backbone = helix_backbone(len(SEQUENCE))
    backbone[:, [0, 2, 3]] = np.nan
    with pytest.raises(InputError, match="Cα atoms alone"):
        encoder.encode(helix(SEQUENCE, backbone=backbone))


def test_without_the_extra_one_is_told_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"copyfold\[structure\]"):
        StructureEncoder()


def test_residues_across_a_gap_are_as_far_apart_as_their_numbers():
    backbone = helix_backbone(6)
    backbone[3:] += 30.0
    chain: Structure = helix("AAAAAA", backbone=backbone, numbers=np.array([1, 2, 3, 10, 11, 12], dtype=np.int32))
    assert proteinmpnn._running_numbers(chain).tolist() == [0, 1, 2, 9, 10, 11]
