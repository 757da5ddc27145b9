"""Sums, moments and extremes over cells or genes, streamed: blocks of cells in memory, never the matrix.

Nothing depends on the number of threads, or on whether the workers of a cluster read.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.atlas.csr import column_map
from titin.atlas.kernels import describe_rows
from titin.atlas.lane_sums import EXTREMES, MOMENTS, SUMS, Lane, Sums, add_lane, describe_lane, make_lanes
from titin.atlas.matrix import MatrixReader
from titin.atlas.row_groups import ChosenRows, Positions, give_back_memory, read_block, split_rows
from titin.atlas.selection import SelectionError, check_memory
from titin.cluster import spread
from titin.dataset.block import Block
from titin.parallel import ordered_map

Floats = NDArray[np.float64]
LANE_BYTES = 2**25  # of sums, of which each thread then has its own


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

    reader: MatrixReader
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

    @property
    def by_genes(self) -> bool:
        """Whether reading whole genes is less than reading the cells."""
        return self.columns is not None and self.reader.columns_are_cheaper(self.rows, self.columns)

    @property
    def column_of(self) -> NDArray[np.int32]:
        """Column of each token, -1 for none."""
        return column_map(self.reader.n_genes, self.reader.tokens(self.columns))

    def order(self) -> Positions | slice:
        """Places, in the order asked for, of the cells in the dataset's order."""
        return slice(None) if self.rows is None else np.argsort(self.rows, kind="stable")

    def lanes(self, order: Positions | slice, groups: Positions | None = None) -> Iterator[Lane]:
        """Yield the cells by some thousand in the dataset's order, with the group of each."""
        own = None if groups is None else groups[order]

        def group_of(rows: slice) -> Positions:
            return np.zeros(rows.stop - rows.start, np.int64) if own is None else own[rows]

        yield from make_lanes(split_rows(self.reader.store, None if self.rows is None else self.rows[order]), group_of)

    def parts(self) -> Iterator[Part]:
        """Yield the cells by row group in the dataset's order, or all at once where reading whole genes is less."""
        if self.columns is not None and self.by_genes:
            X = self.reader.csr(self.rows, self.columns)
            block = Block(0, X.indptr.astype(np.int64), X.indices, X.data)
            everything = np.arange(self.n_rows)
            yield Part(block, everything, np.arange(self.n_columns, dtype=np.int32), everything)
            return
        order = None if self.rows is None else np.argsort(self.rows, kind="stable")
        ascending = None if self.rows is None or order is None else self.rows[order]
        column_of = column_map(self.reader.n_genes, self.reader.tokens(self.columns))
        store = self.reader.store

        def read(chosen: ChosenRows) -> Part:
            places = np.arange(chosen.start, chosen.start + len(chosen.rows))
            block = read_block(store, chosen.group)
            return Part(block, chosen.rows, column_of, places if order is None else order[places])

        yield from ordered_map(read, split_rows(store, ascending), self.reader.resources.threads)
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
    (total,) = _gather(question, SUMS, groups, n_groups)
    return total


def moments(question: Question, groups: Positions | None = None, n_groups: int = 1) -> tuple[Floats, Floats]:
    """Mean of each gene over the cells of each group, and the sum of squared distances from it.

    Stored values by Welford's recurrence, so that nothing is lost where the variance is small beside the mean, some
    thousand cells at a time; then the zeros, all at once.

    Returns
    -------
    float64, groups × genes each; NaN for an empty group.
    """
    mean, squares, seen = _gather(question, MOMENTS, groups, n_groups)
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
    low, high, seen = _gather(question, EXTREMES, groups, n_groups)
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
    if question.by_genes:
        (part,) = question.parts()
        describe_rows(*_entries(part), part.column_of, question.n_columns, described)
        return described
    order, resources = question.order(), question.reader.resources
    ordered, done = np.empty_like(described), 0
    shared = question.reader.store, question.column_of, question.n_columns
    for found in spread(describe_lane, shared, question.lanes(order), resources.threads, resources.cluster):
        ordered[done : done + len(found)] = found
        done += len(found)
    give_back_memory()
    described[order] = ordered
    return described


def group_sizes(question: Question, groups: Positions | None, n_groups: int) -> NDArray[np.int64]:
    """Cells of each group."""
    if groups is None:
        return np.array([question.n_rows])
    return np.bincount(groups[groups >= 0], minlength=n_groups)


def _gather(question: Question, sums: Sums, groups: Positions | None, n_groups: int) -> list[Floats]:
    """Add up all cells, lane by lane; or one after another, where the sums are too large to be there several times."""
    shape, resources = (n_groups, question.n_columns), question.reader.resources
    size = 8 * len(sums.start) * n_groups * question.n_columns
    what = f"statistics of {n_groups:,} groups × {question.n_columns:,} genes"
    check_memory(size, resources.result, what, "choose genes first: expression.loc[:, genes]")
    if size > LANE_BYTES or question.by_genes:
        arrays = sums.arrays(shape)
        for part in question.parts():
            sums.add(*_entries(part), _groups_of(part, groups), part.column_of, *arrays)
        return arrays
    total: list[Floats] | None = None
    shared = question.reader.store, question.column_of, sums, shape
    lanes = question.lanes(question.order(), groups)
    for found in spread(add_lane, shared, lanes, resources.threads, resources.cluster, add=sums.joined):
        total = sums.joined(total, found)
    give_back_memory()
    return sums.arrays(shape) if total is None else total


def _entries(part: Part) -> tuple[Any, ...]:
    return part.block.indptr, part.block.indices, part.block.data, part.rows


def _groups_of(part: Part, groups: Positions | None) -> Positions:
    return np.zeros(len(part.rows), np.int64) if groups is None else groups[part.places]


_AXES = {0: 0, "index": 0, "rows": 0, 1: 1, "columns": 1}


class Statistics(ABC):
    """Statistics over cells (``axis=0``) or genes (``axis=1``), streamed, as float64 Series."""

    question: Question

    @property
    @abstractmethod
    def index(self) -> pd.Index:
        """Names of the cells."""

    @property
    @abstractmethod
    def columns(self) -> pd.Index:
        """Names of the genes."""

    def sum(self, axis: int | str = 0) -> pd.Series:
        """Sum of each gene over the cells, or (``axis=1``) of each cell over the genes; float64."""
        if _axis(axis):
            return self._per_cell(describe_cells(self.question)[:, 0])
        return self._per_gene(sums(self.question)[0])

    def mean(self, axis: int | str = 0) -> pd.Series:
        """Mean of each gene over the cells, or (``axis=1``) of each cell over the genes; float64.

        Over all cells it is known from the build, and nothing is read but that.
        """
        n = self._length(axis)
        with np.errstate(invalid="ignore"):
            if _axis(axis):
                return self.sum(axis=1) / n
            if self.question.rows is None and n:
                known, columns = self.question.reader.genes.mean, self.question.columns
                return self._per_gene(known.copy() if columns is None else known[columns])
            return self._per_gene(sums(self.question)[0] / np.float64(n))

    def var(self, axis: int | str = 0, ddof: int = 1) -> pd.Series:
        """Variance of each gene over the cells, or (``axis=1``) of each cell over the genes; float64."""
        free = self._length(axis) - ddof
        if _axis(axis):
            distances, back = describe_cells(self.question)[:, 1], self._per_cell
        else:
            distances, back = moments(self.question)[1][0], self._per_gene
        return back(distances / free if free > 0 else np.full_like(distances, np.nan))

    def std(self, axis: int | str = 0, ddof: int = 1) -> pd.Series:
        """Standard deviation, the root of `var`."""
        return self.var(axis, ddof) ** 0.5

    def min(self, axis: int | str = 0) -> pd.Series:
        """Minimum of each gene over the cells, or (``axis=1``) of each cell over the genes; float64."""
        if _axis(axis):
            return self._per_cell(describe_cells(self.question)[:, 2])
        return self._per_gene(extremes(self.question)[0][0])

    def max(self, axis: int | str = 0) -> pd.Series:
        """Maximum of each gene over the cells, or (``axis=1``) of each cell over the genes; float64."""
        if _axis(axis):
            return self._per_cell(describe_cells(self.question)[:, 3])
        return self._per_gene(extremes(self.question)[1][0])

    def _length(self, axis: int | str) -> int:
        return self.question.n_columns if _axis(axis) else self.question.n_rows

    def _per_gene(self, values: NDArray[Any]) -> pd.Series:
        return pd.Series(values, index=self.columns)

    def _per_cell(self, values: NDArray[Any]) -> pd.Series:
        return pd.Series(values, index=self.index)


def _axis(axis: int | str) -> int:
    if axis not in _AXES:
        raise SelectionError(f"there is no axis {axis!r}", "axis=0 goes over cells, axis=1 over genes")
    return _AXES[axis]


class ExpressionGroups:
    """Groups of cells; each method gives a DataFrame of groups × genes (float64) in one pass over the cells.

    Groups are sorted, by category where they are categories; those without cells are left out, and so are cells whose
    label is missing.

    Parameters
    ----------
    question
        The cells and genes.
    columns
        Names of the genes.
    keys
        What to group by: a label for each cell, in the order of ``question``.
    """

    def __init__(self, question: Question, columns: pd.Index, keys: Sequence[pd.Series]) -> None:
        self._question, self._columns = question, columns
        grouped = pd.DataFrame(dict(enumerate(keys))).groupby(list(range(len(keys))), observed=True, sort=True)
        numbers = grouped.ngroup().to_numpy(np.float64)
        self._groups = np.where(np.isnan(numbers), -1, numbers).astype(np.int64)
        self._labels = grouped.size().index.set_names([key.name for key in keys])

    @property
    def ngroups(self) -> int:
        """Number of groups."""
        return len(self._labels)

    def __len__(self) -> int:
        return self.ngroups

    def size(self) -> pd.Series:
        """Cells of each group (int64)."""
        return pd.Series(group_sizes(self._question, self._groups, self.ngroups), index=self._labels)

    def sum(self) -> pd.DataFrame:
        """Sum of each gene."""
        return self._frame(sums(*self._grouped))

    def mean(self) -> pd.DataFrame:
        """Mean of each gene."""
        return self._frame(sums(*self._grouped) / self.size().to_numpy()[:, None])

    def var(self, ddof: int = 1) -> pd.DataFrame:
        """Variance of each gene; NaN for a group of no more than ``ddof`` cells."""
        _, squares = moments(*self._grouped)
        free = self.size().to_numpy()[:, None] - ddof
        return self._frame(np.divide(squares, free, where=free > 0, out=np.full_like(squares, np.nan)))

    def std(self, ddof: int = 1) -> pd.DataFrame:
        """Standard deviation of each gene."""
        return self.var(ddof) ** 0.5

    def min(self) -> pd.DataFrame:
        """Minimum of each gene."""
        return self._frame(extremes(*self._grouped)[0])

    def max(self) -> pd.DataFrame:
        """Maximum of each gene."""
        return self._frame(extremes(*self._grouped)[1])

    @property
    def _grouped(self) -> tuple[Question, Any, int]:
        return self._question, self._groups, self.ngroups

    def _frame(self, values: Floats) -> pd.DataFrame:
        return pd.DataFrame(values, index=self._labels, columns=self._columns)

    def __repr__(self) -> str:
        return f"{self.ngroups:,} groups of {self._question.n_rows:,} cells; .mean(), .sum(), .var(), .size() …"
