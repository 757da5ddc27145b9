"""What AnnData keeps between cells, of genes and between them: kept bit for bit when asked, read lazily, given back."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import titin
from kept_values import assert_same, random_sparse
from titin.builder import kept_arrays, pipeline
from titin.check import diff, validate
from titin.dataset.manifest import Manifest
from titin.errors import DatasetError, TitinError
from titin.exporter import export

N_CELLS, N_GENES = 60, 25
PLACES = ("obsm", "varm", "obsp", "varp")


def rich() -> ad.AnnData:
    """An atlas with arrays of every form, dtype and place; raw has loadings of its own."""
    rng = np.random.default_rng(0)
    obs = pd.DataFrame({"cell_type": np.array(["T", "B"])[np.arange(N_CELLS) % 2]}, [f"c{i}" for i in range(N_CELLS)])
    genes = [f"G{i}" for i in range(N_GENES)]
    whole = ad.AnnData(
        sp.csr_matrix(rng.poisson(1, (N_CELLS, N_GENES)).astype(np.float32)), obs, pd.DataFrame(index=genes)
    )
    cells, own = (N_CELLS, N_CELLS), (N_GENES, N_GENES)
    whole.obsp["distances"] = random_sparse(cells, "csr", 1)
    whole.obsp["connectivities"] = random_sparse(cells, "csc", 2, "float32")
    whole.obsp["near"] = random_sparse(cells, "csr", 3, "bool")
    whole.obsp["dense"] = rng.normal(size=cells).astype(np.float32)
    whole.varp["of genes"] = random_sparse(own, "csr", 4, "int64")
    whole.varp["dense"] = rng.normal(size=own)
    whole.varm["PCs"] = rng.normal(size=(N_GENES, 5))
    whole.varm["half"] = rng.normal(size=(N_GENES, 2)).astype(np.float16)
    whole.varm["cube"] = rng.integers(0, 9, (N_GENES, 2, 3))
    whole.varm["sparse"] = random_sparse((N_GENES, 9), "csc", 5)
    frame = {"weight": rng.normal(size=N_GENES), "kind": pd.Categorical(rng.choice(["b", "a"], N_GENES))}
    whole.varm["table"] = pd.DataFrame(frame, index=genes)
    whole.obsm["X_umap"] = rng.normal(size=(N_CELLS, 2))
    whole.obsm["sparse"] = random_sparse((N_CELLS, 11), "csr", 6)
    whole.obsm["cube"] = rng.normal(size=(N_CELLS, 2, 2))
    whole.layers["more"] = whole.X.copy()
    raw = ad.AnnData(sp.csr_matrix(rng.poisson(1, (N_CELLS, N_GENES + 4)).astype(np.float32)), obs,
                     pd.DataFrame(index=[*(f"R{i}" for i in range(4)), *genes]))  # fmt: skip
    raw.varm["loadings"] = rng.normal(size=(N_GENES + 4, 3))
    whole.raw = raw
    return whole


@pytest.fixture(scope="module")
def source(made_once: Callable[[str, Callable[[Path], object]], Path]) -> Path:
    return made_once("rich", lambda folder: rich().write_h5ad(folder / "a.h5ad")) / "a.h5ad"


@pytest.fixture(scope="module")
def dataset(source: Path, made_once: Callable[[str, Callable[[Path], object]], Path]) -> Path:
    return made_once("rich dataset", lambda folder: titin.build(source, folder / "d", keep_all=True, project=())) / "d"


@pytest.mark.parametrize("form", ["h5ad", "zarr"])
def test_everything_is_given_back(source, dataset, tmp_path, form):
    export(dataset, form, tmp_path / f"back.{form}")
    ours = ad.read_h5ad(tmp_path / "back.h5ad") if form == "h5ad" else ad.read_zarr(tmp_path / "back.zarr")
    theirs = ad.read_h5ad(source)
    for place in PLACES:
        assert set(getattr(ours, place)) == set(getattr(theirs, place))
        for key, value in getattr(theirs, place).items():
            assert_same(getattr(ours, place)[key], value)
    assert_same(ours.raw.varm["loadings"], theirs.raw.varm["loadings"])
    assert set(ours.layers) == {"more"}


def test_nothing_is_left_out_and_all_is_valid(source, dataset):
    manifest = Manifest.read(dataset)
    assert manifest.left_out == {}
    report = validate(dataset, source=source, threads=2)
    assert report.passed
    assert f"{len(manifest.arrays)} arrays" in report["source.arrays"].outcome.read


def test_an_atlas_reads_them_when_asked_in_its_own_order(source, dataset):
    atlas, theirs = titin.open(dataset), ad.read_h5ad(source)
    cells = list(atlas.obs_names)
    assert cells != list(theirs.obs_names)
    for key, value in theirs[cells].obsp.items():
        assert_same(atlas.obsp[key], value.copy())
    for group in ("varm", "varp"):
        assert list(getattr(atlas, group)) == sorted(getattr(theirs, group))
        for key, value in getattr(theirs, group).items():
            assert_same(getattr(atlas, group)[key], value)
    assert_same(atlas.raw.varm["loadings"], theirs.raw.varm["loadings"])
    assert_same(atlas.obsm["sparse"], theirs[cells].obsm["sparse"].copy())
    part = atlas.query("cell_type == 'B'")[:, ["G7", "G2"]]
    own = theirs[list(part.obs_names), ["G7", "G2"]]
    assert_same(part.obsp["connectivities"].toarray(), own.obsp["connectivities"].toarray())
    assert_same(part.varp["of genes"].toarray(), own.varp["of genes"].toarray())
    pd.testing.assert_frame_equal(part.varm["table"], pd.DataFrame(own.varm["table"]))
    memory = atlas.to_memory()
    assert set(memory.obsp) == set(theirs.obsp)
    assert "obsp: 'connectivities'" in repr(atlas)


def test_one_that_would_not_fit_the_memory_limit_is_refused(dataset):
    atlas = titin.open(dataset, memory=5000)
    assert atlas.varm["half"].shape == (N_GENES, 2)
    with pytest.raises(MemoryError, match="obsp/dense takes"):
        atlas.obsp["dense"]


def test_they_are_kept_only_when_asked_and_named_otherwise(source, tmp_path):
    report = titin.build(source, tmp_path / "d", project=())
    assert report.manifest.arrays == {}
    assert report.manifest.left_out["obsp/distances"] == "pairwise between cells; kept by --keep-all"
    atlas = titin.open(tmp_path / "d")
    assert len(atlas.obsp) == 0
    with pytest.raises(KeyError, match="there is no obsp\\['distances'\\]") as error:
        atlas.obsp["distances"]
    assert "--keep-all" in error.value.hint


def test_named_layers_are_those_that_are_kept(tmp_path):
    whole = rich()
    whole.layers["velocity"] = np.full(whole.shape, np.nan)
    whole.write_h5ad(tmp_path / "a.h5ad")
    with pytest.raises(TitinError, match="layers/velocity"):
        titin.build(tmp_path / "a.h5ad", tmp_path / "d", keep_all=True, project=())
    report = titin.build(tmp_path / "a.h5ad", tmp_path / "d", keep_all=True, layers="more", project=())
    assert set(report.manifest.parts) == {"layers/more", "raw"}


def test_with_raw_for_x_only_what_is_between_cells_is_kept(source, tmp_path):
    report = titin.build(source, tmp_path / "d", keep_all=True, raw=True, project=())
    groups = {place.partition("/")[0] for place in report.manifest.arrays}
    assert groups == {"obsp", "obsm"}
    assert {"varm/PCs", "varp/dense"} <= set(report.manifest.left_out)


def test_what_cannot_be_kept_is_named_with_the_reason(tmp_path):
    whole = rich()
    whole.varm["words"] = np.array([["a", "b"]] * N_GENES, object)
    twice = sp.csr_matrix((N_CELLS, N_CELLS))
    twice.data, twice.indices = np.ones(2), np.zeros(2, np.int32)
    twice.indptr = np.array([0, *[2] * N_CELLS], np.int32)
    whole.obsp["twice"] = twice
    whole.write_h5ad(tmp_path / "a.h5ad")
    report = titin.build(tmp_path / "a.h5ad", tmp_path / "d", keep_all=True, project=())
    assert report.manifest.left_out["obsp/twice"] == "lists an entry twice; not kept"
    assert "varm/words" in report.manifest.left_out
    assert validate(tmp_path / "d", source=tmp_path / "a.h5ad", threads=2).passed


def test_loadings_that_are_computed_are_shown_before_those_of_the_source(source, dataset, tmp_path):
    shutil.copytree(dataset, tmp_path / "d")
    titin.add_embeddings(tmp_path / "d", ["pca"], pca={"n_comps": 3})
    atlas = titin.open(tmp_path / "d")
    assert atlas.varm["PCs"].shape == (N_GENES, 3)
    assert "computed X_pca" in atlas.manifest.left_out["varm/PCs"]
    assert "varm/PCs" in atlas.manifest.arrays
    assert validate(tmp_path / "d", source=source, checks=["integrity", "source"], threads=2).passed


def test_diff_tells_them(dataset, source, tmp_path):
    titin.build(source, tmp_path / "other", keep_all=True, project=(), seed=3)
    assert not diff(dataset, tmp_path / "other")
    changed = rich()
    changed.obsp["distances"].data[5] += 1
    changed.varm["table"].loc["G3", "weight"] += 1
    del changed.varp["dense"]
    changed.write_h5ad(tmp_path / "b.h5ad")
    titin.build(tmp_path / "b.h5ad", tmp_path / "changed", keep_all=True, project=())
    assert diff(dataset, tmp_path / "changed").parts == [
        "obsp/distances differs", "varm/table differs", "varp/dense is in a only",
    ]  # fmt: skip


def test_a_build_that_ends_at_them_goes_on_from_there(source, dataset, tmp_path, monkeypatch):
    def die(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "write_arrays", die)
    with pytest.raises(KeyboardInterrupt):
        titin.build(source, tmp_path / "d", keep_all=True, project=(), threads=1)
    assert not (tmp_path / "d").exists()
    monkeypatch.undo()
    resumed = titin.build(source, tmp_path / "d", keep_all=True, project=(), resume=True, threads=1)
    assert resumed.resumed
    assert "scan" not in resumed.seconds
    sums = [{name: entry["sha256"] for name, entry in Manifest.read(folder).files.items() if "array" in name}
            for folder in (dataset, tmp_path / "d")]  # fmt: skip
    assert sums[0] == sums[1] != {}


def test_row_groups_have_so_many_entries(source, tmp_path, monkeypatch):
    monkeypatch.setattr(kept_arrays, "_ROW_GROUP_ENTRIES", 50)
    titin.build(source, tmp_path / "d", keep_all=True, project=())
    assert validate(tmp_path / "d", source=source, checks=["integrity", "source"], threads=2).passed


@pytest.mark.parametrize(("change", "said"), [
    (lambda arrays: arrays["obsp/distances"].update(file="muscle.parquet"), "the name of a file of arrays"),
    (lambda arrays: arrays["obsp/distances"].update(shape=[7]), "obsp/distances"),
    (lambda arrays: arrays["obsp/distances"].update(form="odd"), "form"),
    (lambda arrays: arrays["obsp/distances"].update(dtype="object"), "a type of numbers"),
    (lambda arrays: arrays["obsm/sparse"].pop("storage"), "storage"),
    (lambda arrays: arrays["obsm/sparse"].update(shape=[2, 3]), "the number of columns"),
    (lambda arrays: arrays.update({"../x": arrays["obsm/sparse"]}), "a place of an array"),
    (lambda arrays: arrays.update({"obsm/again": arrays["obsm/sparse"]}), "twice"),
    (lambda arrays: arrays["varm/table"].pop("columns"), "columns"),
])  # fmt: skip
def test_a_manifest_that_says_nonsense_of_them_is_refused(dataset, tmp_path, change, said):
    document = json.loads((dataset / "titin.json").read_text())
    change(document["arrays"])
    (tmp_path / "titin.json").write_text(json.dumps(document))
    with pytest.raises(DatasetError, match=said):
        Manifest.read(tmp_path)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 12), st.integers(0, 2**16), st.sampled_from(["csr", "csc"]), st.booleans())
def test_rows_and_columns_are_put_in_order_and_back(n, seed, kind, pairwise):
    rng = np.random.default_rng(seed)
    matrix = sp.random(n, n, 0.5, format=kind, random_state=seed)
    matrix.data[rng.random(matrix.nnz) < 0.3] = 0
    order = rng.permutation(n)
    places = np.argsort(order) if pairwise else None
    found = kept_arrays._taken(sp.csr_matrix(matrix), order, places)
    assert kept_arrays._is_canonical(matrix)
    dense = matrix.toarray()[order]
    np.testing.assert_array_equal(found.toarray(), dense[:, order] if pairwise else dense)
    assert found.nnz == matrix.nnz
    assert found.has_sorted_indices
