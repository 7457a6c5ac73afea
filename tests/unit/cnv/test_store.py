"""The store: what it refuses, and what comes back."""

import os

import numpy as np
import pytest

from copyfold.cnv.store import Contigs, open_store, read_manifest, write_store
from copyfold.core.files import file_digest
from copyfold.errors import InputError, RunError

CONTIGS = Contigs(np.array(["c1", "c1", "c2"]), np.array([0, 1000, 0]), np.array([1000, 1500, 700]))
COUNTS = np.arange(6, dtype=np.uint32).reshape(2, 3)
IDS = np.array(["ERR1", "ERR2"])


@pytest.fixture
def store(tmp_path):
    return write_store(tmp_path / "store", COUNTS, CONTIGS, IDS)


def test_round_trip_with_digests(store):
    opened = open_store(store)
    np.testing.assert_array_equal(opened.counts, COUNTS)
    np.testing.assert_array_equal(opened.contigs.start, CONTIGS.start)
    np.testing.assert_array_equal(opened.contigs.end, CONTIGS.end)
    assert opened.sample_ids.tolist() == ["ERR1", "ERR2"]
    assert opened.contigs.chain_starts.tolist() == [0, 2, 3]
    assert opened.medians().tolist() == [1.0, 4.0]
    for name, digest in read_manifest(store)["digests"].items():
        assert file_digest(store / name) == digest


def test_the_file_is_one_based_inclusive(store):
    raw = np.load(store / "contigs.npy")
    assert raw["start"].tolist() == [1, 1001, 1]
    assert raw["end"].tolist() == [1000, 1500, 700]


def test_an_existing_folder_is_not_touched(store):
    with pytest.raises(RunError, match="exists already"):
        write_store(store, COUNTS, CONTIGS, IDS)


def test_a_published_store_with_object_arrays_opens(tmp_path):
    folder = tmp_path / "published"
    folder.mkdir()
    rows = [("NC_016845.1", 1, 1000), ("NC_016845.1", 1001, 2000)]
    np.save(
        folder / "contigs.npy",
        np.array(rows, dtype=[("chrom", object), ("start", np.uint32), ("end", np.uint32)]),
        allow_pickle=True,
    )
    np.save(folder / "sample_ids.npy", np.array(["DRR1", "DRR2"], dtype=object), allow_pickle=True)
    np.save(folder / "counts.npy", np.ones((2, 2), dtype=np.uint32))
    np.save(folder / "medians.npy", np.array([7.0, 9.0], dtype=np.float32))
    opened = open_store(folder)
    assert opened.sample_ids.tolist() == ["DRR1", "DRR2"]
    assert opened.medians().tolist() == [7.0, 9.0]
    np.save(folder / "medians.npy", np.array([7.0], dtype=np.float32))
    assert opened.medians().tolist() == [1.0, 1.0], "medians of another length are ignored"


def test_a_sample_without_reads_has_median_zero_whatever_medians_npy_says(store):
    np.save(store / "counts.npy", np.array([[0, 0, 0], [5, 6, 7]], dtype=np.uint32))
    np.save(store / "medians.npy", np.array([1.0, 6.0], dtype=np.float32))
    assert open_store(store).medians().tolist() == [0.0, 6.0]


def replace(store, name, array):
    np.save(store / name, array, allow_pickle=True)


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("counts.npy", np.ones((2, 4), dtype=np.uint32), "4 columns but contigs.npy has 3 bins"),
        ("counts.npy", np.array([[1, 2, -3], [1, 1, 1]]), "row 0, column 2 is -3; counts cannot be negative"),
        ("counts.npy", np.array([[1.0, np.nan, 3.0]] * 2), "dtype is float64; counts are whole numbers"),
        ("counts.npy", np.ones((2, 3), dtype=np.float32), "dtype is float32"),
        ("counts.npy", np.ones(3, dtype=np.uint32), "1 dimensions"),
        ("counts.npy", np.ones((0, 3), dtype=np.uint32), "the store is empty"),
        ("counts.npy", np.ones((3, 3), dtype=np.uint32), "2 sample names for 3"),
        ("sample_ids.npy", np.array(["A", "A"]), "sample 'A' stands in rows 0, 1"),
        ("sample_ids.npy", np.array(["A", ""]), "row 1 is empty"),
        ("sample_ids.npy", np.array([1, 2]), "one-dimensional array of strings"),
        ("sample_ids.npy", np.array(["A", 5], dtype=object), "strings only"),
        ("contigs.npy", np.array([1, 2, 3]), "structured array with fields"),
    ],
)
def test_bad_parts_are_one_line_each(store, name, array, message):
    replace(store, name, array)
    with pytest.raises(InputError, match=message) as caught:
        open_store(store)
    assert len(str(caught.value).splitlines()) == 1


def test_bins_that_end_before_they_start(store):
    raw = np.load(store / "contigs.npy")
    raw["end"][1] = 3
    np.save(store / "contigs.npy", raw)
    with pytest.raises(InputError, match="bin 1 is 1001–3"):
        open_store(store)


def test_code_in_sample_ids_does_not_run(store, tmp_path):
    class Bomb:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "code-ran"),))

    replace(store, "sample_ids.npy", np.array([Bomb(), "A"], dtype=object))
    with pytest.raises(InputError, match="may run code"):
        open_store(store)
    assert not (tmp_path / "code-ran").exists()


@pytest.mark.parametrize("name", ["counts.npy", "contigs.npy", "sample_ids.npy"])
def test_a_missing_part_is_named(store, name):
    (store / name).unlink()
    with pytest.raises(InputError, match=name):
        open_store(store)
    with pytest.raises(InputError, match="no such store"):
        open_store(store / "elsewhere")


@pytest.mark.parametrize("counts", [np.array([[0, 0, 0], [40, 0, 0]]), np.array([[0, 1, 0], [1, 1, 0]])])
def test_a_published_median_of_one_does_not_make_a_failed_isolate_usable(store, counts):
    np.save(store / "counts.npy", counts.astype(np.uint32))
    np.save(store / "medians.npy", np.maximum(np.median(counts, axis=1), 1).astype(np.float32))
    assert open_store(store).medians().tolist() == np.median(counts, axis=1).tolist()


@pytest.mark.parametrize(
    ("counts", "ids", "message"),
    [
        ([[-1, 0, 1], [1, 1, 1]], IDS, "cannot be negative"),
        ([[np.nan, 0, 1], [1, 1, 1]], IDS, "dtype is float64"),
        ([[2.7, 0, 1], [1, 1, 1]], IDS, "dtype is float64"),
        ([[2**32, 0, 1], [1, 1, 1]], IDS, "does not fit uint32"),
        ([[1, 2], [1, 1]], IDS, "2 columns but contigs.npy has 3"),
        ([[1, 2, 3], [1, 1, 1]], np.array(["A", "A"]), "stands in rows 0, 1"),
    ],
)
def test_what_the_reader_refuses_is_never_written(tmp_path, counts, ids, message):
    with pytest.raises(InputError, match=message):
        write_store(tmp_path / "store", np.array(counts), CONTIGS, ids)
    assert not list(tmp_path.iterdir())
