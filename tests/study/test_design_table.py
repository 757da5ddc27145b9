"""Tasks, what of them can be evaluated, units and splits, on real tables and on none."""

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyRegressor
from sklearn.model_selection import cross_val_predict

from titin.errors import TitinError
from titin.learn import check_task, design_table, find_tasks, freeze, make_splits, make_units, read_splits
from titin.learn.estimators import GroupMean
from titin.learn.folds import fewer_donors
from titin.learn.metrics import regression_scores
from titin.learn.tasks import Rules
from titin.learn.units import PSEUDOCELL, BenchmarkUnits
from titin.load.splits import LeaveOneDonorOut
from titin.study.roles import find_roles


def table(**columns):
    n = max(len(v) for v in columns.values())
    return design_table(pd.DataFrame(columns), {name: name for name in columns if name != "cell_type"} | (
        {"cell_type": ["cell_type"]} if "cell_type" in columns else {})) if n else None  # fmt: skip


@pytest.fixture(scope="module")
def donors(shared_module):
    """The real donors, one row a donor and arm."""
    return pd.read_csv(shared_module / "data/atlas_tables/donor_by_batch.csv")


@pytest.fixture(scope="module")
def shared_module():
    from pathlib import Path

    folder = Path(__file__).parents[3] / "shared"
    if not folder.is_dir():
        pytest.skip(f"needs the shared files, which would lie in {folder}")
    return folder


GOLDEN = {  # mean, median, sex, oracle; years
    None: (18.43, 22.06, 17.59, 6.71),
    "cells": (18.73, 21.17, 13.17, 8.04),
    "nuclei": (19.82, 23.58, 20.59, 6.11),
}


@pytest.mark.parametrize("arm", GOLDEN)
def test_baselines_of_the_real_donors(donors, arm):
    rows = donors if arm is None else donors[donors["batch"] == arm]
    design = design_table(rows, {"donor": "DonorID", "age": "Age", "sex": "Sex"}).drop_duplicates("donor")
    units = BenchmarkUnits("donor", design.reset_index(drop=True), np.arange(len(design)))
    assert len(units) == {None: 17, "cells": 12, "nuclei": 13}[arm]
    split = make_splits(design)[0]["leave_one_donor_out"]
    models = (GroupMean(), GroupMean(statistic="median"), GroupMean("sex"), GroupMean("young_old"))
    age, found = units.obs["age"].to_numpy(), []
    for model in models:
        predicted = np.empty(len(units))
        for fold in split.apply(units.obs, np.ones(len(units), bool)):
            rest = units.obs.iloc[fold.train]
            predicted[fold.test] = model.fit(rest, age[fold.train]).predict(units.obs.iloc[fold.test])
        found.append(round(regression_scores(age, predicted)["mae"], 2))
    assert tuple(found) == GOLDEN[arm]


def test_splitters_pass_in_cross_val_predict(donors):
    rows = donors.drop_duplicates("DonorID")
    X, age = np.zeros((len(rows), 1)), rows["Age"].to_numpy(float)
    predicted = cross_val_predict(DummyRegressor(), X, age, cv=LeaveOneDonorOut(rows["DonorID"]))
    assert round(np.abs(predicted - age).mean(), 2) == 18.43


def test_the_cells_arm_is_told_to_confound_sex_and_age(donors):
    rows = donors.rename(columns={"DonorID": "donor", "Age": "age", "Sex": "sex", "batch": "protocol"})
    design = design_table(rows, {name: name for name in ("donor", "age", "sex", "protocol")})
    found = check_task(find_tasks(design, ["age"])[0], design)
    assert found.notes == ("all 5 young donors in cells are male: sex and age are confounded",)


def test_one_female_donor_is_not_evaluable():
    design = table(donor=["a"] * 40 + list("bcd") * 30, sex=["F"] * 40 + ["M"] * 90)
    found = check_task(find_tasks(design, ["sex"])[0], design)
    assert found.not_evaluable == ["sex: 1 female donor: not evaluable"]
    assert not found.usable.any()


def test_rare_classes_are_named_and_left_out():
    design = table(donor=list("abc") * 40, cell_type=["x"] * 60 + ["y"] * 57 + ["z"] * 3)
    found = check_task(find_tasks(design, ["cell_type"])[0], design)
    assert found.not_evaluable == ["z: 3 cells of 3 donors: not evaluable"]
    assert found.usable.sum() == 117
    assert check_task(found.task, design, Rules(min_cells=3)).not_evaluable == []


def test_protocol_is_scored_within_shared_types_and_confounders_are_told():
    protocol = np.array((["cells"] * 3 + ["nuclei"] * 3) * 60)
    design = table(
        donor=np.tile(list("abcdef"), 60), protocol=protocol, cell_type=np.where(np.arange(360) < 240, "FB", "only"),
        chemistry=np.where(protocol == "cells", "v2", "v3"),
    )  # fmt: skip
    design.loc[(design["cell_type_0"] == "only") & (design["protocol"] == "cells"), "cell_type_0"] = "FB"
    found = check_task(find_tasks(design, ["protocol"])[0], design)
    assert found.notes[0] == "protocol is scored within 1 of 2 cell types, those that two classes have"
    assert "protocol is confounded with chemistry (cells: v2, nuclei: v3)" in found.notes[1]
    assert set(design.loc[found.usable, "cell_type_0"]) == {"FB"}


@pytest.mark.parametrize(
    "design",
    [
        table(cell_type=["x", "y"] * 30),
        table(donor=["a"] * 60, cell_type=["x", "y"] * 30, age=[30] * 60, sex=["F"] * 60),
        table(donor=list("abc") * 20, cell_type=["x"] * 60, age=[30] * 60, sex=["F"] * 60),
    ],
    ids=["no donor", "one donor", "one class"],
)
def test_what_cannot_be_evaluated_is_said(design):
    for task in find_tasks(design):
        found = check_task(task, design)
        assert not found.usable.any()
        assert all(sentence.endswith("not evaluable") for sentence in found.not_evaluable)
        assert found.not_evaluable


def test_real_obs_table_of_cellxgene(shared_module):
    obs = pd.read_parquet(shared_module / "data/tables/cellxgene_census_obs_23945x20.parquet")
    design = design_table(obs, find_roles(obs, {}))
    splits, told = make_splits(design)
    assert told == []
    assert len(splits["leave_one_donor_out"].folds) == obs["donor_id"].nunique() == 45
    usable = np.ones(len(design), bool)
    donor = design["donor"].astype(str).to_numpy()
    for name, split in splits.items():
        for fold in split.apply(design, usable):
            assert bool(set(donor[fold.train]) & set(donor[fold.test])) == split.leaky, name
    problems = {t.name: check_task(t, design).problem for t in find_tasks(design)}
    assert problems["age_numeric"] == "age_numeric: the dataset has no age_numeric: not evaluable"
    assert problems["cell_type_0"] == problems["sex"] == ""


def test_splits_are_frozen_with_a_checksum(donors, tmp_path):
    roles = {"donor": "DonorID", "age": "Age", "sex": "Sex", "protocol": "batch"}
    design = design_table(donors, roles)
    splits, _ = make_splits(design)
    assert {"leave_one_donor_out", "donor_kfold", "cells_to_nuclei", "nuclei_to_cells", "random_leaky"} == set(splits)
    assert len(splits["donor_kfold"].folds) == 25
    path = tmp_path / "splits.json"
    digest = freeze(splits, path)
    again, same = read_splits(path)
    assert same == digest == freeze(splits, path)
    assert again == splits
    with pytest.raises(TitinError, match="other splits"):
        freeze(make_splits(design, seed=1)[0], path)
    path.write_text(path.read_text().replace("470BR", "398B", 1))
    with pytest.raises(TitinError, match="was changed"):
        read_splits(path)


def test_fewer_donors_are_nested_and_test_the_same(donors):
    design = design_table(donors, {"donor": "DonorID", "age": "Age", "sex": "Sex"}).drop_duplicates("donor")
    split = make_splits(design)[0]["leave_one_donor_out"]
    four, eight = fewer_donors(split, [4, 8], design)
    assert (four.name, eight.name) == ("leave_one_donor_out@4", "leave_one_donor_out@8")
    for small, large, whole in zip(four.folds, eight.folds, split.folds, strict=True):
        assert len(small["train"]) == 4
        assert set(small["train"]) < set(large["train"]) < set(whole["train"])
        assert small["test"] == whole["test"]


def test_pseudocells_are_of_one_donor_and_type():
    rng = np.random.default_rng(0)
    design = table(
        donor=rng.choice(list("abc"), 3000), cell_type=rng.choice(["x", "y", "rare"], 3000, p=[0.6, 0.39, 0.01])
    )
    units = make_units(design, "pseudocell")
    least, _, most = PSEUDOCELL
    assert units.obs["n_cells"].between(least, most).all()
    for unit in range(len(units)):
        mine = design[units.of_cell == unit]
        assert len(mine) == units.obs["n_cells"].iloc[unit]
        assert mine["donor"].nunique() == mine["cell_type_0"].nunique() == 1
    assert units.obs.groupby(["donor", "cell_type_0"], observed=True).size().max() <= 20
    np.testing.assert_array_equal(make_units(design, "pseudocell").of_cell, units.of_cell)
    assert not np.array_equal(make_units(design, "pseudocell", seed=1).of_cell, units.of_cell)


def test_unknown_tasks_are_refused():
    with pytest.raises(TitinError, match="there is no task 'agee'"):
        find_tasks(table(donor=["a"]), ["agee"])
