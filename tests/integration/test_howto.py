"""Runnable blocks of docs/howto and docs/coming-from, each in a folder that holds what its page takes for granted."""

import importlib.util
import lzma
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pysam
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "ddg"))
from chains import helix, pdb_text

from copyfold.ddg.simulation import simulate_mutations
from copyfold.ddg.table import write_table

ROOT = Path(__file__).parents[2]
DDG_DATA = ROOT.parent / "shared/data/ddg"
PAGES = (
    *(f"howto/{page}" for page in ("reference", "import", "resume-and-rerun", "cohort", "export", "report")),
    *(f"howto/{page}" for page in ("ddg-data", "ddg-train", "ddg-explore", "ddg-predict", "join")),
    *(f"coming-from/{page}" for page in ("cnvrock", "amrfinder", "cnvkit", "foldx", "thermompnn")),
)
BLOCKS = [
    pytest.param(page, block, id=f"{page}-{number}")
    for page in PAGES
    for number, block in enumerate(
        re.findall(r"```bash\n(.*?)```", (ROOT / f"docs/{page}.md").read_text(), flags=re.DOTALL)
    )
]


def beside(name):
    """A module of the unit tests, for the tables of other tools that it makes."""
    spec = importlib.util.spec_from_file_location(f"{name}_tables", ROOT / f"tests/unit/cnv/{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def reads(tmp_path_factory, write_inputs):
    folder = tmp_path_factory.mktemp("reads")
    write_inputs(folder)
    return folder


@pytest.fixture
def prepare(reads, tmp_path, cohort, pca_run, copyfold):
    """``prepare(page)`` fills the working folder."""

    def reference():
        (tmp_path / "plasmids").mkdir()
        shutil.copy(reads / "plasmids.fa", tmp_path / "plasmids/p1.fa")
        shutil.copy(reads / "chromosome.fa", tmp_path)
        shutil.copy(reads / "genes.fa", tmp_path / "panel.fasta")
        whole = (reads / "chromosome.fa").read_bytes() + (reads / "plasmids.fa").read_bytes()
        (tmp_path / "HS11286.fna.xz").write_bytes(lzma.compress(whole))

    def tables():
        shutil.copy(reads / "ERR2.bam", tmp_path / "ERR1.bam")
        pysam.index(str(tmp_path / "ERR1.bam"))
        with pysam.AlignmentFile(str(tmp_path / "ERR1.bam")) as bam:
            bins = [
                f"{name}\t{start}\t{min(start + 1000, length)}\n"
                for name, length in zip(bam.references, bam.lengths, strict=True)
                for start in range(0, length, 1000)
            ]
        (tmp_path / "bins.bed").write_text("".join(bins))
        (tmp_path / "plasmid_genes.tsv").write_text("gene\tcontig\tstart\tend\nblaKPC-2\tp1\t3001\t3882\n")
        inner = tmp_path / "runs/ERR1/08_mutation_identification"
        inner.mkdir(parents=True)
        (inner / "chr1.coverage.tab").write_text(beside("test_store_build_depth").run_table(2500))
        stores = beside("test_store_build")
        (tmp_path / "their").mkdir()
        stores.published(tmp_path / "their/store")
        stores.published(tmp_path / "their/plasmid_store")
        truth = beside("test_truth_builders")
        (tmp_path / "amr").mkdir()
        truth.table(tmp_path / "amr/SAM1.tsv", truth.V4, *truth.HITS)
        (tmp_path / "runs.tsv").write_text("sample_id\tbiosample\nERR1\tSAM1\nERR2\tSAM2\n")
        rows = [["SAM1", "ST258", "SHV-11", *"-----"], ["SAM2", "ST11", *"------"]]
        truth.kleborate(tmp_path / "klebsiella_pneumo_complex_output.txt", "", *rows)
        (tmp_path / "by_biosample.tsv").write_text("biosample\tblaKPC\nSAM1\t1\nSAM2\t0\n")

    def run():
        shutil.copytree(pca_run.path, tmp_path / "my/run")
        shutil.copytree(cohort, tmp_path, dirs_exist_ok=True)
        text = (tmp_path / "config.yaml").read_text()
        (tmp_path / "CONFIG.yaml").write_text(re.sub(r"(architecture:\s*)\S+", r"\1pca_baseline", text))
        shutil.copy(cohort / "gene_coords.tsv", tmp_path / "panel.tsv")

    def sheet():
        pytest.importorskip("snakemake")
        for name in ("ERR1_1.fastq.gz", "ERR1_2.fastq.gz", "ERR2.bam"):
            shutil.copy(reads / name, tmp_path)
        inputs = ("--chromosome", reads / "chromosome.fa", "--plasmids", reads / "plasmids.fa")
        copyfold("cnv", "reference", "build", *inputs, "--genes", reads / "genes.fa", "--out", tmp_path / "REF", "-q")
        rows = "ERR1\tERR1_1.fastq.gz\tERR1_2.fastq.gz\tST258\nERR2\tERR2.bam\t\tST11\n"
        (tmp_path / "sheet.tsv").write_text("sample\treads1\treads2\tlineage\n" + rows)
        (tmp_path / "workflow").symlink_to(ROOT / "workflow")

    def finished():
        samples = (cohort / "truth/samples.tsv").read_text().splitlines()[1:3]
        shutil.copytree(pca_run.path, tmp_path / "RUN")
        known = pd.read_csv(cohort / "truth/samples.tsv", sep="\t")
        known[["sample_id", "ST"]].to_csv(tmp_path / "st.tsv", sep="\t", index=False)
        return [row.split("\t")[0] for row in samples]

    def mutations():
        rng = np.random.default_rng(0)
        rows = ["protein,mutation,ddG,sequence"]
        for number in range(12):
            protein = "".join(rng.choice(list("ACDEFGHIKLMNPQRSTVWY"), 80))
            places = [place for place in range(80) if protein[place] != "A"][:6]
            rows += [f"p{number},{protein[place]}{place + 1}A,{rng.normal(1, 1):.2f},{protein}" for place in places]
        (tmp_path / "own.csv").write_text("\n".join(rows) + "\n")

    def specialists():
        write_table(tmp_path / "table.csv", simulate_mutations(14, 16, seed=3))
        for seed in (42, 43, 44):  # the S669 specialist stands in: it needs no structures
            out = tmp_path / f"seed{seed}"
            changes = (f"seed={seed}", "epochs=2", "split=cluster", "val_fraction=0.4", "max_rows=null")
            options = [part for change in changes for part in ("--set", change)]
            copyfold("ddg", "train", "s669", "--data", tmp_path / "table.csv", *options, "--out", out, "-q").succeeded()
            (out / "vae_s669").rename(out / "vae_protherm")

    def isolates():
        shv = "MRYIRLCIISLLATLPLAVHASPQPLEQIKQSESQLSGRVGMIEMDLASGRTLTAWRADE"
        (tmp_path / "run").mkdir()
        (tmp_path / "run/gene_calls.tsv").write_text("sample_id\tblaSHV\tcrr_blaSHV\nS1\t1\t1.0\nS2\t2\t2.1\n")
        (tmp_path / "run/plasmid_gene_calls.tsv").write_text("sample_id\tblaTEM\tpcn_blaTEM\nS1\t0\t0\nS2\t1\t3.2\n")
        (tmp_path / "kleborate.tsv").write_text("strain\tBla_chr\nS1\tSHV-1^\nS2\tSHV-11^\n")
        (tmp_path / "alleles.fasta").write_text(f">SHV-1\n{shv}\n>SHV-11\n{shv.replace('AWRAD', 'AWRAE')}\n")
        for name in ("shv", "tem"):
            copyfold("ddg", "scan", "--sequence", shv, "--out", tmp_path / name, "-q").succeeded()

    def protein():
        if importlib.util.find_spec("protein_mpnn_utils") is None:
            pytest.skip("the extra 'structure' is not installed")
        (tmp_path / "protein.pdb").write_text(pdb_text(helix("GSAELLAWKRQVMTNDYPHIAEELLKKAAEALLSKV")))
        (tmp_path / "individual_list.txt").write_text("LA5A;\nLA5V,KA9E;\n")

    def numbered():
        protein()
        sequence = "GSAEKLLAWFRQVMTNDYPHIAEELLKKAAEALLSKV"
        (tmp_path / "protein.pdb").write_text(pdb_text(helix(sequence, first=10, seqres="MM" + sequence)))
        (tmp_path / "protein.fa").write_text(f">protein\n{sequence}\n")
        for path in (DDG_DATA / "structures/1zg4.pdb.gz", *DDG_DATA.glob("proteingym/BLAT_ECOLX_*_201[45].csv.gz")):
            if path.exists():
                shutil.copy(path, tmp_path)

    fill = {"reference": reference, "import": tables, "resume-and-rerun": run, "cohort": sheet}
    fill |= {"export": finished, "report": finished, "ddg-data": mutations, "ddg-train": lambda: None}
    fill |= {"ddg-explore": specialists, "join": isolates}
    fill |= {"cnvrock": tables, "amrfinder": tables, "cnvkit": finished, "foldx": protein, "thermompnn": protein}
    fill["ddg-predict"] = numbered
    return lambda page: fill[page.split("/")[1]]()


@pytest.mark.slow
def test_the_python_of_the_predict_page_runs(prepare, tmp_path):
    prepare("howto/ddg-predict")
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/howto/ddg-predict.md").read_text(), flags=re.DOTALL)
    done = subprocess.run([sys.executable, "-c", block], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["A12V", "A12V:L15P"]
    assert "nan" not in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(("page", "block"), BLOCKS)
def test_a_block_of_a_page_runs(prepare, tmp_path, page, block):
    names = prepare(page)
    for tool in ("mosdepth", "samtools"):
        if block.lstrip().startswith(("mkdir", tool)) and tool in block and shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    if "1zg4" in block and not (tmp_path / "1zg4.pdb.gz").exists():
        pytest.skip(f"{DDG_DATA} is not here")
    if names:
        block = block.replace("ERR1", names[0]).replace("ERR2", names[1])
    if "OUT/run" in block:
        block = "copyfold cnv cohort sheet.tsv --reference REF --out OUT\n" + block
    libraries = sorted(Path("/usr/lib").glob("*/libhts.so.*"))
    if libraries and "mosdepth" in block:  # Debian's looks for libhts.so, which only the package of headers has
        (tmp_path / "libhts.so").symlink_to(libraries[0])
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "LD_LIBRARY_PATH": f"{tmp_path}:{os.environ.get('LD_LIBRARY_PATH', '')}",
    }
    done = subprocess.run(["bash", "-e", "-c", block], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
    if page.endswith("foldx"):
        rows = pd.read_csv(tmp_path / "ddg.csv", comment="#")
        assert rows["mutation"].tolist() == ["A:L5A", "A:L5V:A:K9E"]
        assert rows["ddg_kcal_mol"].notna().all()
