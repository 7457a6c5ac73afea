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

_BATCH_ROWS = 65_536


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
        It cannot be read, or lacks a column.
    """
    path = Path(run) / "segments.parquet"
    again = f"run `copyfold cnv segment {run}`"
    try:
        with pq.ParquetFile(path) as table:
            if lacking := set(columns or ()) - set(table.schema_arrow.names):
                raise InputError(f"{path}: has no column {min(lacking)}; {again} again")
            yield table.schema_arrow.empty_table().select(columns or table.schema_arrow.names).to_pandas()
            for batch in table.iter_batches(batch_size=_BATCH_ROWS, columns=columns):
                yield batch.to_pandas()
    except FileNotFoundError:
        raise RunError(f"{path}: missing; {again}") from None
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path}: cannot be read ({str(error).splitlines()[0]}); {again} again") from None


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
        columns = (part["x0"], part["x1"])
        start, end = (column.to_numpy(np.int64)[event] for column in columns)
        ratio = part["ratio"].to_numpy(np.float64)[event]
        kind = (cn[event] >= 2).astype(np.int8)
        numbers = cn[event].astype(np.float64)
        kept.append(Events(sample_row[event], contig_row[event], kind, start, end, numbers, ratio, confidence[event]))
    return Events(*(np.concatenate(columns) for columns in zip(*kept, strict=True))), known.sum(axis=1)
