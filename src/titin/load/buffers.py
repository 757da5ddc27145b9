"""What a load is decoded into, and the memory of batches that nobody holds any more, for the next ones."""

import weakref
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from titin.atlas.row_groups import all_groups, entry_column, read_entries
from titin.dataset import layout
from titin.dataset.row_group import RowGroup
from titin.dataset.store import Store

_KEPT = 12


class ArrayPool:
    """Hands out arrays, and hands their memory out again once the array and every view of it are gone.

    Fresh memory costs a page fault for every 4 kB, which is more than filling it. An array handed out lies over a
    `memoryview`, so that numpy lets every view of it, and every view of those, hold on to that very array: when it is
    finalized, nobody can reach the memory any more.
    """

    def __init__(self) -> None:
        # without a lock: a finalizer may run in the middle of anything; the oldest memory goes when there is too much
        self._free: deque[NDArray[np.uint8]] = deque(maxlen=_KEPT)

    def __reduce__(self) -> tuple[type["ArrayPool"], tuple[()]]:
        """In another process it begins empty."""
        return ArrayPool, ()

    def take(self, n: int, dtype: DTypeLike) -> NDArray[Any]:
        """An array of ``n`` elements, with whatever was in its memory before."""
        memory = self._find(n * np.dtype(dtype).itemsize)
        array = np.frombuffer(memory.data, dtype, n)
        weakref.finalize(array, self._free.append, memory).atexit = False
        return array

    def _find(self, size: int) -> NDArray[np.uint8]:
        for _ in range(len(self._free)):
            try:
                memory = self._free.pop()  # the last one used, which may still be in the processor's cache
            except IndexError:  # another thread was faster
                break
            if len(memory) >= size:
                return memory
            self._free.appendleft(memory)
        return np.empty(size + size // 4 + 64, np.uint8)


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


class _Room(NamedTuple):
    """Part of a large array that a row group is decoded into, and where it begins there."""

    start: int
    array: NDArray[Any]


class RowGroups:
    """The row groups of a dataset's ``expression``, read and decoded in threads.

    Parameters
    ----------
    store
        The dataset.
    levels
        Whether to read the exact values too.

    Raises
    ------
    DatasetError
        If the files do not hold as many cells as the manifest says.
    """

    def __init__(self, store: Store, *, levels: bool) -> None:
        self.store, self.manifest = store, store.manifest
        self.groups = all_groups(store)
        self.firsts = np.array([g.first_row for g in self.groups], np.int64)
        self._sizes = np.array([g.n_rows for g in self.groups], np.int64)
        self._n_elements: dict[tuple[RowGroup, str], int] = {}
        exact = [layout.LEVELS] if levels and self.manifest.value_kind.has_levels else []
        self._columns = [layout.GENES, entry_column(store), *exact]

    @property
    def dtypes(self) -> tuple[np.dtype, np.dtype, np.dtype]:
        """Of tokens, of counts or values, and of levels."""
        shard = self.manifest.shards(self.manifest.layout.expression)[0]
        tokens, data, *levels = (self.store.list_dtype(shard, column) for column in self._columns)
        return tokens, data, levels[0] if levels else np.dtype(np.float32)

    def of_cells(self, cells: NDArray[np.int64]) -> NDArray[np.int64]:
        """Row group of each cell."""
        return np.searchsorted(self.firsts, cells, side="right") - 1

    def read_cells(
        self, cells: NDArray[np.int64], pool: ThreadPoolExecutor, space: "Space"
    ) -> tuple[Cells, NDArray[np.int64]]:
        """Decode the row groups that hold some cells.

        Returns
        -------
        cells, places
            The cells of the groups, and which of these each cell is (int64).

        Raises
        ------
        DatasetError
            As for `read`.
        """
        group = self.of_cells(cells)
        own = np.flatnonzero(np.bincount(group, minlength=len(self.groups)))
        shift = -self.firsts  # from a position in the dataset to one among the cells of the groups
        shift[own] += np.cumsum(self._sizes[own]) - self._sizes[own]
        return self.read(own.tolist(), pool, space), cells + shift[group]

    def read(self, groups: Sequence[int], pool: ThreadPoolExecutor, space: "Space") -> Cells:
        """Decode some row groups, one after another.

        Parameters
        ----------
        space
            Holds the elements until it is used again.

        Raises
        ------
        DatasetError
            If a file is damaged, or is not the one that was opened.
        """
        own = [self.groups[g] for g in groups]
        rooms = [self._rooms(column, own, space) for column in self._columns]
        parts = list(pool.map(self._read_group, own, zip(*rooms, strict=True)))
        (tokens, starts, lengths), (data, _, _), *rest = (
            _place(space.arrays[column], rooms[k], [part[k] for part in parts])
            for k, column in enumerate(self._columns)
        )
        if rest:
            levels, level_starts, level_lengths = rest[0]
        else:
            levels, level_starts, level_lengths = np.empty(0, np.float32), np.zeros_like(starts), np.zeros_like(starts)
        return Cells(starts, lengths, level_starts, level_lengths, tokens, data, levels)

    def _rooms(self, column: str, groups: Sequence[RowGroup], space: "Space") -> list[_Room]:
        """Where the elements of each row group go."""
        ends = np.cumsum([0, *(self._elements(group, column) for group in groups)]).tolist()
        array = space.room(column, ends[-1], self.store.list_dtype(groups[0].shard, column))
        return [_Room(a, array[a:b]) for a, b in pairwise(ends)]

    def _elements(self, group: RowGroup, column: str) -> int:
        key = group, column
        if key not in self._n_elements:
            self._n_elements[key] = self.store.elements(group, column)
        return self._n_elements[key]

    def _read_group(self, group: RowGroup, rooms: Sequence[_Room]) -> list[NDArray[np.int64]]:
        """Decode the columns of a row group into their rooms; the lengths of their lists."""
        found = read_entries(self.store, group, self._columns, [room.array for room in rooms])
        return [np.diff(lists.indptr) for lists in found]


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
    array: NDArray[Any], rooms: Sequence[_Room], lengths: list[NDArray[np.int64]]
) -> tuple[NDArray[Any], NDArray[np.int64], NDArray[np.int64]]:
    """The elements, and start and length of each cell's."""
    starts = [room.start + np.cumsum(n) - n for room, n in zip(rooms, lengths, strict=True)]
    return array, np.concatenate(starts), np.concatenate(lengths)
