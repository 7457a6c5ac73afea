"""Does the CNV-pattern alignment loss make the latent carry more? Same training with weight 1 and weight 0.

    python benchmarks/ablation_cnv_pattern.py [--isolates 1000] [--seeds 1 2 3] [--device auto]

Simulated cohorts, documents' settings. What the latent carries is measured by probes that are cross-validated
over isolates (5 folds) and never used in training:

- lineage: accuracy of a 3-nearest-neighbour classifier of the ST (STs of at least 5 isolates);
- absences: R² of a ridge regression from the latent to the true copies of bins that vary in the cohort;
- depth, GC slope, ori/ter: R² of the same regression to log depth and to the isolate's two library effects;
- KL: information in the latent, nats per isolate; val. loss: reconstruction on the validation isolates.
"""

from __future__ import annotations

import argparse
import warnings

import numpy as np
import pandas as pd
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_predict, cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from common import configuration, machine, print_table, run_design
from copyfold.cnv.simulation import preset, simulate, true_copies
from copyfold.engine import pick_device


def ridge_r2(latents: np.ndarray, target: np.ndarray) -> float:
    """Cross-validated R², variance-weighted over the columns of `target`."""
    model = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-2, 4, 13)))
    predicted = cross_val_predict(model, latents, target, cv=KFold(5, shuffle=True, random_state=0))
    residual = np.square(target - predicted.reshape(target.shape)).sum()
    return float(1 - residual / np.square(target - target.mean(axis=0)).sum())


def lineage_accuracy(latents: np.ndarray, lineages: np.ndarray) -> float:
    """Cross-validated accuracy of naming the ST from the nearest latents."""
    sizes = pd.Series(lineages).value_counts()
    kept = np.isin(lineages, sizes[sizes >= 5].index.to_numpy())
    model = make_pipeline(StandardScaler(), KNeighborsClassifier(3))
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    return float(cross_val_score(model, latents[kept], lineages[kept], cv=folds).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--isolates", type=int, default=1000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--settings", nargs="+", default=["easy", "hard"])
    parser.add_argument("--epochs", type=int, default=150)
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # scikit-learn on STs that a fold happens to lack
    device = pick_device(arguments.device)
    rows = []
    for setting in arguments.settings:
        for seed in arguments.seeds:
            cohort = simulate(preset(setting), arguments.isolates, seed)
            good = (cohort.samples["kind"] != "failed").to_numpy() & (np.median(cohort.counts, axis=1) >= 10)
            copies = true_copies(cohort)[good]
            varying = copies[:, copies.std(axis=0) > 0.2]
            samples = cohort.samples[good]
            for weight in (1.0, 0.0):
                config = configuration(cnv_pattern_weight=weight, epochs=arguments.epochs, seed=seed)
                result = run_design(cohort.counts, cohort.contigs, np.flatnonzero(good), config, device)
                latents = result.latents[good]
                rows.append(
                    {
                        "cohort": setting,
                        "seed": seed,
                        "weight": weight,
                        "lineage": lineage_accuracy(latents, samples["ST"].to_numpy()),
                        "absences R²": ridge_r2(latents, varying),
                        "depth R²": ridge_r2(latents, np.log(samples[["depth"]].to_numpy())),
                        "GC R²": ridge_r2(latents, samples[["gc_slope"]].to_numpy()),
                        "ori/ter R²": ridge_r2(latents, samples[["log2_ori_ter"]].to_numpy()),
                        "KL": result.kl,
                        "val. loss": f"{result.best_loss:.5f}",
                    }
                )
    print(machine(device))
    print_table(rows)
    print()
    numbers = pd.DataFrame(rows).drop(columns=["seed", "val. loss"]).groupby(["cohort", "weight"]).mean().reset_index()
    print_table(numbers.to_dict("records"))


if __name__ == "__main__":
    main()
