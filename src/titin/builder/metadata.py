"""The table of genes, projections, unstructured metadata and the structure file."""

import json
from itertools import count
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from titin.builder.job import BuildJob
from titin.builder.scan import Scan
from titin.dataset import layout
from titin.dataset.arrow import OrderedRows, Rows, write_table
from titin.dataset.binary_rows import array_of, binary_rows, row_by_row
from titin.dataset.sorted_rows import sort_rows
from titin.dataset.swap import write_json
from titin.dataset.tables import encode_table
from titin.dataset.unstructured import encode_uns
from titin.shelf import Shelf
from titin.source import Source

_VALUES = "\0values"  # of an embedding, while its rows are put in order


def write_gene_table(job: BuildJob, scan: Scan) -> tuple[list[str], list[dict[str, Any]]]:
    """Write ``feature_metadata``, one row a token; return its files and what restores var."""
    var, order = job.source.var, scan.source_columns
    names = job.gene_names(np.arange(len(var)))
    index = job.var_name_column
    ours = _gene_columns(job, scan, names)
    alike = [c for c in var.columns if c in ours.column_names and c != index and _equal(var[c], ours.column(c))]
    kept, kept_records = encode_table(var[alike], index_name=index)
    same = {c for c in alike if c in kept.column_names and kept.schema.field(c).type.equals(ours.schema.field(c).type)}
    kept_records = [record for record in kept_records if record["column"] in same]
    rest, records = encode_table(var.drop(columns=list(same)), index_name=index, reserved=layout.GENE_COLUMNS)
    by_name = {record["name"]: record for record in (*records[1:], *kept_records)}
    for field in list(rest.schema)[1:]:
        ours = ours.append_column(field, rest.column(field.name))
    table = ours.take(pa.array(order)).combine_chunks()
    table = table.cast(job.index_schema(table.schema, index))
    files = write_table(job.out, job.layout.feature_metadata, table)
    return files, [records[0], *(by_name[c] for c in var.columns)]


def _gene_columns(job: BuildJob, scan: Scan, names: pa.Table) -> pa.Table:
    n_cells = job.source.X.shape[0]
    totals = scan.totals
    mean, variance = moments(totals[:, 2], totals[:, 3], n_cells)
    columns = {
        layout.GENE: names.column(layout.GENE),
        layout.GENE_IDS: names.column(layout.GENE_IDS),
        layout.TOKEN: pa.array(scan.tokens, pa.int32()),
        layout.SOURCE_COLUMN: pa.array(np.arange(len(totals)), pa.int64()),
        layout.N_CELLS: pa.array(scan.n_cells_by_gene, pa.int64()),
        layout.MEAN: pa.array(mean),
        layout.VARIANCE: pa.array(variance),
    }
    if scan.value_kind.has_counts:
        columns[layout.N_COUNTS] = pa.array(totals[:, 1].astype(np.int64), pa.int64())
    return pa.table(columns)


def describe_var(source: Source, columns: list[dict[str, Any]]) -> dict[str, Any]:
    """What restores var, for the manifest."""
    return {"columns": columns, **({"own_names": source.own_names} if source.own_names else {})}


def moments(sums: np.ndarray, squares: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and sample variance (ddof 1) from sums and sums of squares over ``n`` cells, zeros included."""
    mean = sums / n
    return mean, np.maximum(squares - n * mean * mean, 0.0) / max(n - 1, 1)


def _equal(column: pd.Series, stored: pa.ChunkedArray) -> bool:
    ours = stored.to_pandas()
    if len(column) != len(ours) or column.isna().any():
        return False
    return bool((column.astype(object).to_numpy() == ours.astype(object).to_numpy()).all())


def write_projections(job: BuildJob, left_out: dict[str, str]) -> tuple[list[str], dict[str, Any]]:
    """Write one file for each of the source's embeddings; name in ``left_out`` what is no embedding."""
    files: list[str] = []
    records: dict[str, Any] = {}
    rows: Rows
    for key in job.source.obsm:
        value = job.source.obsm[key]
        if isinstance(value, pd.DataFrame):
            table, columns = _with_cell_ids(value, job.cell_ids, job.shelf)
            rows = sort_rows(OrderedRows(table, job.source_rows), job.shelf)
        elif isinstance(value, np.ndarray) and value.ndim == 2 and value.dtype.kind in "fiub" and value.shape[1]:
            names = layout.projection_columns(key, value.shape[1])
            index = job.source.obs.index.name
            rows = embedding = _EmbeddingRows(value, names, job.cell_ids, index, job.source_rows, job.shelf)
            columns = embedding.records
        else:
            shape = getattr(value, "shape", None)
            left_out[f"obsm/{key}"] = f"not a table with one row a cell ({type(value).__name__}, shape {shape})"
            continue
        name = projection_file(job.layout, key, files)
        files += write_table(job.out, name, rows)
        records[key] = {"file": name, "columns": columns, "frame": isinstance(value, pd.DataFrame)}
        if not isinstance(value, pd.DataFrame):
            records[key]["dtype"] = str(value.dtype)
    return files, records


def _with_cell_ids(
    frame: pd.DataFrame, cell_ids: pa.Array | pa.ChunkedArray, shelf: Shelf | None = None
) -> tuple[pa.Table, list[dict[str, Any]]]:
    """A table of an embedding, and what restores it."""
    table, records = encode_table(frame, index_name=layout.CELL_ID, shelf=shelf)
    table = table.set_column(0, layout.CELL_ID, cell_ids)
    return table.cast(BuildJob.index_schema(table.schema, layout.CELL_ID)), records


class _EmbeddingRows:
    """An embedding's array in the dataset's order of cells; some rows at a time are a table, never all of them.

    A large one is put in order on the shelf, with the names of the cells.
    """

    def __init__(
        self, values: NDArray[Any], names: list[str], cell_ids: pa.Array | pa.ChunkedArray, name: Any,
        order: NDArray[np.signedinteger[Any]], shelf: Shelf,
    ) -> None:  # fmt: skip
        self._names, self._name, self._dtype = names, name, values.dtype
        table = pa.table({layout.CELL_ID: cell_ids, _VALUES: binary_rows(row_by_row(values, shelf))})
        self._rows = sort_rows(OrderedRows(table, order), shelf)
        none, self.records = self._table(table.slice(0, 0))
        self.schema, self.num_rows = none.schema, len(order)

    def slice(self, start: int, length: int) -> pa.Table:
        """Rows of ``length`` places from ``start`` on."""
        return self._table(self._rows.slice(start, length))[0]

    def _table(self, rows: pa.Table) -> tuple[pa.Table, list[dict[str, Any]]]:
        ids = rows.column(layout.CELL_ID).combine_chunks()
        index = pd.Index(ids.to_numpy(zero_copy_only=False), dtype=object, name=self._name)
        values = array_of(rows.column(_VALUES), self._dtype, len(self._names))
        return _with_cell_ids(pd.DataFrame(values, index=index, columns=self._names), ids)


def projection_file(names: layout.Layout, key: str, taken: list[str]) -> str:
    """File name of an embedding; keys that differ in case or odd characters alone are told apart by a number."""
    used = {name.lower() for name in taken}
    candidates = (names.projection(f"{key}_{n}" if n > 1 else key) for n in count(1))
    return next(name for name in candidates if name.lower() not in used)


def write_documents(
    job: BuildJob, scan: Scan, obs_described: dict[str, Any], left_out: dict[str, str]
) -> list[str]:  # fmt: skip
    """Write uns and the structure file, with what it says of obs."""
    document, lost = encode_uns(job.source.uns)
    left_out |= {f"uns/{path.lstrip('/')}": reason for path, reason in lost.items()}
    write_json(job.out / job.layout.unstructured_metadata, document)
    n_cells, n_genes = job.source.X.shape
    structure = {
        "obsm_keys": list(job.source.obsm),
        "var_columns": [str(c) for c in job.source.var.columns],
        **obs_described,
        "shape": [n_cells, n_genes],
        "nonzeros": scan.nnz,
        "sparsity": 100 * (1 - scan.nnz / (n_cells * n_genes)),
    }
    write_json(job.out / layout.STRUCTURE, structure)
    return [job.layout.unstructured_metadata, layout.STRUCTURE]


def check_json_safe(document: Any) -> Any:
    """Return the document as JSON would give it back."""
    return json.loads(json.dumps(document, allow_nan=False))
