"""The site ensemble learns a law it is shown, and no member sees its fold."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from copyfold.ddg.predictor.calibration import ErrorModel, error_terms, fit_error_model
from copyfold.ddg.predictor.inputs import N_SEQUENCE_FEATURES, fit_standardisation, sequence_features
from copyfold.ddg.predictor.model import SiteModelConfig
from copyfold.ddg.predictor.training import TrainingSites, balanced_folds, group_by_site, train_ensemble

CONFIG = SiteModelConfig(
    n_inputs=6, n_profiles=1, n_folds=2, n_repeats=1, hidden=32, latent=8, dropout=0.0, input_noise=0.0, beta=1e-4,
    learning_rate=5e-3, batch_size=64, epochs=60,
)  # fmt: skip


def quiet(done, note=""):
    pass


def made(n=600, seed=0):
    """Potentials linear in the inputs; half of the rows from a source whose values are half as large."""
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(n, 6)).astype(np.float32)
    potentials = inputs @ rng.normal(size=(6, 20)) * 0.7
    profiles = (-potentials + rng.normal(size=(n, 20))).astype(np.float32)
    wild_type = rng.integers(0, 20, n)
    source = np.arange(n) % 2
    ddg = potentials - potentials[np.arange(n), wild_type][:, None]
    ddg = ddg * np.where(source == 1, 0.5, 1.0)[:, None]
    measured = rng.random((n, 20)) < 0.5
    fold = np.arange(n) // 2 % 2
    return potentials, TrainingSites(inputs, profiles, wild_type, ddg.astype(np.float32), measured, source, fold)


@pytest.fixture(scope="module")
def trained():
    potentials, sites = made()
    model, scales = train_ensemble(sites, CONFIG, (1.0, 1.0), 42, quiet)
    return potentials, sites, model, scales


def test_potentials_of_unseen_sites_and_the_sources_scale_are_found(trained):
    potentials, sites, model, scales = trained
    with torch.no_grad():
        found = model(torch.from_numpy(sites.inputs), torch.from_numpy(sites.profiles)).numpy()
    unseen = np.where((sites.fold == 0)[:, None], found[0], found[1])  # member 0 leaves fold 0 out
    mean = scales.mean(axis=0)
    assert mean[0] == 1.0
    assert mean[1] == pytest.approx(0.5, abs=0.08)
    centred = potentials - potentials.mean(axis=1, keepdims=True)
    unseen = unseen - unseen.mean(axis=1, keepdims=True)
    assert np.corrcoef(unseen.ravel(), centred.ravel())[0, 1] > 0.95
    assert np.polyfit(unseen.ravel(), centred.ravel(), 1)[0] == pytest.approx(1.0, abs=0.1)


def test_what_stands_in_a_members_fold_does_not_change_it():
    _, sites = made(120)
    config = replace(CONFIG, epochs=2)
    spoiled = replace(sites, ddg=np.where((sites.fold == 0)[:, None], 99.0, sites.ddg).astype(np.float32))
    first, second = (train_ensemble(one, config, (1.0, 1.0), 42, quiet)[0] for one in (sites, spoiled))
    weights = first.potential.weight.numpy(), second.potential.weight.numpy()
    assert np.array_equal(weights[0][0], weights[1][0])
    assert not np.array_equal(weights[0][1], weights[1][1])


def test_a_source_of_weight_0_is_not_trained_on():
    _, sites = made(120)
    config = replace(CONFIG, epochs=2)
    spoiled = replace(sites, ddg=np.where((sites.source == 1)[:, None], 99.0, sites.ddg).astype(np.float32))
    first, second = (train_ensemble(one, config, (1.0, 0.0), 42, quiet)[0] for one in (sites, spoiled))
    assert np.array_equal(first.potential.weight.numpy(), second.potential.weight.numpy())


def test_rows_of_one_site_come_together_and_repeats_are_averaged():
    sites, ddg, measured = group_by_site(np.array([7, 3, 7, 7]), np.array([0, 5, 0, 2]), np.array([1.0, 2.0, 3.0, 4.0]))
    assert sites.tolist() == [3, 7]
    assert ddg[1, 0] == 2.0
    assert np.argwhere(measured).tolist() == [[0, 5], [1, 0], [1, 2]]


def test_folds_keep_clusters_whole_and_weights_even():
    rng = np.random.default_rng(0)
    cluster = rng.integers(0, 60, 2000)
    weight = rng.random(2000)
    fold = balanced_folds(cluster, weight, 5)
    assert all(len(np.unique(fold[cluster == one])) == 1 for one in np.unique(cluster))
    assert np.bincount(fold, weight).std() < 0.05 * weight.sum() / 5


def test_the_error_model_finds_a_stated_law_and_covers_as_it_says():
    rng = np.random.default_rng(0)
    ddg, spread, length = rng.normal(size=20000), rng.uniform(0.3, 1.5, 20000), rng.integers(40, 300, 20000)
    terms = error_terms(ddg, spread, length)
    law = np.array([-0.5, 0.2, 0.0, 0.3, 0.2, 0.1])
    error = rng.normal(size=20000) * np.exp(terms @ law)
    model = fit_error_model(terms[:10000], error[:10000], np.ones(10000))
    sigma = model.sigma(terms[10000:])
    assert np.abs(sigma / np.exp(terms[10000:] @ law) - 1).mean() < 0.03
    ratio = np.abs(error[10000:]) / sigma
    assert np.mean(ratio < 1) == pytest.approx(0.683, abs=0.02)
    assert np.mean(ratio < model.factor_95) == pytest.approx(0.95, abs=0.01)


def test_an_error_model_takes_rows_by_their_weight():
    rng = np.random.default_rng(1)
    terms = error_terms(np.zeros(4000), np.ones(4000), 100)
    error = rng.normal(size=4000) * np.repeat([1.0, 3.0], 2000)
    wide, narrow = (
        fit_error_model(terms, error, np.repeat(weight, 2000)).sigma(terms)[0] for weight in ((0.01, 1.0), (1.0, 0.01))
    )
    assert wide == pytest.approx(3.0, rel=0.1)
    assert narrow == pytest.approx(1.0, rel=0.1)


def test_sigma_is_what_the_coefficients_say():
    model = ErrorModel(np.array([np.log(0.8), 0.0, 0.0, 0.0, 0.0, 0.0]), 2.0)
    assert model.sigma(error_terms(np.zeros((3, 20)), np.ones((3, 1)), 70)) == pytest.approx(0.8)


def test_inputs_have_mean_0_and_variance_1_over_the_training_sites():
    features = np.random.default_rng(0).normal(3.0, 5.0, size=(300, 12))
    inputs = fit_standardisation(features)(features)
    assert inputs.dtype == np.float32
    assert inputs.mean(axis=0) == pytest.approx(0.0, abs=1e-5)
    assert inputs.std(axis=0) == pytest.approx(1.0, abs=1e-5)


def test_features_of_a_sequence_describe_the_surroundings_only():
    first, second = sequence_features("MKTAYIAKQRQISFVKSHFS"), sequence_features("MKTAYIAKWRQISFVKSHFS")
    assert first.shape == (20, N_SEQUENCE_FEATURES)
    assert np.array_equal(first[8], second[8])
    assert all(not np.array_equal(first[place], second[place]) for place in range(20) if place != 8)
