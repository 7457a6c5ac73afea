"""Family names and the joining of allele calls."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from copyfold.cnv.families import FAMILY_MEMBERS, calls_by_family, family_of, percentiles, ratio_percentiles
from copyfold.errors import InputError

SHARED = Path(__file__).resolve().parents[3].parent / "shared" / "data"


@pytest.mark.parametrize(
    ("gene", "family"),
    [
        ("blaKPC-2", "blaKPC"),
        ("blaKPC-3", "blaKPC"),
        ("blaKPC", "blaKPC"),
        ("blaCTX-M-27", "blaCTX-M"),
        ("blaCTX-M-15", "blaCTX-M"),
        ("blaCTX-M", "blaCTX-M"),
        ("blaSHV-11", "blaSHV"),
        ("blaSHV-2A", "blaSHV"),
        ("blaSHV", "blaSHV"),
        ("blaNDM-5", "blaNDM"),
        ("blaTEM-1", "blaTEM"),
        ("qnrB19", "qnrB"),
        ("qnrB", "qnrB"),
        ("qnrVC4", "qnrVC"),
        ("blaOXA-48", "blaOXA-48-like"),
        ("blaOXA-232", "blaOXA-48-like"),
        ("blaOXA-244", "blaOXA-48-like"),
        ("blaOXA-48-like", "blaOXA-48-like"),
        ("blaOXA-23", "blaOXA-23"),
        ("blaOXA-1", "blaOXA-1"),
        ("aac(6')-Ib-cr", "aac6-Ib-cr"),
        ("aac(3)-IId", "aac3-II"),
        ("dfrA12", "dfrA12"),
        ("sul1", "sul1"),
        ("mcr-1.1", "mcr-1"),
        ("mcr-1", "mcr-1"),
        ("adeB", "adeB"),
        ("blaZ", "blaZ"),
        ("blaR1", "blaR1"),
        ("", ""),
    ],
)
def test_family_of(gene: str, family: str) -> None:
    assert family_of(gene) == family


def test_every_listed_member_belongs_to_one_family_and_families_to_themselves() -> None:
    members = [member for listed in FAMILY_MEMBERS.values() for member in listed]
    assert len(members) == len(set(members))
    assert all(family_of(family) == family for family in FAMILY_MEMBERS)


@pytest.mark.parametrize("name", ["plasmid_gene_families.tsv", "ecoli_gene_families.tsv"])
def test_the_published_families_are_ours(name: str) -> None:
    path = SHARED / "cnv" / "published" / "coords" / name
    if not path.is_file():
        pytest.skip(f"{path} is not here")
    with path.open(newline="", encoding="utf-8") as handle:
        for row in csv.DictReader(handle, delimiter="\t"):
            assert {family_of(member) for member in row["members"].split(",")} == {row["family"]}


def calls(**columns: list) -> pd.DataFrame:
    return pd.DataFrame({"sample_id": [f"S{i}" for i in range(len(next(iter(columns.values()))))], **columns})


def test_members_are_joined_any_for_presence_and_the_sum_for_pcn() -> None:
    frame = calls(
        **{
            "blaCTX-M-15": [0, 1, 0, -1, -1],
            "pcn_blaCTX-M-15": [0.1, 1.0, 0.0, np.nan, np.nan],
            "blaCTX-M-14": [0, 0, 2, 1, 0],
            "pcn_blaCTX-M-14": [0.0, 0.2, 3.0, 1.5, 0.1],
        }
    )
    (family,) = calls_by_family(frame, "presence")
    assert family.family == "blaCTX-M"
    assert family.cn.tolist() == [0, 1, 2, 1, -1]
    np.testing.assert_allclose(family.ratio, [0.1, 1.2, 3.0, 1.5, 0.1])


def test_members_of_a_chromosomal_family_take_the_largest_crr_and_an_uncallable_one_hides_no_event() -> None:
    frame = calls(
        **{
            "blaSHV-11": [1, -1, -1],
            "crr_blaSHV-11": [1.0, np.nan, np.nan],
            "blaSHV-12": [3, 2, 1],
            "crr_blaSHV-12": [2.9, 2.1, np.nan],
        }
    )
    (family,) = calls_by_family(frame, "amp")
    assert family.cn.tolist() == [3, 2, -1]
    np.testing.assert_allclose(family.ratio, [2.9, 2.1, np.nan])


def test_the_familys_own_column_is_taken_where_there_is_one() -> None:
    frame = calls(**{"blaKPC-2": [1], "pcn_blaKPC-2": [9.0], "blaKPC": [0], "pcn_blaKPC": [0.1]})
    (family,) = calls_by_family(frame, "presence")
    assert family.cn.tolist() == [0]
    assert family.ratio.tolist() == [0.1]


def test_columns_without_a_ratio_beside_them_are_ignored() -> None:
    frame = calls(blaSHV=[1], crr_blaSHV=[1.0], depth=[40.0], callable=["yes"], pcn_lonely=[1.0])
    assert [family.family for family in calls_by_family(frame, "amp")] == ["blaSHV"]


def test_an_empty_cell_is_no_entry_and_uncallable() -> None:
    (family,) = calls_by_family(calls(blaSHV=[1.0, np.nan, -1.0], crr_blaSHV=["1.0", None, "inf"]), "amp")
    assert family.cn.tolist() == [1, -1, -1]
    assert family.no_entry.tolist() == [False, True, False]
    np.testing.assert_array_equal(family.ratio, [1.0, np.nan, np.nan])


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (pd.DataFrame({"run": ["S0"]}), "no column sample_id; columns are run"),
        (pd.DataFrame({"sample_id": ["S0", "S0"]}), "'S0' stands twice"),
        (calls(blaSHV=[1.5], crr_blaSHV=[1.0]), "column blaSHV, sample 'S0' is 1.5"),
        (calls(blaSHV=[-2], crr_blaSHV=[1.0]), "column blaSHV, sample 'S0' is -2"),
        (calls(blaSHV=["two"], crr_blaSHV=[1.0]), "column blaSHV, sample 'S0' is 'two'"),
        (calls(blaSHV=[float("inf")], crr_blaSHV=[1.0]), "column blaSHV, sample 'S0' is inf"),
        (calls(blaSHV=[1], crr_blaSHV=["high"]), "column crr_blaSHV, sample 'S0' is 'high'"),
    ],
)
def test_a_call_table_that_breaks_its_format_is_refused(frame: pd.DataFrame, said: str) -> None:
    with pytest.raises(InputError) as error:
        calls_by_family(frame, "amp")
    assert said in str(error.value)
    assert str(error.value).startswith("gene calls: ")


def test_ratio_percentiles_by_label() -> None:
    cn = [2, 2, 2, 1, 0, -1]
    (family,) = calls_by_family(calls(g=cn, crr_g=[2.0, 3.0, 4.0, 1.0, 0.0, np.nan]), "amp")
    failed, normal, event = ratio_percentiles(family)
    assert [row.label for row in (failed, normal, event)] == ["failed", "pred_normal", "pred_event"]
    assert event.percentiles == pytest.approx({"p10": 2.2, "p25": 2.5, "p50": 3.0, "p75": 3.5, "p90": 3.8})
    assert (normal.n, normal.percentiles["p50"]) == (2, 0.5)
    assert (failed.n, failed.n_values, failed.percentiles) == (1, 0, None)
    assert failed.reason == "no CRR was written"


def test_a_label_that_no_sample_has_is_na_with_its_reason() -> None:
    (family,) = calls_by_family(calls(g=[1], pcn_g=[1.0]), "presence")
    failed, absent, present = ratio_percentiles(family)
    assert (absent.label, absent.n, absent.percentiles) == ("pred_absent", 0, None)
    assert failed.reason == absent.reason == "no sample has this label"
    assert present.percentiles == dict.fromkeys(("p10", "p25", "p50", "p75", "p90"), 1.0)


def test_percentiles_are_numpys() -> None:
    values = np.arange(11.0)
    assert percentiles(values) == {"p10": 1.0, "p25": 2.5, "p50": 5.0, "p75": 7.5, "p90": 9.0}
