"""Which residue a mutation names."""

import pytest

from copyfold.app.join import read_proteins
from copyfold.ddg.mutations import parse_mutation
from copyfold.ddg.predictor.lactamases import TEM1, ambler_numbers, standard_index, standard_numbers
from copyfold.ddg.predictor.numbering import Protein, numbering_of, places_in, residue_index
from copyfold.ddg.structures import read_structure
from copyfold.errors import InputError

from .chains import helix

CHAIN = helix("AEKLLAW", first=10, insertion_codes=("", "", "a", "", "", "", ""), seqres="MGAEKLLAWSS")
CHAIN.numbers[:] = [10, 11, 11, 12, 13, 14, 15]


def place(text, numbering=None, protein=None):
    protein = protein or Protein(CHAIN.sequence, CHAIN)
    (mutation,) = parse_mutation(text)
    return residue_index(mutation, numbering_of(text, numbering, protein), protein)


@pytest.mark.parametrize(
    ("text", "numbering", "expected"),
    [
        ("A10V", None, 0),
        ("A:E11V", None, 1),
        ("K11aV", None, 2),
        ("p.Ala3Val", None, 0),
        ("p.Trp9Ala", None, 6),
        ("Trp9Ala", None, 6),
        ("A3V", "sequence", 0),
        ("W15A", "pdb", 6),
    ],
)
def test_numbers_of_a_structure(text, numbering, expected):
    assert place(text, numbering) == expected


@pytest.mark.parametrize(
    ("text", "numbering", "message"),
    [
        ("B:A10V", None, "chain B is not the chain read"),
        ("L10V", None, "the residue there is A, not L"),
        ("A99V", None, "no residue 99"),
        ("p.Met1Val", None, "no coordinates"),
        ("p.Ser12Val", None, "outside the sequence"),
        ("K11aV", "sequence", "insertion codes"),
        ("A10V", "ambler", "not a class A"),
    ],
)
def test_what_cannot_be_placed_says_why(text, numbering, message):
    with pytest.raises(InputError, match=message):
        place(text, numbering)


def test_a_sequence_is_numbered_from_1_and_has_no_pdb_numbers():
    protein = Protein("MGAEK")
    assert place("A3V", None, protein) == 2
    with pytest.raises(InputError, match="no PDB numbers"):
        place("A3V", "pdb", protein)


def test_a_file_without_seqres_has_no_sequence_numbering():
    chain = helix("AEKLLAW")
    with pytest.raises(InputError, match="SEQRES"):
        place("p.Ala1Val", None, Protein(chain.sequence, chain))


def test_places_skip_what_a_structure_lacks():
    assert places_in("MKTAYIAKQRQISFVKSHFSRQ", "AYIAKQRSFVKSHF").tolist() == [
        *(-1, -1, -1, 0, 1, 2, 3, 4, 5, 6, -1, -1),
        *(7, 8, 9, 10, 11, 12, 13, -1, -1, -1),
    ]


def test_catalytic_residues_of_tem1_have_their_standard_numbers():
    numbers = ambler_numbers(TEM1).tolist()
    named = {
        number: TEM1[numbers.index(number)] for number in (26, 70, 73, 104, 130, 166, 182, 234, 238, 240, 276, 290)
    }
    assert "".join(named.values()) == "HSKESEMKGENW"
    assert 239 not in numbers
    assert 253 not in numbers
    precursor = ambler_numbers("MSIQHFRVALIPFFAAFCLPVFA" + TEM1)
    assert precursor[23:].tolist() == numbers


def test_kpc2_has_the_residue_that_tem1_lacks():
    """Around the C69–C238 bridge: KTG CGV (KPC-2, UniProt Q9F663) against KSG AGE of TEM-1."""
    like = TEM1.replace("WFIADKSGAGERGSRGIIAALGPDGKP", "WVVGDKTGTCGVYGTANDYAVVWPTGRAP")
    numbers = ambler_numbers(like).tolist()
    assert "".join(like[numbers.index(number)] for number in (234, 235, 236, 237, 238, 239, 240)) == "KTGTCGV"


@pytest.mark.parametrize(("name", "least"), [("1zg4", 1.0), ("1axb", 1.0), ("4blm", 0.65)])
def test_class_a_structures_are_numbered_as_their_authors_did_or_not_at_all(shared_ddg, name, least):
    chain = read_structure(shared_ddg / f"structures/{name}.pdb.gz")
    numbers = ambler_numbers(chain.sequence)
    known = numbers >= 0
    assert numbers[known].tolist() == chain.numbers[known].tolist()
    assert known.mean() >= least


VIM2 = (
    "MFKLLSKLLVYLTASIMAIASPLAFSVDSSGEYPTVSEIPVGEVRLYQIADGVWSHIATQSFDGAVYPSNGLIVRDGDELLLIDTAWGAKNTAALLAEIEKQIGLPV"
    "TRAVSTHFHDDRVGGVDVLRAAGVATYASPSTRRLAEVEGNEIPTHSLEGLSSSGDAVRFGPVELFYPGAAHSTDNLVVYVPSASVLYGGCAIYELSRTSAGNVADA"
    "DLAEWPTSIERIQQHYPEAQFVIPGHGLPGGLDLLKHTTNVVKAHTNRSVVE"
)
ABL = "S70 K73 S130 N132 E166 K234"  # Ambler et al. 1991
BBL = "H116 H118 D120 H196 C221 H263"  # zinc ligands: Galleni et al. 2001, Garau et al. 2004
DBL = "S70 K73 S118 V120 Y144 N146 K216 G218"  # motifs: Couture et al. 1992


@pytest.fixture(scope="session")
def panel(shared_ddg):
    """Proteins of the panel's β-lactamases by name, and VIM-2, which the panel lacks."""
    records = read_proteins(shared_ddg.parent / "cnv/genes/panel_alleles_kleborate_CARD3.2.9.fasta")
    return {name.removeprefix("bla"): protein.rstrip("*") for name, protein in records.items()} | {"VIM-2": VIM2}


@pytest.mark.parametrize(
    ("name", "scheme", "published"),
    [
        ("SHV-11", "ambler", ABL + " Q35 G238 E240"),  # SHV-11 is L35Q of SHV-1 (Nuesch-Inderbinen et al. 1997)
        ("TEM-1", "ambler", ABL + " E104 R164 G238 E240"),
        ("CTX-M-14", "ambler", ABL + " C69 P167 S237 D240"),
        ("CTX-M-27", "ambler", ABL + " P167 G240"),  # CTX-M-14 with D240G (Bonnet et al. 2003)
        ("CTX-M-15", "ambler", ABL + " P167 G240"),  # CTX-M-3 with D240G (Poirel et al. 2002)
        ("KPC-2", "ambler", ABL + " C69 D179 C238 V240 T243 H274"),  # KPC-3 is H274Y, KPC-4 V240G, KPC-31 D179Y
        ("NDM-1", "bbl", BBL + " K224 N233"),  # K211 and N220 of the precursor: King and Strynadka 2011
        ("NDM-5", "bbl", BBL),
        ("VIM-2", "bbl", BBL + " R228 N233"),
        ("OXA-48", "dbl", DBL),
        ("OXA-181", "dbl", DBL),
        ("OXA-232", "dbl", DBL),
    ],
)
def test_catalytic_residues_have_their_published_numbers(panel, name, scheme, published):
    found = standard_numbers(panel[name])
    assert found.scheme == scheme
    for text in published.split():
        assert panel[name][standard_index(scheme, int(text[1:]), panel[name])] == text[0], text


@pytest.mark.parametrize(
    ("name", "scheme", "position", "message"),
    [
        ("NDM-1", "bbl", 150, "BBL number 150 is not known here; known are 116 to 120, 196 to 200, 221 to 263"),
        ("OXA-48", "dbl", 164, "DBL number 164 is not known here; known are 70 to 146, 216 to 218"),
        ("CTX-M-15", "ambler", 239, "AMBLER number 239 is not known here"),
        ("CTX-M-15", "ambler", 276, "AMBLER number 276 is not known here"),  # beside a gap of the alignment to TEM-1
        ("OXA-48", "bbl", 116, "not recognised as a class B1"),
        ("NDM-1", "dbl", 70, "not recognised as a class D"),
        ("NDM-1", "ambler", 70, "not a class A"),
    ],
)
def test_a_number_that_is_not_known_is_said_to_be(panel, name, scheme, position, message):
    with pytest.raises(InputError, match=message):
        standard_index(scheme, position, panel[name])


def test_other_proteins_have_no_standard_numbers(shared_ddg):
    assert standard_numbers(CHAIN.sequence) is None
    for name in ("1ubq", "3bls", "1stn", "2lzm"):  # 3BLS: AmpC, class C, for which no scheme is here
        chain = read_structure(shared_ddg / f"structures/{name}.pdb.gz")
        assert standard_numbers(chain.sequence) is None
