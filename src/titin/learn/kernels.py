"""numba kernels of the pass over all cells: linear values, and what is known of each cell."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from titin.jit import kernel

Array = NDArray[Any]


@kernel
def linear(values: Array, log_unit: float, out: Array) -> None:
    """Fill ``out`` with base^value - 1 of log-normalised values; ``log_unit`` is the base's natural logarithm."""
    for i in range(len(values)):
        out[i] = math.expm1(values[i] * log_unit)


@kernel
def cell_quality(indptr: Array, indices: Array, data: Array, mito: Array, ribo: Array, out: Array) -> None:
    """Fill a row a cell: genes, smallest and total value, mitochondrial and ribosomal value, largest value."""
    for c in range(len(indptr) - 1):
        least, most, total, of_mito, of_ribo = np.inf, 0.0, 0.0, 0.0, 0.0
        for i in range(indptr[c], indptr[c + 1]):
            value = np.float64(data[i])
            total += value
            least, most = min(least, value), max(most, value)
            if mito[indices[i]]:
                of_mito += value
            if ribo[indices[i]]:
                of_ribo += value
        out[c, 0] = indptr[c + 1] - indptr[c]
        out[c, 1] = least if least < np.inf else 0.0
        out[c, 2], out[c, 3], out[c, 4], out[c, 5] = total, of_mito, of_ribo, most
