"""What may be wrong with a copy-number run, and what to do: one function per rule. docs/howto/report.md lists them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from copyfold.cnv.config import SMALL_COHORT
from copyfold.report.cnv.results import CnvResults, GeneResult
from copyfold.report.page import Finding

LOW_MEDIAN = 30.0
"""Reads per bin. By counting alone a bin of 30 reads scatters by 1/√30 = 18 %, and states half a copy apart are 2.7 of
these standard deviations apart; below, single bins change state by chance."""
NOISE_OVER_COHORT = 2.0
UNCALLABLE_SHARE = 0.05
BORDERLINE = 0.10
UNSURE_QUALITY = 13.0
LINEAGE_LEAST = 5
LINEAGE_MOSTLY = 0.8
COHORT_MOSTLY = 0.5
RAISED_LEVEL = 1.4
ABSENT_MOSTLY = 0.95
SEGMENTS_OVER_COHORT = 5.0
OFTEN_GAINED = 0.25
OFTEN_GAINED_SHARE = 0.005
POOR_PPV, POOR_RECALL = 0.9, 0.9
_ORDER = ("problem", "caution", "note")


def find_problems(results: CnvResults) -> tuple[Finding, ...]:
    """Every finding about a run, the gravest first."""
    rules = (
        unfinished,
        unread,
        small_cohort,
        without_depth,
        low_depth,
        noisy,
        many_segments,
        frequent_gains,
        training_not_ended,
        uncallable,
        raised_baseline,
        absent_everywhere,
        lineage_bound,
        mixed,
        borderline,
        disagrees_with_truth,
    )
    found = [finding for rule in rules for finding in rule(results)]
    return tuple(sorted(found, key=lambda finding: _ORDER.index(finding.level)))


def unfinished(results: CnvResults) -> Iterator[Finding]:
    """Stages that are not done or out of date."""
    stages = results.record.get("stages", {})
    later = [name for name in ("train", "infer", "segment", "call") if stages.get(name, {}).get("status") != "done"]
    if later:
        what = f"Stage {', '.join(later)} is not done or out of date, so this page may show older results."
        yield Finding("problem", "The run is not finished", what, f"`copyfold cnv {later[0]} RUN`, then report again.")


def unread(results: CnvResults) -> Iterator[Finding]:
    """Parts of the run that the report had to do without."""
    for sentence in results.unread:
        yield Finding("caution", "Part of the run could not be read", sentence, "Restore it and make the report again.")


def small_cohort(results: CnvResults) -> Iterator[Finding]:
    """A VAE that had no cohort to learn from."""
    n = int(results.has_depth.sum())
    trained_here = "trained_in" not in results.record
    if trained_here and n < SMALL_COHORT and results.config["architecture"] not in ("pca_baseline", "10_count_model"):
        what = (
            f"{n} isolates with usable depth; below {SMALL_COHORT} a VAE learns the isolates themselves, and what is "
            "amplified in them becomes what it expects."
        )
        advice = "Train again in another folder with --set architecture=pca_baseline, or add isolates."
        yield Finding("problem", f"Too few isolates for {results.config['architecture']}", what, advice)


def without_depth(results: CnvResults) -> Iterator[Finding]:
    """Isolates that were not called at all."""
    bad = ~results.has_depth
    if bad.any():
        what = f"{_share(bad)} have a median below one read per bin, took no part in training and are called −1."
        advice = "Check that the reads are there and of this species (qc.json of `copyfold cnv count`); sequence again."
        level = "problem" if bad.mean() > UNCALLABLE_SHARE else "caution"
        yield Finding(level, "Isolates without usable depth", what, advice, _names(results, bad))


def low_depth(results: CnvResults) -> Iterator[Finding]:
    """Isolates in which counting noise alone makes calls unsure."""
    low = results.has_depth & (results.medians < LOW_MEDIAN)
    if low.any():
        what = (
            f"{_share(low)} have a median below {LOW_MEDIAN:g} reads per bin; counting noise alone is then more than "
            f"{1 / np.sqrt(LOW_MEDIAN):.0%} per bin."
        )
        advice = "Take single amplified genes there as hints; sequence deeper, or count in longer bins."
        yield Finding("caution", "Shallow isolates", what, advice, _names(results, low))


def noisy(results: CnvResults) -> Iterator[Finding]:
    """Isolates whose copy ratios scatter far more than their depth explains."""
    if results.noise is None or not results.has_depth.any():
        return
    counting = 1.0 / np.sqrt(np.maximum(results.medians, 1.0))
    excess = np.sqrt(np.maximum(results.noise**2 - counting**2, 0.0))
    usable = results.has_depth & np.isfinite(results.noise)
    typical = float(np.median(excess[usable])) if usable.any() else 0.0
    bad = usable & (excess > NOISE_OVER_COHORT * max(typical, 0.05))
    if bad.any():
        what = (
            f"{_share(bad)} scatter more from bin to bin than their depth explains (beyond counting: over "
            f"{NOISE_OVER_COHORT * max(typical, 0.05):.2f} of a copy; median of the cohort {typical:.2f})."
        )
        advice = (
            "Look at their tracks below. Usual causes: library preparation with strong GC bias, a contaminating "
            "strain, or a lineage far from the reference. Leave them out of training if they are many."
        )
        yield Finding("caution", "Noisy isolates", what, advice, _names(results, bad))


def many_segments(results: CnvResults) -> Iterator[Finding]:
    """Isolates that were cut to pieces."""
    if results.segments is None:
        return
    counts = results.segments.per_sample
    typical = float(np.median(counts[results.has_depth])) if results.has_depth.any() else 0.0
    bad = results.has_depth & (counts > SEGMENTS_OVER_COHORT * max(typical, 10.0))
    if bad.any():
        what = f"{_share(bad)} have more than {SEGMENTS_OVER_COHORT:g} times the cohort's typical {typical:g} segments."
        advice = "Their gains and losses are noise for the most part; see them as uncallable outside the gene panel."
        yield Finding("caution", "Isolates in too many segments", what, advice, _names(results, bad))


def frequent_gains(results: CnvResults) -> Iterator[Finding]:
    """Stretches that are gained in so many isolates that it is the model which is wrong there."""
    if results.segments is None or not results.n_samples:
        return
    often = results.segments.gains / results.n_samples > OFTEN_GAINED
    if often.mean() > OFTEN_GAINED_SHARE:
        what = (
            f"{often.mean():.1%} of the bins are called gained in more than {OFTEN_GAINED:.0%} of the isolates. "
            "So common a gain is a model that expects too little: parts that lineages lack, or repeats."
        )
        advice = (
            "Do not report gains there (see “Along the genome”). The gene panel is not concerned unless a gene lies in "
            "such a stretch; docs/methods/copy-number.md says which rule of the documents' design makes them."
        )
        yield Finding("caution", "Gains in much of the cohort", what, advice)


def training_not_ended(results: CnvResults) -> Iterator[Finding]:
    """A training that was stopped by the number of epochs, still improving."""
    facts = results.record.get("stages", {}).get("train", {})
    best, run = facts.get("best_epoch"), facts.get("epochs_run")
    log = results.training_log
    if not best or not run or log is None or "val_reconstruction" not in log.columns:
        return
    epochs, patience = int(results.config["epochs"]), int(results.config["patience"])
    warm = max(int(results.config["warmup_epochs"]), int(results.config.get("cnv_pattern_warmup", 0)))
    if run >= epochs and epochs <= warm:
        what = f"{epochs} epochs end before the warm-ups do ({warm}), so no epoch could be judged best."
        yield Finding("problem", "Training shorter than its warm-up", what, "Train again with more epochs (150).")
    elif run >= epochs and best > epochs - max(2, patience // 4):
        what = f"The best epoch was {best} of {epochs}: the model was still improving when it was stopped."
        yield Finding("caution", "Training stopped early", what, "Train again in another folder with more epochs.")


def uncallable(results: CnvResults) -> Iterator[Finding]:
    """Genes without a call in many isolates."""
    for gene in results.genes:
        bad = results.has_depth & ~gene.called
        if bad.mean() > UNCALLABLE_SHARE:
            what = f"{_share(bad)} with depth have no call."
            advice = (
                "On the chromosome: less than cnv_min_cn1_proportion of it lies in confident CN=1 segments, so look at "
                "the tracks for noise or another species. On plasmids: they are missing from the plasmid store."
            )
            yield Finding("caution", f"{gene.name}: many isolates cannot be called", what, advice, _names(results, bad))


def raised_baseline(results: CnvResults) -> Iterator[Finding]:
    """A chromosomal gene of which most of the cohort carries more than one copy: the cohort is its own baseline."""
    for gene in results.chromosomal:
        share = gene.amplified[gene.called].mean() if gene.called.any() else 0.0
        if share <= COHORT_MOSTLY and not gene.raw_level >= RAISED_LEVEL:
            continue
        seen = [f"{share:.0%} of the called isolates are amplified"]
        if np.isfinite(gene.raw_level):
            seen.append(f"before any model, the typical isolate has {gene.raw_level:.2f} times its chromosome's depth")
        what = (
            f"{'; '.join(seen)}. Depth is compared with what is typical of the cohort, so where most isolates carry "
            "extra copies, CRR is too low by that factor and amplifications are missed."
        )
        advice = (
            "Train on a cohort in which most isolates carry one copy and call these with `copyfold cnv call RUN "
            "--store`, or read the ratio of raw depths. A repeat on the reference looks the same: check mappability."
        )
        yield Finding("problem", f"{gene.name}: the cohort may not be a baseline of one copy", what, advice)


def absent_everywhere(results: CnvResults) -> Iterator[Finding]:
    """A chromosomal gene that hardly any isolate seems to have."""
    for gene in results.chromosomal:
        share = (gene.cn[gene.called] == 0).mean() if gene.called.any() else 0.0
        if share > ABSENT_MOSTLY:
            what = f"{share:.0%} of the called isolates are called absent."
            advice = (
                "Check its place on the reference (`gene_coords_path`), and whether reads map there at all: in a "
                "repeat none do at MAPQ 20. `bins_path` tells the count model which bins are mappable."
            )
            yield Finding("problem", f"{gene.name}: absent in nearly every isolate", what, advice)


def lineage_bound(results: CnvResults) -> Iterator[Finding]:
    """Amplifications that belong to a lineage as a whole."""
    for gene in results.chromosomal:
        if not gene.called.any() or gene.amplified[gene.called].mean() > COHORT_MOSTLY:
            continue
        bound = []
        for lineage in results.largest_lineages(results.n_samples):
            members = (results.lineages == lineage) & gene.called
            if members.sum() >= LINEAGE_LEAST and gene.amplified[members].mean() >= LINEAGE_MOSTLY:
                bound.append(f"{lineage} ({int(gene.amplified[members].sum())} of {int(members.sum())})")
        if bound:
            number = "1 lineage" if len(bound) == 1 else f"{len(bound)} lineages"
            what = f"At least {LINEAGE_MOSTLY:.0%} of the isolates of {number} are called amplified."
            advice = (
                "It may be inherited, or a second locus that all of them have (another gene of the family, a plasmid "
                "copy) whose reads map here. Compare with an assembly before you report an amplification."
            )
            yield Finding("caution", f"{gene.name}: amplified in whole lineages", what, advice, tuple(bound))


def mixed(results: CnvResults) -> Iterator[Finding]:
    """Cultures of which only a part has more copies, where the caller tells."""
    for gene in results.genes:
        chosen = gene.called & (gene.details.get("mixed", np.zeros(len(gene.cn))) == 1)
        if chosen.any():
            what = f"{_share(chosen)} have a ratio between one copy and two: part of the cells carry more."
            advice = "Report the ratio, not a whole number; sequence a single colony if it matters."
            yield Finding("note", f"{gene.name}: mixed populations", what, advice, _names(results, chosen))


def borderline(results: CnvResults) -> Iterator[Finding]:
    """Calls of which the caller is not sure, or ratios so near the threshold that another run might say otherwise."""
    for gene in results.chromosomal:
        near = is_borderline(gene)
        if near.any() and "quality" in gene.details:
            what = f"{_share(near)} have a call of quality below {UNSURE_QUALITY:g} (over 5 % that its class is wrong)."
            advice = "Report the ratio and its interval beside the call."
            yield Finding("note", f"{gene.name}: unsure calls", what, advice, _names(results, near))
        elif near.any():
            what = f"{_share(near)} have a CRR within {BORDERLINE:.0%} of the threshold, {gene.threshold:g}."
            advice = "These may be mixed populations or unsure calls: report the ratio beside the call."
            yield Finding("note", f"{gene.name}: calls near the threshold", what, advice, _names(results, near))


def disagrees_with_truth(results: CnvResults) -> Iterator[Finding]:
    """Genes whose calls agree poorly with the ground truth."""
    for row in (results.metrics or {}).get("overall", ()):
        ppv, recall = row["ppv"]["value"], row["recall"]["value"]
        low_ppv, low_recall = ppv is not None and ppv < POOR_PPV, recall is not None and recall < POOR_RECALL
        if row["tp"] + row["fn"] < LINEAGE_LEAST or not (low_ppv or low_recall):
            continue
        event = "amplified" if row["mode"] == "amp" else "present"
        what = f"Called {event} and not so in the truth: {row['fp']}; missed: {row['fn']}; agreed: {row['tp']}."
        advice = (
            "A truth from assemblies counts identical tandem copies once, so look at the tracks of some isolates "
            "first; then move the gene's threshold."
        )
        yield Finding("caution", f"{row['gene']}: calls and truth disagree", what, advice)


def _share(chosen: np.ndarray) -> str:
    number, of = int(chosen.sum()), len(chosen)
    return f"{number:,} of {of:,} isolates ({number / of:.1%})"


def _names(results: CnvResults, chosen: np.ndarray) -> tuple[str, ...]:
    return tuple(results.sample_ids[chosen].tolist())


def is_borderline(gene: GeneResult) -> np.ndarray:
    """Isolates whose call is unsure: quality below `UNSURE_QUALITY`, or without one a ratio within `BORDERLINE` of the
    gene's threshold. (n_samples,), bool."""
    if "quality" in gene.details:
        return gene.called & (gene.details["quality"].astype(np.float64) < UNSURE_QUALITY)
    return gene.called & (np.abs(gene.ratio / gene.threshold - 1.0) <= BORDERLINE)
