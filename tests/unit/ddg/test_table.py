"""The tidy table: it reads what it writes, and says what is wrong with anything else."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from copyfold.ddg.table import DDG_LINE, REQUIRED, read_fitness_table, read_table, write_table
from copyfold.errors import InputError


@pytest.fixture
def table() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "protein": ["1e10", "NA"],
            "chain": ["A", ""],
            "position": ["-1", "10"],
            "insertion_code": ["", "B"],
            "wild_type": ["M", "C"],
            "mutant": ["A", "D"],
            "ddg": [1.5, -0.25],
            "ph": [7.0, np.nan],
            "temperature": [298.15, np.nan],
            "source": ["S", "S"],
            "sequence": ["MKC", "MKC"],
            "sequence_position": [1, 3],
        }
    )


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.csv.gz", "t.tsv.gz"])
def test_a_table_reads_what_it_writes(tmp_path: Path, table: pd.DataFrame, name: str) -> None:
    table["note"] = ['a "quoted", cell', "tab\tinside"]
    write_table(tmp_path / name, table)
    back = read_table(tmp_path / name)
    pd.testing.assert_frame_equal(back, table.astype({column: back[column].dtype for column in back}))
    assert tuple(back.columns) == (*REQUIRED, "note")
    assert back["ddg"].dtype == back["temperature"].dtype == np.float64
    assert back["sequence_position"].dtype == np.int64
    first = (tmp_path / name).read_bytes()
    write_table(tmp_path / name, back)
    assert (tmp_path / name).read_bytes() == first


def test_the_header_says_unit_and_sign(tmp_path: Path, table: pd.DataFrame) -> None:
    write_table(tmp_path / "t.csv", table)
    lines = (tmp_path / "t.csv").read_text().splitlines()
    assert lines[1] == DDG_LINE == "# ddg: kcal/mol, positive = destabilising"
    assert lines[0] == "# copyfold-ddg-table/1"


def test_a_table_of_fitness_is_no_table_of_ddg(tmp_path: Path, table: pd.DataFrame) -> None:
    fitness = table.rename(columns={"ddg": "score"})
    write_table(tmp_path / "f.csv", fitness)
    assert read_fitness_table(tmp_path / "f.csv")["score"].tolist() == [1.5, -0.25]
    with pytest.raises(InputError, match=r"holds fitness \(column score\), not ΔΔG"):
        read_table(tmp_path / "f.csv")
    write_table(tmp_path / "t.csv", table)
    with pytest.raises(InputError, match=r"holds ΔΔG \(column ddg\), not fitness"):
        read_fitness_table(tmp_path / "t.csv")


def changed(tmp_path: Path, table: pd.DataFrame, old: str, new: str) -> Path:
    path = tmp_path / "t.csv"
    write_table(path, table)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return path


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (DDG_LINE, "# nothing", "does not say what unit and sign"),
        (DDG_LINE, "# ddg: kcal/mol, positive = stabilising", "says '# ddg: kcal/mol, positive = stabilising'"),
        ("insertion_code,", "icode,", "no column insertion_code"),
        ("1.5", "1,5", "row 1: 13 cells where the header has 12"),
        ("1.5", "high", "row 1: ddg is 'high', not a number"),
        ("1.5", "inf", "row 1: ddg is 'inf', not a number"),
        ("1.5", "", "row 1: ddg is empty"),
        (",M,A,", ",K,A,", "row 1: the wild type is not what the sequence holds"),
        (",M,A,", ",M,X,", "row 1: the mutant is not another standard residue"),
        (",M,A,", ",M,M,", "row 1: the mutant is not another standard residue"),
        ("MKC,1", "MKC,1.5", "row 1: sequence_position is not a whole number"),
        ("MKC,3", "MKC,4", "row 2: the wild type is not what the sequence holds"),
        ("ph,temperature", "ph,ph", "column 'ph' stands twice"),
    ],
)
def test_a_damaged_table_is_refused_with_its_row(
    tmp_path: Path, table: pd.DataFrame, old: str, new: str, reason: str
) -> None:
    path = changed(tmp_path, table, old, new)
    with pytest.raises(InputError, match=reason) as caught:
        read_table(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"# only a comment\n", "the file is empty"),
        (b"protein,ddg\n", "a header and no rows"),
        (b"protein,ddg\n\xff,1\n", "not UTF-8"),
        (gzip.compress(b"protein,ddg\nA,1\n", mtime=0)[:-9], "cannot be read"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=reason):
        read_table(path)


def test_a_table_without_a_column_is_not_written(tmp_path: Path, table: pd.DataFrame) -> None:
    with pytest.raises(InputError, match="no column ph"):
        write_table(tmp_path / "t.csv", table.drop(columns="ph"))
    assert not list(tmp_path.iterdir())
