"""Second pass: buckets of cells in their final order, written as ``expression`` and the panel, and filed by gene."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from titin.builder.job import BuildJob
from titin.builder.scan import Scan
from titin.dataset import layout
from titin.dataset.arrow import ParquetFile, list_column
from titin.dataset.codec import decode_values
from titin.dataset.kernels import append_runs, copy_runs, scatter_columns, transpose
from titin.dataset.layout import required
from titin.dataset.spill import Spill
from titin.parallel import ordered_map, read_ahead


@dataclass(frozen=True)
class Bucket:
    """Cells ``start`` … in their final order.

    Attributes
    ----------
    indptr, tokens, counts
        CSR by ascending token.
    gene_indptr, rows, gene_counts
        The same matrix as CSC: for each token, rows within the bucket (ascending) and their counts.
    scale, level_indptr, levels
        As in `titin.dataset.codec.Encoded`; empty unless the matrix is of kind ``log1p``.
    """

    start: int
    indptr: NDArray[np.int64]
    tokens: NDArray[Any]
    counts: NDArray[Any]
    gene_indptr: NDArray[np.int64]
    rows: NDArray[np.uint16]
    gene_counts: NDArray[Any]
    scale: NDArray[np.float32]
    level_indptr: NDArray[np.int64]
    levels: NDArray[Any]

    @property
    def n_cells(self) -> int:
        """Number of cells."""
        return len(self.indptr) - 1


def write_cells(
    job: BuildJob, scan: Scan, spill: Spill, labels: pa.Table, panel: NDArray[np.int64]
) -> tuple[list[str], Spill]:
    """Write ``expression`` and ``expression_panel``; file the same values by gene.

    Parameters
    ----------
    labels
        One row a cell in final order: ``cell_id`` and the obs columns a learner wants beside the data.
    panel
        Tokens of the panel's genes, in the order of its columns.

    Returns
    -------
    names, by_gene
        Files written; a finished spill with one group a bucket: token row pointers, rows, counts.
    """
    n_cells, _ = job.source.X.shape
    by_gene = Spill(job.work / "genes", spill.n_buckets)
    expression = _ExpressionWriter(job, scan, labels)
    wide = _PanelWriter(job, scan, labels, panel)
    job.progress.start("write expression", n_cells, "cells")
    # one writer thread a file; the next bucket is sorted meanwhile
    with ThreadPoolExecutor(1) as first, ThreadPoolExecutor(1) as second:
        writing: list[Future[None]] = []
        for bucket in _buckets(job, scan, spill):
            for future in writing:
                future.result()
            writing = [first.submit(expression.write, bucket), second.submit(wide.write, bucket)]
            by_gene.append(bucket.start // scan.bucket_cells, bucket.gene_indptr, bucket.rows, bucket.gene_counts)
            job.progress.advance(bucket.n_cells)
        for future in writing:
            future.result()
    by_gene.finish()
    return expression.close() + wide.close(), by_gene


def _buckets(job: BuildJob, scan: Scan, spill: Spill) -> Iterator[Bucket]:
    n_cells, n_genes = job.source.X.shape
    tokens = scan.tokens

    def work(index: int) -> Bucket:
        start = index * scan.bucket_cells
        return _sort_bucket(spill.read(index), start, min(scan.bucket_cells, n_cells - start), n_genes, tokens, scan)

    return ordered_map(work, range(spill.n_buckets), max(1, job.resources.threads - 1))


def _sort_bucket(
    groups: list[list[NDArray[Any]]], start: int, n_cells: int, n_genes: int, tokens: NDArray[np.int32], scan: Scan
) -> Bucket:
    """Put a bucket's cells in place and its genes in token order, by transposing twice."""
    lengths, level_lengths = np.zeros(n_cells, np.int64), np.zeros(n_cells, np.int64)
    scale = np.ones(n_cells, np.float32)
    for local, n, n_levels, group_scale, *_ in groups:
        lengths[local], level_lengths[local], scale[local] = n, n_levels, group_scale
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    level_indptr = np.concatenate([[0], np.cumsum(level_lengths)])
    genes = _place([(g[0], g[1], g[4]) for g in groups], indptr, None)
    counts = _place([(g[0], g[1], g[5]) for g in groups], indptr, scan.element)
    levels = _place([(g[0], g[2], g[6]) for g in groups], level_indptr, None)
    groups.clear()
    gene_indptr = np.empty(n_genes + 1, np.int64)
    rows, gene_counts = np.empty(len(genes), np.uint16), np.empty_like(counts)
    transpose(indptr, genes, counts, tokens, rows, gene_counts, gene_indptr)
    in_place = np.arange(n_cells, dtype=np.int32)
    transpose(gene_indptr, rows, gene_counts, in_place, genes, counts, np.empty_like(indptr))
    return Bucket(start, indptr, genes, counts, gene_indptr, rows, gene_counts, scale, level_indptr, levels)


def _place(
    groups: list[tuple[NDArray[Any], NDArray[Any], NDArray[Any]]], indptr: NDArray[np.int64], dtype: np.dtype | None
) -> NDArray[Any]:
    """Copy each group's runs of elements to their rows."""
    dtype = dtype or (groups[0][2].dtype if groups else np.dtype(np.float64))
    size = dtype.itemsize
    out = np.empty(int(indptr[-1]), dtype)
    for local, lengths, elements in groups:
        source = np.ascontiguousarray(elements, dtype).view(np.uint8)
        starts = np.concatenate([[0], np.cumsum(lengths[:-1])]) * size
        copy_runs(source, starts, lengths * size, out.view(np.uint8), indptr[local] * size)
    return out


class _ExpressionWriter:
    """``expression``: labels, source row, scale, genes, counts, levels; 1,024 cells a row group."""

    def __init__(self, job: BuildJob, scan: Scan, labels: pa.Table) -> None:
        self._labels, self._source_rows, self._kind = labels, job.source_rows, scan.kind
        genes = layout.list_of(layout.gene_type(job.source.X.shape[1]))
        element = layout.list_of(pa.from_numpy_dtype(scan.element))
        fields = [*labels.schema, required(layout.SOURCE_ROW, pa.int64())]
        if scan.kind == "log1p":
            fields.append(required(layout.SCALE, pa.float32()))
        fields.append(required(layout.GENES, genes))
        fields.append(required(layout.VALUES if scan.kind == "real" else layout.COUNTS, element))
        if scan.kind == "log1p":
            fields.append(required(layout.LEVELS, layout.list_of(pa.float64() if scan.float64 else pa.float32())))
        self._schema = job.index_schema(pa.schema(fields), layout.CELL_ID)
        self._file = ParquetFile(job.out, job.layout.expression, self._schema)

    def write(self, bucket: Bucket) -> None:
        for a in range(0, bucket.n_cells, layout.ROW_GROUP_CELLS):
            b = min(a + layout.ROW_GROUP_CELLS, bucket.n_cells)
            cells = slice(bucket.start + a, bucket.start + b)
            columns = list(self._labels.slice(cells.start, b - a).columns)
            columns.append(pa.array(self._source_rows[cells], pa.int64()))
            if self._kind == "log1p":
                columns.append(pa.array(bucket.scale[a:b]))
            columns.append(list_column(bucket.indptr[a : b + 1], bucket.tokens))
            columns.append(list_column(bucket.indptr[a : b + 1], bucket.counts))
            if self._kind == "log1p":
                columns.append(list_column(bucket.level_indptr[a : b + 1], bucket.levels))
            self._file.write(pa.Table.from_arrays(columns, schema=self._schema))

    def close(self) -> list[str]:
        return self._file.close()


class _PanelWriter:
    """``expression_panel``: labels and float32 log-normalised values of the panel's genes."""

    def __init__(self, job: BuildJob, scan: Scan, labels: pa.Table, panel: NDArray[np.int64]) -> None:
        self._labels, self._kind, self._n_cells = labels, scan.kind, job.source.X.shape[0]
        self._column = np.full(job.source.X.shape[1], -1, np.int32)
        self._column[panel] = np.arange(len(panel), dtype=np.int32)
        names = job.panel_names(scan.source_columns[panel], labels.column_names)
        fields = [*labels.schema, *(required(name, pa.float32()) for name in names)]
        self._schema = job.index_schema(pa.schema(fields), layout.CELL_ID)
        self._file = ParquetFile(job.out, job.layout.expression_panel, self._schema)
        self._pending = np.empty((layout.PANEL_ROW_GROUP_CELLS, len(panel)), np.float32, order="F")
        self._filled = self._written = 0

    def write(self, bucket: Bucket) -> None:
        values = self._values(bucket)
        a = 0
        while a < bucket.n_cells:
            n = min(bucket.n_cells - a, layout.PANEL_ROW_GROUP_CELLS - self._filled)
            target = self._pending[self._filled : self._filled + n]
            scatter_columns(bucket.indptr[a : a + n + 1], bucket.tokens, values, self._column, target)
            a, self._filled = a + n, self._filled + n
            if self._filled == layout.PANEL_ROW_GROUP_CELLS:
                self._flush()

    def _values(self, bucket: Bucket) -> NDArray[np.float32]:
        """Log-normalised values: the source's own, or made from counts where it has only those."""
        if self._kind == "log1p":
            exact = decode_values(bucket.indptr, bucket.counts, bucket.level_indptr, bucket.levels)
            return np.asarray(exact, np.float32)
        if self._kind == "real":
            return np.asarray(bucket.counts, np.float32)
        ends = np.concatenate([[0], np.cumsum(bucket.counts, dtype=np.float64)])
        totals = np.maximum(np.diff(ends[bucket.indptr]), 1.0)
        linear = bucket.counts * np.repeat(layout.TARGET_SUM / totals, np.diff(bucket.indptr))
        return np.asarray(np.log1p(linear), np.float32)

    def _flush(self) -> None:
        labels = self._labels.slice(self._written, self._filled)
        columns = [pa.array(self._pending[: self._filled, j]) for j in range(self._pending.shape[1])]
        self._file.write(pa.Table.from_arrays([*labels.columns, *columns], schema=self._schema))
        self._written, self._filled = self._written + self._filled, 0

    def close(self) -> list[str]:
        if self._filled:
            self._flush()
        return self._file.close()


def write_genes(job: BuildJob, scan: Scan, spill: Spill) -> list[str]:
    """Write ``expression_by_gene``; return the names of its files."""
    n_cells_by_token = scan.n_cells_by_gene[scan.source_columns]
    groups = row_groups(n_cells_by_token)
    indptr = np.concatenate([[0], np.cumsum(n_cells_by_token)])
    genes = job.gene_names(scan.source_columns)
    element = layout.list_of(pa.from_numpy_dtype(scan.element))
    schema = job.index_schema(pa.schema([
        required(layout.GENE, pa.string()), required(layout.GENE_ID, pa.string()),
        required(layout.TOKEN, pa.int32()), required(layout.N_CELLS, pa.int64()),
        required(layout.CELLS, layout.list_of(pa.uint32())),
        required(layout.VALUES if scan.kind == "real" else layout.COUNTS, element),
    ]), layout.GENE)  # fmt: skip
    file = ParquetFile(job.out, job.layout.expression_by_gene, schema)
    job.progress.start("write expression by gene", len(genes), "genes")
    for first, last, cells, counts in _strips(job, scan, spill, groups, indptr):
        for a, b in groups[(groups[:, 0] >= first) & (groups[:, 0] < last)].tolist():
            offsets = indptr[a : b + 1] - indptr[first]
            names = genes.slice(a, b - a)
            file.write(pa.Table.from_arrays([
                names.column(layout.GENE), names.column(layout.GENE_IDS),
                pa.array(np.arange(a, b, dtype=np.int32)), pa.array(n_cells_by_token[a:b]),
                list_column(offsets, cells), list_column(offsets, counts),
            ], schema=schema))  # fmt: skip
        job.progress.advance(last - first)
    return file.close()


def row_groups(n_cells_by_token: NDArray[np.int64]) -> NDArray[np.int64]:
    """Token ranges of the row groups: as many genes as stay within the bound of non-zeros, at least one.

    Returns
    -------
    int64, groups × 2: first token, end token.
    """
    ends = np.cumsum(n_cells_by_token)
    groups, first = [], 0
    while first < len(ends):
        before = ends[first - 1] if first else 0
        last = max(first + 1, int(np.searchsorted(ends, before + layout.ROW_GROUP_NONZEROS, side="right")))
        groups.append((first, last))
        first = last
    return np.array(groups, np.int64).reshape(-1, 2)


_Strip = tuple[int, int, NDArray[np.uint32], NDArray]


def _strips(
    job: BuildJob, scan: Scan, spill: Spill, groups: NDArray[np.int64], indptr: NDArray[np.int64]
) -> Iterator[_Strip]:
    """Row groups gathered from all buckets, as many at a time as memory allows."""
    limit = job.resources.bucket_values
    ranges, first = [], 0
    for i in range(len(groups)):
        last = groups[i, 1]
        following = groups[i + 1, 1] if i + 1 < len(groups) else None
        if following is None or indptr[following] - indptr[first] > limit:
            ranges.append((int(first), int(last)))
            first = last

    def work(strip: tuple[int, int]) -> _Strip:
        return _gather(scan, spill, indptr, *strip)

    return read_ahead(ordered_map(work, ranges, max(1, job.resources.threads - 1)))


def _gather(scan: Scan, spill: Spill, indptr: NDArray[np.int64], first: int, last: int) -> _Strip:
    """Join what every bucket has of the tokens ``first`` … ``last - 1``; buckets come in cell order."""
    start = indptr[first]
    cells = np.empty(int(indptr[last] - start), np.uint32)
    counts = np.empty(len(cells), scan.element)
    cursor = indptr[first:last] - start
    for bucket in range(spill.n_buckets):
        (pointers,) = spill.read_slices(bucket, 0, [(first, last + 1)])
        a, b = int(pointers[0]), int(pointers[-1])
        _, rows, part = spill.read_slices(bucket, 0, [(0, 0), (a, b), (a, b)])
        append_runs(pointers - a, rows, part, bucket * scan.bucket_cells, cursor, cells, counts)
    return first, last, cells, counts
