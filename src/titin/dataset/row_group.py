"""A row group of a table, and its columns read from no more pages than hold what is wanted of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from titin.dataset.opened_files import OpenedFiles
from titin.dataset.page_index import IndexPlace, PagePlaces, find_page_indexes, narrow, read_places
from titin.dataset.pages import (
    DamagedPageError,
    Lists,
    PageChunk,
    count_page_rows,
    decode_lists,
    decode_numbers,
    find_chunk,
    with_entries,
)

_SMALL = 2**18  # entries of a column that are read whole as quickly as some of its pages are found


@dataclass(frozen=True, slots=True)
class RowGroup:
    """One row group of a table: where it lies, and which rows of the whole table it holds."""

    shard: str
    index: int
    first_row: int
    n_rows: int


class FoundColumns(NamedTuple):
    """Columns of a row group by name, as its footer has them: flat ones of int32, and lists."""

    flat: dict[str, PageChunk]
    lists: dict[str, PageChunk]


def find_columns(
    footer: pq.FileMetaData, group: RowGroup, flat: Sequence[str], lists: Mapping[str, np.dtype]
) -> FoundColumns:
    """Find columns of a row group by the footer of its file.

    Parameters
    ----------
    flat
        Names of columns of int32.
    lists
        Dtypes of the elements of list columns, by name.

    Raises
    ------
    UnsupportedPageError
        If one is not as titin writes it.
    ValueError
        If one is missing or damaged.
    """
    return FoundColumns(
        {name: find_chunk(footer, group.index, name, np.dtype(np.int32), flat=True) for name in flat},
        {name: find_chunk(footer, group.index, name, dtype) for name, dtype in lists.items()},
    )


class PageReader:
    """Reads columns of row groups from their pages; keeps where these lie, once it has looked.

    Each method takes the files that it reads of: it does not keep them, as they keep it. Of what is wrong it raises
    what decoding and reading do: `UnsupportedPageError`, `DamagedPageError`, OSError.
    """

    def __init__(self) -> None:
        self._indexes: dict[str, list[dict[str, IndexPlace]]] = {}
        self._places: dict[tuple[str, int, str], PagePlaces | None] = {}

    def read(
        self, files: OpenedFiles, group: RowGroup, columns: FoundColumns, out: Sequence[NDArray[Any]] | None,
        rows: tuple[int, int] | None,
    ) -> tuple[list[NDArray[Any]], list[Lists]]:  # fmt: skip
        """Read columns of a row group: flat ones, and lists.

        Parameters
        ----------
        out
            Where to decode each list column to; new arrays where not given.
        rows
            First and end of those wanted, within the row group; all where not given.
        """
        checked = files.begin_check(group.shard)
        first, end = rows or (0, group.n_rows)
        chunks = [*columns.flat.values(), *columns.lists.values()]
        parts = [(chunk, 0) if rows is None else self._narrow(files, group, chunk, first, end) for chunk in chunks]
        try:
            pieces = files.read_ranges(group.shard, [(chunk.offset, chunk.length) for chunk, _ in parts])
        finally:  # which tells better why a read has failed
            checked()
        n_flat, n_lists = len(columns.flat), len(columns.lists)
        rooms = [None] * n_lists if out is None else out
        numbers, found = [], []
        for i, (piece, (chunk, skip)) in enumerate(zip(pieces, parts, strict=True)):
            own = with_entries(piece, chunk) if skip or chunk.n_rows < group.n_rows else chunk
            if i < n_flat:
                numbers.append(decode_numbers(piece, own)[first - skip : end - skip])
            else:
                found.append(some_rows(decode_lists(piece, own, rooms[i - n_flat]), first - skip, end - skip))
        return numbers, found

    def check_index(self, files: OpenedFiles, group: RowGroup, columns: FoundColumns) -> int:
        """Compare what the page index says of columns of a row group with their pages; return how many there are."""
        n_pages = 0
        for chunk in [*columns.flat.values(), *columns.lists.values()]:
            places = self.places_of(files, group, chunk)
            if places is not None:
                (data,) = files.read_ranges(group.shard, [(chunk.offset, chunk.length)])
                first_row, at = count_page_rows(data, chunk, flat=chunk in columns.flat.values())
                if not np.array_equal(first_row, places.first_row) or not np.array_equal(at, places.at):
                    raise DamagedPageError(f"the page index of {chunk.path} is not that of its pages")
                n_pages += len(at) - 1
        return n_pages

    def places_of(self, files: OpenedFiles, group: RowGroup, chunk: PageChunk) -> PagePlaces | None:
        """The pages of a column as the file's index has them; None where it has none."""
        key = group.shard, group.index, chunk.path
        if key not in self._places:
            place = self._indexes_of(files, group.shard)[group.index].get(chunk.path)
            self._places[key] = (
                None if place is None else read_places(files.read_ranges(group.shard, [place])[0], chunk)
            )
        return self._places[key]

    def _narrow(
        self, files: OpenedFiles, group: RowGroup, chunk: PageChunk, first: int, end: int
    ) -> tuple[PageChunk, int]:
        """The pages of a column that hold some rows, and their first row; all where they are few or not listed."""
        places = None if chunk.n_entries <= _SMALL else self.places_of(files, group, chunk)
        return (chunk, 0) if places is None else narrow(chunk, places, first, end)

    def _indexes_of(self, files: OpenedFiles, shard: str) -> list[dict[str, IndexPlace]]:
        if shard not in self._indexes:
            footer = files.footer(shard)
            n, size = footer.serialized_size, int(files.manifest.files[shard]["bytes"])
            found = find_page_indexes(files.read_ranges(shard, [(size - 8 - n, n)])[0])
            if len(found) != footer.num_row_groups:
                raise DamagedPageError("its footer has other row groups than it had")
            self._indexes[shard] = found
        return self._indexes[shard]


def some_rows(lists: Lists, first: int, end: int) -> Lists:
    """Some rows of a list column."""
    if first == 0 and end == len(lists.indptr) - 1:
        return lists
    a, b = lists.indptr[first], lists.indptr[end]
    return Lists(lists.indptr[first : end + 1] - a, lists.elements[a:b])
