"""Matrices that are stored with their zeros."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from titin.dataset.block import Block
from titin.source.reading import reading
from titin.source.stored import INDEX_DTYPE, StoredMatrix

_PLACES = 1 << 18  # values at a time: their positions take eight times the memory of the smallest values


class DenseMatrix(StoredMatrix):
    """A matrix stored with its zeros; ``-0.0`` is a zero, NaN is a value.

    Chunks that are short enough are read as bands of rows. Where a band of chunks would be larger than a block, it is
    read tile by tile and its entries filed on disk by row, so that no chunk is unpacked twice.

    Parameters
    ----------
    path, name
        The file, and the place of the matrix in it.
    array
        Two-dimensional HDF5 or zarr array, cells × genes.
    chunks
        Shape of the pieces that can only be read whole; ``None`` where any rows can be read.
    """

    storage = "dense"

    def __init__(self, path: Path, name: str, array: Any, chunks: tuple[int, int] | None) -> None:
        dtype = np.dtype(array.dtype).newbyteorder("=")
        super().__init__(path, name, (int(array.shape[0]), int(array.shape[1])), dtype)
        self._array, self._chunks = array, chunks

    def head(self, n: int) -> NDArray[Any]:
        """Return the values other than zero of the first ``n`` places."""
        rows = min(self.shape[0], -(-n // self.shape[1]))
        values: NDArray[Any] = self._read(0, rows, 0, min(n, self.shape[1]))
        return values[np.nonzero(values)]

    def blocks(self, max_bytes: int, scratch: Path) -> Iterator[Block]:
        """Yield all cells once, in source order; see `Matrix.blocks`."""
        n_cells, n_genes = self.shape
        rows = max(1, max_bytes // (n_genes * (INDEX_DTYPE.itemsize + self.dtype.itemsize)))
        high = min(self._chunks[0], n_cells) if self._chunks else 1
        if high > rows:
            for start in range(0, n_cells, high):
                yield from self._band(start, min(start + high, n_cells), rows, max_bytes, scratch)
            return
        rows -= rows % high
        for start in range(0, n_cells, rows):
            stop = min(start + rows, n_cells)
            yield _without_zeros(start, self._read(start, stop, 0, n_genes))

    def _band(self, start: int, stop: int, rows: int, max_bytes: int, scratch: Path) -> Iterator[Block]:
        from titin.source.row_buckets import RowBuckets

        n_genes = self.shape[1]
        width = self._chunks[1] if self._chunks else n_genes
        # positions of the entries, as found, take 24 bytes each beside the values
        width *= max(1, max_bytes // ((stop - start) * width * (24 + self.dtype.itemsize)))
        starts = np.array([*range(0, stop - start, rows), stop - start], np.int64)
        buckets = RowBuckets(scratch, starts, n_genes, self.dtype)
        try:
            for left in range(0, n_genes, width):
                dense = self._read(start, stop, left, min(left + width, n_genes))
                found = np.flatnonzero(dense)
                found_rows, columns = np.divmod(found, dense.shape[1])
                buckets.add_by_row(found_rows, columns + left, dense.ravel()[found])
            for block in buckets.blocks():
                yield Block(start + block.start, block.indptr, block.indices, block.data)
        finally:
            buckets.close()

    def _read(self, start: int, stop: int, left: int, right: int) -> NDArray[Any]:
        with reading(self.path, f"{self.name}[{start}:{stop}]"):
            values: NDArray[Any] = np.ascontiguousarray(self._array[start:stop, left:right])
            return values.astype(self.dtype, copy=False)


def _without_zeros(start: int, dense: NDArray[Any]) -> Block:
    n_cells, n_genes = dense.shape
    indptr = np.zeros(n_cells + 1, np.int64)
    np.cumsum(np.count_nonzero(dense, axis=1), out=indptr[1:])
    indices, data = np.empty(indptr[-1], INDEX_DTYPE), np.empty(indptr[-1], dense.dtype)
    step = max(1, _PLACES // n_genes)
    for row in range(0, n_cells, step):
        part = dense[row : row + step]
        found = np.flatnonzero(part)
        here = slice(indptr[row], indptr[min(row + step, n_cells)])
        indices[here], data[here] = found % n_genes, part.ravel()[found]
    return Block(start, indptr, indices, data)
