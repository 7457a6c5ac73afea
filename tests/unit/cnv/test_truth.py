"""Ground-truth tables: what is read, what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from copyfold.cnv.truth import (
    KLEBORATE_BLA_COLUMNS,
    KLEBORATE_V3_PREFIX,
    GroundTruth,
    count_shv,
    read_ground_truth,
)
from copyfold.errors import InputError

SHARED = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "cnv"
GT = "sample_id\tbiosample\tblaSHV\tblaKPC\nR1\tB1\t1\t0\nR2\tB2\t1\t1\nR3\tB3\t0\tNA\n"


def shared(name: str) -> Path:
    path = SHARED / name
    if not path.is_file():
        pytest.skip(f"{path} is not here")
    return path


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def counts(truth: GroundTruth, gene: str) -> dict[str, int | None]:
    return {sample: None if value is pd.NA else int(value) for sample, value in truth.table[gene].items()}


def kleborate(prefix: str = "", key: str = "strain", **rows: tuple[str, ...]) -> str:
    lines = [[key, "species", *(prefix + name for name in KLEBORATE_BLA_COLUMNS)]]
    lines += [[sample, "Klebsiella pneumoniae", *cells] for sample, cells in rows.items()]
    return "".join("\t".join(line) + "\n" for line in lines)


def test_amrfinder_table(tmp_path: Path) -> None:
    truth = read_ground_truth(write(tmp_path, "gt.tsv", GT))
    assert truth.table.columns.tolist() == ["blaSHV", "blaKPC"]
    assert truth.table.index.name == "sample_id"
    assert {str(dtype) for dtype in truth.table.dtypes} == {"Int64"}
    assert counts(truth, "blaKPC") == {"R1": 0, "R2": 1, "R3": None}
    assert truth.sources == {"blaSHV": "amrfinder", "blaKPC": "amrfinder"}
    assert truth.lineages.isna().all()
    assert truth.lineages.index.equals(truth.table.index)


def test_counts_of_asked_samples_keep_their_order() -> None:
    truth = GroundTruth(
        pd.DataFrame({"g": pd.array([2, None], dtype="Int64")}, index=["R1", "R2"]),
        {"g": "kleborate"},
        pd.Series(pd.NA, index=["R1", "R2"], dtype="string"),
    )
    np.testing.assert_array_equal(truth.counts("g", np.array(["R9", "R2", "R1"])), [np.nan, np.nan, 2.0])


def test_allele_columns_are_named_by_their_family(tmp_path: Path) -> None:
    truth = read_ground_truth(write(tmp_path, "gt.tsv", "sample_id\tblaKPC-2\tblaOXA-181\nR1\t1\t0\n"))
    assert truth.table.columns.tolist() == ["blaKPC", "blaOXA-48-like"]


def test_presence_only_is_amrfinder_without_a_count_above_one(tmp_path: Path) -> None:
    truth = read_ground_truth(write(tmp_path, "gt.tsv", "sample_id\tacrB\tblaSHV\nR1\t1\t1\nR2\t3\tNA\n"))
    assert truth.is_presence_only("blaSHV")
    assert not truth.is_presence_only("acrB")


def test_of_a_run_list_the_first_counts(tmp_path: Path) -> None:
    text = "sample_id\tblaKPC\nR1,R9\t1\nR2, R8\t0\n"
    assert counts(read_ground_truth(write(tmp_path, "gt.tsv", text)), "blaKPC") == {"R1": 1, "R2": 0}


def test_rows_that_repeat_a_sample_are_merged_when_they_agree(tmp_path: Path) -> None:
    text = "sample_id\tbiosample\tblaKPC\nR1\tB1\t1\nR1,R2\tB2\t1\n"
    assert counts(read_ground_truth(write(tmp_path, "gt.tsv", text)), "blaKPC") == {"R1": 1}


def test_windows_line_ends_a_byte_order_mark_blank_lines_and_spaces_are_harmless(tmp_path: Path) -> None:
    text = "\ufeffsample_id\tblaKPC\r\n R1 \t 1\r\n\r\nR2\t0.0\r\n\r\n"
    assert counts(read_ground_truth(write(tmp_path, "gt.tsv", text)), "blaKPC") == {"R1": 1, "R2": 0}


def test_a_table_of_unknown_values_only(tmp_path: Path) -> None:
    truth = read_ground_truth(write(tmp_path, "gt.tsv", "sample_id\tblaKPC\nR1\tNA\nR2\t\n"))
    assert counts(truth, "blaKPC") == {"R1": None, "R2": None}


def test_a_kleborate_count_column_overrides_blashv_and_adds_its_samples(tmp_path: Path) -> None:
    table = write(tmp_path, "kleborate.tsv", "strain\tsample_id\tblaSHV\nx\tR1\t2\ny\tR2,R7\t1\nz\tR5\tNA\n")
    truth = read_ground_truth(write(tmp_path, "gt.tsv", GT), table)
    assert counts(truth, "blaSHV") == {"R1": 2, "R2": 1, "R3": None, "R5": None}
    assert counts(truth, "blaKPC") == {"R1": 0, "R2": 1, "R3": None, "R5": None}
    assert truth.sources == {"blaSHV": "kleborate", "blaKPC": "amrfinder"}
    assert not truth.is_presence_only("blaSHV")


@pytest.mark.parametrize("prefix", ["", KLEBORATE_V3_PREFIX])
@pytest.mark.parametrize("key", ["strain", "sample_id"])
def test_kleborates_own_columns_are_counted(tmp_path: Path, prefix: str, key: str) -> None:
    text = kleborate(
        prefix,
        key,
        R1=("SHV-11^", "TEM-1;SHV-12", "-", "SHV-2A*", "-", "KPC-2"),
        R2=("LEN-16", "-", "-", "-", "-", "-"),
        R3=("", "-", "-", "-", "-", "-"),
    )
    truth = read_ground_truth(write(tmp_path, "gt.tsv", GT), write(tmp_path, "kleborate.tsv", text))
    assert counts(truth, "blaSHV") == {"R1": 3, "R2": 0, "R3": None}


@pytest.mark.parametrize(
    ("cells", "n"),
    [
        (["SHV-11^", "-", "SHV-12"], 2),
        (["SHV-11.v1; SHV-28?"], 2),
        (["CTX-M-14;CTX-M-14"], 0),
        (["-"], 0),
        (["SHV-11", ""], None),
    ],
)
def test_count_shv(cells: list[str], n: int | None) -> None:
    assert count_shv(cells) == n


def test_sequence_types_follow_the_table(tmp_path: Path) -> None:
    meta = "sample_id\tSpecies\tST\tsample_accession\nR2,R8\tKp\tST258\tB2\nR1\tKp\tNA\tB1\nR4\tKp\tST11\tB4\n"
    truth = read_ground_truth(write(tmp_path, "gt.tsv", GT), None, write(tmp_path, "meta.tsv", meta))
    assert truth.lineages.dropna().to_dict() == {"R2": "ST258"}
    assert truth.lineages.index.tolist() == ["R1", "R2", "R3"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "the file is empty; it must begin with a header line"),
        ("\n\n", "the file is empty"),
        ("sample_id\tblaKPC\n", "a header and no rows"),
        ("run\tblaKPC\nR1\t1\n", "no column sample_id; columns are 'run', 'blaKPC'"),
        ("sample_id,blaKPC\nR1,1\n", "no column sample_id; columns are 'sample_id,blaKPC'"),
        ("sample_id\tbiosample\nR1\tB1\n", "no gene column; columns are 'sample_id', 'biosample'"),
        ("sample_id\tblaKPC\tblaKPC\nR1\t1\t1\n", "line 1: column 'blaKPC' stands twice"),
        (
            "sample_id\tblaKPC\tblaKPC-2\nR1\t1\t1\n",
            "line 1: column 'blaKPC' and another are both of family blaKPC",
        ),
        (
            "sample_id\tblaKPC\nR1\t1\nR2\t1.5\n",
            "line 3: column 'blaKPC' is '1.5'; a count is a whole number",
        ),
        ("sample_id\tblaKPC\nR1\t-1\n", "line 2: column 'blaKPC' is '-1'"),
        ("sample_id\tblaKPC\nR1\tyes\n", "line 2: column 'blaKPC' is 'yes'"),
        ("sample_id\tblaKPC\nR1\tnan\n", "line 2: column 'blaKPC' is 'nan'"),
        ("sample_id\tblaKPC\nR1\t1e3\n", "line 2: column 'blaKPC' is '1e3'"),
        ("sample_id\tblaKPC\nR1\t٣\n", "line 2: column 'blaKPC' is '٣'"),
        (f"sample_id\tblaKPC\nR1\t{'9' * 40}\n", "a count is a whole number from 0 to 999999"),
        ("sample_id\tblaKPC\nR1\t1\t1\n", "line 2: 3 cells where the header has 2"),
        ("sample_id\tblaKPC\nR1\n", "line 2: 1 cells where the header has 2"),
        ("sample_id\tblaKPC\n,R1\t1\n", "line 2: the sample id ',R1' is empty"),
        (
            "sample_id\tblaKPC\nR1\t1\nR2\t0\nR1\t0\n",
            "lines 2 and 4: sample 'R1' stands twice with different values",
        ),
        (b"sample_id\tblaKPC\nR1\t\x001\n", "line 2: holds a NUL byte"),
        (b"sample_id\tblaKPC\nR\xe9\t1\n", "line 2: byte 0xe9 is not UTF-8"),
        ("sample_id\tblaKPC\nR1\t1\n".encode("utf-16"), "line 1: holds a NUL byte"),
        (b"\x1f\x8b\x08\x08\xc3", "cannot be read (Compressed file ended"),
    ],
)
def test_a_bad_table_is_refused_in_one_line(tmp_path: Path, content: str | bytes, said: str) -> None:
    path = write(tmp_path, "gt.tsv", content)
    with pytest.raises(InputError) as error:
        read_ground_truth(path)
    message = str(error.value)
    assert said in message
    assert message.startswith(f"{path}: ")
    assert "\n" not in message


@pytest.mark.parametrize("name", ["absent.tsv", "."])
def test_a_path_that_cannot_be_read_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_ground_truth(tmp_path / name)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("sample\tblaSHV\nR1\t1\n", "no column strain or sample_id; columns are 'sample', 'blaSHV'"),
        ("strain\tBla_chr\tBla_acquired\nR1\t-\t-\n", "neither a column blaSHV nor Kleborate's"),
        ("strain\tBla_chr\nR1\t-\n", "Bla_acquired, Bla_inhR_acquired"),
        ("sample_id\tblaSHV\nR1\tSHV-11\n", "line 2: column 'blaSHV' is 'SHV-11'"),
        ("sample_id\tblaSHV\nX1\t1\n", "no sample in common with"),
        (kleborate(R1=("-",) * 6).replace("strain", "isolate"), "no column strain or sample_id"),
    ],
)
def test_a_bad_kleborate_table_is_refused(tmp_path: Path, content: str, said: str) -> None:
    gt, path = write(tmp_path, "gt.tsv", GT), write(tmp_path, "kleborate.tsv", content)
    with pytest.raises(InputError) as error:
        read_ground_truth(gt, path)
    assert said in str(error.value)
    assert str(error.value).startswith(f"{path}: ")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("sample_id\tSpecies\nR1\tKp\n", "no column ST; columns are 'sample_id', 'Species'"),
        ("sample_id\tST\nR1\tST1\nR1\tST2\n", "lines 2 and 3: sample 'R1' stands twice"),
        ("sample_id\tST\nX1\tST1\n", "('X1' here, 'R1' there)"),
    ],
)
def test_bad_metadata_are_refused(tmp_path: Path, content: str, said: str) -> None:
    gt, path = write(tmp_path, "gt.tsv", GT), write(tmp_path, "meta.tsv", content)
    with pytest.raises(InputError) as error:
        read_ground_truth(gt, None, path)
    assert said in str(error.value)


def test_long_headers_are_shown_in_part(tmp_path: Path) -> None:
    path = write(tmp_path, "gt.tsv", "\t".join(f"c{i}" for i in range(150)) + "\n")
    with pytest.raises(InputError, match=r"'c11' … \(150 in all\)"):
        read_ground_truth(path)


@pytest.mark.parametrize(
    ("name", "n", "shv"),
    [("amrfinder_gt_training.head.tsv", 149, 133), ("amrfinder_gt_expansion.head80.tsv", 80, 76)],
)
def test_published_amrfinder_tables(name: str, n: int, shv: int) -> None:
    truth = read_ground_truth(shared(f"published/gt/{name}"))
    assert truth.table.shape == (n, 7)
    assert int(truth.table["blaSHV"].sum()) == shv
    assert not truth.table.isna().any(axis=None)
    assert all(truth.is_presence_only(gene) for gene in truth.table.columns)


def test_published_metadata() -> None:
    gt = shared("published/gt/amrfinder_gt_training.head.tsv")
    truth = read_ground_truth(gt, None, shared("published/gt/kpsc_sample_metadata.head.tsv"))
    assert truth.lineages["DRR150502"] == "ST11"
    assert (truth.lineages == "ST258").sum() == 12


def test_real_kleborate_output(tmp_path: Path) -> None:
    gt = write(tmp_path, "gt.tsv", "sample_id\tblaKPC\nKlebs_HS11286\t1\nMGH78578\t0\nNTUH-K2044\t0\n")
    truth = read_ground_truth(gt, shared("truth/kleborate3.2.4_3genomes.txt"))
    assert counts(truth, "blaSHV") == {"Klebs_HS11286": 1, "MGH78578": 2, "NTUH-K2044": 1}
