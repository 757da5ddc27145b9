"""numpy arrays as Arrow columns, and Parquet files as the format has them."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from titin.dataset import layout
from titin.dataset.pages import Lists


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

    Parameters
    ----------
    folder, name
        Where, and the plain name; shards are named once their number is known.
    schema
        Of every table written; its metadata go into the file.
    shard_bytes
        A shard that has reached this size is closed at the end of its row group.
    """

    def __init__(self, folder: Path, name: str, schema: pa.Schema, *, shard_bytes: int = layout.SHARD_BYTES) -> None:
        self.folder, self.name, self.shard_bytes = folder, name, shard_bytes
        self.schema = schema.with_metadata({**(schema.metadata or {}), **layout.file_metadata()})
        self._options = layout.parquet_options(schema)
        self._shards: list[Path] = []
        self._sink: pa.NativeFile | None = None
        self._writer: pq.ParquetWriter | None = None

    def write(self, table: pa.Table) -> None:
        """Write a table as one row group."""
        if self._writer is None:
            self._shards.append(self.folder / f"{self.name}.part{len(self._shards)}")
            self._sink = pa.OSFile(str(self._shards[-1]), "wb")
            self._writer = pq.ParquetWriter(self._sink, self.schema, **self._options)
        self._writer.write_table(table, row_group_size=max(1, table.num_rows))
        if self._sink is not None and self._sink.tell() >= self.shard_bytes:
            self._close_shard()

    def _close_shard(self) -> None:
        if self._writer is not None and self._sink is not None:
            self._writer.close()
            self._sink.close()
        self._writer = self._sink = None

    def close(self) -> list[str]:
        """Finish the file and return its name, or its shards' names."""
        if not self._shards:
            self.write(self.schema.empty_table())
        self._close_shard()
        names = [layout.shard(self.name, i, len(self._shards)) for i in range(len(self._shards))]
        for part, name in zip(self._shards, names, strict=True):
            part.rename(self.folder / name)
        return names


def write_table(folder: Path, name: str, table: pa.Table, order: NDArray[np.int64] | None = None) -> list[str]:
    """Write a whole table, its rows in another ``order`` if one is given; return the names of its files."""
    file = ParquetFile(folder, name, table.schema)
    for start in range(0, table.num_rows, layout.TABLE_ROW_GROUP_ROWS):
        rows = slice(start, start + layout.TABLE_ROW_GROUP_ROWS)
        # reordered a row group at a time: a whole copy would be the largest thing in memory
        part = table.slice(start, layout.TABLE_ROW_GROUP_ROWS) if order is None else table.take(pa.array(order[rows]))
        file.write(part.combine_chunks())
    return file.close()


def sha256(path: Path) -> str:
    """Checksum of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
