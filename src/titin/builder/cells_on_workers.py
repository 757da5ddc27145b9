"""The second pass on the workers of a cluster: they read what the first has filed, and return encoded row groups."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from titin.builder.by_gene import GeneFiler
from titin.builder.cell_buckets import FiledBucket, FiledBuckets, sort_bucket
from titin.builder.cell_groups import CellRows, MatrixGroups, PanelGroups, lognorm_values
from titin.builder.job import BuildJob
from titin.builder.scan import Scan
from titin.cluster import Cluster
from titin.dataset import layout
from titin.dataset.arrow import ParquetFile
from titin.dataset.encoded_groups import EncodedGroups
from titin.dataset.kernels import scatter_rows
from titin.dataset.spill import Spill

_ROWS = "rows.arrow"  # intermediate file: what stands beside the expression, which workers read a part of


@dataclass(frozen=True)
class StoredRows:
    """What `titin.builder.cell_groups.CellRows` gives, as a file in Arrow's format.

    Attributes
    ----------
    path
        The file.
    size
        Rows of each of its batches but the last.
    """

    path: Path
    size: int = layout.PANEL_ROW_GROUP_CELLS

    def save(self, cells: CellRows) -> None:
        """Write the file."""
        self.path.unlink(missing_ok=True)
        with self.path.open("xb") as file, pa.ipc.new_file(file, cells.schema) as writer:
            for start in range(0, cells.num_rows, self.size):
                rows = cells.slice(start, min(self.size, cells.num_rows - start))
                writer.write_table(rows.combine_chunks(), self.size)

    @property
    def schema(self) -> pa.Schema:
        """Of the table."""
        with pa.OSFile(str(self.path)) as file:
            return pa.ipc.open_file(file).schema

    @property
    def num_rows(self) -> int:
        """Number of rows."""
        with pa.OSFile(str(self.path)) as file:
            return int(pa.ipc.open_file(file).count_rows())

    def slice(self, start: int, length: int) -> pa.Table:
        """``length`` rows from ``start`` on."""
        first = start // self.size
        with pa.OSFile(str(self.path)) as file:
            stored = pa.ipc.open_file(file)
            batches = [stored.get_batch(i) for i in range(first, -(-(start + length) // self.size))]
        table = pa.Table.from_batches(batches).slice(start - first * self.size, length)
        return table.combine_chunks()


@dataclass(frozen=True)
class _CellPass:
    """What all tasks have in common."""

    rows: StoredRows
    expression: MatrixGroups
    panel: PanelGroups | None
    tokens: NDArray[np.int32]
    element: np.dtype


@dataclass(frozen=True)
class _EncodedBucket:
    """Row groups of ``expression``, and the same values by gene: cells a gene, rows within the bucket, counts."""

    end: int
    n_cells: int
    groups: list[bytes]
    lengths: NDArray[np.uint32]
    rows: NDArray[np.uint16]
    counts: NDArray[np.generic]


@dataclass(frozen=True)
class _Panel:
    """A row group of the panel: its first cell and the one behind its last, and the buckets that have some of them."""

    first: int
    end: int
    buckets: tuple[FiledBucket, ...]


@dataclass(frozen=True)
class _EncodedPanel:
    end: int
    groups: list[bytes]


def write_cells_on_workers(
    job: BuildJob, scan: Scan, spill: Spill, cells: CellRows, groups: MatrixGroups, panel: PanelGroups | None,
    genes: GeneFiler, cluster: Cluster,
) -> list[str]:  # fmt: skip
    """Write ``expression`` and the panel as `titin.builder.matrix.write_cells` does in threads, byte for byte.

    Workers read the files of the workspace and write none, so that nothing of a lost one is left.

    Returns
    -------
    Names of the files.
    """
    stored = StoredRows(job.work / _ROWS)
    expression = ParquetFile(job.out, job.layout.expression, groups.schema)
    wide = None if panel is None else ParquetFile(job.out, job.layout.expression_panel, panel.schema)
    try:
        stored.save(cells)
        shared = _CellPass(stored, groups, panel, scan.tokens, scan.element)
        with (
            FiledBuckets(job, spill, scan.bucket_cells) as filed,
            closing(cluster.map(_encode, (shared,), _tasks(filed, wide is not None), together=False)) as results,
        ):
            for found in results:
                if isinstance(found, _EncodedBucket):
                    _write(expression, found.groups)
                    genes.append(_pointers(found.lengths), found.rows, found.counts)
                    job.progress.advance(found.n_cells)
                elif wide is not None:
                    _write(wide, found.groups)
                if wide is None or isinstance(found, _EncodedPanel):
                    filed.are_done(found.end)
        return [name for file in (expression, wide) if file is not None for name in file.close()]
    finally:
        expression.abandon()
        if wide is not None:
            wide.abandon()
        stored.path.unlink(missing_ok=True)


def _write(file: ParquetFile, groups: list[bytes]) -> None:
    for group in groups:
        file.write_encoded(group)


def _tasks(filed: FiledBuckets, with_panel: bool) -> Iterator[FiledBucket | _Panel]:
    """Every bucket, and each row group of the panel behind the last bucket that has cells of it."""
    size = layout.PANEL_ROW_GROUP_CELLS
    first, end, recent = 0, 0, list[FiledBucket]()
    for bucket in filed:
        yield bucket
        recent.append(bucket)
        end = bucket.end
        while with_panel and end >= first + size:
            yield _Panel(first, first + size, tuple(one for one in recent if one.start < first + size))
            first += size
            recent = [one for one in recent if one.end > first]
        if not with_panel:
            recent.clear()
    if with_panel and first < end:
        yield _Panel(first, end, tuple(recent))


def _encode(shared: _CellPass, task: FiledBucket | _Panel) -> _EncodedBucket | _EncodedPanel:
    """Do a task, on a worker."""
    return _encode_bucket(shared, task) if isinstance(task, FiledBucket) else _encode_panel(shared, task)


def _encode_bucket(shared: _CellPass, task: FiledBucket) -> _EncodedBucket:
    bucket = sort_bucket(list(task.part.groups()), task.start, task.n_cells, shared.tokens, shared.element)
    encoding = EncodedGroups(shared.expression.schema)
    shared.expression.write(bucket, shared.rows, encoding)
    lengths = np.diff(bucket.gene_indptr).astype(np.uint32)
    return _EncodedBucket(task.end, task.n_cells, encoding.groups, lengths, bucket.rows, bucket.gene_counts)


def _encode_panel(shared: _CellPass, task: _Panel) -> _EncodedPanel:
    if shared.panel is None:
        raise ValueError("there is no panel")
    out, column = shared.panel.empty()[: task.end - task.first], shared.panel.column[shared.tokens]
    out[:] = 0
    for bucket in task.buckets:
        for local, lengths, n_levels, _, genes, counts, levels in bucket.part.groups():
            indptr = _pointers(lengths)
            values = lognorm_values(shared.panel.kind, indptr, counts, _pointers(n_levels), levels)
            scatter_rows(indptr, genes, values, column, bucket.start - task.first + local.astype(np.int64), out)
    labels = shared.rows.slice(task.first, len(out))
    encoding = EncodedGroups(shared.panel.schema)
    shared.panel.write(out, labels.select(range(labels.num_columns - 1)), encoding)
    return _EncodedPanel(task.end, encoding.groups)


def _pointers(lengths: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
