"""Where the pages of a column lie, by the page index of the Parquet file itself: a gene is read without its neighbours.

pyarrow writes this index and does not show it. What it says is held against the pages whenever it is used: they must
follow one another through the whole column, begin where it says, and have the rows that it says.
"""

import struct
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from titin.dataset.pages import DamagedPageError, PageChunk
from titin.dataset.thrift import Bytes, read_struct

# field numbers of parquet.thrift
_ROW_GROUPS, _COLUMNS, _META, _PATH = 4, 1, 3, 3
_INDEX_AT, _INDEX_BYTES, _LOCATIONS = 4, 5, 1
_PAGE_AT, _PAGE_BYTES, _FIRST_ROW = 1, 2, 3
_WRONG = (IndexError, KeyError, TypeError, ValueError, OverflowError, struct.error)

IndexPlace = tuple[int, int]  # first byte and length of the index of one column of one row group


class PagePlaces(NamedTuple):
    """The pages of one column of one row group.

    Attributes
    ----------
    first_row
        int64, pages + 1: first row of each, counted from that of the row group; at last the rows of the row group.
    at
        int64, pages + 1: first byte of each; at last the end of the column.
    """

    first_row: NDArray[np.int64]
    at: NDArray[np.int64]


def find_page_indexes(footer: Bytes) -> list[dict[str, IndexPlace]]:
    """Say where the page indexes lie: by row group, and by path of the column; those that there are.

    Parameters
    ----------
    footer
        The serialised footer, without its length and the word behind it.

    Raises
    ------
    DamagedPageError
        If it is none.
    """
    try:
        document, _ = read_struct(footer, 0)
        return [_indexes_of(group) for group in document[_ROW_GROUPS]]
    except _WRONG as error:
        raise DamagedPageError(f"its footer cannot be read: {error}") from error


def _indexes_of(group: dict) -> dict[str, IndexPlace]:
    found = {}
    for column in group[_COLUMNS]:
        if _INDEX_AT in column and _INDEX_BYTES in column:
            path = ".".join(bytes(part).decode("utf-8") for part in column[_META][_PATH])
            found[path] = int(column[_INDEX_AT]), int(column[_INDEX_BYTES])
    return found


def read_places(index: Bytes, chunk: PageChunk) -> PagePlaces:
    """Parse the page index of a column.

    Raises
    ------
    DamagedPageError
        If its pages do not follow one another from the begin of the column to its end, each with a row or more.
    """
    try:
        document, _ = read_struct(index, 0)
        pages = [(page[_FIRST_ROW], page[_PAGE_AT], page[_PAGE_BYTES]) for page in document[_LOCATIONS]]
        rows, at, n_bytes = np.array(pages, np.int64).reshape(-1, 3).T
    except _WRONG as error:
        raise DamagedPageError(f"its page index cannot be read: {error}") from error
    first_row, begins = np.append(rows, chunk.n_rows), np.append(at, chunk.offset + chunk.length)
    good = bool(pages) and first_row[0] == 0 and begins[0] == chunk.offset
    if not good or (np.diff(first_row) < 1).any() or (n_bytes < 1).any() or (np.diff(begins) != n_bytes).any():
        raise DamagedPageError("its page index does not lead through the column")
    return PagePlaces(first_row, begins)


def narrow(chunk: PageChunk, places: PagePlaces, first: int, end: int) -> tuple[PageChunk, int]:
    """Choose the pages that hold some rows of a row group.

    Parameters
    ----------
    first, end
        Rows of the row group; one at least.

    Returns
    -------
    chunk, int
        Of these pages, whose entries their headers tell (`titin.dataset.pages.with_entries`); and their first row.
    """
    a = int(np.searchsorted(places.first_row, first, side="right")) - 1
    b = int(np.searchsorted(places.first_row, end, side="left"))
    row, offset = int(places.first_row[a]), int(places.at[a])
    return replace(
        chunk, offset=offset, length=int(places.at[b]) - offset, n_rows=int(places.first_row[b]) - row
    ), row  # fmt: skip
