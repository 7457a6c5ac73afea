"""Genes on bins."""

from pathlib import Path

import numpy as np
import pytest

from copyfold.cnv.coordinates import (
    DEFAULT_CHROMOSOMAL_PANEL,
    Gene,
    find_gene_bins,
    flank_bins,
    read_gene_table,
    same_contig,
)
from copyfold.cnv.store import Contigs
from copyfold.errors import InputError


def bins(n_bins, chrom="NC_016845.1", size=1000):
    start = np.arange(n_bins) * size
    return Contigs(np.full(n_bins, chrom), start, start + size)


def test_blashv_lies_in_two_bins_598_and_263_bp():
    found = find_gene_bins(DEFAULT_CHROMOSOMAL_PANEL[0], bins(5334))
    assert found.bins.tolist() == [2549, 2550]
    np.testing.assert_allclose(found.weights * 861, [598, 263])


def test_the_insdc_name_of_the_contig_is_understood():
    found = find_gene_bins(DEFAULT_CHROMOSOMAL_PANEL[0], bins(5334, chrom="CP003200.1"))
    assert found.bins.tolist() == [2549, 2550]
    assert same_contig("CP003224.1", "NC_016846.1")
    assert not same_contig("CP003224.1", "NC_016845.1")


def test_weights_against_counting_base_by_base():
    rng = np.random.default_rng(1)
    contigs = bins(30, size=10)
    for _ in range(50):
        start = int(rng.integers(0, 280))
        gene = Gene("g", "NC_016845.1", start, start + int(rng.integers(1, 20)))
        covered = np.bincount(np.arange(gene.start, gene.end) // 10, minlength=30)
        found = find_gene_bins(gene, contigs)
        assert found.bins.tolist() == np.flatnonzero(covered).tolist()
        np.testing.assert_allclose(found.weights, covered[found.bins] / (gene.end - gene.start))


def test_the_flank_begins_beyond_the_padding():
    gene = Gene("g", "NC_016845.1", 5000, 6000)
    contigs = bins(11)
    assert flank_bins(gene, find_gene_bins(gene, contigs), contigs, 2000).tolist() == [0, 1, 2, 8, 9, 10]


@pytest.mark.parametrize(
    ("gene", "message"),
    [
        (Gene("x", "other", 0, 10), "lies on contig other, but the store has NC_016845.1"),
        (Gene("x", "NC_016845.1", 90_000, 90_100), "lies outside the bins"),
    ],
)
def test_a_gene_that_is_not_there(gene, message):
    with pytest.raises(InputError, match=message):
        find_gene_bins(gene, bins(10))


def test_a_table_of_genes(tmp_path):
    path = tmp_path / "genes.tsv"
    path.write_text(
        "gene\tcontig\tstart\tend\tabsent_threshold\tnote\n# a comment\nblaSHV\tc\t1\t861\t\tx\nsul1\tc\t5\t9\t0.5\t\n"
    )
    assert read_gene_table(path) == (Gene("blaSHV", "c", 0, 861), Gene("sul1", "c", 4, 9, 0.5))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gene\tcontig\tstart\nx\tc\t1\n", "no column end"),
        ("gene\tcontig\tstart\tend\nx\tc\tone\t9\n", r"line 2: start 'one'"),
        ("gene\tcontig\tstart\tend\nx\tc\t9\t5\n", r"line 2: 9–5 is no interval"),
        ("gene\tcontig\tstart\tend\nx\tc\t0\t5\n", r"line 2: 0–5 is no interval"),
        ("gene\tcontig\tstart\tend\nx\tc\t1\t5\nx\tc\t1\t5\n", "line 3: gene 'x' is empty or stands twice"),
        ("gene\tcontig\tstart\tend\nx\tc\t1\n", "line 2: 3 cells where the header has 4"),
        ("gene\tcontig\tstart\tend\tabsent_threshold\nx\tc\t1\t2\tlow\n", "absent_threshold 'low'"),
        ("gene\tcontig\tstart\tend\n", "a header and no rows"),
        ("", "the file is empty"),
    ],
)
def test_bad_tables_of_genes(tmp_path, text, message):
    path = tmp_path / "genes.tsv"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read_gene_table(path)
    assert "genes.tsv" in str(caught.value)


ROLES = (
    "gene\tcontig\tstart\tend\trole\tfamily\n"
    "a\tc\t1\t9\tchromosome\tfa\n"
    "b\tp\t1\t9\tplasmid\t\n"
    "d\tp\t1\t9\tefflux pump\t\n"
)


def test_genes_of_the_other_role_are_left_out_and_other_words_say_nothing(tmp_path):
    path = tmp_path / "genes.tsv"
    path.write_text(ROLES)
    assert [gene.name for gene in read_gene_table(path)] == ["a", "b", "d"]
    assert [gene.name for gene in read_gene_table(path, "chromosome")] == ["a", "d"]
    assert [gene.name for gene in read_gene_table(path, "plasmid")] == ["b", "d"]
    assert [gene.family for gene in read_gene_table(path)] == ["fa", None, None]


def test_a_table_without_a_gene_of_the_role_is_refused(tmp_path):
    path = tmp_path / "genes.tsv"
    path.write_text("gene\tcontig\tstart\tend\trole\na\tc\t1\t9\tchromosome\n")
    with pytest.raises(InputError, match="none of its 1 genes has the role plasmid"):
        read_gene_table(path, "plasmid")


@pytest.mark.parametrize(
    "name",
    [
        "abaumannii_gene_coords.tsv",
        "cauris_gene_coords.tsv",
        "ecoli_gene_coords_chrom.tsv",
        "ecoli_gene_coords_plasmid.tsv",
        "plasmid_gene_coords.docs03.tsv",
        "saureus_gene_coords.tsv",
        "saureus_gene_coords_plasmid.tsv",
    ],
)
def test_every_published_table_of_coordinates_is_read(name):
    path = Path(__file__).parents[4] / "shared/data/cnv/published/coords" / name
    if not path.exists():
        pytest.skip("needs the real data in ../shared/data")
    rows = [line for line in path.read_text().splitlines()[1:] if line.strip() and not line.startswith("#")]
    for role in (None, "chromosome", "plasmid"):
        genes = read_gene_table(path, role)
        assert [(gene.name, gene.contig, gene.start + 1, gene.end) for gene in genes] == [
            (cells[0], cells[1], int(cells[2]), int(cells[3])) for cells in (row.split("\t") for row in rows)
        ]
