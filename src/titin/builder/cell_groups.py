"""Row groups of ``expression`` and of the panel: what they hold of a bucket of cells, wherever they are encoded."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from titin.builder.cell_buckets import Bucket
from titin.builder.job import BuildJob
from titin.builder.scan import Scan
from titin.dataset import layout
from titin.dataset.arrow import Rows, list_column
from titin.dataset.codec import decode_values
from titin.dataset.kinds import ValueKind
from titin.dataset.layout import required


class Groups(Protocol):
    """What takes tables, each as a row group: a file, or what encodes them for one."""

    def write(self, table: pa.Table) -> None:
        """Write a table as one row group."""


@dataclass(frozen=True)
class CellRows:
    """What stands beside the expression of each cell, in final order: labels, and its row in the source.

    Attributes
    ----------
    labels
        ``cell_id`` and the obs columns a learner wants beside the data.
    source_rows
        int64, one a cell.
    """

    labels: Rows
    source_rows: NDArray[np.int64]

    @property
    def schema(self) -> pa.Schema:
        """Of the table."""
        return self.labels.schema.append(required(layout.SOURCE_ROW, pa.int64()))

    @property
    def num_rows(self) -> int:
        """Number of cells."""
        return len(self.source_rows)

    def slice(self, start: int, length: int) -> pa.Table:
        """``length`` cells from ``start`` on."""
        rows = pa.array(self.source_rows[start : start + length], pa.int64())
        return pa.Table.from_arrays([*self.labels.slice(start, length).columns, rows], schema=self.schema)


@dataclass(frozen=True)
class MatrixGroups:
    """``expression``: labels, source row, scale, genes, counts, levels; 1,024 cells a row group.

    Attributes
    ----------
    schema
        Of the file.
    kind
        What the values are.
    """

    schema: pa.Schema
    kind: ValueKind

    @classmethod
    def of(cls, job: BuildJob, scan: Scan, cells: CellRows) -> "MatrixGroups":
        """Those of a build."""
        kind = scan.value_kind
        fields = list(cells.schema)
        if kind.has_levels:
            fields.append(required(layout.SCALE, pa.float32()))
        fields.append(required(layout.GENES, layout.list_of(layout.gene_type(job.source.X.shape[1]))))
        fields.append(required(kind.entries, layout.list_of(pa.from_numpy_dtype(scan.element))))
        if kind.has_levels:
            fields.append(required(layout.LEVELS, layout.list_of(pa.float64() if scan.float64 else pa.float32())))
        return cls(job.index_schema(pa.schema(fields), layout.CELL_ID), kind)

    def write(self, bucket: Bucket, cells: Rows, file: Groups) -> None:
        """Write the row groups of a bucket; ``cells`` are those of `CellRows`."""
        for a in range(0, bucket.n_cells, layout.ROW_GROUP_CELLS):
            b = min(a + layout.ROW_GROUP_CELLS, bucket.n_cells)
            columns = list(cells.slice(bucket.start + a, b - a).columns)
            if self.kind.has_levels:
                columns.append(pa.array(bucket.scale[a:b]))
            columns.append(list_column(bucket.indptr[a : b + 1], bucket.tokens))
            columns.append(list_column(bucket.indptr[a : b + 1], bucket.counts))
            if self.kind.has_levels:
                columns.append(list_column(bucket.level_indptr[a : b + 1], bucket.levels))
            file.write(pa.Table.from_arrays(columns, schema=self.schema))


@dataclass(frozen=True)
class PanelGroups:
    """``expression_panel``: labels and float32 log-normalised values of the panel's genes.

    Attributes
    ----------
    schema
        Of the file.
    kind
        What the values of the matrix are.
    n_genes
        Of the panel.
    column
        int32, column of each token; -1 for none.
    """

    schema: pa.Schema
    kind: ValueKind
    n_genes: int
    column: NDArray[np.int32]

    @classmethod
    def of(cls, job: BuildJob, scan: Scan, labels: pa.Schema, panel: NDArray[np.int64]) -> "PanelGroups":
        """Those of a build; ``panel`` are tokens of the genes, in the order of their columns."""
        column = np.full(job.source.X.shape[1], -1, np.int32)
        column[panel] = np.arange(len(panel), dtype=np.int32)
        names = job.panel_names(scan.source_columns[panel], labels.names)
        fields = [*labels, *(required(name, pa.float32()) for name in names)]
        return cls(job.index_schema(pa.schema(fields), layout.CELL_ID), scan.value_kind, len(panel), column)

    def empty(self) -> NDArray[np.float32]:
        """Room for the values of a row group."""
        return np.empty((layout.PANEL_ROW_GROUP_CELLS, self.n_genes), np.float32, order="F")

    def write(self, values: NDArray[np.float32], labels: pa.Table, file: Groups) -> None:
        """Write a row group: values of cells × genes, and the labels of the cells."""
        columns = [pa.array(values[:, j]) for j in range(values.shape[1])]
        file.write(pa.Table.from_arrays([*labels.columns, *columns], schema=self.schema))


def lognorm_values(
    kind: ValueKind, indptr: NDArray[np.int64], counts: NDArray[np.generic], level_indptr: NDArray[np.int64],
    levels: NDArray[np.generic],
) -> NDArray[np.float32]:  # fmt: skip
    """Log-normalised values of cells: the source's own, or made from counts where it has only those.

    Parameters
    ----------
    indptr, counts, level_indptr, levels
        As in `titin.dataset.codec.Encoded`.
    """
    if not kind.has_counts:
        return np.asarray(counts, np.float32)
    if not kind.lognorm_of_counts:
        return np.asarray(decode_values(indptr, counts, level_indptr, levels), np.float32)
    ends = np.concatenate([[0], np.cumsum(counts, dtype=np.float64)])
    totals = np.maximum(np.diff(ends[indptr]), 1.0)
    linear = counts * np.repeat(layout.TARGET_SUM / totals, np.diff(indptr))
    return np.asarray(np.log1p(linear), np.float32)
