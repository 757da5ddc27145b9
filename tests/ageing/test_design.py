"""Designs say what they compare, what they left out, and what cannot be told apart."""

import numpy as np
import pandas as pd
import pytest

from titin.ageing.comparison import ask, choose_units
from titin.ageing.design import NotTestableError, make_design
from titin.errors import TitinError


def donors(**columns):
    n = len(next(iter(columns.values())))
    return pd.DataFrame({"donor": [f"d{i}" for i in range(n)], "n_cells": 50, **columns})


AGES = [20.0, 25, 30, 35, 55, 60, 65, 70]


def test_a_donor_with_two_chemistries_stands_between_them():
    rows = pd.DataFrame(
        {"chemistry": ["v2", "v3", "v2", "v3"], "age": [2.0, 3.0, 4.0, 4.0], "n_cells": [10, 10, 30, 10]}
    )
    design = make_design(rows, np.array([0, 1, 2, 2]), "~ chemistry + age", "age")
    assert design.columns == ["Intercept", "chemistry[T.v3]", "age"]
    np.testing.assert_allclose(design.matrix, [[1, 0, 2], [1, 1, 3], [1, 0.25, 4]])


def test_a_term_that_is_constant_is_left_out_and_said():
    groups = donors(sex=["M"] * 8, age=AGES)
    compared = choose_units(groups, np.arange(8), ask(groups, "age", None))
    assert compared.design.columns == ["Intercept", "age"]
    assert compared.notes == ["sex is the same in all donors"]
    np.testing.assert_allclose(compared.design.matrix[:, 1], np.array(AGES) / 10)


def test_what_is_confounded_is_named_or_left_out():
    groups = donors(sex=["M"] * 4 + ["F"] * 4, chemistry=["a", "b"] * 4, age=AGES)
    question = ask(groups, "young_old", None)
    assert question.cut == 45
    with pytest.raises(NotTestableError, match=r"^old is confounded with sex$"):
        choose_units(groups, np.arange(8), question)
    compared = choose_units(groups, np.arange(8), ask(groups, "young_old", None, drop_confounded=True))
    assert compared.design.columns == ["Intercept", "chemistry[T.b]", "old"]
    assert compared.notes == ["sex left out: confounded with old"]


def test_nuisance_terms_that_repeat_each_other_change_nothing():
    groups = donors(sex=["M", "F"] * 4, chemistry=["a", "b"] * 4, age=AGES)
    compared = choose_units(groups, np.arange(8), ask(groups, "age", None))
    assert compared.design.columns == ["Intercept", "sex[T.M]", "age"]
    assert compared.notes == ["chemistry is made up of the terms before it"]


@pytest.mark.parametrize(("ages", "reason"), [
    ([20.0, 25, 30, 60, 65], "5 donors with enough cells, fewer than 6"),
    ([20.0, 25, 30, 35, 36, 60, 65], "2 old donors with enough cells, fewer than 3"),
])  # fmt: skip
def test_too_few_donors(ages, reason):
    everyone = donors(age=[*ages, 61.0, 62, 63, 21, 22])
    question = ask(everyone, "age", None)
    with pytest.raises(NotTestableError, match=reason):
        choose_units(everyone, np.arange(len(ages)), question)


def test_donors_with_few_cells_or_without_a_value_are_left_out():
    groups = donors(sex=["M", "F", "M", "F", "M", "F", "M", None], age=AGES)
    groups.loc[0, "n_cells"] = 3
    compared = choose_units(groups, np.arange(8), ask(groups, "age", None), min_cells=10)
    assert compared.donors == ["d1", "d2", "d3", "d4", "d5", "d6"]
    assert compared.notes == ["1 donor without sex left out", "1 donor with fewer than 10 cells left out"]


def test_samples_of_a_donor_are_one_unit_unless_the_contrast_differs_within_it():
    groups = pd.concat(
        [donors(age=AGES, treatment=["a"] * 8), donors(age=AGES, treatment=["b"] * 8)], ignore_index=True
    )
    by_age = choose_units(groups, np.arange(16), ask(groups, "age", None))
    assert len(by_age.units) == 8
    assert set(by_age.units["n_cells"]) == {100}
    paired = choose_units(groups, np.arange(16), ask(groups, "treatment", "~ donor + treatment"))
    assert len(paired.units) == 16
    assert paired.design.residual_df == 7
    assert paired.notes == []
    unpaired = choose_units(groups, np.arange(16), ask(groups, "treatment", "~ treatment"))
    assert unpaired.notes == ["8 donors compared with themselves count twice: add donor to the formula"]


@pytest.mark.parametrize(("columns", "contrast", "formula", "message"), [
    ({"age": AGES}, "age", "~ colour + age", "names 'colour', which the dataset does not have"),
    ({"sex": ["F"] * 8}, "age", None, "this dataset has no ages: the comparison is of ages"),
    ({"age": [40.0] * 8}, "young_old", None, "do not part young from old"),
    ({"age": [np.nan] * 8}, "age", None, "no donor's age can be read"),
    ({"age": AGES}, "age", "~ age + (", "is no formula"),
])  # fmt: skip
def test_what_is_missing_is_said(columns, contrast, formula, message):
    with pytest.raises(TitinError, match=message):
        ask(donors(**columns), contrast, formula)


def test_one_donor_is_too_few():
    with pytest.raises(TitinError, match="this dataset has 1 donor: donors are what is compared"):
        ask(donors(age=[30.0]), "age", None)
