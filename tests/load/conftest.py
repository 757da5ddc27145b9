"""Datasets to load from."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import titin
from small_builds import build_each_kind
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
    obs = pd.DataFrame({"donor": [f"d{i % 5}" for i in range(1500)]}, index=[f"c{i}" for i in range(1500)])
    return build_each_kind(folder, counts, obs, rng)
