"""numba kernels: one mixed model a gene, at each correlation of a block's units."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from titin.jit import kernel

Array = NDArray[Any]
_GOLDEN = (math.sqrt(5) - 1) / 2
_STEP = 0.05
_LEAST = 1e-300  # of a pivot: what lies in the span of the design has a residual of nought


@kernel
def fit_on_grid(
    y: Array, design: Array, roots: Array, starts: Array, slots: Array, scales: Array, n_columns: int,
    log_determinant: Array, effect: Array, unscaled: Array, rss: Array, log_determinant_more: Array, rss_more: Array,
) -> None:  # fmt: skip
    """Fit every gene at every correlation; the last of the first ``n_columns`` is the contrast.

    The units of a block lie together, from one of ``starts`` to the next. Their mean, times the root of their number,
    has a variance of its own, and all that differs between them another: ``slots`` says which row of the sums of
    squares (slot 0: differences within blocks) the mean of each block adds to, ``scales`` the precision of each slot
    at each correlation. The products of the columns with each other and with y, factored in order (Cholesky), hold
    effect, residuals and determinants of the model of the first columns and of that of all.
    """
    n_slots, width = scales.shape[1], design.shape[1] + 1
    products, factor = np.empty((n_slots, width, width)), np.empty((width, width))
    row, total = np.empty(width), np.empty(width)
    last = width - 1
    for gene in range(len(y)):
        _cross_products(y[gene], design, roots[gene], starts, slots, products, row, total)
        for k in range(len(scales)):
            _factor(products, scales[k], factor)
            half = 0.0
            for j in range(n_columns):
                half += math.log(factor[j, j])
            log_determinant[gene, k] = 2 * half
            for j in range(n_columns, last):
                half += math.log(factor[j, j])
            log_determinant_more[gene, k] = 2 * half
            left = factor[last, last]
            rss_more[gene, k] = left
            for j in range(n_columns, last):
                left += factor[last, j] ** 2
            rss[gene, k] = left
            unscaled[gene, k] = 1 / factor[n_columns - 1, n_columns - 1]
            effect[gene, k] = factor[last, n_columns - 1] * unscaled[gene, k]


@kernel
def maximise_restricted_likelihood(
    y: Array, design: Array, roots: Array, starts: Array, slots: Array, per_slot: Array, numbers: Array, low: float,
    high: float, correlation: Array,
) -> None:  # fmt: skip
    """Find the correlation of most restricted likelihood of every gene: uphill from 0, then by golden sections.

    Few blocks can have a second maximum where they vary less than units apart would, which is not looked for. A slot's
    variance is 1 + ``per_slot`` × correlation; ``numbers`` says of how many rotated units.
    """
    n_slots, width = len(per_slot), design.shape[1] + 1
    products, factor = np.empty((n_slots, width, width)), np.empty((width, width))
    row, total = np.empty(width), np.empty(width)
    for gene in range(len(y)):
        _cross_products(y[gene], design, roots[gene], starts, slots, products, row, total)
        at, best = 0.0, _restricted(products, per_slot, numbers, 0.0, factor)
        step = _STEP if _restricted(products, per_slot, numbers, _STEP, factor) > best else -_STEP
        while low < at + step < high:
            value = _restricted(products, per_slot, numbers, at + step, factor)
            if value <= best:
                break
            at, best = at + step, value
        a, b = max(low, at - _STEP), min(high, at + _STEP)
        c, d = b - _GOLDEN * (b - a), a + _GOLDEN * (b - a)
        at_c = _restricted(products, per_slot, numbers, c, factor)
        at_d = _restricted(products, per_slot, numbers, d, factor)
        while b - a > 1e-9:
            if at_c > at_d:
                b, d, at_d = d, c, at_c
                c = b - _GOLDEN * (b - a)
                at_c = _restricted(products, per_slot, numbers, c, factor)
            else:
                a, c, at_c = c, d, at_d
                d = a + _GOLDEN * (b - a)
                at_d = _restricted(products, per_slot, numbers, d, factor)
        correlation[gene] = (a + b) / 2


@kernel
def maximise_mixture(likelihood: Array, share: Array, pseudo: float, steps: int) -> None:
    """Fill ``share`` (a start as given) with the shares of the mixture's components, by expectation maximisation."""
    n, k = likelihood.shape
    start = share.copy()
    for _ in range(steps):
        found = pseudo * start
        for gene in range(n):
            total = 0.0
            for j in range(k):
                total += likelihood[gene, j] * share[j]
            for j in range(k):
                found[j] += likelihood[gene, j] * share[j] / total
        total = found.sum()
        for j in range(k):
            share[j] = found[j] / total


@kernel
def _cross_products(
    y: Array, design: Array, roots: Array, starts: Array, slots: Array, products: Array, row: Array, total: Array
) -> None:
    """Fill the lower triangles of the cross products of design and y, slot by slot, of one gene."""
    last = design.shape[1]
    products[:] = 0
    for block in range(len(slots)):
        n = starts[block + 1] - starts[block]
        total[:] = 0
        for unit in range(starts[block], starts[block + 1]):
            for j in range(last):
                row[j] = roots[unit] * design[unit, j]
            row[last] = roots[unit] * y[unit]
            total += row
            if n > 1:
                _add(products[0], row, 1.0)
        if n > 1:
            _add(products[0], total, -1.0 / n)
        _add(products[slots[block]], total, 1.0 / n)


@kernel
def _add(products: Array, row: Array, times: float) -> None:
    for i in range(len(row)):
        scaled = times * row[i]
        for j in range(i + 1):
            products[i, j] += scaled * row[j]


@kernel
def _factor(products: Array, scale: Array, factor: Array) -> None:
    """Cholesky factor of the scaled sum of products, below the diagonal; the last pivot is left squared."""
    width = len(factor)
    for i in range(width):
        for j in range(i + 1):
            value = 0.0
            for slot in range(len(scale)):
                value += scale[slot] * products[slot, i, j]
            for k in range(j):
                value -= factor[i, k] * factor[j, k]
            if i > j:
                factor[i, j] = value / factor[j, j]
            elif i < width - 1:
                factor[i, i] = math.sqrt(max(value, _LEAST))
            else:
                factor[i, i] = max(value, _LEAST)


@kernel
def _restricted(products: Array, per_slot: Array, numbers: Array, correlation: float, factor: Array) -> float:
    """Twice the restricted log likelihood at a correlation, the variance at its best; less a constant."""
    variances = 1 + per_slot * correlation
    _factor(products, 1 / variances, factor)
    last = len(factor) - 1
    value = -(numbers.sum() - last) * math.log(factor[last, last])
    for slot in range(len(per_slot)):
        value -= numbers[slot] * math.log(variances[slot])
    for j in range(last):
        value -= 2 * math.log(factor[j, j])
    return float(value)
