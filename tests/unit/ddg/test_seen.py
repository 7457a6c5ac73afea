"""Members that never saw a relative."""

import numpy as np
import pandas as pd

from copyfold.ddg.predictor.predictor import StabilityPredictor
from copyfold.ddg.predictor.seen import members_unaware_of, training_proteins

UBIQUITIN = "MQIFVKTLTGKTITLEVEPSDTIENVKAKIQDKEGIPPDQQRLIFAGKQLEDGRTLSDYNIQKESTLHLVLRLRGG"
LYSOZYME = "KVFGRCELAAAMKRHGLDNYRGYSLGNWVCAAKFESNFNTQATNRNTDGSTDYGILQINSRWWCNDGRTPGSRNLCNIPCSALLSSDITASVNCAKKIVSDG"


def test_members_are_those_whose_training_held_no_relative():
    trained = pd.DataFrame({"fold": [0, 1, 2], "sequence": [UBIQUITIN[:60], LYSOZYME, LYSOZYME[5:]]})
    found = members_unaware_of([UBIQUITIN, LYSOZYME, "GSHMASMTGGQQMGRGS" * 3], trained, 3, 6)
    assert found[UBIQUITIN].tolist() == [0, 3]
    assert found[LYSOZYME].tolist() == []
    assert found["GSHMASMTGGQQMGRGS" * 3].tolist() == [0, 1, 2, 3, 4, 5]


def test_the_shipped_list_names_the_folds_of_the_shipped_members():
    trained = training_proteins()
    n_folds = StabilityPredictor.load().structure.model.config.n_folds
    assert sorted(trained["fold"].unique()) == list(range(n_folds))
    assert trained.groupby("cluster")["fold"].nunique().max() == 1
    assert (trained["sequence"].str.len() > 20).all()
    assert np.all(trained["structure"].str.endswith(".pdb.gz"))
