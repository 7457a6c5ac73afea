"""A run from configuration to evaluation, and its stages one by one."""

import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from copyfold.testing import ArchitectureContract
from runs import RESULTS, assert_same_results, read_record, read_table, sample_ids

HERE = Path(__file__).parent
ARTEFACTS = {
    "checkpoint.pth",
    "training_log.tsv",
    "reconstructions.npy",
    "latents.npy",
    "segments.parquet",
    "recurrent_segments.tsv",
    "gene_calls.tsv",
    "plasmid_gene_calls.tsv",
    "evaluation.txt",
    "sample_ids.npy",
    "run.json",
    "metrics.json",
    "report.html",
}
PLASMID_COLUMNS = {
    "blaKPC": "blaKPC-2",
    "blaCTX-M": "blaCTX-M",
    "blaNDM": "blaNDM",
    "blaTEM": "blaTEM-1",
    "qnrB": "qnrB1",
    "aac6-Ib-cr": "aac6-Ib-cr",
    "blaOXA-48-like": "blaOXA-48-like",
}
"""Column of each simulated family: its own name where several of its alleles are in the store."""


# A whole run


def test_a_run_writes_every_artefact_and_nothing_else(vae_run):
    found = {path.name for path in vae_run.path.iterdir()}
    assert found == ARTEFACTS | {"last.pth", ".lock"}


def test_the_path_to_open_is_all_that_stdout_holds(vae_run):
    assert vae_run.command.stdout == f"{vae_run.path}/evaluation.txt\n"


def test_reconstructions_and_latents_have_a_row_for_each_sample(vae_run, cohort):
    counts = np.load(cohort / "chromosome/counts.npy")
    reconstructions = np.load(vae_run.path / "reconstructions.npy")
    latents = np.load(vae_run.path / "latents.npy")
    assert reconstructions.dtype == latents.dtype == np.float32
    assert reconstructions.shape == counts.shape
    assert latents.shape == (len(counts), 10)
    assert np.isfinite(reconstructions).all()
    assert (reconstructions >= 0).all()
    assert np.isfinite(latents).all()
    assert np.array_equal(np.load(vae_run.path / "sample_ids.npy"), sample_ids(cohort))


def test_reconstructions_are_in_the_unit_of_the_counts(pca_run, cohort):
    counts = np.load(cohort / "chromosome/counts.npy")
    reconstructions = np.load(pca_run.path / "reconstructions.npy")
    np.testing.assert_allclose(np.median(reconstructions, axis=1), np.median(counts, axis=1), rtol=0.1)


def test_segments_tile_the_contig_of_every_sample(vae_run, cohort):
    contigs = np.load(cohort / "chromosome/contigs.npy")
    segments = pd.read_parquet(vae_run.path / "segments.parquet")
    assert {"sample_id", "chrom", "x0", "x1", "cn", "confidence"} <= set(segments.columns)
    assert set(segments["sample_id"]) == set(sample_ids(cohort))
    assert set(segments["chrom"]) == {"NC_016845.1"}
    for _, mine in segments.groupby("sample_id"):
        assert mine["x0"].iloc[0] == contigs["start"][0] - 1
        assert mine["x1"].iloc[-1] == contigs["end"][-1]
        assert (mine["x0"].to_numpy()[1:] == mine["x1"].to_numpy()[:-1]).all()
    assert segments["cn"].between(-1, 3).all()
    assert segments["confidence"].between(0, 1).all()


def test_gene_calls_hold_copy_number_and_crr_of_every_sample(vae_run, cohort):
    calls = read_table(vae_run.path / "gene_calls.tsv")
    assert calls.columns[:3].tolist() == ["sample_id", "blaSHV", "crr_blaSHV"]
    assert calls["sample_id"].tolist() == sample_ids(cohort).tolist()
    assert calls["blaSHV"].dtype == np.int64
    assert calls["blaSHV"].between(-1, 3).all()
    assert (calls["crr_blaSHV"].dropna() >= 0).all()


def test_plasmid_calls_hold_presence_and_pcn_of_every_family(vae_run, cohort):
    calls = read_table(vae_run.path / "plasmid_gene_calls.tsv")
    assert calls["sample_id"].tolist() == sample_ids(cohort).tolist()
    for name in PLASMID_COLUMNS.values():
        assert set(calls[name]) <= {-1, 0, 1, 2}
        assert (calls[f"pcn_{name}"].dropna() >= 0).all()


def test_calls_agree_with_what_was_simulated(pca_run, cohort):
    truth = read_table(cohort / "truth/genes.tsv")
    calls = read_table(pca_run.path / "gene_calls.tsv")
    amplified = truth["blaSHV"] >= 1.5
    assert (calls["blaSHV"][amplified] >= 2).all()
    assert (calls["blaSHV"][~amplified] == 1).mean() > 0.9
    plasmids = read_table(pca_run.path / "plasmid_gene_calls.tsv")
    for family, column in PLASMID_COLUMNS.items():
        assert ((plasmids[column] >= 1) == (truth[f"pcn_{family}"] > 0)).mean() > 0.95, family


def test_training_log_has_a_row_for_each_epoch(vae_run):
    log = read_table(vae_run.path / "training_log.tsv")
    assert log["epoch"].tolist() == [1, 2, 3]
    assert {"train_loss", "val_reconstruction", "weight_kl", "weight_cnv_pattern"} <= set(log.columns)
    assert np.isfinite(log.to_numpy()).all()


def test_the_checkpoint_loads_without_pickle_and_holds_model_and_optimiser(vae_run):
    content = torch.load(vae_run.path / "checkpoint.pth", weights_only=True)
    assert {"model_state_dict", "optimizer_state_dict", "epoch"} <= set(content)


def test_the_evaluation_speaks_of_every_gene(vae_run):
    text = (vae_run.path / "evaluation.txt").read_text()
    for gene in ("blaSHV", *PLASMID_COLUMNS):
        assert f"\n{gene} " in text
    for word in ("MCC", "FNR", "PPV", "call_rate", "n_eval"):
        assert word in text


def test_metrics_are_json_without_nan(vae_run, cohort):
    def refuse(constant):
        raise AssertionError(f"metrics.json holds {constant}")

    metrics = json.loads((vae_run.path / "metrics.json").read_text(), parse_constant=refuse)
    assert metrics["n_samples"] == metrics["n_in_truth"] == len(sample_ids(cohort))
    assert {row["gene"] for row in metrics["overall"]} == {"blaSHV", *PLASMID_COLUMNS}


def test_the_record_says_what_was_done_with_what(vae_run, cohort):
    record = read_record(vae_run.path)
    assert record["status"] == "complete"
    assert record["seed"] == 42
    assert record["device"] == "cpu"
    assert record["config"]["epochs"] == 3
    assert {"python", "torch", "numpy", "numba"} <= set(record["versions"])
    assert record["config"]["store_path"] == str(cohort / "chromosome")
    digests = record["inputs"]
    assert all(digest.startswith("sha256:") for digest in digests.values())
    assert set(digests) == {key for key in yaml.safe_load((cohort / "config.yaml").read_text()) if key != "out_dir"}
    assert list(record["stages"]) == ["train", "infer", "segment", "call", "evaluate", "report"]
    assert {stage["status"] for stage in record["stages"].values()} == {"done"}


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(vae_run, cohort, copyfold, tmp_path):
    config, epochs = cohort / "config.yaml", ("--set", "epochs=3")
    copyfold("cnv", "train", config, *epochs, "--set", f"out_dir={tmp_path}/again").succeeded()
    assert_same_results(vae_run.path, tmp_path / "again")
    copyfold("cnv", "train", config, *epochs, "--set", "seed=43", "--set", f"out_dir={tmp_path}/other").succeeded()
    assert (vae_run.path / "latents.npy").read_bytes() != (tmp_path / "other/latents.npy").read_bytes()


# Which architecture


def test_a_small_cohort_is_recommended_the_baseline(vae_run):
    warning, unjudged = vae_run.command.warnings
    assert "epochs end before the warm-ups do (30)" in unjudged
    assert "30 isolates are too few" in warning
    assert "--set architecture=pca_baseline" in warning


def test_the_baseline_writes_the_same_artefacts_without_that_warning(pca_run):
    assert {path.name for path in pca_run.path.iterdir()} == ARTEFACTS | {".lock"}
    assert not pca_run.command.warnings


def load_mean_profile():
    spec = importlib.util.spec_from_file_location("mean_profile", HERE / "mean_profile.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.MeanProfile


class TestMeanProfile(ArchitectureContract):
    implementation = load_mean_profile()


def test_a_users_own_architecture_in_the_working_folder_runs_to_the_end(cohort, copyfold, tmp_path):
    shutil.copy(HERE / "mean_profile.py", tmp_path / "my_models.py")
    arguments = ("--set", "architecture=my_models:MeanProfile", "--set", "out_dir=run")
    copyfold("cnv", "train", cohort / "config.yaml", *arguments, cwd=tmp_path).succeeded()
    assert read_record(tmp_path / "run")["status"] == "complete"
    rows = (
        np.load(tmp_path / "run/reconstructions.npy")
        / np.median(np.load(cohort / "chromosome/counts.npy"), axis=1)[:, None]
    )
    np.testing.assert_allclose(rows, np.broadcast_to(rows[0], rows.shape), rtol=1e-5)
    copyfold("cnv", "infer", tmp_path / "run", cwd=tmp_path).succeeded()


# Inputs that may be there or not


def test_without_truth_and_plasmids_the_evaluation_is_na_and_there_is_no_plasmid_table(
    pca_run, cohort, copyfold, tmp_path
):
    nothing = [
        part
        for key in ("kpsc_gt_path", "kpsc_kleborate_gt_path", "kpsc_meta_path", "plasmid_store_path")
        for part in ("--set", f"{key}=null")
    ]
    run = tmp_path / "run"
    copyfold(
        "cnv",
        "train",
        cohort / "config.yaml",
        "--set",
        "architecture=pca_baseline",
        *nothing,
        "--set",
        f"out_dir={run}",
    ).succeeded()
    assert not (run / "plasmid_gene_calls.tsv").exists()
    (row,) = json.loads((run / "metrics.json").read_text())["overall"]
    for metric in ("mcc", "fnr", "ppv", "recall", "call_rate"):
        assert row[metric]["value"] is None
        assert row[metric]["reason"] == "no ground truth given"
    overall = (run / "evaluation.txt").read_text().split("== Overall ==")[1].split("==")[0]
    assert overall.split("n_eval\nblaSHV")[1].split("\n")[0].split() == ["amp", "N/A", "N/A", "N/A", "N/A", "0"]
    assert_same_results(pca_run.path, run, ("reconstructions.npy", "latents.npy", "segments.parquet", "gene_calls.tsv"))


def test_the_order_of_the_plasmid_store_does_not_matter(pca_run, own_cohort, copyfold):
    store = own_cohort / "plasmid"
    order = np.random.default_rng(0).permutation(len(sample_ids(own_cohort)))
    for name in ("counts.npy", "sample_ids.npy"):
        np.save(store / name, np.load(store / name)[order])
    copyfold("cnv", "train", own_cohort / "config.yaml", "--set", "architecture=pca_baseline").succeeded()
    assert_same_results(pca_run.path, own_cohort / "run")


def test_samples_that_the_plasmid_store_lacks_are_not_called_there(pca_run, own_cohort, copyfold):
    store = own_cohort / "plasmid"
    for name in ("counts.npy", "sample_ids.npy"):
        np.save(store / name, np.load(store / name)[2:])
    arguments = ("--set", "architecture=pca_baseline")
    done = copyfold("cnv", "train", own_cohort / "config.yaml", *arguments).succeeded()
    assert any("2 samples are not in the plasmid store" in warning for warning in done.warnings)
    expected = read_table(pca_run.path / "plasmid_gene_calls.tsv")
    found = read_table(own_cohort / "run/plasmid_gene_calls.tsv")
    assert (found.loc[:1, [*PLASMID_COLUMNS.values()]] == -1).all(axis=None)
    pd.testing.assert_frame_equal(found[2:], expected[2:], check_dtype=False)


def test_a_published_store_with_object_arrays_gives_the_same_results(pca_run, own_cohort, copyfold):
    for store in (own_cohort / "chromosome", own_cohort / "plasmid"):
        contigs = np.load(store / "contigs.npy")
        published = contigs.astype([("chrom", "O"), ("start", "<i8"), ("end", "<i8")])
        np.save(store / "contigs.npy", published, allow_pickle=True)
        for name in ("sample_ids.npy", "genes.npy"):
            if (store / name).exists():
                np.save(store / name, np.load(store / name).astype(object), allow_pickle=True)
        (store / "manifest.json").unlink()
    # Published stores hold medians of another build of theirs beside the counts.
    np.save(own_cohort / "chromosome/medians.npy", np.ones(3, dtype=np.float32))
    copyfold("cnv", "train", own_cohort / "config.yaml", "--set", "architecture=pca_baseline").succeeded()
    assert_same_results(pca_run.path, own_cohort / "run", (*RESULTS, "sample_ids.npy"))


def test_a_sample_may_be_called_na(own_cohort, copyfold):
    for store in ("chromosome", "plasmid"):
        names = sample_ids(own_cohort)
        names[2] = "NA"
        np.save(own_cohort / store / "sample_ids.npy", names)
    for table in (own_cohort / "truth").glob("*.tsv"):
        table.write_text(table.read_text().replace("SIM0000003\t", "NA\t"))
    copyfold("cnv", "train", own_cohort / "config.yaml", "--set", "architecture=pca_baseline").succeeded()
    assert json.loads((own_cohort / "run/metrics.json").read_text())["n_in_truth"] == len(names)


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ("depths.counts[:, :-1], np.zeros((len(depths), 10))", "expected with shape"),
        ("depths.counts, np.zeros((len(depths), 3))", "latents with shape"),
        ("depths.counts * np.nan, np.zeros((len(depths), 10))", "expected with values that are not finite"),
        ("depths.counts, np.zeros((len(depths), 10)), np.zeros(1)", "dispersion with shape"),
    ],
)
def test_a_plugin_that_returns_nonsense_is_told_so(own_cohort, copyfold, returned, message):
    (own_cohort / "my_models.py").write_text(
        "import numpy as np\n"
        "from copyfold.cnv.models.architecture import FitSummary, Inference\n"
        "class Model:\n"
        "    def __init__(self, bins, config): ...\n"
        "    def fit(self, depths, session): return FitSummary(1, 0.0, 1)\n"
        "    def load(self, checkpoint, device): ...\n"
        f"    def infer(self, depths): return Inference({returned})\n"
    )
    command = ("cnv", "train", own_cohort / "config.yaml", "--set", "architecture=my_models:Model", "-q")
    assert message in copyfold(*command).complaint()
    assert not (own_cohort / "run/reconstructions.npy").exists()
