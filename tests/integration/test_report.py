"""Reports of runs and pictures of isolates, as files and in a browser."""

import html
import json
import re
import shutil
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select

from browser import addresses_asked, chromium, console_messages
from copyfold.core.files import write_json, write_npy
from runs import read_record, read_table

EVIL = '<script>window.hacked=1</script><img src=x onerror="window.hacked=1">'


# The file


def test_a_run_ends_with_a_report_that_names_its_isolates_and_genes(vae_run):
    text = (vae_run.path / "report.html").read_text()
    calls = read_table(vae_run.path / "gene_calls.tsv")
    for name in [*calls["sample_id"], "blaSHV", "blaCTX-M", "06_conv_vae"]:
        assert name in text
    assert read_record(vae_run.path)["stages"]["report"]["status"] == "done"
    assert read_record(vae_run.path)["status"] == "complete"


def test_the_report_asks_for_nothing_from_elsewhere(vae_run):
    text = html.unescape((vae_run.path / "report.html").read_text())
    assert "default-src 'none'" in text
    addresses = set(re.findall(r"""(?:src|href)=["']([^"'#]+)""", text))
    assert addresses <= {"data:,"}


def test_a_report_is_made_again_to_the_same_bytes_but_for_its_times(own_run, copyfold):
    before = (own_run / "report.html").read_text()
    done = copyfold("report", own_run).succeeded()
    assert done.stdout == f"{own_run}/report.html\n"
    page = (own_run / "report.html").read_text()
    section = re.compile(r'<section id="calls".*?</section>', re.DOTALL)
    assert section.search(page)[0] == section.search(before)[0]
    assert read_record(own_run)["status"] == "complete"


def test_a_report_elsewhere_leaves_the_run_as_it_is(own_run, copyfold, tmp_path):
    before = {path.name: path.read_bytes() for path in own_run.iterdir()}
    copyfold("report", own_run, "--out", tmp_path / "elsewhere.html").succeeded()
    assert {path.name: path.read_bytes() for path in own_run.iterdir()} == before
    assert (tmp_path / "elsewhere.html").read_text().startswith("<!doctype html>")


def test_lineages_of_a_table_take_the_place_of_those_the_run_knows(own_run, copyfold, tmp_path):
    samples = read_table(own_run / "gene_calls.tsv")["sample_id"]
    pd.DataFrame({"sample_id": samples, "ST": ["clade-A", "clade-B"] * 15}).to_csv(
        tmp_path / "st.tsv", sep="\t", index=False
    )
    copyfold("report", own_run, "--lineages", tmp_path / "st.tsv").succeeded()
    text = (own_run / "report.html").read_text()
    for part in ("calls", "lineages", "latent"):
        section = text.split(f'<section id="{part}"')[1].split("</section>")[0]
        assert "clade-A" in section
        assert "ST9001" not in section


def test_a_run_whose_store_is_gone_is_reported_without_tracks_and_says_so(own_run, copyfold):
    record = read_record(own_run)
    record["config"]["store_path"] = "/nowhere/store"
    write_json(own_run / "run.json", record)
    copyfold("report", own_run).succeeded()
    text = (own_run / "report.html").read_text()
    assert "/nowhere/store: no such store" in text
    assert 'id="isolates"' not in text
    assert 'id="calls"' in text


def test_recurrent_segments_are_shown_where_the_run_has_them(own_run, copyfold):
    (own_run / "recurrent_segments.tsv").write_text("chrom\tx0\tx1\tn_samples\tgenes\nNC_016845.1\t1\t5000\t7\tacrB\n")
    copyfold("report", own_run).succeeded()
    assert "acrB" in (own_run / "report.html").read_text()


def test_a_failing_plot_costs_a_warning_and_not_the_run(own_run, cohort, copyfold):
    np.save(own_run / "latents.npy", np.full((30, 10), np.nan, dtype=np.float32))
    (own_run / "gene_calls.tsv").write_text("sample_id\tblaSHV\tcrr_blaSHV\tmedian_depth\nx\tmany\t1\t5\n")
    record = read_record(own_run)
    del record["stages"]["report"]
    write_json(own_run / "run.json", record)
    arguments = ("--set", "epochs=3", "--set", f"out_dir={own_run}", "--resume", "--device", "cpu")
    done = copyfold("cnv", "train", cohort / "config.yaml", *arguments).succeeded()
    assert any("report.html was not made" in line for line in done.warnings)
    assert read_record(own_run)["status"] == "complete"
    assert not (own_run / "report.html").exists()


def test_what_is_no_run_has_no_report(copyfold, tmp_path):
    assert "not a copyfold run" in copyfold("report", tmp_path).complaint()
    assert not list(tmp_path.glob("*.html"))


# Pictures


def test_an_isolate_is_drawn_as_svg_with_its_gene_and_its_numbers(vae_run, copyfold, tmp_path):
    sample = read_table(vae_run.path / "gene_calls.tsv")["sample_id"][0]
    copyfold("cnv", "plot", vae_run.path, sample, "--out", tmp_path / "a.svg").succeeded()
    picture = ET.parse(tmp_path / "a.svg").getroot()
    texts = " ".join(element.text or "" for element in picture.iter())
    assert sample in texts
    assert "blaSHV" in texts
    assert "expected of one copy" in texts


def test_a_region_is_drawn_as_png(vae_run, copyfold, tmp_path):
    sample = read_table(vae_run.path / "gene_calls.tsv")["sample_id"][0]
    region = ("--region", "NC_016845.1:100,001-160,000")
    copyfold("cnv", "plot", vae_run.path, sample, *region, "--out", tmp_path / "a.png").succeeded()
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("nobody",), "nobody: not in"),
        (("SAMPLE", "--gene", "blaXYZ"), "--gene blaXYZ: not among"),
        (("SAMPLE", "--region", "NC_016845.1"), "write chrom:from-to"),
        (("SAMPLE", "--region", "NC_016845.1:9-3"), "from must be"),
        (("SAMPLE", "--region", "chrX:1-1000"), "no bin there"),
        (("SAMPLE", "--gene", "blaSHV", "--region", "NC_016845.1:1-1000"), "exclude each other"),
        (("SAMPLE", "--out", "picture.jpg"), "must end in .svg or .png"),
    ],
)
def test_what_cannot_be_drawn_is_told_in_one_line(vae_run, copyfold, tmp_path, arguments, complaint):
    sample = read_table(vae_run.path / "gene_calls.tsv")["sample_id"][0]
    given = [sample if each == "SAMPLE" else each for each in arguments]
    out = () if "--out" in given else ("--out", "a.svg")
    assert complaint in copyfold("cnv", "plot", vae_run.path, *given, *out, cwd=tmp_path).complaint()
    assert not list(tmp_path.glob("*.svg"))


# In a browser


@pytest.fixture(scope="module")
def evil_report(vae_run, copyfold, tmp_path_factory):
    """The report of a run one of whose isolates, and whose lineage, has a name that wants to run code."""
    run = Path(shutil.copytree(vae_run.path, tmp_path_factory.mktemp("evil") / "run"))
    calls = read_table(run / "gene_calls.tsv")
    first = calls["sample_id"][0]
    store = Path(shutil.copytree(read_record(run)["config"]["store_path"], run.parent / "store"))
    names = [EVIL, *calls["sample_id"][1:]]
    for folder in (run, store):
        write_npy(folder / "sample_ids.npy", np.array(names))
    for table in ("gene_calls.tsv", "plasmid_gene_calls.tsv"):
        read_table(run / table).assign(sample_id=names).to_csv(run / table, sep="\t", index=False)
    segments = pd.read_parquet(run / "segments.parquet")
    segments["sample_id"] = segments["sample_id"].replace(first, EVIL)
    segments.to_parquet(run / "segments.parquet")
    pd.DataFrame({"sample_id": names, "ST": [EVIL, *["ST1"] * 29]}).to_csv(run / "st.tsv", sep="\t", index=False)
    from copyfold.core.files import file_digest

    record = read_record(run)
    record["config"]["store_path"] = str(store)
    record["inputs"]["store_path"] = file_digest(store)
    write_json(run / "run.json", record)
    copyfold("report", run, "--lineages", run / "st.tsv").succeeded()
    return run / "report.html"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    downloads = tmp_path_factory.mktemp("downloads")
    with chromium(downloads) as started:
        started.downloads = downloads
        yield started


@pytest.fixture
def page(browser, evil_report):
    console_messages(browser), addresses_asked(browser)
    browser.get(evil_report.as_uri())
    return browser


def rows(page, table="calls"):
    return page.execute_script(
        "return [...document.querySelectorAll(`#${arguments[0]}-table tbody tr`)]"
        ".map(row => [...row.children].map(cell => cell.textContent))",
        table,
    )


def test_the_report_opens_without_errors_and_without_a_word_to_the_network(page):
    assert console_messages(page) == []
    assert addresses_asked(page) == []
    assert len(rows(page)) == 30


def test_names_are_shown_and_never_run(page):
    assert page.execute_script("return window.hacked") is None
    assert EVIL in [row[0] for row in rows(page)]
    assert not page.find_elements(By.CSS_SELECTOR, "img")
    page.execute_script(
        "const s = document.createElement('script'); s.textContent = 'window.hacked = 2'; document.body.append(s)"
    )
    assert page.execute_script("return window.hacked") is None  # the policy forbids every script but ours


def test_a_click_on_a_heading_sorts_numbers_as_numbers(page, evil_report):
    calls = read_table(evil_report.parent / "gene_calls.tsv").sort_values("crr_blaSHV", ascending=False, kind="stable")
    heading = page.find_element(By.XPATH, "//div[@id='calls-table']//th[button='crr blaSHV']")
    button = heading.find_element(By.TAG_NAME, "button")
    page.execute_script("arguments[0].click()", button)
    assert heading.get_attribute("aria-sort") == "descending"
    assert [row[0] for row in rows(page)] == calls["sample_id"].tolist()
    page.execute_script("arguments[0].click()", button)
    assert heading.get_attribute("aria-sort") == "ascending"
    assert rows(page)[0][0] == calls["sample_id"].iloc[-1]


def test_rows_are_found_by_text_and_by_call_and_saved(page, evil_report):
    calls = read_table(evil_report.parent / "plasmid_gene_calls.tsv")
    form = page.find_element(By.CSS_SELECTOR, "#calls-table form")
    Select(form.find_element(By.NAME, "column")).select_by_visible_text("blaCTX-M")
    Select(form.find_element(By.NAME, "value")).select_by_visible_text("absent")
    absent = calls["sample_id"][calls["blaCTX-M"] == 0]
    shown = [row[0] for row in rows(page)]
    assert len(shown) == len(absent)
    assert 0 < len(shown) < 30
    Select(form.find_element(By.NAME, "value")).select_by_visible_text("amplified")
    assert len(rows(page)) == (calls["blaCTX-M"] >= 2).sum() > 0
    Select(form.find_element(By.NAME, "value")).select_by_visible_text("absent")
    form.find_element(By.NAME, "find").send_keys(shown[-1])
    assert [row[0] for row in rows(page)] == [shown[-1]]
    assert form.find_element(By.CSS_SELECTOR, ".shown").text == "1 row of 30"
    form.find_element(By.NAME, "save").click()
    saved = page.downloads / "run.calls.tsv"
    deadline = time.monotonic() + 20
    while not saved.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    table = read_table(saved)
    assert table["isolate"].tolist() == [shown[-1]]
    assert table["blaCTX-M"].tolist() == [0]
    assert console_messages(page) == []


def test_a_point_of_the_map_says_its_name_under_the_mouse(page):
    figure = page.find_element(By.CSS_SELECTOR, "[data-hover] svg")
    points = json.loads(page.find_element(By.CSS_SELECTOR, "[data-hover]").get_attribute("data-hover"))
    page.execute_script(
        "const [svg, x, y] = arguments, box = svg.getBoundingClientRect();"
        "const scale = box.width / svg.viewBox.baseVal.width;"
        "svg.dispatchEvent(new MouseEvent('mousemove', {clientX: box.left + x * scale, clientY: box.top + y * scale}))",
        figure,
        points["x"][3],
        points["y"][3],
    )
    said = page.find_element(By.ID, "hover").text
    names = [row[0] for row in rows(page)]
    near = [
        i for i in range(30) if abs(points["x"][i] - points["x"][3]) < 2 and abs(points["y"][i] - points["y"][3]) < 2
    ]
    assert any(f"isolate: {names[i]}" in said for i in near)


def test_in_the_dark_the_ground_is_dark_and_text_is_light(page):
    def ground():
        colour = page.execute_script("return getComputedStyle(document.body).backgroundColor")
        return sum(map(int, re.findall(r"\d+", colour)[:3]))

    assert ground() > 600
    page.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    )
    assert ground() < 150
    ink = page.execute_script("return getComputedStyle(document.querySelector('svg .f-ink')).fill")
    assert sum(map(int, re.findall(r"\d+", ink)[:3])) > 600
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_on_paper_controls_are_gone_and_every_section_is_there(page):
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert not page.find_element(By.CSS_SELECTOR, "nav").is_displayed()
    assert not page.find_element(By.CSS_SELECTOR, ".controls").is_displayed()
    assert all(section.is_displayed() for section in page.find_elements(By.TAG_NAME, "section"))
    printed = page.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})
    assert len(printed["data"]) > 20_000
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_those_who_cannot_see_are_told_the_numbers(page):
    for picture in page.find_elements(By.CSS_SELECTOR, "figure svg"):
        assert picture.get_attribute("role") == "img"
        assert page.execute_script("return arguments[0].querySelector('title').textContent", picture)
        assert re.search(r"\d", page.execute_script("return arguments[0].querySelector('desc').textContent", picture))
    tables = page.find_elements(By.TAG_NAME, "table")
    captions = [page.execute_script("return arguments[0].caption?.textContent.trim()", table) for table in tables]
    assert all(captions)
    unlabelled = page.execute_script(
        "return [...document.querySelectorAll('input, select')].filter(each => !each.labels.length).length"
    )
    assert unlabelled == 0
