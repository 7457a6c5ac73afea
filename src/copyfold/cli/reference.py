"""``copyfold cnv reference``: the sequences, bins and genes that reads are counted on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from copyfold.cli.options import QuietOption

app = typer.Typer(no_args_is_help=True, help="References: sequences, bins and genes that reads are counted on.")


@app.callback()
def _group() -> None:
    """Keep `build` a command of its own although it is the only one."""


@app.command()
def build(
    chromosome: Annotated[
        Path,
        typer.Option(
            metavar="FASTA", help="Chromosome, or a whole assembly; plain, .gz or .xz. The longest record is taken."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="REF", help="Folder to make; must not exist.")],
    more_plasmids: Annotated[
        list[Path],
        typer.Argument(metavar="[PLASMID…]", help="What the shell makes of `--plasmids *.fa`.", show_default=False),
    ] = [],  # noqa: B006
    plasmids: Annotated[
        list[Path], typer.Option(metavar="FASTA…", help="Plasmids, one or more files of one or more records.")
    ] = [],  # noqa: B006
    genes: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Genes: sequences (FASTA), an annotation (GFF3, GenBank) or a table of coordinates."
        ),
    ] = None,
    only: Annotated[
        list[str], typer.Option(metavar="NAME", help="Keep this gene or family only; repeat for more.")
    ] = [],  # noqa: B006
    chromosome_contig: Annotated[
        list[str], typer.Option(metavar="NAME", help="Record that is the chromosome, by name or alias; repeatable.")
    ] = [],  # noqa: B006
    bin_size: Annotated[int, typer.Option(help="Length of a bin, bp.")] = 1000,
    min_identity: Annotated[float, typer.Option(help="Gene search: identical bases per column, from this on.")] = 0.9,
    min_coverage: Annotated[float, typer.Option(help="Gene search: aligned share of a gene, from this on.")] = 0.9,
    read_length: Annotated[int, typer.Option(help="Mappability: length of the reads, bp.")] = 150,
    step: Annotated[int, typer.Option(help="Mappability: a read every so many bp.")] = 50,
    min_mapq: Annotated[int, typer.Option(help="Mappability: MAPQ from which a read counts as placed.")] = 20,
    threads: Annotated[int, typer.Option("--threads", "-t", min=1, help="Threads.")] = 2,
    quiet: QuietOption = False,
) -> None:
    """Make a reference: checked sequences, bins with GC and mappability, genes and their families.

    Example: `copyfold cnv reference build --chromosome HS11286.fna.xz --genes panel.fasta --out REF`

    With plasmids: `copyfold cnv reference build --chromosome chr.fa --plasmids p1.fa p2.fa --genes genes.tsv -o REF`
    """
    from copyfold.core.console import Console
    from copyfold.errors import ConfigError

    try:
        from copyfold.app.references import BuildOptions, build_reference
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"{error.name} is not installed; a reference needs the extra `align`: pip install 'copyfold[align]'"
        ) from None

    if more_plasmids and not plasmids:
        raise ConfigError(f"{more_plasmids[0]}: what is this file? write --plasmids, --genes or --out before it")
    options = BuildOptions(
        bin_size,
        tuple(chromosome_contig),
        tuple(only),
        min_identity,
        min_coverage,
        read_length,
        step,
        min_mapq,
    )
    build_reference(chromosome, [*plasmids, *more_plasmids], genes, out, options, Console(quiet=quiet), threads=threads)
    print(out)
