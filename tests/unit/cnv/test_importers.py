"""Count tables of GATK, into stores."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from copyfold.app.store_checks import describe_store
from copyfold.app.stores import build_store
from copyfold.cnv.coordinates import Gene
from copyfold.cnv.importers import gene_depths, read_gatk_counts, select_contigs
from copyfold.cnv.store import Contigs, open_store
from copyfold.core.console import Console
from copyfold.errors import ConfigError, InputError, RunError

DATA = Path(__file__).parents[4] / "shared" / "data" / "cnv"
HEADER = "@HD\tVN:1.6\n@SQ\tSN:chr\tLN:2500\n@SQ\tSN:plas\tLN:1500\n"
ROWS = (
    "CONTIG\tSTART\tEND\tCOUNT\nchr\t1\t1000\t100\nchr\t1001\t2000\t120\nchr\t2001\t2500\t60\n"
    "plas\t1\t1000\t40\nplas\t1001\t1500\t10\n"
)


def write(path, text=HEADER + ROWS):
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return path


@pytest.mark.parametrize("name", ["ERR1.counts.tsv", "ERR1.counts.tsv.gz", "ERR1.tsv"])
def test_a_table_reads(tmp_path, name):
    sample = read_gatk_counts(write(tmp_path / name))
    assert sample.sample_id == "ERR1"
    assert sample.counts.tolist() == [100, 120, 60, 40, 10]
    assert sample.contigs.start.tolist() == [0, 1000, 2000, 0, 1000]
    assert sample.contigs.end.tolist() == [1000, 2000, 2500, 1000, 1500]


def test_the_sample_name_of_the_read_group_wins(tmp_path):
    text = "@HD\tVN:1.6\n@RG\tID:GATKCopyNumber\tSM:ERR7\n" + ROWS
    assert read_gatk_counts(write(tmp_path / "x.counts.tsv", text)).sample_id == "ERR7"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEADER + ROWS.replace("120", "-3"), "line 6: COUNT is '-3'"),
        (HEADER + ROWS.replace("120", "1.5"), "line 6: COUNT is '1.5'"),
        (HEADER + ROWS.replace("\t120", ""), "line 6: 3 cells where the header has 4"),
        (HEADER + ROWS.replace("1001\t2000", "2001\t2000"), "line 6: chr:2001-2000 is no bin"),
        (HEADER + ROWS.replace("COUNT", "DEPTH"), "no column COUNT"),
        (HEADER, "the file is empty"),
        (HEADER + "CONTIG\tSTART\tEND\tCOUNT\n", "a header and no rows"),
        ("", "the file is empty"),
        (HEADER + ROWS.replace("120", "99999999999"), "line 6: COUNT is '99999999999'"),
    ],
)
def test_bad_tables(tmp_path, text, message):
    with pytest.raises(InputError, match=message) as caught:
        read_gatk_counts(write(tmp_path / "a.counts.tsv", text))
    assert len(str(caught.value).splitlines()) == 1


def test_a_truncated_gzip(tmp_path):
    path = write(tmp_path / "a.tsv.gz")
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InputError, match="cannot be read"):
        read_gatk_counts(path)


def test_gene_depth_counts_a_short_bin_by_its_length():
    contigs = Contigs(np.array(["p", "p"]), np.array([0, 1000]), np.array([1000, 1500]))
    counts = np.array([[40, 20]])  # 40 reads per kb on both
    assert gene_depths(counts, Gene("g", "p", 500, 1400), contigs)[0] == pytest.approx(40)
    assert gene_depths(np.array([[40, 0]]), Gene("g", "p", 500, 1500), contigs)[0] == pytest.approx(20)


def test_contigs_are_chosen_by_length_name_or_alias():
    contigs = Contigs(np.array(["a", "CP003200.1"]), np.array([0, 0]), np.array([10, 99]))
    assert select_contigs(contigs, []).tolist() == [1]
    assert select_contigs(contigs, ["a"]).tolist() == [0]
    assert select_contigs(contigs, ["NC_016845.1"]).tolist() == [1]
    with pytest.raises(InputError, match="--contig b"):
        select_contigs(contigs, ["b"])


def test_stores_from_a_folder_are_sorted_by_sample(tmp_path):
    (tmp_path / "in").mkdir()
    write(tmp_path / "in" / "B.counts.tsv")
    write(tmp_path / "in" / "A.counts.tsv.gz", HEADER + ROWS.replace("120", "7"))
    build_store([tmp_path / "in"], tmp_path / "chrom", "gatk", [], None, Console(quiet=True))
    store = open_store(tmp_path / "chrom")
    assert store.sample_ids.tolist() == ["A", "B"]
    assert store.counts.tolist() == [[100, 7, 60], [100, 120, 60]]
    (tmp_path / "genes.tsv").write_text("gene\tcontig\tstart\tend\nsul1\tplas\t1\t1500\nelse\tother\t1\t9\n")
    build_store([tmp_path / "in"], tmp_path / "plas", "gatk", [], tmp_path / "genes.tsv", Console(quiet=True))
    plasmid = open_store(tmp_path / "plas")
    assert plasmid.genes.tolist() == ["sul1"]
    assert plasmid.counts.tolist() == [[33], [33]]
    assert "sul1" in describe_store(tmp_path / "plas")


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"other": ROWS.replace("chr\t1\t", "chr\t2\t")}, InputError, "bin 1 is chr:2-1000"),
        ({"other": ROWS + "plas\t1501\t1600\t1\n"}, InputError, "has 6 bins"),
        ({"other": "@RG\tSM:A\n" + ROWS}, InputError, "is of sample A, as "),
        ({"tool": "bamstats"}, ConfigError, "must be gatk"),
        ({"out": "taken"}, RunError, "exists already"),
        ({"genes": "gene\tcontig\tstart\tend\nx\tnowhere\t1\t9\n"}, InputError, "no gene's contig"),
    ],
)
def test_bad_sets_of_tables(tmp_path, change, error, message):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "something").touch()
    files = [write(tmp_path / "A.tsv", ROWS), write(tmp_path / "B.tsv", change.get("other", ROWS))]
    genes = None
    if "genes" in change:
        genes = tmp_path / "g.tsv"
        genes.write_text(change["genes"])
    out = tmp_path / change.get("out", "store")
    with pytest.raises(error, match=message):
        build_store(files, out, change.get("tool", "gatk"), [], genes, Console(quiet=True))
    assert not (tmp_path / "store").exists()


@pytest.mark.skipif(not DATA.is_dir(), reason="needs the real data in ../shared/data")
def test_the_semireal_tables(tmp_path):
    out = tmp_path / "store"
    build_store([DATA / "semireal/counts_mq20"], out, "gatk", ["NC_016845.1"], None, Console(quiet=True))
    store = open_store(out)
    assert store.counts.shape == (42, 5334)
    assert store.contigs.end[-1] == 5_333_942
