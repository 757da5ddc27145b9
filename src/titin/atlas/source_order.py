"""The matrix as the source had it: cells in the source's order, genes by their column there."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from titin.atlas.row_groups import dataset_blocks
from titin.dataset import layout
from titin.dataset.block import Block
from titin.dataset.kernels import transpose
from titin.dataset.spill import Spill
from titin.dataset.store import Store
from titin.parallel import read_ahead
from titin.resources import Resources


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
