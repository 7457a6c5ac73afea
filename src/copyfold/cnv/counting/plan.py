"""What is counted of a sample, checked before its first read: bins, contigs, genes and rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from copyfold.cnv.coordinates import Gene, same_contig
from copyfold.cnv.counting.bam import References
from copyfold.cnv.counting.tally import Layout, lay_out
from copyfold.cnv.store import Contigs
from copyfold.errors import InputError


@dataclass(frozen=True, eq=False)
class Plan:
    """What to count, checked before the first read."""

    contigs: Contigs
    layout: Layout
    is_plasmid: np.ndarray
    genes: tuple[Gene, ...]
    gene_contigs: list[int]


def make_plan(
    contigs: Contigs,
    *,
    chromosome_mapq: int = 20,
    plasmid_mapq: int = 0,
    is_plasmid: Sequence[bool] | np.ndarray | None = None,
    genes: Sequence[Gene] = (),
) -> Plan:
    """Lay out what to count; the parameters are those of `count_alignments`.

    Raises
    ------
    InputError
        Bins, genes or rules cannot be.
    """
    for name, mapq in (("chromosome_mapq", chromosome_mapq), ("plasmid_mapq", plasmid_mapq)):
        if not 0 <= mapq <= 255:
            raise InputError(f"{name} is {mapq}; a mapping quality lies in 0 to 255")
    names = tuple(contigs.chrom[contigs.chain_starts[:-1]].tolist()) if len(contigs) else ()
    lengths = _checked_lengths(contigs, names)
    plasmids = np.zeros(len(names), bool) if is_plasmid is None else np.asarray(is_plasmid, dtype=bool)
    if plasmids.shape != (len(names),):
        raise InputError(f"is_plasmid has shape {plasmids.shape} for {len(names)} contigs; give one value for each")
    layout = lay_out(names, lengths, contigs, chromosome_mapq, plasmid_mapq)
    return Plan(contigs, layout, plasmids, tuple(genes), _contigs_of_genes(genes, names, lengths))


def match_references(
    path: Path, references: References, names: tuple[str, ...], lengths: np.ndarray, other_contigs: bool
) -> np.ndarray:
    """Contig of the bins for each reference of a file, -1 for none: (n_references,), int64.

    Raises
    ------
    InputError
        Names what differs: contigs missing on either side, lengths, or a contig that stands twice.
    """
    by_name = {name: row for row, name in enumerate(names)}
    matched = np.full(len(references.names), -1, np.int64)
    problems: list[str] = []
    for row, name in enumerate(references.names):
        alias = next((k for k, known in enumerate(names) if same_contig(name, known)), -1) if len(names) < 1000 else -1
        contig = by_name.get(name, alias)
        if contig < 0:
            if not other_contigs:
                problems.append(f"{name} is not among the bins")
        elif contig in matched[:row]:
            problems.append(f"{name} stands twice in its header")
        elif references.lengths[row] != lengths[contig]:
            problems.append(f"{name} has {references.lengths[row]} bp there and {lengths[contig]} bp in the bins")
        else:
            matched[row] = contig
        if len(problems) > 3:
            break
    else:
        absent = sorted(set(range(len(names))) - set(matched.tolist()))
        if not problems:
            problems += [f"{names[contig]} is not in its header" for contig in absent]
    if problems:
        listed = "; ".join(problems[:3]) + ("; …" if len(problems) > 3 else "")
        raise InputError(
            f"{path}: was aligned to another reference: {listed}; align the reads to the reference of the bins"
        )
    return matched


def _checked_lengths(contigs: Contigs, names: tuple[str, ...]) -> np.ndarray:
    if not names:
        raise InputError("there are no bins to count in; give at least one contig")
    if len(set(names)) != len(names):
        raise InputError("a contig's bins stand in several pieces; keep the bins of each contig together")
    start, end = contigs.start, contigs.end
    same = contigs.chrom[1:] == contigs.chrom[:-1]
    bad = np.flatnonzero((start < 0) | (end <= start) | np.concatenate([[False], same & (start[1:] < end[:-1])]))
    if bad.size:
        row = int(bad[0])
        raise InputError(
            f"bin {row} ({contigs.chrom[row]}:{start[row] + 1}-{end[row]}) is empty or does not lie behind the one "
            "before it; give ascending bins without overlap"
        )
    return np.ascontiguousarray(end[contigs.chain_starts[1:] - 1], np.int64)


def _contigs_of_genes(genes: Sequence[Gene], names: tuple[str, ...], lengths: np.ndarray) -> list[int]:
    found = []
    for gene in genes:
        contig = next((row for row, name in enumerate(names) if same_contig(gene.contig, name)), -1)
        if contig >= 0 and not 0 <= gene.start < gene.end <= lengths[contig]:
            raise InputError(
                f"gene {gene.name} at {gene.contig}:{gene.start + 1}-{gene.end} does not lie within its contig of "
                f"{lengths[contig]} bp; check its coordinates against the reference"
            )
        found.append(contig)
    return found
