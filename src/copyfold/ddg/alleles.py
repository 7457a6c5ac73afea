"""Alleles of one protein family against a reference whose substitutions were scanned."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from copyfold.ddg.alignment import global_alignment
from copyfold.ddg.sequences import AMINO_ACIDS
from copyfold.errors import InputError

LEAST_IDENTITY: Final = 0.6


@dataclass(frozen=True, eq=False)
class ScannedReference:
    """A protein with the ΔΔG of each of its substitutions.

    Attributes
    ----------
    sequence : str
    positions : tuple of str
        Number of each residue, as the scan names it.
    ddg, sigma : numpy.ndarray, (n, 20), float64
        kcal/mol, positive = destabilising; NaN for the wild type and what the scan refuses.
    standard : tuple of str
        Standard number of each residue of a β-lactamase; "" where none is known.
    """

    sequence: str
    positions: tuple[str, ...]
    ddg: np.ndarray
    sigma: np.ndarray
    standard: tuple[str, ...]


@dataclass(frozen=True)
class AlleleStability:
    """An allele's predicted stability against the reference.

    Attributes
    ----------
    mutations : tuple of str
        Substitutions, in the numbers of the scan.
    ddg, sigma : float
        Sums over them (σ as of independent errors), kcal/mol; NaN where refused.
    reason : str
        Why it is refused; "" where it is not.
    standard : tuple of str
        The substitutions in standard numbers of β-lactamases, "" where none is known.
    """

    mutations: tuple[str, ...]
    ddg: float
    sigma: float
    reason: str = ""
    standard: tuple[str, ...] = ()


def scanned_reference(table: pd.DataFrame) -> ScannedReference:
    """The protein behind a scan: columns `position`, `wild_type`, `mutant`, `ddg_kcal_mol`, `sigma_kcal_mol`.

    Raises
    ------
    InputError
        A column is missing, or one position has two wild types.
    """
    needed = ["position", "wild_type", "mutant", "ddg_kcal_mol", "sigma_kcal_mol"]
    if missing := [name for name in needed if name not in table]:
        raise InputError(f"a scan has no column {missing[0]}; give scan.csv of `copyfold ddg scan`")
    sites = table.drop_duplicates("position")
    if len(table.drop_duplicates(["position", "wild_type"])) != len(sites):
        raise InputError("a position of the scan has two wild types; give the scan of one protein")
    row = table["position"].map({name: number for number, name in enumerate(sites["position"])}).to_numpy(np.int64)
    column = table["mutant"].map({letter: number for number, letter in enumerate(AMINO_ACIDS)})
    if column.isna().any():
        raise InputError(
            f"a scan names the mutant '{table['mutant'][column.isna()].iloc[0]}'; scans have 20 amino acids"
        )
    grids = []
    for name in ("ddg_kcal_mol", "sigma_kcal_mol"):
        grid = np.full((len(sites), len(AMINO_ACIDS)), np.nan)
        grid[row, column.to_numpy(np.int64)] = table[name].to_numpy(np.float64)
        grids.append(grid)
    standard = sites["standard_number"] if "standard_number" in sites else [""] * len(sites)
    return ScannedReference("".join(sites["wild_type"]), tuple(map(str, sites["position"])), *grids, tuple(standard))


def allele_stability(reference: ScannedReference, protein: str) -> AlleleStability:
    """Predicted stability of an allele: the sum over the residues in which it differs from the reference.

    What lies before and behind the reference (a signal peptide, of a scan of the mature protein) does not count.

    Parameters
    ----------
    reference : ScannedReference
    protein : str
        The allele's protein, without a stop at its end.

    Returns
    -------
    AlleleStability
        Refused, with the reason: a stop within, another family, insertions and deletions, ends that are missing,
        letters that are no amino acid, residues that the scan refuses.
    """
    if "*" in protein:
        return _refused(f"refused: a stop at residue {protein.index('*') + 1} of {len(protein)}")
    if not protein:
        return _refused("refused: the FASTA file has no sequence under its name")
    pairs = global_alignment(reference.sequence, protein)
    both = (pairs >= 0).all(axis=1)
    same = sum(reference.sequence[one] == protein[other] for one, other in pairs[both])
    if same < LEAST_IDENTITY * len(reference.sequence):
        return _refused(
            f"refused: {same} of the reference's {len(reference.sequence)} residues are the same; not an allele of it"
        )
    first, last = np.flatnonzero(both)[[0, -1]]
    if missing := len(reference.sequence) - int((pairs[first : last + 1, 0] >= 0).sum()):
        return _refused(
            f"refused: {missing} residues at an end of the reference are missing; truncated or frame-shifted"
        )
    inner = pairs[first : last + 1]
    if (deleted := inner[inner[:, 1] < 0, 0]).size:
        return _refused(f"refused: {deleted.size} residues deleted at {reference.positions[deleted[0]]}")
    if (inserted := np.flatnonzero(inner[:, 0] < 0)).size:
        before = reference.positions[inner[inserted[0] - 1, 0]]
        return _refused(f"refused: {inserted.size} residues inserted behind {before}, or missing from the structure")
    return _summed(reference, protein, inner)


def _summed(reference: ScannedReference, protein: str, pairs: np.ndarray) -> AlleleStability:
    mutations, standard, ddg, variance = [], [], 0.0, 0.0
    for one, other in pairs:
        wild_type, mutant = reference.sequence[one], protein[other]
        if wild_type == mutant:
            continue
        name = f"{wild_type}{reference.positions[one]}{mutant}"
        if mutant not in AMINO_ACIDS or wild_type not in AMINO_ACIDS:
            return _refused(f"refused: {name} is no substitution of a standard residue")
        value = reference.ddg[one, AMINO_ACIDS.index(mutant)]
        if math.isnan(value):
            return _refused(f"refused: the scan has no value for {name}")
        mutations.append(name)
        number = reference.standard[one]
        standard.append(f"{wild_type}{number}{mutant}" if number else "")
        ddg += float(value)
        variance += float(reference.sigma[one, AMINO_ACIDS.index(mutant)]) ** 2
    return AlleleStability(tuple(mutations), ddg, math.sqrt(variance), standard=tuple(standard))


def _refused(reason: str) -> AlleleStability:
    return AlleleStability((), math.nan, math.nan, reason)
