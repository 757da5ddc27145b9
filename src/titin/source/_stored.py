"""A matrix as it is stored in a source: what CSR, CSC and dense storage have in common."""

from abc import abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from titin.errors import SourceError
from titin.source.base import Matrix

INDEX_DTYPE = np.dtype(np.int32)


class StoredMatrix(Matrix):
    """A `Matrix` of one file, which errors name.

    Parameters
    ----------
    path, name
        The file, and the place of the matrix in it.
    shape
        Cells, genes.
    dtype
        Of the stored values, in native byte order.
    """

    def __init__(self, path: Path, name: str, shape: tuple[int, int], dtype: np.dtype) -> None:
        if dtype.kind not in "fiub" or dtype.itemsize > 8:
            raise SourceError(
                f"{path}: {name} holds values of type {dtype}, not numbers an expression matrix can have",
                "Convert it to float32 or to integers first.",
            )
        self.path, self.name, self.shape, self.dtype = path, name, shape, dtype
        self.nnz = None

    @abstractmethod
    def head(self, n: int) -> NDArray[Any]:
        """Return about ``n`` stored values from where the file begins."""
