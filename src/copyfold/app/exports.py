"""A run's segments, copy ratios and calls in the formats of other programs.

What is held in memory, whatever the size of the cohort: of segments.parquet one batch of rows, for VCF and BED files
of several samples also the segments that are kept (about 50 bytes each); of counts and reconstructions, which are
mapped, the rows of one batch of samples; the tables of calls, one row per sample, as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pysam

from copyfold.app.finished_runs import open_copy_ratios, open_run_store
from copyfold.cnv import exports
from copyfold.cnv.call_tables import read_calls
from copyfold.cnv.reference import read_reference
from copyfold.cnv.segments_file import SEGMENT_COLUMNS, segment_parts
from copyfold.cnv.store import Contigs, Store
from copyfold.core.console import Console
from copyfold.core.files import atomic_folder, atomic_path, read_npy, write_json
from copyfold.core.rundir import read_run_record
from copyfold.errors import ConfigError, InputError, RunError
from copyfold.version import __version__

ENDINGS = {
    "vcf": (".vcf", ".vcf.gz"),
    "seg": (".seg", ".seg.gz"),
    "bed": (".bed", ".bed.gz"),
    "bedgraph": (".bedgraph", ".bedgraph.gz", ".bg", ".bg.gz"),
    "multiqc": ("_mqc.tsv", "_mqc.json"),
}
"""How the name of a file ends, by format."""
NEEDS = {"vcf": "segment", "seg": "segment", "bed": "segment", "bedgraph": "infer", "multiqc": "call"}
"""The stage whose results a format shows."""
PER_SAMPLE = frozenset({"vcf", "bed", "bedgraph"})
"""Formats of which a folder holds one file per sample."""
WIDE_VCF = 200
_STAGE_ORDER = ("train", "infer", "segment", "call")
_BATCH_SAMPLES = 64
_FILE_ENDINGS = (*(e for endings in ENDINGS.values() for e in endings), ".gz", ".bcf", ".tsv", ".json", ".txt", ".csv")


@dataclass(frozen=True)
class ExportOptions:
    """What ``copyfold cnv export`` is asked for.

    Attributes
    ----------
    format : str
        A key of `ENDINGS`.
    out : Path
        File, or a folder to make with one file per sample.
    samples : tuple of str
        None takes all.
    min_confidence : float or None
        Least confidence of a segment, 0..1.
    reference : Path or None
        Reference folder that REF and contig lengths of a VCF are read from.
    """

    format: str
    out: Path
    samples: tuple[str, ...] = ()
    min_confidence: float | None = None
    reference: Path | None = None

    @property
    def is_file(self) -> bool:
        """Whether `out` names one file."""
        return self.out.name.lower().endswith(ENDINGS[self.format])

    def check(self) -> None:
        """Refuse what cannot be done.

        Raises
        ------
        ConfigError
            Names the option, its value and the rule.
        """
        if self.format not in ENDINGS:
            raise ConfigError(f"--format {self.format}: there is {', '.join(ENDINGS)}")
        if self.min_confidence is not None:
            if NEEDS[self.format] != "segment":
                raise ConfigError(f"--min-confidence: {self.format} shows no segments; it goes with vcf, seg and bed")
            if not 0 <= self.min_confidence <= 1:
                raise ConfigError(f"--min-confidence {self.min_confidence:g}: must be from 0 to 1")
        if self.reference is not None and self.format != "vcf":
            raise ConfigError(f"--reference: {self.format} holds no bases; it goes with vcf")
        if not self.is_file:
            endings = " or ".join(ENDINGS[self.format])
            if self.format not in PER_SAMPLE:
                raise ConfigError(f"--out {self.out}: {self.format} is one file; its name must end in {endings}")
            if self.out.name.lower().endswith(_FILE_ENDINGS):
                raise ConfigError(f"--out {self.out}: must end in {endings}, or name a folder of one file per sample")


def export_run(run: Path, options: ExportOptions, console: Console) -> None:
    """Write a run's results in another format.

    Raises
    ------
    ConfigError
        Options that do not fit together.
    InputError
        A sample, store or reference that is not there or does not fit.
    RunError
        The run is not far enough along, or `out` cannot be written. Nothing is then left behind.
    """
    options.check()
    record = read_run_record(run)
    _check_stage(run, record, NEEDS[options.format])
    samples = _choose(run, options.samples)
    if options.format == "bedgraph" and options.is_file and len(samples) > 1:
        raise ConfigError(
            f"--out {options.out}: a bedGraph file holds one sample, not {len(samples)}; name one with --sample, or "
            "name a folder"
        )
    job = _Export(Path(run), record, options, samples, console)
    {
        "vcf": job.vcf,
        "seg": job.seg,
        "bed": job.bed,
        "bedgraph": job.bedgraph,
        "multiqc": job.multiqc,
    }[options.format]()
    console.say(f"{options.out}: {options.format} of {len(samples)} sample{'s' if len(samples) != 1 else ''}")


def _check_stage(run: Path, record: dict[str, Any], stage: str) -> None:
    stages = record.get("stages", {})
    for name in _STAGE_ORDER[: _STAGE_ORDER.index(stage) + 1]:
        if stages.get(name, {}).get("status") != "done":
            command = "copyfold cnv train CONFIG --resume" if name == "train" else f"copyfold cnv {name} {run}"
            raise RunError(f"{run}: stage {name} is not done; `{command}` does it")


def _choose(run: Path, wanted: tuple[str, ...]) -> list[str]:
    """The samples asked for, in the order of the run."""
    known: list[str] = read_npy(Path(run) / "sample_ids.npy", mmap=False).tolist()
    unknown = sorted(set(wanted) - set(known))
    if unknown:
        more = f" (and {len(unknown) - 1} more)" if len(unknown) > 1 else ""
        raise InputError(f"--sample {unknown[0]}{more}: not in {run}; it has {known[0]}, … ({len(known)} samples)")
    return [name for name in known if name in set(wanted)] if wanted else known


@dataclass(frozen=True)
class _Export:
    """One export at work."""

    run: Path
    record: dict[str, Any]
    options: ExportOptions
    samples: list[str]
    console: Console

    @property
    def threshold(self) -> float:
        return self.options.min_confidence or 0.0

    def vcf(self) -> None:
        lengths, base_at, url = self._sequences()
        order = list(lengths)

        def lines(segments: pd.DataFrame, samples: list[str]) -> Iterator[str]:
            yield from exports.vcf_header(lengths, samples, version=__version__, reference=url)
            yield from exports.vcf_lines(segments, samples, order, self.threshold, base_at)

        def unusual(segments: pd.DataFrame) -> np.ndarray:
            return ~exports.is_normal(segments, self.threshold)

        if self.options.is_file:
            if len(self.samples) > WIDE_VCF:
                self.console.warn(
                    f"{len(self.samples)} samples make as many columns in every record; "
                    "--out FOLDER writes one file per sample"
                )
            _write(self.options.out, lines(self._kept(unusual, order), self.samples))
        else:
            self._write_each(
                ((name, lines(part[unusual(part)], [name])) for name, part in self._by_sample()), ".vcf.gz"
            )

    def seg(self) -> None:
        def lines() -> Iterator[str]:
            yield exports.SEG_HEADER
            for part in self._segments():
                yield from exports.seg_lines(part, self.threshold)

        _write(self.options.out, lines())

    def bed(self) -> None:
        order = list(dict.fromkeys(self._store().contigs.chrom.tolist()))
        exports.check_contig_names(order)

        def lines(events: pd.DataFrame) -> Iterator[str]:
            yield exports.BED_HEADER
            yield from exports.bed_lines(events)

        def events(segments: pd.DataFrame) -> np.ndarray:
            return exports.is_event(segments, self.threshold)

        if self.options.is_file:
            kept = self._kept(events, order)
            keys = (kept["sample_id"].cat.codes, kept["x1"], kept["x0"], kept["chrom"].cat.codes)
            _write(self.options.out, lines(kept.iloc[np.lexsort(keys)]))
        else:
            self._write_each(((name, lines(part[events(part)])) for name, part in self._by_sample()), ".bed.gz")

    def bedgraph(self) -> None:
        store = self._store(unchanged=True)
        exports.check_contig_names(dict.fromkeys(store.contigs.chrom.tolist()))
        bedgraphs = self._bedgraphs(store)
        if self.options.is_file:
            _write(self.options.out, (line for _, lines in bedgraphs for line in lines))
        else:
            self._write_each(bedgraphs, ".bedgraph.gz")

    def _bedgraphs(self, store: Store) -> Iterator[tuple[str, Iterator[str]]]:
        """Each sample with its lines: copy ratios as the run's segmenter takes them."""
        reader = open_copy_ratios(self.run, self.record, store)
        row_of = {name: row for row, name in enumerate(store.sample_ids.tolist())}
        with self.console.progress("exporting, sample", len(self.samples)) as progress:
            rows = np.array([row_of[name] for name in self.samples])
            done = 0
            for batch, found in reader.batches(rows, _BATCH_SAMPLES):
                names = store.sample_ids[batch].tolist()
                for name, ratio, masked in zip(names, found.ratio, found.masked, strict=True):
                    yield name, exports.bedgraph_lines(ratio, masked, store.contigs)
                done += len(batch)
                progress(done)

    def multiqc(self) -> None:
        table = read_calls(self.run / "gene_calls.tsv")
        if self.record["config"].get("plasmid_store_path"):
            plasmids = read_calls(self.run / "plasmid_gene_calls.tsv")
            table = table.merge(plasmids, on="sample_id", how="left", suffixes=("", "_plasmid"))
        table = table.loc[table["sample_id"].isin(self.samples), exports.multiqc_kept(table)]
        if self.options.out.name.lower().endswith(".json"):
            write_json(self.options.out, exports.multiqc_json(table))
        else:
            _write(self.options.out, exports.multiqc_tsv(table))

    def _sequences(self) -> tuple[dict[str, int], Callable[[str, int], str], str | None]:
        """Length of each contig, the base at a 1-based position, and where the bases are from."""
        contigs = self._store().contigs
        lengths = _lengths(contigs)
        exports.check_contig_names(lengths)
        if self.options.reference is None:
            return lengths, lambda chrom, position: "N", None
        reference = read_reference(self.options.reference)
        name_in: dict[str, str] = {}
        for name, length in lengths.items():
            found = reference.find_contig(name)
            if found is None or found.length < length:
                state = "is not in it" if found is None else f"has {found.length} bp there, {length} in the store"
                raise InputError(f"--reference {reference.path}: contig {name} {state}; give the run's reference")
            name_in[name], lengths[name] = found.name, found.length
        fasta = pysam.FastaFile(str(reference.fasta))

        def base_at(chrom: str, position: int) -> str:
            base: str = fasta.fetch(name_in[chrom], position - 1, position)
            return base if base in ("A", "C", "G", "T") else "N"

        return lengths, base_at, reference.fasta.resolve().as_uri()

    def _store(self, *, unchanged: bool = False) -> Store:
        return open_run_store(self.run, self.record, self.samples, unchanged=unchanged)

    def _segments(self) -> Iterator[pd.DataFrame]:
        """Segments of the chosen samples, a batch of rows at a time.

        Raises
        ------
        RunError
            The table is missing or lacks a sample.
        InputError
            It cannot be read.
        """
        missing = set(self.samples)
        chosen = frozenset(self.samples)
        for segments in segment_parts(self.run, list(SEGMENT_COLUMNS)):
            part = segments[segments["sample_id"].isin(chosen)]
            missing.difference_update(part["sample_id"].unique())
            yield part
        if missing:
            raise RunError(
                f"{self.run / 'segments.parquet'}: has no segments of sample {min(missing)}; "
                f"`copyfold cnv segment {self.run}` makes it again"
            )

    def _kept(self, keep: Callable[[pd.DataFrame], np.ndarray], order: list[str]) -> pd.DataFrame:
        """The chosen samples' segments for which `keep` is true; names as categories in the order of run and store."""
        parts = []
        for part in self._segments():
            kept = part[keep(part)].drop(columns=["n_bins", "n_masked"])
            parts.append(
                kept.assign(
                    sample_id=pd.Categorical(kept["sample_id"], categories=self.samples),
                    chrom=pd.Categorical(kept["chrom"], categories=order),
                )
            )
        return pd.concat(parts, ignore_index=True)

    def _by_sample(self) -> Iterator[tuple[str, pd.DataFrame]]:
        """Each sample with its segments, which stand together in the table."""
        waiting: list[pd.DataFrame] = []
        done = 0
        with self.console.progress("exporting, sample", len(self.samples)) as progress:
            for part in self._segments():
                for name, mine in part.groupby("sample_id", sort=False):
                    if waiting and waiting[0]["sample_id"].iloc[0] != name:
                        yield waiting[0]["sample_id"].iloc[0], pd.concat(waiting)
                        waiting, done = [], done + 1
                        progress(done)
                    waiting.append(mine)
            if waiting:
                yield waiting[0]["sample_id"].iloc[0], pd.concat(waiting)
                progress(done + 1)

    def _write_each(self, files: Iterable[tuple[str, Iterable[str]]], ending: str) -> None:
        """A new folder with one file for each sample."""
        with atomic_folder(self.options.out) as partial:
            for sample, lines in files:
                _write_lines(partial / f"{exports.file_name(sample)}{ending}", lines, compress=True)


def _lengths(contigs: Contigs) -> dict[str, int]:
    """Where the last bin of each contig ends, bp."""
    lengths: dict[str, int] = {}
    for chrom, end in zip(contigs.chrom.tolist(), contigs.end.tolist(), strict=True):
        lengths[chrom] = max(end, lengths.get(chrom, 0))
    return lengths


def _write(target: Path, lines: Iterable[str]) -> None:
    """Write a text file atomically, in blocked gzip where the name ends in .gz."""
    with atomic_path(target) as partial:
        _write_lines(partial, lines, compress=target.name.lower().endswith(".gz"))


def _write_lines(path: Path, lines: Iterable[str], *, compress: bool) -> None:
    if not compress:
        with path.open("w", encoding="utf-8", newline="\n") as text:
            text.writelines(f"{line}\n" for line in lines)
        return
    with pysam.BGZFile(str(path), "wb") as packed:
        for line in lines:
            packed.write(f"{line}\n".encode())
