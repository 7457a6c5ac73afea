"""Building a store from other tools' tables, and saying what a store holds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from copyfold.cnv.coordinates import Gene, read_gene_table, same_contig
from copyfold.cnv.importers import READERS, gene_depths, select_contigs
from copyfold.cnv.store import Contigs, open_store, read_manifest, write_store
from copyfold.core.console import Console
from copyfold.core.files import check_vacant
from copyfold.errors import ConfigError, InputError


def build_store(
    inputs: Sequence[Path],
    out: Path,
    tool: str,
    contig_names: Sequence[str],
    genes_path: Path | None,
    console: Console,
) -> None:
    """Gather count tables into a chromosome store, or with `genes_path` into a plasmid store.

    Raises
    ------
    CopyfoldError
        A table is damaged, tables differ in their bins, two tables are of one sample, or `out` exists.
    """
    if tool not in READERS:
        raise ConfigError(f"--from {tool}: must be {' or '.join(READERS)}")
    check_vacant(out)
    files = _find_tables(inputs)
    genes = read_gene_table(genes_path) if genes_path else None
    rows: list[np.ndarray] = []
    owners: dict[str, Path] = {}
    contigs: Contigs | None = None
    with console.progress("reading tables, file", len(files)) as progress:
        for number, path in enumerate(files, start=1):
            sample = READERS[tool](path)
            if contigs is None:
                contigs = sample.contigs
            _check_same_bins(path, files[0], sample.contigs, contigs)
            if sample.sample_id in owners:
                raise InputError(f"{path}: is of sample {sample.sample_id}, as {owners[sample.sample_id]} is; keep one")
            owners[sample.sample_id] = path
            rows.append(sample.counts.astype(np.uint32))
            progress(number)
    assert contigs is not None
    names = np.array(list(owners))
    order = np.argsort(names)
    counts = np.stack(rows)[order]
    if genes is None:
        columns = select_contigs(contigs, contig_names)
        kept = Contigs(contigs.chrom[columns], contigs.start[columns], contigs.end[columns])
        write_store(out, counts[:, columns], kept, names[order])
    else:
        _write_plasmid_store(out, counts, contigs, names[order], genes, console)
    console.say(f"{out}: {len(names)} samples")


def _find_tables(inputs: Sequence[Path]) -> list[Path]:
    files: list[Path] = []
    for path in inputs:
        if path.is_dir():
            found = sorted(item for item in path.iterdir() if item.name.endswith((".tsv", ".tsv.gz")))
            if not found:
                raise InputError(f"{path}: holds no .tsv or .tsv.gz file")
            files += found
        else:
            files.append(path)
    return files


def _check_same_bins(path: Path, first_path: Path, contigs: Contigs, first: Contigs) -> None:
    if len(contigs) != len(first):
        raise InputError(f"{path}: has {len(contigs)} bins, {first_path} has {len(first)}; count on one reference")
    same = (contigs.chrom == first.chrom) & (contigs.start == first.start) & (contigs.end == first.end)
    if not same.all():
        row = int(np.flatnonzero(~same)[0])
        raise InputError(
            f"{path}: bin {row + 1} is {_place(contigs, row)}, in {first_path} {_place(first, row)}; "
            "count on one reference"
        )


def _place(contigs: Contigs, row: int) -> str:
    return f"{contigs.chrom[row]}:{contigs.start[row] + 1}-{contigs.end[row]}"


def _write_plasmid_store(
    out: Path,
    counts: np.ndarray,
    contigs: Contigs,
    names: np.ndarray,
    genes: Sequence[Gene],
    console: Console,
) -> None:
    present = list(dict.fromkeys(contigs.chrom.tolist()))
    kept = [gene for gene in genes if any(same_contig(gene.contig, name) for name in present)]
    if not kept:
        raise InputError(
            f"no gene's contig is in the tables, which have {', '.join(present[:8])}; check the coordinates"
        )
    if left := [gene.name for gene in genes if gene not in kept]:
        console.warn(f"left out, for their contigs are not in the tables: {', '.join(left)}")
    depths = np.stack([gene_depths(counts, gene, contigs) for gene in kept], axis=1)
    places = Contigs(
        np.array([gene.contig for gene in kept]),
        np.array([gene.start for gene in kept]),
        np.array([gene.end for gene in kept]),
    )
    write_store(
        out,
        np.rint(depths),
        places,
        names,
        genes=np.array([gene.name for gene in kept]),
        kind="plasmid",
        unit="overlap-weighted reads per bin",
    )


def describe_store(path: Path) -> str:
    """What a store holds, in a few lines; opening it checks it."""
    store = open_store(path)
    medians = store.medians()
    low, middle, high = np.percentile(medians, (10, 50, 90))
    manifest = read_manifest(path) or {}
    chroms = list(dict.fromkeys(store.contigs.chrom.tolist()))
    lines = [
        f"store      {path} ({manifest.get('format', 'no manifest')}, {manifest.get('kind', 'kind not said')})",
        f"samples    {store.n_samples}: {store.sample_ids[0]} … {store.sample_ids[-1]}",
        f"columns    {store.n_bins} on {len(chroms)} contigs: {_some(chroms)}",
        f"median     {low:.0f} / {middle:.0f} / {high:.0f} per column (10th, 50th, 90th percentile of samples)",
        f"no reads   {int((medians < 1).sum())} samples have a median below one read",
    ]
    if store.genes is not None:
        lines.append(f"genes      {_some(store.genes.tolist())}")
    return "\n".join(lines)


def _some(names: list[str]) -> str:
    return ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
