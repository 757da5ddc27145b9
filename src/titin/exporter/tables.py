"""A dataset as a 10x Genomics folder: matrix.mtx.gz (genes × cells), barcodes.tsv.gz, features.tsv.gz."""

import gzip
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

from titin.atlas.axes import GeneAxis, GeneFinder
from titin.atlas.tables import read_obs_names, source_blocks, source_order
from titin.dataset import layout
from titin.dataset.block import Block
from titin.dataset.kernels import scatter_columns
from titin.dataset.tables import with_pandas_index
from titin.errors import TitinError
from titin.exporter.job import ExportJob
from titin.parallel import ordered_map
from titin.text import memory

_LEVEL = 4  # of gzip: its default of 9 takes ten times as long for a tenth less


def write_mtx(job: ExportJob, path: Path) -> None:
    """Write the folder; Seurat's Read10X, scanpy's read_10x_mtx and R's Matrix read it."""
    path.mkdir()
    with gzip.open(path / "barcodes.tsv.gz", "wt", encoding="utf-8", compresslevel=_LEVEL) as file:
        file.writelines(f"{name}\n" for name in read_obs_names(job.store)[source_order(job.store)])
    genes = GeneAxis(job.store)
    with gzip.open(path / "features.tsv.gz", "wt", encoding="utf-8", compresslevel=_LEVEL) as file:
        for gene_id, gene in zip(genes.ids, genes.symbols, strict=True):
            file.write(f"{gene_id}\t{gene}\tGene Expression\n")
    _write_matrix(job, path / "matrix.mtx.gz")


def _write_matrix(job: ExportJob, path: Path) -> None:
    manifest = job.manifest
    field = "integer" if job.counts or manifest.kind == "counts" else "real"
    head = f"%%MatrixMarket matrix coordinate {field} general\n{manifest.n_genes} {manifest.n_cells} {manifest.nnz}\n"

    def work(block: Block) -> tuple[int, bytes]:
        return block.n_cells, gzip.compress(_lines(block, field), _LEVEL)

    job.progress.start("write matrix.mtx.gz", manifest.n_cells, "cells")
    blocks = source_blocks(job.store, job.scratch, job.resources, counts=job.counts)
    with path.open("wb") as file:
        # a gzip file may be several, one after another: each block is compressed by itself, in a thread
        file.write(gzip.compress(head.encode(), _LEVEL))
        for n_cells, part in ordered_map(work, blocks, job.resources.threads):
            file.write(part)
            job.progress.advance(n_cells)


def _lines(block: Block, field: str) -> pa.Buffer:
    """One line an entry: gene, cell (both from 1), value."""
    cells = np.repeat(np.arange(block.start + 1, block.start + block.n_cells + 1), np.diff(block.indptr))
    data = block.data if field == "real" else block.data.astype(np.int64)
    text = pa.BufferOutputStream()
    options = csv.WriteOptions(include_header=False, delimiter=" ", quoting_style="none", batch_size=65_536)
    csv.write_csv(pa.table({"gene": block.indices + 1, "cell": cells, "value": data}), text, options)
    return text.getvalue()


_ROW_GROUP_BYTES = 64 * 2**20


def write_wide(job: ExportJob, path: Path) -> None:
    """Write ``cell_id`` and a column for each gene asked for; all genes if they fit in memory as a table.

    Raises
    ------
    TitinError
        If the table would not fit the memory limit, or a gene is not in the dataset.
    """
    manifest = job.manifest
    genes = GeneAxis(job.store)
    if job.genes is None:
        names, columns = _unique(genes.symbols, genes.ids), np.arange(manifest.n_genes)
    else:
        names = list(dict.fromkeys(job.genes))
        columns = GeneFinder(genes.symbols, genes.ids).find_all(names)
    dtype = np.dtype(np.float64) if manifest.source["dtype"] == "float64" and not job.counts else np.dtype(np.float32)
    size = manifest.n_cells * len(columns) * dtype.itemsize
    if size > job.resources.memory:
        raise TitinError(
            f"a table of {manifest.n_cells:,} cells × {len(columns):,} genes takes {memory(size)} of memory "
            f"to read; the limit is {memory(job.resources.memory)}",
            f"name fewer genes with --genes, or allow it with --memory {-(-size // 2**30)}GiB",
        )
    _write(job, path, names, columns, dtype)


def _write(job: ExportJob, path: Path, names: list[str], columns: np.ndarray, dtype: np.dtype) -> None:
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
