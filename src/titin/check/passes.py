"""Passes over the values of a dataset: lists as they are stored, genes one by one, the panel beside them."""

from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from titin.check.findings import Problems
from titin.check.kernels import digest_by_gene, gather_gene, inspect_lists
from titin.cluster import Cluster, spread
from titin.dataset import layout
from titin.dataset.kernels import scatter_columns
from titin.dataset.kinds import ValueKind
from titin.dataset.layout import Layout
from titin.dataset.pages import Lists
from titin.dataset.row_group import RowGroup
from titin.dataset.store import Store
from titin.errors import DatasetError
from titin.parallel import ordered_map
from titin.progress import Progress


class ListReader:
    """Reads list columns of ``expression`` or ``expression_by_gene``; safe in threads.

    Parameters
    ----------
    store
        The dataset.
    name
        The file's plain name, without shards.
    columns
        Those wanted.
    """

    def __init__(self, store: Store, name: str, columns: Sequence[str]) -> None:
        self.store, self.columns = store, list(columns)
        self.groups = store.row_groups(name)

    def read(self, group: RowGroup) -> list[Lists]:
        """Read each column.

        Raises
        ------
        DatasetError
            If the file is missing, damaged or replaced, or has no such column.
        """
        return self.store.read_lists(group, self.columns)


def words(elements: NDArray[Any]) -> NDArray[Any]:
    """Counts as they are, values as words of the same size: what digests are made of."""
    return elements.view(f"u{elements.itemsize}") if elements.dtype.kind == "f" else elements


def value_words(values: NDArray[Any]) -> NDArray[np.uint64]:
    """Values of any dtype as words of float64, so that equal numbers are equal words."""
    return np.ascontiguousarray(values, np.float64).view(np.uint64)


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


def read_by_gene(store: Store, *, threads: int, cluster: Cluster | None = None, progress: Progress) -> ByGenePass:
    """Read every value of ``expression_by_gene`` once, in threads or on a cluster.

    Raises
    ------
    DatasetError
        If a file cannot be read.
    """
    problems = Problems()
    digests, lengths = [np.empty((0, 2), np.uint64)], [np.empty(0, np.int64)]
    groups = _open(store).groups
    progress.start("read expression by gene", len(groups), "row groups")
    for found, own, n in spread(_read_and_look, (store,), groups, threads, cluster):
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
    return store.manifest.value_kind.entries


def _read_and_look(
    store: Store, group: RowGroup
) -> tuple[list[tuple[str, int, str, str]], NDArray[np.uint64], NDArray[np.int64]]:
    lists = store.read_lists(group, [layout.CELLS, _data_column(store)])
    return _look(group, lists, store.manifest.n_cells)


def _look(
    group: RowGroup, lists: list[Lists], n_cells: int
) -> tuple[list[tuple[str, int, str, str]], NDArray[np.uint64], NDArray[np.int64]]:
    (indptr, cells), (data_indptr, elements) = lists
    digests = np.zeros((group.n_rows, 2), np.uint64)
    if not np.array_equal(indptr, data_indptr):
        rows = np.flatnonzero(np.diff(indptr) != np.diff(data_indptr))
        said = f"{int(np.diff(indptr)[rows[0]]):,} cells and {int(np.diff(data_indptr)[rows[0]]):,} values"
        return [("lengths", len(rows), said, first_place(group, rows))], digests, np.diff(indptr)
    what = np.empty(group.n_rows, np.uint8)
    found = []
    if inspect_lists(indptr, cells, words(elements), n_cells, what):
        for code, sort in _SORTS.items():
            rows = np.flatnonzero(what == code)
            if len(rows):
                found.append((sort, len(rows), _SAID[code], first_place(group, rows)))
    if elements.dtype.kind == "f" and not np.isfinite(elements).all():
        bad = np.flatnonzero(~np.isfinite(elements))
        rows = np.searchsorted(indptr, bad[:1], side="right") - 1
        found.append(("value", len(bad), f"the value {elements[bad[0]]}", first_place(group, rows)))
    digest_by_gene(indptr, cells, words(elements), group.first_row, digests, np.empty(group.n_rows))
    return found, digests, np.diff(indptr)


def first_place(group: RowGroup, rows: NDArray[np.int64]) -> str:
    """The first of some rows of a row group, as ``file, row``; rows are counted over all shards, from 0."""
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


@dataclass(frozen=True)
class PanelRows:
    """Rows of the panel.

    Attributes
    ----------
    kind
        Of the matrix.
    names, column
        Columns of genes, and int32 by token: the gene's column, -1 if it has none.
    values
        float32, rows × genes; null is NaN.
    """

    kind: ValueKind
    names: list[str]
    column: NDArray[np.int32]
    values: NDArray[np.float32]
    file: str


_HELD = 2  # row groups of the panel: threads read on both sides of where one begins


class PanelReader:
    """Gives the rows of the panel that belong to row groups of ``expression``; keeps two of its own, for threads.

    Parameters
    ----------
    store
        The dataset.
    genes
        Feature metadata as stored: one row a gene.

    Raises
    ------
    DatasetError
        If the panel cannot be read.
    """

    def __init__(self, store: Store, genes: pd.DataFrame) -> None:
        manifest = store.manifest
        self._store, self._kind = store, manifest.value_kind
        self._groups = list(store.row_groups(manifest.layout.expression_panel))
        self.names = panel_genes(store)
        tokens = panel_tokens(genes, self.names, manifest.layout)
        self._column = np.full(manifest.n_genes, -1, np.int32)
        self._column[tokens] = np.arange(len(tokens), dtype=np.int32)
        self._held: dict[RowGroup, NDArray[np.float32]] = {}
        self._lock = Lock()

    @property
    def n_rows(self) -> int:
        """Rows of the panel."""
        return sum(group.n_rows for group in self._groups)

    def of(self, group: RowGroup) -> PanelRows | None:
        """The rows of the panel with the positions of a row group's cells; None where the panel ends before."""
        parts = []
        first, last = group.first_row, group.first_row + group.n_rows
        for own in self._groups:
            a, b = max(first, own.first_row), min(last, own.first_row + own.n_rows)
            if a < b:
                parts.append(self._read(own)[a - own.first_row : b - own.first_row])
        if sum(map(len, parts)) != group.n_rows:
            return None
        values = parts[0] if len(parts) == 1 else np.concatenate(parts)
        file = next(g.shard for g in self._groups if g.first_row + g.n_rows > first)
        return PanelRows(self._kind, self.names, self._column, values, file)

    def _read(self, group: RowGroup) -> NDArray[np.float32]:
        with self._lock:
            if group not in self._held:
                table = self._store.read_group(group, self.names)
                values = np.empty((table.num_rows, len(self.names)), np.float32, order="F")
                for j, name in enumerate(self.names):
                    column = table.column(name)
                    values[:, j] = column.cast(pa.float32(), safe=False).to_numpy()
                while len(self._held) >= _HELD:
                    del self._held[next(iter(self._held))]
                self._held[group] = values
            return self._held[group]

    def __getstate__(self) -> dict[str, Any]:
        return {name: own for name, own in vars(self).items() if name not in ("_held", "_lock")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= state | {"_held": {}, "_lock": Lock()}


def panel_genes(store: Store) -> list[str]:
    """Columns of the panel that are genes, in order."""
    manifest = store.manifest
    shard = manifest.shards(manifest.layout.expression_panel)[0]
    labels = {layout.CELL_ID, *manifest.obs.get("labels", [])}
    return [name for name in store.arrow_schema(shard).names if name not in labels]


def panel_tokens(genes: pd.DataFrame, names: list[str], files: Layout) -> NDArray[np.int64]:
    """Tokens of the panel's genes: of a repeated symbol the first, which most cells express.

    Raises
    ------
    DatasetError
        If a column is no gene.
    """
    genes = genes.drop_duplicates(layout.GENE)
    known = dict(zip(genes[layout.GENE], zip(genes[layout.TOKEN], genes[layout.GENE_IDS], strict=True), strict=True))
    return np.array([_token(name, known, files) for name in names], np.int64)


def _token(name: str, known: dict[str, tuple[int, str]], files: Layout) -> int:
    """Token of a column: named by symbol, or where that was taken by symbol and id, or symbol and number."""
    if name in known:
        return int(known[name][0])
    for at in (i for i, letter in enumerate(name) if letter == "_"):
        token, gene_id = known.get(name[:at], (-1, ""))
        if token >= 0 and (name[at + 1 :] == gene_id or name[at + 1 :].isdecimal()):
            return int(token)
    raise DatasetError(
        f"{files.expression_panel}: column {name!r} is no gene of {files.feature_metadata}",
        "restore the file, or build the dataset again",
    )


def compare_panel(
    panel: PanelRows, group: RowGroup, indptr: NDArray[np.int64], tokens: NDArray, elements: NDArray, values: NDArray
) -> list[tuple[str, int, str, str]]:
    """What of the panel's rows differs from the values of a row group of ``expression``."""
    expected = np.empty(panel.values.shape, np.float32)
    scatter_columns(indptr, tokens, _log_normalised(panel.kind, indptr, elements, values), panel.column, expected)
    differ = expected != panel.values  # NaN differs from everything
    if panel.kind.lognorm_of_counts and differ.any():  # computed again, perhaps by another library
        differ = ~(np.abs(expected - panel.values) <= np.spacing(np.maximum(np.abs(expected), np.abs(panel.values))))
    if not differ.any():
        return []
    row, column = (int(i) for i in np.argwhere(differ)[0])
    said = f"{panel.values[row, column]} where {layout.COUNTS} give {expected[row, column]}"
    where = f"{panel.file}, column {panel.names[column]}, row {group.first_row + row:,}"
    return [("panel", int(differ.sum()), said, where)]


def _log_normalised(
    kind: ValueKind, indptr: NDArray[np.int64], elements: NDArray, values: NDArray
) -> NDArray[np.float32]:
    if not kind.lognorm_of_counts:
        return np.asarray(values, np.float32)
    ends = np.concatenate([[0], np.cumsum(elements, dtype=np.float64)])
    totals = np.maximum(np.diff(ends[indptr]), 1.0)
    return np.asarray(np.log1p(elements * np.repeat(layout.TARGET_SUM / totals, np.diff(indptr))), np.float32)
