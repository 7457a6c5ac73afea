"""Stores of counted samples: two at once, in any order, onto earlier ones, without what was flagged or refused."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from copyfold.app.count_stores import build_from_counts
from copyfold.app.store_checks import describe_store, validate_store
from copyfold.cnv.coordinates import Gene
from copyfold.cnv.counting import SampleCounts, bins_of, count_alignments
from copyfold.cnv.counting.alignments import Alignments
from copyfold.cnv.counting.quality import OriTer, SampleQuality
from copyfold.cnv.counting.sample_file import read_counts, write_counts, write_quality, write_refusal
from copyfold.cnv.store import Store, open_store, read_manifest
from copyfold.core.console import Console
from copyfold.errors import ConfigError, CopyfoldError, InputError, RunError

QUIET = Console(quiet=True)
LENGTHS = {"chr": 30_500, "p": 4_700}
GENES = (Gene("blaC", "chr", 5_100, 6_000), Gene("blaP", "p", 300, 1_150), Gene("blaQ", "p", 2_000, 2_900))
ARRAYS = ("counts.npy", "contigs.npy", "sample_ids.npy", "genes.npy")


def counted(
    seed: int, *, lengths: dict[str, int] = LENGTHS, plasmids: tuple[bool, ...] = (False, True)
) -> SampleCounts:
    """Some 60× of reads of 100 bp, on the plasmid `seed` times as many."""
    rng = np.random.default_rng(seed)
    contig = rng.choice(2, 20_000 + 2_500 * seed, p=np.array([8, seed]) / (8 + seed))
    position = rng.integers(0, np.array(list(lengths.values()))[contig] - 100)
    row = np.arange(len(contig))
    batch = Alignments(contig, position, np.full(len(row), 60), 0 * row, row, position, position + 100)
    return count_alignments([batch], bins_of(lengths), is_plasmid=plasmids, genes=GENES)


def write_sample(folder: Path, name: str, seed: int, flags: tuple[str, ...] = (), reference: str = "r1") -> Path:
    path = folder / f"{name}.counts.tsv.gz"
    write_counts(path, name, counted(seed), {"reference": reference}, flags)
    quality = SampleQuality(9, 1.0, 9.0, 9.0, 1.0, OriTer(1.0, 0.0), flags)
    write_quality(folder / f"{name}.qc.json", name, quality, {})
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Samples A to F in a folder."""
    folder = tmp_path_factory.mktemp("made") / "counts"
    folder.mkdir()
    for seed, name in enumerate("ABCDEF"):
        write_sample(folder, name, seed)
    return folder


@pytest.fixture
def counts(made: Path, tmp_path: Path) -> Path:
    """A copy of the folder; what a test leaves beside it is checked by name."""
    return Path(shutil.copytree(made, tmp_path / "counts"))


def build(folder: Path, inputs: list[Path], plasmid: bool = True, **more: object) -> tuple[Store, Store | None]:
    """Stores ``folder/c`` and ``folder/p``."""
    build_from_counts(inputs, folder / "c", folder / "p" if plasmid else None, QUIET, **more)
    return open_store(folder / "c"), open_store(folder / "p") if plasmid else None


def made_in(folder: Path) -> list[str]:
    return sorted(item.name for item in folder.iterdir() if item.name != "counts")


def skipped(folder: Path) -> dict[str, str]:
    header, *lines = (folder / "skipped.tsv").read_text().splitlines()
    assert header == "file\treason"
    return {Path(file).name.split(".")[0]: reason for file, reason in (line.split("\t") for line in lines)}


def test_the_chromosome_store_holds_the_files_chromosome_rows(counts: Path, tmp_path: Path) -> None:
    store, _ = build(tmp_path, [counts])
    assert store.sample_ids.tolist() == list("ABCDEF")
    for row, name in enumerate(store.sample_ids.tolist()):
        sample = read_counts(counts / f"{name}.counts.tsv.gz")
        np.testing.assert_array_equal(store.counts[row], sample.counts[~sample.plasmid_bins])
    assert store.contigs.end.tolist() == [*range(1_000, 31_000, 1_000), 30_500]
    assert set(store.contigs.chrom.tolist()) == {"chr"}
    assert "6 samples × 31" in validate_store(tmp_path / "c", QUIET)
    manifest = read_manifest(tmp_path / "c")
    assert (manifest["kind"], manifest["unit"]) == ("chromosome", "read starts per bin")
    assert manifest["source"] == {"from": "copyfold", "reference": "r1"}
    assert made_in(tmp_path) == ["c", "p"]
    assert not (tmp_path / "c/skipped.tsv").exists()


def test_plasmid_columns_are_gene_depth_over_median_depth(counts: Path, tmp_path: Path) -> None:
    chromosome, plasmid = build(tmp_path, [counts])
    assert plasmid.genes.tolist() == ["blaP", "blaQ"]
    assert plasmid.sample_ids.tolist() == list("ABCDEF")
    assert "6 samples × 2" in validate_store(tmp_path / "p", QUIET)
    assert "blaP, blaQ" in describe_store(tmp_path / "p")
    assert (plasmid.contigs.start.tolist(), plasmid.contigs.end.tolist()) == ([300, 2_000], [1_150, 2_900])
    for row, seed in enumerate(range(6)):
        sample = counted(seed)
        count, depth = (np.median(values[~sample.plasmid_bins]) for values in (sample.counts, sample.chromosome_depth))
        expected = sample.gene_depth[1:] / depth
        np.testing.assert_allclose(plasmid.counts[row] / count, expected, atol=0.51 / count, rtol=1e-4)
        assert chromosome.medians()[row] == count
    assert plasmid.counts[0].tolist() == [0, 0]


def test_the_order_of_inputs_does_not_matter(counts: Path, tmp_path: Path) -> None:
    files = [counts / f"{name}.counts.tsv.gz" for name in "ABCDEF"]
    for number, inputs in enumerate(([counts], files[::-1], files[2:] + files[:2])):
        build(tmp_path / str(number), inputs)
    for name in [f"{store}/{file}" for store in "cp" for file in (*ARRAYS, "manifest.json")]:
        if name == "c/genes.npy":
            continue
        first, *others = ((tmp_path / str(number) / name).read_bytes() for number in range(3))
        assert others == [first, first], name


def test_flagged_and_refused_samples_are_left_out_and_listed(counts: Path, tmp_path: Path) -> None:
    write_sample(counts, "B", 1, ("12.0% of the reads are mapped", "few bins"))
    write_refusal(counts / "X.qc.json", "X", "x.bam: truncated;\n copy it again")
    for number, kept in enumerate((False, True)):
        store, plasmid = build(tmp_path / str(number), [counts], keep_flagged=kept)
        assert store.sample_ids.tolist() == plasmid.sample_ids.tolist() == list("ABCDEF" if kept else "ACDEF")
        for name in "cp":
            assert skipped(tmp_path / str(number) / name) == {"X": "x.bam: truncated; copy it again"} | (
                {} if kept else {"B": "flagged: 12.0% of the reads are mapped; few bins"}
            )
            assert "skipped.tsv" in read_manifest(tmp_path / str(number) / name)["digests"]


def test_a_counts_file_by_itself_says_that_it_is_flagged(counts: Path, tmp_path: Path) -> None:
    write_sample(counts, "B", 1, ("odd",))
    files = [counts / f"{name}.counts.tsv.gz" for name in "AB"]
    store, _ = build(tmp_path / "1", files, plasmid=False)
    assert store.sample_ids.tolist() == ["A"]
    (counts / "B.qc.json").unlink()
    store, _ = build(tmp_path / "2", files, plasmid=False)
    assert store.sample_ids.tolist() == ["A"]


@pytest.mark.parametrize("damage", ["other reference", "twice", "damaged"])
def test_a_bad_file_stops_the_build_or_is_left_out(counts: Path, tmp_path: Path, damage: str) -> None:
    bad = counts / "E.counts.tsv.gz"
    messages = {
        "other reference": "was counted on another reference than",
        "twice": "sample A stands in",
        "damaged": "E.counts.tsv.gz: ",
    }
    if damage == "other reference":
        write_sample(counts, "E", 4, reference="r2")
    elif damage == "twice":
        shutil.copy(counts / "A.counts.tsv.gz", bad)
    else:
        bad.write_bytes(bad.read_bytes()[:-20])
    with pytest.raises(InputError) as refused:
        build(tmp_path, [counts])
    assert messages[damage] in str(refused.value)
    assert "\n" not in str(refused.value)
    assert made_in(tmp_path) == []
    store, plasmid = build(tmp_path, [counts], skip_bad=True)
    assert store.sample_ids.tolist() == plasmid.sample_ids.tolist() == list("ABCDF")
    for name in "cp":
        assert list(skipped(tmp_path / name)) == ["E"]
        assert messages[damage] in skipped(tmp_path / name)["E"]


def test_other_bins_and_other_genes_of_one_reference_are_refused(counts: Path, tmp_path: Path) -> None:
    for change in (("\t30001\t30500\t", "\t30001\t30400\t"), ("\tblaQ\t", "\tblaR\t")):
        path = counts / "D.counts.tsv.gz"
        text = gzip.decompress(path.read_bytes()).decode()
        path.write_bytes(gzip.compress(text.replace(*change).encode(), mtime=0))
        with pytest.raises(InputError, match=r"D\.counts\.tsv\.gz: (bin 31 is|its plasmid genes)"):
            build(tmp_path, [counts])
        path.write_bytes(gzip.compress(text.encode(), mtime=0))
    assert made_in(tmp_path) == []


def test_a_reference_without_plasmid_genes_or_without_a_chromosome(tmp_path: Path) -> None:
    (tmp_path / "counts").mkdir()
    write_counts(tmp_path / "counts/A.counts.tsv.gz", "A", counted(1, plasmids=(False, False)), {"reference": "r"})
    with pytest.raises(InputError, match="no plasmid genes; leave --plasmid-out away"):
        build(tmp_path, [tmp_path / "counts"])
    store, _ = build(tmp_path, [tmp_path / "counts"], plasmid=False)
    assert store.n_bins == 36
    write_counts(tmp_path / "counts/A.counts.tsv.gz", "A", counted(1, plasmids=(True, True)), {"reference": "r"})
    with pytest.raises(InputError, match="has no chromosome"):
        build(tmp_path / "2", [tmp_path / "counts"])
    assert made_in(tmp_path) == ["2", "c"]
    assert made_in(tmp_path / "2") == []


def test_a_sample_without_depth_has_empty_plasmid_columns(tmp_path: Path) -> None:
    (tmp_path / "counts").mkdir()
    nothing = Alignments(*(np.zeros(0, np.int64) for _ in Alignments._fields))
    empty = count_alignments([nothing], bins_of(LENGTHS), is_plasmid=[False, True], genes=GENES)
    write_counts(tmp_path / "counts/A.counts.tsv.gz", "A", empty, {"reference": "r"})
    chromosome, plasmid = build(tmp_path, [tmp_path / "counts"])
    assert not chromosome.counts.any()
    assert not plasmid.counts.any()


@pytest.mark.parametrize("inputs", ["nothing", "missing", "refused only"])
def test_no_counts_at_all_are_refused(tmp_path: Path, inputs: str) -> None:
    (tmp_path / "counts").mkdir()
    if inputs == "refused only":
        write_refusal(tmp_path / "counts/X.qc.json", "X", "empty")
    with pytest.raises(InputError, match=r"no \.counts\.tsv\.gz file|no such file"):
        build(tmp_path, [tmp_path / ("none" if inputs == "missing" else "counts")])
    assert made_in(tmp_path) == []


def test_flagged_samples_alone_make_no_store(counts: Path, tmp_path: Path) -> None:
    write_sample(counts, "A", 0, ("odd",))
    with pytest.raises(InputError, match="every table was left out"):
        build(tmp_path, [counts / "A.counts.tsv.gz"])
    assert made_in(tmp_path) == []


# Onto earlier stores


@pytest.fixture
def batches(counts: Path, tmp_path: Path) -> tuple[Path, Path]:
    """Stores of B, D and F in ``first``, and the folder of A, C and E."""
    build(tmp_path / "counts/first", [counts / f"{name}.counts.tsv.gz" for name in "BDF"])
    (counts / "new").mkdir()
    for item in [*counts.glob("[ACE].*")]:
        item.rename(counts / "new" / item.name)
    return counts / "first", counts / "new"


def test_onto_a_store_is_the_store_of_all(made: Path, batches: tuple[Path, Path], tmp_path: Path) -> None:
    first, new = batches
    before = {path: path.read_bytes() for path in first.rglob("*") if path.is_file()}
    build(tmp_path / "onto", [new], onto=first / "c", plasmid_onto=first / "p")
    build(tmp_path / "whole", [made])
    for name in [f"{store}/{file}" for store in "cp" for file in (*ARRAYS, "manifest.json")]:
        if name != "c/genes.npy":
            assert (tmp_path / "onto" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    assert {path: path.read_bytes() for path in before} == before
    assert made_in(tmp_path) == ["onto", "whole"]
    alone, _ = build(tmp_path / "alone", [new], plasmid=False, onto=first / "c")
    assert alone.sample_ids.tolist() == list("ABCDEF")


def test_onto_takes_no_sample_twice(batches: tuple[Path, Path], tmp_path: Path) -> None:
    first, new = batches
    write_sample(new, "B", 1)
    with pytest.raises(InputError, match=r"sample B stands in .*first/c, too"):
        build(tmp_path, [new], onto=first / "c", plasmid_onto=first / "p")
    assert made_in(tmp_path) == []


def test_onto_a_store_of_another_origin_is_refused(batches: tuple[Path, Path], tmp_path: Path) -> None:
    first, new = batches
    manifest = json.loads((first / "c/manifest.json").read_text())
    for change, message in (
        ({"source": {"from": "gatk"}}, "was not made from counts"),
        (None, "was not made from counts"),
    ):
        if change is None:
            (first / "c/manifest.json").unlink()
        else:
            (first / "c/manifest.json").write_text(json.dumps(manifest | change))
        with pytest.raises(InputError, match=message):
            build(tmp_path, [new], onto=first / "c", plasmid_onto=first / "p")
    (first / "c/manifest.json").write_text(json.dumps(manifest | {"source": {"from": "copyfold", "reference": "r2"}}))
    with pytest.raises(InputError, match="counted on another reference than"):
        build(tmp_path, [new], onto=first / "c", plasmid_onto=first / "p")
    assert made_in(tmp_path) == []


def test_onto_a_plasmid_store_of_other_samples_or_none_is_refused(
    counts: Path, batches: tuple[Path, Path], tmp_path: Path
) -> None:
    first, new = batches
    build(counts / "other", [new])
    for plasmid in (counts / "other/p", first / "c"):
        with pytest.raises(InputError, match="is not the plasmid store of"):
            build(tmp_path, [new], onto=first / "c", plasmid_onto=plasmid)
    with pytest.raises(CopyfoldError, match="none"):
        build(tmp_path, [new], onto=counts / "none", plasmid_onto=first / "p")
    assert made_in(tmp_path) == []


def test_options_that_do_not_go_together_are_refused(batches: tuple[Path, Path], tmp_path: Path) -> None:
    first, new = batches
    with pytest.raises(ConfigError, match="--onto without --plasmid-onto"):
        build(tmp_path, [new], onto=first / "c")
    with pytest.raises(ConfigError, match="needs --plasmid-out"):
        build(tmp_path, [new], plasmid=False, onto=first / "c", plasmid_onto=first / "p")
    assert made_in(tmp_path) == []


def test_plasmid_onto_without_onto_is_refused(batches: tuple[Path, Path], tmp_path: Path) -> None:
    first, new = batches
    with pytest.raises(ConfigError):
        build(tmp_path, [new], plasmid_onto=first / "p")


def test_onto_a_plasmid_store_of_another_reference_is_refused(batches: tuple[Path, Path], tmp_path: Path) -> None:
    first, new = batches
    manifest = json.loads((first / "p/manifest.json").read_text())
    for source in ({"from": "gatk"}, {"from": "copyfold", "reference": "r2"}):
        (first / "p/manifest.json").write_text(json.dumps(manifest | {"source": source}))
        with pytest.raises(InputError):
            build(tmp_path, [new], onto=first / "c", plasmid_onto=first / "p")


def test_the_odd_one_first_does_not_make_the_store(counts: Path, tmp_path: Path) -> None:
    write_sample(counts, "A", 0, reference="r2")
    with pytest.raises(InputError):
        build(tmp_path, [counts], skip_bad=True)


def test_a_sample_is_in_both_stores_or_in_none(counts: Path, tmp_path: Path) -> None:
    path = counts / "C.counts.tsv.gz"
    head, gene, tail = gzip.decompress(path.read_bytes()).decode().rpartition("\tp\tplasmid\t2001\t2900\t.\t.\t")
    assert tail
    path.write_bytes(gzip.compress(f"{head}{gene}1e15\t1e15\n".encode(), mtime=0))
    chromosome, plasmid = build(tmp_path, [counts], skip_bad=True)
    assert chromosome.sample_ids.tolist() == plasmid.sample_ids.tolist()


def test_a_damaged_record_without_counts_is_left_out(counts: Path, tmp_path: Path) -> None:
    (counts / "X.qc.json").write_text("{")
    build(tmp_path, [counts], skip_bad=True)


def test_a_record_whose_counts_are_gone_is_listed_with_a_reason(counts: Path, tmp_path: Path) -> None:
    (counts / "B.counts.tsv.gz").unlink()
    build(tmp_path, [counts])
    assert skipped(tmp_path / "c")["B"]


# Where stores go


@pytest.mark.parametrize("taken", ["c", "p"])
def test_a_folder_that_holds_something_is_left_alone(counts: Path, tmp_path: Path, taken: str) -> None:
    (tmp_path / taken).mkdir()
    (tmp_path / taken / "mine").write_text("mine")
    with pytest.raises(RunError, match="exists already"):
        build(tmp_path, [counts])
    assert made_in(tmp_path) == [taken]
    assert [item.name for item in (tmp_path / taken).iterdir()] == ["mine"]


def test_one_folder_for_both_stores_is_refused(counts: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        build_from_counts([counts], tmp_path / "c", tmp_path / "c", QUIET)
    assert made_in(tmp_path) == []


@pytest.mark.parametrize("unwritable", ["c", "p"])
def test_an_unwritable_place_leaves_nothing(counts: Path, tmp_path: Path, unwritable: str) -> None:
    (tmp_path / "file").write_text("mine")
    places = {name: tmp_path / ("file/s" if name == unwritable else name) for name in "cp"}
    with pytest.raises(RunError, match="cannot be written"):
        build_from_counts([counts], places["c"], places["p"], QUIET)
    assert made_in(tmp_path) == ["file"]
