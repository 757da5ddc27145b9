"""numba kernels that put cells of a buffer together as minibatches.

Loops run over slices from 0: an index that might be negative costs numba a test an element, and the vector
instructions.
"""

import math
from typing import Any

import numba as nb
import numpy as np
from numpy.typing import NDArray

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


_BINS, _CHOICE = 1, 2  # what a random number is for


@nb.njit(cache=True, nogil=True)
def _mix(x: Any) -> Any:
    """One step of splitmix64 (Steele et al., OOPSLA 2014): a number of 64 bits for each such number."""
    z = np.uint64(x) + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@nb.njit(cache=True, nogil=True)
def _uniform(seed: Any, purpose: Any, cell: Any, gene: Any) -> Any:
    """A number in [0, 1) that depends on these four alone, not on the order in which cells are read."""
    state = _mix(np.uint64(seed))
    for part in (purpose, cell, gene):
        state = _mix(state ^ np.uint64(part))
    return np.float64(state >> np.uint64(11)) * 2.0**-53


@nb.njit(cache=True, nogil=True)
def rank_cells(
    indptr: NDArray[np.int64], genes: NDArray[Any], counts: NDArray[Any], token_of: NDArray[np.int32],
    medians: NDArray[np.float64], target: float, max_len: int, first: int, offsets: NDArray[np.int64],
    tokens: NDArray[np.int32], cut: NDArray[np.int32], dropped: NDArray[np.int32],
) -> None:  # fmt: skip
    """Write the tokens of each cell by falling count / total * target / median, ties by rising gene.

    Parameters
    ----------
    first
        Token that every cell begins with; -1 for none.
    offsets, tokens, cut, dropped
        Are filled; ``tokens`` has room for as many as there can be.
    """
    end = offsets[0] = 0
    for c in range(len(indptr) - 1):
        a, b = indptr[c], indptr[c + 1]
        total = 0.0
        for i in range(a, b):
            total += counts[i]
        keys, known = np.empty(b - a, np.float64), np.empty(b - a, np.int32)
        n = 0
        for i in range(a, b):
            token = token_of[genes[i]]
            if token >= 0:
                keys[n] = -(counts[i] / total * target / medians[genes[i]])
                known[n] = token
                n += 1
        if first >= 0:
            tokens[end] = first
            end += 1
        room = min(n, max_len - (first >= 0))
        order = np.argsort(keys[:n], kind="mergesort")
        for i in range(room):
            tokens[end + i] = known[order[i]]
        end += room
        offsets[c + 1], cut[c], dropped[c] = end, n - room, b - a - n


@nb.njit(cache=True, nogil=True)
def bin_cells(
    indptr: NDArray[np.int64], genes: NDArray[Any], counts: NDArray[Any], token_of: NDArray[np.int32],
    cells: NDArray[np.int64], quantiles: NDArray[np.float64], spread: bool, seed: int, max_len: int, first: int,
    offsets: NDArray[np.int64], tokens: NDArray[np.int32], bins: NDArray[np.int32], cut: NDArray[np.int32],
    dropped: NDArray[np.int32],
) -> None:  # fmt: skip
    """Write the tokens of each cell with the bins of their counts among the cell's quantiles.

    Parameters
    ----------
    cells
        Positions of the cells: with ``seed`` and the gene they decide what is random.
    quantiles
        In [0, 1], rising.
    """
    end = offsets[0] = 0
    edges = np.empty(len(quantiles), np.float64)
    for c in range(len(indptr) - 1):
        a, b = indptr[c], indptr[c + 1]
        values, known = np.empty(b - a, np.float64), np.empty(b - a, np.int64)
        n = 0
        for i in range(a, b):
            if token_of[genes[i]] >= 0:
                values[n], known[n] = counts[i], genes[i]
                n += 1
        if first >= 0:
            tokens[end], bins[end] = first, 0
            end += 1
        room = min(n, max_len - (first >= 0))
        _find_edges(np.sort(values[:n]), quantiles, edges)
        for i in _choose(seed, cells[c], known[:n], room):
            above = np.searchsorted(edges, values[i], side="right")
            if spread:
                below = np.searchsorted(edges, values[i], side="left")
                above = math.ceil(_uniform(seed, _BINS, cells[c], known[i]) * (below - above) + above)
            tokens[end], bins[end] = token_of[known[i]], above
            end += 1
        offsets[c + 1], cut[c], dropped[c] = end, n - room, b - a - n


@nb.njit(cache=True, nogil=True)
def _find_edges(ordered: NDArray[np.float64], quantiles: NDArray[np.float64], edges: NDArray[np.float64]) -> None:
    """Quantiles of sorted values by linear interpolation, rounded as `numpy.quantile` rounds."""
    n = len(ordered)
    if n == 0:
        return
    for k in range(len(quantiles)):
        place = (n - 1) * quantiles[k]
        lower = min(math.floor(place), n - 1)
        low, high = ordered[lower], ordered[min(lower + 1, n - 1)]
        t = place - lower
        edges[k] = high - (high - low) * (1 - t) if t >= 0.5 else low + (high - low) * t


@nb.njit(cache=True, nogil=True)
def _choose(seed: int, cell: int, genes: NDArray[np.int64], room: int) -> NDArray[np.int64]:
    """Places of ``room`` of the genes, rising: those with the lowest random numbers."""
    if room == len(genes):
        return np.arange(len(genes))
    numbers = np.empty(len(genes), np.float64)
    for i in range(len(genes)):
        numbers[i] = _uniform(seed, _CHOICE, cell, genes[i])
    return np.sort(np.argsort(numbers, kind="mergesort")[:room])
