"""Segments are read batch by batch, whatever the sizes of batches and of the file's parts."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from copyfold.cnv import segments_file
from copyfold.cnv.segments_file import SegmentsInOrder, read_segments
from copyfold.errors import InputError, RunError


@pytest.fixture
def table(tmp_path):
    rng = np.random.default_rng(1)
    samples = np.repeat([f"S{k}" for k in range(20)], rng.integers(1, 9, 20))
    written = pd.DataFrame({"sample_id": samples, "x0": np.arange(len(samples))})
    written.to_parquet(tmp_path / "segments.parquet")
    return written


@pytest.mark.parametrize("rows", [1, 3, 7, 1000])
@pytest.mark.parametrize("batch", [1, 4, 20])
def test_batches_hold_their_samples_segments(table, tmp_path, monkeypatch, rows, batch):
    monkeypatch.setattr(segments_file, "_BATCH_ROWS", rows)
    reader = SegmentsInOrder(tmp_path)
    names = np.array([f"S{k}" for k in range(20)])
    for first in range(0, 20, batch):
        mine = names[first : first + batch]
        expected = table[table["sample_id"].isin(mine)]
        assert reader.take(mine)["x0"].tolist() == expected["x0"].tolist()
    pd.testing.assert_frame_equal(read_segments(tmp_path), table)


def test_no_more_segments_wait_than_a_part_of_the_file_holds(table, tmp_path, monkeypatch):
    monkeypatch.setattr(segments_file, "_BATCH_ROWS", 30)
    in_file, read = segments_file.segment_parts, 0

    def counted(*arguments):
        nonlocal read
        for part in in_file(*arguments):
            read += len(part)
            yield part

    monkeypatch.setattr(segments_file, "segment_parts", counted)
    reader, given = SegmentsInOrder(tmp_path), 0
    for name in [f"S{k}" for k in range(20)]:
        given += len(reader.take(np.array([name])))
        assert read - given <= 30
    assert read == given == len(table)


def test_samples_out_of_order_and_absent_files_are_refused(table, tmp_path, monkeypatch):
    monkeypatch.setattr(segments_file, "_BATCH_ROWS", 1)
    with pytest.raises(InputError, match="S19 is not where the store has it"):
        SegmentsInOrder(tmp_path).take(np.array(["S19"]))
    with pytest.raises(RunError, match="missing"):
        SegmentsInOrder(tmp_path / "nowhere").take(np.array(["S1"]))
