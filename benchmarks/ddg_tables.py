"""Tidy tables of the collected public data (sets/, proteingym/) for the stability benchmarks."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from copyfold.ddg.datasets import with_structure_terms
from copyfold.ddg.sequences import AMINO_ACIDS
from copyfold.ddg.table import agrees


def stability_table(data: Path, name: str, cache: Path) -> pd.DataFrame:
    """``sets/<name>.csv.gz`` as a tidy table with structure terms, without rows that sequence or structure contradict.

    S669 keeps the rows that have no structure, for its specialist needs none.
    """
    kept = cache / f"{name}.parquet"
    if kept.exists():
        return pd.read_parquet(kept)
    raw = pd.read_csv(data / "sets" / f"{name}.csv.gz", dtype={"position": str})
    raw = raw[agrees(raw.sequence, raw.seq_position.to_numpy(), raw.wild_type)]
    raw = raw[raw.mutant.isin(list(AMINO_ACIDS))].reset_index(drop=True)
    number = raw["position"].str.extract(r"^(-?\d+)(.*)$")
    table = raw.rename(columns={"pdb_id": "protein", "seq_position": "sequence_position"}).assign(
        position=number[0], insertion_code=number[1], source=name
    )
    table = table[
        ["protein", "chain", "position", "insertion_code", "wild_type", "mutant", "ddg", "source", "sequence"]
    ]
    if name != "s669":
        table, left_out = with_structure_terms(table, data / "structures")
        print("\n".join(left_out), flush=True)
    table.to_parquet(kept)
    return table


def fitness_table(data: Path) -> pd.DataFrame:
    """Single mutants of every DMS file in ``proteingym/``, an assay per file, with the wild-type sequence put back."""
    folder = data / "proteingym"
    files = [*sorted(folder.glob("*.csv.gz")), *sorted((folder / "stability").glob("*.csv.gz"))]
    parts = []
    for file in files:
        assay = file.name.removesuffix(".csv.gz").removesuffix("_metl")
        if assay == "DMS_substitutions" or assay.endswith("_esmrepo"):
            continue
        raw = pd.read_csv(file)
        raw = raw[~raw.mutant.str.contains(":")]
        if raw.empty:
            continue
        wild_type, position, mutant = raw.mutant.str[0], raw.mutant.str[1:-1].astype(int), raw.mutant.str[-1]
        first = raw.mutated_sequence.iloc[0]
        place = position.iloc[0] - 1
        sequence = first[:place] + wild_type.iloc[0] + first[place + 1 :]
        stands = [sequence[p - 1] == letter for p, letter in zip(position, wild_type, strict=True)]
        parts.append(
            pd.DataFrame(
                {
                    "protein": "_".join(assay.split("_")[:2]),
                    "chain": "",
                    "position": position.astype(str),
                    "insertion_code": "",
                    "wild_type": wild_type,
                    "mutant": mutant,
                    "score": raw.DMS_score,
                    "source": assay,
                    "sequence": sequence,
                }
            )[stands]
        )
    return pd.concat(parts, ignore_index=True)
