"""Row groups of ``expression``, decoded into a buffer of cells."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from titin.dataset import layout
from titin.dataset.arrow import list_arrays
from titin.dataset.manifest import Manifest
from titin.dataset.pages import UnsupportedPageError, find_chunk, read_lists
from titin.errors import DatasetError


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


@dataclass(frozen=True)
class _Group:
    shard: int
    index: int
    first: int
    n_cells: int


class RowGroups:
    """The row groups of a dataset's ``expression``, read and decoded in threads.

    Parameters
    ----------
    folder, manifest
        The dataset.
    levels
        Whether to read the exact values too.
    """

    def __init__(self, folder: Path, manifest: Manifest, *, levels: bool) -> None:
        self.manifest = manifest
        self._paths = [folder / name for name in manifest.shards(manifest.layout.expression)]
        self._files: list[int] = []
        self._stats: list[tuple[int, int, int]] = []
        self._metadata: list[Any] = []
        self._columns = [layout.GENES, layout.VALUES if manifest.kind == "real" else layout.COUNTS]
        if levels and manifest.kind == "log1p":
            self._columns.append(layout.LEVELS)
        self._open()
        self._dtypes = [self._dtype(name) for name in self._columns]
        self.groups: list[_Group] = []
        first = 0
        for shard, metadata in enumerate(self._metadata):
            for index in range(metadata.num_row_groups):
                n = metadata.row_group(index).num_rows
                self.groups.append(_Group(shard, index, first, n))
                first += n
        self.firsts = np.array([g.first for g in self.groups], np.int64)
        if first != manifest.n_cells:
            raise DatasetError(
                f"{folder}: the expression files hold {first:,} cells, {layout.MANIFEST} says {manifest.n_cells:,}",
                "restore the files, or build the dataset again",
            )

    def _open(self) -> None:
        for path in self._paths:
            try:
                self._files.append(os.open(path, os.O_RDONLY))
                self._metadata.append(pq.read_metadata(path))
            except FileNotFoundError:
                raise DatasetError(f"{path} is missing", "restore it, or build the dataset again") from None
            except (OSError, pa.ArrowException) as error:
                raise _damaged(path, error) from error
            self._stats.append(_identity(path))

    def _dtype(self, column: str) -> np.dtype:
        schema = self._metadata[0].schema.to_arrow_schema()
        if column not in schema.names or not pa.types.is_list(schema.field(column).type):
            raise DatasetError(f"{self._paths[0]} has no list column {column!r}", "build the dataset again")
        return np.dtype(schema.field(column).type.value_type.to_pandas_dtype())

    def close(self) -> None:
        """Close the files; safe to call twice."""
        while self._files:
            os.close(self._files.pop())

    def of_cells(self, cells: NDArray[np.int64]) -> NDArray[np.int64]:
        """Row group of each cell."""
        return np.searchsorted(self.firsts, cells, side="right") - 1

    def read(self, groups: Sequence[int], pool: ThreadPoolExecutor) -> tuple[Cells, NDArray[np.int64]]:
        """Decode some row groups.

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
            if _identity(self._paths[shard]) != self._stats[shard]:
                raise DatasetError(
                    f"{self._paths[shard]} was replaced while it was being read", "open the dataset again"
                )
        parts = list(pool.map(self._read_group, groups))
        positions = np.concatenate([np.arange(self.groups[g].first, self.groups[g].first + self.groups[g].n_cells)
                                    for g in groups])  # fmt: skip
        tokens, starts, lengths = _join([p[0] for p in parts])
        data, _, _ = _join([p[1] for p in parts])
        if len(self._columns) == 3:
            levels, level_starts, level_lengths = _join([p[2] for p in parts])
        else:
            levels = np.empty(0, np.float32)
            level_starts = level_lengths = np.zeros(len(positions), np.int64)
        return Cells(starts, lengths, level_starts, level_lengths, tokens, data, levels), positions

    def _read_group(self, number: int) -> list[tuple[NDArray[np.int64], NDArray[Any]]]:
        group = self.groups[number]
        path = self._paths[group.shard]
        try:
            lists = self._read_lists(group)
        except UnsupportedPageError:
            lists = self._read_with_pyarrow(group)
        except (OSError, ValueError) as error:
            raise _damaged(path, error) from error
        indptr = lists[0][0]
        if not np.array_equal(indptr, lists[1][0]):
            raise _damaged(path, ValueError(f"{self._columns[0]} and {self._columns[1]} differ in length"))
        return lists

    def _read_lists(self, group: _Group) -> list[tuple[NDArray[np.int64], NDArray[Any]]]:
        file = self._files[group.shard]
        found = []
        for column, dtype in zip(self._columns, self._dtypes, strict=True):
            chunk = find_chunk(self._metadata[group.shard], group.index, column, dtype)
            indptr, elements = read_lists(lambda offset, length: os.pread(file, length, offset), chunk)
            found.append((indptr, elements))
        return found

    def _read_with_pyarrow(self, group: _Group) -> list[tuple[NDArray[np.int64], NDArray[Any]]]:
        """For files that another writer has made of ours."""
        path = self._paths[group.shard]
        try:
            file = pq.ParquetFile(path, metadata=self._metadata[group.shard], pre_buffer=False)
            table = file.read_row_group(group.index, self._columns, use_threads=False)
            return [list_arrays(table.column(name)) for name in self._columns]
        except (OSError, ValueError, pa.ArrowException) as error:
            raise _damaged(path, error) from error


def _join(
    parts: Sequence[tuple[NDArray[np.int64], NDArray[Any]]],
) -> tuple[NDArray[Any], NDArray[np.int64], NDArray[np.int64]]:
    """Elements of several row groups one after another, and start and length of each cell's."""
    elements = parts[0][1] if len(parts) == 1 else np.concatenate([e for _, e in parts])
    lengths = np.concatenate([np.diff(p) for p, _ in parts])
    return elements, np.cumsum(lengths) - lengths, lengths


def _identity(path: Path) -> tuple[int, int, int]:
    try:
        info = path.stat()
    except FileNotFoundError:
        raise DatasetError(f"{path} is missing", "restore it, or build the dataset again") from None
    return info.st_ino, info.st_size, info.st_mtime_ns


def _damaged(path: Path, error: Exception) -> DatasetError:
    return DatasetError(f"{path} is damaged: {error}", "restore it, or build the dataset again")
