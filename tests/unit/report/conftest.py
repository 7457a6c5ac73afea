"""Results of a run of 60 isolates in which nothing is wrong, to be spoilt by tests."""

import numpy as np
import pandas as pd
import pytest

from copyfold.cnv.coordinates import Gene
from copyfold.cnv.store import Contigs
from copyfold.report.cnv.results import CnvResults, GeneResult, SegmentCounts

N_SAMPLES, N_BINS = 60, 100
PLACE = Gene("blaSHV", "chr1", 50_100, 51_000)
STAGES = ("train", "infer", "segment", "call", "evaluate")
CONFIG = {
    "architecture": "06_conv_vae",
    "epochs": 150,
    "patience": 20,
    "warmup_epochs": 20,
    "cnv_pattern_warmup": 30,
    "cnv_min_confidence": 0.5,
    "cnv_crr_amp_threshold": 1.75,
    "pcn_amp_threshold": 1.5,
}


@pytest.fixture
def contigs():
    start = np.arange(N_BINS, dtype=np.int64) * 1000
    return Contigs(np.full(N_BINS, "chr1"), start, start + 1000)


@pytest.fixture
def results(contigs):
    rng = np.random.default_rng(1)
    cn = np.where(np.arange(N_SAMPLES) < 3, 2, 1)
    shv = GeneResult("blaSHV", "CRR", cn, np.where(cn == 2, 4.0, 1.0), 1.75, PLACE, raw_level=1.0)
    kpc = GeneResult("blaKPC", "PCN", np.where(cn == 2, 0, 1), np.where(cn == 2, 0.01, 1.0), 1.5)
    trained = {"status": "done", "best_epoch": 90, "epochs_run": 110}
    stages = {name: {"status": "done", "seconds": 1.0} for name in STAGES} | {"train": trained}
    log = pd.DataFrame({"epoch": [1, 2], "train_reconstruction": [2.0, 1.0], "val_reconstruction": [2.5, 1.5]})
    return CnvResults(
        name="run",
        record={"config": CONFIG, "stages": stages, "status": "complete"},
        sample_ids=np.array([f"S{i:02d}" for i in range(N_SAMPLES)]),
        lineages=np.array([f"ST{i % 4}" for i in range(N_SAMPLES)]),
        medians=np.full(N_SAMPLES, 100.0) + np.arange(N_SAMPLES),
        genes=(shv, kpc),
        latents=rng.normal(size=(N_SAMPLES, 5)),
        noise=np.full(N_SAMPLES, 0.12),
        contigs=contigs,
        segments=SegmentCounts(np.zeros(N_BINS, int), np.zeros(N_BINS, int), np.full(N_SAMPLES, 12)),
        training_log=log,
    )
