"""Gene calls against the ground truth: the evaluation module ``04_kpsc_evaluation``.

Definitions, with references, stand in docs/methods/evaluation.md. A metric that does not exist is ``None``
with its reason, never 0.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import pandas as pd

from copyfold.cnv.families import (
    EVENT_FROM,
    FamilyCalls,
    Mode,
    RatioPercentiles,
    calls_by_family,
    ratio_percentiles,
)
from copyfold.cnv.segment_summary import SegmentSummary
from copyfold.cnv.truth import ASSEMBLY_NOTE, GroundTruth

METRICS_FORMAT = "copyfold-metrics/1"
BOOTSTRAP_REPLICATES = 200
_BOOTSTRAP_SEED = 42
_Z95 = 1.959963984540054

NO_TRUTH = "no ground truth given"
NO_POSITIVES = "no positives in the truth"
NO_NEGATIVES = "no negatives in the truth"
NO_PREDICTED_POSITIVES = "no predicted positives"
NO_PREDICTED_NEGATIVES = "no predicted negatives"
PRESENCE_ONLY = "the truth is AMRFinder+ presence (0/1), which does not say how many copies there are"


@dataclass(frozen=True)
class Metric:
    """A number with its 95 % interval where there is one; or None and the reason why there is no number."""

    value: float | None
    low: float | None = None
    high: float | None = None
    reason: str | None = None


@dataclass(frozen=True)
class GeneMetrics:
    """Agreement of calls with the truth for one gene family; `precision` is `ppv` under its other name."""

    gene: str
    mode: Mode
    mcc: Metric
    fnr: Metric
    ppv: Metric
    precision: Metric
    recall: Metric
    call_rate: Metric
    n_eval: int
    tp: int
    fp: int
    fn: int
    tn: int


@dataclass(frozen=True)
class Missingness:
    """Samples left out of one gene's metrics, in all and by reason; `truth_reason` concerns all of them."""

    gene: str
    mode: Mode
    n_samples: int
    n_without_call: int
    n_uncallable: int
    n_no_entry: int
    n_without_truth: int
    n_not_in_truth: int
    n_truth_unknown: int
    truth_reason: str | None


@dataclass(frozen=True)
class LineageMetrics:
    """Metrics within one sequence type, for the genes with enough evaluated samples there."""

    st: str
    n_samples: int
    genes: tuple[GeneMetrics, ...]


@dataclass(frozen=True)
class Evaluation:
    """Everything that evaluation.txt prints and metrics.json holds; `n_in_truth` is None without a truth."""

    module: str
    n_samples: int
    n_in_truth: int | None
    truth_sources: dict[str, str]
    truth_not_called: tuple[str, ...]
    overall: tuple[GeneMetrics, ...]
    missingness: tuple[Missingness, ...]
    percentiles: tuple[RatioPercentiles, ...]
    by_st_min_n: int
    by_st: tuple[LineageMetrics, ...]
    by_st_reason: str | None
    segments: SegmentSummary | None
    segments_reason: str | None
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """The evaluation as JSON-ready values, in the layout of docs/formats/evaluation.md; no NaN."""
        return {"format": METRICS_FORMAT, **json.loads(json.dumps(asdict(self), allow_nan=False))}


class EvaluationConfig(Protocol):
    """The configuration keys that the evaluation reads."""

    @property
    def eval_min_group_n(self) -> int: ...


class KpscEvaluation:
    """*K. pneumoniae* species complex: amplification of chromosomal genes, presence of plasmid genes.

    Parameters
    ----------
    config : EvaluationConfig
        `eval_min_group_n`: evaluated samples that a sequence type needs for a row of its own.
    """

    name: ClassVar[str] = "04_kpsc_evaluation"

    def __init__(self, config: EvaluationConfig) -> None:
        self._min_group_n = config.eval_min_group_n

    def evaluate(
        self,
        gene_calls: pd.DataFrame,
        plasmid_calls: pd.DataFrame | None,
        truth: GroundTruth | None,
        segments_summary: SegmentSummary | None,
    ) -> Evaluation:
        """Compare calls with the truth.

        Parameters
        ----------
        gene_calls : pandas.DataFrame
            sample_id, ``<gene>`` (cn), ``crr_<gene>``; mode "amp": an event is 2 or more copies.
        plasmid_calls : pandas.DataFrame, optional
            sample_id, ``<gene>`` (cn), ``pcn_<gene>``; mode "presence": an event is 1 or more copies.
        truth : GroundTruth, optional
        segments_summary : SegmentSummary, optional
            From `segment_summary.summarise_segments`.

        Raises
        ------
        InputError
            A call table breaks its format, or no called sample is in the truth.
        """
        called = calls_by_family(gene_calls, "amp")
        sample_ids = gene_calls["sample_id"].astype(str)
        if plasmid_calls is not None:
            called += calls_by_family(plasmid_calls, "presence")
            sample_ids = pd.concat([sample_ids, plasmid_calls["sample_id"].astype(str)]).drop_duplicates()
        if truth is not None:
            truth.check_shared(sample_ids)
        judged = [_Judged(calls, *_truth_of(truth, calls)) for calls in called]
        by_st, by_st_reason = self._by_st(judged, sample_ids, truth)
        sources: dict[str, str] = {} if truth is None else {**truth.sources}
        families = {calls.family for calls in called}
        chromosomal = [calls.family for calls in called if calls.mode == "amp"]
        from_assemblies = [gene for gene in chromosomal if sources.get(gene) == "kleborate"]
        return Evaluation(
            module=self.name,
            n_samples=len(sample_ids),
            n_in_truth=None if truth is None else int(sample_ids.isin(truth.table.index).sum()),
            truth_sources=sources,
            truth_not_called=tuple(gene for gene in sources if gene not in families),
            overall=tuple(item.score() for item in judged),
            missingness=tuple(_missingness(item, truth) for item in judged),
            percentiles=tuple(row for calls in called for row in ratio_percentiles(calls)),
            by_st_min_n=self._min_group_n,
            by_st=by_st,
            by_st_reason=by_st_reason,
            segments=segments_summary,
            segments_reason="no segments given" if segments_summary is None else None,
            notes=tuple(ASSEMBLY_NOTE.format(gene=gene) for gene in from_assemblies),
        )

    def _by_st(
        self, judged: list[_Judged], sample_ids: pd.Series, truth: GroundTruth | None
    ) -> tuple[tuple[LineageMetrics, ...], str | None]:
        if truth is None:
            return (), NO_TRUTH
        sizes = truth.lineages.reindex(sample_ids).value_counts()
        if sizes.empty:
            return (), "no sequence types given for the called samples"
        rows: dict[str, list[GeneMetrics]] = {}
        for item in judged:
            lineages = pd.Series(truth.lineages.reindex(item.calls.sample_ids).to_numpy(dtype=object))
            for st, members in lineages.groupby(lineages).indices.items():
                if len(members) >= self._min_group_n:
                    metrics = item.score(members)
                    if metrics.n_eval >= self._min_group_n:
                        rows.setdefault(st, []).append(metrics)
        ordered = sorted(rows, key=lambda st: (-sizes[st], st))
        groups = tuple(LineageMetrics(st, int(sizes[st]), tuple(rows[st])) for st in ordered)
        return groups, None if groups else f"no sequence type has {self._min_group_n} evaluated samples"


@dataclass(frozen=True, eq=False)
class _Judged:
    """Calls of one family beside their truth; `why_not` says why the two cannot be compared."""

    calls: FamilyCalls
    truth: np.ndarray
    why_not: str | None

    def score(self, members: np.ndarray | slice = slice(None)) -> GeneMetrics:
        calls = self.calls
        return score(calls.family, calls.mode, calls.cn[members], self.truth[members], self.why_not)


def score(gene: str, mode: Mode, cn: np.ndarray, truth: np.ndarray, why_not: str | None = None) -> GeneMetrics:
    """Metrics of one gene.

    Parameters
    ----------
    gene : str
    mode : {"amp", "presence"}
        Event from 2 copies or from 1, in the truth and in the calls.
    cn : numpy.ndarray, (n_samples,), int
        Calls; −1 leaves the sample out of every metric but the call rate.
    truth : numpy.ndarray, (n_samples,), float
        Counts; NaN where unknown.
    why_not : str, optional
        Why this truth cannot be compared with these calls; no sample is evaluated then.
    """
    known, callable_ = ~np.isnan(truth), cn >= 0
    call_rate = _proportion(int((known & callable_).sum()), int(known.sum()), why_not or "no sample with a truth value")
    evaluated = known & callable_ & (why_not is None)
    event, predicted = truth[evaluated] >= EVENT_FROM[mode], cn[evaluated] >= EVENT_FROM[mode]
    tp, fp = int((event & predicted).sum()), int((~event & predicted).sum())
    fn, tn = int((event & ~predicted).sum()), int((~event & ~predicted).sum())
    n_eval = tp + fp + fn + tn
    if n_eval:
        mcc = matthews(tp, fp, fn, tn)
        fnr, recall = (_proportion(part, tp + fn, NO_POSITIVES) for part in (fn, tp))
        ppv = _proportion(tp, tp + fp, NO_PREDICTED_POSITIVES)
    else:
        mcc = fnr = recall = ppv = Metric(None, reason=why_not or "no sample with both a call and a truth value")
    return GeneMetrics(gene, mode, mcc, fnr, ppv, ppv, recall, call_rate, n_eval, tp, fp, fn, tn)


def matthews(tp: int, fp: int, fn: int, tn: int) -> Metric:
    """Matthews correlation coefficient (Matthews 1975, doi:10.1016/0005-2795(75)90109-9).

    It does not exist where truth or calls are all of one kind. The interval holds the middle 95 % of
    bootstrap replicates of the samples (drawn as tables, which is the same) in which it exists; there is none
    when it exists in fewer than half of them.
    """
    totals = {NO_POSITIVES: tp + fn, NO_NEGATIVES: fp + tn}
    totals |= {NO_PREDICTED_POSITIVES: tp + fp, NO_PREDICTED_NEGATIVES: fn + tn}
    if 0 in totals.values():
        return Metric(None, reason=next(reason for reason, total in totals.items() if total == 0))
    table = np.array([tp, fp, fn, tn], dtype=np.float64)
    n, rng = tp + fp + fn + tn, np.random.default_rng(_BOOTSTRAP_SEED)
    replicates = _matthews_values(rng.multinomial(n, table / n, BOOTSTRAP_REPLICATES).astype(np.float64))
    replicates = replicates[~np.isnan(replicates)]
    value = float(_matthews_values(table[None])[0])
    if 2 * replicates.size < BOOTSTRAP_REPLICATES:
        return Metric(value)
    low, high = np.percentile(replicates, [2.5, 97.5])
    return Metric(value, float(low), float(high))


def _matthews_values(tables: np.ndarray) -> np.ndarray:
    """MCC of each row (tp, fp, fn, tn); NaN where it does not exist."""
    tp, fp, fn, tn = tables.T
    product = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    return np.divide(tp * tn - fp * fn, np.sqrt(product), out=np.full(len(tables), np.nan), where=product > 0)


def wilson_interval(successes: int, trials: int) -> tuple[float, float]:
    """95 % score interval of a proportion (Wilson 1927, doi:10.1080/01621459.1927.10502953); `trials` ≥ 1."""
    share, z2 = successes / trials, _Z95**2
    centre = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    half = _Z95 / (1 + z2 / trials) * math.sqrt(share * (1 - share) / trials + z2 / (4 * trials**2))
    return 0.0 if successes == 0 else centre - half, 1.0 if successes == trials else centre + half


def _proportion(successes: int, trials: int, reason: str) -> Metric:
    if trials == 0:
        return Metric(None, reason=reason)
    return Metric(successes / trials, *wilson_interval(successes, trials))


def _truth_of(truth: GroundTruth | None, calls: FamilyCalls) -> tuple[np.ndarray, str | None]:
    """Truth counts of the called samples (NaN unknown), and why they cannot be used, if so."""
    if truth is None or calls.family not in truth.table.columns:
        why = NO_TRUTH if truth is None else "the ground truth has no column for it"
        return np.full(len(calls.sample_ids), np.nan), why
    useless = calls.mode == "amp" and truth.is_presence_only(calls.family)
    return truth.counts(calls.family, calls.sample_ids), PRESENCE_ONLY if useless else None


def _missingness(item: _Judged, truth: GroundTruth | None) -> Missingness:
    calls, truth_ids = item.calls, pd.Index([]) if truth is None else truth.table.index
    listed = pd.Index(calls.sample_ids).isin(truth_ids)
    return Missingness(
        gene=calls.family,
        mode=calls.mode,
        n_samples=len(calls.cn),
        n_without_call=int((calls.cn == -1).sum()),
        n_uncallable=int(((calls.cn == -1) & ~calls.no_entry).sum()),
        n_no_entry=int(calls.no_entry.sum()),
        n_without_truth=int(np.isnan(item.truth).sum()),
        n_not_in_truth=int((~listed).sum()),
        n_truth_unknown=int((listed & np.isnan(item.truth)).sum()),
        truth_reason=item.why_not,
    )
