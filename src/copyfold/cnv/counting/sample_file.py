"""The counts of one sample as files: a table of bins and genes, and a quality record. docs/formats/counts.md."""

from __future__ import annotations

import gzip
import json
import math
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from copyfold.cnv.coordinates import Gene
from copyfold.cnv.counting.per_sample import SampleCounts
from copyfold.cnv.counting.quality import SampleQuality
from copyfold.cnv.store import Contigs
from copyfold.cnv.tables import read_table
from copyfold.core.files import atomic_path, read_json, write_json
from copyfold.core.packed import DAMAGE, open_unpacked
from copyfold.errors import InputError

COUNTS_FORMAT = "copyfold-counts/1"
QUALITY_FORMAT = "copyfold-qc/1"
COUNTS_ENDING = ".counts.tsv.gz"
QUALITY_ENDING = ".qc.json"
COLUMNS = (
    *("feature", "name", "contig", "role", "start", "end"),
    *("chromosome_count", "plasmid_count", "chromosome_depth", "plasmid_depth"),
)


@dataclass(frozen=True, eq=False)
class CountsFile:
    """What a counts file holds.

    Attributes
    ----------
    sample_id : str
    reference : str
        Digest of the reference the sample was counted on.
    flags : tuple of str
        Reasons not to call the sample.
    bins : Contigs
    plasmid_bins : numpy.ndarray, (n_bins,), bool
    counts, depth : numpy.ndarray, (n_bins,), float64
        Read starts and mean depth of each bin, under its contig's own rule.
    genes : tuple of Gene
    plasmid_genes : numpy.ndarray, (n_genes,), bool
    gene_depth : numpy.ndarray, (n_genes,), float64
        Mean depth over each gene's own interval, under its contig's rule.
    """

    sample_id: str
    reference: str
    flags: tuple[str, ...]
    bins: Contigs
    plasmid_bins: np.ndarray
    counts: np.ndarray
    depth: np.ndarray
    genes: tuple[Gene, ...]
    plasmid_genes: np.ndarray
    gene_depth: np.ndarray


def name_problem(sample_id: str) -> str | None:
    """What is wrong with a sample's name, in words; None for a good one. Files are named after samples."""
    if re.fullmatch(r"[\w+=@-][\w.+=@-]{0,127}", sample_id, re.ASCII):
        return None
    return (
        f"sample {sample_id!r} is no name; use 1 to 128 letters, digits and . _ - + = @, not beginning with a dot, "
        "since files are named after it"
    )


def write_counts(
    path: Path, sample_id: str, sample: SampleCounts, said: Mapping[str, Any], flags: Sequence[str] = ()
) -> None:
    """Write the table of one sample, gzipped; the same counts give the same bytes.

    Parameters
    ----------
    path : Path
    sample_id : str
    sample : SampleCounts
    said : mapping
        Goes into the second line, as JSON, beside ``sample_id`` and ``flags``.
    flags : sequence of str
        Reasons not to call the sample.
    """
    head = json.dumps({"sample_id": sample_id, "flags": list(flags), **said}, allow_nan=False)
    lines = [f"# {COUNTS_FORMAT}", f"# {head}", "\t".join(COLUMNS)]
    roles = np.where(sample.plasmid_bins, "plasmid", "chromosome").tolist()
    bins = zip(
        sample.contigs.chrom.tolist(),
        roles,
        (sample.contigs.start + 1).tolist(),
        sample.contigs.end.tolist(),
        sample.chromosome_counts.tolist(),
        sample.plasmid_counts.tolist(),
        sample.chromosome_depth.tolist(),
        sample.plasmid_depth.tolist(),
        strict=True,
    )
    lines += ["bin\t.\t%s\t%s\t%d\t%d\t%d\t%d\t%.3f\t%.3f" % row for row in bins]  # noqa: UP031 twice as fast
    genes = zip(sample.genes, sample.gene_roles, sample.chromosome_gene_depth, sample.plasmid_gene_depth, strict=True)
    lines += [
        f"gene\t{gene.name}\t{gene.contig}\t{role}\t{gene.start + 1}\t{gene.end}\t.\t.\t{high:.4f}\t{low:.4f}"
        for gene, role, high, low in genes
        if role
    ]
    # no name and no time in the gzip header: the same counts, the same bytes
    packed = gzip.compress(("\n".join(lines) + "\n").encode(), compresslevel=5, mtime=0)
    with atomic_path(path) as partial:
        partial.write_bytes(packed)


def read_counts(path: Path) -> CountsFile:
    """Read what `write_counts` wrote.

    Raises
    ------
    InputError
        Missing, damaged, of another format, or a number that cannot be.
    """
    path = Path(path)
    head = _head(path)
    table = read_table(path, comment="#")
    if tuple(table.columns) != COLUMNS:
        raise InputError(f"{path}: columns are {table.shown_columns()}, not those of {COUNTS_FORMAT}; count again")
    rows = [cells for _, cells in table.rows]
    bins = [cells for cells in rows if cells[0] == "bin"]
    genes = [cells for cells in rows if cells[0] == "gene"]
    if not bins or len(bins) + len(genes) != len(rows):
        raise InputError(f"{path}: holds no bins, or rows that are neither bin nor gene; count again")
    try:
        start = np.array([cells[4] for cells in bins]).astype(np.int64) - 1
        numbers = np.array([cells[6:] for cells in bins]).astype(np.float64)
        gene_depths = np.array([cells[8:] for cells in genes]).astype(np.float64).reshape(-1, 2)
        contigs = Contigs(
            np.array([cells[2] for cells in bins]), start, np.array([cells[5] for cells in bins]).astype(np.int64)
        )
        places = tuple(Gene(cells[1], cells[2], int(cells[4]) - 1, int(cells[5])) for cells in genes)
        sample_id, reference = str(head["sample_id"]), str(head["reference"])
        flags = tuple(str(flag) for flag in head["flags"])
        if not isinstance(head["sample_id"], str) or not sample_id.isprintable() or not sample_id:
            raise ValueError("its sample has no name that can be one")
        _check_places(contigs, places, [cells[3] for cells in rows])
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise InputError(f"{path}: damaged ({error}); count the sample again") from None
    whole = np.array_equal(numbers[:, :2], np.rint(numbers[:, :2]))
    if not whole or not all(np.isfinite(part).all() and (part >= 0).all() for part in (numbers, gene_depths)):
        raise InputError(
            f"{path}: holds a count that is not whole, or not a number of at least 0; count the sample again"
        )
    plasmid_bins = np.array([cells[3] == "plasmid" for cells in bins])
    plasmid_genes = np.array([cells[3] == "plasmid" for cells in genes], dtype=bool)
    return CountsFile(
        sample_id,
        reference,
        flags,
        contigs,
        plasmid_bins,
        np.where(plasmid_bins, numbers[:, 1], numbers[:, 0]),
        np.where(plasmid_bins, numbers[:, 3], numbers[:, 2]),
        places,
        plasmid_genes,
        np.where(plasmid_genes, gene_depths[:, 1], gene_depths[:, 0]),
    )


def _check_places(contigs: Contigs, genes: Sequence[Gene], roles: Sequence[str]) -> None:
    if not set(roles) <= {"chromosome", "plasmid"}:
        raise ValueError("a role is neither chromosome nor plasmid")
    if (contigs.start < 0).any() or (contigs.end <= contigs.start).any():
        raise ValueError("a bin is no interval")
    if any(not 0 <= gene.start < gene.end for gene in genes) or len({gene.name for gene in genes}) < len(genes):
        raise ValueError("a gene is no interval, or stands twice")


def _head(path: Path) -> dict[str, Any]:
    try:
        with open_unpacked(path) as handle:
            first, second = (handle.readline(1 << 20).decode("utf-8", "replace").strip() for _ in range(2))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; check the path") from None
    except DAMAGE as error:
        raise InputError(f"{path}: cannot be unpacked ({error}); count the sample again") from None
    if first != f"# {COUNTS_FORMAT}":
        raise InputError(
            f"{path}: is not a counts file of `copyfold cnv count` ({COUNTS_FORMAT}); it begins '{first[:40]}'"
        )
    try:
        head = json.loads(second.removeprefix("# "))
    except (ValueError, RecursionError):
        head = None
    if not isinstance(head, dict):
        raise InputError(f"{path}: its second line is not the sample's description; count the sample again")
    return head


def holds_counts_files(inputs: Sequence[Path]) -> bool:
    """Whether the first of some files, or of the files in the first folder, begins as `write_counts` begins it."""
    if not inputs:
        return False
    path = inputs[0]
    if path.is_dir():
        path = min((item for item in path.iterdir() if item.name.endswith(COUNTS_ENDING)), default=path)
    try:
        with gzip.open(path, "rb") as handle:
            return handle.read(len(COUNTS_FORMAT) + 2).decode("utf-8", "replace") == f"# {COUNTS_FORMAT}"
    except (OSError, EOFError, zlib.error):
        return False


def write_quality(path: Path, sample_id: str, quality: SampleQuality, said: Mapping[str, Any]) -> None:
    """Write the quality record of a counted sample; NaN becomes null."""
    record = {
        "format": QUALITY_FORMAT,
        "sample_id": sample_id,
        "status": "flagged" if quality.flags else "counted",
        "flags": list(quality.flags),
        "hints": list(quality.hints),
        "reads": quality.n_reads,
        "mapped_share": _number(quality.mapped_share, 4),
        "covered_share": _number(quality.covered_share, 4),
        "median_count": _number(quality.median_count, 1),
        "median_depth": _number(quality.median_depth, 2),
        "ori_ter": _number(quality.ori_ter.ratio, 3),
        "origin": _number(quality.ori_ter.origin, 0),
        **said,
    }
    write_json(path, record)


def write_refusal(path: Path, sample_id: str, reason: str) -> None:
    """Write down that a sample could not be counted, and why."""
    write_json(
        path,
        {"format": QUALITY_FORMAT, "sample_id": sample_id, "status": "refused", "flags": [" ".join(reason.split())]},
    )


def read_quality(path: Path) -> dict[str, Any]:
    """Read a quality record.

    Raises
    ------
    InputError
        Missing, damaged or of another format.
    """
    record = read_json(path)
    keys = {"sample_id": str, "status": str, "flags": list}
    numbers = ("reads", "mapped_share", "covered_share", "median_count", "median_depth", "ori_ter", "origin")
    if (
        not isinstance(record, dict)
        or record.get("format") != QUALITY_FORMAT
        or not all(isinstance(record.get(key), kind) for key, kind in keys.items())
        or not all(isinstance(record.get(key), int | float | None) for key in numbers)
        or not -(2**63) <= (record.get("reads") or 0) < 2**63
    ):
        raise InputError(f"{path}: is not a quality record of `copyfold cnv count` ({QUALITY_FORMAT}); count again")
    return record


def _number(value: float, digits: int) -> float | None:
    return round(float(value), digits) if math.isfinite(value) else None
