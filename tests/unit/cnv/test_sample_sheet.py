"""Reading sample sheets: what is understood, and what is said of everything else."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from copyfold.cnv.sample_sheet import format_sample_sheet, read_sample_sheet
from copyfold.errors import InputError


def sheet(tmp_path: Path, text: str, name: str = "sheet.tsv") -> Path:
    path = tmp_path / name
    path.write_bytes(text.encode())
    return path


def test_tabs_comments_blank_lines_and_relative_paths(tmp_path: Path) -> None:
    text = "# a cohort\nsample\treads1\treads2\tlineage\n\n"
    text += "A\ta_1.fq.gz\ta_2.fq.gz\tST258\n# B is gone\nC\t/data/c.bam\t\t\n"
    first, second = read_sample_sheet(sheet(tmp_path, text)).samples
    assert (first.sample, first.lineage, first.line) == ("A", "ST258", 4)
    assert first.reads == (tmp_path / "a_1.fq.gz", tmp_path / "a_2.fq.gz")
    assert first.missing == tmp_path / "a_1.fq.gz"
    assert (second.sample, second.lineage, second.line) == ("C", "", 6)
    assert second.reads == (Path("/data/c.bam"),)


def test_commas_quotes_a_byte_order_mark_and_windows_line_ends(tmp_path: Path) -> None:
    text = '\ufeffsample,reads1,reads2,ST\r\n# none\r\nA,"a, 1.fq.gz",a2.fq.gz,11\r\n\r\nB,b.fq,,NA\r\n'
    first, second = read_sample_sheet(sheet(tmp_path, text, "sheet.csv")).samples
    assert first.reads == (tmp_path / "a, 1.fq.gz", tmp_path / "a2.fq.gz")
    assert (first.lineage, first.line) == ("11", 3)
    assert (second.reads, second.lineage, second.line) == ((tmp_path / "b.fq",), "", 5)


def test_the_forms_of_reads_may_be_mixed_and_other_columns_are_named(tmp_path: Path) -> None:
    text = "sample\treads\tbam\tcram\tcountry\nA\ta.fq\t\t\tNO\nB\t\tb.bam\t\tSE\nC\tNA\t.\tc.cram\tDK\n"
    found = read_sample_sheet(sheet(tmp_path, text))
    assert [each.reads[0].name for each in found.samples] == ["a.fq", "b.bam", "c.cram"]
    assert found.ignored == ("country",)


def test_a_file_that_is_there_is_not_missing(tmp_path: Path) -> None:
    (tmp_path / "a.bam").touch()
    assert read_sample_sheet(sheet(tmp_path, "sample,bam\nA,a.bam\n")).samples[0].missing is None


def test_written_again_it_is_the_same(tmp_path: Path) -> None:
    path = sheet(tmp_path, "sample,reads1,reads2,lineage\nA,a 1.fq,a2.fq,ST1\nB,b.bam,,\n")
    found = read_sample_sheet(path)
    again = read_sample_sheet(sheet(tmp_path, format_sample_sheet(found), "again.tsv"))
    assert list(map(_fields, again.samples)) == list(map(_fields, found.samples))


def _fields(each) -> tuple:
    return (each.sample, each.reads, each.lineage)


WRONG = {
    "reads1\nA.fq\n": "no column sample; columns are 'reads1'",
    "sample;reads1\nA;a.fq\n": "separated by semicolons",
    "sample\tlineage\nA\tST1\n": "no column of reads; columns are 'sample', 'lineage'",
    "sample\treads\treads1\nA\ta.fq\tb.fq\n": "columns 'reads' and 'reads1' are the same",
    "sample,reads1\nA,a.fq\nB,b.fq\nA,c.fq\n": "line 4: sample 'A' stands in line 2, too",
    "sample,reads1\nA,a.fq\nB,a.fq\n": "a.fq stands in line 2, too",
    "sample\treads1\nA/B\ta.fq\n": "line 2: sample 'A/B' is no name",
    "sample\treads1\n.hidden\ta.fq\n": "line 2: sample '.hidden' is no name",
    "sample,reads1\n,a.fq\n": "line 2: sample '' is no name",
    "sample,reads1,bam\nA,a.fq,a.bam\n": "line 2: sample 'A' has reads1 and bam; give its reads in one form",
    "sample,bam,cram\nA,a.bam,a.cram\n": "has bam and cram",
    "sample,reads2,bam\nA,a.fq,a.bam\n": "has reads2 and bam",
    "sample,reads1,reads2\nA,,a_2.fq\n": "line 2: sample 'A' has reads2 without reads1",
    "sample,reads1,reads2\nA,a.fq,a.fq\n": "same file as reads1 and reads2",
    "sample,reads1\nA,\n": "line 2: sample 'A' has no reads",
    "sample\treads1\nA\tNA\n": "line 2: sample 'A' has no reads",
    "sample\treads1\nA\ta.fq\tST1\n": "line 2: 3 cells where the header has 2",
    "sample,reads1\nA,a.fq,ST1\n": "line 2: 3 cells where the header has 2",
    'sample,reads1\nA,"a.fq\n': "not comma-separated",
    "sample,reads1,\nA,a.fq,\n": "a column has no name",
    "sample\treads1\n": "a header and no rows",
    "sample,reads1\n": "a header and no rows",
    "# only a comment\n": "the file is empty",
    "": "the file is empty",
}


@pytest.mark.parametrize("text", WRONG, ids=WRONG.values())
def test_what_is_wrong_is_said(tmp_path: Path, text: str) -> None:
    path = sheet(tmp_path, text)
    with pytest.raises(InputError) as raised:
        read_sample_sheet(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert WRONG[text] in str(raised.value)
    assert "\n" not in str(raised.value)


def test_no_such_file_and_not_text(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_sample_sheet(tmp_path / "none.tsv")
    with pytest.raises(InputError, match="no such file"):
        read_sample_sheet(tmp_path)
    (tmp_path / "excel.csv").write_bytes("sample,reads1\nÅ,a.fq\n".encode("latin-1"))
    with pytest.raises(InputError, match="not UTF-8"):
        read_sample_sheet(tmp_path / "excel.csv")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None)
@given(data=st.text(st.sampled_from('sample,reads1\t\n"#;\0é.'), max_size=60).map(str.encode) | st.binary(max_size=60))
def test_any_bytes_are_read_or_refused_in_one_line(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "sheet"
    path.write_bytes(b"sample,reads1\n" * (len(data) % 2) + data)
    said = ""
    try:
        assert read_sample_sheet(path).samples
    except InputError as error:
        said = str(error)
    assert "\n" not in said
