"""numba kernels of the two passes: sums by group and gene, what is known of each cell, and sums by unit."""

import math
from typing import Any

import numba as nb
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@nb.njit(cache=True, nogil=True)
def linear(values: Array, out: Array) -> None:
    """Fill ``out`` with expm1 of log-normalised values."""
    for i in range(len(values)):
        out[i] = math.expm1(values[i])


@nb.njit(cache=True, nogil=True)
def add_moments(
    indptr: Array, indices: Array, data: Array, group: Array, sums: Array, squares: Array, detected: Array
) -> None:
    """Add the values of each cell, their squares and their number to the row of its group (none: -1)."""
    for c in range(len(indptr) - 1):
        g = group[c]
        if g < 0:
            continue
        for i in range(indptr[c], indptr[c + 1]):
            gene, value = indices[i], np.float64(data[i])
            sums[g, gene] += value
            squares[g, gene] += value * value
            detected[g, gene] += 1


@nb.njit(cache=True, nogil=True)
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


@nb.njit(cache=True, nogil=True)
def add_units(indptr: Array, indices: Array, data: Array, unit: Array, column_of: Array, sums: Array) -> None:
    """Add the values of each cell to the row of its unit (none: -1), in the columns that genes have (none: -1)."""
    for c in range(len(indptr) - 1):
        u = unit[c]
        if u < 0:
            continue
        for i in range(indptr[c], indptr[c + 1]):
            column = column_of[indices[i]]
            if column >= 0:
                sums[u, column] += data[i]


@nb.njit(cache=True, nogil=True)
def keep_columns(
    indptr: Array, indices: Array, data: Array, row: Array, column_of: Array, at: int, columns: Array, out: Array,
    row_end: Array,
) -> int:  # fmt: skip
    """Append the cells of a block that have a row, with the genes that have a column; return where the next begin."""
    for c in range(len(indptr) - 1):
        if row[c] < 0:
            continue
        for i in range(indptr[c], indptr[c + 1]):
            column = column_of[indices[i]]
            if column >= 0:
                columns[at] = column
                out[at] = data[i]
                at += 1
        row_end[row[c]] = at
    return at


@nb.njit(cache=True, nogil=True)
def add_gram(indptr: Array, indices: Array, data: Array, gram: Array) -> None:
    """Add the products of each row's entries to the lower triangle of genes × genes."""
    for r in range(len(indptr) - 1):
        for i in range(indptr[r], indptr[r + 1]):
            a, value = indices[i], np.float64(data[i])
            for j in range(indptr[r], indptr[r + 1]):
                b = indices[j]
                if b <= a:
                    gram[a, b] += value * data[j]
