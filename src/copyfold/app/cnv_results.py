"""A copy-number run read for its report and its plots. What is missing or damaged is told, and the rest is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
from pydantic import TypeAdapter, ValidationError

from copyfold.app.attempts import Attempts
from copyfold.app.cohort_folder import CohortFolder
from copyfold.app.finished_runs import CopyRatioReader, open_copy_ratios, open_run_store
from copyfold.cnv.call_tables import read_calls
from copyfold.cnv.coordinates import DEFAULT_CHROMOSOMAL_PANEL, Gene, find_gene_bins, read_gene_table
from copyfold.cnv.evaluation import Evaluation
from copyfold.cnv.segmentation import neighbour_variance
from copyfold.cnv.segments_file import segment_parts
from copyfold.cnv.store import Contigs, Store
from copyfold.cnv.truth import read_sequence_types
from copyfold.core.console import Console
from copyfold.core.files import read_json, read_npy, release_pages
from copyfold.errors import InputError
from copyfold.report.cnv.results import CnvResults, GeneResult, SegmentCounts, Track, count_segments, gene_results

_BATCH_SAMPLES = 256
_SEGMENT_COLUMNS = ["sample_id", "chrom", "x0", "x1", "cn", "confidence", "ratio"]


def read_results(run: Path, record: Mapping[str, Any], lineages: Path | None, console: Console) -> CnvResults:
    """Read everything that a report shows of a run.

    Parameters
    ----------
    run : Path
    record : mapping
        Its run.json.
    lineages : Path or None
        Table with columns sample_id and ST. None takes the run's kpsc_meta_path, or the sheet of the cohort it is of.
    console : Console

    Raises
    ------
    CopyfoldError
        The calls cannot be read, or `lineages` cannot. What else is missing is named in ``unread``.
    """
    run = Path(run)
    config = record["config"]
    _check_config(run, config)
    attempt = Attempts()

    calls = read_calls(run / "gene_calls.tsv")
    sample_ids = calls["sample_id"].to_numpy(dtype=np.str_)
    medians = calls["median_depth"].to_numpy(dtype=np.float64) if "median_depth" in calls else np.zeros(len(calls))
    places = attempt(lambda: gene_places(config)) or {}
    genes = gene_results(calls, sample_ids, config, places)
    if (run / "plasmid_gene_calls.tsv").exists() and config.get("plasmid_store_path"):
        plasmid = attempt(lambda: read_calls(run / "plasmid_gene_calls.tsv"))
        genes += () if plasmid is None else gene_results(plasmid, sample_ids, config, {})
    if lineages is not None:
        known = read_sequence_types(lineages)
    else:
        known = attempt(lambda: _known_lineages(run, config)) or {}
    results = CnvResults(
        name="/".join(run.resolve().parts[-2:]),
        record=record,
        sample_ids=sample_ids,
        lineages=np.array([known.get(name) or "" for name in sample_ids.tolist()], dtype=np.str_),
        medians=medians,
        genes=genes,
        latents=attempt(lambda: _latents(run, len(sample_ids))),
        training_log=attempt(lambda: _numbers(run / "training_log.tsv")),
        metrics=attempt(lambda: _metrics(run / "metrics.json")),
        recurrent=attempt(lambda: _recurrent(run / "recurrent_segments.tsv")),
    )
    store = attempt(lambda: open_run_store(run, record, sample_ids.tolist(), unchanged=True))
    if store is not None:
        results = replace(results, contigs=store.contigs)
        results = replace(results, segments=attempt(lambda: _segment_counts(run, config, sample_ids, store.contigs)))
        reader = attempt(lambda: open_copy_ratios(run, record, store))
        if reader is not None:
            results = replace(
                results,
                noise=_noise(reader, _rows(store, sample_ids), console),
                genes=_with_raw_levels(genes, store, results.medians, sample_ids),
            )
    return replace(results, unread=tuple(attempt.failures))


def read_tracks(run: Path, record: Mapping[str, Any], samples: Sequence[str]) -> list[Track]:
    """Depth of some isolates along the genome, in the order asked for.

    Raises
    ------
    CopyfoldError
        The run is not far enough along, or its store is gone or changed.
    """
    store = open_run_store(run, record, list(samples), unchanged=True)
    reader = open_copy_ratios(run, record, store)
    wanted = frozenset(samples)
    parts = (part[part["sample_id"].isin(wanted)] for part in segment_parts(run, _SEGMENT_COLUMNS))
    table = pd.concat(parts, ignore_index=True)
    tracks = []
    for batch, ratios in reader.batches(_rows(store, np.array(samples)), _BATCH_SAMPLES):
        for row, ratio, masked in zip(batch.tolist(), ratios.ratio, ratios.masked, strict=True):
            sample = str(store.sample_ids[row])
            counts, expected = np.asarray(store.counts[row]), np.asarray(reader.reconstructions[row])
            mine = table[table["sample_id"] == sample]
            tracks.append(Track(sample, store.contigs, counts, expected, ratio, masked, mine))
    return tracks


def gene_places(config: Mapping[str, Any]) -> dict[str, Gene]:
    """The chromosomal genes of a run's configuration, by name."""
    path = config.get("gene_coords_path")
    genes = read_gene_table(Path(path), "chromosome") if path else DEFAULT_CHROMOSOMAL_PANEL
    return {gene.name: gene for gene in genes}


def _known_lineages(run: Path, config: Mapping[str, Any]) -> Mapping[str, str | None]:
    if config.get("kpsc_meta_path"):
        return read_sequence_types(Path(config["kpsc_meta_path"]))
    cohort = CohortFolder(run.resolve().parent)
    if not (cohort.path / "cohort.json").exists():
        return {}
    return {each.sample: each.lineage for each in cohort.read_sheet().samples}


def _latents(run: Path, n_samples: int) -> np.ndarray | None:
    if not (run / "latents.npy").exists():
        return None
    latents = np.asarray(read_npy(run / "latents.npy"))
    if latents.dtype.kind != "f" or latents.ndim != 2 or len(latents) != n_samples or not np.isfinite(latents).all():
        raise InputError(f"{run / 'latents.npy'}: not one row of numbers for each isolate; `cnv infer` makes it again")
    return latents


def _table(path: Path) -> pd.DataFrame | None:
    """A tab-separated table with numbers where there are numbers; None where there is no file."""
    if not path.exists():
        return None
    try:
        table = pd.read_csv(path, sep="\t", comment="#", keep_default_na=False, na_values=["", "NA", "nan"])
        if len(table.columns) < 2 or not isinstance(table.index, pd.RangeIndex):
            raise ValueError("its rows have more cells than its header")
        return table
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({str(error).splitlines()[0]})") from None


def _check_config(run: Path, config: Mapping[str, Any]) -> None:
    """Refuse a record whose configuration lacks what the report tells of it."""
    numbers = (
        "cnv_min_confidence",
        "cnv_crr_amp_threshold",
        "pcn_amp_threshold",
        "epochs",
        "patience",
        "warmup_epochs",
    )
    wrong = [key for key in numbers if not _is_number(config.get(key))]
    wrong += [key for key in ("cnv_pattern_warmup", "seed") if key in config and not _is_number(config[key])]
    wrong += [] if isinstance(config.get("architecture"), str) else ["architecture"]
    paths = ("gene_coords_path", "kpsc_meta_path", "plasmid_store_path")
    wrong += [key for key in paths if not isinstance(config.get(key), str | None)]
    if wrong:
        raise InputError(f"{run}/run.json: damaged ('{wrong[0]}' of its configuration); restore it from a copy")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and abs(value) < 2**63


def _recurrent(path: Path) -> pd.DataFrame | None:
    """recurrent_segments.tsv; None where there is no file."""
    table = _table(path)
    if table is not None and "chrom" not in table.columns:
        raise InputError(f"{path}: has no column chrom; it is left out")
    return table


def _numbers(path: Path) -> pd.DataFrame | None:
    """A table of numbers only, the first column ``epoch``; None where there is no file."""
    table = _table(path)
    if table is not None and (table.columns[0] != "epoch" or any(kind.kind not in "if" for kind in table.dtypes)):
        raise InputError(f"{path}: holds other than numbers by epoch; it is left out")
    return table


def _metrics(path: Path) -> Mapping[str, Any] | None:
    """metrics.json, checked against what an evaluation is; None where there is no file."""
    if not path.exists():
        return None
    content = read_json(path)
    try:
        told = {key: value for key, value in content.items() if key != "format"}
        TypeAdapter(Evaluation).validate_python(told)
    except (ValidationError, AttributeError) as error:
        raise InputError(f"{path}: is no evaluation ({str(error).splitlines()[0]}); `copyfold cnv evaluate`") from None
    return cast(Mapping[str, Any], content)


def _segment_counts(
    run: Path, config: Mapping[str, Any], sample_ids: np.ndarray, contigs: Contigs
) -> SegmentCounts | None:
    """Segments counted a part at a time, since there may be millions."""
    if not (run / "segments.parquet").exists():
        return None
    row_of = {name: row for row, name in enumerate(sample_ids.tolist())}
    columns_of = {str(name): np.flatnonzero(contigs.chrom == name) for name in np.unique(contigs.chrom)}
    gains, losses = (np.zeros(len(contigs), dtype=np.int64) for _ in range(2))
    per_sample = np.zeros(len(sample_ids), dtype=np.int64)
    for part in segment_parts(run, _SEGMENT_COLUMNS[:-1]):
        rows = part["sample_id"].map(row_of)
        if rows.isna().any() or not part["chrom"].isin(columns_of).all():
            raise InputError(
                f"{run / 'segments.parquet'}: holds a sample or contig that the run lacks; "
                f"`copyfold cnv segment {run}` makes it again"
            )
        per_sample += np.bincount(rows.to_numpy(np.int64), minlength=len(sample_ids))
        for chrom, mine in part.groupby("chrom", sort=False):
            columns = columns_of[str(chrom)]
            starts = contigs.start[columns]
            first, stop = (columns[0] + np.searchsorted(starts, mine[end].to_numpy()) for end in ("x0", "x1"))
            confident = mine["confidence"].to_numpy() >= config["cnv_min_confidence"]
            more = count_segments(mine["cn"].to_numpy(), first, stop, confident, len(contigs))
            gains += more[0]
            losses += more[1]
    return SegmentCounts(gains, losses, per_sample)


def _noise(reader: CopyRatioReader, rows: np.ndarray, console: Console) -> np.ndarray:
    noise = np.empty(len(rows))
    done = 0
    with console.progress("measuring noise, sample", len(rows)) as progress:
        for batch, ratios in reader.batches(rows, _BATCH_SAMPLES):
            noise[done : done + len(batch)] = np.sqrt(neighbour_variance(ratios, reader.store.contigs.chain_starts))
            done += len(batch)
            progress(done)
    return noise


def _with_raw_levels(
    genes: Sequence[GeneResult], store: Store, medians: np.ndarray, sample_ids: np.ndarray
) -> tuple[GeneResult, ...]:
    """The genes with their typical depth over the isolates' medians, before any model."""
    usable = medians >= 1
    places = {gene.name: find_gene_bins(gene.place, store.contigs) for gene in genes if gene.place is not None}
    if not usable.any() or not places:
        return tuple(genes)
    parts: dict[str, list[np.ndarray]] = {name: [] for name in places}
    for first in range(0, store.n_samples, _BATCH_SAMPLES):
        for name, found in places.items():
            parts[name].append(store.counts[first : first + _BATCH_SAMPLES][:, found.bins])
        release_pages(store.counts)
    rows = _rows(store, sample_ids)[usable]
    levels = {
        name: np.concatenate(parts[name]).astype(np.float64) @ (found.weights / found.weights.sum())
        for name, found in places.items()
    }
    return tuple(
        replace(gene, raw_level=float(np.median(levels[gene.name][rows] / medians[usable])))
        if gene.name in levels
        else gene
        for gene in genes
    )


def _rows(store: Store, samples: np.ndarray) -> np.ndarray:
    row_of = {name: row for row, name in enumerate(store.sample_ids.tolist())}
    return np.array([row_of[name] for name in samples.tolist()])
