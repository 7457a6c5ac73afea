"""Every reader and every job that reads, with the files of `hostile.seeds` that it is attacked through."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from copyfold.app.cnv_run import call_new, rerun_stage, train_run
from copyfold.app.cohort_folder import plan_cohort
from copyfold.app.cohort_report import write_summary
from copyfold.app.count_stores import build_from_counts
from copyfold.app.counts import CountOptions, count_sample
from copyfold.app.ddg_data import import_table, read_sequence, verify_table
from copyfold.app.ddg_explore import explore_runs
from copyfold.app.ddg_predict import ProteinSource, predict_mutations, scan_protein
from copyfold.app.ddg_refine import refine_specialist
from copyfold.app.exports import ENDINGS, PER_SAMPLE, ExportOptions, export_run
from copyfold.app.join import join_calls
from copyfold.app.references import BuildOptions, build_reference
from copyfold.app.report import report_run
from copyfold.app.resuming import resume_run
from copyfold.app.runs import compare_runs, describe_run, describe_runs
from copyfold.app.stores import build_store, merge_stores
from copyfold.app.truth_tables import write_amrfinder_truth, write_joined_truth, write_kleborate_truth
from copyfold.cnv.config import CnvConfig
from copyfold.cnv.importers import ImportSettings
from copyfold.cnv.inputs import load_inputs
from copyfold.cnv.segments_file import read_segments
from copyfold.cnv.simulation.settings import load_settings
from copyfold.cnv.simulation.table import read_depth_table
from copyfold.cnv.store import open_store
from copyfold.core.config import load_config
from copyfold.core.files import read_npy
from copyfold.core.rundir import read_run_record
from copyfold.ddg.features.sequence import profile_of, read_alignment
from copyfold.ddg.importers.reading import ImportOptions
from copyfold.ddg.specialists import load_refiner, load_specialist
from copyfold.ddg.structures import read_structure
from copyfold.engine import load_checkpoint
from hostile.published import PUBLISHED
from hostile.seeds import MODULES, QUIET


class Target(NamedTuple):
    """Something that reads files.

    Attributes
    ----------
    kind : str
        Form of the files, as the table of results names it.
    folder : str
        Good files, a folder below that of `hostile.seeds.make_seeds`.
    files : tuple of str
        Those to be made hostile, one at a time; relative to the folder.
    read : callable
        Reads the folder it is given, and writes below its ``out`` at most.
    """

    kind: str
    folder: str
    files: tuple[str, ...]
    read: Callable[[Path], Any]

    @property
    def costly(self) -> bool:
        """Whether it is a whole job, which takes many times as long as a reader."""
        return self.kind in _COSTLY


_COSTLY = frozenset({
    "cohort's inputs", "cohort, trained", "run, infer", "run, segment", "run, call", "run, evaluate", "run, resumed",
    "run, new isolates", "report", "report, ΔΔG", "run, ΔΔG, refined", "run, ΔΔG, resumed", "run, ΔΔG, explored",
    "ddg predict", "ddg scan", "join",
})  # fmt: skip


def _runs_of(name: str) -> Iterator[Target]:
    """Jobs that go on from a run."""
    stages = {
        "infer": ("checkpoint.pth",),
        "segment": ("reconstructions.npy",),
        "call": ("segments.parquet", "reconstructions.npy"),
        "evaluate": ("gene_calls.tsv", "plasmid_gene_calls.tsv"),
    }
    for stage, artefacts in stages.items():
        paths = tuple(f"run/{file}" for file in (*artefacts, "run.json"))
        yield Target(f"run, {stage}", name, paths, lambda f, stage=stage: _again(f, lambda run: rerun_stage(
            run, stage, (), device="cpu", console=QUIET)))  # fmt: skip


def _again(folder: Path, work: Callable[[Path], Any]) -> Any:
    """`work` on a copy of the run below ``out``, since it may write into the run it goes on from."""
    run = shutil.copytree(folder / "run", folder / "out/run")
    return work(run)


def _resume(folder: Path) -> None:
    def go_on(run: Path) -> None:
        text = (run / "run.json").read_text(encoding="utf-8", errors="surrogateescape")
        for done, to_do in (('"done"', '"running"'), ('"epochs": 2', '"epochs": 3')):
            text = text.replace(done, to_do)
        (run / "run.json").write_text(text, encoding="utf-8", errors="surrogateescape")
        changes = (*MODULES["vae"], "epochs=3", f"out_dir={run}")
        train_run(folder / "cohort/config.yaml", changes, resume=True, device="cpu", console=QUIET)

    _again(folder, go_on)


def _train(folder: Path) -> None:
    changes = (*MODULES["pca"], f"out_dir={folder / 'out/run'}")
    train_run(folder / "config.yaml", changes, resume=False, device="cpu", console=QUIET)


def _export(folder: Path, form: str) -> None:
    out = folder / "out" / ("all" if form in PER_SAMPLE else f"x{ENDINGS[form][0]}")
    export_run(folder / "run", ExportOptions(form, out), QUIET)


def _reference(folder: Path) -> None:
    """Count on a reference whose digests were made to fit what it says now."""
    reference = shutil.copytree(folder / "REF", folder / "out/REF")
    text = (reference / "reference.json").read_text(encoding="utf-8", errors="surrogateescape")
    for name in ("contigs.tsv", "bins.tsv", "genes.tsv"):
        text = text.replace(_digest(folder / "good" / name), _digest(reference / name))
    (reference / "reference.json").write_text(text, encoding="utf-8", errors="surrogateescape")
    count_sample([folder / "a.bam"], reference, folder / "out", None, CountOptions(), QUIET)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _count(*names: str) -> Callable[[Path], Any]:
    return lambda folder: count_sample(
        [folder / name for name in names], folder / "REF", folder / "out", None, CountOptions(threads=1), QUIET
    )


def _build(genes: str) -> Callable[[Path], Any]:
    return lambda folder: build_reference(
        folder / "chromosome.fa", [folder / "plasmids.fa"], folder / genes, folder / "out/REF", BuildOptions(), QUIET,
        threads=1,
    )  # fmt: skip


def _import(tool: str, name: str, **settings: Any) -> Callable[[Path], Any]:
    return lambda folder: build_store(
        [folder / name], folder / "out/store", tool, (), None, QUIET, settings=ImportSettings(**settings)
    )


def _joined(folder: Path) -> None:
    write_joined_truth(folder / "by_biosample.tsv", folder / "out/joined.tsv", folder / "runs.tsv", QUIET)


def _published(source: str, name: str, attacked: str = "", **options: Any) -> Target:
    return Target(
        "CSV, published ΔΔG",
        "tables",
        (attacked or name,),
        lambda f: import_table(
            source, f / name, f / "out/tidy.csv", None, ImportOptions(folder=f / "dms", **options), QUIET
        ),
    )


def _look(folder: Path) -> None:
    """What ``copyfold run`` says of a hostile run, alone and beside a good one."""
    describe_runs(folder)
    describe_run(folder / "run")
    compare_runs(folder / "run", folder / "good")


def _predict(folder: Path) -> None:
    source = ProteinSource(structure=folder / "a.pdb")
    predict_mutations(source, str(folder / "mutations.csv"), folder / "out/ddg.csv", QUIET)


def _stability(work: Callable[[Path], Any]) -> Callable[[Path], Any]:
    """`work` on a copy of the specialist and its refiner below ``out``."""

    def read(folder: Path) -> None:
        for name in ("vae_protherm", "mlp_refiner"):
            shutil.copytree(folder / name, folder / "out" / name)
        work(folder / "out")

    return read


def _unfinished(run: Path) -> Path:
    """A run that its record says is not done."""
    text = (run / "run.json").read_text(encoding="utf-8", errors="surrogateescape")
    text = text.replace('"complete"', '"failed"').replace('"done"', '"running"')
    (run / "run.json").write_text(text, encoding="utf-8", errors="surrogateescape")
    return run


_SPECIALIST = tuple(
    f"vae_protherm/{name}"
    for name in (
        "best.pt",
        "final.pt",
        "run.json",
        "predictions.csv",
        "features.npy",
        "metrics.json",
        "training_history.json",
    )
)
_STORE = ("counts.npy", "contigs.npy", "sample_ids.npy", "manifest.json")
_COHORT = (
    *(f"chromosome/{name}" for name in _STORE), *(f"plasmid/{name}" for name in (*_STORE, "genes.npy")),
    "truth/amrfinder_gt.tsv", "truth/kleborate_gt.tsv", "truth/metadata.tsv", "gene_coords.tsv",
    "plasmid_gene_coords.tsv", "config.yaml",
)  # fmt: skip

TARGETS: tuple[Target, ...] = (
    Target("YAML", "cohort", ("config.yaml",), lambda f: load_config(CnvConfig, f / "config.yaml")),
    Target("YAML", "cohort", ("settings.yaml",), lambda f: load_settings(f / "settings.yaml")),
    Target("npy", "cohort", ("chromosome/contigs.npy",), lambda f: read_npy(f / "chromosome/contigs.npy")),
    Target("npy", "cohort", ("chromosome/sample_ids.npy",), lambda f: read_npy(
        f / "chromosome/sample_ids.npy", mmap=False)),
    Target("store", "cohort", tuple(f"chromosome/{n}" for n in _STORE), lambda f: open_store(
        f / "chromosome").medians()),
    Target("store, published", "cohort", tuple(f"chromosome/{n}" for n in _STORE[:3]),
           _import("cnvrock", "chromosome", columns="mean")),
    Target("store, merged", "cohort", tuple(f"chromosome/{n}" for n in _STORE),
           lambda f: merge_stores([f / "chromosome", f / "more"], f / "out/store", QUIET)),
    Target("cohort's inputs", "cohort", _COHORT, lambda f: load_inputs(load_config(CnvConfig, f / "config.yaml"))),
    Target("cohort, trained", "cohort", _COHORT, _train),
    Target("parquet", "pca", ("run/segments.parquet",), lambda f: read_segments(f / "run")),
    Target("checkpoint", "vae", ("run/checkpoint.pth", "run/last.pth"), lambda f: (
        load_checkpoint(f / "run/checkpoint.pth"), load_checkpoint(f / "run/last.pth"))),
    Target("run.json", "pca", ("run/run.json",), lambda f: read_run_record(f / "run")),
    *_runs_of("pca"),
    *_runs_of("vae"),
    *_runs_of("count"),
    Target("run, resumed", "vae", ("run/last.pth", "run/checkpoint.pth", "run/run.json"), _resume),
    Target("run, new isolates", "vae", ("run/run.json", "run/checkpoint.pth"), lambda f: call_new(
        f / "run", f / "cohort/chromosome", f / "cohort/plasmid", f / "out/calls", (), resume=False, device="cpu",
        console=QUIET)),
    *(Target("run, exported", "pca", ("run/run.json", "run/segments.parquet", "run/gene_calls.tsv",
                                      "run/reconstructions.npy", "run/plasmid_gene_calls.tsv",
                                      "cohort/chromosome/sample_ids.npy", "cohort/chromosome/contigs.npy"),
             lambda f, form=form: _export(f, form)) for form in ENDINGS),
    Target("BAM", "reads", ("a.bam",), _count("a.bam")),
    Target("CRAM", "reads", ("a.cram",), _count("a.cram")),
    Target("FASTQ", "reads", ("a_1.fastq",), _count("a_1.fastq")),
    Target("FASTQ", "reads", ("a_1.fastq.gz", "a_2.fastq.gz"), _count("a_1.fastq.gz", "a_2.fastq.gz")),
    Target("FASTA", "reads", ("genes.fa", "plasmids.fa", "chromosome.fa"), _build("genes.fa")),
    Target("GFF", "reads", ("genes.gff",), _build("genes.gff")),
    Target("GenBank", "reads", ("genes.gbk",), _build("genes.gbk")),
    Target("TSV, genes", "reads", ("genes.tsv",), _build("genes.tsv")),
    Target("reference", "sheet", (
        "REF/reference.json", "REF/contigs.tsv", "REF/bins.tsv", "REF/genes.tsv"), _reference),
    Target("counts", "counted", ("counts/ERR1.counts.tsv.gz", "counts/ERR1.qc.json"), lambda f: build_from_counts(
        [f / "counts"], f / "out/chromosome", f / "out/plasmid", QUIET)),
    Target("sample sheet", "sheet", ("samples.tsv",), lambda f: plan_cohort(
        f / "samples.tsv", f / "REF", f / "out", None, (), QUIET).write(f / "out")),
    Target("sample sheet", "sheet", ("samples.csv",), lambda f: plan_cohort(
        f / "samples.csv", f / "REF", f / "out", None, (), QUIET).write(f / "out")),
    Target("cohort's summary", "sheet", (
        "cohort/cohort.json", "cohort/samples.tsv", "cohort/counts/ERR1.qc.json"),
        lambda f: write_summary(shutil.copytree(f / "cohort", f / "out/cohort"), QUIET)),
    Target("TSV, GATK", "tables", ("s1.counts.tsv",), _import("gatk", "s1.counts.tsv")),
    Target("BED, mosdepth", "tables", ("s1.regions.bed.gz",), _import(
        "mosdepth", "s1.regions.bed.gz", read_length=150)),
    Target("BED, bedcov", "tables", ("s1.bed",), _import("bedcov", "s1.bed", read_length=150)),
    Target("TSV, breseq", "tables", ("chr1.coverage.tab",), _import("breseq", "chr1.coverage.tab", read_length=150)),
    Target("TSV, depth", "tables", ("depth.tsv",), lambda f: read_depth_table(f / "depth.tsv")),
    Target("TSV, AMRFinder+", "tables", ("SAM1.tsv",), lambda f: write_amrfinder_truth(
        [f / "SAM1.tsv"], f / "out/amr.tsv", None, (), QUIET)),
    Target("TSV, Kleborate", "tables", ("kleborate.txt",), lambda f: write_kleborate_truth(
        f / "kleborate.txt", f / "out/kleborate.tsv", None, QUIET)),
    *(Target("PDB", "tables", (name,), lambda f, name=name: read_structure(f / name))
      for name in ("a.pdb", "a.pdb.gz")),
    Target("mmCIF", "tables", ("a.cif",), lambda f: read_structure(f / "a.cif")),
    Target("CSV, ΔΔG", "tables", ("ddg.csv",), lambda f: verify_table(f / "ddg.csv", None, QUIET)),
    Target("FASTA, protein", "tables", ("protein.fa",), lambda f: read_sequence(f / "protein.fa")),
    *(Target("CSV, published ΔΔG", "tables", ("ddg.csv", "s669.csv"), lambda f, source=source: import_table(
        source, f / ("s669.csv" if source == "s669" else "ddg.csv"), f / "out/tidy.csv", None, ImportOptions(), QUIET))
      for source in ("s669", "table")),
    *(Target("report", "pca", (f"run/{name}",), lambda f: report_run(f / "run", f / "out/report.html", QUIET))
      for name in ("run.json", "segments.parquet", "gene_calls.tsv", "metrics.json", "latents.npy", "training_log.tsv",
                   "plasmid_gene_calls.tsv", "recurrent_segments.tsv", "sample_ids.npy")),
    *(_published(name.partition(".")[0], name) for name in PUBLISHED),
    *(_published("proteingym", "proteingym.csv", attacked) for attacked in ("proteingym.csv", "dms/A.csv")),
    _published("mavedb", "mavedb.csv", sequence="AVLKDEGTSWAYQ", protein="p"),
    Target("checkpoint, ΔΔG", "stability", ("vae_protherm/best.pt",), lambda f: load_specialist(f / "vae_protherm")),
    Target("checkpoint, ΔΔG", "stability", ("mlp_refiner/best.pt",), lambda f: load_refiner(f / "mlp_refiner")),
    Target("run, ΔΔG, refined", "stability", _SPECIALIST, _stability(lambda f: refine_specialist(
        "mlp", f / "vae_protherm", f / "more", epochs=1, seed=1, resume=False, console=QUIET))),
    Target("run, ΔΔG, resumed", "stability", _SPECIALIST, _stability(lambda f: resume_run(
        _unfinished(f / "vae_protherm"), device="cpu", console=QUIET))),
    Target("run, ΔΔG, resumed", "stability", ("mlp_refiner/best.pt", "mlp_refiner/final.pt", "mlp_refiner/run.json"),
           _stability(lambda f: resume_run(_unfinished(f / "mlp_refiner"), device="cpu", console=QUIET))),
    Target("run, ΔΔG, explored", "stability", _SPECIALIST, lambda f: explore_runs(
        [f / "vae_protherm"], f / "out/explored", paths=(), permutations=20, seed=1, console=QUIET)),
    *(Target("report, ΔΔG", "stability", (name,), lambda f: report_run(
        f / "vae_protherm", f / "out/report.html", QUIET)) for name in _SPECIALIST if "final" not in name),
    Target("report, ΔΔG", "tables", ("scan/scan.csv",), lambda f: report_run(f / "scan", f / "out/x.html", QUIET)),
    Target("ddg predict", "tables", ("mutations.csv", "a.pdb"), _predict),
    Target("ddg predict", "tables", ("protein.fa",), lambda f: predict_mutations(
        ProteinSource(sequence=str(f / "protein.fa")), "A1G,V2A", f / "out/ddg.tsv", QUIET)),
    Target("ddg scan", "tables", ("a.pdb", "dms/A.csv"), lambda f: scan_protein(
        ProteinSource(structure=f / "a.pdb"), f / "out/scan", QUIET, [f / "dms/A.csv"])),
    Target("alignment", "tables", ("msa.a2m",), lambda f: profile_of(*read_alignment(f / "msa.a2m"))),
    Target("join", "tables", ("gene_calls.tsv", "alleles.tsv", "alleles.fa", "scan/scan.csv"), lambda f: join_calls(
        f / "gene_calls.tsv", f / "alleles.tsv", [f"blaSHV={f / 'scan'}"], f / "alleles.fa", f / "out/join", QUIET)),
    *(Target("copyfold run", "pca", (f"run/{name}",), _look) for name in ("run.json", "metrics.json")),
    Target("TSV, truth", "tables", ("runs.tsv", "by_biosample.tsv"), _joined),
)  # fmt: skip
