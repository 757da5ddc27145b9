"""The files of a dataset wherever it lies, each checked to be the one that was opened first."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from titin.dataset import layout
from titin.dataset.arrow import list_arrays
from titin.dataset.manifest import Manifest
from titin.dataset.pages import Lists, UnsupportedPageError, decode_lists, find_chunk
from titin.dataset.places import LocalFolder, Mark, find_place, read_remote_manifest
from titin.errors import DatasetError, TitinError

_RESTORE = "restore it, or build the dataset again"
_GAP = 2**16  # bytes read for nothing, rather than twice
_REOPEN = "open the dataset again; nothing was mixed"


@dataclass(frozen=True, slots=True)
class RowGroup:
    """One row group of a table: where it lies, and which rows of the whole table it holds."""

    shard: str
    index: int
    first_row: int
    n_rows: int


class Store:
    """The one place that knows where a dataset lies; whatever is read of it is read through here.

    A file that is replaced after it was first read is refused, so that no answer mixes two datasets. Can be shared
    between threads, and pickled.

    Parameters
    ----------
    path
        A folder, ``hf://datasets/user/repo`` with or without ``@revision``, or any URL that fsspec opens.

    Attributes
    ----------
    manifest
        What ``titin.json`` says.

    Raises
    ------
    DatasetError
        If there is no dataset, or one of a later format.
    TitinError
        If a package is missing that the URL needs.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._place = find_place(path)
        self._marks: dict[str, Mark] = {}
        self._start()
        self.manifest = self._read_manifest()

    def _start(self) -> None:
        self._footers: dict[str, pq.FileMetaData] = {}
        self._groups: dict[str, tuple[RowGroup, ...]] = {}
        self._dtypes: dict[str, dict[str, np.dtype]] = {}
        self._lock = Lock()

    @property
    def name(self) -> str:
        """The folder or URL, as it was given."""
        return self._place.name

    @property
    def remote(self) -> bool:
        """Whether each read costs a round trip."""
        return self._place.remote

    @property
    def folder(self) -> Path:
        """The folder of a local dataset.

        Raises
        ------
        TitinError
            If the dataset lies elsewhere.
        """
        if not isinstance(self._place, LocalFolder):
            raise TitinError(f"{self.name} is no local folder", "download it first")
        return self._place.folder

    def path(self, file: str) -> str:
        """Full name of a file, for messages."""
        return self._place.path(file)

    def table(self, name: str, columns: list[str] | None = None) -> pa.Table:
        """Read a table, or some columns of it, all shards.

        Raises
        ------
        DatasetError
            If a file is missing, damaged or replaced.
        """
        parts = []
        for shard in self.manifest.shards(name):
            try:
                parts.append(self.parquet(shard).read(columns))
            except (OSError, ValueError, pa.ArrowException) as error:
                self._check_again(shard)
                raise self.damaged(shard, error) from error
            self._check_again(shard)
        return pa.concat_tables(parts)

    def column(self, name: str, column: str) -> pa.ChunkedArray:
        """Read one column of a table, all shards."""
        return self.table(name, [column]).column(0)

    def parquet(self, shard: str) -> pq.ParquetFile:
        """Open one file: a new reader each time, as they are not to be shared between threads; its footer is kept.

        Raises
        ------
        DatasetError
            If the file is missing, damaged or replaced.
        """
        try:
            footer = self._footer(shard)
            source = self._place.open(shard)
            file = pq.ParquetFile(
                source, metadata=footer, pre_buffer=self._place.remote, page_checksum_verification=True
            )
        except (OSError, pa.ArrowException) as error:
            raise self.damaged(shard, error) from error
        self._check(shard)
        return file

    def read_group(self, group: RowGroup, columns: list[str]) -> pa.Table:
        """Read some columns of a row group, in the order of the file.

        Raises
        ------
        DatasetError
            If the file is missing, damaged or replaced.
        """
        try:
            with self.parquet(group.shard) as file:
                table = file.read_row_group(group.index, columns, use_threads=False)
        except (OSError, ValueError, pa.ArrowException) as error:
            self._check_again(group.shard)
            raise self.damaged(group.shard, error) from error
        self._check_again(group.shard)
        missing = set(columns) - set(table.column_names)
        if missing:
            raise self.damaged(group.shard, ValueError(f"it has no column {', '.join(sorted(missing))}"))
        return table

    def footer(self, shard: str) -> pq.FileMetaData:
        """Return a file's footer, read once.

        Raises
        ------
        DatasetError
            If the file is missing, damaged or replaced.
        """
        try:
            return self._footer(shard)
        except (OSError, pa.ArrowException) as error:
            raise self.damaged(shard, error) from error

    def read_lists(
        self, group: RowGroup, columns: Sequence[str], out: Sequence[NDArray[Any]] | None = None
    ) -> list[Lists]:
        """Read list columns of a row group: from the pages where they are the format's own, else as pyarrow does.

        Parameters
        ----------
        out
            Where to decode each column to: an array of its `list_dtype` with room for its `elements`; new arrays where
            not given.

        Raises
        ------
        DatasetError
            If the file is missing, damaged or replaced, or has no such column.
        """
        try:
            found = self._read_pages(group, columns, out)
        except UnsupportedPageError:  # another writer has made this file of ours
            return self._read_arrow_lists(group, columns, out)
        except (OSError, ValueError, pa.ArrowException) as error:
            self._check_again(group.shard)
            raise self.damaged(group.shard, error) from error
        self._check_again(group.shard)
        return found

    def _read_pages(self, group: RowGroup, columns: Sequence[str], out: Sequence[NDArray[Any]] | None) -> list[Lists]:
        footer = self.footer(group.shard)
        chunks = [find_chunk(footer, group.index, name, self.list_dtype(group.shard, name)) for name in columns]
        if self._place.remote:
            self._check(group.shard)
        pieces = self._read_ranges(group.shard, [(chunk.offset, chunk.length) for chunk in chunks])
        rooms = [None] * len(chunks) if out is None else out
        return [decode_lists(*parts) for parts in zip(pieces, chunks, rooms, strict=True)]

    def _read_ranges(self, shard: str, ranges: Sequence[tuple[int, int]]) -> list[memoryview]:
        """Read parts of a file, in one go where they lie close together: far away, each go is a round trip."""
        first, end = min(a for a, _ in ranges), max(a + n for a, n in ranges)
        if end - first <= sum(n for _, n in ranges) + _GAP:
            whole = memoryview(self._place.read_range(shard, first, end - first))
            return [whole[a - first : a - first + n] for a, n in ranges]
        return [memoryview(self._place.read_range(shard, a, n)) for a, n in ranges]

    def _read_arrow_lists(
        self, group: RowGroup, columns: Sequence[str], out: Sequence[NDArray[Any]] | None
    ) -> list[Lists]:
        table = self.read_group(group, list(columns))
        try:
            found = [list_arrays(table.column(name)) for name in columns]
        except ValueError as error:
            raise self.damaged(group.shard, error) from error
        if out is None:
            return found
        for (_, elements), room in zip(found, out, strict=True):
            room[: len(elements)] = elements
        return [Lists(lists.indptr, room[: len(lists.elements)]) for lists, room in zip(found, out, strict=True)]

    def list_dtype(self, shard: str, column: str) -> np.dtype:
        """Return the dtype of a list column's elements; from the footer.

        Raises
        ------
        DatasetError
            If the file is missing, damaged or replaced, or has no such column.
        """
        known = self._dtypes.setdefault(shard, {})
        if column not in known:
            schema = self.footer(shard).schema.to_arrow_schema()
            if column not in schema.names or not pa.types.is_list(schema.field(column).type):
                raise self.damaged(shard, ValueError(f"it has no list column {column}"))
            known[column] = np.dtype(schema.field(column).type.value_type.to_pandas_dtype())
        return known[column]

    def check(self, shard: str) -> None:
        """Refuse a file that is no longer the one that was read first.

        Raises
        ------
        DatasetError
            If the file is missing or replaced.
        """
        self._check_again(shard)

    def row_groups(self, name: str) -> tuple[RowGroup, ...]:
        """List the row groups of a table, in order, all shards.

        Raises
        ------
        DatasetError
            If a file is missing, damaged or replaced.
        """
        if name not in self._groups:
            groups, first = [], 0
            for shard in self.manifest.shards(name):
                footer = self.parquet(shard).metadata
                for index in range(footer.num_row_groups):
                    n_rows = footer.row_group(index).num_rows
                    groups.append(RowGroup(shard, index, first, n_rows))
                    first += n_rows
            self._groups[name] = tuple(groups)
        return self._groups[name]

    def elements(self, group: RowGroup, column: str) -> int:
        """Return how many values a row group holds in a column, elements of lists included; from the footer."""
        footer = self._footer(group.shard).row_group(group.index)
        columns = (footer.column(i) for i in range(footer.num_columns))
        return sum(int(c.num_values) for c in columns if c.path_in_schema.split(".")[0] == column)

    def json(self, name: str) -> Any:
        """Read a JSON file.

        Raises
        ------
        DatasetError
            If it is missing or no JSON.
        """
        try:
            return json.loads(self._place.read(name))
        except FileNotFoundError as error:
            raise self.damaged(name, error) from error
        except (OSError, ValueError) as error:
            raise DatasetError(f"{self.path(name)} cannot be read: {error}", _RESTORE) from error

    def damaged(self, file: str, error: Exception) -> DatasetError:
        """Return the error that says that a file is missing or damaged."""
        if isinstance(error, FileNotFoundError):
            return DatasetError(f"{self.path(file)} is missing", _RESTORE)
        return DatasetError(f"{self.path(file)} is damaged: {error}", _RESTORE)

    def _read_manifest(self) -> Manifest:
        if not isinstance(self._place, LocalFolder):
            return read_remote_manifest(self._place)
        manifest = Manifest.read(self._place.folder)
        self._marks[layout.MANIFEST] = self._place.mark(layout.MANIFEST)
        return manifest

    def _footer(self, shard: str) -> pq.FileMetaData:
        """Read a footer once, and remember the file by its mark."""
        if shard in self._footers:
            return self._footers[shard]
        with self._lock:
            if shard not in self._footers:
                mark = self._place.mark(shard)
                self._check(layout.MANIFEST)
                self._check_size(shard, mark)
                if self._marks.setdefault(shard, mark) != mark:
                    raise self._replaced(shard)
                with self._place.open(shard) as source:
                    self._footers[shard] = pq.read_metadata(source)
            return self._footers[shard]

    def _check_size(self, shard: str, mark: Mark) -> None:
        expected = self.manifest.files.get(shard, {}).get("bytes")
        if expected is not None and mark and mark[0] != expected:
            raise DatasetError(
                f"{self.path(shard)} is damaged or not of this dataset: it has {mark[0]:,} bytes, "
                f"{layout.MANIFEST} says {expected:,}",
                _RESTORE,
            )

    def _check(self, file: str) -> None:
        """Refuse a file that is no longer the one that was read first."""
        if file not in self._marks:
            return
        try:
            mark = self._place.mark(file)
        except OSError as error:
            raise self.damaged(file, error) from error
        if mark != self._marks[file]:
            raise self._replaced(file)

    def _check_again(self, file: str) -> None:
        """Check after a read: it may have been written over meanwhile. Far away, that would be a round trip more."""
        if not self._place.remote:
            self._check(file)

    def _replaced(self, file: str) -> DatasetError:
        return DatasetError(f"{self.path(file)} was replaced after the dataset was opened", _REOPEN)

    def __getstate__(self) -> dict[str, Any]:
        return {"manifest": self.manifest, "_place": self._place, "_marks": self._marks}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._start()
