"""numpy arrays as Arrow columns, and Parquet files as the format has them."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from titin.dataset import layout
from titin.dataset.encoded_groups import encode_group
from titin.dataset.pages import Lists
from titin.dataset.parquet_parts import Parts, Target


def list_column(indptr: NDArray[np.int64], elements: NDArray[Any]) -> pa.Array:
    """Rows of a compressed matrix as a list column, without copying the elements.

    Parameters
    ----------
    indptr
        int64, rows + 1; need not begin at 0.
    elements
        All elements that ``indptr`` points into.
    """
    first, last = int(indptr[0]), int(indptr[-1])
    offsets = (indptr - first).astype(np.int32)
    values = elements[first:last]
    child = pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), len(values), [None, pa.py_buffer(values)])
    kind = layout.list_of(child.type)
    return pa.Array.from_buffers(kind, len(offsets) - 1, [None, pa.py_buffer(offsets)], children=[child])


def list_arrays(column: pa.ChunkedArray) -> Lists:
    """Row pointers and elements of a list column; the inverse of `list_column`.

    Raises
    ------
    ValueError
        If a list or an element is missing.
    """
    whole = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    if isinstance(whole, pa.ChunkedArray):
        whole = pa.concat_arrays(whole.chunks) if whole.num_chunks else pa.array([], column.type)
    if whole.null_count or whole.values.null_count:
        raise ValueError("a list column has missing entries")
    offsets = whole.offsets.to_numpy().astype(np.int64)
    elements = whole.values.to_numpy(zero_copy_only=True)
    return Lists(offsets - offsets[0], elements[offsets[0] : offsets[-1]])


class ParquetFile:
    """A Parquet file, or shards of one, written row group by row group.

    Each row group is encoded by itself (`titin.dataset.encoded_groups`), here or elsewhere: the bytes are the same.

    Parameters
    ----------
    folder, name
        Where, and the plain name; shards are named once their number is known.
    schema
        Of every table written; its metadata go into the file.
    shard_bytes
        A shard that has reached this size, or `titin.dataset.layout.SHARD_CHUNKS`, is closed at the end of its row
        group.
    page_bytes
        As for `titin.dataset.layout.parquet_options`.
    """

    def __init__(
        self, folder: Path, name: str, schema: pa.Schema, *, shard_bytes: int = layout.SHARD_BYTES,
        page_bytes: int | None = None,
    ) -> None:  # fmt: skip
        self.folder, self.name, self.shard_bytes = folder, name, shard_bytes
        self.schema = layout.with_file_metadata(schema)
        self._page_bytes = page_bytes
        self._target: Target | None = None

    def write(self, table: pa.Table) -> None:
        """Write a table as one row group; one without rows as none, which `datasets` would refuse."""
        if table.num_rows:
            self.write_encoded(encode_group(table, self.schema, page_bytes=self._page_bytes))

    def write_encoded(self, group: bytes) -> None:
        """Write what `titin.dataset.encoded_groups.encode_group` gave for a table of the same schema."""
        parts = Parts(io.BytesIO(group), self.name)
        if self._target is None:
            self._target = Target(self.folder, self.name, parts.footer)
        for index, described in enumerate(parts.groups):
            self._target.add(described, parts.chunks(index))
        if self._target.is_full(self.shard_bytes):
            self._target.close_shard()

    def abandon(self) -> None:
        """Close what is still open; it is not finished."""
        if self._target is not None:
            self._target.abandon()

    def close(self) -> list[str]:
        """Finish the file and return its name, or its shards' names."""
        if self._target is not None:
            return self._target.close()
        name = layout.shard(self.name, 0, 1)
        (self.folder / name).unlink(missing_ok=True)
        with (self.folder / name).open("xb") as file:  # through no link or pipe that lay there
            file.write(encode_group(self.schema.empty_table(), self.schema, page_bytes=self._page_bytes))
        return [name]


@dataclass(frozen=True)
class OrderedRows:
    """A table whose rows are taken in another order some at a time: a whole copy would be the largest thing in memory.

    Attributes
    ----------
    table
        The rows as they lie in memory.
    order
        int64, row of ``table`` at each place.
    """

    table: pa.Table
    order: NDArray[np.int64]

    @property
    def schema(self) -> pa.Schema:
        """Of the table."""
        return self.table.schema

    @property
    def num_rows(self) -> int:
        """Number of places."""
        return len(self.order)

    def select(self, columns: Sequence[str]) -> "OrderedRows":
        """Some columns."""
        return OrderedRows(self.table.select(columns), self.order)

    def slice(self, start: int, length: int) -> pa.Table:
        """Rows of ``length`` places from ``start`` on."""
        return self.table.take(pa.array(self.order[start : start + length])).combine_chunks()

    def whole(self) -> pa.Table:
        """All rows."""
        return self.slice(0, self.num_rows)

    def equals(self, other: "OrderedRows") -> bool:
        """Whether both are the same rows in the same order."""
        return np.array_equal(self.order, other.order) and bool(self.table.equals(other.table))


class Rows(Protocol):
    """A table of which some rows can be had at a time: Arrow's own, `OrderedRows`, or made when they are asked for."""

    @property
    def schema(self) -> pa.Schema:
        """Of the table."""

    @property
    def num_rows(self) -> int:
        """Number of rows."""

    def slice(self, start: int, length: int) -> pa.Table:
        """``length`` rows from ``start`` on."""


def write_table(folder: Path, name: str, rows: Rows) -> list[str]:
    """Write a whole table; return the names of its files."""
    file = ParquetFile(folder, name, rows.schema)
    for start in range(0, rows.num_rows, layout.TABLE_ROW_GROUP_ROWS):
        file.write(rows.slice(start, layout.TABLE_ROW_GROUP_ROWS).combine_chunks())
    return file.close()
