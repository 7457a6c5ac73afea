"""Depth tables into stores: mosdepth and samtools are run on a small BAM; breseq's layout is written by hand."""

import gzip
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pysam
import pytest

from copyfold.app.stores import build_store
from copyfold.cnv.importers import READERS, ImportSettings, read_bedcov, read_breseq_coverage, read_mosdepth
from copyfold.cnv.store import open_store, read_manifest
from copyfold.core.console import Console
from copyfold.errors import ConfigError, InputError

QUIET = Console(quiet=True)
READ = 100
LENGTHS = {"chr": 5_400, "plas": 1_700}


@pytest.fixture(scope="module")
def bam(tmp_path_factory):
    """Reads of 100 bases at random places; coordinates are known, so every tool's count can be told beforehand."""
    path = tmp_path_factory.mktemp("bam") / "ERR9.bam"
    rng = np.random.default_rng(11)
    header = {"HD": {"VN": "1.6", "SO": "coordinate"}, "SQ": [{"SN": n, "LN": size} for n, size in LENGTHS.items()]}
    with pysam.AlignmentFile(path, "wb", header=header) as out:
        for reference, size in enumerate(LENGTHS.values()):
            for number, start in enumerate(np.sort(rng.integers(0, size - READ, 9 * size // READ))):
                read = pysam.AlignedSegment(out.header)
                read.query_name, read.reference_id, read.reference_start = f"r{reference}.{number}", reference, start
                read.query_sequence, read.cigarstring, read.mapping_quality = "A" * READ, f"{READ}M", 60
                read.query_qualities = pysam.qualitystring_to_array("I" * READ)
                out.write(read)
    pysam.index(str(path))
    return path


def bases_per_bin(bam):
    """Bases of each 1 kb bin, both contigs, from the reads themselves."""
    found = []
    with pysam.AlignmentFile(bam) as reads:
        for name, size in LENGTHS.items():
            depth = np.zeros(size)
            for read in reads.fetch(name):
                depth[read.reference_start : read.reference_end] += 1
            found += [depth[start : start + 1000].sum() for start in range(0, size, 1000)]
    return np.array(found)


def tool(name):
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not on PATH")
    return name


@pytest.fixture(scope="module")
def mosdepth_table(bam, tmp_path_factory):
    """What mosdepth writes; Debian's looks for libhts.so, which only the package of headers has."""
    folder = tmp_path_factory.mktemp("mosdepth")
    libraries = sorted(Path("/usr/lib").glob("*/libhts.so.*"))
    if libraries:
        (folder / "libhts.so").symlink_to(libraries[0])
    environment = os.environ | {"LD_LIBRARY_PATH": f"{folder}:{os.environ.get('LD_LIBRARY_PATH', '')}"}
    command = [tool("mosdepth"), "-n", "-x", "--by", "1000", str(folder / "ERR9"), str(bam)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if "could not load" in done.stdout + done.stderr:
        pytest.skip("mosdepth finds no libhts.so")
    assert done.returncode == 0, done.stderr
    return folder / "ERR9.regions.bed.gz"


def test_mosdepth(bam, mosdepth_table, tmp_path):
    sample = read_mosdepth(mosdepth_table, READ)
    assert sample.sample_id == "ERR9"
    assert sample.contigs.chrom.tolist() == ["chr"] * 6 + ["plas"] * 2
    assert sample.contigs.end.tolist() == [1000, 2000, 3000, 4000, 5000, 5400, 1000, 1700]
    assert np.abs(sample.counts - bases_per_bin(bam) / READ).max() <= 0.55  # rounded, from means of two decimals
    folder = mosdepth_table.parent
    build_store([folder], tmp_path / "store", "mosdepth", ["plas"], None, QUIET, settings=ImportSettings(READ))
    assert open_store(tmp_path / "store").counts.tolist() == [sample.counts[6:].tolist()]
    assert read_manifest(tmp_path / "store")["unit"] == "reads per bin (bases / read length)"
    assert read_manifest(tmp_path / "store")["source"] == {"from": "mosdepth", "read_length": READ}


def bedcov(bam, folder, *options):
    bins = folder / "bins.bed"
    bins.write_text(
        "".join(
            f"{name}\t{start}\t{min(start + 1000, size)}\n"
            for name, size in LENGTHS.items()
            for start in range(0, size, 1000)
        )
    )
    done = subprocess.run(
        [tool("samtools"), "bedcov", *options, str(bins), str(bam)], capture_output=True, text=True, check=True
    )
    (folder / "out").mkdir()
    (folder / "out" / "ERR9.bedcov").write_text(done.stdout)
    return folder / "out" / "ERR9.bedcov"


def test_bedcov_sums(bam, tmp_path):
    sample = read_bedcov(bedcov(bam, tmp_path), READ)
    assert sample.sample_id == "ERR9"
    np.testing.assert_array_equal(sample.counts, np.rint(bases_per_bin(bam) / READ))
    build_store([tmp_path / "out"], tmp_path / "store", "bedcov", [], None, QUIET, settings=ImportSettings(READ))
    assert open_store(tmp_path / "store").counts.tolist() == [sample.counts[:6].tolist()]


def test_bedcov_reads(bam, tmp_path):
    table = bedcov(bam, tmp_path, "-c")
    with pysam.AlignmentFile(bam) as reads:
        expected = [
            reads.count(name, start, min(start + 1000, size))
            for name, size in LENGTHS.items()
            for start in range(0, size, 1000)
        ]
    assert read_bedcov(table, None).counts.tolist() == expected
    build_store([table], tmp_path / "store", "bedcov", [], None, QUIET, settings=ImportSettings(columns="reads"))
    assert read_manifest(tmp_path / "store")["unit"] == "reads overlapping each bin"
    with pytest.raises(InputError, match="line 1: 5 columns where samtools bedcov writes contig, start, end, sum"):
        read_bedcov(table, READ)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("chr\t0\t1000\t3.5\nchr\t1000\t900\t3\n", "line 2: chr:1000-900 is no interval"),
        ("chr\t0\t1000\t3.5\nchr\t1000\t2000\tnan\n", "line 2: 'nan' must be a number"),
        ("chr\t0\t1000\t3.5\nchr\t1000\t2000\n", "line 2: 3 columns where"),
        ("chr\t0\t1000\t-1\n", "line 1: '-1' must be a number"),
        ("chr\t0\t1000\t\n", "line 1: '' must be"),
        ("chr\tstart\tend\tmean\n", "line 1: chr:start-end is no interval"),
    ],
)
def test_bad_bed_tables(tmp_path, text, message):
    path = tmp_path / "A.regions.bed.gz"
    path.write_bytes(gzip.compress(text.encode()))
    with pytest.raises(InputError, match=message):
        read_mosdepth(path, 150)


def test_a_header_line_and_a_hash_in_a_contigs_name(tmp_path):
    path = tmp_path / "A.bedcov"
    path.write_text("#chrom\tstart\tend\tA.bam\nc#1\t0\t1000\t5000\nNA\t0\t10\t0\n")
    sample = read_bedcov(path, 100)
    assert sample.contigs.chrom.tolist() == ["c#1", "NA"]
    assert sample.counts.tolist() == [50, 0]


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("mosdepth", {}, "--read-length is not set"),
        ("bedcov", {}, "--read-length is not set"),
        ("breseq", {}, "--read-length is not set"),
        ("gatk", {"read_length": 100}, "counts reads already"),
        ("bedcov", {"read_length": 100, "columns": "reads"}, "counts reads already"),
        ("bedcov", {"columns": "mean"}, "must be sum"),
        ("mosdepth", {"columns": "sum", "read_length": 100}, "leave it out"),
    ],
)
def test_settings_that_do_not_fit_the_tool(name, settings, message):
    with pytest.raises(ConfigError, match=message):
        READERS[name].check(ImportSettings(**settings))


@pytest.mark.parametrize("settings", [{"read_length": 0}, {"read_length": float("nan")}, {"bin_size": 0}])
def test_impossible_settings(settings):
    with pytest.raises(ConfigError, match="must be"):
        ImportSettings(**settings)


# breseq is in no package registry that tests may use. These tables are written by hand in the two layouts that its
# sources and its own tests show.
BAM2COV = "position\tref_base\tunique_top_cov\tunique_bot_cov\tredundant_top_cov\tredundant_bot_cov\textra\n"
FOOTER = "#\tregion_unique_average_cov\t56.7\n#\tnumber_of_positions\t4629812\n"
RUN = "unique_top_cov\tunique_bot_cov\tredundant_top_cov\tredundant_bot_cov\traw_redundant_top_cov\te_value\tposition\n"


def bam2cov(positions, depth=(3, 4, 0.5, 0.5)):
    cells = "\t".join(map(str, depth))
    return BAM2COV + "".join(f"{position}\tA\t{cells}\t9\n" for position in positions) + FOOTER


def run_table(n, depth=(3, 4, 0, 0)):
    cells = "\t".join(map(str, depth))
    return RUN + "".join(f"{cells}\t0\tNA\t{position}\n" for position in range(1, n + 1))


def test_breseq_tables_of_both_layouts(tmp_path):
    (tmp_path / "NC_1.1.coverage.tsv").write_text(bam2cov([*range(1, 1000), *range(1201, 2501)]))
    contigs, bases = read_breseq_coverage(tmp_path / "NC_1.1.coverage.tsv", 1000)
    assert contigs.chrom.tolist() == ["NC_1.1"] * 3
    assert contigs.end.tolist() == [1000, 2000, 2500]
    assert bases.tolist() == [999 * 8, 800 * 8, 500 * 8]
    (tmp_path / "NC_2.coverage.tab").write_text(run_table(1500))
    contigs, bases = read_breseq_coverage(tmp_path / "NC_2.coverage.tab", 1000)
    assert contigs.chrom.tolist() == ["NC_2"] * 2
    assert bases.tolist() == [7000, 3500]


def test_a_breseq_folder_is_a_sample_and_a_file_a_contig(tmp_path):
    for sample in ("s2", "s1"):
        inner = tmp_path / "runs" / sample / "08_mutation_identification"
        inner.mkdir(parents=True)
        (inner / "chrom.coverage.tab").write_text(run_table(2500))
        (inner / "plas.coverage.tab").write_text(run_table(800, (9, 0, 0, 0)))
    flat = tmp_path / "s3"
    flat.mkdir()
    (flat / "chrom.coverage.tsv").write_text(bam2cov(range(1, 2501)))
    (flat / "plas.coverage.tsv").write_text(bam2cov(range(1, 801)))
    settings = ImportSettings(read_length=100)
    inputs = [tmp_path / "runs", flat]
    build_store(inputs, tmp_path / "store", "breseq", ["chrom", "plas"], None, QUIET, settings=settings)
    store = open_store(tmp_path / "store")
    assert store.sample_ids.tolist() == ["s1", "s2", "s3"]
    assert store.counts.tolist() == [[70, 70, 35, 72], [70, 70, 35, 72], [80, 80, 40, 64]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (bam2cov(range(1, 900, 3)), "--resolution 0"),
        (bam2cov([1, 2, 2]), "line 4: position is '2' behind 2"),
        (bam2cov([1, 2], (3, -4, 0, 0)), "line 2: unique_bot_cov is '-4'"),
        (bam2cov([1, 2], (3, "x", 0, 0)), "line 2: unique_bot_cov is 'x'"),
        (bam2cov([0, 1]), "line 2: position is '0'"),
        ("position\tcov\n1\t2\n", "no column unique_top_cov"),
        (BAM2COV, "a header and no rows"),
    ],
)
def test_bad_breseq_tables(tmp_path, text, message):
    path = tmp_path / "c.coverage.tab"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_breseq_coverage(path, 1000)
    with pytest.raises(InputError, match="holds no"):
        READERS["breseq"].find([_empty(tmp_path)])


def _empty(folder):
    (folder / "empty").mkdir(exist_ok=True)
    return folder / "empty"
