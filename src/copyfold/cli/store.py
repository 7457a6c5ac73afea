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
    plasmid_out: Annotated[
        Path | None,
        typer.Option(help="From counts of `cnv count`: plasmid store to make beside, a column per plasmid gene."),
    ] = None,
    onto: Annotated[
        Path | None,
        typer.Option(
            metavar="STORE", help="From counts of `cnv count`: take this store's samples over and add to them."
        ),
    ] = None,
    plasmid_onto: Annotated[Path | None, typer.Option(metavar="STORE", help="The same for the plasmid store.")] = None,
    keep_flagged: Annotated[
        bool, typer.Option("--keep-flagged", help="Take samples that `cnv count` flagged as another species, too.")
    ] = False,
    from_: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="What wrote the tables: `copyfold` (`cnv count`; told by the first file), `gatk` (CollectReadCounts "
            "TSV; the default otherwise), `mosdepth` (regions.bed.gz), `bedcov` "
            "(samtools), `breseq` (coverage.tab, bam2cov TSV; CNery's input), `cnvrock` (a published store).",
        ),
    ] = None,
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
    """Gather per-sample counts into a store, or into two: chromosome and plasmid genes.

    From `cnv count`: `copyfold cnv store build counts/ -o chromosome --plasmid-out plasmid`

    New samples later: `copyfold cnv store build new/ -o all --onto chromosome`

    From GATK's counts at MAPQ ≥ 20: `copyfold cnv store build counts_mq20/ -o chromosome`; plasmid genes at MAPQ ≥ 0:
    `copyfold cnv store build counts_mq0/ -o plasmid --genes plasmid_gene_coords.tsv`

    From mosdepth: `copyfold cnv store build depth/ --from mosdepth --read-length 150 -o chromosome`
    """
    from copyfold.cnv.counting.sample_file import holds_counts_files
    from copyfold.core.console import Console
    from copyfold.errors import ConfigError

    own_only = {"--plasmid-out": plasmid_out, "--onto": onto, "--plasmid-onto": plasmid_onto}
    if from_ == "copyfold" or (from_ is None and holds_counts_files(inputs)):
        if contig or genes or read_length or columns:
            raise ConfigError(
                "--contig, --genes, --read-length and --columns are for other tools' tables; leave them out"
            )
        from copyfold.app.count_stores import build_from_counts

        build_from_counts(
            inputs,
            out,
            plasmid_out,
            Console(quiet=quiet),
            onto=onto,
            plasmid_onto=plasmid_onto,
            keep_flagged=keep_flagged,
            skip_bad=skip_bad,
        )
    else:
        given = [option for option, value in own_only.items() if value is not None]
        if given:
            raise ConfigError(f"{given[0]} is for counts of `copyfold cnv count`; make the plasmid store with --genes")
        from copyfold.app.stores import build_store
        from copyfold.cnv.importers import ImportSettings

        settings = ImportSettings(read_length, columns, bin_size)
        build_store(
            inputs, out, from_ or "gatk", contig, genes, Console(quiet=quiet), settings=settings, skip_bad=skip_bad
        )
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
    """Say what a store holds.

    Example: `copyfold cnv store info chromosome`
    """
    from copyfold.app.store_checks import describe_store

    print(describe_store(store))


@app.command()
def validate(store: StoreArgument) -> None:
    """Read digests and values again; say that all is well, or what is wrong (exit code 2).

    Example: `copyfold cnv store validate chromosome`
    """
    from copyfold.app.store_checks import validate_store
    from copyfold.core.console import Console

    print(validate_store(store, Console()))
