"""The main job on a cohort made for it, so that a newcomer sees every artefact within minutes."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from copyfold.app.cnv_run import train_run
from copyfold.app.simulate import simulate_cohort
from copyfold.cnv.call_tables import read_calls
from copyfold.core.console import Console
from copyfold.core.files import read_json
from copyfold.errors import RunError

DEMO_SEED = 42


def run_demo(out: Path, isolates: int, console: Console) -> str:
    """Simulate, train, call, evaluate in `out`; the summary to print.

    An `out` that holds a demo continues; anything else in it is refused.
    """
    if not (out / "config.yaml").exists():
        simulate_cohort(out, isolates, "easy", None, DEMO_SEED, console)
    elif not (out / "settings.yaml").exists():
        raise RunError(f"{out}: holds no demo; choose another folder with --out")
    train_run(out / "config.yaml", (), resume=True, device="cpu", console=console)
    return summarise_demo(out)


def summarise_demo(out: Path) -> str:
    """Calls against truth in two short tables, and what to open."""
    run = out / "run"
    calls = read_calls(run / "gene_calls.tsv").merge(
        pd.read_csv(out / "truth" / "genes.tsv", sep="\t"), on="sample_id", suffixes=("", "_true")
    )
    metrics = read_json(run / "metrics.json")
    lines = [
        "",
        "Calls against truth",
        f"{'gene':<16}{'event':<11}{'MCC':>6}{'FNR':>6}{'PPV':>6}{'isolates':>10}",
    ]
    for row in metrics["overall"]:
        cells = "".join(f"{_shown(row[name]['value']):>6}" for name in ("mcc", "fnr", "ppv"))
        event = "amplified" if row["mode"] == "amp" else "present"
        lines.append(f"{row['gene']:<16}{event:<11}{cells}{row['n_eval']:>10}")
    lines += [
        "",
        "blaSHV, the isolates with most copies",
        f"{'isolate':<14}{'true':>7}{'CRR':>7}{'called':>8}",
    ]
    for _, row in calls.nlargest(8, "blaSHV_true").iterrows():
        lines.append(f"{row['sample_id']:<14}{row['blaSHV_true']:>7.2f}{row['crr_blaSHV']:>7.2f}{row['blaSHV']:>8}")
    report = run / "report.html"
    shown = report if report.exists() else run / "evaluation.txt"
    lines += ["", f"Gene calls:  {run / 'gene_calls.tsv'}", f"Open this:   {shown}"]
    return "\n".join(lines)


def _shown(value: float | None) -> str:
    return "N/A" if value is None else f"{value:.2f}"
