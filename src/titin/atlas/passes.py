"""Passes over a dataset: chosen cells × genes as row blocks of log-normalised values or counts, and sums over them.

For what reads all cells several times. Genes stay in the order of tokens, by falling detection: in a table with one
row a gene, the rows that are used most lie together.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from titin.atlas.atlas import Atlas
from titin.atlas.kernels import count_chosen, lognorm, take_chosen
from titin.atlas.row_groups import ChosenRows, Positions, give_back_memory, read_block, split_rows
from titin.dataset import layout
from titin.dataset.block import Block
from titin.dataset.store import RowGroup
from titin.parallel import ordered_map

_LANE_CELLS = 4096  # summed in float32 at most, before float64


class BlockReader:
    """Reads chosen cells × genes of a dataset in row blocks, again and again, from any thread.

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

    Raises
    ------
    SelectionError, UnknownNameError
        If the selection names what is not there.
    TitinError
        If counts are asked for and the dataset is of kind ``real``.
    """

    def __init__(
        self, atlas: Atlas, *, values: Literal["lognorm", "per_10k", "counts"] = "lognorm", cells: Any = None,
        genes: Any = None,
    ) -> None:  # fmt: skip
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

    def map(self, function: Callable[[Block], Any], threads: int) -> Iterator[Any]:
        """Yield ``function(block)`` for all blocks, in order, computed in threads."""
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

        Lanes do not depend on the number of threads and are added in their order, so that the sums do not either, bit
        for bit. In memory at a time are the arrays of about ``threads`` lanes.

        Parameters
        ----------
        function
            Takes the blocks of a lane, returns arrays of always the same shapes.
        advance
            Told of the cells that are done.
        """
        totals: list[NDArray[np.float64]] = []
        for n_cells, parts in ordered_map(
            lambda lane: (sum(len(part.rows) for part in lane), function(map(self.read, lane))), self._lanes(), threads
        ):
            if totals:
                for total, part in zip(totals, parts, strict=True):
                    total += part
            else:
                totals = [np.asarray(part, np.float64) for part in parts]
            advance(n_cells)
        give_back_memory()
        return totals

    def _lanes(self) -> list[list[ChosenRows]]:
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
