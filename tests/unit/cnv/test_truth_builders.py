"""Truth tables from AMRFinder+ and Kleborate, read back by the reader of truth tables."""

import gzip
from pathlib import Path

import pytest

from copyfold.app.truth_tables import write_amrfinder_truth, write_joined_truth, write_kleborate_truth
from copyfold.cnv.truth import KLEBORATE_BLA_COLUMNS, read_ground_truth
from copyfold.cnv.truth_builders import (
    DOCUMENT_FAMILIES,
    family_of_hit,
    join_runs,
    read_amrfinder,
    read_kleborate,
    read_runs,
)
from copyfold.core.console import Console
from copyfold.errors import ConfigError, InputError

QUIET = Console(quiet=True)
KLEBORATE = Path(__file__).parents[4] / "shared/data/cnv/truth/kleborate3.2.4_3genomes.txt"

# The columns of versions 3 and 4, in their order.
V3 = (
    "Protein identifier\tContig id\tStart\tStop\tStrand\tGene symbol\tSequence name\tScope\tElement type\t"
    "Element subtype\tClass\tSubclass\tMethod\tTarget length\tReference sequence length\t"
    "% Coverage of reference sequence\t% Identity to reference sequence\tAlignment length\t"
    "Accession of closest sequence\tName of closest sequence\tHMM id\tHMM description"
)
V4 = (
    "Protein id\tContig id\tStart\tStop\tStrand\tElement symbol\tElement name\tScope\tType\tSubtype\tClass\tSubclass\t"
    "Method\tTarget length\tReference sequence length\t% Coverage of reference\t% Identity to reference\t"
    "Alignment length\tClosest reference accession\tClosest reference name\tHMM accession\tHMM description"
)


def hit(symbol, method="EXACTX", kind="AMR", subtype="AMR", closest="some enzyme"):
    return (
        f"NA\tcontig1\t1\t861\t+\t{symbol}\tits name\tcore\t{kind}\t{subtype}\tBETA-LACTAM\tNA\t{method}\t286\t"
        f"286\t100.00\t100.00\t286\tWP_1.1\t{closest}\tNA\tNA"
    )


def table(path, header, *hits):
    text = "\n".join([header, *hits]) + "\n"
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return path


HITS = (
    hit("blaSHV-11", "ALLELEX"),
    hit("blaSHV-12", "BLASTX"),
    hit("blaKPC-3", "PARTIAL_CONTIG_ENDX"),
    hit("blaKPC-3", "PARTIAL_CONTIG_ENDX"),
    hit("blaNDM-1", "PARTIALX"),
    hit("blaCTX-M-15", "INTERNAL_STOP"),
    hit("qnrB", "HMM"),
    hit("aac(6')-Ib-cr5"),
    hit("blaOXA", closest="OXA-48 family carbapenem-hydrolyzing class D beta-lactamase OXA-436"),
    hit("blaOXA-1"),
    hit("gyrA_S83I", "POINTX", subtype="POINT"),
    hit("blaTEM-p", "POINTX", subtype="POINT_DISRUPT"),
    hit("arsC", kind="STRESS", subtype="METAL"),
)


@pytest.mark.parametrize("header", [V3, V4])
@pytest.mark.parametrize("name", ["ERR1.tsv", "ERR1.amrfinder.tsv", "ERR1_amrfinder.txt", "ERR1.amrfinderplus.tsv.gz"])
def test_hits_are_counted_by_family(tmp_path, header, name):
    isolates = read_amrfinder([table(tmp_path / name, header, *HITS)])
    expected = {"blaSHV": 2, "blaKPC": 1, "aac6-Ib-cr": 1, "blaOXA-48-like": 1, "blaOXA-1": 1}
    assert {isolate: dict(hits) for isolate, hits in isolates.items()} == {"ERR1": expected}


def test_partial_hits_count_when_asked(tmp_path):
    (hits,) = read_amrfinder([table(tmp_path / "a.tsv", V4, *HITS)], count_partial=True).values()
    assert (hits["blaNDM"], hits["blaCTX-M"], hits["qnrB"], hits["blaKPC"]) == (1, 1, 1, 1)


def test_one_table_with_names_and_one_without_hits(tmp_path):
    named = ["\t".join((name, row)) for name, row in (("ERR1", HITS[0]), ("ERR2", HITS[2]), ("ERR1", HITS[1]))]
    paths = [table(tmp_path / "all.tsv", f"Name\t{V4}", *named), table(tmp_path / "ERR3.tsv", V4)]
    out = tmp_path / "truth.tsv"
    write_amrfinder_truth(paths, out, None, [], QUIET, counts=True)
    truth = read_ground_truth(out).table
    assert truth.columns.tolist() == list(DOCUMENT_FAMILIES)
    assert truth["blaSHV"].to_dict() == {"ERR1": 2, "ERR2": 0, "ERR3": 0}
    assert truth["blaKPC"].to_dict() == {"ERR1": 0, "ERR2": 1, "ERR3": 0}
    write_amrfinder_truth(paths, out, None, ["blaSHV-1", "blaVIM"], QUIET)
    truth = read_ground_truth(out).table
    assert truth.columns.tolist() == ["blaSHV", "blaVIM"]
    assert truth["blaSHV"].to_dict() == {"ERR1": 1, "ERR2": 0, "ERR3": 0}


def test_every_family_that_was_found(tmp_path):
    (tmp_path / "amr").mkdir()
    table(tmp_path / "amr" / "ERR1.tsv", V3, *HITS)
    write_amrfinder_truth([tmp_path / "amr"], tmp_path / "truth.tsv", None, ["all"], QUIET)
    truth = read_ground_truth(tmp_path / "truth.tsv")
    assert truth.table.columns.tolist() == ["aac6-Ib-cr", "blaKPC", "blaOXA-1", "blaOXA-48-like", "blaSHV"]


@pytest.mark.parametrize(
    ("header", "rows", "message"),
    [
        (V4.replace("Element symbol", "Gene"), HITS[:1], "no column Element symbol or Gene symbol"),
        (V4.replace("\tMethod", "\tHow"), HITS[:1], "no column Method"),
        (f"Name\t{V4}", [f"NA\t{HITS[0]}"], "line 2: Name is 'NA'"),
        (V4, ["a\tb"], "line 2: 2 cells"),
    ],
)
def test_bad_amrfinder_tables(tmp_path, header, rows, message):
    with pytest.raises(InputError, match=message):
        read_amrfinder([table(tmp_path / "a.tsv", header, *rows)])


def test_an_isolate_in_two_files(tmp_path):
    (tmp_path / "b").mkdir()
    paths = [table(tmp_path / "a.tsv", V4, HITS[0]), table(tmp_path / "b" / "a.tsv", V4, HITS[0])]
    with pytest.raises(InputError, match="isolate 'a' stands in"):
        read_amrfinder(paths)


@pytest.mark.parametrize(
    ("symbol", "descriptions", "family"),
    [
        ("blaOXA-181", (), "blaOXA-48-like"),
        ("blaOXA-999", ("OXA-48 family class D beta-lactamase",), "blaOXA-48-like"),
        ("blaOXA-23", ("OXA-23 family",), "blaOXA-23"),
        ("aac(6')-Ib-cr", (), "aac6-Ib-cr"),
        ("aac(6')-Ib", (), "aac(6')-Ib"),
        ("qnrB19", (), "qnrB"),
    ],
)
def test_families_of_symbols(symbol, descriptions, family):
    assert family_of_hit(symbol, descriptions) == family


def runs_table(path, *rows):
    path.write_text("\n".join(["sample_accession\trun_accession", *rows]) + "\n")
    return path


def test_results_by_biosample_become_rows_by_run(tmp_path, capsys):
    amr = [table(tmp_path / f"{name}.tsv", V4, HITS[0]) for name in ("SAMN1", "SAMN2", "ERR9")]
    runs = runs_table(tmp_path / "runs.tsv", "SAMN1\tERR1,ERR2", "SAMN1\tERR3", "SAMN9\tERR9", "SAMN9\tERR10")
    out = tmp_path / "truth.tsv"
    write_amrfinder_truth(amr, out, runs, ["blaSHV"], QUIET)
    rows = [line.split("\t") for line in out.read_text().splitlines()]
    assert rows == [
        ["sample_id", "biosample", "blaSHV"],
        ["ERR1", "SAMN1", "1"],
        ["ERR3", "SAMN1", "1"],
        ["ERR9", "SAMN9", "1"],
    ]
    assert "1 isolates are not in" in capsys.readouterr().err
    assert read_ground_truth(out).table["blaSHV"].to_dict() == {"ERR1": 1, "ERR3": 1, "ERR9": 1}


def test_join_of_a_table(tmp_path):
    (tmp_path / "t.tsv").write_text("sample_id\tbiosample\tblaKPC\nERR1\tSAMN1\t1\nERR7\tNA\t0\n")
    runs = runs_table(tmp_path / "runs.tsv", "SAMN1\tERR1", "SAMN1\tERR2", "SAMN7\tERR7")
    write_joined_truth(tmp_path / "t.tsv", tmp_path / "out.tsv", runs, QUIET)
    assert read_ground_truth(tmp_path / "out.tsv").table["blaKPC"].to_dict() == {"ERR1": 1, "ERR2": 1, "ERR7": 0}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["SAMN1\tERR1", "SAMN2\tERR1"], "run 'ERR1' is of SAMN2 and of SAMN1"),
        (["SAMN1\t"], "must both be given"),
        (["SAMN1"], "1 cells"),
    ],
)
def test_bad_tables_of_runs(tmp_path, rows, message):
    with pytest.raises(InputError, match=message):
        read_runs(runs_table(tmp_path / "runs.tsv", *rows))


def test_a_join_without_a_match_and_an_output_over_an_input(tmp_path):
    (tmp_path / "t.tsv").write_text("sample_id\tblaKPC\nX\t1\n")
    runs = runs_table(tmp_path / "runs.tsv", "SAMN1\tERR1")
    with pytest.raises(InputError, match=r"no isolate \('X', …\) is among the runs"):
        write_joined_truth(tmp_path / "t.tsv", tmp_path / "out.tsv", runs, QUIET)
    with pytest.raises(ConfigError, match="is an input, too"):
        write_joined_truth(tmp_path / "t.tsv", runs, runs, QUIET)


def kleborate(path, prefix, *rows):
    names = [*(prefix + name for name in KLEBORATE_BLA_COLUMNS)]
    path.write_text("\n".join("\t".join(row) for row in (["strain", "ST", *names], *rows)) + "\n")
    return path


@pytest.mark.parametrize("prefix", ["", "klebsiella_pneumo_complex__amr__"])
def test_kleborate_of_both_versions(tmp_path, prefix):
    rows = (
        ["ERR1", "ST11", "SHV-11^", "TEM-1", "-", "SHV-12;CTX-M-15", "-", "-"],
        ["ERR2", "ST258", "-", "-", "-", "-", "-", "KPC-2"],
        ["ERR3", "NA", "", "", "", "", "", ""],
    )
    source = kleborate(tmp_path / "k.tsv", prefix, *rows)
    out = tmp_path / "truth.tsv"
    write_kleborate_truth(source, out, None, QUIET)
    amr = tmp_path / "amr.tsv"
    amr.write_text("sample_id\tblaSHV\nERR1\t1\nERR2\t1\nERR3\t1\n")
    truth = read_ground_truth(amr, out, out)
    assert truth.table["blaSHV"].astype("string").fillna("NA").to_dict() == {"ERR1": "2", "ERR2": "0", "ERR3": "NA"}
    assert truth.sources["blaSHV"] == "kleborate"
    assert truth.lineages["ERR2"] == "ST258"


def test_kleborate_without_its_columns_or_with_a_contradiction(tmp_path):
    (tmp_path / "k.tsv").write_text("strain\tST\nERR1\tST11\n")
    with pytest.raises(InputError, match="no column Bla_chr of Kleborate 2 or 3"):
        read_kleborate(tmp_path / "k.tsv")
    rows = (["E", "ST1", "SHV-1", "-", "-", "-", "-", "-"], ["E", "ST1", "-", "-", "-", "-", "-", "-"])
    with pytest.raises(InputError, match="line 3: isolate 'E' stands twice"):
        read_kleborate(kleborate(tmp_path / "k.tsv", "", *rows))


@pytest.mark.skipif(not KLEBORATE.is_file(), reason="needs the real data in ../shared/data")
def test_what_kleborate_wrote(tmp_path):
    runs = {"ERR1": "Klebs_HS11286", "ERR2": "MGH78578", "ERR3": "MGH78578"}
    joined = join_runs(read_kleborate(KLEBORATE), runs)
    assert joined.unmatched == ("NTUH-K2044",)
    (tmp_path / "k.tsv").write_text(joined.text)
    write_kleborate_truth(KLEBORATE, tmp_path / "whole.tsv", None, QUIET)
    truth = read_ground_truth(tmp_path / "k.tsv", tmp_path / "k.tsv", tmp_path / "k.tsv")
    assert truth.table["blaSHV"].to_dict() == {"ERR1": 1, "ERR2": 2, "ERR3": 2}  # SHV-12 on plasmid pKPN4
    assert truth.lineages["ERR1"] == "ST11"
    whole = read_ground_truth(tmp_path / "whole.tsv", KLEBORATE)
    assert whole.table["blaSHV"].to_dict() == {"Klebs_HS11286": 1, "MGH78578": 2, "NTUH-K2044": 1}
