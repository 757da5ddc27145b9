"""A source from a machine of the other byte order comes in as any other."""

from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import zarr
from source_files import random_counts, small_atlas, write

import titin


def swap(folder: h5py.Group | zarr.Group) -> int:
    """Give every array of numbers below a group the other byte order; how many were."""
    n = 0
    for key in list(folder):
        node = folder[key]
        if hasattr(node, "keys"):
            n += swap(node)
        elif node.dtype.kind in "iuf" and node.dtype.itemsize > 1 and node.shape:
            data, attributes = node[...], dict(node.attrs)
            del folder[key]
            order = data.dtype.newbyteorder("S")
            make = folder.create_dataset if isinstance(folder, h5py.Group) else folder.create_array
            made = make(key, data=data.astype(order))
            made.attrs.update(attributes)
            n += 1
    return n


@pytest.mark.parametrize(("kind", "matrix"), [
    pytest.param("h5ad", sp.csr_matrix, id="h5ad-csr"),
    pytest.param("h5ad", np.asarray, id="h5ad-dense"),
    pytest.param("zarr2", sp.csc_matrix, id="zarr2-csc"),
    pytest.param("h5ad", sp.csc_matrix, id="h5ad-csc", marks=pytest.mark.slow),
    pytest.param("zarr2", sp.csr_matrix, id="zarr2-csr", marks=pytest.mark.slow),
    pytest.param("zarr2", np.asarray, id="zarr2-dense", marks=pytest.mark.slow),
])  # fmt: skip
def test_a_source_of_the_other_byte_order(kind: str, matrix: type, tmp_path: Path) -> None:
    atlas = small_atlas(matrix(random_counts()))
    n_cells, n_genes = atlas.shape
    for table, n in ((atlas.obs, n_cells), (atlas.var, n_genes)):
        table["whole"] = np.arange(n, dtype=np.int32)
        table["real"] = np.linspace(0, 1, n)
        table["label"] = pd.Categorical(np.arange(n) % 3)
        table["missing"] = pd.array(np.arange(n), dtype="Int32")
    atlas.obsm["X_pca"] = np.arange(2.0 * n_cells, dtype=np.float32).reshape(n_cells, 2)
    atlas.obsm["table"] = pd.DataFrame({"a": np.arange(n_cells), "b": 0.5}, index=atlas.obs_names)
    atlas.uns["numbers"] = np.arange(5, dtype=np.int16)
    path = write(atlas, tmp_path / "other", kind)
    if kind == "h5ad":
        with h5py.File(path, "r+") as file:
            assert swap(file) > 8
    else:
        assert swap(zarr.open_group(str(path), mode="r+")) > 8
    titin.build(path, tmp_path / "dataset", project=(), shuffle=False)
    ours = titin.open(tmp_path / "dataset")
    read = ours.to_anndata()
    known = anndata.AnnData(sp.csr_matrix(atlas.X), obs=atlas.obs, var=atlas.var)
    assert np.array_equal(sp.csr_matrix(read.X).toarray(), known.X.toarray())
    for name in ("whole", "real", "label", "missing"):
        for mine, theirs in ((read.obs, atlas.obs), (read.var.loc[atlas.var_names], atlas.var)):
            assert mine[name].astype(float).tolist() == theirs[name].astype(float).tolist(), name
            assert mine[name].dtype.kind == theirs[name].dtype.kind
    assert np.array_equal(ours.obsm["X_pca"], atlas.obsm["X_pca"])
    assert ours.uns["numbers"].tolist() == [0, 1, 2, 3, 4]
