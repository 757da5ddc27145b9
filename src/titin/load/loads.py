"""Loads: the cells that are in memory together, read from one dataset or from several, and put together as matrices."""

import logging
import weakref
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from copy import copy
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from titin.atlas import Atlas
from titin.dataset import layout
from titin.dataset.manifest import Manifest
from titin.errors import DatasetError, TitinError
from titin.load import kernels as _kernels
from titin.load.buffers import ArrayPool, Cells, RowGroups, Space
from titin.load.cache import DamagedCacheError, DecodedCache, discard, open_cache

_TOKENS = 1 << 16
_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class LoadedDataset:
    """A dataset that a loader reads.

    Attributes
    ----------
    atlas
        With all of its genes.
    column
        int32, the loader's column of each token, -1 for none; see `columns_of_tokens`.
    mode
        Where values come from; see `mode_of`.
    first
        Position of its first cell among those of all datasets of the loader.
    rows
        int64, ascending: positions in the dataset of the cells that take part; all where None.
    spaces
        That no load is decoded into at present.
    """

    atlas: Atlas
    column: NDArray[np.int32]
    mode: int
    first: int = 0
    rows: NDArray[np.int64] | None = None
    spaces: list[Space] = field(default_factory=list)

    def reader(self, cache: bool | str | Path, pool: ThreadPoolExecutor) -> "DatasetReader":
        """A reader of its cells, which decodes in a pool of threads."""
        groups = RowGroups(self.atlas.store, levels=self.mode == _kernels.LEVELS or bool(cache))
        folder = Path(cache) if cache and cache is not True else None
        return DatasetReader(self, groups, open_cache(groups, folder, pool) if cache else None, pool)


def mode_of(manifest: Manifest, values: str) -> int:
    """Where the values of a dataset come from: its levels, the numbers stored, or their logarithms.

    Raises
    ------
    TitinError
        If it has no counts, and counts are wanted, or there are no such values.
    """
    kind = manifest.value_kind
    if values not in ("lognorm", "counts"):
        raise TitinError(f"there are no values {values!r}", "give lognorm or counts")
    if values == "counts":
        manifest.need_counts('use values="lognorm"')
    if values == "counts" or not kind.has_counts:
        return _kernels.COUNTS
    return _kernels.LOGNORM if kind.lognorm_of_counts else _kernels.LEVELS


def columns_of_tokens(atlas: Atlas, column_of: NDArray[np.int32]) -> NDArray[np.int32]:
    """Column of each token (-1: none), of as many tokens as two bytes can hold at least.

    Parameters
    ----------
    column_of
        Column of each gene in the source's order.
    """
    order = atlas.source_columns  # of each token
    columns = np.full(max(len(order), _TOKENS), -1, np.int32)
    columns[: len(order)] = column_of[order]
    return columns


@dataclass(frozen=True, eq=False)
class Held:
    """Cells of one dataset in memory, or in a cache: where they are there, and where in the dataset."""

    source: Cells
    cells: NDArray[np.int64]
    positions: NDArray[np.int64]
    reader: "DatasetReader"
    cache: DecodedCache | None = None

    def fill(
        self, chosen: slice | NDArray[np.int64], offsets: NDArray[np.int64], indices: NDArray[np.int32],
        values: NDArray[np.float32],
    ) -> None:  # fmt: skip
        """Write columns and values of some of the cells, those of each from its offset on.

        Raises
        ------
        DatasetError
            If a cell is damaged.
        DamagedCacheError
            If somebody has written to the cache meanwhile.
        """
        source, cells, dataset = self.source, self.cells[chosen], self.reader.dataset
        longest = int(source.lengths[cells].max(initial=0))
        damaged = _kernels.gather_columns(
            cells, source.starts, source.lengths, source.tokens, dataset.column, dataset.atlas.n_vars, offsets, indices
        )
        if damaged < 0:
            damaged = _kernels.gather_values(
                dataset.mode, cells, source.starts, source.lengths, source.level_starts, source.level_lengths,
                source.data, source.levels, layout.TARGET_SUM, longest, offsets, values,
            )  # fmt: skip
        if damaged >= 0:
            raise DatasetError(
                f"{dataset.atlas.store.name}: the cell at position {self.positions[chosen][damaged]} is damaged: its "
                "genes or levels do not fit", "restore the expression files, or build the dataset again",
            )  # fmt: skip
        if self.cache:
            self.cache.refuse_written()

    def read_again(self, chosen: slice | NDArray[np.int64]) -> "Held":
        """Some of the cells, from Parquet."""
        self.reader.damaged("what was read of it does not fit")
        return self.reader.from_files(self.positions[chosen])


@dataclass(frozen=True, eq=False)
class Load:
    """Cells to hand out, in their order.

    Attributes
    ----------
    obs
        A row a cell.
    held
        The cells, by dataset.
    part, place
        int64: which of ``held`` each cell is in, and as which of its cells; None where one dataset holds all of them,
        in their order.
    """

    obs: pd.DataFrame
    held: Sequence[Held]
    part: NDArray[np.int64] | None = None
    place: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.obs)

    def put_together(self, rows: slice, shape: "Shape", arrays: ArrayPool) -> "DensePiece | SparsePiece":
        """Some of the cells as a matrix, in memory of a pool.

        Raises
        ------
        DatasetError
            If a dataset is damaged.
        """
        parts = list(self._parts(rows))
        lengths = np.empty(rows.stop - rows.start, np.int64)
        for held, chosen, into in parts:
            lengths[into] = held.source.lengths[held.cells[chosen]]
        indptr = np.concatenate([[0], np.cumsum(lengths)])
        indices, values = arrays.take(int(indptr[-1]), np.int32), arrays.take(int(indptr[-1]), np.float32)
        for held, chosen, into in parts:
            offsets = indptr[:-1][into]
            try:
                held.fill(chosen, offsets, indices, values)
            except (DamagedCacheError, DatasetError):
                if not held.cache:
                    raise
                held.read_again(chosen).fill(slice(None), offsets, indices, values)
        if shape.dense:
            X = arrays.take(len(lengths) * shape.n_columns, np.float32).reshape(len(lengths), shape.n_columns)
            _kernels.scatter_dense(indptr, indices, values, X)
            return DensePiece(X)
        if shape.subset:
            _kernels.keep_columns(indptr, indices, values)
        return SparsePiece(indptr, indices, values, shape.n_columns)

    def _parts(self, rows: slice) -> Iterator[tuple[Held, slice | NDArray[np.int64], slice | NDArray[np.int64]]]:
        """What holds some of the cells: which of its cells, and as which of the rows."""
        if self.part is None or self.place is None:
            yield self.held[0], rows, slice(None)
            return
        part, place = self.part[rows], self.place[rows]
        for number, held in enumerate(self.held):
            into = np.flatnonzero(part == number)
            if len(into):
                yield held, place[into], into


class Shape(NamedTuple):
    """What matrices are to be: how many columns, whether some genes have none, dense or CSR."""

    n_columns: int
    subset: bool
    dense: bool


class DensePiece(NamedTuple):
    """Some cells as an array."""

    X: NDArray[np.float32]

    def cut(self, start: int, stop: int) -> NDArray[np.float32]:
        """Some rows."""
        return self.X[start:stop]


class SparsePiece(NamedTuple):
    """Some cells as the arrays of a CSR matrix."""

    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    values: NDArray[np.float32]
    n_columns: int

    def cut(self, start: int, stop: int) -> sparse.csr_matrix:
        """Some rows."""
        first, last = self.indptr[start], self.indptr[stop]
        X = copy(_empty(stop - start, self.n_columns))
        X.data, X.indices = self.values[first:last], self.indices[first:last]
        X.indptr = (self.indptr[start : stop + 1] - first).astype(np.int32)
        return X


@lru_cache(16)
def _empty(n_rows: int, n_columns: int) -> sparse.csr_matrix:
    """A matrix to copy: scipy takes longer to make one than all else that a batch takes."""
    return sparse.csr_matrix((n_rows, n_columns), dtype=np.float32)


class LoadReader:
    """Reads loads, of one dataset or of several.

    Parameters
    ----------
    datasets
        In the order of their cells.
    obs
        A row for each cell of all.
    cache, pool
        As for `LoadedDataset.reader`.
    """

    def __init__(
        self, datasets: Sequence[LoadedDataset], obs: pd.DataFrame, cache: bool | str | Path, pool: ThreadPoolExecutor
    ) -> None:
        self._readers = [dataset.reader(cache, pool) for dataset in datasets]
        self._datasets = datasets
        self._firsts = np.array([dataset.first for dataset in datasets], np.int64)
        self._obs = obs
        self._open = ExitStack()

    def __call__(self, positions: NDArray[np.int64]) -> Load:
        """Read cells by their positions among those of all datasets."""
        obs = self._obs.take(positions)
        if len(self._readers) == 1:
            return Load(obs, [self._readers[0](positions)])
        dataset = np.searchsorted(self._firsts, positions, side="right") - 1
        part, place, held = np.empty_like(positions), np.empty_like(positions), list[Held]()
        for number in np.unique(dataset).tolist():
            own = np.flatnonzero(dataset == number)
            part[own], place[own] = len(held), np.arange(len(own))
            rows, local = self._datasets[number].rows, positions[own] - self._firsts[number]
            held.append(self._readers[number](local if rows is None else rows[local]))
        return Load(obs, held, part, place)

    def __enter__(self) -> "LoadReader":
        for reader in self._readers:
            self._open.enter_context(reader)
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()


class DatasetReader:
    """Reads cells of a dataset: from the cache, where there is one; from Parquet else, and once the cache is damaged.

    They are read into a space of their own, one of the idle, which is given back once nobody holds them: how many loads
    are being cut at a time depends on how small they are, and on the threads.
    """

    def __init__(
        self, dataset: LoadedDataset, groups: RowGroups, cache: DecodedCache | None, pool: ThreadPoolExecutor
    ) -> None:
        self.dataset = dataset
        self._groups, self._cache, self._pool = groups, cache, pool
        self._discarded: DecodedCache | None = None

    def __call__(self, positions: NDArray[np.int64]) -> Held:
        """Read cells by their positions in the dataset."""
        cache = self._cache
        if cache:
            try:
                cache.check(positions)
            except DamagedCacheError as error:
                self.damaged(error)
            else:
                return Held(cache.cells, positions, positions, self, cache)
        return self.from_files(positions)

    def from_files(self, positions: NDArray[np.int64]) -> Held:
        """Read cells from Parquet."""
        idle = self.dataset.spaces
        try:
            space = idle.pop()
        except IndexError:
            space = Space()
        cells, places = self._groups.read_cells(positions, self._pool, space)
        found = Held(cells, places, positions, self)
        weakref.finalize(found, idle.append, space).atexit = False
        return found

    def damaged(self, why: object) -> None:
        """Take nothing more from the cache, and say so."""
        if self._cache:
            _log.warning("the cache %s is damaged, and made again next time: %s", self._cache.folder, why)
            self._discarded, self._cache = self._cache, None

    def __enter__(self) -> "DatasetReader":
        return self

    def __exit__(self, *_: object) -> None:
        """Remove a damaged cache, now that nothing more is taken from it."""
        if self._discarded:
            discard(self._discarded)
