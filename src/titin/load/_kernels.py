"""numba kernels that put cells of a buffer together as minibatches."""

import math

import numba as nb
import numpy as np

_SMALL = 64  # counts below this have their value in a table of the cell, larger ones are looked up
LEVELS, COUNTS, LOGNORM = 0, 1, 2  # where a value comes from: the cell's levels, the stored number, its logarithm


@nb.njit(cache=True, nogil=True)
def _fill_table(mode, data, first, last, levels, level, n_levels, target, table, large):
    """Values of the counts below `_SMALL` of one cell, and its distinct larger counts; the number of the latter.

    -1 if the cell's levels are not as many as its distinct counts.
    """
    present = np.zeros(_SMALL, np.bool_)
    n_large = 0
    total = 0.0
    for i in range(first, last):
        total += data[i]
        if data[i] < _SMALL:
            present[np.int64(data[i])] = True
        else:
            large[n_large] = data[i]
            n_large += 1
    if mode == LOGNORM:
        for k in range(1, _SMALL):
            if present[k]:
                table[k] = math.log1p(k * target / total)
        return n_large
    rank = 0
    for k in range(_SMALL):
        if present[k]:
            if rank < n_levels:
                table[k] = levels[level + rank]
            rank += 1
    if n_large > 1:
        large[:n_large].sort()
    n_distinct = 0
    for j in range(n_large):
        if j == 0 or large[j] != large[j - 1]:
            large[n_distinct] = large[j]
            n_distinct += 1
    if rank + n_distinct != n_levels:
        return -1
    return n_distinct


@nb.njit(cache=True, nogil=True)
def _total(data, first, last):
    total = 0.0
    for i in range(first, last):
        total += data[i]
    return total


@nb.njit(cache=True, nogil=True)
def gather_csr(
    mode, cells, starts, lengths, level_starts, level_lengths, tokens, data, levels, target, column, longest,
    indptr, indices, values,
):  # fmt: skip
    """Copy cells of a buffer into the arrays of a CSR matrix; genes without a column are passed over.

    Returns the number of stored values, or -1 - c if the c-th cell is damaged.
    """
    table = np.empty(_SMALL, np.float64)
    large = np.empty(longest + 1, data.dtype)
    n = 0
    indptr[0] = 0
    for c in range(len(cells)):
        cell = cells[c]
        a, b = starts[cell], starts[cell] + lengths[cell]
        n_distinct = 0
        total = 0.0
        level, n_levels = level_starts[cell], level_lengths[cell]
        if mode != COUNTS:
            n_distinct = _fill_table(mode, data, a, b, levels, level, n_levels, target, table, large)
            if n_distinct < 0:
                return -1 - c
            if mode == LOGNORM:
                total = _total(data, a, b)
        for i in range(a, b):
            if tokens[i] >= len(column):
                return -1 - c
            j = column[tokens[i]]
            if j < 0:
                continue
            indices[n] = j
            if mode == COUNTS:
                values[n] = data[i]
            elif data[i] < _SMALL:
                values[n] = table[np.int64(data[i])]
            elif mode == LOGNORM:
                values[n] = math.log1p(data[i] * target / total)
            else:
                at = n_levels - n_distinct + np.searchsorted(large[:n_distinct], data[i])
                values[n] = levels[level + at]
            n += 1
        indptr[c + 1] = n
    return n


@nb.njit(cache=True, nogil=True)
def scatter_dense(indptr, indices, values, out):
    """Fill a dense matrix (cells × columns) from CSR arrays."""
    out[:] = 0
    for c in range(len(indptr) - 1):
        for i in range(indptr[c], indptr[c + 1]):
            out[c, indices[i]] = values[i]
