"""The stability document's table of results, row by row: its protocol on true data, and the same on unseen proteins.

    python benchmarks/ddg_document_table.py run DATA OUT [TASK …]
    python benchmarks/ddg_document_table.py table OUT

DATA is the folder with sets/, structures/ and proteingym/. A task trains five times, seeds 42 to 46, and leaves a file
for each in OUT; what is there is not made again. docs/benchmarks/ddg-document.md holds what `table` prints.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from common import machine, print_table
from copyfold.core.files import read_json, write_json
from copyfold.core.seeding import derive_generator
from copyfold.ddg.datasets import MutationSet, mutation_set, on_common_scale
from copyfold.ddg.evaluation import cluster_bootstrap, regression_metrics
from copyfold.ddg.models.ddgvae import DDGVAE
from copyfold.ddg.models.variants import VARIANTS
from copyfold.ddg.specialists import DDG_TARGET, load_specialist, specialist_facts
from copyfold.ddg.splits import cluster_split, homology_clusters, random_split, related_to
from copyfold.ddg.training import SpecialistSettings, Split, predict, refiner_inputs, train_refiner, train_specialist
from copyfold.engine import DeterministicConfig
from ddg_tables import fitness_table, stability_table

SEEDS = (42, 43, 44, 45, 46)
REFINERS = ("mlp", "transformer")


def fit(
    variant: str,
    data: MutationSet,
    split: Split,
    seed: int,
    *,
    refiners: bool = False,
    target: np.ndarray | None = None,
    folder: Path | None = None,
) -> dict[str, Any]:
    """Train a specialist, and refiners on it; predictions of all rows, and the best Spearman over epochs."""
    DeterministicConfig(seed).apply()
    feature_set = VARIANTS[variant].feature_set(use_hyperbolic=False)
    features = data.features(feature_set)
    values = data.target if target is None else target
    settings = SpecialistSettings.of_variant(variant, seed=seed)
    facts = specialist_facts(variant, feature_set, DDG_TARGET, simulated=False)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        module, result = train_specialist(features, values, split, settings, folder or Path(scratch), about=facts)
    found = {variant: _outcome(result.rows, result.best_epoch, predict(module, features))}
    for kind in REFINERS if refiners else ():
        found[kind] = fit_refiner(kind, module, features, values, split, seed)
    print(f"  seed {seed}: {time.perf_counter() - started:.0f} s", flush=True)
    return found


def fit_refiner(
    kind: str, module: DDGVAE, features: np.ndarray, target: np.ndarray, split: Split, seed: int
) -> dict[str, Any]:
    """Train a refiner; as `fit`, and the weight of its correction."""
    with tempfile.TemporaryDirectory() as folder:
        refiner, result = train_refiner(kind, module, features, target, split, Path(folder), seed=seed)
    inputs = refiner_inputs(module, features, target)
    with torch.no_grad():
        predicted = refiner(inputs[:, :-2], inputs[:, -2]).numpy()
    weight = float(refiner.residual_weight.detach())
    return _outcome(result.rows, result.best_epoch, predicted) | {"weight": weight}


def _outcome(rows: list[dict[str, float]], best_epoch: int, predicted: np.ndarray) -> dict[str, Any]:
    seen = [row["val_spearman"] for row in rows]
    return {
        "best_val_spearman": float(np.nanmax(seen)),  # what the document reports: the largest over the epochs
        "val_spearman": seen[best_epoch],
        "epochs": len(rows),
        "predicted": predicted,
    }


def spearman(true: np.ndarray, predicted: np.ndarray) -> float:
    return regression_metrics(true, predicted).spearman


def document_protocol(variant: str, data: MutationSet, n_rows: int, seed: int, *, refiners: bool) -> dict[str, Any]:
    """`n_rows` rows at random, 80 % train and 20 % choose the epoch and are reported; the other rows choose nothing."""
    rows = np.sort(derive_generator(seed, "document rows").choice(len(data), n_rows, replace=False))
    parts = random_split(n_rows, (0.8, 0.2), seed=seed)
    unseen = np.setdiff1d(np.arange(len(data)), rows)
    split = Split(rows[parts == "train"], rows[parts == "test"], unseen)
    found = fit(variant, data, split, seed, refiners=refiners)
    return {name: _reported(part, data.target, split) for name, part in found.items()}


def _reported(part: dict[str, Any], target: np.ndarray, split: Split) -> dict[str, Any]:
    predicted = part.pop("predicted")
    sizes = {"n_train": len(split.train), "n_val": len(split.validation), "n_unseen": len(split.test)}
    return part | sizes | {"unseen_spearman": spearman(target[split.test], predicted[split.test])}


def folds(clusters: np.ndarray, n_folds: int) -> np.ndarray:
    """Fold of each row, whole clusters together, the largest first to the emptiest fold."""
    names, index, sizes = np.unique(clusters, return_inverse=True, return_counts=True)
    fold, filled = np.zeros(len(names), dtype=np.int64), np.zeros(n_folds)
    for cluster in np.argsort(-sizes, kind="stable"):
        fold[cluster] = int(filled.argmin())
        filled[fold[cluster]] += sizes[cluster]
    return fold[index]


def cluster_fold(data: MutationSet, clusters: np.ndarray, test: np.ndarray, usable: np.ndarray, seed: int) -> Split:
    """Clusters of `usable` rows train and validate (9 : 1); `test`, bool, is kept apart."""
    own = np.flatnonzero(usable & ~test)
    parts = cluster_split(clusters[own], (0.9, 0.1), seed=seed)
    return Split(own[parts == "train"], own[parts == "test"], np.flatnonzero(test))


def clusters_of(data: MutationSet) -> np.ndarray:
    sequences, index = np.unique(data.rows["sequence"].to_numpy(str), return_inverse=True)
    return homology_clusters(list(sequences))[index]


def s669_document(data: Path, out: Path, seed: int) -> dict[str, Any]:
    return document_protocol("s669", mutation_set(stability_table(data, "s669", out)), 40, seed, refiners=False)


def s669_unseen_proteins(data: Path, out: Path, seed: int) -> dict[str, Any]:
    """The S669 architecture on S2648 without S669's homologs; S669 is the test."""
    training = mutation_set(stability_table(data, "s2648", out))
    test = mutation_set(stability_table(data, "s669", out))
    near = related_to(list(training.rows["sequence"]), list(test.rows["sequence"].unique()))
    training = training.take(np.flatnonzero(~near))
    parts = cluster_split(clusters_of(training), (0.9, 0.1), seed=seed)
    split = Split(np.flatnonzero(parts == "train"), np.flatnonzero(parts == "test"), np.arange(0))
    DeterministicConfig(seed).apply()
    feature_set = VARIANTS["s669"].feature_set(use_hyperbolic=False)
    with tempfile.TemporaryDirectory() as folder:
        module, result = train_specialist(
            training.features(feature_set),
            training.target,
            split,
            SpecialistSettings.of_variant("s669", seed=seed),
            Path(folder),
        )
    predicted = predict(module, test.features(feature_set))
    return {
        "s669": {
            "n_train": len(split.train),
            "n_val": len(split.validation),
            "epochs": len(result.rows),
            "val_spearman": result.rows[result.best_epoch]["val_spearman"],
            **_predictions(test, clusters_of(test), np.arange(len(test)), predicted),
        }
    }


def _predictions(data: MutationSet, clusters: np.ndarray, rows: np.ndarray, predicted: np.ndarray) -> dict[str, Any]:
    return {
        "rows": rows.tolist(),
        "true": data.target[rows].astype(float).tolist(),
        "predicted": predicted[rows].astype(float).tolist(),
        "clusters": clusters[rows].tolist(),
        "test_spearman": spearman(data.target[rows], predicted[rows]),
    }


def protherm_document(data: Path, out: Path, seed: int) -> dict[str, Any]:
    return document_protocol("protherm", mutation_set(stability_table(data, "s2648", out)), 177, seed, refiners=True)


def _protherm_fold(data: Path, out: Path, seed: int) -> tuple[MutationSet, np.ndarray, Split]:
    table = mutation_set(stability_table(data, "s2648", out))
    clusters = clusters_of(table)
    test = folds(clusters, len(SEEDS)) == SEEDS.index(seed)
    return table, clusters, cluster_fold(table, clusters, test, np.ones(len(table), dtype=bool), seed)


def protherm_unseen_proteins(data: Path, out: Path, seed: int) -> dict[str, Any]:
    """Five folds of homology clusters, a fold with each seed: every row is predicted once, its cluster not seen.

    The model stays in OUT, for its refiners.
    """
    table, clusters, split = _protherm_fold(data, out, seed)
    folder = out / f"vae_protherm_{seed}"
    folder.mkdir(exist_ok=True)
    part = fit("protherm", table, split, seed, folder=folder)["protherm"]
    return {"protherm": _tested(part, table, clusters, split)}


def _refiner_unseen_proteins(kind: str, data: Path, out: Path, seed: int) -> dict[str, Any]:
    table, clusters, split = _protherm_fold(data, out, seed)
    DeterministicConfig(seed).apply()
    module, spec = load_specialist(out / f"vae_protherm_{seed}")
    part = fit_refiner(kind, module, table.features(spec.feature_set), table.target, split, seed)
    return {kind: _tested(part, table, clusters, split)}


def mlp_unseen_proteins(data: Path, out: Path, seed: int) -> dict[str, Any]:
    """The MLP on the model of `protherm_unseen_proteins` with this seed; its split."""
    return _refiner_unseen_proteins("mlp", data, out, seed)


def transformer_unseen_proteins(data: Path, out: Path, seed: int) -> dict[str, Any]:
    """The transformer, likewise."""
    return _refiner_unseen_proteins("transformer", data, out, seed)


def _tested(part: dict[str, Any], data: MutationSet, clusters: np.ndarray, split: Split) -> dict[str, Any]:
    kept = {name: value for name, value in part.items() if name in ("weight", "epochs", "val_spearman")}
    kept |= {"n_train": len(split.train), "n_val": len(split.validation)}
    return kept | _predictions(data, clusters, split.test, part["predicted"])


def wide_document(data: Path, out: Path, seed: int) -> dict[str, Any]:
    """All assays' raw scores pooled, rows at random: 80 % train, 10 % choose the epoch, 10 % are reported."""
    table, _ = on_common_scale(fitness_table(data))
    pooled = mutation_set(table)
    parts = random_split(len(pooled), seed=seed)
    split = Split(*(np.flatnonzero(parts == name) for name in ("train", "validation", "test")))
    raw = -table["score"].to_numpy(np.float32)
    found = fit("wide", pooled, split, seed, target=raw)
    return {"wide": _reported(found["wide"], raw, split)}


def wide_unseen_proteins(data: Path, out: Path, seed: int) -> dict[str, Any]:
    """Folds of clusters of the assays' proteins; β-lactamases never train and are tested every time.

    Their four assays are the largest cluster and make up the first fold, so that the others are tested with seeds 43 to
    46.
    """
    table, _ = on_common_scale(fitness_table(data))
    assays = mutation_set(table)
    clusters = clusters_of(assays)
    lactamase = table["protein"].str.startswith("BLAT").to_numpy()
    test = (folds(clusters, len(SEEDS)) == SEEDS.index(seed)) | lactamase
    split = cluster_fold(assays, clusters, test, ~lactamase, seed)
    predicted = fit("wide", assays, split, seed)["wide"]
    by_assay = {
        str(name): {"n": len(rows), "spearman": spearman(assays.target[rows], predicted["predicted"][rows])}
        for name, group in assays.rows.iloc[split.test].groupby("source")
        for rows in [group.index.to_numpy()]
    }
    sizes = {"n_train": len(split.train), "n_val": len(split.validation), "epochs": predicted["epochs"]}
    return {"wide": sizes | {"val_spearman": predicted["val_spearman"], "assays": by_assay}}


TASKS: dict[str, Callable[[Path, Path, int], dict[str, Any]]] = {
    function.__name__: function
    for function in (
        s669_document,
        protherm_document,
        s669_unseen_proteins,
        protherm_unseen_proteins,
        mlp_unseen_proteins,
        transformer_unseen_proteins,
        wide_document,
        wide_unseen_proteins,
    )
}


def run(data: Path, out: Path, tasks: list[str]) -> None:
    torch.set_num_threads(1)
    for task in tasks or TASKS:
        print(task, flush=True)
        for seed in SEEDS:
            file = out / f"{task}_{seed}.json"
            if not file.exists():
                write_json(file, {"machine": machine(torch.device("cpu"))} | TASKS[task](data, out, seed))


def _read(out: Path, task: str, model: str) -> list[dict[str, Any]]:
    return [read_json(file)[model] for seed in SEEDS if (file := out / f"{task}_{seed}.json").exists()]


def _spread(values: list[float]) -> str:
    if not values:
        return "not run"
    if len(values) == 1:
        return f"{values[0]:.2f} (one seed)"
    spread = f"{np.mean(values):.2f} ± {np.std(values, ddof=1):.2f} ({min(values):.2f} to {max(values):.2f})"
    return spread if len(values) == len(SEEDS) else f"{spread}, {len(values)} seeds"


def _with_interval(runs: list[dict[str, Any]], *, pooled: bool) -> str:
    """Spearman with the cluster-bootstrap interval: over all folds, or of the first seed."""
    if not runs:
        return "not run"
    chosen = runs if pooled else runs[:1]
    true, predicted = (np.concatenate([np.array(one[name]) for one in chosen]) for name in ("true", "predicted"))
    interval = cluster_bootstrap(true, predicted, np.concatenate([one["clusters"] for one in chosen]))["spearman"]
    parts = f", {len(runs)} of {len(SEEDS)} folds" if pooled and len(runs) < len(SEEDS) else ""
    return f"{interval.value:.2f} [{interval.low:.2f}, {interval.high:.2f}]{parts}"


def table(out: Path) -> None:
    rows = []
    for title, said, model, document, unseen, pooled in (
        ("VAE-S669", "−0.83", "s669", "s669_document", "s669_unseen_proteins", False),
        ("VAE-ProTherm", "0.64", "protherm", "protherm_document", "protherm_unseen_proteins", True),
        ("MLP refiner", "0.78", "mlp", "protherm_document", "mlp_unseen_proteins", True),
        ("Embedding transformer", "0.66", "transformer", "protherm_document", "transformer_unseen_proteins", True),
    ):
        own, tested = _read(out, document, model), _read(out, unseen, model)
        rows.append(
            {
                "model": title,
                "document": said,
                "its protocol: best epoch of the rows that choose it": _spread(
                    [one["best_val_spearman"] for one in own]
                ),
                "random split, rows that chose nothing": _spread([one["unseen_spearman"] for one in own]),
                "unseen proteins [95 %]": _with_interval(tested, pooled=pooled),
                "unseen proteins, by seed": _spread([one["test_spearman"] for one in tested]),
            }
        )
    own, tested = _read(out, "wide_document", "wide"), _read(out, "wide_unseen_proteins", "wide")
    rows.append(
        {
            "model": "VAE-Wide",
            "document": "0.15",
            "its protocol: best epoch of the rows that choose it": _spread([one["best_val_spearman"] for one in own]),
            "random split, rows that chose nothing": _spread([one["unseen_spearman"] for one in own]),
            "unseen proteins [95 %]": _wide_interval(tested),
            "unseen proteins, by seed": _spread(
                [float(np.mean([*_scores(one).values()])) for one in tested if _scores(one)]
            ),
        }
    )
    print_table(rows)
    print("\nAssays of proteins that no training row resembles:\n")
    print_table(_assay_rows(tested))


def _scores(one: dict[str, Any], *, lactamases: bool = False) -> dict[str, float]:
    return {name: part["spearman"] for name, part in one["assays"].items() if name.startswith("BLAT") == lactamases}


def _wide_interval(runs: list[dict[str, Any]]) -> str:
    values = np.array([value for one in runs for value in _scores(one).values()])
    if not len(values):
        return "not run"
    rng = np.random.default_rng(42)
    means = rng.choice(values, (10_000, len(values))).mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return f"{values.mean():.2f} [{low:.2f}, {high:.2f}] (mean over {len(values)} assays)"


def _assay_rows(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    rows = [
        {"assay": name, "mutations": part["n"], "Spearman": f"{part['spearman']:.3f}"}
        for one in runs
        for name, part in one["assays"].items()
        if not name.startswith("BLAT")
    ]
    lactamases = sorted({name for one in runs for name in one["assays"] if name.startswith("BLAT")})
    for name in lactamases:
        values = [one["assays"][name]["spearman"] for one in runs]
        rows.append({"assay": name, "mutations": runs[0]["assays"][name]["n"], "Spearman": _spread(values)})
    return sorted(rows, key=lambda row: row["assay"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    runner = commands.add_parser("run")
    runner.add_argument("data", type=Path)
    runner.add_argument("out", type=Path)
    runner.add_argument("tasks", nargs="*", choices=[*TASKS, []])
    shower = commands.add_parser("table")
    shower.add_argument("out", type=Path)
    arguments = parser.parse_args()
    if arguments.command == "run":
        arguments.out.mkdir(parents=True, exist_ok=True)
        run(arguments.data, arguments.out, arguments.tasks)
    else:
        table(arguments.out)


if __name__ == "__main__":
    main()
