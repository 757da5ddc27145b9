"""Chosen cells × genes of row groups as CSR matrices, and one matrix made of many."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from titin.atlas.kernels import count_chosen, take_rows
from titin.atlas.row_groups import ChosenRows, Positions, read_block, split_rows
from titin.dataset.block import Block
from titin.dataset.store import Store
from titin.parallel import ordered_map

if TYPE_CHECKING:
    from scipy import sparse


@dataclass(frozen=True)
class RowBlock:
    """Some cells of a dataset, in the dataset's order.

    Attributes
    ----------
    rows
        int64, positions of the cells in the dataset, ascending.
    X
        One row a cell, one column a gene chosen; indices sorted, no explicit zeros.
    """

    rows: Positions
    X: "sparse.csr_matrix"


def column_map(n_genes: int, tokens: Positions) -> NDArray[np.int32]:
    """Column of each token in a result whose columns are ``tokens``; -1 where it has none."""
    column_of = np.full(n_genes, -1, np.int32)
    column_of[tokens] = np.arange(len(tokens), dtype=np.int32)
    return column_of


def row_blocks(
    store: Store,
    rows: Positions | None,
    column_of: NDArray[np.int32],
    n_columns: int,
    dtype: np.dtype | None,
    *,
    counts: bool,
    threads: int,
) -> Iterator[RowBlock]:
    """Yield the chosen cells, a row group at a time, read and decoded in threads.

    Parameters
    ----------
    rows
        Ascending, repeats allowed; None for all.
    column_of, n_columns
        From `column_map`.
    dtype
        Of the values; as stored where not given.
    """

    def work(chosen: ChosenRows) -> RowBlock:
        block = read_block(store, chosen.group, counts=counts)
        return RowBlock(block.start + chosen.rows, take(block, chosen.rows, column_of, n_columns, dtype))

    yield from ordered_map(work, split_rows(store, rows), threads)


def take(
    block: Block, rows: Positions, column_of: NDArray[np.int32], n_columns: int, dtype: np.dtype | None
) -> "sparse.csr_matrix":
    """Return some rows of a block, as CSR with sorted indices."""
    indptr = np.empty(len(rows) + 1, np.int64)
    count_chosen(block.indptr, block.indices, rows, column_of, indptr)
    columns, data = np.empty(indptr[-1], np.int32), np.empty(indptr[-1], block.data.dtype)
    take_rows(block.indptr, block.indices, block.data, rows, column_of, n_columns, columns, data)
    return make_csr(indptr, columns, data if dtype is None else data.astype(dtype, copy=False), n_columns)


def make_csr(
    indptr: NDArray[np.int64], columns: NDArray[Any], data: NDArray[Any], n_columns: int
) -> "sparse.csr_matrix":
    """Wrap the arrays of a matrix that is known to be canonical, without copying or checking."""
    from scipy import sparse

    index = np.int32 if indptr[-1] < 2**31 else np.int64
    X = sparse.csr_matrix((len(indptr) - 1, n_columns), dtype=data.dtype)
    X.indptr, X.indices, X.data = indptr.astype(index), columns.astype(index, copy=False), data
    X.has_canonical_format = True  # and so has_sorted_indices
    return X


class GrowingMatrix:
    """A CSR matrix to which blocks of rows are appended, in arrays made once for an expected size."""

    def __init__(self, expected: int, n_columns: int, dtype: np.dtype) -> None:
        self._n_columns, self._nnz = n_columns, 0
        self._ends: list[NDArray[np.int64]] = [np.zeros(1, np.int64)]
        index = np.int32 if expected < 2**30 else np.int64
        self._columns, self._data = np.empty(expected, index), np.empty(expected, dtype)

    def append(self, X: "sparse.csr_matrix") -> None:
        """Append rows."""
        end = self._nnz + X.nnz
        if end > len(self._data):
            self._resize(max(end, len(self._data) * 5 // 4))
        self._columns[self._nnz : end], self._data[self._nnz : end] = X.indices, X.data
        self._ends.append(X.indptr[1:].astype(np.int64) + self._nnz)
        self._nnz = end

    def finish(self) -> "sparse.csr_matrix":
        """Return the whole; what was expected too much is given back."""
        self._resize(self._nnz)
        return make_csr(np.concatenate(self._ends), self._columns, self._data, self._n_columns)

    def _resize(self, size: int) -> None:
        # in place, without a second copy; nothing else refers to these arrays
        self._columns.resize(size, refcheck=False)
        self._data.resize(size, refcheck=False)
