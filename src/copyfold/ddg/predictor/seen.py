"""Which members of the ensemble never saw a protein or a relative of it in training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from copyfold.ddg.predictor.weights import FOLDER
from copyfold.ddg.splits import related_to


def training_proteins(folder: Path = FOLDER) -> pd.DataFrame:
    """Proteins trained on: columns structure, fold, cluster, sequence."""
    return pd.read_csv(folder / "training_proteins.tsv", sep="\t", keep_default_na=False)


def members_unaware_of(
    sequences: Sequence[str], trained: pd.DataFrame, n_folds: int, n_members: int
) -> dict[str, np.ndarray]:
    """Members of the ensemble without any relative (25 % identity, 50 % coverage) of each sequence in training.

    Parameters
    ----------
    sequences : sequence of str
    trained : pandas.DataFrame
        Of `training_proteins`.
    n_folds, n_members : int
        Member m was trained on all folds but m modulo n_folds.

    Returns
    -------
    dict of str to numpy.ndarray of int
        By sequence; empty where every member saw a relative.
    """
    distinct = list(dict.fromkeys(sequences))
    in_fold = np.stack(
        [related_to(distinct, trained.loc[trained["fold"] == fold, "sequence"].tolist()) for fold in range(n_folds)]
    )
    members = np.arange(n_members)
    found = {}
    for column, sequence in enumerate(distinct):
        elsewhere = [in_fold[np.arange(n_folds) != member % n_folds, column].any() for member in members]
        found[sequence] = members[~np.array(elsewhere)]
    return found
