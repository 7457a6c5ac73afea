"""``copyfold report RUN``: a run as one HTML file; and depth tracks of single isolates as pictures."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from copyfold.app.cnv_results import gene_places, read_results, read_tracks
from copyfold.app.ddg_report import BENCHMARK, SCAN_TABLE, read_benchmark, read_ddg_results, read_scan
from copyfold.core.console import Console, format_seconds
from copyfold.core.files import read_npy, write_bytes, write_text
from copyfold.core.rundir import RunDirectory, own_run, read_run_record
from copyfold.errors import ConfigError, CopyfoldError, InputError
from copyfold.report.cnv.notable import notable_isolates
from copyfold.report.cnv.sections import cnv_page
from copyfold.report.cnv.tracks import draw_track, parse_region, region_around
from copyfold.report.ddg.leaderboard import benchmark_page
from copyfold.report.ddg.scan import scan_page
from copyfold.report.ddg.sections import ddg_page
from copyfold.report.page import Page, render_page
from copyfold.report.pictures import png_of, svg_of

REPORT = "report.html"
REPORT_STAGE = "report"
DDG_KINDS = ("specialist", "refiner", "fusion")
"""``kind`` of the runs of `copyfold ddg`; those of `copyfold cnv` have none."""


def report_run(
    run: Path, out: Path | None, console: Console, *, lineages: Path | None = None, structure: Path | None = None
) -> Path:
    """Write a run's report, into its folder as a stage of the run; or to `out`, and then nothing else changes.

    A folder of `copyfold ddg scan` or `benchmark` is no run; its report is written just the same.

    Parameters
    ----------
    run : Path
    out : Path or None
    console : Console
    lineages : Path or None
        Copy number: table with columns sample_id and ST, in place of what the run knows.
    structure : Path or None
        Scans: the file that was scanned, whose pLDDT is shown if it is an AlphaFold model.

    Returns
    -------
    Path
        The HTML file.

    Raises
    ------
    CopyfoldError
        No run, or one without calls; or the file cannot be written.
    """
    run = Path(run)
    if not (run / "run.json").exists() and any((run / name).exists() for name in (SCAN_TABLE, BENCHMARK)):
        if lineages is not None:
            raise ConfigError(f"--lineages: {run} is of `copyfold ddg`, which knows no lineages")
        scanned = (run / SCAN_TABLE).exists()
        page = scan_page(read_scan(run, structure)) if scanned else benchmark_page(read_benchmark(run))
        write_text(out or run / REPORT, render_page(page))
        return out or run / REPORT
    record = read_run_record(run)
    if structure is not None:
        raise ConfigError(f"--structure goes with a folder of `copyfold ddg scan`, and {run} is none")
    if out is not None:
        write_text(out, report_page(run, record, lineages, console))
        return out
    with own_run(run) as owned:
        status, reason = record.get("status", ""), record.get("reason", "")
        owned.start_stage(REPORT_STAGE)
        write_text(owned.file(REPORT), report_page(run, record, lineages, console))
        owned.finish_stage(REPORT_STAGE)
        owned.finish(status, reason)
    return run / REPORT


def report_stage(run: RunDirectory, console: Console) -> None:
    """The last stage of a run that this process owns. A report that cannot be made costs a warning, never the run."""
    started = time.perf_counter()
    run.start_stage(REPORT_STAGE)
    record = run.record | {"status": "complete"}  # as it will be when the report is read
    try:
        write_text(run.file(REPORT), report_page(run.path, record, None, console))
    except Exception as error:
        # whatever it is, a bug in a plot included: the results are on disk and must be told as complete
        run.file(REPORT).unlink(missing_ok=True)
        run.forget_stages([REPORT_STAGE])
        reason = str(error) or type(error).__name__
        console.warn(f"{REPORT} was not made ({reason}); `copyfold report {run.path}` tries again")
        return
    seconds = time.perf_counter() - started
    run.finish_stage(REPORT_STAGE, seconds=round(seconds, 2))
    console.say(f"report: done in {format_seconds(seconds)}; open {run.file(REPORT)}")


def report_page(run: Path, record: dict[str, Any], lineages: Path | None, console: Console) -> str:
    """A run as HTML: its kind picks the sections."""
    if record.get("kind") in DDG_KINDS:
        if lineages is not None:
            raise ConfigError(f"--lineages: {run} is a run of `copyfold ddg`, which knows no lineages")
        return render_page(ddg_page(read_ddg_results(run, record)))
    return render_page(_cnv_page(run, record, lineages, console))


def _cnv_page(run: Path, record: dict[str, Any], lineages: Path | None, console: Console) -> Page:
    results = read_results(run, record, lineages, console)
    chosen = notable_isolates(results) if results.noise is not None else ()
    names = [str(results.sample_ids[each.row]) for each in chosen]
    tracks = read_tracks(run, record, names) if names and results.segments is not None else []
    return cnv_page(results, list(zip(chosen, tracks, strict=False)))


def plot_sample(run: Path, sample: str, gene: str | None, region: str | None, out: Path) -> None:
    """Draw one isolate's depth track as SVG or PNG, by the ending of `out`.

    Raises
    ------
    ConfigError
        Another ending, an unknown gene, or a region that is none.
    InputError
        The run has no such isolate, or its store has gone.
    """
    if out.suffix.lower() not in (".svg", ".png"):
        raise ConfigError(f"--out {out}: must end in .svg or .png")
    if gene and region:
        raise ConfigError("--gene and --region exclude each other; give one of them")
    record = read_run_record(run)
    known = read_npy(Path(run) / "sample_ids.npy", mmap=False).tolist()
    if sample not in known:
        raise InputError(f"{sample}: not in {run}; it has {known[0]}, … ({len(known)} isolates)")
    try:
        places = gene_places(record["config"])
    except CopyfoldError:
        if gene:
            raise
        places = {}
    if gene and gene not in places:
        raise ConfigError(f"--gene {gene}: not among the chromosomal genes of the run: {', '.join(places)}")
    shown = parse_region(region) if region else region_around(places[gene]) if gene else None
    if shown is None and places:
        shown = region_around(next(iter(places.values())))
    (track,) = read_tracks(run, record, [sample])
    drawing = draw_track(track, shown, tuple(places.values()))
    if out.suffix.lower() == ".svg":
        write_text(out, svg_of(drawing, alone=True))
    else:
        write_bytes(out, png_of(drawing))
