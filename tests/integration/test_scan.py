"""``copyfold cnv scan``: the file of a run, again with other settings, and what is refused."""

import pandas as pd
import pytest


def read(path):
    return pd.read_csv(path, sep="\t", comment="#")


def test_scan_with_the_defaults_writes_what_the_run_has(pca_run, copyfold, tmp_path):
    written = (pca_run.path / "recurrent_segments.tsv").read_text()
    out = tmp_path / "again.tsv"
    assert copyfold("cnv", "scan", pca_run.path, "--out", out).succeeded().stdout == f"{out}\n"
    assert out.read_text() == written


def test_every_row_can_be_counted_again_from_the_segments(pca_run):
    segments = pd.read_parquet(pca_run.path / "segments.parquet")
    found = read(pca_run.path / "recurrent_segments.tsv")
    assert len(found)
    for row in found.itertuples():
        wanted = segments["cn"] >= 2 if row.kind == "amplified" else segments["cn"] == 0
        mine = segments[wanted & (segments["chrom"] == row.chrom) & (segments["confidence"] >= 0.5)]
        exact = mine[(mine["x0"] < row.x1) & (mine["x1"] > row.x0)]
        assert row.n_isolates <= exact["sample_id"].nunique()
        assert row.n_isolates >= 3
        assert row.x0_min <= row.x0 <= row.x0_max
        assert row.n_callable == segments.loc[segments["cn"] >= 0, "sample_id"].nunique()


def test_genes_of_an_annotation_and_given_lineages_are_named(pca_run, copyfold, tmp_path):
    found = read(pca_run.path / "recurrent_segments.tsv").iloc[0]
    genes = tmp_path / "genes.gff3"
    row = (found["chrom"], ".", "gene", found["x0"] + 1, found["x1"], ".", "+", ".", "ID=gene1;Name=mine")
    genes.write_text("##gff-version 3\n" + "\t".join(map(str, row)) + "\n")
    segments = pd.read_parquet(pca_run.path / "segments.parquet")
    lineages = tmp_path / "lineages.tsv"
    lineages.write_text("sample_id\tST\n" + "".join(f"{name}\tST1\n" for name in segments["sample_id"].unique()))
    out = tmp_path / "named.tsv"
    copyfold("cnv", "scan", pca_run.path, "--genes", genes, "--lineages", lineages, "--out", out).succeeded()
    named = read(out).iloc[0]
    assert named["genes"] == "mine"
    assert (named["n_lineages"], named["lineages"]) == (1, f"ST1:{named['n_isolates']}")


def test_stricter_settings_list_less(pca_run, copyfold, tmp_path):
    everything = read(pca_run.path / "recurrent_segments.tsv")
    least = int(everything["n_isolates"].max())
    out = tmp_path / "fewer.tsv"
    copyfold("cnv", "scan", pca_run.path, "--min-isolates", least, "--out", out).succeeded()
    assert len(read(out)) == (everything["n_isolates"] >= least).sum()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--min-isolates", "0"), "--min-isolates 0"),
        (("--overlap", "1.5"), "--overlap 1.5"),
        (("--genes", "nowhere.gff"), "nowhere.gff"),
        (("--lineages", "nowhere.tsv"), "nowhere.tsv"),
    ],
)
def test_what_cannot_be_is_refused_with_one_line(pca_run, copyfold, arguments, named):
    before = (pca_run.path / "recurrent_segments.tsv").read_bytes()
    assert named in copyfold("cnv", "scan", pca_run.path, *arguments).complaint()
    assert (pca_run.path / "recurrent_segments.tsv").read_bytes() == before
