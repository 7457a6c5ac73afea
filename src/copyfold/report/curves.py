"""Learning curves, of whatever was trained."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from copyfold.report.drawing import Drawing, Label, Line, Panel, Shape, axes, legend, number_text, padded_range

WIDTH = 940.0


def learning_curves(log: pd.DataFrame, best_epoch: int | None, terms: Sequence[str] = ()) -> Drawing:
    """Terms by epoch, training and validation together, up to four panels.

    Parameters
    ----------
    log : pandas.DataFrame
        ``epoch``, and columns ``train_<term>`` and ``val_<term>``; without such, each column has a panel.
    best_epoch : int or None
        Marked.
    terms : sequence of str
        What to show; none shows all there are, and the weights.
    """
    epochs = log["epoch"].to_numpy(dtype=np.float64)
    pairs = [name.removeprefix("val_") for name in log.columns if name.startswith("val_")]
    pairs = [name for name in terms if name in pairs] or pairs
    groups = [[f"train_{name}", f"val_{name}"] for name in pairs]
    if not terms:
        groups += [[name for name in log.columns if name.startswith("weight_")]]
    if not pairs:
        groups = [[name] for name in log.columns if name not in ("epoch", "seconds")]
    groups = [[name for name in group if name in log.columns] for group in groups]
    groups = [group for group in groups if group][:4]
    shapes: list[Shape] = []
    width = (WIDTH - 16) / len(groups)
    span = (float(epochs[0]), max(float(epochs[-1]), float(epochs[0]) + 1.0))
    said = []
    for i, group in enumerate(groups):
        values = log[group].to_numpy(dtype=np.float64)
        low, high = padded_range(values)
        panel = Panel(52 + i * width, 44, width - 68, 150, span, (min(0.0, low) if low < 0.2 * high else low, high))
        shapes += axes(panel, "epoch", "")
        title = "weights" if group[0].startswith("weight_") else group[0].removeprefix("train_").removeprefix("val_")
        shapes.append(Label(panel.left, 14, (title if pairs else group[0]).replace("_", " "), colour="ink", bold=True))
        for j, name in enumerate(group):
            kind, _, rest = name.partition("_")
            colour = {"train": "c0", "val": "c1"}.get(kind, f"c{j % 3}")
            shapes.append(Line(panel.points(epochs, values[:, j]), colour, 1.8))
            shown = {"train": "training", "val": "validation", "weight": rest}.get(kind, "") if pairs else ""
            shapes += legend(panel.left + 86 * j, 31, [(colour, shown)]) if shown else []
        if best_epoch and span[0] <= best_epoch <= span[1]:
            at = float(panel.x(best_epoch))
            shapes.append(Line(np.array([[at, panel.top], [at, panel.bottom]]), "c2", 1.2, dashed=True))
        said += [f"{name}: {number_text(values[0, j])} → {number_text(values[-1, j])}" for j, name in enumerate(group)]
    best = f" Best epoch {best_epoch} (dashed)." if best_epoch else ""
    return Drawing(WIDTH, 236, tuple(shapes), "Learning curves", f"First → last epoch: {'; '.join(said)}.{best}")
