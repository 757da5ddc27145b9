"""Rows of an array as single values of Arrow's: what puts rows in order need not look at each number of them."""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import DTypeLike, NDArray

from titin.dataset.store import slices
from titin.shelf import Shelf


def binary_rows(values: NDArray[Any]) -> pa.FixedSizeBinaryArray:
    """Rows of an array of two dimensions (C order) as values of so many bytes, without a copy.

    Raises
    ------
    ValueError
        If its rows do not lie one after another.

    Examples
    --------
    >>> taken = binary_rows(np.arange(6, dtype=np.uint8).reshape(3, 2)).take(pa.array([2, 0]))
    >>> array_of(taken, np.uint8, 2).tolist()
    [[4, 5], [0, 1]]
    """
    if not values.flags.c_contiguous:
        raise ValueError("the rows of the array do not lie one after another")
    kind = pa.binary(values.shape[1] * values.dtype.itemsize)
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(values)])


def row_by_row(values: NDArray[Any], shelf: Shelf) -> NDArray[Any]:
    """The same array with its rows one after another: itself, or a copy on the shelf.

    Raises
    ------
    DiskError
        If the disk takes no more.
    """
    if values.flags.c_contiguous:
        return values
    found = shelf.empty(values.size, values.dtype)[0].reshape(values.shape)
    for own in slices(len(values)):
        found[own] = values[own]
    return found


def array_of(rows: pa.Array | pa.ChunkedArray, dtype: DTypeLike, width: int) -> NDArray[Any]:
    """The array that such rows are of, ``width`` columns; read-only."""
    parts = rows.chunks if isinstance(rows, pa.ChunkedArray) else [rows]
    arrays = [_array(part, np.dtype(dtype), width) for part in parts]
    return arrays[0] if len(arrays) == 1 else np.concatenate([np.empty((0, width), dtype), *arrays])


def _array(rows: pa.Array, dtype: np.dtype, width: int) -> NDArray[Any]:
    size = width * dtype.itemsize
    if not len(rows):
        return np.empty((0, width), dtype)
    return np.frombuffer(rows.buffers()[1], dtype, len(rows) * width, rows.offset * size).reshape(-1, width)
