"""Ages that two columns tell: which can both be true, and which cannot, and of whom."""

import numpy as np
import pandas as pd
import pytest

from titin.study.age_conflicts import find_contradictions

DONORS = ["A", "B", "C", "D"]


def contradictions(obs, *, age="Age_group", table=None, origins=None, life_span=125.0):
    frame = pd.DataFrame({"donor": DONORS, **obs}).iloc[np.repeat(np.arange(4), 3)].reset_index(drop=True)
    derived = pd.DataFrame(index=frame.index)
    if table is not None:
        derived["age_years"] = frame["donor"].map(dict(zip(DONORS, table, strict=True))).astype(float)
    known = {"age_numeric": {"unit": "years"}, "age_years": {}} | (origins or {})
    return find_contradictions(frame, {"donor": "donor", "age": age}, derived, origins=known, life_span=life_span)


BINS = ["15-20", "35-40", "50-55", "70-75"]


def test_a_wrong_donor_table_is_found_with_the_donors():
    found = contradictions({"Age_group": BINS}, table=[72, 38, 52, 19])
    assert len(found) == 1
    assert found[0].donors == {"A": ("15-20", "72"), "D": ("70-75", "19")}
    assert found[0].cells == 6
    assert str(found[0]) == (
        "'Age_group' and 'age_years' contradict each other on 6 cells: A (15-20 and 72), D (70-75 and 19)"
    )


@pytest.mark.parametrize("table", [
    [15, 40, 50, 75], [20.9, 34.1, 55.5, 69.5], [np.nan, 38, np.nan, 71],  # ends of ranges, completed years, unknown
])  # fmt: skip
def test_ages_at_the_ends_of_ranges_agree(table):
    assert contradictions({"Age_group": BINS}, table=table) == []


@pytest.mark.parametrize(("table", "wrong"), [([14, 38, 52, 71], []), ([13.9, 38, 52, 76.1], ["A", "D"])])
def test_a_year_is_what_rounding_may_make(table, wrong):
    found = contradictions({"Age_group": BINS}, table=table)
    assert [sorted(one.donors) for one in found] == ([wrong] if wrong else [])


@pytest.mark.parametrize(("name", "entries", "wrong"), [
    ("age", [18, 38, 52, 19], ["D"]),
    ("age", ["18", "38", "52", "19"], ["D"]),
    ("donor_age", ["18 years", "thirty-eight years", "sixth decade", "2nd decade"], ["D"]),
    ("development_stage", ["18-year-old stage", "38-year-old stage", "adult", "unknown"], []),
    ("development_stage", ["18-year-old stage", "72-year-old stage", "adult", "unknown"], ["B"]),
    ("age_months", [216, 456, 624, 228], ["D"]),
    ("age_months", [216, 456, 624, 860], []),
    ("age", [216, 456, 624, 860], []),  # in months, as nothing says they are years
    ("age_bin", [1, 3, 4, 8], []),  # codes
    ("age", [1, 2, 3, 3], []),
    ("age", [-1.3, -0.2, 0.4, 1.1], []),  # scaled
    ("age_at_diagnosis", [3, 3, 3, 3], []),
    ("age_of_onset", [60, 60, 60, 60], []),
    ("stage", [3, 3, 3, 3], []),
])  # fmt: skip
def test_two_columns_of_the_atlas(name, entries, wrong):
    found = contradictions({"Age_group": BINS, name: entries})
    assert [sorted(one.donors) for one in found] == ([wrong] if wrong else [])


def test_a_table_that_gives_ranges_is_not_held_to_their_middles():
    table, origins = [17.5, 45, 52, 71], {"age_years": {"within": 10.0}}
    assert contradictions({"Age_group": BINS}, table=table, origins=origins) == []
    assert [sorted(c.donors) for c in contradictions({"Age_group": BINS}, table=table)] == [["B"]]


def test_one_age_in_the_table_may_be_that_of_any_visit():
    obs = pd.DataFrame({"donor": ["A"] * 4, "age": [40, 40, 48, 48]})
    roles = {"donor": "donor", "age": "age"}
    for years, n in ((40, 0), (44, 0), (48, 0), (60, 1)):  # visits of one person, eight years apart
        derived = pd.DataFrame({"age_years": [float(years)] * 4})
        assert len(find_contradictions(obs, roles, derived, origins={}, life_span=125.0)) == n


def test_ages_further_apart_than_one_person_is_followed_are_no_visits():
    obs = pd.DataFrame({"donor": ["A"] * 4, "age": [40, 40, 40, 95]})
    derived = pd.DataFrame({"age_years": [40.0] * 4})
    (found,) = find_contradictions(obs, {"donor": "donor", "age": "age"}, derived, origins={}, life_span=125.0)
    assert found.donors == {"A": ("95", "40")}


def test_mice_are_held_to_months():
    ages = ["3m", "3m", "24m", "24m"]
    assert contradictions({"Age_group": ages, "age_weeks": [13, 14, 104, 105]}, life_span=5.0) == []
    found = contradictions({"Age_group": ages, "age_weeks": [13, 14, 104, 13]}, life_span=5.0)
    assert [sorted(one.donors) for one in found] == [["D"]]


def test_without_donors_the_cells_are_named():
    obs = pd.DataFrame({"age": [20, 20], "Age_group": ["20-25", "70-75"]})
    found = find_contradictions(obs, {"age": "age"}, pd.DataFrame(index=obs.index), origins={}, life_span=125.0)
    assert str(found[0]) == "'age' and 'Age_group' contradict each other on 1 cells: the cells (20 and 70-75)"


def test_ages_given_to_the_wrong_donors_are_found_of_all_seventeen():
    years = np.array([19, 22, 28, 29, 29, 35, 37, 38, 50, 58, 60, 61, 64, 70, 70, 73, 74])
    bins = [f"{low}-{low + 5}" for low in years // 5 * 5]
    obs = pd.DataFrame({"donor": [f"d{i}" for i in range(17)], "Age_group": bins})
    roles, origins = {"donor": "donor", "age": "Age_group"}, {"age_numeric": {"unit": "years"}}

    def of_table(ages):
        derived = pd.DataFrame({"age_years": ages.astype(float)})
        return find_contradictions(obs, roles, derived, origins=origins, life_span=125.0)

    assert of_table(years) == []
    (found,) = of_table(years[::-1])
    assert sorted(found.donors) == sorted(f"d{i}" for i in range(17) if i != 8)
