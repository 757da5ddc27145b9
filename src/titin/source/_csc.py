"""Sparse matrices stored by column: transposed on disk, in memory for a few blocks."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from titin.errors import SourceError
from titin.source._csr import checked_indptr
from titin.source._reading import DAMAGED, row_ranges
from titin.source._stored import INDEX_DTYPE, StoredMatrix
from titin.source._vector import Vector
from titin.source.base import Block

_LEAST_PIECE = 256  # entries; fewer cost more to file than to keep


class CSCMatrix(StoredMatrix):
    """A matrix in compressed sparse columns.

    1. The row numbers are read once to count the entries of each cell, which fixes the blocks.
    2. Rows and values are read once, from first column to last, and filed on disk under their block.
    3. Each block is read back and sorted by cell; its columns ascend.

    While a block is made, about ``max_bytes`` more than the block, and 12 bytes a cell, are in memory.

    Parameters
    ----------
    path, name
        The file, and the place of the matrix in it.
    shape
        Cells, genes.
    indptr, indices, data
        The three arrays.

    Raises
    ------
    SourceError
        If the three arrays disagree.
    """

    storage = "csc"

    def __init__(
        self, path: Path, name: str, shape: tuple[int, int], indptr: Vector, indices: Vector, data: Vector
    ) -> None:
        super().__init__(path, name, shape, data.dtype)
        self._indptr = checked_indptr(path, name, shape[1], indptr, indices, data)
        self._indices, self._data = indices, data
        self.nnz = len(data)

    def head(self, n: int) -> NDArray[Any]:
        """Return the first ``n`` stored values, those of the first genes."""
        return self._data.read(0, min(n, len(self._data)))

    def blocks(self, max_bytes: int, scratch: Path) -> Iterator[Block]:
        """Yield all cells once, in source order; see `Matrix.blocks`."""
        from titin.source._row_buckets import RowBuckets

        row_indptr = self._count_rows(max_bytes)
        entry_bytes = INDEX_DTYPE.itemsize + self.dtype.itemsize
        stops = [stop for _, stop in row_ranges(row_indptr, entry_bytes, max_bytes)]
        del row_indptr
        buckets = RowBuckets(scratch, np.array([0, *stops], np.int64), self.shape[1], self.dtype)
        try:
            for first, last in self._pieces(max_bytes // 2):
                buckets.add_by_column(
                    self._indices.read(first, last), self._data.read(first, last), first, self._indptr
                )
            yield from buckets.blocks()
        finally:
            buckets.close()

    def _pieces(self, max_bytes: int) -> Iterator[tuple[int, int]]:
        step = max(_LEAST_PIECE, max_bytes // (self._indices.dtype.itemsize + self.dtype.itemsize))
        for first in range(0, len(self._data), step):
            yield first, min(first + step, len(self._data))

    def _count_rows(self, max_bytes: int) -> NDArray[np.int64]:
        from titin.source._row_buckets import count_rows

        indptr = np.zeros(self.shape[0] + 1, np.int64)
        for first, last in self._pieces(max_bytes):
            rows = self._indices.read(first, last)
            bad = count_rows(rows, indptr[1:])
            if bad >= 0:
                what = f"indices[{first + bad:,}] names cell {rows[bad]:,} of {self.shape[0]:,}"
                raise SourceError(f"{self.path}: {self.name} is damaged: {what}", DAMAGED)
        return np.cumsum(indptr, out=indptr)
