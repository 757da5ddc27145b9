"""A matrix of a source, opened as it is stored, and some columns of one."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from titin.dataset.block import Block
from titin.errors import SourceError
from titin.source.base import DistantRows, RowReader
from titin.source.budget import Budget
from titin.source.compressed import CSCMatrix, CSRMatrix
from titin.source.dense import DenseMatrix
from titin.source.reading import DAMAGED, attribute, encoding, is_group, members, reading
from titin.source.stored import INDEX_DTYPE, StoredMatrix, Vector, open_vector


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
        target = np.full(matrix.shape[1], -1, INDEX_DTYPE)
        target[columns] = np.arange(len(columns), dtype=INDEX_DTYPE)
        self._columns = _Columns(matrix.path, matrix.name, target)
        if len(columns) == matrix.shape[1]:
            self.nnz = matrix.nnz

    def head(self, n: int) -> NDArray[Any]:
        """Return about ``n`` stored values, of any column."""
        return self._matrix.head(n)

    def blocks(self, max_bytes: int, scratch: Path) -> Iterator[Block]:
        """Yield all cells once, in source order; see `Matrix.blocks`."""
        for block in self._matrix.blocks(max_bytes, scratch):
            yield self._columns.take(block)

    def distant_rows(self) -> DistantRows | None:
        """What other processes can read its cells with; see `Matrix.distant_rows`."""
        whole = self._matrix.distant_rows()
        return None if whole is None else DistantRows(_RowsOfColumns(whole.reader, self._columns), whole.indptr)


@dataclass(frozen=True)
class _Columns:
    """The place that each column of a matrix has among those that are kept; -1 for none."""

    path: Path
    name: str
    target: NDArray[np.int32]

    def take(self, block: Block) -> Block:
        try:
            if len(block.indices) and block.indices.min() < 0:
                raise IndexError("negative")
            indices = self.target[block.indices]
        except IndexError:
            what = f"a cell after cell {block.start:,} names a gene that is not among its {len(self.target):,}"
            raise SourceError(f"{self.path}: {self.name} is damaged: {what}", DAMAGED) from None
        keep = indices >= 0
        if keep.all():
            return Block(block.start, block.indptr, indices, block.data)
        position = np.zeros(len(keep) + 1, np.int64)
        np.cumsum(keep, out=position[1:])
        return Block(block.start, position[block.indptr], indices[keep], block.data[keep])


@dataclass(frozen=True)
class _RowsOfColumns:
    rows: RowReader
    columns: _Columns

    @property
    def entry_bytes(self) -> int:
        return self.rows.entry_bytes

    def read(self, start: int, indptr: NDArray[np.int64]) -> Block:
        return self.columns.take(self.rows.read(start, indptr))


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
    return matrix(path, name, sparse_shape(group), *open_vectors(path, group, name, budget), budget.shelf)


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
