"""Files that were made to do harm, one for each way that a reader of `core` once fell for."""

import gzip
import json
import lzma
import struct

import numpy as np
import pytest

from copyfold.cnv.config import CnvConfig
from copyfold.core.config import load_config
from copyfold.core.files import read_json, read_npy
from copyfold.core.packed import FREE_BYTES, read_unpacked
from copyfold.core.rundir import RUN_FORMAT, read_run_record
from copyfold.errors import ConfigError, InputError, RunError

ALIASES = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9)
)
"""9⁹ elements when written out."""
RECORD = {"format": RUN_FORMAT, "config": {}, "stages": {}, "inputs": {}, "status": "complete"}


def assert_short(error, limit=2000):
    assert len(str(error.value)) < limit


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress])
def test_a_small_file_that_unpacks_to_a_large_one_is_refused(tmp_path, pack):
    (tmp_path / "bomb").write_bytes(pack(bytes(FREE_BYTES + 1)))
    with pytest.raises(InputError, match="unpacks to more than 100 times its size"):
        read_unpacked(tmp_path / "bomb")


@pytest.mark.parametrize(
    "text",
    [r'{"a": "\ud800"}', r'"\udc00\ud800"', "NaN", '{"a": -Infinity}', "[" * 100_000, b"\xff\xfe".decode("latin1")],
)
def test_json_that_cannot_be_used_is_refused(tmp_path, text):
    (tmp_path / "x.json").write_bytes(text.encode("latin1"))
    with pytest.raises(InputError, match="cannot be read as JSON") as error:
        read_json(tmp_path / "x.json")
    assert_short(error)


def test_a_whole_surrogate_pair_is_read(tmp_path):
    (tmp_path / "x.json").write_text(r'"\ud83d\ude00"')
    assert read_json(tmp_path / "x.json") == "😀"


@pytest.mark.parametrize(
    "text",
    [
        ALIASES,
        ALIASES.replace("a8:", "epochs:"),
        "store_path: &a [*a]",
        'store_path: "a\\0b"\nout_dir: x',
        f"store_path: {'x' * 5000}\nout_dir: x",
        "store_path: ~nobody_of_this_name/x\nout_dir: x",
        "!!python/object/apply:os.mkdir [ran]",
        "{" * 20_000,
    ],
    ids=["aliases", "aliases for a number", "alias of itself", "NUL", "long", "user", "object", "deep"],
)
def test_yaml_that_was_made_to_do_harm_is_refused(tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(ConfigError) as error:
        load_config(CnvConfig, tmp_path / "x.yaml")
    assert_short(error, 8000)
    assert [path.name for path in tmp_path.iterdir()] == ["x.yaml"]


def npy(header, body=b""):
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + body


@pytest.mark.parametrize(
    "content",
    [
        npy(b"{'descr': '<f8', 'fortran_order': False, 'shape': (2,"),
        npy(b"{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999,), }\n"),
        npy(b"{'descr': '<f8', 'fortran_order': False, 'shape': (-1,), }\n", bytes(8)),
        npy(b"[" * 3000),
        npy(b"{'descr': '<U1', 'fortran_order': False, 'shape': (1,), }\n", struct.pack("<I", 0x110000)),
        npy(b"{'descr': '<U1', 'fortran_order': False, 'shape': (1,), }\n", struct.pack("<I", 0xD800)),
        b"",
    ],
    ids=["cut", "too large", "negative", "deep", "no letter", "half a pair", "empty"],
)
def test_a_damaged_array_is_refused(tmp_path, content):
    (tmp_path / "x.npy").write_bytes(content)
    with pytest.raises(InputError):
        read_npy(tmp_path / "x.npy", mmap=False)


@pytest.mark.parametrize(
    "change",
    [
        *({key: None} for key in ("config", "stages")),
        *({key: 3} for key in ("config", "stages", "inputs", "status")),
        {"stages": {"train": 3}},
        {"format": ["x"]},
    ],
    ids=str,
)
def test_a_record_without_its_parts_is_refused(tmp_path, change):
    record = {key: value for key, value in (RECORD | change).items() if value is not None}
    (tmp_path / "run.json").write_text(json.dumps(record))
    with pytest.raises(RunError, match=r"damaged|not a run record"):
        read_run_record(tmp_path)


def test_names_with_half_a_pair_do_not_come_from_arrays(tmp_path):
    np.save(tmp_path / "x.npy", np.array(["a\ud800"]))
    with pytest.raises(InputError):
        read_npy(tmp_path / "x.npy", mmap=False)
