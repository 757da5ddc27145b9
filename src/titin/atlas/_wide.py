"""Some genes of a dataset as one wide Parquet table, a column a gene."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from titin.atlas.blocks import source_blocks
from titin.atlas.genes import GeneFinder
from titin.atlas.tables import read_obs_names, source_order
from titin.dataset import layout
from titin.dataset.kernels import scatter_columns
from titin.dataset.tables import with_pandas_index
from titin.errors import TitinError

if TYPE_CHECKING:
    from titin.atlas.export import Job

_ROW_GROUP_BYTES = 64 * 2**20


def write_wide(job: "Job", path: Path) -> None:
    """Write ``cell_id`` and a column for each gene asked for; all genes if they fit in memory as a table.

    Raises
    ------
    TitinError
        If the table would not fit the memory limit, or a gene is not in the dataset.
    """
    manifest = job.manifest
    genes = job.store.table(manifest.layout.feature_metadata)
    genes = genes.select([layout.GENE, layout.GENE_IDS, layout.SOURCE_COLUMN]).sort_by(layout.SOURCE_COLUMN)
    symbols, ids = genes.column(layout.GENE).to_pylist(), genes.column(layout.GENE_IDS).to_pylist()
    if job.genes is None:
        names, columns = _unique(symbols, ids), np.arange(manifest.n_genes)
    else:
        names = list(dict.fromkeys(job.genes))
        columns = GeneFinder(symbols, ids).find_all(names)
    dtype = np.dtype(np.float64) if manifest.source["dtype"] == "float64" and not job.counts else np.dtype(np.float32)
    size = manifest.n_cells * len(columns) * dtype.itemsize
    if size > job.resources.memory:
        raise TitinError(
            f"a table of {manifest.n_cells:,} cells × {len(columns):,} genes takes {size / 2**30:.1f} GiB of memory "
            f"to read; the limit is {job.resources.memory / 2**30:.1f} GiB",
            f"name fewer genes with --genes, or allow it with --memory {-(-size // 2**30)}GiB",
        )
    _write(job, path, names, columns, dtype)


def _write(job: "Job", path: Path, names: list[str], columns: np.ndarray, dtype: np.dtype) -> None:
    manifest = job.manifest
    kind = pa.from_numpy_dtype(dtype)
    fields = [
        pa.field(layout.CELL_ID, pa.string(), nullable=False),
        *(pa.field(n, kind, nullable=False) for n in names),
    ]
    schema = with_pandas_index(pa.schema(fields), layout.CELL_ID)
    cell_ids = read_obs_names(job.store)[source_order(job.store)]
    column_of = np.full(manifest.n_genes, -1, np.int32)
    column_of[columns] = np.arange(len(columns), dtype=np.int32)
    rows = max(1, _ROW_GROUP_BYTES // max(1, len(columns) * dtype.itemsize))
    job.progress.start("write table", manifest.n_cells, "cells")
    with pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=False, write_page_index=True) as writer:
        for block in source_blocks(job.store, job.scratch, job.resources, counts=job.counts):
            for a in range(0, block.n_cells, rows):
                b = min(a + rows, block.n_cells)
                values = np.empty((b - a, len(columns)), dtype, order="F")
                scatter_columns(block.indptr[a : b + 1], block.indices, block.data, column_of, values)
                arrays = [pa.array(cell_ids[block.start + a : block.start + b], pa.string())]
                arrays += [pa.array(values[:, j]) for j in range(len(columns))]
                writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
            job.progress.advance(block.n_cells)


def _unique(symbols: list[str], ids: list[str]) -> list[str]:
    """Symbols where they are unique, ids where they are not."""
    seen: dict[str, int] = {}
    for name in symbols:
        seen[name] = seen.get(name, 0) + 1
    return [s if seen[s] == 1 and s != layout.CELL_ID else i for s, i in zip(symbols, ids, strict=True)]
