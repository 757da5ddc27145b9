"""Words that say that something is not known are missing, in every room alike, and are counted."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from titin.learn import design_table
from titin.study.confounding import design_facts
from titin.study.design import Study
from titin.study.entries import Gap, find_gap, read_entries
from titin.study.vocabulary import is_missing_word, missing_words

ANY_ROLE = [
    "unknown", "Unknown", "UNKNOWN", " unknown ", "[unknown]", "na", "NA", "n/a", "N/A", "N.A.", "#N/A", "nan", "NaN",
    "<NA>", "none", "None", "null", "NULL", "missing", "Not Available", "not_available", "not applicable",
    "not reported", "Not provided", "not collected", "not determined", "unspecified", "undetermined", "unassigned",
    "Unassigned", "", " ", "-", "--", "–", "?", "??", ".", "missing: not collected",
    "Missing : restricted access", "not known",
]  # fmt: skip
DONORS = ["pooled", "Pooled", "pool", "multiple", "mixed", "pooled [D1,D2]", "pooled (D1, D2)", "pool of 3 donors",
          "doublet", "Doublet", "multiplet", "ambiguous", "DBL", "unknown donor", "Donor unknown",
          "unknown_patient"]  # fmt: skip
NAMES = ["D1", "donor_1", "P0", "NA12878", "NAFLD3", "pool_2", "Nona", "1.0", "0", "unk-like", "Nil1", "X?", "mixer",
         "F-001", "+", "H1*", "Poole", "multi7", "ND", "Tabula"]  # fmt: skip


@pytest.mark.parametrize("role", ["cell_type", "donor", "sample", "age", "sex", "protocol", "chemistry"])
@pytest.mark.parametrize("word", ANY_ROLE)
def test_words_that_are_missing_in_every_role(word, role):
    assert is_missing_word(word, role)


@pytest.mark.parametrize("word", DONORS)
def test_words_that_are_no_donor(word):
    assert is_missing_word(word, "donor")


@pytest.mark.parametrize("word", NAMES)
def test_names_that_look_like_words(word):
    assert not is_missing_word(word, "donor")


@pytest.mark.parametrize(("word", "role", "missing"), [
    ("pooled", "sample", False), ("pool", "sample", False), ("doublet", "sample", True),
    ("doublet", "cell_type", False), ("Low quality", "cell_type", False), ("mixed", "cell_type", False),
    ("unclassified", "cell_type", True), ("Unknown cells", "cell_type", True), ("unassigned", "cell_type", True),
    ("negative", "cell_type", False), ("other", "sex", False), ("mixed", "sex", True), ("U", "sex", True),
    ("unknown sex", "sex", True), ("na", "protocol", True), ("cell", "protocol", False),
    ("T cell", "cell_type", False), ("cell", "cell_type", False), ("donor", "donor", False),
    ("sample", "sample", False), ("None cell", "cell_type", True),
])  # fmt: skip
def test_a_word_may_be_missing_for_one_role_and_a_name_for_another(word, role, missing):
    assert is_missing_word(word, role) is missing


@pytest.mark.parametrize(("values", "role", "missing"), [
    (["D1", "D2", "D1/D2"], "donor", ["D1/D2"]),
    (["0", "1", "2", "0/1", "1/2", "unassigned"], "donor", ["0/1", "1/2", "unassigned"]),
    (["HTO-1", "HTO-2", "HTO-1_HTO-2", "Negative"], "donor", ["HTO-1_HTO-2", "Negative"]),
    (["HTO-1", "HTO-2", "Negative"], "sample", ["Negative"]),
    (["positive", "negative"], "sample", []),
    (["CD45 pos", "negative", "pos"], "sample", []),
    (["A_1", "A_2", "A"], "donor", []),
    (["D1/D3", "D2"], "donor", []),
    (["x", "y", "x/y"], "cell_type", []),
    ([1.0, 2.0], "donor", []),
])  # fmt: skip
def test_words_that_are_clear_among_their_like_only(values, role, missing):
    assert missing_words(values, role) == missing


@pytest.mark.parametrize("dtype", [object, "string", "category"])
def test_entries_are_what_they_mean(dtype):
    column = pd.Series(["F", "male", "Female ", "NA", None, "m", "other"], dtype=dtype, index=list("abcdefg"), name="x")
    read = read_entries(column, "sex")
    expected = ["female", "male", "female", None, None, "male", "other"]
    assert [None if pd.isna(value) else value for value in read] == expected
    assert read.index.tolist() == list("abcdefg")
    assert (read.dtype == "category") == (dtype == "category")
    assert find_gap(column, "sex") == Gap(2, {"NA": 1})


def test_one_spelling_of_a_sex_is_left_as_it_stands():
    column = pd.Series(["F", "M", "F"])
    assert read_entries(column, "sex") is column
    assert read_entries(pd.Series(["cell", "Cells", "nucleus"]), "protocol").tolist() == ["cells", "cells", "nuclei"]
    assert read_entries(pd.Series(["cell", "nucleus", "na"]), "protocol").tolist() == ["cell", "nucleus", None]


def test_order_of_categories_is_kept():
    column = pd.Series(pd.Categorical(["b", "na", "a"], ["b", "na", "a", "c"], ordered=True))
    read = read_entries(column, "donor")
    assert read.cat.categories.tolist() == ["b", "a", "c"]
    assert read.cat.ordered


def test_numbers_are_no_words():
    column = pd.Series([1.0, np.nan, 2.0])
    assert read_entries(column, "donor") is column
    assert find_gap(column, "donor") == Gap(1)


def test_every_reader_of_a_study_gets_the_same():
    obs = pd.DataFrame({
        "donor_id": pd.Categorical(["D1", "D2", "pooled", "unknown", "D3 ", None]),
        "kind": ["cell", "nucleus", "na"] * 2, "type": ["T", "unknown", "B", "B", "T", "T"],
        "age": [20.0, 70, 50, 50, 30, 40],
        "sex": ["F", "female", "M", "F ", "unknown", "M"],
    })  # fmt: skip
    roles = {"donor": "donor_id", "protocol": "kind", "cell_type": ["type"], "age": "age", "sex": "sex"}
    study = Study(obs, roles)
    names = ["D1", "D2", None, None, "D3", None]
    assert study.keys(["donor"])["donor"].tolist() == names
    assert study.donors_by_age == ["D1", "D3", "D2"]
    assert study.donor_ages.to_dict() == {"D1": 20, "D2": 70, "D3": 30}
    assert study.keys(["sex"])["sex"].tolist() == ["female", "female", "male", "female", None, "male"]
    assert study.labels("type").isna().tolist() == study.keys()["type"].isna().tolist() == [False, True] + [False] * 4
    design = design_table(obs, roles)
    assert design["donor"].astype(object).where(design["donor"].notna(), None).tolist() == names
    assert design["protocol"].isna().tolist() == [False, False, True] * 2
    assert design_facts(study)["donors"] == {"number": 3, "cells": {"D1": 1, "D2": 1, "D3": 1}}
    assert obs["donor_id"].tolist()[2] == "pooled"
    assert {role: str(gap) for role, gap in study.missing.items()} == {
        "cell_type": "1 cell (1 'unknown')", "donor": "3 cells (1 'pooled', 1 'unknown')",
        "sex": "1 cell (1 'unknown')", "protocol": "2 cells (2 'na')",
    }  # fmt: skip


WORDS = st.one_of(st.none(), st.sampled_from([*ANY_ROLE, *DONORS, *NAMES, "D2", "D1/D2", " D2"]), st.text(max_size=5))


@given(
    st.lists(WORDS, max_size=30), st.sampled_from([object, "category"]), st.sampled_from(["donor", "sex", "cell_type"])
)
def test_what_is_missing_is_what_is_counted(entries, dtype, role):
    column = pd.Series(entries, dtype=object).astype(dtype)
    read = read_entries(column, role)
    assert find_gap(column, role).cells == read.isna().sum()
    assert (read.isna() | column.notna()).all()
    again = read_entries(read, role)
    assert again.isna().tolist() == read.isna().tolist()
