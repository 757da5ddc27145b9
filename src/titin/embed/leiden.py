"""Leiden clusters of the neighbourhood graph."""

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import sparse

from titin.errors import TitinError
from titin.extras import require

if TYPE_CHECKING:
    from titin.embed.neighbors import Neighbors

RESOLUTIONS = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0)


def leiden(
    graph: "sparse.csr_matrix | Neighbors",
    resolutions: Sequence[float] = RESOLUTIONS,
    *,
    random_state: int = 0,
    n_iterations: int = 2,
) -> pd.DataFrame:
    """Cluster cells at several resolutions, as scanpy does with ``flavor="igraph"``.

    Parameters
    ----------
    graph
        Symmetric weights between cells (cells × cells, sparse), or the neighbours whose connectivities are these.
    resolutions
        The higher, the more clusters.
    random_state
        Seed, of each resolution by itself.
    n_iterations
        Of the algorithm; -1 goes on until nothing improves.

    Returns
    -------
    DataFrame
        One row a cell, one column a resolution (``leiden_0.25`` …), categories ``"0"``, ``"1"`` … by falling size, the
        cluster of the first cell first among equal ones.

    Raises
    ------
    TitinError
        If igraph is not installed, a resolution is negative, or the graph is not square.

    Notes
    -----
    Traag, Waltman and van Eck (2019), doi:10.1038/s41598-019-41695-z; modularity with a resolution.
    """
    igraph = require("igraph", "Leiden")
    weights: Any = graph if sparse.issparse(graph) else graph.connectivities()
    if weights.shape[0] != weights.shape[1]:
        raise TitinError(f"weights of shape {weights.shape} are no graph of cells", "give cells × cells")
    if wrong := [r for r in resolutions if r < 0]:
        raise TitinError(f"a resolution of {wrong[0]:g} is below 0", "give numbers such as 0.5 and 1")
    upper = sparse.triu(weights, k=1, format="coo")  # each pair once
    pairs = np.column_stack([upper.row, upper.col])
    network = igraph.Graph(weights.shape[0], pairs, edge_attrs={"weight": upper.data.astype(np.float64)})
    columns = {}
    for resolution in resolutions:
        with _seeded(igraph, random_state):
            found = network.community_leiden(
                objective_function="modularity", weights="weight", resolution=resolution, n_iterations=n_iterations
            )
        columns[f"leiden_{resolution:g}"] = _by_size(np.array(found.membership, np.int64))
    return pd.DataFrame(columns)


@contextmanager
def _seeded(igraph: Any, seed: int) -> Iterator[None]:
    """Give igraph, which draws from one generator for all, a generator of our own."""
    igraph.set_random_number_generator(random.Random(seed))  # noqa: S311
    try:
        yield
    finally:
        igraph.set_random_number_generator(random)


def _by_size(labels: np.ndarray) -> pd.Categorical:
    """Clusters numbered by falling size."""
    _, first, codes, sizes = np.unique(labels, return_index=True, return_inverse=True, return_counts=True)
    order = np.lexsort((first, -sizes))
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    return pd.Categorical(rank[codes].astype(str), categories=[str(i) for i in range(len(order))])
