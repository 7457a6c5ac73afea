"""recurrent_segments.tsv of a run: made of its segments, and written. docs/formats/run.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from copyfold.cnv.coordinates import Gene
from copyfold.cnv.recurrence import RecurrenceSettings, find_events, recurrent_segments
from copyfold.cnv.segments_file import read_event_segments
from copyfold.cnv.store import Contigs
from copyfold.core.files import write_text

RECURRENT_NAME = "recurrent_segments.tsv"


def scan_segments(
    run: Path,
    sample_ids: np.ndarray,
    contigs: Contigs,
    settings: RecurrenceSettings,
    genes: Sequence[Gene] = (),
    lineages: Mapping[str, str | None] | None = None,
) -> pd.DataFrame:
    """Recurrent segments of a run's ``segments.parquet``, as `recurrence.recurrent_segments` returns them.

    Parameters
    ----------
    run : Path
    sample_ids : numpy.ndarray, (n_samples,), str
    contigs : Contigs
        Bins of the store.
    settings : RecurrenceSettings
    genes : sequence of Gene
    lineages : mapping of str to str or None, optional
        Lineage by sample; samples that are not in it have none.

    Raises
    ------
    RunError, InputError
        The segments are missing, damaged or of another store.
    """
    names = list(dict.fromkeys(contigs.chrom.tolist()))
    segments, n_callable = read_event_segments(run, sample_ids, names, settings.min_confidence)
    lineage_of = None
    if lineages is not None:
        lineage_of = np.array([lineages.get(name) for name in sample_ids.tolist()], dtype=object)
    events = find_events(segments, settings.max_gap, settings.min_length)
    del segments  # of a large cohort, some hundred MiB
    return recurrent_segments(events, names, n_callable, settings, genes, lineage_of)


def write_recurrent(path: Path, table: pd.DataFrame, settings: RecurrenceSettings) -> None:
    """Write the table, atomically, under a line that says what it was made with."""
    said = " ".join(f"{key}={value:g}" for key, value in asdict(settings).items())
    rounded = table.assign(frequency=table["frequency"].round(6))
    text = rounded.to_csv(sep="\t", index=False, float_format="%.6g", lineterminator="\n")
    write_text(path, f"# recurrent segments; x0 and x1 are 0-based half-open; {said}\n{text}")
