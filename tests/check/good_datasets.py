"""Datasets without fault, of every kind."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from titin.builder import build
from titin.dataset import layout
from titin.dataset.arrow import ParquetFile
from titin.demo import make_demo
from titin.demo.atlas import ATLAS, DONORS
from titin.progress import Progress

N_CELLS, N_GENES = 240, 60


@dataclass(frozen=True)
class Good:
    """A dataset without fault, and its source."""

    path: Path
    source: Path


def small_atlas(kind: str) -> ad.AnnData:
    """240 cells of 4 donors × 60 genes; obs and counts agree, women express XIST and men RPS4Y1."""
    rng = np.random.default_rng(5)
    rows = np.arange(N_CELLS)
    donor, female = rows % 4, rows % 4 < 2
    fine = (rows // 4) % 4
    genes = [f"GENE{i}" for i in range(N_GENES - 6)] + ["MT-ND1", "MT-CO1", "MALAT1", "XIST", "RPS4Y1", "MYH7"]
    rate = np.exp(rng.normal(0, 1, (4, N_GENES)))[fine]
    rate[:, -3], rate[:, -2] = np.where(female, 8.0, 0.0), np.where(female, 0.0, 8.0)
    counts = rng.poisson(rate)
    counts[7, 3] = 700  # a count beyond the table of small ones
    obs = pd.DataFrame(index=[f"CELL{i:03d}-1" for i in rows])
    obs["donor_id"] = pd.Categorical([f"D{d}" for d in donor])
    obs["sample_id"] = pd.Categorical([f"D{d}-{fine[i] % 2}" for i, d in enumerate(donor)])
    obs["age"] = pd.Categorical(np.array(["25-30", "30-35", "60-65", "70-75"])[donor])
    obs["sex"] = pd.Categorical(np.where(female, "female", "male"))
    obs["suspension_type"] = pd.Categorical(["cell"] * N_CELLS)
    obs["assay"] = pd.Categorical(np.array(["10x v2", "10x v3"])[donor % 2])
    obs["annotation_level0"] = pd.Categorical(np.array(["muscle", "immune"])[fine // 2])
    obs["annotation_level1"] = pd.Categorical(np.array(["MF-I", "MF-II", "T cell", "B cell"])[fine])
    obs["n_counts"] = counts.sum(axis=1).astype(np.float32)
    obs["n_genes"] = (counts > 0).sum(axis=1)
    obs["percent_mito"] = (100 * counts[:, -6:-4].sum(axis=1) / counts.sum(axis=1)).astype(np.float32)
    obs["score"] = np.linspace(-1, 1, N_CELLS)
    var = pd.DataFrame({"gene_ids": [f"ENSG{i:011d}" for i in range(N_GENES)]}, genes)
    var["highly_variable"] = np.arange(N_GENES) % 3 == 0
    obsm = {"X_umap": rng.normal(size=(N_CELLS, 2)).astype(np.float32), "X_pca": rng.normal(size=(N_CELLS, 5))}
    uns = {"title": "a small atlas", "pca": {"variance": np.array([2.0, 1.0])}, "list": ["a", "b"]}
    return ad.AnnData(_values(kind, counts, rng), obs, var, obsm=obsm, uns=uns)


def _values(kind: str, counts: np.ndarray, rng: np.random.Generator) -> sp.csr_matrix:
    X = sp.csr_matrix(counts.astype(np.float32))
    if kind == "log1p":
        X.data = np.log1p(
            X.data / np.repeat(counts.sum(axis=1), np.diff(X.indptr)).astype(np.float32) * np.float32(1e4)
        )
    if kind == "real":
        X.data = (X.data * rng.uniform(0.5, 2, len(X.data))).astype(np.float32)
    return X


def _build(kind: str, folder: Path) -> None:
    atlas = small_atlas(kind)
    atlas.write_h5ad(folder / ATLAS)
    build(folder / ATLAS, folder / "dataset", tissue="muscle", method="10x", threads=2)


def _build_layers(folder: Path) -> None:
    """X is log-normalised; layers of counts and of scaled values, raw with six genes more, a graph and loadings."""
    atlas, rng = small_atlas("log1p"), np.random.default_rng(6)
    atlas.layers["spliced"] = sp.csc_matrix(rng.poisson(0.7, atlas.shape).astype(np.int32))
    atlas.layers["scaled"] = rng.normal(size=atlas.shape)
    names = [*atlas.var_names, *(f"RAW{i}" for i in range(6))]
    raw = sp.csr_matrix(rng.poisson(0.7, (N_CELLS, len(names))).astype(np.float32))
    atlas.raw = ad.AnnData(raw, atlas.obs, pd.DataFrame({"place": np.arange(len(names))}, names))
    atlas.obsp["distances"] = sp.random(N_CELLS, N_CELLS, 0.05, format="csr", random_state=6)
    atlas.varm["PCs"] = rng.normal(size=(N_GENES, 4)).astype(np.float32)
    atlas.write_h5ad(folder / ATLAS)
    build(folder / ATLAS, folder / "dataset", tissue="muscle", method="10x", threads=2, keep_all=True)


def _build_sharded(folder: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layout, "ROW_GROUP_CELLS", 64)
        patch.setattr(layout, "ROW_GROUP_NONZEROS", 2_000)
        patch.setattr(layout, "TABLE_ROW_GROUP_ROWS", 100)
        patch.setattr(layout, "PANEL_ROW_GROUP_CELLS", 96)
        patch.setitem(ParquetFile.__init__.__kwdefaults__, "shard_bytes", 1)
        _build("log1p", folder)


def _build_demo(folder: Path) -> None:
    make_demo(folder, n_cells=1500, n_genes=800, seed=0, force=False, progress=Progress())
    assert (folder / DONORS).is_file()


def find_good(name: str, folder: Path) -> Good:
    """Name what a maker left in a folder."""
    return Good(folder / ("skeletal_muscle_10x" if name == "demo" else "dataset"), folder / ATLAS)


MAKERS: dict[str, Callable[[Path], None]] = {
    "log1p": lambda folder: _build("log1p", folder),
    "counts": lambda folder: _build("counts", folder),
    "real": lambda folder: _build("real", folder),
    "sharded": _build_sharded,
    "layers": _build_layers,
    "demo": _build_demo,
}
