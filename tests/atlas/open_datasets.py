"""Small datasets of every kind, and the matrices and tables they were built from, in the dataset's order."""

from dataclasses import dataclass
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

import titin
from titin.builder import build

N_CELLS, N_GENES = 230, 70


@dataclass(frozen=True)
class Opened:
    """A dataset, and its source with the cells in the dataset's order."""

    atlas: titin.Atlas
    source: ad.AnnData
    counts: sparse.csr_matrix | None = None

    @property
    def dense(self) -> np.ndarray:
        X = self.source.X
        return X.toarray() if sparse.issparse(X) else np.asarray(X)


def reopen(opened: Opened, **settings: object) -> titin.Atlas:
    return titin.open(opened.atlas.folder, **settings)


def open_beside(dataset: Path, source: ad.AnnData, counts: sparse.csr_matrix | None = None) -> Opened:
    atlas = titin.open(dataset)
    order = source.obs_names.get_indexer(atlas.obs_names)
    with ad.settings.override(remove_unused_categories=False):
        return Opened(atlas, source[order].copy(), None if counts is None else counts[order])


def make(folder: Path, kind: str) -> Opened:
    """Build ``counts``, ``integers`` (counts as int64), ``log1p``, ``double`` (float64 log1p), ``huge`` or ``real``."""
    rng = np.random.default_rng(3)
    counts = rng.poisson(rng.gamma(0.3, 2.0, N_GENES), (N_CELLS, N_GENES)).astype(np.int64)
    counts[7] = 0
    counts[:, 11] = 0
    if kind == "huge":  # so large that float32 tells neighbours barely apart
        counts[:, 5] = 400_000 + rng.integers(0, 50, N_CELLS)
        counts[:, 6] = counts[:, 5] + 1
    X = sparse.csr_matrix(counts)
    if kind == "integers":
        values = X
    elif kind == "counts":
        values = X.astype(np.float32)
    elif kind == "real":
        values = X.astype(np.float64)
        values.data = values.data * rng.uniform(0.1, 3, X.nnz) + 1e4
    else:
        values = log_normalised(X, np.float64 if kind == "double" else np.float32)
    obs = pd.DataFrame(index=[f"cell{i}" for i in range(N_CELLS)])
    obs["kind"] = pd.Categorical(rng.choice(["b", "a", "c"], N_CELLS), categories=["c", "b", "a", "none"])
    obs["donor"] = rng.choice(["D1", "D2"], N_CELLS)
    obs["score"] = rng.normal(size=N_CELLS)
    names = [f"G{i}" for i in range(N_GENES)]
    var = pd.DataFrame({"gene_ids": [f"ENSG{i:011d}" for i in range(N_GENES)]}, index=names)
    source = ad.AnnData(values, obs=obs, var=var, obsm={"X_umap": rng.normal(size=(N_CELLS, 2)).astype(np.float32)})
    folder.mkdir(parents=True, exist_ok=True)
    if kind == "huge":
        source.layers["counts"] = X.astype(np.float32)
    source.write_h5ad(folder / "source.h5ad")
    build(folder / "source.h5ad", folder / "dataset", roles={"donor": "donor"})
    return open_beside(folder / "dataset", source, None if kind == "real" else X)


def log_normalised(counts: sparse.csr_matrix, dtype: type) -> sparse.csr_matrix:
    total = np.maximum(np.asarray(counts.sum(axis=1)).ravel(), 1)
    X = counts.astype(dtype)
    X.data = np.log1p(X.data / np.repeat(total, np.diff(X.indptr)).astype(dtype) * dtype(1e4))
    return X


def damage(path: Path, column: str, group: int = 0) -> None:
    """Overwrite the pages of one column of one row group."""
    import pyarrow.parquet as pq

    chunk = next(
        pq.read_metadata(path).row_group(group).column(i)
        for i in range(99)
        if pq.read_metadata(path).row_group(group).column(i).path_in_schema.startswith(column)
    )
    with path.open("r+b") as file:
        file.seek(chunk.data_page_offset)
        file.write(b"\xa5" * chunk.total_compressed_size)
