"""Scanning a run's segments again for what recurs in its cohort."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from copyfold.cnv.coordinates import DEFAULT_CHROMOSOMAL_PANEL, Gene, read_gene_table, same_contig
from copyfold.cnv.recurrence import RecurrenceSettings
from copyfold.cnv.recurrent_table import RECURRENT_NAME, scan_segments, write_recurrent
from copyfold.cnv.reference.annotation import gene_format, parse_annotation
from copyfold.cnv.store import open_store
from copyfold.cnv.truth import read_sequence_types
from copyfold.core.console import Console
from copyfold.core.packed import read_unpacked
from copyfold.core.rundir import own_run, read_run_record
from copyfold.errors import InputError, RunError

_SHOWN = 10


def scan_run(
    run: Path,
    settings: RecurrenceSettings,
    console: Console,
    *,
    genes: Path | None = None,
    lineages: Path | Mapping[str, str | None] | None = None,
    out: Path | None = None,
) -> Path:
    """Write the recurrent segments of a run whose segmentation is done; returns the file.

    Parameters
    ----------
    run : Path
    settings : RecurrenceSettings
    console : Console
    genes : Path, optional
        Annotation (GFF3, GenBank) or table of coordinates; default: the run's ``gene_coords_path``.
    lineages : Path or mapping of str to str or None, optional
        Lineage by sample, or a table with sample_id and ST; default: the run's ``kpsc_meta_path``.
    out : Path, optional
        Default: ``recurrent_segments.tsv`` of the run.

    Raises
    ------
    CopyfoldError
        The run has no segments, its store has gone, or a table cannot be read.
    """
    settings.check()
    record = read_run_record(run)
    if record.get("stages", {}).get("segment", {}).get("status") != "done":
        raise RunError(f"{run}: stage segment is not done; `copyfold cnv train CONFIG --resume` does it")
    config = record["config"]
    store = open_store(Path(config["store_path"]), check_values=False)
    names = list(dict.fromkeys(store.contigs.chrom.tolist()))
    genes = genes or _path_in(config, "gene_coords_path")
    panel = DEFAULT_CHROMOSOMAL_PANEL if genes is None else read_genes(genes, names)
    known = _path_in(config, "kpsc_meta_path") if lineages is None else lineages
    if isinstance(known, Path):
        known = read_sequence_types(known)
    with own_run(run):
        table = scan_segments(run, store.sample_ids, store.contigs, settings, panel, known)
        target = run / RECURRENT_NAME if out is None else out
        write_recurrent(target, table, settings)
    console.say(f"{len(table)} recurrent segments in {store.n_samples} isolates")
    for row in table.head(_SHOWN).itertuples():
        console.say(
            f"{row.kind:<9} {row.chrom}:{row.x0 + 1:,}-{row.x1:,}  {row.n_isolates} isolates ({row.frequency:.1%})"
            + (f"  {row.genes}" if row.genes else "")
        )
    return target


def _path_in(config: dict[str, object], key: str) -> Path | None:
    value = config.get(key)
    return None if value is None else Path(str(value))


def read_genes(path: Path, contigs: list[str]) -> tuple[Gene, ...]:
    """Genes of an annotation or a table of coordinates that lie on `contigs`.

    Raises
    ------
    InputError
        The file cannot be read, holds sequences instead of places, or no gene that lies on one of them.
    """
    data = read_unpacked(path)
    form = gene_format(data)
    if form == "fasta":
        raise InputError(f"{path}: holds sequences; give their places, as `copyfold cnv reference build` finds them")
    if form == "table":
        placed = [gene for gene in read_gene_table(path) if any(same_contig(gene.contig, name) for name in contigs)]
    else:
        annotation = parse_annotation(data, form, path)
        placed = [
            Gene(feature.gene, contig, feature.start, feature.end)
            for feature in annotation.features
            for contig in contigs
            if any(same_contig(name, contig) for name in feature.contigs)
        ]
    if not placed:
        raise InputError(f"{path}: no gene lies on {', '.join(contigs[:5])}; give the genes of the run's reference")
    return tuple(placed)
