"""``copyfold ddg predict`` and ``scan``: from a protein to tables, a heatmap and a coloured structure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from copyfold.core.console import Console
from copyfold.core.files import atomic_folder, atomic_path, write_text
from copyfold.ddg.assays import PlacedAssay, place_assay, read_assay
from copyfold.ddg.mutations import parse_mutation
from copyfold.ddg.predictor.lactamases import StandardNumbers, standard_numbers
from copyfold.ddg.predictor.numbering import NUMBERINGS
from copyfold.ddg.predictor.predictor import ADDITIVE, Prediction, Scan, StabilityPredictor
from copyfold.ddg.sequences import AMINO_ACIDS
from copyfold.ddg.structures import Structure, read_chain_atoms, read_structure
from copyfold.ddg.table import DDG_LINE, read_comments_and_cells
from copyfold.errors import InputError
from copyfold.report.ddg.figures import coloured_pdb, write_assays, write_heatmap
from copyfold.report.ddg.scan import ScanResults, scan_page
from copyfold.report.page import render_page

PREDICTIONS_FORMAT: Final = "copyfold-ddg-stability/1"
COLUMNS: Final = Prediction._fields


@dataclass(frozen=True)
class ProteinSource:
    """Where the protein comes from: one of `structure` and `sequence`.

    Attributes
    ----------
    structure : Path, optional
        PDB or mmCIF file.
    chain : str, optional
        Of the structure; needed where it has several protein chains.
    sequence : str, optional
        Letters, or the path of a FASTA file with one record.
    """

    structure: Path | None = None
    chain: str | None = None
    sequence: str | None = None


def predict_mutations(
    source: ProteinSource,
    mutations: str,
    out: Path,
    console: Console,
    *,
    numbering: str | None = None,
    strict: bool = False,
) -> pd.DataFrame:
    """Predict mutations and write them in the order given.

    Parameters
    ----------
    source : ProteinSource
    mutations : str
        A file with a column ``mutation``, or mutations separated by commas.
    out : Path
        ``.csv``, ``.tsv`` or ``.parquet``.
    console : Console
    numbering : str, optional
        One of `NUMBERINGS`.
    strict : bool
        Refuse everything where one mutation is refused; nothing is written then.

    Raises
    ------
    InputError
        Wrong input, or with `strict` a refused mutation.
    """
    _check_table_name(out)
    _check_numbering(numbering)
    asked = _read_mutations(mutations)
    protein = _read_protein(source, asked)
    predictor = StabilityPredictor.load()
    predictions = predictor.predict(protein, asked, numbering)
    refused = [(row, one) for row, one in enumerate(predictions, 1) if one.in_domain is None]
    if refused and strict:
        row, one = refused[0]
        more = f" (and {len(refused) - 1} more)" if len(refused) > 1 else ""
        raise InputError(f"row {row}{more}: {one.mutation}: {one.reason.removeprefix('refused: ')}")
    if refused:
        console.warn(f"{len(refused)} of {len(predictions)} mutations are refused; the column reason says why")
    table = pd.DataFrame(predictions, columns=list(COLUMNS))
    _write_predictions(out, table, _statements(protein, predictor))
    return table


def scan_protein(source: ProteinSource, out: Path, console: Console, dms: Sequence[Path] = ()) -> Scan:
    """Predict every substitution: scan.csv, heatmap.svg, heatmap.png, report.html, and of a structure mean_ddg.pdb.

    Parameters
    ----------
    source : ProteinSource
    out : Path
    console : Console
    dms : sequence of Path
        Deep mutational scans of the protein: a column of scan.csv for each, and dms.svg and dms.png.

    Raises
    ------
    InputError
        Wrong input, or an assay of another protein.
    RunError
        `out` holds something already.
    """
    protein = _read_protein(source, [])
    assays = [read_assay(path) for path in dms]
    if len({assay.name for assay in assays}) < len(assays):
        raise InputError("--dms: two files of one name; rename one, since their columns are named so")
    with atomic_folder(out) as folder:
        console.say("predicting")
        predictor = StabilityPredictor.load()
        scan = predictor.scan(protein)
        placed = [place_assay(assay, scan) for assay in assays]
        standard = standard_numbers(scan.protein.sequence)
        table, statements = scan_table(scan, standard, placed), _statements(protein, predictor)
        statements[-1:-1] = [*_numbering_statement(standard), *(_agreement(one) for one in placed)]
        _write_predictions(folder / "scan.csv", table, statements)
        console.say("drawing")
        write_heatmap(scan.ddg, scan.protein.sequence, _labels(scan), _title(protein), folder)
        if placed:
            write_assays(scan.ddg, _labels(scan), {one.name: one.scores for one in placed}, folder)
        for one in placed:
            console.say(_agreement(one))
        plddt = protein.plddt if isinstance(protein, Structure) else None
        results = ScanResults(out.name, tuple(statements[1:]), table, plddt)
        write_text(folder / "report.html", render_page(scan_page(results)))
        if source.structure is not None and isinstance(protein, Structure):
            atoms = read_chain_atoms(source.structure, protein.chain)
            write_text(folder / "mean_ddg.pdb", coloured_pdb(atoms, scan.site_means))
    return scan


def scan_table(scan: Scan, standard: StandardNumbers | None, assays: Sequence[PlacedAssay]) -> pd.DataFrame:
    """Each residue's 19 substitutions, as rows of a table of predictions with the residue's own columns behind.

    Parameters
    ----------
    scan : Scan
    standard : StandardNumbers or None
        Of its residues, if it is a β-lactamase.
    assays : sequence of PlacedAssay

    Returns
    -------
    pandas.DataFrame
        The columns of `COLUMNS`, and `position` (author's number with insertion code; of a sequence 1-based),
        `wild_type`, `mutant`, `site_mean_ddg` (kcal/mol), of a β-lactamase `standard_number` ("" where none is known),
        and `dms_<name>` (higher = fitter) of each assay.
    """
    rows = []
    labels = _labels(scan)
    for index, wild_type in enumerate(scan.protein.sequence):
        reason = scan.reasons[index]
        refused = reason.startswith("refused")
        for column, mutant in enumerate(AMINO_ACIDS):
            if mutant != wild_type:
                rows.append(
                    {
                        "mutation": f"{wild_type}{labels[index]}{mutant}",
                        "ddg_kcal_mol": scan.ddg[index, column],
                        "sigma_kcal_mol": scan.sigma[index, column],
                        "in_domain": None if refused else bool(scan.in_domain[index]),
                        "reason": reason,
                        "position": labels[index],
                        "wild_type": wild_type,
                        "mutant": mutant,
                        "site_mean_ddg": scan.site_means[index],
                        **({} if standard is None else {"standard_number": standard.label(index)}),
                        **{f"dms_{assay.name}": assay.scores[index, column] for assay in assays},
                    }
                )
    return pd.DataFrame(rows)


def _numbering_statement(standard: StandardNumbers | None) -> list[str]:
    if standard is None:
        return []
    n_known, n = int((standard.numbers >= 0).sum()), len(standard.numbers)
    return [f"standard_number: {standard.scheme.upper()}, of {n_known} of {n} residues; empty where none is known"]


def _agreement(assay: PlacedAssay) -> str:
    n = int(np.isfinite(assay.scores).sum())
    return (
        f"dms_{assay.name}: Spearman of score and -ddg_kcal_mol {assay.spearman:.3f} ({n} substitutions; "
        f"{assay.n_left_out} rows of the assay left out)"
    )


def _labels(scan: Scan) -> list[str]:
    structure = scan.protein.structure
    if structure is None:
        return [str(place) for place in range(1, len(scan.protein.sequence) + 1)]
    return [f"{n}{code}" for n, code in zip(structure.numbers.tolist(), structure.insertion_codes, strict=True)]


def _title(protein: Structure | str) -> str:
    return f"{protein.name} chain {protein.chain}" if isinstance(protein, Structure) else f"sequence of {len(protein)}"


def _check_numbering(numbering: str | None) -> None:
    if numbering is not None and numbering not in NUMBERINGS:
        raise InputError(f"--numbering {numbering}: must be one of {', '.join(NUMBERINGS)}")


def _check_table_name(out: Path) -> None:
    if out.suffix not in (".csv", ".tsv", ".parquet"):
        raise InputError(f"--out {out}: must end in .csv, .tsv or .parquet")


def _read_mutations(text: str) -> list[str]:
    path = Path(text)
    if path.suffix in (".csv", ".tsv", ".txt", ".gz") or _is_file(path):
        _, cells = read_comments_and_cells(path)
        if "mutation" not in cells:
            raise InputError(f"{path}: no column 'mutation'; it has {', '.join(map(str, cells.columns))}")
        return cells["mutation"].tolist()
    return [part.strip() for part in text.split(",") if part.strip()] or _nothing(text)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # too long a name: a list of mutations
        return False


def _nothing(text: str) -> list[str]:
    raise InputError(f"--mutations '{text}': names none; give A42V,L50P or a CSV file with a column mutation")


def _read_protein(source: ProteinSource, mutations: Sequence[str]) -> Structure | str:
    if (source.structure is None) == (source.sequence is None):
        raise InputError("give one of --structure and --sequence")
    if source.structure is not None:
        return read_structure(source.structure, source.chain or _named_chain(mutations))
    if source.chain is not None:
        raise InputError("--chain goes with --structure; a sequence has no chains")
    return _read_sequence(str(source.sequence))


def _named_chain(mutations: Sequence[str]) -> str | None:
    """The chain that mutations name, where all that name one name the same."""
    named = set()
    for text in mutations:
        try:
            named |= {part.chain for part in parse_mutation(text) if part.chain}
        except InputError:
            continue  # refused later, in its row
    if len(named) > 1:
        listed = ", ".join(sorted(named))
        raise InputError(
            f"mutations of chains {listed}: a chain is predicted by itself; run once for each with --chain"
        )
    return named.pop() if named else None


def _read_sequence(text: str) -> str:
    path = Path(text)
    if re.fullmatch(r"[A-Za-z*\s]+", text) and not (len(text) < 200 and path.is_file()):
        return "".join(text.split()).upper()
    try:
        content = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"--sequence {text[:80]}: neither letters nor a readable FASTA file ({reason})") from None
    records = content.count(">")
    if records > 1:
        raise InputError(f"{path}: holds {records} sequences; give a file with one")
    return "".join(line for line in content.splitlines() if not line.startswith(">")).replace(" ", "").upper()


def _write_predictions(out: Path, table: pd.DataFrame, statements: Sequence[str]) -> None:
    with atomic_path(out) as partial:
        if out.suffix == ".parquet":
            _write_parquet(partial, table, statements)
            return
        text = table.to_csv(
            index=False, sep="\t" if out.suffix == ".tsv" else ",", float_format="%.4f", lineterminator="\n"
        )
        partial.write_text("".join(f"# {line}\n" for line in statements) + text, encoding="utf-8")


def _statements(protein: Structure | str, predictor: StabilityPredictor) -> list[str]:
    from copyfold.version import __version__

    form = "structure" if isinstance(protein, Structure) else "sequence"
    factor = (predictor.structure if form == "structure" else predictor.sequence).errors.factor_95
    return [
        PREDICTIONS_FORMAT,
        DDG_LINE.removeprefix("# ") + "; column ddg_kcal_mol",
        f"sigma_kcal_mol: half the width of a 68 % interval; 95 %: {factor:.2f} times it",
        "in_domain: the site and chain are like those trained on; empty where refused, reason says why",
        f"several mutations at once: {ADDITIVE}",
        f"copyfold {__version__}, {form} form, {_title(protein)}",
    ]


def _write_parquet(path: Path, table: pd.DataFrame, statements: Sequence[str]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    typed: Any = table.assign(in_domain=table["in_domain"].astype("boolean"))
    arrow = pa.Table.from_pandas(typed, preserve_index=False)
    metadata = {**(arrow.schema.metadata or {}), b"copyfold": "\n".join(statements).encode()}
    pq.write_table(arrow.replace_schema_metadata(metadata), path)
