"""What faults are put into: runs of copy number and of stability, counting, a report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from faults.injection import RESULTS, STAGE, Job, Work

_DDG_RESULTS = ("best.pt", "final.pt", "training_history.json", "metrics.json", "predictions.csv")
_RUN_STAGES = tuple(Work(stage, STAGE, stage) for stage in ("train", "infer", "segment", "call", "evaluate", "report"))
_DDG_STAGES = tuple(Work(stage, STAGE, stage) for stage in ("train", "report"))


def run_jobs(cohort: Path, epochs: int = 40) -> tuple[Job, ...]:
    """Training to report, in a folder; killed ones go on by ``--resume`` and by ``copyfold run resume``."""
    documents = ("--set", "hmm=02_gaussian_hmm", "--set", "cnv=06_gene_cnv_caller", "--set", f"epochs={epochs}")
    choices = {
        "cnv train, 06_conv_vae": ("--set", "architecture=06_conv_vae", *documents),
        "cnv train, pca_baseline": ("--set", "architecture=pca_baseline", *documents),
        "cnv train, 10_count_model": (),
    }

    def command(chosen: tuple[str, ...]) -> Callable[[Path], Sequence[object]]:
        train = ("cnv", "train", cohort / "config.yaml", "--device", "cpu", "--resume", *chosen)
        return lambda out: (*train, "--set", f"out_dir={out}")

    jobs = [Job(name, command(chosen), RESULTS, _RUN_STAGES) for name, chosen in choices.items()]
    resumed = jobs[-1]._replace(again=lambda out: ("run", "resume", out, "--device", "cpu"))
    return (*jobs[:-1], resumed)


def other_jobs(reads: Path, reference: Path, run: Path) -> tuple[Job, ...]:
    """Counting from BAM and from FASTQ, and a report."""
    fastq = (reads / "a_1.fastq.gz", reads / "a_2.fastq.gz")
    counting = (Work("counting", "copyfold.app.counts:count_sample"),)
    results = ("a.counts.tsv.gz", "a.qc.json")
    return (
        Job(
            "cnv count, BAM",
            lambda out: ("cnv", "count", reads / "a.bam", "-r", reference, "-o", out),
            results,
            counting,
        ),
        Job(
            "cnv count, FASTQ",
            lambda out: ("cnv", "count", *fastq, "-r", reference, "-o", out),
            results,
            counting,
        ),
        Job(
            "report",
            lambda out: ("report", run, "-o", out / "report.html"),
            ("report.html",),
            (Work("reporting", "copyfold.app.report:report_run"),),
        ),
    )


def specialist_job() -> Job:
    """Training of a specialist on its simulated set."""
    return Job(
        "ddg train protherm",
        lambda out: ("ddg", "train", "protherm", "--quick", "--out", out),
        tuple(f"vae_protherm/{name}" for name in (*_DDG_RESULTS, "features.npy")),
        _DDG_STAGES,
        again=lambda out: ("run", "resume", out / "vae_protherm"),
    )


def refiner_jobs(specialist: Path, epochs: int = 12) -> tuple[Job, ...]:
    """Training of both refiners of a specialist, whose folder is given."""
    folders = {"mlp": ("mlp_refiner",), "transformer": ("embedding_transformer", "attention.csv")}

    def job(kind: str, folder: str, *more: str) -> Job:
        return Job(
            f"ddg refine {kind}",
            lambda out: ("ddg", "refine", kind, out / specialist.name, "--epochs", epochs),
            tuple(f"{folder}/{name}" for name in (*_DDG_RESULTS, *more)),
            _DDG_STAGES,
            again=lambda out: ("run", "resume", out / folder),
            before=(specialist,),
        )

    return tuple(job(kind, *names) for kind, names in folders.items())
