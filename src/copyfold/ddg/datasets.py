"""From tidy tables to what the specialists train on: letters, structure terms, targets, features."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from copyfold.ddg.features.base import base14
from copyfold.ddg.features.poincare import hyperbolic4
from copyfold.ddg.features.protherm import protherm20
from copyfold.ddg.features.sets import FeatureSet
from copyfold.ddg.scales import LARGEST_SCORE, fits_common_scale
from copyfold.ddg.sequences import encode_sequence
from copyfold.ddg.structures import Structure, read_structure
from copyfold.errors import InputError

_SUFFIXES = (".pdb", ".pdb.gz", ".cif", ".cif.gz", ".ent", ".ent.gz")


@dataclass(frozen=True, eq=False)
class MutationSet:
    """Mutations to train on, row by row.

    Attributes
    ----------
    rows : pandas.DataFrame
        `protein`, `mutation` (such as A42V, numbered as the source does), `source`, `sequence`.
    wild_type, mutant : numpy.ndarray, (n,), int8
        Indices into `AMINO_ACIDS`.
    secondary_structure : numpy.ndarray, (n,), str
        H, E or C; empty where it is not known.
    rsa : numpy.ndarray, (n,), float32
        Fraction; NaN where it is not known.
    target : numpy.ndarray, (n,), float32
        ΔΔG in kcal/mol, positive = destabilising; or damage, see `damage_of`.
    """

    rows: pd.DataFrame
    wild_type: np.ndarray
    mutant: np.ndarray
    secondary_structure: np.ndarray
    rsa: np.ndarray
    target: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, rows: np.ndarray) -> MutationSet:
        """The mutations at `rows`, int64, in that order."""
        return MutationSet(self.rows.iloc[rows].reset_index(drop=True), *(part[rows] for part in self._arrays))

    @property
    def _arrays(self) -> tuple[np.ndarray, ...]:
        return self.wild_type, self.mutant, self.secondary_structure, self.rsa, self.target

    def features(self, feature_set: FeatureSet) -> np.ndarray:
        """Columns of a feature set: (n, len(feature_set.features)), float32; NaN for what is not known."""
        if feature_set.needs_structure:
            parts = [protherm20(self.wild_type, self.mutant, self.secondary_structure, self.rsa)]
        else:
            parts = [base14(self.wild_type, self.mutant)]
        if feature_set.hyperbolic:
            parts.append(hyperbolic4(self.wild_type, self.mutant))
        return np.concatenate(parts, axis=1)


def mutation_set(table: pd.DataFrame) -> MutationSet:
    """Mutations of a tidy table.

    Parameters
    ----------
    table : pandas.DataFrame
        As `copyfold.ddg.table.read_table` or ``read_fitness_table`` give it, with `rsa` and `secondary_structure` where
        they are known. Fitness becomes damage.
    """
    rows = table.reset_index(drop=True)
    n = len(rows)
    mutation = rows["wild_type"] + rows["position"].astype(str) + rows["insertion_code"].fillna("") + rows["mutant"]
    states = rows["secondary_structure"].to_numpy(dtype=np.str_) if "secondary_structure" in rows else np.full(n, "")
    rsa = pd.to_numeric(rows["rsa"]).to_numpy(np.float32) if "rsa" in rows else np.full(n, np.nan, np.float32)
    if "ddg" in rows:
        target = rows["ddg"].to_numpy(np.float32)
    else:
        target = damage_of(rows["score"].to_numpy(float), assays_of(rows))
    kept = rows[["protein", "source", "sequence"]].assign(mutation=mutation)
    letters = (encode_sequence("".join(rows[name])) for name in ("wild_type", "mutant"))
    return MutationSet(kept, *letters, states, rsa, target)


def joined(sets: list[MutationSet]) -> MutationSet:
    """Several sets as one, in their order."""
    rows = pd.concat([part.rows for part in sets], ignore_index=True)
    return MutationSet(rows, *map(np.concatenate, zip(*(part._arrays for part in sets), strict=True)))


def assays_of(table: pd.DataFrame) -> np.ndarray:
    """Assay of each row of a fitness table, (n,), str: its protein, which imports name by the assay, and its source."""
    return (table["protein"] + " (" + table["source"] + ")").to_numpy(np.str_)


def damage_of(scores: np.ndarray, assays: np.ndarray) -> np.ndarray:
    """Fitness as damage: minus the score in standard deviations from its assay's mean, so that higher = more damaging.

    Parameters
    ----------
    scores : numpy.ndarray, (n,), float
        Higher = fitter.
    assays : numpy.ndarray, (n,), str

    Returns
    -------
    numpy.ndarray, (n,), float32
        0 in an assay whose scores are all equal.
    """
    _, index = np.unique(assays, return_inverse=True)
    count = np.bincount(index)
    centred = scores - (np.bincount(index, scores) / count)[index]
    spread = np.sqrt(np.bincount(index, centred**2) / count)
    return (-centred / np.where(spread > 0, spread, 1.0)[index]).astype(np.float32)


def on_common_scale(table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """The assays of a fitness table whose scores fit a common scale, and a line for each that does not.

    Raises
    ------
    InputError
        None does.
    """
    assays = assays_of(table)
    spans = table.groupby(assays)["score"].agg(["min", "max"])
    fits = [fits_common_scale(low, high) for low, high in spans.itertuples(index=False)]
    left_out = [
        f"{assay}: left out, its scores run from {low:g} to {high:g} and a common scale ends at ±{LARGEST_SCORE:g}"
        for (assay, low, high), fit in zip(spans.itertuples(), fits, strict=True)
        if not fit
    ]
    if not any(fits):
        raise InputError(f"no assay is left: {left_out[0]}")
    return table[np.isin(assays, spans.index[fits])].reset_index(drop=True), left_out


def with_structure_terms(table: pd.DataFrame, folder: Path) -> tuple[pd.DataFrame, list[str]]:
    """Add secondary structure and RSA of each row's residue; rows whose structure does not bear them out are left out.

    Parameters
    ----------
    table : pandas.DataFrame
        Tidy; numbered as the structures are.
    folder : Path
        PDB or mmCIF files named by protein, such as ``1abc.pdb.gz``.

    Returns
    -------
    (pandas.DataFrame, list of str)
        The rows that are left, with `rsa` and `secondary_structure`; a line for each protein with rows that are not,
        which names them (1-based).
    """
    states, rsa, left_out = {}, {}, []
    for (protein, chain), group in table.groupby(["protein", "chain"], sort=False):
        wrong: list[str] = []
        try:
            structure = read_structure(_structure_file(folder, str(protein)), str(chain) or None)
        except InputError as error:
            left_out.append(f"{protein}: {len(group)} rows left out: {error}")
            continue
        for row, index, problem in _places(group, structure):
            if problem:
                wrong.append(f"row {int(row) + 1} ({problem})")
            else:
                states[row], rsa[row] = structure.secondary_structure[index], structure.rsa[index]
        if wrong:
            left_out.append(f"{protein}: {len(wrong)} of {len(group)} rows left out: {', '.join(wrong[:5])}")
    kept = table.loc[list(states)].assign(secondary_structure=pd.Series(states), rsa=pd.Series(rsa))
    return kept.sort_index().reset_index(drop=True), left_out


def _places(group: pd.DataFrame, structure: Structure) -> Iterator[tuple[int, int, str]]:
    """Row, index in the structure and what is wrong, for each mutation of one chain."""
    for row, position, code, letter in zip(
        group.index, group["position"], group["insertion_code"], group["wild_type"], strict=True
    ):
        try:
            index = structure.index_of(int(position), code)
        except (InputError, ValueError):
            yield row, -1, f"no residue {position}{code}"
            continue
        found = structure.sequence[index]
        yield row, index, "" if found == letter else f"{letter}{position}{code} is {found} there"


def _structure_file(folder: Path, protein: str) -> Path:
    stems = dict.fromkeys(form for name in (protein, protein.partition("_")[0]) for form in (name, name.lower()))
    for path in (folder / f"{stem}{suffix}" for stem in stems for suffix in _SUFFIXES):
        if path.is_file():
            return path
    raise InputError(f"{folder}: no structure of {protein}; put {protein}.pdb, .cif or their .gz there")
