"""Every command that the README shows, run as a newcomer would."""

import gzip
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pysam
import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
BASH_BLOCKS = re.findall(r"```bash\n(.*?)```", README, flags=re.DOTALL)


def write_inputs(folder):
    """A small genome with a plasmid, its genes, reads of one isolate as FASTQ and of another as BAM."""
    rng = np.random.default_rng(7)
    bases = {"chr1": 260_000, "p1": 8_000}
    genome = {name: "".join(rng.choice(list("ACGT"), length)) for name, length in bases.items()}
    (folder / "chromosome.fa").write_text(f">chr1\n{genome['chr1']}\n")
    (folder / "plasmids.fa").write_text(f">p1\n{genome['p1']}\n")
    genes = {"blaSHV-11": genome["chr1"][130_200:131_061], "blaKPC-2": genome["p1"][3_000:3_882]}
    (folder / "genes.fa").write_text("".join(f">{name}\n{sequence}\n" for name, sequence in genes.items()))
    pairs = []
    for name, sequence in genome.items():
        for start in rng.integers(0, len(sequence) - 300, len(sequence) // 20).tolist():
            pairs.append((name, start, sequence[start : start + 150], sequence[start + 150 : start + 300]))
    for mate in (1, 2):
        reads = (pair[2] if mate == 1 else reverse_complement(pair[3]) for pair in pairs)
        text = "".join(f"@r{i}/{mate}\n{read}\n+\n{'I' * 150}\n" for i, read in enumerate(reads))
        (folder / f"ERR1_{mate}.fastq.gz").write_bytes(gzip.compress(text.encode(), mtime=0))
    header = {"HD": {"VN": "1.6"}, "SQ": [{"SN": name, "LN": length} for name, length in bases.items()]}
    with pysam.AlignmentFile(str(folder / "ERR2.bam"), "wb", header=header) as out:
        for i, (name, start, first, _) in enumerate(pairs):
            record = pysam.AlignedSegment(out.header)
            record.query_name, record.query_sequence, record.cigarstring = f"r{i}", first, "150M"
            record.reference_name, record.reference_start, record.mapping_quality = name, start, 60
            out.write(record)


def reverse_complement(sequence):
    return sequence[::-1].translate(str.maketrans("ACGT", "TGCA"))


@pytest.mark.slow
def test_the_bash_blocks_run_in_order(tmp_path):
    write_inputs(tmp_path)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    commands = [line for block in BASH_BLOCKS for line in block.splitlines() if line.strip()]
    assert len(commands) >= 10
    for command in commands:
        assert command.startswith("copyfold ")
        done = subprocess.run(
            command, shell=True, cwd=tmp_path, env={**os.environ, "PATH": path}, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{command}\n{done.stderr}"
    for run in ("run", "cohort/run"):
        assert (tmp_path / run / "evaluation.txt").exists()
        assert (tmp_path / run / "plasmid_gene_calls.tsv").exists()


def test_the_make_targets_that_the_readme_names_exist_and_do_what_it_says():
    targets = re.search(r"```\n(make .*?)```", README, flags=re.DOTALL)[1].split("\n")
    assert targets[:2] == ["make demo", "make test"]
    for target in ("demo", "test"):
        planned = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        assert {"demo": "copyfold demo", "test": "-m pytest"}[target] in planned
    assert "make demo" in (ROOT / ".ci/run").read_text(), "CI runs the demo for real"


def test_the_commands_of_the_table_resolve():
    for path in re.findall(r"`((?:src|hpc|experiments)/[\w/.]+)`", README):
        assert (ROOT / path).exists(), path
