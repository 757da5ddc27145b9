"""Kernels that find the integer counts behind log-normalised values, and prove them."""

import math

import numba as nb
import numpy as np
from numpy.typing import NDArray

MAX_ULP = 4.0  # how far log1p(count / scale) may lie from the source's value, in float32 units in the last place
_MAX_FIRST = 64  # the smallest count of a cell is looked for among 1 … 64
_WITNESSED = -100.0  # logarithm of the chance that counts known from elsewhere fit the values by accident
_CLOSE_ULP = 1.0  # an estimate this close is taken without trying its neighbours
_NEIGHBOURS = 8  # float32 scales tried on either side of the estimate


@nb.njit(cache=True, nogil=True)
def _spacing(value: float) -> float:
    """Distance between neighbouring float32 at ``value`` (normal range)."""
    return math.ldexp(1.0, math.frexp(value)[1] - 24)


@nb.njit(cache=True, nogil=True)
def _find_counts(expm1, error, counts):
    """Find the smallest ascending integers proportional to ``expm1`` within its relative ``error``.

    Returns the logarithm of the chance that numbers without integers behind them would fit as well; 1 if none fit.
    """
    for first in range(1, _MAX_FIRST + 1):
        per_unit, uncertainty = first / expm1[0], error[0]
        counts[0] = first
        fits = True
        chance = math.log(first)  # so many first counts were tried
        for i in range(1, len(expm1)):
            exact = expm1[i] * per_unit
            count = np.rint(exact)
            tolerance = exact * (uncertainty + error[i])
            if tolerance > 0.45 or abs(exact - count) > tolerance or count <= counts[i - 1]:
                fits = False
                break
            counts[i] = count
            chance += math.log(2.0 * tolerance)
            if error[i] < uncertainty:
                per_unit, uncertainty = count / expm1[i], error[i]
        if fits:
            return min(chance, 0.0)
    return 1.0


@nb.njit(cache=True, nogil=True)
def _worst_ulp(levels, counts, scale):
    worst = 0.0
    for i in range(len(levels)):
        off = abs(math.log1p(counts[i] / scale) - levels[i]) / _spacing(levels[i])
        worst = max(worst, off)
    return worst


@nb.njit(cache=True, nogil=True)
def _find_scale(levels, expm1, error, counts):
    """Float32 scale with the smallest worst distance of log1p(count / scale) from the levels; and that distance."""
    weights = 0.0
    total = 0.0
    for i in range(len(levels)):
        weight = 1.0 / (error[i] * error[i])
        weights += weight
        total += weight * counts[i] / expm1[i]
    bits = np.empty(1, np.float32)
    bits[0] = total / weights
    centre = bits.view(np.int32)[0]
    best_scale, best = bits[0], _worst_ulp(levels, counts, np.float64(bits[0]))
    if best <= _CLOSE_ULP:
        return best_scale, best
    for step in range(1, _NEIGHBOURS + 1):
        for sign in (-1, 1):
            bits.view(np.int32)[0] = centre + sign * step
            worst = _worst_ulp(levels, counts, np.float64(bits[0]))
            if worst < best:
                best_scale, best = bits[0], worst
    return best_scale, best


@nb.njit(cache=True, nogil=True)
def _recover_levels(levels, counts, given):
    """Counts and scale of one cell from its distinct values, ascending; ``given``: the counts are known already.

    Returns
    -------
    scale, worst, chance
        ``worst`` is infinite where no counts fit; for ``chance`` see `_find_counts`.
    """
    n = len(levels)
    expm1 = np.empty(n)
    error = np.empty(n)
    for i in range(n):
        expm1[i] = math.expm1(levels[i])
        # roundings of the division before log1p, and log1p itself good to about 2 units in the last place
        error[i] = 2.0**-22 + 2.0 * (1.0 + expm1[i]) / expm1[i] * _spacing(levels[i])
    if levels[n - 1] > 80.0:
        return np.float32(0.0), math.inf, 0.0
    chance = _WITNESSED if given else _find_counts(expm1, error, counts)
    if chance > 0.0:
        return np.float32(0.0), math.inf, 0.0
    scale, worst = _find_scale(levels, expm1, error, counts)
    return scale, worst, chance


@nb.njit(cache=True, nogil=True)
def _distinct(bits, table, used, slot_of, where):
    """Find the distinct values of one cell; ``where[i]`` becomes the table's slot of the i-th value.

    ``table`` and ``used`` are scratch, a power of two long; ``slot_of`` lists the slots taken. Returns their number.
    """
    mask = np.uint64(len(table) - 1)
    n = 0
    for i in range(len(bits)):
        value = bits[i]
        slot = ((value * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(32)) & mask
        while used[slot] and table[slot] != value:
            slot = (slot + np.uint64(1)) & mask
        if not used[slot]:
            used[slot] = True
            table[slot] = value
            slot_of[n] = slot
            n += 1
        where[i] = slot
    return n


@nb.njit(cache=True, nogil=True)
def recover_counts(
    indptr: NDArray[np.int64],
    values: NDArray[np.float64],
    witness: NDArray[np.float64],
    counts: NDArray[np.uint32],
    scale: NDArray[np.float32],
    worst: NDArray[np.float32],
    n_levels: NDArray[np.int32],
    chances: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Recover and prove the counts of every cell of a block.

    Parameters
    ----------
    indptr
        int64, cells + 1.
    values
        Positive finite values of the cells, one after another.
    witness
        Counts known from elsewhere, parallel to ``values``, or empty. Used for cells where they are positive
        integers that rise strictly with the value; other cells are recovered from the values alone.
    counts, scale, worst, n_levels
        Filled: uint32 a value; float32, float32 and int32 a cell. ``worst`` is the largest distance of
        log1p(count / scale) from a value of the cell, in float32 units in the last place; infinite where no
        integers fit.
    chances
        Filled, float64 a cell: logarithm of the chance that values without counts behind them would fit as well.

    Returns
    -------
    levels
        The distinct values of every cell, ascending, one cell after another.
    """
    n_cells = len(indptr) - 1
    longest = 1
    for c in range(n_cells):
        longest = max(longest, indptr[c + 1] - indptr[c])
    size = 2
    while size < 2 * longest:
        size *= 2
    table = np.empty(size, np.uint64)
    used = np.zeros(size, np.bool_)
    slot_of = np.empty(longest, np.int64)
    rank_of = np.empty(size, np.int32)
    where = np.empty(longest, np.int32)
    level_counts = np.empty(longest, np.float64)
    all_levels = np.empty(len(values), np.float64)
    bits = values.view(np.uint64)
    filled = 0
    for c in range(n_cells):
        a, b = indptr[c], indptr[c + 1]
        scale[c], worst[c], n_levels[c], chances[c] = np.float32(1.0), np.float32(0.0), 0, 0.0
        if a == b:
            continue
        n = _distinct(bits[a:b], table, used, slot_of, where)
        slots = slot_of[:n]
        levels = table[slots].view(np.float64)
        order = np.argsort(levels, kind="mergesort")
        levels = levels[order]
        for rank in range(n):
            rank_of[slots[order[rank]]] = rank
        known = level_counts[:n]
        given = len(witness) > 0 and _witness_counts(witness[a:b], where, rank_of, known)
        scale[c], worst[c], chances[c] = _recover_levels(levels, known, given)
        if given and worst[c] > MAX_ULP:
            scale[c], worst[c], chances[c] = _recover_levels(levels, known, False)
        if worst[c] <= MAX_ULP:
            n_levels[c] = n
            all_levels[filled : filled + n] = levels
            filled += n
            own = counts[a:b]
            for i in range(len(own)):
                own[i] = np.uint32(known[np.uint64(rank_of[np.uint64(where[i])])])
        used[slots] = False
    return all_levels[:filled].copy()


@nb.njit(cache=True, nogil=True)
def _witness_counts(witness, where, rank_of, known):
    """Counts of the levels according to the witness; False unless positive integers, one a level, ascending."""
    known[:] = 0.0
    for i in range(len(witness)):
        count = witness[i]
        if count < 1.0 or count != np.rint(count) or count > 4294967295.0:
            return False
        rank = rank_of[where[i]]
        if known[rank] == 0.0:
            known[rank] = count
        elif known[rank] != count:
            return False
    for r in range(1, len(known)):
        if known[r] <= known[r - 1]:
            return False
    return True
