"""Deep mutational scans laid on a scan."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from copyfold.ddg.assays import place_assay, read_assay
from copyfold.ddg.predictor.numbering import Protein
from copyfold.ddg.predictor.predictor import Scan
from copyfold.ddg.sequences import AMINO_ACIDS
from copyfold.errors import InputError

from .chains import helix

SEQUENCE = "GSAEKLLAWFRQVMTNDYPH"
WHOLE = "MSLK" + SEQUENCE


@pytest.fixture
def scan():
    ddg = np.random.default_rng(3).normal(1, 1, (len(SEQUENCE), 20))
    ddg[np.arange(len(SEQUENCE)), [AMINO_ACIDS.index(letter) for letter in SEQUENCE]] = np.nan
    nothing = ("",) * len(SEQUENCE)
    structure = helix(SEQUENCE, first=101, seqres=WHOLE)
    return Scan(Protein(SEQUENCE, structure), ddg, np.ones_like(ddg), nothing, np.ones(len(SEQUENCE), bool))


def write_assay(path, mutations, scores, sequence=None):
    table = pd.DataFrame({"mutant": mutations, "DMS_score": scores})
    if sequence is not None:
        table["mutated_sequence"] = [
            sequence[: int(one[1:-1]) - 1] + one[-1] + sequence[int(one[1:-1]) :] for one in mutations
        ]
    table.to_csv(path, index=False)
    return path


def value(placed, residue, letter):
    return placed.scores[residue, AMINO_ACIDS.index(letter)]


def test_scores_lie_where_their_numbers_say_and_agree_as_scipy_has_it(scan, tmp_path):
    mutations, scores = ["A7V", "E8K", "W13F", "P23G", "S2A"], [0.1, 0.9, 0.5, 0.7, 0.3]
    placed = place_assay(read_assay(write_assay(tmp_path / "a.b.csv", mutations, scores)), scan)
    assert (placed.name, placed.n_left_out) == ("a.b", 1)  # S2 is not among the residues with coordinates
    assert [value(placed, *site) for site in ((2, "V"), (3, "K"), (8, "F"), (18, "G"))] == scores[:4]
    assert np.isfinite(placed.scores).sum() == 4
    ddg = [scan.ddg[row, AMINO_ACIDS.index(letter)] for row, letter in ((2, "V"), (3, "K"), (8, "F"), (18, "G"))]
    assert placed.spearman == pytest.approx(spearmanr(scores[:4], [-one for one in ddg])[0])


def test_mutated_sequences_settle_the_numbering_and_another_residue_is_left_out(scan, tmp_path):
    other = "MMMMMMMMMM" + SEQUENCE.replace("W", "Y")
    mutations = ["A13V", "Y19F", "E14K", "A13G"]
    placed = place_assay(read_assay(write_assay(tmp_path / "x.csv.gz", mutations, [1, 2, 3, 4], other)), scan)
    assert placed.name == "x"
    assert placed.n_left_out == 1
    assert (value(placed, 2, "V"), value(placed, 3, "K"), value(placed, 2, "G")) == (1, 3, 4)


def test_repeats_are_averaged_and_rows_of_several_counted(scan, tmp_path):
    path = write_assay(tmp_path / "x.csv", ["A7V", "A7V", "A7V:E8K", "E8K"], [1, 2, 5, ""])
    placed = place_assay(read_assay(path), scan)
    assert value(placed, 2, "V") == 1.5
    assert placed.n_left_out == 2
    assert np.isnan(placed.spearman)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("mutant\nA7V\n", "DMS_score"),
        ("mutant,DMS_score\nA7V,good\n", "row 1"),
        ("mutant,DMS_score\nA7V:E8K,1\n", "no single substitution"),
        ("mutant,DMS_score,mutated_sequence\nA1V,1,VCD\nC2D,1,ADD\nE3A,1,ACA\n", "row 3: E3A is not what"),
        ("mutant,DMS_score,mutated_sequence\nA1V,1,VCD\nK9A,1,ACA\n", "row 2: K9A is not what"),
    ],
)
def test_a_table_that_is_no_assay_is_refused(tmp_path, content, complaint):
    (tmp_path / "x.csv").write_text(content)
    with pytest.raises(InputError, match=complaint):
        read_assay(tmp_path / "x.csv")


def test_an_assay_of_another_protein_is_refused(scan, tmp_path):
    assay = read_assay(write_assay(tmp_path / "x.csv", ["C7V", "W8K"], [1, 2]))
    with pytest.raises(InputError, match="none of its 2 substitutions"):
        place_assay(assay, scan)
