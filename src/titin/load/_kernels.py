"""numba kernels that put cells of a buffer together as minibatches.

Loops run over slices from 0: an index that might be negative costs numba a test an element, and the vector
instructions.
"""

import math

import numba as nb
import numpy as np

_SMALL = 63  # counts below this have their value in a table of the cell, larger ones are looked up
LEVELS, COUNTS, LOGNORM = 0, 1, 2  # where a value comes from: the cell's levels, the stored number, its logarithm


@nb.njit(cache=True, nogil=True)
def _survey(own, seen, places):
    """Mark which small counts a cell has, and list the places of its larger counts; returns their number."""
    seen[:] = False
    n_large = 0
    for i in range(len(own)):
        n_large += own[i] >= _SMALL
    for i in range(len(own)):
        seen[np.uint64(min(own[i], _SMALL))] = True
    n = 0
    for i in range(len(own)):
        # the first tokens are the most detected genes, which have the large counts
        if n == n_large:
            break
        if own[i] >= _SMALL:
            places[n] = i
            n += 1
    return n_large


@nb.njit(cache=True, nogil=True)
def _fill_levels(seen, n_large, places, own, levels, n_levels, table, large):
    """Table of the small counts' levels; the larger counts' distinct ones go to ``large``. -1 if they do not fit."""
    rank = 0
    for count in range(_SMALL):
        if seen[count]:
            if rank >= n_levels:
                return -1
            table[count] = levels[rank]
            rank += 1
    if n_large == 0:
        return 0 if rank == n_levels else -1
    for j in range(n_large):
        large[j] = own[places[j]]
    large[:n_large].sort()
    n = 1
    for j in range(1, n_large):
        if large[j] != large[n - 1]:
            large[n] = large[j]
            n += 1
    return n if rank + n == n_levels else -1


@nb.njit(cache=True, nogil=True)
def _fill_logarithms(seen, own, target, table):
    """Table of log1p(count × target / total of the cell); returns target / total."""
    total = 0.0
    for i in range(len(own)):
        total += own[i]
    for count in range(1, _SMALL):
        if seen[count]:
            table[count] = math.log1p(count * target / total)
    return target / total if total > 0 else 0.0


@nb.njit(cache=True, nogil=True)
def gather_values(
    mode, cells, starts, lengths, level_starts, level_lengths, data, levels, target, longest, values
):  # fmt: skip
    """Look up the values of cells of a buffer, one cell after another; -1, or the first cell that is damaged."""
    table = np.zeros(_SMALL + 1, np.float32)
    seen = np.empty(_SMALL + 1, np.bool_)
    places = np.empty(longest, np.int64)
    large = np.empty(longest, data.dtype)
    n = 0
    for c in range(len(cells)):
        cell = cells[c]
        length = lengths[cell]
        own = data[starts[cell] : starts[cell] + length]
        out = values[n : n + length]
        n += length
        if mode == COUNTS:
            for i in range(length):
                out[i] = own[i]
            continue
        n_large = _survey(own, seen, places)
        exact = levels[level_starts[cell] : level_starts[cell] + level_lengths[cell]]
        n_distinct = 0
        factor = 0.0
        if mode == LEVELS:
            n_distinct = _fill_levels(seen, n_large, places, own, exact, len(exact), table, large)
            if n_distinct < 0:
                return c
        else:
            factor = _fill_logarithms(seen, own, target, table)
        for i in range(length):
            out[i] = table[np.uint64(min(own[i], _SMALL))]
        for j in range(n_large):
            at = places[j]
            if mode == LEVELS:
                rank = np.searchsorted(large[:n_distinct], own[at])
                out[at] = exact[len(exact) - n_distinct + rank]
            else:
                out[at] = math.log1p(own[at] * factor)
    return -1


@nb.njit(cache=True, nogil=True)
def gather_columns(cells, starts, lengths, tokens, column, indptr, indices):
    """Column of every entry of cells of a buffer (-1 where it has none); -1, or the first cell that is damaged."""
    n = 0
    indptr[0] = 0
    for c in range(len(cells)):
        length = lengths[cells[c]]
        own = tokens[starts[cells[c]] : starts[cells[c]] + length]
        out = indices[n : n + length]
        last = own.dtype.type(0)
        for i in range(length):
            last = max(last, own[i])
        if last >= len(column):
            return c
        for i in range(length):
            out[i] = column[np.uint64(own[i])]
        n += length
        indptr[c + 1] = n
    return -1


@nb.njit(cache=True, nogil=True)
def keep_columns(indptr, indices, values):
    """Drop the entries without a column, in place; returns how many remain."""
    n = 0
    first = 0
    for c in range(len(indptr) - 1):
        for i in range(first, indptr[c + 1]):
            if indices[i] >= 0:
                indices[n] = indices[i]
                values[n] = values[i]
                n += 1
        first = indptr[c + 1]
        indptr[c + 1] = n
    return n


@nb.njit(cache=True, nogil=True)
def scatter_dense(indptr, indices, values, out):
    """Fill a dense matrix (cells × columns) from CSR arrays; entries without a column are passed over."""
    out[:] = 0
    for c in range(len(indptr) - 1):
        for i in range(indptr[c], indptr[c + 1]):
            if indices[i] >= 0:
                out[c, indices[i]] = values[i]
