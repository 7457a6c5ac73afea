"""The reference folder: built, read back, and held against real data."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from copyfold.app.references import BuildOptions, build_reference
from copyfold.cli.reference import app
from copyfold.cnv.coordinates import Gene, read_gene_table
from copyfold.cnv.importers import read_gatk_counts
from copyfold.cnv.reference import read_reference
from copyfold.cnv.reference.fasta import FastaRecord, format_fasta, read_fasta
from copyfold.core.console import Console
from copyfold.core.files import file_digest
from copyfold.errors import ConfigError, InputError, RunError

DATA = Path(__file__).parents[4] / "shared" / "data" / "cnv"
QUIET = Console(quiet=True)


def random_sequence(rng, length):
    return bytes(rng.choice(list(b"ACGT"), length).astype(np.uint8))


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """A chromosome with a repeat at 5,000 and 15,000, a run of N, and a gene; a plasmid with the gene again."""
    folder = tmp_path_factory.mktemp("inputs")
    rng = np.random.default_rng(5)
    chromosome = bytearray(random_sequence(rng, 24_300))
    chromosome[15_000:17_000] = chromosome[5_000:7_000]
    chromosome[10_000:11_000] = b"N" * 1000
    gene = bytes(chromosome[20_500:21_300])
    plasmid = random_sequence(rng, 1_200) + gene + random_sequence(rng, 1_100)
    (folder / "chr.fa").write_text(format_fasta([FastaRecord("chr", bytes(chromosome))]))
    (folder / "p.fa").write_text(format_fasta([FastaRecord("tiny", b"ACGTTGCAAT" * 9), FastaRecord("p1", plasmid)]))
    (folder / "genes.fa").write_text(format_fasta([FastaRecord("1__KPC_Bla__KPC-2__7", gene)]))
    return folder


def build(inputs, out, genes="genes.fa", threads=2, **options):
    genes_path = None if genes is None else inputs / genes
    build_reference(
        inputs / "chr.fa", [inputs / "p.fa"], genes_path, out, BuildOptions(**options), QUIET, threads=threads
    )
    return read_reference(out)


@pytest.fixture(scope="module")
def built(inputs, tmp_path_factory):
    return build(inputs, tmp_path_factory.mktemp("built") / "REF")


def test_contigs_and_bins_read_back(inputs, built):
    assert [(c.name, c.length, c.kind) for c in built.contigs] == [
        ("chr", 24_300, "chromosome"),
        ("tiny", 90, "plasmid"),
        ("p1", 3_100, "plasmid"),
    ]
    assert len(built.bins) == 25 + 1 + 4
    assert built.bins.chain_starts.tolist() == [0, 25, 26, 30]
    assert built.kinds.tolist() == ["chromosome"] * 25 + ["plasmid"] * 5
    assert read_fasta(built.fasta) == [*read_fasta(inputs / "chr.fa"), *read_fasta(inputs / "p.fa")]
    assert built.bin_size == 1000


def test_gc_and_mappability_say_where_repeats_and_n_are(built):
    assert np.flatnonzero(np.isnan(built.gc)).tolist() == [10]
    assert np.flatnonzero(built.mappability[:25] < 0.5).tolist() == [5, 6, 10, 15, 16]
    assert built.mappability[[0, 1, 2, 3, 8, 12, 18, 22, 24]].tolist() == [1] * 9
    assert built.mappability[27] < 0.5  # the gene lies on the chromosome, too


def test_genes_and_families(built):
    assert [(g.name, g.contig, g.start, g.end, g.role, g.family) for g in built.genes] == [
        ("blaKPC-2", "chr", 20_500, 21_300, "chromosome", "blaKPC"),
        ("blaKPC-2_2", "p1", 1_200, 2_000, "plasmid", "blaKPC"),
    ]
    assert built.families == {"blaKPC": ("blaKPC-2", "blaKPC-2_2")}
    assert read_gene_table(built.path / "genes.tsv")[1] == Gene("blaKPC-2_2", "p1", 1_200, 2_000, None, "blaKPC")
    assert (built.path / "families.tsv").read_text() == "family\tmembers\nblaKPC\tblaKPC-2,blaKPC-2_2\n"


def test_the_folder_is_the_same_whatever_the_threads(inputs, built, tmp_path):
    again = build(inputs, tmp_path / "REF", threads=1)
    assert (again.path / "reference.json").read_bytes() == (built.path / "reference.json").read_bytes()


def test_without_genes_and_with_other_bins(inputs, tmp_path):
    reference = build(inputs, tmp_path / "REF", genes=None, bin_size=500)
    assert reference.genes == ()
    assert reference.families == {}
    assert len(reference.bins) == 49 + 1 + 7


def test_an_edited_gene_table_is_taken_back(inputs, built, tmp_path):
    text = (built.path / "genes.tsv").read_text().replace("plasmid\t\n", "plasmid\t0.4\n")
    (inputs / "edited.tsv").write_text(text)
    reference = build(inputs, tmp_path / "REF", genes="edited.tsv", only_genes=("blaKPC-2_2",))
    (gene,) = reference.genes
    assert (gene.name, gene.family, gene.absent_threshold) == ("blaKPC-2_2", "blaKPC", 0.4)
    assert np.isnan(gene.identity)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bin_size": 10}, "--bin-size 10"),
        ({"min_identity": 0.0}, "--min-identity 0"),
        ({"min_coverage": 90.0}, "--min-coverage 90"),
        ({"read_length": 10}, "--read-length 10"),
        ({"step": 0}, "--step 0"),
        ({"min_mapq": 61}, "--min-mapq 61"),
    ],
)
def test_impossible_options_are_refused(inputs, tmp_path, options, message):
    with pytest.raises(ConfigError, match=message):
        build(inputs, tmp_path / "REF", **options)


def test_nothing_is_left_behind_by_a_mistake(inputs, tmp_path):
    (inputs / "bad.tsv").write_text("gene\tcontig\tstart\tend\na\tchr\t1\t99999\n")
    with pytest.raises(InputError, match="gene a ends at 99999"):
        build(inputs, tmp_path / "REF", genes="bad.tsv")
    with pytest.raises(InputError, match="--only blaX"):
        build(inputs, tmp_path / "REF", only_genes=("blaX",))
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "REF").mkdir()
    (tmp_path / "REF" / "x").write_text("")
    with pytest.raises(RunError, match="exists already"):
        build(inputs, tmp_path / "REF")


def test_a_reference_that_was_changed_is_refused(inputs, tmp_path):
    folder = build(inputs, tmp_path / "REF", step=500).path
    table = (folder / "genes.tsv").read_text()
    (folder / "genes.tsv").write_text(table + "\n")
    with pytest.raises(InputError, match=r"genes\.tsv: is not as it was written"):
        read_reference(folder)
    elsewhere = table.replace("\tp1\t", "\tp9\t")
    assert elsewhere != table
    (folder / "genes.tsv").write_text(elsewhere)
    whole = json.loads((folder / "reference.json").read_text())
    digests = {**whole["digests"], "genes.tsv": file_digest(folder / "genes.tsv")}
    (folder / "reference.json").write_text(json.dumps({**whole, "digests": digests}))
    with pytest.raises(InputError, match="lies on p9, which is no contig of the reference"):
        read_reference(folder)
    (folder / "genes.tsv").write_text(table)
    bins = (folder / "bins.tsv").read_text()
    (folder / "bins.tsv").write_text(bins.replace("\t1001\t", f"\t{10**20}\t", 1))
    digests = {name: file_digest(folder / name) for name in digests}
    (folder / "reference.json").write_text(json.dumps({**whole, "digests": digests}))
    with pytest.raises(InputError, match=r"reference\.json is damaged .*too large"):
        read_reference(folder)
    (folder / "genes.tsv").unlink()
    with pytest.raises(InputError, match=r"genes\.tsv: is missing"):
        read_reference(folder)
    manifest = json.loads((folder / "reference.json").read_text())
    (folder / "reference.json").write_text(json.dumps({**manifest, "format": "copyfold-reference/9"}))
    with pytest.raises(InputError, match="format copyfold-reference/9"):
        read_reference(folder)
    with pytest.raises(InputError, match=r"no reference\.json"):
        read_reference(tmp_path)


def test_command_line(inputs, tmp_path):
    arguments = ["build", "--chromosome", str(inputs / "chr.fa"), "--step", "500", "--out", str(tmp_path / "REF")]
    plasmid = tmp_path / "q.fa"
    plasmid.write_text(">q\n" + "ACGTA" * 40 + "\n")
    done = CliRunner().invoke(app, [*arguments, "--plasmids", str(inputs / "p.fa"), str(plasmid)])
    assert done.exit_code == 0, done.output
    assert [c.name for c in read_reference(tmp_path / "REF").contigs] == ["chr", "tiny", "p1", "q"]
    stray = CliRunner().invoke(app, [*arguments, str(plasmid)])
    assert isinstance(stray.exception, ConfigError)


@pytest.fixture(scope="module")
def hs11286(tmp_path_factory):
    if not DATA.exists():
        pytest.skip("needs the shared data")
    out = tmp_path_factory.mktemp("hs11286") / "REF"
    panel = DATA / "genes" / "panel_alleles_kleborate_CARD3.2.9.fasta"
    build_reference(DATA / "genomes" / "Klebs_HS11286.fna.xz", [], panel, out, BuildOptions(), QUIET)
    return read_reference(out)


def test_bins_of_hs11286_are_those_of_gatk(hs11286):
    gatk = read_gatk_counts(DATA / "semireal" / "counts_mq20" / "SEM0000.counts.tsv.gz").contigs
    for ours, theirs in zip(vars(hs11286.bins).values(), vars(gatk).values(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert np.diff(hs11286.bins.chain_starts).tolist() == [5334, 123, 112, 106, 4, 4, 2]


def test_genes_of_hs11286_are_where_published(hs11286):
    """blaKPC-2's published end lacks the stop codon; Kleborate says TEM-1 thrice, CTX-M-14 twice, SHV-11 and KPC-2."""
    genes = {gene.name: gene for gene in hs11286.genes}
    shv, kpc = genes["blaSHV-11"], genes["blaKPC-2"]
    assert (shv.contig, shv.start + 1, shv.end, shv.strand, shv.identity) == ("CP003200.1", 2549403, 2550263, "-", 1)
    assert hs11286.find_contig("NC_016845.1").name == shv.contig
    published = read_gene_table(DATA / "published" / "coords" / "plasmid_gene_coords.docs03.tsv")[0]
    assert (kpc.start, kpc.end) == (published.start, published.end + 3)
    assert hs11286.find_contig(published.contig).name == kpc.contig
    copies = {family: len(names) for family, names in hs11286.families.items()}
    assert copies == {"blaSHV": 1, "blaCTX-M": 2, "blaKPC": 1, "blaTEM": 3, "dfrA12": 1, "sul2": 1}


@pytest.mark.parametrize("aligner", ["mm2", "bwa"])
def test_mappability_finds_the_bins_that_mapq_empties(hs11286, aligner):
    """A flat genome of simulated reads at 100×: bins below half the median against mappability below 0.5."""
    flat = read_gatk_counts(DATA / "simulated" / f"HS11286_flat100x_{aligner}_mq20.counts.tsv.gz")
    chromosome = hs11286.kinds == "chromosome"
    counts = flat.counts[chromosome]
    empty, low = counts < np.median(counts) / 2, hs11286.mappability[chromosome] < 0.5
    assert empty.sum() == 67
    assert (empty & low).sum() / empty.sum() > 0.95
    assert (empty & low).sum() / low.sum() > 0.85
    assert np.corrcoef(hs11286.mappability[chromosome], counts)[0, 1] > 0.85
