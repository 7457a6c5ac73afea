"""Properties of the simulator's arithmetic that hold for any input."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from copyfold.cnv.simulation import hs11286_geometry, preset, simulate, true_copies
from copyfold.cnv.simulation.counting import expected_counts
from copyfold.cnv.simulation.events import mean_copies
from copyfold.cnv.simulation.geometry import replication_profile

BORDERS = np.arange(0, 2001, 100)
intervals = st.tuples(st.integers(0, 1900), st.integers(1, 900), st.sampled_from([0.0, 0.5, 1.5, 2.0, 9.0]))


def arrays(events: list[tuple[int, int, float]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    x0 = np.array([event[0] for event in events], dtype=np.int64)
    length = np.array([event[1] for event in events], dtype=np.int64)
    return x0, x0 + length, np.array([event[2] for event in events], dtype=np.float64)


@settings(deadline=None, max_examples=60)
@given(st.lists(intervals, max_size=6), st.randoms(use_true_random=False))
def test_order_of_events_does_not_matter(events: list, shuffler) -> None:
    start, end = BORDERS[:-1], BORDERS[1:]
    first = mean_copies(start, end, *arrays(events))
    shuffled = list(events)
    shuffler.shuffle(shuffled)
    np.testing.assert_allclose(mean_copies(start, end, *arrays(shuffled)), first, rtol=1e-9, atol=1e-9)
    assert (first >= -1e-9).all()


@settings(deadline=None, max_examples=60)
@given(st.lists(intervals, max_size=6))
def test_merging_bins_averages_their_copies(events: list) -> None:
    x0, x1, copies = arrays(events)
    fine = mean_copies(BORDERS[:-1], BORDERS[1:], x0, x1, copies)
    coarse = mean_copies(BORDERS[:-1:2], BORDERS[2::2], x0, x1, copies)
    np.testing.assert_allclose(coarse, fine.reshape(-1, 2).mean(axis=1), rtol=1e-9, atol=1e-9)


@settings(deadline=None, max_examples=60)
@given(st.lists(intervals, max_size=5), intervals)
def test_deleting_a_region_overrules_all_else(events: list, deleted: tuple) -> None:
    x0, x1, copies = arrays([*events, (deleted[0], deleted[1], 0.0)])
    start = np.array([deleted[0]])
    assert abs(mean_copies(start, start + deleted[1], x0, x1, copies)[0]) < 1e-9


@settings(deadline=None, max_examples=60)
@given(st.floats(0.1, 1000), st.floats(0.1, 10), st.integers(0, 2**31))
def test_scaling_depth_scales_the_mean(depth: float, factor: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    width, mapped, copies, stray = rng.random((4, 50))
    bias = rng.standard_normal(50)
    once = expected_counts(depth, width, mapped, bias, copies, stray)
    scaled = expected_counts(depth * factor, width, mapped, bias, copies, stray)
    np.testing.assert_allclose(scaled, factor * once, rtol=1e-12)


@settings(deadline=None, max_examples=60)
@given(st.floats(0, 999.9), st.floats(1, 998.9))
def test_replication_profile_is_bounded_and_peaks_at_the_origin(origin: float, distance: float) -> None:
    terminus = (origin + distance) % 1000
    profile = replication_profile(np.arange(1000.0), 1000, origin, terminus)
    assert np.abs(profile).max() <= 0.5 + 1e-9
    at_ends = replication_profile(np.array([origin, terminus]), 1000, origin, terminus)
    np.testing.assert_allclose(at_ends, [0.5, -0.5], atol=1e-6)


@settings(deadline=None, max_examples=8)
@given(st.integers(0, 10_000), st.integers(1, 6), st.sampled_from(["easy", "hard"]))
def test_any_seed_gives_a_well_formed_cohort(seed: int, n_isolates: int, name: str) -> None:
    cohort = simulate(preset(name), n_isolates, seed, hs11286_geometry(40))
    copies = true_copies(cohort)
    assert copies.shape == cohort.counts.shape == (n_isolates, 40)
    assert (copies >= 0).all()
    assert np.isfinite(copies).all()
    assert cohort.events["x0"].ge(0).all()
    assert cohort.events["x1"].le(cohort.geometry.length).all()
    assert len(cohort.samples) == len(cohort.genes) == n_isolates
