"""The matrix as its files have it, row group by row group: read, checked and decoded here, and nowhere else."""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from titin.atlas.orders import check_tokens
from titin.cluster import Cluster
from titin.dataset import layout
from titin.dataset.block import Block, GeneBlock
from titin.dataset.codec import decode_values
from titin.dataset.kernels import all_stored, first_disorder
from titin.dataset.pages import Lists
from titin.dataset.row_group import RowGroup
from titin.dataset.store import Store
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
    return store.manifest.value_kind.entries


def read_entries(
    store: Store, group: RowGroup, columns: Sequence[str], out: Sequence[NDArray[Any]] | None = None
) -> list[Lists]:
    """Read list columns of a row group of cells, and check that they go together.

    Parameters
    ----------
    columns
        First the genes, then their counts or values, then others.
    out
        Where to decode each column to, as for `Store.read_lists`.

    Raises
    ------
    DatasetError
        If the file is missing, damaged or replaced; if the first two columns differ in length; if cells or genes do
        not exist or do not ascend, counts or values are 0 or not finite, or levels do not ascend.
    """
    return _checked(store, group, columns, store.read_lists(group, columns, out))


def _checked(store: Store, group: RowGroup, columns: Sequence[str], found: list[Lists]) -> list[Lists]:
    minor, (entry_indptr, stored), *others = found
    if not np.array_equal(minor.indptr, entry_indptr):
        raise store.damaged(group.shard, ValueError(f"{columns[0]} and {columns[1]} differ in length"))
    n = store.manifest.n_cells if columns[0] == layout.CELLS else store.manifest.n_genes
    _check_order(store, group, columns[0], minor, -1, n)
    if not all_stored(stored):
        raise store.damaged(group.shard, ValueError(f"a number in {columns[1]} is 0 or not finite"))
    for column, lists in zip(columns[2:], others, strict=True):
        _check_order(store, group, column, lists, 0, np.inf)
    return found


def _check_order(store: Store, group: RowGroup, column: str, lists: Lists, above: float, below: float) -> None:
    """Refuse lists that do not ascend strictly between two numbers: kernels index and bisect by them unchecked."""
    row = first_disorder(lists.indptr, lists.elements, above, below)
    if row < 0:
        return
    own = lists.elements[lists.indptr[row] : lists.indptr[row + 1]]
    outside = own[~((own > above) & (own < below))]
    what = {layout.CELLS: "cell", layout.GENES: "gene"}.get(column)
    if what and len(outside):
        said = f"it names {what} {int(outside[0]):,} of {below:,}"
    else:
        said = f"{column} of row {group.first_row + row:,} are not finite numbers that ascend"
    raise store.damaged(group.shard, ValueError(said))


def read_levels(store: Store, group: RowGroup) -> tuple[Lists, NDArray[np.float32]]:
    """Read the levels of a row group of cells, and the cells' scales.

    Raises
    ------
    DatasetError
        If the file is missing, damaged or replaced; if levels do not ascend, or a scale is not above 0.
    """
    (lists,) = store.read_lists(group, [layout.LEVELS])
    _check_order(store, group, layout.LEVELS, lists, 0, np.inf)
    return lists, read_scales(store, group)


def read_scales(store: Store, group: RowGroup | None = None) -> NDArray[np.float32]:
    """Read the scales of the cells of a row group, or of all: finite and above 0, as counts are divided by them.

    Raises
    ------
    DatasetError
        If the file is missing, damaged or replaced, or one is not.
    """
    name = store.manifest.layout.expression
    column = None if group is None else store.read_group(group, [layout.SCALE]).column(0)
    least, most = float(np.finfo(np.float32).smallest_subnormal), float(np.finfo(np.float32).max)
    scales: NDArray[np.float32] = store.numbers(name, layout.SCALE, pa.float32(), column, least=least, most=most)
    return scales


def read_block(store: Store, group: RowGroup, *, counts: bool = False) -> Block:
    """Read and decode a row group of cells; genes as ascending tokens, with the counts behind recovered values.

    Parameters
    ----------
    counts
        Give the integer counts instead of the source's values.

    Raises
    ------
    DatasetError
        As for `read_entries`, or if a cell's levels do not fit its counts.
    """
    return store.seen(_read_block(store.whole, group, counts=counts))


def _read_block(store: Store, group: RowGroup, *, counts: bool) -> Block:
    exact = [layout.LEVELS] if store.manifest.value_kind.has_levels and not counts else []
    (indptr, tokens), (_, stored), *levels = read_entries(store, group, [layout.GENES, entry_column(store), *exact])
    if not levels:
        return Block(group.first_row, indptr, tokens, stored)
    try:
        return Block(group.first_row, indptr, tokens, decode_values(indptr, stored, *levels[0]), stored)
    except ValueError as error:
        raise store.damaged(group.shard, error) from error


def read_gene_block(store: Store, group: RowGroup, rows: tuple[int, int] | None = None) -> GeneBlock:
    """Read a row group of genes, whose rows are tokens: counts, or values of kind ``real``.

    Parameters
    ----------
    rows
        First and end of those wanted, within the row group; all where not given.

    Raises
    ------
    DatasetError
        As for `read_entries`, or if a row is not that of its token.
    """
    columns = [layout.CELLS, entry_column(store)]
    tokens, lists = store.read_genes(group, columns, rows)
    first = group.first_row + (rows[0] if rows else 0)
    check_tokens(store, group.shard, tokens, first)
    part = replace(group, first_row=first, n_rows=len(tokens))
    (indptr, cells), (_, stored) = _checked(store, part, columns, lists)
    return GeneBlock(first, indptr, cells, stored)


def dataset_blocks(
    store: Store, *, counts: bool = False, threads: int = 1, cluster: Cluster | None = None
) -> Generator[Block, None, None]:
    """Yield the cells row group by row group, in the dataset's order, genes as ascending tokens.

    Parameters
    ----------
    counts
        Give the integer counts instead of the source's values.
    threads, cluster
        That read; the workers of a cluster, where there is one.

    Raises
    ------
    DatasetError
        As for `read_block`.
    """
    if cluster is not None:
        yield from cluster.map(_block_of, (store, counts), all_groups(store), together=False)
        return
    yield from ordered_map(lambda group: _block_of(store, counts, group), all_groups(store), threads)


def _block_of(store: Store, counts: bool, group: RowGroup) -> Block:
    return read_block(store, group, counts=counts)


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
