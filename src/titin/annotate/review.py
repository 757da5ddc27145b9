"""The review list: flagged cells of one donor that argue together, with the genes that speak for and against them."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from titin.annotate.training import TrainingCells
from titin.atlas import Atlas
from titin.atlas.passes import BlockReader
from titin.study.design import text_values

REVIEW_COLUMNS = (
    "level", "label", "suggested", "donor", "n_cells", "share", "p_label", "p_suggested", "exchanged", "first_rank",
    "markers_for", "markers_against",
)  # fmt: skip
_WITH_MARKERS = 40  # groups, the first of the list
_CELLS = 100  # of each side that genes are compared over
_GENES = 4  # named
_CLEAR = 0.7  # AUROC from which a gene is a marker
_EXCHANGED = 0.5  # share of a donor's cells of either type, from which two types look exchanged


def review_groups(table: pd.DataFrame, donors: NDArray[np.object_], n_cells: int) -> pd.DataFrame:
    """Gather flagged cells by level, donor, label and the type they are taken for.

    Parameters
    ----------
    table
        As `titin.annotate.LabelCheck.table`.
    donors
        Of each cell of the dataset.
    n_cells
        Of the dataset.

    Returns
    -------
    DataFrame
        `REVIEW_COLUMNS`: ``share`` of the donor's cells of that label; ``exchanged``, whether as large a part of the
        donor's cells of the suggested type are taken for this label. First come groups that are large both in cells
        and in share, as a label that went wrong as a whole, and not cell by cell, can be put right at once.
    """
    donor = np.tile(donors, max(1, len(table) // max(1, n_cells)))
    cells = pd.DataFrame({
        "level": table["level"].astype(str).to_numpy(object), "label": text_values(table["label"]),
        "suggested": text_values(table["predicted"]), "donor": donor,
        "p_label": table["p_label"].to_numpy(np.float64), "p_suggested": table["p_predicted"].to_numpy(np.float64),
        "first_rank": table["rank"].to_numpy(np.float64, na_value=np.nan),
    })  # fmt: skip
    flagged = cells[table["flagged"].to_numpy(bool)]
    if flagged.empty:
        return pd.DataFrame({name: [] for name in REVIEW_COLUMNS})
    keys = ["level", "label", "suggested", "donor"]
    means = {name: (name, "mean") for name in ("p_label", "p_suggested")}
    found = flagged.groupby(keys).agg(n_cells=("p_label", "size"), first_rank=("first_rank", "min"), **means)
    found = found.reset_index()
    whole = cells.groupby(["level", "label", "donor"]).size()
    found["share"] = found["n_cells"] / whole.loc[list(zip(found["level"], found["label"], found["donor"], strict=True))
                                                 ].to_numpy()  # fmt: skip
    large = found[found["share"] >= _EXCHANGED]
    pairs = set(large[keys].itertuples(index=False, name=None))
    found["exchanged"] = [(a, b, c, d) in pairs and (a, c, b, d) in pairs
                          for a, b, c, d in found[keys].itertuples(index=False, name=None)]  # fmt: skip
    found["first_rank"] = found["first_rank"].astype(int)
    found["markers_for"] = found["markers_against"] = ""
    weight = found["n_cells"] * found["share"] * np.where(found["exchanged"], 2, 1)
    order = np.lexsort((found["first_rank"], -weight))
    return found.iloc[order][list(REVIEW_COLUMNS)].reset_index(drop=True)


def name_markers(
    atlas: Atlas, table: pd.DataFrame, groups: pd.DataFrame, donors: NDArray[np.object_], training: TrainingCells,
    *, seed: int = 0, threads: int = 1,
) -> pd.DataFrame:  # fmt: skip
    """Name, for the first groups, the genes that speak for and against the suggested type.

    Markers tell unflagged cells of the suggested type from those of the label, in other donors. Those for it are
    markers of the suggested type that tell the group from cells of its label; those against it, markers of the label
    that tell the group from cells of the suggested type: each by AUROC, at least `_CLEAR`.
    """
    if groups.empty:
        return groups
    groups = groups.copy()
    n, names = atlas.n_obs, np.array(atlas.reader.genes.symbols, object)[atlas.source_columns]
    rng = np.random.Generator(np.random.PCG64(seed))
    levels = list(dict.fromkeys(table["level"].astype(str)))
    label = [text_values(table["label"].iloc[i * n : (i + 1) * n]) for i in range(len(levels))]
    told = [text_values(table["predicted"].iloc[i * n : (i + 1) * n]) for i in range(len(levels))]
    flags = table["flagged"].to_numpy(bool).reshape(len(levels), n)
    shown = [tuple(row) for row in groups[["level", "label", "suggested", "donor"]].head(_WITH_MARKERS).to_numpy()]
    mine, sides = [], []
    for level, own, other, donor in shown:
        i = levels.index(level)
        cells = np.flatnonzero(flags[i] & (label[i] == own) & (told[i] == other) & (donors == donor))
        mine.append(_some(cells, rng))
        at = training.cells
        fine = ~flags[i][at] & (donors[at] != donor)
        sides.append([_some(np.flatnonzero(fine & (label[i][at] == name)), rng) for name in (own, other)])
    group_cells = _dense(atlas, np.unique(np.concatenate(mine)), threads)
    for row, (cells, (rows_own, rows_other)) in enumerate(zip(mine, sides, strict=True)):
        if not len(rows_own) or not len(rows_other):
            continue
        own, other = (_rows(training, rows, len(names)) for rows in (rows_own, rows_other))
        group = group_cells(cells)
        between = _auroc(other, own)  # near 1: a marker of the suggested type, near 0: of the label
        for_it = np.minimum(between, _auroc(group, own))
        against = np.minimum(1 - between, _auroc(group, other))
        groups.loc[row, "markers_for"] = _named(for_it, names)
        groups.loc[row, "markers_against"] = _named(against, names)
    return groups


def _some(cells: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    return np.sort(rng.permutation(cells)[:_CELLS])


def _named(auroc: NDArray[np.float64], names: Sequence[str] | NDArray[np.object_]) -> str:
    best = np.argsort(-auroc, kind="stable")[:_GENES]
    return ", ".join(f"{names[i]} {auroc[i]:.2f}" for i in best if auroc[i] >= _CLEAR)


def _rows(training: TrainingCells, rows: NDArray[np.int64], n_genes: int) -> NDArray[np.float32]:
    X, dense = training.X, np.zeros((len(rows), n_genes), np.float32)
    for place, row in enumerate(rows):
        own = slice(X.indptr[row], X.indptr[row + 1])
        dense[place, X.indices[own]] = X.data[own]
    return dense


class _GroupCells:
    """Values of some cells × all genes, in the order of tokens."""

    def __init__(self, atlas: Atlas, cells: NDArray[np.int64], threads: int) -> None:
        self.cells = cells
        reader = BlockReader(atlas, values="per_10k", cells=cells)
        self.n_genes = reader.n_genes
        self.rows: list[tuple[NDArray, NDArray]] = []
        for block in reader.map(lambda one: one, threads):
            for i in range(block.n_cells):
                own = slice(block.indptr[i], block.indptr[i + 1])
                self.rows.append((block.indices[own].copy(), block.data[own].copy()))

    def __call__(self, cells: NDArray[np.int64]) -> NDArray[np.float32]:
        dense = np.zeros((len(cells), self.n_genes), np.float32)
        for place, at in enumerate(np.searchsorted(self.cells, cells)):
            columns, values = self.rows[at]
            dense[place, columns] = values
        return dense


def _dense(atlas: Atlas, cells: NDArray[np.int64], threads: int) -> _GroupCells:
    return _GroupCells(atlas, cells, threads)


def _auroc(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float64]:
    """Chance that a cell of ``a`` has more of a gene than one of ``b``, ties half: one a gene."""
    seen = np.flatnonzero((a != 0).any(axis=0) | (b != 0).any(axis=0))
    found = np.full(a.shape[1], 0.5)
    ranks = rankdata(np.concatenate([a[:, seen], b[:, seen]]), axis=0)
    n, m = len(a), len(b)
    found[seen] = (ranks[:n].sum(axis=0) - n * (n + 1) / 2) / (n * m)
    return found
