"""What simulate writes opens again and says what the cohort says."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from copyfold.cnv.simulation import hs11286_geometry, like, preset, simulate, write_cohort
from copyfold.cnv.simulation.cohort import SimulatedCohort
from copyfold.cnv.simulation.settings import SimulationSettings, changed
from copyfold.cnv.simulation.writer import assembled_copies
from copyfold.cnv.store import open_store, read_manifest
from copyfold.errors import RunError

PUBLISHED = [
    "sample_id",
    "biosample",
    "blaSHV",
    "blaKPC",
    "blaNDM",
    "blaCTX-M",
    "qnrB",
    "blaOXA-48-like",
    "aac6-Ib-cr",
]


@pytest.fixture(scope="module")
def cohort() -> SimulatedCohort:
    settings = changed(preset("hard"), gene={"amplification_rate": 0.4, "deletion_rate": 0.1})
    return simulate(settings, 40, 3, hs11286_geometry(200))


@pytest.fixture(scope="module")
def folder(cohort: SimulatedCohort, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cohort(cohort, tmp_path_factory.mktemp("simulated") / "cohort")


def read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, sep="\t")


def test_stores_open_and_hold_the_counts(cohort: SimulatedCohort, folder: Path) -> None:
    chromosome, plasmid = open_store(folder / "chromosome"), open_store(folder / "plasmid")
    assert np.array_equal(chromosome.counts, cohort.counts)
    assert np.array_equal(chromosome.contigs.end, cohort.contigs.end)
    assert np.array_equal(plasmid.counts, cohort.plasmid_counts)
    assert plasmid.genes is not None
    assert plasmid.genes.tolist() == cohort.plasmid_genes.tolist()
    assert np.array_equal(chromosome.sample_ids, plasmid.sample_ids)
    manifest = read_manifest(folder / "plasmid")
    assert manifest is not None
    assert (manifest["kind"], manifest["unit"]) == ("plasmid", "depth per bin")
    assert chromosome.sample_ids[0] == "SIM0000001"


def test_ground_truth_has_the_published_columns(cohort: SimulatedCohort, folder: Path) -> None:
    presence = read(folder / "truth/amrfinder_gt.tsv")
    assert presence.columns.tolist() == [*PUBLISHED, "blaTEM"]
    assert presence["sample_id"].tolist() == cohort.sample_ids.tolist()
    assert set(np.unique(presence.iloc[:, 2:])) == {0, 1}
    genes = read(folder / "truth/genes.tsv")
    assert np.array_equal(presence["blaKPC"], genes["pcn_blaKPC"] > 0)
    assert np.array_equal(presence["blaSHV"], genes["blaSHV"] >= 0.5)
    kleborate = read(folder / "truth/kleborate_gt.tsv")
    assert np.array_equal(kleborate["blaSHV"], np.floor(genes["blaSHV"] + 0.5))
    assert (kleborate["blaSHV"] >= 2).mean() > 0.2
    assert (kleborate["blaSHV"] == 0).any()
    metadata = read(folder / "truth/metadata.tsv")
    assert metadata.columns.tolist() == ["sample_id", "Species", "ST", "sample_accession"]
    assert metadata["ST"].tolist() == cohort.samples["ST"].tolist()


def test_truth_tables_and_coordinates(cohort: SimulatedCohort, folder: Path) -> None:
    events = read(folder / "truth/events.tsv")
    assert events.columns.tolist() == ["sample_id", "chrom", "x0", "x1", "copies", "kind"]
    assert len(events) == len(cohort.events)
    np.testing.assert_allclose(events["copies"], cohort.events["copies"], rtol=1e-8)
    assert len(read(folder / "truth/samples.tsv")) == 40
    gene = cohort.geometry.panel[0]
    assert read(folder / "gene_coords.tsv").to_numpy().tolist() == [["blaSHV", "NC_016845.1", gene.start + 1, gene.end]]
    plasmid = read(folder / "plasmid_gene_coords.tsv")
    assert plasmid.columns.tolist() == ["gene", "contig", "start", "end", "absent_threshold", "family", "gc"]
    assert plasmid.iloc[0].tolist() == ["blaKPC-2", "NC_016846.1", 20557, 21435, 0.2, "blaKPC", 0.615]


def test_config_points_at_files_that_exist(folder: Path) -> None:
    config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    assert config.pop("out_dir") == "run"
    paths = {key: value for key, value in config.items() if key.endswith("_path")}
    assert len(paths) == 8
    assert all((folder / value).exists() for value in paths.values())
    assert {key: config[key] for key in config.keys() - paths.keys()} == {
        "architecture": "10_count_model",
        "hmm": "10_count_hmm",
        "cnv": "10_count_caller",
        "hmm_low_cov_threshold": 1,
    }
    used = yaml.safe_load((folder / "settings.yaml").read_text(encoding="utf-8"))
    assert (used["seed"], used["n_isolates"]) == (3, 40)


def test_written_settings_give_the_same_cohort(cohort: SimulatedCohort, folder: Path) -> None:
    used = yaml.safe_load((folder / "settings.yaml").read_text(encoding="utf-8"))
    settings = SimulationSettings.model_validate(used["settings"])
    again = simulate(settings, used["n_isolates"], used["seed"], hs11286_geometry(used["geometry"]["n_bins"]))
    assert np.array_equal(again.counts, cohort.counts)


def test_writing_twice_gives_the_same_bytes(cohort: SimulatedCohort, folder: Path, tmp_path: Path) -> None:
    again = write_cohort(cohort, tmp_path / "again")
    files = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(again) for path in again.rglob("*") if path.is_file())
    assert all((folder / name).read_bytes() == (again / name).read_bytes() for name in files)


def test_a_folder_in_use_is_refused_and_left_alone(cohort: SimulatedCohort, tmp_path: Path) -> None:
    (tmp_path / "used").mkdir()
    (tmp_path / "used/mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(RunError, match="not an empty folder"):
        write_cohort(cohort, tmp_path / "used")
    assert [path.name for path in tmp_path.rglob("*")] == ["used", "mine.txt"]
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(RunError, match="not an empty folder"):
        write_cohort(cohort, tmp_path / "file")
    with pytest.raises(RunError, match="cannot be written"):
        write_cohort(cohort, tmp_path / "file/below")
    (tmp_path / "empty").mkdir()
    assert (write_cohort(cohort, tmp_path / "empty") / "config.yaml").exists()
    assert not list(tmp_path.glob(".*"))


def test_like_leaves_plasmids_out(tmp_path: Path) -> None:
    table = tmp_path / "table.tsv"
    lines = [f"c\t{i * 1000 + 1}\t{(i + 1) * 1000}\t{100 + i % 7}" for i in range(100)]
    table.write_text("CONTIG\tSTART\tEND\tCOUNT\n" + "\n".join(lines) + "\n", encoding="utf-8")
    out = write_cohort(simulate(preset("easy"), 5, 1, like(table)), tmp_path / "out")
    assert not (out / "plasmid").exists()
    assert not (out / "plasmid_gene_coords.tsv").exists()
    config = yaml.safe_load((out / "config.yaml").read_text(encoding="utf-8"))
    assert not [key for key in config if "plasmid" in key]
    assert read(out / "truth/amrfinder_gt.tsv").columns.tolist()[2:] == ["geneA", "geneB", "geneC"]
    assert read(out / "gene_coords.tsv")["gene"].tolist() == ["geneA", "geneB", "geneC"]


def test_assembled_copies_round_halves_up() -> None:
    assert assembled_copies(np.array([0.0, 0.49, 0.5, 1.0, 1.5, 2.4, 2.5])).tolist() == [0, 0, 1, 1, 2, 2, 3]
