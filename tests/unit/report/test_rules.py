"""Each rule of "what looks wrong": silent on a sound cohort, and right about which isolates when something is."""

from dataclasses import replace

import numpy as np
import pytest

from copyfold.report.cnv.rules import find_problems


def titles(results):
    return [finding.title for finding in find_problems(results)]


def only(results, title):
    """The one finding of that title; there must be no other finding at all."""
    found = find_problems(results)
    assert [finding.title for finding in found] == [title]
    return found[0]


def with_gene(results, **changed):
    return replace(results, genes=(replace(results.genes[0], **changed), *results.genes[1:]))


def with_record(results, **changed):
    return replace(results, record={**results.record, **changed})


def with_trained(results, **facts):
    stages = results.record["stages"]
    return with_record(results, stages={**stages, "train": {**stages["train"], **facts}})


def test_a_sound_cohort_has_no_findings(results):
    assert titles(results) == []


def test_a_stage_that_is_not_done_is_named(results):
    stages = {name: facts for name, facts in results.record["stages"].items() if name != "call"}
    finding = only(with_record(results, stages=stages), "The run is not finished")
    assert "call" in finding.what
    assert "copyfold cnv call" in finding.advice


def test_what_could_not_be_read_is_told_as_it_is(results):
    assert only(replace(results, unread=("x.npy: gone",)), "Part of the run could not be read").what == "x.npy: gone"


def test_few_isolates_are_too_few_for_a_vae_and_not_for_the_baseline_or_for_a_model_trained_elsewhere(results):
    few = replace(results, medians=np.where(np.arange(60) < 49, 100.0, 0.0))
    title = "Too few isolates for 06_conv_vae"
    assert title in titles(few)
    assert title not in titles(replace(few, medians=np.where(np.arange(60) < 50, 100.0, 0.0)))
    assert title not in titles(with_record(few, trained_in={"run": "x"}))
    config = {**results.config, "architecture": "pca_baseline"}
    assert not any("Too few" in each for each in titles(with_record(few, config=config)))


@pytest.mark.parametrize(
    ("depth", "title"), [(0.5, "Isolates without usable depth"), (29.9, "Shallow isolates"), (30.0, None)]
)
def test_depth_is_judged_by_the_median(results, depth, title):
    medians = results.medians.copy()
    medians[[5, 7]] = depth
    spoilt = replace(results, medians=medians)
    if title is None:
        assert titles(spoilt) == []
    else:
        assert only(spoilt, title).which == ("S05", "S07")


def test_noise_beyond_counting_and_the_cohort_is_found_and_shallow_isolates_are_not_blamed(results):
    noise = results.noise.copy()
    noise[9] = 0.4
    assert only(replace(results, noise=noise), "Noisy isolates").which == ("S09",)
    medians = results.medians.copy()
    medians[9], noise[9] = 36.0, 1 / 6  # all of it is counting
    assert titles(replace(results, noise=noise, medians=medians)) == []


def test_isolates_cut_to_pieces_are_found(results):
    per_sample = results.segments.per_sample.copy()
    per_sample[3] = 61
    segments = replace(results.segments, per_sample=per_sample)
    assert only(replace(results, segments=segments), "Isolates in too many segments").which == ("S03",)


def test_gains_that_are_common_are_put_down_to_the_model(results):
    gains = np.zeros(100, int)
    gains[20] = 16  # of 60 isolates, in 1 % of the bins
    spoilt = replace(results, segments=replace(results.segments, gains=gains))
    assert "1.0%" in only(spoilt, "Gains in much of the cohort").what
    gains[20] = 15
    assert titles(spoilt) == []


def test_training_that_was_cut_off_is_told_from_training_that_ended(results):
    assert only(with_trained(results, best_epoch=148, epochs_run=150), "Training stopped early")
    assert titles(with_trained(results, best_epoch=120, epochs_run=150)) == []
    short = with_trained(results, best_epoch=10, epochs_run=10)
    short = with_record(short, config={**results.config, "epochs": 10})
    assert only(short, "Training shorter than its warm-up")


def test_a_gene_without_calls_is_named_from_five_percent(results):
    cn = results.genes[0].cn.copy()
    cn[10:13] = -1  # 3 of 60: just five percent
    assert titles(with_gene(results, cn=cn)) == []
    cn[13] = -1
    assert only(with_gene(results, cn=cn), "blaSHV: many isolates cannot be called").which == (
        "S10",
        "S11",
        "S12",
        "S13",
    )


def test_a_cohort_that_is_amplified_is_no_baseline(results):
    title = "blaSHV: the cohort may not be a baseline of one copy"
    most = with_gene(results, cn=np.where(np.arange(60) < 31, 2, 1))
    assert title in titles(most)
    assert "2.10 times" in only(with_gene(results, raw_level=2.1), title).what
    assert titles(with_gene(results, raw_level=float("nan"))) == []


def test_lineages_amplified_as_a_whole_are_named(results):
    cn = np.where((results.lineages == "ST2") & (np.arange(60) > 10), 2, 1)  # 12 of its 15
    assert only(with_gene(results, cn=cn), "blaSHV: amplified in whole lineages").which == ("ST2 (12 of 15)",)
    cn[58] = 1
    assert titles(with_gene(results, cn=cn)) == []


def test_ratios_near_the_threshold_are_listed(results):
    ratio = results.genes[0].ratio.copy()
    ratio[[20, 21, 22]] = 1.58, 1.92, 1.93
    assert only(with_gene(results, ratio=ratio), "blaSHV: calls near the threshold").which == ("S20", "S21")


def test_a_gene_that_nobody_has_is_in_the_wrong_place(results):
    assert titles(with_gene(results, cn=np.zeros(60, int))) == ["blaSHV: absent in nearly every isolate"]
    assert titles(with_gene(results, cn=np.where(np.arange(60) < 57, 0, 1))) == []


def test_a_caller_that_tells_its_certainty_is_believed(results):
    quality = np.full(60, 40.0)
    quality[[7, 8]] = 12.9, 13.0
    mixed = np.zeros(60, int)
    mixed[11] = 1
    ratio = results.genes[0].ratio.copy()
    ratio[20] = 1.75  # at the threshold of the other caller, and sure all the same
    found = find_problems(with_gene(results, ratio=ratio, details={"quality": quality, "mixed": mixed}))
    assert {finding.title: finding.which for finding in found} == {
        "blaSHV: unsure calls": ("S07",),
        "blaSHV: mixed populations": ("S11",),
    }


def test_poor_agreement_with_the_truth_is_told_and_missing_metrics_are_not(results):
    row = {"gene": "blaSHV", "mode": "amp", "tp": 8, "fp": 2, "fn": 0, "ppv": {"value": 0.8}, "recall": {"value": 1.0}}
    found = only(replace(results, metrics={"overall": [row]}), "blaSHV: calls and truth disagree")
    assert "not so in the truth: 2; missed: 0; agreed: 8" in found.what
    unknown = {**row, "ppv": {"value": None}, "recall": {"value": None}, "tp": 0, "fp": 0}
    assert titles(replace(results, metrics={"overall": [unknown]})) == []


def test_the_gravest_comes_first(results):
    medians = results.medians.copy()
    medians[0] = 20.0
    spoilt = with_gene(replace(results, medians=medians), raw_level=2.0)
    assert [finding.level for finding in find_problems(spoilt)] == ["problem", "caution"]
