"""What faults are put into: a run of each architecture, counting, a report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from faults.injection import RESULTS, Job


def run_jobs(cohort: Path, epochs: int = 40) -> tuple[Job, ...]:
    """Training to report, in a folder ``run``."""
    documents = ("--set", "hmm=02_gaussian_hmm", "--set", "cnv=06_gene_cnv_caller", "--set", f"epochs={epochs}")
    choices = {
        "cnv train, 06_conv_vae": ("--set", "architecture=06_conv_vae", *documents),
        "cnv train, pca_baseline": ("--set", "architecture=pca_baseline", *documents),
        "cnv train, 10_count_model": (),
    }

    def command(chosen: tuple[str, ...]) -> Callable[[Path], Sequence[object]]:
        train = ("cnv", "train", cohort / "config.yaml", "--device", "cpu", "--resume", *chosen)
        return lambda out: (*train, "--set", f"out_dir={out}")

    return tuple(Job(name, command(chosen), RESULTS) for name, chosen in choices.items())


def other_jobs(reads: Path, reference: Path, run: Path) -> tuple[Job, ...]:
    """Counting from BAM and from FASTQ, and a report."""
    fastq = (reads / "a_1.fastq.gz", reads / "a_2.fastq.gz")
    return (
        Job(
            "cnv count, BAM",
            lambda out: ("cnv", "count", reads / "a.bam", "-r", reference, "-o", out),
            ("a.counts.tsv.gz", "a.qc.json"),
        ),
        Job(
            "cnv count, FASTQ",
            lambda out: ("cnv", "count", *fastq, "-r", reference, "-o", out),
            ("a.counts.tsv.gz", "a.qc.json"),
        ),
        Job("report", lambda out: ("report", run, "-o", out / "report.html"), ("report.html",)),
    )
