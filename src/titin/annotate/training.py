"""The cells that label models are trained on, the genes that they see, and the fit: each from training donors alone."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.annotate.kernels import class_moments, standardised
from titin.annotate.linear_model import MOST, LabelModel, fit_one_against_rest
from titin.atlas import Atlas
from titin.atlas.passes import BlockReader
from titin.dataset.block import Block
from titin.progress import Progress

TRAINING_CELLS = 24_000  # of all donors together
CLASS_GENES = 1_200  # of all types together, about
_LEAST_GENES = 12  # of a type


@dataclass(frozen=True, eq=False)
class TrainingCells:
    """Cells drawn evenly over the donors, and of each donor evenly over its combinations of labels.

    What is drawn of a donor depends on that donor alone, so that nothing of a donor that is held out, least of all
    its labels, reaches a model by the draw of the others.

    Attributes
    ----------
    cells
        int64, positions in the dataset, ascending.
    donor
        int64, code of each one's donor.
    weight
        float64: how many cells of its donor each stands for.
    X
        Cells × all genes, log1p of counts per 10,000, columns in the order of tokens.
    """

    cells: NDArray[np.int64]
    donor: NDArray[np.int64]
    weight: NDArray[np.float64]
    X: Block = field(repr=False)


def draw_cells(
    donors: NDArray[np.int64], names: Sequence[str], labels: pd.DataFrame, *, most: int = TRAINING_CELLS, seed: int = 0
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Choose training cells.

    Parameters
    ----------
    donors
        Code of each cell's donor, -1 for none.
    names
        Of the donors.
    labels
        One row a cell, a column of codes a level, -1 for no label.
    most
        Cells of all donors together, about.
    seed
        Of the draw; each donor has its own by its name.

    Returns
    -------
    cells, weight
        Positions, ascending, and how many cells of the donor each stands for.
    """
    labelled = (labels >= 0).any(axis=1).to_numpy()
    group = labels.groupby(list(labels.columns), sort=True, observed=True).ngroup().to_numpy()
    cells, weights = [], []
    for code, name in enumerate(names):
        own = np.flatnonzero((donors == code) & labelled)
        if not len(own):
            continue
        salt = int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()[:8], "big")
        drawn = own[np.random.Generator(np.random.PCG64([seed, salt])).permutation(len(own))]
        _, of = np.unique(group[drawn], return_inverse=True)
        sizes = np.bincount(of)
        taken = np.minimum(sizes, _even_share(sizes, max(1, most // len(names))))
        order = np.argsort(of, kind="stable")
        place = np.arange(len(order)) - np.concatenate([[0], np.cumsum(sizes)[:-1]])[of[order]]
        chosen = order[place < taken[of[order]]]
        cells.append(drawn[chosen])
        weights.append((sizes / taken)[of[chosen]])
    if not cells:
        return np.zeros(0, np.int64), np.zeros(0)
    found, weight = np.concatenate(cells), np.concatenate(weights)
    order = np.argsort(found)
    return found[order], weight[order]


def _even_share(sizes: NDArray[np.int64], total: int) -> int:
    """The most of each group that can be taken, so that all together are at most ``total``; at least one."""
    ascending = np.sort(sizes)
    left = total
    for i, size in enumerate(ascending):
        share = left // (len(ascending) - i)
        if size > share:
            return max(1, share)
        left -= size
    return int(ascending[-1])


def read_training_cells(
    atlas: Atlas, cells: NDArray[np.int64], weight: NDArray[np.float64], donors: NDArray[np.int64], *, threads: int,
    progress: Progress | None = None,
) -> TrainingCells:  # fmt: skip
    """Read the values of chosen cells."""
    reader = BlockReader(atlas, values="per_10k", cells=cells)
    progress = progress or Progress()
    progress.start("training cells", reader.n_cells, "cells")
    parts = []
    for block in reader.map(lambda one: one, threads):
        parts.append((np.diff(block.indptr), block.indices.astype(np.int32, copy=False), block.data))
        progress.advance(block.n_cells)
    progress.finish()
    lengths = np.concatenate([part[0] for part in parts])
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    X = Block(0, indptr, np.concatenate([part[1] for part in parts]), np.concatenate([part[2] for part in parts]))
    return TrainingCells(cells, donors[cells], weight, X)


def class_genes(X: Block, rows: NDArray[np.int64], codes: NDArray[np.int64], n_classes: int, n_genes: int
                ) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:  # fmt: skip
    """For each type the genes that set its cells most apart from all others by Welch's t, up and down.

    Half of a type's genes are the first of all that it has more of; half the first of those that at most half of the
    other cells express, its markers.

    Returns
    -------
    genes, mean, scale
        Columns of X, ascending, and mean and standard deviation of each over the rows.
    """
    shape = (n_classes, n_genes)
    sums, squares, found = np.zeros(shape), np.zeros(shape), np.zeros(shape, np.int32)
    class_moments(X.indptr, X.indices, X.data, rows, codes, sums, squares, found)
    n = np.bincount(codes, minlength=n_classes).astype(np.float64)[:, None]
    total, total_squares, total_found = sums.sum(0), squares.sum(0), found.sum(0)
    each = max(_LEAST_GENES, CLASS_GENES // n_classes)
    chosen = np.zeros(n_genes, bool)
    for k in range(n_classes):
        mine, rest = n[k, 0], n.sum() - n[k, 0]
        if not mine or not rest:
            continue
        mean, other = sums[k] / mine, (total - sums[k]) / rest
        variance = np.maximum(squares[k] / mine - mean**2, 0) / mine
        variance += np.maximum((total_squares - squares[k]) / rest - other**2, 0) / rest
        t = (mean - other) / np.sqrt(variance + 1e-12)
        elsewhere = (total_found - found[k]) / rest
        for ranked in (t, np.where(elsewhere <= 0.5, t, 0)):
            top = np.argsort(-ranked, kind="stable")[: each // 2]
            chosen[top[ranked[top] > 0]] = True
    genes = np.flatnonzero(chosen)
    mean = total[genes] / n.sum()
    scale = np.sqrt(np.maximum(total_squares[genes] / n.sum() - mean**2, 0))
    return genes, mean, np.where(scale > 0, scale, 1)


def fit_label_model(
    atlas: Atlas, training: TrainingCells, rows: NDArray[np.int64], codes: NDArray[np.int64], classes: Sequence[str],
    *, temper: float = 0.5,
) -> tuple[LabelModel, NDArray[np.int32]]:  # fmt: skip
    """Choose genes and fit, on some of the training cells.

    Parameters
    ----------
    atlas
        For the names of genes.
    training, rows
        The cells.
    codes
        Type of each of the rows, an index of ``classes``.
    classes
        Names of the types.
    temper
        How far a cell stands for all those that it was drawn from: 1 fits the types as often as they are, 0 all alike;
        between them rare types are found without being seen everywhere.

    Returns
    -------
    model, column
        And the place among its genes of each token of the dataset, -1 where it has it not.
    """
    source = atlas.source_columns  # of each token
    genes, mean, scale = class_genes(training.X, rows, codes, len(classes), len(source))
    column = np.full(len(source), -1, np.int32)
    column[genes] = np.arange(len(genes))
    centre, spread = mean.astype(np.float32), scale.astype(np.float32)
    X = np.empty((len(rows), len(genes)), np.float32)
    standardised(training.X.indptr, training.X.indices, training.X.data, rows, column, centre, spread, MOST, X)
    weight = training.weight[rows] ** temper
    coef, intercept = fit_one_against_rest(X, codes, len(classes), (weight / weight.mean()).astype(np.float32))
    axis, places = atlas.reader.genes, source[genes]
    names, ids = ([known[i] for i in places] for known in (axis.symbols, axis.ids))
    return LabelModel(list(classes), names, ids, centre, spread, coef, intercept), column
