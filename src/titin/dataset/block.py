"""Part of a matrix in memory: some cells, or some genes, as the three arrays of a compressed matrix."""

from dataclasses import dataclass
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
    """

    start: int
    indptr: NDArray[np.int64]
    indices: NDArray[Any]
    data: NDArray[Any]

    @property
    def n_cells(self) -> int:
        """Number of cells in the block."""
        return len(self.indptr) - 1


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
