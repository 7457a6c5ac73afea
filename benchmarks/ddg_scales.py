"""What the rule about scales decides on every assay, from its scores if they are here, else from what is published.

    python benchmarks/ddg_scales.py DATA

DATA is the folder with proteingym/. docs/benchmarks/ddg-scales.md holds what this prints.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from common import print_table
from copyfold.ddg.scales import decide_by_cutoff, fits_common_scale
from ddg_tables import fitness_table

DOCUMENT_RANGES = {
    "B2L11_HUMAN_Dutta_2010_binding-Mcl-1": (2.6e6, 1e8),
    "D7PM05_CLYGR_Somermeyer_2022": (590.0, 4e4),
    "Q6WV12_9MAXI_Somermeyer_2022": (590.0, 2.7e4),
    "Q8WTC7_9CNID_Somermeyer_2022": (449.0, 1.8e4),
    "KCNH2_HUMAN_Kozek_2020": (0.3, 133.0),
    "CCDB_ECOLI_Adkar_2012": (-87.0, -1.0),
    "SCN5A_HUMAN_Glazer_2019": (-205.0, -10.0),
}
"""The seven ranges that the document tables. It names proteins; of the two CCDB assays only Adkar's fits the range."""


def decision(assay: str, cutoff: float, spans: pd.DataFrame) -> tuple[str, str, str]:
    """Range, decision and what it rests on."""
    if assay in spans.index:
        low, high = spans.loc[assay]
        return f"{low:g} to {high:g}", "kept" if fits_common_scale(low, high) else "excluded", "scores"
    if assay in DOCUMENT_RANGES:
        low, high = DOCUMENT_RANGES[assay]
        return f"{low:g} to {high:g}", "kept" if fits_common_scale(low, high) else "excluded", "the document's range"
    return "", decide_by_cutoff(cutoff), "cutoff"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    data = parser.parse_args().data
    spans = fitness_table(data).groupby("source")["score"].agg(["min", "max"])
    reference = pd.read_csv(data / "proteingym/DMS_substitutions.csv.gz").set_index("DMS_id")["DMS_binarization_cutoff"]
    extra = [assay for assay in spans.index if assay not in reference.index]
    rows = []
    for assay in [*reference.index, *extra]:
        cutoff = reference.get(assay, float("nan"))
        scores, decided, by = decision(assay, cutoff, spans)
        shown = "not in the reference" if assay in extra else f"{cutoff:.4g}"
        rows.append({"assay": assay, "cutoff": shown, "scores": scores, "decision": decided, "by": by})
    counts = pd.DataFrame(rows).groupby(["decision", "by"]).size()
    print_table([{"decision": name, "by": by, "assays": int(n)} for (name, by), n in counts.items()])
    print()
    print_table(rows)


if __name__ == "__main__":
    main()
