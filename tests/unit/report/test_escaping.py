"""Whatever a run's names are, its report has the elements and attributes that a run of harmless names has."""

import json
from dataclasses import replace
from html.parser import HTMLParser

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings

from copyfold.report.cnv.results import CnvResults
from copyfold.report.cnv.sections import cnv_page
from copyfold.report.ddg.results import DdgResults, RunScore
from copyfold.report.ddg.sections import ddg_page
from copyfold.report.page import render_page

EVIL = (
    "<script>alert(1)</script>", "</script><script>alert(1)</script>", "<!--<script>", "]]>", "<a href=//x>",
    '"><img src=x onerror=f()>', "' onmouseover='f()", "javascript:f()", "</svg><script>", "</title><b>",
    "&lt;b&gt;", "{{7*7}}", "{% raw %}", "`<b>`", "\u2028</script>", "\x00\x1b[2J\n", "\u202eevil", "x" * 3000, "",
    "%3Cscript%3E",
)  # fmt: skip
NAMES = (
    st.sampled_from(EVIL) | st.text(max_size=20) | st.tuples(st.sampled_from(EVIL), st.text(max_size=5)).map("".join)
)
SLOW = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Elements(HTMLParser):
    """Elements with the names of their attributes, and what stands in scripts of data."""

    def __init__(self, page):
        super().__init__(convert_charrefs=True)
        self.found, self.scripts, self._in_data = [], [], False
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, tuple(name for name, _ in attributes)))
        assert not any(name.startswith("on") for name, _ in attributes)
        assert not any(
            (value or "").strip().lower().startswith("javascript") for name, value in attributes if name == "href"
        )
        self._in_data = tag == "script" and dict(attributes).get("type") == "application/json"

    def handle_data(self, data):
        if self._in_data:
            self.scripts.append(json.loads(data))
            self._in_data = False

    @property
    def n_scripts(self):
        return sum(tag == "script" for tag, _ in self.found)


def assert_alike(page, harmless):
    found, expected = Elements(page), Elements(harmless)
    assert set(found.found) <= set(expected.found) | {("code", ())}  # what stands between backticks in a message
    assert found.n_scripts == expected.n_scripts
    assert len(found.scripts) == len(expected.scripts)


def named(results: CnvResults, sample, lineage, gene, reason):
    samples = np.array([f"{sample}{row}" for row in range(len(results.sample_ids))])
    genes = tuple(replace(one, name=f"{gene}{place}") for place, one in enumerate(results.genes))
    noise = results.noise * np.where(np.arange(len(samples)) < 2, 20, 1)  # some isolates are told by name
    return replace(
        results, name=reason, sample_ids=samples, genes=genes,
        lineages=np.array([f"{lineage}{row % 3}" for row in range(len(samples))]),
        noise=noise, record=results.record | {"status": reason, "reason": reason, "device": reason},
        unread=(reason, sample),
    )  # fmt: skip


@SLOW
@given(NAMES, NAMES, NAMES, NAMES)
def test_names_of_isolates_lineages_and_genes_stay_text(results, sample, lineage, gene, reason):
    harmless = render_page(cnv_page(named(results, "S", "ST", "bla", "x"), []))
    page = render_page(cnv_page(named(results, sample, lineage, gene, reason), []))
    assert_alike(page, harmless)
    column = Elements(page).scripts[0]["columns"][0]["values"]
    assert column == [f"{sample}{row}" for row in range(len(column))]


@pytest.fixture
def stability():
    rng = np.random.default_rng(2)
    table = pd.DataFrame({"cluster": np.repeat(np.arange(20), 10), "target": rng.normal(1, 1, 200)})
    return table.assign(
        predicted=table["target"] + rng.normal(0, 0.5, 200), split=np.where(table["cluster"] < 8, "train", "test")
    )


def of_names(table, protein, mutation, source, target):
    names = [f"{protein}{number}" for number in table["cluster"]]
    record = {
        "kind": "specialist",
        "config": {"epochs": 2, target: target},
        "stages": {},
        "status": source,
        "target": target,
    }
    rows = table.assign(protein=names, mutation=mutation, source=source)
    return DdgResults(f"out/{source}", record, rows, others=(RunScore(source, {"target": target}),), unread=(source,))


@SLOW
@given(NAMES, NAMES, NAMES, NAMES)
def test_names_of_proteins_and_mutations_stay_text(stability, protein, mutation, source, target):
    harmless = render_page(ddg_page(of_names(stability, "p", "A1G", "x", "ddg")))
    assert_alike(render_page(ddg_page(of_names(stability, protein, mutation, source, target))), harmless)
