"""How much of a neighbourhood a layout keeps, on real cells."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.manifold import trustworthiness
from sklearn.neighbors import NearestNeighbors

K = 15


@dataclass(frozen=True)
class Kept:
    trustworthiness: float
    share: float  # of the 15 nearest neighbours

    def __ge__(self, other: "Kept") -> bool:
        """Not worse by more than 0.01."""
        return self.trustworthiness >= other.trustworthiness - 0.01 and self.share >= other.share - 0.01


def kept(scores: NDArray, layout: NDArray) -> Kept:
    before, after = (NearestNeighbors(n_neighbors=K).fit(x).kneighbors(return_distance=False) for x in (scores, layout))
    shared = [len(np.intersect1d(a, b)) for a, b in zip(before, after, strict=True)]
    return Kept(float(trustworthiness(scores, layout, n_neighbors=K)), float(np.mean(shared)) / K)


def real_scores() -> NDArray[np.float32]:
    """700 blood cells × 50 principal components, which come with scanpy."""
    import warnings

    import scanpy as sc

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return sc.datasets.pbmc68k_reduced().obsm["X_pca"].astype(np.float32)


def scanpy_of(scores: NDArray[np.float32], method: str) -> NDArray:
    """What scanpy makes of the same scores, with its defaults."""
    import warnings

    import anndata
    import scanpy as sc

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        atlas = anndata.AnnData(np.zeros((len(scores), 1), np.float32), obsm={"X_pca": scores})
        if method == "tsne":
            sc.tl.tsne(atlas, use_rep="X_pca")
        else:
            sc.pp.neighbors(atlas, n_neighbors=15, use_rep="X_pca")
        if method == "umap":
            sc.tl.umap(atlas)
    return atlas.obsp["connectivities"] if method == "neighbors" else atlas.obsm[f"X_{method}"]
