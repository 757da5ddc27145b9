"""Donors whose cells cannot be one person's are told by every command that counts donors."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from titin.study.design import Study
from titin.study.identity import _sexes, find_clashes
from titin.study.tallies import code

N = 40


def study(**columns):
    obs = pd.DataFrame({name: np.repeat(values, N // len(values)) for name, values in columns.items()})
    roles = {"donor": "donor_id", "sex": "sex" if "sex" in obs else None, "age": "age" if "age" in obs else None}
    return Study(obs, roles)


def test_two_people_of_one_name_are_told_apart_by_the_study():
    found = study(donor_id=["D1", "D2", "D1", "D2"], study=["A", "A", "B", "B"], sex=["F", "M", "M", "M"],
                  age=[20, 30, 75, 31])  # fmt: skip
    assert found.warnings == [
        "1 donor of two sexes: D1 (10 cells F, 10 cells M); 1 donor of ages too far apart for one: D1 (20 to 75 years)"
        ": donors of one name are counted as one. 'study' tells them apart: make a column of both in the source "
        "(obs['study'] + ':' + obs['donor_id']), and name it with --donor"
    ]


def test_without_a_column_that_explains_it():
    (said,) = study(donor_id=["D1", "D2", "D1", "D2"], sex=["F", "M", "M", "M"]).warnings
    assert said.endswith("Correct the source, or name a column with --donor that has one person a name")


@pytest.mark.parametrize("columns", [
    {"sex": ["F", "female", "F ", "woman"], "age": [20, 21, 20, 25]},  # one person, followed for five years
    {"sex": ["F", "unknown", "na", None], "age": [20.0, np.nan, 20, 30]},
    {"age": [0.25, 0.25, 0.3, 0.4]},  # a mouse
    {"study": ["A", "A", "B", "B"], "age": [20, 20, 20, 20]},
    {},
])  # fmt: skip
def test_one_person_may_be_sampled_several_times(columns):
    assert study(donor_id=["D1"] * 4, **columns).warnings == []


@pytest.mark.parametrize(
    ("ages", "clash"), [([20, 31], True), ([20, 30], False), ([0.25, 2.0], True), ([0.25, 0.5], False)]
)
def test_ages_too_far_apart_for_one_are_those_of_the_species(ages, clash):
    assert bool(study(donor_id=["D1", "D1"], age=ages).warnings) is clash


def test_names_such_as_d1_in_two_datasets_without_ages():
    (said,) = study(donor_id=["D1", "D2", "D1", "D3"], dataset_id=["A", "A", "B", "B"]).warnings
    assert said.startswith("1 donor is in several values of 'dataset_id' (D1) and counted as one person each")
    assert study(donor_id=["TSP14-a", "x", "TSP14-a", "y"], dataset_id=["A", "A", "B", "B"]).warnings == []
    assert study(donor_id=["D1", "D2", "D3", "D4"], dataset_id=["A", "A", "B", "B"]).warnings == []


def test_words_for_missing_are_no_donors_of_two_sexes():
    assert study(donor_id=["unknown", "unknown", "pooled", "pooled"], sex=["F", "M", "F", "M"]).warnings == []


ENTRIES = st.lists(st.tuples(st.sampled_from(["a", "b", None]), st.sampled_from(["F", "M", None]),
                             st.sampled_from([20.0, 25.0, 70.0, np.nan])), max_size=30)  # fmt: skip


@given(ENTRIES)
def test_clashes_are_those_counted_by_hand(rows):
    table = pd.DataFrame(rows, columns=["donor", "sex", "age"]).astype({"donor": object, "sex": object, "age": float})
    found = find_clashes(table["donor"], table["sex"], table["age"])
    for name in ("a", "b"):
        own = table[table["donor"] == name]
        assert (name in found.sexes) == (own["sex"].nunique() > 1)
        span = own["age"].max() - own["age"].min()
        assert (name in found.ages) == bool(span > 10)
        assert (name in found.visits) == bool(0 < span <= 10)


_WORDS = st.sampled_from(["f", "m", None, "x", "1", 1])


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "c", None]), _WORDS), min_size=1, max_size=40))
def test_cells_by_donor_and_sex_are_those_of_the_crossed_table(rows) -> None:
    donor, sex = (pd.Series(list(column), dtype=object) for column in zip(*rows, strict=True))
    codes, _ = pd.factorize(donor, sort=True)
    crossed = pd.crosstab(codes[codes >= 0], sex.astype("string").to_numpy()[codes >= 0])
    counted = dict(_sexes(code(donor, sort=True), sex))
    assert [[own.get(word, 0) for word in crossed.columns] for own in counted.values()] == crossed.to_numpy().tolist()
    assert list(counted) == list(crossed.index)
