"""Diffusion pseudotime: cells in the order of their distance from one of them, along a graph of neighbours.

After Haghverdi et al., Nature Methods 13, 845 (2016), with Gaussian weights, as scanpy computes it.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

from titin.ageing.linear_models import Floats
from titin.errors import TitinError

_STATIONARY = 0.9994  # eigenvalues from which on a component says nothing of time


def gaussian_weights(indices: ArrayLike, distances: ArrayLike) -> sparse.csr_matrix:
    """Weigh neighbours by a Gaussian as wide as the median distance to them.

    Parameters
    ----------
    indices, distances
        Cells × neighbours, the cell itself first; see `titin.embed.neighbors`.

    Returns
    -------
    float64, cells × cells, symmetric.
    """
    near = np.asarray(indices)[:, 1:].astype(np.int64)
    squares = np.asarray(distances)[:, 1:].astype(np.float64) ** 2
    n, k = near.shape
    width = np.median(squares, axis=1)
    width = np.maximum(width, 1e-12 * max(float(width.max()), 1e-300))
    rows = np.repeat(np.arange(n), k)
    columns = near.ravel()
    both = width[rows] + width[columns]
    values = np.sqrt(2 * np.sqrt(width[rows] * width[columns]) / both) * np.exp(-squares.ravel() / both)
    one = sparse.csr_matrix((values, (rows, columns)), (n, n))
    return sparse.csr_matrix(one.maximum(one.T))


def diffusion_pseudotime(
    weights: sparse.csr_matrix, root: int, *, n_comps: int = 15, n_used: int = 10, seed: int = 0
) -> Floats:
    """Order cells by their diffusion distance from one of them.

    Parameters
    ----------
    weights
        Cells × cells, symmetric; see `gaussian_weights`.
    root
        Position of the cell at which time begins.
    n_comps, n_used
        Eigenvectors to compute, and of these to use.
    seed
        Of the vector with which their iteration begins.

    Returns
    -------
    float64 a cell, 0 for the root, 1 for the farthest; NaN where no path leads from the root.

    Raises
    ------
    TitinError
        If there are fewer than four cells.
    """
    from scipy.sparse.csgraph import connected_components
    from scipy.sparse.linalg import eigsh

    n = weights.shape[0]
    if n < 4:
        raise TitinError(f"{n} cells are too few for a pseudotime", "take more of them")
    if not weights.sum() > 0:  # cells that are all alike have no neighbours to go to
        return np.where(np.arange(n) == root, 0.0, np.nan)
    values, vectors = _eigen(weights, min(n - 2, n_comps), seed, eigsh)
    values, vectors = values[:n_used], vectors[:, :n_used]
    moving = values < _STATIONARY
    scale = np.where(moving, values / np.where(moving, 1 - values, 1), 1.0)
    distance = np.sqrt((((vectors - vectors[root]) * scale) ** 2).sum(axis=1))
    parts = connected_components(weights, directed=False)[1]
    reached = parts == parts[root]
    farthest = distance[reached].max()
    return np.where(reached, distance / (farthest if farthest > 0 else 1.0), np.nan)


def _eigen(weights: sparse.csr_matrix, k: int, seed: int, solve: Any) -> tuple[Floats, Floats]:
    """Largest eigenvalues, falling, and eigenvectors of the symmetric transitions, density taken out."""
    density = np.asarray(weights.sum(axis=0)).ravel()
    inverse = sparse.diags(1 / np.where(density > 0, density, 1))
    even = inverse @ weights @ inverse
    degree = np.sqrt(np.asarray(even.sum(axis=0)).ravel())
    root = sparse.diags(1 / np.where(degree > 0, degree, 1))
    transitions = sparse.csr_matrix(root @ even @ root)
    first = np.random.RandomState(seed).standard_normal(transitions.shape[0])
    values, vectors = solve(transitions, k=k, which="LM", v0=first)
    order = np.argsort(-values)
    return values[order], vectors[:, order]
