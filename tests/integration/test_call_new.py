"""New isolates called with a trained run, without training again."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest


@pytest.fixture(params=["vae_run", "pca_run"])
def run(request):
    return request.getfixturevalue(request.param).path


def stores(cohort):
    return ("--store", cohort / "chromosome", "--plasmid-store", cohort / "plasmid", "--device", "cpu")


def keep_samples(cohort, rows):
    for store in ("chromosome", "plasmid"):
        for name in ("counts.npy", "sample_ids.npy"):
            np.save(cohort / store / name, np.load(cohort / store / name)[rows])
        (cohort / store / "manifest.json").unlink(missing_ok=True)


def read(path):
    return pd.read_csv(path, sep="\t")


def test_the_training_isolates_are_called_as_they_were(run, cohort, copyfold, tmp_path):
    done = copyfold("cnv", "call", run, *stores(cohort), "--out", tmp_path / "calls").succeeded()
    assert done.stdout.strip() == str(tmp_path / "calls/gene_calls.tsv")
    for name in ("gene_calls.tsv", "plasmid_gene_calls.tsv", "segments.parquet", "reconstructions.npy"):
        assert (tmp_path / "calls" / name).read_bytes() == (run / name).read_bytes(), name
    record = json.loads((tmp_path / "calls/run.json").read_text())
    assert record["status"] == "complete"
    assert record["trained_in"]["run"] == str(run)


def test_a_single_isolate_is_called_as_among_others(pca_run, own_cohort, copyfold, tmp_path):
    keep_samples(own_cohort, [4])
    copyfold("cnv", "call", pca_run.path, *stores(own_cohort), "--out", tmp_path / "calls").succeeded()
    for name in ("gene_calls.tsv", "plasmid_gene_calls.tsv"):
        expected = read(pca_run.path / name).iloc[[4]].reset_index(drop=True)
        pd.testing.assert_frame_equal(read(tmp_path / "calls" / name), expected, rtol=1e-3)


def test_thresholds_may_be_changed_and_what_training_read_may_not(pca_run, cohort, copyfold, tmp_path):
    call = ("cnv", "call", pca_run.path, *stores(cohort), "--out", tmp_path / "calls")
    assert "latent_dim" in copyfold(*call, "--set", "latent_dim=3").complaint()
    assert not (tmp_path / "calls").exists()
    copyfold(*call, "--set", "pcn_amp_threshold=0.5").succeeded()
    before = read(pca_run.path / "plasmid_gene_calls.tsv")
    after = read(tmp_path / "calls/plasmid_gene_calls.tsv")
    assert (after["blaKPC-2"] >= before["blaKPC-2"]).all()
    assert (after["blaKPC-2"] > before["blaKPC-2"]).any()


def test_without_a_plasmid_store_no_plasmid_gene_is_called(pca_run, cohort, copyfold, tmp_path):
    call = ("cnv", "call", pca_run.path, "--store", cohort / "chromosome", "--out", tmp_path / "calls")
    copyfold(*call, "--device", "cpu").succeeded()
    assert not (tmp_path / "calls/plasmid_gene_calls.tsv").exists()


def test_a_finished_folder_is_kept_and_resumed_at_no_cost(pca_run, cohort, copyfold, tmp_path):
    call = ("cnv", "call", pca_run.path, *stores(cohort), "--out", tmp_path / "calls")
    copyfold(*call).succeeded()
    (tmp_path / "calls/gene_calls.tsv").unlink()
    assert "holds a run already" in copyfold(*call).complaint()
    record = json.loads((tmp_path / "calls/run.json").read_text())
    record["stages"].pop("call")
    (tmp_path / "calls/run.json").write_text(json.dumps(record))
    copyfold(*call, "--resume").succeeded()
    assert read(tmp_path / "calls/gene_calls.tsv").equals(read(pca_run.path / "gene_calls.tsv"))


def test_a_store_of_other_bins_is_refused(pca_run, own_cohort, copyfold, tmp_path):
    contigs = np.load(own_cohort / "chromosome/contigs.npy")
    contigs["end"][-1] -= 1
    np.save(own_cohort / "chromosome/contigs.npy", contigs)
    call = ("cnv", "call", pca_run.path, *stores(own_cohort), "--out", tmp_path / "calls")
    assert "its bins are not those of" in copyfold(*call).complaint()
    assert not (tmp_path / "calls").exists()


def test_an_untrained_run_and_options_without_a_store_are_refused(pca_run, cohort, copyfold, tmp_path):
    half = shutil.copytree(pca_run.path, tmp_path / "half")
    record = json.loads((half / "run.json").read_text())
    record["stages"]["train"]["status"] = "running"
    (half / "run.json").write_text(json.dumps(record))
    assert "is not trained yet" in copyfold("cnv", "call", half, *stores(cohort), "--out", tmp_path / "o").complaint()
    assert "go with --store" in copyfold("cnv", "call", pca_run.path, "--out", tmp_path / "o").complaint()
    alone = ("cnv", "call", pca_run.path, "--store", cohort / "chromosome")
    assert "needs --out" in copyfold(*alone).complaint()
