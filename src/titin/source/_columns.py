"""A matrix seen through a choice of its columns."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from titin.errors import SourceError
from titin.source._reading import DAMAGED
from titin.source._stored import INDEX_DTYPE, StoredMatrix
from titin.source.base import Block


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
