"""Second pass: buckets of cells in their final order, written as ``expression`` and the panel, and filed by gene."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack

import numpy as np
from numpy.typing import NDArray

from titin.builder.by_gene import GeneFiler
from titin.builder.cell_buckets import Bucket, sorted_buckets
from titin.builder.cell_groups import CellRows, MatrixGroups, PanelGroups, lognorm_values
from titin.builder.cells_on_workers import write_cells_on_workers
from titin.builder.job import BuildJob
from titin.builder.scan import Scan
from titin.dataset import layout
from titin.dataset.arrow import ParquetFile, Rows
from titin.dataset.kernels import scatter_columns
from titin.dataset.spill import Spill


def write_cells(
    job: BuildJob, scan: Scan, spill: Spill, labels: Rows, panel: NDArray[np.int64] | None
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
    genes, cells = GeneFiler(job, scan), CellRows(labels, job.source_rows)
    groups = MatrixGroups.of(job, scan, cells)
    chosen = None if panel is None else PanelGroups.of(job, scan, labels.schema, panel)
    job.progress.start("write expression", job.source.X.shape[0], "cells")
    given = job, scan, spill, cells, groups, chosen, genes
    cluster = job.resources.cluster
    names = _write_in_threads(*given) if cluster is None else write_cells_on_workers(*given, cluster)
    genes.spill.finish()
    return names, genes.spill


def _write_in_threads(
    job: BuildJob, scan: Scan, spill: Spill, cells: CellRows, groups: MatrixGroups, panel: PanelGroups | None,
    genes: GeneFiler,
) -> list[str]:  # fmt: skip
    files = [ParquetFile(job.out, job.layout.expression, groups.schema)]
    writes: list[Callable[[Bucket], None]] = [lambda bucket: groups.write(bucket, cells, files[0])]
    if panel is not None:
        files.append(ParquetFile(job.out, job.layout.expression_panel, panel.schema))
        wide = _PanelWriter(panel, cells.labels, files[1])
        writes.append(wide.write)
    # one writer thread a file; the next bucket is sorted meanwhile
    with ExitStack() as stack:
        threads = [stack.enter_context(ThreadPoolExecutor(1)) for _ in writes]
        writing: list[Future[None]] = []
        for bucket in sorted_buckets(job, spill, scan.bucket_cells, scan.tokens, scan.element):
            for future in writing:
                future.result()
            writing = [thread.submit(write, bucket) for thread, write in zip(threads, writes, strict=True)]
            genes.append(bucket.gene_indptr, bucket.rows, bucket.gene_counts)
            job.progress.advance(bucket.n_cells)
        for future in writing:
            future.result()
    if panel is not None:
        wide.flush()
    return [name for file in files for name in file.close()]


class _PanelWriter:
    """Gathers the values of the panel's genes until they are a row group."""

    def __init__(self, groups: PanelGroups, labels: Rows, file: ParquetFile) -> None:
        self._groups, self._labels, self._file = groups, labels, file
        self._pending = groups.empty()
        self._filled = self._written = 0

    def write(self, bucket: Bucket) -> None:
        values = lognorm_values(self._groups.kind, bucket.indptr, bucket.counts, bucket.level_indptr, bucket.levels)
        a = 0
        while a < bucket.n_cells:
            n = min(bucket.n_cells - a, layout.PANEL_ROW_GROUP_CELLS - self._filled)
            target = self._pending[self._filled : self._filled + n]
            scatter_columns(bucket.indptr[a : a + n + 1], bucket.tokens, values, self._groups.column, target)
            a, self._filled = a + n, self._filled + n
            if self._filled == layout.PANEL_ROW_GROUP_CELLS:
                self.flush()

    def flush(self) -> None:
        """Write what is gathered."""
        if self._filled:
            labels = self._labels.slice(self._written, self._filled)
            self._groups.write(self._pending[: self._filled], labels, self._file)
            self._written, self._filled = self._written + self._filled, 0
