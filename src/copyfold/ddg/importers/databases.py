"""Readers of databases' exports: ProThermDB, FireProtDB, ThermoMutDB."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from copyfold.core.files import read_json
from copyfold.ddg.importers.published import is_prepared, read_prepared
from copyfold.ddg.importers.reading import (
    ImportOptions,
    Reading,
    column_names,
    kelvin,
    leading_numbers,
    read_cells,
    split_mutations,
    values_of,
)
from copyfold.errors import InputError

_FEWEST_EFFECTS = 20


def read_prothermdb(path: Path, options: ImportOptions) -> Reading:
    """ProThermDB's TSV export (Nikam et al. 2021): ``∆∆G_(kcal/mol)``, positive = stabilising. Turned around.

    Its own field description: a positive value is a stabilising mutation. Where ∆∆G is empty, ``∆∆G_H2O`` (denaturant
    extrapolated to water) is taken. Mutations are those of ``PDB_Chain_Mutation`` (``1wq5_A:M101V``), numbered as the
    structure; rows without one, wild types and several mutations are passed over. Values given as ``>5`` or as a range
    are no values.
    """
    columns = column_names(path)
    delta = {name.replace("∆", "Δ"): name for name in columns}  # the export writes U+2206, others type a Greek delta
    energy = [delta[name] for name in ("ΔΔG_(kcal/mol)", "ΔΔG_H2O_(kcal/mol)") if name in delta]
    if not energy:
        raise InputError(
            f"{path}: no column '∆∆G_(kcal/mol)'; its columns are {', '.join(columns[:15])}; tick ∆∆G in ProThermDB's "
            "display options before you download"
        )
    cells = read_cells(path, ("PDB_Chain_Mutation",), also=(*energy, "pH", "T_(C)"))
    values = leading_numbers(cells[energy[0]])
    for name in energy[1:]:
        values = np.where(np.isnan(values), leading_numbers(cells[name]), values)
    named = cells["PDB_Chain_Mutation"].str.extract(r"^(\w+?)_(\w+):(\S+)").fillna("")
    single = ~cells["PDB_Chain_Mutation"].str.contains(r"\S\s+\S") & (named[2] != "") & ~np.isnan(values)
    parsed, refused, several = split_mutations(named.loc[single, 2], named.loc[single, 0])
    kept = parsed.index
    return _reading(
        parsed,
        protein=named.loc[kept, 0].str.lower(),
        chain=named.loc[kept, 1],
        ddg=-pd.Series(values, index=cells.index)[kept],
        ph=_at(cells, "pH", kept),
        temperature=kelvin(_at(cells, "T_(C)", kept)),
        refused=refused,
        n_other=int(np.sum(~single)) + several,
    )


def read_fireprotdb(path: Path, options: ImportOptions) -> Reading:
    """FireProtDB's CSV export (Stourac et al. 2021): ``ddG``, positive = destabilising. Taken as it is.

    ``position`` counts in the row's ``sequence``. Of several structures (``2RN2|1G9V``) the first names the protein.
    """
    if is_prepared(path):
        return read_prepared(path)
    cells = read_cells(
        path, ("position", "wild_type", "mutation", "ddG", "sequence"), also=("pdb_id", "chain", "pH", "uniprot_id")
    )
    values = values_of(cells["ddG"], path)
    measured = ~np.isnan(values)
    structures = cells["pdb_id"].str.split("|").str[0].str.lower() if "pdb_id" in cells else pd.Series("", cells.index)
    proteins = structures.where(structures != "", cells.get("uniprot_id", ""))
    texts = cells["wild_type"] + cells["position"].str.removesuffix(".0") + cells["mutation"]
    parsed, refused, several = split_mutations(texts[measured], proteins)
    kept = parsed.index
    reading = _reading(
        parsed,
        protein=proteins[kept],
        chain=cells["chain"][kept].str.split("|").str[0] if "chain" in cells else pd.Series("", kept),
        ddg=pd.Series(values, index=cells.index)[kept],
        ph=_at(cells, "pH", kept),
        temperature=np.full(len(kept), np.nan),
        refused=refused,
        n_other=int(np.sum(~measured)) + several,
    )
    return Reading(
        reading.rows.assign(position="", sequence=cells["sequence"][kept], sequence_position=parsed["number"]),
        reading.refused,
        reading.n_other,
    )


def read_thermomutdb(path: Path, options: ImportOptions) -> Reading:
    """ThermoMutDB, JSON or CSV (Xavier et al. 2021): ``ddg``, positive = stabilising. Turned around.

    The sign is checked against the file's own ``effect`` column (``destabilizing``, ``stabilizing``) where it has one.
    ``temperature`` is in K. ``mutation_code`` is numbered as the structure ``PDB_wild``; a chain that is missing or
    ``unsigned`` is left open.

    Raises
    ------
    InputError
        As every reader; also where most effects contradict the sign.
    """
    cells = _records(path) if path.name.removesuffix(".gz").endswith(".json") else read_cells(path)
    cells = cells.rename(columns=_THERMOMUTDB_CSV)
    for name in ("PDB_wild", "mutation_code", "ddg"):
        if name not in cells:
            raise InputError(
                f"{path}: no field '{name}'; it has {', '.join(map(str, cells.columns[:15]))}; "
                "give ThermoMutDB's JSON or CSV"
            )
    values = leading_numbers(cells["ddg"])
    measured = ~np.isnan(values) & (cells["PDB_wild"] != "").to_numpy()
    _check_effects(path, cells, values)
    texts = cells["mutation_code"].str.replace(r"\s*,\s*", ":", regex=True)
    parsed, refused, several = split_mutations(texts[measured], cells["PDB_wild"])
    kept = parsed.index
    chain = cells["mutated_chain"][kept] if "mutated_chain" in cells else pd.Series("", kept)
    return _reading(
        parsed,
        protein=cells["PDB_wild"][kept].str.lower(),
        chain=chain.where(chain.str.len() == 1, ""),
        ddg=-pd.Series(values, index=cells.index)[kept],
        ph=_at(cells, "ph", kept),
        temperature=_at(cells, "temperature", kept),
        refused=refused,
        n_other=int(np.sum(~measured)) + several,
    )


_THERMOMUTDB_CSV = {
    "MUTATION": "mutation_code",
    "MUTATED_CHAIN": "mutated_chain",
    "ddG": "ddg",
    "TEMP": "temperature",
    "pH": "ph",
    "EFFECT": "effect",
}


def _records(path: Path) -> pd.DataFrame:
    """Records of a JSON list as text cells."""
    content = read_json(path)
    if not isinstance(content, list) or not content or not all(isinstance(record, dict) for record in content):
        raise InputError(f"{path}: not a list of records; give ThermoMutDB's JSON as it is downloaded")
    cells = pd.DataFrame(
        [{key: "" if value is None else str(value).strip() for key, value in record.items()} for record in content]
    ).fillna("")
    cells.index = pd.RangeIndex(1, len(cells) + 1)
    return cells


def _check_effects(path: Path, cells: pd.DataFrame, values: np.ndarray) -> None:
    if "effect" not in cells:
        return
    effect = cells["effect"].str.lower()
    known = (effect.str.startswith(("destabili", "stabili"))).to_numpy() & ~np.isnan(values) & (values != 0)
    agreeing = (values > 0) == effect.str.startswith("stabili").to_numpy()
    if known.sum() >= _FEWEST_EFFECTS and agreeing[known].mean() < 0.5:
        raise InputError(
            f"{path}: 'effect' contradicts the sign of 'ddg' in {int(np.sum(~agreeing[known]))} of "
            f"{int(known.sum())} rows; "
            "ThermoMutDB's positive values are stabilising; if this file was turned around, import it as `table` with "
            "--positive destabilising"
        )


def _at(cells: pd.DataFrame, name: str, rows: pd.Index) -> np.ndarray:
    return leading_numbers(cells.loc[rows, name]) if name in cells else np.full(len(rows), np.nan)


def _reading(parsed: pd.DataFrame, *, refused: list, n_other: int, **columns: object) -> Reading:  # type: ignore[type-arg]
    rows = pd.DataFrame(
        {
            "protein": columns["protein"],
            "chain": columns["chain"],
            "position": parsed["number"].astype(str),
            "insertion_code": parsed["insertion_code"],
            "wild_type": parsed["wild_type"],
            "mutant": parsed["mutant"],
            "ddg": columns["ddg"],
            "ph": columns["ph"],
            "temperature": columns["temperature"],
            "sequence": "",
            "sequence_position": 0,
        },
        index=parsed.index,
    )
    return Reading(rows, refused, n_other)
