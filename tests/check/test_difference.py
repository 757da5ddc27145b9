"""What two datasets do not have in common: exactly what was changed, whatever the order."""

import json
import shutil
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import titin
from titin.cli import main

N, GENES = 90, 40


def make_atlas() -> anndata.AnnData:
    rng = np.random.default_rng(0)
    rows = np.arange(N)
    obs = pd.DataFrame(index=[f"cell{i}" for i in rows])
    obs["donor_id"] = pd.Categorical([f"D{i % 3}" for i in rows])
    obs["cell_type"] = pd.Categorical(np.array(["B cell", "T cell", "monocyte"])[rows % 3])
    obs["batch"] = pd.Categorical(np.array(["x", "y"])[rows % 2])
    obs["score"] = np.linspace(0, 1, N)
    var = pd.DataFrame({"length": np.arange(GENES)}, index=[f"GENE{i}" for i in range(GENES)])
    counts = sp.csr_matrix(rng.poisson(0.8, (N, GENES)).astype(np.float32))
    return anndata.AnnData(counts, obs, var, obsm={"X_umap": rng.normal(size=(N, 2)).astype("f4")}, uns={"title": "a"})


def build(atlas: anndata.AnnData, folder: Path, name: str, **options: object) -> Path:
    atlas.write_h5ad(folder / f"{name}.h5ad")
    return titin.build(folder / f"{name}.h5ad", folder / name, tissue="blood", threads=1, **options).path


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(make_atlas(), tmp_path_factory.mktemp("first"), "first")


def found(a: Path, b: Path) -> dict:
    """What differs, without what is empty."""
    document = titin.diff(a, b).document()
    for name in ("schema_version", "a", "b", "beside"):
        del document[name]
    for name in ("cells", "genes"):
        if not document[name]["only_a"] and not document[name]["only_b"]:
            del document[name]
    document["values"] = {key: value for key, value in document["values"].items() if value}
    return {key: value for key, value in document.items() if value}


def test_a_dataset_does_not_differ_from_itself_or_a_copy(first, tmp_path):
    assert found(first, first) == {}
    again = build(make_atlas(), tmp_path, "again")
    assert found(first, again) == {}


@pytest.mark.parametrize("options", [{"seed": 7}, {"shuffle": False}])
def test_order_is_no_difference(first, tmp_path, options):
    other = build(make_atlas(), tmp_path, "other", **options)
    difference = titin.diff(first, other)
    assert not difference, difference
    assert "the cells are in another order" in difference.beside


def test_another_order_in_the_source_is_no_difference(first, tmp_path):
    atlas = make_atlas()
    other = build(atlas[::-1, np.random.default_rng(1).permutation(GENES)].copy(), tmp_path, "other")
    assert found(first, other) == {}


def change_value(atlas):
    dense = atlas.X.toarray()
    dense[4, 7] += 1
    atlas.X = sp.csr_matrix(dense)


def set_column(table, name, values):
    """A change of one column of obs or var."""
    return lambda atlas: setattr(atlas, table, getattr(atlas, table).assign(**{name: values}))


def change_types(atlas):
    labels = atlas.obs["cell_type"].astype(str)
    labels.iloc[[0, 3]] = "plasma cell"
    atlas.obs["cell_type"] = pd.Categorical(labels)


CHANGES = {
    "a value": (change_value, {"values": {"cells": 1, "genes": 1, "first_cells": ["cell4"], "first_genes": ["GENE7"]}}),
    "labels": (change_types, {"obs": {"cell_type": {
        "n": 2, "types": None, "changes": [("B cell", "plasma cell", 2)], "largest": None}}}),
    "a number": (set_column("obs", "score", lambda o: o["score"] + 0.5 * (np.arange(N) == 3)), {"obs": {"score": {
        "n": 1, "types": None, "changes": [], "largest": 0.5}}}),
    "a missing label": (set_column("obs", "batch", lambda o: o["batch"].where(np.arange(N) != 1)), {"obs": {
        "batch": {"n": 1, "types": None, "changes": [("y", None, 1)], "largest": None}}}),
    "another type": (set_column("obs", "score", np.ones(N, "f4")), {"obs": {"score": {
        "n": 89, "types": ("float64", "float32"), "changes": [], "largest": 1.0}}}),
    "an ordered column": (set_column("obs", "batch", lambda o: o["batch"].cat.as_ordered()), {"obs": {"batch": {
        "n": 0, "types": ("categories of object", "categories of object, in the order x, y"), "changes": [],
        "largest": None}}}),
    "a column more": (set_column("obs", "new", 1), {"obs_only": {"b": ["new"]}}),
    "a column of var": (set_column("var", "length", np.arange(GENES) * 2), {"var": {"length": {
        "n": GENES - 1, "types": None, "changes": [], "largest": float(GENES - 1)}}}),
    "coordinates": (lambda a: a.obsm["X_umap"].__setitem__((5, 0), 9), {"projections": {"X_umap": 1}}),
    "a projection": (lambda a: a.obsm.__setitem__("X_pca", np.ones((N, 3))), {"projections": {"X_pca": None}}),
    "uns": (lambda a: a.uns.__setitem__("title", "b"), {"parts": ["uns differs in title"]}),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_what_was_changed_is_found_and_nothing_else(first, tmp_path, name):
    change, expected = CHANGES[name]
    atlas = make_atlas()
    change(atlas)
    for options in ({}, {"seed": 3}):
        other = build(atlas, tmp_path, "other", force=True, **options)
        document = found(first, other)
        assert document.pop("differ")
        assert document == expected


def test_cells_and_genes_that_only_one_has(first, tmp_path):
    atlas = make_atlas()[2:, :-1].copy()
    document = found(first, build(atlas, tmp_path, "part"))
    assert (document["cells"]["common"], set(document["cells"]["only_a"])) == (N - 2, {"cell0", "cell1"})
    assert document["genes"]["only_a"] == [f"GENE{GENES - 1}"]
    assert "values" not in document
    assert "obs" not in document


def test_roles_and_settings(first, tmp_path):
    other = build(make_atlas(), tmp_path, "other", roles={"donor": "batch"}, licence="mit")
    document = found(first, other)
    assert document["roles"]["donor"] == ("donor_id", "batch")
    assert document["settings"] == {"roles.donor": (None, "batch"), "card.license": (None, "mit")}


def test_kinds_of_values(first, tmp_path):
    atlas = make_atlas()
    atlas.X = atlas.X.astype(np.float64) / 7 + 0.1 * (atlas.X > 0)
    document = found(first, build(atlas, tmp_path, "other"))
    assert document["values"]["kinds"] == ("counts", "real")
    assert document["values"]["cells"] == N


LABELS = st.sampled_from(["B cell", "T cell", "monocyte", "plasma cell", "ß | <b>", ""])


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(st.dictionaries(st.integers(0, N - 1), LABELS.filter(bool), min_size=1), st.booleans())
def test_relabel_then_diff_shows_the_change(first, tmp_path_factory, changed, add):
    """Whatever is relabelled: these cells, this column, from what to what, and nothing else."""
    folder = tmp_path_factory.mktemp("relabelled")
    labels = titin.open(first).obs["cell_type"].astype(object)
    before = {f"cell{i}": labels[f"cell{i}"] for i in changed}
    table = pd.DataFrame({"cell_type": [changed[i] for i in changed]}, index=list(before))
    if add:
        table["seen"] = "yes"
    copy = shutil.copytree(first, folder / "dataset")
    titin.relabel(copy, table)
    difference = titin.diff(first, copy)
    moved = {name: (before[name], table.loc[name, "cell_type"]) for name in before
             if before[name] != table.loc[name, "cell_type"]}  # fmt: skip
    pairs = pd.Series(list(moved.values()), dtype=object).value_counts().to_dict()
    obs = difference.obs.pop("cell_type", None)
    assert {(a, b): n for a, b, n in (obs.changes if obs else [])} == pairs
    assert (obs.n if obs else 0) == len(moved)
    assert difference.obs == {}
    assert difference.obs_only == ({"b": ["seen"]} if add else {})
    difference.obs_only = {}
    assert not difference, difference


def test_the_command(first, tmp_path, capsys):
    main(["diff", str(first), str(first), "-q"])
    assert "no difference: 90 cells, 40 genes" in capsys.readouterr().out
    atlas = make_atlas()
    change_types(atlas)
    other = build(atlas, tmp_path, "other")
    with pytest.raises(SystemExit) as done:
        main(["diff", str(first), str(other), "-q"])
    assert done.value.code == 1
    said = capsys.readouterr().out
    assert "obs: cell_type: 2 cells have another entry" in said
    assert ["B", "cell", "plasma", "cell", "2"] in [line.split() for line in said.splitlines()]
    with pytest.raises(SystemExit) as done:
        main(["diff", str(first), str(other), "-q", "--json"])
    assert done.value.code == 1
    assert json.loads(capsys.readouterr().out)["obs"]["cell_type"]["changes"] == [["B cell", "plasma cell", 2]]
    with pytest.raises(SystemExit) as done:
        main(["diff", str(first), str(tmp_path / "none"), "-q"])
    assert done.value.code == 2


@pytest.mark.parametrize("dtype", ["Int64", "boolean", "string"])
def test_nullable_columns_with_gaps(tmp_path, dtype):
    """A gap is the same as a gap, and another than an entry, whatever marks it."""
    entries = [None, *("ab" if dtype == "string" else [1, 0])] * (N // 3)
    atlas = make_atlas()
    atlas.obs["maybe"] = pd.array(entries, dtype)
    one = build(atlas, tmp_path, "one", project=())
    assert not titin.diff(one, build(atlas[::-1].copy(), tmp_path, "turned", project=()))
    entries[0], entries[2] = entries[1], None
    atlas.obs["maybe"] = pd.array(entries, dtype)
    difference = titin.diff(one, build(atlas, tmp_path, "other", project=()))
    assert {name: column.n for name, column in difference.obs.items()} == {"maybe": 2}
