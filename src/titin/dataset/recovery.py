"""Kernels that find the integer counts behind normalised values, logged or not, and prove them."""

import math

import numpy as np
from numpy.typing import NDArray

from titin.dataset.transforms import MAX_ULP, inverse, spacing, ulp_between, unit_at
from titin.jit import kernel

WITNESSED = -100.0  # logarithm of the chance that counts known from elsewhere fit the values by accident
_MAX_FIRST = 64  # the smallest count of a cell is looked for among 1 … 64
_MIN_LINEAR, _MAX_LINEAR = 2.0**-120, 2.0**115  # between them the scale is a normal float32
_MIN_COARSE = 2.0**-16  # 1 + x in float32 still tells x to a percent
_CLOSE_ULP = 1.0  # an estimate this close is taken without trying its neighbours
_NEIGHBOURS = 8  # float32 scales tried on either side of the estimate


@kernel
def _find_counts(linear, error, counts):
    """Find the smallest ascending integers proportional to ``linear`` within its relative ``error``.

    Returns the logarithm of the chance that numbers without integers behind them would fit as well; 1 if none fit.
    """
    for first in range(1, _MAX_FIRST + 1):
        per_unit, uncertainty = first / linear[0], error[0]
        counts[0] = first
        fits = True
        chance = math.log(first)  # so many first counts were tried
        for i in range(1, len(linear)):
            exact = linear[i] * per_unit
            count = np.rint(exact)
            tolerance = exact * (uncertainty + error[i])
            if tolerance > 0.45 or abs(exact - count) > tolerance or count <= counts[i - 1]:
                fits = False
                break
            counts[i] = count
            chance += math.log(2.0 * tolerance)
            if error[i] < uncertainty:
                per_unit, uncertainty = count / linear[i], error[i]
        if fits:
            return min(chance, 0.0)
    return 1.0


@kernel
def _worst_ulp(levels, counts, scale, log_unit, coarse):
    worst = 0.0
    for i in range(len(levels)):
        worst = max(worst, ulp_between(levels[i], counts[i], scale, log_unit, coarse))
    return worst


@kernel
def _find_scale(levels, linear, error, counts, log_unit, coarse):
    """Float32 scale with the smallest worst distance of the levels from what the counts give; and that distance."""
    weights = 0.0
    total = 0.0
    for i in range(len(levels)):
        weight = 1.0 / (error[i] * error[i])
        weights += weight
        total += weight * counts[i] / linear[i]
    bits = np.empty(1, np.float32)
    bits[0] = total / weights
    centre = bits.view(np.int32)[0]
    best_scale, best = bits[0], _worst_ulp(levels, counts, np.float64(bits[0]), log_unit, coarse)
    if best <= _CLOSE_ULP:
        return best_scale, best
    for step in range(1, _NEIGHBOURS + 1):
        for sign in (-1, 1):
            bits.view(np.int32)[0] = centre + sign * step
            worst = _worst_ulp(levels, counts, np.float64(bits[0]), log_unit, coarse)
            if worst < best:
                best_scale, best = bits[0], worst
    return best_scale, best


@kernel
def _recover_levels(levels, counts, given, log_unit, coarse):
    """Counts and scale of one cell from its distinct values, ascending; ``given``: the counts are known already.

    Returns
    -------
    scale, worst, chance
        ``worst`` is infinite where no counts fit; for ``chance`` see `_find_counts`.
    """
    n = len(levels)
    least = inverse(levels[0], log_unit)
    if not (least >= (_MIN_COARSE if coarse else _MIN_LINEAR) and inverse(levels[n - 1], log_unit) <= _MAX_LINEAR):
        return np.float32(0.0), math.inf, 0.0
    linear = np.empty(n)
    error = np.empty(n)
    for i in range(n):
        linear[i] = inverse(levels[i], log_unit)
        # roundings before the last step, and the last step itself good to about 2 units in the last place
        if log_unit > 0.0:
            unit = unit_at(levels[i], linear[i], log_unit, coarse)
            error[i] = 2.0**-22 + 2.0 * (1.0 + linear[i]) / linear[i] * unit * log_unit
        else:
            error[i] = 2.0**-22 + 2.0 * spacing(levels[i]) / levels[i]
    chance = WITNESSED if given else _find_counts(linear, error, counts)
    if chance > 0.0:
        return np.float32(0.0), math.inf, 0.0
    scale, worst = _find_scale(levels, linear, error, counts, log_unit, coarse)
    return scale, worst, chance


@kernel
def _recover_cell(levels, counts, given, log_unit):
    """As `_recover_levels`, for log1p(x) and, where that fits not, for a logarithm of the rounded sum 1 + x."""
    for coarse in (False, True):  # a constant in the call would have the kernel compiled once for each
        scale, worst, chance = _recover_levels(levels, counts, given, log_unit, coarse)
        if worst <= MAX_ULP or log_unit <= 0.0:
            break
    return scale, worst, chance


@kernel
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


@kernel
def _sort_slots(slots, table):
    """Sort slots by what the table has there, as `titin.dataset.kernels.sort` does; positive floats sort as bits do."""
    gap = 1
    while gap < len(slots):
        gap = 3 * gap + 1
    while gap > 1:
        gap //= 3
        for i in range(gap, len(slots)):
            slot, at = slots[i], i
            while at >= gap and table[slots[at - gap]] > table[slot]:
                slots[at] = slots[at - gap]
                at -= gap
            slots[at] = slot


@kernel
def recover_counts(
    indptr: NDArray[np.int64],
    values: NDArray[np.float64],
    witness: NDArray[np.float64],
    log_unit: float,
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
    log_unit
        How values are made of counts; see `titin.dataset.transforms`.
    counts, scale, worst, n_levels
        Filled: uint32 a value; float32, float32 and int32 a cell. ``worst`` is the largest distance of
        a value of the cell from what its count gives (`titin.dataset.transforms.ulp_between`); infinite where no
        integers fit.
    chances
        Filled, float64 a cell: logarithm of the chance that values without counts behind them would fit as well;
        `WITNESSED` where the witness was used.

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
        _sort_slots(slots, table)
        levels = table[slots].view(np.float64)
        for rank in range(n):
            rank_of[slots[rank]] = rank
        known = level_counts[:n]
        given = len(witness) > 0 and _witness_counts(witness[a:b], where, rank_of, known)
        scale[c], worst[c], chances[c] = _recover_cell(levels, known, given, log_unit)
        if given and worst[c] > MAX_ULP:
            scale[c], worst[c], chances[c] = _recover_cell(levels, known, not given, log_unit)
        if worst[c] <= MAX_ULP:
            n_levels[c] = n
            for rank in range(n):
                all_levels[filled + rank] = levels[rank]
            filled += n
            own = counts[a:b]
            for i in range(len(own)):
                own[i] = np.uint32(known[np.uint64(rank_of[np.uint64(where[i])])])
        used[slots] = False
    return all_levels[:filled].copy()


@kernel
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
