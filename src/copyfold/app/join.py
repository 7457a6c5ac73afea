"""``copyfold join``: a cohort's copy numbers beside the predicted stability of the alleles its isolates carry."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from copyfold.cnv.call_tables import called_genes, read_calls
from copyfold.cnv.families import family_of
from copyfold.core.console import Console
from copyfold.core.files import atomic_folder, check_vacant, write_bytes, write_text
from copyfold.core.packed import read_unpacked
from copyfold.ddg.alleles import AlleleStability, ScannedReference, allele_stability, scanned_reference
from copyfold.ddg.table import DDG_LINE, read_comments_and_cells
from copyfold.errors import ConfigError, InputError
from copyfold.report.join import draw_dosage_and_stability
from copyfold.report.pictures import png_of, svg_of

JOIN_FORMAT = "copyfold-join/1"
_SAMPLE_COLUMNS = ("sample_id", "Name", "strain", "sample", "isolate")
_ALLELE_COLUMNS = ("allele", "Element symbol", "Gene symbol")
_KLEBORATE_BLA = re.compile(r"(.*__)?Bla_\w+")
_KLEBORATE_CELL = re.compile(r"(?P<allele>[^*?^$]+?)(\.v\d+)?(?P<marks>[*?^$]*)(-\d+%)?")
_FASTA_OF_KLEBORATE = re.compile(r"\d+__.+?__(?P<allele>.+)__\d+")


class Carried(NamedTuple):
    """An allele in an isolate; `inexact` is what the caller's marks say against it, "" for an exact match."""

    sample: str
    allele: str
    inexact: str


def join_calls(
    calls: Path, alleles: Path, scans: Sequence[str], proteins: Path, out: Path, console: Console
) -> pd.DataFrame:
    """Join calls, alleles and scans; writes ``join.tsv``, ``dosage_stability.svg`` and ``.png`` into `out`.

    Parameters
    ----------
    calls : Path
        ``gene_calls.tsv``, ``plasmid_gene_calls.tsv``, or a run's folder, for both.
    alleles : Path
        One row for each allele (`sample_id`, `allele`, or AMRFinder+'s columns with `Name`), or Kleborate's results.
    scans : sequence of str
        ``FAMILY=PATH`` of a scan's table or folder, such as ``blaSHV=shv/scan.csv``.
    proteins : Path
        FASTA of the alleles, nucleotides or proteins.
    out : Path
        New folder.

    Raises
    ------
    CopyfoldError
        A file that is none of these, a scan of a family without calls, or no isolate in common.
    """
    check_vacant(out)
    references = dict(_read_scan(text) for text in scans)
    sequences = read_proteins(proteins)
    table = _calls_by_family(calls)
    if unknown := sorted(set(references) - set(table["gene_family"])):
        called = ", ".join(sorted(set(table["gene_family"])))
        raise ConfigError(f"--scan {unknown[0]}: the calls have no such gene; they have {called}")
    carried = read_alleles(alleles)
    if not set(table["sample_id"]) & {one.sample for one in carried}:
        raise InputError(f"{alleles}: no sample of {calls} is in it; both must name isolates alike")
    known = {}
    for family, reference in references.items():
        own = [name for name in sequences if family_of(name) == family]
        known |= {(family, name): allele_stability(reference, sequences[name]) for name in own}
    table = table[table["gene_family"].isin(references)]
    joined = pd.DataFrame(_joined(table, carried, known))
    missing = int((joined["ddg_kcal_mol"].isna() & (joined["allele"] != "")).sum())
    console.say(
        f"join: {len(joined)} rows, {joined['sample_id'].nunique()} isolates, {missing} alleles without a value"
    )
    drawing = draw_dosage_and_stability(joined)
    head = (
        f"# {JOIN_FORMAT}\n{DDG_LINE}\n# ddg_kcal_mol: allele against the scanned reference of its family, summed over "
    )
    head += "its mutations as if each acted alone\n# dosage: CRR of chromosomal genes, PCN of plasmid genes\n"
    with atomic_folder(out) as folder:
        text = joined.to_csv(sep="\t", index=False, float_format="%.4f", lineterminator="\n")
        write_text(folder / "join.tsv", head + text)
        write_text(folder / "dosage_stability.svg", svg_of(drawing, alone=True))
        write_bytes(folder / "dosage_stability.png", png_of(drawing))
    return joined


def read_alleles(path: Path) -> list[Carried]:
    """Alleles of each isolate.

    Raises
    ------
    InputError
        No column of samples, or none of alleles.
    """
    _, cells = read_comments_and_cells(path)
    sample = next((name for name in _SAMPLE_COLUMNS if name in cells), None)
    if sample is None:
        raise InputError(f"{path}: no column of samples; it must be one of {', '.join(_SAMPLE_COLUMNS)}")
    allele = next((name for name in _ALLELE_COLUMNS if name in cells), None)
    if allele is not None:
        return [Carried(*pair, "") for pair in zip(cells[sample], cells[allele], strict=True) if pair[1]]
    columns = [name for name in cells.columns if _KLEBORATE_BLA.fullmatch(name)]
    if not columns:
        raise InputError(f"{path}: no column of alleles ({', '.join(_ALLELE_COLUMNS)}) and none of Kleborate's (Bla_…)")
    found = []
    for name in columns:
        for isolate, cell in zip(cells[sample], cells[name], strict=True):
            found += [_carried(isolate, text) for text in cell.split(";") if text.strip() not in ("", "-")]
    return found


def _carried(sample: str, text: str) -> Carried:
    """One of Kleborate's cells: ``^`` is an exact protein, ``*`` an inexact one, ``?`` and ``$`` are incomplete."""
    match = _KLEBORATE_CELL.fullmatch(text.strip())
    allele, marks = (match["allele"], match["marks"]) if match else (text.strip(), "")
    inexact = {"*": "not this allele exactly", "?": "incomplete", "$": "truncated"}
    said = ", ".join(words for mark, words in inexact.items() if mark in marks)
    return Carried(sample, _full_name(allele), f"refused: Kleborate writes {text.strip()}: {said}" if said else "")


def _full_name(allele: str) -> str:
    """SHV-11 of Kleborate is blaSHV-11 of AMRFinder+."""
    name = allele.strip()
    return f"bla{name}" if re.fullmatch(r"[A-Z]+(-[A-Z]+)?-\d+[A-Za-z]?", name) else name


def read_proteins(path: Path) -> dict[str, str]:
    """Proteins by allele, from a FASTA file of nucleotides or proteins; a stop at the end is left away.

    Raises
    ------
    InputError
        Not a FASTA file, or one without sequences.
    """
    from biotite.sequence import CodonTable

    codon_table = CodonTable.default_table().codon_dict()
    found: dict[str, str] = {}
    for record in read_unpacked(path).decode("utf-8", "replace").split(">")[1:]:
        header, _, body = record.partition("\n")
        first = (header.split() or [""])[0]
        match = _FASTA_OF_KLEBORATE.fullmatch(first)
        letters = "".join(body.split()).upper()
        if letters and set(letters) <= set("ACGTN"):
            codons = (letters[place : place + 3] for place in range(0, len(letters) - 2, 3))
            letters = "".join(codon_table.get(codon, "X") for codon in codons)
        found[_full_name(match["allele"] if match else first)] = letters.removesuffix("*")
    if not found:
        raise InputError(f"{path}: holds no FASTA record; give the alleles' sequences with their names, as >blaSHV-11")
    return found


def _read_scan(text: str) -> tuple[str, ScannedReference]:
    family, separator, name = text.partition("=")
    if not separator or not name:
        raise ConfigError(f"--scan {text}: must be FAMILY=PATH, as blaSHV=shv/scan.csv")
    path = Path(name) / "scan.csv" if Path(name).is_dir() else Path(name)
    _, cells = read_comments_and_cells(path)
    for column in ("ddg_kcal_mol", "sigma_kcal_mol"):
        if column in cells:
            cells[column] = pd.to_numeric(cells[column], errors="coerce")
    try:
        return family_of(family), scanned_reference(cells.reset_index(drop=True))
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _calls_by_family(path: Path) -> pd.DataFrame:
    """`sample_id`, `gene_family`, `cn`, `dosage` of every called gene."""
    if path.is_dir():
        files = [path / name for name in ("gene_calls.tsv", "plasmid_gene_calls.tsv") if (path / name).exists()]
    else:
        files = [path]
    if not files:
        raise InputError(f"{path}: has no gene_calls.tsv; give a run's folder or a table of calls")
    parts = []
    for file in files:
        table = read_calls(file)
        for gene in called_genes(table):
            ratio = f"crr_{gene}" if f"crr_{gene}" in table else f"pcn_{gene}"
            part = pd.DataFrame(
                {"sample_id": table["sample_id"].astype(str), "cn": table[gene], "dosage": table[ratio]}
            )
            parts.append(part.assign(gene_family=family_of(gene), gene=gene, where=ratio[:3].upper()))
    if not parts:
        raise InputError(f"{path}: no gene with a ratio beside it; give gene_calls.tsv or plasmid_gene_calls.tsv")
    return pd.concat(parts, ignore_index=True)


def _joined(
    calls: pd.DataFrame, carried: Sequence[Carried], known: dict[tuple[str, str], AlleleStability]
) -> Iterator[dict[str, object]]:
    """A row for each call and allele of its family; a call without one keeps its row."""
    by_sample: dict[tuple[str, str], dict[str, Carried]] = {}
    for one in carried:
        by_sample.setdefault((one.sample, family_of(one.allele)), {})[one.allele] = one
    for call in calls.itertuples(index=False):
        family = str(call.gene_family)
        row = {
            "sample_id": call.sample_id,
            "gene": call.gene,
            "cn": call.cn,
            "dosage": call.dosage,
            "dosage_is": call.where,
        }
        found = by_sample.get((str(call.sample_id), family), {})
        shared = f"; {len(found)} alleles share this dosage" if len(found) > 1 else ""
        for allele, one in found.items():
            stability = known.get((family, allele))
            reason = one.inexact or (
                stability.reason if stability else f"refused: no sequence of {allele} in the FASTA file"
            )
            usable = stability if stability and not reason else None
            yield row | {
                "allele": allele,
                "mutations": ":".join(usable.mutations) if usable else "",
                "standard_numbers": ":".join(usable.standard) if usable else "",
                "ddg_kcal_mol": usable.ddg if usable else float("nan"),
                "sigma_kcal_mol": usable.sigma if usable else float("nan"),
                "reason": (reason + shared).removeprefix("; "),
            }
        if not found:
            empty = dict.fromkeys(("allele", "mutations", "standard_numbers"), "")
            nothing = dict.fromkeys(("ddg_kcal_mol", "sigma_kcal_mol"), float("nan"))
            yield row | empty | nothing | {"reason": "no allele of this family is named for the isolate"}
