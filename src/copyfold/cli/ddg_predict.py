"""``copyfold ddg predict`` and ``copyfold ddg scan``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from copyfold.cli.options import QuietOption

StructureOption = Annotated[
    Path | None, typer.Option("--structure", "-s", metavar="FILE", help="PDB or mmCIF file, gzipped or not.")
]
ChainOption = Annotated[
    str | None, typer.Option("--chain", metavar="ID", help="Chain to use; needed where the file has several proteins.")
]
SequenceOption = Annotated[
    str | None,
    typer.Option("--sequence", metavar="SEQ", help="Without a structure, less exact: letters, or a FASTA file."),
]


class Numbering(StrEnum):
    """How positions are counted."""

    pdb = "pdb"
    sequence = "sequence"
    ambler = "ambler"
    bbl = "bbl"
    dbl = "dbl"


def predict(
    mutations: Annotated[
        str,
        typer.Option(
            "--mutations",
            "-m",
            metavar="LIST",
            help="A42V,L50P or a CSV file with a column `mutation`. Also A:A42V (chain), A42bV (insertion code), "
            "p.Ala42Val (sequence numbering), A42V:L50P (both at once).",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="Table to write: .csv, .tsv or .parquet.")],
    structure: StructureOption = None,
    chain: ChainOption = None,
    sequence: SequenceOption = None,
    numbering: Annotated[
        Numbering | None,
        typer.Option(
            help="`pdb`: the structure's numbers; `sequence`: 1 is the first residue of SEQRES or of the sequence; "
            "`ambler`, `bbl`, `dbl`: standard numbers of β-lactamases of class A, B1, D. "
            "Default: pdb, but sequence for p.Ala42Val and for --sequence."
        ),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Stop with exit code 2 if one mutation cannot be predicted.")
    ] = False,
    quiet: QuietOption = False,
) -> None:
    """Predict ΔΔG (kcal/mol, positive = destabilising) of mutations of one protein.

    Example: `copyfold ddg predict --structure 1zg4.pdb --mutations M182T,G238S,M182T:G238S --out ddg.csv`

    Without a structure: `copyfold ddg predict --sequence protein.fa --mutations mutations.csv --out ddg.csv`
    """
    from copyfold.app.ddg_predict import ProteinSource, predict_mutations
    from copyfold.core.console import Console

    predict_mutations(
        ProteinSource(structure, chain, sequence),
        mutations,
        out,
        Console(quiet=quiet),
        numbering=None if numbering is None else numbering.value,
        strict=strict,
    )
    print(out)


def scan(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", help="New folder for the results.")],
    structure: StructureOption = None,
    chain: ChainOption = None,
    sequence: SequenceOption = None,
    dms: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Deep mutational scan of the protein to set beside it, in ProteinGym's form (columns mutant, "
            "DMS_score, and mutated_sequence where numbers are not SEQRES's); once for each.",
        ),
    ] = None,
    quiet: QuietOption = False,
) -> None:
    """Predict ΔΔG of every substitution of one protein: table, heatmap and coloured structure.

    Writes report.html, scan.csv, heatmap.svg, heatmap.png and, from a structure, mean_ddg.pdb with each residue's mean
    ΔΔG in the B-factor column. With --dms also dms.svg and dms.png, and the scores in scan.csv.

    Example: `copyfold ddg scan --structure 1zg4.pdb --out scan_of_tem1`

    Beside a known assay: `copyfold ddg scan -s 1zg4.pdb --dms BLAT_ECOLX_Stiffler_2015.csv --out scan_of_tem1`
    """
    from copyfold.app.ddg_predict import ProteinSource, scan_protein
    from copyfold.core.console import Console

    scan_protein(ProteinSource(structure, chain, sequence), out, Console(quiet=quiet), dms or ())
    print(out)
