"""Sums, moments and extremes over cells or genes, streamed: a block of cells in memory, never the matrix."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from titin.atlas._kernels import add_moments, add_sums, describe_rows, widen
from titin.atlas._reader import Reader
from titin.atlas._rows import Positions, column_map, split_rows
from titin.atlas.blocks import give_back_memory, read_block
from titin.atlas.errors import check_memory
from titin.parallel import ordered_map
from titin.source import Block

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Part:
    """Some of the cells asked for: a block, which rows of it, which column each gene has, and where they belong."""

    block: Block
    rows: Positions
    column_of: NDArray[np.int32]
    places: Positions  # in the order asked for


@dataclass(frozen=True)
class Question:
    """Which cells (any order, repeats allowed; None for all) and genes (each once; None for all)."""

    reader: Reader
    rows: Positions | None
    columns: Positions | None

    @property
    def n_rows(self) -> int:
        """Number of cells."""
        return self.reader.n_cells if self.rows is None else len(self.rows)

    @property
    def n_columns(self) -> int:
        """Number of genes."""
        return self.reader.n_genes if self.columns is None else len(self.columns)

    def parts(self) -> Iterator[Part]:
        """Yield the cells by row group in the dataset's order, or all at once where reading whole genes is less."""
        if self.columns is not None and self.reader.columns_are_cheaper(self.rows, self.columns):
            X = self.reader.csr(self.rows, self.columns)
            block = Block(0, X.indptr.astype(np.int64), X.indices, X.data)
            everything = np.arange(self.n_rows)
            yield Part(block, everything, np.arange(self.n_columns, dtype=np.int32), everything)
            return
        order = None if self.rows is None else np.argsort(self.rows, kind="stable")
        ascending = None if self.rows is None or order is None else self.rows[order]
        column_of = column_map(self.reader.n_genes, self.reader.tokens(self.columns))
        done = 0
        store, threads = self.reader.store, self.reader.resources.threads
        for block, chosen in ordered_map(
            lambda item: (read_block(store, item[0]), item[1]), split_rows(store, ascending), threads
        ):
            places = np.arange(done, done + len(chosen))
            yield Part(block, chosen - block.start, column_of, places if order is None else order[places])
            done += len(chosen)
        give_back_memory()


def sums(question: Question, groups: Positions | None = None, n_groups: int = 1) -> Floats:
    """Sum of each gene over the cells of each group.

    Parameters
    ----------
    groups
        int64, the group of each cell in the order asked for; -1 for none. One group where not given.

    Returns
    -------
    float64, groups × genes.
    """
    (total,) = _totals(question, n_groups, 1)
    for part in question.parts():
        add_sums(*_entries(part), _groups_of(part, groups), part.column_of, total)
    return total


def moments(question: Question, groups: Positions | None = None, n_groups: int = 1) -> tuple[Floats, Floats]:
    """Mean of each gene over the cells of each group, and the sum of squared distances from it.

    Stored values by Welford's recurrence, so that nothing is lost where the variance is small beside the mean; then
    the zeros, all at once.

    Returns
    -------
    float64, groups × genes each; NaN for an empty group.
    """
    mean, squares, seen = _totals(question, n_groups, 3)
    for part in question.parts():
        add_moments(*_entries(part), _groups_of(part, groups), part.column_of, mean, squares, seen)
    sizes = group_sizes(question, groups, n_groups)[:, None]
    with np.errstate(invalid="ignore"):
        share = seen / sizes
        return mean * share, squares + mean * mean * share * (sizes - seen)


def extremes(question: Question, groups: Positions | None = None, n_groups: int = 1) -> tuple[Floats, Floats]:
    """Minimum and maximum of each gene over the cells of each group, zeros included.

    Returns
    -------
    float64, groups × genes each; NaN for an empty group.
    """
    low, high, seen = _totals(question, n_groups, 3)
    low[:], high[:] = np.inf, -np.inf
    for part in question.parts():
        widen(*_entries(part), _groups_of(part, groups), part.column_of, low, high, seen)
    sizes = group_sizes(question, groups, n_groups)[:, None]
    low, high = np.where(seen < sizes, np.minimum(low, 0), low), np.where(seen < sizes, np.maximum(high, 0), high)
    return np.where(sizes > 0, low, np.nan), np.where(sizes > 0, high, np.nan)


def describe_cells(question: Question) -> Floats:
    """Sum, sum of squared distances from the mean, minimum and maximum of each cell over the genes.

    Returns
    -------
    float64, cells × 4, in the order asked for; NaN but for the sum where there are no genes.
    """
    described = np.full((question.n_rows, 4), np.nan)
    if question.n_columns == 0:
        described[:, 0] = 0
        return described
    for part in question.parts():
        out = np.empty((len(part.rows), 4))
        describe_rows(*_entries(part), part.column_of, question.n_columns, out)
        described[part.places] = out
    return described


def group_sizes(question: Question, groups: Positions | None, n_groups: int) -> NDArray[np.int64]:
    """Cells of each group."""
    if groups is None:
        return np.array([question.n_rows])
    return np.bincount(groups[groups >= 0], minlength=n_groups)


def _totals(question: Question, n_groups: int, n: int) -> list[Floats]:
    size = n * n_groups * question.n_columns * 8
    what = f"statistics of {n_groups:,} groups × {question.n_columns:,} genes"
    check_memory(size, question.reader.resources.memory, what, "choose genes first: expression.loc[:, genes]")
    return [np.zeros((n_groups, question.n_columns)) for _ in range(n)]


def _entries(part: Part) -> tuple[Any, ...]:
    return part.block.indptr, part.block.indices, part.block.data, part.rows


def _groups_of(part: Part, groups: Positions | None) -> Positions:
    return np.zeros(len(part.rows), np.int64) if groups is None else groups[part.places]
