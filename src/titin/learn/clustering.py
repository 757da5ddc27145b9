"""How well the projections of a dataset keep cell types apart and donors and protocols mixed.

Everything is computed on one sample of cells, drawn evenly over donors with a seed.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from titin import markdown
from titin.atlas import Atlas
from titin.learn import metrics
from titin.learn.store import ResultStore
from titin.learn.units import spread
from titin.results import write_document

N_NEIGHBORS, SAMPLE = 30, 10_000
_FEWEST = 10  # cells that are clustered
RESOLUTIONS = (0.5, 1.0, 2.0)
COLUMNS = ("projection", "method", "metric", "value")


def score_projection(
    X: NDArray[Any], design: pd.DataFrame, *, resolutions: Sequence[float] = RESOLUTIONS, seed: int = 0
) -> pd.DataFrame:
    """Score one projection of some cells against their types (``cell_type_0``), donors and protocols.

    Parameters
    ----------
    X
        Cells × dimensions.
    design
        From `titin.learn.design_table`, of the same cells, none without a type.
    resolutions
        Of Leiden.
    seed
        Of k-means and Leiden.

    Returns
    -------
    pandas.DataFrame
        ``method``, ``metric``, ``value``. Of each clustering (``kmeans`` with as many clusters as types,
        ``leiden_0.5`` … where igraph is installed): ``n_clusters``, ``ari``, ``nmi``, and ``best_f1``, the mean over
        types of the F1 of the cluster that fits each best. Of the projection itself: ``silhouette`` of the types,
        ``label_transfer_macro_f1`` (each cell named by its nearest neighbours of other donors), ``donor_ilisi`` and
        ``protocol_ilisi`` (median over cells, 0: neighbours of one donor only, 1: all donors alike).

    References
    ----------
    Luecken et al., Nature Methods 19, 41-50 (2022); Korsunsky et al., Nature Methods 16, 1289-1296 (2019).
    """
    from sklearn.cluster import KMeans
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score, silhouette_score

    types = design["cell_type_0"].astype(str).to_numpy(object)
    n_types = len(set(types))
    neighbours = _neighbours(X, min(4 * N_NEIGHBORS, len(X) - 1))
    found = {"kmeans": KMeans(n_types, n_init=3, random_state=seed).fit_predict(X), **_leiden(
        neighbours[:, :N_NEIGHBORS], resolutions, seed)}  # fmt: skip
    rows: list[tuple[str, str, float]] = []
    for method, clusters in found.items():
        rows += [
            (method, "n_clusters", float(len(set(clusters)))),
            (method, "ari", float(adjusted_rand_score(types, clusters))),
            (method, "nmi", float(normalized_mutual_info_score(types, clusters))),
            (method, "best_f1", best_f1(types, clusters)),
        ]
    if 1 < n_types < len(X):
        some = spread(design.reset_index(drop=True), 3000, ("cell_type_0",))
        if len(set(types[some])) > 1:
            rows.append(("projection", "silhouette", float(silhouette_score(X[some], types[some]))))
    for name in ("donor", "protocol"):
        if name in design and design[name].nunique() > 1:
            codes = design[name].cat.codes.to_numpy()
            rows.append(("projection", f"{name}_ilisi", ilisi(codes[neighbours[:, :N_NEIGHBORS]], codes)))
    if "donor" in design and design["donor"].nunique() > 1:
        predicted = transfer_labels(neighbours, design["donor"].cat.codes.to_numpy(), types)
        classes = sorted(set(types))
        counts = metrics.confusion(types, predicted, classes)
        f1 = float(metrics.scores_of_confusion(counts)["macro_f1"])
        rows.append(("projection", "label_transfer_macro_f1", f1))
    return pd.DataFrame(rows, columns=list(COLUMNS[1:]))


def best_f1(types: NDArray[Any], clusters: NDArray[Any]) -> float:
    """Mean over types of the F1 of the cluster that fits each best."""
    table = pd.crosstab(pd.Series(types), pd.Series(np.asarray(clusters)))
    counts = table.to_numpy(float)
    f1 = 2 * counts / (counts.sum(axis=1, keepdims=True) + counts.sum(axis=0, keepdims=True))
    return float(f1.max(axis=1).mean())


def ilisi(neighbours: NDArray[Any], labels: NDArray[Any]) -> float:
    """Median inverse Simpson index of the labels of neighbours (cells × k), scaled to 0 … 1 by the number of labels."""
    n_labels = len(np.unique(labels))
    if n_labels < 2:
        return float("nan")
    k = neighbours.shape[1]
    simpson = np.zeros(len(neighbours))
    for label in np.unique(labels):
        simpson += ((neighbours == label).sum(axis=1) / k) ** 2
    return float((np.median(1 / simpson) - 1) / (n_labels - 1))


def transfer_labels(neighbours: NDArray[Any], donors: NDArray[Any], types: NDArray[Any], k: int = 15) -> NDArray[Any]:
    """Name each cell by the majority of its ``k`` nearest neighbours of other donors; empty where it has none."""
    codes, names = pd.factorize(types, sort=True)
    other = donors[neighbours] != donors[:, None]
    other &= np.cumsum(other, axis=1) <= k
    votes = np.zeros((len(neighbours), len(names)))
    for code in range(len(names)):
        votes[:, code] = ((codes[neighbours] == code) & other).sum(axis=1)
    return np.where(votes.sum(axis=1) > 0, np.asarray(names, object)[votes.argmax(axis=1)], "")


def write_clustering(
    atlas: Atlas, design: pd.DataFrame, store: ResultStore, *, seed: int = 0, figures: bool = True
) -> pd.DataFrame:
    """Score every projection of a dataset; write ``clustering.parquet``, ``.json``, ``.md`` and a figure."""
    keys = list(atlas.manifest.projections)
    if "cell_type_0" not in design or not keys:
        store.write_text("clustering.md", "# Clustering\n\nNot evaluable: the dataset has no "
                         + ("projection" if "cell_type_0" in design else "cell types") + ".\n")  # fmt: skip
        return pd.DataFrame(columns=list(COLUMNS))
    known = np.flatnonzero(design["cell_type_0"].notna() & (design["donor"].notna() if "donor" in design else True))
    if len(known) < _FEWEST:
        few = f"{len(known) or 'no'} cells have a type and a donor, fewer than {_FEWEST}"
        store.write_text("clustering.md", f"# Clustering\n\nNot evaluable: {few}.\n")
        return pd.DataFrame(columns=list(COLUMNS))
    of_known = design.iloc[known].reset_index(drop=True)
    cells = known[spread(of_known, SAMPLE, ("donor",) if "donor" in design else ("cell_type_0",))]
    sample = design.iloc[cells].reset_index(drop=True)
    parts = [
        score_projection(np.asarray(atlas.obsm[key], np.float64)[cells], sample, seed=seed).assign(projection=key)
        for key in keys
    ]
    table = pd.concat(parts, ignore_index=True)[list(COLUMNS)]
    store.write(table, store.folder / "clustering.parquet")
    write_document(store.folder / "clustering.json", {"schema_version": 1, "cells": len(cells), "seed": seed,
                                                  "scores": table.to_dict("records")})  # fmt: skip
    store.write_text("clustering.md", _markdown(table, len(cells)))
    if figures and {"donor_ilisi", "silhouette"} <= set(table["metric"]):
        _draw(table, store)
    return table


def _markdown(table: pd.DataFrame, n_cells: int) -> str:
    wide = table.pivot_table("value", ["projection", "method"], "metric", sort=False)
    lines = [f"# Clustering of {n_cells:,} cells", "", "Types kept apart (bio) stand against donors and protocols "
             "mixed (batch): no single score tells both. Labels were made on one of these projections, which favours "
             "it.", ""]  # fmt: skip
    rows: list[list[str]] = []
    for names, row in wide.iterrows():
        values = ["" if np.isnan(value) else f"{value:.3g}" for value in row]
        rows.append([*map(str, names), *values])  # type: ignore[call-overload]
    return "\n".join([*lines, markdown.table(["projection", "method", *wide.columns], rows)]) + "\n"


def _draw(table: pd.DataFrame, store: ResultStore) -> None:
    """How far types are apart against how well donors mix, a dot a projection."""
    from titin.plot import dots, save_figure

    wide = table[table["method"] == "projection"].pivot_table("value", "projection", "metric").reset_index()
    long = wide.melt("projection", ["silhouette", "donor_ilisi"], "what", "score")
    (store.folder / "figures").mkdir(parents=True, exist_ok=True)
    axes = dots(long, group="what", value="score", color="projection", title="types apart, donors mixed")
    save_figure(axes, store.folder / "figures" / "clustering_bio_batch.png")


def _neighbours(X: NDArray[Any], k: int) -> NDArray[np.int64]:
    from sklearn.neighbors import NearestNeighbors

    found: NDArray[np.int64] = NearestNeighbors(n_neighbors=k + 1).fit(X).kneighbors(X, return_distance=False)
    own = found == np.arange(len(X))[:, None]
    own[~own.any(axis=1), -1] = True  # of equal cells the cell itself may not be among the nearest
    return np.asarray(found[~own].reshape(len(X), k), np.int64)


def _leiden(neighbours: NDArray[np.int64], resolutions: Sequence[float], seed: int) -> dict[str, NDArray[Any]]:
    """Clusters by resolution; none where igraph is not installed."""
    from titin.embed.leiden import leiden
    from titin.errors import TitinError

    n, k = neighbours.shape
    graph = sparse.csr_matrix((np.ones(n * k), (np.repeat(np.arange(n), k), neighbours.ravel())), shape=(n, n))
    graph = graph + graph.T
    try:
        table = leiden(graph.tocsr(), resolutions, random_state=seed)
    except TitinError:
        return {}
    return {str(name): table[name].cat.codes.to_numpy() for name in table}
