"""Stores made row by row, joined, checked."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from copyfold.app.store_checks import describe_store, validate_store
from copyfold.app.stores import build_store, merge_stores
from copyfold.cnv.coordinates import Gene
from copyfold.cnv.importers import ImportSettings, gene_depths
from copyfold.cnv.importers.cnvrock import overlapped_bins
from copyfold.cnv.store import Contigs, open_store, read_manifest, write_store
from copyfold.cnv.store_build import StoreColumns, create_store, project_genes
from copyfold.core.console import Console
from copyfold.errors import ConfigError, CopyfoldError, InputError, RunError

QUIET = Console(quiet=True)
ROWS = "CONTIG\tSTART\tEND\tCOUNT\nchr\t1\t1000\t{}\nchr\t1001\t2000\t120\n"
CONTIGS = Contigs(np.array(["chr", "chr"]), np.array([0, 1000]), np.array([1000, 2000]))


def tables(folder, **texts):
    folder.mkdir()
    for name, text in texts.items():
        (folder / f"{name}.tsv").write_text(text)
    return folder


def small_store(path, names, counts, **more):
    return write_store(path, np.array(counts), CONTIGS, np.array(names), **more)


def test_what_is_built_is_what_write_store_writes(tmp_path):
    folder = tables(tmp_path / "in", B=ROWS.format(1), A=ROWS.format(2), a10=ROWS.format(3), a9=ROWS.format(4))
    build_store([folder], tmp_path / "built", "gatk", [], None, QUIET)
    small_store(tmp_path / "written", ["A", "B", "a10", "a9"], [[2, 120], [1, 120], [3, 120], [4, 120]])
    built, written = (read_manifest(tmp_path / name) for name in ("built", "written"))
    assert built.pop("source") == {"from": "gatk"}
    assert built == written
    for name in ("counts.npy", "contigs.npy", "sample_ids.npy"):
        assert (tmp_path / "built" / name).read_bytes() == (tmp_path / "written" / name).read_bytes(), name
    assert sorted(item.name for item in tmp_path.iterdir()) == ["built", "in", "written"]


def test_memory_does_not_grow_with_the_cohort(tmp_path):
    width = 20_000
    contigs = Contigs(np.full(width, "c"), np.arange(width), np.arange(width) + 1)
    row = np.arange(width)
    peaks = []
    for n in (20, 400):
        tracemalloc.start()
        with create_store(tmp_path / f"store{n}") as intake:
            intake.columns = StoreColumns(contigs, "chromosome", "read starts per bin")
            for number in reversed(range(n)):
                intake.add(f"s{number:04d}", row + number)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 2**20  # the counts of the larger are 32 MB
    store = open_store(tmp_path / "store400")
    assert store.sample_ids[[0, -1]].tolist() == ["s0000", "s0399"]
    assert store.counts[399, -1] == width - 1 + 399


def test_plasmid_columns_equal_the_depths_of_all_samples_at_once():
    rng = np.random.default_rng(3)
    contigs = Contigs(np.array(["p", "p", "q"]), np.array([0, 1000, 0]), np.array([1000, 1500, 700]))
    counts = rng.integers(0, 999, (5, 3))
    genes = [Gene("g", "p", 500, 1400), Gene("h", "q", 1, 9), Gene("gone", "z", 1, 9)]
    projection = project_genes(contigs, genes, "reads per bin")
    assert projection.left_out == ("gone",)
    expected = np.stack([np.rint(gene_depths(counts, gene, contigs)) for gene in genes[:2]], axis=1)
    np.testing.assert_array_equal([projection.apply(row) for row in counts], expected)


BAD = {
    "B": "CONTIG\tSTART\tEND\tCOUNT\nchr\t1\t1000\t-3\nchr\t1001\t2000\t120\n",
    "C": "CONTIG\tSTART\tEND\tCOUNT\nchr\t1\t1000\t3\n",
    "D": "@RG\tSM:A\n" + ROWS.format(5),
    "E": "",
}


def test_a_bad_table_stops_the_build_with_its_line(tmp_path):
    folder = tables(tmp_path / "in", A=ROWS.format(1), B=BAD["B"])
    with pytest.raises(InputError, match=r"B\.tsv: line 2: COUNT is '-3'"):
        build_store([folder], tmp_path / "store", "gatk", [], None, QUIET)
    assert not (tmp_path / "store").exists()


def test_bad_tables_are_left_out_and_listed(tmp_path, capsys):
    folder = tables(tmp_path / "in", A=ROWS.format(1), A2=ROWS.format(2), **BAD)
    build_store([folder], tmp_path / "store", "gatk", [], None, QUIET, skip_bad=True)
    assert open_store(tmp_path / "store").sample_ids.tolist() == ["A", "A2"]
    header, *lines = (tmp_path / "store/skipped.tsv").read_text().splitlines()
    assert header == "file\treason"
    reasons = {Path(file).stem: reason for file, reason in (line.split("\t") for line in lines)}
    assert sorted(reasons) == ["B", "C", "D", "E"]
    assert "line 2" in reasons["B"]
    assert "has 1 bins" in reasons["C"]
    assert "is of sample A" in reasons["D"]
    assert capsys.readouterr().err.count("left out") == 4
    assert "2 samples" in validate_store(tmp_path / "store", QUIET)


@pytest.mark.parametrize(
    ("texts", "message"),
    [({"B": BAD["B"], "E": ""}, "every table was left out"), ({"A": BAD["C"], "B": ROWS, "C": ROWS}, "other bins")],
)
def test_a_store_of_nothing_or_of_the_odd_one_is_not_made(tmp_path, texts, message):
    folder = tables(tmp_path / "in", **{name: text.format(1) for name, text in texts.items()})
    with pytest.raises(InputError, match=message):
        build_store([folder], tmp_path / "store", "gatk", [], None, QUIET, skip_bad=True)
    assert not (tmp_path / "store").exists()


def test_merge_sorts_and_keeps_unit_and_genes(tmp_path):
    genes = {"genes": np.array(["g", "h"]), "kind": "plasmid", "unit": "reads per bin"}
    one = small_store(tmp_path / "one", ["C", "A"], [[1, 2], [3, 4]], **genes)
    two = small_store(tmp_path / "two", ["B"], [[5, 6]], **genes)
    np.save(two / "counts.npy", np.array([[5, 6]], dtype=np.int64))  # another writer's dtype
    merge_stores([one, two], tmp_path / "all", QUIET)
    store = open_store(tmp_path / "all")
    assert store.sample_ids.tolist() == ["A", "B", "C"]
    assert store.counts.tolist() == [[3, 4], [5, 6], [1, 2]]
    assert store.genes.tolist() == ["g", "h"]
    assert read_manifest(tmp_path / "all")["unit"] == "reads per bin"
    assert "samples × 2" in validate_store(tmp_path / "all", QUIET)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"names": ["A"]}, "sample A is in "),
        ({"contigs": Contigs(np.array(["chr", "chr"]), np.array([0, 1000]), np.array([1000, 1900]))}, "bin 2 is"),
        ({"unit": "reads overlapping each bin"}, "counts are 'reads overlapping each bin'"),
        ({"genes": np.array(["g", "h"])}, "its genes are not those"),
    ],
)
def test_stores_that_do_not_fit_are_not_merged(tmp_path, other, message):
    one = small_store(tmp_path / "one", ["A"], [[1, 2]])
    contigs, names = other.pop("contigs", CONTIGS), other.pop("names", ["B"])
    two = write_store(tmp_path / "two", np.array([[1, 2]]), contigs, np.array(names), **other)
    with pytest.raises(InputError, match=message):
        merge_stores([one, two], tmp_path / "all", QUIET)
    assert not (tmp_path / "all").exists()


def test_merge_needs_two_stores_and_a_vacant_folder(tmp_path):
    one = small_store(tmp_path / "one", ["A"], [[1, 2]])
    with pytest.raises(ConfigError, match="at least two"):
        merge_stores([one], tmp_path / "all", QUIET)
    with pytest.raises(RunError, match="exists already"):
        merge_stores([one, one], one, QUIET)


def spoil_counts(store):
    counts = np.load(store / "counts.npy")
    counts[0, 0] += 1
    np.save(store / "counts.npy", counts)


def spoil_order(store):
    places = np.load(store / "contigs.npy")
    np.save(store / "contigs.npy", places[::-1])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (spoil_counts, "counts.npy: has changed"),
        (spoil_order, "does not lie behind"),
        (lambda store: (store / "contigs.npy").unlink(), "no such file"),
        (lambda store: np.save(store / "counts.npy", np.array([[-1, 2]])), "cannot be negative"),
        (lambda store: np.save(store / "medians.npy", np.array([np.nan])), "medians must be finite"),
        (lambda store: (store / "manifest.json").write_text("[]"), "is no manifest"),
        (lambda store: (store / "manifest.json").write_text('{"digests": 3}'), "is no manifest"),
        (lambda store: (store / "genes.npy").write_bytes(b"x"), "genes.npy"),
        (lambda store: (store / "counts.npy").write_bytes((store / "counts.npy").read_bytes()[:-3]), "not a readable"),
    ],
)
def test_validate_finds(tmp_path, spoil, message, capsys):
    store = small_store(tmp_path / "store", ["A"], [[1, 2]])
    assert "digests and values agree" in validate_store(store, QUIET)
    spoil(store)
    with pytest.raises(CopyfoldError) as caught:
        validate_store(store, QUIET)
    assert message in str(caught.value) + capsys.readouterr().err


def test_validate_says_that_a_published_store_has_no_digests(tmp_path):
    store = small_store(tmp_path / "store", ["A"], [[1, 2]])
    (store / "manifest.json").unlink()
    assert "no digests" in validate_store(store, QUIET)


def published(folder, sums=None):
    """A store as CNVRock publishes it: object arrays, medians beside them, plasmid columns summed over bins."""
    folder.mkdir()
    places = [("pK", 20_557, 21_435), ("pM", 1, 900)]
    rows = np.array(places, dtype=[("chrom", object), ("start", np.uint32), ("end", np.uint32)])
    np.save(folder / "contigs.npy", rows, allow_pickle=True)
    np.save(folder / "sample_ids.npy", np.array(["S2", "S1"], dtype=object), allow_pickle=True)
    np.save(folder / "counts.npy", np.array(sums or [[200, 90], [50, 31]], dtype=np.uint32))
    np.save(folder / "medians.npy", np.array([100, 50], dtype=np.float32))
    if sums is None:
        np.save(folder / "genes.npy", np.array(["blaKPC-2", "sul1"], dtype=object), allow_pickle=True)
    return folder


@pytest.mark.parametrize(("columns", "expected"), [("sum", [[25, 31], [100, 90]]), (None, [[50, 31], [200, 90]])])
def test_a_published_store_becomes_ours(tmp_path, columns, expected):
    source, out = published(tmp_path / "rock"), tmp_path / "store"
    build_store([source], out, "cnvrock", [], None, QUIET, settings=ImportSettings(columns=columns))
    store = open_store(out)
    assert store.sample_ids.tolist() == ["S1", "S2"]
    assert store.genes.tolist() == ["blaKPC-2", "sul1"]
    assert store.counts.tolist() == expected  # blaKPC-2 lies in bins 20,001–21,000 and 21,001–22,000
    for name in ("sample_ids.npy", "contigs.npy", "genes.npy"):
        np.load(out / name, allow_pickle=False)
    assert "blaKPC-2" in describe_store(out)


def test_overlapped_bins_follow_the_published_rule():
    rng = np.random.default_rng(0)
    starts = np.concatenate([rng.integers(1, 9000, 300), [1000, 1001, 999, 2000]])
    ends = starts + np.concatenate([rng.integers(1, 3000, 300), [1, 1, 1, 1]])
    genes = Contigs(np.full(len(starts), "p"), starts - 1, ends)
    bin_start = np.arange(1, 20_000, 1000)
    by_hand = [((bin_start + 999 > s) & (bin_start < e)).sum() for s, e in zip(starts, ends, strict=True)]
    np.testing.assert_array_equal(overlapped_bins(genes, 1000), np.maximum(by_hand, 1))


def test_what_a_published_store_cannot_be_asked(tmp_path):
    source, out = published(tmp_path / "rock", sums=[[1, 2], [3, 4]]), tmp_path / "store"
    with pytest.raises(InputError, match=r"no genes\.npy"):
        build_store([source], out, "cnvrock", [], None, QUIET, settings=ImportSettings(columns="sum"))
    with pytest.raises(ConfigError, match="must be mean or sum"):
        build_store([source], out, "cnvrock", [], None, QUIET, settings=ImportSettings(columns="reads"))
    with pytest.raises(ConfigError, match="do not apply"):
        build_store([source], out, "cnvrock", ["pK"], None, QUIET)
    with pytest.raises(ConfigError, match="takes one store"):
        build_store([source, source], out, "cnvrock", [], None, QUIET)
