"""The matrix of a dataset as row blocks: in the dataset's order, or in the source's."""

from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from titin.dataset import layout
from titin.dataset.arrow import list_arrays
from titin.dataset.codec import decode_values
from titin.dataset.kernels import transpose
from titin.dataset.spill import Spill
from titin.dataset.store import RowGroup, Store
from titin.errors import DatasetError
from titin.parallel import ordered_map, read_ahead
from titin.resources import Resources
from titin.source import Block


def dataset_blocks(
    store: Store, *, counts: bool = False, threads: int = 1, groups: Sequence[RowGroup] | None = None
) -> Generator[Block, None, None]:
    """Yield the cells row group by row group, in the dataset's order, genes as ascending tokens.

    Parameters
    ----------
    counts
        Give the integer counts instead of the source's values.
    groups
        The row groups wanted; all where not given.

    Raises
    ------
    DatasetError
        If a file is missing, damaged or replaced, or if a cell's levels do not fit its counts.
    """
    wanted = all_groups(store) if groups is None else groups
    yield from ordered_map(lambda group: read_block(store, group, counts=counts), wanted, threads)


def all_groups(store: Store) -> tuple[RowGroup, ...]:
    """List the row groups of the matrix, which must hold as many cells as the manifest says."""
    groups = store.row_groups(store.manifest.layout.expression)
    n_cells = groups[-1].first_row + groups[-1].n_rows if groups else 0
    if n_cells != store.manifest.n_cells:
        raise DatasetError(
            f"{store.name}: the expression files hold {n_cells:,} cells, {layout.MANIFEST} says "
            f"{store.manifest.n_cells:,}",
            "restore the files, or build the dataset again",
        )
    return groups


def read_block(store: Store, group: RowGroup, *, counts: bool = False) -> Block:
    """Read and decode one row group; genes as ascending tokens.

    Raises
    ------
    DatasetError
        If its file is missing, damaged or replaced, or if a cell's levels do not fit its counts.
    """
    kind = store.manifest.kind
    values = layout.VALUES if kind == "real" else layout.COUNTS
    decoded = kind == "log1p" and not counts
    table = store.read_group(group, [layout.GENES, values, *([layout.LEVELS] if decoded else [])])
    try:
        indptr, tokens = list_arrays(table.column(layout.GENES))
        data_indptr, data = list_arrays(table.column(values))
        if not np.array_equal(indptr, data_indptr):
            raise ValueError(f"{layout.GENES} and {values} differ in length")
        if len(tokens) and int(tokens.max()) >= store.manifest.n_genes:
            raise ValueError(f"it names gene {int(tokens.max()):,} of {store.manifest.n_genes:,}")
        if decoded:
            data = decode_values(indptr, data, *list_arrays(table.column(layout.LEVELS)))
    except ValueError as error:
        raise store.damaged(group.shard, error) from error
    return Block(group.first_row, indptr, tokens, data)


def give_back_memory() -> None:
    """Give back what Arrow keeps for the next read: after a pass over all cells, more than 100 MB."""
    pa.default_memory_pool().release_unused()


def source_blocks(store: Store, scratch: Path, resources: Resources, *, counts: bool = False) -> Iterator[Block]:
    """Yield the cells in the source's order, genes as ascending source columns.

    Parameters
    ----------
    scratch
        An existing folder for one intermediate file, removed at the end.
    counts
        Give the integer counts instead of the source's values.
    """
    manifest = store.manifest
    rows = store.column(manifest.layout.expression, layout.SOURCE_ROW).to_numpy()
    columns = store.column(manifest.layout.feature_metadata, layout.SOURCE_COLUMN).to_numpy()
    fitting = resources.bucket_values // max(1, manifest.nnz // manifest.n_cells)
    bucket_cells = int(np.clip(fitting, 1, 65_536))
    with Spill(scratch / "cells", -(-manifest.n_cells // bucket_cells)) as spill:
        for block in read_ahead(dataset_blocks(store, counts=counts, threads=resources.threads)):
            _file(spill, block, rows[block.start : block.start + block.n_cells], bucket_cells)
        for bucket in range(spill.n_buckets):
            start = bucket * bucket_cells
            n_cells = min(bucket_cells, manifest.n_cells - start)
            yield _sort(spill.read(bucket), start, n_cells, columns.astype(np.int32), len(columns))


def _file(spill: Spill, block: Block, rows: NDArray[np.int64], bucket_cells: int) -> None:
    """File each cell of a block under the bucket of its source row: rows, lengths, tokens, values."""
    buckets = rows // bucket_cells
    lengths = np.diff(block.indptr)
    for bucket in np.unique(buckets).tolist():
        mine = buckets == bucket
        picked = np.repeat(mine, lengths)
        spill.append(
            bucket, rows[mine] - bucket * bucket_cells, lengths[mine], block.indices[picked], block.data[picked]
        )


def _sort(
    groups: list[list[NDArray[Any]]], start: int, n_cells: int, columns: NDArray[np.int32], n_genes: int
) -> Block:
    """Cells by source row and genes by source column: two transpositions of the entries as they came."""
    local = np.concatenate([g[0] for g in groups])
    lengths = np.concatenate([g[1] for g in groups])
    tokens = np.concatenate([g[2] for g in groups])
    data = np.concatenate([g[3] for g in groups])
    groups.clear()
    came = np.concatenate([[0], np.cumsum(lengths)])
    by_gene, gene_data = np.empty(len(tokens), np.int32), np.empty_like(data)
    gene_indptr = np.empty(n_genes + 1, np.int64)
    transpose(came, tokens, data, columns, by_gene, gene_data, gene_indptr)
    indptr = np.empty(n_cells + 1, np.int64)
    genes = np.empty(len(tokens), np.int32)
    transpose(gene_indptr, by_gene, gene_data, local.astype(np.int32), genes, data, indptr)
    return Block(start, indptr, genes, data)
