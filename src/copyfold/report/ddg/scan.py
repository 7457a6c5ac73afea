"""The report of a scan: every substitution of one protein."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from copyfold.ddg.sequences import AMINO_ACIDS
from copyfold.ddg.structures import UNSURE_PLDDT
from copyfold.report.ddg.plots import assay_beside_scan, scan_heatmap, site_means
from copyfold.report.page import BigTable, Column, Figure, Finding, Findings, Page, Section, Tiles

DESTABILISING = 1.0
ASSAY_PREFIX = "dms_"
"""Of the columns that hold an assay's scores, higher = fitter."""
_SHARE_OUTSIDE = 0.1


@dataclass(frozen=True)
class ScanResults:
    """A scan, read.

    Attributes
    ----------
    name : str
        Of its folder.
    about : tuple of str
        What the table says of itself: unit and sign, model, protein.
    table : pandas.DataFrame
        position, wild_type, mutant, ddg_kcal_mol (positive = destabilising), sigma_kcal_mol, in_domain, reason; a row
        for each substitution, sites in order; of assays beside it columns that begin with `ASSAY_PREFIX`.
    plddt : numpy.ndarray or None, (n_sites,)
        Of an AlphaFold model, 0–100.
    """

    name: str
    about: tuple[str, ...]
    table: pd.DataFrame
    plddt: np.ndarray | None = None

    @property
    def sites(self) -> pd.DataFrame:
        """position and wild_type of each site, in order."""
        return self.table.drop_duplicates("position")[["position", "wild_type"]].reset_index(drop=True)


def scan_grid(table: pd.DataFrame, column: str = "ddg_kcal_mol") -> np.ndarray:
    """A column by site and amino acid: (n_sites, 20), NaN for the wild type and what is missing."""
    sites = {name: row for row, name in enumerate(table["position"].drop_duplicates())}
    grid = np.full((len(sites), len(AMINO_ACIDS)), np.nan)
    columns = table["mutant"].map({letter: column for column, letter in enumerate(AMINO_ACIDS)})
    known = columns.notna().to_numpy()
    rows = table["position"].map(sites).to_numpy()[known]
    grid[rows, columns[known].to_numpy(np.int64)] = table[column].to_numpy(np.float64)[known]
    return grid


def scan_page(results: ScanResults) -> Page:
    """The whole report of a scan."""
    sites, grid = results.sites, scan_grid(results.table)
    positions, wild_type = sites["position"].tolist(), "".join(sites["wild_type"])
    heatmap = Figure(
        scan_heatmap(positions, wild_type, grid, results.plddt),
        "Predicted ΔΔG, kcal/mol: red destabilises, blue stabilises; dots mark the wild type."
        + (
            " Above: pLDDT over 90 (blue), over 70 (light blue), over 50 (yellow), below (orange)."
            * (results.plddt is not None)
        ),
    )
    values = results.table["ddg_kcal_mol"].to_numpy(np.float64)
    known = values[np.isfinite(values)]
    tiles = [
        (f"{len(sites):,}", "sites", ""),
        (f"{len(known):,}", "substitutions", f"{len(values) - len(known):,} refused"),
    ]
    if known.size:
        tiles.append(
            (f"{(known >= DESTABILISING).mean():.0%}", "destabilise", f"by {DESTABILISING:g} kcal/mol or more")
        )
        tiles.append((f"{np.median(known):.2f}", "median ΔΔG", "kcal/mol"))
    fine = "Every site is like those the model was trained on, as far as the rules tell."
    sections = (
        Section("summary", "Summary", (Tiles(tuple(tiles)),)),
        Section("quality", "What looks wrong, and what to do", (Findings(find_problems(results), fine),)),
        Section("scan", "Every substitution", (heatmap,)),
        *_assays(results, grid),
        Section("sites", "Sites", (_site_table(results, grid),)),
        Section("substitutions", "Substitutions", (_substitutions(results),)),
    )
    footer = (
        "ΔΔG in kcal/mol, positive = destabilising. A prediction is no measurement; sigma says how far it may be off."
    )
    return Page(f"Scan: {results.name}", " · ".join(results.about), sections, footer)


def _assays(results: ScanResults, grid: np.ndarray) -> tuple[Section, ...]:
    """Each assay that the scan has beside it."""
    names = [name for name in results.table if name.startswith(ASSAY_PREFIX)]
    if not names:
        return ()
    caption = (
        "Left: each substitution measured and predicted; where the fold is needed the score falls as ΔΔG rises. Right: "
        "means over each residue's measured substitutions. A residue whose score is low though its ΔΔG is low too does "
        "something else than hold the fold."
    )
    figures = []
    for name in names:
        scores = scan_grid(results.table, name)
        drawing = assay_beside_scan(results.sites["position"].tolist(), grid, scores, name.removeprefix(ASSAY_PREFIX))
        said = next((line for line in results.about if line.startswith(f"{name}:")), "")
        figures.append(Figure(drawing, f"{said}. {caption}".removeprefix(". ")))
    return (Section("assays", "Measured beside predicted", tuple(figures)),)


def find_problems(results: ScanResults) -> tuple[Finding, ...]:
    """What a reader of a scan should know before using it."""
    found = []
    sites = results.table.drop_duplicates("position")
    refused = sites[sites["ddg_kcal_mol"].isna()]
    if len(refused):
        reasons = refused["reason"].value_counts()
        what = f"{len(refused)} of {len(sites)} sites: {'; '.join(f'{text} ({n})' for text, n in reasons.items())}."
        advice = "Use a structure in which these residues are whole, or `--sequence`."
        found.append(Finding("caution", "Sites without a prediction", what, advice, _labels(refused)))
    unsure = sites["reason"].astype(str).str.startswith("pLDDT")  # told below
    outside = sites[(sites["in_domain"].astype(str) == "False") & ~unsure]
    if len(outside) > _SHARE_OUTSIDE * len(sites):
        what = f"{len(outside)} of {len(sites)} sites are unlike those the model was trained on."
        found.append(
            Finding("caution", "Out of domain", what, "Trust ranks within the protein at most.", _labels(outside))
        )
    if results.plddt is not None and (low := results.plddt < UNSURE_PLDDT).any():
        what = (
            f"At {int(low.sum())} of {len(low)} sites the AlphaFold model has a pLDDT below {UNSURE_PLDDT:g}: the "
            "place of these residues is a guess, and often they have none."
        )
        advice = "Do not interpret ΔΔG there; disordered residues have no fold to lose."
        found.append(Finding("caution", "Unsure structure", what, advice, _labels(results.sites[low])))
    return tuple(found)


def _labels(sites: pd.DataFrame) -> tuple[str, ...]:
    return tuple((sites["wild_type"] + sites["position"].astype(str)).tolist())


def _site_table(results: ScanResults, grid: np.ndarray) -> BigTable:
    sites = results.sites
    largest = np.nan_to_num(grid, nan=-np.inf).max(axis=1)
    columns = [
        Column("position", sites["position"].astype(str).tolist()),
        Column("wild type", sites["wild_type"].tolist()),
    ]
    if "standard_number" in results.table:
        standard = results.table.drop_duplicates("position")["standard_number"]
        columns.append(Column("standard number", [_number_text(one) for one in standard]))
    columns += [Column("mean ddg", site_means(grid)), Column("largest ddg", largest)]
    if results.plddt is not None:
        columns.append(Column("plddt", results.plddt))
    caption = "Mean and largest predicted ΔΔG of each site, kcal/mol; sort for the sensitive ones"
    return BigTable("site", caption, tuple(columns), f"{results.name}.sites.tsv")


def _number_text(value: object) -> str:
    """A number as scan.csv has it; pandas reads a column with gaps as floats."""
    return "" if value == "" or pd.isna(value) else f"{float(str(value)):.0f}"  # type: ignore[call-overload]


def _substitutions(results: ScanResults) -> BigTable:
    table = results.table
    columns = (
        Column("mutation", (table["wild_type"] + table["position"].astype(str) + table["mutant"]).tolist()),
        Column("to", table["mutant"].tolist(), choose=True),
        Column("ddg", table["ddg_kcal_mol"].to_numpy(np.float64)),
        Column("sigma", table["sigma_kcal_mol"].to_numpy(np.float64)),
        Column(
            "in domain",
            table["in_domain"].astype(str).replace({"True": "yes", "False": "no", "nan": ""}).tolist(),
            choose=True,
        ),
    )
    return BigTable("substitution", "Predicted ΔΔG, kcal/mol", columns, f"{results.name}.scan.tsv")
