"""The conv-VAE's parts against other libraries, and what the two architectures learn."""

import numpy as np
import pytest
import torch

from copyfold.cnv.models.conv_vae import (
    PATTERN_WINDOW,
    ConvVAE,
    ConvVaeArchitecture,
    gain_loss_patterns,
    linear_cka,
)
from copyfold.cnv.models.count_model import CountModelArchitecture
from copyfold.cnv.models.pca_baseline import PcaBaseline, clip_residuals
from copyfold.cnv.normalise import log_depth
from copyfold.errors import InputError
from copyfold.testing import ArchitectureContract, lineage_depths, small_config


@pytest.mark.parametrize("n_bins", [1, 31, 32, 33, 150, 5334])
def test_any_number_of_bins_goes_in_and_comes_out(n_bins):
    module = ConvVAE(n_bins, 10)
    reconstruction, latent = module.reconstruct(torch.rand(2, n_bins))
    assert reconstruction.shape == (2, n_bins)
    assert latent.shape == (2, 10)


def test_the_encoder_and_decoder_are_the_documents_three_convolutions_and_a_dense_head():
    module = ConvVAE(5334, 10)
    kinds = [type(layer).__name__ for layer in module.modules()]
    assert kinds.count("StridedConv") == kinds.count("StridedConvTranspose") == 3
    assert module.head.out_features == 2 * 10
    assert module.padding == 5344 - 5334


def test_an_untrained_decoder_starts_from_the_cohorts_profile():
    module = ConvVAE(100, 4)
    profile = torch.linspace(0, 2, 100)
    module.set_baseline(profile)
    for parameters in module.decoder.parameters():
        torch.nn.init.zeros_(parameters)
    torch.testing.assert_close(module.decode(torch.randn(3, 4)), profile.expand(3, 100))


def test_alignment_is_the_feature_space_form_of_linear_cka():
    rng = np.random.default_rng(0)
    latent, patterns = rng.normal(size=(60, 4)), rng.normal(size=(60, 9))
    patterns[:, :3] += latent[:, :3]
    x, y = latent - latent.mean(axis=0), patterns - patterns.mean(axis=0)
    expected = np.linalg.norm(y.T @ x) ** 2 / (np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y))
    found = linear_cka(torch.from_numpy(latent), torch.from_numpy(patterns))
    assert float(found) == pytest.approx(expected, rel=1e-6)


def test_alignment_is_one_for_the_same_geometry_and_zero_for_a_constant():
    patterns = torch.randn(50, 6, generator=torch.Generator().manual_seed(0))
    rotation, _ = torch.linalg.qr(torch.randn(6, 6, generator=torch.Generator().manual_seed(1)))
    assert float(linear_cka(3.0 * patterns @ rotation + 5.0, patterns)) == pytest.approx(1.0, abs=1e-5)
    assert float(linear_cka(torch.zeros(50, 3), patterns)) == 0.0
    assert float(linear_cka(torch.ones(1, 3), patterns[:1])) == 0.0


def test_gradients_of_the_alignment_are_those_of_finite_differences():
    draw = torch.Generator().manual_seed(2)
    left, right = (torch.randn(7, width, generator=draw, dtype=torch.float64, requires_grad=True) for width in (3, 5))
    assert torch.autograd.gradcheck(linear_cka, (left, right))


def test_a_latent_that_is_depth_alone_is_not_aligned():
    """Patterns are of depth over the sample's median, so depth cannot buy any alignment; over one median it could."""
    rng = np.random.default_rng(0)
    n_samples, n_windows = 300, 20
    copies = rng.choice([0.0, 1.0, 2.0], (n_samples, n_windows), p=[0.05, 0.9, 0.05]).repeat(PATTERN_WINDOW, axis=1)
    depth = rng.lognormal(6, 0.7, (n_samples, 1))
    counts = rng.poisson(depth * copies)

    def alignment_of_depth(medians):
        profiles = torch.from_numpy(log_depth(counts, medians))
        patterns = gain_loss_patterns(profiles - profiles.median(dim=0).values)
        return float(linear_cka(torch.from_numpy(np.log(depth).astype(np.float32)), patterns))

    assert alignment_of_depth(np.median(counts, axis=1)) < 0.05
    assert alignment_of_depth(np.full(n_samples, np.exp(6.0))) > 0.5


def test_patterns_ignore_small_deviations_and_keep_gains_and_losses():
    deviations = torch.full((1, 3 * PATTERN_WINDOW), 0.2)
    deviations[0, :PATTERN_WINDOW] = -1.0
    assert gain_loss_patterns(deviations)[0].tolist() == [-0.75, 0.0, 0.0]
    assert gain_loss_patterns(torch.zeros(2, 2 * PATTERN_WINDOW + 1)).shape == (2, 3)


def rare_amplification():
    depths = lineage_depths()
    depths.counts[5, 130:140] = 1000
    return depths


def test_pca_does_not_learn_a_rare_amplification(tmp_path):
    class Contract(ArchitectureContract):
        implementation = PcaBaseline

    fitted = Contract()._fitted(tmp_path)
    inferred = fitted.infer(rare_amplification())
    np.testing.assert_allclose(inferred.expected[5, 130:140], 200, rtol=0.15)
    lost = fitted.infer(lineage_depths(3)).expected[0, :20]
    assert lost.max() < 15, "a lineage's absence is learnt"


def test_clipping_leaves_small_residuals_alone():
    residuals = np.r_[np.linspace(-1, 1, 99), 50.0][None].astype(np.float32)
    clipped = clip_residuals(residuals)
    np.testing.assert_array_equal(clipped[0, :99], residuals[0, :99])
    assert 2 < clipped[0, 99] < 3


@pytest.mark.parametrize("architecture", [ConvVaeArchitecture, PcaBaseline, CountModelArchitecture])
def test_weights_of_another_geometry_are_refused(tmp_path, architecture):
    class Contract(ArchitectureContract):
        implementation = architecture

    Contract()._fitted(tmp_path)
    other = architecture(range(99), small_config(tmp_path / "store"))
    with pytest.raises(InputError, match="do not fit this architecture"):
        other.load(tmp_path / "checkpoint.pth", torch.device("cpu"))
