"""obs, var, obsm and uns as the source had them, and the matrix in the order of the source."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from titin.atlas.row_groups import dataset_blocks
from titin.dataset import layout
from titin.dataset.block import Block
from titin.dataset.kernels import transpose
from titin.dataset.spill import Spill
from titin.dataset.store import Store
from titin.dataset.tables import decode_table, decode_values
from titin.dataset.unstructured import decode_uns
from titin.parallel import read_ahead
from titin.resources import Resources

Order = NDArray[np.int64]


def source_order(store: Store) -> Order:
    """Position in the dataset of each source row."""
    rows = store.column(store.manifest.layout.expression, layout.SOURCE_ROW).to_numpy()
    order = np.empty(len(rows), np.int64)
    order[rows] = np.arange(len(rows))
    return order


def read_obs(store: Store, order: Order | None = None, *, ages: bool = False) -> pd.DataFrame:
    """Restore obs.

    Parameters
    ----------
    order
        Positions in the dataset of the rows wanted; all, in the dataset's order, where not given.
    ages
        Add ``age_numeric`` and ``age_years`` where the dataset has them and obs has no column of that name.
    """
    table = _take(store.table(store.manifest.layout.sample_metadata), order)
    obs = decode_table(table, store.manifest.obs["columns"])
    for name in (layout.AGE_NUMERIC, layout.AGE_YEARS) if ages else ():
        if name in table.column_names and name not in obs.columns:
            obs[name] = table.column(name).to_numpy()
    return obs


def read_obs_names(store: Store) -> pd.Index:
    """Restore the index of obs, in the dataset's order."""
    record = store.manifest.obs["columns"][0]
    names = decode_values(store.column(store.manifest.layout.sample_metadata, record["column"]), record)
    return pd.Index(names, dtype=names.dtype, name=record["name"])


def read_var(store: Store) -> pd.DataFrame:
    """Restore var, in the source's order."""
    table = store.table(store.manifest.layout.feature_metadata)
    order = np.argsort(table.column(layout.SOURCE_COLUMN).to_numpy())
    return decode_table(table.take(order), store.manifest.var["columns"])


def read_embedding(store: Store, key: str, obs_names: pd.Index, order: Order | None = None) -> Any:
    """Restore one embedding, the rows as for `read_obs`; a frame where the source had one."""
    entry = store.manifest.obsm[key]
    frame = decode_table(_take(store.table(entry["file"]), order), entry["columns"])
    frame.index = obs_names
    return frame if entry["frame"] else frame.to_numpy(dtype=np.dtype(entry["dtype"]))


def read_obsm(store: Store, obs_names: pd.Index, order: Order | None = None) -> dict[str, Any]:
    """Restore the embeddings, the rows as for `read_obs`."""
    return {key: read_embedding(store, key, obs_names, order) for key in store.manifest.obsm}


def read_varm(store: Store) -> dict[str, NDArray[Any]]:
    """Read what has one row a gene (genes × dimensions), in the source's order of genes."""
    entries = store.manifest.varm
    if not entries:
        return {}
    order = np.argsort(store.column(store.manifest.layout.feature_metadata, layout.SOURCE_COLUMN).to_numpy())
    tables = {key: decode_table(store.table(entry["file"]), entry["columns"]) for key, entry in entries.items()}
    return {key: table.to_numpy(dtype=np.dtype(entries[key]["dtype"]))[order] for key, table in tables.items()}


def read_uns(store: Store) -> Mapping[str, Any]:
    """Restore the unstructured metadata.

    Raises
    ------
    DatasetError
        If the file is missing or no JSON.
    """
    return decode_uns(store.json(store.manifest.layout.unstructured_metadata))


def _take(table: pa.Table, order: Order | None) -> pa.Table:
    return table if order is None else table.take(order)


def source_blocks(store: Store, scratch: Path, resources: Resources, *, counts: bool = False) -> Iterator[Block]:
    """Yield the cells in the source's order, genes as ascending source columns.

    Parameters
    ----------
    scratch
        An existing folder for one intermediate file, removed at the end.
    counts
        Give the integer counts instead of the source's values.
    """
    manifest = store.manifest
    rows = store.column(manifest.layout.expression, layout.SOURCE_ROW).to_numpy()
    columns = store.column(manifest.layout.feature_metadata, layout.SOURCE_COLUMN).to_numpy()
    fitting = resources.bucket_values // max(1, manifest.nnz // manifest.n_cells)
    bucket_cells = int(np.clip(fitting, 1, 65_536))
    with Spill(scratch / "cells", -(-manifest.n_cells // bucket_cells)) as spill:
        for block in read_ahead(dataset_blocks(store, counts=counts, threads=resources.threads)):
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
