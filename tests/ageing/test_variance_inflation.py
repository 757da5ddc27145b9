"""How far a contrast overlaps with the other terms of a design: exact values, and the words."""

import numpy as np
import pandas as pd
import pytest

from titin.ageing.comparison import ask, choose_units, say_vif
from titin.ageing.design import make_design
from titin.ageing.variance_inflation import HIGH_VIF, overlapping_terms, variance_inflation

RNG = np.random.default_rng(4)
AGES = RNG.uniform(20, 80, 16)


def design(formula, contrast, **columns):
    rows = pd.DataFrame({"n_cells": 50, **columns})
    return make_design(rows, np.arange(len(rows)), formula, contrast)


def test_the_vif_of_a_column_is_one_over_one_less_its_r_squared():
    bmi, dose = AGES / 10 + RNG.normal(0, 1, 16), RNG.normal(0, 1, 16)
    found = design("~ bmi + dose + age", "age", age=AGES, bmi=bmi, dose=dose)
    others = np.column_stack([np.ones(16), bmi, dose])
    rest = AGES - others @ np.linalg.lstsq(others, AGES, rcond=None)[0]
    assert found.vif == pytest.approx(((AGES - AGES.mean()) ** 2).sum() / (rest**2).sum(), rel=1e-10)


def test_what_is_balanced_is_not_inflated():
    ages = np.repeat([20.0, 40, 60, 80], 4)
    assert design("~ sex + age", "age", age=ages, sex=["F", "M"] * 8).vif == pytest.approx(1, abs=1e-12)
    assert design("~ age", "age", age=ages).vif == 1
    groups = np.repeat(["a", "b", "c", "d"], 4)
    assert design("~ 0 + group", {"group[a]": 1, "group[b]": -1}, group=groups).vif == pytest.approx(1, abs=1e-12)


def test_the_vif_of_a_term_is_that_of_fox_and_monette():
    sex = np.where(AGES + RNG.normal(0, 15, 16) > 50, "M", "F")
    found = design("~ sex + bs(age, df=3)", "bs(age, df=3)", age=AGES, sex=sex)
    own = [i for i, name in enumerate(found.columns) if name.startswith("bs")]
    rest = [i for i, name in enumerate(found.columns) if name.startswith("sex")]
    r = np.corrcoef(found.matrix[:, 1:].T)
    parts = [np.linalg.det(r[np.ix_([i - 1 for i in of], [i - 1 for i in of])]) for of in (own, rest)]
    assert found.contrasts.shape == (5, 3)
    assert found.vif == pytest.approx((parts[0] * parts[1] / np.linalg.det(r)) ** (1 / 3), rel=1e-8)


def test_an_interaction_is_not_held_to_overlap_with_what_it_is_made_of():
    ages, sex = np.repeat([20.0, 40, 60, 80], 4), ["F", "M"] * 8
    found = design("~ age * sex", "age:sex", age=ages, sex=sex)
    assert found.tested == ["age:sex[T.M]"]
    assert found.vif == pytest.approx(1, abs=1e-9)
    assert found.notes == []


def test_terms_that_overlap_are_named_with_the_number():
    ages = np.array([20.0, 22, 25, 28, 30, 33, 60, 62, 65, 68, 70, 75])
    groups = pd.DataFrame({
        "donor": [f"d{i}" for i in range(12)], "n_cells": 50, "age": ages, "chemistry": ["v2", "v3"] * 6,
        "sex": ["M"] * 6 + ["F"] * 6,
    })  # fmt: skip
    compared = choose_units(groups, np.arange(12), ask(groups, "age", None))
    assert compared.design.vif > HIGH_VIF
    assert compared.notes == [f"age and sex overlap: VIF {compared.design.vif:.1f}"]
    assert compared.facts["vif"] == round(compared.design.vif, 3)
    assert compared.facts["tested"] == ["age"]
    mixed = choose_units(groups.assign(sex=["M", "F"] * 6, chemistry="v3"), np.arange(12), ask(groups, "age", None))
    assert mixed.design.vif < 1.1
    assert not [note for note in mixed.notes if "overlap" in note]


def test_of_several_terms_the_one_that_does_it_is_named_first():
    x = RNG.normal(size=(40, 2))
    age = 3 * x[:, 0] + 0.1 * x[:, 1] + RNG.normal(0, 0.2, 40)
    matrix = np.column_stack([np.ones(40), x, age])
    contrast = np.array([[0.0], [0], [0], [1]])
    vif, terms = overlapping_terms(matrix, contrast, ["Intercept", "one", "two", "age"])
    assert terms == ["one"]
    assert vif == variance_inflation(matrix, contrast) > 50


def test_the_span_over_comparisons():
    assert say_vif({"contrast": "age"}, [{"vif": 1.04}, {"vif": 1.01}]) == "VIF of age 1.0"
    assert say_vif({"contrast": "age"}, [{}]) == ""
