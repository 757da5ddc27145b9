"""A part of a dataset is a dataset again: values, counts and tables bit for bit, and what follows from them anew."""

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_studies import KINDS, assert_same, build_study, exported, make_study

import titin
from titin.atlas.selection import UnknownNameError
from titin.dataset.manifest import Manifest
from titin.errors import OutputError, TitinError

GENES = [f"G{i}" for i in range(60)]


@pytest.fixture(scope="module", params=KINDS)
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[ad.AnnData, Path]:
    source = make_study(request.param, GENES)
    folder = tmp_path_factory.mktemp(request.param)
    return source, build_study(source, folder, roles={"cell_type": ["kind"], "donor": "donor", "age": "age"})


@given(st.data())
@settings(max_examples=2)
def test_any_part_is_that_part_of_the_source_bit_for_bit(built, tmp_path_factory, data):
    source, dataset = built
    cells = data.draw(st.lists(st.integers(0, source.n_obs - 1), min_size=1, unique=True))
    genes = data.draw(st.none() | st.lists(st.sampled_from(GENES), min_size=1, unique=True))
    folder = tmp_path_factory.mktemp("part")
    atlas = titin.open(dataset)
    names = source.obs_names[sorted(cells)]
    report = titin.subset(atlas, folder / "part", cells=list(names), genes=genes)
    wanted = source[names, :] if genes is None else source[names, [g for g in GENES if g in genes]]
    assert_same(exported(folder / "part", folder), wanted.copy())
    part = titin.open(folder / "part")
    assert part.manifest.value_kind == atlas.manifest.value_kind
    if atlas.manifest.value_kind.has_counts:
        kept = atlas.counts[list(part.obs_names), list(part.var_names)].toarray()
        np.testing.assert_array_equal(part.counts[:].toarray(), kept)
    pd.testing.assert_series_equal(part.ages, atlas.ages[part.obs_names])
    detected = (source[names, list(part.var_names)].X != 0).sum(axis=0)
    np.testing.assert_array_equal(part.reader.genes.n_cells, np.asarray(detected).ravel())
    assert report.manifest.roles == atlas.roles


def test_a_part_has_the_files_of_a_build_of_that_part(built, tmp_path):
    source, dataset = built
    mask = (source.obs["age"] > 60).to_numpy()
    own = source[mask].copy()
    one = Manifest.read(build_study(own, tmp_path, "own", roles={"cell_type": ["kind"], "donor": "donor", "age": "age"},
                                    tissue="study", method="scrna"))  # fmt: skip
    other = titin.subset(dataset, tmp_path / "part", where="age > 60").manifest
    assert titin.validate(tmp_path / "part").passed
    for name in ("expression", "expression_by_gene", "sample_metadata", "feature_metadata", "expression_panel"):
        file = f"study_scrna_{name}.parquet"
        assert other.files[file] == one.files[file]


def test_what_columns_hold_is_said_of_the_cells_that_are_there(built, tmp_path):
    source, dataset = built
    few = source.obs[source.obs["age"] > 60]
    names = list(few.index[few["donor"] == few["donor"].iloc[0]])
    whole = titin.open(dataset).manifest.roles_found
    found = titin.subset(dataset, tmp_path / "part", cells=names).manifest.roles_found
    assert whole["donor"]["why"].startswith(f"{source.obs['donor'].nunique()} donors")
    assert found["donor"]["why"].startswith("1 donor")
    assert found["age"]["why"].startswith("1 age, ")
    assert found["age"]["warning"] is None


def test_where_it_comes_from_is_recorded(built, tmp_path):
    _, dataset = built
    report = titin.subset(dataset, tmp_path / "part", where=["donor=D1", "kind in [a, b]"], genes=["G5", "G7"])
    manifest, whole = report.manifest, Manifest.read(dataset)
    (origin,) = manifest.source["made_of"]
    assert (origin["name"], origin["format"], origin["source"]) == ("study", "titin", whole.source)
    assert (origin["n_cells"], origin["n_genes"]) == (manifest.n_cells, 2)
    assert manifest.settings["subset"]["where"] == ["donor=D1", "kind=a, b"]
    assert manifest.settings["subset"]["genes"]["n"] == 2
    again = titin.subset(report.path, tmp_path / "again", where="kind=a").manifest
    assert again.source["made_of"][0]["source"]["made_of"] == [origin]


def test_a_view_writes_its_part(built, tmp_path):
    source, dataset = built
    atlas = titin.open(dataset)
    atlas.query("donor == 'D2' and score > 0")[:, ["G9", "G2"]].subset(tmp_path / "part", where="flag=True")
    mask = (source.obs["donor"] == "D2") & (source.obs["score"] > 0) & source.obs["flag"]
    assert_same(exported(tmp_path / "part", tmp_path), source[mask, ["G2", "G9"]].copy())


@pytest.mark.parametrize(("choice", "error", "said", "hint"), [
    ({"where": "agee > 60"}, TitinError, "no column 'agee'", "did you mean 'age'"),
    ({"where": "kind=z"}, TitinError, "no cell has 'z' in 'kind'", "it has a, b, c"),
    ({"where": "kind"}, TitinError, "is no condition", "COLUMN=VALUE"),
    ({"where": ["age>60", "age<30"]}, TitinError, "no cell is left", ""),
    ({"genes": ["G5", "g7"]}, UnknownNameError, "no gene 'g7'", "did you mean G7"),
    ({"cells": []}, TitinError, "no cell is chosen", ""), ({"genes": []}, TitinError, "no gene is chosen", ""),
])  # fmt: skip
def test_what_is_not_there_is_said_and_nothing_written(built, tmp_path, choice, error, said, hint):
    with pytest.raises(error) as told:
        titin.subset(built[1], tmp_path / "part", **choice)
    assert said in str(told.value.args[0])
    assert hint in (told.value.hint or "")
    assert not list(tmp_path.iterdir())


def test_what_is_there_is_kept_unless_it_may_be_replaced(built, tmp_path):
    titin.subset(built[1], tmp_path / "part", where="kind=a")
    before = Manifest.read(tmp_path / "part").files
    with pytest.raises(OutputError, match="is a dataset already"):
        titin.subset(built[1], tmp_path / "part", where="kind=b")
    assert Manifest.read(tmp_path / "part").files == before
    titin.subset(built[1], tmp_path / "part", where="kind=b", force=True)
    assert titin.open(tmp_path / "part").obs["kind"].unique().tolist() == ["b"]
