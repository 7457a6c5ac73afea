"""``copyfold ddg data``: tables of measured mutations."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from copyfold.cli.options import QuietOption

app = typer.Typer(
    no_args_is_help=True,
    help="Tables of measured mutations: import, check, split. ΔΔG in kcal/mol, positive = destabilising.",
)

StructuresOption = Annotated[
    Path | None,
    typer.Option("--structures", metavar="DIR", help="Folder of PDB or mmCIF files named by protein (1abc.pdb.gz)."),
]


@app.command("import")
def import_(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="Kind of file; `copyfold ddg data list` has them.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file as it was downloaded.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="OUT.csv", help="Tidy table to write (.csv, .tsv, .gz).")],
    structures: StructuresOption = None,
    folder: Annotated[
        Path | None, typer.Option(metavar="DIR", help="proteingym: the folder of assays that the reference file names.")
    ] = None,
    sequence: Annotated[
        Path | None, typer.Option(metavar="FASTA", help="mavedb: the protein sequence that positions count in.")
    ] = None,
    positive: Annotated[
        str | None,
        typer.Option(metavar="destabilising|stabilising", help="table: what a positive value in the file means."),
    ] = None,
    unit: Annotated[str, typer.Option(metavar="kcal/mol|kJ/mol", help="table: the unit in the file.")] = "kcal/mol",
    quiet: QuietOption = False,
) -> None:
    """A published set, or your own table → one tidy table, every wild type checked against sequence or structure.

    Rows that contradict are never used: OUT.refused.tsv has them with row numbers, OUT.repeats.tsv what was measured
    more than once.

    Example: `copyfold ddg data import s669 Data_s669_with_predictions.csv --structures pdb/ --out s669.csv`
    """
    from copyfold.app.ddg_data import import_table, read_sequence
    from copyfold.core.console import Console
    from copyfold.ddg.importers.reading import ImportOptions
    from copyfold.errors import ConfigError

    for name, value, allowed in (
        ("positive", positive, (None, "destabilising", "stabilising")),
        ("unit", unit, ("kcal/mol", "kJ/mol")),
    ):
        if value not in allowed:
            raise ConfigError(f"--{name} {value}: must be {' or '.join(word for word in allowed if word)}")
    named = read_sequence(sequence) if sequence else (None, None)
    options = ImportOptions(positive, unit, folder, named[1], named[0])  # type: ignore[arg-type]
    import_table(source, file, out, structures, options, Console(quiet=quiet))
    print(out)


@app.command("list")
def list_(
    folder: Annotated[
        Path | None, typer.Option("--in", metavar="DIR", help="Folder of downloads to look into.")
    ] = None,
) -> None:
    """What can be imported: sign conventions, references, where each set is published.

    Example: `copyfold ddg data list`
    """
    from copyfold.app.ddg_data import describe_sources

    print(describe_sources(folder), end="")


@app.command()
def download(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="As `copyfold ddg data list` calls it.")],
    folder: Annotated[Path, typer.Option("--in", metavar="DIR", help="Folder to put the file in.")] = Path("downloads"),
    quiet: QuietOption = False,
) -> None:
    """Fetch a published set that is one file (needs the internet).

    Example: `copyfold ddg data download s2648 --in downloads`
    """
    from copyfold.app.ddg_data import download_source
    from copyfold.core.console import Console

    print(download_source(source, folder, Console(quiet=quiet)))


@app.command()
def verify(
    table: Annotated[Path, typer.Argument(metavar="TABLE", help="A tidy table.")],
    structures: StructuresOption = None,
    quiet: QuietOption = False,
) -> None:
    """Check every row of a tidy table; rows that contradict are printed, and the exit code is 2.

    Example: `copyfold ddg data verify s2648.csv --structures pdb/`
    """
    from copyfold.app.ddg_data import verify_table
    from copyfold.core.console import Console

    verify_table(table, structures, Console(quiet=quiet))


@app.command()
def split(
    table: Annotated[Path, typer.Argument(metavar="TABLE", help="A tidy table of ΔΔG.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder to make.")],
    by: Annotated[
        str, typer.Option(metavar="homology|random", help="`random` tears proteins apart: the documents' protocol.")
    ] = "homology",
    fractions: Annotated[
        str, typer.Option(help="Shares of train, validation and test (two numbers: train and test).")
    ] = "0.8,0.1,0.1",
    identity: Annotated[float, typer.Option(help="Proteins this identical are related (0 to 1).")] = 0.25,
    coverage: Annotated[float, typer.Option(help="… where the alignment covers this much of the shorter.")] = 0.5,
    away_from: Annotated[
        list[Path],
        typer.Option("--away-from", metavar="TEST.csv", help="Leave out relatives of these tables' proteins."),
    ] = [],  # noqa: B006
    seed: Annotated[int, typer.Option(help="Of the split.")] = 42,
    quiet: QuietOption = False,
) -> None:
    """Train, validation and test tables without related proteins on both sides, and the evidence for it.

    Example: `copyfold ddg data split s2648.csv --away-from s669.csv --out split/`
    """
    from copyfold.app.ddg_data import split_table
    from copyfold.core.console import Console
    from copyfold.errors import ConfigError

    if by not in ("homology", "random"):
        raise ConfigError(f"--by {by}: must be homology or random")
    try:
        shares = [float(part) for part in fractions.split(",")]
    except ValueError:
        raise ConfigError(f"--fractions {fractions}: must be two or three numbers, as 0.8,0.1,0.1") from None
    split_table(
        table,
        out,
        by=by,  # type: ignore[arg-type]
        fractions=shares,
        identity=identity,
        coverage=coverage,
        away_from=away_from,
        seed=seed,
        console=Console(quiet=quiet),
    )
    print(out)
