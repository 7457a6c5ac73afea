"""ΔΔG of mutations of one protein, from its structure or its sequence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from copyfold.ddg.features.proteinmpnn import SiteEncodings, StructureEncoder
from copyfold.ddg.mutations import Mutation, parse_mutation
from copyfold.ddg.predictor.calibration import error_terms
from copyfold.ddg.predictor.inputs import sequence_features
from copyfold.ddg.predictor.numbering import NUMBERINGS, Protein, numbering_of, residue_index
from copyfold.ddg.predictor.weights import FOLDER, SitePredictor, load_weights
from copyfold.ddg.sequences import AMINO_ACIDS, encode_sequence
from copyfold.ddg.structures import UNSURE_PLDDT, Structure
from copyfold.errors import InputError

ADDITIVE: Final = "sum of single mutations; assumes that they do not influence each other"
_COUPLED: Final = 8.0  # Å between Cα


class Prediction(NamedTuple):
    """What is predicted of one mutation.

    Attributes
    ----------
    mutation : str
        As asked.
    ddg_kcal_mol : float
        Positive = destabilising; NaN where refused.
    sigma_kcal_mol : float
        Half the width of a 68 % interval; NaN where refused.
    in_domain : bool or None
        The protein and site are like those trained on; None where refused.
    reason : str
        Why refused, why out of domain, or what is assumed.
    """

    mutation: str
    ddg_kcal_mol: float
    sigma_kcal_mol: float
    in_domain: bool | None
    reason: str


@dataclass(frozen=True, eq=False)
class Scan:
    """Every substitution of a protein.

    Attributes
    ----------
    protein : Protein
    ddg, sigma : numpy.ndarray, (n, 20), float64
        kcal/mol, by `AMINO_ACIDS`; positive = destabilising. NaN for the wild type and where nothing can be predicted.
    reasons : tuple of str, n
        Why a residue is refused or out of domain; "" where neither.
    in_domain : numpy.ndarray, (n,), bool
    """

    protein: Protein
    ddg: np.ndarray
    sigma: np.ndarray
    reasons: tuple[str, ...]
    in_domain: np.ndarray

    @cached_property
    def site_means(self) -> np.ndarray:
        """Mean ΔΔG of the 19 substitutions of each residue, (n,); NaN where nothing is predicted."""
        known = np.isfinite(self.ddg)
        total = np.where(known, self.ddg, 0.0).sum(axis=1)
        return np.where(known.any(axis=1), total / np.maximum(known.sum(axis=1), 1), np.nan)


class StabilityPredictor:
    """The production model; `load` gives it with the weights that come with copyfold.

    Parameters
    ----------
    structure, sequence : SitePredictor
        For proteins with a structure, and for sequences alone.
    """

    def __init__(self, structure: SitePredictor, sequence: SitePredictor) -> None:
        self.structure = structure
        self.sequence = sequence

    @classmethod
    def load(cls, folder: Path = FOLDER) -> StabilityPredictor:
        """Load `structure.pt` and `sequence.pt`.

        Raises
        ------
        InputError
            A file is missing or damaged.
        """
        return cls(load_weights(folder / "structure.pt"), load_weights(folder / "sequence.pt"))

    @cached_property
    def encoder(self) -> StructureEncoder:
        """ProteinMPNN; loaded when the first structure comes."""
        return StructureEncoder()

    def predict(
        self, protein: Structure | str, mutations: Sequence[str], numbering: str | None = None
    ) -> list[Prediction]:
        """Predict mutations, in the order given; what cannot be predicted is refused with its reason.

        Parameters
        ----------
        protein : Structure or str
            A chain (`copyfold.ddg.structures.read_structure`), or a sequence of one-letter codes.
        mutations : sequence of str
            As `copyfold.ddg.mutations.parse_mutation` reads them.
        numbering : str, optional
            Of `NUMBERINGS`. By default author numbers for structures, and the sequence's for HGVS
            (p.Ala42Val) and for sequences.

        Returns
        -------
        list of Prediction

        Raises
        ------
        InputError
            An impossible protein, or a numbering that does not exist.
        """
        if numbering is not None and numbering not in NUMBERINGS:
            raise InputError(f"numbering '{numbering}': must be one of {', '.join(NUMBERINGS)}")
        scan = self.scan(protein)
        return [_predict_one(text, numbering, scan) for text in mutations]

    def scan(self, protein: Structure | str, members: np.ndarray | None = None) -> Scan:
        """Predict every substitution of every residue.

        Parameters
        ----------
        protein : Structure or str
        members : numpy.ndarray of int, optional
            Members of the ensemble to ask; by default all.

        Raises
        ------
        InputError
            An impossible protein, or ProteinMPNN is not installed.
        """
        if isinstance(protein, str):
            return self._scan_sequence(_checked_sequence(protein), members)
        return self.scan_encoded(protein, self.encoder.encode(protein), members)

    def scan_encoded(self, structure: Structure, encoded: SiteEncodings, members: np.ndarray | None = None) -> Scan:
        """As `scan`, of a structure that is already encoded."""
        model = self.structure
        potentials = model.potentials(encoded.features, encoded.log_odds, members)
        reasons = _length_reasons(len(structure), model.chain_lengths)
        for index, distance in enumerate(model.distances(encoded.features)):
            if not encoded.complete[index]:
                reasons[index] = "refused: the residue lacks backbone atoms (N, CA or C)"
                potentials[index] = np.nan
            elif distance > model.largest_distance:
                reasons[index] = f"unlike the sites trained on (distance {distance:.1f}; 99 % of them lie under "
                reasons[index] += f"{model.largest_distance:.1f})"
        if structure.plddt is not None:
            _tell_unsure_places(reasons, structure.plddt)
        return _scan(Protein(structure.sequence, structure), potentials, model, reasons)

    def _scan_sequence(self, sequence: str, members: np.ndarray | None) -> Scan:
        model = self.sequence
        potentials = model.potentials(sequence_features(sequence), np.zeros((len(sequence), 0, 20)), members)
        return _scan(Protein(sequence), potentials, model, _length_reasons(len(sequence), model.chain_lengths))


def _tell_unsure_places(reasons: list[str], plddt: np.ndarray) -> None:
    """Residues whose place a predicted model does not know are out of domain; what is refused stays so."""
    for index in np.flatnonzero(plddt < UNSURE_PLDDT):
        if not reasons[index].startswith("refused"):
            told = f"pLDDT {plddt[index]:.0f}, below {UNSURE_PLDDT:.0f}: the model is unsure of this residue's place"
            reasons[index] = "; ".join(filter(None, (reasons[index], told)))


def _checked_sequence(text: str) -> str:
    sequence = "".join(text.split()).upper().rstrip("*")
    unknown = sorted(set(sequence) - set(AMINO_ACIDS) - set("XBZUOJ"))
    if not sequence or unknown:
        what = f"holds {', '.join(map(repr, unknown))}" if unknown else "is empty"
        raise InputError(f"the sequence {what}; give one-letter amino-acid codes without gaps")
    return sequence


def _length_reasons(n: int, trained: tuple[int, int]) -> list[str]:
    low, high = trained
    return ["" if low <= n <= high else f"chain of {n} residues; trained on {low} to {high}"] * n


def _scan(protein: Protein, potentials: np.ndarray, model: SitePredictor, reasons: list[str]) -> Scan:
    wild_type = encode_sequence(protein.sequence).astype(np.int64)
    rows = np.arange(len(wild_type))
    ddg = potentials - potentials[rows, wild_type][:, None]
    unknown = wild_type < 0
    ddg[unknown] = np.nan
    ddg[rows[~unknown], wild_type[~unknown]] = np.nan
    terms = error_terms(ddg, potentials.std(axis=1)[:, None], len(wild_type))
    in_domain = np.array([not reason for reason in reasons]) & ~unknown
    told = tuple(
        "refused: not one of the 20 standard residues" if is_unknown else reason
        for is_unknown, reason in zip(unknown, reasons, strict=True)
    )
    return Scan(protein, ddg, model.errors.sigma(terms), told, in_domain)


def _predict_one(text: str, numbering: str | None, scan: Scan) -> Prediction:
    try:
        parts = parse_mutation(text)
        scheme = numbering_of(text, numbering, scan.protein)
        places = [residue_index(part, scheme, scan.protein) for part in parts]
    except InputError as error:
        return Prediction(text, math.nan, math.nan, None, f"refused: {error}")
    refused = [scan.reasons[place] for place in places if scan.reasons[place].startswith("refused")]
    if refused:
        return Prediction(text, math.nan, math.nan, None, refused[0])
    return _combined(text, parts, places, scan)


def _combined(text: str, parts: Sequence[Mutation], places: list[int], scan: Scan) -> Prediction:
    columns = [AMINO_ACIDS.index(part.mutant) for part in parts]
    ddg, sigma = scan.ddg[places, columns], scan.sigma[places, columns]
    reasons = list(dict.fromkeys(scan.reasons[place] for place in places if scan.reasons[place]))
    if len(parts) > 1:
        near = _closest(scan.protein.structure, places)
        reasons.append(ADDITIVE if near > _COUPLED else f"{ADDITIVE}, though two are {near:.1f} Å apart (Cα)")
    return Prediction(
        text,
        float(ddg.sum()),
        float(np.sqrt(np.sum(sigma**2))),
        bool(scan.in_domain[places].all()),
        "; ".join(reasons),
    )


def _closest(structure: Structure | None, places: list[int]) -> float:
    """Shortest distance between Cα of two of the residues, Å; infinite without a structure."""
    if structure is None:
        return math.inf
    alpha = structure.backbone[places, 1].astype(np.float64)
    apart = np.linalg.norm(alpha[:, None] - alpha[None], axis=-1)
    return float(apart[np.triu_indices(len(places), 1)].min())
