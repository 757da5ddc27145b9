"""How early the edges of a reference come among the strongest: against chance, and against shuffled references."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.ageing.design import NotTestableError
from titin.network.prior_network import SOURCE, TARGET, PriorNetwork, shuffled

N_SHUFFLES = 20
COLUMNS = ["weights", "n_regulators", "n_candidates", "n_reference", "aupr", "aupr_ratio", "early_precision",
           "early_precision_ratio", "shuffled_aupr", "shuffled_sd", "p_shuffled"]  # fmt: skip


def evaluate_weights(
    weights: dict[str, NDArray[np.float32]], regulators: Sequence[str], genes: Sequence[str], reference: PriorNetwork,
    *, n_shuffles: int = N_SHUFFLES, seed: int = 0,
) -> pd.DataFrame:  # fmt: skip
    """Rank edges by the size of their weights, and look how early those of a reference come.

    Parameters
    ----------
    weights
        Regulators × genes, by name.
    regulators, genes
        Symbols; candidates are the edges from regulators that the reference has a target of among the genes.
    reference
        Edges taken for true.
    n_shuffles
        References of the same degrees but other edges.
    seed
        Of the shuffles.

    Returns
    -------
    DataFrame
        A row for each of ``weights``: ``aupr``, area under the curve of precision and recall (average precision), and
        its ratio to the share of reference edges, which is what chance gives; ``early_precision`` among as many edges
        as the reference has, and its ratio; mean and standard deviation of the area by shuffled references, and
        ``p_shuffled``, the share of these (and the true one) with an area as large.

    Raises
    ------
    NotTestableError
        If the reference has no edge between them.

    Notes
    -----
    The areas of different references cannot be compared, and a low one may tell of the reference.
    """
    row = {name: i for i, name in enumerate(regulators)}
    column = {name: i for i, name in enumerate(genes)}
    edges = reference.edges
    known = edges[edges[SOURCE].isin(row) & edges[TARGET].isin(column) & (edges[SOURCE] != edges[TARGET])]
    if not len(known):
        raise NotTestableError(f"{reference.name} has no edge between these regulators and genes",
                               "give another --reference")  # fmt: skip
    inside = PriorNetwork(known, reference.name)
    rows = np.array([row[name] for name in inside.sources])
    at = _place(inside, {name: i for i, name in enumerate(inside.sources)}, column)
    rng = np.random.Generator(np.random.PCG64(seed))
    others = [_place(shuffled(inside, rng), {name: i for i, name in enumerate(inside.sources)}, column)
              for _ in range(n_shuffles)]  # fmt: skip
    n_candidates = len(rows) * (len(genes) - 1)
    found = []
    for name, matrix in weights.items():
        rank = _ranks(np.abs(matrix[rows]), [column.get(source) for source in inside.sources])
        own = rank[at]
        areas = np.array([_average_precision(rank[places][rank[places] > 0]) for places in others])
        area, early = _average_precision(own), float((own <= len(own)).mean())
        share = len(at) / n_candidates
        found.append([name, len(rows), n_candidates, len(at), area, area / share, early, early / share,
                      areas.mean(), areas.std(), (1 + (areas >= area).sum()) / (1 + len(areas))])  # fmt: skip
    return pd.DataFrame(found, columns=COLUMNS)


def _place(network: PriorNetwork, row: dict[str, int], column: dict[str, int]) -> NDArray[np.int64]:
    """Places of edges in a flattened matrix."""
    at = network.edges[SOURCE].map(row).to_numpy() * len(column) + network.edges[TARGET].map(column).to_numpy()
    return np.asarray(at, np.int64)


def _ranks(sizes: NDArray[np.float32], itself: Sequence[int | None]) -> NDArray[np.int64]:
    """Rank of each edge from 1, the strongest first; 0 of a regulator on itself, which is no candidate."""
    sizes = sizes.copy()
    for i, own in enumerate(itself):
        if own is not None:
            sizes[i, own] = -1
    flat = sizes.ravel()
    rank = np.empty(len(flat), np.int64)
    rank[np.argsort(-flat, kind="stable")] = np.arange(1, len(flat) + 1)
    rank[flat < 0] = 0
    return rank


def _average_precision(ranks: NDArray[np.int64]) -> float:
    """Mean of the precision at each true edge."""
    if not len(ranks):
        return 0.0
    return float((np.arange(1, len(ranks) + 1) / np.sort(ranks)).mean())
