"""What titin adds to the table of cells is known by the manifest: a name of the source's never stands for it."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import titin
from titin.check import validate
from titin.dataset import layout
from titin.learn import atlas_design
from titin.load import Loader
from titin.publish.card import write_card
from titin.publish.upload import public_copy
from titin.study.design import Study

YEARS = np.tile([45.0, 55.0, np.nan], 40)  # of the fixture's development stages, in the source's order
AUTHORS = {
    "days": np.arange(120) + 9000,
    "half of them": np.where(np.arange(120) % 2, np.nan, 800.0),
    "words": [f"old {i}" for i in range(120)],
    "categories": pd.Categorical(["young", "old", None] * 40),
    "flags": [True, False] * 60,
    "nullable": pd.array([None, 700] * 60, dtype="Int64"),
}


def in_source_order(atlas, values):
    rows = atlas.store.column(atlas.manifest.layout.expression, layout.SOURCE_ROW).to_numpy()
    return pd.Series(np.asarray(values), index=rows).sort_index().to_numpy()


NAMES = ("age_numeric", "age_years", "titin_age_numeric", "source_age_numeric", "Age_Numeric")


@pytest.mark.parametrize(("name", "kind"), [  # what takes the name and what any kind of values takes are quick
    pytest.param(name, kind, marks=[] if name == "age_numeric" or kind == "days" else pytest.mark.slow)
    for name in NAMES for kind in AUTHORS
])  # fmt: skip
def test_ages_are_titins_whatever_the_source_calls_its_columns(atlas, build_atlas, name, kind):
    atlas.obs[name] = AUTHORS[kind]
    report = build_atlas(atlas, roles={"age": "development_stage"})
    origin = {"from": "obs", "column": "development_stage", "unit": "years", "species": ["Homo sapiens"]}
    assert report.manifest.derived == {"age_numeric": origin}
    opened = titin.open(report.path)
    columns = list(atlas.obs.columns)
    pd.testing.assert_frame_equal(opened.obs[columns].loc[atlas.obs_names], atlas.obs)
    shown = "titin_age_numeric" if name == "age_numeric" else "age_numeric"
    assert set(opened.obs.columns) - set(columns) == {shown}
    for ages in (opened.ages, opened.obs[shown], Study.of(opened).ages, atlas_design(opened)["age_numeric"],
                 Loader(report.path, batch_size=10).obs[shown]):  # fmt: skip
        np.testing.assert_array_equal(in_source_order(opened, ages), YEARS)
    assert "age_years" not in atlas_design(opened)
    if name == "age_numeric":
        assert name not in Loader(report.path, batch_size=10).obs
    stored = pd.read_parquet(report.path / report.manifest.layout.sample_metadata)
    np.testing.assert_array_equal(in_source_order(opened, stored["age_numeric"]), YEARS)
    found = validate(report.path, checks=["integrity", "metadata"])
    assert [f.message for _, f in found.findings("error")] == []


def test_an_age_column_of_titins_name_is_read_like_any_other(atlas, build_atlas):
    atlas.obs = atlas.obs.drop(columns="development_stage")
    atlas.obs["age_numeric"] = pd.Categorical(np.where(np.arange(120) % 2, "15-20", "3 months"))
    report = build_atlas(atlas, roles={"age": "age_numeric"})
    opened = titin.open(report.path)
    assert opened.obs["age_numeric"].equals(atlas.obs["age_numeric"].loc[opened.obs_names].rename("age_numeric"))
    expected = np.where(np.arange(120) % 2, 17.5, 0.25)
    np.testing.assert_array_equal(in_source_order(opened, opened.ages), expected)
    np.testing.assert_array_equal(in_source_order(opened, Study.of(opened).ages), expected)


def test_rows_that_a_user_has_sorted_keep_their_ages(atlas, build_atlas):
    opened = titin.open(build_atlas(atlas).path)
    before = Study.of(opened).ages
    opened.obs = opened.obs.sort_values("score")
    pd.testing.assert_series_equal(Study.of(opened).ages, before)
    some = [7, 3, 50]
    np.testing.assert_array_equal(Study.of(opened, cells=some).ages, before.iloc[some])


@pytest.mark.parametrize("own", [True, False])
def test_a_dataset_that_does_not_record_what_is_derived(atlas, build_atlas, own):
    """As written before: a column of that name is titin's unless something of the source is restored from it."""
    if own:
        atlas.obs["age_years"] = np.arange(120) + 9000
    report = build_atlas(atlas, roles={"age": "development_stage"})
    path = report.path / layout.MANIFEST
    document = json.loads(path.read_text("utf-8"))
    now = document["obs"].pop("derived")
    path.write_text(json.dumps(document), "utf-8")
    opened = titin.open(report.path)
    known = {name: {key: origin[key] for key in ("from", "column")} for name, origin in now.items()}
    assert opened.manifest.derived == known
    np.testing.assert_array_equal(in_source_order(opened, Study.of(opened).ages), YEARS)
    taken = replace(opened.manifest, obs={**document["obs"], "labels": ["age_numeric"], "columns": [
        *document["obs"]["columns"], {"name": "age_numeric", "column": "age_numeric"}]})  # fmt: skip
    assert taken.derived == {}


def test_exact_ages_of_both_are_published_in_bins(atlas, build_atlas, tmp_path):
    atlas.obs = atlas.obs.drop(columns="development_stage")
    atlas.obs["age_numeric"] = np.tile([31.5, 47.25, 93.0, 60.0], 30)  # of an author, beside the ages
    atlas.obs["age"] = np.tile([31, 47, 93, 60], 30)
    (tmp_path / "donors.csv").write_text("donor,age\nD0,31.4\nD1,47.3\nD2,93.1\nD3,60.6\n")
    report = build_atlas(atlas, roles={"age": "age"}, donors=tmp_path / "donors.csv")
    write_card(report.path, licence="cc0-1.0", images=False)
    with public_copy(report.path, "me/x", None, exact_ages=False) as (copy, done):
        assert done == "bins"
        opened = titin.open(copy)
        bins = np.tile(["30-35", "45-50", "90+", "60-65"], 30)
        for name in ("age", "age_numeric"):
            assert in_source_order(opened, opened.obs[name].astype(str)).tolist() == bins.tolist()
        assert "age_years" not in opened.obs
        assert list(opened.manifest.derived) == ["age_numeric"]
        np.testing.assert_array_equal(in_source_order(opened, opened.ages), np.tile([32.5, 47.5, np.nan, 62.5], 30))
        errors = validate(copy, checks=["integrity", "metadata", "viewer"]).findings("error")
        assert [f.message for _, f in errors] == []
        text = (copy / "README.md").read_text("utf-8")
        assert "| `age_years` |" not in text
        assert "31.5" not in text
