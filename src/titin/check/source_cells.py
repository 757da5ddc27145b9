"""Tables of cells and embeddings compared with the source's, column by column and range by range.

What of the source is of all cells lies on a shelf, and one column of it is looked at at a time; of the dataset, a range
of cells. Names and embeddings of the source, which are wide, are put into the dataset's order on the shelf.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from titin.atlas.tables import column_ranges, embedding_ranges, read_column
from titin.check.comparison import Difference, columns_difference, differing, dtype_difference, values_differ
from titin.check.source_rows import SourceNames, SourceRows
from titin.dataset.binary_rows import array_of, binary_rows, row_by_row
from titin.dataset.store import Store, slices
from titin.dataset.tables import Record, decode_values
from titin.shelf import Shelf, let_go_of_pages
from titin.source.names import without_names


@dataclass
class CellsBeside:
    """What is needed to find the cells of a dataset in its source.

    Attributes
    ----------
    store
        The dataset.
    rows
        Row of the source that each cell is of.
    shelf
        Where the source's columns are; what of them is looked at takes memory until it is let go.
    """

    store: Store
    rows: SourceRows
    shelf: Shelf

    def table_difference(
        self, file: str, records: Sequence[Record], theirs: pd.DataFrame, chosen: Sequence[int],
        names: Callable[[], SourceNames],
    ) -> Difference | None:  # fmt: skip
        """Say where a table of cells first differs from the source's, as `frame_difference` does.

        Parameters
        ----------
        file, records
            The table, and what restores its columns.
        theirs
            The source's.
        chosen
            Places of its columns that are compared.
        names
            Gives its names, once it is known that there are as many.

        Raises
        ------
        DatasetError
            If a column cannot be read.
        """
        if len(self.rows) != len(theirs):
            return Difference(f"{len(self.rows):,} rows, the source has {len(theirs):,}", "")
        found = self._index_difference(theirs.index, names)
        found = found or columns_difference([record["name"] for record in records], list(theirs.columns[chosen]))
        if found:
            return found
        unnamed = without_names(theirs)
        for place, record in zip(chosen, records, strict=True):
            differ = self._column_difference(file, record, unnamed.iloc[:, place], theirs.index)
            let_go_of_pages()
            if differ:
                return Difference(differ.message, f", column {record['name']}{differ.where}")
        return None

    def _index_difference(self, theirs: pd.Index, names: Callable[[], SourceNames]) -> Difference | None:
        """Compare the names of the cells, and what they are called; the dataset's stand in the table of obs."""
        record, file = self.store.manifest.obs["columns"][0], self.store.manifest.layout.sample_metadata
        ours = decode_values(pa.array([], pa.string()), record).dtype
        dtype = np.dtype(object) if isinstance(theirs.dtype, pd.ArrowDtype) else theirs.dtype  # as builds take them
        if record["name"] != theirs.name or ours != dtype:
            said = f"the index is {record['name']!r} ({ours}), not {theirs.name!r} ({dtype})"
            return Difference(said, ", index")
        found = _First()
        for first, wrong, own, other in names().differing(self.store, file, record["column"]):
            at = found.count(self.rows.numbers[first + wrong])
            if at is not None:
                found.said = f"{own[wrong[at]].as_py()!r}, not {other[wrong[at]].as_py()!r}"
        let_go_of_pages()
        if not found.n:
            return None
        return Difference(f"{found.n:,} names differ; the first is {found.said}", f", index, source row {found.row:,}")

    def _column_difference(self, file: str, record: Record, theirs: pd.Series, names: pd.Index) -> Difference | None:
        found, first = _First(), 0
        for ours in self._column(file, record):
            if not first and (differ := dtype_difference(ours, theirs)):
                return differ
            places, rows = self.rows.of(first, len(ours))
            mine, other = ours.iloc[places], theirs.iloc[rows]
            wrong = np.flatnonzero(values_differ(mine, other))
            at = found.count(rows[wrong])
            if at is not None:
                found.said = f"{mine.iloc[wrong[at]]!r}, not {other.iloc[wrong[at]]!r}"
            first += len(ours)
        if not found.n:
            return None
        said = f"{found.n:,} values differ; the first is {found.said}"
        return Difference(said, f", cell or gene {names[found.row]} (source row {found.row:,})")

    def _column(self, file: str, record: Record) -> Iterator[pd.Series]:
        """A column, some of the cells at a time; labels are looked at once before, as they tell its categories."""
        if record["kind"] != "category":
            for part in column_ranges(self.store, file, record):
                yield pd.Series(part, copy=False)
            return
        whole = pd.Series(read_column(self.store, file, record), copy=False)
        for own in slices(len(whole)):
            yield whole.iloc[own]

    def array_difference(self, key: str, theirs: NDArray[Any]) -> Difference | None:
        """Say where an embedding differs from the source's, bit for bit.

        Raises
        ------
        DatasetError
            If it cannot be read.
        """
        entry = self.store.manifest.obsm[key]
        shape, dtype = (len(self.rows), len(entry["columns"]) - 1), np.dtype(entry["dtype"])
        if shape != theirs.shape or dtype != theirs.dtype:
            return Difference(f"it is {dtype} {shape}, the source's {theirs.dtype} {theirs.shape}", "")
        found, first, column = _First(), 0, 0
        ordered = self.rows.in_order(pa.table({key: binary_rows(row_by_row(theirs, self.shelf))}))
        for ours in embedding_ranges(self.store, key):
            other = array_of(ordered.slice(first, len(ours)).column(0), dtype, shape[1])
            places, rows = self.rows.of(first, len(ours))
            differ = differing(ours, other)[places]
            wrong = np.flatnonzero(differ.any(axis=1))
            at = found.count(rows[wrong], int(differ.sum()))
            if at is not None:
                column, row = int(differ[wrong[at]].argmax()), places[wrong[at]]
                found.said = f"{ours[row, column]}, not {other[row, column]}"
            first += len(ours)
        let_go_of_pages()
        if not found.n:
            return None
        where = f", dimension {column + 1}, source row {found.row:,}"
        return Difference(f"{found.n:,} values differ; the first is {found.said}", where)


@dataclass
class _First:
    """How many differ, and what is said of the one that comes first in the source."""

    n: int = 0
    row: int = -1
    said: str = ""

    def count(self, rows: NDArray[np.int64], n: int | None = None) -> int | None:
        """Take the rows of those that differ in a range; give the place among them of one that is the first so far."""
        self.n += len(rows) if n is None else n
        at = int(np.argmin(rows)) if len(rows) else 0
        if not len(rows) or 0 <= self.row < rows[at]:
            return None
        self.row = int(rows[at])
        return at
