"""``copyfold ddg``: change of protein folding stability on mutation."""

from __future__ import annotations

import typer

from copyfold.cli import ddg_data, ddg_latent, ddg_train

app = typer.Typer(no_args_is_help=True, help="Change of protein folding stability (ΔΔG, kcal/mol, + = destabilising).")
app.add_typer(ddg_data.app, name="data")
app.command("train")(ddg_train.train)
app.command("refine")(ddg_train.refine)
app.command("fuse")(ddg_latent.fuse)
