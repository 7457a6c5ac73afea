"""What may be wrong with a training of stability, and what to do. docs/howto/report.md lists the rules."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from copyfold.report.ddg.results import DdgResults
from copyfold.report.page import Finding

FEW_CLUSTERS = 10
FEW_ROWS = 30
DROP = 0.2
NARROW = 0.3
_ORDER = ("problem", "caution", "note")


def find_problems(results: DdgResults) -> tuple[Finding, ...]:
    """Every finding about a run, the gravest first."""
    rules = (
        unfinished,
        unread,
        simulated,
        same_proteins,
        no_test,
        few_tested,
        wrong_way,
        weaker_unseen,
        still_improving,
    )
    found = [finding for rule in (*rules, timid) for finding in rule(results)]
    return tuple(sorted(found, key=lambda finding: _ORDER.index(finding.level)))


def unfinished(results: DdgResults) -> Iterator[Finding]:
    """A run that did not end."""
    if results.record.get("stages", {}).get("train", {}).get("status") != "done":
        what = "Its numbers are those of an earlier training, or of part of one."
        yield Finding("problem", "The training is not finished", what, "The same command with --resume goes on.")


def unread(results: DdgResults) -> Iterator[Finding]:
    """Parts of the run that the report had to do without."""
    for sentence in results.unread:
        yield Finding("caution", "Part of the run could not be read", sentence, "Restore it and make the report again.")


def simulated(results: DdgResults) -> Iterator[Finding]:
    """Numbers that say nothing of proteins."""
    if results.record.get("simulated"):
        what = "The data are SIMULATED, made by a stated law: these numbers say nothing of real proteins."
        yield Finding("problem", "Simulated data", what, "Train on measured data: --data TABLE.")


def same_proteins(results: DdgResults) -> Iterator[Finding]:
    """Proteins of the validation or test rows that the model was trained on."""
    trained = set(results.part("train")["protein"])
    for name in ("validation", "test"):
        rows = results.part(name)
        known = rows["protein"].isin(trained)
        if len(rows) and known.mean() > 0:
            what = (
                f"{int(known.sum())} of {len(rows)} {name} mutations ({known.mean():.0%}) are of proteins that other "
                "mutations of trained the model. Agreement there is not what an unseen protein would get."
            )
            yield Finding(
                "caution", f"Proteins on both sides of the {name} split", what, "Train with --set split=cluster."
            )


def no_test(results: DdgResults) -> Iterator[Finding]:
    """Only rows that chose the epoch."""
    if not len(results.part("test")):
        what = "There are no test rows; the validation rows chose the epoch, so agreement on them flatters the model."
        yield Finding("caution", "No test rows", what, "Train with --set test_fraction=0.1, or score it on other data.")


def few_tested(results: DdgResults) -> Iterator[Finding]:
    """Intervals over a handful of proteins."""
    rows = results.part("test")
    clusters = rows["cluster"].nunique()
    if len(rows) and (clusters < FEW_CLUSTERS or len(rows) < FEW_ROWS):
        what = f"{len(rows)} test mutations of {clusters} clusters of proteins: the interval itself is unsure."
        yield Finding("caution", "Few test rows", what, "Read the agreement as a hint; take more data or a benchmark.")


def wrong_way(results: DdgResults) -> Iterator[Finding]:
    """A model that orders mutations the wrong way round."""
    for name in ("validation", "test"):
        value = _spearman(results, name)
        if value is not None and value < 0:
            what = (
                f"Spearman on the {name} rows is {value:.2f}: mutations are ordered the wrong way round, or not at all."
            )
            advice = "Check the sign of the data (positive = destabilising); with few rows it may be chance."
            yield Finding("problem", f"Negative correlation ({name})", what, advice)


def weaker_unseen(results: DdgResults) -> Iterator[Finding]:
    """Agreement that is lost between the rows that chose the epoch and the test rows."""
    chosen, unseen = _spearman(results, "validation"), _spearman(results, "test")
    if chosen is not None and unseen is not None and chosen - unseen > DROP:
        what = f"Spearman falls from {chosen:.2f} on the rows that chose the epoch to {unseen:.2f} on the test rows."
        yield Finding("caution", "Weaker on test rows", what, "Report the test value.")


def still_improving(results: DdgResults) -> Iterator[Finding]:
    """A training that was cut off."""
    facts = results.record.get("stages", {}).get("train", {})
    best, ran = facts.get("best_epoch"), facts.get("epochs_run")
    if best and ran and best == ran == results.record["config"].get("epochs"):
        what = f"The best epoch was the last one, {best}: the model was still improving when it was stopped."
        yield Finding("note", "Training stopped early", what, "Train again in another folder with more epochs.")


def timid(results: DdgResults) -> Iterator[Finding]:
    """Predictions much narrower than the measured values."""
    rows = results.part("test") if len(results.part("test")) else results.part("validation")
    if len(rows) < FEW_ROWS:
        return
    spread = rows["predicted"].std() / rows["target"].std() if rows["target"].std() > 0 else np.nan
    if spread < NARROW:
        what = f"Predictions spread {spread:.0%} as widely as the measured values."
        advice = "Use them to rank mutations; as kcal/mol they are too near to the mean."
        yield Finding("note", "Predictions keep to the mean", what, advice)


def _spearman(results: DdgResults, part: str) -> float | None:
    found = (results.metrics or {}).get(part, {}).get("spearman")
    value = found.get("value") if isinstance(found, dict) else found
    return None if value is None else float(value)
