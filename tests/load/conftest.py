"""Datasets to load from."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import titin
from titin.demo import write_demo_atlas


@pytest.fixture(scope="session")
def demo(made_once):
    """The demo, small, as an Atlas, and its source."""

    def make(folder):
        write_demo_atlas(folder / "demo.h5ad", n_cells=2500, n_genes=300)
        titin.build(folder / "demo.h5ad", folder / "demo", preset="muscle")

    folder = made_once("load", make)
    return titin.open(folder / "demo"), ad.read_h5ad(folder / "demo.h5ad")


@pytest.fixture(scope="session")
def kinds(tmp_path_factory):
    """A dataset of each kind, with an empty cell and large counts, and the dense values in the dataset's order."""
    folder = tmp_path_factory.mktemp("kinds")
    rng = np.random.default_rng(0)
    counts = rng.poisson(0.4, (1500, 120))
    counts[:, 0] = rng.integers(50, 5000, 1500)
    counts[7] = 0
    total = np.maximum(counts.sum(1, keepdims=True), 1)
    values = {
        "counts": counts.astype(np.float32),
        "log1p": np.log1p(counts / total * 1e4).astype(np.float32),
        "real": (counts * rng.uniform(0.1, 9, counts.shape)).astype(np.float32),
    }
    obs = pd.DataFrame({"donor": [f"d{i % 5}" for i in range(1500)]}, index=[f"c{i}" for i in range(1500)])
    found = {}
    for kind, X in values.items():
        ad.AnnData(sparse.csr_matrix(X), obs=obs).write_h5ad(folder / f"{kind}.h5ad")
        report = titin.build(folder / f"{kind}.h5ad", folder / kind, method="x")
        assert report.manifest.kind == kind
        atlas = titin.open(folder / kind)
        order = pd.Index(obs.index).get_indexer(atlas.obs_names)
        found[kind] = (atlas, X[order], counts[order])
    return found
