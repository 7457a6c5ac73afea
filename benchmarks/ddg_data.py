"""What docs/methods/ddg-data.md says of structure terms and homology clusters.

python benchmarks/ddg_data.py ../shared/data/ddg
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import adjusted_rand_score

from copyfold.ddg.splits import find_homology, related_to
from copyfold.ddg.structures import read_structure
from copyfold.errors import InputError

DSSP_STATES = {"H": "H", "E": "E"}
MEGASCALE_STATES = {"A": "H", "B": "E", "X": "C"}


def structure_terms(rows: pd.DataFrame, name_column: str, folder: Path) -> pd.DataFrame:
    """RSA and state of every row's residue where its structure is there; S669's and mega-scale's columns beside."""
    found = []
    for (name, chain), group in rows.groupby([name_column, "chain"]):
        path = folder / f"{name}.pdb.gz"
        if not path.is_file():
            continue
        structure = read_structure(path, chain)
        for row in group.drop_duplicates("position").itertuples():
            try:
                place = structure.index_of(int(row.position))
            except InputError:
                continue
            found.append((structure.rsa[place], structure.secondary_structure[place], row.their_rsa, row.their_state))
    return pd.DataFrame(found, columns=["rsa", "state", "their_rsa", "their_state"]).dropna()


def describe_terms(title: str, terms: pd.DataFrame) -> None:
    difference = terms["rsa"] - terms["their_rsa"]
    print(f"\n{title}: {len(terms)} residues")
    print(
        f"RSA: r {np.corrcoef(terms['rsa'], terms['their_rsa'])[0, 1]:.3f}, mean difference {difference.mean():+.3f}, "
        f"median absolute {difference.abs().median():.3f}; "
        f"buried (< 0.25) the same in {np.mean((terms['rsa'] < 0.25) == (terms['their_rsa'] < 0.25)):.3f}"
    )
    print(f"state: the same in {np.mean(terms['state'] == terms['their_state']):.3f}")
    print(pd.crosstab(terms["their_state"], terms["state"]).to_string())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    data = parser.parse_args().data
    sets = {
        name: pd.read_csv(data / f"sets/{name}.csv.gz", dtype={"position": str, "pdb_id": str, "chain": str})
        for name in ("s669", "s2648", "q3421", "varibench1423", "ssym", "megascale")
    }

    s669 = sets["s669"].assign(
        their_rsa=sets["s669"]["rel_solv_acc_dir"],
        their_state=sets["s669"]["sec_struct_dir"].map(lambda code: DSSP_STATES.get(code, "C"), na_action="ignore"),
    )
    describe_terms("S669 (H and E of DSSP; all else C)", structure_terms(s669, "pdb_id", data / "structures"))
    mega = sets["megascale"].assign(
        their_rsa=sets["megascale"]["rsa"] / 100,
        their_state=sets["megascale"]["secondary_structure"].map(MEGASCALE_STATES),
    )
    describe_terms("mega-scale (A, B, X)", structure_terms(mega, "protein_id", data / "structures/megascale"))

    sequences = sorted(set().union(*(table["sequence"] for table in sets.values())))
    find_homology(sequences[:40])  # compiles
    started = time.perf_counter()
    homology = find_homology(sequences)
    seconds = time.perf_counter() - started
    print(
        f"\nclusters: {len(sequences)} sequences of {np.mean([*map(len, sequences)]):.0f} residues, {seconds:.1f} s, "
        f"{homology.clusters.max() + 1} clusters, {len(homology.pairs)} alignments, "
        f"{sum(pair.linked for pair in homology.pairs)} links"
    )
    for name in ("s669", "s2648", "q3421", "varibench1423"):
        table = sets[name].drop_duplicates("sequence")
        ours = find_homology(table["sequence"].tolist()).clusters
        index = adjusted_rand_score(table["cluster25"], ours)
        published = table["cluster25"].nunique()
        print(
            f"{name}: {len(table)} sequences, {published} clusters published, {ours.max() + 1} ours, Rand {index:.3f}"
        )
    test = sets["s669"]["sequence"].unique().tolist()
    for name in ("s2648", "q3421", "varibench1423", "megascale"):
        table = sets[name].drop_duplicates("sequence")
        ours = related_to(table["sequence"].tolist(), test)
        theirs = table["s669_homolog_25"].to_numpy() == 1
        print(f"{name} related to S669: published {theirs.sum()}, ours {ours.sum()}, both {(ours & theirs).sum()}")


if __name__ == "__main__":
    main()
