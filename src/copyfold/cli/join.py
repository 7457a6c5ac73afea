"""``copyfold join``: copy number and stability of the same isolates."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from copyfold.cli.options import QuietOption


def join(
    calls: Annotated[Path, typer.Argument(metavar="CALLS", help="A run's folder, or a table of gene calls.")],
    alleles: Annotated[
        Path, typer.Argument(metavar="ALLELES", help="sample_id and allele, AMRFinder+ with Name, or Kleborate.")
    ],
    scan: Annotated[
        list[str],
        typer.Option(metavar="FAMILY=PATH", help="Scan of the family's reference, from `ddg scan`; repeat for more."),
    ],
    proteins: Annotated[Path, typer.Option(metavar="FASTA", help="The alleles' sequences, nucleotides or proteins.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", help="New folder for table and plot.")],
    quiet: QuietOption = False,
) -> None:
    """Join copy-number calls with the predicted stability of the alleles that the isolates carry.

    An allele is compared with the protein that was scanned; its differences are the mutations, and their ΔΔG add up.
    Insertions, deletions and frame shifts are refused in their rows. Writes join.tsv, dosage_stability.svg and .png.

    Example: `copyfold ddg scan --sequence shv1.fasta --out shv`, then

    `copyfold join run/ kleborate.tsv --scan blaSHV=shv --proteins alleles.fasta --out joined`
    """
    from copyfold.app.join import join_calls
    from copyfold.core.console import Console

    join_calls(calls, alleles, scan, proteins, out, Console(quiet=quiet))
    print(out)
