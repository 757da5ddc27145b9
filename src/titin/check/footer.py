"""The footer of a Parquet file, with what pyarrow does not show: where each page lies, and how large text is."""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from titin.dataset.thrift import read_struct, read_struct_in_parts
from titin.errors import DatasetError

_MAGIC = b"PAR1"
# field numbers of parquet.thrift
_SCHEMA, _N_ROWS, _ROW_GROUPS, _KEY_VALUES = 2, 3, 4, 5
_COLUMNS, _GROUP_BYTES, _GROUP_ROWS = 1, 2, 3
_OFFSET_INDEX_AT, _OFFSET_INDEX_BYTES, _META = 4, 5, 3
_TYPE, _PATH, _N_VALUES, _COMPRESSED, _DATA_AT, _DICTIONARY_AT, _STATISTICS, _SIZES = 1, 3, 5, 7, 9, 11, 12, 16
_BYTE_ARRAY = 6


@dataclass(frozen=True, slots=True)
class Pages:
    """Data pages of one column of one row group, from the offset index.

    Attributes
    ----------
    first_row
        First row of each page, counted from the row group's; int64.
    n_bytes
        Compressed size of each, header and all; int64.
    dictionary_bytes
        Size of the page before them that holds the dictionary; 0 if there is none.
    """

    first_row: NDArray[np.int64]
    n_bytes: NDArray[np.int64]
    dictionary_bytes: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """One column of one row group.

    Attributes
    ----------
    path
        Names down the schema, such as ``("genes", "list", "element")``.
    n_values
        Values of a flat column, missing ones included; of a list its elements, and one for each empty list.
    n_missing
        Missing values, where the writer says.
    compressed
        Bytes in the file.
    text_bytes
        Bytes of all texts, decoded; None for other types and where the writer does not say.
    levels
        How many entries have each definition level; empty where all have the same.
    pages
        None without an offset index, or where it was not read.
    """

    path: tuple[str, ...]
    n_values: int
    n_missing: int | None
    compressed: int
    text_bytes: int | None
    levels: tuple[int, ...]
    pages: Pages | None


@dataclass(frozen=True, slots=True)
class Group:
    """One row group: rows, uncompressed (encoded) bytes, columns."""

    n_rows: int
    encoded: int
    chunks: tuple[Chunk, ...]


@dataclass(frozen=True)
class Footer:
    """What the end of a Parquet file says: rows, row groups, and its key-value metadata."""

    n_rows: int
    groups: tuple[Group, ...]
    metadata: dict[str, str]

    @cached_property
    def encoded(self) -> int:
        """Uncompressed, encoded bytes of all row groups."""
        return sum(group.encoded for group in self.groups)


def read_footer(path: Path, *, pages: bool = True, take: Callable[[Group], None] | None = None) -> Footer:
    """Read the footer of a Parquet file and, unless told not to, its offset indexes.

    Parameters
    ----------
    pages
        Whether offset indexes are read.
    take
        Takes the row groups one after another, which are then not kept: there are as many as cells ask for, and in
        memory they are the largest thing beside these.

    Raises
    ------
    DatasetError
        If it is no Parquet file, or its footer is damaged.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - 8))
            tail = file.read(8)
            if len(tail) < 8 or tail[4:] != _MAGIC:
                raise DatasetError(f"{path.name} is no Parquet file, or was cut short", "restore it, or build again")
            length = int.from_bytes(tail[:4], "little")
            file.seek(size - 8 - length)

            def read_at(offset: int, length: int) -> bytes:
                file.seek(offset)
                return file.read(length)

            once: dict[Any, Any] = {}  # names and levels are the same in every row group, and stand in memory once
            groups = list[Group]()
            keep = take or groups.append
            document = read_struct_in_parts(
                file.read(length), 0, _ROW_GROUPS, lambda group: keep(_group(group, read_at if pages else None, once))
            )
            n_rows = document[_N_ROWS]
            if _ROW_GROUPS not in document:
                raise ValueError("it lists no row groups")
    except (OSError, ValueError, LookupError, TypeError, struct.error) as error:
        raise DatasetError(f"the footer of {path.name} is damaged: {error}", "restore it, or build again") from error
    pairs = document.get(_KEY_VALUES, [])
    metadata = {pair[1].decode("utf-8", "replace"): pair.get(2, b"").decode("utf-8", "replace") for pair in pairs}
    return Footer(n_rows, tuple(groups), metadata)


_ReadAt = Callable[[int, int], bytes]


def _group(group: dict[int, Any], read_at: _ReadAt | None, once: dict[Any, Any]) -> Group:
    chunks = tuple(_chunk(column, read_at, once) for column in group[_COLUMNS])
    return Group(group[_GROUP_ROWS], group[_GROUP_BYTES], chunks)


def _chunk(column: dict[int, Any], read_at: _ReadAt | None, once: dict[Any, Any]) -> Chunk:
    meta, sizes = column[_META], column[_META].get(_SIZES, {})
    pages = None
    if read_at is not None and _OFFSET_INDEX_AT in column:
        index, _ = read_struct(read_at(column[_OFFSET_INDEX_AT], column[_OFFSET_INDEX_BYTES]), 0)
        located = index[1]  # of each page: offset, compressed size, first row
        dictionary = located[0][1] - meta[_DICTIONARY_AT] if _DICTIONARY_AT in meta and located else 0
        pages = Pages(
            np.array([page[3] for page in located], np.int64), np.array([page[2] for page in located], np.int64),
            max(0, dictionary),
        )  # fmt: skip
    path, levels = tuple(part.decode("utf-8") for part in meta[_PATH]), tuple(sizes.get(3, ()))
    return Chunk(
        once.setdefault(path, path), meta[_N_VALUES], meta.get(_STATISTICS, {}).get(3),
        meta[_COMPRESSED], sizes.get(1) if meta[_TYPE] == _BYTE_ARRAY else None, once.setdefault(levels, levels), pages,
    )  # fmt: skip
