"""What came of a cohort: a table of its samples and a summary to read. docs/formats/sample-sheet.md."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd

from copyfold.app.cohort_folder import CohortFolder
from copyfold.cnv.call_tables import CALL_KINDS, called_genes, count_kinds, read_calls
from copyfold.cnv.counting.sample_file import read_quality
from copyfold.cnv.sample_sheet import SheetSample
from copyfold.core.console import Console
from copyfold.core.files import read_json, write_text
from copyfold.errors import InputError

STATES = ("counted", "flagged", "refused", "pending")
_MEASURES = ("reads", "mapped_share", "median_depth", "ori_ter")
_REASONS_SHOWN = 20
_LINEAGES_SHOWN = 30


def write_summary(out: Path, console: Console) -> Path:
    """Write ``cohort.tsv`` and ``summary.txt`` of what there is by now.

    Returns
    -------
    Path
        summary.txt.

    Raises
    ------
    CopyfoldError
        `out` is not a cohort's folder, or a file in it is damaged.
    """
    folder = CohortFolder(out)
    samples = folder.read_sheet().samples
    table = pd.DataFrame([_quality_row(folder, each) for each in samples])
    table["reads"] = table["reads"].astype("Int64")
    calls, genes = _calls(folder)
    if calls is not None:
        table = table.merge(calls, how="left", left_on="sample", right_index=True)
        for gene in genes:
            table[gene] = table[gene].astype("Int64")
    write_text(out / "cohort.tsv", table.to_csv(sep="\t", index=False, lineterminator="\n"))
    text = "\n".join(_summary(folder, table, genes)) + "\n"
    write_text(out / "summary.txt", text)
    console.say(text.rstrip("\n"))
    return out / "summary.txt"


def _quality_row(folder: CohortFolder, each: SheetSample) -> dict[str, Any]:
    row: dict[str, Any] = {"sample": each.sample, "lineage": each.lineage, "status": "pending", "reason": ""}
    quality: dict[str, Any] = {}
    if folder.quality(each.sample).exists():
        try:
            quality = read_quality(folder.quality(each.sample))
            row |= {"status": quality["status"], "reason": "; ".join(map(str, quality["flags"]))}
        except InputError as error:
            row |= {"status": "refused", "reason": str(error)}
    row["reason"] = " ".join(row["reason"].split())
    return row | {name: quality.get(name) for name in _MEASURES}


def _calls(folder: CohortFolder) -> tuple[pd.DataFrame | None, list[str]]:
    """Calls of both tables by sample, None while there are none, and the names of the genes' columns."""
    if not (folder.run / "gene_calls.tsv").exists() or not folder.step("train").exists():
        return None, []
    chromosomal = (
        read_calls(folder.run / "gene_calls.tsv").set_index("sample_id").drop(columns="median_depth", errors="ignore")
    )
    genes = called_genes(chromosomal)
    if not (folder.run / "plasmid_gene_calls.tsv").exists():
        return chromosomal, genes
    plasmid = read_calls(folder.run / "plasmid_gene_calls.tsv").set_index("sample_id")
    twice = {name: f"plasmid_{name}" for name in plasmid.columns if name in chromosomal.columns}
    names = [twice.get(name, name) for name in called_genes(plasmid)]
    return chromosomal.join(plasmid.rename(columns=twice), how="outer"), [*genes, *names]


def _summary(folder: CohortFolder, table: pd.DataFrame, genes: list[str]) -> list[str]:
    states = Counter(table["status"])
    shown = ", ".join(f"{states[state]} {state}" for state in STATES if states[state] or state != "pending")
    lines = [f"{len(table)} samples: {shown}"]
    for state, meaning in (
        ("flagged", "flagged: counted, and not called"),
        ("refused", "refused: could not be counted"),
        ("pending", "pending: not counted yet; `copyfold cnv cohort` goes on"),
    ):
        of_state = table[table["status"] == state]
        if len(of_state):
            lines += ["", meaning]
            lines += [f"  {row.sample}  {row.reason}".rstrip() for row in of_state.head(_REASONS_SHOWN).itertuples()]
            if len(of_state) > _REASONS_SHOWN:
                lines.append(f"  … and {len(of_state) - _REASONS_SHOWN} more, in cohort.tsv")
    if genes:
        lines += ["", "Calls", *_call_table(table, genes), *_by_lineage(table, genes)]
        if note := read_json(folder.step("train")).get("note"):
            lines += ["", note]
    else:
        lines += ["", "no calls yet"]
    where = [("samples, with every call", "cohort.tsv"), ("calls, segments, evaluation", "run"), ("counts", "counts")]
    if genes:
        where.insert(0, ("to open in a browser", "run/report.html"))
    lines += ["", *(f"{what + ':':<28} {folder.path.resolve() / name}" for what, name in where)]
    return lines


def _call_table(table: pd.DataFrame, genes: list[str]) -> list[str]:
    width = max(4, *map(len, genes))
    lines = [f"  {'gene':<{width}}" + "".join(f"{kind:>12}" for kind in CALL_KINDS)]
    for gene in genes:
        lines.append(
            f"  {gene:<{width}}" + "".join(f"{number:>12}" for number in count_kinds(table[gene].dropna()).values())
        )
    return lines


def _by_lineage(table: pd.DataFrame, genes: list[str]) -> list[str]:
    called = table[(table["lineage"] != "") & (table["status"] == "counted")]
    lines: list[str] = []
    sizes = called["lineage"].value_counts(sort=False).sort_index().sort_values(ascending=False, kind="stable")
    for lineage, size in list(sizes.items())[:_LINEAGES_SHOWN]:
        lines += ["", f"Lineage {lineage}, {size} samples"]
        lines += _call_table(called[called["lineage"] == lineage], genes)
    if len(sizes) > _LINEAGES_SHOWN:
        lines += ["", f"… and {len(sizes) - _LINEAGES_SHOWN} smaller lineages, in cohort.tsv"]
    return lines
