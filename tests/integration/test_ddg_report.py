"""Reports of stability runs, as training makes them, and in a browser."""

import shutil
from pathlib import Path

import pytest

from browser import addresses_asked, chromium, console_messages
from runs import read_record

QUICK = ("--quick", "--set", "epochs=2", "-q")


@pytest.fixture(scope="module")
def trained(copyfold, tmp_path_factory):
    """Two specialists on simulated data in one folder."""
    out = tmp_path_factory.mktemp("ddg") / "out"
    for name in ("s669", "protherm"):
        copyfold("ddg", "train", name, *QUICK, "--out", out).succeeded()
    return out


def test_training_ends_with_a_report_that_says_simulated(trained):
    text = (trained / "vae_protherm/report.html").read_text()
    for words in ("SIMULATED", "Measured against predicted", "Test proteins", "kcal/mol, positive = destabilising"):
        assert words in text
    record = read_record(trained / "vae_protherm")
    assert record["stages"]["report"]["status"] == "done"
    assert record["status"] == "complete"


def test_a_run_is_reported_beside_those_of_its_folder(trained, copyfold, tmp_path):
    run = Path(shutil.copytree(trained, tmp_path / "out")) / "vae_s669"
    copyfold("report", run).succeeded()
    text = (run / "report.html").read_text()
    assert "vae_s669 (this run)" in text
    assert "vae_protherm" in text


def test_what_is_damaged_is_told_and_the_rest_is_shown(trained, copyfold, tmp_path):
    run = Path(shutil.copytree(trained / "vae_protherm", tmp_path / "run"))
    (run / "training_history.json").write_text("{")
    copyfold("report", run).succeeded()
    text = (run / "report.html").read_text()
    assert "training_history.json: cannot be read as JSON" in text
    assert 'id="training"' not in text
    assert 'id="agreement"' in text
    (run / "predictions.csv").write_text("protein\nx\n")
    assert "has no column" in copyfold("report", run).complaint()


def test_lineages_are_no_matter_of_stability(trained, copyfold, tmp_path):
    (tmp_path / "st.tsv").write_text("sample_id\tST\nx\t1\n")
    assert (
        "knows no lineages"
        in copyfold(
            "report", trained / "vae_s669", "--lineages", tmp_path / "st.tsv", "--out", tmp_path / "x.html"
        ).complaint()
    )


def test_the_report_opens_without_errors_and_without_a_word_to_the_network(trained, tmp_path):
    with chromium(tmp_path) as browser:
        browser.get((trained / "vae_protherm/report.html").as_uri())
        assert console_messages(browser) == []
        assert addresses_asked(browser) == []
        rows = browser.execute_script("return document.querySelectorAll('#predictions-table tbody tr').length")
        assert rows == 50
