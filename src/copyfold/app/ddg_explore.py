"""``copyfold ddg explore``: what the latent of a trained specialist holds, as tables, plots and a page."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from copyfold.app.ddg_refine import SpecialistRun, read_specialist_run
from copyfold.app.ddg_results import SIMULATED_NOTE
from copyfold.core.console import Console, format_seconds
from copyfold.core.files import atomic_folder, check_vacant, write_bytes, write_json, write_text
from copyfold.ddg.evaluation import as_json
from copyfold.ddg.explore.findings import Explored, Findings, contrasting_pairs, explore_latent
from copyfold.ddg.explore.lasting import Agreement, cluster_agreement, pair_agreement, rank_agreement
from copyfold.ddg.mutations import parse_mutation
from copyfold.ddg.sequences import encode_sequence
from copyfold.engine import DeterministicConfig
from copyfold.errors import ConfigError, InputError
from copyfold.report.ddg.explore import draw_direction, draw_map, draw_paths, explore_page
from copyfold.report.page import render_page
from copyfold.report.pictures import png_of, svg_of

EXPLORE_FORMAT = "copyfold-ddg-explore/1"
_PATHS = 3
_FEWEST_UNSEEN = 20
_CLOSEST = 200
"""Closest unexpected pairs that are compared between runs."""


def explore_runs(
    runs: Sequence[Path], out: Path, *, paths: Sequence[str], permutations: int, seed: int, console: Console
) -> Path:
    """Explore the first run; the others, trained with other seeds on the same rows, say what lasts. Returns `out`.

    Parameters
    ----------
    runs : sequence of Path
        Folders of one kind of specialist.
    out : Path
        New or empty folder.
    paths : sequence of str
        ``protein:mutation,protein:mutation``; none takes contrasting pairs.
    permutations : int
    seed : int

    Raises
    ------
    CopyfoldError
        Not such runs, other rows, an unknown mutation, too few rows that were not trained on, or a folder in use.
    """
    check_vacant(out)
    torch.set_num_threads(min(2, torch.get_num_threads()))
    DeterministicConfig(seed).apply()
    started = time.perf_counter()
    specialists = [read_specialist_run(path) for path in runs]
    _check_alike(runs, specialists)
    rows = [_explored(path, run) for path, run in zip(runs, specialists, strict=True)]
    pairs = [_rows_named(text, specialists[0]) for text in paths] or contrasting_pairs(rows[0], _PATHS)
    findings: list[Findings] = []
    for number, (run, own) in enumerate(zip(specialists, rows, strict=True)):
        console.say(f"{runs[number]}: {len(own.unseen)} of {len(own.target)} mutations were not trained on")
        findings.append(explore_latent(run.module, own, pairs, permutations=permutations, seed=seed))
    lasting = _lasting(findings)
    summary = _summary(runs, specialists[0], rows[0], findings, lasting)
    tables = _tables(specialists[0], rows[0], findings[0])
    drawings = {
        "direction": draw_direction(rows[0].target[rows[0].unseen], findings[0].direction),
        "map": draw_map(findings[0].latents, rows[0].target, findings[0].clustering.labels),
        "paths": draw_paths(findings[0].paths),
    }
    page = render_page(explore_page(summary, tables, drawings))
    head = f"# {EXPLORE_FORMAT}\n# values: {specialists[0].spec.target}\n"
    head += f"# {SIMULATED_NOTE}\n" if specialists[0].spec.simulated else ""
    with atomic_folder(out) as folder:
        for name, table in tables.items():
            text = table.to_csv(sep="\t", index=False, float_format="%.6g", lineterminator="\n")
            write_text(folder / f"{name}.tsv", head + text)
        for name, drawing in drawings.items():
            write_text(folder / f"{name}.svg", svg_of(drawing, alone=True))
            write_bytes(folder / f"{name}.png", png_of(drawing))
        write_json(folder / "explore.json", summary)
        write_text(folder / "explore.html", page)
    _say(summary, console)
    console.say(f"explored in {format_seconds(time.perf_counter() - started)}; open {out / 'explore.html'}")
    return out


def _check_alike(paths: Sequence[Path], runs: Sequence[SpecialistRun]) -> None:
    for path, run in zip(paths[1:], runs[1:], strict=True):
        if run.spec.variant != runs[0].spec.variant or run.spec.feature_set != runs[0].spec.feature_set:
            raise ConfigError(
                f"{path}: another specialist or other features than {paths[0]}; compare seeds of one kind"
            )
        if not run.rows.names.equals(runs[0].rows.names):
            raise ConfigError(
                f"{path}: has other rows than {paths[0]}; train on the same data and change the seed alone "
                "(`--set seed=43`), without max_rows"
            )


def _explored(path: Path, run: SpecialistRun) -> Explored:
    unseen = np.setdiff1d(np.arange(len(run.rows.names)), run.rows.split.train)
    if len(unseen) < _FEWEST_UNSEEN:
        raise InputError(
            f"{path}: {len(unseen)} rows were not trained on, and {_FEWEST_UNSEEN} are needed; train with a larger "
            "val_fraction or test_fraction"
        )
    mutations = [parse_mutation(text)[0] for text in run.rows.names["mutation"]]
    proteins = run.rows.names["protein"].to_numpy(str)
    sites = [
        f"{protein} {one.wild_type}{one.position}{one.insertion_code}"
        for protein, one in zip(proteins, mutations, strict=True)
    ]
    return Explored(
        features=run.features,
        target=run.rows.values,
        families=run.rows.clusters,
        proteins=proteins,
        sites=np.array(sites),
        wild_type=encode_sequence("".join(one.wild_type for one in mutations)),
        mutant=encode_sequence("".join(one.mutant for one in mutations)),
        unseen=unseen,
        feature_set=run.spec.feature_set,
    )


def _rows_named(text: str, run: SpecialistRun) -> tuple[int, int]:
    """The two rows of ``protein:mutation,protein:mutation``."""
    ends = text.split(",")
    if len(ends) != 2 or not all(":" in end for end in ends):
        raise ConfigError(f"--path {text}: must be two mutations of the run, as 1abc:A42V,1abc:L50P")
    found = []
    for end in ends:
        protein, _, mutation = end.strip().partition(":")
        names = run.rows.names
        rows = np.flatnonzero(((names["protein"] == protein) & (names["mutation"] == mutation)).to_numpy())
        if not len(rows):
            raise InputError(
                f"--path {text}: the run has no mutation {mutation} of {protein}; predictions.csv lists all"
            )
        found.append(int(rows[0]))
    if found[0] == found[1]:
        raise ConfigError(f"--path {text}: both ends are one mutation")
    return found[0], found[1]


def _lasting(findings: Sequence[Findings]) -> dict[str, Agreement]:
    """Agreement of each finding between runs, on all rows."""
    closest = []
    for one in findings:
        pairs = one.neighbours[["row", "neighbour"]].head(_CLOSEST).to_numpy(int)
        closest.append({(int(low), int(high)) for low, high in np.sort(pairs, axis=1)})
    positions = [one.positions.set_index("site")["mean_ddg"].sort_index().to_numpy() for one in findings]
    paths = [np.concatenate([pair.predicted[1] for pair in one.paths] or [np.zeros(1)]) for one in findings]
    return {
        "direction": rank_agreement([one.along for one in findings]),
        "paths": rank_agreement(paths),
        "clusters": cluster_agreement([one.clustering.labels for one in findings]),
        "neighbours": pair_agreement(closest, len(findings[0].latents)),
        "positions": rank_agreement(positions),
    }


def _summary(
    paths: Sequence[Path],
    run: SpecialistRun,
    rows: Explored,
    findings: Sequence[Findings],
    lasting: dict[str, Agreement],
) -> dict[str, Any]:
    """``explore.json``."""
    first = findings[0]
    direction = first.direction
    explained = [one.direction.explained for one in findings]
    content = {
        "format": EXPLORE_FORMAT,
        "runs": [str(path) for path in paths],
        "variant": run.spec.variant,
        "target": run.spec.target,
        "simulated": run.spec.simulated,
        "n": len(rows.target),
        "n_unseen": len(rows.unseen),
        "n_families_unseen": len(np.unique(rows.families[rows.unseen])),
        "note": "explained, p values and neighbours are of rows that were not trained on; of these the validation rows "
        "chose the epoch",
        "direction": {
            "explained": direction.explained,
            "explained_in_sample": direction.explained_in_sample,
            "explained_by_run": explained,
            "slope": direction.slope,
            "latent_share": direction.latent_share,
            "folds_cosine": direction.folds_cosine,
            "vector": direction.vector.tolist(),
        },
        "clusters": {
            "number": int(first.clustering.labels.max()) + 1,
            "silhouettes": {str(number): value for number, value in first.clustering.silhouettes.items()},
            "share": first.cluster_test.share,
            "expected": first.cluster_test.expected,
            "p_value": first.cluster_test.p_value,
            "p_value_by_run": [one.cluster_test.p_value for one in findings],
            "n_permutations": first.cluster_test.n_permutations,
        },
        "neighbours": first.agreement._asdict() | {"p_value_by_run": [one.agreement.p_value for one in findings]},
        "paths": [
            {
                "start": rows.sites[pair.start],
                "end": rows.sites[pair.end],
                "straight_length": pair.straight.length,
                "geodesic_length": pair.geodesic.length,
            }
            for pair in first.paths
        ],
        "lasting": {name: asdict(agreement) for name, agreement in lasting.items()},
    }
    return _plain(as_json(content))


def _plain(value: Any) -> Any:
    """JSON without NaN and numpy's scalars, at any depth."""
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value


def _tables(run: SpecialistRun, rows: Explored, found: Findings) -> dict[str, pd.DataFrame]:
    """The TSV files by name."""
    names = run.rows.names[["protein", "mutation"]].reset_index(drop=True)
    with torch.no_grad():
        predicted = run.module(torch.from_numpy(rows.features)).numpy()
    members = names.assign(
        not_trained_on=np.isin(np.arange(len(names)), rows.unseen),
        measured=rows.target,
        predicted=predicted,
        along_direction=found.along,
        cluster=found.clustering.labels + 1,
    )
    labels, test = found.clustering.labels, found.cluster_test
    clusters = pd.DataFrame(
        {
            "cluster": np.arange(1, labels.max() + 2),
            "size": np.bincount(labels),
            "mean_measured": pd.Series(rows.target).groupby(labels).mean().to_numpy(),
            "n_tested": np.bincount(labels[rows.unseen], minlength=labels.max() + 1),
            "from_protein_mean": test.means,
            "adjusted_p": test.adjusted_p,
        }
    )
    steps = []
    for number, pair in enumerate(found.paths, 1):
        for kind, predictions, nearest in zip(("straight", "geodesic"), pair.predicted, pair.nearest, strict=True):
            steps.append(
                names.iloc[nearest]
                .add_prefix("nearest_")
                .assign(path=number, kind=kind, share=np.linspace(0, 1, len(nearest)), predicted=predictions)
            )
    columns = ["path", "kind", "share", "predicted", "nearest_protein", "nearest_mutation"]
    near = found.neighbours
    one, other = names.iloc[near["row"]].reset_index(drop=True), names.iloc[near["neighbour"]].reset_index(drop=True)
    pairs = one.join(other.add_prefix("neighbour_")).assign(
        distance=near["distance"],
        closeness=near["closeness"],
        measured=rows.target[near["row"]],
        neighbour_measured=rows.target[near["neighbour"]],
    )
    order = ["site", "mean_ddg", "largest_ddg", "worst", "spread", "mean_gradient", "n_measured", "mean_measured"]
    return {
        "members": members,
        "direction_features": found.direction_features,
        "paths": pd.concat(steps, ignore_index=True)[columns] if steps else pd.DataFrame(columns=columns),
        "clusters": clusters,
        "cluster_marks": found.marks.assign(cluster=found.marks["cluster"] + 1),
        "neighbours": pairs,
        "positions": found.positions[order].rename(columns={"mean_ddg": "mean_predicted", "largest_ddg": "largest"}),
    }


def _say(summary: dict[str, Any], console: Console) -> None:
    direction, clusters, near = summary["direction"], summary["clusters"], summary["neighbours"]
    explained = direction["explained"]
    console.say(
        f"direction: explains {'n/a' if explained is None else f'{explained:.0%}'} of the variance in families "
        f"left out ({direction['explained_in_sample']:.0%} in sample)"
    )
    console.say(
        f"clusters: {clusters['number']}; {clusters['share']:.1%} of the variance within proteins lies between them, "
        f"{clusters['expected']:.1%} by chance (p {clusters['p_value']:.3g})"
    )
    if near["n"]:
        console.say(
            f"neighbours across families with other letters: {near['difference']:.2f} apart in measured value, "
            f"{near['expected']:.2f} by chance (p {near['p_value']:.3g}, {near['n']} pairs)"
        )
    if len(summary["runs"]) > 1:
        lasting = ", ".join(f"{name} {one['mean']:.2f}" for name, one in summary["lasting"].items())
        console.say(f"agreement between runs: {lasting}")
    else:
        console.say("a single run: give more, trained with other seeds, to see which findings last")
