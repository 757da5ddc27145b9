import numpy as np
import pandas as pd
import pytest
from small_atlases import AGES, GENES, build, cells, counts_of

import titin
from calibration import load
from titin.ageing.fibres import fibres
from titin.errors import TitinError
from titin.presets import read_preset


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    rng = np.random.default_rng(7)
    obs = cells(rng, per_donor=150)
    values = counts_of(obs, rng)
    return build(tmp_path_factory.mktemp("fibres"), obs, values), obs, values


def test_shares_of_a_donor_are_counted_from_its_myosins(made):
    atlas, obs, values = made
    found = fibres(atlas).donors.set_index("donor")
    assert len(found) == 12
    mine = (obs["donor"] == "d4") & obs["cell_type"].str.startswith("MF")
    counts = values[mine.to_numpy()][:, [GENES.index(g) for g in ("MYH7", "MYH2", "MYH1")]]
    counts = counts[counts.sum(axis=1) >= 3]
    share = counts / counts.sum(axis=1, keepdims=True)
    row = found.loc["d4"]
    assert row["n_fibres"] == mine.sum()
    assert row["n_typed"] == len(counts)
    assert row["type_1_share"] == pytest.approx(share[:, 0].mean())
    assert row["type_1"] == pytest.approx((share[:, 0] >= 0.8).mean())
    assert row["type_2"] == pytest.approx((share[:, 0] <= 0.2).mean())
    assert row["type_1"] + row["type_2"] + row["hybrid"] == pytest.approx(1)
    assert row["ratio_1_to_2"] == pytest.approx(row["type_1"] / row["type_2"])
    assert row["n_label_type_1"] == ((obs["donor"] == "d4") & (obs["cell_type"] == "MF-I")).sum()
    assert row["label_type_1"] == row["n_label_type_1"] / mine.sum()


def test_a_planted_shift_to_type_one_is_found_with_its_interval(made):
    trends = fibres(made[0]).table.set_index("measure")
    assert (trends.loc[["type_1_share", "type_1", "label_type_1"], "effect"] > 0.03).all()
    row = trends.loc["type_1_share"]
    assert row["p_value"] < 0.01
    assert 0.03 < row["ci_low"] < row["effect"] < row["ci_high"] < 0.08  # 0.06 less what ambient myosins take
    assert "The share of MYH7 changes with age in all: +0.0" in row["statement"]
    assert "12 donors" in row["statement"]


@pytest.mark.parametrize(("protocol", "errors", "held"), [("cells", "normal", 0.954), ("nuclei", "unequal", 0.970)])
def test_intervals_of_the_slope_that_is_tested_hold_it(protocol, errors, held):
    trial = load("fibre_intervals")
    found = trial.coverage(np.random.default_rng(2), protocol, trial.ERRORS[errors], 500)
    assert found[0] == pytest.approx(held, abs=1e-9)
    assert 0.93 <= found[0] <= 0.97


def test_hybrids_have_both_myosins(tmp_path):
    obs = pd.DataFrame({"donor": ["d"] * 5, "cell_type": ["MF-I"] * 5}, index=list("abcde"))
    values = np.ones((5, len(GENES)), np.float32)
    values[:, :3] = [[8, 2, 0], [7, 2, 1], [0, 5, 5], [0, 1, 1], [2, 0, 8]]
    atlas = build(tmp_path, obs, values)
    row = fibres(atlas).donors.iloc[0]
    assert (row["n_fibres"], row["n_typed"]) == (5, 4)  # one cell has two counts
    assert row[["type_1", "type_2", "hybrid", "type_2x"]].tolist() == [0.25, 0.5, 0.25, 0.25]


def test_without_ages_there_are_donors_and_the_reason(tmp_path):
    rng = np.random.default_rng(7)
    obs = cells(rng, per_donor=20)
    found = fibres(build(tmp_path, obs.drop(columns="age"), counts_of(obs, rng)))
    assert len(found.donors) == 12
    assert found.table.empty
    assert found.skipped[0]["reason"].startswith("this dataset has no ages")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("no fibres", "this dataset has no muscle fibres: none of the labels of cell_type is called as such"),
        ("no myosin", "this dataset has no gene MYH7: fibres are typed by MYH7, MYH2, MYH1"),
        ("no counts of them", "no fibre has 3 counts or more of MYH7, MYH2, MYH1: none can be typed"),
        ("no types", "this dataset has no cell types"),
        ("no donors", "this dataset has no donors: fibre types are compared between donors"),
        ("real", "this dataset has no counts: the shares of the myosins in a fibre are shares of counts"),
    ],
)
def test_what_is_missing_is_said_in_one_sentence(tmp_path, change, message):
    rng = np.random.default_rng(7)
    obs = cells(rng, per_donor=5)
    values, genes = counts_of(obs, rng), GENES
    if change == "no fibres":
        obs["cell_type"] = "FB"
    elif change == "no myosin":
        genes = ["OTHER", *GENES[1:]]
    elif change == "no counts of them":
        values[:, [GENES.index(name) for name in ("MYH7", "MYH2", "MYH1")]] = 0
    elif change in ("no types", "no donors"):
        obs = obs.drop(columns={"no types": "cell_type", "no donors": "donor"}[change])
    else:
        values = values * rng.uniform(0.5, 2, values.shape).astype(np.float32)
    with pytest.raises(TitinError, match=message):
        fibres(build(tmp_path, obs, values, genes))


def test_without_a_word_on_fibres_in_the_preset_it_says_so(made):
    with pytest.raises(TitinError, match="the preset of this dataset says nothing of muscle fibres"):
        fibres(titin.open(made[0].folder))


def test_names_of_fibres():
    typing = read_preset("muscle").fibres
    names = ["skeletal muscle fiber", "smooth muscle cell", "fibroblast", "slow muscle cell", "T cell"]
    assert typing.labels.find(names) == ["skeletal muscle fiber", "slow muscle cell"]
    assert [typing.type_of(x) for x in ("slow muscle cell", "type I", "Type_IIX", "MF-IIIx", "Specialised MF")] == [
        "I", "I", "II", None, None
    ]  # fmt: skip
    assert len(AGES) == 12


def test_labels_are_compared_where_too_few_fibres_can_be_typed(made):
    atlas, obs, values = made
    fibre = obs["cell_type"].str.startswith("MF").to_numpy()
    counts = values[fibre][:, [GENES.index(g) for g in ("MYH7", "MYH2", "MYH1")]].sum(axis=1)
    found = fibres(atlas, min_counts=int(np.sort(counts)[-5]))
    assert found.table["measure"].tolist() == ["label_type_1"]
    assert found.table["n_donors"].tolist() == [12]
    assert "fewer than" in found.skipped[0]["reason"]
