"""Reads with planted copies, from FASTQ to calls: planted against called, by array length and depth.

    python benchmarks/planted_reads.py make --out planted
    python benchmarks/planted_calls.py planted --work planted_calls [--data ../shared/data/cnv] [--threads 2]

Everything runs through the command line: reference build (HS11286, its plasmids, the gene panel), count of every
pair of FASTQ files (counted samples are not counted again), stores, `cnv train`. Nothing is tuned on these reads.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from common import machine, print_table
from copyfold.cnv.counting.sample_file import read_counts

COPYFOLD = str(Path(sys.executable).with_name("copyfold"))
CHROMOSOME = "CP003200.1"
BLASHV, BLAKPC = "blaSHV-11", "blaKPC-2"
PKPHS2 = "CP003224.1"


def copyfold(*arguments: str | Path) -> None:
    """Run a command; its words go to this script's stderr."""
    subprocess.run([COPYFOLD, "cnv", *map(str, arguments)], check=True, stdout=sys.stderr)


def count_all(truth: pd.DataFrame, reads: Path, work: Path, data: Path, threads: int) -> None:
    """Reference, counts of every sample, stores."""
    reference = work / "REF"
    if not reference.exists():
        genome = data / "genomes/Klebs_HS11286.fna.xz"
        genes = data / "genes/panel_alleles_kleborate_CARD3.2.9.fasta"
        copyfold("reference", "build", "--chromosome", genome, "--genes", genes, "--out", reference)
    for row in truth.itertuples():
        if not (work / f"counts/{row.sample}.qc.json").exists():
            pair = (reads / row.R1, reads / row.R2)
            names = ("--reference", reference, "--out", work / "counts", "--sample", row.sample)
            copyfold("count", *pair, *names, "--threads", str(threads), "--quiet")


def call_all(work: Path, samples: list[str], architecture: str) -> Path:
    """A run on the cohort; returns its folder."""
    run = work / f"run_{architecture}"
    if not (work / "chromosome").exists():
        files = [work / f"counts/{sample}.counts.tsv.gz" for sample in samples]
        stores = ("--out", work / "chromosome", "--plasmid-out", work / "plasmid")
        copyfold("store", "build", *files, *stores)
    if not (run / "evaluation.txt").exists():
        config = work / "config.yaml"
        if not config.exists():
            subprocess.run([COPYFOLD, "config", "init", "cnv", "-o", str(config)], check=True)
        changes = {
            "store_path": work / "chromosome",
            "plasmid_store_path": work / "plasmid",
            "gene_coords_path": work / "REF/genes.tsv",
            "plasmid_gene_coords_path": work / "REF/genes.tsv",
            "architecture": architecture,
            "out_dir": run,
        }
        settings = [part for key, value in changes.items() for part in ("--set", f"{key}={value}")]
        copyfold("train", config, *settings, "--resume")
    return run


def first_look(work: Path, sample: str) -> dict[str, Any]:
    """The quality record of a counted sample."""
    record: dict[str, Any] = json.loads((work / f"counts/{sample}.qc.json").read_text())
    return record


def gather(truth: pd.DataFrame, work: Path, runs: dict[str, Path]) -> pd.DataFrame:
    """Planted and found, one row for each sample of the cohort."""
    calls = {name: pd.read_csv(run / "gene_calls.tsv", sep="\t", index_col="sample_id") for name, run in runs.items()}
    pcn = {
        name: pd.read_csv(run / "plasmid_gene_calls.tsv", sep="\t", index_col="sample_id") for name, run in runs.items()
    }
    rows = []
    for row in truth.itertuples():
        record = first_look(work, row.sample)
        gradient = float(row.locus_gradient) if np.isfinite(float(row.locus_gradient)) else 1.0
        extra = float(row.blaSHV_dosage) - float(row.copies)  # on a plasmid, which knows no ori/ter gradient
        found = {
            "sample": row.sample,
            "kind": row.kind,
            "genome": row.genome,
            "depth": row.depth,
            "array_bp": row.array_bp,
            "copies": row.copies,
            "at the locus": float(row.copies) + extra / gradient,
            "count": record["genes"][BLASHV]["copies"],
            "kpc_pcn": float(row.kpc_pcn),
            "gene": record["genes"][BLAKPC]["copies"],
            "plasmid": record["replicons"][PKPHS2]["copies"],
            "mapped": record["mapped_share"],
            "ori_ter": row.ori_ter,
            "fitted ori_ter": record["ori_ter"],
            "status": record["status"],
        }
        for name in runs:
            found[f"crr {name}"] = calls[name][f"crr_{BLASHV}"].get(row.sample, np.nan)
            found[f"cn {name}"] = calls[name][BLASHV].get(row.sample, -1)
            found[f"pcn {name}"] = pcn[name][f"pcn_{BLAKPC}"].get(row.sample, np.nan)
        rows.append(found)
    return pd.DataFrame(rows)


def print_errors(title: str, table: pd.DataFrame, planted: str, found: list[str], by: list[str]) -> None:
    """Median relative error of each way of telling, by groups."""
    print(f"\n{title}\n")
    rows = []
    for keys, part in [*table.groupby(by), (("all",) * len(by), table)]:
        row = dict(zip(by, keys, strict=True)) | {"n": len(part)}
        for name in found:
            row[name] = float((part[name] / part[planted] - 1).abs().median())
        rows.append(row)
    print_table(rows)


def print_replicons(truth: pd.DataFrame, work: Path, data: Path) -> None:
    """Copies of whole plasmids in truth60x, beside PCNE's on reads with the same truth."""
    planted = dict(pair.split("=") for pair in truth.set_index("sample").loc["truth60x", "plasmid_pcn"].split(";"))
    pcne = pd.read_csv(data / "peers/PCNE_truth60x.tsv", sep="\t").set_index("plasmid_contig")
    record = first_look(work, "truth60x")
    rows = []
    for name, found in record["replicons"].items():
        true = float(planted[name])
        other = float(pcne["estimated_copy_number"][name])
        rows.append(
            {
                "plasmid": name,
                "bp": int(pcne["plasmid_length"][name]),
                "planted": true,
                "copyfold": found["copies"],
                "error": found["copies"] / true - 1,
                "PCNE": other,
                "error of PCNE": other / true - 1,
            }
        )
    print("\nPlasmids of truth60x (PCNE: its published run on other reads of the same truth)\n")
    print_table(rows)


def print_divergence(table: pd.DataFrame, work: Path) -> None:
    """What another genome and repeats do to the depth of the reference's chromosome, where nothing was planted."""
    rows = []
    for row in table[(table.copies == 1) & (table.depth == table.depth.max())].itertuples():
        counts = read_counts(work / f"counts/{row.sample}.counts.tsv.gz")
        depth = counts.depth[~counts.plasmid_bins]
        share = depth / np.median(depth)
        rows.append(
            {
                "sample": row.sample,
                "genome": row.genome,
                "chromosome bins": len(share),
                "without reads": int((share == 0).sum()),
                "below 0.1": int((share < 0.1).sum()),
                "0.1 to 0.5": int(((share >= 0.1) & (share < 0.5)).sum()),
                "0.5 to 0.8": int(((share >= 0.5) & (share < 0.8)).sum()),
                "above 1.5": int((share > 1.5).sum()),
            }
        )
    print("\nDepth of the reference's 1 kb bins at MAPQ ≥ 20 over the isolate's median, nothing planted\n")
    print_table(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reads", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared/data/cnv")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--designs", nargs="+", default=["pca_baseline"], help="architectures")
    options = parser.parse_args()
    truth = pd.read_csv(options.reads / "planted_truth.tsv", sep="\t")
    options.work.mkdir(parents=True, exist_ok=True)
    count_all(truth, options.reads, options.work, options.data, options.threads)
    cohort = truth[truth.kind != "truth60x"]
    runs = {name: call_all(options.work, cohort["sample"].tolist(), name) for name in options.designs}
    table = gather(cohort, options.work, runs)
    print(machine(torch.device("cpu")))
    ways = [f"crr {name}" for name in runs]
    designs = table[table.kind == "design"]
    print_errors(
        "blaSHV dosage at the locus, planted arrays: median relative error",
        designs[designs.copies > 1],
        "at the locus",
        ["count", *ways],
        ["array_bp", "depth"],
    )
    carriers = designs[designs.kpc_pcn > 0]
    print_errors(
        "blaKPC-2 copies (PCN): median relative error",
        carriers,
        "kpc_pcn",
        ["gene", "plasmid", *(f"pcn {name}" for name in runs)],
        ["kpc_pcn", "depth"],
    )
    absent = designs[designs.kpc_pcn == 0]
    print(f"\nblaKPC-2 is absent in {len(absent)}: largest PCN of its gene {absent['gene'].max():.3f}\n")
    print("Every isolate:\n")
    print_table(table.drop(columns=["status"]).to_dict("records"))
    print_divergence(designs, options.work)
    print_replicons(truth, options.work, options.data)


if __name__ == "__main__":
    main()
