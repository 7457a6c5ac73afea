"""FASTA reading, bins and GC."""

import gzip
import lzma

import numpy as np
import pysam
import pytest

from copyfold.cnv.reference.bins import make_bins
from copyfold.cnv.reference.build import aliases_of, gc_of_bins, order_contigs, unique_names
from copyfold.cnv.reference.fasta import (
    FastaRecord,
    format_fasta,
    gene_name,
    read_fasta,
    reverse_complement,
)
from copyfold.errors import InputError

TEXT = b">one the first\nACGT\nacgn\n>two\nTTTTR\n"
RECORDS = [FastaRecord("one", b"ACGTACGN"), FastaRecord("two", b"TTTTR")]


@pytest.mark.parametrize(
    "data",
    [
        TEXT,
        TEXT.replace(b"\n", b"\r\n"),
        TEXT.rstrip(),
        b"\n\n" + TEXT,
        b"\xef\xbb\xbf" + TEXT,
        gzip.compress(TEXT, mtime=0),
        gzip.compress(TEXT[:10], mtime=0) + gzip.compress(TEXT[10:], mtime=0),
        lzma.compress(TEXT),
    ],
    ids=["plain", "crlf", "no last newline", "blank lines", "bom", "gzip", "bgzip", "xz"],
)
def test_fasta_reads(tmp_path, data):
    (tmp_path / "x.fa").write_bytes(data)
    assert read_fasta(tmp_path / "x.fa") == RECORDS


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is empty"),
        (b" \n\n", "the file is empty"),
        (b"@read\nACGT\n+\nIIII\n", "begins with '@read'"),
        (b">a\nACGT\n>a\nACGT\n", "line 3: 'a' is also the name in line 1"),
        (b">a\nACGT\n\n>b\n\n>c\nA\n", "line 4: 'b' has no sequence"),
        (b">\nACGT\n", "line 1: the record has no name"),
        (b"\n>a\nACGT\nACXT\n", "line 4: 'X' is no base"),
        (b">a\r\nACGT\r\nAC-T\r\n", "line 3: '-' is no base"),
        (b">a\nACGU\n", "RNA"),
        (b">a\nACGT>b\nACGT\n", "line 2: '>' is no base"),
        (gzip.compress(TEXT, mtime=0)[:30], "cannot be read"),
        (lzma.compress(TEXT)[:40], "cannot be read"),
    ],
)
def test_a_bad_fasta_is_refused(tmp_path, data, message):
    (tmp_path / "x.fa").write_bytes(data)
    with pytest.raises(InputError, match=message.replace("(", r"\(")) as caught:
        read_fasta(tmp_path / "x.fa")
    assert "x.fa" in str(caught.value)


def test_a_missing_fasta_is_refused(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        read_fasta(tmp_path / "none.fa")


def test_fasta_is_written_as_samtools_reads_it(tmp_path):
    records = [FastaRecord("a", b"ACGTN" * 50), FastaRecord("b", b"T")]
    path = tmp_path / "x.fa"
    path.write_text(format_fasta(records))
    assert max(map(len, path.read_text().splitlines())) == 60
    with pysam.FastaFile(str(path)) as read:
        assert [FastaRecord(name, read.fetch(name).encode()) for name in read.references] == records


def test_md5_is_that_of_samtools(tmp_path):
    _, contigs = order_contigs(RECORDS, [], [])
    (tmp_path / "x.fa").write_bytes(TEXT)
    header = pysam.dict(str(tmp_path / "x.fa"))
    expected = [line.split("M5:")[1].split("\t")[0] for line in header.splitlines() if line.startswith("@SQ")]
    assert [contig.md5 for contig in contigs] == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("2__AAC(3)_AGly__aac(3)-IIa.v1__12", "aac(3)-IIa"),
        ("104__KPC_Bla__KPC-2__815", "blaKPC-2"),
        ("79__CTX-M_Bla_ESBL__CTX-M-15__530", "blaCTX-M-15"),
        ("1__X_Bla__blaX-1__2", "blaX-1"),
        ("390__Dfr_Tmt__dfrA14.v2__2363", "dfrA14"),
        ("blaSHV", "blaSHV"),
        ("a__b__c", "a__b__c"),
    ],
)
def test_gene_names(name, expected):
    assert gene_name(name) == expected


def test_reverse_complement():
    assert reverse_complement(b"AACGTNRK") == b"MYNACGTT"


def test_bins_do_not_cross_contigs():
    bins = make_bins(["a", "b", "c"], [2500, 1000, 3], 1000)
    assert bins.chrom.tolist() == ["a", "a", "a", "b", "c"]
    assert bins.start.tolist() == [0, 1000, 2000, 0, 0]
    assert bins.end.tolist() == [1000, 2000, 2500, 1000, 3]


def test_gc_leaves_ambiguous_bases_out():
    records = [FastaRecord("a", b"GGCA" + b"NNNN" + b"GNSA" + b"AT"), FastaRecord("b", b"CC")]
    gc = gc_of_bins(records, make_bins(["a", "b"], [14, 2], 4))
    np.testing.assert_array_equal(gc, [0.75, np.nan, 0.5, 0, 1])


def test_the_longest_record_is_the_chromosome_and_comes_first():
    records = [FastaRecord("p", b"ACG"), FastaRecord("c", b"ACGTT"), FastaRecord("q", b"AC")]
    ordered, contigs = order_contigs(records, [FastaRecord("r", b"ACGTTT")], [])
    assert [record.name for record in ordered] == ["c", "p", "q", "r"]
    assert [contig.kind for contig in contigs] == ["chromosome", "plasmid", "plasmid", "plasmid"]
    _, contigs = order_contigs(records, [], ["q", "p"])
    assert [(contig.name, contig.kind) for contig in contigs[:2]] == [("p", "chromosome"), ("q", "chromosome")]


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ("a", "a", r"the same by name \(a\)"),
        ("CP003200.1", "NC_016845.1", "the same by name"),
        ("a", "b(1)", "SAM does not allow"),
    ],
)
def test_contigs_that_clash_are_refused(first, second, message):
    with pytest.raises(InputError, match=message):
        order_contigs([FastaRecord(first, b"ACGT")], [FastaRecord(second, b"ACG")], [])


def test_one_sequence_twice_is_refused():
    with pytest.raises(InputError, match="the same sequence"):
        order_contigs([FastaRecord("a", b"ACGT"), FastaRecord("b", b"ACGT")], [], [])


def test_a_chromosome_that_is_not_there_is_refused():
    with pytest.raises(InputError, match="--chromosome-contig z: the file has a"):
        order_contigs([FastaRecord("a", b"ACGT")], [], ["z"])


def test_aliases():
    assert aliases_of("CP003200.1") == ("NC_016845.1",)
    assert aliases_of("gi|87159884|ref|NC_007793.1|") == ("NC_007793.1",)
    assert aliases_of("chr") == ()


def test_unique_names_pass_over_taken_ones():
    names = ["blaSHV", "blaSHV_2", "blaSHV", "x", "blaSHV"]
    assert unique_names(names) == ["blaSHV", "blaSHV_2", "blaSHV_3", "x", "blaSHV_4"]
    assert unique_names(["a", "a", "a_2"]) == ["a", "a_3", "a_2"]
