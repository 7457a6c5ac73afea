"""Published sets of measured ΔΔG in the layout of the project's data folder, placed on their structures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from copyfold.core.console import Console
from copyfold.core.files import atomic_path, file_digest
from copyfold.ddg.features.proteinmpnn import SiteEncodings, StructureEncoder, log_odds_of
from copyfold.ddg.predictor.numbering import places_in
from copyfold.ddg.structures import Structure, read_structure
from copyfold.errors import InputError

SETS: Final = ("s669", "s2648", "fireprotdb", "megascale", "ssym")
_TEXT: Final = {"position": str, "pdb_id": str, "chain": str}


@dataclass(frozen=True, eq=False)
class EncodedProtein:
    """A chain with its ProteinMPNN encodings.

    Attributes
    ----------
    sequence : str
        Residues with coordinates.
    places : dict of str to int
        Author number with insertion code to place (0-based) in `sequence`.
    encoded : SiteEncodings
    """

    sequence: str
    places: dict[str, int]
    encoded: SiteEncodings


def read_set(data: Path, name: str) -> pd.DataFrame:
    """One set's table as it lies in `data`/sets, with what all sets share under the same names.

    Returns
    -------
    pandas.DataFrame
        The file's own columns, and `protein`, `structure` (path under `data`/structures), `numbered` (`position` is the
        structure's number), `related` (at least 25 % identical to an S669 protein). ΔΔG in kcal/mol, positive =
        destabilising.

    Raises
    ------
    InputError
        No such set or file.
    """
    if name not in SETS:
        raise InputError(f"set '{name}': must be one of {', '.join(SETS)}")
    path = Path(data) / "sets" / f"{name}.csv.gz"
    if not path.exists():
        raise InputError(f"{path}: no such file; --data names a folder that holds sets/, structures/ and peers/")
    table = pd.read_csv(path, dtype=_TEXT, keep_default_na=False, na_values=[""])
    if name == "megascale":
        table = table[table["set"] == "D"].reset_index(drop=True)  # the other part is not of the mega-scale assay
        table["protein"] = table["protein_id"]
        table["structure"] = "megascale/" + table["protein"] + ".pdb.gz"
    else:
        table["protein"] = table["pdb_id"].str.lower() + table["chain"].fillna("")
        table["structure"] = table["pdb_id"].str.lower() + ".pdb.gz"
    table["numbered"] = name in ("s669", "s2648", "ssym")
    table["related"] = table["s669_homolog_25"] == 1 if "s669_homolog_25" in table else False
    return table


def encode_structures(
    data: Path, table: pd.DataFrame, encoder: StructureEncoder, cache: Path, console: Console
) -> dict[str, EncodedProtein]:
    """Every structure that `table` names and `data` has, by its path; encodings are kept in the folder `cache`."""
    chains = dict(zip(table["structure"], table["chain"], strict=True))
    found = {}
    with console.progress("structures", len(chains)) as progress:
        for done, (name, chain) in enumerate(chains.items(), 1):
            path = Path(data) / "structures" / name
            if path.exists():
                found[name] = _encoded(path, chain, encoder, cache)
            progress(done, name)
    return found


def _encoded(path: Path, chain: str, encoder: StructureEncoder, cache: Path) -> EncodedProtein:
    digest = file_digest(path).removeprefix("sha256:")[:16]
    kept = Path(cache) / f"{path.name.removesuffix('.pdb.gz')}_{chain}_{digest}_{encoder.fingerprint}.npz"
    if not kept.exists():
        structure = _read(path, chain)
        encoded = encoder.encode(structure)
        labels = [f"{n}{code}" for n, code in zip(structure.numbers.tolist(), structure.insertion_codes, strict=True)]
        with atomic_path(kept) as partial, partial.open("wb") as handle:
            np.savez(
                handle,
                sequence=np.array(structure.sequence),
                labels=np.array(labels),
                features=encoded.features.astype(np.float16),
                complete=encoded.complete,
            )
    try:
        with np.load(kept, allow_pickle=False) as stored:
            features = stored["features"].astype(np.float32)
            encoded = SiteEncodings(features, log_odds_of(features), stored["complete"])
            labels = stored["labels"].tolist()
            return EncodedProtein(str(stored["sequence"]), {label: i for i, label in enumerate(labels)}, encoded)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{kept}: damaged cache of encodings ({error}); delete it") from None


def _read(path: Path, chain: str) -> Structure:
    try:
        return read_structure(path)  # most files hold the mutated chain alone, whatever its name
    except InputError:
        return read_structure(path, chain)


def place_rows(table: pd.DataFrame, proteins: dict[str, EncodedProtein]) -> np.ndarray:
    """Place of each row's residue in its structure, −1 where it has none or another wild type: (n,), int64.

    By the author's number where the wild type agrees, else by aligning the table's sequence to the structure's.
    """
    places = np.full(len(table), -1, dtype=np.int64)
    for row, one in enumerate(table.itertuples(index=False)):
        if one.structure not in proteins:
            continue
        protein = proteins[one.structure]
        index = protein.places.get(one.position, -1) if one.numbered else -1
        if index < 0 or protein.sequence[index] != one.wild_type:
            index = int(places_in(one.sequence, protein.sequence)[int(one.seq_position) - 1])
        if index >= 0 and protein.sequence[index] == one.wild_type and protein.encoded.complete[index]:
            places[row] = index
    return places
