"""The matrix as its files have it, row group by row group: read, checked and decoded here, and nowhere else."""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from titin.dataset import layout
from titin.dataset.block import Block, GeneBlock
from titin.dataset.codec import decode_values
from titin.dataset.pages import Lists
from titin.dataset.store import RowGroup, Store
from titin.errors import DatasetError
from titin.parallel import ordered_map

Positions = NDArray[np.int64]


@dataclass(frozen=True)
class ChosenRows:
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


def all_groups(store: Store) -> tuple[RowGroup, ...]:
    """List the row groups of the matrix by cell, which must hold as many cells as the manifest says.

    Raises
    ------
    DatasetError
        If they do not, or if a file is missing, damaged or replaced.
    """
    groups = store.row_groups(store.manifest.layout.expression)
    n_cells = groups[-1].first_row + groups[-1].n_rows if groups else 0
    if n_cells != store.manifest.n_cells:
        raise DatasetError(
            f"{store.name}: the expression files hold {n_cells:,} cells, {layout.MANIFEST} says "
            f"{store.manifest.n_cells:,}",
            "restore the files, or build the dataset again",
        )
    return groups


def split_rows(store: Store, cells: Positions | None) -> Iterator[ChosenRows]:
    """Yield, for each row group that holds some of the cells (ascending, repeats allowed; None for all), which."""
    groups = all_groups(store)
    if cells is None:
        for group in groups:
            yield ChosenRows(group, np.arange(group.n_rows), group.first_row)
        return
    ends = np.searchsorted(cells, [g.first_row + g.n_rows for g in groups])
    start = 0
    for group, end in zip(groups, ends.tolist(), strict=True):
        if end > start:
            yield ChosenRows(group, cells[start:end] - group.first_row, start)
        start = end


def count_groups(store: Store, cells: Positions | None) -> int:
    """How many row groups hold some of the cells (ascending)."""
    groups = all_groups(store)
    if cells is None:
        return len(groups)
    return len(np.unique(np.searchsorted([g.first_row for g in groups], cells, side="right")))


def entry_column(store: Store) -> str:
    """Name of the column that holds the entries of the matrix: counts, or values of kind ``real``."""
    return layout.VALUES if store.manifest.kind == "real" else layout.COUNTS


def read_entries(
    store: Store, group: RowGroup, columns: Sequence[str], out: Sequence[NDArray[Any]] | None = None
) -> list[Lists]:
    """Read list columns of a row group of either matrix file, and check that they go together.

    Parameters
    ----------
    columns
        First the genes or cells, then their counts or values, then others.
    out
        Where to decode each column to, as for `Store.read_lists`.

    Raises
    ------
    DatasetError
        If the file is missing, damaged or replaced; if the first two columns differ in length, or name what is not
        there.
    """
    found = store.read_lists(group, columns, out)
    (indptr, minor), (entry_indptr, _), *_ = found
    what, n = ("cell", store.manifest.n_cells) if columns[0] == layout.CELLS else ("gene", store.manifest.n_genes)
    if not np.array_equal(indptr, entry_indptr):
        raise store.damaged(group.shard, ValueError(f"{columns[0]} and {columns[1]} differ in length"))
    if len(minor) and int(minor.max()) >= n:
        raise store.damaged(group.shard, ValueError(f"it names {what} {int(minor.max()):,} of {n:,}"))
    return found


def read_block(store: Store, group: RowGroup, *, counts: bool = False) -> Block:
    """Read and decode a row group of cells; genes as ascending tokens.

    Parameters
    ----------
    counts
        Give the integer counts instead of the source's values.

    Raises
    ------
    DatasetError
        As for `read_entries`, or if a cell's levels do not fit its counts.
    """
    exact = [layout.LEVELS] if store.manifest.kind == "log1p" and not counts else []
    (indptr, tokens), (_, data), *levels = read_entries(store, group, [layout.GENES, entry_column(store), *exact])
    try:
        data = decode_values(indptr, data, *levels[0]) if levels else data
    except ValueError as error:
        raise store.damaged(group.shard, error) from error
    return Block(group.first_row, indptr, tokens, data)


def read_gene_block(store: Store, group: RowGroup) -> GeneBlock:
    """Read a row group of genes: counts, or values of kind ``real``.

    Raises
    ------
    DatasetError
        As for `read_entries`.
    """
    (indptr, cells), (_, stored) = read_entries(store, group, [layout.CELLS, entry_column(store)])
    return GeneBlock(group.first_row, indptr, cells, stored)


def dataset_blocks(store: Store, *, counts: bool = False, threads: int = 1) -> Generator[Block, None, None]:
    """Yield the cells row group by row group, in the dataset's order, genes as ascending tokens.

    Parameters
    ----------
    counts
        Give the integer counts instead of the source's values.

    Raises
    ------
    DatasetError
        As for `read_block`.
    """
    yield from ordered_map(lambda group: read_block(store, group, counts=counts), all_groups(store), threads)


def gene_blocks(store: Store, *, threads: int = 1) -> Generator[GeneBlock, None, None]:
    """Yield the genes row group by row group, by ascending token.

    Raises
    ------
    DatasetError
        As for `read_gene_block`.
    """
    groups = store.row_groups(store.manifest.layout.expression_by_gene)
    yield from ordered_map(lambda group: read_gene_block(store, group), groups, threads)


def give_back_memory() -> None:
    """Give back what Arrow keeps for the next read: after a pass over all cells, more than 100 MB."""
    pa.default_memory_pool().release_unused()
