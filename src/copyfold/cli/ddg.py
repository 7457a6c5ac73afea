"""``copyfold ddg``: change of protein folding stability on mutation."""

from __future__ import annotations

import typer

from copyfold.cli import ddg_benchmark, ddg_data, ddg_latent, ddg_predict, ddg_train

app = typer.Typer(
    no_args_is_help=True,
    help="""Change of protein folding stability on mutation (ΔΔG, kcal/mol, positive = destabilising).

**Predict** with the model that ships: `scan` (every substitution), `predict` (yours), `benchmark`.

Example: `copyfold ddg scan --structure protein.pdb --out scan`

**Train your own**: `data`, then `train`, `refine`, `fuse`, and `explore` what they learned.

Try it without data: `copyfold ddg train all --quick --skip-wide --out /tmp/try`""",
)
app.add_typer(ddg_data.app, name="data")
app.command("train")(ddg_train.train)
app.command("refine")(ddg_train.refine)
app.command("fuse")(ddg_latent.fuse)
app.command("predict")(ddg_predict.predict)
app.command("scan")(ddg_predict.scan)
app.command("benchmark")(ddg_benchmark.benchmark)
app.command("explore")(ddg_latent.explore)
