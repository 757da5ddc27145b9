"""Studies of a merged dataset are held out whole, and comparisons adjust for them."""

import numpy as np
import pandas as pd

from titin.ageing.design import default_formula
from titin.learn.folds import make_splits


def design(studies: list[str | None]) -> pd.DataFrame:
    donors = [f"D{i}" for i in range(len(studies))]
    return pd.DataFrame({"donor": np.repeat(donors, 3), "study": np.repeat(np.array(studies, object), 3)})


def test_a_study_is_tested_by_models_that_have_seen_no_donor_of_it():
    units = design(["A", "B", "A", "C", "B", "A"])
    split = make_splits(units)[0]["leave_one_study_out"]
    folds = list(split.apply(units, np.ones(len(units), bool)))
    assert [sorted(set(units["study"].iloc[fold.test])) for fold in folds] == [["A"], ["B"], ["C"]]
    for fold in folds:
        assert set(units["donor"].iloc[fold.train]).isdisjoint(units["donor"].iloc[fold.test])
        assert len(fold.train) + len(fold.test) == len(units)


def test_a_donor_of_two_studies_trains_no_model_that_is_tested_on_one_of_them():
    units = pd.concat([design(["A", "B", "C"]), pd.DataFrame({"donor": ["D0"], "study": ["B"]})], ignore_index=True)
    folds = make_splits(units)[0]["leave_one_study_out"].folds
    assert folds[1] == {"train": ["D2"], "test": ["D0", "D1"]}


def test_one_study_alone_is_not_held_out():
    assert "leave_one_study_out" not in make_splits(design(["A", "A", None]))[0]
    assert "leave_one_study_out" not in make_splits(design(["A", "A"]).drop(columns="study"))[0]


def test_comparisons_adjust_for_the_study_where_there_is_one():
    assert default_formula("age", ["sex", "study", "donor"]) == "~ sex + study + age"
    assert default_formula("study", ["sex", "study"]) == "~ sex + study"
