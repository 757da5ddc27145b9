"""Ages at build: in which unit, of which species, and what is said of entries that are no ages."""

import numpy as np
import pandas as pd
import pytest

import titin
from titin.builder import plan
from titin.check import validate
from titin.errors import TitinError

MONTHS = np.tile([2, 3, 18, 24], 30)


@pytest.fixture
def mice(atlas):
    """The small atlas as one of mice, aged 2 to 24 months."""
    atlas.obs = atlas.obs.drop(columns="development_stage").assign(organism="Mus musculus")
    atlas.var["gene_ids"] = [f"ENSMUSG{i:011d}" for i in range(atlas.n_vars)]
    return atlas


def ages_of(report, atlas):
    """Ages in the order of the source."""
    return titin.open(report.path).ages.loc[atlas.obs_names].to_numpy()


@pytest.mark.parametrize(("name", "per_month"), [("age_months", 1), ("age_days", 365.25 / 12), ("Age (weeks)",
365.25 / 84),
                                                 ("age_years", 1 / 12), ("ageInMonths", 1)])  # fmt: skip
@pytest.mark.parametrize("given", [True, False])
def test_the_unit_is_that_of_the_columns_name(mice, build_atlas, name, per_month, given):
    mice.obs[name] = MONTHS * per_month
    report = build_atlas(mice, roles={"age": name} if given else {})
    assert report.manifest.roles["age"] == name
    np.testing.assert_allclose(ages_of(report, mice), MONTHS / 12)
    assert not [note for note in report.manifest.notes if "age" in note]
    assert not list(validate(report.path, checks=["metadata.ages", "metadata.life_span"]).findings())


def test_the_unit_may_be_given(mice, build_atlas):
    mice.obs["age"] = MONTHS
    report = build_atlas(mice, roles={"age": "age"}, age_unit="months")
    np.testing.assert_allclose(ages_of(report, mice), MONTHS / 12)
    assert report.manifest.settings["age_unit"] == "months"
    origin = {"from": "obs", "column": "age", "unit": "months", "species": ["Mus musculus"]}
    assert report.manifest.derived == {"age_numeric": origin}
    assert not list(validate(report.path, checks=["metadata.ages", "metadata.life_span"]).findings())


@pytest.mark.parametrize("roles", [{}, {"age": "age"}])
def test_ages_beyond_the_life_span_are_never_taken_without_a_word(mice, build_atlas, roles):
    mice.obs["age"] = MONTHS * 30  # days, and nothing says so
    report = build_atlas(mice, roles=roles)
    assert np.isnan(ages_of(report, mice)).all()
    said = " · ".join(report.manifest.notes)
    assert "120 cells have no age that can be read from 'age': in no known unit: 60, 90, 540 and 1 more" in said
    assert (
        "'age' has numbers up to 720, and Mus musculus lives 5 years at most: are they days? Say so with --age-unit"
        in said
    )
    warned = validate(report.path, checks=["metadata.ages"]).findings("warning")
    assert ["are they days" in finding.message for _, finding in warned] == [True]


def test_genes_that_look_like_those_of_mice_are_a_reason_to_ask(mice, build_atlas):
    mice.obs = mice.obs.drop(columns="organism").assign(age=MONTHS)
    mice.var = pd.DataFrame(index=[f"Gene{i}" for i in range(mice.n_vars)])
    report = build_atlas(mice)
    np.testing.assert_array_equal(ages_of(report, mice), MONTHS)
    asked = [note for note in report.manifest.notes if "mouse or rat" in note]
    assert len(asked) == 1
    assert "are they months or weeks or days?" in asked[0]
    assert report.manifest.derived["age_numeric"]["species"] == []


def test_entries_without_an_age_are_counted_and_named(atlas, build_atlas):
    atlas.obs["development_stage"] = np.tile(
        ["45-year-old stage", "80 year-old and over stage", "Carnegie stage 23"], 40
    )
    report = build_atlas(atlas, roles={"age": "development_stage"})
    note = (
        "80 cells have no age that can be read from 'development_stage': "
        "open-ended: '80 year-old and over stage' (40 cells); prenatal: 'Carnegie stage 23' (40 cells)"
    )
    assert note in report.manifest.notes
    found = validate(report.path, checks=["metadata.ages"])
    assert [finding.message for _, finding in found.findings()] == [note]
    assert not list(found.findings("error"))


@pytest.mark.parametrize(("header", "ages", "years"), [
    ("donor,age_months", ["2", "3", "18", "24"], [2 / 12, 0.25, 1.5, 2]),
    ("donor,age", ["P60", "3m", "18 months", "2 years"], [60 / 365.25, 0.25, 1.5, 2]),
    ("donor,age_years", ["0.25", "1", "700", "2"], [0.25, 1, np.nan, 2]),
    ("donor,age", ["3 m", "P60", "18 months", ">24 months"], [0.25, 60 / 365.25, 1.5, np.nan]),
])  # fmt: skip
def test_a_table_of_donors_is_read_likewise(mice, build_atlas, tmp_path, header, ages, years):
    (tmp_path / "donors.csv").write_text(header + "\n" + "".join(f"D{i},{age}\n" for i, age in enumerate(ages)))
    report = build_atlas(mice, donors=tmp_path / "donors.csv")
    np.testing.assert_allclose(ages_of(report, mice), np.tile(years, 30))
    unknown = [f"D{i}" for i in np.flatnonzero(np.isnan(years))]
    assert [note for note in report.manifest.notes if "the donor table" in note] == [
        f"the donor table has no age for {name}" for name in unknown
    ]
    named = [
        note for note in report.manifest.notes if note.startswith("donors.csv: 1 donor has no age that can be read")
    ]
    assert len(named) == len(unknown)
    assert not list(validate(report.path, checks=["metadata.life_span"]).findings())


def test_units_that_are_none_and_units_of_nothing(mice, build_atlas, tmp_path):
    with pytest.raises(TitinError, match="no unit 'lustra'") as error:
        build_atlas(mice, age_unit="lustra")
    assert error.value.hint == "units: years, months, weeks, days"
    with pytest.raises(TitinError, match="obs has no age column") as error:
        build_atlas(mice, age_unit="days")
    assert error.value.hint == "name it with --age COLUMN"
    with pytest.raises(TitinError, match="obs has no age column"):
        plan(tmp_path / "atlas.h5ad", age_unit="days")


def test_a_table_of_donors_without_an_age_is_refused(mice, build_atlas, tmp_path):
    (tmp_path / "donors.csv").write_text("donor,age\nD0,60\nD1,90\nD2,540\nD3,2\n")
    with pytest.raises(TitinError, match=r"donors.csv: 4 donors have no age that can be read from 'age'") as error:
        build_atlas(mice, donors=tmp_path / "donors.csv")
    assert "lives 5 years at most: are they days?" in error.value.hint
    assert "by the name of the column, such as age_months" in error.value.hint


BINS = np.tile(["15-20", "35-40", "50-55", "70-75"], 30)


def test_a_table_of_other_donors_is_refused_with_their_names(atlas, build_atlas, tmp_path):
    atlas.obs = atlas.obs.drop(columns="development_stage").assign(Age_group=BINS)
    (tmp_path / "donors.csv").write_text("donor,age\nD0,72\nD1,38\nD2,52\nD3,19\n")
    with pytest.raises(TitinError, match=r"D0 \(15-20 and 72\), D3 \(70-75 and 19\)") as error:
        build_atlas(atlas, donors=tmp_path / "donors.csv")
    assert "'Age_group' and 'age_years' contradict each other on 60 cells" in str(error.value.args[0])
    assert "or the donor table" in error.value.hint
    (tmp_path / "donors.csv").write_text("donor,age\nD0,19\nD1,38\nD2,52\nD3,72\n")
    report = build_atlas(atlas, donors=tmp_path / "donors.csv")
    found = validate(report.path, checks=["metadata.age_columns", "metadata.ages"])
    assert not list(found.findings())


def test_columns_that_contradict_each_other_are_refused_until_one_is_left_out(atlas, build_atlas):
    years = np.tile([18, 38, 52, 19], 30)
    atlas.obs = atlas.obs.drop(columns="development_stage").assign(Age_group=BINS, age_years=years)
    with pytest.raises(TitinError, match=r"'Age_group' and 'age_years'.* D3 \(70-75 and 19\)") as error:
        build_atlas(atlas, roles={"age": "Age_group"})
    assert error.value.hint.endswith("leave a column that is no age out with --no-obs COLUMN")
    assert build_atlas(atlas, roles={"age": "Age_group"}, no_obs=["age_years"]).path.is_dir()
