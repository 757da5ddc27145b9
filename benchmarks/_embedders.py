"""Embedding steps to measure, each as a process of its own: python _embedders.py STEP SETTINGS-AS-JSON.

Every one writes its arrays to ``settings["out"]`` (.npz) and prints one JSON document.
"""

import json
import sys
import time
from typing import Any

import numpy as np


def titin_pca(settings: dict[str, Any]) -> dict[str, Any]:
    """titin's PCA of a dataset, or of those of its cells that ``cells`` (.npz) names."""
    import titin
    from titin.embed import pca

    atlas = titin.open(settings["dataset"])
    cells = np.load(settings["cells"])["cells"].tolist() if settings.get("cells") else None
    began = time.perf_counter()
    found = pca(atlas, settings["n_comps"], cells=cells, threads=settings["threads"])
    seconds = time.perf_counter() - began
    np.savez(settings["out"], scores=found.scores, loadings=found.loadings, variance=found.variance,
             cells=atlas.obs_names[found.cells].to_numpy(str))  # fmt: skip
    how = {key: found.params[key] for key in ("svd_solver", "passes", "converged")}
    return {"step_seconds": seconds, "total_variance": found.total_variance, **how}


def scanpy_pca(settings: dict[str, Any]) -> dict[str, Any]:
    """scanpy's PCA by ARPACK, of the first cells of the source, read into memory."""
    import anndata as ad
    import scanpy as sc

    backed = ad.read_h5ad(settings["source"], backed="r")
    n = min(settings["n_cells"] or backed.n_obs, backed.n_obs)
    adata = backed[:n].to_memory() if n < backed.n_obs else backed.to_memory()
    backed.file.close()
    if settings["kind"] == "counts":
        sc.pp.normalize_total(adata, target_sum=1e4)
        sc.pp.log1p(adata)
    began = time.perf_counter()
    sc.pp.pca(adata, n_comps=settings["n_comps"], svd_solver="arpack")
    seconds = time.perf_counter() - began
    np.savez(settings["out"], scores=adata.obsm["X_pca"], loadings=adata.varm["PCs"],
             variance=adata.uns["pca"]["variance"], cells=adata.obs_names.to_numpy(str))  # fmt: skip
    return {"step_seconds": seconds, "cells": n}


def titin_neighbors(settings: dict[str, Any]) -> dict[str, Any]:
    """titin's neighbours of the cells in ``scores``, and UMAP's weights of them."""
    from titin.embed import neighbors

    X = np.load(settings["scores"])["scores"]
    began = time.perf_counter()
    found = neighbors(X, settings["n_neighbors"], threads=settings["threads"])
    searched = time.perf_counter()
    weights = found.connectivities()
    seconds = {"step_seconds": searched - began, "weights_seconds": time.perf_counter() - searched}
    np.savez(settings["out"], indices=found.indices, distances=found.distances)
    return {
        **seconds, "recall": found.recall, "recall_cells": found.recall_cells, "weights": weights.nnz,
        "index": found.params["index"],
    }  # fmt: skip


def scanpy_neighbors(settings: dict[str, Any]) -> dict[str, Any]:
    """scanpy's neighbours of the same cells, weights included."""
    import anndata as ad
    import scanpy as sc

    X = np.load(settings["scores"])["scores"]
    adata = ad.AnnData(obsm={"X_pca": X}, shape=(len(X), 0))
    began = time.perf_counter()
    sc.pp.neighbors(adata, n_neighbors=settings["n_neighbors"], use_rep="X_pca")
    return {"step_seconds": time.perf_counter() - began, "weights": adata.obsp["connectivities"].nnz}


def titin_umap(settings: dict[str, Any]) -> dict[str, Any]:
    """titin's UMAP of the cells in ``scores``, neighbours included."""
    from titin.embed import neighbors, umap

    X = np.load(settings["scores"])["scores"]
    began = time.perf_counter()
    near = neighbors(X, settings["n_neighbors"], threads=settings["threads"])
    found = umap(near, init=X, threads=settings["threads"])
    return {"step_seconds": time.perf_counter() - began, "kept": _kept(X, found)}


def scanpy_umap(settings: dict[str, Any]) -> dict[str, Any]:
    """scanpy's UMAP of the same cells with its defaults, neighbours included."""
    import anndata as ad
    import scanpy as sc

    X = np.load(settings["scores"])["scores"]
    adata = ad.AnnData(obsm={"X_pca": X}, shape=(len(X), 0))
    began = time.perf_counter()
    sc.pp.neighbors(adata, n_neighbors=settings["n_neighbors"], use_rep="X_pca")
    sc.tl.umap(adata)
    return {"step_seconds": time.perf_counter() - began, "kept": _kept(X, adata.obsm["X_umap"])}


def titin_tsne(settings: dict[str, Any]) -> dict[str, Any]:
    """titin's t-SNE of the cells in ``scores``, neighbours included."""
    from titin.embed import tsne

    X = np.load(settings["scores"])["scores"]
    began = time.perf_counter()
    found = tsne(X, threads=settings["threads"])
    return {"step_seconds": time.perf_counter() - began, "kept": _kept(X, found)}


def opentsne(settings: dict[str, Any]) -> dict[str, Any]:
    """openTSNE by itself, with its defaults."""
    from openTSNE import TSNE

    X = np.load(settings["scores"])["scores"]
    began = time.perf_counter()
    found = TSNE(n_jobs=settings["threads"], random_state=0).fit(X)
    return {"step_seconds": time.perf_counter() - began, "kept": _kept(X, np.asarray(found))}


def _kept(X: Any, picture: Any, n_cells: int = 1000, k: int = 15) -> float:
    """Share of the nearest neighbours in X that are among the nearest in the picture, of some cells."""
    from sklearn.neighbors import NearestNeighbors

    rows = np.random.default_rng(0).choice(len(X), min(n_cells, len(X)), replace=False)
    found = [NearestNeighbors(n_neighbors=k + 1).fit(part).kneighbors(part[rows], return_distance=False)[:, 1:]
             for part in (X, picture)]  # fmt: skip
    return float(np.mean([len(np.intersect1d(a, b)) / k for a, b in zip(*found, strict=True)]))


def compare_pca(settings: dict[str, Any]) -> dict[str, Any]:
    """How far two PCAs of the same cells are apart: angles of the first components, variances."""
    ours, theirs = (np.load(settings[key]) for key in ("ours", "theirs"))
    n = min(20, ours["loadings"].shape[1])
    order = np.argsort(ours["cells"]), np.argsort(theirs["cells"])
    if not np.array_equal(ours["cells"][order[0]], theirs["cells"][order[1]]):
        raise SystemExit("the two PCAs are not of the same cells")

    def cosine(one: Any, other: Any) -> float:
        bases = [np.linalg.qr(part[:, :n].astype(np.float64))[0] for part in (one, other)]
        return float(np.linalg.svd(bases[0].T @ bases[1])[1].min())

    return {
        "components": n,
        "loadings_cosine": cosine(ours["loadings"], theirs["loadings"]),
        "scores_cosine": cosine(ours["scores"][order[0]], theirs["scores"][order[1]]),
        "variance_deviation": float(np.abs(ours["variance"] / theirs["variance"] - 1).max()),
    }


STEPS = {
    step.__name__: step
    for step in (
        titin_pca, scanpy_pca, titin_neighbors, scanpy_neighbors, titin_umap, scanpy_umap, titin_tsne, opentsne,
        compare_pca,
    )
}  # fmt: skip

if __name__ == "__main__":
    print(json.dumps(STEPS[sys.argv[1]](json.loads(sys.argv[2]))))
