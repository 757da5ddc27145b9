"""numba kernels: sums of genes over groups of cells, and local regression."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from titin.jit import kernel

Array = NDArray[Any]
Floats = NDArray[np.float64]


@kernel
def sum_by_group(
    indptr: Array, cells: Array, counts: Array, group_of: Array, n_groups: int, ends: Array, groups: Array,
    sums: Array, detected: Array,
) -> None:  # fmt: skip
    """Sum each gene's counts over groups of cells (-1: in none) as sparse columns, groups ascending."""
    total, number = np.zeros(n_groups, np.int64), np.zeros(n_groups, np.int64)
    touched = np.empty(n_groups, np.int32)
    at = 0
    for gene in range(len(indptr) - 1):
        n = 0
        for i in range(indptr[gene], indptr[gene + 1]):
            group = group_of[cells[i]]
            if group < 0:
                continue
            if number[group] == 0:
                touched[n] = group
                n += 1
            total[group] += counts[i]
            number[group] += 1
        for group in np.sort(touched[:n]):
            groups[at], sums[at], detected[at] = group, total[group], number[group]
            total[group] = number[group] = 0
            at += 1
        ends[gene] = at


@kernel
def moments_by_group(
    indptr: Array, cells: Array, stored: Array, scale: Array, log_unit: float, group_of: Array, detected: Array,
    sums: Array, squares: Array,
) -> None:  # fmt: skip
    """Fill genes × groups with cells that express a gene, and sums and squares of log1p(stored / scale) / log_unit.

    With an empty ``scale`` the values are those stored.
    """
    for gene in range(len(indptr) - 1):
        for i in range(indptr[gene], indptr[gene + 1]):
            group = group_of[cells[i]]
            if group < 0:
                continue
            value = stored[i] if len(scale) == 0 else math.log1p(stored[i] / scale[cells[i]]) / log_unit
            detected[gene, group] += 1
            sums[gene, group] += value
            squares[gene, group] += value * value


@kernel
def add_to_cells(cells: Array, counts: Array, totals: Array) -> None:
    """Add counts to the totals of their cells."""
    for i in range(len(cells)):
        totals[cells[i]] += counts[i]


@kernel
def smooth(x: Array, y: Array, span: int, iterations: int, delta: float, fitted: Array) -> None:
    """Fill ``fitted`` with the robust local linear fit at each x (ascending) over its ``span`` nearest neighbours.

    Fits are made at points ``delta`` apart and joined by straight lines, as in Cleveland's original.
    """
    n = len(x)
    robustness, weights = np.ones(n), np.empty(n)
    for iteration in range(iterations + 1):
        left, right = 0, span - 1
        last, i = -1, 0
        while True:
            while right < n - 1 and x[i] - x[left] > x[right + 1] - x[i]:
                left += 1
                right += 1
            fitted[i] = _fit_at(x, y, robustness, weights, left, right, x[i], y[i])
            if last < i - 1:
                for j in range(last + 1, i):
                    share = (x[j] - x[last]) / (x[i] - x[last])
                    fitted[j] = share * fitted[i] + (1 - share) * fitted[last]
            last = i
            reach = x[last] + delta
            i = last + 1
            while i < n:
                if x[i] > reach:
                    break
                if x[i] == x[last]:
                    fitted[i] = fitted[last]
                    last = i
                i += 1
            i = max(last + 1, i - 1)
            if last >= n - 1:
                break
        if iteration == iterations:
            return
        residuals = np.abs(y - fitted)
        scale = 6 * np.median(residuals)
        if scale < 1e-7 * np.mean(residuals):
            return
        for j in range(n):
            r = residuals[j] / scale
            robustness[j] = 1.0 if r <= 0.001 else ((1 - r * r) ** 2 if r <= 0.999 else 0.0)


@kernel
def _fit_at(
    x: Array, y: Array, robustness: Array, weights: Array, left: int, right: int, at: float, instead: float
) -> float:
    """Value at a point of the line through its neighbours, by tricube weights; ``instead`` where they have none."""
    n = len(x)
    span = x[n - 1] - x[0]
    reach = max(at - x[left], x[right] - at)
    total = 0.0
    end = left
    for j in range(left, n):
        weights[j] = 0.0
        distance = abs(x[j] - at)
        if distance <= 0.999 * reach:
            weights[j] = 1.0 if distance <= 0.001 * reach else (1 - (distance / reach) ** 3) ** 3
            weights[j] *= robustness[j]
            total += weights[j]
        elif x[j] > at:
            break
        end = j + 1
    if total <= 0:
        return instead
    centre = 0.0
    for j in range(left, end):
        weights[j] /= total
        centre += weights[j] * x[j]
    if reach > 0:
        spread = 0.0
        for j in range(left, end):
            spread += weights[j] * (x[j] - centre) ** 2
        if math.sqrt(spread) > 0.001 * span:
            slope = (at - centre) / spread
            for j in range(left, end):
                weights[j] *= slope * (x[j] - centre) + 1
    value = 0.0
    for j in range(left, end):
        value += weights[j] * y[j]
    return value


def lowess(x: Floats, y: Floats, span: float) -> tuple[Floats, Floats]:
    """Smooth a scatter plot by robust local lines (Cleveland, J. Am. Stat. Assoc. 74, 829 (1979)), as R does.

    Parameters
    ----------
    x, y
        Points, at least two.
    span
        Share of the points that each line goes through.

    Returns
    -------
    x, smoothed
        Ascending, each x once.
    """
    order = np.lexsort((y, x))
    x, y = np.ascontiguousarray(x[order]), np.ascontiguousarray(y[order])
    n = len(x)
    smoothed = np.empty(n)
    smooth(x, y, max(min(int(span * n + 1e-7), n), min(2, n)), 3, 0.01 * float(np.ptp(x)), smoothed)
    once, first = np.unique(x, return_index=True)
    return once, smoothed[first]
