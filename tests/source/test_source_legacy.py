"""Files as anndata 0.6 and 0.7 wrote them, and what today's anndata makes of them."""

import warnings

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from source_files import assert_identical, assert_same, random_counts, rebuilt

from titin.source import open_source

TEXT = h5py.string_dtype("utf-8")


def write_h5sparse(file, name, matrix):
    """A sparse matrix before encoding-type."""
    group = file.create_group(name)
    group.attrs["h5sparse_format"] = matrix.format
    group.attrs["h5sparse_shape"] = np.array(matrix.shape)
    for part in ("data", "indices", "indptr"):
        group.create_dataset(part, data=getattr(matrix, part), compression="gzip")


def records(columns, text):
    """A table of structures; strings of fixed or variable length."""
    dtype = [(name, text if np.asarray(v).dtype.kind in "UO" else np.asarray(v).dtype) for name, v in columns.items()]
    out = np.empty(len(next(iter(columns.values()))), dtype=dtype)
    for name, values in columns.items():
        out[name] = [v.encode() if out.dtype[name].kind == "S" else v for v in np.asarray(values).tolist()]
    return out


def write_0_6(path, X, text=TEXT):
    n_cells, n_genes = X.shape
    with h5py.File(path, "w") as file:
        if sp.issparse(X):
            write_h5sparse(file, "X", X)
        else:
            file["X"] = X
        write_h5sparse(file, "raw.X", sp.csr_matrix(random_counts(n_cells, n_genes + 2)))
        cells, genes = [f"cell{i}" for i in range(n_cells)], [f"gene{i}" for i in range(n_genes)]
        obs = {"index": cells, "louvain": np.arange(n_cells, dtype="i1") % 3, "n": np.arange(n_cells, dtype="f4")}
        obs |= {"only": np.zeros(n_cells, "i1"), "words": [f"w{i}" for i in range(n_cells)]}
        obs["louvain"][0] = -1
        file["obs"] = records(obs, text)
        file["var"] = records({"index": genes, "n_cells": np.arange(n_genes)}, text)
        file["raw.var"] = records({"index": [*genes, "x1", "x2"]}, text)
        obsm = np.zeros(n_cells, [("X_pca", "f4", (3,)), ("X_umap", "f8", (2,))])
        obsm["X_pca"], obsm["X_umap"] = np.arange(n_cells * 3).reshape(-1, 3), 1.5
        file["obsm"] = obsm
        file["varm"] = np.zeros(n_genes, [("PCs", "f4", (3,))])
        file["uns/louvain_categories"] = np.array(["B", "T", "NK"], dtype=text)
        file["uns/only_categories"] = np.array(["one"], dtype="S3")
        file["uns/louvain_colors"] = np.array(["red", "blue", "green"], dtype=text)
        file["uns/neighbors/params/n_neighbors"] = 15
        write_h5sparse(file, "uns/neighbors/connectivities", sp.eye(n_cells, format="csr"))
    return path


def read_by_anndata(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return anndata.read_h5ad(path)


def assert_like_anndata(source, atlas, scratch):
    pd.testing.assert_frame_equal(source.obs, atlas.obs, check_column_type=True)
    pd.testing.assert_frame_equal(source.var, atlas.var, check_column_type=True)
    assert_same(dict(source.obsm), {key: np.asarray(atlas.obsm[key]) for key in atlas.obsm})
    for max_bytes in (1, 400, 10**9):
        assert_identical(rebuilt(source.X, max_bytes, scratch), sp.csr_matrix(atlas.X))


@pytest.mark.parametrize("convert", [sp.csr_matrix, sp.csc_matrix, np.asarray])
@pytest.mark.parametrize("text", [TEXT, "S12"], ids=["variable", "fixed"])
def test_anndata_0_6(tmp_path, scratch, convert, text):
    path = write_0_6(tmp_path / "old.h5ad", convert(random_counts()), text)
    atlas = read_by_anndata(path)
    with open_source(path) as source:
        assert_like_anndata(source, atlas, scratch)
        assert list(source.obs["louvain"].cat.categories) == ["B", "T", "NK"]
        assert source.obs["louvain"].isna().sum() == 1
        assert list(source.obs["only"].cat.categories) == ["one"]
        assert list(source.uns["louvain_colors"]) == ["red", "blue", "green"]
        assert source.uns["neighbors"] == {"params": {"n_neighbors": 15}}
        assert set(source.uns) == {"louvain_colors", "neighbors"}
        assert set(source.left_out) == {"uns/neighbors/connectivities", "varm/PCs", "raw"}
        np.testing.assert_array_equal(
            rebuilt(source.counts, 500, scratch).toarray(), np.asarray(atlas.raw.X.todense())[:, :23]
        )
    with open_source(path, raw=True) as source:
        assert list(source.var.index) == list(atlas.raw.var_names)
        assert_identical(rebuilt(source.X, 500, scratch), atlas.raw.X)


def test_anndata_0_6_with_nothing_but_names(tmp_path, scratch):
    path = tmp_path / "old.h5ad"
    with h5py.File(path, "w") as file:
        file["X"] = random_counts(3, 2)
        file["obs"] = records({"index": ["a", "b", "c"]}, "S1")
        file["var"] = records({"index": ["g", "h"]}, "S1")
    with open_source(path) as source:
        assert_like_anndata(source, read_by_anndata(path), scratch)
        assert list(source.obs.index) == ["a", "b", "c"]


def write_dataframe_0_1(file, name, index, columns, categories):
    group = file.create_group(name)
    group.attrs.update({"encoding-type": "dataframe", "encoding-version": "0.1.0", "_index": "index"})
    group.attrs["column-order"] = np.array([*columns, *categories], dtype=TEXT)
    group["index"] = np.array(index, dtype=TEXT)
    for key, values in columns.items():
        group[key] = np.asarray(values, dtype=TEXT if isinstance(values[0], str) else None)
    for key, (codes, labels, ordered) in categories.items():
        group[f"__categories/{key}"] = np.array(labels, dtype=TEXT)
        group[f"__categories/{key}"].attrs["ordered"] = ordered
        group[key] = codes
        group[key].attrs["categories"] = group[f"__categories/{key}"].ref


@pytest.mark.parametrize("convert", [sp.csr_matrix, sp.csc_matrix, np.asarray])
def test_anndata_0_7(tmp_path, scratch, convert):
    path = tmp_path / "old.h5ad"
    X = convert(random_counts())
    with h5py.File(path, "w") as file:
        if sp.issparse(X):
            group = file.create_group("X")
            group.attrs.update({"encoding-type": f"{X.format}_matrix", "encoding-version": "0.1.0", "shape": X.shape})
            for part in ("data", "indices", "indptr"):
                group[part] = getattr(X, part)
        else:
            file["X"] = X
        codes = (np.arange(40) % 3).astype("i1")
        codes[0] = -1
        categories = {"louvain": (codes, ["B", "T", "NK"], False), "stage": (codes, ["x", "y", "z"], True)}
        columns = {"n": np.arange(40.0), "words": [f"w{i}" for i in range(40)]}
        write_dataframe_0_1(file, "obs", [f"c{i}" for i in range(40)], columns, categories)
        write_dataframe_0_1(file, "var", [f"g{i}" for i in range(23)], {"n": np.arange(23)}, {})
        file["obsm/X_pca"] = np.ones((40, 3))
        file["uns/text"] = "hello"
        file["uns/list"] = np.array(["a", "b"], dtype=TEXT)
        file.create_group("layers")
    atlas = read_by_anndata(path)
    with open_source(path) as source:
        assert_like_anndata(source, atlas, scratch)
        assert source.obs["stage"].cat.ordered
        assert_same(source.uns, dict(atlas.uns))
        assert source.left_out == {}
