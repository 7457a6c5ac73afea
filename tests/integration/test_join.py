"""``copyfold join``: calls, alleles of three callers, a scan; Kleborate's own mutation as the truth."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from copyfold.app.join import join_calls, read_alleles, read_proteins
from copyfold.core.console import Console
from copyfold.ddg.sequences import AMINO_ACIDS
from copyfold.errors import ConfigError, InputError, RunError

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "cnv"
QUIET = Console(quiet=True)
PROTEIN = "".join(np.random.default_rng(1).choice(list(AMINO_ACIDS), 60))


def changed(protein, place, mutant):
    return protein[: place - 1] + mutant + protein[place:]


def write_scan(path, protein):
    rows = [
        (f"{letter}{place}{mutant}", 0.1 * place, 1.0, str(place), letter, mutant)
        for place, letter in enumerate(protein, 1)
        for mutant in AMINO_ACIDS
        if mutant != letter
    ]
    columns = ["mutation", "ddg_kcal_mol", "sigma_kcal_mol", "position", "wild_type", "mutant"]
    path.write_text(
        "# ddg: kcal/mol, positive = destabilising\n" + pd.DataFrame(rows, columns=columns).to_csv(index=False)
    )
    return path


@pytest.fixture
def files(tmp_path):
    """A run's folder with both tables of calls, alleles, a scan of blaSHV, proteins."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run/gene_calls.tsv").write_text(
        "sample_id\tblaSHV\tcrr_blaSHV\tmedian_depth\n1\t1\t1.02\t50\n2\t3\t2.9\t40\n3\t1\t0.9\t40\n4\t-1\t\t0\n"
    )
    (tmp_path / "run/plasmid_gene_calls.tsv").write_text("sample_id\tblaKPC-2\tpcn_blaKPC-2\n1\t1\t1.5\n2\t0\t0.0\n")
    (tmp_path / "alleles.tsv").write_text(
        "sample_id\tallele\n1\tblaSHV-1\n2\tblaSHV-2\n2\tblaSHV-9\n2\tblaTEM-1\n4\tblaSHV-3\n"
    )
    other = "A" if PROTEIN[29] != "A" else "G"
    second, third = changed(PROTEIN, 30, other), PROTEIN[:20] + PROTEIN[25:]
    (tmp_path / "proteins.fasta").write_text(f">blaSHV-1\n{PROTEIN}*\n>SHV-2 a comment\n{second}\n>blaSHV-3\n{third}\n")
    write_scan(tmp_path / "scan.csv", PROTEIN)
    return tmp_path


def join(folder, calls="run", alleles="alleles.tsv", scan="blaSHV=", out="out"):
    scan = f"{scan}{folder / 'scan.csv'}" if scan.endswith("=") else scan
    return join_calls(folder / calls, folder / alleles, [scan], folder / "proteins.fasta", folder / out, QUIET)


def test_each_call_has_the_stability_of_its_alleles(files):
    table = join(files)
    found = table.set_index(["sample_id", "allele"])
    assert len(table) == 5
    assert found.loc[("1", "blaSHV-1"), "ddg_kcal_mol"] == 0.0
    second = found.loc[("2", "blaSHV-2")]
    assert (second["mutations"][1:-1], second["ddg_kcal_mol"], second["dosage"], second["cn"]) == ("30", 3.0, 2.9, 3)
    assert second["reason"] == "2 alleles share this dosage"
    assert found.loc[("2", "blaSHV-9"), "reason"].startswith("refused: no sequence of blaSHV-9")
    assert found.loc[("3", ""), "reason"] == "no allele of this family is named for the isolate"
    assert "5 residues deleted" in found.loc[("4", "blaSHV-3"), "reason"]
    written = (files / "out/join.tsv").read_text().splitlines()
    assert written[1] == "# ddg: kcal/mol, positive = destabilising"
    assert {path.name for path in (files / "out").iterdir()} == {
        "join.tsv", "dosage_stability.svg", "dosage_stability.png",
    }  # fmt: skip


def test_alleles_of_amrfinder_and_kleborate(tmp_path):
    table = tmp_path / "table.tsv"
    table.write_text("Name\tGene symbol\tScope\nS1\tblaSHV-11\tcore\nS1\tblaTEM-1\tcore\n")
    assert [one[:2] for one in read_alleles(table)] == [("S1", "blaSHV-11"), ("S1", "blaTEM-1")]
    table.write_text("strain\tBla_acquired\tBla_chr\nS1\tTEM-1D.v1^;OXA-9*\tSHV-11?-63%\nS2\t-\t-\n")
    found = {one.allele: one.inexact for one in read_alleles(table)}
    assert found["blaTEM-1D"] == ""
    assert "not this allele exactly" in found["blaOXA-9"]
    assert "incomplete" in found["blaSHV-11"]
    table.write_text("a\tb\n1\t2\n")
    with pytest.raises(InputError, match="no column of samples"):
        read_alleles(table)


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"scan": "scan.csv"}, ConfigError, "must be FAMILY=PATH"),
        ({"scan": "blaNDM="}, ConfigError, "have no such gene"),
        ({"alleles": "other.tsv"}, InputError, "no sample of"),
        ({"out": "run"}, RunError, "not an empty folder"),
    ],
)
def test_wrong_input_is_told_and_nothing_is_written(files, changes, error, said):
    (files / "other.tsv").write_text("sample_id\tallele\nX\tblaSHV-1\n")
    with pytest.raises(error, match=said):
        join(files, **changes)
    assert not (files / "out").exists()


def test_the_mutation_of_a_real_genome_is_the_one_that_kleborate_names(tmp_path):
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is not here")
    panel = SHARED / "genes/panel_alleles_kleborate_CARD3.2.9.fasta"
    results = SHARED / "truth/kleborate3.2.4_3genomes.txt"
    proteins = read_proteins(panel)
    assert len(proteins["blaTEM-1"]) == 286
    assert not any("*" in protein for protein in proteins.values())
    write_scan(tmp_path / "scan.csv", changed(proteins["blaSHV-11"], 35, "L"))  # SHV-1
    (tmp_path / "calls.tsv").write_text("sample_id\tblaSHV\tcrr_blaSHV\nKlebs_HS11286\t1\t1.0\n")
    scan = f"blaSHV={tmp_path / 'scan.csv'}"
    table = join_calls(tmp_path / "calls.tsv", results, [scan], panel, tmp_path / "out", QUIET)
    kleborate = pd.read_csv(results, sep="\t").set_index("strain").loc["Klebs_HS11286"]
    assert kleborate["klebsiella_pneumo_complex__amr__SHV_mutations"] == "SHV:p.Leu35Gln"
    assert table["mutations"].tolist() == ["L35Q"]


FAMILIES = {
    "blaCTX-M": ("CTX-M-14", {"CTX-M-27": ("D242G", "D240G")}),
    "blaKPC": ("KPC-2", {}),
    "blaNDM": ("NDM-1", {"NDM-5": ("V88L:M154L", ":")}),
    "blaOXA-48-like": (
        "OXA-48",
        {
            "OXA-181": ("T104A:N110D:E168Q:S171A", "T104A:N110D::"),
            "OXA-232": ("T104A:N110D:E168Q:S171A:R214S", "T104A:N110D:::"),
        },
    ),
}
"""Reference, and the published substitutions of others of the family: by sequence, and by Ambler, BBL or DBL number."""


def test_each_family_of_the_panel_has_its_gene_view(copyfold, tmp_path):
    """From allele names and the panel's genes, without structures: scan of each reference, and the join."""
    genes = SHARED / "genes/panel_alleles_kleborate_CARD3.2.9.fasta"
    if not genes.exists():
        pytest.skip(f"{genes} is not here")
    proteins = read_proteins(genes)
    scans, alleles = [], ["sample_id\tallele"]
    for family, (reference, others) in FAMILIES.items():
        folder = tmp_path / family
        sequence = proteins[f"bla{reference}"]
        copyfold("ddg", "scan", "--sequence", sequence.rstrip("*"), "--out", folder, "-q").succeeded()
        scans.append(f"{family}={folder}")
        alleles += [f"S1\tbla{name}" for name in (reference, *others)]
    (tmp_path / "alleles.tsv").write_text("\n".join(alleles) + "\n")
    header = [column for family in FAMILIES for column in (family, f"pcn_{family}")]
    row = ["1", "2.5"] * len(FAMILIES)
    (tmp_path / "calls.tsv").write_text("\t".join(["sample_id", *header]) + "\n" + "\t".join(["S1", *row]) + "\n")
    joined = join_calls(tmp_path / "calls.tsv", tmp_path / "alleles.tsv", scans, genes, tmp_path / "out", QUIET)
    found = joined.set_index("allele")
    for reference, others in FAMILIES.values():
        assert found.loc[f"bla{reference}", ["mutations", "ddg_kcal_mol"]].tolist() == ["", 0.0]
        for name, expected in others.items():
            assert tuple(found.loc[f"bla{name}", ["mutations", "standard_numbers"]]) == expected
            assert np.isfinite(found.loc[f"bla{name}", "ddg_kcal_mol"])
