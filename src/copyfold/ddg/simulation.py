"""SIMULATED mutations from a stated law, for trying the training out; nothing learned from them says anything of
proteins.

The law, in kcal/mol, positive = destabilising, with b = 1 − RSA the residue's burial:

ΔΔG = b · (0.25 · loss of hydropathy + 0.015 · |change of volume in Å³| + 1.5 · [a charge is brought in])
    + 2.5 · [to proline in helix or strand] + 0.8 · [from glycine] − 0.3 + noise of standard deviation 0.6

where loss of hydropathy is Kyte–Doolittle, wild type − mutant, where that is positive. Fitness of a simulated scan is
−ΔΔG / 2 and noise of 0.3.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from copyfold.core.seeding import derive_generator
from copyfold.ddg.features.aminoacids import CHARGED, HYDROPATHY, VOLUME
from copyfold.ddg.sequences import AMINO_ACIDS, decode_sequence

LABEL = "SIMULATED"
_PROLINE, _GLYCINE = AMINO_ACIDS.index("P"), AMINO_ACIDS.index("G")
_STATES = np.array(list("HEC"))


def simulated_ddg(wild_type: np.ndarray, mutant: np.ndarray, states: np.ndarray, rsa: np.ndarray) -> np.ndarray:
    """The law above without its noise: (n,), float64, kcal/mol, positive = destabilising."""
    burial = 1 - rsa
    lost = np.maximum(HYDROPATHY.values[wild_type] - HYDROPATHY.values[mutant], 0)
    change = np.abs(VOLUME.values[mutant] - VOLUME.values[wild_type])
    charged_in = CHARGED[mutant] & ~CHARGED[wild_type]
    broken = (mutant == _PROLINE) & (states != "C")
    inside = burial * (0.25 * lost + 0.015 * change + 1.5 * charged_in)
    return inside + 2.5 * broken + 0.8 * (wild_type == _GLYCINE) - 0.3


def simulate_mutations(n_proteins: int, per_protein: int, seed: int, *, fitness: bool = False) -> pd.DataFrame:
    """A tidy table of simulated mutations of simulated proteins.

    Parameters
    ----------
    n_proteins, per_protein : int
    seed : int
    fitness : bool
        Column `score` (higher = fitter) in place of `ddg`.

    Returns
    -------
    pandas.DataFrame
        The columns of a tidy table, its source `SIMULATED`, with `rsa` (fraction) and `secondary_structure` (H, E or
        C).
    """
    rng = derive_generator(seed, "simulated mutations")
    return pd.concat([_protein(number, per_protein, rng, fitness) for number in range(n_proteins)], ignore_index=True)


def _protein(number: int, n_mutations: int, rng: np.random.Generator, fitness: bool) -> pd.DataFrame:
    length = int(rng.integers(60, 120))
    sequence = rng.integers(0, 20, length)
    runs = rng.integers(4, 12, length)
    states = np.repeat(_STATES[rng.integers(0, 3, length)], runs)[:length]
    # Hydrophobic residues are buried more often, as in proteins.
    rsa = np.round(rng.beta(1.2, np.where(HYDROPATHY.values[sequence] > 0, 4.0, 1.6)), 3)
    places = np.sort(rng.choice(length * 19, size=min(n_mutations, length * 19), replace=False))
    position, step = np.divmod(places, 19)
    wild_type = sequence[position]
    mutant = (wild_type + 1 + step) % 20
    ddg = simulated_ddg(wild_type, mutant, states[position], rsa[position]) + rng.normal(0, 0.6, len(places))
    values = {"score": np.round(-ddg / 2 + rng.normal(0, 0.3, len(places)), 3)} if fitness else {"ddg": ddg.round(3)}
    return pd.DataFrame(
        {
            "protein": f"{LABEL}{number + 1}",
            "chain": "A",
            "position": (position + 1).astype(str),
            "insertion_code": "",
            "wild_type": list(decode_sequence(wild_type)),
            "mutant": list(decode_sequence(mutant)),
            **values,
            "ph": np.nan,
            "temperature": np.nan,
            "source": LABEL,
            "sequence": decode_sequence(sequence),
            "sequence_position": position + 1,
            "rsa": rsa[position],
            "secondary_structure": states[position],
        }
    )
