"""Formats of other programs: VCF, SEG, BED, bedGraph and MultiQC's tables, as lines of text.

Pure functions from tables and arrays to lines without line ends; `copyfold.app.exports` reads and writes.
Intervals come in as in a run's folder, in bp, 0-based half-open; each function says what it makes of them.
docs/formats/exports.md is the contract.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd

from copyfold.cnv.call_tables import called_genes
from copyfold.cnv.store import Contigs
from copyfold.errors import InputError

SEG_HEADER = "ID\tchrom\tloc.start\tloc.end\tnum.mark\tseg.mean"
BED_HEADER = "#chrom\tchromStart\tchromEnd\tname\tscore\tstrand\tthickStart\tthickEnd\titemRgb"
BED_COLOURS = {"DEL": "200,0,0", "DUP": "0,0,200"}
LOWEST_LOG_RATIO = -10.0
"""What SEG says of a ratio of 0, whose logarithm it cannot write."""
HIGHEST_QUALITY = 99.0
_CONTIG_NAME = re.compile(r"[0-9A-Za-z!#$%&+./:;?@^_|~-][0-9A-Za-z!#$%&*+./:;=?@^_|~-]*")
_FILE_NAME_MARKS = '/\\:*?"<>|'


def escape_name(name: str, marks: str = "") -> str:
    """A sample's name for a format in which tabs, line ends and `marks` mean something.

    Control characters, ``%`` and each of `marks` become ``%09`` and the like, as VCF has it; everything else stays.
    ``urllib.parse.unquote`` gives the name back, so different names stay different.
    """

    def special(character: str) -> bool:
        code = ord(character)
        return code < 32 or 127 <= code < 160 or character in "%\u2028\u2029" or character in marks

    return "".join(quote(character, safe="") if special(character) else character for character in name)


def file_name(sample: str) -> str:
    """A sample's name for a file: also without ``/``, what other systems reserve, and a dot in front."""
    escaped = escape_name(sample, _FILE_NAME_MARKS)
    return f"%2E{escaped[1:]}" if escaped.startswith(".") else escaped


def check_contig_names(names: Iterable[str]) -> None:
    """Refuse names of contigs that these formats cannot hold.

    Raises
    ------
    InputError
        A name has spaces, commas, brackets or quotes, which VCF forbids.
    """
    for name in names:
        if not _CONTIG_NAME.fullmatch(name):
            raise InputError(
                f"contig '{name}': its name has characters that VCF forbids (spaces, commas, brackets, quotes); "
                "build the store with a reference whose names have none"
            )


def is_event(segments: pd.DataFrame, min_confidence: float = 0.0) -> np.ndarray:
    """Which segments are a gain or loss that is known: cn ≥ 0 and not 1, or mixed, at `min_confidence`. (n,), bool."""
    cn, mixed = segments["cn"].to_numpy(), segments["mixed"].to_numpy(dtype=bool)
    return (cn >= 0) & ((cn != 1) | mixed) & (segments["confidence"].to_numpy() >= min_confidence)


def is_normal(segments: pd.DataFrame, min_confidence: float = 0.0) -> np.ndarray:
    """Which segments are known to be of one copy and not mixed, at `min_confidence` or more. (n,), bool."""
    one = (segments["cn"].to_numpy() == 1) & ~segments["mixed"].to_numpy(dtype=bool)
    return one & (segments["confidence"].to_numpy() >= min_confidence)


def shown_copies(segments: pd.DataFrame) -> np.ndarray:
    """Copy number of each segment as text: (n,), str; of a mixed one its mean ratio, since it lies between two."""
    ratio = segments["ratio"].to_numpy(dtype=np.float64)
    mixed = segments["mixed"].to_numpy(dtype=bool) & np.isfinite(ratio)
    mean = np.array([f"{value:.2f}" for value in ratio], dtype=object)
    return np.where(mixed, mean, segments["cn"].to_numpy().astype(str).astype(object))


def phred(confidence: float) -> float:
    """Phred-scaled quality of a probability, −10 log10(1 − `confidence`), to one decimal and at most 99."""
    wrong = 1.0 - confidence
    if wrong <= 10 ** (-HIGHEST_QUALITY / 10):
        return HIGHEST_QUALITY
    return abs(round(-10.0 * math.log10(wrong), 1))


# SEG


def seg_lines(segments: pd.DataFrame, min_confidence: float = 0.0) -> Iterator[str]:
    """Lines of a SEG file below its header: every segment with a copy number and a ratio.

    ``loc.start`` is 1-based, ``loc.end`` inclusive; ``num.mark`` is the number of bins with enough reads,
    ``seg.mean`` log2 of the copy ratio.

    Parameters
    ----------
    segments : pandas.DataFrame
        As in segments.parquet; intervals in bp, 0-based half-open.
    min_confidence : float
        Segments below are left out.
    """
    ratio = segments["ratio"].to_numpy(dtype=np.float64)
    keep = (segments["cn"].to_numpy() >= 0) & np.isfinite(ratio) & (segments["confidence"] >= min_confidence)
    kept = segments[keep]
    marks = kept["n_bins"] - kept["n_masked"]
    for sample, chrom, start, end, mark, value in zip(
        kept["sample_id"], kept["chrom"], kept["x0"], kept["x1"], marks, kept["ratio"], strict=True
    ):
        mean = max(math.log2(value), LOWEST_LOG_RATIO) if value > 0 else LOWEST_LOG_RATIO
        yield f"{escape_name(sample)}\t{chrom}\t{start + 1}\t{end}\t{mark}\t{mean:.4f}"


# BED


def bed_lines(events: pd.DataFrame) -> Iterator[str]:
    """Lines of a BED file of nine columns, in the order of `events`.

    ``name`` is ``SAMPLE|DUP|CN3``, of a mixed population ``SAMPLE|DUP|CN1.48``; ``score`` is 1000 times the
    confidence, ``itemRgb`` red for losses and blue for gains.
    BED is 0-based half-open, as `events` are.
    """
    columns = (events[name] for name in ("sample_id", "chrom", "x0", "x1", "cn", "confidence"))
    for sample, chrom, start, end, cn, confidence, copies in zip(*columns, shown_copies(events), strict=True):
        kind = _kind(cn)
        name = f"{escape_name(sample, ' |')}|{kind}|CN{copies}"
        score = round(1000 * confidence)
        yield f"{chrom}\t{start}\t{end}\t{name}\t{score}\t.\t{start}\t{end}\t{BED_COLOURS[kind]}"


def _kind(cn: int) -> str:
    return "DEL" if cn < 1 else "DUP"


# bedGraph


def bedgraph_lines(ratio: np.ndarray, masked: np.ndarray, contigs: Contigs) -> Iterator[str]:
    """Lines of one sample's bedGraph: the copy ratio of each bin that is not masked. 0-based half-open.

    Parameters
    ----------
    ratio : numpy.ndarray, (n_bins,), float
    masked : numpy.ndarray, (n_bins,), bool
    contigs : Contigs
    """
    shown = np.flatnonzero(~masked & np.isfinite(ratio))
    columns = (contigs.chrom[shown], contigs.start[shown], contigs.end[shown], ratio[shown])
    for chrom, start, end, value in zip(*(column.tolist() for column in columns), strict=True):
        yield f"{chrom}\t{start}\t{end}\t{value:.4f}"


# VCF


def vcf_header(
    lengths: dict[str, int], samples: Sequence[str], *, version: str, reference: str | None = None
) -> Iterator[str]:
    """Header of a VCF 4.4 file.

    Parameters
    ----------
    lengths : dict
        Length of each contig in bp, in the order of the records.
    samples : sequence of str
    version : str
        Of copyfold.
    reference : str, optional
        URL of the sequences that REF was read from.
    """
    yield "##fileformat=VCFv4.4"
    yield f"##source=copyfold {version}"
    if reference:
        yield f"##reference={reference}"
    for name, length in lengths.items():
        yield f"##contig=<ID={name},length={length}>"
    yield '##ALT=<ID=DEL,Description="Fewer copies than one per chromosome">'
    yield '##ALT=<ID=DUP,Description="More copies than one per chromosome">'
    yield '##INFO=<ID=END,Number=1,Type=Integer,Description="Last base of the event, 1-based">'
    yield '##INFO=<ID=SVTYPE,Number=1,Type=String,Description="Type of structural variant">'
    yield '##INFO=<ID=SVLEN,Number=A,Type=Integer,Description="Length of the event in bp">'
    yield '##INFO=<ID=SVCLAIM,Number=A,Type=String,Description="Claim made by the call: D, by depth alone">'
    yield '##FORMAT=<ID=GT,Number=1,Type=String,Description="Haploid genotype">'
    yield '##FORMAT=<ID=CN,Number=1,Type=Float,Description="Copy number; of a mixed population its mean">'
    yield '##FORMAT=<ID=CNQ,Number=1,Type=Float,Description="Phred-scaled quality of the copy number, at most 99">'
    yield '##FORMAT=<ID=CR,Number=1,Type=Float,Description="Mean copy ratio, 1 at one copy">'
    columns = ["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT"]
    yield "\t".join(columns + [escape_name(sample, ",") for sample in samples])


def vcf_lines(
    segments: pd.DataFrame,
    samples: Sequence[str],
    order: Sequence[str],
    min_confidence: float,
    base_at: Callable[[str, int], str],
) -> Iterator[str]:
    """Records of a VCF file, in order of position; events of one interval and kind share a record.

    POS is 1-based, the base before the event; an event that begins with its contig has no such base and takes the
    first one. END is 1-based inclusive, so that END − SVLEN is always the 0-based start.

    A sample with the event has GT 1. One that has one copy over the whole interval has GT 0, CN 1. For others, with
    another event there or an unknown stretch, nothing is said (``.``).

    Parameters
    ----------
    segments : pandas.DataFrame
        All segments of `samples` but those that `is_normal`, which are taken to fill what the others leave. In bp,
        0-based half-open.
    samples : sequence of str
        Columns of the file.
    order : sequence of str
        Contigs.
    min_confidence : float
        Events below make no record.
    base_at : callable
        Contig and 1-based position → base.
    """
    column_of = {sample: column for column, sample in enumerate(samples)}
    by_contig = dict(segments.groupby(segments["chrom"].astype(str), sort=False).indices)
    for chrom in order:
        if chrom in by_contig:
            here = segments.iloc[by_contig[chrom]]
            columns = here["sample_id"].astype(str).map(column_of).to_numpy()
            yield from _contig_records(here, columns, len(samples), chrom, min_confidence, base_at)


def _contig_records(
    segments: pd.DataFrame,
    columns: np.ndarray,
    n_samples: int,
    chrom: str,
    min_confidence: float,
    base_at: Callable[[str, int], str],
) -> Iterator[str]:
    """Records of one contig; `columns` is the column of each segment's sample."""
    cn = segments["cn"].to_numpy()
    order = np.lexsort((columns, cn > 0, segments["x1"].to_numpy(), segments["x0"].to_numpy()))
    segments, columns, cn = segments.iloc[order], columns[order], cn[order]
    starts, ends = segments["x0"].to_numpy(), segments["x1"].to_numpy()
    furthest = np.maximum.accumulate(ends)
    confidence, ratio = segments["confidence"].to_numpy(), segments["ratio"].to_numpy()
    copies = shown_copies(segments)
    records: dict[tuple[int, int, str], list[int]] = {}
    for row in np.flatnonzero(is_event(segments, min_confidence)).tolist():
        records.setdefault((int(starts[row]), int(ends[row]), _kind(cn[row])), []).append(row)
    for (start, end, kind), rows in records.items():
        calls = ["0:1"] * n_samples
        # What reaches beyond the event's start lies from `first` on, what begins before its end lies before `stop`.
        first, stop = np.searchsorted(furthest, start, side="right"), np.searchsorted(starts, end, side="left")
        for column in columns[first:stop][ends[first:stop] > start].tolist():
            calls[column] = "."
        for row in rows:
            shown = f"{ratio[row]:.4f}" if math.isfinite(ratio[row]) else "."
            calls[columns[row]] = f"1:{copies[row]}:{phred(confidence[row]):g}:{shown}"
        position = max(start, 1)
        info = f"END={end};SVTYPE={kind};SVLEN={end - start};SVCLAIM=D"
        fixed = f"{chrom}\t{position}\t.\t{base_at(chrom, position)}\t<{kind}>\t.\t.\t{info}\tGT:CN:CNQ:CR"
        yield "\t".join([fixed, *calls])


# MultiQC


def multiqc_kept(table: pd.DataFrame) -> list[str]:
    """Columns of a table of calls that MultiQC is shown: copy numbers, their ratios and depth."""
    genes = called_genes(table)
    ratios = {f"{prefix}_{gene}" for prefix in ("crr", "pcn") for gene in genes}
    members = {name for name in table.columns if name.startswith("pcn_")}
    return [name for name in table.columns if name in {"sample_id", "median_depth", *genes, *ratios, *members}]


def multiqc_columns(table: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """What MultiQC shows of each column: title, description, scale; in the order of `table`."""
    shown: dict[str, dict[str, Any]] = {}
    for name in table.columns.drop("sample_id"):
        prefix, _, gene = name.partition("_")
        entry: dict[str, Any] = {"title": name, "namespace": "copyfold"}
        if name == "median_depth":
            entry |= {"title": "Depth", "description": "Median reads per bin", "format": "{:,.0f}"}
        elif prefix in ("crr", "pcn") and gene:
            meaning = "copy ratio to its surroundings" if prefix == "crr" else "copies per chromosome"
            entry |= {"title": f"{gene} {prefix.upper()}", "description": f"{gene}: {meaning}", "format": "{:,.2f}"}
        else:
            meaning = "−1 uncallable, 0 absent, 1 normal, 2 or more amplified"
            entry |= {"title": f"{name} CN", "description": f"{name}: copy number; {meaning}", "format": "{:,.0f}"}
        shown[name] = entry
    return shown


def multiqc_tsv(table: pd.DataFrame) -> Iterator[str]:
    """Lines of a ``_mqc.tsv`` file: columns of MultiQC's general statistics. A missing ratio is an empty cell.

    Parameters
    ----------
    table : pandas.DataFrame
        ``sample_id`` and numbers, one row per sample.
    """
    yield "# id: copyfold"
    yield "# plot_type: generalstats"
    yield "# pconfig:"
    for name, entry in multiqc_columns(table).items():
        yield f"#     - {json.dumps(name)}:"
        for key, value in entry.items():
            yield f"#         {key}: {json.dumps(value, ensure_ascii=False)}"
    yield "\t".join(["Sample", *table.columns.drop("sample_id")])
    for row in table.itertuples(index=False):
        sample, *values = row
        yield "\t".join([escape_name(str(sample)), *("" if pd.isna(value) else f"{value:g}" for value in values)])


def multiqc_json(table: pd.DataFrame) -> dict[str, Any]:
    """Content of a ``_mqc.json`` file: the same as `multiqc_tsv`; a missing ratio has no entry."""
    names = list(table.columns.drop("sample_id"))
    data = {}
    for row in table.itertuples(index=False):
        sample, *values = row
        numbers = {name: float(value) for name, value in zip(names, values, strict=True) if not pd.isna(value)}
        data[escape_name(str(sample))] = numbers
    pconfig = [{name: entry} for name, entry in multiqc_columns(table).items()]
    return {"id": "copyfold", "plot_type": "generalstats", "pconfig": pconfig, "data": data}
