"""What is known of a store's bins besides their place: GC, mappability, distance to the origin of replication."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from copyfold.cnv.coordinates import same_contig
from copyfold.cnv.reference import Reference, read_reference
from copyfold.cnv.store import Contigs
from copyfold.cnv.tables import read_table
from copyfold.errors import InputError


@dataclass(frozen=True)
class BinTable:
    """The columns of a store, with what is known of each.

    Attributes
    ----------
    contigs : Contigs
    gc : numpy.ndarray or None, (n_bins,), float64
        Share of G and C, 0..1.
    mappability : numpy.ndarray or None, (n_bins,), float64
        Share of the bin's reads that can be placed, 0..1.
    replication : numpy.ndarray or None, (n_bins,), float64
        1 at the origin of replication, falling linearly to 0 at the terminus.
    """

    contigs: Contigs
    gc: np.ndarray | None = None
    mappability: np.ndarray | None = None
    replication: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.contigs)

    @property
    def widths(self) -> np.ndarray:
        """Width of each bin in units of the widest: (n_bins,), float64."""
        width = (self.contigs.end - self.contigs.start).astype(np.float64)
        return width / width.max()


def read_bin_table(path: Path, contigs: Contigs) -> BinTable:
    """What a reference, or a table like its ``bins.tsv``, says of a store's bins.

    Parameters
    ----------
    path : Path
        Folder of a reference: the phase of replication is then taken from the skew of its sequences. Or a table
        with columns contig, start, end (1-based inclusive), and any of gc, mappability and replication.
    contigs : Contigs
        Columns of the store.

    Raises
    ------
    InputError
        A bin of the store is not in it, or a value is not a number from 0 to 1.
    """
    if path.is_dir():
        reference = read_reference(path)
        known = reference.bins
        values = {
            "gc": reference.gc,
            "mappability": reference.mappability,
            "replication": _reference_phase(reference),
        }
    else:
        known, values = _read_values(path)
    rows = _find_bins(path, contigs, known)
    return BinTable(contigs, **{name: _filled(column[rows]) for name, column in values.items()})


def _read_values(path: Path) -> tuple[Contigs, dict[str, np.ndarray]]:
    table = read_table(path, comment="#")
    rows = [cells for _, cells in table.rows]

    def column_of(name: str) -> list[str]:
        place = table.position(name)
        return [cells[place] for cells in rows]

    chrom, start, end = (column_of(name) for name in ("contig", "start", "end"))
    try:
        known = Contigs(np.array(chrom), np.array(start).astype(np.int64) - 1, np.array(end).astype(np.int64))
    except ValueError:
        raise InputError(f"{path}: start and end must be whole numbers (1-based inclusive)") from None
    values = {}
    for name in ("gc", "mappability", "replication"):
        if name not in table.columns:
            continue
        try:
            column = np.array([text or "nan" for text in column_of(name)]).astype(np.float64)
        except ValueError:
            column = np.array([-1.0])
        if ((column < 0) | (column > 1)).any():
            raise InputError(f"{path}: column {name} must hold numbers from 0 to 1, or nothing where unknown")
        values[name] = column
    return known, values


def _find_bins(path: Path, contigs: Contigs, known: Contigs) -> np.ndarray:
    """Row of each bin of the store in the table: (n_bins,), int64."""
    names = list(dict.fromkeys(known.chrom.tolist()))
    name_of = {
        chrom: next((name for name in names if same_contig(chrom, name)), chrom)
        for chrom in dict.fromkeys(contigs.chrom.tolist())
    }
    places = zip(known.chrom.tolist(), known.start.tolist(), known.end.tolist(), strict=True)
    row_of = {place: row for row, place in enumerate(places)}
    rows = np.empty(len(contigs), dtype=np.int64)
    bins = zip(contigs.chrom.tolist(), contigs.start.tolist(), contigs.end.tolist(), strict=True)
    for column, (chrom, start, end) in enumerate(bins):
        row = row_of.get((name_of[chrom], start, end))
        if row is None:
            raise InputError(
                f"{path}: has no bin {chrom}:{start + 1}–{end} of the store; give the reference that the isolates "
                "were counted on, or set bins_path to null"
            )
        rows[column] = row
    return rows


def _filled(values: np.ndarray) -> np.ndarray | None:
    """The values with unknown ones at the median of the others; None where none is known."""
    unknown = np.isnan(values)
    return None if unknown.all() else np.where(unknown, np.nanmedian(values), values)


def _reference_phase(reference: Reference) -> np.ndarray:
    import pysam  # nothing else here needs it

    phase = np.empty(len(reference.bins))
    with pysam.FastaFile(str(reference.fasta)) as fasta:
        for begin, stop in pairwise(reference.bins.chain_starts.tolist()):
            sequence = fasta.fetch(str(reference.bins.chrom[begin])).encode()
            phase[begin:stop] = replication_phase(sequence, reference.bins.start[begin:stop])
    return phase


def replication_phase(sequence: bytes, starts: np.ndarray) -> np.ndarray:
    """Nearness of each bin to the origin of replication of a circular sequence, from its GC skew.

    The cumulative excess of G over C is least at the origin and greatest at the terminus (Grigoriev 1998,
    doi:10.1093/nar/26.10.2286).

    Parameters
    ----------
    sequence : bytes
        Upper case.
    starts : numpy.ndarray, (n_bins,), int64
        First base of each bin, ascending from 0, 0-based; a bin ends where the next begins.

    Returns
    -------
    numpy.ndarray, (n_bins,), float64
        1 at the origin, falling linearly to 0 at the terminus on both arms.
    """
    codes = np.frombuffer(sequence, dtype=np.uint8)
    excess = (codes == ord("G")).astype(np.int8) - (codes == ord("C")).astype(np.int8)
    skew = np.add.reduceat(excess, starts, dtype=np.int64)
    skew = np.cumsum(skew - skew.mean())  # of a circle, the walk must come back to where it began
    n_bins = len(starts)
    origin, terminus = int(skew.argmin()), int(skew.argmax())
    after = (terminus - origin) % n_bins or 1
    distance = (np.arange(n_bins) - origin) % n_bins
    return np.where(distance <= after, 1 - distance / after, (distance - after) / max(n_bins - after, 1))
