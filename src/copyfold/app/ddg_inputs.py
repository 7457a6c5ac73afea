"""What a specialist trains on, from its configuration: tables read, rows chosen, split, everything left out said."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import pandas as pd

from copyfold.app.ddg_results import TrainingRows
from copyfold.core.console import Console
from copyfold.core.files import file_digest
from copyfold.core.seeding import derive_generator
from copyfold.ddg.config import DdgConfig
from copyfold.ddg.datasets import MutationSet, joined, mutation_set, on_common_scale, with_structure_terms
from copyfold.ddg.models.variants import VARIANTS
from copyfold.ddg.simulation import simulate_mutations
from copyfold.ddg.specialists import DAMAGE_TARGET, DDG_TARGET
from copyfold.ddg.splits import cluster_split, homology_clusters, random_split, related_to
from copyfold.ddg.table import read_fitness_table, read_table
from copyfold.ddg.training import Split
from copyfold.errors import ConfigError, InputError

TABLES = {"s669": ("s669",), "protherm": ("protherm", "s2648", "fireprotdb"), "wide": ("wide", "proteingym", "dms")}
"""Tables looked for in a folder of data. The first name is a specialist's own; else all the others that are there."""
_SUFFIXES = (".csv", ".csv.gz", ".tsv", ".tsv.gz")
_SIMULATED_SIZE = {"s669": (10, 12), "protherm": (40, 10), "wide": (40, 30)}
"""Proteins and mutations of each, without --data."""
_MESSAGES = 8
_MOST_UNUSED = 2000


@dataclass(frozen=True)
class Prepared:
    """A specialist's rows and how they are split.

    Attributes
    ----------
    data : MutationSet
    rows : TrainingRows
        The same rows, measured and split.
    left_out : list of str
        What was not used, and why.
    inputs : dict of str to str
        Digest of every file that was read, by its configuration key and name.
    """

    data: MutationSet
    rows: TrainingRows
    left_out: list[str]
    inputs: dict[str, str]


def prepare(config: DdgConfig, console: Console) -> Prepared:
    """Read, check and split what `config` names; without ``data`` a small simulated set.

    Raises
    ------
    CopyfoldError
        A table that cannot be read or holds another quantity, no structure for any row, or nothing left to train on.
    """
    fitness = config.variant == "wide"
    read = read_fitness_table if fitness else read_table
    if config.data is None:
        proteins, each = _SIMULATED_SIZE[config.variant]
        paths: list[Path] = []
        tables = [simulate_mutations(proteins, each, config.seed, fitness=fitness)]
    else:
        paths = _table_files(config.data, config.variant)
        tables = [read(path) for path in paths]
    table, left_out = _chosen_rows(pd.concat(tables, ignore_index=True), config)
    table, drawn = _drawn(table, config)
    data = mutation_set(table)
    if config.held_out:
        tests, more = _with_structures(read(config.held_out), config)
        left_out += [f"held out: {line}" for line in more]
        data = joined([data, mutation_set(tests)])
    clusters = _clusters(data, config)
    split, resembling = _split(data, clusters, drawn, config)
    if resembling:
        left_out.append(f"{resembling} rows left out: their proteins resemble one that is held out for the test")
    for line in left_out[:_MESSAGES]:
        console.warn(line)
    if len(left_out) > _MESSAGES:
        console.warn(f"… and {len(left_out) - _MESSAGES} more; run.json lists them under left_out")
    inputs = {f"data/{path.name}": file_digest(path) for path in paths}
    if config.held_out:
        inputs["held_out"] = file_digest(config.held_out)
    if _needs_structures(config) and (folder := _structure_folder(config)):
        inputs["structures"] = file_digest(folder)
    target = DAMAGE_TARGET if fitness else DDG_TARGET
    rows = TrainingRows(data.rows, data.target, clusters, split, target, config.data is None)
    return Prepared(data, rows, left_out, inputs)


def _table_files(data: Path, variant: str) -> list[Path]:
    if data.is_file():
        return [data]
    own, *others = TABLES[variant]
    for names in ((own,), tuple(others)):
        found = [data / f"{name}{suffix}" for name in names for suffix in _SUFFIXES]
        if paths := [path for path in found if path.is_file()]:
            return paths
    raise ConfigError(
        f"{data}: holds no table for {variant}; it must be named {' or '.join(TABLES[variant])} with .csv, .tsv or "
        "their .gz; `copyfold ddg data import` makes one"
    )


def _chosen_rows(table: pd.DataFrame, config: DdgConfig) -> tuple[pd.DataFrame, list[str]]:
    """Assays that fit, repeated mutations averaged, rows with their structure terms, and as many as asked for."""
    left_out: list[str] = []
    if config.variant == "wide":
        table, left_out = on_common_scale(table)
    else:
        table = _averaged(table)
    table, more = _with_structures(table, config)
    left_out += more
    return table, left_out


def _drawn(table: pd.DataFrame, config: DdgConfig) -> tuple[pd.DataFrame, np.ndarray]:
    """The rows kept, and which of them train and validate, (n,), bool; others are kept, unused, if they are few."""
    drawn = np.ones(len(table), dtype=bool)
    if config.max_rows is not None and len(table) > config.max_rows:
        rng = derive_generator(config.seed, "rows")
        drawn = np.isin(np.arange(len(table)), rng.choice(len(table), config.max_rows, replace=False))
        if (~drawn).sum() > _MOST_UNUSED:
            table, drawn = table[drawn].reset_index(drop=True), drawn[drawn]
    return table, drawn


def _averaged(table: pd.DataFrame) -> pd.DataFrame:
    """One row for each mutation of a sequence, its ΔΔG the mean of its rows."""
    same = ["sequence", "sequence_position", "mutant"]
    means = table.groupby(same)["ddg"].transform("mean")
    return table.assign(ddg=means).drop_duplicates(same).reset_index(drop=True)


def _with_structures(table: pd.DataFrame, config: DdgConfig) -> tuple[pd.DataFrame, list[str]]:
    if not _needs_structures(config):
        return table, []
    folder = _structure_folder(config)
    if folder is None:
        raise ConfigError(
            f"{config.data}: the {config.variant} specialist needs structures, and there is no folder 'structures' "
            "with the data; name one with --structures"
        )
    kept, left_out = with_structure_terms(table, folder)
    if kept.empty:
        raise InputError(f"{folder}: no row of the table is borne out by a structure there; first: {left_out[0]}")
    return kept, left_out


def _matching(proteins: np.ndarray, patterns: tuple[str, ...]) -> np.ndarray:
    """Whether each protein is named by one of `patterns`, in which * stands for anything: (n,), bool."""
    found = np.zeros(len(proteins), dtype=bool)
    names, index = np.unique(proteins, return_inverse=True)
    for pattern in patterns:
        named = np.array([fnmatchcase(name, pattern) for name in names])
        if not named.any():
            raise ConfigError(f"key 'test_proteins': the data have no protein {pattern}; correct it or leave it out")
        found |= named[index]
    return found


def _needs_structures(config: DdgConfig) -> bool:
    """Whether structure files are to be read; a simulated table has their terms in it."""
    return config.data is not None and VARIANTS[config.variant].feature_set(use_hyperbolic=False).needs_structure


def _structure_folder(config: DdgConfig) -> Path | None:
    if config.structures is not None or config.data is None:
        return config.structures
    beside = [config.data / "structures", config.data.parent / "structures"]
    return next((folder for folder in beside if folder.is_dir()), None)


def _clusters(data: MutationSet, config: DdgConfig) -> np.ndarray:
    """Cluster of each row; with a random split, its protein."""
    sequences, index = np.unique(data.rows["sequence"].to_numpy(str), return_inverse=True)
    if config.split == "random":
        return index
    return homology_clusters(list(sequences), config.identity, config.coverage)[index]


def _split(data: MutationSet, clusters: np.ndarray, drawn: np.ndarray, config: DdgConfig) -> tuple[Split, int]:
    """The split of rows drawn and, behind them, held out; how many resemble the test without being of it."""
    proteins, sequences = data.rows["protein"].to_numpy(str), data.rows["sequence"].to_numpy(str)
    is_test = np.arange(len(data)) >= len(drawn)
    wanted = np.concatenate([drawn, np.ones(len(data) - len(drawn), dtype=bool)])
    if config.test_proteins:
        is_test = _matching(proteins, config.test_proteins)
    is_test &= wanted
    usable = wanted & ~is_test
    if is_test.any():
        distinct = np.unique(sequences)
        resembling = related_to(list(distinct), list(np.unique(sequences[is_test])), config.identity, config.coverage)
        usable &= ~np.isin(sequences, distinct[resembling])
    own = np.flatnonzero(usable)
    if not own.size:
        raise InputError("no row is left to train on: all proteins resemble one that is held out for the test")
    rest = 1 - config.val_fraction - config.test_fraction
    fractions = [part for part in (rest, config.val_fraction, config.test_fraction) if part]
    if config.split == "random":
        parts = random_split(len(own), fractions, seed=config.seed)
    else:
        parts = cluster_split(clusters[own], fractions, seed=config.seed)
    names = ("train", "validation", "test") if config.test_fraction else ("train", "test", "none")
    train, validation, test = (own[parts == name] for name in names)
    n_resembling = int(np.sum(wanted & ~usable & ~is_test))
    return Split(train, validation, np.flatnonzero(is_test) if is_test.any() else test), n_resembling
