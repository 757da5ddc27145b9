"""The grammar of ages: a text is read whole, or it is unknown and the reason is said."""

import ast
import math
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from titin.study.age_grammar import read_age
from titin.study.age_units import PER_YEAR, UNITS

WEEK, DAY, MONTH = 7 / 365.25, 1 / 365.25, 1 / 12

READ = {
    # years
    "0": 0, "45": 45, "45.0": 45, "45.25": 45.25, "99": 99, "120": 120, "007": 7, " 45 ": 45, "45y": 45, "45 y": 45,
    "45Y": 45, "45yr": 45, "45 yr.": 45, "45 yrs.": 45, "45 years": 45, "45 Years": 45, "45 YEARS": 45, "45yo": 45,
    "45-yo": 45,
    "45 yo": 45, "45 y.o.": 45, "45 y/o": 45, "45y.o": 45, "45 yrs old": 45, "45 years old": 45, "45-year-old": 45,
    "45-yr-old": 45, "45 year-old": 45, "45 years of age": 45, "45-years-of-age": 45, "45 year(s)": 45,
    "45 (years)": 45, "45 [y]": 45, "45_years": 45, "45\u00a0years": 45, "1 year": 1, "45-year-old male": 45,
    "45 year old female donor": 45, "sixty years": 60, "forty-five years": 45, "thirty two year old": 32,
    # decimal commas
    "1,5": 1.5, "1,5 years": 1.5, "45,0": 45, "30,25 y": 30.25, "0,5yr": 0.5, "1,5-2,5": 2,
    "1,5 to 2,5 months": 2 * MONTH,
    # months, weeks, days
    "3m": 0.25, "3 m": 0.25, "24M": 2, "3mo": 0.25, "3 mos": 0.25, "3 mo.": 0.25, "18mo": 1.5, "18-mo-old": 1.5,
    "3 months": 0.25, "3 month": 0.25, "3_months": 0.25, "3 mths": 0.25, "18 months old": 1.5, "2-month-old": 2 * MONTH,
    "12 wks": 12 * WEEK, "12w": 12 * WEEK, "12 W": 12 * WEEK, "12wk": 12 * WEEK, "12 week": 12 * WEEK,
    "12-week-old mice": 12 * WEEK, "8wo": 8 * WEEK, "8-wk-old": 8 * WEEK, "eight weeks": 8 * WEEK, "90 days": 90 * DAY,
    "90d": 90 * DAY, "1 day": DAY, "365.25 d": 1, "7 days postnatal": 7 * DAY, "7 days after birth": 7 * DAY,
    "3 weeks post-natal": 3 * WEEK, "28 dpp": 28 * DAY, "30 dph": 30 * DAY, "6 wph": 6 * WEEK,
    "18 mon": 1.5, "3 months post-hatch": 0.25, "2 weeks after birth": 2 * WEEK, "6 days post-partum": 6 * DAY,
    # days since birth
    "P0": 0, "P28": 28 * DAY, "p28": 28 * DAY, "P 7": 7 * DAY, "P7.5": 7.5 * DAY, "PN7": 7 * DAY, "PND7": 7 * DAY,
    "PND 21": 21 * DAY, "PD21": 21 * DAY, "postnatal day 7": 7 * DAY, "Postnatal Day 0": 0,
    "post-natal day 14": 14 * DAY,
    "postnatal day P14": 14 * DAY, "postnatal week 3": 3 * WEEK, "P7-P10": 8.5 * DAY, "P7-10": 8.5 * DAY,
    "P7 – P10": 8.5 * DAY, "P7 to P10": 8.5 * DAY, "postnatal 8 weeks": 8 * WEEK,
    # ISO 8601 and several units
    "P12W": 12 * WEEK, "P28D": 28 * DAY, "P3M": 0.25, "P40Y": 40, "P40Y5M": 40 + 5 / 12,
    "P1Y2M10D": 1 + 2 / 12 + 10 * DAY,
    "P0.5Y": 0.5, "P20Y-P30Y": 25, "40Y5M": 40 + 5 / 12, "67y 3m": 67.25, "2 years 3 months": 2.25, "2y6m": 2.5,
    "2 years and 3 months": 2.25, "2 years, 3 months": 2.25, "2 yrs 3 mos old": 2.25,
    "3 months 2 weeks": 0.25 + 2 * WEEK,
    # ranges
    "20-29": 24.5, "20–29": 24.5, "20—29": 24.5, "20 - 29": 24.5, "20_29": 24.5, "20~29": 24.5, "20 to 29": 24.5,
    "0-1": 0.5, "45-45": 45, "20-29 yo": 24.5, "60-64 years": 62, "20-29 years old": 24.5, "20-29-year-old": 24.5,
    "[20, 30)": 25, "(20,30]": 25, "(20.0, 30.0]": 25, "[20-30]": 25, "(20-30)": 25, "[3,5)": 4, "[20, 30) years": 25,
    "[6, 8] weeks": 7 * WEEK, "between 20 and 30": 25, "between 20 and 30 years": 25, "from 20 to 30": 25,
    "6-8 wks": 7 * WEEK, "6-8 wk old": 7 * WEEK, "6-8w": 7 * WEEK, "6 to 8 weeks": 7 * WEEK,
    "6-to-8-week-old": 7 * WEEK,
    "3-6 mos": 4.5 * MONTH, "20y-30y": 25, "6wk - 8wk": 7 * WEEK, "18 months - 2 years": 1.75, "1.5-2.5 years": 2,
    "two to three months": 2.5 * MONTH,
    "6- to 8-week-old": 7 * WEEK, "20 thru 29": 24.5,
    # words before, spread after
    "c.45": 45, "~45": 45, "~ 45 y": 45, "≈45": 45, "ca. 45": 45, "ca 45": 45, "c. 45": 45, "circa 45 years": 45,
    "about 45": 45,
    "approx. 45": 45, "approximately 12 weeks": 12 * WEEK, "89 ± 4.5": 89, "45±2 years": 45, "45 years ± 2 years": 45,
    "45 +/- 2": 45, "8 ± 1 weeks": 8 * WEEK, "Age: 45": 45, "age 45": 45, "Age=45": 45, "age_45": 45, "aged 45": 45,
    "Age: 45 years": 45, "Age (years): 45": 45, "age in months: 18": 1.5, "age group 20-29": 24.5, "Age: P28": 28 * DAY,
    "Age: ~45": 45, "aged 24 months": 2, "adult (8 weeks)": 8 * WEEK, "Old_24m": 2, "young 3m": 0.25,
    "adult P60": 60 * DAY,
    # CELLxGENE, HsapDv, MmusDv
    "45-year-old stage": 45, "45-year-old human stage": 45, "1-year-old stage": 1, "2-month-old stage": 2 * MONTH,
    "20 month-old stage": 20 * MONTH, "10-month-old human stage": 10 * MONTH, "65-79 year-old stage": 72,
    "60-79 year-old human stage": 69.5, "2-5 year-old child stage": 3.5, "15-19 year-old": 17, "third decade stage": 25,
    "third decade human stage": 25, "sixth decade stage": 55, "first decade stage": 5, "eleventh decade stage": 105,
    "6th decade": 55, "sixth decade of life": 55, "2nd decade of life": 15,
}  # fmt: skip

UNREAD = {
    "missing": ["", " ", "unknown", "Unknown", "NA", "na", "n/a", "N/A", "nan", "None", "not reported", "missing", "?",
                "-", "-1", "-9", "-99", "− 9", "999", "9999", "unspecified", "Not Available"],
    "prenatal": ["PCW 12", "12 PCW", "10-12 PCW", "9 pcw", "8-10 post-conception weeks", "12 post-conceptional weeks",
                 "17-20 gestational weeks",
                 "GW12", "GW 18-20", "22 GW", "E14.5", "E14-E15", "e9", "ED 14", "12 wpc", "8 dpc", "CS17", "CS 17",
                 "Carnegie stage 23", "6-8 hpf", "12 week gestation", "37 weeks gestational age", "Theiler stage 15",
                 "LMP month", "second LMP month stage", "embryonic stage", "fetal", "fetal week 20",
                 "20 week old fetus", "second trimester"],
    "counted from fertilisation": ["15th week post-fertilization stage", "16th week post-fertilization human stage",
                                   "5 dpf", "90 dpf", "3 mpf"],
    "open-ended": [">90", "> 90 years", "≥65", ">=65", "<1", "<=18", "90+", "90 +", "90+ years", "90 or older",
                   "65 and above", "over 80", "under 1", "89 years or more", "at least 65", "less than 1 year",
                   "up to 5",
                   "65 plus", "80 year-old and over stage", "80 year-old and over human stage",
                   "under-1-year-old stage",
                   "20 month-old stage and over", "[90, inf)", "(80,Inf]", "20-29+", "more than 12 weeks"],
    "counted in hours": ["2-4 hours", "18-20 hour", "24h", "6 hrs", "PT5H"],
    "several ages": ["45;46", "45/46", "45, 46", "45 and 46", "45 & 46", "45|46", "45+46", "45 y, 46 y", "20-29;30-39",
                     "15, 20", "45 or 46", "between 20 or 30", "1,500"],
    "months or a man": ["45M", "62 M", "37M"],
    "reversed range": ["30-20", "8-6 weeks", "P10-P7", "[30, 20)", "2 years - 18 months"],
    "a calendar year": ["1950", "1950_1959", "2019-2020", "2019", "1987 - 1990"],
    "a date": ["2024-01-31", "31.01.2024", "01/02/1990", "5-6-2019"],
    "beyond the life span": ["130.5", "450", "200 years", "100-200", "2000 months", "9" * 50],
    "a stage of life": ["newborn stage (0-28 days)", "child stage (1-4 yo)", "nursing stage (0-11 months)",
                        "Theiler stage 28", "45-year-old strange stage"],
    "no number": ["adult", "young", "old", "aged", "Young adult", "mature stage", "prime adult stage",
                  "early adult stage",
                  "infant stage", "newborn human stage", "twelfth decade stage", "juvenile", "sixty", "inf", "y", "P",
                  "yr"],
    "not an age": ["45 jahre", "20s", "45.5.2", "1e2", "D12", "day 12", "week 8", "C57", "ca45", "donor 45", "45 F",
                   "45F",
                   "45?", "20-", "6w-8", "1_M", "L4", "45 46", "45 years 46", "3-4-5", "45 mg", "12 P", "x45", "½ 2",
                   "２０", "٤٥", "45 year year", "12 weeks 84 days", "2 months 3 years", "45 (46)", "young 3",
                   "adult (18-64 years)", "45 ± ", "x" * 600, "45 " * 200, "4 5"],
}  # fmt: skip


@pytest.mark.parametrize(("text", "years"), READ.items())
def test_what_names_one_age_or_one_closed_range_is_read(text, years):
    assert read_age(text).years == pytest.approx(years, abs=1e-12)
    assert read_age(text).why is None


@pytest.mark.parametrize(("why", "text"), [(why, text) for why, texts in UNREAD.items() for text in texts])
def test_all_else_is_unknown_and_the_reason_is_said(why, text):
    found = read_age(text)
    assert (found.years, found.low, found.high) == (None, None, None)
    assert found.why == why


def test_the_ends_of_a_range_tell_it_from_one_age():
    assert (read_age("20-29").low, read_age("20-29").high) == (20, 29)
    assert (read_age("sixth decade stage").low, read_age("sixth decade stage").high) == (50, 60)
    assert read_age("P28").low == read_age("P28").high == 28 * DAY
    assert read_age("89 ± 4.5").low == read_age("89 ± 4.5").high == 89


@pytest.mark.parametrize(("entry", "unit", "years"), [
    ("18", "months", 1.5), (18, "months", 1.5), (18.0, "months", 1.5), ("6-8", "weeks", 7 * WEEK), ("[6, 8)", "weeks",
    7 * WEEK),
    ("Age: 90", "days", 90 * DAY), ("~90", "days", 90 * DAY), ("8 ± 1", "weeks", 8 * WEEK), ("2019", "days",
    2019 * DAY), (np.int16(90), "days", 90 * DAY), (Fraction(1, 2), "years", 0.5),
])  # fmt: skip
def test_a_number_has_the_unit_of_its_column(entry, unit, years):
    assert read_age(entry, unit=unit).years == pytest.approx(years)


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize(
    "text", ["2 years", "3m", "6-8 wks", "P28", "P40Y", "2y6m", "sixth decade stage", "Age (years): 45"]
)
def test_a_unit_in_the_text_wins(text, unit):
    assert read_age(text, unit=unit) == read_age(text)


def test_nothing_is_older_than_its_species():
    assert read_age("3m", life_span=5.0).years == 0.25
    assert read_age("24", life_span=5.0).why == "beyond the life span"
    assert read_age("2-6 years", life_span=5.0).why == "beyond the life span"
    assert read_age(24, unit="months", life_span=5.0).years == 2
    assert read_age(700, life_span=5.0).why == "beyond the life span"


@pytest.mark.parametrize(("entry", "why"), [
    (None, "missing"), (np.nan, "missing"), (pd.NA, "missing"), (pd.NaT, "missing"), (-1, "missing"), (np.int8(-9),
    "missing"),
    (999, "missing"), (1987, "a calendar year"), (math.inf, "beyond the life span"), (10**400, "beyond the life span"),
    (True, "not an age"), (np.True_, "not an age"), ([1], "not an age"), (np.array([1, 2]), "not an age"), (b"45",
    "not an age"), (pd.Timestamp("2020-01-01"), "not an age"),
])  # fmt: skip
def test_entries_that_are_no_text(entry, why):
    assert read_age(entry).why == why


def test_a_unit_that_is_none():
    with pytest.raises(ValueError, match="unit 'lustra' is none of years, months, weeks, days"):
        read_age("3", unit="lustra")


def test_the_table_of_ways_in_which_people_write_ages(shared):
    """No wrong number, and nothing sound that is not read."""
    tree = ast.parse((shared / "data/cases/16_age_words.py").read_text("utf-8"))
    truth = next(node.value for node in tree.body if isinstance(node, ast.Assign) and node.targets[0].id == "TRUTH")
    for text, years in ast.literal_eval(truth).items():
        assert read_age(text).years == (None if years is None else pytest.approx(years)), text


# properties

FRAGMENTS = [
    *"0123456789", "45", "1950", "999", ".", ",", "-", "–", "_", "+", "±", "~", "(", ")", "[", "]", "/", ";", ":", " ",
    "  ",
    "y", "yr", "years", "m", "mo", "months", "w", "weeks", "d", "days", "h", "hours", "old", "of", "age", "aged", "P",
    "PND",
    "E", "GW", "pcw", "postnatal", "day", "week", "stage", "human", "sixth", "decade", "adult", "young", "to", "and",
    "between", "from", "over", "ca.", "forty", "five", "<", ">", "é", "\u00a0", "\n",
]  # fmt: skip


@given(st.one_of(st.text(max_size=40), st.lists(st.sampled_from(FRAGMENTS), max_size=12).map("".join)),
       st.sampled_from(UNITS), st.sampled_from([0.5, 5.0, 130.0]))  # fmt: skip
def test_any_text_is_an_age_within_the_life_span_or_unknown_with_a_reason(text, unit, life_span):
    found = read_age(text, unit=unit, life_span=life_span)
    if found.why is None:
        assert 0 <= found.low <= found.years <= found.high <= life_span
    else:
        assert found.years is None
        assert found.why


NUMBERS = st.one_of(st.integers(0, 120), st.decimals(0, 120, places=1)).map(str)
UNIT_WORDS = {
    "years": [
        "y",
        " yr",
        " yrs",
        " years",
        "yo",
        " y.o.",
        "-year-old",
        " years old",
        " years of age",
        "-year-old human stage",
    ],
    "months": ["m", "mo", " mos", " months", "-month-old", "-month-old stage"],
    "weeks": ["w", "wk", " wks", " weeks", "-week-old", " weeks old mice"],
    "days": ["d", " days", "-day-old", " days postnatal"],
}
WORDS = [(unit, word) for unit, words in UNIT_WORDS.items() for word in words]


@given(NUMBERS, st.sampled_from(WORDS), st.sampled_from(["", "Age: ", "~", "ca. ", "aged ", " "]), st.booleans())
def test_every_way_to_write_an_age_gives_it_back(number, unit_word, before, upper):
    unit, word = unit_word
    assume(not (upper and word == "m"))  # 45M may be a man
    text = f"{before}{number}{word}"
    found = read_age(text.upper() if upper else text)
    assert found.years == pytest.approx(float(number) / PER_YEAR[unit])


RANGES = ["{a}-{b}{w}", "{a}–{b}{w}", "{a} - {b}{w}", "{a} to {b}{w}", "{a}_{b}{w}", "between {a} and {b}{w}",
          "from {a} to {b}{w}", "{a}{w} - {b}{w}", "{a}{w} to {b}{w}"]  # fmt: skip


@given(st.integers(0, 100), st.integers(0, 20), st.sampled_from(RANGES),
       st.sampled_from([("years", ""), ("years", " years"), ("months", "m"), ("weeks", " wks"), ("days",
       "d")]))  # fmt: skip
def test_every_way_to_write_a_range_gives_its_ends_back(low, width, form, unit_word):
    unit, word = unit_word
    found = read_age(form.format(a=low, b=low + width, w=word))
    assert found.low == pytest.approx(low / PER_YEAR[unit])
    assert found.high == pytest.approx((low + width) / PER_YEAR[unit])
    if width:
        assert read_age(form.format(a=low + width, b=low, w=word)).why == "reversed range"


@given(st.integers(0, 110), st.integers(0, 11), st.sampled_from(["P{y}Y{m}M", "{y}Y{m}M", "{y}y {m}m",
"{y} years {m} months",
                                                                 "{y} yrs and {m} mos",
                                                                 "{y} years, {m} months old"]))  # fmt: skip
def test_years_and_months(years, months, form):
    assert read_age(form.format(y=years, m=months)).years == pytest.approx(years + months / 12)


GARBAGE = ["x", "??", "#", "donors", "mg", "%", "fish", "ö", "*", "\\", "cells", "E12", " rep2", "=", "'"]


@given(st.sampled_from([text for text in READ if text]), st.sampled_from(GARBAGE), st.booleans())
def test_what_is_not_understood_whole_is_unknown(text, garbage, after):
    assert read_age(f"{text} {garbage}" if after else f"{garbage} {text}").years is None


@given(st.sampled_from(FRAGMENTS), st.sampled_from(FRAGMENTS), st.sampled_from(["", "45", "45 years"]))
def test_a_label_of_foreign_length_is_not_looked_into(one, other, start):
    assert read_age(f"x{start}{(one + other) * 50_000}x").why == "not an age"
