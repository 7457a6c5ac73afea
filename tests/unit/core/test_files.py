"""Atomic writing, and reading arrays without running pickles."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from copyfold.core.files import (
    atomic_path,
    create_npy,
    file_digest,
    read_json,
    read_npy,
    read_rows,
    release_pages,
    write_json,
    write_npy,
    write_text,
)
from copyfold.errors import InputError, RunError


def test_a_failed_write_leaves_the_old_file_and_nothing_beside_it(tmp_path):
    target = tmp_path / "table.tsv"
    write_text(target, "old")

    def fail_halfway():
        with atomic_path(target) as partial:
            partial.write_text("half of the new")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_halfway()
    assert target.read_text() == "old"
    assert [item.name for item in tmp_path.iterdir()] == ["table.tsv"]


def test_a_full_disk_is_told_as_such(tmp_path):
    with pytest.raises(RunError, match="No space left"), atomic_path(tmp_path / "x"):
        raise OSError(28, "No space left on device")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")  # noqa: PTH110
def test_a_really_full_device_is_told_as_such(tmp_path):
    link = tmp_path / ".x.partial"
    link.symlink_to("/dev/full")
    with pytest.raises(RunError, match="No space left"):
        write_text(tmp_path / "x", "a" * 100_000)


@pytest.mark.parametrize(
    "array",
    [
        np.array(["ERR1", "SRR22", ""], dtype=object),
        np.array(["ERR1", "SRR22"], dtype="<U9"),
        np.arange(12, dtype=np.uint32).reshape(3, 4),
    ],
)
def test_arrays_that_numpy_wrote_are_read_back(tmp_path, array):
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    found = read_npy(tmp_path / "a.npy")
    assert found.dtype.kind != "O"
    np.testing.assert_array_equal(found, array.astype(str) if array.dtype.kind == "O" else array)


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_published_contigs_with_object_field_are_read(tmp_path, protocol):
    contigs = np.array(
        [("NC_016845.1", 1, 1000), ("NC_016845.1", 1001, 1942)],
        dtype=[("chrom", object), ("start", np.uint32), ("end", np.uint32)],
    )
    path = tmp_path / "contigs.npy"
    with path.open("wb") as handle:
        header = np.lib.format.header_data_from_array_1_0(contigs)
        np.lib.format.write_array_header_1_0(handle, header)
        pickle.dump(contigs, handle, protocol=protocol)
    found = read_npy(path)
    assert found["chrom"].tolist() == ["NC_016845.1", "NC_016845.1"]
    assert found["end"].tolist() == [1000, 1942]
    assert found["chrom"].dtype.kind == "U"


class _Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


def test_code_in_a_pickled_array_does_not_run(tmp_path):
    trap = tmp_path / "code-ran"
    np.save(tmp_path / "ids.npy", np.array([_Bomb(trap)], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match="may run code"):
        read_npy(tmp_path / "ids.npy")
    assert not trap.exists()


@pytest.mark.parametrize("element", [3.5, None, ["a"], {"a": 1}, b"bytes", 7])
def test_other_objects_are_refused(tmp_path, element):
    array = np.empty(2, dtype=object)
    array[:] = ["a", element] if not isinstance(element, list) else [element, "a"]
    np.save(tmp_path / "ids.npy", array, allow_pickle=True)
    with pytest.raises(InputError, match=r"strings|string nor"):
        read_npy(tmp_path / "ids.npy")


@pytest.mark.parametrize(
    "content", [b"", b"\x93NUMPY", b"not an array at all", b"\x93NUMPY\x01\x00\x10\x00{'descr': '<u4'}"]
)
def test_damaged_files_are_one_error(tmp_path, content):
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.npy"):
        read_npy(tmp_path / "a.npy")


def test_a_truncated_array_is_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(1000))
    whole = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(whole[:-100])
    with pytest.raises(InputError):
        read_npy(tmp_path / "a.npy")


def test_object_arrays_are_never_written(tmp_path):
    with pytest.raises(ValueError, match="allow_pickle"):
        write_npy(tmp_path / "a.npy", np.array(["a"], dtype=object))
    assert not list(tmp_path.iterdir())


def test_an_array_written_in_batches_appears_when_it_is_whole(tmp_path):
    with create_npy(tmp_path / "a.npy", np.float32, (4, 3)) as rows:
        rows[:2], rows[2:] = 1.0, 2.0
        assert not (tmp_path / "a.npy").exists()
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), [[1] * 3, [1] * 3, [2] * 3, [2] * 3])


def mapped_kib() -> int:
    """Pages of files that this process holds."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.partition("RssFile:")[2].split()[0])


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_reading_in_batches_does_not_gather_a_files_pages(tmp_path):
    n_rows, n_columns = 512, 16_384  # 32 MiB
    values = np.arange(n_rows * n_columns, dtype=np.uint32).reshape(n_rows, n_columns)
    write_npy(tmp_path / "a.npy", values)
    mapped = read_npy(tmp_path / "a.npy")
    before = mapped_kib()
    for first in range(0, n_rows, 32):
        batch = read_rows(mapped, slice(first, first + 32))
        np.testing.assert_array_equal(batch, values[first : first + 32])
        assert mapped_kib() - before < 8 * 1024
    assert not isinstance(batch, np.memmap)
    assert not np.shares_memory(batch, mapped)
    chosen = np.array([500, 3])
    np.testing.assert_array_equal(read_rows(mapped[10:], chosen), values[10:][chosen])


def test_what_was_written_outlives_the_release_of_its_pages(tmp_path):
    with create_npy(tmp_path / "a.npy", np.float32, (64, 4096)) as rows:
        for row in range(64):
            rows[row] = row
            release_pages(rows)
        assert rows[5, 0] == 5
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy")[:, -1], np.arange(64))
    release_pages(np.arange(3))  # nothing to give back


def test_json_refuses_nan_and_damage(tmp_path):
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "m.json", {"mcc": float("nan")})
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(InputError, match=r"bad\.json"):
        read_json(tmp_path / "bad.json")


def test_a_folder_digest_changes_with_any_file(tmp_path):
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "a").write_text("1")
    before = file_digest(tmp_path / "s")
    (tmp_path / "s" / "a").write_text("2")
    assert file_digest(tmp_path / "s") != before
