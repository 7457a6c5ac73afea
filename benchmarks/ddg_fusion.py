"""Fusion of three specialists on S669 and ProTherm rows: the documents' protocol, and splits by protein family.

    python benchmarks/ddg_fusion.py FOLDER_OF_SETS OUT

FOLDER_OF_SETS holds `sets/`, `structures/` and `proteingym/` as docs/benchmarks/ddg-fusion.md names them; OUT gets the
predictions of every test row, one file per protocol and seed, and those that are there are not made again.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from common import machine, print_table
from copyfold.core.files import write_text
from copyfold.ddg.datasets import MutationSet, joined, mutation_set, on_common_scale, with_structure_terms
from copyfold.ddg.evaluation import cluster_bootstrap, paired_bootstrap, regression_metrics
from copyfold.ddg.features.sets import FEATURE_SETS
from copyfold.ddg.fusing import Member, best_single, fuse, fusion_inputs, train_fusion
from copyfold.ddg.models.ddgvae import DDGVAE
from copyfold.ddg.splits import cluster_split, homology_clusters, random_split, related_to
from copyfold.ddg.training import SpecialistSettings, Split, train_refiner, train_specialist
from copyfold.engine import DeterministicConfig

SEEDS = (42, 43, 44, 45, 46)
WIDE_ROWS = 20_000
SHARES = (0.8, 0.1, 0.1)
BETA_LACTAMASES = ("BLAT_ECOLX", "TEM1")
REFINERS_OF = {"s669": ("mlp",), "protherm": ("mlp", "transformer")}
BASE, PROTHERM = FEATURE_SETS["base14"], FEATURE_SETS["protherm20"]


class Rows:
    """S669 and ProTherm (S2648) rows whose wild type their structure bears out, and the assays."""

    def __init__(self, folder: Path) -> None:
        parts = [_measured(folder, name) for name in ("s669", "s2648")]
        self.data = joined([mutation_set(table) for table in parts])
        self.of_s669 = np.arange(len(self.data)) < len(parts[0])
        sequences, self.protein = np.unique(self.data.rows["sequence"].to_numpy(str), return_inverse=True)
        self.sequences = list(sequences)
        self.clusters = homology_clusters(self.sequences)[self.protein]
        self.like_s669 = related_to(self.sequences, list(sequences[np.unique(self.protein[self.of_s669])]))[
            self.protein
        ]
        self.assays = _assays(folder)


def _measured(folder: Path, name: str) -> pd.DataFrame:
    table = pd.read_csv(folder / "sets" / f"{name}.csv.gz", dtype={"position": str})
    if "seq_ok" in table:
        table = table[table["seq_ok"] == 1]
    number = table["position"].str.extract(r"^(?P<position>-?\d+)(?P<insertion_code>[A-Za-z]?)$")
    table = table.drop(columns="position").join(number).assign(protein=table["pdb_id"], source=name)
    kept, left_out = with_structure_terms(table.reset_index(drop=True), folder / "structures")
    print(
        f"{name}: {len(kept)} of {len(table)} rows, the others' structure is missing or says otherwise",
        *left_out,
        sep="\n  ",
    )
    return kept


def _assays(folder: Path) -> MutationSet:
    """Single substitutions of every assay but the β-lactamases', as damage; the scale filter is the package's."""
    tables = []
    for path in sorted(
        [*(folder / "proteingym").glob("*.csv.gz"), *(folder / "proteingym" / "stability").glob("*.csv.gz")]
    ):
        if path.name.startswith(("DMS_substitutions", *BETA_LACTAMASES)):
            continue
        table = pd.read_csv(path)
        table = table[table["mutant"].str.fullmatch(r"[A-Y]\d+[A-Y]") & table["DMS_score"].notna()]
        place = table["mutant"].str[1:-1].astype(int)
        wild_type, mutant = table["mutant"].str[0], table["mutant"].str[-1]
        first = table["mutated_sequence"].iloc[0]
        sequence = first[: place.iloc[0] - 1] + wild_type.iloc[0] + first[place.iloc[0] :]
        agrees = [sequence[number - 1] == letter for number, letter in zip(place, wild_type, strict=True)]
        assert all(agrees), path
        values = {
            "protein": path.name.removesuffix(".csv.gz"),
            "chain": "A",
            "insertion_code": "",
            "sequence": sequence,
        }
        values |= {"position": place, "wild_type": wild_type, "mutant": mutant, "score": table["DMS_score"]}
        tables.append(pd.DataFrame(values).assign(source=values["protein"]))
    kept, left_out = on_common_scale(pd.concat(tables, ignore_index=True))
    print(f"assays: {kept['source'].nunique()}, {len(kept)} rows", *left_out, sep="\n  ")
    return mutation_set(kept)


def documents_protocol(rows: Rows, seed: int) -> Iterator[Split]:
    """S669 and ProTherm pooled, split at random: fusion, S669 specialist, ProTherm specialist."""
    parts = random_split(len(rows.data), SHARES, seed=seed)
    return _splits(parts, rows.of_s669, ~rows.of_s669)


def by_family(rows: Rows, seed: int) -> Iterator[Split]:
    """ProTherm without S669 and its homologs, split by family; both specialists train on it; S669 is tested only."""
    parts = np.full(len(rows.data), "unused", dtype="<U10")
    own = np.flatnonzero(~rows.like_s669)
    parts[own] = cluster_split(rows.clusters[own], SHARES, seed=seed)
    parts[rows.of_s669] = "test"
    everything = np.ones(len(parts), dtype=bool)
    return _splits(parts, everything, everything)


def _splits(parts: np.ndarray, *choices: np.ndarray) -> Iterator[Split]:
    for chosen in (np.ones(len(parts), dtype=bool), *choices):
        yield Split(*(np.flatnonzero((parts == name) & chosen) for name in Split._fields))


PROTOCOLS: dict[str, Callable[[Rows, int], Iterator[Split]]] = {"documents": documents_protocol, "family": by_family}


def predictions(protocol: str, rows: Rows, seed: int) -> pd.DataFrame:
    """Every single model's and the fusion's predictions of the test rows."""
    DeterministicConfig(seed).apply()
    fused, *own = PROTOCOLS[protocol](rows, seed)
    avoided = fused.validation.tolist() + fused.test.tolist() if protocol == "family" else []
    features = {"s669": rows.data.features(BASE), "protherm": rows.data.features(PROTHERM)}
    members = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for variant, split in zip(features, own, strict=True):
            settings = SpecialistSettings.of_variant(variant, seed=seed)
            module, _ = train_specialist(features[variant], rows.data.target, split, settings, folder)
            refiners = {
                kind: train_refiner(kind, module, features[variant], rows.data.target, split, folder, seed=seed)[0]
                for kind in REFINERS_OF[variant]
            }
            members.append(Member(variant, module, refiners))
        members.append(Member("wide", _wide(rows, avoided, seed, folder), {}, predicts_ddg=False))
        inputs = fusion_inputs(members, [*features.values(), features["s669"]])
        base = best_single(inputs, rows.data.target, fused.validation)
        module, _ = train_fusion(inputs, rows.data.target, base, fused, folder, seed=seed)
    test = fused.test
    table = pd.DataFrame(
        {
            "row": test,
            "set": np.where(rows.of_s669[test], "S669", "ProTherm"),
            "cluster": rows.clusters[test],
            "ddg": rows.data.target[test],
            "corrected": inputs.predictions[base],
        }
    )
    for number, model in enumerate(inputs.predictions):
        table[model] = inputs.predicted(number)[test]
    return table.assign(fusion=fuse(module, inputs)[test])


def _wide(rows: Rows, avoided: list[int], seed: int, folder: Path) -> DDGVAE:
    """The wide specialist, without proteins that resemble those of the rows `avoided`."""
    sequences, protein = np.unique(rows.assays.rows["sequence"].to_numpy(str), return_inverse=True)
    usable = np.ones(len(sequences), dtype=bool)
    if avoided:
        usable &= ~related_to(list(sequences), [rows.sequences[one] for one in np.unique(rows.protein[avoided])])
    candidates = np.flatnonzero(usable[protein])
    chosen = np.random.default_rng(seed).choice(candidates, min(WIDE_ROWS, len(candidates)), replace=False)
    data = rows.assays.take(np.sort(chosen))
    own = np.unique(data.rows["sequence"].to_numpy(str), return_inverse=True)
    parts = cluster_split(homology_clusters(list(own[0]))[own[1]], (0.9, 0.1), seed=seed)
    split = Split(np.flatnonzero(parts == "train"), np.flatnonzero(parts == "test"), np.array([], dtype=np.int64))
    print(f"  wide: {int(usable.sum())} of {len(usable)} proteins, {len(data)} rows", flush=True)
    settings = SpecialistSettings.of_variant("wide", seed=seed)
    return train_specialist(data.features(BASE), data.target, split, settings, folder)[0]


def report(protocol: str, tables: list[pd.DataFrame]) -> None:
    """Spearman of every model: mean and range over the seeds, and the first seed's interval over families."""
    models = list(tables[0].columns[5:])
    lines = []
    for model in models:
        line: dict[str, object] = {"model": model}
        for title, chosen in (("pooled", None), ("S669", "S669"), ("ProTherm", "ProTherm")):
            parts = [table if chosen is None else table[table["set"] == chosen] for table in tables]
            found = [regression_metrics(part["ddg"].to_numpy(), part[model].to_numpy()) for part in parts]
            values = [one.spearman for one in found]
            one = cluster_bootstrap(parts[0]["ddg"], parts[0][model], parts[0]["cluster"])["spearman"]
            line[f"{title} ρ"] = f"{np.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})"
            line[f"{title} [95 %]"] = f"[{one.low:.3f}, {one.high:.3f}]"
            if title == "pooled":
                line["pooled RMSE"] = f"{np.mean([one.rmse for one in found]):.2f}" if model != "wide" else ""
        lines.append(line)
    print(f"\n{protocol}: {', '.join(str(len(table)) for table in tables)} test rows")
    print_table(lines)
    gains = []
    for seed, table in zip(SEEDS, tables, strict=False):
        base = table["corrected"].iloc[0]
        found = paired_bootstrap(table["ddg"], table["fusion"], table[base], table["cluster"])["spearman"]
        gains.append({"seed": seed, "corrected": base, "gain in ρ": found.value, "low": found.low, "high": found.high})
    print_table(gains)


def main() -> None:
    """Make what is missing, then print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, default=len(SEEDS), help="how many seeds, from 42 on")
    parser.add_argument("--protocol", choices=PROTOCOLS, action="append", help="one of them; default: both")
    options = parser.parse_args()
    protocols = options.protocol or list(PROTOCOLS)
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    rows = Rows(options.data)
    print(f"{rows.of_s669.sum()} S669 rows, {(~rows.of_s669).sum()} ProTherm rows, {rows.clusters.max() + 1} families; "
          f"{int((rows.like_s669 & ~rows.of_s669).sum())} ProTherm rows resemble S669")  # fmt: skip
    tables: dict[str, list[pd.DataFrame]] = {name: [] for name in protocols}
    for seed in SEEDS[: options.seeds]:
        for name in protocols:
            path = options.out / f"{name}_{seed}.csv"
            if not path.exists():
                print(f"{name}, seed {seed}", flush=True)
                write_text(path, predictions(name, rows, seed).to_csv(index=False))
            tables[name].append(pd.read_csv(path))
    print(machine(torch.device("cpu")))
    for name, found in tables.items():
        report(name, found)


if __name__ == "__main__":
    main()
