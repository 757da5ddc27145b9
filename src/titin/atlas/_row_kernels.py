"""numba kernels of the row reader: log-normalised values of counts, and some rows and genes of a block."""

import math
from typing import Any

import numba as nb
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_SMALL = 64  # counts below this have their value in a table of the cell


@nb.njit(cache=True, nogil=True)
def lognorm(indptr: Array, counts: Array, target: float, values: Array) -> None:
    """Fill ``values`` with log1p(target × count / total of the cell)."""
    table = np.empty(_SMALL, np.float32)
    known = np.empty(_SMALL, np.bool_)
    for c in range(len(indptr) - 1):
        own, out = counts[indptr[c] : indptr[c + 1]], values[indptr[c] : indptr[c + 1]]
        total = 0.0
        for i in range(len(own)):
            total += own[i]
        known[:] = False
        for i in range(len(own)):
            count = np.uint64(own[i])
            if count >= _SMALL:
                out[i] = math.log1p(own[i] * target / total)
                continue
            if not known[count]:
                known[count] = True
                table[count] = math.log1p(own[i] * target / total)
            out[i] = table[count]


@nb.njit(cache=True, nogil=True)
def count_chosen(indptr: Array, tokens: Array, rows: Array, column_of: Array, chosen: Array) -> None:
    """Fill ``chosen`` with the row pointers of some rows, when only genes with a column stay."""
    chosen[0] = 0
    for r in range(len(rows)):
        own = tokens[indptr[rows[r]] : indptr[rows[r] + 1]]
        n = 0
        for i in range(len(own)):
            n += column_of[np.uint64(own[i])] >= 0
        chosen[r + 1] = chosen[r] + n


@nb.njit(cache=True, nogil=True)
def take_chosen(
    indptr: Array, tokens: Array, data: Array, rows: Array, column_of: Array, chosen: Array, columns: Array, out: Array
) -> None:
    """Fill ``columns`` and ``out`` with the entries that `count_chosen` counted, in the order of the block."""
    for r in range(len(rows)):
        own, its = tokens[indptr[rows[r]] : indptr[rows[r] + 1]], data[indptr[rows[r]] : indptr[rows[r] + 1]]
        at = chosen[r]
        for i in range(len(own)):
            column = column_of[np.uint64(own[i])]
            if column >= 0:
                columns[at] = column
                out[at] = its[i]
                at += 1
