"""Second pass: buckets of cells in their final order, written as ``expression`` and the panel, and filed by gene."""

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from titin.builder.by_gene import GeneFiler
from titin.builder.cell_buckets import Bucket, sorted_buckets
from titin.builder.job import BuildJob
from titin.builder.scan import Scan
from titin.dataset import layout
from titin.dataset.arrow import OrderedRows, ParquetFile, list_column
from titin.dataset.codec import decode_values
from titin.dataset.kernels import scatter_columns
from titin.dataset.layout import required
from titin.dataset.spill import Spill


def write_cells(
    job: BuildJob, scan: Scan, spill: Spill, labels: OrderedRows, panel: NDArray[np.int64] | None
) -> tuple[list[str], Spill]:
    """Write ``expression`` and, if it has one, ``expression_panel``; file the same values by gene.

    Parameters
    ----------
    labels
        One row a cell in final order: ``cell_id`` and the obs columns a learner wants beside the data.
    panel
        Tokens of the panel's genes, in the order of its columns; None for no panel.

    Returns
    -------
    names, by_gene
        Files written; a finished spill for `titin.builder.by_gene.write_genes`.
    """
    n_cells, _ = job.source.X.shape
    genes = GeneFiler(job, scan)
    writers: list[_ExpressionWriter | _PanelWriter] = [_ExpressionWriter(job, scan, labels)]
    writers += [] if panel is None else [_PanelWriter(job, scan, labels, panel)]
    job.progress.start("write expression", n_cells, "cells")
    # one writer thread a file; the next bucket is sorted meanwhile
    with ExitStack() as stack:
        threads = [stack.enter_context(ThreadPoolExecutor(1)) for _ in writers]
        writing: list[Future[None]] = []
        for bucket in sorted_buckets(job, spill, scan.bucket_cells, scan.tokens, scan.element):
            for future in writing:
                future.result()
            writing = [thread.submit(writer.write, bucket) for thread, writer in zip(threads, writers, strict=True)]
            genes.append(bucket)
            job.progress.advance(bucket.n_cells)
        for future in writing:
            future.result()
    genes.spill.finish()
    return [name for writer in writers for name in writer.close()], genes.spill


class _ExpressionWriter:
    """``expression``: labels, source row, scale, genes, counts, levels; 1,024 cells a row group."""

    def __init__(self, job: BuildJob, scan: Scan, labels: OrderedRows) -> None:
        self._labels, self._source_rows, self._kind = labels, job.source_rows, scan.value_kind
        genes = layout.list_of(layout.gene_type(job.source.X.shape[1]))
        element = layout.list_of(pa.from_numpy_dtype(scan.element))
        fields = [*labels.schema, required(layout.SOURCE_ROW, pa.int64())]
        if scan.value_kind.has_levels:
            fields.append(required(layout.SCALE, pa.float32()))
        fields.append(required(layout.GENES, genes))
        fields.append(required(scan.value_kind.entries, element))
        if scan.value_kind.has_levels:
            fields.append(required(layout.LEVELS, layout.list_of(pa.float64() if scan.float64 else pa.float32())))
        self._schema = job.index_schema(pa.schema(fields), layout.CELL_ID)
        self._file = ParquetFile(job.out, job.layout.expression, self._schema)

    def write(self, bucket: Bucket) -> None:
        for a in range(0, bucket.n_cells, layout.ROW_GROUP_CELLS):
            b = min(a + layout.ROW_GROUP_CELLS, bucket.n_cells)
            cells = slice(bucket.start + a, bucket.start + b)
            columns = list(self._labels.slice(cells.start, b - a).columns)
            columns.append(pa.array(self._source_rows[cells], pa.int64()))
            if self._kind.has_levels:
                columns.append(pa.array(bucket.scale[a:b]))
            columns.append(list_column(bucket.indptr[a : b + 1], bucket.tokens))
            columns.append(list_column(bucket.indptr[a : b + 1], bucket.counts))
            if self._kind.has_levels:
                columns.append(list_column(bucket.level_indptr[a : b + 1], bucket.levels))
            self._file.write(pa.Table.from_arrays(columns, schema=self._schema))

    def close(self) -> list[str]:
        return self._file.close()


class _PanelWriter:
    """``expression_panel``: labels and float32 log-normalised values of the panel's genes."""

    def __init__(self, job: BuildJob, scan: Scan, labels: OrderedRows, panel: NDArray[np.int64]) -> None:
        self._labels, self._kind, self._n_cells = labels, scan.value_kind, job.source.X.shape[0]
        self._column = np.full(job.source.X.shape[1], -1, np.int32)
        self._column[panel] = np.arange(len(panel), dtype=np.int32)
        names = job.panel_names(scan.source_columns[panel], labels.schema.names)
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
        if not self._kind.has_counts:
            return np.asarray(bucket.counts, np.float32)
        if not self._kind.lognorm_of_counts:
            exact = decode_values(bucket.indptr, bucket.counts, bucket.level_indptr, bucket.levels)
            return np.asarray(exact, np.float32)
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
