"""The matrix of a dataset as row blocks: in the dataset's order, or in the source's."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from titin.dataset import layout
from titin.dataset._kernels import transpose
from titin.dataset.arrow import list_arrays
from titin.dataset.codec import decode_values
from titin.dataset.manifest import Manifest
from titin.dataset.spill import Spill
from titin.errors import DatasetError
from titin.parallel import ordered_map, read_ahead
from titin.resources import Resources
from titin.source import Block


def read_column(folder: Path, manifest: Manifest, name: str, column: str) -> pa.ChunkedArray:
    """Read one column of a table of the dataset, all shards of it."""
    return read_table(folder, manifest, name, [column]).column(0)


def read_table(folder: Path, manifest: Manifest, name: str, columns: list[str] | None = None) -> pa.Table:
    """Read a table of the dataset, or some columns of it.

    Raises
    ------
    DatasetError
        If a file is missing or damaged.
    """
    parts = []
    for shard in manifest.shards(name):
        try:
            parts.append(pq.ParquetFile(folder / shard, pre_buffer=False).read(columns))
        except (OSError, pa.ArrowException) as error:
            raise _damaged(folder / shard, error) from error
    return pa.concat_tables(parts)


def _damaged(path: Path, error: Exception) -> DatasetError:
    if isinstance(error, FileNotFoundError):
        return DatasetError(f"{path} is missing", "restore it, or build the dataset again")
    return DatasetError(f"{path} is damaged: {error}", "restore it, or build the dataset again")


def dataset_blocks(folder: Path, manifest: Manifest, *, counts: bool = False, threads: int = 1) -> Iterator[Block]:
    """Yield the cells row group by row group, in the dataset's order, genes as ascending tokens.

    Parameters
    ----------
    counts
        Give the integer counts instead of the source's values.

    Raises
    ------
    DatasetError
        If a file is missing or damaged, or if a cell's levels do not fit its counts.
    """
    values = layout.VALUES if manifest.kind == "real" else layout.COUNTS
    columns = [layout.GENES, values] + ([] if counts or manifest.kind != "log1p" else [layout.LEVELS])

    def work(group: tuple[Path, int]) -> tuple[NDArray[np.int64], NDArray[Any], NDArray[Any]]:
        path, index = group
        try:
            # a reader of its own: they are not to be shared between threads
            table = pq.ParquetFile(path, pre_buffer=False).read_row_group(index, columns, use_threads=False)
            indptr, tokens = list_arrays(table.column(0))
            _, data = list_arrays(table.column(1))
            if len(columns) == 3:
                level_indptr, levels = list_arrays(table.column(2))
                data = decode_values(indptr, data, level_indptr, levels)
        except (OSError, ValueError, pa.ArrowException) as error:
            raise _damaged(path, error) from error
        return indptr, tokens, data

    start = 0
    for indptr, tokens, data in ordered_map(work, _row_groups(folder, manifest), threads):
        yield Block(start, indptr, tokens, data)
        start += len(indptr) - 1
    if start != manifest.n_cells:
        raise DatasetError(
            f"{folder}: the expression files hold {start:,} cells, {layout.MANIFEST} says {manifest.n_cells:,}",
            "restore the files, or build the dataset again",
        )


def _row_groups(folder: Path, manifest: Manifest) -> Iterator[tuple[Path, int]]:
    for shard in manifest.shards(manifest.layout.expression):
        path = folder / shard
        try:
            n = pq.ParquetFile(path).num_row_groups
        except (OSError, pa.ArrowException) as error:
            raise _damaged(path, error) from error
        for index in range(n):
            yield path, index


def source_blocks(
    folder: Path, manifest: Manifest, scratch: Path, resources: Resources, *, counts: bool = False
) -> Iterator[Block]:
    """Yield the cells in the source's order, genes as ascending source columns.

    Parameters
    ----------
    scratch
        An existing folder for one intermediate file, removed at the end.
    counts
        Give the integer counts instead of the source's values.
    """
    rows = read_column(folder, manifest, manifest.layout.expression, layout.SOURCE_ROW).to_numpy()
    columns = read_column(folder, manifest, manifest.layout.feature_metadata, layout.SOURCE_COLUMN).to_numpy()
    fitting = resources.bucket_values // max(1, manifest.nnz // manifest.n_cells)
    bucket_cells = int(np.clip(fitting, 1, 65_536))
    with Spill(scratch / "cells", -(-manifest.n_cells // bucket_cells)) as spill:
        for block in read_ahead(dataset_blocks(folder, manifest, counts=counts, threads=resources.threads)):
            _file(spill, block, rows[block.start : block.start + block.n_cells], bucket_cells)
        for bucket in range(spill.n_buckets):
            start = bucket * bucket_cells
            n_cells = min(bucket_cells, manifest.n_cells - start)
            yield _sort(spill.read(bucket), start, n_cells, columns.astype(np.int32), len(columns))


def _file(spill: Spill, block: Block, rows: NDArray[np.int64], bucket_cells: int) -> None:
    """File each cell of a block under the bucket of its source row: rows, lengths, tokens, values."""
    buckets = rows // bucket_cells
    lengths = np.diff(block.indptr)
    for bucket in np.unique(buckets).tolist():
        mine = buckets == bucket
        picked = np.repeat(mine, lengths)
        spill.append(
            bucket, rows[mine] - bucket * bucket_cells, lengths[mine], block.indices[picked], block.data[picked]
        )


def _sort(
    groups: list[list[NDArray[Any]]], start: int, n_cells: int, columns: NDArray[np.int32], n_genes: int
) -> Block:
    """Cells by source row and genes by source column: two transpositions of the entries as they came."""
    local = np.concatenate([g[0] for g in groups])
    lengths = np.concatenate([g[1] for g in groups])
    tokens = np.concatenate([g[2] for g in groups])
    data = np.concatenate([g[3] for g in groups])
    groups.clear()
    came = np.concatenate([[0], np.cumsum(lengths)])
    by_gene, gene_data = np.empty(len(tokens), np.int32), np.empty_like(data)
    gene_indptr = np.empty(n_genes + 1, np.int64)
    transpose(came, tokens, data, columns, by_gene, gene_data, gene_indptr)
    indptr = np.empty(n_cells + 1, np.int64)
    genes = np.empty(len(tokens), np.int32)
    transpose(gene_indptr, by_gene, gene_data, local.astype(np.int32), genes, data, indptr)
    return Block(start, indptr, genes, data)
