"""A deep mutational scan laid on a scanned protein."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from copyfold.ddg.importers.reading import read_cells, split_mutations, values_of
from copyfold.ddg.predictor.numbering import Protein, places_in
from copyfold.ddg.predictor.predictor import Scan
from copyfold.ddg.sequences import AMINO_ACIDS
from copyfold.errors import InputError


@dataclass(frozen=True, eq=False)
class Assay:
    """Single substitutions of a deep mutational scan.

    Attributes
    ----------
    name : str
        Of the file, without its ending.
    table : pandas.DataFrame
        `number` (1-based in the assay's sequence), `wild_type`, `mutant`, `score` (higher = fitter), indexed by the
        file's row.
    sequence : str or None
        Of the protein assayed, where the file holds mutated sequences.
    n_left_out : int
        Rows without a score, of several mutations, or of none.
    """

    name: str
    table: pd.DataFrame
    sequence: str | None
    n_left_out: int


@dataclass(frozen=True, eq=False)
class PlacedAssay:
    """An assay's scores where the scan has ΔΔG.

    Attributes
    ----------
    name : str
    scores : numpy.ndarray, (n, 20), float64
        By residue of the scan and `AMINO_ACIDS`, higher = fitter; NaN where nothing was measured or predicted.
    n_left_out : int
        Rows of the assay that are not among them.
    spearman : float
        Of score and −ΔΔG; NaN where there is none.
    """

    name: str
    scores: np.ndarray
    n_left_out: int
    spearman: float


def read_assay(path: Path) -> Assay:
    """Read a table of ProteinGym's form: `mutant` (A42V, in sequence numbering), `DMS_score`, and, if it has it,
    `mutated_sequence`.

    Raises
    ------
    InputError
        Unreadable, a column is missing, a score is no number, or a mutation contradicts its mutated sequence.
    """
    cells = read_cells(path, ("mutant", "DMS_score"), also=("mutated_sequence",))
    table, refused, n_several = split_mutations(cells["mutant"], pd.Series("", cells.index))
    if table.empty:
        why = f"row {refused[0].row}: {refused[0].reason}" if refused else f"all {n_several} rows are of several"
        raise InputError(f"{path}: holds no single substitution ({why})")
    table["score"] = values_of(cells.loc[table.index, "DMS_score"], path)
    sequence = None
    if "mutated_sequence" in cells:
        sequence = _assayed(table, cells["mutated_sequence"], path)
    known = table[np.isfinite(table["score"])]
    name = path.name.removesuffix(".gz").rsplit(".", 1)[0]
    return Assay(name, known, sequence, len(cells) - len(known))


def _assayed(table: pd.DataFrame, mutated: pd.Series, path: Path) -> str:
    """The sequence that all rows are mutants of."""
    first = table.iloc[0]
    start = mutated[table.index[0]]
    place = int(first["number"]) - 1
    sequence = start[:place] + str(first["wild_type"]) + start[place + 1 :]
    for row, number, wild_type, mutant in table[["number", "wild_type", "mutant"]].itertuples():
        changed = sequence[: number - 1] + mutant + sequence[number:]
        if not 1 <= number <= len(sequence) or sequence[number - 1] != wild_type or mutated[row] != changed:
            raise InputError(
                f"{path}: row {row}: {wild_type}{number}{mutant} is not what its mutated_sequence has; correct it, or "
                "take that column out: then mutations are numbered as SEQRES or the sequence is"
            )
    return sequence


def place_assay(assay: Assay, scan: Scan) -> PlacedAssay:
    """Lay an assay on a scan: its sequence (else the one that the structure states) is aligned to the scanned residues.

    Substitutions at residues that the scan lacks, or where its residue is another, are left out. Repeats are averaged.

    Raises
    ------
    InputError
        None of the assay's substitutions is one of the scan.
    """
    reference = assay.sequence or _stated(scan.protein)
    table = assay.table
    number = table["number"].to_numpy(np.int64)
    inside = (number >= 1) & (number <= len(reference))
    residue = np.where(inside, places_in(reference, scan.protein.sequence)[np.where(inside, number - 1, 0)], -1)
    letters = np.array(list(scan.protein.sequence))
    column = table["mutant"].map(AMINO_ACIDS.index).to_numpy(np.int64)
    kept = (residue >= 0) & (letters[residue] == table["wild_type"].to_numpy(str))
    kept &= np.isfinite(scan.ddg[residue, column])
    if not kept.any():
        raise InputError(
            f"{assay.name}: none of its {len(table)} substitutions is one of the scanned protein; is it another "
            "protein, or numbered otherwise? A column mutated_sequence settles the numbering"
        )
    total, count = np.zeros(scan.ddg.shape), np.zeros(scan.ddg.shape)
    np.add.at(total, (residue[kept], column[kept]), table["score"].to_numpy(float)[kept])
    np.add.at(count, (residue[kept], column[kept]), 1)
    scores = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    n_left_out = assay.n_left_out + int((~kept).sum())
    return PlacedAssay(assay.name, scores, n_left_out, _agreement(scores, scan.ddg))


def _stated(protein: Protein) -> str:
    seqres = None if protein.structure is None else protein.structure.seqres
    return seqres or protein.sequence


def _agreement(scores: np.ndarray, ddg: np.ndarray) -> float:
    from scipy.stats import spearmanr

    both = np.isfinite(scores) & np.isfinite(ddg)
    if min(len(np.unique(scores[both])), len(np.unique(ddg[both]))) < 2:
        return math.nan
    return float(spearmanr(scores[both], -ddg[both])[0])
