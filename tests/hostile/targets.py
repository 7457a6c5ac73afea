"""Every reader and every job that reads, each with a small good set of files that code makes."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pysam

from copyfold.app.cnv_run import call_new, rerun_stage, train_run
from copyfold.app.cohort_folder import plan_cohort, prepare_cohort
from copyfold.app.cohort_report import write_summary
from copyfold.app.count_stores import build_from_counts
from copyfold.app.counts import CountOptions, count_sample
from copyfold.app.exports import ENDINGS, PER_SAMPLE, ExportOptions, export_run
from copyfold.app.references import BuildOptions, build_reference
from copyfold.app.stores import build_store, merge_stores
from copyfold.app.truth_tables import write_amrfinder_truth, write_joined_truth, write_kleborate_truth
from copyfold.cnv.config import CnvConfig
from copyfold.cnv.importers import ImportSettings
from copyfold.cnv.pipeline import load_inputs
from copyfold.cnv.segmentation import GaussianSegmenter
from copyfold.cnv.segments_file import read_segments
from copyfold.cnv.simulation import hs11286_geometry, preset, simulate, write_cohort
from copyfold.cnv.simulation.settings import load_settings
from copyfold.cnv.simulation.table import read_depth_table
from copyfold.cnv.store import open_store, write_store
from copyfold.core.config import load_config
from copyfold.core.console import Console
from copyfold.core.files import read_json, read_npy
from copyfold.core.rundir import python_facts, read_run_record
from copyfold.engine import load_checkpoint

QUIET = Console(quiet=True)
_CONTIGS = {"chr1": 260_000, "p1": 6_000}


class Target(NamedTuple):
    """Something that reads files.

    Attributes
    ----------
    kind : str
        Form of the files, as the table of results names it.
    folder : str
        Good files, a folder below that of `make_seeds`.
    files : tuple of str
        Those to be made hostile, one at a time; relative to the folder.
    read : callable
        Reads the folder it is given, and writes below its ``out`` at most.
    """

    kind: str
    folder: str
    files: tuple[str, ...]
    read: Callable[[Path], Any]


def make_seeds(root: Path) -> None:
    """Write the good files of every target below `root`."""
    _make_genome(root / "reads")
    _make_cohort(root)
    _make_tables(root / "tables")
    build_reference(
        root / "reads/chromosome.fa", [root / "reads/plasmids.fa"], root / "reads/genes.fa", root / "counted/REF",
        BuildOptions(), QUIET
    )  # fmt: skip
    shutil.copytree(root / "counted/REF", root / "sheet/REF")
    shutil.copytree(root / "counted/REF", root / "sheet/good")
    shutil.copytree(root / "counted/REF", root / "reads/REF")
    for number in (1, 2):
        name = f"ERR{number}"
        count_sample([root / "reads/a.bam"], root / "reads/REF", root / "counted/counts", name, CountOptions(), QUIET)
    for name in ("a_1.fastq", "a_2.fastq", "a.bam", "a.cram"):
        shutil.copy(root / "reads" / name, root / "sheet")
    (root / "sheet/samples.tsv").write_text(
        "sample\treads1\treads2\tbam\tlineage\n"
        "ERR1\ta_1.fastq\ta_2.fastq\t\tST258\nERR2\t\t\ta.bam\tST11\nERR3\ta_3.fastq\t\t\t\n"
    )
    (root / "sheet/samples.csv").write_text(
        "sample,reads1,reads2,lineage\nERR1,a_1.fastq,a_2.fastq,ST258\nERR2,b.fq,,\n"
    )
    prepare_cohort(root / "sheet/samples.tsv", root / "sheet/REF", root / "sheet/cohort", QUIET)
    shutil.copytree(root / "counted/counts", root / "sheet/cohort/counts")


def warm_up(root: Path) -> None:
    """Load once what every fork would load: kernels that were compiled before, facts about the machine."""
    python_facts()
    config = load_config(CnvConfig, root / "cohort/config.yaml")
    store = open_store(root / "cohort/chromosome")
    counts = np.asarray(store.counts)
    segmenter = GaussianSegmenter(config)
    segmenter.segment(segmenter.copy_ratios(counts, counts.astype(np.float32)), store.contigs)


def _make_genome(folder: Path) -> None:
    """A genome with a plasmid, its genes in four forms, reads as BAM, CRAM and FASTQ."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(7)
    genome = {name: "".join(random.choice(list("ACGT"), length)) for name, length in _CONTIGS.items()}
    places = {"blaSHV-11": ("chr1", 130_200, 131_061), "blaKPC-2": ("p1", 3_000, 3_882)}
    (folder / "chromosome.fa").write_text(_fasta({"chr1": genome["chr1"]}))
    (folder / "plasmids.fa").write_text(_fasta({"p1": genome["p1"]}))
    (folder / "genes.fa").write_text(
        _fasta({gene: genome[contig][start:end] for gene, (contig, start, end) in places.items()})
    )
    rows = [(gene, contig, start + 1, end) for gene, (contig, start, end) in places.items()]
    (folder / "genes.tsv").write_text(
        "gene\tcontig\tstart\tend\tfamily\trole\tabsent_threshold\n"
        + "".join(f"{gene}\t{contig}\t{start}\t{end}\t\t\t0.3\n" for gene, contig, start, end in rows)
    )
    (folder / "genes.gff").write_text(
        "##gff-version 3\n##sequence-region chr1 1 260000\n"
        + "".join(
            f"{contig}\tx\tgene\t{start}\t{end}\t.\t+\t.\tID=gene-{gene};Name={gene};locus_tag=L{start}\n"
            f"{contig}\tx\tCDS\t{start}\t{end}\t.\t+\t0\tID=cds-{gene};Parent=gene-{gene};gene={gene}\n"
            for gene, contig, start, end in rows
        )
    )
    (folder / "genes.gbk").write_text(
        "LOCUS       chr1              260000 bp    DNA     circular BCT 01-JAN-2020\n"
        "ACCESSION   chr1\nVERSION     chr1\nFEATURES             Location/Qualifiers\n"
        "     source          1..260000\n"
        "     gene            complement(join(130201..130500,130600..131061))\n"
        '                     /gene="blaSHV-11"\n                     /locus_tag="L1"\n'
        "     CDS             130201..131061\n"
        '                     /gene="blaSHV-11"\n                     /product="beta-lactamase"\n'
        "ORIGIN\n        1 acgtacgtac\n//\n"
    )
    header = {"HD": {"VN": "1.6"}, "SQ": [{"SN": name, "LN": length} for name, length in _CONTIGS.items()]}
    pairs = [
        (name, start, genome[name][start : start + 300])
        for name in genome
        for start in sorted(random.integers(0, _CONTIGS[name] - 300, _CONTIGS[name] // 120).tolist())
    ]
    with pysam.AlignmentFile(str(folder / "a.bam"), "wb", header=header) as out:
        for number, (name, start, sequence) in enumerate(pairs):
            record = pysam.AlignedSegment(out.header)
            record.query_name, record.query_sequence, record.cigarstring = f"r{number}", sequence[:150], "150M"
            record.reference_name, record.reference_start, record.mapping_quality = name, start, 60
            out.write(record)
    (folder / "all.fa").write_text(_fasta(genome))
    pysam.faidx(str(folder / "all.fa"))
    pysam.view(
        "-C", "-T", str(folder / "all.fa"), "-o", str(folder / "a.cram"), str(folder / "a.bam"), catch_stdout=False
    )
    for mate in (1, 2):
        reads = (sequence[:150] if mate == 1 else sequence[150:] for _, _, sequence in pairs)
        text = "".join(f"@r{number}/{mate}\n{read}\n+\n{'I' * 150}\n" for number, read in enumerate(reads))
        (folder / f"a_{mate}.fastq").write_text(text)
        (folder / f"a_{mate}.fastq.gz").write_bytes(gzip.compress(text.encode(), mtime=0))


def _fasta(records: dict[str, str]) -> str:
    return "".join(f">{name} of a test\n{sequence}\n" for name, sequence in records.items())


def _make_cohort(root: Path) -> None:
    """A cohort and two finished runs of it."""
    cohort = simulate(preset("easy"), 12, 8, hs11286_geometry(300))
    write_cohort(cohort, root / "cohort")
    first = open_store(root / "cohort/chromosome")
    write_store(root / "cohort/more", first.counts, first.contigs, np.char.replace(first.sample_ids, "SIM", "ERR"))
    (root / "cohort/settings.yaml").write_text((files("copyfold") / "presets/simulate_easy.yaml").read_text())
    for name, architecture in (("pca", "pca_baseline"), ("vae", "06_conv_vae")):
        changes = (f"architecture={architecture}", "epochs=2", "latent_dim=4", f"out_dir={root / name / 'run'}")
        train_run(root / "cohort/config.yaml", changes, resume=False, device="cpu", console=QUIET)
        shutil.copytree(root / "cohort", root / name / "cohort")
        record = read_json(root / name / "run/run.json")
        text = json.dumps(record).replace(f"{root}/cohort", f"{root / name}/cohort")
        (root / name / "run/run.json").write_text(text)


def _make_tables(folder: Path) -> None:
    """What other tools write."""
    folder.mkdir()
    bins = [("chr1", start, start + 1000) for start in range(0, 40_000, 1000)]
    (folder / "s1.counts.tsv").write_text(
        "@HD\tVN:1.6\n@RG\tID:a\tSM:s1\nCONTIG\tSTART\tEND\tCOUNT\n"
        + "".join(f"{name}\t{start + 1}\t{end}\t{40 + start // 1000}\n" for name, start, end in bins)
    )
    bed = "".join(f"{name}\t{start}\t{end}\t{30 + start / 5000:.2f}\n" for name, start, end in bins)
    (folder / "s1.regions.bed.gz").write_bytes(gzip.compress(bed.encode(), mtime=0))
    (folder / "s1.bed").write_text(
        "".join(f"{name}\t{start}\t{end}\t{30 * 1000 + start}\n" for name, start, end in bins)
    )
    (folder / "depth.tsv").write_text(
        "CONTIG\tSTART\tEND\tDEPTH\n" + "".join(f"{n}\t{s + 1}\t{e}\t{30 + s / 5000:.2f}\n" for n, s, e in bins)
    )
    (folder / "chr1.coverage.tab").write_text(
        "unique_top_cov\tunique_bot_cov\tredundant_top_cov\tredundant_bot_cov\traw_redundant_top_cov\t"
        "raw_redundant_bot_cov\te_value\tposition\n" + "".join(f"10\t12\t0\t0\t0\t0\t1\t{p}\n" for p in range(1, 2001))
    )
    (folder / "SAM1.tsv").write_text(
        "Protein id\tContig id\tStart\tStop\tStrand\tElement symbol\tElement name\tScope\tType\tSubtype\tClass\t"
        "Subclass\tMethod\n" + "".join(
            f"NA\tc1\t{at}\t{at + 861}\t+\t{gene}\tits name\tcore\tAMR\tAMR\tBETA-LACTAM\tNA\t{method}\n"
            for at, (gene, method) in enumerate((("blaSHV-11", "EXACTX"), ("blaKPC-3", "PARTIAL_CONTIG_ENDX")), 1)
        )
    )  # fmt: skip
    (folder / "kleborate.txt").write_text(
        "strain\tspecies\tST\tBla_acquired\tBla_inhR_acquired\tBla_ESBL_acquired\tBla_ESBL_inhR_acquired\t"
        "Bla_Carb_acquired\tBla_chr\nSAM1\tKlebsiella pneumoniae\tST258\tSHV-11\t-\tSHV-12*\t-\tKPC-2\tSHV-11\n"
    )
    (folder / "runs.tsv").write_text("sample_id\tbiosample\nERR1\tSAM1\nERR2\tSAM2\n")
    (folder / "by_biosample.tsv").write_text("biosample\tblaKPC\tblaSHV\nSAM1\t1\t2\nSAM2\t0\tNA\n")


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
        changes = ("architecture=06_conv_vae", "epochs=3", "latent_dim=4", f"out_dir={run}")
        train_run(folder / "cohort/config.yaml", changes, resume=True, device="cpu", console=QUIET)

    _again(folder, go_on)


def _train(folder: Path) -> None:
    changes = ("architecture=pca_baseline", "latent_dim=4", f"out_dir={folder / 'out/run'}")
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
    Target("TSV, truth", "tables", ("runs.tsv", "by_biosample.tsv"), _joined),
)  # fmt: skip
