"""Datasets of an AnnData, built and opened."""

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

import titin
from titin.atlas import Atlas


def build_and_open(folder: Path, source: ad.AnnData, name: str = "x") -> Atlas:
    """Write ``name.h5ad`` in a folder, build the dataset ``name`` of it there, and open that."""
    source.write_h5ad(folder / f"{name}.h5ad")
    titin.build(folder / f"{name}.h5ad", folder / name, method=name)
    return titin.open(folder / name)


def build_each_kind(
    folder: Path, counts: np.ndarray, obs: pd.DataFrame, rng: np.random.Generator
) -> dict[str, tuple[Atlas, np.ndarray, np.ndarray]]:
    """A dataset of each kind, by its name, with the dense values and the counts in the dataset's order of cells."""
    values = {
        "counts": counts.astype(np.float32),
        "log1p": np.log1p(counts / np.maximum(counts.sum(1, keepdims=True), 1) * 1e4).astype(np.float32),
        "real": (counts * rng.uniform(0.1, 9, counts.shape)).astype(np.float32),
    }
    found = {}
    for kind, X in values.items():
        atlas = build_and_open(folder, ad.AnnData(sparse.csr_matrix(X), obs=obs), kind)
        assert atlas.manifest.kind == kind
        order = pd.Index(obs.index).get_indexer(atlas.obs_names)
        found[kind] = (atlas, X[order], counts[order])
    return found
