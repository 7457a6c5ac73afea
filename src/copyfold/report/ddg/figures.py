"""Pictures of a stability scan: a heatmap, and a structure coloured by its residues' mean ΔΔG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from copyfold.core.files import atomic_path
from copyfold.ddg.sequences import AMINO_ACIDS

ROW_ORDER: Final = "GAVLIMPFWYSTCNQDEHKR"  # small, hydrophobic, aromatic, polar, charged
_LIMIT: Final = 4.0  # kcal/mol at which the colours end
_PER_ROW: Final = 100
_REMARKS: Final = (
    "B-FACTOR = MEAN PREDICTED DDG OF THE 19 SUBSTITUTIONS OF THE RESIDUE,",
    "KCAL/MOL, POSITIVE = DESTABILISING; 0.00 WHERE NOT PREDICTED.",
)


def write_heatmap(ddg: np.ndarray, sequence: str, labels: Sequence[str], title: str, folder: Path) -> None:
    """Write heatmap.svg and heatmap.png: amino acids down, residues across, `_PER_ROW` residues a panel.

    Parameters
    ----------
    ddg : numpy.ndarray, (n, 20)
        kcal/mol, by `AMINO_ACIDS`; NaN is left white, the wild type marked by a dot.
    sequence : str
    labels : sequence of str, n
        Residue numbers.
    title : str
    folder : Path
    """
    from matplotlib.figure import Figure

    rows = [AMINO_ACIDS.index(letter) for letter in ROW_ORDER]
    n_panels = max(1, -(-len(sequence) // _PER_ROW))
    width = 1.2 + 0.135 * min(_PER_ROW, max(len(sequence), 30))
    figure = Figure(figsize=(width, 0.6 + 3.3 * n_panels), layout="constrained")
    axes = figure.subplots(n_panels, 1, squeeze=False)[:, 0]
    for panel, axis in enumerate(axes):
        part = slice(panel * _PER_ROW, min((panel + 1) * _PER_ROW, len(sequence)))
        shown = np.full((20, _PER_ROW if n_panels > 1 else len(sequence)), np.nan)
        shown[:, : part.stop - part.start] = ddg[part][:, rows].T
        image = axis.imshow(shown, cmap="RdBu_r", vmin=-_LIMIT, vmax=_LIMIT, aspect="auto", interpolation="nearest")
        places = [
            (column, ROW_ORDER.index(letter)) for column, letter in enumerate(sequence[part]) if letter in ROW_ORDER
        ]
        axis.plot(*zip(*places, strict=True), ".", color="0.35", markersize=2.5) if places else None
        ticks = np.arange(0, part.stop - part.start, 10)
        axis.set_xticks(ticks, [f"{sequence[part][tick]}{labels[part.start + tick]}" for tick in ticks], fontsize=7)
        axis.set_yticks(range(20), list(ROW_ORDER), fontsize=6)
        axis.set_ylabel("mutant", fontsize=8)
    figure.colorbar(image, ax=list(axes), label="ΔΔG, kcal/mol (red = destabilising)", shrink=min(1.0, 1.5 / n_panels))
    figure.suptitle(f"Predicted ΔΔG of every substitution: {title} (dot = wild type)", fontsize=10)
    _save(figure, folder, "heatmap")


def write_assays(ddg: np.ndarray, labels: Sequence[str], assays: Mapping[str, np.ndarray], folder: Path) -> None:
    """Write dms.svg and dms.png: of each assay its scores against ΔΔG, and both along the chain.

    Parameters
    ----------
    ddg : numpy.ndarray, (n, 20)
        kcal/mol, positive = destabilising; NaN where there is none.
    labels : sequence of str, n
        Residue numbers.
    assays : mapping of str to numpy.ndarray, (n, 20)
        Scores by name, higher = fitter; NaN where there is none.
    folder : Path
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 0.4 + 3.2 * len(assays)), layout="constrained")
    panels = figure.subplots(len(assays), 2, squeeze=False, width_ratios=[1, 2.6])
    ticks = np.arange(0, len(labels), max(1, len(labels) // 12))
    for (left, right), (name, scores) in zip(panels, assays.items(), strict=True):
        both = np.isfinite(ddg) & np.isfinite(scores)
        left.hexbin(ddg[both], scores[both], gridsize=35, mincnt=1, bins="log", cmap="Greys", linewidths=0.1)
        left.set_xlabel("predicted ΔΔG, kcal/mol", fontsize=8)
        left.set_ylabel("score", fontsize=8)
        left.set_title(name, fontsize=9)
        some = both.any(axis=1)
        count = np.maximum(both.sum(axis=1), 1)
        for axis, values, colour, label in (
            (right, ddg, "tab:red", "ΔΔG, kcal/mol"),
            (right.twinx(), scores, "tab:blue", "score (turned over)"),
        ):
            means = np.where(some, np.where(both, values, 0.0).sum(axis=1) / count, np.nan)
            axis.plot(means, color=colour, linewidth=0.9)
            axis.set_ylabel(label, fontsize=8, color=colour)
        axis.invert_yaxis()
        right.set_xticks(ticks, [labels[tick] for tick in ticks], fontsize=7)
        right.set_xlabel("residue; means over its measured substitutions", fontsize=8)
    _save(figure, folder, "dms")


def coloured_pdb(atoms: Any, site_means: np.ndarray) -> str:
    """A chain in PDB format with each residue's mean ΔΔG in the B-factor column.

    Parameters
    ----------
    atoms : biotite.structure.AtomArray
        Of `copyfold.ddg.structures.read_chain_atoms`.
    site_means : numpy.ndarray, (n,)
        kcal/mol, positive = destabilising; 0 is written where NaN.
    """
    from biotite.structure.io.pdb import PDBFile

    coloured = atoms.copy()
    coloured.b_factor = np.nan_to_num(site_means)[atoms.res_index].astype(np.float32)
    coloured.chain_id = np.array([(name or "A")[0] for name in atoms.chain_id])  # the format has one letter
    file = PDBFile()
    file.set_structure(coloured)
    remarks = "".join(f"REMARK   1 {line}\n" for line in _REMARKS)
    return remarks + str(file) + "\nEND\n"


def write_comparison(intervals: Mapping[str, Mapping[str, float]], quantity: str, title: str, folder: Path) -> None:
    """Write benchmark.svg and benchmark.png: each method's correlation with its 95 % interval, best on top.

    Parameters
    ----------
    intervals : mapping of str to mapping
        By method `value`, `low`, `high`.
    quantity : str
        What these are.
    title : str
    folder : Path
    """
    from matplotlib.figure import Figure

    methods = sorted(intervals, key=lambda method: intervals[method]["value"])
    figure = Figure(figsize=(6.5, 1.2 + 0.24 * len(methods)), layout="constrained")
    axis = figure.subplots()
    for place, method in enumerate(methods):
        one = intervals[method]
        colour = "tab:red" if method.startswith("copyfold") else "0.35"
        axis.plot([one["low"], one["high"]], [place, place], color=colour, linewidth=1.2)
        axis.plot(one["value"], place, "o", color=colour, markersize=4)
    axis.set_yticks(range(len(methods)), methods, fontsize=8)
    axis.set_xlabel(quantity, fontsize=8)
    axis.set_title(title, fontsize=10)
    axis.grid(axis="x", alpha=0.3)
    _save(figure, folder, "benchmark")


def _save(figure: Any, folder: Path, name: str) -> None:
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    with mpl.rc_context({"svg.hashsalt": "copyfold", "svg.fonttype": "none"}):
        for canvas, ending, options in (
            (FigureCanvasSVG, "svg", {"metadata": {"Date": None}}),
            (FigureCanvasAgg, "png", {"dpi": 150}),
        ):
            with atomic_path(folder / f"{name}.{ending}") as partial:
                canvas(figure).print_figure(partial, format=ending, **options)
