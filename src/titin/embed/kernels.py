"""numba kernels of PCA: products of sparse row blocks with tall thin matrices.

Inner loops run over the columns of a row, which the compiler turns into vector instructions; a product and a sum in
one instruction are allowed.
"""

import numba as nb
import numpy as np


@nb.njit(cache=True, nogil=True)
def add_moments(indptr, columns, values, sums, squares):
    """Add the sum and the sum of squares of each column."""
    own, its = columns[indptr[0] : indptr[-1]], values[indptr[0] : indptr[-1]]
    for i in range(len(own)):
        value = np.float64(its[i])
        sums[np.uint64(own[i])] += value
        squares[np.uint64(own[i])] += value * value


@nb.njit(cache=True, nogil=True, fastmath={"contract"})
def multiply(indptr, columns, values, Q, offset, Y):
    """Fill ``Y`` with A Q - offset, row by row."""
    width = Q.shape[1]
    for r in range(len(indptr) - 1):
        own, its, y = columns[indptr[r] : indptr[r + 1]], values[indptr[r] : indptr[r + 1]], Y[r]
        for k in range(width):
            y[k] = -offset[k]
        for i in range(len(own)):
            q, value = Q[np.uint64(own[i])], its[i]
            for k in range(width):
                y[k] += value * q[k]


@nb.njit(cache=True, nogil=True, fastmath={"contract"})
def add_products(indptr, columns, values, Q, offset, Z):
    """Add Aᵀ (A Q - offset) to ``Z``: each row is used for both while it is in the cache."""
    width = Q.shape[1]
    y = np.empty(width, Q.dtype)
    for r in range(len(indptr) - 1):
        own, its = columns[indptr[r] : indptr[r + 1]], values[indptr[r] : indptr[r + 1]]
        for k in range(width):
            y[k] = -offset[k]
        for i in range(len(own)):
            q, value = Q[np.uint64(own[i])], its[i]
            for k in range(width):
                y[k] += value * q[k]
        for i in range(len(own)):
            z, value = Z[np.uint64(own[i])], its[i]
            for k in range(width):
                z[k] += value * y[k]


@nb.njit(cache=True, nogil=True)
def add_gram(indptr, columns, values, part, n_parts, gram):
    """Add the upper triangle of AᵀA, of every ``n_parts``-th row of it; columns ascend in every row of A."""
    for r in range(len(indptr) - 1):
        own, its = columns[indptr[r] : indptr[r + 1]], values[indptr[r] : indptr[r + 1]]
        for i in range(len(own)):
            if own[i] % n_parts == part:
                row, value = gram[own[i]], np.float64(its[i])
                for j in range(i, len(own)):
                    row[np.uint64(own[j])] += value * its[j]
