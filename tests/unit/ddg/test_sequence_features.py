"""Features of sequence and alignment: against biotite's matrices, loops, and alignments worked out by hand."""

import gzip

import numpy as np
import pytest
from biotite.sequence import ProteinSequence
from biotite.sequence.align import SubstitutionMatrix

from copyfold.ddg.features.aminoacids import PROPERTIES
from copyfold.ddg.features.sequence import (
    SEQUENCE,
    profile_of,
    read_alignment,
    sequence_features,
    substitution_scores,
    window_means,
)
from copyfold.ddg.sequences import AMINO_ACIDS, encode_sequence
from copyfold.errors import InputError

PROTEIN = "MKTAYIAKQRQISFVKSHFSRQ"


def test_scores_are_those_of_biotite():
    matrix = SubstitutionMatrix(ProteinSequence.alphabet, ProteinSequence.alphabet, "BLOSUM62")
    for first in "AWKD":
        for second in "ARNV":
            mine = substitution_scores("BLOSUM62")[AMINO_ACIDS.index(first), AMINO_ACIDS.index(second)]
            assert mine == matrix.get_score(first, second)


def test_window_means_are_those_of_a_loop():
    sequence = encode_sequence(PROTEIN.replace("Q", "X"))
    values = np.stack([item.values for item in PROPERTIES], axis=1)
    found = window_means(sequence, 3)
    for place in range(len(sequence)):
        around = [q for q in range(max(0, place - 3), min(len(sequence), place + 4)) if q != place and sequence[q] >= 0]
        np.testing.assert_allclose(found[place], values[sequence[around]].mean(axis=0), rtol=1e-6)
    lonely = window_means(encode_sequence("A"), 3)
    np.testing.assert_allclose(lonely[0], values.mean(axis=0), rtol=1e-5)


def test_features_without_and_with_an_alignment():
    sequence = encode_sequence(PROTEIN)
    position = np.array([0, 5, len(PROTEIN) - 1])
    mutant = (sequence[position] + 1) % 20
    bare = sequence_features(sequence[position], mutant, sequence, position)
    assert bare.shape == (3, len(SEQUENCE))
    profile_columns = [name.startswith("profile") for name in SEQUENCE]
    assert np.isnan(bare[:, profile_columns]).all()
    assert np.isfinite(bare[:, ~np.array(profile_columns)]).all()
    profile = profile_of(PROTEIN, np.tile(sequence, (5, 1)))
    full = sequence_features(sequence[position], mutant, sequence, position, profile)
    assert np.isfinite(full).all()
    assert (full[:, SEQUENCE.index("profile_log_odds")] > 0).all()  # all sequences have the wild type there
    with pytest.raises(InputError, match="describes 22 residues, the sequence has 21"):
        sequence_features(sequence[:1], mutant[:1], sequence[:-1], position[:1], profile)


def test_a_wild_type_that_the_sequence_contradicts_is_refused():
    sequence = encode_sequence(PROTEIN)
    with pytest.raises(InputError, match=r"row 1: wild type A at position 1, where the sequence has M"):
        sequence_features(encode_sequence("A"), encode_sequence("G"), sequence, np.array([0]))
    with pytest.raises(InputError, match="position 23 lies outside the sequence of 22"):
        sequence_features(encode_sequence("A"), encode_sequence("G"), sequence, np.array([22]))


def test_henikoff_weights_of_their_own_example():
    """The four sequences of Henikoff & Henikoff 1994: GYVGS, GFDGF, GYDGF, GYQGG."""
    rows = ["GYVGS", "GFDGF", "GYDGF", "GYQGG"]
    profile = profile_of(rows[0], np.stack([encode_sequence(row) for row in rows]))
    # A letter that k of 4 sequences share in a column of r kinds weighs 1 / (r k).
    total = np.array([0.25 + 1 / 6 + 1 / 3 + 0.25 + 1 / 3, 0.25 + 0.5 + 1 / 6 + 0.25 + 1 / 6])
    total = np.append(total, [0.25 + 1 / 6 + 1 / 6 + 0.25 + 1 / 6, 0.25 + 1 / 6 + 1 / 3 + 0.25 + 1 / 3]) / 5
    observed_f = total[1]  # phenylalanine in column 2
    strength = np.mean([1, 2, 3, 1, 3])
    background = (3 + 1) / (20 + 20)  # three F among 20 letters, one added for each kind
    expected = (strength * observed_f + background) / (strength + 1)
    assert profile.frequencies[1, AMINO_ACIDS.index("F")] == pytest.approx(expected)
    np.testing.assert_allclose(profile.frequencies.sum(axis=1), 1)


def test_gaps_and_identical_sequences():
    rows = ["ACDE", "AC-E", "A--E"]
    profile = profile_of(rows[0], np.stack([encode_sequence(row) for row in rows]))
    assert (np.diff(profile.gaps[:3]) > 0).all()
    assert profile.gaps[3] == pytest.approx(0, abs=1e-12)
    assert profile.effective_sequences == pytest.approx(1)


def test_a2m_is_read_without_its_insertions(tmp_path):
    path = tmp_path / "x.a2m.gz"
    path.write_bytes(gzip.compress(b">q\nAC-\n".replace(b"-", b"D") + b">a\nA.kC-\n>b\nACX\n"))
    sequence, alignment = read_alignment(path)
    assert sequence == "ACD"
    np.testing.assert_array_equal(alignment, [[0, 1, 2], [0, 1, -1], [0, 1, -1]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "cannot be read as an alignment|holds no sequence"),
        (">a\nACD\n>b\nAC\n", "sequence 2 has 2 aligned letters"),
        (">a\nA-D\n", "has gaps"),
    ],
)
def test_what_is_no_alignment_is_refused(tmp_path, text, message):
    path = tmp_path / "x.fasta"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_alignment(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_alignment(tmp_path / "missing.fasta")
