"""The built-in modules keep the contracts that plug-ins are held to."""

from copyfold.cnv.models.conv_vae import ConvVaeArchitecture
from copyfold.cnv.models.pca_baseline import PcaBaseline
from copyfold.cnv.segmentation import GaussianSegmenter
from copyfold.testing import ArchitectureContract, SegmenterContract


class TestConvVae(ArchitectureContract):
    implementation = ConvVaeArchitecture


class TestPcaBaseline(ArchitectureContract):
    implementation = PcaBaseline


class TestGaussianSegmenter(SegmenterContract):
    implementation = GaussianSegmenter


class TestGaussianSegmenterWithLearntMeans(SegmenterContract):
    implementation = GaussianSegmenter
    config_changes = {"hmm_learn_means": True}  # noqa: RUF012 -- a class attribute of the contract
