"""Minibatches of cells for training, from Parquet or from a decoded cache."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from titin.atlas import Atlas, open_atlas
from titin.errors import DatasetError, TitinError
from titin.load import _kernels
from titin.load._cache import open_cache
from titin.load._groups import Cells, RowGroups
from titin.load.samplers import BUFFER_CELLS, BlockShuffleSampler, Sampler, SequentialSampler
from titin.parallel import ordered_map, read_ahead
from titin.resources import available_threads

TARGET_SUM = 1e4


class Batch(NamedTuple):
    """Some cells: ``for X, obs in loader``.

    Attributes
    ----------
    X
        Cells × genes: `scipy.sparse.csr_matrix`, or a numpy array with ``dense``; float32.
    obs
        Their columns of obs; the index is ``cell_id``.
    """

    X: Any
    obs: pd.DataFrame


class Loader:
    """Iterate over minibatches of a dataset.

    One epoch runs so: (1) the sampler plans loads, each the cells to hold in memory together; (2) a thread reads the
    load after the current one, its row groups decoded by a pool of threads; (3) the pool cuts batches out of the
    current load, looking every value up, while the caller works on those that are ready. Memory follows
    ``buffer_cells``. An exception in any thread is raised here; leaving the loop stops them all.

    Parameters
    ----------
    atlas
        A dataset: `titin.Atlas`, or what `titin.open` takes.
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
        Which genes, by symbol or id, in this order; all where not given, in the source's order. The column indices of
        a CSR batch need not be ascending.
    values
        ``lognorm``: the source's own values, exactly, or log1p(10,000 × count / total) where it holds counts;
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

    Examples
    --------
    >>> loader = Loader("skeletal_muscle_10x", batch_size=512)  # doctest: +SKIP
    >>> for epoch in range(10):  # doctest: +SKIP
    ...     loader.set_epoch(epoch)
    ...     for X, obs in loader:
    ...         model.partial_fit(X, obs["annotation_level0"], classes=classes)
    """

    def __init__(
        self,
        atlas: Atlas | str | Path,
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
        self.atlas = atlas if isinstance(atlas, Atlas) else open_atlas(atlas)
        self.batch_size, self.drop_last, self.dense = batch_size, drop_last, dense
        self.threads = threads or available_threads()
        self._mode = _mode(self.atlas.kind, values)
        self._cache = cache
        self._column, self.genes = _columns(self.atlas, genes)
        self._obs = _obs(self.atlas, obs)
        if sampler is None:
            chosen = _choose_cells(self.atlas, cells, donors)
            sampler = (
                BlockShuffleSampler(chosen, buffer_cells=buffer_cells, seed=seed)
                if shuffle
                else SequentialSampler(chosen, buffer_cells=buffer_cells)
            )
        elif cells is not None or donors is not None:
            raise TitinError("cells and donors are the sampler's to choose", "give them to the sampler, or no sampler")
        self.sampler = sampler
        self._epoch = self._begin = self._handed_out = 0

    def __len__(self) -> int:
        """Number of batches of an epoch."""
        full, rest = divmod(len(self.sampler), self.batch_size)
        return full + (rest > 0 and not self.drop_last)

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
            try:
                for batch in self._cut(loads):
                    self._handed_out += 1
                    yield batch
            finally:
                loads.close()
        self._epoch += 1
        self._handed_out = 0

    def _plan(self, first: int) -> Iterator[NDArray[np.int64]]:
        """The epoch's loads as whole batches, from the ``first`` batch on; the last holds what is left."""
        skip = first * self.batch_size
        rest = np.empty(0, np.int64)
        for load in self.sampler.loads(self._epoch):
            if skip >= len(load):
                skip -= len(load)
                continue
            load, skip = load[skip:], 0
            joined = np.concatenate([rest, load]) if len(rest) else load
            whole = len(joined) // self.batch_size * self.batch_size
            rest = joined[whole:]
            if whole:
                yield joined[:whole]
        if len(rest) and not self.drop_last:
            yield rest

    def _reader(self, pool: ThreadPoolExecutor) -> "_FileReader | _CacheReader":
        exact = self._mode == _kernels.LEVELS
        groups = RowGroups(self.atlas.folder, self.atlas.manifest, levels=exact or bool(self._cache))
        if not self._cache:
            return _FileReader(groups, pool)
        folder = None if self._cache is True else Path(self._cache)
        return _CacheReader(groups, open_cache(groups, folder, pool))

    def _cut(self, loads: Iterator["_Load"]) -> Iterator[Batch]:
        """Cut loads into batches, some batches ahead; never two loads' batches at once."""
        for load in loads:
            starts = range(0, len(load.cells), self.batch_size)
            parts = [(load, load.cells[a : a + self.batch_size], load.positions[a : a + self.batch_size]) for a in starts]
            yield from ordered_map(self._make_batch, parts, self.threads)

    def _make_batch(self, part: tuple["_Load", NDArray[np.int64], NDArray[np.int64]]) -> Batch:
        load, cells, positions = part
        source = load.source
        lengths = source.lengths[cells]
        size = int(lengths.sum())
        indptr = np.empty(len(cells) + 1, np.int32)
        indices, values = np.empty(size, np.int32), np.empty(size, np.float32)
        n = _kernels.gather_csr(
            self._mode, cells, source.starts, source.lengths, source.level_starts, source.level_lengths, source.tokens,
            source.data, source.levels, TARGET_SUM, self._column, int(lengths.max(initial=0)), indptr, indices, values,
        )  # fmt: skip
        if n < 0:
            raise DatasetError(
                f"{self.atlas.folder}: the cell at position {positions[-1 - n]} is damaged: its levels or genes do not "
                "fit", "restore the expression files, or build the dataset again",
            )  # fmt: skip
        shape = (len(cells), len(self.genes))
        if self.dense:
            X = np.empty(shape, np.float32)
            _kernels.scatter_dense(indptr, indices[:n], values[:n], X)
        else:
            X = sparse.csr_matrix(shape, dtype=np.float32)
            X.data, X.indices, X.indptr = values[:n], indices[:n], indptr
        return Batch(X, self._obs.take(positions))


class _Load(NamedTuple):
    """Cells in memory, and those of them to hand out: where in memory, and where in the dataset."""

    source: Cells
    cells: NDArray[np.int64]
    positions: NDArray[np.int64]


class _FileReader:
    """Reads loads from Parquet."""

    def __init__(self, groups: RowGroups, pool: ThreadPoolExecutor) -> None:
        self._groups, self._pool = groups, pool

    def __call__(self, positions: NDArray[np.int64]) -> _Load:
        numbers = np.unique(self._groups.of_cells(positions))
        cells, held = self._groups.read(numbers.tolist(), self._pool)
        return _Load(cells, np.searchsorted(held, positions), positions)

    def __enter__(self) -> "_FileReader":
        return self

    def __exit__(self, *_: object) -> None:
        self._groups.close()


class _CacheReader:
    """Takes loads from memory-mapped arrays."""

    def __init__(self, groups: RowGroups, cells: Cells) -> None:
        groups.close()
        self._cells = cells

    def __call__(self, positions: NDArray[np.int64]) -> _Load:
        return _Load(self._cells, positions, positions)

    def __enter__(self) -> "_CacheReader":
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the maps to the garbage collector: batches may still refer to nothing of them."""


def _mode(kind: str, values: str) -> int:
    if values not in ("lognorm", "counts"):
        raise TitinError(f"there are no values {values!r}", "give lognorm or counts")
    if values == "counts" and kind == "real":
        raise TitinError("this dataset has no counts: no integers lie behind its source's values", 'use values="lognorm"')
    if values == "counts" or kind == "real":
        return _kernels.COUNTS
    return _kernels.LEVELS if kind == "log1p" else _kernels.LOGNORM


def _columns(atlas: Atlas, genes: Sequence[str] | None) -> tuple[NDArray[np.int32], pd.Index]:
    """Column of each token (-1: none), and the names of the columns."""
    order = atlas.source_columns  # of each token
    if genes is None:
        return order.astype(np.int32), atlas.var_names
    wanted = atlas.gene_positions(genes)
    if len(np.unique(wanted)) != len(wanted):
        raise TitinError("genes names a gene twice", "name each gene once")
    column = np.full(len(order), -1, np.int32)
    column[wanted] = np.arange(len(wanted), dtype=np.int32)
    return column[order], pd.Index(genes)


def _obs(atlas: Atlas, columns: Sequence[str] | None) -> pd.DataFrame:
    frame = atlas.obs
    if columns is None:
        wanted = [c for role in atlas.roles.values() for c in (role if isinstance(role, list) else [role]) if c is not None]
        columns = [c for c in frame.columns if c in wanted or c in ("age_numeric", "age_years")]
    missing = [c for c in columns if c not in frame.columns]
    if missing:
        raise TitinError(f"obs has no column {missing[0]!r}", f"columns of obs: {', '.join(map(str, frame.columns))}")
    return frame[list(columns)]


def _choose_cells(atlas: Atlas, cells: ArrayLike | None, donors: Sequence[Any] | None) -> NDArray[np.int64]:
    chosen = np.arange(atlas.n_obs) if cells is None else np.asarray(atlas.cell_positions(cells), np.int64)
    if len(np.unique(chosen)) != len(chosen):
        raise TitinError("cells names a cell twice", "name each cell once, or give a sampler")
    if donors is None:
        return chosen
    column = atlas.roles.get("donor")
    if column is None:
        raise TitinError("the dataset has no donor column", "build it with --donor COLUMN, or give cells")
    of_cell = atlas.obs[column].astype(str).to_numpy()
    wanted = {str(d) for d in donors}
    if unknown := sorted(wanted - set(of_cell)):
        raise TitinError(f"there is no donor {unknown[0]!r}", f"donors: {', '.join(sorted(set(of_cell)))}")
    return chosen[np.isin(of_cell[chosen], list(wanted))]
