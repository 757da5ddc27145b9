"""How much of a neighbourhood the pictures keep: python benchmarks/preservation.py [--dataset DATASET --cells 5000].

UMAP and t-SNE by titin and by scanpy, with their defaults, of the same 50 principal components: those of 700 blood
cells that come with scanpy (pbmc68k_reduced), and of the first cells of a dataset that has X_pca. For each the share of
the 15 nearest neighbours that are among the 15 nearest in the picture, and trustworthiness.
"""

import argparse
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from _measure import finish, load_average, note, table

K = 15


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, help="a dataset with X_pca")
    parser.add_argument("--cells", type=int, default=5000, help="of it (default: %(default)s)")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = [row for name, X in sets(options).items() for row in measure(name, X)]
    if options.json:
        print(json.dumps({"rows": rows, "load_average": load_average()}, indent=2))
    else:
        shown = [(r["cells"], r["picture"], f"{r['kept']:.3f}", f"{r['trustworthiness']:.3f}") for r in rows]
        print(table(("cells", "picture", "share kept", "trustworthiness"), shown))
    return 0


def sets(options: argparse.Namespace) -> dict[str, np.ndarray]:
    """Scores by name."""
    import scanpy as sc

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = {"pbmc68k_reduced": sc.datasets.pbmc68k_reduced().obsm["X_pca"].astype(np.float32)}
    if options.dataset:
        import titin

        atlas = titin.open(options.dataset)
        name = f"{options.cells:,} of {atlas.manifest.prefix}"
        found[name] = np.asarray(atlas.obsm["X_pca"], np.float32)[: options.cells]
    return found


def measure(name: str, X: np.ndarray) -> list[dict[str, Any]]:
    """Every picture of some scores."""
    from sklearn.manifold import trustworthiness

    rows = []
    for label, draw in PICTURES.items():
        note(f"{name}: {label}")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            picture = draw(X)
        rows.append({"cells": name, "picture": label, "kept": kept(X, picture),
                     "trustworthiness": float(trustworthiness(X, picture, n_neighbors=K))})  # fmt: skip
    return rows


def kept(X: np.ndarray, picture: np.ndarray) -> float:
    """Share of the nearest neighbours that stay nearest."""
    from sklearn.neighbors import NearestNeighbors

    found = [NearestNeighbors(n_neighbors=K).fit(part).kneighbors(return_distance=False) for part in (X, picture)]
    return float(np.mean([len(np.intersect1d(a, b)) / K for a, b in zip(*found, strict=True)]))


def scanpy_umap(X: np.ndarray) -> np.ndarray:
    import anndata as ad
    import scanpy as sc

    adata = ad.AnnData(obsm={"X_pca": X}, shape=(len(X), 0))
    sc.pp.neighbors(adata, use_rep="X_pca")
    sc.tl.umap(adata)
    return np.asarray(adata.obsm["X_umap"])


def scanpy_tsne(X: np.ndarray) -> np.ndarray:
    import anndata as ad
    import scanpy as sc

    adata = ad.AnnData(obsm={"X_pca": X}, shape=(len(X), 0))
    sc.tl.tsne(adata, use_rep="X_pca")
    return np.asarray(adata.obsm["X_tsne"])


def titin_umap(X: np.ndarray, *, deterministic: bool = True) -> np.ndarray:
    from titin.embed import neighbors, umap

    return umap(neighbors(X), init=X, deterministic=deterministic)


def titin_tsne(X: np.ndarray) -> np.ndarray:
    from titin.embed import tsne

    return tsne(X)


PICTURES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "UMAP, scanpy": scanpy_umap,
    "UMAP, titin": titin_umap,
    "UMAP, titin, not deterministic": lambda X: titin_umap(X, deterministic=False),
    "t-SNE, scanpy": scanpy_tsne,
    "t-SNE, titin": titin_tsne,
}


if __name__ == "__main__":
    finish(main)
