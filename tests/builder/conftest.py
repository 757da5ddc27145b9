"""Small atlases with every kind of column, and ways to build them."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from _interrupt import Server

from demo_dataset import cut
from titin.builder import BuildReport, build

__all__ = ["cut"]


def log_normalised(counts: np.ndarray, target: float = 1e4) -> sp.csr_matrix:
    """log1p(count / total * target), as scanpy computes it in float32."""
    X = sp.csr_matrix(counts.astype(np.float32))
    total = np.repeat(counts.sum(axis=1).astype(np.float32), np.diff(X.indptr))
    X.data = np.log1p(X.data / total * np.float32(target))
    return X


@pytest.fixture(scope="session")
def counts() -> np.ndarray:
    """120 cells × 50 genes; one cell is empty, one gene silent, and many genes are equally widely detected."""
    rng = np.random.default_rng(0)
    counts = rng.poisson(np.exp(rng.normal(-0.5, 1.2, 50)), (120, 50))
    counts[:, 7] = 1 + (np.arange(120) % 3 == 0)
    counts[:, 20] = 0
    counts[60] = 0
    return counts


@pytest.fixture
def atlas(counts: np.ndarray) -> anndata.AnnData:
    """Log-normalised, with labels, embeddings and unstructured metadata."""
    n_cells, n_genes = counts.shape
    rows = np.arange(n_cells)
    obs = pd.DataFrame(index=[f"AAC-{i}" for i in rows])
    obs["donor_id"] = pd.Categorical([f"D{i % 4}" for i in rows])
    obs["cell_type"] = pd.Categorical(np.array(["T cell", "B cell", "myocyte"])[rows % 3])
    stages = np.array(["45-year-old stage", "sixth decade stage", "unknown"])
    obs["development_stage"] = pd.Categorical(stages[rows % 3])
    obs["sex"] = np.array(["female", "male"])[rows % 2]
    obs["n_umi"] = counts.sum(axis=1)
    obs["doublet"] = rows % 5 == 0
    obs["maybe"] = pd.array([None, *range(n_cells - 1)], dtype="Int32")
    obs["score"] = np.linspace(0, 1, n_cells, dtype="float32")
    var = pd.DataFrame({"gene_ids": [f"ENSG{i:011d}" for i in range(n_genes)]}, [f"GENE{i}" for i in range(n_genes)])
    var["highly_variable"] = np.arange(n_genes) % 2 == 0
    obsm = {"X_umap": np.random.default_rng(1).normal(size=(n_cells, 2)).astype("f4"), "X_pca": np.eye(n_cells, 3)}
    uns = {"title": "a small atlas", "pca": {"variance": np.array([2.0, 1.0, np.nan])}, "a": {"b": {"c": 1}}}
    return anndata.AnnData(log_normalised(counts), obs, var, obsm=obsm, uns=uns)


@pytest.fixture
def build_atlas(tmp_path: Path) -> Callable[..., BuildReport]:
    """A function that writes an AnnData as ``.h5ad`` and builds it; ``out`` names the folder."""

    def write_and_build(
        adata: anndata.AnnData, out: str = "dataset", name: str = "atlas", **options: object
    ) -> BuildReport:
        path = tmp_path / f"{name}.h5ad"
        if not path.exists():
            anndata.io.write_h5ad(path, adata, convert_strings_to_categoricals=False)
        return build(path, tmp_path / out, **{"threads": 2} | options)

    return write_and_build


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A process that is forked for every command, with what it imports already there: it takes seconds to start."""
    server = Server()
    yield server
    server.close()


@pytest.fixture(scope="class")
def bucket() -> Iterator[Any]:
    """A server of object storage with a bucket ``atlases``."""
    pytest.importorskip("s3fs", reason="needs `pip install 'titin[s3]'`")
    pytest.importorskip("moto.server", reason="needs `pip install 'moto[s3]' flask flask-cors`")
    from s3_server import s3_of, serve_s3

    with serve_s3() as server:
        s3_of(server).mkdir("atlases")
        yield server
