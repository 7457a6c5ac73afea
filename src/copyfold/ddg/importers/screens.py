"""Readers of large screens: mega-scale stability (ΔΔG), and ProteinGym and MaveDB (fitness, which is no ΔΔG)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from copyfold.ddg.importers.published import is_prepared, read_prepared
from copyfold.ddg.importers.reading import (
    ImportOptions,
    Reading,
    Refusal,
    leading_numbers,
    read_cells,
    split_mutations,
    values_of,
)
from copyfold.errors import InputError

_NO_PROTEIN_CHANGE = r"^_?(?:wt|sy)$|=\)?$|(?:Ter|\*)\)?$|\?|fs|del|ins|dup|^$|^NA$|^p\.=$"


def read_megascale(path: Path, options: ImportOptions) -> Reading:
    """Tsuboyama et al. 2023, ``Tsuboyama2023_Dataset2_Dataset3_*.csv``: ``ddG_ML``, positive = stabilising.

    Turned around. ``ddG_ML`` is the mutant's ΔG of unfolding less the wild type's. ``mut_type`` (``E5A``) counts in
    ``aa_seq``, the mutant's sequence, from which the wild type's is made. Wild types, insertions, deletions, double
    mutants and rows without a ΔΔG (``-``: outside the range of the assay) are passed over.
    """
    if is_prepared(path):
        return read_prepared(path)
    cells = read_cells(path, ("WT_name", "mut_type", "aa_seq", "ddG_ML"))
    values = leading_numbers(cells["ddG_ML"])
    measured = ~np.isnan(values) & cells["mut_type"].str.fullmatch(r"[A-Z]\d+[A-Z]").to_numpy(dtype=bool)
    parsed, refused, several = split_mutations(cells.loc[measured, "mut_type"], cells["WT_name"])
    kept = parsed.index
    sequences = []
    for row, sequence, position, wild_type, mutant in zip(
        kept, cells.loc[kept, "aa_seq"], parsed["number"], parsed["wild_type"], parsed["mutant"], strict=True
    ):
        if 1 <= position <= len(sequence) and sequence[position - 1] == mutant:
            sequences.append(sequence[: position - 1] + wild_type + sequence[position:])
        else:
            sequences.append("")
            there = sequence[position - 1] if 1 <= position <= len(sequence) else "nothing"
            what = f"{cells.at[row, 'WT_name']} {wild_type}{position}{mutant}"
            refused.append(Refusal(int(row), what, f"aa_seq has {there} at {position}, not the mutant {mutant}"))
    rows = _rows(
        parsed,
        protein=cells.loc[kept, "WT_name"].str.removesuffix(".pdb"),
        value=-pd.Series(values, index=cells.index)[kept],
        name="ddg",
        sequence=pd.Series(sequences, index=kept, dtype=str),
    )
    return Reading(rows[rows["sequence"] != ""], refused, int(np.sum(~measured)) + several)


def read_proteingym(path: Path, options: ImportOptions) -> Reading:
    """ProteinGym's reference file and its folder of assays: ``DMS_score``, higher = fitter. Kept as it is; no ΔΔG.

    Scales differ from assay to assay. Assays of the reference file that the folder lacks are passed over; rows of
    several mutations, too. `protein` is the assay (``DMS_id``): the same protein may stand in several.

    Raises
    ------
    InputError
        As every reader; also without a folder, or where the folder holds none of the assays.
    """
    if options.folder is None:
        raise InputError(f"{path}: give the folder of assays, too, by --folder DMS_ProteinGym_substitutions")
    reference = read_cells(path, ("DMS_id", "DMS_filename", "target_seq"))
    parts, refused, n_other = [], [], 0
    offset = 0
    for assay, name, target in zip(
        reference["DMS_id"], reference["DMS_filename"], reference["target_seq"], strict=True
    ):
        file = next(
            (
                options.folder / f"{name}{ending}"
                for ending in ("", ".gz")
                if (options.folder / f"{name}{ending}").is_file()
            ),
            None,
        )
        if file is None:
            continue
        cells = read_cells(file, ("mutant", "DMS_score"))
        cells.index = cells.index + offset
        offset += len(cells)
        single = ~cells["mutant"].str.contains(":", regex=False)
        parsed, wrong, _ = split_mutations(cells.loc[single, "mutant"], pd.Series(assay, cells.index))
        scores = values_of(cells.loc[parsed.index, "DMS_score"], file)
        known = ~np.isnan(scores)
        parsed, scores = parsed[known], scores[known]
        sequence = pd.Series(target, index=parsed.index, dtype=str)
        parts.append(
            _rows(parsed, protein=pd.Series(assay, parsed.index), value=scores, name="score", sequence=sequence)
        )
        refused += [Refusal(one.row, f"{file.name}: {one.what}", one.reason) for one in wrong]
        n_other += len(cells) - len(parsed) - len(wrong)
    if not parts:
        raise InputError(
            f"{options.folder}: holds none of the assays that {path} names, as {reference['DMS_filename'].iloc[0]}"
        )
    return Reading(pd.concat(parts), refused, n_other)


def read_mavedb(path: Path, options: ImportOptions) -> Reading:
    """A MaveDB score set's scores (CSV): ``score`` by ``hgvs_pro``. Kept as it is; no ΔΔG.

    What a higher score means differs by score set; its page says it. The file does not hold the target's sequence,
    which `options` must give. Synonymous changes, stops, frame shifts, insertions, deletions and several substitutions
    are passed over.

    Raises
    ------
    InputError
        As every reader; also without the target's sequence.
    """
    if options.sequence is None:
        raise InputError(
            f"{path}: a MaveDB file holds no sequence to check positions against; give the target's protein sequence "
            "as FASTA by --sequence"
        )
    cells = read_cells(path, ("hgvs_pro", "score"))
    scores = values_of(cells["score"], path)
    wanted = ~cells["hgvs_pro"].str.contains(_NO_PROTEIN_CHANGE, regex=True).to_numpy() & ~np.isnan(scores)
    name = options.protein or path.name.split(".")[0]
    parsed, refused, several = split_mutations(cells.loc[wanted, "hgvs_pro"], pd.Series(name, cells.index))
    rows = _rows(
        parsed,
        protein=pd.Series(name, index=parsed.index, dtype=str),
        value=pd.Series(scores, index=cells.index)[parsed.index],
        name="score",
        sequence=pd.Series(options.sequence, index=parsed.index, dtype=str),
    )
    return Reading(rows, refused, int(np.sum(~wanted)) + several)


def _rows(
    parsed: pd.DataFrame, *, protein: pd.Series, value: pd.Series | np.ndarray, name: str, sequence: pd.Series
) -> pd.DataFrame:
    """Rows numbered by their sequence."""
    return pd.DataFrame(
        {
            "protein": protein,
            "chain": "",
            "position": "",  # a place in the sequence, which is no structure's number
            "insertion_code": "",
            "wild_type": parsed["wild_type"],
            "mutant": parsed["mutant"],
            name: value,
            "ph": np.nan,
            "temperature": np.nan,
            "sequence": sequence,
            "sequence_position": parsed["number"],
        },
        index=parsed.index,
    )
