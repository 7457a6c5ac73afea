"""`copyfold.CopyNumberCaller` against the command line."""

import numpy as np
import pandas as pd
import pytest
import yaml

import copyfold
from copyfold.errors import ConfigError, RunError
from runs import assert_same_results


@pytest.fixture
def caller(cohort, tmp_path):
    config = yaml.safe_load((cohort / "config.yaml").read_text())
    keys = {key: value for key, value in config.items() if key not in ("store_path", "plasmid_store_path", "out_dir")}
    keys = {key: cohort / value if key.endswith("_path") else value for key, value in keys.items()}
    documents = {"hmm": "02_gaussian_hmm", "cnv": "06_gene_cnv_caller", "hmm_low_cov_threshold": 10}
    keys |= documents | {"architecture": "pca_baseline"}
    return copyfold.CopyNumberCaller(folder=tmp_path / "kept", device="cpu", **keys)


def test_fit_and_call_give_the_bits_of_the_command_line(caller, cohort, pca_run):
    calls = caller.fit(cohort / "chromosome", copyfold.open_store(cohort / "plasmid")).call(
        cohort / "chromosome", cohort / "plasmid"
    )
    assert_same_results(caller.run_, pca_run.path)
    written = pd.read_csv(pca_run.path / "gene_calls.tsv", sep="\t")
    pd.testing.assert_frame_equal(calls.genes, written)
    assert calls.plasmid_genes is not None
    assert set(calls.segments["sample_id"]) == set(written["sample_id"])


def test_new_isolates_are_called_beside_the_fit(caller, cohort, tmp_path):
    caller.fit(cohort / "chromosome")
    store = copyfold.open_store(cohort / "chromosome")
    copyfold.write_store(tmp_path / "new", np.asarray(store.counts[:5]), store.contigs, store.sample_ids[:5])
    calls = caller.call(tmp_path / "new")
    assert calls.folder.name == "calls1"
    assert calls.plasmid_genes is None
    fitted = caller.call(cohort / "chromosome").genes.head(5)
    pd.testing.assert_frame_equal(calls.genes, fitted)


def test_what_cannot_be_is_said():
    with pytest.raises(ConfigError, match="config schema"):
        copyfold.CopyNumberCaller(latents=3)
    with pytest.raises(ConfigError, match=r"give it to fit\(\)"):
        copyfold.CopyNumberCaller(store_path="store")
    with pytest.raises(RunError, match="not fitted yet"):
        copyfold.CopyNumberCaller().call("store")
