"""What is said of the entries of a column that give no age."""

import numpy as np
import pandas as pd
import pytest

from titin.study.species import Species
from titin.study.unread_ages import read_age_column

MOUSE = Species(("Mus musculus",))


def test_every_entry_without_an_age_is_counted_with_its_reason():
    entries = ["45"] * 5 + [">90"] * 8 + ["PCW 12", "PCW 13"] * 2 + [None] * 3 + ["45;46"]
    for column in (pd.Series(entries, name="age"), pd.Series(entries, name="age", dtype="category")):
        ages = read_age_column(column)
        assert list(ages.unread.itertuples(index=False, name=None)) == [
            (">90", "open-ended", 8), (None, "missing", 3), ("PCW 12", "prenatal", 2), ("PCW 13", "prenatal", 2),
            ("45;46", "several ages", 1),
        ]  # fmt: skip
        assert int(ages.unread["n"].sum()) == int(ages.years.isna().sum()) == 16
        assert str(ages) == (
            "16 cells have no age that can be read from 'age': open-ended: '>90' (8 cells); "
            "prenatal: 'PCW 12', 'PCW 13' (4 cells); missing (3 cells); several ages: '45;46' (1 cell)"
        )


def test_a_handful_is_named_and_the_rest_counted():
    said = str(read_age_column(pd.Series([f"GW{n}" for n in range(10, 30)], name="stage")))
    assert said.endswith("prenatal: 'GW10', 'GW11', 'GW12' and 17 more (20 cells)")


def test_nothing_is_said_where_all_is_read():
    ages = read_age_column(pd.Series(["45", "3 months"], name="age"))
    assert str(ages) == ages.question == ""
    assert len(ages.unread) == 0


@pytest.mark.parametrize(("name", "unit", "years"), [("age_days", "days", 700 / 365.25), ("age", "unknown", np.nan)])
def test_the_unit_is_that_of_the_name(name, unit, years):
    ages = read_age_column(pd.Series([700, 60], name=name), species=MOUSE)
    assert ages.unit == unit
    assert ages.years.iloc[0] == pytest.approx(years, nan_ok=True)


def test_the_unit_may_be_given():
    assert read_age_column(pd.Series([18], name="age_days"), unit="months").years.tolist() == [1.5]


@pytest.mark.parametrize(("numbers", "asked"), [
    ([60, 90, 700], "'age' has numbers up to 700, and Mus musculus lives 5 years at most: are they days?"),
    (["3", "24"],
    "'age' has numbers up to 24, and Mus musculus lives 5 years at most: are they months or weeks or days?"),
    ([1, 7000], "'age' has numbers up to 7000, and Mus musculus lives 5 years at most"),
])  # fmt: skip
def test_numbers_beyond_the_life_span_are_no_years_and_the_unit_is_asked_for(numbers, asked):
    ages = read_age_column(pd.Series(numbers, name="age"), species=MOUSE)
    assert ages.question.startswith(asked)
    assert ("--age-unit" in ages.question) == asked.endswith("?")
    assert ages.years.isna().all()
    assert ages.unit == "unknown"
    assert "in no known unit" in str(ages)


def test_a_slip_is_no_other_unit():
    column = pd.Series([31.0] * 99 + [450.0], name="age")
    for numbers in (column, column.astype(int).astype(str), column.astype("category")):
        ages = read_age_column(numbers)
        assert ages.unit == "years"
        assert ages.years.eq(31).sum() == 99
        assert "beyond the life span: " in str(ages)
    both = read_age_column(pd.Series(["3 months", "2", "30", "P28"] * 5, name="age"), species=MOUSE)
    assert both.years.notna().tolist() == [True, False, False, True] * 5
    stated = read_age_column(pd.Series([2, 30], name="age_years"), species=MOUSE)
    assert stated.years.notna().tolist() == [True, False]


@pytest.mark.parametrize("sentinel", [-1, -9, 999, 1950])
def test_words_for_missing_that_are_numbers_are_no_other_unit(sentinel):
    ages = read_age_column(pd.Series([31, 60, sentinel, sentinel], name="age"))
    assert (ages.unit, ages.question) == ("years", "")
    assert ages.years.notna().tolist() == [True, True, False, False]


def test_a_guess_of_the_species_is_asked_about_and_no_more():
    rodent = Species(looks_like="mouse or rat")
    ages = read_age_column(pd.Series([3, 24], name="age"), species=rodent)
    assert ages.years.tolist() == [3, 24]
    assert "genes are written as those of mouse or rat are" in ages.question
    assert read_age_column(pd.Series([3, 24], name="age_months"), species=rodent).question == ""
    assert read_age_column(pd.Series(["3m", "24m"], name="age"), species=rodent).question == ""


@pytest.mark.parametrize("column", [
    pd.Series([True, False]), pd.to_datetime(pd.Series(["1950-01-01", None])), pd.Series([None, None], dtype=object),
    pd.Series([1j, 2]), pd.Series(pd.Categorical([None, None])), pd.Series([np.nan, -1.0]), pd.Series([], dtype=float),
    pd.Series([True, 30, 1, 1.0, "1", None], dtype=object), pd.to_timedelta(pd.Series([1, 2]), unit="D"),
])  # fmt: skip
def test_columns_of_any_dtype(column):
    ages = read_age_column(column)
    assert int(ages.unread["n"].sum()) == int(ages.years.isna().sum())
    assert isinstance(str(ages) + ages.question, str)
