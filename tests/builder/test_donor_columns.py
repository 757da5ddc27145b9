"""What a table of donors says beside ages is kept with the cells, used in formulas, and checked."""

import numpy as np
import pandas as pd
import pytest

import titin
from titin.ageing import cell_counts, composition
from titin.check import validate
from titin.errors import TitinError
from titin.publish.card import write_card
from titin.study.donor_tables import read_donor_table

TABLE = """donor,age,BMI,cause of death,sample,days in intensive care
D0,20,21.5,stroke,s0,3
D1,30,,trauma,s1,0
D1,30,,trauma,s2,0
D2,60,30,unknown,s3,14
D3,70,27.25,stroke,s4,2
"""


@pytest.fixture
def built(atlas, build_atlas, tmp_path):
    atlas.obs = atlas.obs.drop(columns="development_stage")
    (tmp_path / "donors.csv").write_text(TABLE)
    return build_atlas(atlas, donors=tmp_path / "donors.csv")


def test_columns_of_the_table_are_read_by_what_they_hold(tmp_path):
    (tmp_path / "donors.csv").write_text(TABLE)
    found = read_donor_table(tmp_path / "donors.csv")
    assert found.columns["BMI"].tolist()[0] == 21.5
    assert found.columns["cause of death"].tolist() == ["stroke", "trauma", None, "stroke"]
    assert list(found.columns) == ["BMI", "cause of death", "days in intensive care"]
    assert "of the donor table, sample is left out: not one a donor" in found.notes


def test_they_are_kept_and_the_source_comes_back_as_it_was(atlas, built):
    opened = titin.open(built.path)
    donor = opened.obs["donor_id"].astype(str)
    np.testing.assert_array_equal(opened.obs["BMI"], donor.map({"D0": 21.5, "D2": 30, "D3": 27.25}))
    assert opened.obs["cause of death"].astype(object).where(donor == "D2").isna().all()
    assert opened.obs["days in intensive care"].groupby(donor).first().tolist() == [3, 0, 14, 2]
    assert built.manifest.derived["BMI"] == {
        "from": "donors", "file": "donors.csv", "column": "BMI", "type": "number",
        "species": built.manifest.derived["age_years"]["species"],
    }  # fmt: skip
    pd.testing.assert_frame_equal(opened.obs[list(atlas.obs)].loc[atlas.obs_names], atlas.obs)
    assert not list(validate(built.path, checks=["integrity", "metadata"]).findings("error"))
    write_card(built.path, licence="cc0-1.0", images=False)
    assert "of the donor, from the donor table `donors.csv`" in (built.path / "README.md").read_text("utf-8")


def test_they_can_be_named_in_formulas(built):
    opened = titin.open(built.path)
    cells = cell_counts(opened, extra=["days in intensive care"])
    found = composition(cells, contrast="days in intensive care", formula="~ `days in intensive care`", min_donors=2)
    assert found.settings["contrast"] == "days in intensive care"
    assert found.tests[0]["columns"] == ["Intercept", "days in intensive care"]


def test_a_table_without_ages_will_do(atlas, build_atlas, tmp_path):
    (tmp_path / "donors.csv").write_text("donor,BMI\nD0,20\nD1,25\n")
    opened = titin.open(build_atlas(atlas, donors=tmp_path / "donors.csv").path)
    assert "age_years" not in opened.obs
    assert opened.obs["BMI"].notna().sum() == 60


def test_what_obs_says_otherwise_is_refused(atlas, build_atlas, tmp_path):
    atlas.obs["centre"] = atlas.obs["donor_id"].astype(str).map({"D0": "a", "D1": "b", "D2": "a", "D3": "b"})
    (tmp_path / "donors.csv").write_text("donor,centre,BMI\nD0,a,20\nD1,a,25\n")
    with pytest.raises(TitinError, match="contradict each other in 'centre': of donor D1 they say 'a' and 'b'"):
        build_atlas(atlas, donors=tmp_path / "donors.csv")
    (tmp_path / "donors.csv").write_text("donor,centre,BMI\nD0,a,20\nD1,b,25\n")
    assert list(build_atlas(atlas, donors=tmp_path / "donors.csv").manifest.derived) == ["age_numeric", "BMI"]
