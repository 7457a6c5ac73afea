"""Dosage of a gene beside the stability of its allele, as a drawing."""

from __future__ import annotations

import numpy as np
import pandas as pd

from copyfold.report.drawing import Dots, Drawing, Label, Line, Panel, Shape, axes, legend, padded_range

_COLOURS = ("c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7")


def draw_dosage_and_stability(joined: pd.DataFrame) -> Drawing:
    """A dot for each isolate and allele; a vertical line of one σ either way.

    Parameters
    ----------
    joined : pandas.DataFrame
        `gene`, `allele`, `dosage`, `ddg_kcal_mol`, `sigma_kcal_mol`; rows without a value are not drawn.
    """
    shown = joined[joined["dosage"].notna() & joined["ddg_kcal_mol"].notna()]
    low, high = shown["ddg_kcal_mol"] - shown["sigma_kcal_mol"], shown["ddg_kcal_mol"] + shown["sigma_kcal_mol"]
    panel = Panel(
        70, 50, 640, 360, padded_range(np.append(shown["dosage"], [0, 1])), padded_range(np.append([*low, *high], 0.0))
    )
    shapes: list[Shape] = axes(panel, "dosage (CRR or PCN)", "ΔΔG of the allele, kcal/mol, + = destabilising")
    genes = list(dict.fromkeys(shown["gene"]))
    for number, gene in enumerate(genes):
        rows = shown[shown["gene"] == gene]
        x, y = panel.x(rows["dosage"].to_numpy(float)), panel.y(rows["ddg_kcal_mol"].to_numpy(float))
        bars = np.full((3 * len(rows), 2), np.nan)
        bars[0::3] = np.column_stack([x, panel.y(low[rows.index].to_numpy(float))])
        bars[1::3] = np.column_stack([x, panel.y(high[rows.index].to_numpy(float))])
        shapes.append(Line(bars, "pale", 1.0))
        shapes.append(Dots(np.column_stack([x, y]), _COLOURS[number % len(_COLOURS)], 3.5, 0.7))
    for allele, rows in shown.groupby("allele"):
        at = rows.iloc[int(rows["dosage"].to_numpy(float).argmax())]
        shapes.append(Label(float(panel.x(at["dosage"])) + 6, float(panel.y(at["ddg_kcal_mol"])) - 6, str(allele)))
    shapes += legend(70, 20, [(_COLOURS[number % len(_COLOURS)], gene) for number, gene in enumerate(genes)])
    said = f"{len(shown)} of {len(joined)} rows have dosage and stability."
    return Drawing(760, 470, tuple(shapes), "Dosage and stability", said)
