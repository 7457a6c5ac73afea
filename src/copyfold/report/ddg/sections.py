"""The sections of a stability run's report, each left out where the run has nothing for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from copyfold.ddg.evaluation import per_protein
from copyfold.report.curves import learning_curves
from copyfold.report.ddg import plots
from copyfold.report.ddg.results import PARTS, DdgResults
from copyfold.report.ddg.rules import find_problems
from copyfold.report.page import BigTable, Column, Figure, Findings, Page, Section, Table, Tiles
from copyfold.report.projection import principal_axes
from copyfold.report.run_facts import run_facts

MOST_ROWS = 20_000
_TERMS = ("ddg", "reconstruction", "kl", "spearman")


def ddg_page(results: DdgResults) -> Page:
    """The whole report of a specialist or refiner."""
    record = results.record
    facts = [str(record.get("kind", "")), str(record.get("variant") or record.get("refiner") or "")]
    facts += [results.target, f"status {record.get('status')}", f"finished {record.get('finished', 'not yet')}"]
    if record.get("simulated"):
        facts.insert(0, "SIMULATED DATA")
    footer = (
        f"Made by copyfold {record.get('copyfold', '')} from {results.name}. Target: {results.target}. Validation rows "
        "chose the epoch; test rows chose nothing."
    )
    return Page(
        f"Stability: {results.name}", " · ".join(fact for fact in facts if fact), (*_sections(results),), footer
    )


def _sections(results: DdgResults) -> Iterator[Section]:
    yield summary(results)
    fine = "None of the rules found anything (docs/howto/report.md lists them). That is no proof that all is well."
    yield Section("quality", "What looks wrong, and what to do", (Findings(find_problems(results), fine),))
    yield agreement(results)
    if len(results.others) > 1:
        yield leaderboard(results)
    if results.history is not None and len(results.history):
        yield training(results)
    if results.latents is not None and len(results.latents) > 2:
        yield latent(results)
    if results.attention is not None:
        yield attention(results.attention)
    yield predictions(results)
    yield run_facts(results.record)


def summary(results: DdgResults) -> Section:
    """Rows, proteins and agreement in a few numbers."""
    rows = results.predictions
    tiles = [(f"{len(rows):,}", "mutations", f"{rows['protein'].nunique():,} proteins")]
    tiles.append((f"{rows['cluster'].nunique():,}", "groups kept together", "in one part of the split"))
    metrics = results.metrics or {}
    for part in ("validation", "test"):
        found = metrics.get(part)
        if found:
            note = f"n = {found['n']:,}" + (_interval(found["spearman"]) if part == "test" else ", chose the epoch")
            tiles.append((_number(found["spearman"]), f"Spearman, {part}", note))
    facts = results.record.get("stages", {}).get("train", {})
    if facts.get("best_epoch"):
        tiles.append((str(facts["best_epoch"]), "best epoch", f"of {facts.get('epochs_run')}"))
    return Section("summary", "Summary", (Tiles(tuple(tiles)),))


def agreement(results: DdgResults) -> Section:
    """Measured against predicted, metrics, and proteins one by one."""
    drawing, _ = plots.measured_against_predicted(results)
    caption = (
        "Every mutation a dot. Thick line: median of what was measured, by prediction; thin lines: where 90 % of it "
        "lies. Values beyond the axes are drawn at their edge."
    )
    header = ("part", "n", "Spearman", "Pearson", "RMSE", "MAE", "sign right")
    names = ("spearman", "pearson", "rmse", "mae", "sign_accuracy")
    metrics = results.metrics or {}
    rows = tuple(
        (
            part,
            metrics[part]["n"],
            *(f"{_number(metrics[part][name])}{_interval(metrics[part][name])}" for name in names),
        )
        for part in PARTS
        if part in metrics
    )
    blocks: list[Any] = [Figure(drawing, caption)]
    if rows:
        blocks.append(Table("Agreement; 95 % intervals over clusters of proteins in brackets", header, rows))
    blocks += _by_protein(results)
    return Section("agreement", "Measured against predicted", tuple(blocks))


def _by_protein(results: DdgResults) -> list[Any]:
    part = "test" if len(results.part("test")) else "validation"
    rows = results.part(part)
    if not len(rows):
        return []
    proteins = rows["protein"].astype(str).to_numpy()
    found = per_protein(rows["target"].to_numpy(np.float64), rows["predicted"].to_numpy(np.float64), proteins)
    if not found.proteins:
        return []
    header = ("protein", "n", "Spearman", "Pearson", "RMSE")
    each = sorted(found.proteins.items(), key=lambda item: -item[1].n)
    lines = tuple((name, one.n, one.spearman, one.pearson, one.rmse) for name, one in each)
    left_out = f"; {found.n_left_out} with fewer left out" if found.n_left_out else ""
    caption = f"{part.capitalize()} proteins with at least {found.fewest} mutations{left_out}"
    return [Table(caption, header, lines, folded=True)]


def leaderboard(results: DdgResults) -> Section:
    """The runs in the same folder, by agreement on the test rows."""
    rows = []
    for run in results.others:
        test, chosen = (run.metrics.get(part) or {} for part in ("test", "validation"))
        spearman = test.get("spearman", {"value": None})
        rows.append(
            (
                run.name + (" (this run)" if run.name == results.name.rsplit("/", 1)[-1] else ""),
                f"{_number(spearman)}{_interval(spearman)}",
                test.get("n", 0),
                _number(chosen.get("spearman")),
                chosen.get("n", 0),
                "simulated" if run.metrics.get("simulated") else str(run.metrics.get("target", "")).partition(",")[0],
            )
        )
    rows.sort(key=lambda row: row[1], reverse=True)
    header = ("run", "Spearman, test", "n test", "Spearman, validation", "n validation", "target")
    intro = "Runs of one folder. They compare where their rows are the same; validation rows chose the epoch."
    return Section("leaderboard", "Beside other runs", (Table("By test Spearman", header, tuple(rows)),), intro)


def training(results: DdgResults) -> Section:
    """Learning curves."""
    assert results.history is not None
    best = results.record.get("stages", {}).get("train", {}).get("best_epoch")
    drawing = learning_curves(results.history, best, _TERMS)
    caption = f"Best epoch {best} (dashed)." if best else "Loss terms by epoch."
    return Section("training", "Training", (Figure(drawing, caption),))


def latent(results: DdgResults) -> Section:
    """The map of the latent."""
    assert results.latents is not None
    scores, share = principal_axes(results.latents)
    caption = "Mutations on the first two principal axes of the latent's means, the same map three times."
    return Section("latent", "What the model learned", (Figure(plots.latent_map(results, scores, share), caption),))


def attention(weights: pd.DataFrame) -> Section:
    """What a transformer's readout attends to, by latent dimension; of a fusion, which model reads which."""
    if "dimension" in weights.columns:
        caption = "What the transformer's readout attends to, mean over the validation rows."
        return Section("attention", "Attention", (Figure(plots.attention_bars(weights), caption),))
    rows = tuple(tuple(row) for row in weights.itertuples(index=False))
    caption = "Mean attention over the validation rows: each line reads the models of the columns"
    return Section("attention", "Attention", (Table(caption, tuple(map(str, weights.columns)), rows),))


def predictions(results: DdgResults) -> Section:
    """The mutations that did not train the model, and as many others as a page holds."""
    order = pd.Categorical(results.predictions["split"], categories=["test", "validation", "train", "unused"])
    rows = results.predictions.iloc[np.argsort(order.codes, kind="stable")].head(MOST_ROWS)
    columns = [
        Column(name, rows[name].astype(str).tolist(), choose=name == "protein") for name in ("protein", "mutation")
    ]
    columns.append(Column("part", rows["split"].tolist(), choose=True))
    error = rows["predicted"] - rows["target"]
    for name, values in (("measured", rows["target"]), ("predicted", rows["predicted"]), ("error", error)):
        columns.append(Column(name, values.to_numpy(np.float64)))
    if "sigma" in rows.columns:
        columns.append(Column("sigma", rows["sigma"].to_numpy(np.float64)))
    intro = f"{results.target}. Sort by error to see what the model gets wrong."
    if len(rows) < len(results.predictions):
        intro += f" {len(rows):,} of {len(results.predictions):,} rows, test first; all: predictions.csv."
    stem = results.name.rsplit("/", 1)[-1]
    table = BigTable("predictions", "Measured and predicted", tuple(columns), f"{stem}.predictions.tsv")
    return Section("predictions", "Mutations", (table,), intro)


def _number(metric: Mapping[str, Any] | float | None) -> str:
    value = metric.get("value") if isinstance(metric, Mapping) else metric
    return "N/A" if value is None else f"{value:.2f}"


def _interval(metric: Mapping[str, Any] | float | None) -> str:
    if not isinstance(metric, Mapping) or metric.get("low") is None:
        return ""
    return f" [{metric['low']:.2f}, {metric['high']:.2f}]"
