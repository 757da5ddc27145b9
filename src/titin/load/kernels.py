"""numba kernels that put cells of a buffer together as minibatches.

Loops run over slices from 0: an index that might be negative costs numba a test an element, and the vector
instructions. A buffer may be a mapped file that somebody writes to: whatever it turns into, no index leaves its array.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from titin.dataset.kernels import SMALL, fill_levels, survey_counts
from titin.jit import kernel

LEVELS, COUNTS, LOGNORM = 0, 1, 2  # where a value comes from: the cell's levels, the stored number, its logarithm


@kernel
def _fill_logarithms(seen, own, target, table):
    """Table of log1p(count × target / total of the cell); returns target / total."""
    total = 0.0
    for i in range(len(own)):
        total += own[i]
    for count in range(1, SMALL):
        if seen[count]:
            table[count] = math.log1p(count * target / total)
    return target / total if total > 0 else 0.0


@kernel
def gather_values(
    mode, cells, starts, lengths, level_starts, level_lengths, data, levels, target, longest, offsets, values
):  # fmt: skip
    """Look up the values of cells of a buffer, each from its offset on; -1, or the first cell that is damaged."""
    table = np.zeros(SMALL + 1, np.float32)
    seen = np.empty(SMALL + 1, np.bool_)
    places = np.zeros(longest, np.int64)
    large = np.empty(longest, data.dtype)
    for c in range(len(cells)):
        cell = cells[c]
        length = lengths[cell]
        own = data[starts[cell] : starts[cell] + length]
        out = values[offsets[c] : offsets[c] + length]
        if mode == COUNTS:
            for i in range(length):
                out[i] = own[i]
            continue
        n_large = survey_counts(own, seen, places)
        exact = levels[level_starts[cell] : level_starts[cell] + level_lengths[cell]]
        n_distinct = 0
        factor = 0.0
        if mode == LEVELS:
            n_distinct = fill_levels(seen, n_large, places, own, exact, table, large)
            if n_distinct < 0:
                return c
        else:
            factor = _fill_logarithms(seen, own, target, table)
        for i in range(length):
            out[i] = table[np.uint64(min(own[i], SMALL))]
        for j in range(n_large):
            at = min(places[j], length - 1)
            if mode == LEVELS:
                rank = min(np.searchsorted(large[:n_distinct], own[at]), n_distinct - 1)
                out[at] = exact[len(exact) - n_distinct + rank]
            else:
                out[at] = math.log1p(own[at] * factor)
    return -1


@kernel
def gather_columns(cells, starts, lengths, tokens, column, n_genes, offsets, indices):
    """Column of every entry of cells of a buffer (-1 where it has none); -1, or the first cell that is damaged.

    Those of a cell are written from its offset on. ``column`` has an entry for every value that a token of two bytes
    can have, so that none leads out of it.
    """
    most = tokens.dtype.type(len(column) - 1)
    for c in range(len(cells)):
        length = lengths[cells[c]]
        own = tokens[starts[cells[c]] : starts[cells[c]] + length]
        out = indices[offsets[c] : offsets[c] + length]
        last = own.dtype.type(0)
        for i in range(length):
            last = max(last, own[i])
        if last >= n_genes:
            return c
        if own.itemsize == 2:
            for i in range(length):
                out[i] = column[np.uint64(own[i])]
        else:
            for i in range(length):
                out[i] = column[np.uint64(min(own[i], most))]
    return -1


@kernel
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


@kernel
def scatter_dense(indptr, indices, values, out):
    """Fill a dense matrix (cells × columns) from CSR arrays; entries without a column are passed over."""
    out[:] = 0
    for c in range(len(indptr) - 1):
        for i in range(indptr[c], indptr[c + 1]):
            if indices[i] >= 0:
                out[c, indices[i]] = values[i]


_BINS, _CHOICE = 1, 2  # what a random number is for


@kernel
def _mix(x: Any) -> Any:
    """One step of splitmix64 (Steele et al., OOPSLA 2014): a number of 64 bits for each such number."""
    z = np.uint64(x) + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@kernel
def _uniform(seed: Any, purpose: Any, cell: Any, gene: Any) -> Any:
    """A number in [0, 1) that depends on these four alone, not on the order in which cells are read."""
    state = _mix(np.uint64(seed))
    for part in (purpose, cell, gene):
        state = _mix(state ^ np.uint64(part))
    return np.float64(state >> np.uint64(11)) * 2.0**-53


@kernel
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


@kernel
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


@kernel
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


@kernel
def _choose(seed: int, cell: int, genes: NDArray[np.int64], room: int) -> NDArray[np.int64]:
    """Places of ``room`` of the genes, rising: those with the lowest random numbers."""
    if room == len(genes):
        return np.arange(len(genes))
    numbers = np.empty(len(genes), np.float64)
    for i in range(len(genes)):
        numbers[i] = _uniform(seed, _CHOICE, cell, genes[i])
    return np.sort(np.argsort(numbers, kind="mergesort")[:room])
