"""`like` takes bins, trend, depth and noise from a table, and none of its copy changes."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from copyfold.cnv.simulation import like, preset, simulate, true_copies
from copyfold.cnv.simulation.geometry import replication_profile
from copyfold.cnv.simulation.table import read_depth_table
from copyfold.errors import InputError

SALMONELLA = Path(__file__).parents[4] / "shared/data/cnv/depth/salmonella_LT2_NC_003197.2_1kb.tsv.gz"


def write_table(path: Path, values: np.ndarray, width: int = 1000, chrom: str = "chr") -> Path:
    lines = ["@HD\tVN:1.6", f"@SQ\tSN:{chrom}\tLN:{len(values) * width}", "CONTIG\tSTART\tEND\tCOUNT"]
    lines += [f"{chrom}\t{i * width + 1}\t{(i + 1) * width}\t{value:g}" for i, value in enumerate(values)]
    text = "\n".join(lines) + "\n"
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def noisy_values(n_bins: int = 3000, dispersion: float = 0.01) -> np.ndarray:
    rng = np.random.default_rng(9)
    trend = replication_profile(np.arange(n_bins) + 0.5, n_bins, 800, 2300)
    mean = 200 * np.exp2(0.5 * trend)
    mean[1000:1030] *= 3
    mean[2000:2100] = 0
    return rng.poisson(mean * rng.gamma(1 / dispersion, dispersion, n_bins))


@pytest.mark.parametrize("name", ["table.tsv", "table.tsv.gz"])
def test_measurements_are_recovered_in_spite_of_copy_changes(tmp_path: Path, name: str) -> None:
    geometry = like(write_table(tmp_path / name, noisy_values()))
    assert geometry.measured is not None
    assert geometry.measured.median_depth == pytest.approx(200, rel=0.06)
    assert geometry.measured.dispersion == pytest.approx(0.01, rel=0.2)
    assert geometry.measured.log2_ori_ter == pytest.approx(0.5, abs=0.04)
    assert abs(int(geometry.replication.argmax()) - 800) < 60
    assert [gene.name for gene in geometry.panel] == ["geneA", "geneB", "geneC"]
    assert [gene.start for gene in geometry.panel] == [750_000, 1_500_000, 2_250_000]


def test_cohort_has_the_tables_depth_but_not_its_copy_changes(tmp_path: Path) -> None:
    cohort = simulate(preset("easy"), 60, 1, like(write_table(tmp_path / "t.tsv", noisy_values())))
    median = np.median(cohort.counts, axis=1)
    assert np.median(median) == pytest.approx(200, rel=0.15)
    assert cohort.plasmid_counts is None
    assert list(cohort.genes.columns) == ["sample_id", "geneA", "geneB", "geneC"]
    ratio = np.median(cohort.counts / np.maximum(median, 1)[:, None], axis=0)
    plain = (true_copies(cohort) == 1).mean(axis=0) > 0.9
    normal = np.median(ratio[1000:1030][plain[1000:1030]])
    assert normal == pytest.approx(np.median(ratio[1035:1080][plain[1035:1080]]), abs=0.15)
    assert cohort.samples["log2_ori_ter"].between(0.2, 0.8).all()


def test_several_contigs_of_unequal_bins(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    rows = [("one", i * 500, (i + 1) * 500) for i in range(200)]
    rows += [("two", i * 500, min((i + 1) * 500, 19_750)) for i in range(40)]
    lines = [f"{c}\t{a + 1}\t{b}\t{rng.poisson(80)}" for c, a, b in rows]
    path = tmp_path / "two.tsv"
    path.write_text("CONTIG\tSTART\tEND\tCOUNT\n" + "\n".join(lines) + "\n", encoding="utf-8")
    geometry = like(path)
    assert geometry.bin_width == 500
    assert geometry.contig_offsets.tolist() == [0, 100_000]
    cohort = simulate(preset("hard"), 40, 2, geometry)
    ends = dict(zip(geometry.contig_names.tolist(), geometry.contig_lengths.tolist(), strict=True))
    assert set(cohort.events["chrom"]) == {"one", "two"}
    for event in cohort.events.itertuples():
        assert 0 <= event.x0 < event.x1 <= ends[event.chrom]
    assert cohort.counts.shape == (40, 240)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("contig\tstart0\tend0\tdepth\nc\t0\t100\t3\n", "columns are contig, start0"),
        ("CONTIG\tSTART\tEND\tCOUNT\n", "a header and no rows"),
        ("@HD\nCONTIG\tSTART\tEND\tCOUNT\nc\t1\t100\n", "line 3: 3 cells where the header has 4"),
        ("CONTIG\tSTART\tEND\tCOUNT\nc\t1\t1e2\t3\n", "line 2: '1 1e2 3'"),
        ("CONTIG\tSTART\tEND\tCOUNT\nc\t0\t100\t3\n", "line 2: bin 0–100"),
        ("CONTIG\tSTART\tEND\tCOUNT\nc\t1\t100\t-3\n", "line 2: value is -3"),
        ("CONTIG\tSTART\tEND\tCOUNT\nc\t1\t100\tnan\n", "line 2: value is nan"),
        ("CONTIG\tSTART\tEND\tCOUNT\nc\t1\t100\t3\nc\t100\t200\t3\n", "line 3: bin starts at 100"),
        ("CONTIG\tSTART\tEND\tCOUNT\nc\t1\t9\t3\nd\t1\t9\t3\nc\t10\t19\t3\n", "line 4: contig c again"),
    ],
)
def test_bad_tables_are_named_with_their_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.tsv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message) as caught:
        read_depth_table(path)
    assert str(path) in str(caught.value)


def test_missing_damaged_small_and_relative_tables(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        like(tmp_path / "none.tsv")
    damaged = tmp_path / "damaged.tsv.gz"
    damaged.write_bytes(gzip.compress(b"CONTIG\tSTART\tEND\tCOUNT\n" * 100)[:20])
    with pytest.raises(InputError, match="cannot be read"):
        like(damaged)
    with pytest.raises(InputError, match="at least 20 bins"):
        like(write_table(tmp_path / "small.tsv", np.full(5, 100)))
    with pytest.raises(InputError, match="not relative depth"):
        like(write_table(tmp_path / "relative.tsv", np.full(100, 1.1)))


@pytest.mark.skipif(not SALMONELLA.exists(), reason="the real Salmonella table is not beside this checkout")
def test_real_salmonella_table() -> None:
    geometry = like(SALMONELLA)
    assert geometry.measured is not None
    assert geometry.measured.median_depth == pytest.approx(145.7, abs=0.1)
    assert geometry.measured.dispersion == pytest.approx(0.0719**2, rel=0.05)
    assert 0.2 < geometry.measured.log2_ori_ter < 0.5
    assert 4_000 < int(geometry.replication.argmax()) < 4_250
    cohort = simulate(preset("easy"), 20, 1, geometry)
    assert cohort.counts.shape == (20, 4857)
    ratio = np.median(cohort.counts / np.maximum(np.median(cohort.counts, axis=1), 1)[:, None], axis=0)
    assert np.median(ratio[963:1005]) < 1.3
