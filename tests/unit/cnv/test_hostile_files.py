"""Files that were made to do harm, one for each way that a reader of `cnv` once fell for."""

import gzip
import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from copyfold.app.cnv_results import _latents, _recurrent, read_results
from copyfold.app.finished_runs import open_run_store
from copyfold.cnv.call_tables import read_calls
from copyfold.cnv.counting.sample_file import QUALITY_FORMAT, read_quality
from copyfold.cnv.importers.gatk import read_gatk_counts
from copyfold.cnv.reference.annotation import parse_gff3
from copyfold.cnv.reference.fasta import read_fasta
from copyfold.cnv.segments_file import read_segments
from copyfold.core.console import Console
from copyfold.core.packed import FREE_BYTES
from copyfold.errors import CopyfoldError, InputError, RunError

SEGMENT = {"sample_id": "S1", "chrom": "chr1", "x0": 0, "x1": 1000, "cn": 1, "confidence": 1.0}


@pytest.mark.parametrize(
    "table",
    [
        "sample_id\tblaSHV\tcrr_blaSHV\nS1\t<script>\t1.0\n",
        "sample_id\tblaSHV\tcrr_blaSHV\nS1\t1\t../../x\n",
        "sample_id\tblaSHV\tcrr_blaSHV\nS1\t1\t1.0\t7\t8\n",
        "sample_id\tpcn_blaKPC-2\nS1\tx\n",
        "",
        "\ud800",
    ],
    ids=["copies", "ratio", "wider", "member", "empty", "no text"],
)
def test_calls_that_are_no_numbers_are_refused(tmp_path, table):
    (tmp_path / "gene_calls.tsv").write_bytes(table.encode("utf-8", "surrogatepass"))
    with pytest.raises(InputError):
        read_calls(tmp_path / "gene_calls.tsv")


@pytest.mark.parametrize(
    "change",
    [{"x0": "a"}, {"cn": "<b>"}, {"confidence": "x"}, {"chrom": 3.5}, {"sample_id": np.datetime64("2020-01-01")}],
    ids=lambda change: next(iter(change)),
)
def test_segments_of_another_type_are_refused(tmp_path, change):
    pd.DataFrame([SEGMENT | change]).to_parquet(tmp_path / "segments.parquet")
    with pytest.raises(CopyfoldError):
        read_segments(tmp_path)


def test_what_pandas_says_of_itself_in_a_table_of_segments_is_not_needed(tmp_path):
    table = pa.Table.from_pandas(pd.DataFrame([SEGMENT | {"ratio": 1.0}]))
    damaged = table.replace_schema_metadata({b"pandas": table.schema.metadata[b"pandas"].replace(b"numpy_type", b"x")})
    pq.write_table(damaged, tmp_path / "segments.parquet")
    assert read_segments(tmp_path)["sample_id"].tolist() == ["S1"]


@pytest.mark.parametrize("config", [{}, {"store_path": None}, {"store_path": ["x"]}], ids=str)
def test_a_run_that_does_not_say_where_its_store_is_is_refused(tmp_path, config):
    with pytest.raises(InputError, match="no 'store_path' in its configuration"):
        open_run_store(tmp_path, {"config": config}, [])


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + bytes(100) + b"PAR1"], ids=["empty", "start", "zeros"])
def test_damaged_segments_are_refused(tmp_path, content):
    (tmp_path / "segments.parquet").write_bytes(content)
    with pytest.raises(CopyfoldError):
        read_segments(tmp_path)


def test_a_small_file_that_unpacks_to_a_large_one_is_refused(tmp_path):
    (tmp_path / "x.gz").write_bytes(gzip.compress(b">a\n" + b"A" * FREE_BYTES))
    with pytest.raises(InputError, match="unpacks to more than 100 times its size"):
        read_fasta(tmp_path / "x.gz")


@pytest.mark.parametrize("table", ["a\tb\n1\t2\n", "chrom\n1\n", "chrom\tx\n1\t2\t3\t4\n"])
def test_recurrent_segments_without_their_columns_are_left_out(tmp_path, table):
    (tmp_path / "recurrent_segments.tsv").write_text(table)
    with pytest.raises(InputError):
        _recurrent(tmp_path / "recurrent_segments.tsv")


@pytest.mark.parametrize("change", [{"reads": {}}, {"reads": 10**30}, {"median_depth": "x"}, {"flags": None}], ids=str)
def test_a_quality_record_of_other_kinds_is_refused(tmp_path, change):
    record = {"format": QUALITY_FORMAT, "sample_id": "S1", "status": "counted", "flags": [], "reads": 10}
    for content, is_read in ((record, True), (record | change, False)):
        (tmp_path / "S1.qc.json").write_text(json.dumps(content))
        if is_read:
            assert read_quality(tmp_path / "S1.qc.json") == record
        else:
            with pytest.raises(InputError, match="is not a quality record"):
                read_quality(tmp_path / "S1.qc.json")


@pytest.mark.parametrize(
    "change", [{"epochs": None}, {"cnv_min_confidence": "x"}, {"seed": []}, {"architecture": 3}], ids=str
)
def test_a_report_of_a_run_whose_configuration_is_damaged_is_refused(tmp_path, change):
    config = {"architecture": "06_conv_vae", "epochs": 3, "patience": 3, "warmup_epochs": 1, "cnv_min_confidence": 0.5}
    config |= {"cnv_crr_amp_threshold": 1.5, "pcn_amp_threshold": 1.5}
    with pytest.raises(RunError, match=r"gene_calls\.tsv: missing"):
        read_results(tmp_path, {"config": config}, None, Console(quiet=True))
    with pytest.raises(InputError, match="damaged"):
        read_results(tmp_path, {"config": config | change}, None, Console(quiet=True))


@pytest.mark.parametrize("latents", [np.zeros((2, 3), "M8[s]"), np.zeros((2, 3), complex), np.full((2, 3), np.nan)])
def test_latents_that_are_no_numbers_are_left_out(tmp_path, latents):
    np.save(tmp_path / "latents.npy", latents)
    with pytest.raises(InputError, match="not one row of numbers"):
        _latents(tmp_path, 2)


@pytest.mark.parametrize(
    ("name", "text", "read"),
    [
        ("s.tsv", "CONTIG\tSTART\tEND\tCOUNT\nc\t1\t1000\t{}\n", read_gatk_counts),
        ("g.gff", "c\t.\tgene\t{}\t900\t.\t+\t.\tID=a\n", lambda path: parse_gff3(path.read_text(), path)),
    ],
)
def test_numbers_of_thousands_of_digits_are_refused(tmp_path, name, text, read):
    (tmp_path / name).write_text(text.format("7" * 5000))
    with pytest.raises(InputError):
        read(tmp_path / name)
