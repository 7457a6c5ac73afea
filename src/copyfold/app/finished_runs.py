"""A finished copy-number run and the store it read, opened again: what reports, plots and exports start from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from copyfold.cnv.bin_table import BinTable
from copyfold.cnv.config import CnvConfig
from copyfold.cnv.normalise import CopyRatios
from copyfold.cnv.pipeline import read_expected
from copyfold.cnv.plugins import REGISTRIES
from copyfold.cnv.segmentation import ExpectedDepths, Segmenter
from copyfold.cnv.store import Store, open_store
from copyfold.core.config import build_config
from copyfold.core.files import file_digest, read_rows
from copyfold.core.registry import find_modules_in
from copyfold.errors import InputError


def open_run_store(run: Path, record: Mapping[str, Any], samples: list[str], *, unchanged: bool = False) -> Store:
    """The store of a run; it must hold `samples`, and `unchanged` compares its digest too.

    Raises
    ------
    InputError
        It is not there or no longer what the run read; the message says how to tell the run where it is.
    """
    path = _place(run, record, "store_path")
    moved = f"`copyfold cnv evaluate {run} --set store_path=PLACE` tells the run where it is"
    if not path.is_dir():
        raise InputError(f"{path}: no such store; {moved}")
    store = open_store(path, check_values=False)
    digest = record.get("inputs", {}).get("store_path")
    if not set(samples) <= set(store.sample_ids.tolist()) or (unchanged and file_digest(path) != digest):
        raise InputError(f"{path}: its content is no longer what the run read; {moved}")
    return store


def config_without_inputs(run: Path, record: Mapping[str, Any]) -> CnvConfig:
    """The run's configuration without inputs besides the store, which may have gone."""
    values: dict[str, Any] = dict(record["config"])
    needless = {key: None for key in values if key.endswith("_path") and key != "store_path"}
    paths = {key: _place(run, record, key) for key in ("store_path", "out_dir")}
    return build_config(CnvConfig, values | needless | paths, str(Path(run) / "run.json"))


def _place(run: Path, record: Mapping[str, Any], key: str) -> Path:
    value = record["config"].get(key)
    if not isinstance(value, str):
        raise InputError(f"{run}/run.json: damaged (no '{key}' in its configuration); restore it from a copy")
    return Path(value)


@dataclass(frozen=True)
class CopyRatioReader:
    """Copy ratios of a run, as its segmenter takes them from counts and reconstructions."""

    store: Store
    reconstructions: np.ndarray
    dispersions: np.ndarray | None
    segmenter: Segmenter

    def batches(self, rows: np.ndarray, size: int) -> Iterator[tuple[np.ndarray, CopyRatios]]:
        """`rows` of the store, `size` at a time, with their ratios."""
        for first in range(0, len(rows), size):
            batch = rows[first : first + size]
            dispersion = None if self.dispersions is None else self.dispersions[batch]
            counts, expected = read_rows(self.store.counts, batch), read_rows(self.reconstructions, batch)
            depths = ExpectedDepths(counts, expected, dispersion)
            yield batch, self.segmenter.copy_ratios(depths)


def open_copy_ratios(run: Path, record: Mapping[str, Any], store: Store) -> CopyRatioReader:
    """Open reconstructions and segmenter of a run.

    Raises
    ------
    RunError
        The reconstructions are of another shape than the store.
    CopyfoldError
        A file or plug-in of the run is missing.
    """
    reconstructions, dispersions = read_expected(Path(run), store.counts.shape)
    find_modules_in(Path(record.get("config_folder", run)))
    config = config_without_inputs(run, record)
    segmenter = REGISTRIES["hmm"].resolve(config.hmm)(BinTable(store.contigs), config, Path(run) / "checkpoint.pth")
    return CopyRatioReader(store, reconstructions, dispersions, segmenter)
