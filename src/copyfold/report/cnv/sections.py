"""The sections of a copy-number run's report, each left out where the run has nothing for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from copyfold.cnv.call_tables import CALL_KINDS, count_kinds
from copyfold.report.cnv import plots
from copyfold.report.cnv.notable import Notable
from copyfold.report.cnv.results import CnvResults, GeneResult, Track
from copyfold.report.cnv.rules import LOW_MEDIAN, find_problems
from copyfold.report.cnv.shown import Shown, choose_shown
from copyfold.report.cnv.tracks import draw_track, region_around
from copyfold.report.curves import learning_curves
from copyfold.report.drawing import number_text
from copyfold.report.page import BigTable, Column, Figure, Findings, Hover, Page, Prose, Section, Table, Tiles
from copyfold.report.projection import STEP, principal_axes
from copyfold.report.run_facts import run_facts

GENES_BY_LINEAGE = 6
ST_ROWS_SHOWN = 200
RECURRENT_ROWS_SHOWN = 1000
RECURRENT_COLUMNS = (
    *("chrom", "x0", "x1", "kind", "n_isolates", "frequency", "n_covering", "median_cn", "median_ratio", "confidence"),
    *("n_lineages", "lineages", "genes"),
)
CHOSEN = ("mixed", "filter")
MIXED_WORDS = {0: "", 1: "mixed"}
CN_WORDS = {-1: "uncallable", 0: "absent", 1: "normal"}


def cnv_page(results: CnvResults, notables: Sequence[tuple[Notable, Track]]) -> Page:
    """The whole report of a copy-number run.

    Parameters
    ----------
    results : CnvResults
    notables : sequence of (Notable, Track)
        Isolates to be shown one by one.
    """
    record = results.record
    shown = choose_shown(results, [notable.row for notable, _ in notables])
    listed = f" ({len(shown.rows):,} listed)" if len(shown.rows) < results.n_samples else ""
    facts = [f"{results.n_samples:,} isolates{listed}", str(record["config"]["architecture"])]
    facts += [f"status {record.get('status')}", f"finished {record.get('finished', 'not yet')}"]
    if "trained_in" in record:
        facts.insert(1, f"called with the model of {record['trained_in']['run']}")
    sections = (*_sections(results, notables, shown),)
    footer = (
        f"Made by copyfold {record.get('copyfold', '')} from {results.name}. Calls: −1 uncallable, 0 absent, 1 normal, "
        "2 or more amplified. CRR: copy ratio of a chromosomal gene over its surroundings'. PCN: depth of a plasmid "
        "gene over the chromosome's."
    )
    return Page(f"Copy number: {results.name}", " · ".join(facts), sections, footer)


def _sections(results: CnvResults, notables: Sequence[tuple[Notable, Track]], shown: Shown) -> Iterator[Section]:
    yield summary(results)
    yield problems(results)
    if results.genes:
        yield call_table(results, shown)
        yield by_lineage(results, shown)
    if results.segments is not None and results.contigs is not None:
        yield genome(results)
    if results.latents is not None and results.n_samples > 2:
        yield latent(results, shown)
    if notables:
        yield isolates(results, notables)
    if results.training_log is not None and len(results.training_log) and len(results.training_log.columns) > 1:
        yield training(results)
    if results.metrics is not None and results.metrics.get("overall"):
        yield evaluation(results)
    yield run_facts(results.record)


def summary(results: CnvResults) -> Section:
    """The cohort in a few numbers, the calls of every gene, and depth."""
    known = results.medians[results.has_depth]
    lineages = len(np.unique(results.lineages[results.lineages != ""]))
    tiles = [
        ("isolates", f"{results.n_samples:,}", f"{int(results.has_depth.sum()):,} with depth"),
        ("lineages", f"{lineages:,}" if lineages else "—", "" if lineages else "none given"),
    ]
    if known.size:
        low, middle, high = np.percentile(known, [5, 50, 95])
        tiles.append(("median reads per bin", f"{middle:,.0f}", f"{low:,.0f} to {high:,.0f} (5–95 %)"))
    for gene in results.chromosomal[:3]:
        called = int(gene.called.sum())
        share = f"{gene.amplified.sum() / called:.1%} of {called:,} called" if called else "no isolate called"
        tiles.append((f"{gene.name} amplified", f"{int(gene.amplified.sum()):,}", share))
    counts = {gene.name: count_kinds(pd.Series(gene.cn)) for gene in results.genes}
    blocks: list[Any] = [Tiles(tuple((number, what, note) for what, number, note in tiles))]
    if results.genes:
        rows = tuple(
            (gene.name, gene.ratio_name, *counts[gene.name].values(), _median(gene.ratio[gene.amplified]))
            for gene in results.genes
        )
        header = ("gene", "ratio", *CALL_KINDS, "median ratio of the amplified")
        table = Table("Isolates by call", header, rows)
        drawing = plots.calls_by_gene(results.genes, counts)
        caption = "Share of isolates with each call; the number of amplified ones on the right."
        blocks.append(Figure(drawing, caption, aside=table))
    if known.size > 1:
        caption = "Isolates by depth. Calls of shallow ones are less sure."
        blocks.append(Figure(plots.depth_histogram(results.medians, LOW_MEDIAN), caption))
    return Section("summary", "Cohort", tuple(blocks))


def problems(results: CnvResults) -> Section:
    """Quality control in words."""
    fine = "None of the rules found anything (docs/howto/report.md lists them). That is no proof that all is well."
    return Section("quality", "What looks wrong, and what to do", (Findings(find_problems(results), fine),))


def call_table(results: CnvResults, shown: Shown) -> Section:
    """Every call of the isolates that are shown."""
    rows = shown.rows
    columns = [Column("isolate", results.sample_ids[rows])]
    if (results.lineages != "").any():
        columns.append(Column("lineage", results.lineages[rows], choose=True))
    columns.append(Column("median depth", results.medians[rows]))
    for gene in results.genes:
        columns.append(Column(gene.name, gene.cn[rows], _cn_words(gene.cn[rows]), choose=True))
        columns.append(Column(f"{gene.ratio_name.lower()} {gene.name}", gene.ratio[rows]))
        for name, values in gene.details.items() if shown.details else ():
            listed = values[rows]
            if listed.dtype.kind == "O":
                listed = pd.Series(listed).fillna("").astype(str).tolist()
            words = MIXED_WORDS if name == "mixed" else None
            columns.append(Column(f"{name} {gene.name}", listed, words, name in CHOSEN))
    if results.noise is not None:
        columns.append(Column("noise", results.noise[rows]))
    if results.segments is not None:
        columns.append(Column("segments", results.segments.per_sample[rows]))
    intro = (
        "Click a heading to sort. “Find” looks in every cell; “where … is …” keeps one lineage or one kind of call. "
        "The download holds what is shown, with calls as numbers. Whole tables: gene_calls.tsv, plasmid_gene_calls.tsv."
    )
    whose = "every isolate" if len(rows) == results.n_samples else f"{len(rows):,} of {results.n_samples:,} isolates"
    caption = f"Calls of {whose}; noise: standard deviation of the copy ratio from bin to bin"
    table = BigTable("calls", caption, tuple(columns), f"{results.file_stem}.calls.tsv")
    blocks = (Prose(shown.said), table) if shown.said else (table,)
    return Section("calls", "Calls", blocks, intro)


def _cn_words(cn: np.ndarray) -> dict[int, str]:
    """What the copy numbers of a gene are called."""
    return {number: CN_WORDS.get(number, f"amplified ({number})") for number in np.unique(cn).tolist()}


def by_lineage(results: CnvResults, shown: Shown) -> Section:
    """Ratios of the most telling genes, and shares of amplified isolates of all."""
    telling = sorted(results.genes, key=lambda gene: (gene.ratio_name != "CRR", -int(gene.amplified.sum())))
    telling = [gene for gene in telling if np.isfinite(gene.ratio).any()][:GENES_BY_LINEAGE]
    figures = []
    for gene in telling:
        caption = f"{gene.name}: {_dots(results, shown)} Lineages by size; the axis is logarithmic."
        drawing = plots.ratio_by_lineage(gene, results, shown)
        figures.append(Figure(drawing, caption, aside=_lineage_table(gene, results)))
    intro = ""
    if len(telling) < len(results.genes):
        intro = f"Chromosomal genes and those amplified most often, {len(telling)} of {len(results.genes)}."
    groups = plots.lineage_groups(results, 40)
    blocks: list[Any] = list(figures)
    if len(groups) > 1:
        rows = tuple(
            (name, len(rows), *(int(gene.amplified[rows].sum()) for gene in results.genes)) for name, rows in groups
        )
        header = ("lineage", "isolates", *(gene.name for gene in results.genes))
        blocks.append(Table("Amplified isolates by lineage, every gene", header, rows, folded=True))
    return Section("lineages", "Copies by lineage", tuple(blocks), intro)


def _dots(results: CnvResults, shown: Shown) -> str:
    """Which isolates the dots of a figure are."""
    if len(shown.rows) == results.n_samples:
        return "every isolate a dot."
    return f"a dot for each of the {len(shown.rows):,} isolates of the table above, which has more of the notable ones."


def _lineage_table(gene: GeneResult, results: CnvResults) -> Table:
    rows = []
    for name, members in plots.lineage_groups(results):
        known = gene.ratio[members][np.isfinite(gene.ratio[members])]
        low, middle, high = np.percentile(known, [5, 50, 95]) if known.size else (np.nan,) * 3
        kinds = count_kinds(pd.Series(gene.cn[members]))
        rows.append((name, len(members), *kinds.values(), float(low), float(middle), float(high)))
    header = ("lineage", "isolates", *CALL_KINDS, "5 %", f"median {gene.ratio_name}", "95 %")
    return Table(f"{gene.name} by lineage", header, tuple(rows))


def genome(results: CnvResults) -> Section:
    """Gains and losses everywhere, and recurrent segments where the run has a table of them."""
    least = results.config["cnv_min_confidence"]
    caption = f"Isolates with a gain (up) or loss (down) at each place, segments of confidence ≥ {least:g}."
    blocks: list[Any] = [Figure(plots.genome_frequency(results), caption)]
    if results.recurrent is not None:
        shown = results.recurrent.head(RECURRENT_ROWS_SHOWN)
        caption = (
            f"Segments that recur, {len(shown)} of {len(results.recurrent)}, positions 0-based half-open (all, and "
            "what the columns mean: recurrent_segments.tsv, docs/formats/run.md)"
        )
        names = [name for name in RECURRENT_COLUMNS if name in shown.columns]
        columns = tuple(Column(name, shown[name].tolist(), choose=name in ("kind", "chrom")) for name in names)
        if len(shown):
            blocks.append(BigTable("recurrent", caption, columns, f"{results.file_stem}.recurrent.tsv"))
        else:
            blocks.append(Prose("No segment recurs in the cohort (recurrent_segments.tsv is empty)."))
    return Section("genome", "Along the genome", tuple(blocks))


def latent(results: CnvResults, shown: Shown) -> Section:
    """The map of the latent."""
    assert results.latents is not None
    scores, share = principal_axes(results.latents)
    drawing, panel = plots.latent_map(results, scores, share, shown)
    x, y = panel.x(scores[shown.rows, 0]), panel.y(scores[shown.rows, 1])
    hover = Hover("calls", x, y, tuple((i * STEP, 0.0) for i in range(3)))
    few = "" if len(shown.rows) == results.n_samples else f"Here {_dots(results, shown)} Axes and colours are of all. "
    caption = (
        f"{few}Isolates on the first two principal axes of the latent, the same map three times. Under the mouse, an "
        "isolate says its name. Call: amplified in any chromosomal gene. Where depths or calls form regions of their "
        "own, the model has learned what it should have left over."
    )
    return Section("latent", "What the model learned", (Figure(drawing, caption, hover),))


def isolates(results: CnvResults, notables: Sequence[tuple[Notable, Track]]) -> Section:
    """Depth tracks."""
    places = tuple(gene.place for gene in results.chromosomal if gene.place is not None)
    figures = []
    for notable, track in notables:
        place = notable.gene.place if notable.gene else None
        drawing = draw_track(track, region_around(place) if place else None, places)
        lineage = results.lineages[notable.row]
        told = f"{track.sample}{f' ({lineage})' if lineage else ''}: {notable.reason}; "
        told += f"median {number_text(float(results.medians[notable.row]))} reads per bin."
        figures.append(Figure(drawing, told))
    intro = (
        "Isolates with most copies, those near a threshold, without the gene or hard to measure, and a usual one. Any "
        "other: `copyfold cnv plot RUN ISOLATE --out isolate.svg`"
    )
    return Section("isolates", "Isolates one by one", tuple(figures), intro)


def training(results: CnvResults) -> Section:
    """Learning curves."""
    facts = results.record.get("stages", {}).get("train", {})
    assert results.training_log is not None
    best = facts.get("best_epoch")
    tells = f"Best epoch {best} of {facts.get('epochs_run')} (dashed). " if best else ""
    caption = f"{tells}Validation uses the posterior mean, training a drawn latent: the two are not the same quantity."
    drawing = learning_curves(results.training_log, best)
    return Section("training", "Training", (Figure(drawing, caption),))


def evaluation(results: CnvResults) -> Section:
    """Agreement with the ground truth, overall and by sequence type."""
    metrics = results.metrics
    assert metrics is not None
    header = ("gene", "event", "MCC", "FNR", "PPV", "call rate", "evaluated", "TP", "FP", "FN", "TN")
    rows = tuple(_metric_row(row) for row in metrics["overall"])
    blocks: list[Any] = [Table("Calls against the ground truth, 95 % intervals in brackets", header, rows)]
    by_st = [(str(group["st"]), *_metric_row(row)) for group in metrics.get("by_st", ()) for row in group["genes"]]
    if by_st:
        caption = f"By sequence type, those with at least {metrics['by_st_min_n']} evaluated isolates"
        columns = tuple(
            Column(name, list(values), choose=name in ("ST", "gene"))
            for name, values in zip(("ST", *header), zip(*by_st[: 50 * ST_ROWS_SHOWN], strict=True), strict=True)
        )
        blocks.append(BigTable("by-st", caption, columns, f"{results.file_stem}.by_st.tsv"))
    blocks += [Prose(str(note)) for note in metrics.get("notes", ())]
    return Section("evaluation", "Against the ground truth", tuple(blocks))


def _metric_row(row: dict[str, Any]) -> tuple[Any, ...]:
    names = ("mcc", "fnr", "ppv", "call_rate")
    event = "amplified" if row["mode"] == "amp" else "present"
    counts = (row["n_eval"], row["tp"], row["fp"], row["fn"], row["tn"])
    return (row["gene"], event, *(_metric(row[name]) for name in names), *counts)


def _metric(metric: dict[str, Any]) -> str:
    if metric["value"] is None:
        return "N/A"
    interval = "" if metric["low"] is None else f" [{metric['low']:.2f}, {metric['high']:.2f}]"
    return f"{metric['value']:.2f}{interval}"


def _median(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if known.size else float("nan")
