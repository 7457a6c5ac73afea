"""A cohort of ten small made samples through `copyfold cnv cohort`: run, run again, killed, changed."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pysam
import pytest

MISSING = [name for name in ("snakemake", "mappy", "psutil") if find_spec(name) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"{', '.join(MISSING)} not installed: pip install copyfold[dev]")

LENGTHS = {"chr": 120_000, "pK": 6_000}
GENE, PLASMID_GENE = (60_000, 62_000), (2_000, 3_000)
READ = 150
SETTINGS = ("--set", "cnv_flank_padding=10000", "--jobs", "2")
SEQUENCE = {name: "".join(np.random.default_rng(7).choice(list("ACGT"), size)) for name, size in LENGTHS.items()}


def starts_of(rng: np.random.Generator, copies: int, plasmid: int) -> list[tuple[int, int]]:
    """Starts of reads: 40 per kb of chromosome, `copies` of the gene, `plasmid` copies of the plasmid."""
    per_kb = 40
    chromosome = rng.integers(LENGTHS["chr"] - READ, size=LENGTHS["chr"] // 1000 * per_kb)
    gene = rng.integers(*GENE, size=(GENE[1] - GENE[0]) // 1000 * per_kb * (copies - 1))
    small = rng.integers(LENGTHS["pK"] - READ, size=LENGTHS["pK"] // 1000 * per_kb * plasmid)
    return [*((0, int(at)) for at in (*chromosome, *gene)), *((1, int(at)) for at in small)]


def write_bam(path: Path, starts: list[tuple[int, int]], unmapped: int = 0) -> None:
    starts = sorted(starts)
    header = {"HD": {"VN": "1.6"}, "SQ": [{"SN": name, "LN": length} for name, length in LENGTHS.items()]}
    with pysam.AlignmentFile(str(path), "wb", header=header) as out:
        for number in range(len(starts) + unmapped):
            record = pysam.AlignedSegment(out.header)
            record.query_name, record.query_sequence = f"r{number}", "ACGTA" * (READ // 5)
            if number < len(starts):
                record.reference_id, record.reference_start = starts[number]
                record.mapping_quality, record.cigarstring = 60, f"{READ}M"
            else:
                record.flag = 4
            out.write(record)


def write_fastq(path: Path, starts: list[tuple[int, int]]) -> None:
    names = list(LENGTHS)
    with gzip.open(path, "wt", compresslevel=1) as out:
        for number, (contig, at) in enumerate(starts):
            out.write(f"@r{number}\n{SEQUENCE[names[contig]][at : at + READ]}\n+\n{'I' * READ}\n")


class Site(NamedTuple):
    """Reads, reference and sheet of the made cohort."""

    folder: Path

    @property
    def reference(self) -> Path:
        return self.folder / "REF"

    @property
    def sheet(self) -> Path:
        return self.folder / "sheet.tsv"

    def command(self, out: Path, *more: str, sheet: Path | None = None) -> list[str]:
        arguments = ["cnv", "cohort", str(sheet or self.sheet), "--reference", str(self.reference), "--out", str(out)]
        return [sys.executable, "-m", "copyfold.cli.main", *arguments, *SETTINGS, *more]

    def run(self, out: Path, *more: str, sheet: Path | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.command(out, *more, sheet=sheet), capture_output=True, text=True, timeout=300)


ROWS = [
    *(f"bam{number}\tbam{number}.bam\t\t{'ST258' if number < 3 else 'ST11'}" for number in range(5)),
    "reads.se\tse.fq.gz\t\tST11",
    "pairs\tpe_1.fq.gz\tpe_2.fq.gz\tST11",
    "other\tother.bam\t\tST1",
    "cut\tcut.bam\t\tST1",
    "gone\tgone.bam\t\t",
]
COUNTED = ["bam0", "bam1", "bam2", "bam3", "bam4", "reads.se", "pairs"]
LATER = "later\tlater.bam\t\tST258"


def write_sheet(path: Path, rows: list[str]) -> Path:
    path.write_text("# made\nsample\treads1\treads2\tlineage\n" + "".join(f"{row}\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    from copyfold.app.references import BuildOptions, build_reference
    from copyfold.core.console import Console

    site = Site(tmp_path_factory.mktemp("a cohort's site"))
    for name, sequence in SEQUENCE.items():
        (site.folder / f"{name}.fa").write_text(f">{name}\n{sequence}\n")
    (site.folder / "genes.tsv").write_text(
        "gene\tcontig\tstart\tend\n"
        f"blaSHV\tchr\t{GENE[0] + 1}\t{GENE[1]}\nblaKPC-2\tpK\t{PLASMID_GENE[0] + 1}\t{PLASMID_GENE[1]}\n"
    )
    chromosome, plasmid, genes = (site.folder / name for name in ("chr.fa", "pK.fa", "genes.tsv"))
    options = BuildOptions(step=500)
    build_reference(chromosome, [plasmid], genes, site.reference, options, Console(quiet=True))
    rng = np.random.default_rng(1)
    for number in range(5):
        write_bam(site.folder / f"bam{number}.bam", starts_of(rng, 4 if number == 0 else 1, number % 2))
    write_bam(site.folder / "later.bam", starts_of(rng, 4, 1))
    write_fastq(site.folder / "se.fq.gz", starts_of(rng, 1, 1))
    write_fastq(site.folder / "pe_1.fq.gz", starts_of(rng, 1, 1))
    shutil.copy(site.folder / "pe_1.fq.gz", site.folder / "pe_2.fq.gz")
    write_bam(site.folder / "other.bam", starts_of(rng, 1, 0)[:300], unmapped=3000)
    whole = (site.folder / "bam1.bam").read_bytes()
    (site.folder / "cut.bam").write_bytes(whole[: len(whole) // 2])
    write_sheet(site.sheet, ROWS)
    return site


class Done(NamedTuple):
    out: Path
    command: subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def done(site: Site) -> Done:
    """The cohort, run to its end; killed outright on the way, when some samples were counted."""
    out = site.folder / "killed and done"
    with subprocess.Popen(site.command(out), stderr=subprocess.DEVNULL, start_new_session=True) as process:
        deadline = time.monotonic() + 120
        while len(list(out.glob("counts/*.qc.json"))) < 3:
            assert process.poll() is None, "ended by itself"
            assert time.monotonic() < deadline
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)
    deadline = time.monotonic() + 20
    while living_in(out):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    before = {path.name: path.stat().st_mtime_ns for path in (out / "counts").glob("*.qc.json")}
    assert 3 <= len(before) < len(ROWS)
    assert not (out / "summary.txt").exists()
    # what a job leaves that is killed between its two files
    (out / "counts" / f"{next(name for name in COUNTED if f'{name}.qc.json' not in before)}.counts.tsv.gz").touch()
    finished = site.run(out)
    after = {path.name: path.stat().st_mtime_ns for path in (out / "counts").glob("*.qc.json")}
    assert {name: after[name] for name in before} == before
    return Done(out, finished)


def living_in(folder: Path) -> list[int]:
    """Processes whose command line names `folder` or that work in it."""
    import psutil

    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and (Path(process.cwd()) == folder or str(folder) in process.cmdline()):
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


def table(out: Path) -> dict[str, dict[str, str]]:
    lines = (out / "cohort.tsv").read_text().splitlines()
    columns = lines[0].split("\t")
    return {row.split("\t")[0]: dict(zip(columns, row.split("\t"), strict=True)) for row in lines[1:]}


def stamps(out: Path) -> dict[str, int]:
    names = ("summary.txt", "cohort.tsv", "chromosome/manifest.json", "run/gene_calls.tsv", "config.yaml")
    return {str(path): path.stat().st_mtime_ns for path in (*(out / "counts").iterdir(), *(out / n for n in names))}


def test_every_sample_is_in_the_table_with_its_calls_or_its_reason(done: Done) -> None:
    assert done.command.returncode == 0, done.command.stderr
    assert done.command.stdout.splitlines() == [str(done.out / "summary.txt")]
    assert "Traceback" not in done.command.stderr
    found = table(done.out)
    assert list(found) == [row.split("\t")[0] for row in ROWS]
    assert {name for name, row in found.items() if row["status"] == "counted"} == set(COUNTED)
    assert {name: row["status"] for name, row in found.items() if name not in COUNTED} == {
        "other": "flagged",
        "cut": "refused",
        "gone": "refused",
    }
    assert "of the reads are mapped" in found["other"]["reason"]
    assert "cut.bam" in found["cut"]["reason"]
    assert "gone.bam: no such file" in found["gone"]["reason"]
    assert found["cut"]["blaSHV"] == found["other"]["blaKPC-2"] == found["gone"]["reads"] == ""
    assert [name for name in COUNTED if int(found[name]["blaSHV"]) >= 2] == ["bam0"]
    assert float(found["bam0"]["crr_blaSHV"]) > 2.5
    assert {name: found[name]["blaKPC-2"] for name in ("bam0", "bam1", "bam2", "pairs")} == {
        "bam0": "0",
        "bam1": "1",
        "bam2": "0",
        "pairs": "1",
    }
    assert float(found["bam1"]["pcn_blaKPC-2"]) == pytest.approx(1, abs=0.4)
    assert found["bam0"]["lineage"] == "ST258"
    assert float(found["bam0"]["mapped_share"]) == 1


def test_the_summary_counts_says_why_and_where(done: Done) -> None:
    text = (done.out / "summary.txt").read_text()
    assert text.startswith("10 samples: 7 counted, 1 flagged, 2 refused\n")
    assert "  gone  " in text
    assert "no such file" in text
    rows = [line.split() for line in text.splitlines()]
    assert ["blaSHV", "1", "6", "0", "0"] in rows
    assert rows[rows.index(["Lineage", "ST258,", "3", "samples"]) + 2] == ["blaSHV", "1", "2", "0", "0"]
    assert str(done.out / "run") in text
    assert text.rstrip() in done.command.stderr
    assert "architecture: 10_count_model" in (done.out / "config.yaml").read_text()


def test_no_logs_of_samples_that_went_well_and_no_half_files(done: Done) -> None:
    assert len(list((done.out / "logs" / "count").iterdir())) <= 2  # of the two that were killed after their last file
    assert not [path for path in done.out.rglob("*.partial") if "counts" not in path.parts]


@pytest.mark.parametrize(
    ("log", "said", "expected"),
    [
        ("train.log", "copyfold: key 'lr' is wrong\n", "step train failed: key 'lr' is wrong; its log is "),
        ("train.log", "", "step train failed: killed, without a word; its log is "),
        (
            "count/bam0.log",
            "Killed\n",
            "1 samples are not counted, after several attempts, first bam0: Killed; run the",
        ),
        (None, "", "Snakemake ended early: Error in rule train:; its log is "),
    ],
)
def test_a_failure_is_told_with_its_log(site: Site, tmp_path: Path, log: str | None, said: str, expected: str) -> None:
    from copyfold.app.cohort import _explain
    from copyfold.app.cohort_folder import CohortFolder, plan_cohort
    from copyfold.core.console import Console

    plan = plan_cohort(site.sheet, site.reference, tmp_path / "out", None, SETTINGS[1:2], Console(quiet=True))
    plan.write(tmp_path / "out")
    (tmp_path / "out" / "logs" / "count").mkdir(parents=True)
    (tmp_path / "out" / "counts").mkdir()
    for each in plan.sheet.samples:
        if log is None or each.sample not in log:
            (tmp_path / "out" / "counts" / f"{each.sample}.qc.json").touch()
    if log is not None:
        (tmp_path / "out" / "logs" / log).write_text(said)
    (tmp_path / "out" / "logs" / "snakemake.log").write_text("Error in rule train:\n")
    assert expected in _explain(CohortFolder(tmp_path / "out"), tmp_path / "out" / "logs" / "snakemake.log")


def test_again_does_nothing_and_a_changed_reference_is_refused(copyfold, site: Site, done: Done) -> None:
    before = stamps(done.out)
    again = site.run(done.out)
    assert again.returncode == 0, again.stderr
    assert stamps(done.out) == before
    other = site.folder / "OTHER"
    if not other.exists():
        shutil.copytree(site.reference, other)
        record = json.loads((other / "reference.json").read_text())
        (other / "reference.json").write_text(json.dumps(record | {"copyfold_version": "other"}))
    refused = copyfold("cnv", "cohort", site.sheet, "--reference", other, "--out", done.out, *SETTINGS)
    assert "counted on another reference" in refused.complaint()
    assert stamps(done.out) == before


@pytest.fixture(scope="module")
def grown(site: Site, done: Done) -> Done:
    """A copy of the cohort's folder to which a sample was added, one taken away, and a missing file delivered."""
    out = Path(shutil.copytree(done.out, site.folder / "grown"))
    shutil.copy(site.folder / "bam3.bam", site.folder / "gone.bam")
    try:
        rows = [row for row in ROWS if not row.startswith("bam4")]
        finished = site.run(out, sheet=write_sheet(site.folder / "grown.tsv", [*rows, LATER]))
    finally:
        (site.folder / "gone.bam").unlink()
    return Done(out, finished)


def test_samples_added_later_are_counted_and_the_rest_is_not(done: Done, grown: Done) -> None:
    assert grown.command.returncode == 0, grown.command.stderr
    assert "gone: was refused, and its files have changed, counted again" in grown.command.stderr
    found = table(grown.out)
    assert "bam4" not in found
    assert found["later"]["status"] == found["gone"]["status"] == "counted"
    assert int(found["later"]["blaSHV"]) >= 2
    assert found["gone"]["blaSHV"] == "1"
    for name in set(COUNTED) - {"bam4"}:
        file = f"counts/{name}.qc.json"
        assert (grown.out / file).stat().st_mtime_ns == (done.out / file).stat().st_mtime_ns
    assert (grown.out / "run.previous" / "gene_calls.tsv").read_bytes() == (
        done.out / "run" / "gene_calls.tsv"
    ).read_bytes()


def test_stopped_by_sigterm_and_one_at_a_time(site: Site, tmp_path: Path) -> None:
    out = tmp_path / "stopped"
    with subprocess.Popen(site.command(out), stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while not list(out.glob("logs/count/*.log")):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        second = site.run(out)
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=60)[1]
    assert process.returncode == 143, said
    assert "the same command goes on" in said
    assert "Traceback" not in said
    assert second.returncode == 2
    assert "another `copyfold cnv cohort` is working in it" in second.stderr
    assert not living_in(out)


def test_a_dry_run_plans_and_writes_nothing(site: Site, tmp_path: Path) -> None:
    planned = site.run(tmp_path / "new", "--dry-run")
    assert planned.returncode == 0, planned.stderr
    assert "would do: 10 × count, store, train, report" in planned.stderr
    assert "gone.bam: no such file; the sample will be left out" in planned.stderr
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--set", "cnv_flank_padding=100000"), "lower cnv_flank_padding"),
        (("--set", "epoch=3"), "unknown key 'epoch'"),
        (("--set", "store_path=x"), "key 'store_path' is the workflow's own"),
        (("--profile", "nowhere"), "neither local nor slurm"),
        (("--config", "nowhere.yaml"), "nowhere.yaml: no such file"),
        (("--reference", "."), "no reference.json"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_is_refused_before_any_work(copyfold, site: Site, tmp_path: Path, more, message) -> None:
    arguments = ("cnv", "cohort", site.sheet, "--reference", site.reference, "--out", tmp_path / "out")
    settings = () if more[0] == "--set" and "padding" in more[1] else SETTINGS
    assert message in copyfold(*arguments, *settings, *more, cwd=tmp_path).complaint()
    assert not (tmp_path / "out").exists()


def test_a_folder_with_other_things_is_refused(copyfold, site: Site, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    arguments = ("cnv", "cohort", site.sheet, "--reference", site.reference, "--out", tmp_path)
    assert "holds other things and no cohort" in copyfold(*arguments, *SETTINGS).complaint()
    assert "not a cohort's folder" in copyfold("cnv", "summary", tmp_path).complaint()
