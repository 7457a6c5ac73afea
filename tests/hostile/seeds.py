"""Small good files of every form, made by code: what is made hostile."""

from __future__ import annotations

import gzip
import json
import shutil
from importlib import import_module
from importlib.resources import files
from pathlib import Path

import joblib
import numpy as np
import pysam
from biotite.sequence import ProteinSequence
from biotite.structure.io import pdb, pdbx

from copyfold.app.cnv_run import train_run
from copyfold.app.cohort_folder import prepare_cohort
from copyfold.app.counts import CountOptions, count_sample
from copyfold.app.ddg_predict import ProteinSource, scan_protein
from copyfold.app.ddg_refine import refine_specialist
from copyfold.app.ddg_train import train_specialists
from copyfold.app.references import BuildOptions, build_reference
from copyfold.cnv.bin_table import BinTable
from copyfold.cnv.config import CnvConfig
from copyfold.cnv.segmentation import ExpectedDepths, GaussianSegmenter
from copyfold.cnv.simulation import hs11286_geometry, preset, simulate, write_cohort
from copyfold.cnv.store import open_store, write_store
from copyfold.core.config import load_config
from copyfold.core.console import Console
from copyfold.core.files import read_json
from copyfold.core.rundir import python_facts
from copyfold.ddg.predictor.predictor import StabilityPredictor
from copyfold.ddg.splits import homology_clusters
from copyfold.ddg.structures import read_structure
from copyfold.ddg.table import DDG_LINE, REQUIRED, TABLE_FORMAT
from copyfold.engine import DeterministicConfig
from hostile.published import PUBLISHED, SCREENS

QUIET = Console(quiet=True)
_DOCUMENTS = ("epochs=2", "latent_dim=4", "hmm=02_gaussian_hmm", "cnv=06_gene_cnv_caller")
MODULES = {
    "pca": ("architecture=pca_baseline", *_DOCUMENTS),
    "vae": ("architecture=06_conv_vae", *_DOCUMENTS),
    "count": (),
}
"""What is changed in the cohort's configuration, by the folder of the run."""
_CONTIGS = {"chr1": 260_000, "p1": 6_000}


def make_seeds(root: Path) -> None:
    """Write the good files of every target below `root`."""
    _make_genome(root / "reads")
    _make_cohort(root)
    _make_tables(root / "tables")
    _make_stability(root)
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


def make_reads_and_reference(folder: Path) -> Path:
    """Reads of a small genome, and below them its reference, whose folder is returned."""
    _make_genome(folder)
    chromosome, plasmids = folder / "chromosome.fa", [folder / "plasmids.fa"]
    build_reference(chromosome, plasmids, folder / "genes.fa", folder / "REF", BuildOptions(), QUIET)
    return folder / "REF"


def warm_up(root: Path) -> None:
    """Load once what every fork would load: kernels that were compiled before, weights, facts about the machine."""
    python_facts()
    joblib.cpu_count(only_physical_cores=True)  # scikit-learn asks for it, and joblib asks lscpu, once
    DeterministicConfig(42).apply()
    protein = read_structure(root / "tables/a.pdb")
    read_structure(root / "tables/a.cif")
    predictor = StabilityPredictor.load()
    predictor.predict(protein, ["A1G"])
    predictor.predict(protein.sequence, ["A1G"])
    homology_clusters([protein.sequence * 4, protein.sequence[::-1] * 4])
    for name in ("font_manager", "backends.backend_agg", "backends.backend_svg"):
        import_module(f"matplotlib.{name}")
    config = load_config(CnvConfig, root / "cohort/config.yaml")
    store = open_store(root / "cohort/chromosome")
    counts = np.asarray(store.counts)
    segmenter = GaussianSegmenter(BinTable(store.contigs), config, root / "pca/run/checkpoint.pth")
    depths = ExpectedDepths(counts, counts.astype(np.float32), None)
    segmenter.segment(depths, segmenter.copy_ratios(depths))


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
    """A cohort and three finished runs of it."""
    cohort = simulate(preset("easy"), 12, 8, hs11286_geometry(300))
    write_cohort(cohort, root / "cohort")
    first = open_store(root / "cohort/chromosome")
    write_store(root / "cohort/more", first.counts, first.contigs, np.char.replace(first.sample_ids, "SIM", "ERR"))
    (root / "cohort/settings.yaml").write_text((files("copyfold") / "presets/simulate_easy.yaml").read_text())
    for name, modules in MODULES.items():
        changes = (*modules, f"out_dir={root / name / 'run'}")
        train_run(root / "cohort/config.yaml", changes, resume=False, device="cpu", console=QUIET)
        shutil.copytree(root / "cohort", root / name / "cohort")
        record = read_json(root / name / "run/run.json")
        text = json.dumps(record).replace(f"{root}/cohort", f"{root / name}/cohort")
        (root / name / "run/run.json").write_text(text)
    shutil.copytree(root / "pca/run", root / "pca/good")


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
    for name, text in {**PUBLISHED, **SCREENS}.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    _make_structure(folder)
    (folder / "mutations.csv").write_text("mutation,who\nA1G,x\nV2A:L3A,y\np.Ala1Gly,z\n")
    (folder / "alleles.tsv").write_text("sample_id\tallele\nSIM0000001\tblaSHV-11\nSIM0000002\tblaSHV-1\n")
    (folder / "alleles.fa").write_text(">blaSHV-11\nAVLKDEGTSWAYQ\n>blaSHV-1\nGVLKDEGTSWAYQ\n")
    (folder / "msa.a2m").write_text(">q\nAVLKDEGTSWAYQ\n>r\nAVLKDE-TSWAfYQ\n>s\nGVLRDEGTSWAYQ\n")
    (folder / "by_biosample.tsv").write_text("biosample\tblaKPC\tblaSHV\nSAM1\t1\t2\nSAM2\t0\tNA\n")


def _make_structure(folder: Path) -> None:
    """A short helix as PDB and mmCIF, a table of ΔΔG of it, its sequence."""
    sequence = "AVLKDEGTSWAYQ"
    place = np.arange(len(sequence))
    angle = np.radians(100 * place)
    lines = []
    for number, letter in enumerate(sequence):
        for atom, (radius, turn, rise) in {
            "N": (1.55, -0.48, -0.9), "CA": (2.28, 0.0, 0.0), "C": (1.68, 0.46, 1.1), "O": (1.98, 0.6, 2.3)
        }.items():  # fmt: skip
            x, y = radius * np.cos(angle[number] + turn), radius * np.sin(angle[number] + turn)
            lines.append(
                f"ATOM  {len(lines) + 1:>5}  {atom:<3} {ProteinSequence.convert_letter_1to3(letter)} A{number + 1:>4}"
                f"    "
                f"{x:8.3f}{y:8.3f}{1.5 * number + rise:8.3f}  1.00 20.00           {atom[0]}"
            )
    (folder / "a.pdb").write_text("\n".join([f"{'HEADER    TEST':<80}", *lines, "TER", "END"]) + "\n")
    cif = pdbx.CIFFile()
    pdbx.set_structure(cif, pdb.PDBFile.read(str(folder / "a.pdb")).get_structure(model=1), data_block="TEST")
    cif.write(str(folder / "a.cif"))
    (folder / "a.pdb.gz").write_bytes(gzip.compress((folder / "a.pdb").read_bytes(), mtime=0))
    rows = [("A", 1, "G", 1.5), ("V", 2, "A", 0.7), ("L", 3, "A", -0.2)]
    (folder / "ddg.csv").write_text(
        f"# {TABLE_FORMAT}\n{DDG_LINE}\n{','.join(REQUIRED)}\n"
        + "".join(f"p1,A,{at},,{wt},{mutant},{ddg},7,298.15,x,{sequence},{at}\n" for wt, at, mutant, ddg in rows)
    )
    (folder / "s669.csv").write_text(
        "Protein,PDB_Mut,Mut_seq,DDG_checked_dir,pH,T\n"
        + "".join(f"1AAAA,{w}{a}{m},{w}{a}{m},{d},7,25\n" for w, a, m, d in rows)
    )
    (folder / "protein.fa").write_text(f">p1\n{sequence}\n")


def _make_stability(root: Path) -> None:
    """A specialist with its refiner, and a scan beside the calls of a run."""
    folder = root / "stability"
    (specialist,) = train_specialists(
        ["protherm"], None, ("epochs=3",), data=None, structures=None, out=folder, quick=True, resume=False,
        console=QUIET,
    )  # fmt: skip
    refine_specialist("mlp", specialist, None, epochs=2, seed=42, resume=False, console=QUIET)
    scan_protein(ProteinSource(structure=root / "tables/a.pdb"), root / "tables/scan", QUIET)
    shutil.copy(root / "pca/run/gene_calls.tsv", root / "tables/gene_calls.tsv")
