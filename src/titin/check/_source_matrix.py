"""The source's matrix, cell by cell, as digests; a second look at the first cell that differs."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from titin.check._kernels import digest_rows
from titin.check._lists import value_words
from titin.parallel import ordered_map, read_ahead
from titin.source import Block, Matrix

if TYPE_CHECKING:
    from titin.check.context import Context


def source_digests(context: "Context", matrix: Matrix) -> tuple[NDArray[np.uint64], int]:
    """Digest of each cell (uint64, cells × 2, source order) over (source column, value), and how many values there are.

    Raises
    ------
    SourceError
        If the source cannot be read.
    """
    n_cells, n_genes = matrix.shape
    digests, n_values = np.zeros((n_cells, 2), np.uint64), 0
    columns = np.arange(n_genes)

    def digest(block: Block) -> tuple[Block, NDArray[np.uint64]]:
        own = np.empty((block.n_cells, 2), np.uint64)
        digest_rows(block.indptr, block.indices, value_words(block.data), columns, own)
        return block, own

    context.progress.start("read the source", n_cells, "cells")
    with tempfile.TemporaryDirectory(prefix="titin-") as scratch:
        blocks = matrix.blocks(_block_bytes(context, matrix), Path(scratch))
        for block, own in ordered_map(digest, read_ahead(blocks), context.threads):
            digests[block.start : block.start + block.n_cells] = own
            n_values += int(np.count_nonzero(block.data))
            context.progress.advance(block.n_cells)
    context.progress.finish()
    return digests, n_values


def _block_bytes(context: "Context", matrix: Matrix) -> int:
    return context.resources.scan_values * (matrix.dtype.itemsize + 4)


def first_difference(context: "Context", matrix: Matrix, position: int, source_row: int) -> str:
    """Say how a cell differs from its row of the source; both are read again."""
    theirs = np.zeros(matrix.shape[1])
    with tempfile.TemporaryDirectory(prefix="titin-") as scratch:
        for block in matrix.blocks(_block_bytes(context, matrix), Path(scratch)):
            row = source_row - block.start
            if 0 <= row < block.n_cells:
                own = slice(block.indptr[row], block.indptr[row + 1])
                theirs[block.indices[own]] = block.data[own]
                break
    ours = context.atlas.X[[position], :].toarray()[0].astype(np.float64)
    differ = np.flatnonzero(ours != theirs)
    if not len(differ):
        return "their digests differ, their values do not: a value is listed twice"
    gene = context.var.index[differ[0]]
    return f"{len(differ):,} genes differ; {gene} is {ours[differ[0]]!r} here and {theirs[differ[0]]!r} in the source"
