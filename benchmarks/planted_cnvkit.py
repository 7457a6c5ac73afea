"""CNVkit on the reads of `planted_reads.py`: what a general caller tells of the planted copies of blaSHV.

    python benchmarks/planted_cnvkit.py planted --work planted_cnvkit --reference planted_calls/REF/reference.fa

Reads are aligned by minimap2, sorted by samtools; CNVkit runs in whole-genome mode on a flat reference, with 1 kb bins
and its HaarSeg segmentation (CBS needs R, its HMM a package that is no longer kept). Copies are 2^log2, haploid,
as CNVkit centres them, and over the median of the chromosome's bins.
"""

from __future__ import annotations

import argparse
import fnmatch
import subprocess
from pathlib import Path

import pandas as pd

from common import print_table

CHROMOSOME, START, END = "CP003200.1", 2_549_402, 2_550_263


def align(reference: Path, pair: tuple[Path, Path], bam: Path, threads: int) -> None:
    """Align a pair of FASTQ files to a sorted, indexed BAM."""
    command = (
        f"minimap2 -t {threads} -ax sr '{reference}' '{pair[0]}' '{pair[1]}' 2>/dev/null | "
        f"samtools sort -@ 1 -o '{bam}' - 2>/dev/null && samtools index '{bam}'"
    )
    subprocess.run(["bash", "-o", "pipefail", "-c", command], check=True)


def copies_at(table: pd.DataFrame) -> float:
    """Copies of the bins or segments over blaSHV, weighted by overlap."""
    rows = table[(table.chromosome == CHROMOSOME) & (table.end > START) & (table.start < END)]
    overlap = rows.end.clip(upper=END) - rows.start.clip(lower=START)
    return float((2**rows.log2 * overlap).sum() / overlap.sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reads", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument(
        "--reference", type=Path, required=True, help="reference.fa of a folder made by cnv reference build"
    )
    parser.add_argument("--cnvkit", default="cnvkit.py")
    parser.add_argument("--samples", nargs="+", default=["design*_30x", "truth60x"])
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    truth = pd.read_csv(options.reads / "planted_truth.tsv", sep="\t")
    rows = []
    for row in truth.itertuples():
        if not any(fnmatch.fnmatch(row.sample, pattern) for pattern in options.samples):
            continue
        bam = options.work / f"{row.sample}.bam"
        if not bam.with_suffix(".bam.bai").exists():
            align(options.reference, (options.reads / row.R1, options.reads / row.R2), bam, options.threads)
        if not (options.work / row.sample / f"{row.sample}.cns").exists():
            command = [options.cnvkit, "batch", str(bam), "-m", "wgs", "-n", "-f", str(options.reference), "-p", "1"]
            command += ["--target-avg-size", "1000", "--segment-method", "haar", "-d", str(options.work / row.sample)]
            subprocess.run(command, check=True, capture_output=True)
        tables = options.work / row.sample
        bins = pd.read_csv(tables / f"{row.sample}.cnr", sep="\t")
        segments = pd.read_csv(tables / f"{row.sample}.cns", sep="\t")
        usual = float(2 ** bins.log2[bins.chromosome == CHROMOSOME].median())
        rows.append(
            {
                "sample": row.sample,
                "array_bp": row.array_bp,
                "dosage": row.blaSHV_dosage if row.kind == "design" else 3.0,
                "bins": copies_at(bins),
                "segment": copies_at(segments),
                "bins / chromosome": copies_at(bins) / usual,
                "segment / chromosome": copies_at(segments) / usual,
                "segments": len(segments),
            }
        )
        print(row.sample, flush=True)
    print()
    print_table(rows)


if __name__ == "__main__":
    main()
