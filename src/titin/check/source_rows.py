"""The cells of a dataset beside those of its source, a range of the dataset's order at a time."""

from collections.abc import Iterator
from functools import cached_property

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from titin.check.repeats import name_ranges
from titin.dataset import layout
from titin.dataset.arrow import OrderedRows, Rows
from titin.dataset.sorted_rows import sort_rows
from titin.dataset.store import Store, slices
from titin.dataset.tables import arrow_names
from titin.shelf import Shelf

_NAME = "name"


class SourceRows:
    """Row of the source that each cell is of.

    Parameters
    ----------
    store
        The dataset, or one of its matrices.
    shelf
        Where the rows are put away, and what is put in their order.

    Attributes
    ----------
    numbers
        int64, in the dataset's order; as they are stored, which may be wrong.
    """

    def __init__(self, store: Store, shelf: Shelf) -> None:
        self._shelf, file, at = shelf, store.manifest.layout.expression, 0
        (self.numbers,) = shelf.empty(store.n_rows(file), np.int64)
        for part in store.ranges(file, [layout.SOURCE_ROW]):
            self.numbers[at : at + part.num_rows] = part.column(0).to_numpy()
            at += part.num_rows

    def __len__(self) -> int:
        return len(self.numbers)

    @cached_property
    def first_wrong(self) -> int | None:
        """The first cell whose row is not one of as many, or is of a cell before it; None if all rows are there."""
        n = len(self)
        seen = np.zeros(n, bool)
        for own in slices(n):
            rows = self.numbers[own]
            seen[rows[(rows >= 0) & (rows < n)]] = True
        if seen.all():
            return None
        seen[:] = False
        for own in slices(n):
            rows = self.numbers[own]
            fits = (rows >= 0) & (rows < n)
            wrong = ~fits
            wrong[fits] = seen[rows[fits]]
            again = np.ones(len(rows), bool)
            again[np.unique(rows, return_index=True)[1]] = False
            if (wrong | again).any():
                return int(own.start + np.argmax(wrong | again))
            seen[rows] = True
        return None

    def of(self, first: int, n: int) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
        """Of ``n`` cells from ``first`` on, those whose row can be one of the source (from 0), and their rows."""
        rows = self.numbers[first : first + n]
        places = np.flatnonzero((rows >= 0) & (rows < len(self)))
        return places, rows[places]

    def in_order(self, table: pa.Table) -> Rows:
        """Rows of the source in the dataset's order; the first or the last for a cell that has none.

        Raises
        ------
        DiskError
            If the disk takes no more.
        """
        if self.first_wrong is None:
            return sort_rows(OrderedRows(table, self.numbers), self._shelf)
        return OrderedRows(table, np.clip(self.numbers, 0, len(self) - 1))


class SourceNames:
    """Names of the source's cells, in the dataset's order."""

    def __init__(self, names: pd.Index, rows: SourceRows) -> None:
        self._rows = rows
        self._names = rows.in_order(pa.table({_NAME: text_of(names)}))

    def differing(
        self, store: Store, file: str, column: str
    ) -> Iterator[tuple[int, NDArray[np.intp], pa.Array, pa.Array]]:
        """Compare the names in a table of cells with those of the source, all of them.

        Yields
        ------
        first, wrong, ours, theirs
            Of each range in which names differ: its first cell; which do, from 0, ascending; and all names of both.

        Raises
        ------
        DatasetError
            If the table cannot be read.
        """
        first = 0
        for ours in name_ranges(store, file, column):
            theirs = self._names.slice(first, len(ours)).column(0).combine_chunks()
            places, _ = self._rows.of(first, len(ours))
            wrong = places[_texts_differ(ours, theirs)[places]]
            if len(wrong):
                yield first, wrong, ours, theirs
            first += len(ours)


def text_of(names: pd.Index) -> pa.ChunkedArray | pa.Array:
    """Names as Arrow's text; without a copy where they are that already."""
    is_arrow = isinstance(names.dtype, pd.ArrowDtype) and pa.types.is_string(names.dtype.pyarrow_dtype)
    return arrow_names(names) if is_arrow else pa.array(names.astype(str), pa.string())


def _texts_differ(ours: pa.Array, theirs: pa.Array) -> NDArray[np.bool_]:
    if ours.type != theirs.type:
        return np.ones(len(ours), bool)
    if ours.equals(theirs):
        return np.zeros(len(ours), bool)
    same = pc.fill_null(pc.equal(ours, theirs), False)
    same = pc.or_(same, pc.and_(pc.is_null(ours), pc.is_null(theirs)))
    return ~np.asarray(same.to_numpy(zero_copy_only=False), bool)
