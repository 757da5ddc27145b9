"""Sparse matrices as they are stored: by row, whose pieces are the blocks, and by column, sorted anew on disk."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from titin.dataset.block import Block
from titin.errors import SourceError
from titin.shelf import Shelf
from titin.source.base import DistantRows
from titin.source.reading import DAMAGED, row_ranges
from titin.source.stored import INDEX_DTYPE, StoredMatrix, Vector

_POINTERS = 1 << 20  # that are looked at


class CompressedMatrix(StoredMatrix):
    """A matrix in compressed sparse rows or columns; only its pointers are looked at whole.

    Parameters
    ----------
    path, name
        The file, and the place of the matrix in it.
    shape
        Cells, genes.
    indptr, indices, data
        The three arrays.
    shelf
        Where the pointers are put away; in memory where not given.

    Attributes
    ----------
    indptr
        Where each row (of a CSC matrix: column) begins, int64, one more than there are.

    Raises
    ------
    SourceError
        If the three arrays disagree.
    """

    _major: int  # the axis that is compressed

    def __init__(
        self, path: Path, name: str, shape: tuple[int, int], indptr: Vector, indices: Vector, data: Vector,
        shelf: Shelf | None = None,
    ) -> None:  # fmt: skip
        super().__init__(path, name, shape, data.dtype)
        self.indptr = checked_indptr(path, name, shape[self._major], indptr, indices, data, shelf or Shelf())
        self._indices, self._data = indices, data
        self.nnz = len(data)

    def head(self, n: int) -> NDArray[Any]:
        """Return the first ``n`` stored values: those of the first cells, of a CSC matrix of the first genes."""
        return self._data.read(0, min(n, len(self._data)))


class CSRMatrix(CompressedMatrix):
    """A matrix in compressed sparse rows: pieces of the arrays are the blocks."""

    storage = "csr"
    _major = 0

    def stored_by_cell(self) -> NDArray[np.int64]:
        """Return the number of stored values of each cell."""
        return np.diff(self.indptr)

    def blocks(self, max_bytes: int, scratch: Path) -> Iterator[Block]:  # noqa: ARG002
        """Yield all cells once, in source order; see `Matrix.blocks`."""
        rows = _CompressedRows(self._indices, self._data)
        for start, stop in row_ranges(self.indptr, rows.entry_bytes, max_bytes):
            yield rows.read(start, self.indptr[start : stop + 1])

    def distant_rows(self) -> DistantRows | None:
        """What other processes can read its cells with; see `Matrix.distant_rows`."""
        if not (self._indices.travels and self._data.travels):
            return None
        return DistantRows(_CompressedRows(self._indices, self._data), self.indptr)


@dataclass(frozen=True)
class _CompressedRows:
    """The arrays of a CSR matrix without its pointers, of which a reader of some cells needs few."""

    indices: Vector
    data: Vector

    @property
    def entry_bytes(self) -> int:
        return self.indices.dtype.itemsize + self.data.dtype.itemsize

    def read(self, start: int, indptr: NDArray[np.int64]) -> Block:
        first, last = int(indptr[0]), int(indptr[-1])
        return Block(start, indptr - first, self.indices.read(first, last), self.data.read(first, last))


_LEAST_PIECE = 256  # entries; fewer cost more to file than to keep


class CSCMatrix(CompressedMatrix):
    """A matrix in compressed sparse columns.

    1. The row numbers are read once to count the entries of each cell, which fixes the blocks.
    2. Rows and values are read once, from first column to last, and filed on disk under their block.
    3. Each block is read back and sorted by cell; its columns ascend.

    While a block is made, about ``max_bytes`` more than the block, and 12 bytes a cell, are in memory.
    """

    storage = "csc"
    _major = 1

    def blocks(self, max_bytes: int, scratch: Path) -> Iterator[Block]:
        """Yield all cells once, in source order; see `Matrix.blocks`."""
        from titin.source.row_buckets import RowBuckets

        row_indptr = self._count_rows(max_bytes)
        entry_bytes = INDEX_DTYPE.itemsize + self.dtype.itemsize
        stops = [stop for _, stop in row_ranges(row_indptr, entry_bytes, max_bytes)]
        del row_indptr
        buckets = RowBuckets(scratch, np.array([0, *stops], np.int64), self.shape[1], self.dtype)
        try:
            for first, last in self._pieces(max_bytes // 2):
                buckets.add_by_column(self._indices.read(first, last), self._data.read(first, last), first, self.indptr)
            yield from buckets.blocks()
        finally:
            buckets.close()

    def _pieces(self, max_bytes: int) -> Iterator[tuple[int, int]]:
        step = max(_LEAST_PIECE, max_bytes // (self._indices.dtype.itemsize + self.dtype.itemsize))
        for first in range(0, len(self._data), step):
            yield first, min(first + step, len(self._data))

    def _count_rows(self, max_bytes: int) -> NDArray[np.int64]:
        from titin.source.row_buckets import count_rows

        indptr = np.zeros(self.shape[0] + 1, np.int64)
        for first, last in self._pieces(max_bytes):
            rows = self._indices.read(first, last)
            bad = count_rows(rows, indptr[1:])
            if bad >= 0:
                what = f"indices[{first + bad:,}] names cell {rows[bad]:,} of {self.shape[0]:,}"
                raise SourceError(f"{self.path}: {self.name} is damaged: {what}", DAMAGED)
        return np.cumsum(indptr, out=indptr)


def checked_indptr(
    path: Path, name: str, n_major: int, indptr: Vector, indices: Vector, data: Vector, shelf: Shelf
) -> NDArray[np.int64]:
    """Return the pointers of a sparse matrix, on the shelf, once the three arrays are known to agree."""

    def damaged(what: str) -> SourceError:
        return SourceError(f"{path}: {name} is damaged: {what}", DAMAGED)

    for part, vector in (("indptr", indptr), ("indices", indices)):
        if vector.dtype.kind not in "iu":
            raise SourceError(
                f"{path}: {name} is no sparse matrix: its {part} holds {vector.dtype} values, not integers",
                f"Write {name}/{part} as int32 or int64; its values may be right, but their type is not.",
            )
    if len(indptr) != n_major + 1:
        raise damaged(f"indptr has {len(indptr):,} entries, {n_major + 1:,} were expected for its shape")
    (pointers,) = shelf.empty(len(indptr), np.int64)
    for start in range(0, len(indptr), _POINTERS):
        own = slice(start, min(start + _POINTERS, len(indptr)))
        pointers[own] = indptr.read(own.start, own.stop)
        if pointers[0] != 0:
            raise damaged(f"indptr starts at {pointers[0]}, not at 0")
        seen = pointers[max(start - 1, 0) : own.stop]
        falls = np.flatnonzero(seen[1:] < seen[:-1])
        if len(falls):
            at = int(falls[0]) + max(start - 1, 0)
            raise damaged(f"indptr falls from {pointers[at]:,} to {pointers[at + 1]:,} at {at + 1:,}")
    if not len(indices) == len(data) == pointers[-1]:
        lengths = f"{len(indices):,} indices, {len(data):,} values"
        raise damaged(f"indptr ends at {pointers[-1]:,} but there are {lengths}")
    return pointers
