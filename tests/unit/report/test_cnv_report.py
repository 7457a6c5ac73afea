"""Which isolates are shown, what is counted, and how tracks are drawn."""

import re
from dataclasses import replace

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from sklearn.decomposition import PCA

from copyfold.cnv.coordinates import Gene
from copyfold.errors import ConfigError, InputError
from copyfold.report.cnv.notable import notable_isolates
from copyfold.report.cnv.plots import lineage_groups
from copyfold.report.cnv.results import Track, count_segments, gene_results
from copyfold.report.cnv.sections import cnv_page
from copyfold.report.cnv.shown import MOST_ISOLATES, choose_shown, is_notable
from copyfold.report.cnv.tracks import Region, draw_track, parse_region, region_around
from copyfold.report.drawing import Dots, Label, Line
from copyfold.report.page import render_page
from copyfold.report.pictures import png_of, svg_of
from copyfold.report.projection import principal_axes

segment = st.tuples(st.integers(-1, 4), st.integers(0, 19), st.integers(1, 20), st.booleans())


@given(st.lists(segment, max_size=30))
def test_gains_and_losses_are_those_that_a_loop_counts(segments):
    segments = [(cn, first, min(20, first + length), sure) for cn, first, length, sure in segments]
    gains, losses = np.zeros(20, int), np.zeros(20, int)
    for cn, first, stop, sure in segments:
        if sure and cn >= 2:
            gains[first:stop] += 1
        if sure and cn == 0:
            losses[first:stop] += 1
    cn, first, stop, sure = (
        (np.array(column, dtype=int) for column in zip(*segments, strict=True))
        if segments
        else (np.zeros(0, int) for _ in range(4))
    )
    found = count_segments(cn, first, stop, sure.astype(bool), 20)
    np.testing.assert_array_equal(found, (gains, losses))


def test_genes_come_with_what_their_caller_says_and_samples_without_a_row_are_not_called():
    table = pd.DataFrame(
        {
            "sample_id": ["b", "a"],
            **{"g": [3, 1], "crr_g": [3.1, 1.0], "lower_g": [2.9, 0.9], "quality_g": [99.0, 50.0]},
            **{"p": [0, 2], "pcn_p": [0.0, 4.0], "filter_p": ["PASS", "PASS"], "pcn_p-1": [0.0, 4.0]},
        }
    )
    config = {"cnv_crr_amp_threshold": 1.75, "pcn_amp_threshold": 1.5}
    place = Gene("g", "chr1", 0, 900)
    g, p = gene_results(table, np.array(["a", "b", "c"]), config, {"g": place, "p": place})
    assert (g.name, g.ratio_name, g.place, p.name, p.ratio_name, p.place) == ("g", "CRR", place, "p", "PCN", None)
    assert g.cn.tolist() == [1, 3, -1]
    assert p.cn.tolist() == [2, 0, -1]
    np.testing.assert_array_equal(g.details["lower"], [0.9, 2.9, np.nan])
    assert set(g.details) == {"lower", "quality"}
    assert np.isnan(g.threshold)  # a caller with a quality goes by that
    assert p.threshold == 1.5
    assert p.details["filter"].tolist()[:2] == ["PASS", "PASS"]


def test_principal_axes_are_those_of_scikit_learn(results):
    scores, share = principal_axes(results.latents)
    theirs = PCA(n_components=2).fit(results.latents)
    np.testing.assert_allclose(np.abs(scores), np.abs(theirs.transform(results.latents)), atol=1e-9)
    np.testing.assert_allclose(share, theirs.explained_variance_ratio_)


def test_a_latent_of_one_dimension_has_one_axis():
    scores, share = principal_axes(np.arange(4.0)[:, None])
    assert share.tolist() == [1.0, 0.0]
    assert not scores[:, 1].any()


def test_every_isolate_is_in_one_group_of_lineages(results):
    lineages = results.lineages.copy()
    lineages[:5] = ""
    groups = lineage_groups(replace(results, lineages=lineages), most=2)
    assert [name for name, _ in groups] == ["ST1", "ST2", "others", "unknown"]  # ST0 and ST1 lost most: 13, 14, 14, 14
    assert sorted(np.concatenate([rows for _, rows in groups]).tolist()) == list(range(60))


def test_notable_isolates_are_the_amplified_by_copies_then_the_others_then_a_usual_one(results):
    ratio = results.genes[0].ratio.copy()
    ratio[:3] = 3.0, 9.0, 5.0
    ratio[30] = 1.7
    cn = results.genes[0].cn.copy()
    cn[40], cn[50] = 0, -1
    noise = results.noise.copy()
    noise[44] = 0.5
    spoilt = replace(results, genes=(replace(results.genes[0], cn=cn, ratio=ratio), results.genes[1]), noise=noise)
    shown = notable_isolates(spoilt)
    rows = [each.row for each in shown]
    assert rows[:3] == [1, 2, 0]
    assert {30, 40, 50, 44} <= set(rows)
    assert len(set(rows)) == len(rows) <= 12
    usual = next(each for each in shown if each.reason.startswith("a usual"))
    assert cn[usual.row] == 1
    assert next(each for each in shown if each.row == 30).reason == "blaSHV near the threshold, CRR 1.70"


def test_no_more_isolates_are_shown_than_asked_for(results):
    genes = (replace(results.genes[0], cn=np.full(60, 2)),)
    assert len(notable_isolates(replace(results, genes=genes), most=4)) == 3  # none of them is usual
    assert len(notable_isolates(results, most=4)) == 4


@pytest.mark.parametrize(
    ("text", "region"),
    [("chr1:1-1000", Region("chr1", 0, 1000)), ("a:b:2,001-3,000", Region("a:b", 2000, 3000))],
)
def test_a_region_is_read_as_people_write_it(text, region):
    assert parse_region(text) == region


@pytest.mark.parametrize("text", ["chr1", "chr1:5", "chr1:0-5", "chr1:9-3", ":1-2", "chr1:1-2x"])
def test_what_is_no_region_is_refused(text):
    with pytest.raises(ConfigError):
        parse_region(text)


@pytest.fixture
def track(contigs):
    """Depth 100, thrice that in bins 49 to 52, none in 10."""
    counts = np.full(100, 100)
    counts[49:53], counts[10] = 300, 0
    edges = [(0, 10, 1, 1.0), (10, 11, 0, 0.0), (11, 49, 1, 1.0), (49, 53, 3, 3.0), (53, 100, 1, 1.0)]
    segments = pd.DataFrame(
        [("chr1", first * 1000, stop * 1000, cn, 1.0, ratio) for first, stop, cn, ratio in edges],
        columns=["chrom", "x0", "x1", "cn", "confidence", "ratio"],
    )
    return Track("S <1>", contigs, counts, np.full(100, 100.0), counts / 100, counts < 10, segments)


def test_a_track_shows_reads_expectation_segments_and_gene(track, results):
    place = results.genes[0].place
    drawing = draw_track(track, region_around(place, 20_000), (place,))
    assert "blaSHV: 300 reads per bin, 100 expected" in drawing.description
    assert "1 segments of gain and 1 of loss" in drawing.description
    assert any(isinstance(shape, Label) and shape.text == "blaSHV" for shape in drawing.shapes)
    reads = [
        shape for shape in drawing.shapes if isinstance(shape, Dots) and shape.colour == "c0" and len(shape.points) > 1
    ]
    (gain,) = [
        shape for shape in drawing.shapes if isinstance(shape, Line) and shape.colour == "c1" and shape.width == 2.4
    ]
    high = np.unique(reads[0].points[:, 1])
    assert len(high) == 2  # two depths
    assert np.nanmin(gain.points[:, 1]) == pytest.approx(high[0])  # expected × ratio lies on the reads
    assert np.isfinite(gain.points[:, 1]).sum() == 2 * 4


def test_a_region_without_bins_is_refused_with_the_contigs_there_are(track):
    with pytest.raises(InputError, match="chr9:1-1000: the store has no bin there; its contigs are chr1"):
        draw_track(track, Region("chr9", 0, 1000), ())


def test_a_picture_is_the_same_shapes_in_both_formats(track, results):
    drawing = draw_track(track, None, (results.genes[0].place,))
    svg = str(svg_of(drawing, alone=True))
    assert "S &lt;1&gt;" in svg
    assert "S <1>" not in svg
    assert svg == str(svg_of(drawing, alone=True))
    assert not re.search(r"nan|inf", svg)
    assert png_of(drawing, 1.0)[16:24] == (940).to_bytes(4, "big") + (372).to_bytes(4, "big")


def test_what_a_run_lacks_is_left_out(results):
    def anchors(page):
        return [section.anchor for section in page.sections]

    assert anchors(cnv_page(results, [])) == [
        "summary",
        "quality",
        "calls",
        "lineages",
        "genome",
        "latent",
        "training",
        "run",
    ]
    bare = replace(
        results, latents=None, noise=None, contigs=None, segments=None, training_log=None, lineages=np.full(60, "")
    )
    assert anchors(cnv_page(bare, [])) == ["summary", "quality", "calls", "lineages", "run"]
    assert "<!doctype html>" in render_page(cnv_page(bare, []))


def test_a_cohort_without_a_single_read_or_call_has_a_report(results):
    genes = tuple(replace(gene, cn=np.full(60, -1), ratio=np.full(60, np.nan)) for gene in results.genes)
    dead = replace(results, medians=np.zeros(60), genes=genes, noise=np.full(60, 0.05))
    assert "Isolates without usable depth" in render_page(cnv_page(dead, []))


def large_cohort(results, n_samples, n_genes, amplified=0.06):
    """The results of a large cohort in which every gene comes with all that a caller may say."""
    rng = np.random.default_rng(5)

    def gene(name, ratio_name, place):
        cn = np.where(rng.random(n_samples) < amplified, 3, 1)
        ratio = cn * rng.lognormal(0.0, 0.1, n_samples)
        details = {each: ratio * rng.lognormal(0.0, 0.1, n_samples) for each in ("lower", "upper", "copies", "quality")}
        details["quality"] = details["quality"] * 100
        details["filter"] = np.where(cn > 1, "PASS", "low_quality").astype(object)
        details["mixed"] = np.zeros(n_samples)
        return replace(
            results.genes[0], name=name, ratio_name=ratio_name, cn=cn, ratio=ratio, place=place, details=details
        )

    shv = gene("blaSHV", "CRR", results.genes[0].place)
    return replace(
        results,
        name="cohort/run",
        sample_ids=np.array([f"SAMEA{i:09d}" for i in range(n_samples)]),
        lineages=np.array([f"ST{i % 900}" for i in range(n_samples)]),
        medians=rng.lognormal(4.5, 0.5, n_samples),
        genes=(shv, *(gene(f"blaFAM{i}", "PCN", None) for i in range(n_genes))),
        latents=rng.normal(size=(n_samples, 10)),
        noise=rng.lognormal(-2, 0.2, n_samples),
        segments=replace(results.segments, per_sample=rng.integers(10, 90, n_samples)),
    )


@pytest.mark.parametrize(("n_samples", "n_genes"), [(20_000, 20), (6_000, 120)])
def test_the_report_of_a_large_cohort_stays_small_and_says_what_it_leaves_out(results, n_samples, n_genes):
    large = large_cohort(results, n_samples, n_genes)
    page = render_page(cnv_page(large, []))
    assert 2_000_000 < len(page.encode()) < 8_000_000
    assert f"of {n_samples:,} isolates are listed here" in page
    assert "drawn at random with seed 42" in page
    assert "cohort/run/gene_calls.tsv" in page
    amplified = int(large.genes[0].amplified.sum())
    assert f">{amplified:,}</strong>" in page  # of all, not of those that are listed
    assert ("is left out here for its amount" in page) == (n_genes == 120)


def test_notable_isolates_come_first_and_others_are_a_seeded_sample(results):
    large = large_cohort(results, 12_000, 2, amplified=0.01)
    notable = np.flatnonzero(is_notable(large))
    shown = choose_shown(large, [7])
    assert len(shown.rows) == MOST_ISOLATES == len(set(shown.rows.tolist()))
    assert (np.diff(shown.rows) > 0).all()
    assert {*notable.tolist(), 7} <= set(shown.rows.tolist())
    np.testing.assert_array_equal(choose_shown(large, [7]).rows, shown.rows)
    others = np.setdiff1d(shown.rows, notable)
    assert 0.45 < (others < 6_000).mean() < 0.55
    other_seed = replace(large, record={**large.record, "config": {**large.config, "seed": 1}})
    assert not np.array_equal(choose_shown(other_seed, [7]).rows, shown.rows)
    crowded = choose_shown(large_cohort(results, 12_000, 2, amplified=0.6), [7])
    share = is_notable(large_cohort(results, 12_000, 2, amplified=0.6))[crowded.rows].mean()
    assert 7 in crowded.rows
    assert share == pytest.approx(0.5, abs=0.001)


def test_a_small_cohort_is_shown_whole(results):
    shown = choose_shown(results)
    np.testing.assert_array_equal(shown.rows, np.arange(results.n_samples))
    assert shown.details
    assert not shown.said
    assert "listed here" not in render_page(cnv_page(results, []))
