"""numba kernels of highly variable genes: sums a batch and gene over row blocks."""

import math

import numba as nb
import numpy as np


@nb.njit(cache=True, nogil=True)
def add_moments(indptr, columns, values, batch, linear, sums, squares, detected):
    """Add each value's part to the sum, the sum of squares and the positive values of its batch and gene.

    With ``linear``, of expm1(value), rounded to float32 as a float32 matrix would hold it.
    """
    for r in range(len(indptr) - 1):
        own, its = columns[indptr[r] : indptr[r + 1]], values[indptr[r] : indptr[r + 1]]
        to_sums, to_squares, to_detected = sums[batch[r]], squares[batch[r]], detected[batch[r]]
        for i in range(len(own)):
            value = np.float64(its[i])
            if linear:
                value = np.float64(np.float32(math.expm1(value)))
            gene = np.uint64(own[i])
            to_sums[gene] += value
            to_squares[gene] += value * value
            to_detected[gene] += value > 0


@nb.njit(cache=True, nogil=True)
def add_clipped(indptr, columns, values, batch, most, sums, squares):
    """Add each value, but at most what its batch and gene allow, to the sum and the sum of squares."""
    for r in range(len(indptr) - 1):
        own, its = columns[indptr[r] : indptr[r + 1]], values[indptr[r] : indptr[r + 1]]
        limit, to_sums, to_squares = most[batch[r]], sums[batch[r]], squares[batch[r]]
        for i in range(len(own)):
            gene = np.uint64(own[i])
            value = min(np.float64(its[i]), limit[gene])
            to_sums[gene] += value
            to_squares[gene] += value * value
