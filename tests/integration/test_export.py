"""``copyfold cnv export``: what it writes, read back by pysam, bcftools and pandas."""

import gzip
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pysam
import pytest

from copyfold.cnv.exports import phred
from copyfold.cnv.store import open_store

CONTIG, END = "NC_016845.1", 299_942  # where the last of the 300 bins ends


@pytest.fixture(scope="module")
def run(pca_run, tmp_path_factory):
    """A copy of a finished run, three of whose segments are known to the tests."""
    path = Path(shutil.copytree(pca_run.path, tmp_path_factory.mktemp("export") / "run"))
    segments = pd.read_parquet(path / "segments.parquet")
    first, second, third = np.load(path / "sample_ids.npy")[:3].tolist()
    mine = segments["sample_id"].isin([first, second, third])
    made = pd.DataFrame(
        [
            (first, CONTIG, 0, 1000, 0, 0.75, 0.0, 1, 0),
            (first, CONTIG, 1000, 100_000, 1, 0.99, 1.0, 99, 0),
            (first, CONTIG, 100_000, 103_000, 2, 0.999, 2.25, 3, 0),
            (first, CONTIG, 103_000, END, 1, 0.99, 1.0, 197, 0),
            (second, CONTIG, 0, 100_000, 1, 0.99, 1.0, 100, 0),
            (second, CONTIG, 100_000, 103_000, 5, 0.9, 5.125, 3, 0),
            (second, CONTIG, 103_000, END, 1, 0.99, 1.0, 197, 0),
            (third, CONTIG, 0, END, -1, 0.0, np.nan, 300, 300),
        ],
        columns=["sample_id", "chrom", "x0", "x1", "cn", "confidence", "ratio", "n_bins", "n_masked"],
    )
    made = made.assign(mixed=False).astype(segments.dtypes.to_dict())
    pd.concat([made, segments[~mine]]).to_parquet(path / "segments.parquet", row_group_size=5)
    return path


@pytest.fixture(scope="module")
def segments(run):
    return pd.read_parquet(run / "segments.parquet")


@pytest.fixture(scope="module")
def ids(run):
    return np.load(run / "sample_ids.npy").tolist()


@pytest.fixture(scope="module")
def reference(copyfold, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reference")
    sequence = "".join(np.random.default_rng(3).choice(list("ACGT"), 300_400))
    (folder / "chromosome.fa").write_text(f">{CONTIG}\n{sequence}\n")
    build = ("cnv", "reference", "build", "--chromosome", folder / "chromosome.fa", "--step", 1000)
    copyfold(*build, "--out", folder / "REF").succeeded()
    return folder / "REF"


@pytest.fixture
def export(copyfold, run, tmp_path):
    """``export("vcf", "calls.vcf", …)`` → the path it wrote."""

    def do(form, out, *arguments):
        done = copyfold("cnv", "export", run, "--format", form, "--out", tmp_path / out, *arguments).succeeded()
        assert done.stdout == f"{tmp_path / out}\n"
        assert not list(tmp_path.glob(".*.partial"))
        return tmp_path / out

    return do


@pytest.fixture
def refuse(copyfold, run, tmp_path):
    """``refuse("vcf", "calls.vcf", …)`` → the complaint; nothing is written."""

    def do(form, out, *arguments, of=run):
        place = tmp_path / "refused"
        place.mkdir(exist_ok=True)
        complaint = copyfold("cnv", "export", of, "--format", form, "--out", place / out, *arguments).complaint()
        assert not list(place.iterdir())
        return complaint

    return do


def events_of(segments, samples, min_confidence=0.0):
    kept = segments["sample_id"].isin(samples) & ~segments["cn"].isin([-1, 1])
    return segments[kept & (segments["confidence"] >= min_confidence)]


def calls_in(vcf):
    """What a VCF says: (sample, contig, x0, x1, kind) → (cn, quality, ratio)."""
    found = {}
    with pysam.VariantFile(str(vcf)) as records:
        for record in records:
            (length,), (claim,) = record.info["SVLEN"], record.info["SVCLAIM"]
            assert claim == "D"
            start = record.pos if record.pos > 1 else 0
            # Newer htslib takes the end from SVLEN, which is one base further where POS is not the base before.
            assert record.stop - start - length in ((0,) if start else (0, 1))
            for sample, call in record.samples.items():
                if call["GT"] == (1,):
                    place = (sample, record.chrom, start, start + length, record.alts[0])
                    found[place] = (call["CN"], call["CNQ"], call["CR"])
    return found


def expected_calls(events):
    return {
        (row.sample_id, row.chrom, row.x0, row.x1, "<DUP>" if row.cn > 1 else "<DEL>"): (
            row.cn,
            pytest.approx(phred(row.confidence)),
            pytest.approx(row.ratio, abs=5e-5) if np.isfinite(row.ratio) else None,
        )
        for row in events.itertuples()
    }


def test_vcf_of_chosen_samples_merges_recurrent_events(export, ids):
    first, second, third = ids[:3]
    # In another order than the run's, and one of them twice.
    chosen = ("--sample", third, "--sample", first, "--sample", second, "--sample", first)
    lines = export("vcf", "calls.vcf", *chosen).read_text().splitlines()
    assert lines[0] == "##fileformat=VCFv4.4"
    assert f"##contig=<ID={CONTIG},length={END}>" in lines
    header, *records = [line.split("\t") for line in lines if not line.startswith("##")]
    assert header[9:] == [first, second, third]
    deleted = "END=1000;SVTYPE=DEL;SVLEN=1000;SVCLAIM=D"
    amplified = "END=103000;SVTYPE=DUP;SVLEN=3000;SVCLAIM=D"
    form = "GT:CN:CNQ:CR"
    assert records == [
        [CONTIG, "1", ".", "N", "<DEL>", ".", ".", deleted, form, "1:0:6:0.0000", "0:1", "."],
        [CONTIG, "100000", ".", "N", "<DUP>", ".", ".", amplified, form, "1:2:30:2.2500", "1:5:10:5.1250", "."],
    ]


def test_vcf_of_the_cohort_reads_back_as_its_segments(export, segments, ids):
    path = export("vcf", "calls.vcf.gz", "--min-confidence", 0.8)
    expected = expected_calls(events_of(segments, ids, 0.8))
    assert len(expected) > 10
    assert calls_in(path) == expected


def test_bcftools_takes_the_vcf(export, ids):
    bcftools = shutil.which("bcftools")
    if bcftools is None:
        pytest.skip("bcftools is not installed (apt-get install bcftools)")

    def tool(*arguments):
        done = subprocess.run([bcftools, *map(str, arguments)], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.splitlines()

    path = export("vcf", "calls.vcf.gz")
    tool("index", path)
    tool("index", "--tbi", path)
    everything = tool("view", "-H", path)
    assert len(everything) > 3
    assert tool("query", "-l", path) == ids
    chosen = tool("view", "-H", "-s", f"{ids[0]},{ids[1]}", "-r", f"{CONTIG}:102000-102500", path)
    assert [line for line in chosen if "END=103000;SVTYPE=DUP" in line]
    assert [line for line in tool("view", "-H", "-r", f"{CONTIG}:1-900", path) if "END=1000;SVTYPE=DEL" in line]
    assert len(tool("view", "-H", "-i", "CN>=5", path)) >= 1
    plain = export("vcf", "plain.vcf")
    assert tool("view", "-H", plain) == everything


def test_vcf_with_a_reference_has_its_bases_and_lengths(export, reference, segments, ids):
    path = export("vcf", "calls.vcf", "--reference", reference, "--sample", ids[0])
    with pysam.VariantFile(str(path)) as vcf, pysam.FastaFile(str(reference / "reference.fa")) as fasta:
        assert vcf.header.contigs[CONTIG].length == 300_400
        bases = {record.pos: record.ref for record in vcf}
        assert bases == {1: fasta.fetch(CONTIG, 0, 1), 100_000: fasta.fetch(CONTIG, 99_999, 100_000)}
    assert calls_in(path) == expected_calls(events_of(segments, ids[:1]))


def test_a_folder_holds_one_vcf_per_sample(export, segments, ids):
    folder = export("vcf", "calls")
    assert sorted(path.name for path in folder.iterdir()) == sorted(f"{name}.vcf.gz" for name in ids)
    together = {}
    for path in folder.iterdir():
        together |= calls_in(path)
    assert together == expected_calls(events_of(segments, ids))


def test_seg_reads_back_as_segments(export, segments):
    table = pd.read_csv(export("seg", "run.seg.gz"), sep="\t")
    assert list(table.columns) == ["ID", "chrom", "loc.start", "loc.end", "num.mark", "seg.mean"]
    known = segments[(segments["cn"] >= 0) & segments["ratio"].notna()].reset_index(drop=True)
    assert table["ID"].tolist() == known["sample_id"].tolist()
    assert (table["loc.start"] - 1).tolist() == known["x0"].tolist()
    assert table["loc.end"].tolist() == known["x1"].tolist()
    assert table["num.mark"].tolist() == (known["n_bins"] - known["n_masked"]).tolist()
    assert np.allclose(2 ** table["seg.mean"], np.maximum(known["ratio"], 2.0**-10), rtol=1e-4)


def test_bed_reads_back_as_events_and_can_be_indexed(export, segments, ids):
    path = export("bed", "events.bed.gz")
    table = pd.read_csv(path, sep="\t", compression="gzip")
    expected = events_of(segments, ids)
    names = expected["sample_id"] + np.where(expected["cn"] > 1, "|DUP|CN", "|DEL|CN") + expected["cn"].astype(str)
    found = set(zip(table["chromStart"], table["chromEnd"], table["name"], strict=True))
    assert found == set(zip(expected["x0"], expected["x1"], names, strict=True))
    assert table["chromStart"].is_monotonic_increasing
    pysam.tabix_index(str(path), preset="bed")
    with pysam.TabixFile(str(path)) as index:
        assert any(f"{ids[0]}|DUP|CN2" in line for line in index.fetch(CONTIG, 101_000, 101_001))
    first = gzip.decompress((export("bed", "events", "-s", ids[0]) / f"{ids[0]}.bed.gz").read_bytes()).decode()
    assert first.splitlines()[1] == f"{CONTIG}\t0\t1000\t{ids[0]}|DEL|CN0\t750\t.\t0\t1000\t200,0,0"


def test_bedgraph_has_the_ratio_of_every_bin_with_reads(export, cohort, run, ids):
    store = open_store(cohort / "chromosome")
    row = 7
    table = pd.read_csv(export("bedgraph", "one.bedgraph", "--sample", ids[row]), sep="\t", header=None)
    counts, expected = store.counts[row].astype(float), np.load(run / "reconstructions.npy")[row].astype(float)
    shown = counts >= 10
    assert table[1].tolist() == store.contigs.start[shown].tolist()
    assert table[2].tolist() == store.contigs.end[shown].tolist()
    ratio = np.where(expected >= 10, counts / np.maximum(expected, 1e-9), counts / counts.mean())
    assert np.allclose(table[3], (ratio / np.median(ratio[shown]))[shown], atol=1e-3)
    folder = export("bedgraph", "all")
    assert len(list(folder.glob("*.bedgraph.gz"))) == len(ids)
    again = pd.read_csv(folder / f"{ids[row]}.bedgraph.gz", sep="\t", header=None, compression="gzip")
    assert again.equals(table)


def test_multiqc_tables_hold_the_calls(export, run, ids):
    calls = pd.read_csv(run / "gene_calls.tsv", sep="\t").merge(
        pd.read_csv(run / "plasmid_gene_calls.tsv", sep="\t"), on="sample_id"
    )
    table = pd.read_csv(export("multiqc", "copyfold_mqc.tsv"), sep="\t", comment="#")
    assert table.columns.tolist() == ["Sample", *calls.columns[1:]]
    assert {"blaSHV", "crr_blaSHV", "median_depth"} <= set(table.columns)
    pd.testing.assert_frame_equal(table.rename(columns={"Sample": "sample_id"}), calls, check_dtype=False, rtol=1e-4)
    content = json.loads(export("multiqc", "copyfold_mqc.json", "--sample", ids[4]).read_text())
    assert list(content["data"]) == [ids[4]]
    assert content["data"][ids[4]]["median_depth"] == calls["median_depth"][4]


def test_what_does_not_fit_is_refused(refuse, tmp_path, ids):
    assert "there is vcf, seg, bed, bedgraph, multiqc" in refuse("gff", "x.gff")
    assert "--sample nobody: not in" in refuse("vcf", "x.vcf", "--sample", "nobody")
    assert "must be from 0 to 1" in refuse("vcf", "x.vcf", "--min-confidence", 2)
    assert "goes with vcf, seg and bed" in refuse("bedgraph", "x", "--min-confidence", 0.5)
    assert "goes with vcf" in refuse("seg", "x.seg", "--reference", tmp_path)
    assert "must end in .seg or .seg.gz" in refuse("seg", "x")
    assert "must end in _mqc.tsv or _mqc.json" in refuse("multiqc", "x.tsv")
    assert "must end in .vcf or .vcf.gz" in refuse("vcf", "x.bed")
    assert f"holds one sample, not {len(ids)}" in refuse("bedgraph", "x.bedgraph")
    assert "no reference.json" in refuse("vcf", "x.vcf", "--reference", tmp_path)


def test_a_folder_that_holds_something_is_refused(copyfold, run, tmp_path):
    (tmp_path / "mine").write_text("")
    done = copyfold("cnv", "export", run, "--format", "vcf", "--out", tmp_path)
    assert "not an empty folder" in done.complaint()
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_run_that_is_not_far_enough_is_refused(refuse, run, tmp_path):
    assert "not a copyfold run" in refuse("vcf", "x.vcf", of=tmp_path)
    early = Path(shutil.copytree(run, tmp_path / "early"))
    (early / "segments.parquet").unlink()
    assert f"`copyfold cnv segment {early}`" in refuse("vcf", "x.vcf", of=early)
    assert f"`copyfold cnv segment {early}`" in refuse("bed", "x", of=early)
    record = json.loads((early / "run.json").read_text())
    del record["stages"]["call"], record["stages"]["evaluate"]
    (early / "run.json").write_text(json.dumps(record))
    assert f"stage call is not done; `copyfold cnv call {early}`" in refuse("multiqc", "x_mqc.tsv", of=early)
    del record["stages"]["train"]
    (early / "run.json").write_text(json.dumps(record))
    assert "copyfold cnv train CONFIG --resume" in refuse("seg", "x.seg", of=early)


def test_damaged_or_moved_inputs_are_named(refuse, cohort, run, tmp_path):
    other = Path(shutil.copytree(run, tmp_path / "other"))
    (other / "segments.parquet").write_bytes(b"PAR1 but not much else")
    assert "cannot be read" in refuse("seg", "x.seg", of=other)
    pd.read_parquet(run / "segments.parquet").iloc[:5].to_parquet(other / "segments.parquet")
    assert "has no segments of sample" in refuse("seg", "x.seg", of=other)
    store = Path(shutil.copytree(cohort / "chromosome", tmp_path / "store"))
    record = json.loads((other / "run.json").read_text())
    record["config"]["store_path"] = str(store)
    (other / "run.json").write_text(json.dumps(record))
    counts = np.load(store / "counts.npy")
    np.save(store / "counts.npy", counts + 1)
    assert "no longer what the run read" in refuse("bedgraph", "x", of=other)
    shutil.rmtree(store)
    assert "no such store" in refuse("vcf", "x.vcf", of=other)
