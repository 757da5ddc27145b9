"""The unit that the name of a column of ages states, and the column that is found by it."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from titin.study.age_units import PER_YEAR, UNITS, unit_of_column, without_unit
from titin.study.ages import parse_ages
from titin.study.donor_tables import read_donor_table
from titin.study.roles import find_roles

STATED = {
    "years": ["age_years", "AgeYears", "age_yrs", "age_y", "Age (years)", "age.in.years", "donor_age_years",
              "ageyears"],
    "months": ["age_months", "ageMonths", "Age (months)", "age.in.months", "donor_age_months", "age_mo", "age_m",
               "AGE_MONTHS", "Age [months]", "months_old", "age_in_months", "mouse_age_months", "agemonths",
               "ageInMonths"],
    "weeks": ["age_weeks", "Age (weeks)", "age_wk", "age_w", "ageWeeks", "age in weeks", "weeks_old", "age_wks", "wph"],
    "days": ["age_days", "AgeDays", "Age (days)", "age_d", "days_old", "postnatal_day", "PND", "age_in_days",
             "agedays"],
}  # fmt: skip
SILENT = ["age", "Age", "age_group", "age_bin", "donor", "m", "donor_m", "dosage", "stage_d", "development_stage",
"ageing",
          "d", "image", "package", "age_numeric", "age_days_or_weeks", 3, None, "", "month3"]  # fmt: skip


@pytest.mark.parametrize(("unit", "name"), [(unit, name) for unit, names in STATED.items() for name in names])
def test_a_name_states_its_unit(unit, name):
    assert unit_of_column(name) == unit


@pytest.mark.parametrize("name", SILENT)
def test_other_names_state_none(name):
    assert unit_of_column(name) is None


@pytest.mark.parametrize(("name", "role"), [
    ("Age (weeks)", "age"), ("donorAgeInDays", "donorage"), ("age_months", "age"), ("days_old", "age"), ("PND", "age"),
    ("age", "age"), ("Age_Group", "agegroup"), ("age_group_months", "agegroup"), ("mouse_age_months", "mouseage"),
])  # fmt: skip
def test_a_name_without_its_unit(name, role):
    assert without_unit(name) == role


@pytest.mark.parametrize(("unit", "name"), [("months", "age_months"), ("weeks", "Age (weeks)"), ("days", "days_old")])
def test_numbers_are_read_in_the_unit_of_their_column(unit, name):
    numbers = pd.Series([2.0, 18.0, np.nan], name=name)
    for column in (numbers, numbers.astype("Float64"), numbers.astype("category"), numbers.astype(str)):
        np.testing.assert_allclose(parse_ages(column), numbers / PER_YEAR[unit])
    np.testing.assert_allclose(parse_ages(numbers, unit="years"), numbers)
    texts = pd.Series(["2 years", "18", None], name=name)
    np.testing.assert_allclose(parse_ages(texts), [2, 18 / PER_YEAR[unit], np.nan])


@pytest.mark.parametrize("unit", UNITS)
def test_a_column_that_states_its_unit_is_found(unit):
    ages = [60, 90, 540, 700]
    table = pd.DataFrame({"donor": list("abcd"), f"age_{unit}": ages})
    assert find_roles(table, {})["age"] == f"age_{unit}"


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=20), st.sampled_from(UNITS), st.sampled_from([0.5, 5.0, 130.0]))
def test_columns_of_numbers_and_of_text_agree(numbers, unit, life_span):
    column = pd.Series(numbers, name="age")
    read = parse_ages(column, unit=unit, life_span=life_span)
    np.testing.assert_array_equal(read, column.div(PER_YEAR[unit]).where(lambda years: years <= life_span))
    as_objects = parse_ages(column.astype(object), unit=unit, life_span=life_span)
    np.testing.assert_array_equal(read, as_objects)


def test_a_letter_for_the_sex_is_no_month():
    both = pd.Series(["45M", "32F", "60 m", "51", "3 months"])
    for column in (both, both.astype("category"), both.astype("string")):
        np.testing.assert_array_equal(parse_ages(column), [np.nan, np.nan, np.nan, 51, 0.25])
    np.testing.assert_array_equal(parse_ages(pd.Series(["3M", "24M"])), [0.25, 2])


@pytest.mark.parametrize(("header", "ages", "years"), [
    ("donor,age_months", ["18", "30"], [1.5, 2.5]), ("donor,age", ["18 months", "P28"], [1.5, 28 / 365.25]),
    ("donor,Age (weeks)", ["10", "2 years"], [70 / 365.25, 2]), ("donor,age_years", ["31", "72,5"], [31, 72.5]),
])  # fmt: skip
def test_tables_of_donors_are_read_likewise(tmp_path, header, ages, years):
    path = tmp_path / "donors.tsv"
    path.write_text(header.replace(",", "\t") + "\n" + "".join(f"D{i}\t{age}\n" for i, age in enumerate(ages)))
    assert read_donor_table(path).ages.tolist() == pytest.approx(years)
