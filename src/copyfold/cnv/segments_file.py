"""segments.parquet of a run: read whole, or a part at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from copyfold.cnv.recurrence import Events
from copyfold.errors import InputError, RunError

SEGMENT_COLUMNS = {
    "sample_id": "text",
    "chrom": "text",
    "x0": "whole numbers",
    "x1": "whole numbers",
    "cn": "whole numbers",
    "confidence": "numbers",
    "ratio": "numbers",
    "n_bins": "whole numbers",
    "n_masked": "whole numbers",
    "mixed": "yes or no",
}
"""Columns in their order, and what each holds; docs/formats/run.md."""
_BATCH_ROWS = 65_536
_LONGEST_CONTIG = np.iinfo(np.int32).max


def read_segments(run: Path) -> pd.DataFrame:
    """The whole table.

    Raises
    ------
    RunError
        There is none.
    InputError
        It cannot be read.
    """
    return pd.concat(segment_parts(run), ignore_index=True)


def segment_parts(run: Path, columns: Sequence[str] | None = None) -> Iterator[pd.DataFrame]:
    """The table in parts of its rows, in order; at least one part.

    Parameters
    ----------
    run : Path
    columns : sequence of str, optional
        Read these only.

    Raises
    ------
    RunError
        There is no table.
    InputError
        It cannot be read, lacks a column, or a column or row holds what it must not.
    """
    path = Path(run) / "segments.parquet"
    again = f"run `copyfold cnv segment {run}`"
    try:
        with pq.ParquetFile(path) as table:
            _check_columns(path, table.schema_arrow, columns or [], again)
            yield (
                table.schema_arrow.empty_table()
                .select(columns or table.schema_arrow.names)
                .to_pandas(ignore_metadata=True)
            )
            for group in range(table.num_row_groups):  # one by one: read together, each keeps its buffers to the end
                for batch in table.iter_batches(batch_size=_BATCH_ROWS, row_groups=[group], columns=columns):
                    part = batch.to_pandas(ignore_metadata=True)  # what pandas wrote of itself may be damaged
                    _check_rows(path, part, again)
                    yield part
    except FileNotFoundError:
        raise RunError(f"{path}: missing; {again}") from None
    except (OSError, ValueError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path}: cannot be read ({reason}); {again} again") from None


def _check_columns(path: Path, schema: pa.Schema, wanted: Sequence[str], again: str) -> None:
    for name, kind in SEGMENT_COLUMNS.items():
        if name not in schema.names:
            if name in wanted:
                raise InputError(f"{path}: has no column {name}; {again} again")
            continue
        found = schema.field(name).type if schema.names.count(name) == 1 else "several things"
        fits = {
            "text": ("string", "large_string"),
            "whole numbers": ("int8", "int16", "int32", "int64", "uint32", "uint64"),
            "numbers": ("float", "double"),
            "yes or no": ("bool",),
        }
        if str(found) not in fits[kind]:
            raise InputError(f"{path}: column {name} holds {found}, it must hold {kind}; {again} again")


def _check_rows(path: Path, part: pd.DataFrame, again: str) -> None:
    good = part.drop(columns="ratio", errors="ignore").notna().all(axis=1)  # where all is masked, there is no ratio
    if {"x0", "x1"} <= set(part.columns):
        good &= (part["x0"] >= 0) & (part["x0"] < part["x1"]) & (part["x1"] <= _LONGEST_CONTIG)
    if "confidence" in part.columns:
        good &= part["confidence"].between(0, 1)
    if "cn" in part.columns:
        good &= part["cn"] >= -1
    if not good.all():
        raise InputError(f"{path}: segment {part[~good].iloc[0].to_dict()} cannot be; {again} again")


class SegmentsInOrder:
    """Segments of a run for one batch of samples after the other, without holding those of all.

    Parameters
    ----------
    run : Path
        Its ``segments.parquet`` holds the samples in the order in which they will be asked for.
    columns : sequence of str, optional
    """

    def __init__(self, run: Path, columns: Sequence[str] | None = None) -> None:
        self._run = run
        self._parts = segment_parts(run, columns)
        self._waiting: list[pd.DataFrame] = []

    def take(self, sample_ids: np.ndarray) -> pd.DataFrame:
        """The segments of the next samples.

        Raises
        ------
        RunError, InputError
            As `segment_parts`; or the samples are not in the order of the file.
        """
        wanted = set(sample_ids.tolist())
        while not (self._waiting and _ends_behind(self._waiting[-1], wanted)):
            part = next(self._parts, None)
            if part is None:
                break
            self._waiting.append(part)
        held = pd.concat(self._waiting, ignore_index=True)
        mine = held["sample_id"].isin(wanted).to_numpy()
        self._waiting = [held[~mine]]
        found = held[mine]
        if missing := wanted - set(found["sample_id"].unique()):
            raise InputError(
                f"{self._run}/segments.parquet: sample {min(missing)} is not where the store has it; "
                f"run `copyfold cnv segment {self._run}` again"
            )
        return found


def _ends_behind(part: pd.DataFrame, wanted: set[str]) -> bool:
    """Whether the last segment is of another sample: all of the wanted ones have come then."""
    return len(part) > 0 and part["sample_id"].iloc[-1] not in wanted


def read_event_segments(
    run: Path, sample_ids: np.ndarray, contigs: Sequence[str], min_confidence: float
) -> tuple[Events, np.ndarray]:
    """Amplified and deleted segments of a run, without holding the others.

    Parameters
    ----------
    run : Path
    sample_ids : numpy.ndarray, (n_samples,), str
    contigs : sequence of str
    min_confidence : float
        Segments below it are left out.

    Returns
    -------
    segments : Events
    n_callable : numpy.ndarray, (n_contigs,), int64
        Isolates with a segment of known copy number on each contig.

    Raises
    ------
    RunError, InputError
        As `segment_parts`; or a sample or contig that the store does not have.
    """
    row_of = {name: row for row, name in enumerate(sample_ids.tolist())}
    contig_of = {name: row for row, name in enumerate(contigs)}
    known = np.zeros((len(contigs), len(sample_ids)), dtype=bool)
    kept: list[Events] = []
    for part in segment_parts(run, ["sample_id", "chrom", "x0", "x1", "cn", "confidence", "ratio"]):
        sample, contig = part["sample_id"].map(row_of), part["chrom"].map(contig_of)
        if sample.isna().any() or contig.isna().any():
            raise InputError(
                f"{run}/segments.parquet: holds a sample or contig that the store lacks; "
                f"run `copyfold cnv segment {run}`"
            )
        sample_row, contig_row = sample.to_numpy(np.int64), contig.to_numpy(np.int64)
        cn, confidence = part["cn"].to_numpy(), part["confidence"].to_numpy(np.float64)
        known[contig_row[cn >= 0], sample_row[cn >= 0]] = True
        event = ((cn >= 2) | (cn == 0)) & (confidence >= min_confidence)
        start, end = (part[column].to_numpy(np.int32)[event] for column in ("x0", "x1"))
        ratio = part["ratio"].to_numpy(np.float64)[event]
        kind = (cn[event] >= 2).astype(np.int8)
        numbers = cn[event].astype(np.float32)
        places = (sample_row[event].astype(np.int32), contig_row[event].astype(np.int32), kind, start, end)
        kept.append(Events(*places, numbers, ratio, confidence[event]))
    return Events(*(np.concatenate(columns) for columns in zip(*kept, strict=True))), known.sum(axis=1)
