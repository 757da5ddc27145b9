"""Passes over a dataset: chosen cells × genes as row blocks of log-normalised values or counts, and sums over them.

For what reads all cells several times. Genes stay in the order of tokens, by falling detection: in a table with one
row a gene, the rows that are used most lie together.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from titin.atlas.atlas import Atlas
from titin.atlas.blocks import give_back_memory, read_block
from titin.atlas.cell_reader import Positions, split_rows
from titin.atlas.kernels import count_chosen, lognorm, take_chosen
from titin.dataset import layout
from titin.dataset.codec import decode_values
from titin.dataset.pages import UnsupportedPageError, find_chunk, read_lists
from titin.dataset.store import RowGroup, Store
from titin.parallel import ordered_map
from titin.source import Block

TARGET_SUM = 1e4
_LANE_CELLS = 4096  # summed in float32 at most, before float64


@dataclass(frozen=True)
class Share:
    """Some chosen cells of one row group.

    Attributes
    ----------
    group
        Where they lie.
    rows
        int64, which rows of the group.
    start
        Place of the first among all chosen cells.
    """

    group: RowGroup
    rows: Positions
    start: int


class RowReader:
    """Reads chosen cells × genes of a dataset in row blocks, again and again, from any thread.

    Parameters
    ----------
    atlas
        The dataset.
    values
        ``lognorm``: the source's values, or log1p(10,000 × count / total of the cell) where it holds counts, float32;
        ``counts``: the integer counts.
    cells, genes
        As in ``atlas.X[cells, genes]``; each is given once, in the dataset's order, however it is asked for.

    Attributes
    ----------
    cells
        int64, positions of the chosen cells, ascending.
    genes
        int64, position in ``atlas.var`` of each column of a block.
    shares
        The chosen cells by row group.

    Raises
    ------
    SelectionError, UnknownNameError
        If the selection names what is not there.
    TitinError
        If counts are asked for and the dataset is of kind ``real``.
    """

    def __init__(
        self, atlas: Atlas, *, values: Literal["lognorm", "counts"] = "lognorm", cells: Any = None, genes: Any = None
    ) -> None:
        self._store, self._kind, self._counts = atlas.store, atlas.kind, values == "counts"
        if self._counts:
            atlas.reader.check_counts()
        self.cells = np.unique(atlas.cell_positions(cells))
        places = atlas.source_columns  # of each token
        chosen = np.zeros(atlas.n_vars, bool)
        chosen[atlas.gene_positions(genes)] = True
        kept = chosen[places]
        self.genes: Positions = places[kept]
        self._column_of = np.where(kept, np.cumsum(kept) - 1, -1).astype(np.int32)
        self.shares: tuple[Share, ...] = tuple(self._shares())

    @property
    def n_cells(self) -> int:
        """Number of chosen cells."""
        return len(self.cells)

    @property
    def n_genes(self) -> int:
        """Number of chosen genes."""
        return len(self.genes)

    def _shares(self) -> Iterator[Share]:
        start = 0
        for group, cells in split_rows(self._store, self.cells):
            yield Share(group, cells - group.first_row, start)
            start += len(cells)

    def read(self, share: Share) -> Block:
        """Read and decode the chosen cells of a row group.

        Returns
        -------
        Block
            ``start`` is the share's; ``indices`` are columns, ascending in every cell.

        Raises
        ------
        DatasetError
            If a file is missing, damaged or replaced.
        """
        block = self._read_whole(share.group)
        if len(share.rows) == share.group.n_rows and self.n_genes == len(self._column_of):
            return Block(share.start, block.indptr, block.indices, block.data)
        indptr = np.empty(len(share.rows) + 1, np.int64)
        count_chosen(block.indptr, block.indices, share.rows, self._column_of, indptr)
        columns, data = np.empty(indptr[-1], np.int32), np.empty(indptr[-1], block.data.dtype)
        take_chosen(
            block.indptr, block.indices, block.data, share.rows, self._column_of, indptr, columns, data
        )  # fmt: skip
        return Block(share.start, indptr, columns, data)

    def map(self, function: Callable[[Block], Any], threads: int) -> Iterator[Any]:
        """Yield ``function(block)`` for all blocks, in order, computed in threads."""
        yield from ordered_map(lambda share: function(self.read(share)), self.shares, threads)
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
            lambda lane: (sum(len(s.rows) for s in lane), function(map(self.read, lane))), self._lanes(), threads
        ):
            if totals:
                for total, part in zip(totals, parts, strict=True):
                    total += part
            else:
                totals = [np.asarray(part, np.float64) for part in parts]
            advance(n_cells)
        give_back_memory()
        return totals

    def _lanes(self) -> list[list[Share]]:
        lanes: list[list[Share]] = []
        filled = _LANE_CELLS
        for share in self.shares:
            if filled + len(share.rows) > _LANE_CELLS:
                lanes.append([])
                filled = 0
            lanes[-1].append(share)
            filled += len(share.rows)
        return lanes

    def _read_whole(self, group: RowGroup) -> Block:
        try:
            block = self._read_pages(group)
        except UnsupportedPageError:  # another writer has made this file of ours
            block = read_block(self._store, group, counts=self._counts)
        if self._counts:
            return block
        values = block.data.astype(np.float32, copy=False)
        if self._kind == "counts":
            values = np.empty(len(block.data), np.float32)
            lognorm(block.indptr, block.data, TARGET_SUM, values)
        return Block(block.start, block.indptr, block.indices, values)

    def _read_pages(self, group: RowGroup) -> Block:
        """As `read_block`, in half the time."""
        store, stored = self._store, layout.VALUES if self._kind == "real" else layout.COUNTS
        exact = self._kind == "log1p" and not self._counts
        try:
            with closing(store.reader(group.shard)) as reader:
                indptr, tokens = _read_column(store, reader, group, layout.GENES)
                data_indptr, data = _read_column(store, reader, group, stored)
                if not np.array_equal(indptr, data_indptr):
                    raise ValueError(f"{layout.GENES} and {stored} differ in length")
                if len(tokens) and int(tokens.max()) >= store.manifest.n_genes:
                    raise ValueError(f"it names gene {int(tokens.max()):,} of {store.manifest.n_genes:,}")
                if exact:
                    data = decode_values(indptr, data, *_read_column(store, reader, group, layout.LEVELS))
        except (OSError, ValueError, pa.ArrowException) as error:
            store.check(group.shard)
            raise store.damaged(group.shard, error) from error
        store.check(group.shard)
        return Block(group.first_row, indptr, tokens, data)


def _read_column(store: Store, reader: Any, group: RowGroup, column: str) -> tuple[NDArray[np.int64], NDArray[Any]]:
    footer = store.footer(group.shard)
    schema = footer.schema.to_arrow_schema()
    if column not in schema.names or not pa.types.is_list(schema.field(column).type):
        raise ValueError(f"it has no list column {column}")
    dtype = np.dtype(schema.field(column).type.value_type.to_pandas_dtype())
    indptr, elements = read_lists(reader, find_chunk(footer, group.index, column, dtype))
    return np.asarray(indptr), elements
