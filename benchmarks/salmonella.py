"""A real Illumina isolate (Salmonella LT2) in a cohort simulated on its geometry: what is called, what should not be.

    python benchmarks/salmonella.py [--data ../shared/data/cnv] [--isolates 200]

The cohort has the table's bins, replication trend, depth and noise (`copyfold cnv simulate --like TABLE`), but not
its local ups and downs; the real isolate is added as one more row (mean depth per bin, rounded). It has no
independent truth: 963–1005 kb is probably prophage Fels-1, the other 1.5–1.7-fold runs may be AT bias.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from common import configuration, machine, print_table, run_design
from copyfold.cnv.segmentation import segment_table
from copyfold.cnv.simulation import like, preset, simulate
from copyfold.cnv.simulation.table import read_depth_table

PROPHAGE = (963, 1005)
TRAPS = ((785, 791), (2162, 2170), (2901, 2904), (3908, 3915), (4009, 4022), (4477, 4484))
DESIGNS = {"documents": {}, "pca_baseline": {"architecture": "pca_baseline"}}


def overlap(start: int, end: int, region: tuple[int, int]) -> bool:
    return start < region[1] * 1000 and end > region[0] * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared/data/cnv")
    parser.add_argument("--isolates", type=int, default=200)
    parser.add_argument("--epochs", type=int, default=150)
    arguments = parser.parse_args()
    path = arguments.data / "depth/salmonella_LT2_NC_003197.2_1kb.tsv.gz"
    cohort = simulate(preset("easy"), arguments.isolates, 42, like(path))
    real = np.rint(read_depth_table(path).values).astype(np.uint32)
    counts = np.vstack([cohort.counts, real])
    print(machine(torch.device("cpu")))
    for design, changes in DESIGNS.items():
        config = configuration(epochs=arguments.epochs, **changes)
        result = run_design(counts, cohort.contigs, np.arange(len(counts)), config, torch.device("cpu"))
        last = [part[-1:] for part in result.segmentation]
        ratios = type(result.ratios)(*(part[-1:] for part in result.ratios))
        segments = segment_table(np.array(["LT2"]), type(result.segmentation)(*last), ratios, cohort.contigs)
        called = segments[(segments["cn"] >= 2) | (segments["cn"] == 0)]
        confident = called[(called["confidence"] >= config.cnv_min_confidence) & (called["n_bins"] >= 3)]
        places = list(zip(confident["x0"], confident["x1"], confident["ratio"], strict=True))
        print(
            f"\n{design}: {len(called)} segments with cn 0 or ≥ 2, {len(confident)} of at least 3 bins and confident\n"
        )
        rows = []
        for name, region in [
            ("Fels-1", PROPHAGE),
            *((f"trap {number + 1}", trap) for number, trap in enumerate(TRAPS)),
        ]:
            inside = (cohort.contigs.start >= region[0] * 1000) & (cohort.contigs.end <= region[1] * 1000)
            rows.append(
                {
                    "region": name,
                    "kb": f"{region[0]}–{region[1]}",
                    "mean ratio": float(ratios.ratio[0, inside].mean()),
                    "bins called ≥ 2": float((last[1][0, inside] >= 2).mean()),
                }
            )
        print_table(rows)
        elsewhere = [place for place in places if not any(overlap(place[0], place[1], r) for r in (PROPHAGE, *TRAPS))]
        shown = ", ".join(f"{start // 1000}–{end // 1000} ({ratio:.2f})" for start, end, ratio in elsewhere)
        print(f"\nConfident segments of at least 3 bins elsewhere, kb (copy ratio): {shown or 'none'}")


if __name__ == "__main__":
    main()
