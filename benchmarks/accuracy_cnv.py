"""Accuracy of whole designs on simulated cohorts, on lineages seen in training and on lineages that were not.

    python benchmarks/accuracy_cnv.py [--isolates 1000] [--seeds 1 2 3 4 5] [--device auto]

A fifth of the STs (by isolates) is kept out of training; their isolates are then inferred, segmented and called
like the others. Bins and genes whose true copy number lies between 1.3 and 1.7 are neither amplified nor normal
and are not scored; failed isolates are left out of the bin scores. Settings: presets `easy` and `hard`.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import matthews_corrcoef

from common import DesignResult, call_plasmids, configuration, machine, print_table, run_design
from copyfold.cnv.coordinates import Gene
from copyfold.cnv.simulation import SimulatedCohort, preset, simulate, true_copies
from copyfold.cnv.simulation.plasmids import PANEL
from copyfold.core.seeding import derive_generator
from copyfold.engine import pick_device

DESIGNS: dict[str, dict[str, Any]] = {
    "documents (experiment 32)": {},
    "pca_baseline": {"architecture": "pca_baseline"},
}
UNSEEN_SHARE = 0.2


def unseen_lineages(cohort: SimulatedCohort, seed: int) -> np.ndarray:
    """Rows of isolates whose ST is kept out of training: (n_samples,), bool."""
    lineages = cohort.samples["ST"].to_numpy()
    shuffled = derive_generator(seed, "unseen lineages").permutation(np.unique(lineages))
    sizes = pd.Series(lineages).value_counts()[shuffled].cumsum()
    return np.isin(lineages, sizes.index[(sizes <= UNSEEN_SHARE * len(lineages)).to_numpy()])


def precision_recall(called: np.ndarray, true: np.ndarray) -> tuple[float, float]:
    hits = float((called & true).sum())
    return (hits / called.sum() if called.any() else float("nan"), hits / true.sum() if true.any() else float("nan"))


def bin_scores(
    cohort: SimulatedCohort, copies: np.ndarray, gained: np.ndarray, lost: np.ndarray, rows: np.ndarray
) -> dict[str, float]:
    """Precision and recall of gained (≥ 1.7 copies) and lost bins (≤ 0.3) over some isolates, failed ones left out."""
    bins = rows & (cohort.samples["kind"] != "failed").to_numpy()
    some = copies[bins]
    unmixed = ~((some > 1.3) & (some < 1.7))
    gain = precision_recall(gained[bins] & unmixed, some >= 1.7)
    loss = precision_recall(lost[bins] & unmixed, some <= 0.3)
    return {"gain prec.": gain[0], "gain rec.": gain[1], "loss prec.": loss[0], "loss rec.": loss[1]}


def score(cohort: SimulatedCohort, copies: np.ndarray, result: DesignResult, rows: np.ndarray) -> dict[str, float]:
    """Scores over some isolates."""
    config = configuration()
    gene = cohort.geometry.panel[0]
    calls = result.calls[gene.name]
    medians = np.median(cohort.counts, axis=1)
    true = cohort.genes[gene.name].to_numpy()
    scored = rows & (calls.cn >= 0) & ~((true > 1.3) & (true < 1.7))
    amplified = scored & (true >= 1.7)
    coordinates = tuple(Gene(item.name, item.contig, item.x0, item.x1, item.absent_threshold) for item in PANEL)
    plasmids = call_plasmids(cohort.plasmid_counts, cohort.plasmid_genes, medians, coordinates, cohort.contigs, config)
    ctx_m = plasmids["blaCTX-M"].cn
    judged = rows & (ctx_m >= 0)
    cn = result.segmentation.cn
    return {
        "isolates": int(rows.sum()),
        "blaSHV MCC": float(matthews_corrcoef(true[scored] >= 1.7, calls.cn[scored] >= 2)),
        "blaSHV called": float((calls.cn[rows] >= 0).mean()),
        "copies error": float(np.median(np.abs(calls.ratio[amplified] / true[amplified] - 1))),
        **bin_scores(cohort, copies, cn >= 2, cn == 0, rows),
        "CTX-M MCC": float(matthews_corrcoef(cohort.genes["pcn_blaCTX-M"].to_numpy()[judged] > 0, ctx_m[judged] > 0)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--isolates", type=int, nargs="+", default=[1000])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--settings", nargs="+", default=["easy", "hard"])
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    device = pick_device(arguments.device)
    rows = []
    for size in arguments.isolates:
        for setting in arguments.settings:
            for seed in arguments.seeds:
                cohort = simulate(preset(setting), size, seed)
                copies = true_copies(cohort)
                unseen = unseen_lineages(cohort, seed)
                for design, changes in DESIGNS.items():
                    config = configuration(seed=seed, **changes)
                    started = time.perf_counter()
                    result = run_design(
                        cohort.counts, cohort.contigs, np.flatnonzero(~unseen), config, device, cohort.geometry.panel
                    )
                    seconds = time.perf_counter() - started
                    for lineages, chosen in (("seen", ~unseen), ("unseen", unseen)):
                        head = {"cohort": f"{setting} {size}", "design": design, "lineages": lineages, "seed": seed}
                        rows.append(head | score(cohort, copies, result, chosen) | {"seconds": round(seconds)})
    print(machine(device))
    table = pd.DataFrame(rows)
    keys = ["cohort", "design", "lineages"]
    print(f"\nMean over seeds {', '.join(map(str, arguments.seeds))}:\n")
    print_table(table.drop(columns="seed").groupby(keys, sort=False).mean().reset_index().to_dict("records"))
    print("\nWorst seed of each score:\n")
    scores = table.columns.drop([*keys, "seed"])
    worst = {name: "max" if name in ("copies error", "seconds") else "min" for name in scores}
    print_table(table.groupby(keys, sort=False).agg(worst).reset_index().to_dict("records"))


if __name__ == "__main__":
    main()
