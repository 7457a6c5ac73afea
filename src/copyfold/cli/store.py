"""``copyfold cnv store``: count stores, built, joined, checked."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from copyfold.cli.options import QuietOption

app = typer.Typer(no_args_is_help=True, help="Count stores: build, join, look at and check them.")

StoreArgument = Annotated[Path, typer.Argument(metavar="STORE", help="Folder of a store.")]


@app.command()
def build(
    inputs: Annotated[
        list[Path],
        typer.Argument(metavar="INPUT…", help="Count tables, or folders that hold them; for cnvrock one store."),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Store to make; must not exist.")],
    from_: Annotated[
        str,
        typer.Option(
            "--from",
            help="What wrote the tables: `gatk` (CollectReadCounts TSV), `mosdepth` (regions.bed.gz), `bedcov` "
            "(samtools), `breseq` (coverage.tab, bam2cov TSV; CNery's input), `cnvrock` (a published store).",
        ),
    ] = "gatk",
    contig: Annotated[
        list[str],
        typer.Option(help="Contigs to keep, repeated for more; default: the longest. An alias of a contig will do."),
    ] = [],  # noqa: B006
    genes: Annotated[
        Path | None,
        typer.Option(metavar="TSV", help="Make a plasmid store: one column per gene of this coordinates table."),
    ] = None,
    read_length: Annotated[
        float | None,
        typer.Option(metavar="BP", help="Mean length of the reads; turns depth (mosdepth, bedcov, breseq) into reads."),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(help="cnvrock: `mean` (default) or `sum` over bins; bedcov: `sum` of bases (default) or `reads`."),
    ] = None,
    bin_size: Annotated[
        int, typer.Option(min=1, metavar="BP", help="Bins for breseq's bases; bins of a cnvrock store of sums.")
    ] = 1000,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave bad tables out (listed in STORE/skipped.tsv) instead of stopping.")
    ] = False,
    quiet: QuietOption = False,
) -> None:
    """Gather per-sample tables into one store.

    Chromosome, from counts at MAPQ ≥ 20: `copyfold cnv store build counts_mq20/ -o chromosome`

    Plasmid genes, from counts at MAPQ ≥ 0:
    `copyfold cnv store build counts_mq0/ -o plasmid --genes plasmid_gene_coords.tsv`

    From mosdepth: `copyfold cnv store build depth/ --from mosdepth --read-length 150 -o chromosome`
    """
    from copyfold.app.stores import build_store
    from copyfold.cnv.importers import ImportSettings
    from copyfold.core.console import Console

    settings = ImportSettings(read_length, columns, bin_size)
    build_store(inputs, out, from_, contig, genes, Console(quiet=quiet), settings=settings, skip_bad=skip_bad)
    print(out)


@app.command()
def merge(
    stores: Annotated[list[Path], typer.Argument(metavar="STORE STORE…", help="Stores of the same columns.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Store to make; must not exist.")],
    quiet: QuietOption = False,
) -> None:
    """Join stores of the same bins or genes; a sample may be in one of them only.

    Example: `copyfold cnv store merge batch1 batch2 -o cohort`
    """
    from copyfold.app.stores import merge_stores
    from copyfold.core.console import Console

    merge_stores(stores, out, Console(quiet=quiet))
    print(out)


@app.command()
def info(store: StoreArgument) -> None:
    """Say what a store holds."""
    from copyfold.app.stores import describe_store

    print(describe_store(store))


@app.command()
def validate(store: StoreArgument) -> None:
    """Read digests and values again; say that all is well, or what is wrong (exit code 2)."""
    from copyfold.app.stores import validate_store
    from copyfold.core.console import Console

    print(validate_store(store, Console()))
