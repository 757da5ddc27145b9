"""numba kernels of label models: sums by class, standardised values of chosen genes, the logistic loss."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from titin.jit import kernel

Array = NDArray[Any]


@kernel
def class_moments(
    indptr: Array, indices: Array, data: Array, rows: Array, code: Array, sums: Array, squares: Array, found: Array
) -> None:
    """Add values, their squares and how many are stored of some rows to the row of their class; class -1 is none."""
    for r in range(len(rows)):
        k = code[r]
        if k < 0:
            continue
        for i in range(indptr[rows[r]], indptr[rows[r] + 1]):
            value = data[i]
            sums[k, indices[i]] += value
            squares[k, indices[i]] += value * value
            found[k, indices[i]] += 1


@kernel
def standardised(
    indptr: Array, indices: Array, data: Array, rows: Array, column: Array, mean: Array, scale: Array, most: float,
    out: Array,
) -> None:  # fmt: skip
    """Fill ``out``, rows × genes, with min((value - mean) / scale, most); ``column`` of a gene is -1 where not chosen.

    Genes that nothing is stored of are 0 before they are standardised.
    """
    for r in range(len(rows)):
        for g in range(len(mean)):
            out[r, g] = min(-mean[g] / scale[g], most)
        for i in range(indptr[rows[r]], indptr[rows[r] + 1]):
            g = column[indices[i]]
            if g >= 0:
                out[r, g] = min((data[i] - mean[g]) / scale[g], most)


@kernel
def logistic_pull(margin: Array, codes: Array, weight: Array) -> float:
    """Turn the decision values of cells (rows) for types (columns) into the slopes of their losses; return the loss.

    A cell's loss is that of telling its own type from all others, and each other type from all but it.
    """
    total = 0.0
    for i in range(margin.shape[0]):
        w = weight[i]
        for k in range(margin.shape[1]):
            mine = codes[i] == k
            m = -margin[i, k] if mine else margin[i, k]  # above 0 where it is on the wrong side
            tail = math.exp(-abs(m))
            total += w * (max(m, np.float32(0)) + math.log1p(tail))
            slope = w * ((1 if m > 0 else tail) / (1 + tail))
            margin[i, k] = -slope if mine else slope
    return total
