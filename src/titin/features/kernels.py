"""numba kernels of highly variable genes: sums a batch and gene over row blocks."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from titin.jit import kernel


@kernel
def add_batch_moments(indptr, columns, values, batch, log_unit, sums, squares, detected):
    """Add each value's part to the sum, the sum of squares and the positive values of its batch and gene.

    With a ``log_unit``, natural logarithm of the base, of base^value - 1, rounded to float32 as a float32 matrix would
    hold it.
    """
    for r in range(len(indptr) - 1):
        own, its = columns[indptr[r] : indptr[r + 1]], values[indptr[r] : indptr[r + 1]]
        to_sums, to_squares, to_detected = sums[batch[r]], squares[batch[r]], detected[batch[r]]
        for i in range(len(own)):
            value = np.float64(its[i])
            if log_unit > 0.0:
                value = np.float64(np.float32(math.expm1(value * log_unit)))
            gene = np.uint64(own[i])
            to_sums[gene] += value
            to_squares[gene] += value * value
            to_detected[gene] += value > 0


@kernel
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


Array = NDArray[Any]


@kernel
def weighted_sums(
    indptr: Array, tokens: Array, values: Array, first: Array, set_of: Array, weight: Array, sums: Array, moments: Array
) -> None:
    """Add weight × value to the cell's sum of every set that a gene is in; and sum and squares of all values.

    ``first`` says where the sets of each gene begin in ``set_of`` and ``weight``; ``moments`` is cells × 2.
    """
    for c in range(len(indptr) - 1):
        own = sums[c]
        total = squares = 0.0
        for i in range(indptr[c], indptr[c + 1]):
            gene = np.int64(tokens[i])
            value = np.float64(values[i])
            total += value
            squares += value * value
            for k in range(first[gene], first[gene + 1]):
                own[set_of[k]] += weight[k] * value
        moments[c, 0] = total
        moments[c, 1] = squares


@kernel
def rank_sums(
    indptr: Array, tokens: Array, values: Array, first: Array, set_of: Array, max_rank: int, sizes: Array, sums: Array
) -> None:
    """Fill the sum of the ranks of each set's genes among the stored values of the cell, the highest having rank 1.

    Equal values share the mean of their ranks; what is not stored, or ranks beyond, counts as ``max_rank``.
    """
    most = np.float64(max_rank)
    for c in range(len(indptr) - 1):
        start, n = indptr[c], indptr[c + 1] - indptr[c]
        order = np.argsort(-values[start : start + n])
        own = sums[c]
        for s in range(len(sizes)):
            own[s] = sizes[s] * most
        i = 0
        while i < n:
            j = i + 1
            while j < n and values[start + order[j]] == values[start + order[i]]:
                j += 1
            rank = (i + 1 + j) / 2.0
            if rank >= most:
                break
            for k in range(i, j):
                gene = np.int64(tokens[start + order[k]])
                for m in range(first[gene], first[gene + 1]):
                    own[set_of[m]] += rank - most
            i = j
