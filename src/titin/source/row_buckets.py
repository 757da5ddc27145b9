"""Entries that arrive by column, gathered on disk by runs of rows and read back as row blocks."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from titin.dataset.block import Block
from titin.dataset.spill import Spill
from titin.jit import kernel
from titin.source.stored import INDEX_DTYPE

_BITS = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}


class RowBuckets:
    """Entries of a matrix filed by runs of rows; a run is small enough to be sorted in memory.

    Entries of one row must arrive in column order. Positions are kept in two bytes where they fit.

    Parameters
    ----------
    scratch
        An existing folder; one file is made in it, and gone after `close`.
    starts
        First row of each run, and after the last the number of rows.
    n_columns
        Columns of the matrix.
    dtype
        Of the values.
    """

    def __init__(self, scratch: Path, starts: NDArray[np.int64], n_columns: int, dtype: np.dtype) -> None:
        self._starts, self._dtype = starts, dtype
        widest = max(n_columns, int(np.diff(starts).max()))
        self._position = np.dtype(np.uint16 if widest <= 1 << 16 else np.int32)
        self._run_of_row: NDArray[np.int32] | None = None
        descriptor, path = tempfile.mkstemp(prefix="transposed-", dir=scratch)
        os.close(descriptor)
        self._spill = Spill(Path(path), n_buckets=len(starts) - 1)

    def add_by_column(self, rows: NDArray[Any], data: NDArray[Any], first: int, indptr: NDArray[np.int64]) -> None:
        """File consecutive entries of a CSC matrix, the first of which is its ``first``-th; rows must be in range."""
        if self._run_of_row is None:
            lengths = np.diff(self._starts)
            self._run_of_row = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
        filed_rows, columns = np.empty(len(rows), self._position), np.empty(len(rows), self._position)
        bits = _as_bits(data)
        filed = np.empty_like(bits)
        ends = _partition(rows, bits, first, indptr, self._run_of_row, self._starts, filed_rows, columns, filed)
        self._append(ends, filed_rows, columns, filed)

    def add_by_row(self, rows: NDArray[Any], columns: NDArray[Any], data: NDArray[Any]) -> None:
        """File entries that are sorted by row."""
        ends = np.searchsorted(rows, self._starts[1:])
        base = np.repeat(self._starts[:-1], np.diff(ends, prepend=0))
        self._append(ends, (rows - base).astype(self._position), columns.astype(self._position), _as_bits(data))

    def _append(self, ends: NDArray[Any], *arrays: NDArray[Any]) -> None:
        start = 0
        for run, stop in enumerate(ends.tolist()):
            if stop > start:
                self._spill.append(run, *(array[start:stop] for array in arrays))
            start = stop

    def blocks(self) -> Iterator[Block]:
        """Yield every run as a block whose rows have ascending columns."""
        for run in range(len(self._starts) - 1):
            yield self._block(run)

    def _block(self, run: int) -> Block:
        start, stop = int(self._starts[run]), int(self._starts[run + 1])
        groups = self._spill.read(run)
        indptr = np.zeros(stop - start + 1, np.int64)
        for rows, _, _ in groups:
            indptr[1:] += np.bincount(rows, minlength=stop - start)
        np.cumsum(indptr, out=indptr)
        indices, data = np.empty(indptr[-1], INDEX_DTYPE), np.empty(indptr[-1], self._dtype)
        cursor = indptr[:-1].copy()
        for group in groups:
            _place(*group, cursor, indices, _as_bits(data))
        return Block(start, indptr, indices, data)

    def close(self) -> None:
        """Delete the file."""
        self._spill.discard()


def _as_bits(values: NDArray[Any]) -> NDArray[Any]:
    """View values as unsigned integers: the kernels below only move them."""
    return np.ascontiguousarray(values).view(_BITS[values.dtype.itemsize])


@kernel
def count_rows(rows, counts):  # type: ignore[no-untyped-def]
    """Add to ``counts`` how often each row occurs; return the position of the first impossible row, or -1."""
    for k in range(len(rows)):
        row = rows[k]
        if row < 0 or row >= len(counts):
            return k
        counts[row] += 1
    return -1


@kernel
def _partition(rows, bits, first, indptr, run_of_row, starts, out_rows, out_columns, out_bits):  # type: ignore[no-untyped-def]
    ends = np.zeros(len(starts) - 1, np.int64)
    for k in range(len(rows)):
        ends[run_of_row[rows[k]]] += 1
    total = 0
    for run in range(len(ends)):
        total, ends[run] = total + ends[run], total
    column = np.searchsorted(indptr, first, side="right") - 1
    for k in range(len(rows)):
        while indptr[column + 1] <= first + k:
            column += 1
        run = run_of_row[rows[k]]
        at = ends[run]
        out_rows[at] = rows[k] - starts[run]
        out_columns[at] = column
        out_bits[at] = bits[k]
        ends[run] = at + 1
    return ends


@kernel
def _place(rows, columns, bits, cursor, out_columns, out_bits):  # type: ignore[no-untyped-def]
    for k in range(len(rows)):
        at = cursor[rows[k]]
        out_columns[at] = columns[k]
        out_bits[at] = bits[k]
        cursor[rows[k]] = at + 1
