"""Part of a matrix in memory: some cells, or some genes, as the three arrays of a compressed matrix."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Block:
    """Consecutive cells of a matrix, as the three arrays of a CSR matrix.

    Attributes
    ----------
    start
        Position of the block's first cell.
    indptr
        int64, ``n_cells + 1``, beginning at 0.
    indices
        Gene position of each stored value; any integer dtype; order within a cell as where it was read.
    data
        The stored values.
    counts
        Integer counts that are known to lie behind the values, parallel to ``data``; 0 where they are not. None where
        none are known.
    n_beyond
        Counts beside the values, of genes whose values are zero.
    """

    start: int
    indptr: NDArray[np.int64]
    indices: NDArray[Any]
    data: NDArray[Any]
    counts: NDArray[Any] | None = None
    n_beyond: int = 0

    @property
    def n_cells(self) -> int:
        """Number of cells in the block."""
        return len(self.indptr) - 1

    def part(self, first: int, last: int) -> "Block":
        """The cells from the block's ``first`` to before its ``last``; of the values, a view."""
        a, b = int(self.indptr[first]), int(self.indptr[last])
        counts = None if self.counts is None else self.counts[a:b]
        return Block(
            self.start + first, self.indptr[first : last + 1] - a, self.indices[a:b], self.data[a:b], counts,
            self.n_beyond if first == 0 else 0,
        )  # fmt: skip


@dataclass(frozen=True)
class GeneBlock:
    """Consecutive genes of a matrix, by token, as the three arrays of a CSC matrix.

    Attributes
    ----------
    first
        Token of the block's first gene.
    indptr
        int64, ``n_genes + 1``, beginning at 0.
    cells
        uint32, positions of the cells that express each gene, ascending.
    stored
        Counts, or values of kind ``real``, parallel to ``cells``.
    """

    first: int
    indptr: NDArray[np.int64]
    cells: NDArray[np.uint32]
    stored: NDArray[Any]

    @property
    def n_genes(self) -> int:
        """Number of genes in the block."""
        return len(self.indptr) - 1


def bounded_runs(indptr: NDArray[np.integer[Any]], most: int) -> list[tuple[int, int]]:
    """Rows in runs of at most so many entries, at least one row each: first row and the one behind the last.

    Parameters
    ----------
    indptr
        Where the entries of each row begin, and the end of the last.

    Examples
    --------
    >>> bounded_runs(np.array([0, 2, 4, 9, 10]), most=4)
    [(0, 2), (2, 3), (3, 4)]
    """
    ends, n_rows = [0], len(indptr) - 1
    while ends[-1] < n_rows:
        fitting = int(np.searchsorted(indptr, indptr[ends[-1]] + most, side="right")) - 1
        ends.append(min(n_rows, max(ends[-1] + 1, fitting)))
    return list(pairwise(ends))
