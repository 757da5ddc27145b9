"""Small AnnData objects and ways to write them."""

import warnings
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import scipy.sparse as sp

from titin.source import Matrix


def random_counts(n_cells: int = 40, n_genes: int = 23, dtype: str = "float32", seed: int = 0) -> np.ndarray:
    """Dense counts with an empty cell and a gene nobody expresses."""
    rng = np.random.default_rng(seed)
    dense = rng.poisson(0.7, (n_cells, n_genes)).astype(dtype)
    dense[n_cells // 2] = 0
    dense[:, n_genes // 3] = 0
    return dense


def small_atlas(X: object = None, **parts: object) -> anndata.AnnData:
    """An AnnData object with every kind of column that anndata can write."""
    X = sp.csr_matrix(random_counts()) if X is None else X
    n_cells, n_genes = X.shape
    obs = pd.DataFrame(index=[f"cell-{i}" for i in range(n_cells)])
    obs["donor"] = pd.Categorical([f"D{i % 3}" for i in range(n_cells)], categories=["D2", "D0", "D1", "unused"])
    obs["age"] = pd.Categorical(["15-20"] * n_cells, categories=["15-20", "20-25"], ordered=True)
    obs["age"] = obs["age"].where(np.arange(n_cells) != 1)
    obs["n_counts"] = np.arange(n_cells, dtype="float32")
    obs["n_genes"] = np.arange(n_cells)
    obs["is_nucleus"] = np.arange(n_cells) % 2 == 0
    obs["maybe_int"] = pd.array([None, *range(n_cells - 1)], dtype="Int32")
    obs["maybe_bool"] = pd.array([None, *([True] * (n_cells - 1))], dtype="boolean")
    obs["note"] = [f"text {i} é" for i in range(n_cells)]
    var = pd.DataFrame({"symbol": [f"S{i}" for i in range(n_genes)]}, index=[f"ENSG{i}" for i in range(n_genes)])
    var.index.name = "gene_id"
    uns = {"a": {"b": {"c": 1, "text": "x"}, "array": np.arange(3)}, "colors": np.array(["red", "blue"], dtype=object)}
    obsm = {
        "X_umap": np.arange(2.0 * n_cells).reshape(n_cells, 2),
        "frame": pd.DataFrame({"x": range(n_cells)}, obs.index),
    }
    return anndata.AnnData(X, obs=obs, var=var, **{"uns": uns, "obsm": obsm} | parts)


def write(atlas: anndata.AnnData, path: Path, container: str, **options: object) -> Path:
    """Write as ``h5ad``, ``zarr2`` or ``zarr3``."""
    if container == "h5ad":
        path = path.with_suffix(".h5ad")
        anndata.io.write_h5ad(path, atlas, convert_strings_to_categoricals=False, dataset_kwargs=options)
        return path
    path = path.with_suffix(".zarr")
    with warnings.catch_warnings(), anndata.settings.override(zarr_write_format=int(container[-1])):
        warnings.simplefilter("ignore")  # of the writer, about defaults to come
        atlas.write_zarr(path, convert_strings_to_categoricals=False)
    return path


def rebuilt(matrix: Matrix, max_bytes: int, scratch: Path) -> sp.csr_matrix:
    """The concatenated blocks, after checking that they are in order and whole, and that nothing is left behind."""
    start, data, indices, indptr = 0, [], [], [np.zeros(1, np.int64)]
    for block in matrix.blocks(max_bytes, scratch):
        assert block.start == start
        assert block.n_cells > 0
        assert block.indptr.dtype == np.int64
        assert block.indptr[0] == 0
        assert len(block.indices) == len(block.data) == block.indptr[-1]
        assert block.data.dtype == matrix.dtype
        assert block.data.dtype.isnative
        start += block.n_cells
        indptr.append(block.indptr[1:] + indptr[-1][-1])
        indices.append(block.indices)
        data.append(block.data)
    assert start == matrix.shape[0]
    assert not list(scratch.iterdir())
    parts = np.concatenate(data), np.concatenate(indices), np.concatenate(indptr)
    return sp.csr_matrix(parts, shape=matrix.shape)


def assert_identical(found: sp.csr_matrix, expected: sp.csr_matrix) -> None:
    """Equal to the last bit, with the same entries in the same order."""
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found.indptr, expected.indptr)
    np.testing.assert_array_equal(found.indices, expected.indices)
    assert found.data.tobytes() == expected.data.tobytes()


def assert_same(found: object, expected: object) -> None:
    """Equality of whatever uns and obsm hold."""
    if isinstance(expected, dict):
        assert list(found) == sorted(expected)
        for key, value in expected.items():
            assert_same(found[key], value)
    elif isinstance(expected, pd.DataFrame):
        pd.testing.assert_frame_equal(found, expected)
    elif sp.issparse(expected):
        assert_identical(found.tocsr(), expected.tocsr())
    elif isinstance(expected, np.ndarray):
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)
    else:
        assert type(found) is type(expected)
        assert found == expected


def files_of(folder: Path) -> list[str]:
    """Names of all files below a folder, sorted."""
    return sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())
