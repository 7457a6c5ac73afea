"""Recurrent segments: the gathering against a brute-force one written apart, its invariants, and a planted cohort."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from copyfold.cnv.coordinates import Gene
from copyfold.cnv.recurrence import Events, RecurrenceSettings, find_events, gather_intervals, recurrent_segments
from copyfold.errors import ConfigError

OVERLAPS = st.sampled_from([0.25, 0.5, 0.75, 1.0])


@st.composite
def interval_lists(draw):
    raw = draw(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 25)), min_size=1, max_size=25))
    return [(start, start + length) for start, length in raw]


def reciprocal(one, other):
    shared = min(one[1], other[1]) - max(one[0], other[0])
    return max(shared, 0) / max(one[1] - one[0], other[1] - other[0])


def gathered_by_hand(intervals, overlap):
    """Every pair compared; the interval with most within reach taken, again and again, of those not taken yet."""
    times = Counter(intervals)
    reach = {one: sum(times[other] for other in times if reciprocal(one, other) >= overlap) for one in times}
    left, group_of, representatives = set(times), {}, []
    while left:
        best = min(left, key=lambda one: (-reach[one], -times[one], one[0] - one[1], one[0]))
        taken = {one for one in left if reciprocal(one, best) >= overlap}
        group_of |= dict.fromkeys(taken, len(representatives))
        representatives.append(best)
        left -= taken
    return [group_of[interval] for interval in intervals], representatives


def gathered(intervals, overlap):
    group, representatives = gather_intervals(*np.array(intervals, np.int64).T, overlap)
    return group.tolist(), [tuple(row) for row in representatives.tolist()]


@given(interval_lists(), OVERLAPS)
def test_gathering_equals_brute_force(intervals, overlap):
    assert gathered(intervals, overlap) == gathered_by_hand(intervals, overlap)


@given(interval_lists(), OVERLAPS, st.randoms(use_true_random=False), st.integers(0, 10**7))
def test_gathering_does_not_depend_on_order_or_origin(intervals, overlap, random, shift):
    group, representatives = gathered(intervals, overlap)
    order = list(range(len(intervals)))
    random.shuffle(order)
    moved = [(intervals[k][0] + shift, intervals[k][1] + shift) for k in order]
    again, elsewhere = gathered(moved, overlap)
    assert again == [group[k] for k in order]
    assert elsewhere == [(start + shift, end + shift) for start, end in representatives]


@given(interval_lists(), OVERLAPS)
def test_members_are_within_the_share_of_their_representative(intervals, overlap):
    group, representatives = gathered(intervals, overlap)
    for interval, number in zip(intervals, group, strict=True):
        assert reciprocal(interval, representatives[number]) >= overlap
    assert sorted(set(group)) == list(range(len(representatives)))


def events_of(rows):
    """Events from (sample, contig, kind, start, end, cn)."""
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    ratio = columns[5].astype(float)
    return Events(
        *(column.astype(np.int64) for column in columns[:2]),
        columns[2].astype(np.int8),
        *(column.astype(np.int64) for column in columns[3:5]),
        columns[5].astype(float),
        ratio,
        np.ones(len(ratio)),
    )


def test_pieces_of_one_event_are_joined_across_small_gaps_only():
    pieces = events_of(
        [
            (0, 0, 1, 9_000, 10_000, 2),
            (0, 0, 1, 2_000, 4_000, 2),
            (0, 0, 1, 4_000, 5_000, 5),  # abuts, of another copy number
            (0, 0, 0, 5_000, 6_000, 0),  # of the other kind
            (0, 0, 1, 7_000, 8_000, 2),  # 2,000 bp behind
            (1, 0, 1, 10_000, 11_000, 2),  # of another isolate
        ]
    )
    joined = find_events(pieces, 1_000)
    found = list(zip(joined.sample, joined.kind, joined.start, joined.end, joined.cn, strict=True))
    assert found == [
        (0, 0, 5_000, 6_000, 0),
        (0, 1, 2_000, 5_000, 3),
        (0, 1, 7_000, 10_000, 2),
        (1, 1, 10_000, 11_000, 2),
    ]
    assert find_events(pieces, 1_000, min_length=3_000).start.tolist() == [2_000, 7_000]


@settings(max_examples=50)
@given(st.data())
def test_joining_covers_the_same_bases_when_no_gap_is_bridged(data):
    rows, truth = [], set()
    for sample, kind in product(range(2), range(2)):
        place = 0
        for _ in range(data.draw(st.integers(0, 5))):
            start = place + data.draw(st.integers(0, 3))
            place = start + data.draw(st.integers(1, 4))
            rows.append((sample, 0, kind, start, place, 2 * kind))
            truth |= {(sample, kind, base) for base in range(start, place)}
    if not rows:
        return
    joined = find_events(events_of(rows), 0)
    places = list(zip(joined.sample, joined.kind, joined.start, joined.end, strict=True))
    assert {(s, k, base) for s, k, start, end in places for base in range(start, end)} == truth
    assert len(set(places)) == len(places)
    for (s, k, _, end), (other, kind, start, _) in pairwise(places):
        assert (s, k) != (other, kind) or start > end  # what abuts was joined


def test_a_planted_segment_is_found_with_its_isolates_lineages_and_genes():
    rng = np.random.default_rng(3)
    rows = [(s, 1, 1, 50_000 + 1_000 * int(rng.integers(0, 2)), 60_000, 2) for s in range(8)]
    rows += [(2, 1, 1, 62_500, 63_000, 2)]  # a second, far shorter one of isolate 2
    rows += [(s, 1, 1, 20_000, 90_000, 3) for s in (20, 21)]  # covers it, but is another segment
    rows += [(s, 0, 0, 0, 5_000, 0) for s in range(4)]
    lineages = np.array(["ST11"] * 5 + ["ST258"] * 2 + [None] * 23, dtype=object)
    genes = (
        Gene("inside", "chromosome", 51_000, 52_000),
        Gene("mostly", "chromosome", 59_000, 61_500),
        Gene("half", "chromosome", 59_000, 61_000),
        Gene("elsewhere", "plasmid", 51_000, 52_000),
    )
    asked = RecurrenceSettings(min_isolates=3)
    table = recurrent_segments(
        find_events(events_of(rows), 1_000), ("plasmid", "chromosome"), np.array([10, 40]), asked, genes, lineages
    )
    assert table["kind"].tolist() == ["amplified", "deleted"]
    amplified, deleted = table.iloc[0], table.iloc[1]
    assert (amplified["chrom"], amplified["n_isolates"], amplified["n_callable"]) == ("chromosome", 8, 40)
    assert amplified["frequency"] == pytest.approx(0.2)
    assert amplified["n_covering"] == 10
    assert (amplified["x0_min"], amplified["x0_max"], amplified["x1_max"]) == (50_000, 51_000, 60_000)
    assert (amplified["n_lineages"], amplified["lineages"]) == (2, "ST11:5,ST258:2")
    assert amplified["genes"] == "inside,half"
    assert (deleted["x0"], deleted["x1"], deleted["frequency"], deleted["genes"]) == (0, 5_000, 0.4, "")
    rarer = recurrent_segments(
        find_events(events_of(rows), 1_000),
        ("plasmid", "chromosome"),
        np.array([10, 40]),
        RecurrenceSettings(min_isolates=1, min_frequency=0.05),
    )
    assert len(rarer) == 3  # with the pair's segment, without isolate 2's


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 30), st.integers(1, 12)), min_size=1, max_size=25))
def test_isolates_that_cover_a_segment_are_those_that_a_loop_counts(drawn):
    events = events_of([(sample, 0, 1, start, start + length, 2) for sample, start, length in drawn])
    table = recurrent_segments(events, ("a",), np.array([6]), RecurrenceSettings(min_isolates=1))
    for segment in table.itertuples():
        half = (segment.x1 - segment.x0) / 2
        over = {
            sample
            for sample, start, length in drawn
            if min(start + length, segment.x1) - max(start, segment.x0) >= half
        }
        assert segment.n_covering == len(over)


def test_no_events_no_segments():
    nothing = Events(*(np.zeros(0, np.int64) for _ in range(5)), *(np.zeros(0) for _ in range(3)))
    table = recurrent_segments(find_events(nothing, 0), ("a",), np.array([5]), RecurrenceSettings())
    assert table.empty
    assert "frequency" in table.columns


@pytest.mark.parametrize(
    "wrong",
    [
        {"min_isolates": 0},
        {"min_frequency": 1.5},
        {"overlap": 0.0},
        {"max_gap": -1},
        {"min_length": -1},
        {"min_confidence": -0.1},
    ],
)
def test_settings_that_cannot_be_are_refused(wrong):
    with pytest.raises(ConfigError, match="--" + next(iter(wrong)).replace("_", "-")):
        RecurrenceSettings(**wrong).check()
