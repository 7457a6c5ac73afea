"""Reports of stability runs, as training makes them, and in a browser."""

import shutil
from pathlib import Path

import pytest

from browser import addresses_asked, chromium, console_messages
from copyfold.core.files import write_json
from copyfold.ddg.sequences import AMINO_ACIDS, THREE_TO_ONE
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


def test_a_benchmark_has_a_leaderboard_and_what_is_none_is_refused(copyfold, tmp_path):
    metric = {"value": 0.5, "low": 0.4, "high": 0.6}
    methods = {"copyfold": {"n": 60, "direct": {"spearman": metric}}}
    content = {"format": "copyfold-ddg-benchmark/1", "benchmark": "s669", "methods": methods}
    write_json(tmp_path / "benchmark.json", content)
    copyfold("report", tmp_path).succeeded()
    assert "copyfold 0.50 [0.40, 0.60]" in (tmp_path / "report.html").read_text()
    write_json(tmp_path / "benchmark.json", content | {"methods": {"x": {}}})
    assert "not of format" in copyfold("report", tmp_path).complaint()


def test_a_benchmark_of_assays_is_another_format_with_a_leaderboard_each(copyfold, tmp_path):
    methods = {"copyfold": {"spearman": {"value": 0.5, "low": 0.4, "high": 0.6}}}
    content = {"format": "copyfold-ddg-dms-benchmark/1", "benchmark": "proteingym"}
    write_json(tmp_path / "benchmark.json", content | {"assays": {"BLAT": {"n": 60, "methods": methods}}})
    copyfold("report", tmp_path).succeeded()
    assert "copyfold 0.50 [0.40, 0.60]" in (tmp_path / "report.html").read_text()
    write_json(tmp_path / "benchmark.json", content | {"methods": methods})
    assert "not of format" in copyfold("report", tmp_path).complaint()


# Scans

CHAIN = "GAVLMFWSTC"
ATOM = (
    "ATOM  {serial:5d}  {atom:<3s} {residue} A{number:4d}    {x:8.3f}{y:8.3f}{z:8.3f}"
    "  1.00{b:6.2f}           {element}\n"
)


def write_model(path, title, confidences):
    """A strand of `CHAIN` numbered from 11, each residue's atoms with its confidence as B-factor."""
    text = f"TITLE     {title}\n"
    for i, (letter, confidence) in enumerate(zip(CHAIN, confidences, strict=True)):
        for j, (atom, shift) in enumerate((("N", 0.0), ("CA", 1.2), ("C", 2.4), ("O", 2.4))):
            place = {"x": 3.5 * i + shift, "y": 1.2 * (j == 3), "z": 0.3 * j, "element": atom[0]}
            residue = next(name for name, one in THREE_TO_ONE.items() if one == letter)
            text += ATOM.format(serial=4 * i + j + 1, atom=atom, residue=residue, number=11 + i, b=confidence, **place)
    path.write_text(text + "TER\nEND\n")
    return path


@pytest.fixture
def scan(tmp_path):
    """A folder as `copyfold ddg scan` leaves it."""
    folder = tmp_path / "scan"
    folder.mkdir()
    rows = ["mutation,ddg_kcal_mol,sigma_kcal_mol,in_domain,reason,position,wild_type,mutant,site_mean_ddg"]
    for i, letter in enumerate(CHAIN):
        for mutant in AMINO_ACIDS:
            if mutant != letter:
                rows.append(f"{letter}{11 + i}{mutant},{i}.5,0.7,True,,{11 + i},{letter},{mutant},{i}.5")
    head = "# copyfold-ddg-stability/1\n# ddg: kcal/mol, positive = destabilising\n# <b>model</b>\n"
    (folder / "scan.csv").write_text(head + "\n".join(rows) + "\n")
    return folder


def test_a_scan_is_reported_with_the_confidence_of_an_alphafold_model(scan, copyfold, tmp_path):
    confidences = [95.0] * 7 + [40.0] * 3
    model = write_model(tmp_path / "model.pdb", "ALPHAFOLD MONOMER V2.0 PREDICTION FOR X", confidences)
    done = copyfold("report", scan, "--structure", model).succeeded()
    assert done.stdout == f"{scan}/report.html\n"
    text = (scan / "report.html").read_text()
    assert "pLDDT below 70 at 3 positions" in text
    assert "S18, T19, C20" in text
    assert "&lt;b&gt;model" in text


def test_b_factors_of_an_experiment_are_no_confidence(scan, copyfold, tmp_path):
    copyfold(
        "report", scan, "--structure", write_model(tmp_path / "x.pdb", "CRYSTAL STRUCTURE", [20.0] * 10)
    ).succeeded()
    assert "pLDDT" not in (scan / "report.html").read_text()


def test_another_structure_than_the_scanned_one_is_refused(scan, copyfold, tmp_path):
    other = write_model(tmp_path / "x.pdb", "ALPHAFOLD", [20.0] * 10)
    other.write_text(other.read_text().replace("GLY A  11", "TRP A  11"))
    assert (
        "has no residue G11; give the structure that was scanned"
        in copyfold("report", scan, "--structure", other).complaint()
    )


@pytest.mark.parametrize(("content", "complaint"), [("position\n1\n", "has no column"), ("", "cannot be read")])
def test_a_damaged_scan_is_one_line(scan, copyfold, content, complaint):
    (scan / "scan.csv").write_text(content)
    assert complaint in copyfold("report", scan).complaint()
    assert not (scan / "report.html").exists()
