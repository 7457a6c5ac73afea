"""The predictor: symmetries, order, refusals, several mutations, weights on disk. Small random weights throughout."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from copyfold.ddg.features.proteinmpnn import N_FEATURES, WEIGHTS, SiteEncodings, log_odds_of
from copyfold.ddg.predictor.calibration import ErrorModel
from copyfold.ddg.predictor.inputs import N_SEQUENCE_FEATURES, Standardisation
from copyfold.ddg.predictor.model import SiteModelConfig, SiteVAE
from copyfold.ddg.predictor.predictor import ADDITIVE, StabilityPredictor
from copyfold.ddg.predictor.weights import FOLDER, SitePredictor, load_weights, save_weights
from copyfold.ddg.sequences import AMINO_ACIDS
from copyfold.errors import InputError

from .chains import helix

SEQUENCE = "GSAEKLLAWFRQVMTNDYPHIC"


def random_predictor(n_features, n_profiles):
    config = SiteModelConfig(n_inputs=n_features, n_profiles=n_profiles, hidden=16, latent=4)
    scale = np.ones(n_features, dtype=np.float32)
    model = SiteVAE(config, torch.Generator().manual_seed(0))
    with torch.no_grad():
        model.profile_share.normal_(generator=torch.Generator().manual_seed(1))
    errors = ErrorModel(np.array([-0.2, 0.1, 0.1, 0.0, 0.1, 0.0]), 2.1)
    return SitePredictor(model.eval(), Standardisation(0 * scale, scale), 2.0, errors, 100.0, (10, 500))


@pytest.fixture(scope="module")
def predictor():
    made = StabilityPredictor(random_predictor(N_FEATURES, 2 * len(WEIGHTS)), random_predictor(N_SEQUENCE_FEATURES, 0))

    class Encoder:
        def encode(self, structure):
            features = np.random.default_rng(1).normal(size=(len(structure), N_FEATURES)).astype(np.float32)
            complete = np.isfinite(structure.backbone[:, :3]).all(axis=(1, 2))
            return SiteEncodings(features, log_odds_of(features), complete)

    made.__dict__["encoder"] = Encoder()
    return made


letters = st.sampled_from(AMINO_ACIDS)


@settings(max_examples=25, deadline=None)
@given(st.text(AMINO_ACIDS, min_size=12, max_size=20), st.integers(0, 11), letters, letters, letters)
def test_reverse_and_round_trip_mutations_of_a_sequence_cancel(predictor, sequence, place, first, second, third):
    def ddg(wild_type, mutant):
        if wild_type == mutant:
            return 0.0
        full = sequence[:place] + wild_type + sequence[place + 1 :]
        (found,) = predictor.predict(full, [f"{wild_type}{place + 1}{mutant}"])
        return found.ddg_kcal_mol

    assert ddg(first, second) == pytest.approx(-ddg(second, first), abs=1e-9)
    assert ddg(first, second) + ddg(second, third) + ddg(third, first) == pytest.approx(0.0, abs=1e-9)


def test_rows_come_in_the_order_given_and_refused_ones_stay(predictor):
    asked = ["A3V", "nonsense", "L3V", "E4K", "A3V"]
    found = predictor.predict(helix(SEQUENCE), asked)
    assert [one.mutation for one in found] == asked
    assert [one.in_domain is None for one in found] == [False, True, True, False, False]
    assert np.isnan(found[1].ddg_kcal_mol)
    assert np.isnan(found[2].sigma_kcal_mol)
    assert "nonsense" in found[1].reason
    assert "the residue there is A, not L" in found[2].reason
    assert found[0] == found[4]


def test_several_mutations_add_up_and_their_errors_in_squares(predictor):
    one, two, both = predictor.predict(helix(SEQUENCE), ["A3V", "Y18F", "A3V:Y18F"])
    assert both.ddg_kcal_mol == pytest.approx(one.ddg_kcal_mol + two.ddg_kcal_mol)
    assert both.sigma_kcal_mol == pytest.approx(np.hypot(one.sigma_kcal_mol, two.sigma_kcal_mol))
    assert both.reason == ADDITIVE
    (near,) = predictor.predict(helix(SEQUENCE), ["A3V:E4K"])
    assert "3.8 Å apart" in near.reason


def test_a_scan_holds_what_is_predicted_one_by_one(predictor):
    chain = helix(SEQUENCE)
    scan = predictor.scan(chain)
    assert scan.ddg.shape == (len(SEQUENCE), 20)
    assert np.isnan(scan.ddg).sum() == len(SEQUENCE)
    (found,) = predictor.predict(chain, ["W9A"])
    assert scan.ddg[8, 0] == found.ddg_kcal_mol
    assert scan.sigma[8, 0] == found.sigma_kcal_mol
    assert scan.site_means[8] == pytest.approx(np.nanmean(scan.ddg[8]))


def test_residues_without_backbone_and_unknown_ones_are_refused(predictor):
    chain = helix("GSXEKLLAWFRQVMTNDYPHIC")
    chain.backbone[4] = np.nan
    scan = predictor.scan(chain)
    assert np.isnan(scan.ddg[[2, 4]]).all()
    assert scan.reasons[2].startswith("refused")
    (found,) = predictor.predict(chain, ["K5A"])
    assert found.in_domain is None
    assert "backbone" in found.reason


def test_sites_and_chains_unlike_those_trained_on_are_out_of_domain(predictor):
    strict = StabilityPredictor(replace(predictor.structure, largest_distance=0.0), predictor.sequence)
    strict.__dict__["encoder"] = predictor.encoder
    (far,) = strict.predict(helix(SEQUENCE), ["A3V"])
    assert far.in_domain is False
    assert "unlike the sites trained on" in far.reason
    assert np.isfinite(far.ddg_kcal_mol)
    (short,) = predictor.predict("AEKLLAW", ["A1V"])
    assert short.in_domain is False
    assert "chain of 7 residues; trained on 10 to 500" in short.reason


def test_residues_that_a_model_is_unsure_of_are_out_of_domain_with_their_value(predictor):
    plddt = np.full(len(SEQUENCE), 95.0, dtype=np.float32)
    plddt[2], plddt[3], plddt[4] = 43.0, 69.9, 70.0
    chain = helix(SEQUENCE, plddt=plddt)
    chain.backbone[3] = np.nan
    scan = predictor.scan(chain)
    assert np.flatnonzero(~scan.in_domain).tolist() == [2, 3]
    assert scan.reasons[2] == "pLDDT 43, below 70: the model is unsure of this residue's place"
    assert scan.reasons[3].startswith("refused")
    assert "pLDDT" not in scan.reasons[3] + scan.reasons[4]
    sure = predictor.scan(helix(SEQUENCE, backbone=chain.backbone))
    np.testing.assert_array_equal(scan.ddg, sure.ddg)
    (one,) = predictor.predict(chain, ["A3V"])
    assert (one.in_domain, np.isfinite(one.ddg_kcal_mol)) == (False, True)
    assert "pLDDT 43" in one.reason


@pytest.mark.parametrize(("sequence", "message"), [("", "is empty"), ("MK-TA", "holds '-'"), ("MK1", "holds '1'")])
def test_an_impossible_sequence_is_refused(predictor, sequence, message):
    with pytest.raises(InputError, match=message):
        predictor.predict(sequence, ["M1A"])


def test_an_unknown_numbering_is_refused(predictor):
    with pytest.raises(InputError, match="must be one of pdb, sequence, ambler, bbl, dbl"):
        predictor.predict("MKTAYIAKQR", ["M1A"], numbering="uniprot")


def test_weights_come_back_as_saved_to_half_precision(tmp_path, predictor):
    features = np.random.default_rng(2).normal(size=(5, N_FEATURES)).astype(np.float32)
    save_weights(tmp_path / "x.pt", predictor.structure)
    loaded = load_weights(tmp_path / "x.pt")
    before, after = (one.potentials(features, log_odds_of(features)) for one in (predictor.structure, loaded))
    assert after == pytest.approx(before, abs=0.01)
    assert loaded.errors.factor_95 == 2.1
    assert loaded.chain_lengths == (10, 500)


def test_some_members_can_be_asked(predictor):
    features = np.random.default_rng(2).normal(size=(5, N_FEATURES)).astype(np.float32)
    each = predictor.structure.member_potentials(features, log_odds_of(features))
    some = predictor.structure.potentials(features, log_odds_of(features), np.array([0, 3]))
    assert np.array_equal(some, each[[0, 3]].mean(axis=0))


@pytest.mark.parametrize("content", [b"", b"not weights", None])
def test_damaged_weights_are_one_clear_error(tmp_path, content):
    path = tmp_path / "structure.pt"
    if content is None:
        torch.save({"format": "something else"}, path)
    else:
        path.write_bytes(content)
    with pytest.raises(InputError, match="not usable weights"):
        load_weights(path)


def test_weights_that_hold_a_pickle_are_refused(tmp_path):
    torch.save({"format": np.random.default_rng}, tmp_path / "x.pt")
    with pytest.raises(InputError, match="not usable weights"):
        load_weights(tmp_path / "x.pt")


def test_the_shipped_weights_are_small_and_know_that_a_buried_leucine_matters_more_than_an_exposed_lysine():
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 4_000_000
    predictor = StabilityPredictor.load()
    assert predictor.structure.model.config.n_members == 5
    ubiquitin = "MQIFVKTLTGKTITLEVEPSDTIENVKAKIQDKEGIPPDQQRLIFAGKQLEDGRTLSDYNIQKESTLHLVLRLRGG"
    scan = predictor.scan(ubiquitin)
    hydrophobic = [place for place, letter in enumerate(ubiquitin) if letter in "LIVF"]
    charged = [place for place, letter in enumerate(ubiquitin) if letter in "KEDR"]
    assert np.mean(scan.site_means[hydrophobic]) > np.mean(scan.site_means[charged])
