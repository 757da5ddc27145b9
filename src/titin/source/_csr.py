"""Sparse matrices stored by row: pieces of the arrays are the blocks."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from titin.errors import SourceError
from titin.source._reading import DAMAGED, row_ranges
from titin.source._stored import StoredMatrix
from titin.source._vector import Vector
from titin.source.base import Block


class CSRMatrix(StoredMatrix):
    """A matrix in compressed sparse rows; only its row pointers are in memory.

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

    storage = "csr"

    def __init__(
        self, path: Path, name: str, shape: tuple[int, int], indptr: Vector, indices: Vector, data: Vector
    ) -> None:
        super().__init__(path, name, shape, data.dtype)
        self._indptr = checked_indptr(path, name, shape[0], indptr, indices, data)
        self._indices, self._data = indices, data
        self.nnz = len(data)

    def head(self, n: int) -> NDArray[Any]:
        """Return the first ``n`` stored values."""
        return self._data.read(0, min(n, len(self._data)))

    def blocks(self, max_bytes: int, scratch: Path) -> Iterator[Block]:  # noqa: ARG002
        """Yield all cells once, in source order; see `Matrix.blocks`."""
        entry_bytes = self._indices.dtype.itemsize + self.dtype.itemsize
        for start, stop in row_ranges(self._indptr, entry_bytes, max_bytes):
            yield self._block(start, stop)

    def _block(self, start: int, stop: int) -> Block:
        first, last = int(self._indptr[start]), int(self._indptr[stop])
        indices, data = self._indices.read(first, last), self._data.read(first, last)
        return Block(start, self._indptr[start : stop + 1] - first, indices, data)


def checked_indptr(
    path: Path, name: str, n_major: int, indptr: Vector, indices: Vector, data: Vector
) -> NDArray[np.int64]:
    """Return the pointers of a sparse matrix, read whole, once the three arrays are known to agree."""

    def damaged(what: str) -> SourceError:
        return SourceError(f"{path}: {name} is damaged: {what}", DAMAGED)

    for part, vector in (("indptr", indptr), ("indices", indices)):
        if vector.dtype.kind not in "iu":
            raise damaged(f"{part} holds {vector.dtype} values, not integers")
    if len(indptr) != n_major + 1:
        raise damaged(f"indptr has {len(indptr):,} entries, {n_major + 1:,} were expected for its shape")
    pointers = indptr.read(0, len(indptr)).astype(np.int64, copy=False)
    if pointers[0] != 0:
        raise damaged(f"indptr starts at {pointers[0]}, not at 0")
    falls = np.flatnonzero(pointers[1:] < pointers[:-1])
    if len(falls):
        raise damaged(f"indptr falls from {pointers[falls[0]]:,} to {pointers[falls[0] + 1]:,} at {falls[0] + 1:,}")
    if not len(indices) == len(data) == pointers[-1]:
        lengths = f"{len(indices):,} indices, {len(data):,} values"
        raise damaged(f"indptr ends at {pointers[-1]:,} but there are {lengths}")
    return pointers
