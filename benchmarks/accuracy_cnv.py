"""Accuracy of whole designs on simulated cohorts, on lineages seen in training and on lineages that were not.

    python benchmarks/accuracy_cnv.py [--isolates 1000 5000] [--seeds 1 2 3 4 5] [--device auto] [--workers 1]
                                      [--out accuracy.jsonl] [--seconds 560]
    python benchmarks/accuracy_cnv.py --report accuracy.jsonl

A fifth of the STs (by isolates) is kept out of training; their isolates are then inferred, segmented and called
like the others. Bins and genes whose true copy number lies between 1.3 and 1.7 are neither amplified nor normal
and are not scored; failed isolates are left out of the bin scores. "mapped gain rec." is the recall of those gained
bins of which the reads of `SHOWN` copies map: diverged sequence loses up to six in ten. Settings: presets `easy` and
`hard`, or `VARIATIONS` of them. Intervals of our design: `intervals.py`, 300 genes in gains and 300 elsewhere each.
Seeds 1 to 5 are the reported ones; settings are developed on others. Cohorts run side by side; each result is written
when it is there, so that a run that is stopped has lost nothing but what was under way.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import matthews_corrcoef

from common import DesignResult, configuration, machine, plasmid_copies, print_table, run_design
from copyfold.cnv.bin_table import BinTable
from copyfold.cnv.simulation import SimulatedCohort, SimulationSettings, mapped_shares, preset, simulate, true_copies
from copyfold.cnv.simulation.settings import PRESETS, changed
from copyfold.core.seeding import derive_generator
from copyfold.engine import pick_device
from intervals import coverage, measure, place_genes

OURS, BARE = "copyfold", "copyfold without bins_path"
_COUNT_MODEL = {
    "architecture": "10_count_model",
    "hmm": "10_count_hmm",
    "cnv": "10_count_caller",
    "hmm_low_cov_threshold": 1,
}
DESIGNS: dict[str, dict[str, Any]] = {
    OURS: _COUNT_MODEL,
    "documents (experiment 32)": {},
    "pca_baseline": {"architecture": "pca_baseline"},
    BARE: _COUNT_MODEL,
}
VARIATIONS: dict[str, tuple[str, dict[str, dict[str, Any]]]] = {
    "shallow": ("hard", {"depth": {"median": 25.0}}),
    "deep": ("hard", {"depth": {"median": 500.0}}),
    "growing": ("hard", {"bias": {"log2_ori_ter": [0.8, 1.5]}}),
    "bent": ("hard", {"bias": {"gc_slope_sd": 4.0, "gc_curvature_mean": -20.0}}),
    "noisy": ("hard", {"noise": {"dispersion_median": 0.015}}),
    "batches": ("hard", {"batches": {"count": 30, "smooth_sd": 0.15, "bin_sd": 0.12}}),
    "diverse": ("hard", {"lineages": {"singleton_rate": 0.6}}),
    "outbreak": ("easy", {"lineages": {"common": 3, "singleton_rate": 0.0}, "gene": {"amplification_rate": 0.4}}),
}
"""A preset and what is changed in it. Nothing was developed on them, but on other seeds of `outbreak` and `batches`."""
UNSEEN_SHARE = 0.2
INTERVAL_GENES = 300
SHOWN = 1.5
"""Copies whose reads must map for a gain to be one that depth can show."""
SMALL = ("copies error", "seconds")
"""Scores of which less is better."""


def unseen_lineages(cohort: SimulatedCohort, seed: int) -> np.ndarray:
    """Rows of isolates whose ST is kept out of training: (n_samples,), bool."""
    lineages = cohort.samples["ST"].to_numpy()
    shuffled = derive_generator(seed, "unseen lineages").permutation(np.unique(lineages))
    sizes = pd.Series(lineages).value_counts()[shuffled].cumsum()
    return np.isin(lineages, sizes.index[(sizes <= UNSEEN_SHARE * len(lineages)).to_numpy()])


def precision_recall(called: np.ndarray, true: np.ndarray) -> tuple[float, float]:
    hits = float((called & true).sum())
    return (hits / called.sum() if called.any() else float("nan"), hits / true.sum() if true.any() else float("nan"))


def correlation(true: np.ndarray, called: np.ndarray) -> float:
    """Matthews' correlation coefficient; NaN where the truth has one class only."""
    return float(matthews_corrcoef(true, called)) if 0 < true.sum() < len(true) else float("nan")


def bin_scores(
    cohort: SimulatedCohort,
    copies: np.ndarray,
    mapped: np.ndarray,
    gained: np.ndarray,
    lost: np.ndarray,
    rows: np.ndarray,
) -> dict[str, float]:
    """Precision and recall of gained (≥ 1.7 copies) and lost bins (≤ 0.3) over some isolates, failed ones left out."""
    bins = rows & (cohort.samples["kind"] != "failed").to_numpy()
    some = copies[bins]
    unmixed = ~((some > 1.3) & (some < 1.7))
    gain = precision_recall(gained[bins] & unmixed, some >= 1.7)
    _, shown = precision_recall(gained[bins] & unmixed, (some >= 1.7) & (some * mapped[bins] >= SHOWN))
    loss = precision_recall(lost[bins] & unmixed, some <= 0.3)
    return {
        "gain prec.": gain[0],
        "gain rec.": gain[1],
        "mapped gain rec.": shown,
        "loss prec.": loss[0],
        "loss rec.": loss[1],
    }


def score(
    cohort: SimulatedCohort,
    copies: np.ndarray,
    mapped: np.ndarray,
    result: DesignResult,
    ctx_m: np.ndarray,
    rows: np.ndarray,
) -> dict[str, float]:
    """Scores over some isolates."""
    gene = cohort.geometry.panel[0]
    calls = result.calls[gene.name]
    true = cohort.genes[gene.name].to_numpy()
    scored = rows & (calls.cn >= 0) & ~((true > 1.3) & (true < 1.7))
    amplified = scored & (true >= 1.7)
    errors = np.abs(calls.ratio[amplified] / true[amplified] - 1)
    judged = rows & (ctx_m >= 0)
    cn, mixed = result.segmentation.cn, result.segmentation.mixed
    assert mixed is not None
    half = (copies > 1.3) & (copies < 1.7) & rows[:, None]
    return {
        "isolates": int(rows.sum()),
        "blaSHV MCC": correlation(true[scored] >= 1.7, calls.cn[scored] >= 2),
        "blaSHV called": float((calls.cn[rows] >= 0).mean()),
        "copies error": float(np.median(errors)) if len(errors) else float("nan"),
        **bin_scores(cohort, copies, mapped, cn >= 2, cn == 0, rows),
        "mixed found": float(mixed[half].mean()) if half.any() else float("nan"),
        "CTX-M MCC": correlation(cohort.genes["pcn_blaCTX-M"].to_numpy()[judged] > 0, ctx_m[judged] > 0),
    }


def settings_of(name: str) -> SimulationSettings:
    if name in PRESETS:
        return preset(name)
    base, changes = VARIATIONS[name]
    return changed(preset(base), **changes)


def judge(setting: str, size: int, seed: int, device_name: str, designs: list[str]) -> Iterator[dict[str, Any]]:
    """Rows of one cohort: of each design its scores, and of ours the intervals too."""
    device = pick_device(device_name)
    cohort = simulate(settings_of(setting), size, seed)
    copies, unseen, geometry = true_copies(cohort), unseen_lineages(cohort, seed), cohort.geometry
    mapped = mapped_shares(cohort)
    phase = np.clip(geometry.replication + 0.5, 0, 1)
    bins = BinTable(cohort.contigs, geometry.gc, geometry.mappability, phase)
    for design in designs:
        config = configuration(seed=seed, **DESIGNS[design])
        started = time.perf_counter()
        columns = BinTable(cohort.contigs) if design == BARE else bins
        result = run_design(cohort.counts, columns, np.flatnonzero(~unseen), config, device, geometry.panel)
        ctx_m = plasmid_copies(cohort, result, np.flatnonzero(~unseen), config)["blaCTX-M"]
        seconds = round(time.perf_counter() - started)
        head = {"cohort": f"{setting} {size}", "seed": seed, "design": design}
        for lineages, chosen in (("seen", ~unseen), ("unseen", unseen)):
            if not chosen.any():
                continue  # an outbreak of few lineages
            scores = score(cohort, copies, mapped, result, ctx_m, chosen)
            yield {**head, "lineages": lineages, **scores, "seconds": seconds}
        if design == OURS:
            places = place_genes(cohort, copies, INTERVAL_GENES, derive_generator(seed, "genes of intervals"))
            for gene in measure(cohort, result, places).to_dict("records"):
                yield {"cohort": head["cohort"], "seed": seed, "gene": gene}


def work(task: tuple[str, int, int, str, list[str], str]) -> None:
    """Judge one cohort and append its rows as they come."""
    *cohort, out = task
    for row in judge(*cohort):
        with Path(out).open("a") as lines:
            lines.write(json.dumps(row) + "\n")
    print("done:", *cohort[:3], flush=True)


def report(path: Path) -> None:
    """Tables of a file of results."""
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    table = pd.DataFrame([row for row in rows if "design" in row])
    keys = ["cohort", "design", "lineages"]
    seeds = table.groupby(keys, sort=False)["seed"].agg(lambda found: ", ".join(map(str, sorted(found)))).reset_index()
    print("\nMean over seeds:\n")
    means = table.drop(columns="seed").groupby(keys, sort=False).mean().reset_index()
    means.insert(3, "seeds", seeds["seed"])
    print_table(means.sort_values(["cohort", "lineages"], kind="stable").to_dict("records"))
    print("\nWorst seed of each score:\n")
    scores = table.columns.drop([*keys, "seed", "isolates"])
    worst = table.groupby(keys, sort=False).agg({name: "max" if name in SMALL else "min" for name in scores})
    print_table(worst.reset_index().sort_values(["cohort", "lineages"], kind="stable").to_dict("records"))
    genes = pd.DataFrame([row["gene"] | {"setting": row["cohort"].split()[0]} for row in rows if "gene" in row])
    if len(genes):
        print("\nShare of 95 % intervals that hold the truth; width: median, relative to the truth:\n")
        parts = [("both", genes), *((str(name), part) for name, part in genes.groupby("setting"))]
        print_table([{"setting": name, **row} for name, part in parts for row in coverage(part)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--isolates", type=int, nargs="+", default=[1000])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--settings", nargs="+", default=list(PRESETS), choices=[*PRESETS, *VARIATIONS])
    parser.add_argument("--designs", nargs="+", default=list(DESIGNS)[:3], choices=list(DESIGNS))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--workers", type=int, default=1, help="cohorts at a time, each in a process of its own")
    parser.add_argument("--out", type=Path, default=Path("accuracy.jsonl"), help="rows, appended as they come")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop then and report what there is")
    parser.add_argument("--report", type=Path, help="make the tables of these rows, run nothing")
    arguments = parser.parse_args()
    if arguments.report:
        report(arguments.report)
        return
    started = time.monotonic()
    print(machine(pick_device(arguments.device)), flush=True)
    for _ in judge("easy", 24, 0, "cpu", [OURS]) if arguments.workers > 1 else ():
        break  # compiles the kernels once, before many processes would
    tasks = [
        (setting, size, seed, arguments.device, arguments.designs, str(arguments.out))
        for size in sorted(arguments.isolates, reverse=True)
        for seed in arguments.seeds
        for setting in arguments.settings
    ]
    context = multiprocessing.get_context("spawn")
    with context.Pool(arguments.workers, maxtasksperchild=1) as pool:
        waiting = pool.map_async(work, tasks, chunksize=1)
        waiting.wait(None if arguments.seconds == float("inf") else arguments.seconds - (time.monotonic() - started))
        if not waiting.ready():
            print(f"stopped after {arguments.seconds:g} s; what is not below was under way or not begun", flush=True)
            pool.terminate()
        else:
            waiting.get()
    report(arguments.out)


if __name__ == "__main__":
    main()
