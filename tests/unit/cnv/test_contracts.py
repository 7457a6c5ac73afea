"""The built-in modules keep the contracts that plug-ins are held to."""

import numpy as np
import torch

from copyfold.cnv.bin_table import BinTable
from copyfold.cnv.count_segmenter import CountSegmenter
from copyfold.cnv.models.architecture import Depths, FitSession
from copyfold.cnv.models.conv_vae import ConvVaeArchitecture
from copyfold.cnv.models.count_model import CountModelArchitecture
from copyfold.cnv.models.pca_baseline import PcaBaseline
from copyfold.cnv.segmentation import GaussianSegmenter
from copyfold.core.console import Console
from copyfold.testing import ArchitectureContract, SegmenterContract, small_config


class TestConvVae(ArchitectureContract):
    implementation = ConvVaeArchitecture


class TestPcaBaseline(ArchitectureContract):
    implementation = PcaBaseline


class TestCountModel(ArchitectureContract):
    implementation = CountModelArchitecture


class TestGaussianSegmenter(SegmenterContract):
    implementation = GaussianSegmenter


class TestGaussianSegmenterWithLearntMeans(SegmenterContract):
    implementation = GaussianSegmenter
    config_changes = {"hmm_learn_means": True}  # noqa: RUF012 -- a class attribute of the contract


class TestCountSegmenter(SegmenterContract):
    implementation = CountSegmenter

    def write_checkpoint(self, path, bins: BinTable):
        """A model of ten isolates with one copy of everything and no noise: it says the same of every bin."""
        config = small_config(path.parent / "store")
        counts = np.full((10, len(bins)), 200)
        paths = {"checkpoint": path, "last": path.parent / "last.pth", "log": path.parent / "log.tsv"}
        session = FitSession(**paths, device=torch.device("cpu"), resume=False, console=Console(quiet=True))
        CountModelArchitecture(bins, config).fit(Depths(counts, np.full(10, 200.0)), session)
