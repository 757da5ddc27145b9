"""A dataset as a 10x Genomics folder (matrix of genes × cells, barcodes, features), or as one wide table."""

import csv as text
import gzip
import io
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import csv

from titin.atlas.axes import GeneAxis, GeneFinder
from titin.atlas.orders import source_order
from titin.atlas.tables import read_obs_names
from titin.dataset import layout
from titin.dataset.block import Block
from titin.dataset.kernels import scatter_columns
from titin.dataset.parquet_sink import ParquetSink
from titin.dataset.tables import with_pandas_index
from titin.errors import TitinError
from titin.exporter.job import ExportJob
from titin.exporter.names import check_lines
from titin.parallel import ordered_map
from titin.text import memory

_LEVEL = 4  # of gzip: its default of 9 takes ten times as long for a tenth less


def write_mtx(job: ExportJob, path: Path) -> None:
    """Write the folder; Seurat's Read10X, scanpy's read_10x_mtx and R's Matrix read it.

    Raises
    ------
    TitinError
        If a barcode or gene has a character that parts or quotes entries of the tables for one of them.
    """
    barcodes, genes = read_obs_names(job.store)[source_order(job.store)], GeneAxis(job.store)
    check_lines(barcodes, "barcode", "barcodes.tsv.gz", ["\t", ",", '"'])  # scanpy reads commas there
    for names in (genes.ids, genes.symbols):
        check_lines(names, "gene", "features.tsv.gz", ["\t", '"'])
    path.mkdir()
    with gzip.open(path / "barcodes.tsv.gz", "wt", encoding="utf-8", compresslevel=_LEVEL, newline="") as file:
        file.writelines(f"{name}\n" for name in barcodes)
    with gzip.open(path / "features.tsv.gz", "wt", encoding="utf-8", compresslevel=_LEVEL, newline="") as file:
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
    blocks = job.blocks()
    with path.open("wb") as file:
        # a gzip file may be several, one after another: each block is compressed by itself, in a thread
        file.write(gzip.compress(head.encode(), _LEVEL))
        for n_cells, part in ordered_map(work, blocks, job.resources.threads):
            file.write(part)
            job.progress.advance(n_cells)


def _lines(block: Block, field: str) -> pa.Buffer:
    """One line an entry: gene, cell (both from 1), value."""
    cells = np.repeat(np.arange(block.start + 1, block.start + block.n_cells + 1), np.diff(block.indptr))
    data = block.data.astype(np.int64 if field == "integer" else np.result_type(block.data, np.float32), copy=False)
    lines = pa.BufferOutputStream()
    options = csv.WriteOptions(include_header=False, delimiter=" ", quoting_style="none", batch_size=65_536)
    csv.write_csv(pa.table({"gene": block.indices + 1, "cell": cells, "value": data}), lines, options)
    return lines.getvalue()


_ROW_GROUP_BYTES = 64 * 2**20


# of a wide table as text, with what parts its columns; those of compressed text first, as they end like others
TEXT_SUFFIXES = {".csv.gz": ",", ".tsv.gz": "\t", ".csv": ",", ".tsv": "\t"}


def write_wide(job: ExportJob, path: Path) -> None:
    """Write ``cell_id`` and a column for each gene asked for; all genes if they fit in memory as a table.

    As text where the file is called .csv or .tsv, or so with .gz behind, otherwise as Parquet.

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
    kind = pa.from_numpy_dtype(dtype)
    fields = [
        pa.field(layout.CELL_ID, pa.string(), nullable=False),
        *(pa.field(_column(n), kind, nullable=False) for n in names),
    ]
    schema = with_pandas_index(pa.schema(fields), layout.CELL_ID)
    tables = _tables(job, schema, columns, dtype)
    suffix = text_suffix(path.name)
    if suffix is not None:
        _write_text(path, schema, tables, TEXT_SUFFIXES[suffix])
        return
    with ParquetSink(path, schema, compression="zstd", use_dictionary=False, write_page_index=True) as sink:
        for table in tables:
            sink.write(table)


def text_suffix(name: str) -> str | None:
    """Which of `TEXT_SUFFIXES` the name of a file ends in; None where it is none.

    Examples
    --------
    >>> text_suffix("genes.CSV.gz"), text_suffix("genes.parquet")
    ('.csv.gz', None)
    """
    return next((suffix for suffix in TEXT_SUFFIXES if name.lower().endswith(suffix)), None)


def _write_text(path: Path, schema: pa.Schema, tables: Iterator[pa.Table], delimiter: str) -> None:
    """Write as UTF-8 text with a line of names, entries quoted where need be (RFC 4180)."""
    options = csv.WriteOptions(include_header=False, delimiter=delimiter, batch_size=1024)
    with path.open("wb") as bare, ExitStack() as opened:
        file: Any = bare
        if path.name.lower().endswith(".gz"):  # without a name or time in it, so that equal tables are equal files
            file = opened.enter_context(gzip.GzipFile("", "wb", _LEVEL, bare, mtime=0))
        head = io.StringIO()
        text.writer(head, delimiter=delimiter, lineterminator="\n").writerow(schema.names)
        file.write(head.getvalue().encode())
        for table in tables:
            csv.write_csv(table, file, options)


def _tables(job: ExportJob, schema: pa.Schema, columns: NDArray[np.int64], dtype: np.dtype) -> Iterator[pa.Table]:
    """Yield the rows, in the order of the source, some at a time."""
    manifest = job.manifest
    cell_ids = read_obs_names(job.store)[source_order(job.store)]
    column_of = np.full(manifest.n_genes, -1, np.int32)
    column_of[columns] = np.arange(len(columns), dtype=np.int32)
    rows = max(1, _ROW_GROUP_BYTES // max(1, len(columns) * dtype.itemsize))
    job.progress.start("write table", manifest.n_cells, "cells")
    for block in job.blocks():
        for a in range(0, block.n_cells, rows):
            b = min(a + rows, block.n_cells)
            values = np.empty((b - a, len(columns)), dtype, order="F")
            scatter_columns(block.indptr[a : b + 1], block.indices, block.data, column_of, values)
            arrays = [pa.array(cell_ids[block.start + a : block.start + b], pa.string())]
            arrays += [pa.array(values[:, j]) for j in range(len(columns))]
            yield pa.Table.from_arrays(arrays, schema=schema)
        job.progress.advance(block.n_cells)


def _unique(symbols: list[str], ids: list[str]) -> list[str]:
    """Symbols where they are unique, ids where they are not; ids alone where an id is another gene's symbol."""
    seen = Counter(symbols)
    names = [s if seen[s] == 1 and s != layout.CELL_ID else i for s, i in zip(symbols, ids, strict=True)]
    return names if len(set(names)) == len(names) else ids


def _column(name: str) -> str:
    """Name of a gene's column: its own, but for the one that is the cells'."""
    return f"gene_{name}" if name == layout.CELL_ID else name
