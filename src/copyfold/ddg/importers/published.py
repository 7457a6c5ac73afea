"""Readers of curated sets: S669, S2648, Ssym, VariBench, and tables of no known source."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from copyfold.ddg.importers.reading import (
    KCAL_PER_KJ,
    ImportOptions,
    Reading,
    Refusal,
    column_names,
    kelvin,
    leading_comments,
    leading_numbers,
    read_cells,
    split_mutations,
    values_of,
)
from copyfold.errors import InputError

PREPARED = ("wild_type", "mutant", "ddg", "sequence", "seq_position")
_NAMES = {
    "protein": ("protein", "protein_id", "pdb_id", "pdb", "PDB", "pdb_wild", "PDB_wild"),
    "chain": ("chain", "Chain", "chain_id"),
    "mutation": ("mutation", "mutation_pdb", "Mutation", "mutant_code"),
    "ddg": ("ddg", "ddG", "DDG", "ddG_kcal_mol", "ΔΔG"),
    "ph": ("ph", "pH"),
    "temperature": ("temperature", "temperature_K"),
    "celsius": ("temperature_C", "T"),
    "sequence": ("sequence", "wt_sequence"),
    "sequence_position": ("sequence_position", "seq_position"),
}


def is_prepared(path: Path) -> bool:
    """Whether a file has the columns of our collection of curated sets, where positive is destabilising already."""
    return set(PREPARED) <= set(column_names(path))


def read_prepared(path: Path) -> Reading:
    """A curated set with a sequence for every row; ΔΔG kcal/mol, positive = destabilising: taken as it is."""
    also = ("protein_id", "pdb_id", "chain", "position", "pH", "temperature_K", "temperature_C")
    cells = read_cells(path, PREPARED, also=also)
    empty = pd.Series("", index=cells.index)
    positions = values_of(cells["seq_position"], path)
    temperature = values_of(cells.get("temperature_K", empty), path)
    celsius = kelvin(values_of(cells.get("temperature_C", empty), path))
    rows = pd.DataFrame(
        {
            "protein": cells["protein_id"] if "protein_id" in cells else cells["pdb_id"],
            "chain": cells.get("chain", empty),
            "position": cells.get("position", empty).str.removesuffix(".0"),
            "insertion_code": empty,
            "wild_type": cells["wild_type"],
            "mutant": cells["mutant"],
            "ddg": values_of(cells["ddg"], path),
            "ph": values_of(cells.get("pH", empty), path),
            "temperature": np.where(np.isnan(temperature), celsius, temperature),
            "sequence": cells["sequence"],
            "sequence_position": np.nan_to_num(positions).astype(np.int64),
        }
    )
    return Reading(rows, [], sign="a curated set, positive = destabilising; kept")


def read_s669(path: Path, options: ImportOptions) -> Reading:
    """S669, the supplementary table of Pancotti et al. 2022 (``Data_s669_with_predictions.csv``).

    Its ``DDG_checked_dir`` is positive = stabilising: turned around. Numbering is the structure's.
    """
    if is_prepared(path):
        return read_prepared(path)
    cells = read_cells(path, ("Protein", "PDB_Mut", "DDG_checked_dir"), also=("pH", "TEMP", "Temperature"))
    parsed, refused, several = split_mutations(cells["PDB_Mut"], cells["Protein"])
    cells = cells.loc[parsed.index]
    return _with_author_numbers(
        parsed,
        protein=cells["Protein"].str[:4].str.lower(),
        chain=cells["Protein"].str[4:],
        ddg=-values_of(cells["DDG_checked_dir"], path),
        ph=leading_numbers(cells["pH"]) if "pH" in cells else None,
        temperature=next((leading_numbers(cells[name]) for name in ("TEMP", "Temperature") if name in cells), None),
        refused=refused,
        several=several,
    )


def read_s2648(path: Path, options: ImportOptions) -> Reading:
    """S2648 (Dehouck et al. 2009) as PremPS distributes it (``S2648.txt``): ``DDGexp``, positive = destabilising."""
    if is_prepared(path):
        return read_prepared(path)
    cells = read_cells(path, ("PDB Id", "Mutated Chain", "Mutation_PDB", "DDGexp"))
    parsed, refused, several = split_mutations(cells["Mutation_PDB"], cells["PDB Id"])
    cells = cells.loc[parsed.index]
    return _with_author_numbers(
        parsed,
        protein=cells["PDB Id"].str.lower(),
        chain=cells["Mutated Chain"],
        ddg=values_of(cells["DDGexp"], path),
        refused=refused,
        several=several,
    )


def read_ssym(path: Path, options: ImportOptions) -> Reading:
    """Ssym (Pucci et al. 2018) as ProDDG distributes it (``Ssym.tsv``): ``ddG``, positive = destabilising.

    Each row becomes two: the mutation, and its reverse in the mutant's structure with the opposite ΔΔG.
    """
    if is_prepared(path):
        return read_prepared(path)
    needed = ("pdb", "chain", "mutation", "mutation_pdb", "pdb_mutant", "chain_mutant", "ddG", "wt_sequence")
    cells = read_cells(path, (*needed, "mutant_sequence"), also=("pH", "T"))
    by_author, refused, several = split_mutations(cells["mutation_pdb"], cells["pdb"])
    by_sequence, _, _ = split_mutations(cells["mutation"], cells["pdb"])
    kept = by_author.index.intersection(by_sequence.index)
    cells, by_author, by_sequence = cells.loc[kept], by_author.loc[kept], by_sequence.loc[kept]
    direct = _with_author_numbers(
        by_author,
        protein=cells["pdb"].str.lower(),
        chain=cells["chain"],
        ddg=values_of(cells["ddG"], path),
        ph=leading_numbers(cells["pH"]) if "pH" in cells else None,
        temperature=kelvin(leading_numbers(cells["T"])) if "T" in cells else None,
        refused=refused,
        several=several,
    ).rows
    direct["sequence"], direct["sequence_position"] = cells["wt_sequence"], by_sequence["number"]
    reverse = direct.assign(
        protein=cells["pdb_mutant"].str.lower(),
        chain=cells["chain_mutant"],
        wild_type=direct["mutant"],
        mutant=direct["wild_type"],
        ddg=-direct["ddg"],
        sequence=cells["mutant_sequence"],
    )
    return Reading(pd.concat([direct, reverse]).sort_index(kind="stable"), refused, several)


def read_varibench(path: Path, options: ImportOptions) -> Reading:
    """VariBench's stability sets (Sasidharan Nair and Vihinen 2013), whose ΔΔG are ProTherm's: positive = stabilising.

    Turned around. Their column names differ from set to set: those that `read_named` knows are read.
    """
    if is_prepared(path):
        return read_prepared(path)
    return read_named(path, factor=-1.0)


def read_any(path: Path, options: ImportOptions) -> Reading:
    """A table of no known source; unit and sign as `options` or the file's own `# ddg:` line say.

    Raises
    ------
    InputError
        Neither says what a positive value means, or both do and differ.
    """
    positive, unit = _stated(path)
    if positive and options.positive and (positive, unit) != (options.positive, options.unit):
        raise InputError(
            f"{path}: its '# ddg:' line says {unit}, positive = {positive}; the options say {options.unit}, "
            f"positive = {options.positive}; leave the options out or mend the line"
        )
    positive, unit = (positive, unit) if positive else (options.positive, options.unit)
    if positive is None:
        raise InputError(
            f"{path}: nothing says what a positive value means; give --positive destabilising or --positive "
            "stabilising (look for a mutation known to be bad, as one to proline in a helix)"
        )
    factor = (1.0 if positive == "destabilising" else -1.0) * (KCAL_PER_KJ if unit == "kJ/mol" else 1.0)
    return read_named(path, factor=factor)


def states_its_sign(path: Path) -> bool:
    """Whether a file has a `# ddg:` line of its own."""
    return _stated(path)[0] is not None


def _stated(path: Path) -> tuple[str | None, str]:
    """What positive means, and the unit, by the file's own `# ddg:` line."""
    for line in leading_comments(path):
        if line.startswith("# ddg:"):
            positive = next((word for word in ("destabilising", "stabilising") if f"positive = {word}" in line), None)
            unit = next((unit for unit in ("kcal/mol", "kJ/mol") if unit in line), None)
            if positive is None or unit is None:
                raise InputError(
                    f"{path}: its line '{line}' is not understood; write "
                    "'# ddg: kcal/mol, positive = destabilising' (or kJ/mol, or stabilising)"
                )
            return positive, unit
    return None, "kcal/mol"


def read_named(path: Path, factor: float) -> Reading:
    """A table by the names its columns commonly have; ΔΔG times `factor` is kcal/mol, positive = destabilising.

    Columns for the protein and ΔΔG, and either `wild_type`, `position` and `mutant` or one `mutation`; chain, pH,
    temperature (K, or `temperature_C`), sequence and sequence_position where they are. With a sequence and no
    sequence_position, positions count in the sequence.
    """
    columns = column_names(path)
    named = {key: next((name for name in names if name in columns), None) for key, names in _NAMES.items()}
    split = {"wild_type", "mutant", "position"} <= set(columns)
    for key, needed in (("protein", True), ("ddg", True), ("mutation", not split)):
        if needed and named[key] is None:
            raise InputError(
                f"{path}: no column for the {key} (known names: {', '.join(_NAMES[key])}"
                f"{'; or wild_type, position and mutant' if key == 'mutation' else ''}); "
                f"its columns are {', '.join(columns[:15])}; rename it"
            )
    used = [name for name in named.values() if name]
    cells = read_cells(path, also=(*used, "wild_type", "mutant", "position", "insertion_code"))
    texts = cells[named["mutation"]] if not split else _joined(cells)
    parsed, refused, several = split_mutations(texts, cells[named["protein"]])
    values = values_of(cells[named["ddg"]], path) * factor
    without = cells.index[np.isnan(values)].intersection(parsed.index)
    parsed = parsed.drop(index=without)
    values = pd.Series(values, index=cells.index)[parsed.index].to_numpy()
    cells = cells.loc[parsed.index]
    temperature = leading_numbers(cells[named["temperature"]]) if named["temperature"] else None
    if temperature is None and named["celsius"]:
        temperature = kelvin(leading_numbers(cells[named["celsius"]]))
    reading = _with_author_numbers(
        parsed,
        protein=cells[named["protein"]],
        chain=cells[named["chain"]] if named["chain"] else parsed["named_chain"],
        ddg=values,
        ph=leading_numbers(cells[named["ph"]]) if named["ph"] else None,
        temperature=temperature,
        refused=refused,
        several=several + len(without),
    )
    if named["sequence"]:
        reading.rows["sequence"] = cells[named["sequence"]]
        known = cells[named["sequence_position"]] if named["sequence_position"] else parsed["number"].astype(str)
        reading.rows["sequence_position"] = np.nan_to_num(values_of(known, path)).astype(np.int64)
    return reading


def _joined(cells: pd.DataFrame) -> pd.Series:
    codes = cells.get("insertion_code", "")
    return cells["wild_type"] + cells["position"] + codes + cells["mutant"]


def _with_author_numbers(
    parsed: pd.DataFrame,
    *,
    protein: pd.Series,
    chain: pd.Series,
    ddg: np.ndarray,
    refused: list[Refusal],
    several: int,
    ph: np.ndarray | None = None,
    temperature: np.ndarray | None = None,
) -> Reading:
    unknown = np.full(len(parsed), np.nan)
    rows = pd.DataFrame(
        {
            "protein": protein,
            "chain": chain,
            "position": parsed["number"].astype(str),
            "insertion_code": parsed["insertion_code"],
            "wild_type": parsed["wild_type"],
            "mutant": parsed["mutant"],
            "ddg": ddg,
            "ph": unknown if ph is None else ph,
            "temperature": unknown if temperature is None else temperature,
            "sequence": "",
            "sequence_position": 0,
        }
    )
    return Reading(rows, refused, several)
