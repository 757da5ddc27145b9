"""Memory of batches that nobody holds any more, for the next ones."""

import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import DTypeLike, NDArray

from titin.dataset import layout
from titin.dataset.arrow import list_arrays
from titin.dataset.pages import ListChunk, UnsupportedPageError, find_chunk, read_lists
from titin.dataset.store import RowGroup, Store
from titin.errors import DatasetError

_KEPT = 12


class Arrays:
    """Hands out arrays, and hands their memory out again once no view of them is left.

    Fresh memory costs a page fault for every 4 kB, which is more than filling it. A buffer is free when nothing but
    this pool refers to it: every array made of it, and every view of those, holds a reference to the buffer itself.
    """

    def __init__(self) -> None:
        self._buffers: list[NDArray[np.uint8]] = []
        self._lock = Lock()

    def __reduce__(self) -> tuple[type["Arrays"], tuple[()]]:
        """In another process it begins empty."""
        return Arrays, ()

    def take(self, n: int, dtype: DTypeLike) -> NDArray[Any]:
        """An array of ``n`` elements, with whatever was in its memory before."""
        size = n * np.dtype(dtype).itemsize
        with self._lock:
            for i in range(len(self._buffers)):
                # two references are the list's and the argument's
                if len(self._buffers[i]) >= size and sys.getrefcount(self._buffers[i]) == 2:
                    return self._buffers[i][:size].view(dtype)
            buffer = np.empty(size + size // 4 + 64, np.uint8)
            if len(self._buffers) >= _KEPT:
                self._buffers.pop(0)
            self._buffers.append(buffer)
            return buffer[:size].view(dtype)


@dataclass(frozen=True)
class Cells:
    """Cells decoded into memory, in any order, their lists one after another.

    Attributes
    ----------
    starts, lengths
        int64 a cell: where its tokens and counts begin, and how many there are.
    level_starts, level_lengths
        The same for its levels; all zero where there are none.
    tokens, data, levels
        The elements; ``data`` holds counts, or the values of a ``real`` matrix.
    """

    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    level_starts: NDArray[np.int64]
    level_lengths: NDArray[np.int64]
    tokens: NDArray[Any]
    data: NDArray[Any]
    levels: NDArray[Any]


class RowGroups:
    """The row groups of a dataset's ``expression``, read and decoded in threads.

    Parameters
    ----------
    store
        The dataset.
    levels
        Whether to read the exact values too.
    """

    def __init__(self, store: Store, *, levels: bool) -> None:
        self.store, self.manifest = store, store.manifest
        self.groups = store.row_groups(self.manifest.layout.expression)
        self.firsts = np.array([g.first_row for g in self.groups], np.int64)
        held = sum(g.n_rows for g in self.groups)
        if held != self.manifest.n_cells:
            raise DatasetError(
                f"{store.name}: the expression files hold {held:,} cells, {layout.MANIFEST} says "
                f"{self.manifest.n_cells:,}", "restore the files, or build the dataset again",
            )  # fmt: skip
        self._columns = [layout.GENES, layout.VALUES if self.manifest.kind == "real" else layout.COUNTS]
        if levels and self.manifest.kind == "log1p":
            self._columns.append(layout.LEVELS)
        self._dtypes = [self._dtype(name) for name in self._columns]
        self._readers = {shard: store.reader(shard) for shard in dict.fromkeys(g.shard for g in self.groups)}

    def _dtype(self, column: str) -> np.dtype:
        shard = self.groups[0].shard
        schema = self.store.footer(shard).schema.to_arrow_schema()
        if column not in schema.names or not pa.types.is_list(schema.field(column).type):
            raise self.store.damaged(shard, ValueError(f"it has no list column {column}"))
        dtype: np.dtype = np.dtype(schema.field(column).type.value_type.to_pandas_dtype())
        return dtype

    def close(self) -> None:
        """Close the files; safe to call twice."""
        for reader in self._readers.values():
            reader.close()

    def of_cells(self, cells: NDArray[np.int64]) -> NDArray[np.int64]:
        """Row group of each cell."""
        return np.searchsorted(self.firsts, cells, side="right") - 1

    def read(self, groups: Sequence[int], pool: ThreadPoolExecutor, space: "Space") -> tuple[Cells, NDArray[np.int64]]:
        """Decode some row groups.

        Parameters
        ----------
        space
            Holds the elements until it is used again.

        Returns
        -------
        cells, positions
            The cells of the groups, and the position in the dataset of each (int64).

        Raises
        ------
        DatasetError
            If a file is damaged, or is not the one that was opened.
        """
        for shard in {self.groups[g].shard for g in groups}:
            self.store.check(shard)
        rooms = [
            self._rooms(column, dtype, groups, space) for column, dtype in zip(self._columns, self._dtypes, strict=True)
        ]
        tasks = [(g, [room[i] for room in rooms]) for i, g in enumerate(groups)]
        parts = list(pool.map(self._read_group, tasks))
        positions = np.concatenate(
            [np.arange(self.groups[g].first_row, self.groups[g].first_row + self.groups[g].n_rows) for g in groups]
        )
        (tokens, starts, lengths), (data, _, _), *rest = (
            _place(space.arrays[column], [room[0] for room in rooms[k]], [part[k] for part in parts])
            for k, column in enumerate(self._columns)
        )
        if rest:
            levels, level_starts, level_lengths = rest[0]
        else:
            levels, level_starts, level_lengths = np.empty(0, np.float32), np.zeros_like(starts), np.zeros_like(starts)
        return Cells(starts, lengths, level_starts, level_lengths, tokens, data, levels), positions

    def _rooms(
        self, column: str, dtype: np.dtype, groups: Sequence[int], space: "Space"
    ) -> list[tuple[int, NDArray[Any], ListChunk | None]]:
        """For each row group: where its elements go, and from where they come."""
        chunks = [self._chunk(self.groups[g], column, dtype) for g in groups]
        ends = np.cumsum([0, *(n for n, _ in chunks)]).tolist()
        array = space.room(column, ends[-1], dtype)
        return [(a, array[a:b], chunk) for a, b, (_, chunk) in zip(ends, ends[1:], chunks, strict=False)]

    def _chunk(self, group: RowGroup, column: str, dtype: np.dtype) -> tuple[int, ListChunk | None]:
        """Most elements a column of a row group can have, and where it lies; None if another writer has made it."""
        try:
            chunk = find_chunk(self.store.footer(group.shard), group.index, column, dtype)
        except UnsupportedPageError:
            row_group = self.store.footer(group.shard).row_group(group.index)
            columns = (row_group.column(i) for i in range(row_group.num_columns))
            return max(c.num_values for c in columns if c.path_in_schema.split(".")[0] == column), None
        return chunk.n_entries, chunk

    def _read_group(
        self, task: tuple[int, list[tuple[int, NDArray[Any], ListChunk | None]]]
    ) -> list[NDArray[np.int64]]:
        """Decode the columns of a row group into their rooms; the lengths of their lists."""
        number, rooms = task
        group = self.groups[number]
        try:
            lengths = [
                self._read_column(group, column, *room[1:]) for column, room in zip(self._columns, rooms, strict=True)
            ]
        except (OSError, ValueError, pa.ArrowException) as error:
            raise self.store.damaged(group.shard, error) from error
        if not np.array_equal(lengths[0], lengths[1]):
            differ = ValueError(f"{self._columns[0]} and {self._columns[1]} differ in length")
            raise self.store.damaged(group.shard, differ)
        return lengths

    def _read_column(
        self, group: RowGroup, column: str, out: NDArray[Any], chunk: ListChunk | None
    ) -> NDArray[np.int64]:
        if chunk is not None:
            with suppress(UnsupportedPageError):
                indptr, _ = read_lists(self._readers[group.shard], chunk, out=out)
                return np.diff(np.asarray(indptr))
        # another writer has made this file of ours
        indptr, elements = list_arrays(self.store.read_group(group, [column]).column(0))
        out[: len(elements)] = elements
        return np.diff(indptr)


class Space:
    """Arrays that loads are decoded into, used again load after load: fresh memory costs as much as decoding."""

    def __init__(self) -> None:
        self.arrays: dict[str, NDArray[Any]] = {}

    def __reduce__(self) -> tuple[type["Space"], tuple[()]]:
        """In another process it begins empty."""
        return Space, ()

    def room(self, name: str, n: int, dtype: np.dtype) -> NDArray[Any]:
        """An array of at least ``n`` elements; what it held is lost."""
        if name not in self.arrays or len(self.arrays[name]) < n:
            self.arrays[name] = np.empty(n + n // 8, dtype)
        return self.arrays[name]


def _place(
    array: NDArray[Any], begins: list[int], lengths: list[NDArray[np.int64]]
) -> tuple[NDArray[Any], NDArray[np.int64], NDArray[np.int64]]:
    """The elements, and start and length of each cell's."""
    starts = [begin + np.cumsum(n) - n for begin, n in zip(begins, lengths, strict=True)]
    return array, np.concatenate(starts), np.concatenate(lengths)
