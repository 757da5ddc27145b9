"""Passes over a dataset: chosen cells × genes as row blocks of log-normalised values or counts, and sums over them.

For what reads all cells several times. Genes stay in the order of tokens, by falling detection: in a table with one
row a gene, the rows that are used most lie together.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from titin.atlas.atlas import Atlas
from titin.atlas.kernels import count_chosen, lognorm, take_chosen
from titin.atlas.row_groups import ChosenRows, Positions, give_back_memory, read_block, split_rows
from titin.cluster import spread
from titin.dataset import layout
from titin.dataset.block import Block
from titin.dataset.row_group import RowGroup
from titin.parallel import ordered_map

_LANE_CELLS = 4096  # summed in float32 at most, before float64


class BlockReader:
    """Reads chosen cells × genes of a dataset in row blocks, again and again, from any thread.

    Of an atlas that was opened with a cluster, `sum` and `spread` have its workers read. A function given to them must
    then be one of a module, or a `functools.partial` of one: a function within a function cannot be sent.

    Parameters
    ----------
    atlas
        The dataset.
    values
        ``lognorm``: the source's values, or log1p(10,000 × count / total of the cell) where it holds counts or
        normalised values that are not logged, float32;
        ``per_10k``: log1p(10,000 × count / total) wherever there are counts, as models of other datasets expect them,
        and the source's own values where that is what they are;
        ``counts``: the integer counts.
    cells, genes
        As in ``atlas.X[cells, genes]``; each is given once, in the dataset's order, however it is asked for.

    Attributes
    ----------
    cells
        int64, positions of the chosen cells, ascending.
    genes
        int64, position in ``atlas.var`` of each column of a block.
    parts
        The chosen cells by row group.
    cluster
        That of the atlas, or None.

    Raises
    ------
    SelectionError, UnknownNameError
        If the selection names what is not there.
    TitinError
        If counts are asked for and the dataset is of kind ``real``.
    """

    lasting = True  # sent to the workers of a cluster once

    def __init__(
        self, atlas: Atlas, *, values: Literal["lognorm", "per_10k", "counts"] = "lognorm", cells: Any = None,
        genes: Any = None,
    ) -> None:  # fmt: skip
        self.cluster = atlas.reader.resources.cluster
        self._store, self._kind, self._counts = atlas.store, atlas.manifest.value_kind, values == "counts"
        as_they_are = values != "per_10k" or not self._kind.has_counts or atlas.manifest.is_per_10k
        self._of_counts = self._kind.lognorm_of_counts or not as_they_are
        if self._counts:
            atlas.reader.check_counts()
        self.cells = np.unique(atlas.cell_positions(cells))
        places = atlas.source_columns  # of each token
        chosen = np.zeros(atlas.n_vars, bool)
        chosen[atlas.gene_positions(genes)] = True
        kept = chosen[places]
        self.genes: Positions = places[kept]
        self._column_of = np.where(kept, np.cumsum(kept) - 1, -1).astype(np.int32)
        self.parts: tuple[ChosenRows, ...] = tuple(split_rows(self._store, self.cells))

    @property
    def log_unit(self) -> float:
        """Natural logarithm of the base of log-normalised values."""
        return self._kind.log_unit

    @property
    def n_cells(self) -> int:
        """Number of chosen cells."""
        return len(self.cells)

    @property
    def n_genes(self) -> int:
        """Number of chosen genes."""
        return len(self.genes)

    def read(self, part: ChosenRows) -> Block:
        """Read and decode the chosen cells of a row group.

        Returns
        -------
        Block
            ``start`` is the part's; ``indices`` are columns, ascending in every cell.

        Raises
        ------
        DatasetError
            If a file is missing, damaged or replaced.
        """
        block = self._read_whole(part.group)
        if len(part.rows) == part.group.n_rows and self.n_genes == len(self._column_of):
            return Block(part.start, block.indptr, block.indices, block.data)
        indptr = np.empty(len(part.rows) + 1, np.int64)
        count_chosen(block.indptr, block.indices, part.rows, self._column_of, indptr)
        columns, data = np.empty(indptr[-1], np.int32), np.empty(indptr[-1], block.data.dtype)
        take_chosen(
            block.indptr, block.indices, block.data, part.rows, self._column_of, indptr, columns, data
        )  # fmt: skip
        return Block(part.start, indptr, columns, data)

    def __getstate__(self) -> dict[str, Any]:
        return {name: own for name, own in vars(self).items() if name != "lanes"} | {"cluster": None}

    def spread(
        self, function: Callable[[Block], Any], threads: int, *, advance: Callable[[int], None] = lambda _: None
    ) -> Iterator[tuple[slice, Any]]:
        """Yield ``function(block)`` for all blocks, in order, and which of the chosen cells the block has.

        Computed in threads, or by the workers of the cluster. ``advance`` is told of the cells that are done.
        """
        lanes = range(len(self.lanes))
        for found in spread(_map_lane, (self, function), lanes, threads, self.cluster, told=self._tell(advance)):
            yield from found
        give_back_memory()

    def map(self, function: Callable[[Block], Any], threads: int) -> Iterator[Any]:
        """Yield ``function(block)`` for all blocks, in order, computed in threads of this process, whatever it is."""
        yield from ordered_map(lambda part: function(self.read(part)), self.parts, threads)
        give_back_memory()

    def sum(
        self,
        function: Callable[[Iterator[Block]], Sequence[NDArray[Any]]],
        threads: int,
        *,
        advance: Callable[[int], None] = lambda _: None,
    ) -> list[NDArray[np.float64]]:
        """Sum the arrays that ``function`` returns for each lane, a few thousand neighbouring cells, in float64.

        Lanes are those of `lanes`, and are added in their order, some by some, so that the sums depend neither on
        threads nor on workers, bit for bit. In memory at a time are the arrays of about ``threads`` lanes.

        Parameters
        ----------
        function
            Takes the blocks of a lane, returns arrays of always the same shapes.
        advance
            Told of the cells that are done.
        """
        totals: list[NDArray[np.float64]] = []
        for some in spread(
            _sum_lane, (self, function), range(len(self.lanes)), threads, self.cluster, add=add_arrays,
            told=self._tell(advance),
        ):  # fmt: skip
            totals = add_arrays(totals, some)
        give_back_memory()
        return totals

    def cells_of_lanes(self, lanes: Iterable[int]) -> int:
        """Number of chosen cells of some lanes."""
        return sum(len(part.rows) for lane in lanes for part in self.lanes[lane])

    def _tell(self, advance: Callable[[int], None]) -> Callable[[int], None]:
        return lambda lane: advance(self.cells_of_lanes([lane]))

    @cached_property
    def lanes(self) -> list[list[ChosenRows]]:
        """The chosen cells by runs of row groups, of which each is the work of one task: as the dataset has them."""
        lanes: list[list[ChosenRows]] = []
        filled = _LANE_CELLS
        for part in self.parts:
            if filled + len(part.rows) > _LANE_CELLS:
                lanes.append([])
                filled = 0
            lanes[-1].append(part)
            filled += len(part.rows)
        return lanes

    def _read_whole(self, group: RowGroup) -> Block:
        block = read_block(self._store, group, counts=self._counts or self._of_counts)
        if self._counts:
            return block
        values = block.data.astype(np.float32, copy=False)
        if self._of_counts:
            values = np.empty(len(block.data), np.float32)
            lognorm(block.indptr, block.data, layout.TARGET_SUM, values)
        return Block(block.start, block.indptr, block.indices, values)


def add_arrays(totals: Sequence[NDArray[Any]] | None, parts: Sequence[NDArray[Any]]) -> list[NDArray[np.float64]]:
    """Add arrays to totals, in float64 and in place; to nothing, as a copy."""
    if not totals:
        return [np.array(part, np.float64) for part in parts]
    for total, part in zip(totals, parts, strict=True):
        total += part
    return list(totals)


def _map_lane(reader: BlockReader, function: Callable[[Block], Any], lane: int) -> list[tuple[slice, Any]]:
    found = []
    for part in reader.lanes[lane]:
        block = reader.read(part)
        found.append((slice(block.start, block.start + block.n_cells), function(block)))
    return found


def _sum_lane(
    reader: BlockReader, function: Callable[[Iterator[Block]], Sequence[NDArray[Any]]], lane: int
) -> Sequence[NDArray[Any]]:
    return function(map(reader.read, reader.lanes[lane]))
