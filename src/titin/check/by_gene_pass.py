"""One pass over every value of ``expression_by_gene``, and a second look at one gene where it differs."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from titin.check.findings import Problems
from titin.check.kernels import digest_by_gene, gather_gene, inspect_lists
from titin.check.lists import ListReader, words
from titin.dataset import layout
from titin.dataset.pages import Lists
from titin.dataset.store import RowGroup, Store
from titin.parallel import ordered_map
from titin.progress import Progress

_SORTS = {1: "order", 2: "cell", 3: "zero"}
_SAID = {1: "cells that do not ascend", 2: "a cell that does not exist", 3: "a stored 0"}


@dataclass(frozen=True)
class ByGenePass:
    """What the pass leaves.

    Attributes
    ----------
    problems
        Of genes: ``lengths``, ``order``, ``cell``, ``zero``, ``value``.
    digests
        uint64, rows × 2, as ``ExpressionPass.gene_digests``.
    lengths
        int64 a row: cells listed.
    """

    problems: Problems
    digests: NDArray[np.uint64]
    lengths: NDArray[np.int64]

    @property
    def n_values(self) -> int:
        """Values read."""
        return int(self.lengths.sum())


def read_by_gene(store: Store, *, threads: int, progress: Progress) -> ByGenePass:
    """Read every value of ``expression_by_gene`` once.

    Raises
    ------
    DatasetError
        If a file cannot be read.
    """
    problems = Problems()
    digests, lengths = [np.empty((0, 2), np.uint64)], [np.empty(0, np.int64)]
    reader = _open(store)

    def look(group: RowGroup) -> tuple[list[tuple[str, int, str, str]], NDArray, NDArray]:
        return _look(group, reader.read(group), store.manifest.n_cells)

    progress.start("read expression by gene", len(reader.groups), "row groups")
    for found, own, n in ordered_map(look, reader.groups, threads):
        problems.extend(found)
        digests.append(own)
        lengths.append(n)
        progress.advance(1)
    progress.finish()
    pa.default_memory_pool().release_unused()
    return ByGenePass(problems, np.concatenate(digests), np.concatenate(lengths))


def _open(store: Store) -> ListReader:
    return ListReader(store, store.manifest.layout.expression_by_gene, [layout.CELLS, _data_column(store)])


def _data_column(store: Store) -> str:
    return layout.VALUES if store.manifest.kind == "real" else layout.COUNTS


def _look(
    group: RowGroup, lists: list[Lists], n_cells: int
) -> tuple[list[tuple[str, int, str, str]], NDArray[np.uint64], NDArray[np.int64]]:
    (indptr, cells), (data_indptr, elements) = lists
    digests = np.zeros((group.n_rows, 2), np.uint64)
    if not np.array_equal(indptr, data_indptr):
        rows = np.flatnonzero(np.diff(indptr) != np.diff(data_indptr))
        said = f"{int(np.diff(indptr)[rows[0]]):,} cells and {int(np.diff(data_indptr)[rows[0]]):,} values"
        return [("lengths", len(rows), said, _place(group, rows))], digests, np.diff(indptr)
    what = np.empty(group.n_rows, np.uint8)
    found = []
    if inspect_lists(indptr, cells, words(elements), n_cells, what):
        for code, sort in _SORTS.items():
            rows = np.flatnonzero(what == code)
            if len(rows):
                found.append((sort, len(rows), _SAID[code], _place(group, rows)))
    if elements.dtype.kind == "f" and not np.isfinite(elements).all():
        bad = np.flatnonzero(~np.isfinite(elements))
        rows = np.searchsorted(indptr, bad[:1], side="right") - 1
        found.append(("value", len(bad), f"the value {elements[bad[0]]}", _place(group, rows)))
    digest_by_gene(indptr, cells, words(elements), group.first_row, digests, np.empty(group.n_rows))
    return found, digests, np.diff(indptr)


def _place(group: RowGroup, rows: NDArray[np.int64]) -> str:
    return f"{group.shard}, row {group.first_row + int(rows[0]):,}"


def gene_difference(store: Store, token: int, *, threads: int) -> str:
    """Say how a gene in ``expression_by_gene`` differs from the same gene in ``expression``; both are read again."""
    cells, counts = _gene_by_gene(store, token)
    other_cells, other = _gene_by_cell(store, token, threads)
    everywhere = np.union1d(cells, other_cells)
    left, right = np.zeros(len(everywhere), counts.dtype), np.zeros(len(everywhere), other.dtype)
    left[np.searchsorted(everywhere, cells)] = counts
    right[np.searchsorted(everywhere, other_cells)] = other
    differ = np.flatnonzero(left != right)
    if not len(differ):
        return "the same values, listed twice or in another order"
    at = differ[0]
    expression = store.manifest.layout.expression
    name = store.column(expression, layout.CELL_ID)[int(everywhere[at])].as_py()
    return (
        f"{len(differ):,} cells differ; cell {name} (row {int(everywhere[at]):,}) has {left[at]} there and {right[at]} "
        f"in {expression}"
    )


def _gene_by_gene(store: Store, token: int) -> tuple[NDArray, NDArray]:
    reader = _open(store)
    for group in reader.groups:
        row = token - group.first_row
        if 0 <= row < group.n_rows:
            (indptr, cells), (data_indptr, elements) = reader.read(group)
            n = min(indptr[row + 1] - indptr[row], data_indptr[row + 1] - data_indptr[row])
            return cells[indptr[row] : indptr[row] + n], elements[data_indptr[row] : data_indptr[row] + n]
    return np.empty(0, np.uint32), np.empty(0, np.uint16)


def _gene_by_cell(store: Store, token: int, threads: int) -> tuple[NDArray, NDArray]:
    cells, counts = [], []
    reader = ListReader(store, store.manifest.layout.expression, [layout.GENES, _data_column(store)])
    for group, ((indptr, tokens), (_, elements)) in zip(
        reader.groups, ordered_map(reader.read, reader.groups, threads), strict=True
    ):
        rows, found = np.empty(group.n_rows, np.int64), np.empty(group.n_rows, elements.dtype)
        n = gather_gene(indptr, tokens, elements, token, rows, found)
        cells.append(rows[:n] + group.first_row)
        counts.append(found[:n].copy())
    return np.concatenate(cells), np.concatenate(counts)
