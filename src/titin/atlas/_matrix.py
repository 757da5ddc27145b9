"""``atlas.X`` and ``atlas.counts``: a matrix in brackets."""

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from titin.atlas.errors import SelectionError

if TYPE_CHECKING:
    from titin.atlas.atlas import Atlas


class MatrixView:
    """The cells × genes matrix, of which brackets read a part.

    ``view[cells]`` and ``view[cells, genes]`` take slices, positions, masks and names, in any order and with repeats,
    and give a CSR matrix of two dimensions. Whichever is less work is read: the row groups that hold the cells, or
    those that hold the genes.

    Attributes
    ----------
    shape
        Cells, genes.
    dtype
        That of the source's values, or of the counts as stored.
    """

    def __init__(self, atlas: "Atlas", *, counts: bool) -> None:
        self._atlas, self._counts = atlas, counts

    @property
    def shape(self) -> tuple[int, int]:
        """Cells, genes."""
        return self._atlas.shape

    @property
    def dtype(self) -> np.dtype:
        """Of the values, or of the counts as stored."""
        return self._atlas.reader.count_dtype if self._counts else self._atlas.reader.dtype

    def __getitem__(self, key: Any) -> sparse.csr_matrix:
        """Read cells × genes.

        Raises
        ------
        MemoryLimitError
            If the result would not fit the memory limit.
        SelectionError, UnknownNameError
            If the selection names what is not there.
        DatasetError
            If a file is missing, damaged or replaced.
        """
        rows, columns = key if isinstance(key, tuple) and len(key) == 2 else (key, None)
        if isinstance(rows, tuple):
            raise SelectionError(f"a matrix has 2 dimensions, not {len(rows)}", "select cells, genes")
        return self._atlas.reader.csr(
            self._atlas.find_cells(rows), self._atlas.find_genes(columns), counts=self._counts
        )

    def __repr__(self) -> str:
        what = "counts" if self._counts else "values"
        return f"{what} of {self.shape[0]:,} cells × {self.shape[1]:,} genes, {self.dtype}; read by [cells, genes]"
