"""Layers and raw beside X: kept bit for bit, read lazily, exported back, and kept by whatever makes other datasets."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import titin
from titin.builder import pipeline
from titin.builder.further_matrices import name_files, write_further_matrix
from titin.check import diff, validate
from titin.errors import TitinError
from titin.exporter import export

N_CELLS, N_GENES = 90, 30


def small(layers: dict[str, Any] | None = None, *, raw: bool = True) -> ad.AnnData:
    """Counts of 3 donors; layers of every storage, and raw with five genes more."""
    rng = np.random.default_rng(3)
    obs = pd.DataFrame({"donor": [f"D{i % 3}" for i in range(N_CELLS)], "cell_type": np.array(["T", "B"])[
        np.arange(N_CELLS) % 2]}, [f"cell{i}" for i in range(N_CELLS)])  # fmt: skip
    genes = [f"G{i}" for i in range(N_GENES)]
    X = sp.csr_matrix(rng.poisson(0.8, (N_CELLS, N_GENES)).astype(np.float32))
    whole = ad.AnnData(X, obs, pd.DataFrame({"place": np.arange(N_GENES)}, genes))
    for name, layer in (every_storage(rng) if layers is None else layers).items():
        whole.layers[name] = layer
    if raw:
        names = [f"R{i}" for i in range(5)] + genes
        values = sp.csr_matrix(rng.poisson(0.8, (N_CELLS, N_GENES + 5)).astype(np.float64))
        whole.raw = ad.AnnData(values, obs, pd.DataFrame({"kept": [n[0] == "G" for n in names]}, names))
    return whole


def every_storage(rng: np.random.Generator) -> dict[str, Any]:
    counts = rng.poisson(0.5, (N_CELLS, N_GENES))
    logs = np.log1p(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1) * 1e4).astype(np.float32)
    return {
        "spliced": sp.csr_matrix(counts.astype(np.int32)), "un spliced": sp.csc_matrix(counts.astype(np.float64)),
        "logs": sp.csr_matrix(logs), "scaled": rng.normal(size=counts.shape),
        "empty": sp.csr_matrix(counts.shape, dtype=np.float32),
    }  # fmt: skip


def dense(matrix: Any) -> np.ndarray:
    return matrix.toarray() if sp.issparse(matrix) else np.asarray(matrix)


def assert_same_matrices(one: ad.AnnData, other: ad.AnnData) -> None:
    assert set(one.layers) == set(other.layers)
    for name in one.layers:
        assert one.layers[name].dtype == other.layers[name].dtype, name
        np.testing.assert_array_equal(dense(one.layers[name]), dense(other.layers[name]), strict=True, err_msg=name)
    assert (one.raw is None) == (other.raw is None)
    if one.raw is not None:
        np.testing.assert_array_equal(dense(one.raw.X), dense(other.raw.X), strict=True)
        pd.testing.assert_frame_equal(one.raw.var, other.raw.var, check_names=False)


@pytest.fixture(scope="module")
def source(made_once: Callable[[str, Callable[[Path], object]], Path]) -> Path:
    return made_once("layers-source", lambda folder: small().write_h5ad(folder / "a.h5ad")) / "a.h5ad"


@pytest.fixture(scope="module")
def dataset(source: Path, made_once: Callable[[str, Callable[[Path], object]], Path]) -> Path:
    def fill(folder: Path) -> None:
        titin.build(source, folder / "d", layers="all", with_raw=True, project=(), threads=2)

    return made_once("layers-dataset", fill) / "d"


def test_a_layer_is_read_bit_for_bit_by_cells_and_genes(source, dataset):
    atlas, theirs = titin.open(dataset), ad.read_h5ad(source)
    theirs = theirs[atlas.obs_names].copy()
    assert set(atlas.layers) == {"counts", *theirs.layers}
    for name, layer in theirs.layers.items():
        ours = atlas.layers[name]
        assert (ours.shape, ours.dtype) == (layer.shape, layer.dtype)
        np.testing.assert_array_equal(ours[:].toarray(), dense(layer), strict=True)
        np.testing.assert_array_equal(ours[[8, 3], ["G7", "G2"]].toarray(), dense(layer)[[8, 3]][:, [7, 2]])
        np.testing.assert_array_equal(ours[:, ["G9"]].toarray().ravel(), dense(layer)[:, 9])
        np.testing.assert_array_equal(atlas.obs_vector("G4", layer=name), dense(layer)[:, 4])
        np.testing.assert_array_equal(atlas[10:20].layers[name][:].toarray(), dense(layer)[10:20])
    assert_same_matrices(atlas.to_memory(), theirs)


def test_raw_is_an_atlas_of_the_same_cells_with_genes_of_its_own(source, dataset):
    atlas, theirs = titin.open(dataset), ad.read_h5ad(source)
    raw = atlas.raw
    assert raw.shape == (N_CELLS, N_GENES + 5)
    assert list(raw.obs_names) == list(atlas.obs_names)
    np.testing.assert_array_equal(raw["R3"].to_numpy(), dense(theirs[atlas.obs_names].raw[:, "R3"].X).ravel())
    assert atlas[5:8].raw.X[:, ["R1"]].shape == (3, 1)
    assert "R1" not in atlas
    assert raw.raw is None


@pytest.mark.parametrize("to", ["h5ad", "zarr"])
def test_layers_and_raw_are_exported_back(source, dataset, tmp_path, to):
    path = export(dataset, to, tmp_path / f"b.{to}")
    back = ad.read_h5ad(path) if to == "h5ad" else ad.read_zarr(path)
    assert_same_matrices(back, ad.read_h5ad(source))
    assert isinstance(back.layers["scaled"], np.ndarray)


def test_a_dataset_with_layers_passes_against_its_source_every_value_read(source, dataset):
    report = validate(dataset, source=source, threads=2)
    assert [f.message for _, f in report.findings("error")] == []
    for name in ("matrix.tokens", "matrix.by_gene", "matrix.transpose", "source.matrix"):
        read = report[name].outcome.read
        assert all(place in read for place in ("layers/spliced", "layers/un spliced", "layers/logs", "raw")), read


def test_some_layers_are_kept_and_the_others_are_named(source, tmp_path):
    report = titin.build(source, tmp_path / "d", layers=["logs,spliced"], project=())
    assert list(report.manifest.parts) == ["layers/logs", "layers/spliced"]
    assert {place for place in report.manifest.left_out if place.startswith(("layers/", "raw"))} == {
        "layers/scaled", "layers/un spliced", "layers/empty", "raw",
    }  # fmt: skip
    assert report.manifest.part("layers/logs").value_kind.has_counts
    again = titin.build(source, tmp_path / "e", layers=["spliced", "logs"], project=(), threads=1)
    assert {n: e["sha256"] for n, e in again.manifest.files.items() if "layer" in n} == {
        n: e["sha256"] for n, e in report.manifest.files.items() if "layer" in n
    }


def test_a_dry_run_counts_the_files_of_layers(source, tmp_path):
    plan = titin.builder.plan(source, tmp_path / "d", layers="all", with_raw=True, project=())
    built = titin.build(source, tmp_path / "d", layers="all", with_raw=True, project=())
    planned = {name for name in plan["files"] if "layer" in name or "_raw_" in name}
    assert planned == {name for name in built.manifest.files if "layer" in name or "_raw_" in name}


@pytest.mark.parametrize(("options", "said", "hint"), [
    ({"layers": "splced"}, "--layers names 'splced', which is not in layers", "spliced"),
    ({"layers": "spliced", "layer": "spliced"}, "--layer has made 'spliced' X already", "out of --layers"),
    ({"layers": "all", "raw": True}, "layers have the genes of X", "--with-raw"),
    ({"with_raw": True, "raw": True}, "--raw has made raw X already", "--with-raw"),
])  # fmt: skip
def test_what_cannot_be_kept_is_said(source, tmp_path, options, said, hint):
    with pytest.raises(TitinError, match=said) as error:
        titin.build(source, tmp_path / "d", project=(), **options)
    assert hint in error.value.hint
    assert not (tmp_path / "d").exists()


def test_there_is_no_raw_to_keep(tmp_path):
    small(raw=False).write_h5ad(tmp_path / "a.h5ad")
    with pytest.raises(TitinError, match="has no raw"):
        titin.build(tmp_path / "a.h5ad", tmp_path / "d", with_raw=True, project=())


def test_a_value_that_no_dataset_holds_is_named_with_its_layer(tmp_path):
    velocity = np.zeros((N_CELLS, N_GENES))
    velocity[4, 2] = np.nan
    small({"velocity": velocity}).write_h5ad(tmp_path / "a.h5ad")
    with pytest.raises(TitinError, match="layers/velocity at cell 'cell4', gene 'G2': the value is NaN"):
        titin.build(tmp_path / "a.h5ad", tmp_path / "d", layers="all", project=())


def test_a_subset_keeps_its_part_of_layers_and_all_genes_of_raw(source, dataset, tmp_path):
    titin.subset(dataset, tmp_path / "s", where="cell_type=B", genes=["G3", "G8", "G20"])
    ours, theirs = titin.open(tmp_path / "s").to_memory(), ad.read_h5ad(source)
    theirs = theirs[ours.obs_names, ["G3", "G8", "G20"]].copy()
    assert_same_matrices(ours, theirs)
    assert validate(tmp_path / "s", threads=2).passed


def test_a_merge_keeps_the_layers_of_all_and_gives_each_study_its_own_back(tmp_path):
    whole = small()
    parts = {"lund": whole[:40].copy(), "kiel": whole[40:, ::-1][:, :25].copy()}
    del parts["kiel"].layers["empty"]
    for name, part in parts.items():
        part.write_h5ad(tmp_path / f"{name}.h5ad")
        titin.build(tmp_path / f"{name}.h5ad", tmp_path / name, layers="all", with_raw=name == "lund", project=())
    report = titin.merge([tmp_path / "lund", tmp_path / "kiel"], tmp_path / "both", join="outer")
    assert set(report.manifest.left_out) >= {"layers/empty", "raw"}
    both = titin.open(tmp_path / "both")
    del parts["lund"].layers["empty"]
    joined = ad.concat(list(parts.values()), join="outer", fill_value=0)[both.obs_names, both.var_names]
    for name, layer in joined.layers.items():
        np.testing.assert_array_equal(both.layers[name][:].toarray(), dense(layer), err_msg=name)
    assert validate(tmp_path / "both", threads=2).passed
    assert both.comparable().layers["spliced"].shape == both.comparable().shape == (N_CELLS, 25)
    for name, part in parts.items():
        titin.subset(tmp_path / "both", tmp_path / f"{name}-again", where=f"study={name}")
        back = titin.open(tmp_path / f"{name}-again").to_memory()
        part.raw = None
        assert_same_matrices(back, part[back.obs_names, back.var_names].copy())


def test_diff_tells_layers(dataset, source, tmp_path):
    titin.build(source, tmp_path / "other", layers="all", with_raw=True, project=(), seed=5)
    assert not diff(dataset, tmp_path / "other")
    changed = small()
    changed.layers["scaled"][7, 3] += 1
    raw = changed.raw.to_adata()[:, 1:].copy()
    changed.raw = raw
    del changed.layers["empty"]
    changed.write_h5ad(tmp_path / "b.h5ad")
    titin.build(tmp_path / "b.h5ad", tmp_path / "changed", layers="all", with_raw=True, project=())
    found = diff(dataset, tmp_path / "changed")
    assert found
    assert found.layers["layers/empty"] is None
    assert found.layers["layers/scaled"]["first_cells"] == ["cell7"]
    assert found.layers["layers/scaled"]["first_genes"] == ["G3"]
    assert found.layers["raw"]["genes_only"] == 1
    assert set(found.layers) == {"layers/empty", "layers/scaled", "raw"}


def test_relabelling_leaves_layers_as_they_are(dataset, tmp_path):
    shutil.copytree(dataset, tmp_path / "d")
    labels = titin.open(dataset).obs[["cell_type"]].astype(str).replace({"B": "b"})
    titin.relabel(tmp_path / "d", labels)
    assert diff(dataset, tmp_path / "d").layers == {}
    assert validate(tmp_path / "d", checks=["integrity", "matrix"], threads=2).passed


def test_names_of_files_are_apart_whatever_the_names_of_layers():
    places = ["layers/a", "layers/A", "layers/a/b", "layers/a b", f"layers/{'x' * 300}", "layers/..", "raw"]
    found = list(name_files(places).values())
    assert len({name.lower() for name in found}) == len(found)
    assert all(len(name) <= 70 for name in found)


@pytest.mark.parametrize("place", ["layers/logs", "raw"])
def test_a_build_that_ends_at_a_layer_goes_on_from_there(source, dataset, tmp_path, monkeypatch, place):
    options = {"layers": "all", "with_raw": True, "project": (), "threads": 1}

    def die(job, at, *rest):
        if at == place:
            raise KeyboardInterrupt
        return write_further_matrix(job, at, *rest)

    monkeypatch.setattr(pipeline, "write_further_matrix", die)
    with pytest.raises(KeyboardInterrupt):
        titin.build(source, tmp_path / "d", **options)
    assert not (tmp_path / "d").exists()
    monkeypatch.undo()
    resumed = titin.build(source, tmp_path / "d", resume=True, **options)
    assert resumed.resumed
    assert "cells" not in resumed.seconds
    assert {n: e["sha256"] for n, e in resumed.manifest.files.items() if n.endswith(".parquet")} == {
        n: e["sha256"] for n, e in titin.open(dataset).manifest.files.items() if n.endswith(".parquet")
    }
