"""numba kernels on decoded row blocks: choosing rows and genes, looking up exact values, sums and extremes."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from titin.dataset.transforms import forward
from titin.jit import kernel

Array = NDArray[Any]

_DE_BRUIJN = 0x03F79D71B4CB0A89  # its 64 windows of 6 bits are all different: the window tells which bit is set
_BIT = np.empty(64, np.int64)
for _i in range(64):
    _BIT[((_DE_BRUIJN << _i) & (2**64 - 1)) >> 58] = _i
_FACTOR = np.uint64(_DE_BRUIJN)
_SHIFT = np.uint64(58)
_ZERO, _ONE = np.uint64(0), np.uint64(1)
_TOLERANCE = 4.5 * 2.0**-23  # of a value, or of 1 + x: the format promises 4 units in the last place


@kernel
def count_chosen(indptr: Array, tokens: Array, rows: Array, column_of: Array, chosen: Array) -> None:
    """Fill ``chosen`` with the row pointers of some rows, when only genes with a column stay."""
    chosen[0] = 0
    for r in range(len(rows)):
        own = tokens[indptr[rows[r]] : indptr[rows[r] + 1]]
        n = 0
        for i in range(len(own)):
            n += column_of[np.uint64(own[i])] >= 0
        chosen[r + 1] = chosen[r] + n


@kernel
def take_rows(
    indptr: Array, tokens: Array, data: Array, rows: Array, column_of: Array, n_columns: int, columns: Array, out: Array
) -> None:
    """Fill ``columns`` and ``out`` with the chosen rows, columns ascending: each row is sorted through a bitmap."""
    present = np.zeros((n_columns + 63) // 64, np.uint64)
    value = np.empty(n_columns, data.dtype)
    at = 0
    for r in range(len(rows)):
        for i in range(indptr[rows[r]], indptr[rows[r] + 1]):
            j = column_of[tokens[i]]
            if j >= 0:
                present[j >> 6] |= _ONE << np.uint64(j & 63)
                value[j] = data[i]
        for w in range(len(present)):
            word = present[w]
            while word != _ZERO:
                low = word & (~word + _ONE)
                j = (w << 6) + _BIT[(low * _FACTOR) >> _SHIFT]
                columns[at] = j
                out[at] = value[j]
                at += 1
                word ^= low
            present[w] = _ZERO


@kernel
def find_levels(
    cells: Array, counts: Array, first: int, scale: Array, log_unit: float, level_indptr: Array, levels: Array,
    out: Array, unsure: Array,
) -> int:  # fmt: skip
    """Look up the exact value of one gene's counts, without the other counts of the cells.

    What the count gives (by ``log_unit``, see `titin.dataset.transforms`) is within 4 units in the last place of the
    value, and a cell's levels are far wider apart; where not exactly one level is that near, the entry is marked
    ``unsure``. A count of 1 is always the first level.

    Returns
    -------
    How many are unsure.
    """
    n_unsure = 0
    for i in range(len(cells)):
        c = cells[i] - first
        a, b = level_indptr[c], level_indptr[c + 1]
        if counts[i] == 1 and b > a:
            out[i] = levels[a]
            continue
        guess = forward(counts[i] / np.float64(scale[c]), log_unit)
        margin = max(guess, 1.0 / log_unit if log_unit > 0.0 else 0.0) * _TOLERANCE
        low, high = a, b
        while low < high:
            middle = (low + high) >> 1
            if levels[middle] < guess - margin:
                low = middle + 1
            else:
                high = middle
        found = low < b and levels[low] <= guess + margin
        alone = low + 1 >= b or levels[low + 1] > guess + margin
        if found and alone:
            out[i] = levels[low]
        else:
            unsure[i] = True
            n_unsure += 1
    return n_unsure


@kernel
def add_sums(
    indptr: Array, tokens: Array, data: Array, rows: Array, groups: Array, column_of: Array, sums: Array
) -> None:
    """Add each chosen row to its group's sums (groups × columns); rows of group -1 are passed over."""
    for r in range(len(rows)):
        g = groups[r]
        if g < 0:
            continue
        for i in range(indptr[rows[r]], indptr[rows[r] + 1]):
            j = column_of[tokens[i]]
            if j >= 0:
                sums[g, j] += data[i]


@kernel
def add_deviations(
    indptr: Array, tokens: Array, data: Array, rows: Array, groups: Array, column_of: Array,
    mean: Array, squares: Array, seen: Array,
) -> None:  # fmt: skip
    """Bring each group's number, mean and squared distances of stored values up to date, by Welford's recurrence."""
    for r in range(len(rows)):
        g = groups[r]
        if g < 0:
            continue
        for i in range(indptr[rows[r]], indptr[rows[r] + 1]):
            j = column_of[tokens[i]]
            if j >= 0:
                seen[g, j] += 1.0
                distance = data[i] - mean[g, j]
                mean[g, j] += distance / seen[g, j]
                squares[g, j] += distance * (data[i] - mean[g, j])


@kernel
def widen(
    indptr: Array, tokens: Array, data: Array, rows: Array, groups: Array, column_of: Array,
    low: Array, high: Array, seen: Array,
) -> None:  # fmt: skip
    """Widen each group's range of every column by the chosen rows' stored values, and count them."""
    for r in range(len(rows)):
        g = groups[r]
        if g < 0:
            continue
        for i in range(indptr[rows[r]], indptr[rows[r] + 1]):
            j = column_of[tokens[i]]
            if j >= 0:
                low[g, j] = min(low[g, j], data[i])
                high[g, j] = max(high[g, j], data[i])
                seen[g, j] += 1


@kernel
def describe_rows(
    indptr: Array, tokens: Array, data: Array, rows: Array, column_of: Array, n_columns: int, out: Array
) -> None:
    """Sum, squared distance from the mean, minimum and maximum of each chosen row, zeros included (rows × 4)."""
    for r in range(len(rows)):
        n, total, low, high = 0, 0.0, np.inf, -np.inf
        for i in range(indptr[rows[r]], indptr[rows[r] + 1]):
            if column_of[tokens[i]] >= 0:
                n += 1
                total += data[i]
                low = min(low, data[i])
                high = max(high, data[i])
        if n < n_columns:
            low, high = min(low, 0.0), max(high, 0.0)
        mean = total / n_columns
        distance = (n_columns - n) * mean * mean
        for i in range(indptr[rows[r]], indptr[rows[r] + 1]):
            if column_of[tokens[i]] >= 0:
                distance += (data[i] - mean) ** 2
        out[r, 0], out[r, 1], out[r, 2], out[r, 3] = total, distance, low, high


@kernel
def scatter_rows(
    indptr: Array, tokens: Array, data: Array, rows: Array, places: Array, column_of: Array, out: Array
) -> None:
    """Write the chosen rows into rows ``places`` of ``out`` (cells × columns), which is zero there."""
    for r in range(len(rows)):
        for i in range(indptr[rows[r]], indptr[rows[r] + 1]):
            j = column_of[tokens[i]]
            if j >= 0:
                out[places[r], j] = data[i]


_SMALL = 64  # counts below this have their value in a table of the cell


@kernel
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


@kernel
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
