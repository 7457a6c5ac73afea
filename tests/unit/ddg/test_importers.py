"""Readers of published files: each format as it is distributed, and the sign of a value known to destabilise."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from copyfold.ddg.importers.checks import check_rows
from copyfold.ddg.importers.downloads import fetch, read_registry
from copyfold.ddg.importers.reading import ImportOptions, Reading, leading_numbers
from copyfold.ddg.importers.sources import SOURCES
from copyfold.errors import CopyfoldError, InputError

PROTEIN = "MKVLAAGIVG"
S669 = "Protein,PDB_Mut,Mut_seq,DDG_checked_dir,pH,TEMP\n1A7VA,D3H,D3H,-1.36,6.5,298.15\n1A7VA,K27BA,K28A,0.5,,\n"
S2648 = (
    "PDB Id\tMutated Chain\tMutation_PDB\tUniProt\tMutation_UNP\tDDGexp\tLocation\tPremPS\tPremPS(CV4)\n"
    "1E65\tA\tI7A\tP00282\tI27A\t3.11\tCOR\t2.39\t2.57\n"
)
SSYM = (
    "pdb\tchain\tmutation\tmutation_pdb\tpdb_mutant\tchain_mutant\tpH\tT\tddG\treference\twt_sequence\tmutant_sequence\n"
    f"1AAA\tA\tV3A\tV12A\t1BBB\tB\t7.5\t25\t2.3\tr\t{PROTEIN}\tMKALAAGIVG\n"
)
PROTHERMDB = (
    "NO\tPROTEIN\tUniProt_ID\tMUTATION\tSOURCE\tPDB_wild\tPDB_Chain_Mutation\tpH\tT_(C)\t∆G_(kcal/mol)\t∆∆G_(kcal/mol)"
    "\t∆∆G_H2O_(kcal/mol)\n"
    "1\tLysozyme\tP00720\tM101V (Based on UniProt)\th\t1WQ5\t1wq5_A:M101V\t7.0\t25.0\t-\t-1.44 (0.2)\t-\n"
    "2\tLysozyme\tP00720\twild-type\th\t1WQ5\t-\t7.0\t25.0\t5\t-\t-\n"
    "3\tLysozyme\tP00720\tM101A D20N\th\t1WQ5\t1wq5_A:M101A 1wq5_A:D20N\t7.0\t25.0\t-\t-3\t-\n"
    "4\tLysozyme\tP00720\tM101A\th\t1WQ5\t1wq5_A:M101A\t7.0\t20.0\t-\t-\t-2.5\n"
    "5\tLysozyme\tP00720\tM101T\th\t1WQ5\t1wq5_A:M101T\t7.0\t20.0\t-\t>3\t-\n"
)
FIREPROTDB = (
    "experiment_id,protein_name,uniprot_id,pdb_id,chain,position,wild_type,mutation,ddG,dTm,is_curated,pH,tm,sequence\n"
    f"1,P,P00001,2RN2|1G9V,A,3,V,A,1.9,,true,7.0,50,{PROTEIN}\n2,P,P00001,,,4,L,R,2.5,,,,,{PROTEIN}\n"
    f"3,P,P00001,2RN2,A,3,V,G,,-5,,,,{PROTEIN}\n"
)
THERMOMUTDB = [
    {
        "uniprot": "P00001",
        "PDB_wild": "1ABC",
        "mutated_chain": "A",
        "mutation_code": "V12A",
        "mutation_type": "Single",
        "ddg": -1.7,
        "ph": 7.0,
        "temperature": 298.15,
        "effect": "destabilizing",
    },
    {"PDB_wild": "1ABC", "mutated_chain": "unsigned", "mutation_code": "L13P", "ddg": -3, "effect": "destabilizing"},
    {"PDB_wild": "1ABC", "mutated_chain": "A", "mutation_code": "V12A, L13P", "ddg": -4, "effect": "destabilizing"},
    {"PDB_wild": "1ABC", "mutated_chain": "A", "mutation_code": "V12G", "ddg": None, "effect": None},
]
MEGASCALE = (
    "name,dna_seq,deltaG,aa_seq_full,aa_seq,mut_type,WT_name,WT_cluster,dG_ML,ddG_ML,Stabilizing_mut\n"
    f"a,ACG,3,,{PROTEIN},wt,1ABC.pdb,1,3,-,-\n"
    "a,ACG,1,,MKALAAGIVG,V3A,1ABC.pdb,1,1,-2.0,False\n"
    "a,ACG,1,,MKALAAGIVG,V3G,1ABC.pdb,1,1,-2.0,False\n"
    "a,ACG,1,,MKVLAAGIV,delG10,1ABC.pdb,1,1,-2.0,False\n"
    "a,ACG,1,,MKGLAAGIVG,V3G,1ABC.pdb,1,<-1,-,False\n"
)
TABLE = "pdb,chain,mutation,ddG,pH\n1abc,A,V12A,{value},7\n"


def read(source: str, content: str, home: Path, ending: str = ".csv", **options) -> Reading:
    path = home / f"file{ending}"
    path.write_text(content, encoding="utf-8")
    return SOURCES[source].read(path, ImportOptions(**options))


def first(reading: Reading) -> dict[str, object]:
    return reading.rows.iloc[0].to_dict()


def test_s669_is_turned_around(tmp_path: Path) -> None:
    reading = read("s669", S669, tmp_path)
    expected = {"protein": "1a7v", "chain": "A", "position": "3", "wild_type": "D", "mutant": "H", "ddg": 1.36}
    assert expected.items() <= first(reading).items()
    assert (first(reading)["ph"], first(reading)["temperature"]) == (6.5, 298.15)
    assert reading.rows.iloc[1][["position", "insertion_code", "ddg"]].tolist() == ["27", "B", -0.5]
    assert np.isnan(reading.rows.iloc[1]["ph"])


def test_s669_agrees_with_the_set_published_with_the_other_sign(published) -> None:
    row = published("s669").set_index(["pdb_id", "position", "mutant"]).loc[("1a7v", "3", "H")]
    assert float(row["ddg"]) == 1.36  # the file of Pancotti et al. has D3H at -1.36


def test_s2648_is_kept(tmp_path: Path, published) -> None:
    found = first(read("s2648", S2648, tmp_path, ".txt"))
    assert {"protein": "1e65", "chain": "A", "position": "7", "ddg": 3.11}.items() <= found.items()
    row = published("s2648").set_index(["pdb_id", "position", "mutant"]).loc[("1e65", "7", "A")]
    assert float(row["ddg"]) == 3.11


def test_ssym_gives_the_mutation_and_its_reverse(tmp_path: Path) -> None:
    direct, reverse = read("ssym", SSYM, tmp_path, ".tsv").rows.to_dict("records")
    assert {
        "protein": "1aaa",
        "wild_type": "V",
        "mutant": "A",
        "ddg": 2.3,
        "temperature": 298.15,
    }.items() <= direct.items()
    assert {"protein": "1bbb", "chain": "B", "wild_type": "A", "mutant": "V", "ddg": -2.3}.items() <= reverse.items()
    assert direct["position"] == reverse["position"] == "12"
    assert direct["sequence"][2] == "V"
    assert reverse["sequence"][2] == "A"
    table = check_rows(read("ssym", SSYM, tmp_path, ".tsv"), "ssym").table
    assert table["ddg"].tolist() == [2.3, -2.3]
    assert table.index.tolist() == [1, 1]


def test_prothermdb_is_turned_around(tmp_path: Path) -> None:
    reading = read("prothermdb", PROTHERMDB, tmp_path, ".tsv")
    assert reading.rows["ddg"].tolist() == [1.44, 2.5]
    assert reading.rows.index.tolist() == [1, 4]
    assert {"protein": "1wq5", "chain": "A", "position": "101", "temperature": 298.15}.items() <= first(reading).items()
    assert reading.n_other == 3
    greek = read("prothermdb", PROTHERMDB.replace("∆", "Δ"), tmp_path, ".tsv")
    pd.testing.assert_frame_equal(greek.rows, reading.rows)


def test_fireprotdb_is_kept(tmp_path: Path) -> None:
    reading = read("fireprotdb", FIREPROTDB, tmp_path)
    assert reading.rows["ddg"].tolist() == [1.9, 2.5]
    assert reading.rows["protein"].tolist() == ["2rn2", "P00001"]
    assert reading.rows["position"].tolist() == ["", ""]  # it counts in the sequence, not in the structure
    assert check_rows(reading, "fireprotdb").table["sequence_position"].tolist() == [3, 4]
    assert reading.n_other == 1


@pytest.mark.parametrize("form", ["json", "csv"])
def test_thermomutdb_is_turned_around(tmp_path: Path, form: str) -> None:
    content = json.dumps(THERMOMUTDB) if form == "json" else pd.DataFrame(THERMOMUTDB).to_csv(index=False)
    reading = read("thermomutdb", content, tmp_path, f".{form}")
    assert reading.rows["ddg"].tolist() == [1.7, 3.0]
    assert reading.rows["chain"].tolist() == ["A", ""]
    assert {"protein": "1abc", "position": "12", "ph": 7.0, "temperature": 298.15}.items() <= first(reading).items()
    assert reading.n_other == 2


def test_thermomutdb_with_another_sign_is_noticed(tmp_path: Path) -> None:
    records = [THERMOMUTDB[0] | {"ddg": 1.7, "mutation_code": f"V{place}A"} for place in range(1, 31)]
    with pytest.raises(InputError, match="'effect' contradicts the sign of 'ddg' in 30 of 30 rows"):
        read("thermomutdb", json.dumps(records), tmp_path, ".json")


def test_megascale_is_turned_around_and_its_wild_types_are_made_from_the_mutants(tmp_path: Path) -> None:
    reading = read("megascale", MEGASCALE, tmp_path)
    assert {"protein": "1ABC", "mutant": "A", "ddg": 2.0, "sequence": PROTEIN}.items() <= first(reading).items()
    assert len(reading.rows) == 1
    assert reading.refused == [(3, "1ABC.pdb V3G", "aa_seq has A at 3, not the mutant G")]
    assert reading.n_other == 3


def test_proteingym_stays_fitness(tmp_path: Path) -> None:
    (tmp_path / "dms").mkdir()
    (tmp_path / "dms/A.csv").write_text("mutant,mutated_sequence,DMS_score\nV3A,x,-1.5\nV3A:L4P,x,-3\nV3W,x,\n")
    (tmp_path / "dms/B.csv").write_text("mutant,mutated_sequence,DMS_score\nK2A,x,0.5\n")
    reference = f"DMS_id,DMS_filename,target_seq\nA_1,A.csv,{PROTEIN}\nB_1,B.csv,{PROTEIN}\nC_1,C.csv,{PROTEIN}\n"
    reading = read("proteingym", reference, tmp_path, folder=tmp_path / "dms")
    assert "ddg" not in reading.rows
    assert reading.rows["score"].tolist() == [-1.5, 0.5]
    assert reading.rows["protein"].tolist() == ["A_1", "B_1"]
    assert reading.n_other == 2
    assert "score" in check_rows(reading, "proteingym").table


def test_mavedb_stays_fitness(tmp_path: Path) -> None:
    lines = [
        "p.Val3Ala,-0.5",
        "p.Val3=,0",
        "p.Lys2Ter,-3",
        "p.=,0",
        "NA,1",
        "p.[Val3Ala;Leu4Pro],-4",
        "_wt,0",
        "p.Leu4Arg,NA",
    ]
    content = "accession,hgvs_nt,hgvs_splice,hgvs_pro,score\n" + "".join(f"urn#1,NA,NA,{line}\n" for line in lines)
    reading = read("mavedb", content, tmp_path, sequence=PROTEIN, protein="P")
    table = check_rows(reading, "mavedb").table
    assert table[["protein", "position", "score"]].values.tolist() == [["P", "3", -0.5]]
    assert reading.refused == []
    assert reading.n_other == 7
    with pytest.raises(InputError, match="--sequence"):
        read("mavedb", content, tmp_path)


@pytest.mark.parametrize(
    ("options", "line", "expected"),
    [
        ({"positive": "destabilising"}, "", 2.0),
        ({"positive": "stabilising"}, "", -2.0),
        ({"positive": "stabilising", "unit": "kJ/mol"}, "", -2.0 / 4.184),
        ({}, "# ddg: kJ/mol, positive = destabilising\n", 2.0 / 4.184),
        ({}, "# ddg: kcal/mol, positive = stabilising\n", -2.0),
    ],
)
def test_any_table_takes_unit_and_sign_as_stated(tmp_path: Path, options, line: str, expected: float) -> None:
    assert first(read("table", line + TABLE.format(value=2), tmp_path, **options))["ddg"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("content", "options", "reason"),
    [
        (TABLE.format(value=2), {}, "nothing says what a positive value means"),
        ("# ddg: big\n" + TABLE.format(value=2), {}, "is not understood"),
        (
            "# ddg: kcal/mol, positive = stabilising\n" + TABLE.format(value=2),
            {"positive": "destabilising"},
            "leave the options out or mend the line",
        ),
        (TABLE.format(value="high"), {"positive": "stabilising"}, "row 1: ddG is 'high', not a number"),
        ("pdb,chain,mutation,fitness\na,A,V1A,1\n", {"positive": "stabilising"}, "no column for the ddg"),
        ("pdb,mutation,ddG\na,A1C,1,2\n", {"positive": "stabilising"}, "row 1: 4 cells where the header has 3"),
        ("pdb,ddG\na,1\n", {"positive": "stabilising"}, "no column for the mutation"),
    ],
)
def test_a_table_that_does_not_say_enough_is_refused(tmp_path: Path, content: str, options, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        read("table", content, tmp_path, **options)


def test_varibench_is_turned_around(tmp_path: Path) -> None:
    assert first(read("varibench", TABLE.format(value=-2), tmp_path))["ddg"] == 2.0


def test_impossible_mutations_are_refused_with_their_rows(tmp_path: Path) -> None:
    content = "pdb,mutation,ddG\n1abc,V3A,1\n1abc,V3V,1\n1abc,hello,1\n1abc,V3*,1\n1abc,B3A,1\n1abc,V3A:L4P,1\n"
    reading = read("table", content, tmp_path, positive="destabilising")
    assert reading.rows.index.tolist() == [1]
    assert [refusal.row for refusal in reading.refused] == [2, 3, 4, 5]
    assert reading.n_other == 1


@pytest.mark.parametrize("source", sorted(set(SOURCES) - {"table", "mavedb", "proteingym"}))
@pytest.mark.parametrize("content", ["", "a,b\n", "a,b\n1,2\n", "{}", "\x00\x01"])
def test_a_file_of_something_else_gives_one_clear_error(tmp_path: Path, source: str, content: str) -> None:
    with pytest.raises(InputError, match=r"file"):
        read(source, content, tmp_path, ".json" if content == "{}" else ".csv")


@pytest.mark.parametrize(
    ("name", "source", "positive"),
    [
        ("s669", "s669", 0.7),
        ("s2648", "s2648", 0.7),
        ("varibench1423", "varibench", 0.7),
        ("fireprotdb", "fireprotdb", 0.7),
    ],
)
def test_curated_sets_are_taken_as_they_are(
    shared_ddg: Path, published, name: str, source: str, positive: float
) -> None:
    reading = SOURCES[source].read(shared_ddg / f"sets/{name}.csv.gz", ImportOptions())
    theirs = published(name)
    np.testing.assert_array_equal(reading.rows["ddg"], theirs["ddg"].astype(float))
    assert np.mean(reading.rows["ddg"] > 0) > positive
    checked = check_rows(reading, source)
    assert len(checked.table) == len(theirs)
    assert not checked.refused


def test_numbers_with_errors_and_bounds() -> None:
    cells = pd.Series(["1.2 (0.1)", "-3", "−2.5", ">5", "1.0 - 2.0", "-", "", "NA", "1e-2"])
    found = leading_numbers(cells)
    np.testing.assert_array_equal(np.isnan(found), [0, 0, 0, 1, 1, 1, 1, 1, 0])
    np.testing.assert_array_equal(found[[0, 1, 2, 8]], [1.2, -3, -2.5, 0.01])


def test_every_source_is_described_and_most_have_an_address() -> None:
    registry = read_registry()
    assert set(registry) == set(SOURCES) - {"table"}
    for entry in registry.values():
        assert entry.url.startswith(("https://", "http://"))
        assert entry.sha256 is None or len(entry.sha256) == 64


def test_what_cannot_be_fetched_is_an_error_with_the_page(tmp_path: Path, monkeypatch) -> None:
    with pytest.raises(InputError, match=r"open https://web\.iitm"):
        fetch(read_registry()["prothermdb"], tmp_path)

    def offline(*args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr("pooch.retrieve", offline)
    with pytest.raises(CopyfoldError, match="fetch it by other means"):
        fetch(read_registry()["s2648"], tmp_path)
