"""From reads to calls on the command line: BAM, CRAM and FASTQ of a small genome; bad reads."""

import gzip
import json
import shutil
import subprocess
import time

import numpy as np
import pandas as pd
import pysam
import pytest

from copyfold.cnv.counting import count_alignments
from copyfold.cnv.counting.alignments import Alignments
from copyfold.cnv.counting.sample_file import read_counts, write_counts
from copyfold.cnv.reference import read_reference

CHROMOSOME, PLASMID = 60_000, 10_000
SHV = (30_200, 33_900)
DUPLICATED = (29_500, 34_500)
KPC, TEM, TEM_2 = (500, 3_300), (3_700, 5_200), (7_500, 9_000)
PCN = {f"s{number}": pcn for number, pcn in enumerate((1, 3, 1, 0, 2, 1, 1, 2, 0, 1))}
GROWTH = dict(zip(PCN, (1.4, 1.0, 1.9, 1.2, 2.4, 1.1, 1.6, 1.0, 2.2, 1.7), strict=True))  # ori/ter, origin at 0
PAIRS = 9_000  # per chromosome: 30×
READ, INSERT = 100, 300
COMPLEMENT = bytes.maketrans(b"ACGT", b"TGCA")


class Genome:
    """Sequences, the reference made of them, and reads of isolates whose copy numbers are planted."""

    def __init__(self, folder):
        rng = np.random.default_rng(12)
        self.folder = folder
        self.chromosome = bytes(rng.choice(list(b"ACGT"), CHROMOSOME).astype("u1"))
        plasmid = bytearray(rng.choice(list(b"ACGT"), PLASMID).astype("u1"))
        plasmid[slice(*TEM_2)] = plasmid[slice(*TEM)]
        self.plasmid = bytes(plasmid)
        (folder / "chr.fa").write_bytes(b">chr\n%s\n" % self.chromosome)
        (folder / "p.fa").write_bytes(b">p1\n%s\n" % self.plasmid)
        genes = {"SHV_Bla__SHV-11": self.chromosome[slice(*SHV)]}
        genes |= {"KPC_Bla__KPC-2": self.plasmid[slice(*KPC)], "TEM_Bla__TEM-1": self.plasmid[slice(*TEM)]}
        names = enumerate(genes.items())
        (folder / "genes.fa").write_bytes(b"".join(b">%d__%s__1\n%s\n" % (i, n.encode(), s) for i, (n, s) in names))

    def pairs(self, seed, pcn, duplicated=False, growth=1.0):
        """(contig, start) of the pairs' fragments; the chromosome's median depth is that of 1 copy."""
        rng = np.random.default_rng(seed)
        from_origin = np.abs(np.arange(CHROMOSOME) / CHROMOSOME - 0.5)  # 0.5 at the origin, 0 at the terminus
        copies = growth ** (2 * from_origin - 0.5)
        copies[slice(*DUPLICATED)] *= 1 + duplicated
        starts = np.flatnonzero(rng.random(CHROMOSOME - INSERT) < copies[:-INSERT] * PAIRS / CHROMOSOME)
        on_plasmid = rng.integers(0, PLASMID - INSERT, rng.poisson(PAIRS * pcn * (PLASMID - INSERT) / CHROMOSOME))
        return [(0, place) for place in starts.tolist()] + sorted((1, place) for place in on_plasmid.tolist())

    def write_bam(self, path, pairs, mode="wb", lengths=(CHROMOSOME, PLASMID), names=("chr", "p1")):
        header = {"SQ": [{"SN": name, "LN": length} for name, length in zip(names, lengths, strict=True)]}
        fasta = str(self.folder / "REF/reference.fa") if mode == "wc" else None
        records = []
        for number, (contig, start) in enumerate(pairs):
            for flag, place in ((99, start), (147, start + INSERT - READ)):
                records.append((contig, place, flag, number))
        with pysam.AlignmentFile(str(path), mode, header=header, reference_filename=fasta) as out:
            for contig, place, flag, number in sorted(records):
                record = pysam.AlignedSegment(out.header)
                tem = contig == 1 and any(start - READ < place < end for start, end in (TEM, TEM_2))
                record.query_name, record.flag, record.mapping_quality = f"r{number}", flag, 0 if tem else 60
                record.reference_id, record.reference_start, record.cigarstring = contig, place, f"{READ}M"
                record.query_sequence = (self.chromosome, self.plasmid)[contig][place : place + READ].decode()
                out.write(record)
        return path

    def write_fastq(self, path, mate_path, pairs):
        texts = [], []
        for number, (contig, start) in enumerate(pairs):
            fragment = (self.chromosome, self.plasmid)[contig][start : start + INSERT]
            mates = (fragment[:READ], fragment[-READ:].translate(COMPLEMENT)[::-1])
            for text, bases in zip(texts, mates, strict=True):
                text.append(b"@r%d\n%s\n+\n%s\n" % (number, bases, b"I" * READ))
        for target, text in zip((path, mate_path), texts, strict=True):
            target.write_bytes(gzip.compress(b"".join(text), compresslevel=1, mtime=0))
        return path, mate_path


@pytest.fixture(scope="module")
def genome(tmp_path_factory, copyfold):
    genome = Genome(tmp_path_factory.mktemp("genome"))
    build = ("cnv", "reference", "build", "--chromosome", "chr.fa", "--plasmids", "p.fa", "--genes", "genes.fa")
    copyfold(*build, "--out", "REF", "-q", cwd=genome.folder).succeeded()
    return genome


@pytest.fixture(scope="module")
def small_bam(genome):
    """A sound BAM to damage."""
    return genome.write_bam(genome.folder / "small.bam", genome.pairs(9, 1)[::20])


@pytest.fixture(scope="module")
def counts(genome, copyfold):
    """A cohort of ten, counted into ``counts`` from BAM, one from CRAM, one from FASTQ."""
    folder = genome.folder
    reads = {}
    for seed, (sample, pcn) in enumerate(PCN.items(), start=20):
        pairs = genome.pairs(seed, pcn, duplicated=sample == "s0", growth=GROWTH[sample])
        if sample == "s2":
            reads[sample] = genome.write_fastq(folder / "s2_R1.fastq.gz", folder / "s2_R2.fastq.gz", pairs)
        elif sample == "s1":
            reads[sample] = (genome.write_bam(folder / "s1.cram", pairs, "wc"),)
        else:
            reads[sample] = (genome.write_bam(folder / f"{sample}.bam", pairs),)
    for sample, paths in reads.items():
        done = copyfold("cnv", "count", *paths, "-r", folder / "REF", "-o", folder / "counts").succeeded()
        assert done.stdout == f"{folder}/counts/{sample}.counts.tsv.gz\n"
        assert not done.warnings
    return folder / "counts"


def quality_of(counts, sample):
    return json.loads((counts / f"{sample}.qc.json").read_text())


def test_every_sample_has_its_two_files_and_nothing_else(counts, genome):
    assert sorted(path.name for path in counts.iterdir()) == sorted(
        f"{sample}{ending}" for sample in PCN for ending in (".counts.tsv.gz", ".qc.json")
    )
    forms = {"s1": "CRAM", "s2": "FASTQ"}
    for sample in PCN:
        record = quality_of(counts, sample)
        assert (record["format"], record["sample_id"], record["status"]) == ("copyfold-qc/1", sample, "counted")
        assert record["input"] == forms.get(sample, "BAM")
        assert record["mapped_share"] > 0.99
        assert record["covered_share"] > 0.95
        assert (record["flags"], record["hints"]) == ([], [])
        assert record["reads"] == record["records"]["records"] - record["records"]["supplementary"]
    assert quality_of(counts, "s2")["input_files"] == ["s2_R1.fastq.gz", "s2_R2.fastq.gz"]


def test_the_first_look_at_copies_is_what_was_planted(counts):
    for sample, pcn in PCN.items():
        genes = quality_of(counts, sample)["genes"]
        assert genes["blaKPC-2"]["copies"] == pytest.approx(pcn, rel=0.1, abs=0.01)
        assert genes["blaTEM-1"]["family"] == genes["blaTEM-1_2"]["family"] == "blaTEM"
        assert genes["blaTEM-1"]["copies"] + genes["blaTEM-1_2"]["copies"] == pytest.approx(2 * pcn, rel=0.1, abs=0.01)


@pytest.fixture(scope="module")
def run(counts, genome, copyfold):
    """Their stores and their run, with thirty isolates more, counted from arrays, that make it a cohort."""
    folder = genome.folder
    reference = read_reference(folder / "REF")
    rules = {"is_plasmid": [False, True], "genes": [gene.gene for gene in reference.genes]}
    said = {"reference": read_counts(counts / "s0.counts.tsv.gz").reference}
    shutil.copytree(counts, folder / "cohort")
    for number, growth in enumerate(np.linspace(1, 2.4, 30)):
        pairs = np.array(genome.pairs(100 + number, 1, growth=growth))
        contig, start = np.repeat(pairs[:, 0], 2), np.repeat(pairs[:, 1], 2)
        start[1::2] += INSERT - READ
        row = np.arange(len(start))
        batch = Alignments(contig, start, np.full(len(row), 60), 0 * row, row, start, start + READ)
        sample = count_alignments([batch], reference.bins, **rules)
        write_counts(folder / f"cohort/t{number:02}.counts.tsv.gz", f"t{number:02}", sample, said)
    build = ("cnv", "store", "build", "cohort", "-o", "chromosome", "--plasmid-out", "plasmid")
    assert copyfold(*build, cwd=folder).succeeded().stdout == "chromosome\n"
    (folder / "config.yaml").write_text(
        "architecture: pca_baseline\nstore_path: chromosome\nplasmid_store_path: plasmid\nout_dir: run\n"
        "gene_coords_path: REF/genes.tsv\nplasmid_gene_coords_path: REF/genes.tsv\n"
    )
    arguments = ("--set", "cnv_flank_padding=4000", "--set", "latent_dim=1", "--device", "cpu")
    copyfold("cnv", "train", folder / "config.yaml", *arguments).succeeded()
    return folder / "run"


def test_the_duplication_is_called_where_it_was_planted(run):
    calls = pd.read_csv(run / "gene_calls.tsv", sep="\t", index_col="sample_id")
    assert [gene for gene in calls.columns if f"crr_{gene}" in calls.columns] == ["blaSHV-11"]
    assert calls.loc[list(PCN), "blaSHV-11"].to_dict() == {sample: 2 if sample == "s0" else 1 for sample in PCN}


def test_plasmid_copies_are_what_was_planted_and_a_family_is_summed(run, genome):
    calls = pd.read_csv(run / "plasmid_gene_calls.tsv", sep="\t", index_col="sample_id")
    for sample, pcn in PCN.items():
        assert calls.loc[sample, "pcn_blaKPC-2"] == pytest.approx(pcn, rel=0.1, abs=0.01)
        assert calls.loc[sample, "pcn_blaTEM"] == pytest.approx(2 * pcn, rel=0.1, abs=0.01)
    assert (calls.loc[list(PCN), "blaKPC-2"] >= 1).to_dict() == {sample: pcn > 0 for sample, pcn in PCN.items()}
    assert "blaTEM" in calls
    assert "blaTEM-1_2" not in calls
    assert "blaSHV-11" not in calls
    np.testing.assert_allclose(calls["pcn_blaTEM-1"] + calls["pcn_blaTEM-1_2"], calls["pcn_blaTEM"], atol=2e-4)


def test_the_same_reads_give_the_same_bytes(counts, genome, copyfold, tmp_path):
    folder = genome.folder
    copyfold("cnv", "count", folder / "s0.bam", "-r", folder / "REF", "-o", tmp_path, "-q").succeeded()
    arguments = ("-r", folder / "REF", "-o", tmp_path, "--threads", 1, "-q")
    copyfold("cnv", "count", folder / "s2_R1.fastq.gz", folder / "s2_R2.fastq.gz", *arguments).succeeded()
    for sample in ("s0", "s2"):
        for ending in (".counts.tsv.gz", ".qc.json"):
            assert (tmp_path / f"{sample}{ending}").read_bytes() == (counts / f"{sample}{ending}").read_bytes()


@pytest.mark.skipif(shutil.which("samtools") is None, reason="samtools is not installed")
def test_counts_are_those_of_samtools(counts, genome):
    lines = gzip.decompress((counts / "s1.counts.tsv.gz").read_bytes()).decode().splitlines()
    table = pd.DataFrame([line.split("\t") for line in lines[3:]], columns=lines[2].split("\t"))
    bins = table[table["feature"] == "bin"]
    bam, cram = genome.folder / "s1.bam", genome.folder / "s1.cram"
    view = ["samtools", "view", "-T", str(genome.folder / "REF/reference.fa")]
    subprocess.run([*view, "-b", "-o", str(bam), str(cram)], check=True, capture_output=True)
    for column, mapq in (("chromosome_count", 20), ("plasmid_count", 0)):
        done = subprocess.run([*view, "-q", str(mapq), "-F", "0x404", str(bam)], check=True, capture_output=True)
        places = [line.split(b"\t")[2:4] for line in done.stdout.splitlines()]
        seen = pd.Series([(contig.decode(), (int(start) - 1) // 1000) for contig, start in places]).value_counts()
        expected = [
            seen.get((chrom, int(start) // 1000), 0) for chrom, start in zip(bins.contig, bins.start, strict=True)
        ]
        assert bins[column].astype(int).tolist() == expected
        assert sum(expected) == len(places)


# Refusals


def bad_reads(folder, genome, sound):
    """Reads by what is wrong with them, and what is said."""
    whole = sound.read_bytes()
    fastq = b"@r1\nACGT\n+\nIIII\n"
    contents = {
        "empty.bam": (b"", "the file is empty"),
        "text.bam": (b"these are no reads\n" * 99, "neither BAM, CRAM nor FASTQ"),
        "packed.bam": (gzip.compress(b"these are no reads\n" * 99, mtime=0), "neither BAM, CRAM nor FASTQ"),
        "nothing.fastq.gz": (gzip.compress(b"", mtime=0), "neither BAM, CRAM nor FASTQ"),
        "sam.bam": (b"@HD\tVN:1.6\n@SQ\tSN:chr\tLN:60000\n", "is SAM as text"),
        "sam.gz": (gzip.compress(b"@SQ\tSN:chr\tLN:60000\n", mtime=0), "is SAM as text"),
        "cut.bam": (whole[: len(whole) // 2], "truncated"),
        "cut2.bam": (whole[:-28], "truncated"),
        "damaged.bam": (whole[:5_000] + b"\xff\xff" + whole[5_002:], "damaged"),
        "magic.cram": (b"CRAM\3\0" + bytes(200), "truncated or damaged at byte 26"),
        "cut.fastq": (fastq * 9 + b"@r2\nACG", "cut.fastq"),
        "cut.fastq.gz": (gzip.compress(fastq * 9_999, mtime=0)[:-20], "cut.fastq.gz"),
        "uneven.fastq": (fastq + b"@r2\nACGT\n+\nIII\n", "uneven.fastq"),
    }
    for name, (content, _) in contents.items():
        (folder / name).write_bytes(content)
    messages = {name: message for name, (_, message) in contents.items()}
    genome.write_bam(folder / "other.bam", [], lengths=(CHROMOSOME, 99))
    genome.write_bam(folder / "names.bam", [], names=("chr", "pOther"))
    genome.write_bam(folder / "noreads.bam", [])
    (folder / "folder.bam").mkdir()
    return messages | {
        "other.bam": "was aligned to another reference: p1 has 99 bp there",
        "names.bam": "was aligned to another reference: pOther",
        "noreads.bam": "holds no reads",
        "folder.bam": "cannot be read",
        "none.bam": "no such file",
    }


def test_bad_reads_are_one_line_each_and_leave_nothing(genome, small_bam, copyfold, tmp_path):
    started = time.monotonic()
    messages = bad_reads(tmp_path, genome, small_bam)
    for number, (name, message) in enumerate(messages.items()):
        count = ("cnv", "count", tmp_path / name, "-r", genome.folder / "REF", "-o", tmp_path / "out")
        complaint = copyfold(*count).complaint()
        assert message in complaint, name
        assert str(tmp_path / name) in complaint
        assert not (tmp_path / "out").exists()
        if number % 4 == 0:
            done = copyfold(*count, "--skip-bad", "--sample", f"s{number}").succeeded()
            assert done.stdout == f"{tmp_path}/out/s{number}.qc.json\n"
            assert len(done.warnings) == 1
            assert message in done.warnings[0]
            record = json.loads((tmp_path / f"out/s{number}.qc.json").read_text())
            assert (record["status"], record["sample_id"]) == ("refused", f"s{number}")
            assert message in record["flags"][0]
            assert [path.name for path in (tmp_path / "out").iterdir()] == [f"s{number}.qc.json"]
            shutil.rmtree(tmp_path / "out")
    assert time.monotonic() - started < 60


def test_unsorted_reads_are_refused_and_with_the_option_counted_to_the_same_bytes(
    genome, small_bam, copyfold, tmp_path
):
    (tmp_path / "sorted").mkdir()
    good, bad = tmp_path / "sorted/a.bam", tmp_path / "a.bam"
    shutil.copy(small_bam, good)
    with pysam.AlignmentFile(str(small_bam)) as source:
        records = list(source)
        with pysam.AlignmentFile(str(bad), "wb", template=source) as target:
            for row in np.random.default_rng(1).permutation(len(records)):
                target.write(records[row])
    count = ("cnv", "count", "-r", genome.folder / "REF", "-q")
    complaint = copyfold(*count, bad, "-o", tmp_path / "out").complaint()
    assert "not sorted by coordinate" in complaint
    assert "--unsorted" in complaint
    assert not (tmp_path / "out").exists()
    copyfold(*count, bad, "-o", tmp_path / "out", "--unsorted").succeeded()
    copyfold(*count, good, "-o", tmp_path / "expected").succeeded()
    for name in ("a.counts.tsv.gz", "a.qc.json"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "expected" / name).read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("{bam}", "{bam}"), "a BAM comes alone"),
        (("{bam}", "{bam}", "{bam}"), "3 read files given"),
        (("{bam}", "--sample", "../../x"), "sample '../../x' is no name; use 1 to 128"),
        (("{bam}", "--sample", ""), "sample '' is no name; use 1 to 128"),
        (("{bam}", "--sample", ".x"), "sample '.x' is no name; use 1 to 128"),
        (("{bam}", "--sample", "a b"), "sample 'a b' is no name; use 1 to 128"),
        (("{bam}", "--sample", "a\n"), "is no name; use 1 to 128"),
        (("{bam}", "--sample", "é"), "is no name; use 1 to 128"),
        (("{bam}", "--sample", "a" * 200), "is no name; use 1 to 128"),
        (("{bam}", "--sample", "/etc/x"), "is no name; use 1 to 128"),
        (("{bam}", "--chromosome-mapq", "256"), "--chromosome-mapq 256"),
        (("{bam}", "--plasmid-mapq", "-1"), "--plasmid-mapq -1"),
        (("{bam}", "--min-mapped", "1.5"), "--min-mapped 1.5"),
        (("{bam}", "--min-covered", "nan"), "--min-covered nan"),
        (("{bam}", "-r", "{folder}"), "no reference.json"),
    ],
    ids=range(15),
)
def test_bad_options_are_one_line_and_leave_nothing(genome, small_bam, copyfold, tmp_path, arguments, message):
    given = [part.format(bam=small_bam, folder=tmp_path) for part in arguments]
    for more in ((), ("--skip-bad",)):
        count = ("cnv", "count", "-r", genome.folder / "REF", "-o", tmp_path / "out", *given, *more)
        done = copyfold(*count)
        assert done.returncode == 2, done.stderr
        assert message in done.stderr.replace("\n", "")
        assert "Traceback" not in done.stderr
        assert list(tmp_path.iterdir()) == []


def test_a_sample_is_not_counted_over_another(genome, small_bam, copyfold, tmp_path):
    count = ("cnv", "count", small_bam, "-r", genome.folder / "REF", "-o", tmp_path, "--sample")
    for name in ("a.counts.tsv.gz", "b.qc.json"):
        (tmp_path / name).write_text("mine")
        for more in ((), ("--skip-bad",)):
            assert f"{name}: exists already" in copyfold(*count, name[0], *more).complaint()
        assert (tmp_path / name).read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.counts.tsv.gz", "b.qc.json"]


def test_where_nobody_may_write_is_one_line(genome, small_bam, copyfold, tmp_path, mount_tmpfs):
    (tmp_path / "file").write_text("mine")
    disk = mount_tmpfs("size=1m,ro")
    for out in (tmp_path / "file", tmp_path / "file/sub", disk, disk / "sub", "/proc/sub"):
        count = ("cnv", "count", small_bam, "-r", genome.folder / "REF", "-o", out)
        assert "cannot be written" in copyfold(*count, "-q").complaint()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["disk", "file"]


def cram_without_fasta(genome, folder):
    """A CRAM whose header names a FASTA that is gone, and the reference elsewhere, without an index."""
    (folder / "old").mkdir()
    shutil.copytree(genome.folder / "REF", folder / "old/REF")
    cram = Genome(folder / "old").write_bam(folder / "a.cram", genome.pairs(3, 1)[::20], "wc")
    shutil.rmtree(folder / "old")
    return cram


def test_counting_a_cram_writes_nothing_into_the_reference(genome, copyfold, tmp_path):
    reference = shutil.copytree(genome.folder / "REF", tmp_path / "REF")
    before = sorted(path.name for path in reference.iterdir())
    cram = cram_without_fasta(genome, tmp_path)
    copyfold("cnv", "count", cram, "-r", reference, "-o", tmp_path / "out").succeeded()
    assert sorted(path.name for path in reference.iterdir()) == before


def test_a_cram_is_counted_on_a_reference_that_nobody_may_write(genome, copyfold, mount_tmpfs, tmp_path):
    disk = mount_tmpfs("size=4m")
    shutil.copytree(genome.folder / "REF", disk / "REF")
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    cram = cram_without_fasta(genome, tmp_path)
    copyfold("cnv", "count", cram, "-r", disk / "REF", "-o", tmp_path / "out").succeeded()


def test_stores_of_refused_and_flagged_samples(counts, genome, small_bam, copyfold, tmp_path):
    shutil.copytree(counts, tmp_path / "counts")
    (tmp_path / "bad.bam").write_bytes(small_bam.read_bytes()[:-28])
    arguments = ("-r", genome.folder / "REF", "-o", tmp_path / "counts")
    copyfold("cnv", "count", tmp_path / "bad.bam", *arguments, "--skip-bad").succeeded()
    part = genome.write_bam(tmp_path / "part.bam", genome.pairs(9, 1)[:900])
    done = copyfold("cnv", "count", part, *arguments).succeeded()
    assert "part is flagged and will not be called" in done.warnings[0]
    build = ("cnv", "store", "build", "counts", "-o", "c", "--plasmid-out", "p")
    done = copyfold(*build, cwd=tmp_path).succeeded()
    assert "10 samples, 2 left out (skipped.tsv)" in done.stderr
    assert sorted(line.split("\t")[0] for line in (tmp_path / "c/skipped.tsv").read_text().splitlines()[1:]) == [
        "counts/bad.qc.json",
        "counts/part.counts.tsv.gz",
    ]
    for store in "cp":
        assert np.load(tmp_path / store / "sample_ids.npy").tolist() == list(PCN)
        assert "digests and values agree" in copyfold("cnv", "store", "validate", tmp_path / store).succeeded().stdout
    more = ("cnv", "store", "build", "counts/part.counts.tsv.gz", "--keep-flagged", "-o", "c2", "--onto", "c")
    copyfold(*more, cwd=tmp_path).succeeded()
    assert np.load(tmp_path / "c2/sample_ids.npy").tolist() == ["part", *PCN]
    for wrong, message in (
        (("--contig", "chr"), "are for other tools' tables"),
        (("--from", "gatk"), "--plasmid-out is for counts of `copyfold cnv count`"),
    ):
        arguments = ("cnv", "store", "build", "counts", "-o", "w", "--plasmid-out", "w2", *wrong)
        assert message in copyfold(*arguments, cwd=tmp_path).complaint()
        assert not (tmp_path / "w").exists()
