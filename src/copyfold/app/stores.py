"""Building a store from other tools' tables, and joining stores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from copyfold.cnv.coordinates import Gene, read_gene_table
from copyfold.cnv.importers import READERS, Importer, ImportSettings, Source, TableCounts
from copyfold.cnv.importers.cnvrock import overlapped_bins
from copyfold.cnv.store import Contigs, Store, check_ordered, open_store, read_manifest
from copyfold.cnv.store_build import (
    Intake,
    Kind,
    Projection,
    StoreColumns,
    check_same_bins,
    create_store,
    project_contigs,
    project_genes,
    store_rows,
)
from copyfold.core.console import Console
from copyfold.core.files import check_vacant
from copyfold.errors import ConfigError, InputError

_PUBLISHED = "cnvrock"
TOOLS = (*READERS, _PUBLISHED)
"""What ``--from`` takes."""


def build_store(
    inputs: Sequence[Path],
    out: Path,
    tool: str,
    contig_names: Sequence[str],
    genes_path: Path | None,
    console: Console,
    *,
    settings: ImportSettings | None = None,
    skip_bad: bool = False,
) -> None:
    """Gather count tables into a chromosome store, or with `genes_path` into a plasmid store.

    Parameters
    ----------
    inputs : sequence of Path
        Tables or folders of them; for ``cnvrock`` one published store.
    out : Path
    tool : str
        One of `TOOLS`.
    contig_names : sequence of str
        Contigs to keep; by default the longest.
    genes_path : Path or None
    console : Console
    settings : ImportSettings, optional
        What the tables do not say about themselves.
    skip_bad : bool
        Leave a bad table out, say so and list it in the store's ``skipped.tsv``, instead of stopping.

    Raises
    ------
    CopyfoldError
        A table is damaged, tables differ in their bins, two tables are of one sample, or `out` exists.
    """
    settings = settings or ImportSettings()
    if tool not in TOOLS:
        raise ConfigError(f"--from {tool}: must be {', '.join(TOOLS[:-1])} or {TOOLS[-1]}")
    check_vacant(out)
    if tool == _PUBLISHED:
        if contig_names or genes_path or skip_bad:
            raise ConfigError("--from cnvrock copies a whole store: --contig, --genes and --skip-bad do not apply")
        _convert_published(inputs, out, settings, console)
        return
    importer = READERS[tool]
    importer.check(settings)
    genes = read_gene_table(genes_path, "plasmid") if genes_path else None
    sources = importer.find(inputs)
    collector = _Collector(importer, settings, contig_names, genes, console)
    with create_store(out) as intake, console.progress("reading tables, file", len(sources)) as progress:
        intake.source = _source(tool, settings)
        for number, source in enumerate(sources, start=1):
            try:
                sample = collector.read(source)
            except InputError as error:
                if not skip_bad:
                    raise
                console.warn(f"left out: {error}")
                intake.skipped.append((source.name, str(error)))
            else:
                collector.add(sample, intake)
            progress(number)
        collector.check_majority()
    left_out = f", {len(intake.skipped)} tables left out (skipped.tsv)" if intake.skipped else ""
    console.say(f"{out}: {len(intake.names)} samples{left_out}")


def _source(tool: str, settings: ImportSettings) -> dict[str, str | float]:
    """What the manifest says of where the numbers come from."""
    said: dict[str, str | float | None] = {
        "from": tool,
        "read_length": settings.read_length,
        "columns": settings.columns,
    }
    return {key: value for key, value in said.items() if value is not None}


class _Collector:
    """Reads samples one by one and holds them to the first one's bins."""

    def __init__(
        self,
        importer: Importer,
        settings: ImportSettings,
        contig_names: Sequence[str],
        genes: Sequence[Gene] | None,
        console: Console,
    ) -> None:
        self._importer, self._settings, self._console = importer, settings, console
        self._contig_names, self._genes = contig_names, genes
        self._owners: dict[str, Path] = {}
        self._first: tuple[Path, Contigs] | None = None
        self._projection: Projection | None = None
        self._other_bins = 0

    def read(self, source: Source) -> TableCounts:
        sample = self._importer.read(source, self._settings)
        if not sample.sample_id:
            raise InputError(f"{source.name}: gives no sample name; name the file SAMPLE.…")
        if self._first:
            try:
                check_same_bins(source.name, sample.contigs, *self._first)
            except InputError:
                self._other_bins += 1
                raise
        if sample.sample_id in self._owners:
            owner = self._owners[sample.sample_id]
            raise InputError(f"{source.name}: is of sample {sample.sample_id}, as {owner} is; keep one")
        self._first = self._first or (source.name, sample.contigs)
        self._owners[sample.sample_id] = source.name
        return sample

    def add(self, sample: TableCounts, intake: Intake) -> None:
        self._projection = self._projection or self._project(sample.contigs)
        intake.columns = self._projection.columns
        intake.add(sample.sample_id, self._projection.apply(sample.counts))

    def _project(self, contigs: Contigs) -> Projection:
        unit = self._importer.unit(self._settings)
        if self._genes is None:
            kept = project_contigs(contigs, self._contig_names, unit)
            assert self._first is not None
            check_ordered(kept.columns.contigs, self._first[0])
            return kept
        projection = project_genes(contigs, self._genes, unit)
        if projection.left_out:
            names = ", ".join(projection.left_out)
            self._console.warn(f"left out, for their contigs are not in the tables: {names}")
        return projection

    def check_majority(self) -> None:
        """Refuse to make a store of one odd first table and leave the many others out."""
        if self._first and self._other_bins > len(self._owners):
            raise InputError(
                f"{self._first[0]}: {self._other_bins} tables have other bins than this first one and "
                f"{len(self._owners)} the same; count on one reference or leave this table away"
            )


def _convert_published(inputs: Sequence[Path], out: Path, settings: ImportSettings, console: Console) -> None:
    if len(inputs) != 1:
        raise ConfigError(f"--from cnvrock takes one store, not {len(inputs)}; join stores with `cnv store merge`")
    if settings.columns not in (None, "mean", "sum"):
        raise ConfigError(f"--columns {settings.columns}: of cnvrock, must be mean or sum")
    if settings.read_length is not None:
        raise ConfigError("--read-length: published stores hold reads already; leave it out")
    store = open_store(inputs[0])
    kind: Kind = "chromosome" if store.genes is None else "plasmid"
    divisors: np.ndarray | None = None
    if settings.columns == "sum":
        if store.genes is None:
            raise InputError(f"{store.path}: has no genes.npy; only a plasmid store's columns are sums over bins")
        divisors = overlapped_bins(store.contigs, settings.bin_size)
    unit = "read starts per bin" if kind == "chromosome" else "reads per bin, mean over bins"
    columns = StoreColumns(store.contigs, kind, unit, store.genes)
    with create_store(out) as intake, console.progress("copying rows, sample", store.n_samples) as progress:
        intake.columns, intake.source = columns, _source(_PUBLISHED, settings)
        with store_rows(store) as rows:
            for number, name in enumerate(store.sample_ids.tolist()):
                row = rows[number]
                intake.add(name, row if divisors is None else np.rint(row / divisors))
                progress(number + 1)
    console.say(f"{out}: {store.n_samples} samples")


def merge_stores(paths: Sequence[Path], out: Path, console: Console) -> None:
    """Join stores of the same columns into one, rows sorted by sample.

    Raises
    ------
    CopyfoldError
        Columns, kinds or units differ, a sample is in two stores, or `out` exists.
    """
    if len(paths) < 2:
        raise ConfigError(f"{len(paths)} store given; a merge takes at least two")
    check_vacant(out)
    stores = [open_store(path) for path in paths]
    columns = _shared_columns(stores, console)
    owners: dict[str, Path] = {}
    for store in stores:
        for name in store.sample_ids.tolist():
            if name in owners:
                raise InputError(f"{store.path}: sample {name} is in {owners[name]}, too; keep it in one store")
            owners[name] = store.path
    done = 0
    with create_store(out) as intake, console.progress("copying rows, sample", len(owners)) as progress:
        intake.columns, intake.source = columns, {"merged": len(stores)}
        for store in stores:
            with store_rows(store) as rows:
                for number, name in enumerate(store.sample_ids.tolist()):
                    intake.add(name, rows[number])
                    done += 1
                    progress(done)
    console.say(f"{out}: {len(owners)} samples of {len(stores)} stores")


def _shared_columns(stores: Sequence[Store], console: Console) -> StoreColumns:
    first = stores[0]
    first_genes = None if first.genes is None else first.genes.tolist()
    for store in stores[1:]:
        check_same_bins(store.path, store.contigs, first.path, first.contigs)
        if (None if store.genes is None else store.genes.tolist()) != first_genes:
            raise InputError(f"{store.path}: its genes are not those of {first.path}; build both from one table")
    said: dict[str, Path] = {}
    for store in stores:
        unit = (read_manifest(store.path) or {}).get("unit")
        if unit is None:
            console.warn(f"{store.path}: does not say its unit; it is taken to be that of the others")
        else:
            said.setdefault(str(unit), store.path)
    if len(said) > 1:
        (unit, path), (other, other_path) = list(said.items())[:2]
        raise InputError(f"{other_path}: counts are '{other}', in {path} '{unit}'; build both the same way")
    kind: Kind = "chromosome" if first.genes is None else "plasmid"
    return StoreColumns(first.contigs, kind, next(iter(said), "reads per bin"), first.genes)
