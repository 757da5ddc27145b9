"""Ages from numbers, bins and development stages, and from a table of donors."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from titin.errors import TitinError
from titin.study.ages import age_cut, donor_ages, parse_age, parse_ages, young_or_old
from titin.study.donor_tables import read_donor_table


@pytest.mark.parametrize(("text", "years"), [
    # bins
    ("15-20", 17.5), ("70-75", 72.5), ("15–20", 17.5), ("15 to 20", 17.5), ("15_20", 17.5), ("[15, 20)", 17.5),
    ("(15,20]", 17.5), ("15-20 years", 17.5), (" 15 - 20 ", 17.5), ("0-1", 0.5), ("6-9 months", 0.625),
    # numbers
    ("45", 45), ("45.5", 45.5), (" 45 ", 45), ("45y", 45), ("45 yrs", 45), ("45 years old", 45), ("45-year-old", 45),
    ("3m", 0.25), ("24m", 2), ("24 months", 2), ("24mo", 2), ("18 Months", 1.5), ("52w", 364 / 365.25),
    ("10 weeks", 70 / 365.25), ("365.25 days", 1), ("7 d", 7 / 365.25),
    # CELLxGENE
    ("45-year-old stage", 45), ("45-year-old human stage", 45), ("2-month-old stage", 2 / 12),
    ("2 month-old stage", 2 / 12), ("20 month-old stage", 20 / 12), ("60-79 year-old stage", 69.5),
    ("2-5 year-old child stage", 3.5), ("15-19 year-old human stage", 17), ("third decade stage", 25),
    ("third decade human stage", 25), ("sixth decade stage", 55), ("eleventh decade stage", 105),
    # decimal commas, as against ranges in brackets
    ("3,5", 3.5), ("1,5 years", 1.5), ("0,5y", 0.5), ("30,25", 30.25), ("1,5-2,5", 2), ("1,5 to 2,5 months", 2 / 12),
    ("[15,20)", 17.5), ("(3,5]", 4),
    # numbers that are numbers
    (31, 31), (31.5, 31.5), (np.float32(0.5), 0.5), (np.int8(7), 7),
])  # fmt: skip
def test_ages_that_can_be_read(text, years):
    assert parse_age(text) == pytest.approx(years)


@pytest.mark.parametrize("text", [
    "young", "old", "Young", "adult", "aged", "unknown", "", "nan", "n/a", "mature stage", "prime adult stage",
    "human early adulthood stage", "newborn stage", "80 year-old and over stage", "80+", ">80", "<1", "90 and over",
    "under-1-year-old stage", "Carnegie stage 23", "Theiler stage 15", "16th week post-fertilization human stage",
    "12 week gestation", "embryonic stage", "E14.5", "15, 20", "20-15", "2024-01-31", "D12", "A",
    "twelfth decade stage", None, [1], np.nan,
])  # fmt: skip
def test_what_names_no_age_is_unknown(text):
    assert np.isnan(parse_age(text))


COLUMNS = {
    "text": pd.Series(["15-20", "70-75", None, "adult"], dtype=object),
    "string": pd.Series(["15-20", "70-75", None, "adult"], dtype="string"),
    "categorical": pd.Series(pd.Categorical(["15-20", "70-75", None, "adult"])),
    "ordered": pd.Series(pd.Categorical(["15-20", "70-75", None, "adult"], ["adult", "70-75", "15-20"], ordered=True)),
    "categorical numbers": pd.Series(pd.Categorical([17.5, 72.5, None, None])),
    "float": pd.Series([17.5, 72.5, np.nan, np.nan], dtype="float32"),
    "nullable": pd.Series([17.5, 72.5, None, None], dtype="Float64"),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_columns_of_any_type(name):
    column = COLUMNS[name].set_axis(list("abcd"))
    years = parse_ages(column)
    assert years.dtype == np.float64
    assert years.index.tolist() == list("abcd")
    np.testing.assert_array_equal(years, [17.5, 72.5, np.nan, np.nan])


def test_whole_numbers_that_may_be_missing():
    np.testing.assert_array_equal(parse_ages(pd.Series([20, None, 30], dtype="Int16")), [20, np.nan, 30])
    np.testing.assert_array_equal(parse_ages(pd.Series([20, 25, 30], dtype="uint8")), [20, 25, 30])


@pytest.mark.parametrize("column", [
    pd.Series([True, False]),
    pd.Series([True, None], dtype="boolean"),
    pd.to_datetime(pd.Series(["1950-01-01", "2000-01-01"])),
    pd.Series(pd.Categorical(["young", "old"])),
    pd.Series([None, None], dtype=object),
    pd.Series(pd.Categorical([None, None])),
])  # fmt: skip
def test_columns_without_ages(column):
    assert parse_ages(column).isna().all()
    assert parse_ages(column).dtype == np.float64


def test_every_stage_of_a_real_census(shared):
    stages = pd.read_parquet(shared / "data/tables/cellxgene_census_obs_23945x20.parquet")["development_stage"]
    years = pd.Series(parse_ages(stages).to_numpy(), stages).groupby(level=0, observed=True).first().dropna()
    assert years.to_dict() == {
        "third decade human stage": 25.0, "sixth decade human stage": 55.0, "eighth decade human stage": 75.0,
    }  # fmt: skip
    known = stages.isin(years.index)
    assert parse_ages(stages).notna().tolist() == known.tolist()


# young and old


@pytest.mark.parametrize(("ages", "expected"), [
    ([19, 22, 28, 29, 29, 35, 37, 38, 50, 58, 60, 61, 64, 70, 70, 73, 74], 44.0),
    ([20, 21, 22, 24, 90], 23.0),  # one donor of five is less than a quarter
    ([30, 30, 30, 30], None),
    ([20, 70, 71], None),
])  # fmt: skip
def test_the_cut_between_young_and_old_lies_in_the_widest_gap(ages, expected):
    assert age_cut(pd.Series(ages, dtype=float)) == expected


@given(st.lists(st.integers(0, 110), max_size=30), st.randoms())
def test_the_cut_lies_in_a_gap_with_a_quarter_of_the_donors_on_either_side(ages, random):
    cut = age_cut(pd.Series(ages, dtype=float))
    shuffled = ages.copy()
    random.shuffle(shuffled)
    assert age_cut(pd.Series(shuffled, dtype=float)) == cut
    if cut is None:
        # nothing to cut: few donors, or the middle half of them of one age
        values = sorted(ages)
        least = -(-len(values) // 4)
        assert len(values) < 4 or values[least - 1] == values[-least]
        return
    halves = young_or_old(ages, cut)
    assert min((halves == "young").sum(), (halves == "old").sum()) >= len(ages) / 4
    assert max(a for a in ages if a < cut) < cut < min(a for a in ages if a >= cut)


def test_an_age_at_the_cut_is_old_and_an_unknown_one_neither():
    assert young_or_old([44.9, 45, np.nan, 90], 45.0).tolist() == ["young", "old", None, "old"]


def test_a_donor_has_the_median_of_its_ages():
    ages, donor = pd.Series([30.0, 31, 50, np.nan, 70, 20]), pd.Series(["b", "b", "b", "c", None, "a"])
    for column in (donor, donor.astype("category"), donor.astype("string")):
        assert donor_ages(ages, column).to_dict() == {"a": 20.0, "b": 31.0}
    assert donor_ages(ages, pd.Series([2, 2, 2, 3, 3, 1])).to_dict() == {"1": 20.0, "2": 31.0, "3": 70.0}


# donor tables

TABLE = pd.DataFrame({"DonorID": ["D1", "D2", "D2"], "age": ["31", "72", "72"], "sex": ["f", "m", "m"]})


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".txt", ".parquet"])
def test_donor_tables(tmp_path, suffix):
    path = tmp_path / f"donors{suffix}"
    if suffix == ".parquet":
        TABLE.to_parquet(path)
    else:
        TABLE.to_csv(path, sep="," if suffix == ".csv" else "\t", index=False)
    assert read_donor_table(path).ages.to_dict() == {"D1": 31.0, "D2": 72.0}


@pytest.mark.parametrize("header", ["donor,age", "donor_id,Age", "Patient,donor_age", "individual,age_years",
                                    "subject_id,development_stage"])  # fmt: skip
def test_donor_tables_go_by_many_names(tmp_path, header):
    (tmp_path / "donors.csv").write_text(f"{header}\n007,31\nD2,72.5\nD3,\n")
    assert read_donor_table(tmp_path / "donors.csv").ages.to_dict() == {"007": 31.0, "D2": 72.5}


@pytest.mark.parametrize(("text", "message"), [
    ("donor,age\nD1,31\nD2,40\nD1,32\n", r"gives donor 'D1' the ages \[31.0, 32.0\]"),
    ("donor\nD1\n", r"has no age column \(it has donor\)"),
    ("name,age\nD1,31\n", r"has no donor column \(it has name, age\)"),
    ("donor,age\nD1,\n", "has no age column"),
    ("", "cannot be read as a table"),
])  # fmt: skip
def test_donor_tables_that_cannot_be_used(tmp_path, text, message):
    path = tmp_path / "donors.csv"
    path.write_text(text)
    with pytest.raises(TitinError, match=message) as error:
        read_donor_table(path)
    assert str(path) in str(error.value)
    assert error.value.hint


@pytest.mark.parametrize(("text", "kept"), [
    ("donor,sex\nD1,f\n", {"sex": "f"}), ("donor,age\nD1,old\n", {"age": "old"}),
    ("donor,height\nD1,180\n", {"height": 180.0}),
])  # fmt: skip
def test_a_donor_table_without_ages_is_told_and_keeps_what_it_says(tmp_path, text, kept):
    (tmp_path / "donors.csv").write_text(text)
    found = read_donor_table(tmp_path / "donors.csv")
    assert found.ages.empty
    assert found.notes == ["donors.csv has no ages"]
    assert found.columns.loc["D1"].to_dict() == kept


def test_donor_tables_that_are_no_tables(tmp_path):
    with pytest.raises(TitinError, match="does not exist"):
        read_donor_table(tmp_path / "none.csv")
    with pytest.raises(TitinError, match="cannot be read as a table"):
        read_donor_table(tmp_path)
    (tmp_path / "a.parquet").write_bytes(b"no parquet")
    with pytest.raises(TitinError, match="cannot be read as a table"):
        read_donor_table(tmp_path / "a.parquet")
