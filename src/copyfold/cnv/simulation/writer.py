"""Write a simulated cohort: stores, coordinates, ground truth, truth and a ready-to-run configuration.

Files and columns are described in docs/formats/simulation.md. Positions are 1-based inclusive where the
format is an outside one (coordinates of genes) and 0-based half-open in `truth/events.tsv`.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from copyfold.cnv.simulation.cohort import SimulatedCohort
from copyfold.cnv.simulation.plasmids import FAMILIES, PANEL, plasmid_contigs
from copyfold.cnv.store import write_store
from copyfold.cnv.truth import KLEBORATE_GENE
from copyfold.core.files import atomic_folder, atomic_path, write_text
from copyfold.version import __version__

# Columns of the published AMRFinder+ table, in its order; families beyond it follow.
_PUBLISHED_FAMILIES = ("blaKPC", "blaNDM", "blaCTX-M", "qnrB", "blaOXA-48-like", "aac6-Ib-cr")
_CONFIG_HEAD = """\
# Copy-number run on this simulated cohort; paths are relative to this file.
# Every key that is not given here keeps the documents' value (experiment 32). Their design: architecture 06_conv_vae,
# hmm 02_gaussian_hmm, cnv 06_gene_cnv_caller, hmm_low_cov_threshold 10.
"""
_MODULES = {
    "architecture": "10_count_model",
    "hmm": "10_count_hmm",
    "cnv": "10_count_caller",
    "hmm_low_cov_threshold": 1,
}


def write_cohort(cohort: SimulatedCohort, out: Path) -> Path:
    """Write everything into the folder `out`, in one piece.

    Parameters
    ----------
    cohort : SimulatedCohort
    out : Path
        Absent, or an empty folder.

    Raises
    ------
    RunError
        `out` holds something already or cannot be written.
    """
    with atomic_folder(out) as partial:
        write_store(partial / "chromosome", cohort.counts, cohort.contigs, cohort.sample_ids)
        if cohort.plasmid_counts is not None:
            write_store(
                partial / "plasmid",
                cohort.plasmid_counts,
                plasmid_contigs(),
                cohort.sample_ids,
                genes=cohort.plasmid_genes,
                kind="plasmid",
                unit="depth per bin",
            )
            _write_table(partial / "plasmid_gene_coords.tsv", _plasmid_coordinates())
        _write_table(partial / "gene_coords.tsv", _coordinates(cohort))
        _write_table(partial / "bins.tsv", _bins(cohort))
        truth = partial / "truth"
        _write_table(truth / "amrfinder_gt.tsv", amrfinder_table(cohort))
        if _has_shv(cohort):
            _write_table(truth / "kleborate_gt.tsv", kleborate_table(cohort))
        _write_table(truth / "metadata.tsv", _metadata(cohort))
        _write_table(truth / "samples.tsv", cohort.samples)
        _write_table(truth / "events.tsv", cohort.events)
        _write_table(truth / "genes.tsv", cohort.genes)
        write_text(partial / "settings.yaml", _settings_text(cohort))
        write_text(partial / "config.yaml", _config_text(cohort))
    return Path(out)


def amrfinder_table(cohort: SimulatedCohort) -> pd.DataFrame:
    """Presence (0/1) of blaSHV and each plasmid family in the published columns; blaTEM at the end.

    A panel without blaSHV has no Kleborate table to give its copies, so they are counted here.
    """
    table = pd.DataFrame({"sample_id": cohort.sample_ids, "biosample": _accessions(cohort)})
    for gene in cohort.geometry.panel:
        copies = assembled_copies(cohort.genes[gene.name].to_numpy())
        table[gene.name] = np.minimum(copies, 1) if _has_shv(cohort) else copies
    if cohort.geometry.has_plasmids:
        others = tuple(family for family in FAMILIES if family not in _PUBLISHED_FAMILIES)
        for family in _PUBLISHED_FAMILIES + others:
            table[family] = (cohort.genes[f"pcn_{family}"].to_numpy() > 0).astype(np.int64)
    return table


def kleborate_table(cohort: SimulatedCohort) -> pd.DataFrame:
    """Number of copies of each panel gene that an ideal assembly would list."""
    table = pd.DataFrame({"sample_id": cohort.sample_ids})
    for gene in cohort.geometry.panel:
        table[gene.name] = assembled_copies(cohort.genes[gene.name].to_numpy())
    return table


def _has_shv(cohort: SimulatedCohort) -> bool:
    return any(gene.name == KLEBORATE_GENE for gene in cohort.geometry.panel)


def assembled_copies(copies: np.ndarray) -> np.ndarray:
    """True mean copies as a whole number, halves rounded up: int64."""
    return np.floor(np.asarray(copies) + 0.5).astype(np.int64)


def _accessions(cohort: SimulatedCohort) -> list[str]:
    return [f"SAM{sample_id}" for sample_id in cohort.sample_ids]


def _metadata(cohort: SimulatedCohort) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "sample_id": cohort.sample_ids,
            "Species": cohort.geometry.species,
            "ST": cohort.samples["ST"],
            "sample_accession": _accessions(cohort),
        }
    )


def _coordinates(cohort: SimulatedCohort) -> pd.DataFrame:
    rows = [(gene.name, gene.contig, gene.start + 1, gene.end) for gene in cohort.geometry.panel]
    return pd.DataFrame(rows, columns=["gene", "contig", "start", "end"])


def _bins(cohort: SimulatedCohort) -> pd.DataFrame:
    geometry, contigs = cohort.geometry, cohort.contigs
    phase = np.clip(geometry.replication + 0.5, 0, 1)
    columns = {"gc": geometry.gc, "mappability": geometry.mappability, "replication": phase}
    place = {"contig": contigs.chrom, "start": contigs.start + 1, "end": contigs.end}
    return pd.DataFrame(place | {name: np.round(values, 4) for name, values in columns.items()})


def _plasmid_coordinates() -> pd.DataFrame:
    table = pd.DataFrame([asdict(gene) for gene in PANEL]).rename(columns={"name": "gene", "x1": "end"})
    table["start"] = table["x0"] + 1
    return table[["gene", "contig", "start", "end", "absent_threshold", "family", "gc"]]


def _settings_text(cohort: SimulatedCohort) -> str:
    geometry = cohort.geometry
    content = {
        "copyfold_version": __version__,
        "seed": cohort.seed,
        "n_isolates": cohort.n_samples,
        "geometry": {
            "source": geometry.source,
            "n_bins": len(geometry.contigs),
            "length_bp": geometry.length,
        },
        "settings": cohort.settings.model_dump(mode="json"),
    }
    return "# What this cohort was simulated from.\n" + yaml.safe_dump(content, sort_keys=False, width=100)


def _config_text(cohort: SimulatedCohort) -> str:
    keys: dict[str, object] = {**_MODULES, "store_path": "chromosome", "bins_path": "bins.tsv"}
    if cohort.geometry.has_plasmids:
        keys["plasmid_store_path"] = "plasmid"
    keys |= {
        "out_dir": "run",
        "kpsc_gt_path": "truth/amrfinder_gt.tsv",
        "kpsc_meta_path": "truth/metadata.tsv",
        "gene_coords_path": "gene_coords.tsv",
    }
    if _has_shv(cohort):
        keys["kpsc_kleborate_gt_path"] = "truth/kleborate_gt.tsv"
    if cohort.geometry.has_plasmids:
        keys["plasmid_gene_coords_path"] = "plasmid_gene_coords.tsv"
    return _CONFIG_HEAD + yaml.safe_dump(keys, sort_keys=False)


def _write_table(target: Path, table: pd.DataFrame) -> None:
    with atomic_path(target) as partial:
        table.to_csv(partial, sep="\t", index=False, lineterminator="\n", float_format="%.9g")
