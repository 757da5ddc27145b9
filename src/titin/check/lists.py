"""The list columns of a matrix file, row group by row group, from the pages where they are the format's own."""

from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from titin.dataset.arrow import list_arrays
from titin.dataset.pages import UnsupportedPageError, find_chunk, read_lists
from titin.dataset.store import RowGroup, Store

Lists = tuple[NDArray[np.int64], NDArray[Any]]


class ListReader:
    """Reads list columns of ``expression`` or ``expression_by_gene``; safe in threads.

    Parameters
    ----------
    store
        The dataset.
    name
        The file's plain name, without shards.
    columns
        Those wanted.
    """

    def __init__(self, store: Store, name: str, columns: Sequence[str]) -> None:
        self.store, self.columns = store, list(columns)
        self.groups = store.row_groups(name)
        shards = dict.fromkeys(group.shard for group in self.groups)
        self._dtypes = {shard: self._find_dtypes(shard) for shard in shards}
        self._readers = {shard: store.reader(shard) for shard in shards}

    def _find_dtypes(self, shard: str) -> list[np.dtype]:
        schema = self.store.footer(shard).schema.to_arrow_schema()
        dtypes = []
        for column in self.columns:
            if column not in schema.names or not pa.types.is_list(schema.field(column).type):
                raise self.store.damaged(shard, ValueError(f"it has no list column {column}"))
            dtypes.append(np.dtype(schema.field(column).type.value_type.to_pandas_dtype()))
        return dtypes

    def read(self, group: RowGroup) -> list[Lists]:
        """Row pointers (int64, from 0) and elements of each column.

        Raises
        ------
        DatasetError
            If the file is damaged.
        """
        try:
            return [
                self._read(group, column, dtype)
                for column, dtype in zip(self.columns, self._dtypes[group.shard], strict=True)
            ]
        except (OSError, ValueError, pa.ArrowException) as error:
            raise self.store.damaged(group.shard, error) from error

    def _read(self, group: RowGroup, column: str, dtype: np.dtype) -> Lists:
        with suppress(UnsupportedPageError):
            chunk = find_chunk(self.store.footer(group.shard), group.index, column, dtype)
            indptr, elements = read_lists(self._readers[group.shard], chunk)
            return np.asarray(indptr), elements
        return list_arrays(self.store.read_group(group, [column]).column(0))  # another writer has made this file

    def close(self) -> None:
        """Close the files."""
        for reader in self._readers.values():
            reader.close()

    def __enter__(self) -> "ListReader":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def words(elements: NDArray[Any]) -> NDArray[Any]:
    """Counts as they are, values as words of the same size: what digests are made of."""
    return elements.view(f"u{elements.itemsize}") if elements.dtype.kind == "f" else elements


def value_words(values: NDArray[Any]) -> NDArray[np.uint64]:
    """Values of any dtype as words of float64, so that equal numbers are equal words."""
    return np.ascontiguousarray(values, np.float64).view(np.uint64)
