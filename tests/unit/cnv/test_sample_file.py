"""The two files of a counted sample: what is written is what is read, and what is not well-formed is refused."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from copyfold.cnv.coordinates import Gene
from copyfold.cnv.counting import SampleCounts, bins_of, count_alignments, sample_quality
from copyfold.cnv.counting.alignments import Alignments
from copyfold.cnv.counting.quality import OriTer, SampleQuality
from copyfold.cnv.counting.sample_file import (
    COLUMNS,
    COUNTS_FORMAT,
    QUALITY_FORMAT,
    holds_counts_files,
    read_counts,
    read_quality,
    write_counts,
    write_quality,
    write_refusal,
)
from copyfold.errors import InputError

LENGTHS = {"chr": 40_321, "p": 2_500}
GENES = (Gene("g-1", "chr", 1_500, 2_361), Gene("blaX", "p", 0, 50), Gene("blaY", "p", 2_400, 2_500))
SAID = {"reference": "sha256:ab", "chromosome_mapq": 20, "plasmid_mapq": 0}


def counted(seed: int = 0, n: int = 4_000, unmapped: int = 0) -> SampleCounts:
    """Reads of 100 bp at random places."""
    rng = np.random.default_rng(seed)
    contig = rng.choice([0, 1], n, p=[0.9, 0.1])
    position = rng.integers(0, np.array(list(LENGTHS.values()))[contig] - 100)
    mapq = rng.choice([0, 20, 60], n)
    flag = np.where(np.arange(n) < unmapped, 4, 0)
    rows = np.flatnonzero(flag == 0)
    batch = Alignments(contig, position, mapq, flag, rows, position[rows], position[rows] + 100)
    return count_alignments([batch], bins_of(LENGTHS), is_plasmid=[False, True], genes=GENES)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    sample = counted()
    write_counts(tmp_path / "A.counts.tsv.gz", "A", sample, SAID)
    back = read_counts(tmp_path / "A.counts.tsv.gz")
    assert (back.sample_id, back.reference) == ("A", "sha256:ab")
    for name in ("chrom", "start", "end"):
        np.testing.assert_array_equal(getattr(back.bins, name), getattr(sample.contigs, name))
    np.testing.assert_array_equal(back.plasmid_bins, sample.plasmid_bins)
    np.testing.assert_array_equal(back.counts, sample.counts)
    depth = np.where(sample.plasmid_bins, sample.plasmid_depth, sample.chromosome_depth)
    np.testing.assert_allclose(back.depth, depth, rtol=0, atol=5.1e-4)
    assert back.genes == GENES
    assert back.plasmid_genes.tolist() == [False, True, True]
    np.testing.assert_allclose(back.gene_depth, sample.gene_depth, rtol=0, atol=5.1e-5)


def test_a_sample_without_genes_or_plasmids_is_read_back(tmp_path: Path) -> None:
    nothing = Alignments(*(np.zeros(0, np.int64) for _ in Alignments._fields))
    write_counts(tmp_path / "A.gz", "A", count_alignments([nothing], bins_of({"chr": 10})), SAID)
    back = read_counts(tmp_path / "A.gz")
    assert back.genes == ()
    assert (back.gene_depth.shape, back.plasmid_genes.shape, back.plasmid_genes.dtype) == ((0,), (0,), bool)
    assert back.counts.tolist() == [0]


def test_the_same_counts_are_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one.gz", "two.gz"):
        write_counts(tmp_path / name, "A", counted(), SAID)
    whole = (tmp_path / "one.gz").read_bytes()
    assert whole == (tmp_path / "two.gz").read_bytes()
    assert b"one" not in whole
    assert whole[4:8] == bytes(4)  # no time in it
    write_counts(tmp_path / "two.gz", "A", counted(1), SAID)
    assert whole != (tmp_path / "two.gz").read_bytes()


def test_a_gene_on_an_alias_of_its_contig_is_written(tmp_path: Path) -> None:
    nothing = Alignments(*(np.zeros(0, np.int64) for _ in Alignments._fields))
    genes = [Gene("g", "NC_016845.1", 0, 9)]
    write_counts(tmp_path / "A.gz", "A", count_alignments([nothing], bins_of({"CP003200.1": 50}), genes=genes), SAID)
    assert read_counts(tmp_path / "A.gz").genes[0].name == "g"


def test_columns_and_rows_are_those_of_the_contract(tmp_path: Path) -> None:
    write_counts(tmp_path / "A.gz", "A", counted(), SAID, ["odd"])
    first, second, header, *rows = gzip.decompress((tmp_path / "A.gz").read_bytes()).decode().splitlines()
    assert first == f"# {COUNTS_FORMAT}" == "# copyfold-counts/1"
    assert json.loads(second.removeprefix("# ")) == {"sample_id": "A", "flags": ["odd"]} | SAID
    page = (Path(__file__).parents[3] / "docs/formats/counts.md").read_text(encoding="utf-8")
    assert header.split("\t") == list(COLUMNS)
    assert [name for name in COLUMNS if f"`{name}`" not in page] == []
    assert rows[0].startswith("bin\t.\tchr\tchromosome\t1\t1000\t")
    assert rows[40].startswith("bin\t.\tchr\tchromosome\t40001\t40321\t")
    assert rows[41].startswith("bin\t.\tp\tplasmid\t1\t1000\t")
    assert [row.split("\t")[:8] for row in rows[44:]] == [
        ["gene", "g-1", "chr", "chromosome", "1501", "2361", ".", "."],
        ["gene", "blaX", "p", "plasmid", "1", "50", ".", "."],
        ["gene", "blaY", "p", "plasmid", "2401", "2500", ".", "."],
    ]


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    write_counts(tmp_path / "A.counts.tsv.gz", "A", counted(), SAID)
    return tmp_path / "A.counts.tsv.gz"


def one_line(path: Path) -> str:
    with pytest.raises(InputError) as refused:
        read_counts(path)
    message = str(refused.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


def edit(path: Path, change: Callable[[str], str]) -> None:
    path.write_bytes(gzip.compress(change(gzip.decompress(path.read_bytes()).decode()).encode(), mtime=0))


def cell(row: int, column: str, value: str) -> Callable[[str], str]:
    """A change of one cell; rows count from the header."""

    def change(text: str) -> str:
        lines = text.splitlines()
        cells = lines[2 + row].split("\t")
        cells[COLUMNS.index(column)] = value
        return "\n".join([*lines[: 2 + row], "\t".join(cells), *lines[3 + row :]]) + "\n"

    return change


def second_line(line: str) -> Callable[[str], str]:
    return lambda text: "\n".join([text.splitlines()[0], line, *text.splitlines()[2:]]) + "\n"


GENE = 45
EDITS = {
    "another version": (lambda text: text.replace("counts/1", "counts/2", 1), "begins '# copyfold-counts/2'"),
    "another table": (lambda text: "CONTIG\tSTART\tEND\tCOUNT\nchr\t1\t1000\t5\n", "is not a counts file"),
    "empty": (lambda text: "", "is not a counts file"),
    "first line only": (lambda text: text.splitlines()[0], "second line"),
    "no description": (second_line("feature"), "second line is not the sample's description"),
    "description no JSON": (second_line("# {"), "second line is not the sample's description"),
    "description a list": (second_line("# []"), "second line is not the sample's description"),
    "description nested without end": (
        second_line("# " + "[" * 100_000),
        "second line is not the sample's description",
    ),
    "no sample": (second_line('# {"reference": "r"}'), "sample_id"),
    "no reference": (second_line('# {"sample_id": "A"}'), "reference"),
    "a column renamed": (cell(0, "role", "kind"), "not those of copyfold-counts/1"),
    "a column twice": (cell(0, "role", "name"), "stands twice"),
    "no rows": (lambda text: "\n".join(text.splitlines()[:3]) + "\n", "a header and no rows"),
    "genes only": (lambda text: "\n".join(x for x in text.splitlines() if x[:3] != "bin") + "\n", "holds no bins"),
    "another feature": (cell(1, "feature", "exon"), "neither bin nor gene"),
    "a short row": (lambda text: text.replace("bin\t.\t", "bin\t", 1), "line 4: 9 cells where the header has 10"),
    "NaN": (cell(1, "chromosome_count", "nan"), "not a number of at least 0"),
    "infinite": (cell(1, "chromosome_depth", "inf"), "not a number of at least 0"),
    "negative count": (cell(2, "plasmid_count", "-1"), "not a number of at least 0"),
    "negative depth": (cell(2, "plasmid_depth", "-0.5"), "not a number of at least 0"),
    "text for a count": (cell(2, "plasmid_count", "many"), "damaged"),
    "no count": (cell(2, "plasmid_count", "."), "damaged"),
    "text for a start": (cell(2, "start", "one"), "damaged"),
    "half a start": (cell(2, "start", "1.5"), "damaged"),
    "gene with NaN": (cell(GENE, "plasmid_depth", "nan"), "not a number of at least 0"),
    "gene with negative depth": (cell(GENE, "plasmid_depth", "-1"), "not a number of at least 0"),
    "gene with text for an end": (cell(GENE, "end", "x"), "damaged"),
}
KNOWN_EDITS = {
    "a start beyond any number": (cell(1, "start", "9" * 25), ""),
    "half a read": (cell(1, "chromosome_count", "1.5"), ""),
    "an infinite depth of a gene": (cell(GENE, "chromosome_depth", "inf"), ""),
    "another role": (cell(1, "role", "Plasmid"), ""),
    "a bin that ends before it starts": (cell(1, "start", "5000"), ""),
    "a bin that starts at 0": (cell(1, "start", "0"), ""),
    "a gene twice": (cell(GENE, "name", "blaX"), ""),
    "no sample's name": (second_line('# {"sample_id": null, "reference": "r"}'), ""),
    "a sample's name of two lines": (second_line('# {"sample_id": "a\\nb", "reference": "r"}'), ""),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edited_file_is_refused(sound: Path, name: str) -> None:
    change, message = EDITS[name]
    edit(sound, change)
    assert message in one_line(sound)


@pytest.mark.parametrize("name", KNOWN_EDITS)
def test_an_edit_that_makes_no_sense_is_refused(sound: Path, name: str) -> None:
    change, message = KNOWN_EDITS[name]
    edit(sound, change)
    assert message in one_line(sound)


def test_a_truncated_file_is_refused_at_every_length(sound: Path) -> None:
    whole = sound.read_bytes()
    for length in [*range(25), *range(25, len(whole), 29), len(whole) - 8, len(whole) - 1]:
        sound.write_bytes(whole[:length])
        one_line(sound)


@pytest.mark.parametrize("from_end", [2, 5])
def test_a_changed_size_or_checksum_is_refused(sound: Path, from_end: int) -> None:
    changed = bytearray(sound.read_bytes())
    changed[-from_end] ^= 0x55
    sound.write_bytes(changed)
    one_line(sound)


def test_a_changed_byte_is_refused(sound: Path) -> None:
    whole = sound.read_bytes()
    for place in range(10, len(whole) - 8, 23):
        changed = bytearray(whole)
        changed[place] ^= 0x55
        sound.write_bytes(changed)
        holds_counts_files([sound])
        one_line(sound)


def test_other_files_are_refused_and_not_taken_for_counts(tmp_path: Path) -> None:
    (tmp_path / "text").write_text(f"# {COUNTS_FORMAT}\n")
    (tmp_path / "gatk.counts.tsv.gz").write_bytes(gzip.compress(b"CONTIG\tSTART\tEND\tCOUNT\n", mtime=0))
    for name in ("text", "gatk.counts.tsv.gz", "none", "."):
        one_line(tmp_path / name)
        assert not holds_counts_files([tmp_path / name])
    assert not holds_counts_files([])


def test_a_folder_of_counts_is_told_by_its_first_file(sound: Path) -> None:
    assert holds_counts_files([sound])
    assert holds_counts_files([sound.parent])
    (sound.parent / "0.counts.tsv.gz").write_bytes(b"")
    assert not holds_counts_files([sound.parent])


# The quality record


def quality(**changed: object) -> SampleQuality:
    values = {
        "n_reads": 100, "mapped_share": 0.95, "median_count": 30.0, "median_depth": 29.5, "covered_share": 0.99,
        "ori_ter": OriTer(1.4, 12_500.0), "flags": (),
    }  # fmt: skip
    return SampleQuality(**values | changed)


def test_a_counted_sample_is_written_down(tmp_path: Path) -> None:
    write_quality(tmp_path / "A.qc.json", "A", quality(hints=("odd",)), {"input": "BAM"})
    assert read_quality(tmp_path / "A.qc.json") == {
        "format": QUALITY_FORMAT, "sample_id": "A", "status": "counted", "flags": [], "hints": ["odd"], "reads": 100,
        "mapped_share": 0.95, "covered_share": 0.99, "median_count": 30.0, "median_depth": 29.5, "ori_ter": 1.4,
        "origin": 12_500.0, "input": "BAM",
    }  # fmt: skip


def test_unknown_numbers_are_null_and_flags_make_it_flagged(tmp_path: Path) -> None:
    nan = float("nan")
    odd = quality(n_reads=0, mapped_share=nan, ori_ter=OriTer(nan, nan), flags=("no reads", "else"))
    write_quality(tmp_path / "A.qc.json", "A", odd, {})
    record = read_quality(tmp_path / "A.qc.json")
    assert (record["status"], record["flags"]) == ("flagged", ["no reads", "else"])
    assert (record["mapped_share"], record["ori_ter"], record["origin"]) == (None, None, None)
    assert "NaN" not in (tmp_path / "A.qc.json").read_text()


def test_a_refused_sample_is_one_line(tmp_path: Path) -> None:
    write_refusal(tmp_path / "A.qc.json", "A", "a.bam: is\n damaged\t;  copy it")
    record = read_quality(tmp_path / "A.qc.json")
    assert record == {
        "format": QUALITY_FORMAT, "sample_id": "A", "status": "refused", "flags": ["a.bam: is damaged ; copy it"],
    }  # fmt: skip


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"format": "copyfold-qc/1"}',
     '{"format": "copyfold-qc/2", "sample_id": "A", "status": ""}',
     '{"format": "copyfold-qc/1", "sample_id": 3, "status": "counted", "flags": []}',
     '{"format": "copyfold-qc/1", "sample_id": "A", "status": "counted", "flags": "none"}'],
)  # fmt: skip
def test_another_record_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "A.qc.json").write_text(text)
    with pytest.raises(InputError, match=r"A\.qc\.json: "):
        read_quality(tmp_path / "A.qc.json")
    with pytest.raises(InputError, match=r"B\.qc\.json: cannot be read"):
        read_quality(tmp_path / "B.qc.json")


@pytest.mark.parametrize(
    ("unmapped", "flags", "hints"), [(0, 0, 0), (580, 0, 0), (620, 0, 1), (1_580, 0, 1), (1_620, 1, 0)]
)
def test_reads_of_something_else_are_a_hint_and_too_many_a_flag(unmapped: int, flags: int, hints: int) -> None:
    """Of 4,000 reads; the usual share is 0.85 and the least 0.6."""
    judged = sample_quality(counted(unmapped=unmapped))
    assert (len(judged.flags), len(judged.hints)) == (flags, hints)
    if hints:
        assert f"{unmapped / 40:.1f}% of the reads are not of this reference" in judged.hints[0]
    if flags:
        assert "contamination or another species" in judged.flags[0]


def test_an_uncovered_chromosome_is_flagged_and_gets_no_hint() -> None:
    judged = sample_quality(counted(n=30, unmapped=6))
    assert len(judged.flags) == 1
    assert "another species or too few reads" in judged.flags[0]
    assert judged.hints == ()
