"""Small studies of every kind of values, with obs, var and uns of every kind of column."""

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import titin

QUICK = ("counts", "log1p", "normalized", "real", "dense")
KINDS = [*QUICK, *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("integers", "log2", "double"))]


def make_study(kind: str, genes: list[str], n_cells: int = 150, seed: int = 0, prefix: str = "c") -> ad.AnnData:
    rng = np.random.default_rng(seed)
    n_genes = len(genes)
    counts = rng.poisson(rng.gamma(0.3, 2.0, n_genes), (n_cells, n_genes)).astype(np.int64)
    counts[3] = 0
    counts[:, 4] = 0
    obs = pd.DataFrame(index=[f"{prefix}{i}" for i in range(n_cells)])
    obs["kind"] = pd.Categorical(rng.choice(["b", "a", "c"], n_cells), categories=["c", "b", "a"], ordered=True)
    obs["donor"] = rng.choice(["D1", "D2"], n_cells)
    obs["age"] = np.where(obs["donor"] == "D1", 21, 64)
    obs["score"] = rng.normal(size=n_cells).astype(np.float32)
    obs["flag"] = rng.random(n_cells) < 0.5
    obs["maybe"] = pd.array(np.where(rng.random(n_cells) < 0.2, None, rng.integers(0, 9, n_cells)), "Int64")
    var = pd.DataFrame({"gene_ids": [f"ENSG{int(g[1:]):011d}" for g in genes], "odd": rng.random(n_genes) < 0.5},
                       index=genes)  # fmt: skip
    return ad.AnnData(
        values_of(kind, counts), obs=obs, var=var,
        uns={"how": {"n": 3}, "kind_colors": np.array(["#f00", "#0f0", "#00f"])},
        obsm={"X_umap": rng.normal(size=(n_cells, 2)).astype(np.float32)},
    )  # fmt: skip


def values_of(kind: str, counts: np.ndarray) -> object:
    X = sparse.csr_matrix(counts)
    if kind == "integers":
        return X
    if kind == "counts":
        return X.astype(np.float32)
    if kind == "real":
        X = X.astype(np.float64)
        X.data *= np.random.default_rng(1).uniform(0.1, 3, X.nnz)
        return X
    dtype = np.float64 if kind == "double" else np.float32
    total = np.maximum(counts.sum(axis=1), 1)
    X = X.astype(dtype)
    X.data = X.data / np.repeat(total, np.diff(X.indptr)).astype(dtype) * dtype(1e4)
    if kind != "normalized":
        X.data = np.log2(X.data.astype(np.float64) + 1).astype(dtype) if kind == "log2" else np.log1p(X.data)
    return X.toarray() if kind == "dense" else X


def build_study(source: ad.AnnData, folder: Path, name: str = "study", **options: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    source.write_h5ad(folder / f"{name}.h5ad")
    titin.build(folder / f"{name}.h5ad", folder / name, **options)
    return folder / name


def exported(dataset: Path, folder: Path) -> ad.AnnData:
    titin.export(dataset, "h5ad", folder / f"{dataset.name}.back.h5ad")
    return ad.read_h5ad(folder / f"{dataset.name}.back.h5ad")


def assert_same(found: ad.AnnData, wanted: ad.AnnData, *, uns: bool = True) -> None:
    """Bit for bit, in the same order."""
    assert found.X.dtype == wanted.X.dtype
    assert sparse.issparse(found.X) == sparse.issparse(wanted.X)
    one, other = (X.toarray() if sparse.issparse(X) else np.asarray(X) for X in (found.X, wanted.X))
    assert one.tobytes() == other.tobytes()
    pd.testing.assert_frame_equal(found.obs, wanted.obs)
    pd.testing.assert_frame_equal(found.var, wanted.var)
    if uns:
        assert set(found.obsm) == set(wanted.obsm)
        for key in wanted.obsm:
            np.testing.assert_array_equal(found.obsm[key], wanted.obsm[key])
        assert found.uns["how"] == wanted.uns["how"]
        assert list(found.uns["kind_colors"]) == list(wanted.uns["kind_colors"])
