"""Saying what a store holds and whether it is whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from copyfold.cnv.store import Store, check_ordered, open_store, read_manifest
from copyfold.core.console import Console
from copyfold.core.files import file_digest
from copyfold.errors import InputError


def describe_store(path: Path) -> str:
    """What a store holds, in a few lines; opening it checks it."""
    store = open_store(path)
    if store.genes is None:
        check_ordered(store.contigs, store.path)
    medians = store.medians()
    low, middle, high = np.percentile(medians, (10, 50, 90))
    manifest = read_manifest(path) or {}
    chroms = list(dict.fromkeys(store.contigs.chrom.tolist()))
    lines = [
        f"store      {path} ({manifest.get('format', 'no manifest')}, {manifest.get('kind', 'kind not said')})",
        f"samples    {store.n_samples}: {store.sample_ids[0]} … {store.sample_ids[-1]}",
        f"columns    {store.n_bins} on {len(chroms)} contig{'' if len(chroms) == 1 else 's'}: {_some(chroms)}",
        f"unit       {manifest.get('unit', 'not said')}",
        f"median     {low:.0f} / {middle:.0f} / {high:.0f} per column (10th, 50th, 90th percentile of samples)",
    ]
    if store.genes is None:
        lines.append(f"no reads   {int((medians < 1).sum())} samples have a median below one read")
    else:
        lines.append(f"genes      {_some(store.genes.tolist())}")
    return "\n".join(lines)


def _some(names: list[str]) -> str:
    return ", ".join(names[:8]) + (", …" if len(names) > 8 else "")


def store_problems(path: Path) -> list[str]:
    """Everything that is wrong with a store; digests and values are read again.

    Returns
    -------
    list of str
        One line each; empty where all is well. A store without a manifest has no digests to compare.
    """
    problems: list[str] = []
    manifest: dict[str, Any] = {}
    store: Store | None = None
    try:
        found_manifest = read_manifest(path)
        manifest = {} if found_manifest is None else found_manifest
        digests = manifest.get("digests", {}) if isinstance(manifest, dict) else None
        if not isinstance(digests, dict):
            return [f"{path / 'manifest.json'}: is no manifest of a store; build the store again or delete the file"]
        for name, digest in digests.items():
            if not (path / name).is_file():
                problems.append(f"{path / name}: is in the manifest and not in the folder")
            elif (found := file_digest(path / name)) != digest:
                problems.append(f"{path / name}: has changed since the store was made ({found}, manifest {digest})")
        store = open_store(path)
        if store.genes is None:
            check_ordered(store.contigs, store.path)
        if (path / "medians.npy").exists():
            store.medians()  # refuses what cannot be medians
    except InputError as error:
        problems.append(str(error))
    if store is None:
        return problems
    facts: dict[str, object] = {
        "n_samples": store.n_samples,
        "n_bins": store.n_bins,
        "kind": "chromosome" if store.genes is None else "plasmid",
    }
    for key, value in facts.items():
        if key in manifest and manifest[key] != value:
            problems.append(f"{path / 'manifest.json'}: {key} is {manifest[key]}, the arrays say {value}")
    return problems


def validate_store(path: Path, console: Console) -> str:
    """Check a store through and through; returns the line that says it is well.

    Raises
    ------
    InputError
        Something is wrong; every finding has been said as a warning before.
    """
    problems = store_problems(path)
    for problem in problems[:-1]:
        console.warn(problem)
    if problems:
        more = f" (and {len(problems) - 1} more, above)" if len(problems) > 1 else ""
        raise InputError(problems[-1] + more)
    manifest = read_manifest(path)
    checked = "digests and values agree" if manifest else "values are sound; no manifest.json, so no digests to compare"
    store = open_store(path, check_values=False)
    return f"{path}: {store.n_samples} samples × {store.n_bins} columns, {checked}"
