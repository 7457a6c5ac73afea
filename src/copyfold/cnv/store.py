"""The count store: a folder of .npy files, one row per isolate, one column per bin (or per plasmid gene).

Layout and dtypes are the contract of docs/formats/store.md. Reading maps the counts, so a store larger than
memory opens at once; writing goes through a folder beside the target that is renamed when it is whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from copyfold.core.files import atomic_folder, file_digest, read_json, read_npy, read_rows, write_json, write_npy
from copyfold.errors import InputError

STORE_FORMAT = "copyfold-store/1"
_BATCH_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Contigs:
    """Columns of a store.

    Attributes
    ----------
    chrom : numpy.ndarray, (n_bins,), str
        Contig of each column.
    start, end : numpy.ndarray, (n_bins,), int64
        0-based half-open interval in bp.
    """

    chrom: np.ndarray
    start: np.ndarray
    end: np.ndarray

    def __len__(self) -> int:
        return len(self.chrom)

    @property
    def chain_starts(self) -> np.ndarray:
        """Offsets at which a new contig begins, with ``n_bins`` appended: (n_contigs + 1,), int64."""
        breaks = np.flatnonzero(self.chrom[1:] != self.chrom[:-1]) + 1
        return np.concatenate([[0], breaks, [len(self)]]).astype(np.int64)


@dataclass(frozen=True)
class Store:
    """One store, opened.

    Attributes
    ----------
    path : Path
    counts : numpy.ndarray, (n_samples, n_bins), uint32 or another unsigned/signed integer
        Read starts per bin; for a plasmid store, depth per bin over each gene. Memory-mapped.
    contigs : Contigs
    sample_ids : numpy.ndarray, (n_samples,), str
    genes : numpy.ndarray or None, (n_bins,), str
        Gene or family of each column of a plasmid store.
    """

    path: Path
    counts: np.ndarray
    contigs: Contigs
    sample_ids: np.ndarray
    genes: np.ndarray | None = None

    @property
    def n_samples(self) -> int:
        return int(self.counts.shape[0])

    @property
    def n_bins(self) -> int:
        return int(self.counts.shape[1])

    def medians(self) -> np.ndarray:
        """Median count of each sample over its bins, (n_samples,), float64; 0 for a sample without reads.

        Taken from ``medians.npy`` where the store has one of the right length. Published stores hold at least 1
        there, also for samples without reads, so a stored value of 1 or less is computed anew.
        """
        stored = self._stored_medians()
        rows = max(1, _BATCH_BYTES // max(1, self.n_bins * 8))
        medians = np.empty(self.n_samples)
        for first in range(0, self.n_samples, rows):
            batch = read_rows(self.counts, slice(first, first + rows))
            if stored is None:
                medians[first : first + rows] = np.median(batch, axis=1)
            else:
                known = stored[first : first + rows].copy()
                floored = known <= 1.0
                known[floored] = np.median(batch[floored], axis=1)
                medians[first : first + rows] = known
        return medians

    def _stored_medians(self) -> np.ndarray | None:
        path = self.path / "medians.npy"
        if not path.exists():
            return None
        stored = read_npy(path, mmap=False)
        if stored.shape != (self.n_samples,):
            return None
        if stored.dtype.kind not in "fui" or not (np.isfinite(stored) & (stored >= 0)).all():
            raise InputError(f"{path}: medians must be finite numbers of at least 0; delete it to have them computed")
        return stored.astype(np.float64)


def open_store(path: Path, *, check_values: bool = True) -> Store:
    """Open a store and check that its parts fit together.

    Parameters
    ----------
    path : Path
        The store's folder.
    check_values : bool
        Also read every count once to refuse negative values.

    Raises
    ------
    InputError
        A part is missing or damaged, widths or lengths differ, counts are not whole non-negative numbers,
        sample ids repeat, or the store is empty.
    """
    path = Path(path)
    if not path.is_dir():
        raise InputError(f"{path}: no such store; a store is a folder with counts.npy, contigs.npy, sample_ids.npy")
    counts = read_npy(path / "counts.npy")
    contigs = _read_contigs(path / "contigs.npy")
    sample_ids = read_npy(path / "sample_ids.npy", mmap=False)
    genes_path = path / "genes.npy"
    genes = read_npy(genes_path, mmap=False) if genes_path.exists() else None
    _check_counts(path / "counts.npy", counts, check_values)
    manifest = read_manifest(path)
    if manifest is not None and manifest.get("format") != STORE_FORMAT:
        raise InputError(
            f"{path}: is of format {manifest.get('format')}; this version of copyfold reads {STORE_FORMAT}"
        )
    _check_width(path, counts, contigs)
    _check_names(path / "sample_ids.npy", sample_ids, counts.shape[0], "sample", "row of counts.npy")
    if genes is not None:
        _check_names(genes_path, genes, counts.shape[1], "gene", "column of counts.npy")
    return Store(path, counts, contigs, sample_ids, genes)


def check_ordered(contigs: Contigs, where: Path | str) -> None:
    """Refuse bins that are not in order: contigs in one piece each, bins ascending without overlap.

    Segments are runs of neighbouring columns, so a chromosome store must be ordered; a plasmid store need not be.

    Raises
    ------
    InputError
        Names the first bin out of place.
    """
    same = contigs.chrom[1:] == contigs.chrom[:-1]
    backwards = np.flatnonzero(same & (contigs.start[1:] < contigs.end[:-1]))
    pieces = contigs.chrom[contigs.chain_starts[:-1]]
    if backwards.size:
        row = int(backwards[0]) + 1
        raise InputError(
            f"{where}: bin {row} ({contigs.chrom[row]}:{contigs.start[row] + 1}) does not lie behind the one "
            "before it; write the bins of each contig in ascending order"
        )
    if len(set(pieces.tolist())) != len(pieces):
        repeated = next(name for name in pieces.tolist() if (pieces == name).sum() > 1)
        raise InputError(f"{where}: contig {repeated} stands in several pieces; keep the bins of a contig together")


def _read_contigs(path: Path) -> Contigs:
    raw = read_npy(path, mmap=False)
    if raw.dtype.names is None or not {"chrom", "start", "end"} <= set(raw.dtype.names) or raw.ndim != 1:
        raise InputError(f"{path}: must be a structured array with fields chrom, start, end")
    try:
        start, end = raw["start"].astype(np.int64) - 1, raw["end"].astype(np.int64)
    except (ValueError, TypeError):
        raise InputError(f"{path}: start and end must be whole numbers") from None
    bad = np.flatnonzero((start < 0) | (end <= start))
    if bad.size:
        raise InputError(
            f"{path}: bin {bad[0]} is {raw['start'][bad[0]]}–{raw['end'][bad[0]]}; "
            "bins are 1-based inclusive with start ≤ end"
        )
    return Contigs(raw["chrom"].astype(np.str_), start, end)


def _check_width(path: Path, counts: np.ndarray, contigs: Contigs) -> None:
    if counts.shape[1] != len(contigs):
        raise InputError(
            f"{path}: counts.npy has {counts.shape[1]} columns but contigs.npy has {len(contigs)} bins; "
            "build the store again from one reference"
        )


def _check_counts(path: Path, counts: np.ndarray, check_values: bool) -> None:
    if counts.ndim != 2:
        raise InputError(f"{path}: has {counts.ndim} dimensions; it must be samples × bins")
    if 0 in counts.shape:
        raise InputError(f"{path}: the store is empty ({counts.shape[0]} samples × {counts.shape[1]} bins)")
    if counts.dtype.kind not in "ui":
        raise InputError(
            f"{path}: dtype is {counts.dtype}; counts are whole numbers (uint32) — "
            "store raw read counts, not normalised depth, and no NaN"
        )
    if counts.dtype.kind == "i" and check_values:
        rows = max(1, _BATCH_BYTES // (counts.shape[1] * counts.dtype.itemsize))
        for first in range(0, counts.shape[0], rows):
            negative = np.argwhere(read_rows(counts, slice(first, first + rows)) < 0)
            if negative.size:
                row, column = negative[0]
                raise InputError(
                    f"{path}: row {first + row}, column {column} is {counts[first + row, column]}; "
                    "counts cannot be negative"
                )


def _check_names(path: Path, names: np.ndarray, expected: int, what: str, where: str) -> None:
    if names.dtype.kind != "U" or names.ndim != 1:
        raise InputError(f"{path}: must be a one-dimensional array of strings, not {names.dtype} {names.shape}")
    if len(names) != expected:
        raise InputError(f"{path}: {len(names)} {what} names for {expected} ({where}); they must match one to one")
    values, seen = np.unique(names, return_counts=True)
    if strange := next((name for name in values.tolist() if name and not name.isprintable()), None):
        raise InputError(f"{path}: {what} {strange!r} holds a tab, line break or other control character; rename it")
    if (seen > 1).any():
        repeated = values[seen > 1][0]
        rows = ", ".join(str(row) for row in np.flatnonzero(names == repeated)[:5])
        raise InputError(f"{path}: {what} '{repeated}' stands in rows {rows}; names must be unique")
    if (values == "").any():
        raise InputError(f"{path}: row {np.flatnonzero(names == '')[0]} is empty; every {what} needs a name")


def write_store(
    path: Path,
    counts: np.ndarray,
    contigs: Contigs,
    sample_ids: np.ndarray,
    *,
    genes: np.ndarray | None = None,
    kind: Literal["chromosome", "plasmid"] = "chromosome",
    unit: str = "read starts per bin",
) -> Path:
    """Write a store in one piece; a folder that holds something is refused.

    Parameters
    ----------
    path : Path
    counts : numpy.ndarray, (n_samples, n_bins), whole non-negative numbers below 2**32
    contigs : Contigs
    sample_ids : numpy.ndarray, (n_samples,), str
    genes : numpy.ndarray, (n_bins,), str, optional
    kind, unit : str
        Go into manifest.json.

    Raises
    ------
    InputError
        Counts are not whole numbers that fit uint32, widths or lengths differ, or names repeat.
    RunError
        The folder is not vacant or cannot be written.
    """
    path = Path(path)
    whole = np.asarray(counts)
    if whole.dtype.kind == "f" and np.isfinite(whole).all() and (whole == np.rint(whole)).all():
        whole = whole.astype(np.int64)
    _check_counts(path / "counts.npy", whole, check_values=True)
    if int(whole.max()) > np.iinfo(np.uint32).max:
        raise InputError(f"{path}: a count of {int(whole.max())} does not fit uint32; counts end at 4294967295")
    _check_width(path, whole, contigs)
    _check_names(path / "sample_ids.npy", np.asarray(sample_ids, dtype=np.str_), len(whole), "sample", "row of counts")
    if genes is not None:
        _check_names(path / "genes.npy", np.asarray(genes, dtype=np.str_), len(contigs), "gene", "column of counts")
    with atomic_folder(path) as partial:
        write_npy(partial / "counts.npy", np.ascontiguousarray(whole, dtype=np.uint32))
        width = max(1, int(np.char.str_len(contigs.chrom).max()))
        rows = np.empty(len(contigs), dtype=[("chrom", f"<U{width}"), ("start", "<u4"), ("end", "<u4")])
        rows["chrom"], rows["start"], rows["end"] = contigs.chrom, contigs.start + 1, contigs.end
        write_npy(partial / "contigs.npy", rows)
        write_npy(partial / "sample_ids.npy", np.asarray(sample_ids, dtype=np.str_))
        if genes is not None:
            write_npy(partial / "genes.npy", np.asarray(genes, dtype=np.str_))
        files = sorted(item.name for item in partial.iterdir())
        write_json(
            partial / "manifest.json",
            {
                "format": STORE_FORMAT,
                "kind": kind,
                "unit": unit,
                "n_samples": int(counts.shape[0]),
                "n_bins": len(contigs),
                "digests": {name: file_digest(partial / name) for name in files},
            },
        )
    return path


def read_manifest(path: Path) -> dict | None:
    """The store's manifest, or None for a store that other tools wrote."""
    manifest = Path(path) / "manifest.json"
    if not manifest.exists():
        return None
    content = read_json(manifest)
    if not isinstance(content, dict):
        raise InputError(f"{manifest}: is no manifest of a store; build the store again or delete the file")
    return content
