"""Gathering the counts of many samples into a chromosome store and a plasmid store, one sample at a time."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from copyfold.cnv.counting.sample_file import (
    COUNTS_ENDING,
    QUALITY_ENDING,
    CountsFile,
    read_counts,
    read_quality,
)
from copyfold.cnv.store import Contigs, Store, open_store, read_manifest
from copyfold.cnv.store_build import Intake, StoreColumns, check_row, check_same_bins, create_store, store_rows
from copyfold.core.console import Console
from copyfold.core.files import check_vacant
from copyfold.errors import ConfigError, InputError

CHROMOSOME_UNIT = "read starts per bin"
PLASMID_UNIT = "gene depth as read starts per bin"


def build_from_counts(
    inputs: Sequence[Path],
    out: Path,
    plasmid_out: Path | None,
    console: Console,
    *,
    onto: Path | None = None,
    plasmid_onto: Path | None = None,
    keep_flagged: bool = False,
    skip_bad: bool = False,
) -> None:
    """Make stores of the files that ``copyfold cnv count`` writes.

    The chromosome store holds the read starts of the chromosomes' bins. A column of the plasmid store is a plasmid
    gene's exact depth, in the sample's read starts per bin at that depth, so that divided by the sample's median count
    it is gene depth over median chromosomal depth.

    Parameters
    ----------
    inputs : sequence of Path
        Counts files, or folders of them; the quality records beside them are read, too.
    out : Path
    plasmid_out : Path or None
        None makes no plasmid store.
    console : Console
    onto, plasmid_onto : Path, optional
        Stores whose samples are taken over first.
    keep_flagged : bool
        Take samples whose quality record flags them (another species, too few reads).
    skip_bad : bool
        Leave a damaged file out, say so and list it in ``skipped.tsv``, instead of stopping.

    Raises
    ------
    CopyfoldError
        A file is damaged, samples were counted on different references, a sample stands twice, or `out` exists.
    """
    if plasmid_onto is not None and (plasmid_out is None or onto is None):
        raise ConfigError(
            f"--plasmid-onto {plasmid_onto}: needs --plasmid-out, the store to make, and --onto beside it"
        )
    if plasmid_out is not None and plasmid_out.resolve() == out.resolve():
        raise ConfigError(f"--plasmid-out {plasmid_out}: is the folder of --out; give the two stores one each")
    if onto is not None and plasmid_out is not None and plasmid_onto is None:
        raise ConfigError("--onto without --plasmid-onto: give the plasmid store to go on from, or leave --plasmid-out")
    for path in (out, plasmid_out):
        if path is not None:
            check_vacant(path)
    files, refused = _find(inputs, skip_bad)
    with ExitStack() as stack:
        gatherer = _Gatherer(
            stack.enter_context(create_store(out)),
            None if plasmid_out is None else stack.enter_context(create_store(plasmid_out)),
        )
        gatherer.skip(refused)
        gatherer.start_from(onto, plasmid_onto)
        progress = stack.enter_context(console.progress("reading counts, sample", len(files)))
        for number, path in enumerate(files, start=1):
            try:
                sample = read_counts(path)
                if sample.flags and not keep_flagged:
                    gatherer.skip([(path, f"flagged: {'; '.join(sample.flags)}")])
                    console.warn(f"left out: {path}: {'; '.join(sample.flags)}")
                else:
                    gatherer.add(path, sample)
            except InputError as error:
                if not skip_bad:
                    raise
                console.warn(f"left out: {error}")
                gatherer.skip([(path, str(error))])
            progress(number)
        gatherer.check_majority()
        n_samples, n_skipped = len(gatherer.owners), len(gatherer.chromosome.skipped)
    left_out = f", {n_skipped} left out (skipped.tsv)" if n_skipped else ""
    for path in (out, plasmid_out):
        if path is not None:
            console.say(f"{path}: {n_samples} samples{left_out}")


def _find(inputs: Sequence[Path], skip_bad: bool) -> tuple[list[Path], list[tuple[Path, str]]]:
    """Counts files, and samples that could not be counted with the reason."""
    files: list[Path] = []
    refused: list[tuple[Path, str]] = []
    for path in inputs:
        if not path.is_dir():
            files.append(path)
            continue
        files += sorted(item for item in path.iterdir() if item.name.endswith(COUNTS_ENDING))
        for item in sorted(path.iterdir()):
            if item.name.endswith(QUALITY_ENDING) and not _counts_of(item).exists():
                refused.append((item, _why_uncounted(item, skip_bad)))
    if not files:
        raise InputError(f"{', '.join(map(str, inputs))}: no {COUNTS_ENDING} file; `copyfold cnv count` writes them")
    return files, refused


def _why_uncounted(quality: Path, skip_bad: bool) -> str:
    try:
        record = read_quality(quality)
    except InputError as error:
        if not skip_bad:
            raise
        return str(error)
    if record["status"] == "refused":
        return "; ".join(map(str, record["flags"]))
    return f"its {_counts_of(quality).name} is gone; count the sample again"


def _counts_of(quality: Path) -> Path:
    return quality.with_name(quality.name.removesuffix(QUALITY_ENDING) + COUNTS_ENDING)


class _Gatherer:
    """Puts samples into one or two stores and holds them to the first one's reference."""

    def __init__(self, chromosome: Intake, plasmid: Intake | None) -> None:
        self.chromosome, self.plasmid = chromosome, plasmid
        self.owners: dict[str, Path] = {}
        self._reference: tuple[Path, str] | None = None
        self._bins: tuple[Path, Contigs] | None = None
        self._genes: tuple[Path, list[str]] | None = None
        self._others = 0

    def skip(self, left_out: Sequence[tuple[Path, str]]) -> None:
        for intake in (self.chromosome, self.plasmid):
            if intake is not None:
                intake.skipped += left_out

    def start_from(self, onto: Path | None, plasmid_onto: Path | None) -> None:
        """Take over the rows of earlier stores."""
        if onto is None:
            return
        store = open_store(onto)
        reference = _reference_of(onto)
        if reference is None:
            raise InputError(
                f"{onto}: was not made from counts of `copyfold cnv count`; join stores by `cnv store merge`"
            )
        self._reference, self._bins = (onto, reference), (onto, store.contigs)
        self.owners = dict.fromkeys(store.sample_ids.tolist(), onto)
        _copy_rows(store, self.chromosome, StoreColumns(store.contigs, "chromosome", CHROMOSOME_UNIT))
        if self.plasmid is None or plasmid_onto is None:
            return
        genes = open_store(plasmid_onto)
        if genes.genes is None or sorted(genes.sample_ids.tolist()) != sorted(self.owners):
            raise InputError(
                f"{plasmid_onto}: is not the plasmid store of {onto}: its samples differ, or it has no genes"
            )
        if _reference_of(plasmid_onto) != reference:
            raise InputError(f"{plasmid_onto}: was counted on another reference than {onto}; give the store beside it")
        self._genes = (plasmid_onto, genes.genes.tolist())
        _copy_rows(genes, self.plasmid, StoreColumns(genes.contigs, "plasmid", PLASMID_UNIT, genes.genes))

    def add(self, path: Path, sample: CountsFile) -> None:
        """Add one sample to all stores, or to none."""
        self._check(path, sample)
        chromosome = ~sample.plasmid_bins
        bins = Contigs(sample.bins.chrom[chromosome], sample.bins.start[chromosome], sample.bins.end[chromosome])
        first_bins = self._bins or (path, bins)
        check_same_bins(path, bins, *first_bins)
        rows = [(self.chromosome, StoreColumns(bins, "chromosome", CHROMOSOME_UNIT), sample.counts[chromosome])]
        if self.plasmid is not None:
            rows.append((self.plasmid, *self._plasmid_row(path, sample, chromosome)))
        for _, _, row in rows:
            check_row(sample.sample_id, row)
        self._reference, self._bins = self._reference or (path, sample.reference), first_bins
        if self.plasmid is not None:
            self._genes = self._genes or (path, _names(sample))
        for intake, columns, row in rows:
            intake.columns = intake.columns or columns
            intake.source = {"from": "copyfold", "reference": self._reference[1]}
            intake.add(sample.sample_id, row)
        self.owners[sample.sample_id] = path

    def _check(self, path: Path, sample: CountsFile) -> None:
        if self._reference is not None and sample.reference != self._reference[1]:
            self._others += 1
            raise InputError(
                f"{path}: was counted on another reference than {self._reference[0]}; count all samples on one"
            )
        if sample.sample_id in self.owners:
            raise InputError(
                f"{path}: sample {sample.sample_id} stands in {self.owners[sample.sample_id]}, too; keep one"
            )
        if sample.plasmid_bins.all():
            raise InputError(f"{path}: its reference has no chromosome; build one with --chromosome")

    def check_majority(self) -> None:
        """Refuse to make stores of one odd first sample and leave the many others out."""
        if self._reference is not None and self._others > len(self.owners):
            raise InputError(
                f"{self._reference[0]}: {self._others} samples were counted on another reference than this first one "
                f"and {len(self.owners)} on the same; count on one reference or leave it away"
            )

    def _plasmid_row(self, path: Path, sample: CountsFile, chromosome: np.ndarray) -> tuple[StoreColumns, np.ndarray]:
        chosen = np.flatnonzero(sample.plasmid_genes)
        genes = [sample.genes[column] for column in chosen]
        names = _names(sample)
        if not names:
            raise InputError(
                f"{path}: its reference has no plasmid genes; leave --plasmid-out away, or build it with some"
            )
        if self._genes is not None and names != self._genes[1]:
            raise InputError(f"{path}: its plasmid genes are not those of {self._genes[0]}; count all on one reference")
        places = Contigs(
            np.array([gene.contig for gene in genes]),
            np.array([gene.start for gene in genes]),
            np.array([gene.end for gene in genes]),
        )
        median_depth = float(np.median(sample.depth[chromosome]))
        scale = float(np.median(sample.counts[chromosome])) / median_depth if median_depth > 0 else 0.0
        columns = StoreColumns(places, "plasmid", PLASMID_UNIT, np.array(names))
        return columns, np.rint(sample.gene_depth[chosen] * scale)


def _names(sample: CountsFile) -> list[str]:
    return [sample.genes[column].name for column in np.flatnonzero(sample.plasmid_genes)]


def _reference_of(store: Path) -> str | None:
    source = (read_manifest(store) or {}).get("source")
    return str(source["reference"]) if isinstance(source, dict) and "reference" in source else None


def _copy_rows(store: Store, intake: Intake, columns: StoreColumns) -> None:
    intake.columns = columns
    with store_rows(store) as rows:
        for number, name in enumerate(store.sample_ids.tolist()):
            intake.add(name, rows[number])
