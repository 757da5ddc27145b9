"""Sparse matrices stored by row: pieces of the arrays are the blocks."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from titin.dataset.block import Block
from titin.errors import SourceError
from titin.source.budget import Budget
from titin.source.reading import DAMAGED, attribute, encoding, is_group, members, reading, row_ranges
from titin.source.stored import INDEX_DTYPE, StoredMatrix, Vector, open_vector


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

    Attributes
    ----------
    indptr
        Where each row (of a CSC matrix: column) begins, int64, one more than there are; in memory.

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
        self.indptr = checked_indptr(path, name, shape[0], indptr, indices, data)
        self._indices, self._data = indices, data
        self.nnz = len(data)

    def head(self, n: int) -> NDArray[Any]:
        """Return the first ``n`` stored values."""
        return self._data.read(0, min(n, len(self._data)))

    def stored_by_cell(self) -> NDArray[np.int64]:
        """Return the number of stored values of each cell."""
        return np.diff(self.indptr)

    def blocks(self, max_bytes: int, scratch: Path) -> Iterator[Block]:  # noqa: ARG002
        """Yield all cells once, in source order; see `Matrix.blocks`."""
        entry_bytes = self._indices.dtype.itemsize + self.dtype.itemsize
        for start, stop in row_ranges(self.indptr, entry_bytes, max_bytes):
            yield self._block(start, stop)

    def _block(self, start: int, stop: int) -> Block:
        first, last = int(self.indptr[start]), int(self.indptr[stop])
        indices, data = self._indices.read(first, last), self._data.read(first, last)
        return Block(start, self.indptr[start : stop + 1] - first, indices, data)


def checked_indptr(
    path: Path, name: str, n_major: int, indptr: Vector, indices: Vector, data: Vector
) -> NDArray[np.int64]:
    """Return the pointers of a sparse matrix, read whole, once the three arrays are known to agree."""

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

    Attributes
    ----------
    indptr
        Where each row (of a CSC matrix: column) begins, int64, one more than there are; in memory.

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
        self.indptr = checked_indptr(path, name, shape[1], indptr, indices, data)
        self._indices, self._data = indices, data
        self.nnz = len(data)

    def head(self, n: int) -> NDArray[Any]:
        """Return the first ``n`` stored values, those of the first genes."""
        return self._data.read(0, min(n, len(self._data)))

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


class ChosenColumns(StoredMatrix):
    """Some columns of a matrix in a chosen order, mapped block by block.

    Parameters
    ----------
    matrix
        Where the values come from.
    columns
        Positions in ``matrix`` of the columns to keep, in the order to give them.
    """

    def __init__(self, matrix: StoredMatrix, columns: NDArray[Any]) -> None:
        super().__init__(matrix.path, matrix.name, (matrix.shape[0], len(columns)), matrix.dtype)
        self.storage = matrix.storage
        self._matrix = matrix
        self._target = np.full(matrix.shape[1], -1, INDEX_DTYPE)
        self._target[columns] = np.arange(len(columns), dtype=INDEX_DTYPE)
        if len(columns) == matrix.shape[1]:
            self.nnz = matrix.nnz

    def head(self, n: int) -> NDArray[Any]:
        """Return about ``n`` stored values, of any column."""
        return self._matrix.head(n)

    def blocks(self, max_bytes: int, scratch: Path) -> Iterator[Block]:
        """Yield all cells once, in source order; see `Matrix.blocks`."""
        for block in self._matrix.blocks(max_bytes, scratch):
            yield self._mapped(block)

    def _mapped(self, block: Block) -> Block:
        try:
            if len(block.indices) and block.indices.min() < 0:
                raise IndexError("negative")
            indices = self._target[block.indices]
        except IndexError:
            what = f"a cell after cell {block.start:,} names a gene that is not among its {len(self._target):,}"
            raise SourceError(f"{self.path}: {self.name} is damaged: {what}", DAMAGED) from None
        keep = indices >= 0
        if keep.all():
            return Block(block.start, block.indptr, indices, block.data)
        position = np.zeros(len(keep) + 1, np.int64)
        np.cumsum(keep, out=position[1:])
        return Block(block.start, position[block.indptr], indices[keep], block.data[keep])


def open_matrix(path: Path, node: Any, name: str, budget: Budget) -> StoredMatrix:
    """Open an AnnData matrix element, sparse or dense, of any AnnData version.

    Raises
    ------
    SourceError
        If the element is no matrix, or its parts disagree.
    """
    with reading(path, name):
        if is_group(node):
            return _open_sparse(path, node, name, budget)
        budget.check_chunk(node, name)
        return _open_dense(path, node, name)


def _open_dense(path: Path, node: Any, name: str) -> StoredMatrix:
    if node.ndim != 2 or node.dtype.names:
        raise SourceError(
            f"{path}: {name} has shape {node.shape} and type {node.dtype}, not cells × genes",
            "Choose another matrix with --layer or --raw, or write the file anew from the AnnData object.",
        )
    return DenseMatrix(path, name, node, _whole_pieces(node))


def is_absent(node: Any) -> bool:
    """Whether an element is AnnData's way to say None."""
    return encoding(node) == "null"


def sparse_format(node: Any) -> str:
    """Return ``csr``, ``csc``, or an empty string where a group is not a sparse matrix."""
    known = {"csr_matrix": "csr", "csc_matrix": "csc"}
    return known.get(encoding(node), attribute(node, "h5sparse_format"))


def sparse_shape(node: Any) -> tuple[int, int]:
    """Return rows and columns of a sparse matrix."""
    n_rows, n_columns = node.attrs["shape"] if "shape" in node.attrs else node.attrs["h5sparse_shape"]
    return int(n_rows), int(n_columns)


def _open_sparse(path: Path, group: Any, name: str, budget: Budget) -> StoredMatrix:
    kind = sparse_format(group)
    if kind not in ("csr", "csc"):
        what = encoding(group) or f"a group without encoding (of {', '.join(members(group)) or 'nothing'})"
        raise SourceError(
            f"{path}: {name} is {what}, not a CSR, CSC or dense matrix",
            "Choose another matrix with --layer or --raw, or write this one as scipy.sparse.csr_matrix.",
        )
    matrix = CSRMatrix if kind == "csr" else CSCMatrix
    return matrix(path, name, sparse_shape(group), *open_vectors(path, group, name, budget))


def open_vectors(path: Path, group: Any, name: str, budget: Budget) -> tuple[Vector, Vector, Vector]:
    """Open the row pointers, which will be read whole, the indices and the values of a sparse matrix."""
    with reading(path, name):
        parts = {part: group[part] for part in ("indptr", "indices", "data")}
        budget.claim(parts["indptr"], f"{name}/indptr")
        for part in ("indices", "data"):
            budget.check_chunk(parts[part], f"{name}/{part}")
    indptr, indices, data = (open_vector(path, node, f"{name}/{part}") for part, node in parts.items())
    return indptr, indices, data


def _whole_pieces(array: Any) -> tuple[int, int] | None:
    """Shape of the chunks that cost the whole chunk to read; plain HDF5 chunks can be read in part."""
    if isinstance(array, h5py.Dataset) and (array.chunks is None or not array.id.get_create_plist().get_nfilters()):
        return None
    return tuple(array.chunks)
