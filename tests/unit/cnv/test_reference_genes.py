"""Gene search and annotations."""

from pathlib import Path

import numpy as np
import pytest

from copyfold.cnv.coordinates import Gene
from copyfold.cnv.reference.annotation import gene_format, parse_genbank, parse_gff3
from copyfold.cnv.reference.build import describe_contig, genes_from_hits, place_features, place_table
from copyfold.cnv.reference.fasta import FastaRecord, format_fasta, reverse_complement
from copyfold.cnv.reference.gene_search import GeneHit, best_at_each_place, count_matches, gene_aligner, search_genes
from copyfold.core.packed import read_unpacked
from copyfold.errors import InputError

PATH = Path("x")
DATA = Path(__file__).parents[4] / "shared" / "data" / "cnv"


def random_sequence(rng, length):
    return bytes(rng.choice(list(b"ACGT"), length).astype(np.uint8))


def mutated(rng, sequence, n):
    changed = bytearray(sequence)
    for at in rng.choice(len(sequence), n, replace=False):
        changed[at] = rng.choice([base for base in b"ACGT" if base != changed[at]])
    return bytes(changed)


def search(tmp_path, records, genes, identity=0.9, coverage=0.9):
    path = tmp_path / "reference.fa"
    path.write_text(format_fasta(records))
    return search_genes(gene_aligner(str(path)), genes, records, identity, coverage)


@pytest.mark.parametrize("gap", [0, 150, 3000])
def test_every_copy_of_a_tandem_array_is_found(tmp_path, gap):
    rng = np.random.default_rng(1)
    gene = random_sequence(rng, 861)
    before, between, behind = (random_sequence(rng, length) for length in (4000, gap, 4000))
    contig = before + (gene + between) * 4 + behind + reverse_complement(gene)
    found = search(tmp_path, [FastaRecord("c", contig)], [FastaRecord("blaSHV", gene)]).hits
    assert [hit.start for hit in found] == [4000 + number * (861 + gap) for number in range(4)] + [len(contig) - 861]
    assert [hit.strand for hit in found] == ["+"] * 4 + ["-"]
    assert {(hit.end - hit.start, hit.identity, hit.coverage) for hit in found} == {(861, 1.0, 1.0)}
    genes = genes_from_hits(found, [describe_contig(FastaRecord("c", contig), "chromosome")])
    assert [gene.name for gene in genes] == ["blaSHV", "blaSHV_2", "blaSHV_3", "blaSHV_4", "blaSHV_5"]
    assert {gene.family for gene in genes} == {"blaSHV"}


def test_many_diverged_copies_are_found_with_exact_identity(tmp_path):
    rng = np.random.default_rng(2)
    gene = random_sequence(rng, 900)
    contig, expected = random_sequence(rng, 3000), []
    for n in (0, 1, 9, 45, 80) * 8:
        expected.append((len(contig), 1 - n / 900))
        contig += mutated(rng, gene, n) + random_sequence(rng, 400)
    found = search(tmp_path, [FastaRecord("c", contig)], [FastaRecord("g", gene)]).hits
    assert [hit.start for hit in found] == [start for start, _ in expected]
    assert [hit.identity for hit in found] == pytest.approx([identity for _, identity in expected], abs=0.003)


def test_differences_at_the_very_ends_are_part_of_the_gene(tmp_path):
    rng = np.random.default_rng(3)
    gene = random_sequence(rng, 600)
    changed = bytearray(gene)
    for at in (0, 2, 598, 599):
        changed[at] = ord("A") if gene[at] != ord("A") else ord("C")
    contig = random_sequence(rng, 2000) + reverse_complement(bytes(changed)) + random_sequence(rng, 2000)
    (hit,) = search(tmp_path, [FastaRecord("c", contig)], [FastaRecord("g", gene)]).hits
    assert (hit.start, hit.end, hit.strand, hit.coverage) == (2000, 2600, "-", 1.0)
    assert hit.identity == pytest.approx(596 / 600)


def test_the_best_allele_keeps_the_place_and_the_rest_is_told(tmp_path):
    rng = np.random.default_rng(4)
    first = random_sequence(rng, 876)
    second = mutated(rng, first, 5)
    half = random_sequence(rng, 800)
    records = [
        FastaRecord("c", random_sequence(rng, 1000) + second + random_sequence(rng, 1000)),
        FastaRecord("p", random_sequence(rng, 1000) + half[:400] + random_sequence(rng, 500)),
    ]
    names = ("blaCTX-M-14", "blaCTX-M-15", "half", "absent")
    sequences = (first, second, half, random_sequence(rng, 700))
    found = search(tmp_path, records, [FastaRecord(*pair) for pair in zip(names, sequences, strict=True)])
    assert [(hit.gene, hit.start, hit.identity) for hit in found.hits] == [("blaCTX-M-15", 1000, 1.0)]
    assert found.outdone == {"blaCTX-M-14": "blaCTX-M-15"}
    assert found.missing["absent"] is None
    assert found.missing["half"].coverage == pytest.approx(0.5, abs=0.02)
    assert list(found.missing) == ["half", "absent"]


def test_genes_of_two_families_may_overlap_but_not_coincide():
    one = GeneHit("a", "c", 0, 1000, "+", 0.99, 1.0)
    assert best_at_each_place([one, one._replace(gene="b", start=400, end=1400)])[0][1:]
    kept, losses = best_at_each_place([one, one._replace(gene="b", start=50, end=1000, identity=1.0)])
    assert [hit.gene for hit in kept] == ["b"]
    assert losses == {"a": "b"}


def test_matches_are_counted_along_a_cigar():
    # ACGT-ACGTT over ACCTTAC-TT: seven equal of ten columns
    assert count_matches(b"ACGTACGTT", b"ACCTTACTT", [(4, 0), (1, 2), (2, 0), (1, 1), (2, 0)]) == (7, 10)


GFF = """##gff-version 3
c\tx\tregion\t1\t9000\t.\t+\t.\tID=r
c\tx\tgene\t101\t400\t.\t+\t.\tID=g1;Name=thrA;gene=thrA;locus_tag=b1
c\tx\tCDS\t101\t400\t.\t+\t0\tID=c1;Parent=g1;Name=NP_1;gene=thrA
c\tx\tgene\t501\t800\t.\t-\t.\tID=g2;locus_tag=b2
c\tx\tCDS\t501\t700\t.\t-\t0\tID=c2;Parent=g2;locus_tag=b2
c\tx\tCDS\t699\t800\t.\t-\t0\tID=c2;Parent=g2;locus_tag=b2
c\tx\tCDS\t901\t1000\t.\t+\t0\tID=c3;Name=NP_3;gene=bla%28x%29
c\tx\tCDS\t1001\t1100\t.\t+\t0\tID=c4;gene=thrA
c\tx\tCDS\t1051\t1200\t.\t+\t0\tID=c4;gene=thrA
c\tx\tgene\t8901\t9100\t.\t+\t.\tID=g5;Name=dnaA
p\tx\tgene\t1\t30\t.\t+\t.\tID=g6;Name=elsewhere
c\tx\tgene\t1\t30\t.\t+\t.\tnote=unnamed
##FASTA
>c
ACGT
"""


def contig(name="c", length=9000, kind="chromosome"):
    return describe_contig(FastaRecord(name, b"A" * length), kind)


def test_gff3():
    annotation = parse_gff3(GFF, PATH)
    assert annotation.notes == ("1 gene or CDS features without a name left out",)
    genes, notes = place_features(annotation.features, [contig()])
    assert [(gene.name, gene.start, gene.end, gene.strand) for gene in genes] == [
        ("thrA", 100, 400, "+"),
        ("b2", 500, 800, "-"),
        ("bla(x)", 900, 1000, "+"),
        ("thrA_2", 1000, 1200, "+"),
    ]
    assert np.isnan(genes[0].identity)
    assert genes[0].role == "chromosome"
    assert notes == [
        "dnaA crosses the origin of c; left out",
        "left out, for their contigs are not in the reference: elsewhere (p)",
    ]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("c\tx\tgene\t1\t2\t.\t+\t.", "line 2: 8 columns"),
        ("c\tx\tgene\t5\t2\t.\t+\t.\tID=a", "line 2: 5–2 is no interval"),
        ("c\tx\tgene\t0\t2\t.\t+\t.\tID=a", "line 2: 0–2 is no interval"),
        ("c\tx\tgene\ta\t2\t.\t+\t.\tID=a", "line 2: a–2 is no interval"),
    ],
)
def test_a_bad_gff3_is_refused(row, message):
    with pytest.raises(InputError, match=message):
        parse_gff3(f"##gff-version 3\n{row}\n", PATH)


GENBANK = """LOCUS       CP000001                9000 bp    DNA     circular BCT 01-JAN-2020
DEFINITION  gene of nothing.
ACCESSION   CP000001
VERSION     CP000001.2  GI:1
FEATURES             Location/Qualifiers
     source          1..9000
                     /gene="source"
     gene            complement(<101..400)
                     /gene="thrA"
                     /locus_tag="b1"
     CDS             complement(<101..400)
                     /gene="thrA"
                     /note="a long note with
                     /gene=not_this"
     CDS             join(501..600,
                     650..>800)
                     /locus_tag="b2"
     gene            join(8900..9000,1..50)
                     /gene="dnaA"
     CDS             join(J00194.1:1..50,60..90)
                     /gene="remote"
     CDS             7..9
                     /product="unnamed"
ORIGIN
        1 acgtacgtac
//
LOCUS       p1 100 bp DNA
FEATURES             Location/Qualifiers
     gene            11..20
                     /gene="thrA"
"""


def test_genbank():
    annotation = parse_genbank(GENBANK, PATH)
    assert annotation.notes == (
        "dnaA crosses the origin; left out",
        "remote lies in part on another record; left out",
        "1 gene or CDS features without a name left out",
    )
    genes, _ = place_features(annotation.features, [contig("CP000001.2"), contig("p1", 100, "plasmid")])
    assert [(gene.name, gene.contig, gene.start, gene.end, gene.strand, gene.role) for gene in genes] == [
        ("thrA", "CP000001.2", 100, 400, "-", "chromosome"),
        ("b2", "CP000001.2", 500, 800, "+", "chromosome"),
        ("thrA_2", "p1", 10, 20, "+", "plasmid"),
    ]


def test_genbank_without_locus_or_place_is_refused():
    with pytest.raises(InputError, match="line 1: FEATURES without LOCUS"):
        parse_genbank("FEATURES  x\n     gene            1..9\n", PATH)
    with pytest.raises(InputError, match="line 3: location '<>' holds no place"):
        parse_genbank("LOCUS       a 10 bp\nFEATURES  x\n     gene            <>\n", PATH)


@pytest.mark.skipif(not DATA.exists(), reason="needs the shared data")
def test_a_real_genbank_file():
    path = DATA / "peers" / "cnogpro_example" / "CP003467.gbk.gz"
    data = read_unpacked(path)
    assert gene_format(data) == "genbank"
    annotation = parse_genbank(data.decode(), path)
    assert len(annotation.features) == 238
    assert annotation.features[0] == ("trmE", ("CP003467.1", "CP003467"), 0, 1332, "+")
    genes, _ = place_features(annotation.features, [contig("CP003467.1", 174_014)])
    assert len({gene.name for gene in genes}) == 238


def test_forms_of_gene_files():
    assert gene_format(b"\n>a\nACGT") == "fasta"
    assert gene_format(GFF.encode()) == "gff"
    assert gene_format(GFF.split("\n", 1)[1].encode()) == "gff"
    assert gene_format(GENBANK.encode()) == "genbank"
    assert gene_format(b"gene\tcontig\tstart\tend\n") == "table"


def test_a_table_of_coordinates_is_placed_by_alias_with_thresholds_and_families():
    genes = [Gene("blaKPC-2", "NC_016846.1", 20, 30, 0.5), Gene("blaX_2", "c", 1, 9, None, "blaX")]
    placed, notes = place_table(genes, [contig(), contig("CP003224.1", 100, "plasmid")])
    assert [(gene.name, gene.contig, gene.absent_threshold, gene.family, gene.role) for gene in placed] == [
        ("blaX_2", "c", None, "blaX", "chromosome"),
        ("blaKPC-2", "CP003224.1", 0.5, "blaKPC", "plasmid"),
    ]
    assert placed[1].gene == Gene("blaKPC-2", "CP003224.1", 20, 30, 0.5, "blaKPC")
    assert not notes


def test_genes_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="gene a ends at 9001, but c is 9000 bp long"):
        place_table([Gene("a", "c", 1, 9001)], [contig()])
    with pytest.raises(InputError, match="no gene lies on this reference: the genes' contigs are z"):
        place_table([Gene("a", "z", 1, 9)], [contig()])
