"""The nearest neighbours of every cell in an embedding.

Up to 60,000 cells are compared each with each: exact, and less than what an index costs. Beyond, PyNNDescent finds
them: it comes with umap-learn, so that nothing is added, installs everywhere, and gives the same result for the same
seed and number of threads, with a recall above 0.99. usearch takes about as long for that recall; hnswlib must be
compiled where it is installed.
"""

import warnings
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from titin.errors import TitinError
from titin.extras import check_installed, require
from titin.resources import make_resources

EXACT_CELLS = 60_000
SAMPLE_CELLS = 1_000
_CANDIDATES = 60  # umap-learn's choice
_WORKING_MEGABYTES = 256


@dataclass(frozen=True)
class Neighbors:
    """The nearest neighbours of every cell.

    Attributes
    ----------
    indices
        int32, cells × neighbours, nearest first. As in scanpy the cell itself is the first of its ``n_neighbors``.
    distances
        float32, cells × neighbours; 0 for the cell itself.
    recall
        Share of the true neighbours (others than the cell itself) that were found, in a sample of the cells; 1 where
        every pair was compared.
    recall_cells
        Cells of that sample; all where every pair was compared.
    params
        As scanpy has them in ``uns["neighbors"]["params"]``, and how they were found; JSON.
    """

    indices: NDArray[np.int32]
    distances: NDArray[np.float32]
    recall: float
    recall_cells: int
    params: dict[str, Any]

    @property
    def n_neighbors(self) -> int:
        """Neighbours of a cell, itself included."""
        return int(self.indices.shape[1])

    def connectivities(self) -> sparse.csr_matrix:
        """Weigh the neighbours: UMAP's fuzzy simplicial set, as ``adata.obsp["connectivities"]`` of scanpy.

        Returns
        -------
        float32, cells × cells, symmetric.

        Raises
        ------
        TitinError
            If umap-learn is not installed.

        References
        ----------
        McInnes, Healy and Melville, arXiv:1802.03426 (2018).
        """
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Tensorflow not installed")
            fuzzy_simplicial_set = require("umap.umap_", "a table of connectivities").fuzzy_simplicial_set
        n_cells = len(self.indices)
        found, _, _ = fuzzy_simplicial_set(
            sparse.coo_matrix((n_cells, 1)), self.n_neighbors, None, None,
            knn_indices=self.indices, knn_dists=self.distances,
        )  # fmt: skip
        return sparse.csr_matrix(found)


def neighbors(
    X: ArrayLike,
    n_neighbors: int = 15,
    *,
    metric: str = "euclidean",
    random_state: int = 0,
    threads: int | None = None,
) -> Neighbors:
    """Find the nearest neighbours of every cell, and measure how many of the true ones were found.

    Every pair is compared for up to 60,000 cells; beyond, PyNNDescent looks for them. The same seed and number of
    threads give the same neighbours; another number of threads may give others, about as many of them true.

    Parameters
    ----------
    X
        Cells × dimensions, such as the scores of `titin.embed.pca`.
    n_neighbors
        As in scanpy the cell itself is one of them.
    metric
        ``euclidean``, ``cosine`` or ``manhattan``.
    random_state
        Seed of the search, and of the sample by which recall is measured.
    threads
        All processors where not given.

    Raises
    ------
    TitinError
        If ``X`` is no finite matrix, there are fewer cells than neighbours, or no such metric.

    References
    ----------
    Dong, Moses and Li, Efficient k-nearest neighbor graph construction for generic similarity measures, WWW 2011.

    Examples
    --------
    >>> found = neighbors([[0.0], [1.0], [3.0]], n_neighbors=2)
    >>> found.indices.tolist(), found.recall
    ([[0, 1], [1, 0], [2, 1]], 1.0)
    """
    X = _checked(X, n_neighbors, metric)
    n_threads = make_resources(threads).threads
    exact = partial(_exact, X, n_neighbors=n_neighbors, metric=metric, threads=n_threads)
    params: dict[str, Any] = {
        "n_neighbors": n_neighbors, "method": "umap", "metric": metric, "random_state": random_state
    }  # fmt: skip
    if len(X) <= EXACT_CELLS:
        indices, distances = exact(np.arange(len(X)))
        return Neighbors(indices, distances, 1.0, len(X), {**params, "index": "exact"})
    indices, distances, version = _descend(X, n_neighbors, metric, random_state, n_threads)
    sample = np.sort(np.random.default_rng(random_state).choice(len(X), SAMPLE_CELLS, replace=False))
    recall = _recall(distances[sample], exact(sample)[1])
    params |= {"index": f"pynndescent {version}", "recall": recall, "recall_cells": SAMPLE_CELLS}
    return Neighbors(indices, distances, recall, SAMPLE_CELLS, params)


def _checked(X: ArrayLike, n_neighbors: int, metric: str) -> NDArray[np.float32]:
    matrix = np.asarray(X)
    if matrix.ndim != 2 or matrix.dtype.kind not in "fiu" or not matrix.size:
        raise TitinError(
            f"neighbours need a matrix of numbers, cells × dimensions, not {matrix.dtype} of shape {matrix.shape}",
            "give an embedding, such as pca(atlas).scores",
        )
    if metric not in ("euclidean", "cosine", "manhattan"):
        raise TitinError(f"there is no metric {metric!r}", "give euclidean, cosine or manhattan")
    bad = np.flatnonzero(~np.isfinite(matrix).all(axis=1))
    if len(bad):
        raise TitinError(
            f"{len(bad):,} cells of the embedding have a value that is not finite, the first at position {bad[0]}",
            "leave them out",
        )
    if not 2 <= n_neighbors <= len(matrix):
        raise TitinError(
            f"{len(matrix):,} cells have not {n_neighbors} neighbours each, themselves included",
            f"give n_neighbors from 2 to {len(matrix)}" if len(matrix) > 1 else "choose more cells",
        )
    return np.ascontiguousarray(matrix, np.float32)


def _exact(
    X: NDArray[np.float32], cells: NDArray[np.int64], *, n_neighbors: int, metric: str, threads: int
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Nearest neighbours of some cells among all, by comparing all."""
    check_installed("sklearn", "a search for neighbours")
    from sklearn import config_context
    from sklearn.neighbors import NearestNeighbors
    from threadpoolctl import threadpool_limits

    with threadpool_limits(threads), config_context(working_memory=_WORKING_MEGABYTES):
        search = NearestNeighbors(algorithm="brute", metric=metric, n_jobs=1).fit(X)
        distances, indices = search.kneighbors(X[cells], n_neighbors)
    return _self_first(indices, distances, cells)


def _descend(
    X: NDArray[np.float32], n_neighbors: int, metric: str, random_state: int, threads: int
) -> tuple[NDArray[np.int32], NDArray[np.float32], str]:
    """Nearest neighbours by nearest neighbour descent from a forest of random projection trees."""
    import pynndescent

    found = pynndescent.NNDescent(
        X, metric=metric, n_neighbors=n_neighbors, max_candidates=_CANDIDATES, random_state=random_state,
        low_memory=True, n_jobs=threads, compressed=False,
    )  # fmt: skip
    indices, distances = found.neighbor_graph
    return *_self_first(indices, distances, np.arange(len(X))), pynndescent.__version__


def _self_first(
    indices: NDArray[Any], distances: NDArray[Any], cells: NDArray[np.int64]
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Put each cell before its neighbours, also where others lie on the same spot; the rest in order of distance."""
    own = indices == cells[:, None]
    own[~own.any(axis=1), -1] = True  # hidden by others on the same spot: it takes the last one's place
    order = np.argsort(~own, axis=1, kind="stable")
    indices, distances = (np.take_along_axis(part, order, axis=1) for part in (indices, distances))
    indices[:, 0], distances[:, 0] = cells, 0
    return indices.astype(np.int32), distances.astype(np.float32)


def _recall(found: NDArray[np.float32], true: NDArray[np.float32]) -> float:
    """Share of neighbours that are as near as the farthest true one, to rounding; the cells themselves left out."""
    limit = true[:, -1:] * (1 + 1e-5)
    return float((found[:, 1:] <= limit).mean())
