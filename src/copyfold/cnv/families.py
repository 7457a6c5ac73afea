"""Gene families: which allele belongs to which family, and what calls of alleles say about the family.

Truth tables name families (``blaKPC``), call tables may name alleles (``blaKPC-2``). Alleles of one family
differ by a few nucleotides, reads map to all of them, and only the family can be compared.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np
import pandas as pd

from copyfold.errors import InputError

FAMILY_MEMBERS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "blaKPC": ("blaKPC-2",),
        "blaCTX-M": ("blaCTX-M-15", "blaCTX-M-14", "blaCTX-M-65", "blaCTX-M-27"),
        "blaNDM": ("blaNDM-1", "blaNDM-5"),
        # The number of an OXA enzyme says nothing about its family (blaOXA-23 is not like
        # blaOXA-48), so the OXA-48-likes are listed and no rule adds to them.
        "blaOXA-48-like": (
            *("blaOXA-48", "blaOXA-181", "blaOXA-232"),
            *(
                "blaOXA-162",
                "blaOXA-163",
                "blaOXA-199",
                "blaOXA-204",
                "blaOXA-244",
                "blaOXA-245",
                "blaOXA-247",
            ),
            *("blaOXA-252", "blaOXA-370", "blaOXA-405", "blaOXA-436", "blaOXA-484"),
        ),
        "blaTEM": ("blaTEM-1",),
        "qnrB": ("qnrB1",),
        "aac6-Ib-cr": ("aac6-Ib-cr", "aac(6')-Ib-cr"),
        "aac3-II": ("aac3-II", "aac(3)-IIa", "aac(3)-IId", "aac(3)-IIe"),
        # Numbers of dfrA and sul are genes of their own (50–70 % identity), not alleles.
        "dfrA12": ("dfrA12",),
        "dfrA14": ("dfrA14",),
        "sul1": ("sul1",),
        "sul2": ("sul2",),
    }
)
"""Members that are listed by name; the allele rule of `family_of` adds further alleles to some families."""

_FAMILY_OF_MEMBER = {member: family for family, members in FAMILY_MEMBERS.items() for member in members}

_ALLELE_RULES = (
    re.compile(r"(?P<family>bla(?!OXA-)[A-Z]+(?:-[A-Z]+)?)-\d+[A-Za-z]?"),  # blaKPC-3, blaCTX-M-27, blaSHV-2A
    re.compile(r"(?P<family>qnr[A-Z]+)\d+"),  # qnrB19
    re.compile(r"(?P<family>mcr-\d+)\.\d+"),  # mcr-1.1
)


def family_of(gene: str) -> str:
    """Family that a gene name belongs to.

    Parameters
    ----------
    gene : str
        Allele or family name, e.g. ``blaKPC-3``.

    Returns
    -------
    str
        The listed family of `FAMILY_MEMBERS`; else the name without its allele number where names are built
        that way (``bla``, ``qnr``, ``mcr``); else the name itself.
    """
    if gene in _FAMILY_OF_MEMBER:
        return _FAMILY_OF_MEMBER[gene]
    for rule in _ALLELE_RULES:
        if match := rule.fullmatch(gene):
            return match["family"]
    return gene


Mode = Literal["amp", "presence"]
EVENT_FROM = {"amp": 2, "presence": 1}
"""Smallest copy number that is an event: amplification of a chromosomal gene, presence of a plasmid gene."""
PERCENTILES = (10, 25, 50, 75, 90)
_RATIO = {"amp": "crr", "presence": "pcn"}
_TABLE = {"amp": "gene calls", "presence": "plasmid gene calls"}
_LABELS = {
    "amp": ("failed", "pred_normal", "pred_event"),
    "presence": ("failed", "pred_absent", "pred_present"),
}


@dataclass(frozen=True, eq=False)
class FamilyCalls:
    """Calls of one family over a cohort.

    Attributes
    ----------
    family : str
    mode : {"amp", "presence"}
        Chromosomal or plasmid call table.
    sample_ids : numpy.ndarray, (n_samples,), str
    cn : numpy.ndarray, (n_samples,), int64
        −1 uncallable, 0 absent, 1 normal, ≥ 2 amplified.
    no_entry : numpy.ndarray, (n_samples,), bool
        The call table holds no value; `cn` is then −1.
    ratio : numpy.ndarray, (n_samples,), float64
        CRR or PCN; NaN where unknown.
    """

    family: str
    mode: Mode
    sample_ids: np.ndarray
    cn: np.ndarray
    no_entry: np.ndarray
    ratio: np.ndarray


@dataclass(frozen=True)
class RatioPercentiles:
    """CRR or PCN of the samples with one predicted label; without values, a reason instead of `percentiles`.

    `n` samples have the label, `n_values` of them a ratio. ``failed``: cn −1; ``pred_normal``: 0 or 1.
    """

    gene: str
    ratio: str
    label: str
    n: int
    n_values: int
    percentiles: dict[str, float] | None
    reason: str | None


def calls_by_family(calls: pd.DataFrame, mode: Mode) -> tuple[FamilyCalls, ...]:
    """Family calls from a table with columns ``sample_id``, ``<gene>`` and ``crr_<gene>`` or ``pcn_<gene>``.

    The family's own column is taken where there is one. Otherwise members are joined: the event is called
    when any member calls it; without an event, one uncallable member makes the family uncallable. The PCN of
    a family is the sum of its members' PCN, the CRR the largest.

    Parameters
    ----------
    calls : pandas.DataFrame
        ``cn`` columns hold whole numbers ≥ −1; columns without a ratio column beside them are ignored.
    mode : {"amp", "presence"}
        Chromosomal genes, with CRR, or plasmid genes, with PCN.

    Raises
    ------
    InputError
        No ``sample_id`` column, a repeated sample, or a cn or ratio that cannot be one.
    """
    table, ratio, event_from = _TABLE[mode], _RATIO[mode], EVENT_FROM[mode]
    if "sample_id" not in calls.columns:
        raise InputError(f"{table}: no column sample_id; columns are {', '.join(map(str, calls.columns))}")
    sample_ids = calls["sample_id"].astype(str).to_numpy(dtype=object)
    repeated = calls["sample_id"].astype(str).duplicated()
    if repeated.any():
        raise InputError(f"{table}: sample '{sample_ids[repeated.to_numpy()][0]}' stands twice; keep one row of it")
    columns = set(calls.columns)
    members: dict[str, list[str]] = {}
    for gene in calls.columns:
        if f"{ratio}_{gene}" in columns:
            members.setdefault(family_of(gene), []).append(gene)
    families = []
    for family, genes in members.items():
        used = [family] if family in genes else genes
        cn = np.column_stack([_whole_numbers(calls, gene, sample_ids, table) for gene in used])
        ratios = np.column_stack([_numbers(calls, f"{ratio}_{gene}", sample_ids, table) for gene in used])
        no_entry = np.isnan(cn)
        cn = np.where(no_entry, -1, cn).astype(np.int64)
        highest = cn.max(axis=1)
        uncallable = (highest < event_from) & (cn == -1).any(axis=1)
        ratios[~np.isfinite(ratios)] = np.nan
        known = ~np.isnan(ratios)
        joined = np.where(known, ratios, 0).sum(axis=1) if ratio == "pcn" else np.fmax.reduce(ratios, axis=1)
        families.append(
            FamilyCalls(
                family,
                mode,
                sample_ids,
                np.where(uncallable, -1, highest),
                uncallable & no_entry.any(axis=1),
                np.where(known.any(axis=1), joined, np.nan),
            )
        )
    return tuple(families)


def ratio_percentiles(calls: FamilyCalls) -> list[RatioPercentiles]:
    """Percentiles of CRR or PCN by predicted label, labels in the order failed, no event, event."""
    ratio = _RATIO[calls.mode].upper()
    event, failed = calls.cn >= EVENT_FROM[calls.mode], calls.cn == -1
    rows = []
    for label, members in zip(_LABELS[calls.mode], (failed, ~failed & ~event, event), strict=True):
        values = calls.ratio[members & ~np.isnan(calls.ratio)]
        n = int(members.sum())
        reason = None if values.size else "no sample has this label" if n == 0 else f"no {ratio} was written"
        found = percentiles(values) if values.size else None
        rows.append(RatioPercentiles(calls.family, ratio, label, n, int(values.size), found, reason))
    return rows


def percentiles(values: np.ndarray) -> dict[str, float]:
    """`PERCENTILES` of at least one value, keys ``p10`` to ``p90``."""
    return {f"p{p}": float(value) for p, value in zip(PERCENTILES, np.percentile(values, PERCENTILES), strict=True)}


def _numbers(calls: pd.DataFrame, column: str, sample_ids: np.ndarray, table: str) -> np.ndarray:
    """A column as float64 with NaN for empty cells."""
    numbers = pd.to_numeric(calls[column], errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    bad = np.flatnonzero(np.isnan(numbers) & calls[column].notna().to_numpy())
    if bad.size:
        raise InputError(
            f"{table}: column {column}, sample '{sample_ids[bad[0]]}' is '{calls[column].iloc[bad[0]]}'; "
            "it must be a number"
        )
    return numbers


def _whole_numbers(calls: pd.DataFrame, column: str, sample_ids: np.ndarray, table: str) -> np.ndarray:
    numbers = _numbers(calls, column, sample_ids, table)
    whole = np.isfinite(numbers) & (numbers == np.rint(numbers)) & (numbers >= -1)
    bad = np.flatnonzero(~whole & ~np.isnan(numbers))
    if bad.size:
        raise InputError(
            f"{table}: column {column}, sample '{sample_ids[bad[0]]}' is {numbers[bad[0]]:g}; a copy number "
            "is whole: −1 uncallable, 0 absent, 1 normal, 2 or more amplified"
        )
    return numbers
