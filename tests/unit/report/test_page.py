"""The page itself: what is escaped, what is told to scripts, and what its policy allows."""

import base64
import hashlib
import html
import json
import re
import sys

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from copyfold.report.drawing import Drawing, Label, Panel, axes, number_text, padded_range
from copyfold.report.page import BigTable, Column, Figure, Finding, Findings, Page, Prose, Section, Table, render_page

NUMBERS = st.floats(-1e9, 1e9) | st.sampled_from([np.nan, np.inf, -np.inf, sys.float_info.max, 5e-324])
EVIL = "</script><script>alert(1)</script>"


def page_of(*blocks):
    return render_page(Page("title", "subtitle", (Section("a", "A", blocks),), "footer"))


def test_whatever_a_name_is_it_stays_text():
    drawing = Drawing(10, 10, (Label(0, 0, EVIL),), EVIL, EVIL)
    finding = Finding("note", EVIL, EVIL, EVIL, (EVIL,) * 20)
    table = BigTable("t", EVIL, (Column(EVIL, [EVIL], choose=True), Column("n", [1.5])), EVIL)
    blocks = (Prose(EVIL), Findings((finding,), ""), Figure(drawing, EVIL), Table(EVIL, (EVIL,), ((EVIL,),)), table)
    sections = (Section("a", EVIL, blocks, EVIL),)
    text = render_page(Page(EVIL, EVIL, sections, EVIL))
    assert "alert(1)</script>" not in text
    assert "<script>alert" not in text
    assert text.count("<script") == 2  # the table's data and ours


@settings(max_examples=20, deadline=None)  # a page each
@given(st.lists(st.text(), min_size=1), st.lists(NUMBERS, min_size=1))
def test_a_script_reads_the_table_as_it_is(names, numbers):
    n = min(len(names), len(numbers))
    table = BigTable("t", "c", (Column("name", names[:n]), Column("number", np.array(numbers[:n]))), "f.tsv")
    found = re.search(r'<script type="application/json">(.*?)</script>', page_of(table), re.DOTALL)[1]
    assert "<" not in found
    columns = json.loads(found)["columns"]
    assert columns[0]["values"] == names[:n]
    for shown, number in zip(columns[1]["values"], numbers, strict=False):
        # the largest float has no neighbour of four digits
        assert shown is None if not abs(number) <= 1e9 else shown == pytest.approx(number, rel=1e-3, abs=1e-300)


def test_the_policy_allows_just_the_script_and_the_style_that_are_there():
    text = page_of(Prose("x"))
    policy = html.unescape(re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1])
    for element in ("script", "style"):
        (content,) = re.findall(rf"<{element}>(.*?)</{element}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{element}-src 'sha256-{digest}'" in policy
    assert "unsafe" not in policy
    assert not re.search(r'\sstyle="', text)  # would need more than that


def test_backticks_become_code_and_nothing_else():
    assert "a <code>b &lt;c&gt;</code> d" in page_of(Prose("a `b <c>` d"))


def test_numbers_are_set_as_numbers():
    text = page_of(Table("c", ("a", "b", "c"), (("x", 1234, 0.12345),)))
    assert '<td class="number">1,234</td><td class="number">0.123</td>' in text


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_ticks_lie_in_the_panel_and_are_not_many(low, width):
    panel = Panel(50, 10, 300, 100, (low, low + width), (low, low + width))
    labels = [shape for shape in axes(panel, "", "") if isinstance(shape, Label)]
    assert 2 <= len(labels) <= 14
    for label in labels:
        assert panel.left - 50 <= label.x <= panel.right + 1e-6 or label.anchor == "middle"


@given(st.lists(st.floats(1e-3, 1e6), min_size=1))
def test_a_logarithmic_axis_keeps_order_and_stays_inside(values):
    panel = Panel(0, 0, 100, 100, (0, 1), (0.01, 1e5), log_y=True)
    pixels = panel.y(np.sort(values))
    assert (np.diff(pixels) <= 1e-9).all()
    assert ((pixels >= -1e-9) & (pixels <= 100 + 1e-9)).all()


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (12500, "12,500"), (3.25, "3.25"), (0.0005, "0.0005"), (0.00002, "2e-05"), (-2, "-2")]
)
def test_numbers_are_short(value, text):
    assert number_text(value) == text


def test_a_range_of_nothing_is_a_range():
    assert padded_range(np.array([np.nan])) == (0.0, 1.0)
    low, high = padded_range(np.array([2.0, 2.0]))
    assert low < 2.0 < high
