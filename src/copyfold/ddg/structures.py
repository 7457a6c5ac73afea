"""One protein chain of a PDB or mmCIF file, with the terms that stability models take from it."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from functools import cached_property
from io import StringIO
from pathlib import Path
from typing import Any, Final

import numpy as np

from copyfold.core.packed import read_unpacked
from copyfold.ddg.sequences import THREE_TO_ONE
from copyfold.errors import InputError

MAX_ASA: Final = {
    "A": 129.0,
    "R": 274.0,
    "N": 195.0,
    "D": 193.0,
    "C": 167.0,
    "Q": 225.0,
    "E": 223.0,
    "G": 104.0,
    "H": 224.0,
    "I": 197.0,
    "L": 201.0,
    "K": 236.0,
    "M": 224.0,
    "F": 240.0,
    "P": 159.0,
    "S": 155.0,
    "T": 172.0,
    "W": 285.0,
    "Y": 263.0,
    "V": 174.0,
}
"""Å², theoretical maximum accessible surface of residue X in Gly-X-Gly (Tien et al. 2013, PLoS ONE 8:e80635)."""

# Å, hydrogens included: those of DSSP (Kabsch and Sander 1983, Biopolymers 22:2577), with which the scale was made.
_RADII = {"N": 1.65, "CA": 1.87, "C": 1.76, "O": 1.40}
_SIDE_CHAIN_RADIUS = 1.80

UNSURE_PLDDT: Final = 70.0
"""Below it the AlphaFold database calls a residue's place of low confidence."""

_BACKBONE = ("N", "CA", "C", "O")
_SASA_POINTS = 500
_LONGEST_PEPTIDE_BOND = 2.0  # Å, C to N; 1.33 in a good model
_LONGEST_CA_STEP = 4.5  # Å; 3.8 in a good model
_WIDEST = 5000.0  # Å; a virus capsid has 1000
_STATES = {"a": "H", "b": "E"}


@dataclass(frozen=True, eq=False)
class Structure:
    """One protein chain.

    Attributes
    ----------
    name : str
        The file's name without its endings.
    chain : str
        Author chain identifier; "" where the file has none.
    numbers : numpy.ndarray, (n,), int32
        Author residue numbers.
    insertion_codes : tuple of str, n
        "" for none.
    sequence : str, n letters
        Residues that have coordinates; selenomethionine as M, other non-standard residues as X.
    backbone : numpy.ndarray, (n, 4, 3), float32
        N, CA, C, O in Å; NaN where an atom is missing.
    rsa : numpy.ndarray, (n,), float32
        Accessible surface of the chain by itself over `MAX_ASA`, at most 1; NaN for X and where backbone atoms or Cβ
        are missing.
    secondary_structure : str, n letters
        H helix, E strand, C neither, by P-SEA on Cα atoms.
    b_factors : numpy.ndarray, (n,), float32
        Mean over the residue's heavy atoms, Å² (in predicted models often a confidence).
    seqres : str, optional
        The whole chain's sequence as the file states it (SEQRES, ``entity_poly``), X for non-standard residues.
    plddt : numpy.ndarray, (n,), float32, optional
        Of a model that says so: the predictor's confidence in each residue's place, 0–100 (Jumper et al. 2021, Nature
        596:583).
    """

    name: str
    chain: str
    numbers: np.ndarray
    insertion_codes: tuple[str, ...]
    sequence: str
    backbone: np.ndarray
    rsa: np.ndarray
    secondary_structure: str
    b_factors: np.ndarray
    seqres: str | None
    plddt: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.sequence)

    @cached_property
    def _places(self) -> dict[tuple[int, str], int]:
        return {key: index for index, key in enumerate(zip(self.numbers.tolist(), self.insertion_codes, strict=True))}

    def index_of(self, position: int, insertion_code: str = "") -> int:
        """Index (0-based) of the residue with an author number and insertion code, whose case does not matter.

        Raises
        ------
        InputError
            The chain has no coordinates for such a residue.
        """
        for code in (insertion_code, insertion_code.upper(), insertion_code.lower()):
            if (int(position), code) in self._places:
                return self._places[int(position), code]
        raise InputError(
            f"{self.name} chain {self.chain or '(blank)'}: no residue {position}{insertion_code}; its residues with "
            f"coordinates are numbered {self.numbers.min()} to {self.numbers.max()}"
            f"{', with gaps' if self.numbers.max() - self.numbers.min() >= len(self) else ''}"
        )


def read_structure(path: Path, chain: str | None = None) -> Structure:
    """Read one protein chain: of several models the first, of alternative locations the one of highest occupancy.

    Parameters
    ----------
    path : Path
        PDB or mmCIF, gzipped or not; which of them is told by the contents.
    chain : str, optional
        Author chain identifier. May be left out where the file holds one protein chain.

    Returns
    -------
    Structure
        Residues in the file's order. Peptide residues written as HETATM belong to it where they are bonded into the
        chain; ligands, waters, nucleotides and hydrogens do not.

    Raises
    ------
    InputError
        Missing, damaged, empty, without protein, no such chain (the message lists the chains), several chains and
        none named, or one residue number twice.
    """
    path = Path(path)
    text = _read_text(path)
    is_cif = _looks_like_cif(text)
    atoms = _parse(path, text, is_cif)
    chains = _protein_chains(atoms)
    if not chains:
        raise InputError(f"{path}: holds no protein residues (ligands, waters or nucleotides only); check the file")
    listed = ", ".join(f"'{name}' ({len(np.unique(part.res_index))} residues)" for name, part in chains.items())
    if chain is None and len(chains) > 1:
        raise InputError(f"{path}: holds several protein chains: {listed}; name the one to use")
    if chain is not None and chain not in chains:
        raise InputError(f"{path}: no protein chain '{chain}'; it has {listed}")
    chosen = next(iter(chains)) if chain is None else chain
    found = _structure(path, chosen, chains[chosen], _seqres(text, is_cif, chosen))
    return replace(found, plddt=_plddt(text, is_cif, found.b_factors))


def read_chain_atoms(path: Path, chain: str) -> Any:
    """Heavy atoms of a chain that `read_structure` gave, as biotite's AtomArray.

    Returns
    -------
    biotite.structure.AtomArray
        Annotation `res_index` is each atom's place among the residues of `Structure`.

    Raises
    ------
    InputError
        As `read_structure`.
    """
    text = _read_text(path)
    chains = _protein_chains(_parse(path, text, _looks_like_cif(text)))
    if chain not in chains:
        raise InputError(f"{path}: no protein chain '{chain}'; it has {', '.join(map(repr, chains))}")
    return chains[chain]


def _read_text(path: Path) -> str:
    try:
        text = read_unpacked(path).decode("utf-8")
    except UnicodeDecodeError:
        raise InputError(f"{path}: not a text file; give a structure in PDB or mmCIF format") from None
    if not text.strip():
        raise InputError(f"{path}: the file is empty; give a structure in PDB or mmCIF format")
    return text


def _looks_like_cif(text: str) -> bool:
    head = text.lstrip()
    while head.startswith("#"):
        head = head.partition("\n")[2].lstrip()
    return head.startswith("data_")


def _parse(path: Path, text: str, is_cif: bool) -> Any:
    """Heavy atoms of the first model, as biotite's AtomArray."""
    from biotite.structure.io import pdb, pdbx

    options: dict[str, Any] = {"model": 1, "altloc": "occupancy", "extra_fields": ["b_factor", "occupancy"]}
    if not is_cif and not any(line.startswith(("ATOM", "HETATM")) for line in text.splitlines()):
        raise InputError(f"{path}: no ATOM lines and not mmCIF; give a structure in PDB or mmCIF format")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # elements that the file leaves out are guessed, as they must be
            if is_cif:
                atoms = pdbx.get_structure(pdbx.CIFFile.read(StringIO(text)), use_author_fields=True, **options)
            else:
                atoms = pdb.PDBFile.read(StringIO(text)).get_structure(**options)
    except MemoryError:
        raise
    except Exception as error:  # biotite raises nearly anything on damaged files
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path}: not a readable structure ({reason}); check that the file is whole") from None
    if not np.isfinite(atoms.coord).all() or (len(atoms) and np.ptp(atoms.coord, axis=0).max() > _WIDEST):
        raise InputError(
            f"{path}: coordinates are not numbers or lie more than {_WIDEST:g} Å apart; the file is damaged"
        )
    return atoms[~np.isin(atoms.element, ["H", "D"])]


def _protein_chains(atoms: Any) -> dict[str, Any]:
    """Atoms of each chain's protein residues, with the annotation `res_index` (0-based within the chain)."""
    from biotite.structure import filter_amino_acids, get_residue_starts

    chains = {}
    peptide = atoms[filter_amino_acids(atoms)]
    for name in dict.fromkeys(peptide.chain_id.tolist()):
        part = peptide[peptide.chain_id == name]
        starts = get_residue_starts(part, add_exclusive_stop=True)
        index = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
        kept = ~part.hetero[starts[:-1]] | _bonded(_backbone(part, index, len(starts) - 1))
        if kept.any():
            part, index = part[kept[index]], index[kept[index]]
            part.set_annotation("res_index", np.unique(index, return_inverse=True)[1])
            chains[str(name)] = part
    return chains


def _backbone(part: Any, index: np.ndarray, n_residues: int) -> np.ndarray:
    """N, CA, C, O of each residue: (n, 4, 3), float32, NaN where missing."""
    coordinates = np.full((n_residues, 4, 3), np.nan, dtype=np.float32)
    for place, name in enumerate(_BACKBONE):
        chosen = part.atom_name == name
        coordinates[index[chosen], place] = part.coord[chosen]
    return coordinates


def _bonded(backbone: np.ndarray) -> np.ndarray:
    """Whether a residue is joined to the one before or after it: (n,), bool."""
    peptide = np.linalg.norm(backbone[1:, 0] - backbone[:-1, 2], axis=-1)
    step = np.linalg.norm(backbone[1:, 1] - backbone[:-1, 1], axis=-1)
    joined = np.where(np.isnan(peptide), step <= _LONGEST_CA_STEP, peptide <= _LONGEST_PEPTIDE_BOND)
    return np.append(joined, False) | np.append(False, joined)


def _structure(path: Path, chain: str, part: Any, seqres: str | None) -> Structure:
    from biotite.structure import annotate_sse

    index = part.res_index
    n = int(index.max()) + 1
    first = np.searchsorted(index, np.arange(n))
    numbers = part.res_id[first].astype(np.int32)
    codes = tuple(str(code).strip() for code in part.ins_code[first])
    _refuse_repeats(path, chain, numbers, codes)
    letters = "".join(_letter(name) for name in part.res_name[first])
    backbone = _backbone(part, index, n)
    return Structure(
        name=path.name.removesuffix(".gz").rsplit(".", 1)[0],
        chain=chain,
        numbers=numbers,
        insertion_codes=codes,
        sequence=letters,
        backbone=backbone,
        rsa=_relative_accessibility(part, letters, backbone),
        secondary_structure="".join(_STATES.get(state, "C") for state in annotate_sse(part)),
        b_factors=(np.bincount(index, part.b_factor) / np.bincount(index)).astype(np.float32),
        seqres=seqres,
    )


def _refuse_repeats(path: Path, chain: str, numbers: np.ndarray, codes: tuple[str, ...]) -> None:
    seen: set[tuple[int, str]] = set()
    for place in zip(numbers.tolist(), codes, strict=True):
        if place in seen:
            raise InputError(
                f"{path}: chain '{chain}' holds residue {place[0]}{place[1]} twice; "
                "number the residues so that each place is named once"
            )
        seen.add(place)


def _letter(residue_name: str) -> str:
    return "M" if residue_name == "MSE" else THREE_TO_ONE.get(residue_name, "X")


def _relative_accessibility(part: Any, letters: str, backbone: np.ndarray) -> np.ndarray:
    from biotite.structure import sasa

    n = len(letters)
    radii = np.array([_RADII.get(name, _SIDE_CHAIN_RADIUS) for name in part.atom_name], dtype=np.float32)
    area = sasa(part, probe_radius=1.4, point_number=_SASA_POINTS, vdw_radii=radii, ignore_ions=False)
    maximum = np.array([MAX_ASA.get(letter, np.nan) for letter in letters])
    has_beta = np.zeros(n, dtype=bool)
    has_beta[part.res_index[part.atom_name == "CB"]] = True
    has_beta |= np.array(list(letters)) == "G"
    whole = has_beta & ~np.isnan(backbone).any(axis=(1, 2))
    relative = np.bincount(part.res_index, area, minlength=n) / maximum
    return np.where(whole, np.minimum(relative, 1.0), np.nan).astype(np.float32)


def _seqres(text: str, is_cif: bool, chain: str) -> str | None:
    return _seqres_of_cif(text, chain) if is_cif else _seqres_of_pdb(text, chain)


def _seqres_of_pdb(text: str, chain: str) -> str | None:
    lines = [line for line in text.splitlines() if line.startswith("SEQRES") and line[11:12].strip() == chain]
    return "".join(_letter(name) for line in lines for name in line[19:70].split()) or None


def _seqres_of_cif(text: str, chain: str) -> str | None:
    """The chain's sequence, from the polymer's residue by residue list or its one-letter string."""
    from biotite.structure.io import pdbx

    block = pdbx.CIFFile.read(StringIO(text)).block
    if "entity_poly" not in block or "pdbx_strand_id" not in block["entity_poly"]:
        return None
    polymers = block["entity_poly"]
    entities = polymers["entity_id"].as_array(str)
    strands = polymers["pdbx_strand_id"].as_array(str)
    for number, (entity, strand) in enumerate(zip(entities, strands, strict=True)):
        if chain not in [name.strip() for name in strand.split(",")]:
            continue
        if "entity_poly_seq" in block:
            listed = block["entity_poly_seq"]
            mine = listed["entity_id"].as_array(str) == entity
            numbers, names = listed["num"].as_array(str)[mine], listed["mon_id"].as_array(str)[mine]
            first = np.unique(numbers.astype(int), return_index=True)[1]  # micro-heterogeneity lists a number twice
            return "".join(_letter(name) for name in names[first]) or None
        if "pdbx_seq_one_letter_code_can" in polymers:
            return "".join(polymers["pdbx_seq_one_letter_code_can"].as_array(str)[number].split()) or None
    return None


def _plddt(text: str, is_cif: bool, b_factors: np.ndarray) -> np.ndarray | None:
    """Confidence of each residue, (n,), float32, where the file says that it stands in the place of B-factors.

    A PDB file says so by ``ALPHAFOLD`` in its title, an mmCIF file by a quality metric ``pLDDT`` (``_ma_qa_metric``).
    """
    if is_cif:
        stated = "_ma_qa_metric" in text and "pLDDT" in text
    else:
        titles = [line for line in text.splitlines()[:200] if line.startswith("TITLE")]
        stated = any("ALPHAFOLD" in line.upper() for line in titles)
    return b_factors if stated and bool(((b_factors >= 0) & (b_factors <= 100)).all()) else None
