"""Accuracy and time of the count model (`copyfold.cnv.countmodel`) on simulated cohorts.

    python benchmarks/count_model.py [--isolates 300] [--settings easy hard] [--seeds 201 202] [--without-reference]
                                     [--set n_rounds=2] [--threads 1]

The model was developed on seed 101; seeds 1 to 5 are those of `accuracy_cnv.py`. Lineages, bins and what is left out
are as there. "cover": share of blaSHV depth-ratio intervals (95 %) that hold the truth, of isolates with one copy and
with more, sound libraries only. Seconds are of the process, fit and call.
"""

from __future__ import annotations

import argparse
import ast
import resource
import time
from typing import Any

import numpy as np
import torch
from sklearn.metrics import matthews_corrcoef

from accuracy_cnv import VARIATIONS, bin_scores, settings_of, unseen_lineages
from common import machine, print_table
from copyfold.cnv.coordinates import find_gene_bins
from copyfold.cnv.countmodel import (
    CountModelSettings,
    bin_covariates,
    call_genes,
    decode_isolates,
    expect_isolates,
    fit_count_model,
)
from copyfold.cnv.simulation import SimulatedCohort, mapped_shares, simulate, true_copies
from copyfold.cnv.simulation.settings import PRESETS


def evaluate(
    cohort: SimulatedCohort, seed: int, settings: CountModelSettings, *, reference: bool, threads: int
) -> list[dict[str, Any]]:
    """Fit on the lineages that are seen, call all; a row for seen and one for unseen lineages."""
    geometry, contigs = cohort.geometry, cohort.contigs
    copies, mapped, unseen = true_copies(cohort), mapped_shares(cohort), unseen_lineages(cohort, seed)
    covariates = bin_covariates(geometry.gc, geometry.replication) if reference else None
    mappability = geometry.mappability if reference else None
    gene = geometry.panel[0]
    bins = find_gene_bins(gene, contigs)
    began = time.process_time()
    width = (contigs.end - contigs.start) / float(np.max(contigs.end - contigs.start))
    model = fit_count_model(cohort.counts[~unseen], covariates, mappability, width, settings, n_threads=threads)
    fitted = time.process_time()
    expected, dispersion, _ = expect_isolates(cohort.counts, model, n_threads=threads)
    calls = decode_isolates(cohort.counts, expected, dispersion, model, n_threads=threads)
    found = call_genes(cohort.counts, expected, dispersion, model, [bins], n_threads=threads)
    called = time.process_time()
    true, cn = cohort.genes[gene.name].to_numpy(), found.cn[:, 0]
    inside = (true >= found.lower[:, 0]) & (true <= found.upper[:, 0])
    sound = (cn >= 1) & (cohort.samples["kind"] == "ok").to_numpy()
    rows = []
    for lineages, chosen in (("seen", ~unseen), ("unseen", unseen)):
        scored = chosen & (cn >= 0) & ~((true > 1.3) & (true < 1.7))
        one, more = (chosen & sound & (true == 1)), (chosen & sound & (true >= 1.7))
        rows.append(
            {
                "lineages": lineages,
                "isolates": int(chosen.sum()),
                "blaSHV MCC": float(matthews_corrcoef(true[scored] >= 1.7, cn[scored] >= 2)),
                **bin_scores(cohort, copies, mapped, calls.bin_class == 3, calls.bin_class == 0, chosen),
                "cover, one": float(inside[one].mean()),
                "cover, more": f"{inside[more].mean():.3f} of {more.sum()}" if more.any() else "none",
                "seconds": f"{fitted - began:.0f} + {called - fitted:.0f}",
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--isolates", type=int, default=300)
    parser.add_argument("--settings", nargs="+", default=["easy", "hard"], choices=[*PRESETS, *VARIATIONS])
    parser.add_argument("--seeds", type=int, nargs="+", default=[201, 202])
    parser.add_argument("--without-reference", action="store_true", help="no GC, replication and mappability")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="fields of CountModelSettings")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    changes = {name: ast.literal_eval(value) for name, _, value in (item.partition("=") for item in options.set)}
    rows = []
    for setting in options.settings:
        for seed in options.seeds:
            cohort = simulate(settings_of(setting), options.isolates, seed)
            found = evaluate(
                cohort,
                seed,
                CountModelSettings(**changes),
                reference=not options.without_reference,
                threads=options.threads,
            )
            rows += [{"cohort": f"{setting} {options.isolates}", "seed": seed, **row} for row in found]
    print(machine(torch.device("cpu")))
    print(f"{'without' if options.without_reference else 'with'} reference; changed: {changes or 'nothing'}\n")
    print_table(rows)
    print(f"\nlargest memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GiB")


if __name__ == "__main__":
    main()
