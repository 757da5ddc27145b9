"""Tables of cells put into the order of a dataset on disk: rows taken here and there would need all of it in memory."""

import threading
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from titin.dataset.arrow import OrderedRows, Rows
from titin.dataset.store import slices
from titin.shelf import Shelf, let_go_of_pages

RUN = 1 << 18  # rows that are put in order at a time, at most
_RUN_BYTES = 64 * 2**20  # of wide rows, such as those of embeddings
_LEAST = 64 * 2**20  # bytes; less may as well be taken from here and there
_HELD = 2  # runs, for writers that are not quite at the same place
_PLACE = "\0place"


def sort_rows(rows: OrderedRows, shelf: Shelf) -> Rows:
    """Put rows in order on a shelf, where they are many.

    Returns
    -------
    Rows
        The same: read run by run, so that they are best asked for in order.

    Raises
    ------
    DiskError
        If the disk takes no more.
    """
    return _SortedRows(rows, shelf) if shelf.folder is not None and rows.table.nbytes >= _LEAST else rows


def places_of(order: NDArray[np.signedinteger[Any]], shelf: Shelf) -> NDArray[np.signedinteger[Any]]:
    """Where each row comes in an order of all rows, put on a shelf.

    Raises
    ------
    DiskError
        If the disk takes no more.
    """
    (places,) = shelf.empty(len(order), order.dtype)
    for own in slices(len(order)):
        places[order[own]] = np.arange(own.start, own.stop, dtype=order.dtype)
    return places


class _SortedRows:
    """Rows by the run that they are in, as record batches on a shelf."""

    def __init__(self, rows: OrderedRows, shelf: Shelf) -> None:
        self.schema, self.num_rows = rows.schema, rows.num_rows
        self._levels = {field.name: rows.table.column(i).chunk(0).dictionary
                        for i, field in enumerate(rows.schema) if pa.types.is_dictionary(field.type)}  # fmt: skip
        self._run_rows = min(RUN, max(1, _RUN_BYTES * self.num_rows // max(1, rows.table.nbytes)))
        self._shelf, self._lock, self._held = shelf, threading.Lock(), dict[int, pa.Table]()
        self._plain = pa.schema([*(_plain(field) for field in rows.schema), pa.field(_PLACE, pa.int64())])
        self._pieces: list[list[pa.Buffer]] = [[] for _ in range(-(-self.num_rows // self._run_rows))]
        runs = list[int]()
        for run, piece in zip(runs, shelf.pieces(self._in_pieces(rows, runs)), strict=True):
            self._pieces[run].append(piece)

    def _in_pieces(self, rows: OrderedRows, runs: list[int]) -> Iterator[pa.Buffer]:
        """Rows of one run that lie near each other in the table, as one record batch; ``runs`` is told of which run."""
        places = places_of(rows.order, self._shelf)
        columns = [column.chunk(0).indices if pa.types.is_dictionary(column.type) else column
                   for column in rows.table.columns]  # fmt: skip
        table = pa.Table.from_arrays(columns, schema=pa.schema(list(self._plain)[:-1]))
        for start in range(0, self.num_rows, self._run_rows):
            own = places[start : start + self._run_rows]
            order = np.argsort(own, kind="stable")
            part, own = table.slice(start, self._run_rows).take(pa.array(order)), own[order]
            part = part.append_column(self._plain.field(_PLACE), pa.array(own, pa.int64())).combine_chunks()
            edges = np.searchsorted(own, np.arange(len(self._pieces) + 1) * self._run_rows).tolist()
            for run, (first, last) in enumerate(pairwise(edges)):
                if first < last:
                    runs.append(run)
                    yield part.slice(first, last - first).to_batches()[0].serialize()
            let_go_of_pages()

    def slice(self, start: int, length: int) -> pa.Table:
        """Rows of ``length`` places from ``start`` on, as far as there are any."""
        end, parts = min(start + length, self.num_rows), [self.schema.empty_table()]
        for run in range(start // self._run_rows, -(-end // self._run_rows)):
            first, last = max(start - run * self._run_rows, 0), min(end - run * self._run_rows, self._run_rows)
            parts.append(self._run(run).slice(first, last - first))
        return parts[1] if len(parts) == 2 else pa.concat_tables(parts).combine_chunks()

    def _run(self, run: int) -> pa.Table:
        with self._lock:
            if run not in self._held:
                self._held[run] = self._read(run)
                while len(self._held) > _HELD:
                    del self._held[next(iter(self._held))]
            return self._held[run]

    def _read(self, run: int) -> pa.Table:
        table = pa.Table.from_batches([pa.ipc.read_record_batch(piece, self._plain) for piece in self._pieces[run]])
        order: NDArray[np.intp] = np.argsort(table.column(_PLACE).to_numpy())
        table = table.drop_columns(_PLACE).combine_chunks().take(pa.array(order)).combine_chunks()
        columns = [_with_levels(column, self._levels.get(field.name), field)
                   for field, column in zip(self.schema, table.columns, strict=True)]  # fmt: skip
        let_go_of_pages()
        return pa.Table.from_arrays(columns, schema=self.schema)


def _plain(field: pa.Field) -> pa.Field:
    """The field of the numbers of labels, where it is one of labels."""
    return pa.field(field.name, field.type.index_type) if pa.types.is_dictionary(field.type) else field


def _with_levels(column: pa.ChunkedArray, levels: pa.Array | None, field: pa.Field) -> pa.Array:
    numbers = column.chunk(0) if column.num_chunks else pa.array([], column.type)
    if levels is None:
        return numbers
    return pa.DictionaryArray.from_arrays(numbers, levels, ordered=field.type.ordered)
