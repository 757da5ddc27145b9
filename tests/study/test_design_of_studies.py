"""Which column plays which part is settled once, for every room alike."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from titin.ageing.comparison import ask
from titin.errors import TitinError
from titin.learn import design_table, find_tasks
from titin.study.confounding import design_facts
from titin.study.design import Study, level_name
from titin.study.groups import group_by
from titin.study.roles import named_column, role_columns

ROLES = {"cell_type": ["coarse", "cells"], "donor": "who", "sample": None, "sex": "gender", "age": "age",
         "protocol": "suspension", "chemistry": None}  # fmt: skip


def study(derived=None, **columns):
    obs = pd.DataFrame({
        "coarse": pd.Categorical(["x", "y", "x", None]), "cells": list("abca"), "who": [1, 1, 2, None],
        "gender": ["F", "F", "M", "M"], "age": ["20-25", "20-25", "70", "adult"], "suspension": ["cell"] * 4,
        "score": [1, 2, 3, 4],
    }, index=list("wxyz")).assign(**columns)  # fmt: skip
    return Study(obs, ROLES, pd.DataFrame(derived, obs.index))


def test_columns_by_role():
    found = study()
    assert found.levels == ["coarse", "cells"]
    columns = {role: found.column(role) for role in ROLES}
    assert columns == {**ROLES, "cell_type": "coarse"}
    assert Study(found.obs.drop(columns=["coarse", "who"]), ROLES).column("cell_type") == "cells"
    assert Study(found.obs.drop(columns="who"), ROLES).column("donor") is None
    assert found.values("sex").tolist() == ["F", "F", "M", "M"]
    with pytest.raises(TitinError, match="this dataset has no sample: it is asked for") as error:
        found.values("sample")
    assert "--sample" in error.value.hint


def test_keys_have_the_names_of_roles_and_levels():
    keys = study().keys()
    assert keys.columns.tolist() == ["coarse", "cells_", "donor", "protocol", "sex", "age"]
    assert keys.index.tolist() == [0, 1, 2, 3]
    assert keys["donor"].tolist() == ["1.0", "1.0", "2.0", None]
    assert keys["coarse"].tolist() == ["x", "y", "x", None]
    np.testing.assert_array_equal(keys["age"], [22.5, 22.5, 70, np.nan])
    some = study().keys(["score", "donor"])
    assert some.columns.tolist() == ["score", "donor"]
    assert some["score"].dtype == np.float64
    with pytest.raises(TitinError, match="obs has no column 'weather'"):
        study().keys(["weather"])


@pytest.mark.parametrize(("derived", "name", "first"), [
    ({}, "age", 22.5),
    ({"age_numeric": 31.0}, "age_numeric", 31.0),
    ({"age_numeric": 31.0, "age_years": 33.0}, "age_years", 33.0),
    ({"age_numeric": 31.0, "age_years": np.nan}, "age_numeric", 31.0),
])  # fmt: skip
def test_exact_ages_come_first_in_every_room(derived, name, first):
    found = study(derived)
    assert found.ages.name == name
    assert found.ages.iloc[0] == first
    assert found.donor_ages.loc["1.0"] == first
    assert found.keys()["age"][0] == first
    assert design_table(found.obs, ROLES, found.derived)["age"][0] == first
    assert design_facts(found)["ages"]["low"] == first


@pytest.mark.parametrize("name", ["age_numeric", "age_years"])
def test_columns_of_an_author_are_no_ages_for_their_names(name):
    found = study(**{name: [8000.0, 8000, 25000, 9000]})  # days
    assert found.ages.tolist()[:3] == [22.5, 22.5, 70]
    design = design_table(found.obs, ROLES)
    assert design["age"].tolist()[:3] == design["age_numeric"].tolist()[:3] == [22.5, 22.5, 70]
    assert "age_years" not in design
    assert study({"age_numeric": [1.0, 1, 2, 3]}, **{name: "adult"}).ages.tolist() == [1, 1, 2, 3]
    assert Study(found.obs.drop(columns="age"), ROLES).ages is None


def test_exact_ages_are_ages_also_without_a_column_of_that_role():
    found = Study(study().obs, {**ROLES, "age": None}, pd.DataFrame({"age_years": [20.0, 20, 70, 70]}))
    assert found.keys()["age"].tolist() == [20, 20, 70, 70]
    assert design_facts(found)["ages"] == {"low": 20.0, "high": 70.0, "cut": None}


def test_a_study_without_ages():
    found = Study(study().obs.drop(columns="age"), ROLES)
    assert found.ages is found.donor_ages is found.age_cut is None
    assert "age" not in found.key_names
    unread = study(age="adult")
    assert unread.ages is None
    assert unread.keys()["age"].isna().all()


def test_donors_by_age():
    obs = pd.DataFrame({"who": list("cabd"), "age": [70, 30, 30, np.nan]})
    assert Study(obs, {"donor": "who", "age": "age"}).donors_by_age == ["a", "b", "c", "d"]
    assert Study(obs, {"donor": "who"}).donors_by_age == ["a", "b", "c", "d"]
    assert Study(obs, {}).donors_by_age == []


# ages of donors, and the years from which they are old, if that can be said
CUTS = {
    "as the muscle atlas": ([19, 22, 28, 29, 29, 35, 37, 38, 50, 58, 60, 61, 64, 70, 70, 73, 74], 44.0),
    "all above 45": ([52, 54, 55, 56, 81, 83, 84, 88], 68.5),
    "mice, in years": ([0.25, 0.25, 0.25, 2.0, 2.0, 2.0], 1.125),
    "three donors": ([20, 50, 80], None),
    "all of one age": ([50] * 6, None),
}


@pytest.mark.parametrize("name", CUTS)
def test_young_and_old_are_the_same_in_every_room(name):
    ages, cut = CUTS[name]
    donors = [f"D{i:02}" for i in range(len(ages))]
    obs = pd.DataFrame(
        {"donor": donors, "age": np.array(ages, float), "sex": ["F", "M"] * (len(ages) // 2) + ["F"] * (len(ages) % 2)}
    )
    obs = obs.loc[obs.index.repeat(np.arange(len(obs)) % 3 + 1)]  # donors of more cells do not weigh more
    roles = {"donor": "donor", "age": "age", "sex": "sex"}
    found = Study(obs, roles)
    assert found.age_cut == cut
    assert design_facts(found)["ages"]["cut"] == cut
    groups = group_by(found.keys()).table
    design = design_table(obs, roles)
    task = next(task for task in find_tasks(design) if task.name == "young_old")
    if cut is None:
        assert "young_old" not in design
        assert ask(groups, "age", None).cut is None
        return
    assert ask(groups, "young_old", None).cut == cut
    young = {donor for donor, age in zip(donors, ages, strict=True) if age < cut}
    assert set(design.loc[design["young_old"] == "young", "donor"]) == young
    assert task.description == f"younger than {cut:g} years, or not"
    table = design_facts(found)["arms"]["all"]["age_sex"]["table"]
    assert sum(table["young"].values()) == len(young)


def test_groups_are_sorted_and_missing_keys_are_last_or_of_no_group():
    keys = pd.DataFrame({"a": ["y", "x", None, "x"], "b": [1.0, 2.0, 2.0, np.nan]})
    every = group_by(keys)
    assert every.table["a"].tolist() == ["x", "x", "y", None]
    assert every.codes.tolist() == [2, 0, 3, 1]
    whole = group_by(keys, complete=True)
    assert whole.table["a"].tolist() == ["x", "y"]
    assert whole.codes.tolist() == [1, 0, -1, -1]
    assert whole.table["n_cells"].tolist() == [1, 1]
    assert whole.sum(np.array([5, 7, 9, 11])).tolist() == [7, 5]
    assert group_by(keys[[]]).table["n_cells"].tolist() == [4]
    assert len(group_by(keys.iloc[:0])) == 0


def test_names_of_levels_do_not_hide_other_keys():
    assert [level_name(name) for name in ("donor", "age", "n_cells", "coarse")] == [
        "donor_",
        "age_",
        "n_cells_",
        "coarse",
    ]


def test_a_column_by_its_role_or_by_its_name():
    assert named_column(ROLES, ["who", "score"], "donor") == "who"
    assert named_column(ROLES, ["who", "score"], "score") == "score"
    with pytest.raises(TitinError, match="several columns have the role 'cell_type'"):
        named_column(ROLES, ["who"], "cell_type")
    with pytest.raises(TitinError, match="the dataset has no sample column"):
        named_column(ROLES, ["who"], "sample")
    assert role_columns(ROLES) == ["coarse", "cells", "who", "gender", "age", "suspension"]


KEYS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", None]), st.sampled_from(["x", "y", None]), st.sampled_from([1.0, 2.5, np.nan])
    ),
    max_size=40,
)


@given(KEYS, st.booleans())
def test_cells_of_a_group_have_its_keys_and_no_two_groups_the_same(rows, complete):
    keys = pd.DataFrame(rows, columns=["donor", "protocol", "age"]).astype({"age": float})
    groups = group_by(keys, complete=complete)
    lacking = keys.isna().any(axis=1).to_numpy()
    assert ((groups.codes < 0) == (lacking & complete)).all()
    mine = np.flatnonzero(groups.codes >= 0)
    found = groups.table[list(keys)].iloc[groups.codes[mine]].reset_index(drop=True)
    pd.testing.assert_frame_equal(found, keys.iloc[mine].reset_index(drop=True))
    assert not groups.table[list(keys)].duplicated().any()
    assert groups.table["n_cells"].tolist() == groups.sum(np.ones(len(keys))).tolist()
