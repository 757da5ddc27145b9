"""The gene-major file in blocks of whole genes: sums over cells need no more memory than what they give."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from titin.ageing._kernels import add_to_cells
from titin.atlas import Atlas, RowGroup, Store
from titin.atlas.blocks import give_back_memory
from titin.dataset import layout
from titin.dataset.arrow import list_arrays
from titin.dataset.pages import UnsupportedPageError, find_chunk, read_lists
from titin.parallel import ordered_map


@dataclass(frozen=True)
class GeneBlock:
    """Some genes by consecutive tokens.

    Attributes
    ----------
    first
        Token of the first.
    indptr
        int64, genes + 1.
    cells
        uint32, positions of the cells that express each gene, ascending.
    stored
        Counts, or values of kind ``real``, parallel to ``cells``.
    """

    first: int
    indptr: NDArray[np.int64]
    cells: NDArray[np.uint32]
    stored: NDArray[Any]

    @property
    def n_genes(self) -> int:
        """Number of genes."""
        return len(self.indptr) - 1


def map_genes(
    atlas: Atlas, function: Callable[[GeneBlock], Any], *, threads: int, advance: Callable[[int], None]
) -> Iterator[Any]:
    """Yield ``function(block)`` for all genes, in the order of tokens, computed in threads.

    Raises
    ------
    DatasetError
        If a file is missing, damaged or replaced.
    """
    groups = atlas.store.row_groups(atlas.layout.expression_by_gene)
    for group, found in zip(
        groups, ordered_map(lambda g: function(_read(atlas.store, g)), groups, threads), strict=True
    ):
        yield found
        advance(group.n_rows)
    give_back_memory()


def cell_totals(atlas: Atlas, *, threads: int) -> NDArray[np.float64]:
    """Counts of each cell, all genes together (float64)."""
    totals = np.zeros(atlas.n_obs)
    blocks = map_genes(atlas, lambda block: block, threads=threads, advance=lambda _: None)
    for block in blocks:
        add_to_cells(block.cells, block.stored, totals)
    return totals


def _read(store: Store, group: RowGroup) -> GeneBlock:
    stored = layout.VALUES if store.manifest.kind == "real" else layout.COUNTS
    try:
        try:
            indptr, cells, values = _read_pages(store, group, stored)
        except UnsupportedPageError:  # another writer has made this file of ours
            table = store.read_group(group, [layout.CELLS, stored])
            indptr, cells = list_arrays(table.column(layout.CELLS))
            values = list_arrays(table.column(stored))[1]
        if len(cells) != len(values):
            raise ValueError(f"{layout.CELLS} and {stored} differ in length")
        if len(cells) and int(cells.max()) >= store.manifest.n_cells:
            raise ValueError(f"it names cell {int(cells.max()):,} of {store.manifest.n_cells:,}")
    except (OSError, ValueError, pa.ArrowException) as error:
        store.check(group.shard)
        raise store.damaged(group.shard, error) from error
    return GeneBlock(group.first_row, indptr, cells, values)


def _read_pages(store: Store, group: RowGroup, stored: str) -> tuple[NDArray[np.int64], NDArray[Any], NDArray[Any]]:
    footer = store.footer(group.shard)
    schema = footer.schema.to_arrow_schema()
    found = []
    with closing(store.reader(group.shard)) as reader:
        for column in (layout.CELLS, stored):
            if column not in schema.names:
                raise ValueError(f"it has no column {column}")
            dtype = np.dtype(schema.field(column).type.value_type.to_pandas_dtype())
            found.append(read_lists(reader, find_chunk(footer, group.index, column, dtype)))
    store.check(group.shard)
    (indptr, cells), (_, values) = found
    return np.asarray(indptr), cells, values
