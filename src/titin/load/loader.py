"""Minibatches of one dataset, or of several: the loader."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeGuard
from zlib import crc32

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from titin.atlas import Atlas, AtlasView, open_atlas
from titin.errors import TitinError
from titin.load import kernels as _kernels
from titin.load.batch import Batch, Obs, join_batches
from titin.load.buffers import ArrayPool
from titin.load.loads import (
    DensePiece,
    Load,
    LoadedDataset,
    LoadReader,
    Shape,
    SparsePiece,
    columns_of_tokens,
    mode_of,
)
from titin.load.samplers import (
    BLOCK_CELLS,
    BUFFER_CELLS,
    BlockShuffleSampler,
    Sampler,
    SequentialSampler,
    StudySampler,
    Weights,
)
from titin.load.studies import Studies, study_of
from titin.load.study_members import Dataset
from titin.parallel import map_ahead, ordered_map
from titin.resources import available_threads
from titin.study.roles import role_columns

_LOADS = 2  # that are read at the same time: where one ends, not all threads have something of it to do
_FAR_THREADS = 16  # of reading far away, where each waits for a round trip
_FAR_LOADS, _FAR_CELLS = 4, 32_768  # that are read at the same time there, and their cells: about 200 MB decoded
_PIECE_CELLS = 1024  # put together by one thread at a time


class Loader:
    """Iterate over minibatches of a dataset, or of several as one.

    One epoch runs so: (1) the sampler plans loads, each the cells to hold in memory together; (2) the two loads after
    the current one are read, their row groups decoded by a pool of threads; (3) others cut batches out of the current
    load, looking every value up, while the caller works on those that are ready. Memory follows
    ``buffer_cells``. An exception in any thread is raised here; leaving the loop stops them all.

    Parameters
    ----------
    atlas
        A dataset: `titin.Atlas`, a part of one (``atlas[cells, genes]``), or what `titin.open` takes. Or several: a
        sequence of these, a dict by name, or `titin.load.Studies`, which says how they are joined. Positions of cells
        then count over all, and obs says of which ``study`` each is.
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
        normalised values that are not logged, the total being that of all genes of the cell's dataset;
        ``counts``: the integer counts.
    obs
        Columns of obs to hand out; those with a role where not given. Of several datasets the study goes with them.
    dense
        Give numpy arrays instead of CSR.
    drop_last
        Leave out the last batch if it is not full.
    seed
        Of the order.
    buffer_cells
        Cells in memory at a time; three times as many while the next two loads are read.
    threads
        That decode and cut batches; all processors where not given.
    cache
        True or a folder: decode the dataset once into memory-mapped files (about 4 bytes a non-zero) and read those.
    join
        Of several datasets: ``inner``, which is the default, for the genes that all studies measured, ``outer`` for
        those of any; `mask` then says what was measured.
    weights
        Of several studies: ``proportional`` (each cell once an epoch; the default), ``equal``, or a number by study:
        its share of an epoch's cells, of which there are as many as cells; see `titin.load.StudySampler`.

    Attributes
    ----------
    obs
        DataFrame of every cell in the dataset's order: the columns that are handed out.
    genes
        Names of the columns of a batch.
    sampler
        Plans the epochs; ``titin.load.DistributedSampler(loader.sampler, …)`` divides them between ranks.

    Examples
    --------
    >>> loader = Loader("dataset", batch_size=512)  # doctest: +SKIP
    >>> for epoch in range(10):  # doctest: +SKIP
    ...     loader.set_epoch(epoch)
    ...     for X, obs in loader:
    ...         model.partial_fit(X, obs["cell_type"], classes=classes)
    >>> both = Loader({"Lund": "lund", "Kiel": "kiel"}, weights="equal")  # doctest: +SKIP
    """

    def __init__(
        self,
        atlas: Dataset | Sequence[Dataset] | Mapping[str, Dataset] | Studies,
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
        join: Literal["inner", "outer"] | None = None,
        weights: Weights | None = None,
    ) -> None:
        if not _is_count(batch_size) or batch_size < 1:
            raise TitinError(f"a batch of {batch_size} cells", "give batch_size 1 or more")
        self.atlas, cells, genes = _opened(atlas, join, cells, genes)
        self.batch_size, self.drop_last, self.dense, self.values = batch_size, drop_last, dense, values
        self.threads = threads or available_threads()
        self._cache = cache
        self._gene_places, self.genes = _chosen_genes(self.atlas, genes)
        self._datasets = (
            self.atlas.datasets(values, self._gene_places)
            if isinstance(self.atlas, Studies)
            else _read_whole(self.atlas, values, self._gene_places)
        )
        subset = any((one.column[: one.atlas.n_vars] < 0).any() for one in self._datasets)
        self._shape, self._arrays = Shape(len(self.genes), subset, dense), ArrayPool()
        self.obs = _handed_out(self.atlas, obs)
        if sampler is None:
            chosen = _choose_cells(self.atlas, cells, donors)
            sampler = _sampler(self.atlas, chosen, weights, shuffle=shuffle, buffer_cells=buffer_cells, seed=seed)
        elif cells is not None or donors is not None or weights is not None:
            raise TitinError(
                "cells, donors and weights are the sampler's to choose", "give them to the sampler, or no sampler"
            )
        elif sampler.names is not None and not sampler.names.equals(self.atlas.obs_names):
            raise TitinError(
                "the sampler was made of labels of other cells, or of these in another order",
                "give it columns in the dataset's order: atlas.cell_columns(…)",
            )
        self.sampler = sampler
        self._epoch = self._begin = self._handed_out = 0
        self._order: int | None = None  # a checksum of the first cells of the epoch, as a state has it

    def __len__(self) -> int:
        """Number of batches of an epoch."""
        full, rest = divmod(len(self.sampler), self.batch_size)
        return full + (rest > 0 and not self.drop_last)

    def __repr__(self) -> str:
        kind = "counts" if all(one.mode == _kernels.COUNTS for one in self._datasets) else "values"
        form = "numpy" if self.dense else "CSR"
        return (f"Loader of {len(self.sampler):,} cells × {len(self.genes):,} genes: {len(self):,} batches of "
                f"{self.batch_size:,}, {kind}, {form}, {self.sampler.__class__.__name__}")  # fmt: skip

    def _repr_html_(self) -> str:
        from titin.html import notebook

        return notebook(repr(self), [("obs", [str(name) for name in self.obs.columns])])

    @cached_property
    def measured(self) -> pd.DataFrame:
        """Which study measured which of the genes that are handed out: bool, genes × studies."""
        return self.atlas.measured.iloc[self._gene_places].set_axis(self.genes, axis=0)

    def mask(self, obs: "Obs | pd.DataFrame") -> NDArray[np.bool_]:
        """Which values of a batch were measured, by the study of each cell: a zero elsewhere says nothing.

        Parameters
        ----------
        obs
            Of the batch.

        Returns
        -------
        numpy.ndarray
            bool, cells × genes.

        Raises
        ------
        TitinError
            If the loader does not hand out the study of the cells, and studies measured different genes.
        """
        measured = self.measured.to_numpy().T
        if measured.all():
            return np.ones((len(obs.index), len(self.genes)), bool)
        column = str(self.atlas.roles.get("study"))
        if column not in obs:
            raise TitinError(
                "what was measured of a cell depends on its study, which the loader does not hand out",
                f'make it with obs=[…, "{column}"]',
            )
        codes = self.measured.columns.get_indexer(pd.Index(obs[column].astype(str)))
        if (codes < 0).any():
            strange = obs[column].astype(str).to_numpy()[codes < 0][0]
            raise TitinError(f"{strange!r} is none of the studies", f"studies: {', '.join(self.measured.columns)}")
        return measured[codes]

    def set_epoch(self, epoch: int) -> None:
        """Begin this epoch from its first batch when iterated over next; the order of cells depends on it."""
        self._epoch, self._begin, self._order = epoch, 0, None

    def state_dict(self) -> dict[str, int]:
        """Where the epoch is: batches handed out, of how many cells and in which order, for `load_state_dict`."""
        state = {"epoch": self._epoch, "batches": self._handed_out, "batch_size": self.batch_size}
        order = {} if self._order is None or not self._handed_out else {"order": self._order}
        return {**state, "cells": len(self.sampler), **order}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on after the batches that had been handed out when ``state`` was taken.

        Raises
        ------
        TitinError
            If it is no such state, or was taken with another batch size or of another number of cells: of another
            dataset, of other cells of it, or with another number of ranks or workers. That the cells come in another
            order is found when they are asked for.
        """
        held = [state.get(key) for key in ("epoch", "batches", "batch_size")] if isinstance(state, Mapping) else [None]
        if not all(_is_count(number) and number >= 0 for number in held):
            raise TitinError("what is loaded is no state of a Loader", "give what its state_dict() has returned")
        if state["batch_size"] != self.batch_size:
            raise TitinError(
                f"the state is of batches of {state['batch_size']} cells, not {self.batch_size}",
                "make the loader with the same batch_size",
            )
        if state["batches"] and (cells := state.get("cells", len(self.sampler))) != len(self.sampler):
            raise TitinError(
                f"the state is of an epoch of {cells:,} cells, not {len(self.sampler):,}",
                "make the loader of the same dataset and cells, with as many ranks and workers",
            )
        self._epoch, self._begin = state["epoch"], state["batches"]
        self._handed_out, self._order = self._begin, state.get("order") if self._begin else None

    def __iter__(self) -> Iterator[Batch]:
        """Hand out the batches of the current epoch; the next iteration hands out those of the next."""
        first, self._begin = self._begin, 0
        self._handed_out = first
        far = any(one.atlas.store.remote for one in self._datasets)
        n_threads = max(self.threads, _FAR_THREADS) if far else self.threads
        with ThreadPoolExecutor(n_threads, thread_name_prefix="titin-decode") as pool, self._reader(pool) as reader:
            plan = self._plan(first)
            if far and not self._cache:  # one load after the other would leave the connection idle in between
                loads = map_ahead(reader, plan, _FAR_LOADS, weigh=len, most=_FAR_CELLS)
            else:
                loads = map_ahead(reader, plan, 1 if self._cache else _LOADS, weigh=lambda _: 1, most=_LOADS)
            with closing(loads), closing(self._cut(loads)) as batches:
                for batch in batches:
                    self._handed_out += 1
                    yield batch
        self._epoch += 1
        self._handed_out, self._order = 0, None

    def _plan(self, first: int) -> Iterator[NDArray[np.int64]]:
        """The epoch's loads, without the cells of its ``first`` batches."""
        skip = first * self.batch_size
        n_cells, known = self.atlas.n_obs, self._order if first else None
        for number, load in enumerate(self.sampler.loads(self._epoch)):
            if number == 0:
                self._order = crc32(np.ascontiguousarray(load, np.int64).data)
                if known not in (None, self._order):
                    raise TitinError(
                        "cells come in another order than when the state was taken",
                        "make the loader with the same seed, shuffle, buffer_cells and sampler",
                    )
            if len(load) and not 0 <= load.min() <= load.max() < n_cells:
                raise TitinError(
                    f"the sampler has cells from {load.min()} to {load.max()}, and the dataset those from 0 to "
                    f"{n_cells - 1}", "make the sampler of this dataset's cells",
                )  # fmt: skip
            if skip < len(load):
                yield load[skip:]
            skip = max(0, skip - len(load))

    def _reader(self, pool: ThreadPoolExecutor) -> LoadReader:
        return LoadReader(self._datasets, self.obs, self._cache, pool)

    def _cut(self, loads: Iterator[Load]) -> Generator[Batch, None, None]:
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
                    yield join_batches(begun)
                    begun = []
        if begun and not self.drop_last:
            yield join_batches(begun)

    def _pieces(self, loads: Iterator[Load]) -> Iterator[tuple[Load, slice]]:
        """Rows of loads: first those that the last load's last batch lacks, then some whole batches at a time."""
        size = max(1, _PIECE_CELLS // self.batch_size) * self.batch_size
        lacking = 0
        for load in loads:
            n = len(load)
            first = min(lacking, n)
            if first:
                yield load, slice(0, first)
            for start in range(first, n, size):
                yield load, slice(start, min(start + size, n))
            lacking = (lacking - n) % self.batch_size

    def _gather(self, piece: tuple[Load, slice]) -> tuple[Load, slice, DensePiece | SparsePiece]:
        load, rows = piece
        return load, rows, load.put_together(rows, self._shape, self._arrays)


def _chosen_genes(atlas: Atlas | Studies, genes: Sequence[str] | None) -> tuple[NDArray[np.int64], pd.Index]:
    """Positions of the genes of the columns, and names of the columns."""
    if genes is None:
        return np.arange(atlas.n_vars), atlas.var_names
    wanted = atlas.gene_positions(genes)
    if len(np.unique(wanted)) != len(wanted):
        raise TitinError("genes names a gene twice", "name each gene once")
    return wanted, pd.Index(genes)


def _read_whole(atlas: Atlas, values: str, genes: NDArray[np.int64]) -> list[LoadedDataset]:
    """One dataset, of which some genes are handed out."""
    column = np.full(atlas.n_vars, -1, np.int32)
    column[genes] = np.arange(len(genes), dtype=np.int32)
    return [LoadedDataset(atlas, columns_of_tokens(atlas, column), mode_of(atlas.manifest, values))]


def _opened(
    atlas: Any, join: Literal["inner", "outer"] | None, cells: ArrayLike | None, genes: Sequence[str] | None
) -> tuple[Atlas | Studies, ArrayLike | None, Sequence[str] | None]:
    """What is loaded from, with all of its genes; and the cells and genes chosen of it."""
    if isinstance(atlas, Mapping | Sequence) and not isinstance(atlas, str):
        return Studies(atlas, join or "inner"), cells, genes
    if join is not None:
        joined = isinstance(atlas, Studies)
        raise TitinError(
            "the studies are joined already" if joined else "one dataset has nothing to be joined with",
            "give join= to titin.load.Studies" if joined else "leave out join=, or give several datasets",
        )
    if isinstance(atlas, Studies):
        return atlas, cells, genes
    if isinstance(atlas, AtlasView):
        cells, genes, atlas = _within(atlas, cells, genes)
    atlas = atlas if isinstance(atlas, Atlas) else open_atlas(atlas)
    if atlas.whole is not atlas:  # blocks are decoded with all of their genes
        genes = atlas.var_names.tolist() if genes is None else genes
        atlas = atlas.whole
    return atlas, cells, genes


def _is_count(value: Any) -> TypeGuard[int]:
    """Whether a value is a whole number."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _sampler(
    atlas: Atlas | Studies, chosen: NDArray[np.int64], weights: Weights | None, *, shuffle: bool, buffer_cells: int,
    seed: int,
) -> Sampler:  # fmt: skip
    if not shuffle:
        if not (weights is None or weights == "proportional"):
            raise TitinError("weights draw cells at random", "leave out shuffle=False, or weights")
        return SequentialSampler(chosen, buffer_cells=buffer_cells)
    even = weights is None or (isinstance(weights, str) and weights == "proportional")
    if even and not isinstance(atlas, Studies):
        return BlockShuffleSampler(chosen, buffer_cells=buffer_cells, seed=seed)
    column = atlas.roles.get("study")
    if column is None:
        raise TitinError("the dataset is of one study: there is nothing to weight", "leave out weights=")
    dataset, blocks = atlas.blocks(BLOCK_CELLS) if isinstance(atlas, Studies) else (None, None)
    labels: Any = dataset if even else atlas.cell_columns([column])[column].astype("string").to_numpy(object)
    return StudySampler(
        labels, "proportional" if weights is None else weights, chosen, blocks=blocks, buffer_cells=buffer_cells,
        seed=seed,
    )  # fmt: skip


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


def _handed_out(atlas: Atlas | Studies, columns: Sequence[str] | None) -> pd.DataFrame:
    """The columns of obs that are named, or those with a role; of several datasets with the study."""
    several = isinstance(atlas, Studies)
    if columns is None:
        wanted = {*role_columns(atlas.roles), *atlas.cells.derived_names.values()}
        known = atlas.column_names if isinstance(atlas, Studies) else atlas.obs.columns
        return atlas.cell_columns([c for c in known if c in wanted])
    if isinstance(atlas, Studies):
        for name in columns:
            atlas.refuse_unlike(name)
    return atlas.cell_columns(list(dict.fromkeys([*columns, *([atlas.roles["study"]] if several else [])])))


def _choose_cells(atlas: Atlas | Studies, cells: ArrayLike | None, donors: Sequence[Any] | None) -> NDArray[np.int64]:
    chosen = np.arange(atlas.n_obs) if cells is None else np.asarray(atlas.cell_positions(cells), np.int64)
    if cells is not None and len(np.unique(chosen)) != len(chosen):
        raise TitinError("cells names a cell twice", "name each cell once, or give a sampler")
    if donors is None:
        return chosen
    column = atlas.roles.get("donor")
    if column is None:
        raise TitinError("the dataset has no donor column", "build it with --donor COLUMN, or give cells")
    of_cell = study_of(atlas).values("donor").astype("string").fillna("").to_numpy(object)
    wanted = {str(d) for d in donors}
    known = set(of_cell) - {""}  # of cells without a donor
    if unknown := sorted(wanted - known):
        raise TitinError(f"there is no donor {unknown[0]!r}", f"donors: {', '.join(sorted(known))}")
    return chosen[np.isin(of_cell[chosen], list(wanted))]
