"""`copyfold ddg data` as a user meets it."""

import json

import numpy as np
import pandas as pd
import pytest

from copyfold.ddg.table import read_table

LETTERS = "ACDEFGHIKLMNPQRSTVWY"


@pytest.fixture
def set_of_proteins(tmp_path):
    """Twelve random proteins and a table of five mutations each; two proteins are relatives, one row is wrong."""
    rng = np.random.default_rng(3)
    proteins = {f"p{number}": "".join(rng.choice(list(LETTERS), 100)) for number in range(11)}
    proteins["p11"] = "".join(rng.choice(list(LETTERS)) if rng.random() < 0.3 else letter for letter in proteins["p0"])
    rows = ["protein,chain,mutation,ddG,sequence"]
    for name, sequence in proteins.items():
        for place in range(10, 60, 10):
            mutant = "A" if sequence[place - 1] != "A" else "G"
            rows.append(f"{name},A,{sequence[place - 1]}{place}{mutant},{rng.normal(2, 1):.2f},{sequence}")
    wrong = "A" if proteins["p3"][4] != "A" else "C"
    rows.append(f"p3,A,{wrong}5W,1.0,{proteins['p3']}")
    (tmp_path / "own.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


def test_a_table_is_imported_checked_and_split(set_of_proteins, copyfold):
    folder = set_of_proteins
    done = copyfold(
        "ddg", "data", "import", "table", "own.csv", "--positive", "destabilising", "--out", "own_tidy.csv", cwd=folder
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "own_tidy.csv\n"
    assert "60 rows of 12 proteins" in done.stderr
    assert "row 61: p3 A" in done.stderr
    refused = pd.read_csv(folder / "own_tidy.refused.tsv", sep="\t")
    assert refused["row"].tolist() == [61]
    assert not (folder / "own_tidy.repeats.tsv").exists()

    assert copyfold("ddg", "data", "verify", "own_tidy.csv", cwd=folder).returncode == 0

    done = copyfold("ddg", "data", "split", "own_tidy.csv", "--fractions", "0.6,0.2,0.2", "--out", "split", cwd=folder)
    assert done.returncode == 0, done.stderr
    parts = {part: read_table(folder / f"split/{part}.csv") for part in ("train", "validation", "test")}
    assert sum(map(len, parts.values())) == 60
    homes = {name: part for part, table in parts.items() for name in table["protein"]}
    assert homes["p0"] == homes["p11"]
    assert all(len(table["protein"].unique()) * 5 == len(table) for table in parts.values())
    pairs = pd.read_csv(folder / "split/pairs.tsv", sep="\t")
    assert pairs.loc[pairs["linked"] == 1, ["first", "second"]].to_numpy().tolist() == [["p0:A", "p11:A"]]
    stated = json.loads((folder / "split/split.json").read_text())
    assert stated["n_clusters"] == 11
    assert stated["rows"] == {part: len(table) for part, table in parts.items()}

    one = parts["test"]["protein"].iloc[0]
    done = copyfold(
        "ddg",
        "data",
        "split",
        "own_tidy.csv",
        "--away-from",
        "split/test.csv",
        "--by",
        "random",
        "--out",
        "away",
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    assert "same proteins on both sides" in done.stderr
    assert one not in set(read_table(folder / "away/train.csv")["protein"])
    assert len(read_table(folder / "away/left_out.csv")) == len(parts["test"])


def test_a_changed_table_does_not_verify(set_of_proteins, copyfold):
    folder = set_of_proteins
    options = ("--positive", "destabilising", "--out", "own_tidy.csv", "-q")
    assert copyfold("ddg", "data", "import", "table", "own.csv", *options, cwd=folder).returncode == 0
    text = (folder / "own_tidy.csv").read_text().splitlines()
    cells = text[5].split(",")
    cells[4] = "W" if cells[4] != "W" else "Y"
    (folder / "own_tidy.csv").write_text("\n".join([*text[:5], ",".join(cells), *text[6:]]) + "\n")
    done = copyfold("ddg", "data", "verify", "own_tidy.csv", cwd=folder)
    assert done.returncode == 2
    assert done.stdout.startswith("1\tp0 A ")
    assert "1 of 60 rows contradict" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("import", "nonsense", "own.csv", "--out", "x.csv"), "source 'nonsense': unknown"),
        (("import", "table", "none.csv", "--out", "x.csv"), "No such file"),
        (("import", "table", "own.csv", "--out", "x.csv"), "nothing says what a positive value means"),
        (
            ("import", "table", "own.csv", "--positive", "good", "--out", "x.csv"),
            "--positive good: must be destabilising",
        ),
        (("import", "table", "own.csv", "--positive", "stabilising", "--out", "own.csv"), "is an input, too"),
        (("import", "table", "own.csv", "--positive", "stabilising", "--out", "x.csv"), "the other way round"),
        (("import", "s669", "own.csv", "--out", "x.csv"), "no column 'Protein'"),
        (("import", "fitness", "own.csv", "--out", "x.csv"), "unknown"),
        (
            ("import", "table", "fitness.csv", "--positive", "destabilising", "--out", "x.csv"),
            "look like fitness scores",
        ),
        (("import", "table", "empty.csv", "--positive", "destabilising", "--out", "x.csv"), "the file is empty"),
        (
            ("import", "table", "own.csv", "--positive", "destabilising", "--structures", "none", "--out", "x.csv"),
            "no such",
        ),
        (
            ("import", "table", "own.csv", "--positive", "destabilising", "--structures", ".", "--out", "x.csv"),
            "holds no PDB",
        ),
        (("verify", "own.csv"), "no column position"),
        (("split", "own.csv", "--out", "x"), "does not say what unit and sign"),
        (("split", "own.csv", "--fractions", "a,b", "--out", "x"), "--fractions a,b"),
        (("split", "own.csv", "--by", "luck", "--out", "x"), "--by luck"),
        (("download", "prothermdb", "--in", "x"), "open https://"),
        (("download", "nothing", "--in", "x"), "no download is known"),
    ],
)
def test_wrong_input_is_one_line_and_leaves_nothing(set_of_proteins, copyfold, arguments, reason):
    folder = set_of_proteins
    text = (folder / "own.csv").read_text().splitlines()
    changed = [
        text[0],
        *(
            ",".join([*line.split(",")[:3], f"{place / 100:.2f}", line.split(",")[4]])
            for place, line in enumerate(text[1:-1])
        ),
    ]
    (folder / "fitness.csv").write_text("\n".join(changed) + "\n")
    (folder / "empty.csv").write_text("")
    before = sorted(folder.iterdir())
    done = copyfold("ddg", "data", *arguments, cwd=folder)
    assert done.returncode == 2, done.stderr
    assert reason in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(folder.iterdir()) == before


def test_every_source_is_listed(copyfold, tmp_path):
    done = copyfold("ddg", "data", "list", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for source in ("s669", "s2648", "ssym", "varibench", "prothermdb", "fireprotdb", "thermomutdb", "megascale"):
        assert f"{source}: " in done.stdout
    assert done.stdout.count("\n    sign ") == 11
    assert "checksum NOT verified" in done.stdout
