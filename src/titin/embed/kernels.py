"""numba kernels of PCA: products of sparse row blocks with tall thin matrices.

Inner loops run over the columns of a row, which the compiler turns into vector instructions; a product and a sum in
one instruction are allowed.
"""

from functools import partial

import numpy as np

from titin.jit import kernel


@partial(kernel, fastmath={"contract"})
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


@partial(kernel, fastmath={"contract"})
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
