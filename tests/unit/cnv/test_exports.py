"""Export formats against lines written by hand."""

import string
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from copyfold.cnv import exports
from copyfold.cnv.store import Contigs
from copyfold.errors import InputError

COLUMNS = ["sample_id", "chrom", "x0", "x1", "cn", "confidence", "ratio", "n_bins", "n_masked"]


def table_of(rows, columns):
    """Segments of which none is mixed."""
    return pd.DataFrame(rows, columns=columns).assign(mixed=False)


SEGMENTS = table_of(
    [
        ("A", "c", 0, 2000, 2, 0.9, 2.0, 2, 0),
        ("A", "c", 2000, 5000, 1, 0.99, 1.0, 3, 1),
        ("A", "c", 5000, 6000, 0, 1.0, 0.0, 1, 0),
        ("A", "p", 0, 1500, -1, 0.0, np.nan, 2, 2),
        ("B", "c", 0, 2000, 3, 0.999, 3.25, 2, 0),
        ("B", "c", 2000, 6000, 1, 0.4, 1.0, 4, 0),
        ("B", "p", 0, 1500, 1, 1.0, 1.0, 2, 0),
        ("C", "c", 0, 6000, 1, 1.0, 1.0, 6, 0),
        ("C", "p", 0, 1000, 1, 1.0, 1.0, 1, 0),
        ("C", "p", 1000, 1500, 4, 0.5, 3.9, 1, 0),
    ],
    columns=COLUMNS,
)
SEQUENCE = {"c": "ACGT" * 1500, "p": "GGCA" * 375}


def vcf_records(segments, samples, min_confidence=0.0):
    unusual = segments[segments["sample_id"].isin(samples) & ~exports.is_normal(segments, min_confidence)]
    lines = exports.vcf_lines(unusual, samples, ["c", "p"], min_confidence, lambda c, p: SEQUENCE[c][p - 1])
    return [line.split("\t") for line in lines]


def test_vcf_records():
    first, second, third = vcf_records(SEGMENTS, ["A", "B", "C"])
    info = "END=2000;SVTYPE=DUP;SVLEN=2000;SVCLAIM=D"
    # It begins with the contig, so there is no base before it: POS is 1.
    assert first[:9] == ["c", "1", ".", "A", "<DUP>", ".", ".", info, "GT:CN:CNQ:CR"]
    assert first[9:] == ["1:2:10:2.0000", "1:3:30:3.2500", "0:1"]
    # The base before the 5001st is the 5000th, a T.
    assert second[:5] == ["c", "5000", ".", "T", "<DEL>"]
    assert second[7] == "END=6000;SVTYPE=DEL;SVLEN=1000;SVCLAIM=D"
    assert second[9:] == ["1:0:99:0.0000", "0:1", "0:1"]
    # A is unknown on p.
    assert third[:5] == ["p", "1000", ".", "A", "<DUP>"]
    assert third[9:] == [".", "0:1", "1:4:3:3.9000"]


def test_vcf_says_nothing_of_segments_that_are_not_certain_enough():
    first, second = vcf_records(SEGMENTS, ["A", "B", "C"], 0.6)
    assert first[1] == "1"
    # B has one copy there with a confidence of 0.4.
    assert second[9:] == ["1:0:99:0.0000", ".", "0:1"]


def test_vcf_keeps_different_intervals_and_kinds_apart():
    segments = table_of(
        [
            ("A", "c", 1000, 3000, 2, 0.9, 2.0, 2, 0),
            ("B", "c", 1000, 3000, 0, 0.9, 0.0, 2, 0),
            ("C", "c", 1000, 2000, 2, 0.9, np.nan, 1, 1),
        ],
        columns=COLUMNS,
    )
    found = [(r[1], r[4], r[7].split(";")[0], r[9:]) for r in vcf_records(segments, ["A", "B", "C"])]
    assert found == [
        ("1000", "<DUP>", "END=2000", [".", ".", "1:2:10:."]),
        ("1000", "<DEL>", "END=3000", [".", "1:0:10:0.0000", "."]),
        ("1000", "<DUP>", "END=3000", ["1:2:10:2.0000", ".", "."]),
    ]


def test_vcf_takes_names_as_categories():
    kept = SEGMENTS[~exports.is_normal(SEGMENTS)]
    named = kept.assign(
        sample_id=pd.Categorical(kept["sample_id"], ["A", "B", "C"]), chrom=pd.Categorical(kept["chrom"], ["c", "p"])
    )
    assert vcf_records(named, ["A", "B", "C"]) == vcf_records(SEGMENTS, ["A", "B", "C"])


def test_vcf_header():
    lines = list(exports.vcf_header({"c": 6000, "p": 1500}, ["A", "B,1"], version="1", reference="file:///r.fa"))
    assert lines[0] == "##fileformat=VCFv4.4"
    assert "##contig=<ID=c,length=6000>" in lines
    assert "##reference=file:///r.fa" in lines
    assert lines[-1] == "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tA\tB%2C1"


@pytest.mark.parametrize(
    ("confidence", "quality"), [(0.0, 0.0), (0.5, 3.0), (0.9, 10.0), (0.999, 30.0), (1.0, 99.0), (1 - 1e-12, 99.0)]
)
def test_phred(confidence, quality):
    assert exports.phred(confidence) == quality


def test_seg_lines():
    lines = list(exports.seg_lines(SEGMENTS[SEGMENTS["sample_id"] == "A"]))
    assert lines == [
        "A\tc\t1\t2000\t2\t1.0000",
        "A\tc\t2001\t5000\t2\t0.0000",
        "A\tc\t5001\t6000\t1\t-10.0000",
    ]
    assert len(list(exports.seg_lines(SEGMENTS, 0.95))) == 6


def test_bed_lines():
    lines = list(exports.bed_lines(SEGMENTS[exports.is_event(SEGMENTS, 0.6)]))
    assert lines == [
        "c\t0\t2000\tA|DUP|CN2\t900\t.\t0\t2000\t0,0,200",
        "c\t5000\t6000\tA|DEL|CN0\t1000\t.\t5000\t6000\t200,0,0",
        "c\t0\t2000\tB|DUP|CN3\t999\t.\t0\t2000\t0,0,200",
    ]


def test_bedgraph_lines_leave_masked_bins_out():
    contigs = Contigs(np.array(["c", "c", "p"]), np.array([0, 1000, 0]), np.array([1000, 2000, 700]))
    lines = exports.bedgraph_lines(np.array([1.0, 0.1, 2.34567]), np.array([False, True, False]), contigs)
    assert list(lines) == ["c\t0\t1000\t1.0000", "p\t0\t700\t2.3457"]


CALLS = pd.DataFrame(
    {
        "sample_id": ["A", "B\t1"],
        "blaSHV": [2, -1],
        "crr_blaSHV": [1.9, np.nan],
        "median_depth": [120.0, 0.5],
        "pcn_blaKPC-2": [3.5, 0.0],
    }
)


def test_multiqc_tsv():
    lines = list(exports.multiqc_tsv(CALLS))
    table = [line.split("\t") for line in lines if not line.startswith("#")]
    assert table == [
        ["Sample", "blaSHV", "crr_blaSHV", "median_depth", "pcn_blaKPC-2"],
        ["A", "2", "1.9", "120", "3.5"],
        ["B%091", "-1", "", "0.5", "0"],
    ]


def test_multiqc_header_is_yaml_and_says_what_the_json_says():
    import yaml

    header = yaml.safe_load("\n".join(line[2:] for line in exports.multiqc_tsv(CALLS) if line.startswith("# ")))
    content = exports.multiqc_json(CALLS)
    assert header == {key: value for key, value in content.items() if key != "data"}
    assert content["plot_type"] == "generalstats"
    assert content["data"]["A"] == {"blaSHV": 2, "crr_blaSHV": 1.9, "median_depth": 120, "pcn_blaKPC-2": 3.5}
    assert "crr_blaSHV" not in content["data"]["B%091"]
    titles = [entry["title"] for column in content["pconfig"] for entry in column.values()]
    assert titles == ["blaSHV CN", "blaSHV CRR", "Depth", "blaKPC-2 PCN"]


@pytest.mark.parametrize("name", ["a b", "a,b", "<c>", "", "*a", "c\t1"])
def test_contigs_that_vcf_cannot_name_are_refused(name):
    with pytest.raises(InputError, match="VCF forbids"):
        exports.check_contig_names([name])


def test_usual_contigs_are_taken():
    exports.check_contig_names(["NC_016845.1", "chr1", "gi|123|ref|NC_007793.1|", "contig_1#2"])


def test_names():
    assert exports.escape_name("plain-1.x_é") == "plain-1.x_é"
    assert exports.escape_name("a\tb\n100%", " ") == "a%09b%0A100%25"
    assert exports.file_name("../a/b") == "%2E.%2Fa%2Fb"


@given(st.lists(st.text(max_size=12), unique=True))
def test_escaped_names_stay_apart_and_can_be_read_back(names):
    escaped = [exports.escape_name(name, " |,") for name in names]
    assert [unquote(name) for name in escaped] == names
    assert all(not set(name) & set("\t\n\r |,") and len(name.splitlines()) <= 1 for name in escaped)


EVENTS = st.lists(
    st.tuples(
        st.text(min_size=1, max_size=8),
        st.text(string.ascii_letters + string.digits + "._", min_size=1, max_size=8),
        st.integers(0, 10**8),
        st.integers(1, 10**6),
        st.sampled_from([0, 2, 3, 11]),
        st.integers(0, 1000).map(lambda thousandths: thousandths / 1000),
    ),
    max_size=20,
)


@given(EVENTS)
def test_bed_can_be_read_back(events):
    rows = [(sample, chrom, x0, x0 + length, cn, conf) for sample, chrom, x0, length, cn, conf in events]
    parsed = []
    for line in exports.bed_lines(table_of(rows, COLUMNS[:6]).assign(ratio=1.0)):
        chrom, start, end, name, score, strand, thick_start, thick_end, _ = line.split("\t")
        sample, kind, cn = name.split("|")
        assert (start, end, strand) == (thick_start, thick_end, ".")
        assert kind == ("DEL" if cn == "CN0" else "DUP")
        parsed.append((unquote(sample), chrom, int(start), int(end), int(cn.removeprefix("CN")), int(score) / 1000))
    assert parsed == rows


def test_a_mixed_population_is_an_event_with_its_mean_as_copy_number():
    segments = table_of([("A", "c", 1000, 3000, 1, 0.9, 1.482, 2, 0), ("B", "c", 0, 6000, 1, 1.0, 1.0, 6, 0)], COLUMNS)
    segments["mixed"] = [True, False]
    (record,) = vcf_records(segments, ["A", "B"])
    assert record[4] == "<DUP>"
    assert record[9:] == ["1:1.48:10:1.4820", "0:1"]
    (line,) = exports.bed_lines(segments[exports.is_event(segments)])
    assert line.split("\t")[3] == "A|DUP|CN1.48"
