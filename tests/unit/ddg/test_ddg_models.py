"""The specialist VAE and its refiners: sizes of the documents, loss terms against torch, scaling, unknown features."""

import numpy as np
import pytest
import torch

from copyfold import DDGVAE
from copyfold.ddg.models.refiners import EmbeddingTransformer, MLPRefiner
from copyfold.ddg.models.variants import VARIANTS

SIZES = {"s669": (14, 64, 16, 2, 0.1), "protherm": (20, 128, 32, 2, 0.05), "wide": (14, 256, 64, 3, 0.15)}


def batch(rows=6, features=14, seed=0):
    return torch.randn(rows, features + 1, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", SIZES)
def test_variants_are_those_of_the_documents(name):
    features, hidden, latent, layers, dropout = SIZES[name]
    module = getattr(DDGVAE, f"create_{name}_variant")(use_hyperbolic=False)
    dense = [part for part in module.encoder if isinstance(part, torch.nn.Linear)]
    assert [(part.in_features, part.out_features) for part in dense] == [
        (features if layer == 0 else hidden, hidden) for layer in range(layers)
    ]
    assert {part.p for part in module.modules() if isinstance(part, torch.nn.Dropout)} == {dropout}
    assert sum(isinstance(part, torch.nn.SiLU) for part in module.encoder) == layers
    assert module.encode(batch(features=features)[:, :-1]).mean.shape == (6, latent)
    assert getattr(DDGVAE, f"create_{name}_variant")(use_hyperbolic=True).input_dim == features + 4


def test_hyper_parameters_are_those_of_the_documents():
    table = {name: (item.epochs, item.batch_size, item.lr, item.patience) for name, item in VARIANTS.items()}
    assert table == {"s669": (100, 32, 1e-4, 20), "protherm": (200, 16, 5e-5, 30), "wide": (50, 128, 1e-3, 10)}


def test_loss_terms_are_gaussian_likelihoods_and_the_kl_of_torch():
    module = DDGVAE.create_s669_variant()
    module.train(False)
    data = batch()
    terms = module.loss(data, None)
    mean, log_variance = module.encode(data[:, :-1])
    normal = torch.distributions.Normal(mean, torch.exp(0.5 * log_variance))
    kl = torch.distributions.kl_divergence(normal, torch.distributions.Normal(0.0, 1.0)).sum(dim=1).mean() / 14
    torch.testing.assert_close(terms.kl, kl)
    decoded = torch.distributions.Normal(module.decode(mean), 1.0)
    constant = 0.5 * float(np.log(2 * np.pi))
    torch.testing.assert_close(terms.reconstruction, -decoded.log_prob(data[:, :-1]).mean() - constant)
    predicted = torch.distributions.Normal(module.predict_from_latent(mean), 1.0)
    torch.testing.assert_close(terms.auxiliary["ddg"], -predicted.log_prob(data[:, -1]).mean() - constant)


@torch.no_grad()
def test_the_latent_is_drawn_in_training_and_not_in_validation():
    module = DDGVAE.create_s669_variant()
    module.train(False)
    data = batch()
    drawn = [float(module.loss(data, torch.Generator().manual_seed(seed)).reconstruction) for seed in (0, 1)]
    assert drawn[0] != drawn[1]
    assert float(module.loss(data, None).reconstruction) == float(module.loss(data, None).reconstruction)


def test_units_of_features_and_of_ddg_do_not_matter():
    """The same data in other units give the same loss, and predictions in those units."""
    data = batch(rows=50)
    module = DDGVAE.create_s669_variant()
    module.train(False)
    module.set_scaling(data[:, :-1], data[:, -1])
    before, predicted = module.loss(data, None), module(data[:, :-1])
    other = data * 4.0 + 7.0
    module.set_scaling(other[:, :-1], other[:, -1])
    after = module.loss(other, None)
    torch.testing.assert_close(after.reconstruction, before.reconstruction, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(after.auxiliary["ddg"], before.auxiliary["ddg"], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(module(other[:, :-1]), predicted * 4.0 + 7.0, rtol=1e-3, atol=1e-3)


def test_an_unknown_feature_stands_at_its_mean_and_is_not_reconstructed():
    data = batch(rows=40, features=20)
    module = DDGVAE.create_protherm_variant()
    module.train(False)
    module.set_scaling(data[:, :-1], data[:, -1])
    known, unknown = data[:4].clone(), data[:4].clone()
    known[:, 17] = module.feature_mean[17]
    unknown[:, 17] = torch.nan
    torch.testing.assert_close(module(unknown[:, :-1]), module(known[:, :-1]))
    assert torch.isfinite(module.loss(unknown, None).reconstruction)
    gradient = torch.autograd.grad(module.loss(unknown, None).reconstruction, module.head.weight)[0]
    assert torch.isfinite(gradient).all()
    holes = data.clone()
    holes[::2, 3] = torch.nan
    module.set_scaling(holes[:, :-1], holes[:, -1])
    torch.testing.assert_close(module.feature_mean[3], data[1::2, 3].mean())


def test_a_constant_feature_does_not_divide_by_nothing():
    data = batch(rows=30)
    data[:, 5] = 1.0
    module = DDGVAE.create_s669_variant()
    module.set_scaling(data[:, :-1], data[:, -1])
    assert float(module.feature_scale[5]) == 1.0
    assert torch.isfinite(module.loss(data, None).reconstruction)


@pytest.mark.parametrize("kind", [MLPRefiner, EmbeddingTransformer])
@torch.no_grad()
def test_a_refiner_adds_its_weighted_delta_to_the_prediction(kind):
    refiner = kind(32)
    refiner.train(False)
    latent, predicted = torch.randn(5, 32), torch.randn(5)
    refiner.set_scaling(torch.randn(40, 32), torch.randn(40) * 3)
    delta = refiner.delta(refiner.standardise(latent))
    torch.testing.assert_close(
        refiner(latent, predicted), predicted + refiner.residual_weight * refiner.ddg_scale * delta
    )
    refiner.residual_weight.zero_()
    torch.testing.assert_close(refiner(latent, predicted), predicted)
    assert refiner.residual_weight.requires_grad
    terms = refiner.loss(torch.cat([latent, predicted[:, None], predicted[:, None] + 1], dim=1), None)
    assert float(terms.reconstruction) == pytest.approx(0.5 / float(refiner.ddg_scale) ** 2, rel=1e-5)
    assert terms.kl is None


def test_sizes_of_the_refiners_are_those_of_the_documents():
    mlp, transformer = MLPRefiner(32), EmbeddingTransformer(32)
    assert [block.dense[1].out_features for block in mlp.network[:-1]] == [64, 64, 32]
    assert (len(transformer.layers), transformer.layers[0].self_attn.num_heads) == (2, 4)
    assert transformer.layers[0].self_attn.embed_dim == 32


def test_attention_is_a_share_of_the_dimensions_and_finds_the_one_that_matters():
    """A dimension whose key is what the query looks for takes the attention."""
    refiner = EmbeddingTransformer(32)
    refiner.train(False)
    latent = torch.randn(10, 32)
    weights = refiner.attention(latent)
    assert weights.shape == (2, 32)
    assert (weights > 0).all()
    assert (weights.sum(dim=1) < 1).all()
    with torch.no_grad():
        attention = refiner.layers[0].self_attn
        attention.in_proj_weight[:64] = torch.eye(32).repeat(2, 1) * 3
        attention.in_proj_bias.zero_()
        refiner.value.zero_()
        refiner.dimension.copy_(torch.randn(32, 32) * 0.01)
        refiner.dimension[7] = refiner.query[0]
    assert int(refiner.attention(latent)[0].argmax()) == 7
