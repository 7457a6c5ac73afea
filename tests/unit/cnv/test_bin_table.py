"""What a reference says of a store's bins."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from copyfold.cnv.bin_table import BinTable, read_bin_table, replication_phase
from copyfold.cnv.store import Contigs
from copyfold.errors import InputError

DATA = Path(__file__).parents[4] / "shared/data/cnv"
HEADER = "contig\tstart\tend\tgc\tmappability\n"
CONTIGS = Contigs(np.array(["CP003200.1"] * 2 + ["other"]), np.array([0, 1000, 0]), np.array([1000, 1500, 1000]))
ROWS = "other\t1\t1000\t0.4\t1\nNC_016845.1\t1\t1000\t0.5\t0.9\nNC_016845.1\t1001\t1500\t\t0.1\n"


def write(tmp_path, text):
    path = tmp_path / "bins.tsv"
    path.write_text(text)
    return path


def test_rows_are_found_by_place_and_by_the_contigs_other_name(tmp_path):
    table = read_bin_table(write(tmp_path, HEADER + ROWS), CONTIGS)
    np.testing.assert_allclose(table.mappability, [0.9, 0.1, 1.0])
    np.testing.assert_allclose(table.gc, [0.5, 0.45, 0.4], err_msg="an unknown share is the median of the others")
    assert table.replication is None
    np.testing.assert_allclose(table.widths, [1, 0.5, 1])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEADER + ROWS.replace("other", "else"), r"has no bin other:1–1000 of the store"),
        (HEADER + ROWS.replace("1500", "1400"), r"has no bin CP003200.1:1001–1500"),
        (HEADER + ROWS.replace("0.9", "1.9"), "column mappability must hold numbers from 0 to 1"),
        (HEADER + ROWS.replace("0.9", "many"), "column mappability must hold numbers from 0 to 1"),
        (HEADER + ROWS.replace("\t1001\t", "\tx\t"), "start and end must be whole numbers"),
        ("contig\tstart\nc\t1\n", "no column end"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        read_bin_table(write(tmp_path, text), CONTIGS)


def test_bins_of_which_nothing_is_known():
    table = BinTable(CONTIGS)
    assert len(table) == 3
    assert table.gc is table.mappability is table.replication is None


def test_phase_of_a_made_genome():
    """A circle whose leading strands have more G than C, cut open inside the left arm."""
    rng = np.random.default_rng(0)
    right = rng.choice(list(b"ACGT"), 60_000, p=[0.25, 0.22, 0.28, 0.25])
    left = rng.choice(list(b"ACGT"), 40_000, p=[0.25, 0.28, 0.22, 0.25])
    circle = np.concatenate([right, left]).astype(np.uint8)  # origin at 0, terminus at 60 kb
    opened = np.roll(circle, 10_000).tobytes()
    phase = replication_phase(opened, np.arange(0, 100_000, 1000))
    assert abs(int(phase.argmax()) - 10) <= 2
    assert abs(int(phase.argmin()) - 70) <= 2
    assert phase.max() == 1
    assert phase.min() == 0
    assert phase[40] == pytest.approx(0.5, abs=0.05)
    assert phase[90] == pytest.approx(0.5, abs=0.05)


@pytest.mark.skipif(not DATA.exists(), reason="needs the real data in ../shared/data")
def test_origin_of_escherichia_coli():
    """oriC of MG1655 lies at 3.926 Mb, the terminus region between 1.3 and 1.7 Mb (Blattner 1997, Science 277:1453)."""
    with gzip.open(DATA / "genomes/ecoli_MG1655.fasta.gz", "rt") as lines:
        sequence = "".join(line.strip() for line in lines if line[0] != ">").encode()
    phase = replication_phase(sequence, np.arange(0, len(sequence), 1000))
    assert abs(phase.argmax() * 1000 - 3_926_000) < 30_000
    assert 1_300_000 < phase.argmin() * 1000 < 1_700_000
