"""Stores made row by row: of count tables, of other stores. Memory holds one sample, whatever the cohort."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
from numpy.lib import format as npy_format

from copyfold.cnv.coordinates import Gene, same_contig
from copyfold.cnv.importers import gene_weights, select_contigs
from copyfold.cnv.store import STORE_FORMAT, Contigs, Store
from copyfold.core.files import atomic_folder, atomic_path, file_digest, write_json, write_npy, write_text
from copyfold.errors import InputError

Kind = Literal["chromosome", "plasmid"]
_SCRATCH = ".rows"
_LARGEST_COUNT = 2**32 - 1


@dataclass(frozen=True, eq=False)
class StoreColumns:
    """What the columns of a store are.

    Attributes
    ----------
    contigs : Contigs
    kind : {"chromosome", "plasmid"}
    unit : str
    genes : numpy.ndarray or None, (n_columns,), str
    """

    contigs: Contigs
    kind: Kind
    unit: str
    genes: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Projection:
    """How the bins of a table become the columns of a store.

    Attributes
    ----------
    columns : StoreColumns
    apply : callable
        (n_bins,) counts of one sample → (n_columns,) whole numbers.
    left_out : tuple of str
        Genes whose contig the tables lack.
    """

    columns: StoreColumns
    apply: Callable[[np.ndarray], np.ndarray]
    left_out: tuple[str, ...] = ()


def project_contigs(contigs: Contigs, names: Sequence[str], unit: str) -> Projection:
    """Columns of a chromosome store: the bins of the named contigs, by default of the longest.

    Raises
    ------
    InputError
        A name matches no contig.
    """
    chosen = select_contigs(contigs, names)
    kept = Contigs(contigs.chrom[chosen], contigs.start[chosen], contigs.end[chosen])
    return Projection(StoreColumns(kept, "chromosome", unit), lambda counts: counts[chosen])


def project_genes(contigs: Contigs, genes: Sequence[Gene], unit: str) -> Projection:
    """Columns of a plasmid store: each gene's overlap-weighted depth, in reads per bin of full length.

    Raises
    ------
    InputError
        No gene's contig is among the bins.
    """
    present = list(dict.fromkeys(contigs.chrom.tolist()))
    kept = [gene for gene in genes if any(same_contig(gene.contig, name) for name in present)]
    if not kept:
        raise InputError(
            f"no gene's contig is in the tables, which have {', '.join(present[:8])}; check the coordinates"
        )
    weights = [gene_weights(gene, contigs) for gene in kept]
    places = Contigs(
        np.array([gene.contig for gene in kept]),
        np.array([gene.start for gene in kept]),
        np.array([gene.end for gene in kept]),
    )
    names = np.array([gene.name for gene in kept])
    columns = StoreColumns(places, "plasmid", f"overlap-weighted {unit}", names)
    left_out = tuple(gene.name for gene in genes if gene not in kept)
    return Projection(columns, lambda counts: np.rint([counts[bins] @ factors for bins, factors in weights]), left_out)


class RowFile:
    """Rows of a matrix in a file, read one by one without mapping it, so that memory stays what one row takes."""

    def __init__(self, handle: BinaryIO, offset: int, dtype: np.dtype, n_columns: int) -> None:
        self._handle, self._offset, self._dtype, self._n_columns = handle, offset, dtype, n_columns

    def __getitem__(self, row: int) -> np.ndarray:
        self._handle.seek(self._offset + row * self._n_columns * self._dtype.itemsize)
        return np.fromfile(self._handle, self._dtype, self._n_columns)


@contextmanager
def store_rows(store: Store) -> Iterator[RowFile | np.ndarray]:
    """Rows of an opened store, by number."""
    counts = store.counts
    if isinstance(counts, np.memmap) and counts.flags.c_contiguous:
        with (store.path / "counts.npy").open("rb") as handle:
            yield RowFile(handle, counts.offset, counts.dtype, store.n_bins)
    else:
        yield counts


def check_row(sample_id: str, row: np.ndarray) -> None:
    """Refuse a sample whose numbers do not fit a count.

    Raises
    ------
    InputError
    """
    if row.size and (row.min() < 0 or row.max() > _LARGEST_COUNT):
        raise InputError(f"sample {sample_id}: {row.min()}–{row.max()} in a row; counts are from 0 to 2^32 − 1")


class Intake:
    """Takes the rows of a store in any order; `create_store` sorts them by sample.

    Attributes
    ----------
    names : list of str
        Samples so far.
    columns : StoreColumns or None
        To be set before the block ends.
    source : dict
        What the store was made of, for the manifest.
    skipped : list of (Path, str)
        Tables left out and why, for ``skipped.tsv``.
    """

    def __init__(self, scratch: BinaryIO) -> None:
        self._scratch = scratch
        self.names: list[str] = []
        self.columns: StoreColumns | None = None
        self.source: dict[str, str | float] = {}
        self.skipped: list[tuple[Path, str]] = []

    def add(self, sample_id: str, row: np.ndarray) -> None:
        """Append one sample.

        Raises
        ------
        InputError
            A number does not fit a count.
        """
        check_row(sample_id, row)
        np.ascontiguousarray(row, dtype=np.uint32).tofile(self._scratch)
        self.names.append(sample_id)


@contextmanager
def create_store(path: Path, on_sorted: Callable[[int, int], None] | None = None) -> Iterator[Intake]:
    """Yield what takes a store's rows; when the block ends well, `path` is the store, rows sorted by sample.

    Rows go to a scratch file in arrival order and are then copied in order, so that tables are read once, and the
    disk needs room for the counts twice while a store is made.

    Parameters
    ----------
    path : Path
        Folder to make; must be vacant.
    on_sorted : callable, optional
        Told how many of how many rows are copied.

    Raises
    ------
    RunError
        `path` is not vacant or cannot be written.
    InputError
        No row was given.
    """
    with atomic_folder(path) as partial:
        scratch = partial / _SCRATCH
        with scratch.open("wb") as handle:
            intake = Intake(handle)
            yield intake
        if not intake.names or intake.columns is None:
            raise InputError(f"{path}: no sample to store; every table was left out")
        order = np.argsort(np.array(intake.names))
        width = len(intake.columns.contigs)
        with scratch.open("rb") as handle:
            rows = RowFile(handle, 0, np.dtype(np.uint32), width)
            _write_rows(partial / "counts.npy", (len(order), width), (rows[int(row)] for row in order), on_sorted)
        scratch.unlink()
        _write_rest(partial, intake, np.array(intake.names)[order])


def _write_rows(
    target: Path,
    shape: tuple[int, int],
    rows: Iterable[np.ndarray],
    on_written: Callable[[int, int], None] | None,
) -> None:
    """Write a uint32 .npy row by row; a file, not a memory map, whose pages would count as memory."""
    header = {"descr": "<u4", "fortran_order": False, "shape": shape}
    with atomic_path(target) as partial, partial.open("wb") as handle:
        npy_format.write_array_header_1_0(handle, header)
        for number, row in enumerate(rows, start=1):
            row.astype("<u4", copy=False).tofile(handle)
            if on_written:
                on_written(number, shape[0])


def _write_rest(partial: Path, intake: Intake, names: np.ndarray) -> None:
    columns = intake.columns
    assert columns is not None
    contigs = columns.contigs
    width = max(1, int(np.char.str_len(contigs.chrom).max()))
    places = np.empty(len(contigs), dtype=[("chrom", f"<U{width}"), ("start", "<u4"), ("end", "<u4")])
    places["chrom"], places["start"], places["end"] = contigs.chrom, contigs.start + 1, contigs.end
    write_npy(partial / "contigs.npy", places)
    write_npy(partial / "sample_ids.npy", names)
    if columns.genes is not None:
        write_npy(partial / "genes.npy", columns.genes)
    if intake.skipped:
        lines = [f"{file}\t{' '.join(reason.split())}" for file, reason in intake.skipped]
        write_text(partial / "skipped.tsv", "\n".join(["file\treason", *lines]) + "\n")
    files = sorted(item.name for item in partial.iterdir())
    manifest = {
        "format": STORE_FORMAT,
        "kind": columns.kind,
        "unit": columns.unit,
        "n_samples": len(names),
        "n_bins": len(contigs),
        "source": intake.source,
        "digests": {name: file_digest(partial / name) for name in files},
    }
    write_json(partial / "manifest.json", manifest)


def check_same_bins(path: Path, contigs: Contigs, first_path: Path, first: Contigs) -> None:
    """Refuse bins that differ from those of the first table or store.

    Raises
    ------
    InputError
        Names both files and the first bin that differs.
    """
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
