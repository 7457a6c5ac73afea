"""Runs on disk, as tests look at them."""

import json

import numpy as np
import pandas as pd

RESULTS = (
    *("reconstructions.npy", "latents.npy", "segments.parquet", "recurrent_segments.tsv"),
    *("gene_calls.tsv", "plasmid_gene_calls.tsv"),
)


def read_table(path):
    return pd.read_csv(path, sep="\t")


def read_record(run):
    return json.loads((run / "run.json").read_text())


def sample_ids(cohort):
    return np.load(cohort / "chromosome/sample_ids.npy")


def assert_same_results(run, other, names=RESULTS):
    for name in names:
        assert (run / name).read_bytes() == (other / name).read_bytes(), name
