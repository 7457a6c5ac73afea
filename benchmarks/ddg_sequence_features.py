"""Would other features help the sequence form of the stability model? Out-of-fold metrics on its training sets.

    python benchmarks/ddg_sequence_features.py --data ../shared/data/ddg --cache build/ddg_encodings

Of S669 only sequences are read. The result, negative for now, stands in docs/decisions (2026-11-24).
"""

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

import ddg_weights
from copyfold.ddg.features.aminoacids import PROPERTIES
from copyfold.ddg.predictor.inputs import sequence_features
from copyfold.ddg.sequences import encode_sequence

BREADTHS = (1.5, 3.0, 6.0, 15.0)  # residues
TURNS = (100.0, 170.0)  # degrees a residue, of a helix and of a strand
FACE = 4.0  # residues
SHOWN = ("pearson", "spearman", "rmse", "protein_spearman")


def physical_features(sequence: str) -> np.ndarray:
    """Mean properties of each residue's neighbours, and hydropathy on its face of a helix or strand: (n, 22), float32.

    As for all inputs of the model, a residue's own letter does not count.
    """
    values = np.stack([item.values for item in PROPERTIES], axis=1).astype(float)
    values = (values - values.mean(axis=0)) / values.std(axis=0)
    letters = encode_sequence(sequence).astype(np.int64)
    known = np.where((letters >= 0)[:, None], values[np.maximum(letters, 0)], 0.0)
    apart = np.arange(len(letters))[:, None] - np.arange(len(letters))[None]
    found = []
    for breadth in BREADTHS:
        near = np.where(apart == 0, 0.0, np.exp(-((apart / breadth) ** 2) / 2))
        found.append(near @ known / np.maximum(near.sum(axis=1, keepdims=True), 1e-9))
    for turn in TURNS:
        near = np.where(apart == 0, 0.0, np.exp(-((apart / FACE) ** 2) / 2) * np.cos(np.deg2rad(turn) * apart))
        found.append(near @ known[:, :1] / 3)
    return np.concatenate(found, axis=1).astype(np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, default=Path("build/ddg_encodings"))
    options = parser.parse_args()
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)
    training, _, proteins = ddg_weights.collect(options.data, options.cache, [])
    usual = ddg_weights.SOURCE_WEIGHTS
    cases: dict[str, tuple[Callable[[str], np.ndarray], dict[str, float], tuple[float, ...]]] = {
        "as shipped": (sequence_features, {}, usual),
        "properties added": (
            lambda sequence: np.concatenate([sequence_features(sequence), physical_features(sequence)], axis=1),
            {},
            usual,
        ),
        "properties alone": (physical_features, {}, usual),
        "properties alone, dropout 0.2, noise 0.1": (physical_features, {"dropout": 0.2, "input_noise": 0.1}, usual),
    }
    for name, (features, changes, weights) in cases.items():
        ddg_weights.sequence_features = features
        sites = ddg_weights.Sites(training, proteins, "sequence")
        _, unseen = ddg_weights.train(sites, replace(ddg_weights.config_of(sites), **changes), weights)
        found = ddg_weights.metrics(unseen, sites)
        print(name, {source: [round(one[key], 3) for key in SHOWN] for source, one in found.items()}, flush=True)


if __name__ == "__main__":
    main()
