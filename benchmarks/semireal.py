"""Whole designs on 42 isolates of real Klebsiella genomes with planted copies.

    python benchmarks/semireal.py [--data ../shared/data/cnv] [--keep FOLDER] [--reference REF]
                                  [--designs copyfold documents pca_baseline]

Imports the GATK tables, trains, calls, and compares with the planted truth: blaSHV dosage, blaKPC-2 copy number,
bins absent from the assembly, planted duplications and deletions. Runs what a user would run:

    copyfold cnv store build semireal/counts_mq20 -o chromosome
    copyfold cnv store build semireal/counts_mq0 -o plasmid --genes published/coords/plasmid_gene_coords.docs03.tsv
    copyfold cnv train config.yaml [--set architecture=pca_baseline]

`copyfold` is our own design, without reference and, with --reference, with one of HS11286:

    copyfold cnv reference build --chromosome HS11286.fna --out REF
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from common import machine, print_table
from copyfold.app.cnv_run import train_run
from copyfold.app.stores import build_store
from copyfold.cnv.call_tables import read_calls
from copyfold.cnv.callers import spread_segments
from copyfold.cnv.segments_file import read_segments
from copyfold.cnv.store import Store, open_store
from copyfold.core.console import Console

OURS = ["architecture=10_count_model", "hmm=10_count_hmm", "cnv=10_count_caller", "hmm_low_cov_threshold=1"]
DESIGNS = {"copyfold": OURS, "documents": [], "pca_baseline": ["architecture=pca_baseline"]}
GENOMES = {"MGH78578": "MGH78578", "NTUH": "NTUH"}
REFERENCE = "CP003200.1"
MASK = 10
"""The documents' hmm_low_cov_threshold."""


def run_designs(data: Path, work: Path, designs: dict[str, list[str]]) -> dict[str, Path]:
    """Import, then train and call with each design; the run folders."""
    quiet = Console(quiet=True)
    coordinates = data / "published/coords/plasmid_gene_coords.docs03.tsv"
    build_store([data / "semireal/counts_mq20"], work / "chromosome", "gatk", [], None, quiet)
    build_store([data / "semireal/counts_mq0"], work / "plasmid", "gatk", [], coordinates, quiet)
    (work / "config.yaml").write_text(
        "store_path: chromosome\nplasmid_store_path: plasmid\nout_dir: run\n"
        f"plasmid_gene_coords_path: {coordinates.resolve()}\n"
    )
    runs = {}
    for design, overrides in designs.items():
        runs[design] = work / design
        overrides = [*overrides, f"out_dir={runs[design]}"]
        train_run(work / "config.yaml", overrides, resume=False, device="cpu", console=quiet)
    return runs


def absent_bins(store: Store, cn: np.ndarray, truth: pd.DataFrame, coverage: pd.DataFrame) -> dict[str, float]:
    """Precision and recall of cn 0 in the bins that another genome's assembly lacks (≤ 0.1) or has (≥ 0.9).

    Bins within a planted event of HS11286 coordinates are not at stake here: events of the other genomes are given
    in their own coordinates, so their bins (under 1 %) are left in.
    """
    hits = called = absent = masked = 0
    genome = truth.set_index("sample_id")["genome"]
    for row, sample in enumerate(store.sample_ids.tolist()):
        if genome[sample] not in GENOMES:
            continue
        share = coverage[GENOMES[genome[sample]]].to_numpy()[: store.n_bins]
        judged, gone = (share <= 0.1) | (share >= 0.9), share <= 0.1
        zero = cn[row] == 0
        hits += int((zero & gone).sum())
        called += int((zero & judged).sum())
        absent += int(gone.sum())
        masked += int((np.asarray(store.counts[row])[gone] < MASK).sum())
    return {
        "absent bins": absent,
        "called absent": called,
        "precision": hits / called if called else float("nan"),
        "recall": hits / absent,
        "masked": masked / absent,
    }


def planted_events(store: Store, cn: np.ndarray, truth: pd.DataFrame) -> list[dict[str, object]]:
    """Each duplication and deletion planted in an isolate of the reference genome, and what was called there."""
    rows = []
    for _, isolate in truth.iterrows():
        if isolate["genome"] != "HS11286" or not isinstance(isolate["other_events"], str):
            continue
        row = int(np.flatnonzero(store.sample_ids == isolate["sample_id"])[0])
        for event in isolate["other_events"].split(";"):
            place, copies = event.rsplit("x", 1)
            start, end = (int(part) for part in place.split(":")[1].split("-"))
            inside = (store.contigs.start >= start) & (store.contigs.end <= end)
            found = cn[row, inside]
            hit = (found == 0) if int(copies) == 0 else (found >= 2)
            rows.append(
                {
                    "isolate": isolate["sample_id"],
                    "depth": isolate["depth"],
                    "event": event,
                    "bins": int(inside.sum()),
                    "masked": float((np.asarray(store.counts[row])[inside] < MASK).mean()),
                    "share called": float(hit.mean()),
                }
            )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared/data/cnv")
    parser.add_argument("--keep", type=Path, help="folder to leave stores and runs in")
    parser.add_argument("--designs", nargs="+", default=list(DESIGNS), choices=list(DESIGNS))
    parser.add_argument("--reference", type=Path, help="run copyfold with this reference, too")
    arguments = parser.parse_args()
    designs = {name: DESIGNS[name] for name in arguments.designs}
    if arguments.reference:
        designs["copyfold, reference"] = [*OURS, f"bins_path={arguments.reference.resolve()}"]
    with tempfile.TemporaryDirectory() as temporary:
        work = arguments.keep or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        runs = run_designs(arguments.data, work, designs)
        report(arguments.data, work, runs)


def report(data: Path, work: Path, runs: dict[str, Path]) -> None:
    """Print the tables."""
    truth = pd.read_csv(data / "semireal/truth_SEM.tsv", sep="\t")
    coverage = pd.read_csv(data / "semireal/assembly_coverage_shared.tsv.gz", sep="\t")
    coverage = coverage[coverage["contig"] == REFERENCE]
    store = open_store(work / "chromosome")
    print(machine(torch.device("cpu")))
    summary, by_isolate = [], truth[["sample_id", "genome", "depth", "blaSHV_array_bp", "blaSHV_dosage"]].copy()
    for design, run in runs.items():
        calls = truth.merge(read_calls(run / "gene_calls.tsv"), on="sample_id")
        calls = calls.merge(read_calls(run / "plasmid_gene_calls.tsv"), on="sample_id")
        dosage = calls["blaSHV_dosage"]
        amplified = dosage >= 1.75
        error = (calls["crr_blaSHV"] / dosage - 1).abs()
        carried = calls["pKPHS2_pcn"] > 0
        kpc_error = (calls["pcn_blaKPC-2"] / calls["pKPHS2_pcn"] - 1)[carried].abs()
        summary.append(
            {
                "design": design,
                "blaSHV dosage ≥ 1.75 called ≥ 2": f"{int((calls['blaSHV'][amplified] >= 2).sum())}/{amplified.sum()}",
                "others called ≥ 2": f"{int((calls['blaSHV'][~amplified] >= 2).sum())}/{(~amplified).sum()}",
                "dosage error (median)": float(error.median()),
                "KPC-2 present": f"{int((calls['blaKPC-2'][carried] >= 1).sum())}/{carried.sum()}",
                "KPC-2 false": f"{int((calls['blaKPC-2'][~carried] >= 1).sum())}/{(~carried).sum()}",
                "PCN error (median)": float(kpc_error.median()),
            }
            | absent_bins(store, _cn(run, store), truth, coverage)
        )
        by_isolate[f"CRR {design}"] = by_isolate["sample_id"].map(calls.set_index("sample_id")["crr_blaSHV"])
        by_isolate[f"cn {design}"] = by_isolate["sample_id"].map(calls.set_index("sample_id")["blaSHV"])
    print_table(summary)
    events = {design: planted_events(store, _cn(run, store), truth) for design, run in runs.items()}
    first = next(iter(events.values()))
    table = []
    for place, row in enumerate(first):
        line = {key: row[key] for key in ("isolate", "depth", "event", "bins", "masked")}
        table.append(line | {design: rows[place]["share called"] for design, rows in events.items()})
    print("\nEvents planted in isolates of the reference genome; share of their bins called (cn 0, or cn ≥ 2):\n")
    print_table(table)
    cohort = float(truth["blaSHV_dosage"].median())
    by_isolate.insert(5, "dosage / cohort median", by_isolate["blaSHV_dosage"] / cohort)
    print(f"\nblaSHV, each isolate (median dosage of the cohort: {cohort:.2f}):\n")
    print_table(by_isolate.to_dict("records"))
    for design in runs:
        missed = by_isolate[(by_isolate["blaSHV_dosage"] >= 1.75) & (by_isolate[f"cn {design}"] < 2)]
        print(f"\nMissed by {design}, one by one:\n")
        for _, isolate in missed.iterrows():
            expected = isolate["blaSHV_dosage"] / cohort
            why = (
                f"against this cohort's baseline a CRR of about {expected:.2f} is to be expected, under 1.75"
                if expected < 1.75
                else "the model reconstructs the gain as if it were normal"
            )
            crr = isolate[f"CRR {design}"]
            print(f"- {isolate['sample_id']}: dosage {isolate['blaSHV_dosage']:.2f}, CRR {crr:.2f}; {why}")


def _cn(run: Path, store: Store) -> np.ndarray:
    return spread_segments(read_segments(run), store.sample_ids, store.contigs)[0]


if __name__ == "__main__":
    main()
