"""Our own design through the command line: what it writes, run again in parts, on new isolates, exported."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from copyfold.cnv.simulation import hs11286_geometry, preset, simulate, write_cohort
from runs import assert_same_results, read_record, read_table

N_BINS, N_ISOLATES = 300, 40
MIXED = slice(180, 224)


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    """A cohort with the config.yaml that `cnv simulate` writes, and its simulation; one event is mixed."""
    out = tmp_path_factory.mktemp("ours") / "cohort"
    cohort = simulate(preset("hard"), N_ISOLATES, 11, hs11286_geometry(N_BINS))
    mixed_row = int(cohort.samples.loc[cohort.samples["kind"] == "ok", "depth"].idxmax())
    counts = cohort.counts.copy()
    counts[mixed_row, MIXED] = np.rint(1.5 * counts[mixed_row, MIXED])
    cohort = replace(cohort, counts=counts)
    return write_cohort(cohort, out), cohort, mixed_row


@pytest.fixture(scope="module")
def run(ours, copyfold):
    folder, *_ = ours
    copyfold("cnv", "train", folder / "config.yaml").succeeded()
    return folder / "run"


def test_checkpoint_and_arrays(run):
    checkpoint = torch.load(run / "checkpoint.pth", weights_only=True)
    assert checkpoint["format"] == "copyfold-checkpoint/1"
    assert checkpoint["model_state_dict"]["effects"]["baseline"].shape == (N_BINS,)
    expected, latents = np.load(run / "reconstructions.npy"), np.load(run / "latents.npy")
    dispersions = np.load(run / "dispersions.npy")
    assert expected.shape == (N_ISOLATES, N_BINS)
    assert latents.shape == (N_ISOLATES, 10)
    assert dispersions.shape == (N_ISOLATES,)
    assert expected.dtype == latents.dtype == dispersions.dtype == np.float32
    log = read_table(run / "training_log.tsv")
    assert log["epoch"].tolist() == [1, 2, 3]
    assert log["one_copy_share"].between(0.3, 1).all()


def test_expected_depth_is_that_of_one_copy_where_the_isolate_has_none(ours, run):
    _, cohort, _ = ours
    sound = (cohort.samples["kind"] == "ok").to_numpy()
    events = cohort.events[(cohort.events["copies"] == 0) & (cohort.events["x1"] - cohort.events["x0"] > 5000)]
    event = events[events["sample_id"].isin(cohort.sample_ids[sound])].iloc[0]
    row = int(np.flatnonzero(cohort.sample_ids == event["sample_id"])[0])
    inside = (cohort.contigs.start >= event["x0"]) & (cohort.contigs.end <= event["x1"])
    whole = inside & (cohort.geometry.mappability > 0.9)
    expected = np.load(run / "reconstructions.npy")[row, whole]
    np.testing.assert_allclose(expected, cohort.samples["depth"][row], rtol=0.5)
    assert cohort.counts[row, whole].mean() < 0.2 * expected.mean()


def test_segments_tile_the_genome_and_know_mixed_populations(ours, run):
    _, cohort, mixed_row = ours
    segments = pd.read_parquet(run / "segments.parquet")
    mixed = segments[segments["mixed"] & (segments["sample_id"] == cohort.sample_ids[mixed_row])]
    inside = (mixed["x0"] >= 179_000) & (mixed["x1"] <= 225_000)
    assert mixed.loc[inside, "n_bins"].sum() >= 30
    np.testing.assert_allclose(mixed.loc[inside, "ratio"], 1.5, atol=0.25)
    assert (segments.groupby("sample_id")["n_bins"].sum() == N_BINS).all()
    assert (segments.loc[segments["mixed"], "cn"] == 1).all()
    gains = segments[(segments["cn"] >= 2) & (segments["n_bins"] > 4)]
    np.testing.assert_allclose(gains["ratio"] / gains["cn"], 1, atol=0.35)


def test_gene_calls_have_an_interval_a_quality_and_a_reason(ours, run):
    _, cohort, _ = ours
    calls = read_table(run / "gene_calls.tsv")
    columns = [
        "blaSHV",
        *(f"{name}_blaSHV" for name in ("crr", "lower", "upper", "copies", "quality", "mixed", "filter")),
    ]
    assert list(calls.columns) == ["sample_id", *columns, "median_depth"]
    called = calls["blaSHV"] >= 0
    assert (calls["filter_blaSHV"] == "PASS").eq(called).all()
    assert (calls.loc[~called, "filter_blaSHV"].isin(["low depth", "unmapped bins"])).all()
    inside = calls[called]
    assert (inside["lower_blaSHV"] <= inside["crr_blaSHV"]).all()
    assert (inside["crr_blaSHV"] <= inside["upper_blaSHV"]).all()
    true = cohort.genes["blaSHV"].to_numpy()
    plain = called & ((true <= 1.3) | (true >= 1.7))
    assert ((calls["blaSHV"] >= 2) == (true >= 1.7))[plain].mean() > 0.95
    assert (calls.loc[calls["mixed_blaSHV"] == 1, "blaSHV"] == 1).all()


def test_plasmid_calls_have_an_interval_a_quality_and_a_reason(ours, run):
    calls = read_table(run / "plasmid_gene_calls.tsv")
    models = json.loads((run / "plasmid_models.json").read_text())
    assert "blaCTX-M" in models
    for family in models:
        parts = [calls[f"{name}_{family}"] for name in ("lower", "pcn", "upper")]
        called = calls[family] >= 0
        assert (calls[f"filter_{family}"] == "PASS").eq(called).all()
        assert (parts[0][called] <= parts[2][called]).all()
        assert parts[1][called & (calls[family] == 0)].max() < 0.3
        assert calls[f"quality_{family}"].between(0, 99).all()


def test_stages_can_be_run_again_and_give_the_same(run, copyfold, tmp_path):
    again = shutil.copytree(run, tmp_path / "run")
    for stage in ("infer", "segment", "call", "evaluate"):
        copyfold("cnv", stage, again).succeeded()
    assert_same_results(run, again, ("reconstructions.npy", "latents.npy", "dispersions.npy", "gene_calls.tsv"))
    assert pd.read_parquet(run / "segments.parquet").equals(pd.read_parquet(again / "segments.parquet"))
    assert read_record(again)["status"] == "complete"


def test_a_run_stopped_between_stages_goes_on(ours, run, copyfold, tmp_path):
    folder, *_ = ours
    stopped = shutil.copytree(run, tmp_path / "run")
    record = read_record(stopped)
    for stage in ("segment", "call", "evaluate"):
        del record["stages"][stage]
    (stopped / "run.json").write_text(json.dumps(record | {"status": "interrupted"}))
    for name in ("segments.parquet", "gene_calls.tsv"):
        (stopped / name).unlink()
    done = copyfold("cnv", "train", folder / "config.yaml", "--set", f"out_dir={stopped}", "--resume").succeeded()
    assert "fitting" not in done.stderr
    assert_same_results(run, stopped)


def test_new_isolates_are_called_as_in_the_run_and_known_again(ours, run, copyfold, tmp_path):
    """The run's own store as if it were new: isolates of the fit are known by their counts."""
    folder, *_ = ours
    arguments = ("--store", folder / "chromosome", "--plasmid-store", folder / "plasmid", "--out", tmp_path / "new")
    copyfold("cnv", "call", run, *arguments).succeeded()
    names = ("reconstructions.npy", "latents.npy", "segments.parquet", "gene_calls.tsv", "plasmid_gene_calls.tsv")
    assert_same_results(run, tmp_path / "new", names)  # recurrent segments go without lineages there


def test_export_of_quality_and_mixed_populations(ours, run, copyfold, tmp_path):
    copyfold("cnv", "export", run, "--format", "vcf", "--out", tmp_path / "calls.vcf").succeeded()
    records = [line.split("\t") for line in (tmp_path / "calls.vcf").read_text().splitlines() if line[0] != "#"]
    _, _, mixed_row = ours
    copies = [fields[9 + mixed_row].split(":")[1] for fields in records if fields[9 + mixed_row].startswith("1:1.")]
    assert copies
    assert all(1.2 < float(value) < 1.8 for value in copies)
    copyfold("cnv", "export", run, "--format", "bedgraph", "--out", tmp_path / "ratios").succeeded()
    copyfold("cnv", "export", run, "--format", "multiqc", "--out", tmp_path / "calls_mqc.tsv").succeeded()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": "pca_baseline"}, "10_count_hmm reads what 10_count_model learns"),
        ({"bins_path": "nowhere"}, "neither file nor folder"),
        ({"bins_path": "gene_coords.tsv"}, "has no bin NC_016845.1:1–1000"),
        ({"bins_path": "chromosome"}, "no reference.json"),
    ],
)
def test_what_does_not_fit_is_refused_before_any_work(ours, copyfold, tmp_path, changes, message):
    folder = shutil.copytree(ours[0], tmp_path / "cohort", ignore=shutil.ignore_patterns("run"))
    config = yaml.safe_load((folder / "config.yaml").read_text()) | changes
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    assert message in copyfold("cnv", "train", folder / "config.yaml").complaint()
    assert not (folder / "run").exists()


def test_three_isolates_are_called_with_a_warning(ours, copyfold, tmp_path):
    folder = shutil.copytree(ours[0], tmp_path / "cohort", ignore=shutil.ignore_patterns("run"))
    for store in ("chromosome", "plasmid"):
        for name in ("counts.npy", "sample_ids.npy"):
            np.save(folder / store / name, np.load(folder / store / name)[:3])
    done = copyfold("cnv", "train", folder / "config.yaml").succeeded()
    assert "3 isolates teach no baseline" in done.stderr
    assert len(read_table(folder / "run/gene_calls.tsv")) == 3
    assert not np.load(folder / "run/latents.npy").any()


def test_presets_are_good_once_the_paths_are_right(ours, copyfold, tmp_path):
    folder, *_ = ours
    paths = [f"store_path={folder}/chromosome", f"gene_coords_path={folder}/gene_coords.tsv"]
    sets = [part for path in paths for part in ("--set", path)]
    for name, architecture in (("cnv", "10_count_model"), ("cnv_documents", "06_conv_vae")):
        copyfold("config", "init", name, "-o", f"{name}.yaml", cwd=tmp_path).succeeded()
        shown = copyfold("config", "check", tmp_path / f"{name}.yaml", *sets).succeeded().stdout
        assert f"architecture {' ' * 24}".split()[0] in shown
        assert architecture in shown
