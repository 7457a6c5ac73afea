"""Cohorts agree with their truth, and the truth with a per-base oracle."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from copyfold.cnv.simulation import hs11286_geometry, mapped_shares, preset, simulate, true_copies
from copyfold.cnv.simulation.cohort import SimulatedCohort
from copyfold.cnv.simulation.counting import gc_response, negative_binomial, smooth_wave
from copyfold.cnv.simulation.events import mean_copies
from copyfold.cnv.simulation.geometry import gc_profile, replication_profile
from copyfold.cnv.simulation.isolates import cohort_background, draw_isolate
from copyfold.cnv.simulation.plasmids import FAMILIES, GENES, PANEL, READ_SPLIT, SPLIT, column_weights
from copyfold.cnv.simulation.settings import SimulationSettings, changed
from copyfold.errors import ConfigError

PLAIN_BIAS = {
    "log2_ori_ter": (0.0, 0.0),
    "gc_slope_batch_sd": 0.0,
    "gc_slope_sd": 0.0,
    "gc_curvature_mean": 0.0,
    "gc_curvature_sd": 0.0,
    "bin_sd": 0.0,
    "stray_share": 0.0,
}


def plain(**sections: dict) -> SimulationSettings:
    """Easy settings without any bias, batch or failure, so that the mean is depth × mappability × copies."""
    base = {
        "bias": PLAIN_BIAS,
        "batches": {"smooth_sd": 0.0, "bin_sd": 0.0},
        "quality": {"failed_rate": 0.0},
        "lineages": {"divergent_bin_share": 0.0},
    }
    for section, values in sections.items():
        base[section] = {**base.get(section, {}), **values}
    return changed(preset("easy"), **base)


@pytest.fixture(scope="module")
def easy() -> SimulatedCohort:
    return simulate(preset("easy"), 200, seed=7)


@pytest.fixture(scope="module")
def hard() -> SimulatedCohort:
    return simulate(preset("hard"), 200, seed=7)


def test_same_arguments_same_bits_and_other_seed_other_bits() -> None:
    geometry = hs11286_geometry(300)
    one, two, other = (simulate(preset("hard"), 20, seed, geometry) for seed in (3, 3, 4))
    assert np.array_equal(one.counts, two.counts)
    assert np.array_equal(one.plasmid_counts, two.plasmid_counts)
    pd.testing.assert_frame_equal(one.samples, two.samples)
    pd.testing.assert_frame_equal(one.events, two.events)
    pd.testing.assert_frame_equal(one.genes, two.genes)
    assert (one.counts != other.counts).mean() > 0.5


def test_an_isolate_is_the_same_in_a_larger_cohort() -> None:
    geometry = hs11286_geometry(300)
    small, large = (simulate(preset("hard"), n, 3, geometry) for n in (10, 30))
    assert np.array_equal(small.counts, large.counts[:10])
    assert np.array_equal(small.plasmid_counts, large.plasmid_counts[:10])


def test_mean_copies_equals_counting_every_base() -> None:
    rng = np.random.default_rng(0)
    start = np.arange(0, 990, 37)
    end = np.minimum(start + 37, 990)
    for _ in range(50):
        n = int(rng.integers(0, 8))
        x0 = rng.integers(0, 980, n)
        x1 = x0 + rng.integers(1, 300, n)
        copies = rng.choice([0.0, 1.5, 2.0, 7.0], n)
        per_base = np.ones(1300)
        for a, b, c in zip(x0, x1, copies, strict=True):
            per_base[a:b] *= c
        oracle = [per_base[a:b].mean() for a, b in zip(start, end, strict=True)]
        np.testing.assert_allclose(mean_copies(start, end, x0, x1, copies), oracle, rtol=1e-12, atol=1e-12)


def test_true_copies_equal_counting_every_base_of_a_tiny_genome() -> None:
    geometry = hs11286_geometry(60)
    settings = changed(
        preset("hard"),
        events={"amplifications": 3.0, "deletions": 2.0},
        lineages={"islands_per_mb": 100.0},
        gene={"amplification_rate": 0.5},
    )
    cohort = simulate(settings, 15, 1, geometry)
    per_base = np.ones((15, geometry.length))
    rows = {sample: row for row, sample in enumerate(cohort.sample_ids)}
    for event in cohort.events.itertuples():
        per_base[rows[event.sample_id], event.x0 : event.x1] *= event.copies
    bins = zip(cohort.contigs.start, cohort.contigs.end, strict=True)
    oracle = np.stack([per_base[:, a:b].mean(axis=1) for a, b in bins], axis=1)
    np.testing.assert_allclose(true_copies(cohort), oracle, rtol=1e-5, atol=1e-6)
    gene = geometry.panel[0]
    np.testing.assert_allclose(cohort.genes["blaSHV"], per_base[:, gene.start : gene.end].mean(axis=1), rtol=1e-9)
    fractional = (oracle != np.rint(oracle)).mean()
    assert 0.01 < fractional < 0.6


def test_counts_stand_at_the_true_copies_within_their_own_error() -> None:
    cohort = simulate(plain(events={"amplifications": 2.0}), 60, 11)
    copies = true_copies(cohort)
    depth = cohort.samples["depth"].to_numpy()[:, None]
    dispersion = cohort.samples["dispersion"].to_numpy()[:, None]
    width = (cohort.contigs.end - cohort.contigs.start) / 1000
    single = depth * width * cohort.geometry.mappability
    for low, high in ((1.2, 1.8), (1.95, 2.05), (2.5, 12.5)):
        chosen = (copies > low) & (copies < high) & (single > 0)
        mean = (single * copies)[chosen]
        variance = mean + np.broadcast_to(dispersion, copies.shape)[chosen] * mean**2
        excess = (cohort.counts[chosen] - mean).sum()
        assert chosen.sum() > 100
        assert abs(excess) < 4.5 * np.sqrt(variance.sum())
    assert cohort.counts[copies == 0].max() == 0


def test_diverged_bins_show_the_reads_of_their_mapped_share() -> None:
    lineages = {"divergent_bin_share": 0.2, "divergent_factor": (0.4, 0.9), "singleton_rate": 0.5}
    cohort = simulate(plain(lineages=lineages), 40, 12)
    shares, copies = mapped_shares(cohort), true_copies(cohort)
    depth = cohort.samples["depth"].to_numpy()[:, None]
    dispersion = cohort.samples["dispersion"].to_numpy()[:, None]
    width = (cohort.contigs.end - cohort.contigs.start) / 1000
    single = depth * width * cohort.geometry.mappability
    for low, high in ((0.39, 0.5), (0.5, 0.7), (0.7, 0.9), (0.999, 1.001)):
        chosen = (copies > 0) & (single > 0) & (shares > low) & (shares < high)
        mean = (single * copies * shares)[chosen]
        variance = mean + np.broadcast_to(dispersion, copies.shape)[chosen] * mean**2
        assert chosen.sum() > 1000
        assert abs((cohort.counts[chosen] - mean).sum()) < 4.5 * np.sqrt(variance.sum())
    names = cohort.samples["ST"].to_numpy()
    same = names[:, None] == names
    assert (np.abs(shares[:, None] - shares).max(axis=2) == 0)[same].all()
    assert len(np.unique(shares, axis=0)) == len(np.unique(names))


def test_counts_follow_the_negative_binomial() -> None:
    mean, dispersion = 45.0, 0.03
    counts = negative_binomial(np.random.default_rng(5), np.full(200_000, mean), dispersion)
    reference = stats.nbinom(1 / dispersion, 1 / (1 + dispersion * mean))
    assert counts.dtype == np.uint32
    assert counts.mean() == pytest.approx(reference.mean(), rel=0.005)
    assert counts.var() == pytest.approx(reference.var(), rel=0.02)
    points = np.arange(20, 90, 5)
    empirical = (counts[:, None] <= points).mean(axis=0)
    np.testing.assert_allclose(empirical, reference.cdf(points), atol=0.006)


def test_replication_gradient_is_recovered_by_regression() -> None:
    cohort = simulate(plain(bias={**PLAIN_BIAS, "log2_ori_ter": (0.2, 1.0)}), 8, 2)
    geometry = cohort.geometry
    good = (geometry.mappability == 1) & (true_copies(cohort) == 1).all(axis=0)
    for row, truth in enumerate(cohort.samples["log2_ori_ter"]):
        fit = stats.linregress(geometry.replication[good], np.log2(cohort.counts[row, good]))
        assert fit.slope == pytest.approx(truth, abs=4.5 * fit.stderr + 0.005)


def test_gc_response_is_recovered_by_regression() -> None:
    bias = {**PLAIN_BIAS, "gc_slope_sd": 3.0, "gc_curvature_mean": -10.0}
    cohort = simulate(plain(bias=bias), 5, 2)
    geometry = cohort.geometry
    good = (geometry.mappability == 1) & (true_copies(cohort) == 1).all(axis=0)
    shifted = geometry.gc[good] - 0.583
    design = np.stack([np.ones(good.sum()), shifted, shifted**2], axis=1)
    for row in range(5):
        fit = np.linalg.lstsq(design, np.log2(cohort.counts[row, good]), rcond=None)[0]
        assert fit[1] == pytest.approx(cohort.samples["gc_slope"][row], abs=0.2)
        assert fit[2] == pytest.approx(cohort.samples["gc_curvature"][row], abs=2.0)


def test_plasmid_columns_show_the_true_copy_number() -> None:
    settings = plain(plasmids={"stray_copies": (0.0, 0.0), "shv_bleed_rate": 0.0})
    cohort = simulate(settings, 300, 4, hs11286_geometry(40))
    depth = cohort.samples["depth"].to_numpy()
    for family in FAMILIES:
        members = [column for column, gene in enumerate(PANEL) if gene.family == family]
        seen = cohort.plasmid_counts[:, members].sum(axis=1) / depth
        truth = cohort.genes[f"pcn_{family}"].to_numpy()
        present = truth > 0
        assert 10 < present.sum() < 290
        assert seen[~present].max() == 0
        assert np.median(seen[present] / truth[present]) == pytest.approx(1.0, abs=0.03)
        assert np.abs(seen[present] / truth[present] - 1).mean() < 0.1


def test_blashv_reads_bleed_onto_blactxm_columns() -> None:
    plasmids = {"stray_copies": (0.0, 0.0), "shv_bleed_rate": 0.3, "shv_bleed_share": (0.12, 0.12)}
    cohort = simulate(plain(plasmids=plasmids), 400, 4, hs11286_geometry(40))
    columns = [column for column, gene in enumerate(PANEL) if gene.family == "blaCTX-M"]
    depth = cohort.samples["depth"].to_numpy() * cohort.genes["blaSHV"].to_numpy()
    lacking = (cohort.genes["pcn_blaCTX-M"].to_numpy() == 0) & (depth > 0)
    seen = cohort.plasmid_counts[lacking][:, columns].sum(axis=1) / depth[lacking]
    assert 0.2 < (seen > 0).mean() < 0.4
    assert np.median(seen[seen > 0]) == pytest.approx(0.12, abs=0.012)


def test_panel_is_the_published_one_and_reads_are_conserved() -> None:
    np.testing.assert_allclose(SPLIT.sum(axis=1), 1.0)
    assert set(READ_SPLIT) <= set(GENES)
    family = {gene.name: gene.family for gene in PANEL}
    assert all(family[a] == family[b] for a, row in READ_SPLIT.items() for b in row)
    column, weight = column_weights()
    np.testing.assert_allclose(np.bincount(column, weights=weight), 1.0)
    published = Path(__file__).parents[4] / "shared/data/cnv/published/coords/plasmid_gene_coords.docs03.tsv"
    if not published.exists():
        pytest.skip("the published coordinates are not beside this checkout")
    table = pd.read_csv(published, sep="\t")
    assert table["gene"].tolist() == list(GENES)
    assert table["start"].tolist() == [gene.x0 + 1 for gene in PANEL]
    assert table["end"].tolist() == [gene.x1 for gene in PANEL]
    assert table["contig"].tolist() == [gene.contig for gene in PANEL]
    assert table["absent_threshold"].tolist() == [gene.absent_threshold for gene in PANEL]


def test_default_geometry_is_hs11286_sized() -> None:
    geometry = hs11286_geometry()
    assert len(geometry.contigs) == 5334
    assert geometry.length == 5_333_942
    assert geometry.contigs.end[-1] - geometry.contigs.start[-1] == 942
    gene = geometry.panel[0]
    assert (gene.start + 1, gene.end) == (2_549_403, 2_550_263)
    assert abs((geometry.mappability < 0.5).sum() - 67) <= 2
    assert (geometry.mappability == 0).sum() == 11
    assert (geometry.mappability[2544:2556] == 1).all()
    assert 0.565 < geometry.gc.mean() < 0.59
    assert 0.045 < geometry.gc.std() < 0.065


def test_gc_profile_has_the_measured_autocorrelation() -> None:
    gc = gc_profile(200_000, np.random.default_rng(1))
    centred = gc - gc.mean()
    for lag, measured in ((1, 0.55), (3, 0.30), (10, 0.15)):
        assert (centred[lag:] * centred[:-lag]).mean() / gc.var() == pytest.approx(measured, abs=0.06)


def test_replication_profile_on_the_circle() -> None:
    profile = replication_profile(np.array([10.0, 35.0, 60.0, 85.0]), 100, 10, 60)
    np.testing.assert_allclose(profile, [0.5, 0.0, -0.5, 0.0])
    wrapped = replication_profile(np.array([90.0, 40.0, 15.0]), 100, 90, 40)
    np.testing.assert_allclose(wrapped, [0.5, -0.5, 0.0])


def test_gc_response_and_wave_shapes() -> None:
    np.testing.assert_allclose(gc_response(np.array([0.5, 0.6]), 2.0, -10.0, 0.5), [0.0, 0.1])
    wave = smooth_wave(np.random.default_rng(0), 2000, 0.1, 40)
    assert wave.std() == pytest.approx(0.1)
    assert np.abs(np.diff(wave)).max() < 0.02
    assert smooth_wave(np.random.default_rng(0), 100, 0.0, 4).max() == 0


def test_presets_look_as_described(easy: SimulatedCohort, hard: SimulatedCohort) -> None:
    for cohort, depth in ((easy, 380), (hard, 60)):
        copies = true_copies(cohort)
        amplified, absent = (copies > 1.7).mean(), (copies < 0.3).mean()
        assert 0.0003 < amplified < 0.006
        assert 0.05 < absent < 0.13
        assert 0.02 < (cohort.genes["blaSHV"] > 1.7).mean() < 0.11
        assert np.median(cohort.samples["depth"]) == pytest.approx(depth, rel=0.2)
        assert (cohort.events["x0"] < cohort.events["x1"]).all()
        assert cohort.events["x1"].max() <= cohort.geometry.length
        lengths = (cohort.events["x1"] - cohort.events["x0"]).to_numpy()
        assert lengths.max() <= 60_000
        assert lengths.min() >= 999
        assert np.array_equal(np.sort(cohort.sample_ids), cohort.sample_ids)
    mixed = hard.events[hard.events["kind"].str.contains("mixed")]
    assert mixed["copies"].between(1.3, 1.7).all()
    assert set(easy.samples["kind"]) <= {"ok", "failed"}
    sizes = hard.samples["ST"].value_counts()
    assert sizes.iloc[0] > 10
    assert (sizes == 1).sum() > 10


def test_members_of_a_lineage_share_their_absences(easy: SimulatedCohort) -> None:
    largest = easy.samples["ST"].value_counts().index[0]
    members = easy.samples.loc[easy.samples["ST"] == largest, "sample_id"]
    shared = easy.events[easy.events["kind"].str.startswith("lineage_")]
    per_member = [
        tuple(map(tuple, shared.loc[shared["sample_id"] == sample, ["x0", "x1", "copies"]].to_numpy()))
        for sample in members
    ]
    assert len(per_member) > 10
    assert len(set(per_member)) == 1
    assert len(per_member[0]) > 5


def test_accessory_islands_are_the_same_under_another_seed() -> None:
    geometry = hs11286_geometry(1000)
    first, second = (cohort_background(preset("easy"), geometry, seed).islands for seed in (1, 2))
    assert np.array_equal(first.x0, second.x0)
    assert len(first.x0) > 5


def test_contamination_leaves_reads_in_absent_regions() -> None:
    settings = plain(quality={"contaminated_rate": 1.0, "contamination_share": (0.2, 0.2)})
    cohort = simulate(settings, 20, 1)
    absent = true_copies(cohort) == 0
    ratio = cohort.counts / cohort.samples["depth"].to_numpy()[:, None]
    assert (cohort.samples["kind"] == "contaminated").all()
    assert 0.02 < ratio[absent].mean() < 0.19
    assert ratio[absent].max() < 3


def test_expected_mean_of_an_isolate_is_what_its_counts_average_to() -> None:
    background = cohort_background(preset("hard"), hs11286_geometry(200), 5)
    isolate, rng = draw_isolate(background, 3)
    draws = np.mean([negative_binomial(rng, isolate.mean, isolate.traits.dispersion) for _ in range(2000)], axis=0)
    error = np.sqrt((isolate.mean + isolate.traits.dispersion * isolate.mean**2) / 2000)
    assert (np.abs(draws - isolate.mean) <= 5 * error + 1e-12).all()


@pytest.mark.parametrize(("n_isolates", "seed"), [(0, 1), (-5, 1), (3, -1), (10_000_000, 1)])
def test_impossible_arguments_are_refused(n_isolates: int, seed: int) -> None:
    with pytest.raises(ConfigError, match=r"n_isolates is|seed is"):
        simulate(preset("easy"), n_isolates, seed, hs11286_geometry(20))


def test_tiny_genome_is_refused() -> None:
    with pytest.raises(ConfigError, match="too few"):
        hs11286_geometry(5)
