"""The matrix in the order of the source, or part of it, through a file on disk: a dataset's own order is another."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from titin.atlas.kernels import count_chosen, take_chosen
from titin.atlas.orders import source_columns, source_rows
from titin.atlas.row_groups import dataset_blocks
from titin.cluster import Cluster
from titin.dataset import layout
from titin.dataset.block import Block
from titin.dataset.kernels import transpose
from titin.dataset.spill import Spill
from titin.dataset.store import Store
from titin.errors import DatasetError
from titin.parallel import read_ahead
from titin.resources import Resources

Positions = NDArray[np.int64]


def source_blocks(
    store: Store, scratch: Path, resources: Resources, *, counts: bool = False,
    rows: Positions | None = None, columns: Positions | None = None, cluster: Cluster | None = None,
) -> Iterator[Block]:  # fmt: skip
    """Yield the cells in the source's order, genes as ascending source columns.

    Parameters
    ----------
    scratch
        An existing folder for one intermediate file, removed at the end.
    counts
        Give the integer counts instead of the source's values.
    rows, columns
        Rows and columns of the source that are wanted, ascending; all where not given. What comes is numbered by its
        place among them.
    cluster
        Whose workers read the dataset, instead of threads.

    Raises
    ------
    DatasetError
        If a file is missing, damaged or replaced.
    """
    manifest = store.manifest
    place, n_cells = _places(source_rows(store), rows)
    column, n_genes = _places(source_columns(store), columns)
    column_of = column.astype(np.int32)
    fitting = resources.bucket_values // max(1, manifest.nnz // manifest.n_cells)
    bucket_cells = int(np.clip(fitting, 1, 65_536))
    with Spill(scratch / "in_source_order", max(1, -(-n_cells // bucket_cells))) as spill:
        found = 0
        read = dataset_blocks(store, counts=counts, threads=resources.threads, cluster=cluster)
        for block in read_ahead(read):
            found += len(block.data)
            _file(spill, block, place[block.start : block.start + block.n_cells], column_of, bucket_cells)
        if found != manifest.nnz:  # exports make room for as many
            said = f"{store.name} has {found:,} values; by {layout.MANIFEST} there are {manifest.nnz:,}"
            raise DatasetError(said, "restore the dataset, or build it again")
        for bucket in range(-(-n_cells // bucket_cells)):
            yield _sort(spill.read(bucket), bucket * bucket_cells, n_genes)


def cut_blocks(blocks: Iterator[Block], max_bytes: int) -> Iterator[Block]:
    """Cut blocks into smaller ones of at most so many bytes of indices and values, a cell at least."""
    for block in blocks:
        most = max(1, max_bytes // (block.indices.dtype.itemsize + block.data.dtype.itemsize))
        first = 0
        while first < block.n_cells:
            fitting = int(np.searchsorted(block.indptr, block.indptr[first] + most, side="right")) - 1
            last = min(block.n_cells, max(first + 1, fitting))
            yield block.part(first, last)
            first = last


def _places(numbers: Positions, wanted: Positions | None) -> tuple[Positions, int]:
    """Place of each number among those wanted, -1 for the others; and how many are wanted."""
    if wanted is None:
        return numbers, len(numbers)
    place = np.full(len(numbers), -1, np.int64)
    place[wanted] = np.arange(len(wanted))
    return place[numbers], len(wanted)


def _file(spill: Spill, block: Block, place: Positions, column_of: NDArray[np.int32], bucket_cells: int) -> None:
    """File each wanted cell of a block under the bucket of its place: places, lengths, columns, values, counts."""
    cells = np.flatnonzero(place >= 0)
    cells = cells[np.argsort(place[cells])]
    own = place[cells]
    if not len(cells):
        return
    indptr = np.empty(len(cells) + 1, np.int64)
    count_chosen(block.indptr, block.indices, cells, column_of, indptr)
    columns = np.empty(indptr[-1], np.int32)
    taken = []
    for values in (block.data, block.counts):
        if values is not None:
            taken.append(np.empty(indptr[-1], values.dtype))
            take_chosen(block.indptr, block.indices, values, cells, column_of, indptr, columns, taken[-1])
    edges = np.searchsorted(own, np.arange(own[0] // bucket_cells, own[-1] // bucket_cells + 2) * bucket_cells)
    for a, b in pairwise(edges.tolist()):
        if a < b:
            bucket, entries = int(own[a]) // bucket_cells, slice(indptr[a], indptr[b])
            local = own[a:b] - bucket * bucket_cells
            spill.append(
                bucket, local, np.diff(indptr[a : b + 1]), columns[entries], *(values[entries] for values in taken)
            )


def _sort(groups: list[list[NDArray[Any]]], start: int, n_genes: int) -> Block:
    """Cells by their place and genes by their column: two transpositions of the entries as they came."""
    local, lengths, columns, *taken = (_joined(parts) for parts in zip(*groups, strict=True))
    groups.clear()
    came = np.concatenate([[0], np.cumsum(lengths)])
    indptr, columns, entries = sort_entries(came, columns, local.astype(np.int32), n_genes)
    data, *counts = (values[entries] for values in taken)
    return Block(start, indptr, columns, data, counts[0] if counts else None)


def sort_entries(
    indptr: Positions, columns: NDArray[np.int32], place: NDArray[np.int32], n_genes: int
) -> tuple[Positions, NDArray[np.int32], Positions]:
    """Sort the cells of a block by their place, and the genes of each by column, by transposing twice.

    Parameters
    ----------
    indptr, columns
        The block's.
    place
        Of each cell, each once.

    Returns
    -------
    indptr, columns, entries
        Of the sorted block, and which entry of the block each is.
    """
    entries, n_cells = np.arange(len(columns), dtype=np.int64), len(indptr) - 1
    by_gene, gene_entries = np.empty(len(columns), np.int32), np.empty_like(entries)
    gene_indptr, sorted_indptr = np.empty(n_genes + 1, np.int64), np.empty(n_cells + 1, np.int64)
    sorted_columns = np.empty(len(columns), np.int32)
    transpose(indptr, columns, entries, np.arange(n_genes, dtype=np.int32), by_gene, gene_entries, gene_indptr)
    transpose(gene_indptr, by_gene, gene_entries, place, sorted_columns, entries, sorted_indptr)
    return sorted_indptr, sorted_columns, entries


def _joined(parts: tuple[NDArray[Any], ...]) -> NDArray[Any]:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
