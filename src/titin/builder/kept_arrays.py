"""Arrays that AnnData keeps beside the matrix and that are no embeddings: obsp, varm, varp, and sparse obsm."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy import sparse

from titin.builder.further_matrices import name_files, of_part
from titin.builder.job import BuildJob
from titin.dataset import layout
from titin.dataset.arrow import OrderedRows, ParquetFile, list_column, write_table
from titin.dataset.manifest import ARRAY_GROUPS, PAIRWISE, RAW, group_of
from titin.dataset.tables import encode_table, with_pandas_index

Positions = NDArray[np.int64]

_ROW_GROUP_ENTRIES = 2_000_000
_KINDS = "biuf"


@dataclass(frozen=True)
class _Axis:
    """The rows of arrays: cells or genes.

    Attributes
    ----------
    order
        Row in the source of each row of the files.
    index, names
        Column of their names, and the names in the order of the files.
    """

    order: Positions
    index: str
    names: pa.Array


def write_arrays(
    job: BuildJob, source_columns: Positions, left_out: dict[str, str]
) -> tuple[list[str], dict[str, Any]]:
    """Write one file for each array of the source that is to be kept and is no embedding.

    Parameters
    ----------
    job
        Of the build.
    source_columns
        Column in the source of each gene, by token.
    left_out
        What cannot be kept is named there; what of obsm is kept is named there no more.

    Returns
    -------
    files
        Their names.
    entries
        Of `titin.dataset.manifest.Manifest.arrays`.
    """
    if not (job.options.keep_all or job.source.arrays):  # a dataset has what it kept, whatever is asked for
        return [], {}
    source, genes = job.source, job.gene_names(source_columns)
    axes = {
        "cells": _Axis(job.source_rows, layout.CELL_ID,
                     job.cell_ids.take(pa.array(job.source_rows))),
        "genes": _Axis(source_columns, job.var_name_column, genes.column(job.var_name_column).combine_chunks()),
    }  # fmt: skip
    if RAW in source.parts:
        axes[RAW] = _genes_of_raw(job)
    places = [place for place in (f"obsm/{key}" for key in source.obsm) if place in left_out] + list(source.arrays)
    names = name_files(places)
    files: list[str] = []
    entries: dict[str, Any] = {}
    for place in places:
        group = group_of(place)
        own = _ArrayWriter(job, axes[ARRAY_GROUPS[group]], job.layout.array(names[place]), pairwise=group in PAIRWISE)
        of_obsm = place not in source.arrays
        found = own.write(source.obsm, place.removeprefix("obsm/")) if of_obsm else own.write(source.arrays, place)
        if isinstance(found, str):
            left_out[place] = found
            continue
        entries[place] = found
        files += own.files
        left_out.pop(place, None)
    return files, entries


def _genes_of_raw(job: BuildJob) -> _Axis:
    """Genes of raw, whose table has been written."""
    own = of_part(job, RAW)
    names = own.layout.feature_metadata
    table = pq.read_table(job.out / names, columns=[layout.SOURCE_COLUMN, own.var_name_column])
    return _Axis(table.column(layout.SOURCE_COLUMN).to_numpy(), own.var_name_column,
                 table.column(own.var_name_column).combine_chunks())  # fmt: skip


class _ArrayWriter:
    """Writes one array, its rows in the order of the dataset."""

    def __init__(self, job: BuildJob, axis: _Axis, file: str, *, pairwise: bool) -> None:
        self._job, self._axis, self._file, self._pairwise = job, axis, file, pairwise
        self.files: list[str] = []

    def write(self, arrays: Mapping[str, Any], key: str) -> dict[str, Any] | str:
        """Read an array, write it, and let it go; return what restores it, or why it cannot be kept."""
        value = arrays[key]
        return self._problem(value) or {"file": self._file, **self._written(value)}

    def _problem(self, value: Any) -> str | None:
        if isinstance(value, pd.DataFrame):
            return "a table between cells or genes; not kept" if self._pairwise else None
        if not (sparse.issparse(value) or isinstance(value, np.ndarray)):
            return f"not an array ({type(value).__name__}); not kept"
        if value.dtype.kind not in _KINDS or value.dtype.itemsize > 8:
            return f"an array of {value.dtype}; not kept"
        if sparse.issparse(value) and not _is_canonical(value):
            return "lists an entry twice; not kept"
        n = len(self._axis.order)
        if value.shape[0] != n or (self._pairwise and value.shape != (n, n)):
            return f"of shape {value.shape}, for {n:,} rows; not kept"
        return None

    def _written(self, value: Any) -> dict[str, Any]:
        if isinstance(value, pd.DataFrame):
            return self._write_frame(value)
        if sparse.issparse(value):
            return self._write_sparse(value)
        order, width = self._axis.order, int(np.prod(value.shape[1:], dtype=np.int64))

        def rows(first: int, end: int) -> dict[str, NDArray[Any]]:
            own = value[order[first:end]]
            return {layout.ENTRIES: np.ascontiguousarray(own[:, order] if self._pairwise else own).ravel()}

        self._write_lists(np.arange(len(order) + 1, dtype=np.int64) * width, rows)
        shape = list(value.shape[1:])
        return {"form": "dense", "dtype": value.dtype.name, "shape": shape, "n_values": int(value.size)}

    def _write_sparse(self, value: Any) -> dict[str, Any]:
        csr, order, places = sparse.csr_matrix(value), self._axis.order, None
        if self._pairwise:
            places = np.empty(len(order), np.int64)
            places[order] = np.arange(len(order))

        def rows(first: int, end: int) -> dict[str, NDArray[Any]]:
            own = _taken(csr, order[first:end], places)
            return {layout.COLUMNS: own.indices.astype(np.uint32), layout.ENTRIES: own.data}

        lengths = np.diff(csr.indptr).astype(np.int64)[order]
        self._write_lists(np.concatenate([[0], np.cumsum(lengths)]), rows)
        return {"form": "sparse", "storage": value.format if value.format == "csc" else "csr",
                "dtype": value.dtype.name, "shape": [int(value.shape[1])], "n_values": int(csr.nnz)}  # fmt: skip

    def _write_lists(self, indptr: Positions, rows: Callable[[int, int], dict[str, NDArray[Any]]]) -> None:
        """Write lists of rows, whose elements are asked for a row group at a time: no more are in memory twice."""
        stored = {name: layout.element_type(elements.dtype.name) for name, elements in rows(0, 0).items()}
        fields = [layout.required(name, layout.list_of(dtype)) for name, dtype in stored.items()]
        identity = layout.required(self._axis.index, pa.string())
        schema = with_pandas_index(pa.schema([identity, *fields]), self._axis.index)
        file = ParquetFile(self._job.out, self._file, schema)
        for first, end in _row_groups(indptr):
            found, own = rows(first, end), indptr[first : end + 1] - indptr[first]
            lists = [list_column(own, found[name].astype(dtype.to_pandas_dtype(), copy=False))
                     for name, dtype in stored.items()]  # fmt: skip
            names = self._axis.names.slice(first, end - first)
            file.write(pa.Table.from_arrays([names, *lists], schema=file.schema))
        self.files = file.close()

    def _write_frame(self, frame: pd.DataFrame) -> dict[str, Any]:
        index = self._axis.index
        table, records = encode_table(frame.reset_index(drop=True).set_axis(_numbered(frame), axis=0), index_name=index)
        ordered = table.take(pa.array(self._axis.order)).set_column(0, table.schema.field(0), self._axis.names)
        table = ordered.cast(with_pandas_index(ordered.schema, index))
        self.files = write_table(self._job.out, self._file, OrderedRows(table, np.arange(len(table))))
        return {"form": "frame", "columns": records, "n_values": int(frame.size)}


def _numbered(frame: pd.DataFrame) -> pd.Index:
    """Names that stand for those of the rows, which the axis has."""
    return pd.Index([str(i) for i in range(len(frame))], name=frame.index.name)


def _is_canonical(matrix: Any) -> bool:
    """Whether no entry is listed twice."""
    own = matrix if matrix.format in ("csr", "csc") else sparse.csr_matrix(matrix)
    ascends = np.diff(own.indices) > 0
    starts = own.indptr[1:-1]
    ascends[starts[(starts > 0) & (starts < len(own.indices))] - 1] = True  # between two rows they need not
    if ascends.all():
        return True
    own = own.copy()
    own.sort_indices()
    own.has_canonical_format = False
    n_entries = own.nnz
    own.sum_duplicates()
    return bool(own.nnz == n_entries)


def _taken(csr: sparse.csr_matrix, rows: Positions, places: Positions | None) -> sparse.csr_matrix:
    """Rows of a matrix, with columns at other places where these are given; entries ascend, explicit zeros stay."""
    found = csr[rows]
    if places is not None:
        found = sparse.csr_matrix((found.data, places[found.indices], found.indptr), shape=found.shape)
    found.sort_indices()
    return found


def _row_groups(indptr: Positions) -> Iterator[tuple[int, int]]:
    """First row and end of each row group: so many entries, and no more rows than a table has."""
    first, n = 0, len(indptr) - 1
    while first < n:
        end = int(np.searchsorted(indptr, indptr[first] + _ROW_GROUP_ENTRIES, "right")) - 1
        end = min(max(end, first + 1), first + layout.TABLE_ROW_GROUP_ROWS, n)
        yield first, end
        first = end
