"""``copyfold config``: write, check and explain configurations."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from copyfold.cli.options import SetOption

app = typer.Typer(no_args_is_help=True, help="Configurations: write one, check one, list the keys.")


@app.command()
def check(
    config: Annotated[Path, typer.Argument(metavar="CONFIG.yaml", help="Configuration; `config init` writes one.")],
    set_: SetOption = [],  # noqa: B006 -- typer reads the default, nobody changes it
) -> None:
    """Check a configuration and that its inputs exist; print every key with its value.

    Example: `copyfold config check config.yaml --set store_path=my/store`
    """
    from copyfold.app.configs import describe_config

    print(describe_config(config, set_))


@app.command()
def schema(
    name: Annotated[str, typer.Argument(help="`cnv` is a copy-number run, `ddg` a stability specialist.")] = "cnv",
    json: Annotated[bool, typer.Option("--json", help="JSON Schema, for editors and programs.")] = False,
) -> None:
    """List every key with type, default and meaning.

    Example: `copyfold config schema ddg`
    """
    from copyfold.app.configs import describe_schema

    print(describe_schema(name, as_json=json))


@app.command()
def init(
    name: Annotated[
        str,
        typer.Argument(
            help="`cnv`: a copy-number run; `cnv_documents`: the documents' design; `ddg`: a stability specialist; "
            "`simulate_easy`, `simulate_hard`: settings of `cnv simulate`."
        ),
    ] = "cnv",
    out: Annotated[Path, typer.Option("--out", "-o", help="File to make; must not exist.")] = Path("config.yaml"),
) -> None:
    """Write a commented configuration to start from.

    Example: `copyfold config init cnv -o my/config.yaml`
    """
    from copyfold.app.configs import write_preset

    write_preset(name, out)
    print(out)
