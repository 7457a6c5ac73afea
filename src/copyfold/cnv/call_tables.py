"""Tables of gene calls: a row per sample; ``<gene>`` is a copy number, ``crr_<gene>`` or ``pcn_<gene>`` its ratio."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from copyfold.core.files import write_text
from copyfold.errors import InputError, RunError

CALL_KINDS = {"amplified": (2, np.inf), "normal": (1, 1), "absent": (0, 0), "uncallable": (-1, -1)}
"""Least and largest copy number of each kind of call."""


def write_calls(path: Path, table: pd.DataFrame) -> None:
    """Write a table of calls, atomically."""
    write_text(path, table.to_csv(sep="\t", index=False, float_format="%.4f", lineterminator="\n"))


def read_calls(path: Path) -> pd.DataFrame:
    """A table of gene calls as `write_calls` writes it.

    Raises
    ------
    RunError
        There is none.
    InputError
        It cannot be read, or has no column ``sample_id``.
    """
    try:
        table = pd.read_csv(path, sep="\t", dtype={"sample_id": str}, keep_default_na=False, na_values=[""])
    except FileNotFoundError:
        raise RunError(f"{path}: missing; run `copyfold cnv call {Path(path).parent}`") from None
    except (OSError, ValueError, OverflowError) as error:
        raise InputError(f"{path}: cannot be read ({str(error).splitlines()[0]}); run `cnv call` again") from None
    if "sample_id" not in table.columns:
        raise InputError(f"{path}: cannot be read (it has no column sample_id); run `cnv call` again")
    if table["sample_id"].isna().any() or table["sample_id"].duplicated().any():
        raise InputError(f"{path}: a row has no sample_id, or one that stands twice; run `cnv call` again")
    if not isinstance(table.index, pd.RangeIndex):
        raise InputError(f"{path}: its rows have more cells than its header; run `cnv call` again")
    genes = called_genes(table)
    for name in table.columns:
        is_number = name in genes or name == "median_depth" or name.startswith(("crr_", "pcn_"))
        if is_number and table[name].dtype.kind not in "if":
            raise InputError(f"{path}: column '{name}' holds other than numbers; run `cnv call` again")
    return table


def called_genes(table: pd.DataFrame) -> list[str]:
    """Columns that hold copy numbers: those with a ratio beside them."""
    return [name for name in table.columns if {f"crr_{name}", f"pcn_{name}"} & set(table.columns)]


def count_kinds(calls: pd.Series) -> dict[str, int]:
    """Samples with each of `CALL_KINDS`, of one gene; missing calls are of none."""
    return {kind: int(calls.between(low, high).sum()) for kind, (low, high) in CALL_KINDS.items()}
