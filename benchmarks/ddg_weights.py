"""Train the production model of stability, as shipped in src/copyfold/ddg/predictor/weights.

    python benchmarks/ddg_weights.py --data ../shared/data/ddg [--cache build/ddg_encodings] [--out FOLDER]
                                     [--ablations FILE.json] [--without FILE.txt]

Trains on the mega-scale domains (Tsuboyama et al. 2023), S2648 and FireProtDB, without relatives of S669 proteins (25 %
identity, 50 % coverage). Mega-scale domains related to S669 are the test set, and relatives of these are left out too.
Every member of the ensemble is trained without one of five folds of homology clusters: what is chosen, and the errors
that σ is fitted to, come from predictions of the member that never saw the protein. Of S669 only sequences are
read.

--ablations trains instead what the model is compared with, and writes out-of-fold metrics after each; those of the
model itself and of the sequence form (no ProteinMPNN) stand in card.json. --without leaves out the relatives of the
sequences listed (one a line).
"""

import argparse
import datetime
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from copyfold.app.ddg_sets import EncodedProtein, encode_structures, place_rows, read_set
from copyfold.core.console import Console
from copyfold.core.files import write_json, write_text
from copyfold.ddg.evaluation import as_json, cluster_bootstrap, per_protein, regression_metrics
from copyfold.ddg.features.proteinmpnn import WEIGHTS, StructureEncoder
from copyfold.ddg.predictor.calibration import ErrorModel, error_terms, fit_error_model
from copyfold.ddg.predictor.inputs import fit_standardisation, sequence_features
from copyfold.ddg.predictor.model import SiteModelConfig
from copyfold.ddg.predictor.training import TrainingSites, balanced_folds, group_by_site, train_ensemble
from copyfold.ddg.predictor.weights import FOLDER, SitePredictor, save_weights
from copyfold.ddg.sequences import AMINO_ACIDS
from copyfold.ddg.splits import find_homology, related_to

SOURCES = ("s2648", "fireprotdb", "megascale")
SOURCE_WEIGHTS = (3.0, 2.0, 1.0)
SEED = 42
ABOUT = {
    "format": "copyfold-ddg-card/1",
    "page": "docs/methods/ddg-model-card.md",
    "unit": "kcal/mol, positive = destabilising",
    "licences": {
        "megascale": "CC BY 4.0 (Tsuboyama et al. 2023, Nature 620:434; Zenodo 7992926), rows as in EvoStability (MIT)",
        "fireprotdb": "CC BY 4.0 (Stourac et al. 2021, Nucleic Acids Res. 49:D319), rows as in ThermoMPNN (MIT)",
        "s2648": "rows as in PROSTATA (Apache-2.0) and ACDC-NN (MIT); Dehouck et al. 2009, Bioinformatics 25:2537",
        "proteinmpnn": "MIT (Dauparas et al. 2022, Science 378:49); its weights are not among these files",
        "weights": "MIT, as copyfold",
    },
}
N_FOLDS = 5


def collect(
    data: Path, cache: Path, without: list[str]
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, EncodedProtein]]:
    """Training rows with cluster and fold, rows of held-out mega-scale proteins, and the encoded structures."""
    console = Console()
    tables = []
    for source in SOURCES:
        table = read_set(data, source)
        table["source"] = source
        tables.append(table)
    rows = pd.concat(tables, ignore_index=True)
    proteins = encode_structures(data, rows, StructureEncoder(), cache, console)
    rows["place"] = place_rows(rows, proteins)
    usable = (rows["place"] >= 0) & rows["mutant"].isin(list(AMINO_ACIDS)) & (rows["wild_type"] != rows["mutant"])
    console.say(f"{(~usable).sum()} of {len(rows)} rows lie on no residue of their structure and are left out")
    rows = rows[usable].reset_index(drop=True)
    of_name = {name: proteins[name].sequence for name in rows["structure"].unique()}
    s669 = read_set(data, "s669")["sequence"].unique().tolist()
    rows["near_s669"] = rows["related"] | rows["structure"].map(related_by_name(of_name, s669))
    held_out = rows[rows["near_s669"] & (rows["source"] == "megascale")].reset_index(drop=True)
    tested = [of_name[name] for name in held_out["structure"].unique()]
    near_tested = rows["structure"].map(related_by_name(of_name, [*s669, *tested, *without]))
    training = rows[~rows["near_s669"] & ~near_tested].reset_index(drop=True)
    for part in (training, held_out):
        names = part["structure"].unique()
        clusters = find_homology([of_name[name] for name in names]).clusters
        part["cluster"] = part["structure"].map(dict(zip(names, clusters, strict=True)))
    weight = np.where(training["source"] == "megascale", 1.0, 11.0)
    training["fold"] = balanced_folds(training["cluster"].to_numpy(), weight, N_FOLDS)
    return training, held_out, proteins


def related_by_name(of_name: dict[str, str], others: list[str]) -> dict[str, bool]:
    return dict(zip(of_name, related_to(list(of_name.values()), others).tolist(), strict=True))


class Sites:
    """Rows as sites: arrays by site, and the way back to rows."""

    def __init__(self, rows: pd.DataFrame, proteins: dict[str, EncodedProtein], kind: str) -> None:
        self.rows = rows
        keys = rows["source"] + "|" + rows["structure"] + "|" + rows["place"].astype(str)
        codes, _ = pd.factorize(keys)
        mutant = np.array([AMINO_ACIDS.index(letter) for letter in rows["mutant"]])
        _, self.ddg, self.measured = group_by_site(codes, mutant, rows["ddg"].to_numpy(float))
        first = rows.groupby(codes).first()
        self.first = first
        self.wild_type = np.array([AMINO_ACIDS.index(letter) for letter in first["wild_type"]])
        chosen = list(zip(first["structure"], first["place"], strict=True))
        self.length = np.array([len(proteins[name].sequence) for name, _ in chosen])
        if kind == "structure":
            self.features = np.stack([proteins[name].encoded.features[place] for name, place in chosen])
            self.profiles = np.stack([proteins[name].encoded.log_odds[place] for name, place in chosen])
        else:
            of_sequence = {name: sequence_features(proteins[name].sequence) for name in set(first["structure"])}
            self.features = np.stack([of_sequence[name][place] for name, place in chosen])
            self.profiles = np.zeros((len(first), 0, 20), dtype=np.float32)
        self.source = np.array([SOURCES.index(source) for source in first["source"]])
        self.fold = first["fold"].to_numpy() if "fold" in first else np.full(len(first), -1)


def train(sites: Sites, config: SiteModelConfig, weights: tuple[float, ...]) -> tuple[SitePredictor, np.ndarray]:
    """The ensemble, and its out-of-fold potentials (n, 20)."""
    standardise = fit_standardisation(sites.features)
    profile_scale = float(sites.profiles.std()) if sites.profiles.size else 1.0
    arrays = TrainingSites(
        inputs=standardise(sites.features),
        profiles=(sites.profiles.reshape(len(sites.features), -1) / profile_scale).astype(np.float32),
        wild_type=sites.wild_type,
        ddg=sites.ddg,
        measured=sites.measured,
        source=sites.source,
        fold=sites.fold,
    )
    with Console().progress("epochs", config.epochs) as progress:
        model, scales = train_ensemble(arrays, config, weights, SEED, progress)
    distances = np.mean(arrays.inputs**2, axis=1)
    lengths = (int(sites.length.min()), int(sites.length.max()))
    nothing = ErrorModel(np.zeros(6), 2.0)
    predictor = SitePredictor(model, standardise, profile_scale, nothing, float(np.quantile(distances, 0.99)), lengths)
    print("scales of the sources:", scales.mean(axis=0).round(3))
    each = predictor.member_potentials(sites.features, sites.profiles)
    unseen = np.zeros(each.shape[1:])
    for fold in range(config.n_folds):
        mine = sites.fold == fold
        unseen[mine] = each[fold :: config.n_folds][:, mine].mean(axis=0)
    return predictor, unseen


def differences(potentials: np.ndarray, sites: Sites) -> np.ndarray:
    return potentials - potentials[np.arange(len(potentials)), sites.wild_type][:, None]


def metrics(potentials: np.ndarray, sites: Sites) -> dict[str, dict[str, float]]:
    """Pooled metrics of each source, and means over its proteins."""
    predicted = differences(potentials, sites)
    found = {}
    for number, source in enumerate(SOURCES):
        chosen = sites.measured & (sites.source == number)[:, None]
        if not chosen.any():
            continue
        names = np.broadcast_to(sites.first["structure"].to_numpy()[:, None], chosen.shape)[chosen]
        pooled = regression_metrics(sites.ddg[chosen], predicted[chosen])
        means = per_protein(sites.ddg[chosen], predicted[chosen], names).means
        found[source] = {**as_json(pooled), "protein_spearman": means["spearman"], "proteins": len(set(names))}
    return found


def fit_errors(unseen: np.ndarray, sites: Sites) -> tuple[ErrorModel, dict[str, dict[str, float]]]:
    """Error model of out-of-fold predictions, laboratories' sets and the assay counted alike."""
    predicted = differences(unseen, sites)
    terms = error_terms(predicted, unseen.std(axis=1)[:, None], sites.length[:, None])
    chosen = sites.measured
    lab = np.broadcast_to((sites.source < 2)[:, None], chosen.shape)[chosen]
    weight = np.where(lab, 0.5 / lab.sum(), 0.5 / (~lab).sum())
    model = fit_error_model(terms[chosen], predicted[chosen] - sites.ddg[chosen], weight)
    return model, coverage(model, unseen, sites)


def coverage(model: ErrorModel, potentials: np.ndarray, sites: Sites) -> dict[str, dict[str, float]]:
    """Share of measurements within 68 % and 95 % intervals, by source."""
    predicted = differences(potentials, sites)
    sigma = model.sigma(error_terms(predicted, potentials.std(axis=1)[:, None], sites.length[:, None]))
    found = {}
    for number, source in enumerate(SOURCES):
        chosen = sites.measured & (sites.source == number)[:, None]
        if chosen.any():
            ratio = np.abs(predicted - sites.ddg)[chosen] / sigma[chosen]
            found[source] = {
                "within_68": float(np.mean(ratio <= 1)),
                "within_95": float(np.mean(ratio <= model.factor_95)),
                "mean_sigma": float(sigma[chosen].mean()),
            }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, default=Path("build/ddg_encodings"))
    parser.add_argument("--out", type=Path, default=FOLDER)
    parser.add_argument("--ablations", type=Path)
    parser.add_argument("--without", type=Path)
    options = parser.parse_args()
    torch.use_deterministic_algorithms(True)
    without = options.without.read_text().split() if options.without else []
    training, held_out, proteins = collect(options.data, options.cache, without)
    print(
        {source: (len(part), part["structure"].nunique()) for source, part in training.groupby("source")},
        "clusters",
        training["cluster"].nunique(),
        "| held out",
        len(held_out),
        held_out["structure"].nunique(),
    )
    if options.ablations:
        ablate(training, proteins, options.ablations)
        return
    card = {"trained": datetime.date.today().isoformat(), "seed": SEED}
    for kind in ("structure", "sequence"):
        sites, tested = Sites(training, proteins, kind), Sites(held_out, proteins, kind)
        config = config_of(sites)
        predictor, unseen = train(sites, config, SOURCE_WEIGHTS)
        errors, covered = fit_errors(unseen, sites)
        predictor = replace(predictor, errors=errors)
        save_weights(options.out / f"{kind}.pt", predictor)
        potentials = predictor.potentials(tested.features, tested.profiles)
        card[kind] = {
            "out_of_fold": metrics(unseen, sites),
            "out_of_fold_coverage": covered,
            "held_out_megascale": held_out_card(potentials, tested),
            "held_out_coverage": coverage(errors, potentials, tested),
        }
        print(kind, json.dumps(card[kind], indent=1))
    card["data"] = {
        source: {"rows": len(part), "proteins": int(part["structure"].nunique())}
        for source, part in training.groupby("source")
    }
    write_json(options.out / "card.json", {**ABOUT, **card})
    table = training.groupby("structure", as_index=False).first()[["structure", "fold", "cluster"]]
    table["sequence"] = [proteins[name].sequence for name in table["structure"]]
    write_text(options.out / "training_proteins.tsv", table.to_csv(sep="\t", index=False))


def config_of(sites: Sites) -> SiteModelConfig:
    n_inputs = sites.features.shape[1]
    if sites.profiles.size:
        return SiteModelConfig(n_inputs=n_inputs, n_profiles=2 * len(WEIGHTS))
    return SiteModelConfig(n_inputs=n_inputs, n_profiles=0, dropout=0.5)


def held_out_card(potentials: np.ndarray, sites: Sites) -> dict[str, object]:
    predicted = differences(potentials, sites)
    names = np.broadcast_to(sites.first["structure"].to_numpy()[:, None], predicted.shape)[sites.measured]
    clusters = np.broadcast_to(sites.first["cluster"].to_numpy()[:, None], predicted.shape)[sites.measured]
    true, found = sites.ddg[sites.measured], predicted[sites.measured]
    proteins = per_protein(true, found, names)
    return {
        "pooled": as_json(cluster_bootstrap(true, found, clusters, replicates=200)),
        "mean_protein_spearman": proteins.means["spearman"],
        "proteins": {name: one.spearman for name, one in proteins.proteins.items()},
    }


def ablate(training: pd.DataFrame, proteins: dict[str, EncodedProtein], out: Path) -> None:
    sites = Sites(training, proteins, "structure")
    base = config_of(sites)
    cases = {
        "no mega-scale": (base, (3.0, 2.0, 0.0)),
        "no VAE (posterior mean, no KL, nothing reconstructed)": (
            replace(base, beta=0.0, profile_weight=0.0),
            SOURCE_WEIGHTS,
        ),
        "two members for each fold": (replace(base, n_repeats=2), SOURCE_WEIGHTS),
        "mega-scale alone": (base, (0.0, 0.0, 1.0)),
        "no FireProtDB": (base, (3.0, 0.0, 1.0)),
        "hidden 256": (replace(base, hidden=256), SOURCE_WEIGHTS),
    }
    found: dict[str, object] = {}
    for name, (config, weights) in cases.items():
        _, unseen = train(sites, config, weights)
        found[name] = metrics(unseen, sites)
        print(name, json.dumps(found[name]), flush=True)
        write_json(out, found)


if __name__ == "__main__":
    main()
