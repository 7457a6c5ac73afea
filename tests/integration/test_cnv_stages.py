"""The stages of a run one by one: run again, with other keys, on inputs that have moved or changed."""

import json

import numpy as np
import pandas as pd
import pytest

from runs import RESULTS, assert_same_results, read_record, read_table


def test_every_stage_can_be_run_again_to_the_same_bits(vae_run, own_run, copyfold):
    for stage, later in (("infer", "segment"), ("segment", "call"), ("call", "evaluate")):
        done = copyfold("cnv", stage, own_run).succeeded()
        assert f"run `copyfold cnv {later} {own_run}` next" in done.stderr
        assert read_record(own_run)["status"] == "incomplete"
    done = copyfold("cnv", "evaluate", own_run).succeeded()
    assert done.stdout == f"{own_run}/evaluation.txt\n"
    assert_same_results(vae_run.path, own_run, (*RESULTS, "evaluation.txt", "metrics.json"))
    assert read_record(own_run)["status"] == "complete"


def test_calling_again_with_another_threshold_changes_calls_and_outdates_the_evaluation(vae_run, own_run, copyfold):
    done = copyfold("cnv", "call", own_run, "--set", "cnv_crr_amp_threshold=1.2").succeeded()
    assert "out of date now: evaluate" in done.stderr
    before, after = (read_table(run / "gene_calls.tsv") for run in (vae_run.path, own_run))
    expected = before["blaSHV"].mask(before["blaSHV"].eq(1) & before["crr_blaSHV"].ge(1.2), 2)
    assert after["blaSHV"].tolist() == expected.tolist()
    assert (after["blaSHV"] != before["blaSHV"]).any()
    record = read_record(own_run)
    assert record["config"]["cnv_crr_amp_threshold"] == 1.2
    assert record["status"] == "incomplete"
    assert "evaluate" in record["reason"]
    assert "evaluate" not in record["stages"]


def test_resuming_finishes_what_a_stage_run_again_left_out_of_date(vae_run, own_run, cohort, copyfold):
    (own_run / "evaluation.txt").write_text("out of date")
    copyfold("cnv", "call", own_run).succeeded()
    arguments = (*("--set", "epochs=3"), "--set", f"out_dir={own_run}", "--resume")
    copyfold("cnv", "train", cohort / "config.yaml", *arguments).succeeded()
    assert_same_results(vae_run.path, own_run, (*RESULTS, "evaluation.txt"))
    assert read_record(own_run)["status"] == "complete"


def test_segmenting_again_with_another_transition_changes_segments(vae_run, own_run, copyfold):
    copyfold("cnv", "segment", own_run, "--set", "hmm_self_transition=0.999").succeeded()
    fewer, more = (pd.read_parquet(run / "segments.parquet") for run in (own_run, vae_run.path))
    assert len(fewer) < len(more)


def test_a_low_coverage_threshold_of_zero_masks_nothing(own_run, copyfold):
    copyfold("cnv", "segment", own_run, "--set", "hmm_low_cov_threshold=0").succeeded()
    segments = pd.read_parquet(own_run / "segments.parquet")
    assert (segments["n_masked"] == 0).all()
    assert np.isfinite(segments["ratio"]).all()


@pytest.mark.parametrize(
    ("stage", "override", "way_out"),
    [
        ("segment", "epochs=5", "train again in another out_dir"),
        ("segment", "seed=1", "train again in another out_dir"),
        ("call", "hmm_self_transition=0.9", "`copyfold cnv segment` takes it"),
        ("call", "cnv_pattern_weight=0", "train again in another out_dir"),
        ("evaluate", "cnv_crr_amp_threshold=1.2", "`copyfold cnv call` takes it"),
        ("evaluate", "out_dir=/elsewhere", "out_dir"),
    ],
)
def test_a_stage_refuses_keys_that_earlier_stages_have_used(own_run, copyfold, stage, override, way_out):
    before = (own_run / "run.json").read_bytes()
    complaint = copyfold("cnv", stage, own_run, "--set", override).complaint()
    assert f"'{override.split('=')[0]}'" in complaint
    assert way_out in complaint
    assert (own_run / "run.json").read_bytes() == before


def test_a_stage_finds_a_store_that_has_moved(pca_run, own_cohort, copyfold):
    train = ("cnv", "train", own_cohort / "config.yaml", "--set", "architecture=pca_baseline")
    copyfold(*train).succeeded()
    moved = (own_cohort / "chromosome").rename(own_cohort / "elsewhere")
    assert "store_path" in copyfold("cnv", "call", own_cohort / "run").complaint()
    copyfold("cnv", "call", own_cohort / "run", "--set", f"store_path={moved}").succeeded()
    assert_same_results(pca_run.path, own_cohort / "run")


def test_a_stage_refuses_a_folder_that_is_no_run(copyfold, tmp_path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        assert "not a copyfold run" in copyfold("cnv", "segment", folder).complaint()
    assert not (tmp_path / "nowhere").exists()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("stage", ["infer", "segment", "call", "evaluate"])
def test_a_stage_refuses_a_run_whose_training_is_not_done(own_run, copyfold, stage):
    record = read_record(own_run)
    record["stages"] = {"train": {"status": "running"}}
    (own_run / "run.json").write_text(json.dumps(record))
    assert "stage train is not done" in copyfold("cnv", stage, own_run).complaint()


def test_a_stage_refuses_counts_that_have_changed_since_training(own_cohort, copyfold):
    copyfold("cnv", "train", own_cohort / "config.yaml", "--set", "architecture=pca_baseline").succeeded()
    counts = np.load(own_cohort / "chromosome/counts.npy")
    counts[0, 0] += 1
    np.save(own_cohort / "chromosome/counts.npy", counts)
    complaint = copyfold("cnv", "call", own_cohort / "run").complaint()
    assert "store_path: its content is no longer what stage train read" in complaint


def test_evaluate_refuses_another_plasmid_store_than_call_has_read(own_cohort, copyfold):
    arguments = ("--set", "architecture=pca_baseline")
    copyfold("cnv", "train", own_cohort / "config.yaml", *arguments).succeeded()
    before = (own_cohort / "run/run.json").read_bytes()
    complaint = copyfold("cnv", "evaluate", own_cohort / "run", "--set", "plasmid_store_path=null").complaint()
    assert "plasmid_store_path: its content is no longer what stage call read" in complaint
    assert (own_cohort / "run/run.json").read_bytes() == before
