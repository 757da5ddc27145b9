"""The columns of obs that go with a batch, looked up when asked for."""

import logging
import weakref
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from titin.atlas import Atlas, AtlasView, open_atlas
from titin.dataset import layout
from titin.dataset.manifest import Manifest
from titin.errors import DatasetError, TitinError
from titin.load import kernels as _kernels
from titin.load.buffers import ArrayPool, Cells, RowGroups, Space
from titin.load.cache import DamagedCacheError, DecodedCache, discard, open_cache
from titin.load.samplers import BUFFER_CELLS, BlockShuffleSampler, Sampler, SequentialSampler
from titin.parallel import ordered_map, read_ahead
from titin.resources import available_threads
from titin.study.design import Study
from titin.study.roles import role_columns


class Obs(Mapping[str, pd.Series]):
    """obs of one batch: ``obs["cell_type"]`` is a Series, ``obs.to_frame()`` the data frame.

    Cutting a data frame for every batch takes longer than making the batch; so a column is cut when it is asked for.

    Attributes
    ----------
    index
        Names of the cells.
    columns
        Names of the columns.
    """

    def __init__(self, frame: pd.DataFrame, rows: slice) -> None:
        self._frame, self._rows = frame, rows

    def __reduce__(self) -> tuple[type["Obs"], tuple[pd.DataFrame, slice]]:
        """Without the cells of other batches."""
        return Obs, (self.to_frame(), slice(None))

    def __getitem__(self, column: str) -> pd.Series:
        return self._frame[column].iloc[self._rows]

    def __iter__(self) -> Iterator[str]:
        return iter(self._frame.columns)

    def __len__(self) -> int:
        """Number of columns, as of any mapping."""
        return len(self._frame.columns)

    @property
    def index(self) -> pd.Index:
        """Names of the cells."""
        return self._frame.index[self._rows]

    @property
    def columns(self) -> pd.Index:
        """Names of the columns."""
        return self._frame.columns

    def to_frame(self) -> pd.DataFrame:
        """All columns, a row a cell."""
        return self._frame.iloc[self._rows]

    def __repr__(self) -> str:
        return repr(self.to_frame())

    def _ipython_key_completions_(self) -> list[str]:
        return self.columns.tolist()


_log = logging.getLogger(__name__)
_TOKENS = 1 << 16
_PIECE_CELLS = 1024  # put together by one thread at a time


class Batch(NamedTuple):
    """Some cells: ``for X, obs in loader``.

    Attributes
    ----------
    X
        Cells × genes: `scipy.sparse.csr_matrix`, or a numpy array with ``dense``; float32.
    obs
        Their columns of obs, each a Series when asked for; ``obs.to_frame()`` is the data frame.
    """

    X: Any
    obs: Obs


class Loader:
    """Iterate over minibatches of a dataset.

    One epoch runs so: (1) the sampler plans loads, each the cells to hold in memory together; (2) a thread reads the
    load after the current one, its row groups decoded by a pool of threads; (3) the pool cuts batches out of the
    current load, looking every value up, while the caller works on those that are ready. Memory follows
    ``buffer_cells``. An exception in any thread is raised here; leaving the loop stops them all.

    Parameters
    ----------
    atlas
        A dataset: `titin.Atlas`, a part of one (``atlas[cells, genes]``), or what `titin.open` takes.
    batch_size
        Cells of a batch.
    shuffle
        Shuffle the cells, with ``seed`` and the epoch; else the dataset's order.
    sampler
        Plans epochs instead: a `titin.load.Sampler`. ``shuffle``, ``cells``, ``donors`` and ``seed`` must then be left
        alone.
    cells
        Which cells: positions, a mask, or names of cells.
    donors
        Which donors' cells; with ``cells`` too, the cells that are in both.
    genes
        Which genes, by symbol or id, in this order; all where not given, in the source's order. What a study of several
        did not measure comes as zeros: ``genes=list(atlas.comparable().var_names)`` are those that all measured. The
        column indices of a CSR batch need not be ascending.
    values
        ``lognorm``: the source's own values, exactly, or log1p(10,000 × count / total) where it holds counts, or
        normalised values that are not logged;
        ``counts``: the integer counts.
    obs
        Columns of obs to hand out; those with a role where not given.
    dense
        Give numpy arrays instead of CSR.
    drop_last
        Leave out the last batch if it is not full.
    seed
        Of the order.
    buffer_cells
        Cells in memory at a time; twice as many while the next load is read.
    threads
        That decode and cut batches; all processors where not given.
    cache
        True or a folder: decode the dataset once into memory-mapped files (about 4 bytes a non-zero) and read those.

    Attributes
    ----------
    obs
        DataFrame of every cell in the dataset's order: the columns that are handed out.

    Examples
    --------
    >>> loader = Loader("dataset", batch_size=512)  # doctest: +SKIP
    >>> for epoch in range(10):  # doctest: +SKIP
    ...     loader.set_epoch(epoch)
    ...     for X, obs in loader:
    ...         model.partial_fit(X, obs["cell_type"], classes=classes)
    """

    def __init__(
        self,
        atlas: Atlas | AtlasView | str | Path,
        batch_size: int = 256,
        *,
        shuffle: bool = True,
        sampler: Sampler | None = None,
        cells: ArrayLike | None = None,
        donors: Sequence[Any] | None = None,
        genes: Sequence[str] | None = None,
        values: Literal["lognorm", "counts"] = "lognorm",
        obs: Sequence[str] | None = None,
        dense: bool = False,
        drop_last: bool = False,
        seed: int = 0,
        buffer_cells: int = BUFFER_CELLS,
        threads: int | None = None,
        cache: bool | str | Path = False,
    ) -> None:
        if batch_size < 1:
            raise TitinError(f"a batch of {batch_size} cells", "give batch_size 1 or more")
        if isinstance(atlas, AtlasView):
            cells, genes, atlas = _within(atlas, cells, genes)
        self.atlas = atlas if isinstance(atlas, Atlas) else open_atlas(atlas)
        if self.atlas.whole is not self.atlas:  # blocks are decoded with all of their genes
            genes = self.atlas.var_names.tolist() if genes is None else genes
            self.atlas = self.atlas.whole
        self.batch_size, self.drop_last, self.dense, self.values = batch_size, drop_last, dense, values
        self.threads = threads or available_threads()
        self._mode = _mode(self.atlas.manifest, values)
        self._cache = cache
        self._column, self.genes = _columns(self.atlas, genes)
        self._subset = genes is not None
        self._arrays, self._spaces = ArrayPool(), list[Space]()
        self.obs = _handed_out(self.atlas, obs)
        if sampler is None:
            chosen = _choose_cells(self.atlas, cells, donors)
            sampler = (
                BlockShuffleSampler(chosen, buffer_cells=buffer_cells, seed=seed)
                if shuffle
                else SequentialSampler(chosen, buffer_cells=buffer_cells)
            )
        elif cells is not None or donors is not None:
            raise TitinError("cells and donors are the sampler's to choose", "give them to the sampler, or no sampler")
        elif sampler.names is not None and not sampler.names.equals(self.atlas.obs_names):
            raise TitinError(
                "the sampler was made of labels of other cells, or of these in another order",
                "give it columns in the dataset's order: atlas.cell_columns(…)",
            )
        self.sampler = sampler
        self._epoch = self._begin = self._handed_out = 0

    def __len__(self) -> int:
        """Number of batches of an epoch."""
        full, rest = divmod(len(self.sampler), self.batch_size)
        return full + (rest > 0 and not self.drop_last)

    def __repr__(self) -> str:
        kind = "counts" if self._mode == _kernels.COUNTS else "values"
        form = "numpy" if self.dense else "CSR"
        return (f"Loader of {len(self.sampler):,} cells × {len(self.genes):,} genes: {len(self):,} batches of "
                f"{self.batch_size:,}, {kind}, {form}, {self.sampler.__class__.__name__}")  # fmt: skip

    def _repr_html_(self) -> str:
        from titin.html import notebook

        return notebook(repr(self), [("obs", [str(name) for name in self.obs.columns])])

    def set_epoch(self, epoch: int) -> None:
        """Begin this epoch from its first batch when iterated over next; the order of cells depends on it."""
        self._epoch, self._begin = epoch, 0

    def state_dict(self) -> dict[str, int]:
        """Where the epoch is: the batches handed out so far, for `load_state_dict`."""
        return {"epoch": self._epoch, "batches": self._handed_out, "batch_size": self.batch_size}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on after the batches that had been handed out when ``state`` was taken.

        Raises
        ------
        TitinError
            If it was taken with another batch size.
        """
        if state["batch_size"] != self.batch_size:
            raise TitinError(
                f"the state is of batches of {state['batch_size']} cells, not {self.batch_size}",
                "make the loader with the same batch_size",
            )
        self._epoch, self._begin = state["epoch"], state["batches"]
        self._handed_out = self._begin

    def __iter__(self) -> Iterator[Batch]:
        """Hand out the batches of the current epoch; the next iteration hands out those of the next."""
        first, self._begin = self._begin, 0
        self._handed_out = first
        with ThreadPoolExecutor(self.threads, thread_name_prefix="titin-decode") as pool, self._reader(pool) as reader:
            loads = read_ahead(map(reader, self._plan(first)))
            with closing(loads), closing(self._cut(loads)) as batches:
                for batch in batches:
                    self._handed_out += 1
                    yield batch
        self._epoch += 1
        self._handed_out = 0

    def _plan(self, first: int) -> Iterator[NDArray[np.int64]]:
        """The epoch's loads, without the cells of its ``first`` batches."""
        skip = first * self.batch_size
        for load in self.sampler.loads(self._epoch):
            if skip < len(load):
                yield load[skip:]
            skip = max(0, skip - len(load))

    def _reader(self, pool: ThreadPoolExecutor) -> "_LoadReader":
        exact = self._mode == _kernels.LEVELS
        groups = RowGroups(self.atlas.store, levels=exact or bool(self._cache))
        folder = Path(self._cache) if self._cache and self._cache is not True else None
        cache = open_cache(groups, folder, pool) if self._cache else None
        return _LoadReader(groups, cache, pool, self.obs, self._spaces)

    def _cut(self, loads: Iterator["_Load"]) -> Generator[Batch, None, None]:
        """Put loads together piece by piece, some pieces ahead, and cut batches from the pieces."""
        begun: list[Batch] = []  # parts of a batch that goes on in the next load
        for load, rows, matrix in ordered_map(self._gather, self._pieces(loads), self.threads):
            for start in range(0, rows.stop - rows.start, self.batch_size):
                stop = min(start + self.batch_size, rows.stop - rows.start)
                part = Batch(matrix.cut(start, stop), Obs(load.obs, slice(rows.start + start, rows.start + stop)))
                if not begun and stop - start == self.batch_size:
                    yield part
                    continue
                begun.append(part)
                if sum(part.X.shape[0] for part in begun) == self.batch_size:
                    yield _join(begun)
                    begun = []
        if begun and not self.drop_last:
            yield _join(begun)

    def _pieces(self, loads: Iterator["_Load"]) -> Iterator[tuple["_Load", slice]]:
        """Rows of loads: first those that the last load's last batch lacks, then some whole batches at a time."""
        size = max(1, _PIECE_CELLS // self.batch_size) * self.batch_size
        lacking = 0
        for load in loads:
            n = len(load.cells)
            first = min(lacking, n)
            if first:
                yield load, slice(0, first)
            for start in range(first, n, size):
                yield load, slice(start, min(start + size, n))
            lacking = (lacking - n) % self.batch_size

    def _gather(self, piece: tuple["_Load", slice]) -> tuple["_Load", slice, "_Dense | _Sparse"]:
        load, rows = piece
        try:
            matrix = self._put_together(load, rows)
            load.refuse_written()
        except (DamagedCacheError, DatasetError):
            if not load.cache:
                raise
            again = load.read_again(rows)
            matrix = self._put_together(again, slice(None))
        return load, rows, matrix

    def _put_together(self, load: "_Load", rows: slice) -> "_Dense | _Sparse":
        source, cells = load.source, load.cells[rows]
        lengths = source.lengths[cells]
        size, longest = int(lengths.sum()), int(lengths.max(initial=0))
        indptr = np.empty(len(cells) + 1, np.int64)
        indices, values = self._arrays.take(size, np.int32), self._arrays.take(size, np.float32)
        damaged = _kernels.gather_columns(
            cells, source.starts, source.lengths, source.tokens, self._column, self.atlas.n_vars, indptr, indices
        )
        if damaged < 0:
            damaged = _kernels.gather_values(
                self._mode, cells, source.starts, source.lengths, source.level_starts, source.level_lengths,
                source.data, source.levels, layout.TARGET_SUM, longest, values,
            )  # fmt: skip
        if damaged >= 0:
            raise DatasetError(
                f"{self.atlas.store.name}: the cell at position {load.positions[rows][damaged]} is damaged: its genes "
                "or levels do not fit", "restore the expression files, or build the dataset again",
            )  # fmt: skip
        if self.dense:
            X = self._arrays.take(len(cells) * len(self.genes), np.float32).reshape(len(cells), len(self.genes))
            _kernels.scatter_dense(indptr, indices, values, X)
            return _Dense(X)
        if self._subset:
            _kernels.keep_columns(indptr, indices, values)
        return _Sparse(indptr, indices, values, len(self.genes))


class _Dense(NamedTuple):
    """A piece as an array."""

    X: NDArray[np.float32]

    def cut(self, start: int, stop: int) -> NDArray[np.float32]:
        return self.X[start:stop]


class _Sparse(NamedTuple):
    """A piece as the arrays of a CSR matrix."""

    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    values: NDArray[np.float32]
    n_columns: int

    def cut(self, start: int, stop: int) -> sparse.csr_matrix:
        first, last = self.indptr[start], self.indptr[stop]
        X = sparse.csr_matrix((stop - start, self.n_columns), dtype=np.float32)
        X.data, X.indices = self.values[first:last], self.indices[first:last]
        X.indptr = (self.indptr[start : stop + 1] - first).astype(np.int32)
        return X


def _join(parts: list[Batch]) -> Batch:
    """One batch of parts from several loads."""
    if len(parts) == 1:
        return parts[0]
    frame = pd.concat([part.obs.to_frame() for part in parts])
    matrices = [part.X for part in parts]
    X = sparse.vstack(matrices, format="csr") if sparse.issparse(matrices[0]) else np.concatenate(matrices)
    return Batch(X, Obs(frame, slice(0, len(frame))))


@dataclass(frozen=True, eq=False)
class _Load:
    """Cells in memory, or in a cache, and those to hand out: where they are, where in the dataset, and their obs."""

    source: Cells
    cells: NDArray[np.int64]
    positions: NDArray[np.int64]
    obs: pd.DataFrame
    reader: "_LoadReader"
    cache: DecodedCache | None = None

    def refuse_written(self) -> None:
        """Refuse a cache that somebody has written to meanwhile."""
        if self.cache:
            self.cache.refuse_written()

    def read_again(self, rows: slice) -> "_Load":
        """Some of the cells, from Parquet."""
        self.reader.damaged("what was read of it does not fit")
        return self.reader.from_files(self.positions[rows])


class _LoadReader:
    """Reads loads: from the cache, where there is one; from Parquet else, and once the cache is found damaged.

    Each load is read into a space of its own, one of the ``idle``, and gives it back once nobody holds the load: how
    many are being cut at a time depends on how small they are, and on the threads.
    """

    def __init__(
        self, groups: RowGroups, cache: DecodedCache | None, pool: ThreadPoolExecutor, obs: pd.DataFrame,
        idle: list[Space],
    ) -> None:  # fmt: skip
        self._groups, self._cache, self._pool, self._obs, self._idle = groups, cache, pool, obs, idle
        self._discarded: DecodedCache | None = None

    def __call__(self, positions: NDArray[np.int64]) -> _Load:
        cache = self._cache
        if cache:
            try:
                cache.check(positions)
            except DamagedCacheError as error:
                self.damaged(error)
            else:
                return _Load(cache.cells, positions, positions, self._obs.take(positions), self, cache)
        return self.from_files(positions)

    def from_files(self, positions: NDArray[np.int64]) -> _Load:
        """Read cells from Parquet."""
        try:
            space = self._idle.pop()
        except IndexError:
            space = Space()
        numbers = np.unique(self._groups.of_cells(positions)).tolist()
        cells, held = self._groups.read(numbers, self._pool, space)
        load = _Load(cells, np.searchsorted(held, positions), positions, self._obs.take(positions), self)
        weakref.finalize(load, self._idle.append, space).atexit = False
        return load

    def damaged(self, why: object) -> None:
        """Take nothing more from the cache, and say so."""
        if self._cache:
            _log.warning("the cache %s is damaged, and made again next time: %s", self._cache.folder, why)
            self._discarded, self._cache = self._cache, None

    def __enter__(self) -> "_LoadReader":
        return self

    def __exit__(self, *_: object) -> None:
        """Remove a damaged cache, now that nothing more is taken from it."""
        if self._discarded:
            discard(self._discarded)


def _mode(manifest: Manifest, values: str) -> int:
    kind = manifest.value_kind
    if values not in ("lognorm", "counts"):
        raise TitinError(f"there are no values {values!r}", "give lognorm or counts")
    if values == "counts" and not kind.has_counts:
        raise TitinError(f"this dataset has no counts: {manifest.why_no_counts}", 'use values="lognorm"')
    if values == "counts" or not kind.has_counts:
        return _kernels.COUNTS
    return _kernels.LOGNORM if kind.lognorm_of_counts else _kernels.LEVELS


def _columns(atlas: Atlas, genes: Sequence[str] | None) -> tuple[NDArray[np.int32], pd.Index]:
    """Column of each token (-1: none), of as many as two bytes can hold at least, and the names of the columns."""
    order = atlas.source_columns  # of each token
    columns = np.full(max(len(order), _TOKENS), -1, np.int32)
    if genes is None:
        columns[: len(order)] = order
        return columns, atlas.var_names
    wanted = atlas.gene_positions(genes)
    if len(np.unique(wanted)) != len(wanted):
        raise TitinError("genes names a gene twice", "name each gene once")
    column = np.full(len(order), -1, np.int32)
    column[wanted] = np.arange(len(wanted), dtype=np.int32)
    columns[: len(order)] = column[order]
    return columns, pd.Index(genes)


def _within(
    part: AtlasView, cells: ArrayLike | None, genes: Sequence[str] | None
) -> tuple[ArrayLike | None, Sequence[str] | None, Atlas]:
    """Cells, as positions, and genes of a part of an atlas, or those chosen of it; and the whole."""
    if genes is None and part.columns is not None:
        genes = part.var_names.tolist()
    elif genes is not None:
        part[:0, list(genes)]  # refuses what is not in the part
    rows = part.rows if cells is None else part.cell_positions(cells)
    return rows, genes, part.atlas


def _handed_out(atlas: Atlas, columns: Sequence[str] | None) -> pd.DataFrame:
    """The columns of obs that are named, or those with a role."""
    if columns is None:
        wanted = {*role_columns(atlas.roles), *atlas.cells.derived_names.values()}
        columns = [c for c in atlas.obs.columns if c in wanted]
    return atlas.cell_columns(columns)


def _choose_cells(atlas: Atlas, cells: ArrayLike | None, donors: Sequence[Any] | None) -> NDArray[np.int64]:
    chosen = np.arange(atlas.n_obs) if cells is None else np.asarray(atlas.cell_positions(cells), np.int64)
    if cells is not None and len(np.unique(chosen)) != len(chosen):
        raise TitinError("cells names a cell twice", "name each cell once, or give a sampler")
    if donors is None:
        return chosen
    column = atlas.roles.get("donor")
    if column is None:
        raise TitinError("the dataset has no donor column", "build it with --donor COLUMN, or give cells")
    of_cell = Study.of(atlas).values("donor").astype("string").fillna("").to_numpy(object)
    wanted = {str(d) for d in donors}
    known = set(of_cell) - {""}  # of cells without a donor
    if unknown := sorted(wanted - known):
        raise TitinError(f"there is no donor {unknown[0]!r}", f"donors: {', '.join(sorted(known))}")
    return chosen[np.isin(of_cell[chosen], list(wanted))]
